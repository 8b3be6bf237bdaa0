"""A worker as its supervisor sees it: a process that was started, became ready or did not, and ends."""

import asyncio
import itertools
import signal
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Self

from broker.workers.lifeline import Line, families_of
from broker.workers.slot import Slot
from broker.workers.totals import Totals

READY_SECONDS: Final = 300.0
"""How long a worker may take until it is ready: one that finds a large store without an index waits for it."""
END_SECONDS: Final = 60.0
"""How long an orderly end may take. A commit whose outcome is unknown is asked about for half a minute."""
COUNT_SECONDS: Final = 2.0
"""How long a worker may take to say what it has counted; after that, what it said last is shown."""

_serial: Final = itertools.count(1)


class Child:
    """One process in slot `number`. What it counts goes into `totals`; `asked` is told that it wants the metrics of all."""

    def __init__(
        self,
        number: int,
        process: asyncio.subprocess.Process,
        line: Line,
        totals: Totals,
        asked: Callable[["Child"], None],
    ) -> None:
        self.number = number
        self.process = process
        self.started = time.monotonic()
        self.answers = True
        self._serial = next(_serial)
        self._line = line
        self._totals = totals
        self._asked = asked
        self._ready = asyncio.Event()
        self._counted = asyncio.Event()
        self._following = asyncio.create_task(self._follow(), name=f"worker {number}")

    @classmethod
    async def start(
        cls,
        number: int,
        command: Sequence[str],
        sockets: Sequence[socket.socket],
        totals: Totals,
        asked: Callable[["Child"], None],
    ) -> Self:
        """Start the process. Raises OSError."""
        ours, theirs = socket.socketpair()
        inherited = [each.fileno() for each in (*sockets, theirs)]
        slot = Slot(number, tuple(inherited[:-1]), inherited[-1])
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(*command, "--worker", str(slot), pass_fds=inherited)
            except OSError:
                ours.close()
                raise
        return cls(number, process, await Line.over(ours), totals, asked)

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return not self._following.done()

    @property
    def is_ready(self) -> bool:
        """Whether it answers requests, or did until it ended."""
        return self._ready.is_set()

    async def becomes_ready(self) -> bool:
        """Wait until it is ready, or has ended, or took too long."""
        waiting = asyncio.create_task(self._ready.wait())
        await asyncio.wait({waiting, self._following}, timeout=READY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        return self.alive and self.is_ready

    async def ended(self) -> int:
        """Wait until it has ended: its exit code, or minus the signal that killed it."""
        await asyncio.wait({self._following})
        return await self.process.wait()

    async def end(self) -> bool:
        """End it in good order, or by force if that takes too long; whether it did by itself."""
        self._send(signal.SIGTERM)
        with suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await self.ended()
                return True
        await self.kill()
        return False

    async def kill(self) -> None:
        """End it by force."""
        self._send(signal.SIGKILL)
        await self.ended()

    def say(self, **message: Any) -> None:
        """Tell it something."""
        self._line.say(**message)

    async def count(self) -> None:
        """Have it say what it has counted until now."""
        self._counted.clear()
        self._line.say(say="count")
        try:
            async with asyncio.timeout(COUNT_SECONDS):
                await self._counted.wait()
            self.answers = True
        except TimeoutError:
            self.answers = False

    def _send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):  # it has ended by itself
            self.process.send_signal(number)

    async def _follow(self) -> None:
        """Listen to it until it has ended."""
        while (message := await self._line.hear()) is not None:
            if message["say"] == "ready":
                self._ready.set()
            elif message["say"] == "counted":
                self._totals.counted(self.number, self._serial, families_of(message))
                self._counted.set()
            elif message["say"] == "wants":
                self._asked(self)
        await self.process.wait()
        self._totals.ended(self.number, self._serial)
        self._counted.set()
        await self._line.close()
