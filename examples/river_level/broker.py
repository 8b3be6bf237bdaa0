"""A broker of our own for one run: `tsunagu serve` with its state in memory, on a free port."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

_PATIENCE = 30.0


@asynccontextmanager
async def own_broker() -> AsyncIterator[str]:
    """Start a broker from this environment, give its URL when it is ready, stop it at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = Path(sys.executable).with_name("tsunagu")
    settings = {name: value for name, value in os.environ.items() if not name.startswith("TSUNAGU_")}
    process = await asyncio.create_subprocess_exec(
        *(
            command,
            "serve",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--store",
            "sqlite::memory:",
            "--log-level",
            "warning",
        ),
        env=settings,
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        await _ready(url, process)
        yield url
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


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
