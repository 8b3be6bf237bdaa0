"""A wire: TCP connections to a port of this machine, which can be cut in the middle, after any byte."""

import asyncio
import random
from contextlib import suppress
from typing import Final

CHUNK: Final = 65_536
FURTHEST: Final = 20_000
"""Bytes within which a connection is cut."""


class Wire:
    """Listens on `port` and passes on to the `target` port. While it `cuts`, every connection ends at a random byte."""

    def __init__(self, target: int, chance: random.Random) -> None:
        self.target = target
        self.port = 0
        self.cut = 0
        self._chance = chance
        self._cuts = False
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    async def open(self, port: int = 0) -> None:
        """Listen, on a port that is free."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Listen no more, and end all connections."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.end()
        await asyncio.sleep(0)

    def begin_to_cut(self) -> None:
        """From now on, connections end somewhere: those there are, and new ones."""
        self._cuts = True
        for connection in self._connections:
            connection.limit(self._reach())

    def mend(self) -> None:
        """New connections hold again."""
        self._cuts = False

    def _reach(self) -> int:
        """After how many bytes more: often within the first few, sometimes after very many."""
        return int(FURTHEST ** self._chance.random())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            onward = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:  # nobody is there: whoever calls is to find that out
            writer.transport.abort()
            return
        connection = _Connection((reader, writer), onward)
        if self._cuts:
            connection.limit(self._reach())
        self._connections.add(connection)
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)
            self.cut += connection.was_cut


class _Connection:
    """Both directions of one connection, with the bytes that may still pass in both together, None without a limit."""

    def __init__(
        self,
        near: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        far: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        self._near = near
        self._far = far
        self._left: int | None = None
        self.was_cut = False

    def limit(self, left: int) -> None:
        self._left = left

    def end(self) -> None:
        self._near[1].transport.abort()
        self._far[1].transport.abort()

    async def run(self) -> None:
        directions = [self._pass_on(self._near[0], self._far[1]), self._pass_on(self._far[0], self._near[1])]
        await asyncio.gather(*directions)
        self.end()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):  # one end is gone: then the other one is told, too
            while data := await reader.read(CHUNK):
                if self._left is not None:
                    if len(data) >= self._left:
                        writer.write(data[: self._left])
                        self._left = 0
                        self.was_cut = True
                        break
                    self._left -= len(data)
                writer.write(data)
                await writer.drain()
            else:
                if writer.can_write_eof():
                    writer.write_eof()
                return
        self.end()
