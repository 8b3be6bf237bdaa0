"""A broker as a process of its own, which can be killed and started again."""

import asyncio
import os
import signal
import sys
from contextlib import nullcontext
from pathlib import Path

import aiohttp
from mongod import die_with_parent, free_port


class Process:
    """A `tsunagu serve` on one store and one port, with further options, which can be killed and started again.

    What it logs goes to `log`, where there is one.
    """

    def __init__(self, store: str, *options: str, log: Path | None = None) -> None:
        self.store = store
        self.options = options
        self.log = log
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, session: aiohttp.ClientSession) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TSUNAGU_")}
        with nullcontext() if self.log is None else self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "broker.cli", "serve", "--host", "127.0.0.1", "--port", str(self.port)),
                *("--store", self.store, "--egress", "any", *self.options),
                stdout=asyncio.subprocess.DEVNULL,
                stderr=log,
                preexec_fn=die_with_parent,
                env=clean,
            )
        for _ in range(400):
            assert self._process.returncode is None, "the broker ended by itself"
            try:
                async with session.get(f"{self.url}/health/ready") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.05)
        raise AssertionError("the broker did not become ready within 20 s")

    @property
    def has_ended(self) -> bool:
        """Whether it is gone, by itself or because it was ended."""
        return self._process is None or self._process.returncode is not None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def send(self, number: signal.Signals) -> None:
        """Freeze it, thaw it, and the like."""
        assert self._process is not None
        self._process.send_signal(number)

    async def end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        return await asyncio.wait_for(self._process.wait(), 30)
