"""A client of event streams as the HTML standard describes it: it remembers the last id, also of blocks without data."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson


@dataclass
class Told:
    """One event: its name (`message` where it has none), the last id at that time, its data."""

    name: str
    id: str
    data: Any

    @property
    def entity(self) -> dict[str, Any]:
        """The entity that a notification tells of."""
        assert self.name == "message", self
        (entity,) = self.data["data"]
        return entity


@dataclass
class EventSource:
    """One connection."""

    response: aiohttp.ClientResponse
    last_id: str = ""
    beats: int = 0
    _lines: list[str] = field(default_factory=list)
    _buffer: bytes = b""

    async def _line(self) -> str:
        """The next line, empty at the end. Nothing is lost where a caller gives up waiting."""
        while b"\n" not in self._buffer:
            piece = await self.response.content.readany()
            if not piece:
                return ""
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode() + "\n"

    async def next(self, seconds: float = 5.0) -> Told | None:
        """The next event, None at the end of the stream."""
        async with asyncio.timeout(seconds):
            while True:
                line = await self._line()
                if not line:
                    return None
                if line != "\n":
                    self._lines.append(line.removesuffix("\n"))
                    continue
                lines, self._lines = self._lines, []
                told = self._dispatch(lines)
                if told is not None:
                    return told

    def _dispatch(self, lines: list[str]) -> Told | None:
        name, data = "message", []
        for line in lines:
            key, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if key == "":
                self.beats += 1
            elif key == "id":
                self.last_id = value
            elif key == "event":
                name = value
            elif key == "data":
                data.append(value)
        return Told(name, self.last_id, orjson.loads("\n".join(data))) if data else None

    async def take(self, count: int, seconds: float = 10.0) -> list[Told]:
        """So many events."""
        told = []
        async with asyncio.timeout(seconds):
            while len(told) < count:
                event = await self.next(seconds)
                assert event is not None, f"the stream ended after {told}"
                told.append(event)
        return told

    async def silence(self, seconds: float = 0.3) -> None:
        """Assert that nothing is told for a while."""
        try:
            told = await self.next(seconds)
        except TimeoutError:
            return
        raise AssertionError(told)

    async def opened(self) -> None:
        """Wait for the position at which the stream begins."""
        async with asyncio.timeout(5):
            while not self.last_id:
                line = await self._line()
                if line.startswith("id: "):
                    self.last_id = line.removeprefix("id: ").strip()


@asynccontextmanager
async def event_source(
    session: aiohttp.ClientSession, url: str, query: str = "", last_id: str | None = None, **headers: str
) -> AsyncIterator[EventSource]:
    """A stream of the broker at `url`, which has begun."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if last_id is not None:
        sent["Last-Event-ID"] = last_id
    timeout = aiohttp.ClientTimeout(total=None)
    async with session.get(f"{url}/tsunagu/v1/stream?{query}", headers=sent, timeout=timeout) as response:
        assert response.status == 200, await response.read()
        assert response.content_type == "text/event-stream"
        source = EventSource(response)
        await source.opened()
        yield source
