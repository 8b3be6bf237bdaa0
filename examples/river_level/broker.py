"""A broker of our own for one run: `tsunagu serve` on a free port, with its state in memory if nothing else is said."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from types import MappingProxyType

import aiohttp

from examples.children import child

_PATIENCE = 30.0


@asynccontextmanager
async def own_broker(
    *options: str,
    store: str = "sqlite::memory:",
    environ: Mapping[str, str] = MappingProxyType({}),
    log: Path | None = None,
) -> AsyncIterator[str]:
    """Start a broker from this environment, give its URL when it is ready, stop it at the end.

    `options` are further ones of `tsunagu serve`, `environ` is added to its environment; what it logs goes to `log`.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = (Path(sys.executable).with_name("tsunagu"), "serve", "--host", "127.0.0.1", "--port", str(port))
    settings = {name: value for name, value in os.environ.items() if not name.startswith("TSUNAGU_")}
    with nullcontext() if log is None else log.open("ab") as output:
        async with child(
            *(*command, "--store", store, "--log-level", "warning", *options),
            errors=output,
            env={**settings, **environ},
        ) as process:
            url = f"http://127.0.0.1:{port}"
            await _ready(url, process)
            yield url


async def _ready(url: str, process: asyncio.subprocess.Process) -> None:
    async with aiohttp.ClientSession() as session:
        for _ in range(int(_PATIENCE / 0.1)):
            if process.returncode is not None:
                raise RuntimeError(f"The broker ended at once with code {process.returncode}.")
            try:
                async with session.get(f"{url}/health/ready") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.1)
    raise RuntimeError(f"The broker was not ready within {_PATIENCE:g} seconds.")
