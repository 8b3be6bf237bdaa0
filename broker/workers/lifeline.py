"""The line between a worker and its supervisor: a pair of sockets on which each says one JSON object a line.

A worker says that it is `ready`, what it has `counted` (when it is asked to, and at its end), and that somebody `wants` the
metrics of all. The supervisor says `count`, the `whole` of the metrics, and how many `workers` are ready. Where one of them
is gone, the line ends, whatever became of the process: a worker whose supervisor was killed ends in good order.
"""

import asyncio
import json
import logging
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, Self

from broker.metrics import Family
from broker.workers.slot import Slot
from broker.workers.totals import labelled

MOST_BYTES: Final = 64 * 1024 * 1024
"""Bytes of one line: metrics have a few hundred KiB."""

WHOLE_SECONDS: Final = 4.0
"""How long a worker waits for the metrics of all before it shows its own only."""

log: Final = logging.getLogger(__name__)


class Line:
    """One end of the line."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> Self:
        """The line over one of the two sockets, which it owns from now on."""
        return cls(*await asyncio.open_connection(sock=end, limit=MOST_BYTES))

    def say(self, **message: Any) -> None:
        """Tell the other end, if it is still there."""
        if not self._writer.is_closing():
            self._writer.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    async def hear(self) -> dict[str, Any] | None:
        """What the other end says next, None where it is gone."""
        try:
            line = await self._reader.readline()
        except (OSError, ValueError):  # it is gone in the middle of something, or says more than can be meant
            return None
        message: dict[str, Any] | None = json.loads(line) if line.endswith(b"\n") else None
        return message

    async def close(self) -> None:
        """Hang up, after what was said has gone out."""
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


def families_of(message: dict[str, Any]) -> list[Family]:
    """The metrics in a message."""
    return [Family(name, kind, about, [(*it,) for it in samples]) for name, kind, about, samples in message["families"]]


class Lifeline:
    """A worker's end. `count` gives what this process has counted, `lost` is called when the supervisor is gone."""

    def __init__(self, slot: Slot, line: Line, count: Callable[[], Iterable[Family]], lost: Callable[[], None]) -> None:
        self.number = slot.number
        self.sockets = slot.listening()
        self.workers: dict[str, int] = {}
        self._line = line
        self._count = count
        self._lost = lost
        self._whole: asyncio.Future[list[Family]] | None = None
        self._listening = asyncio.create_task(self._listen(), name="lifeline")

    @classmethod
    async def of(cls, slot: Slot, count: Callable[[], Iterable[Family]], lost: Callable[[], None]) -> Self:
        """The lifeline of a slot. Raises OSError where it and the sockets were not inherited."""
        return cls(slot, await Line.over(socket.socket(fileno=slot.lifeline)), count, lost)

    def ready(self) -> None:
        """Say that requests are answered."""
        self._line.say(say="ready")

    async def whole(self) -> list[Family]:
        """The metrics of all workers, or where the supervisor does not answer in time, of this one."""
        if self._whole is None or self._whole.done():
            self._whole = asyncio.get_running_loop().create_future()
            self._line.say(say="wants")
        try:
            async with asyncio.timeout(WHOLE_SECONDS):
                return await asyncio.shield(self._whole)
        except TimeoutError:
            log.warning("the supervisor does not tell the metrics of all workers: only those of this one are shown")
            return labelled(self._count(), self.number)

    async def close(self) -> None:
        """Say what was counted at last, and hang up."""
        self._listening.cancel()
        self._line.say(say="counted", families=list(self._count()))
        await self._line.close()

    async def _listen(self) -> None:
        while (message := await self._line.hear()) is not None:
            if message["say"] == "count":
                self._line.say(say="counted", families=list(self._count()))
            elif message["say"] == "workers":
                self.workers.update(wanted=message["wanted"], ready=message["ready"])
            elif message["say"] == "whole" and self._whole is not None and not self._whole.done():
                self._whole.set_result(families_of(message))
        log.warning("the supervisor is gone: stopping")
        self._lost()
