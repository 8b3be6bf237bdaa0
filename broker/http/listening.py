"""Listening for clients: all that have come are let in at once, however much the event loop has to do.

uvloop lets in one client each time its loop comes round. Where a round takes 20 ms, because a thousand requests are under way,
those are 50 a second, and the others wait without being told that there is too much to do. Here a round lets in all that wait.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from typing import Final

BACKLOG: Final = 1024
"""Clients that may wait to be let in."""
AT_ONCE: Final = 256
"""How many are let in before others get their turn."""
PAUSE_SECONDS: Final = 1.0
"""How long nobody is let in where the process may open no more files."""

_NOT_HERE: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

logger: Final = logging.getLogger(__name__)


def bound_sockets(host: str, port: int) -> list[socket.socket]:
    """A socket for each address of a host that this machine has. Raises OSError where it has none, or one is taken."""
    found: list[socket.socket] = []
    missing: OSError | None = None
    addresses = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    for family, _, _, _, address in dict.fromkeys(addresses):
        try:
            found.append(socket.create_server(address[:2], family=family, backlog=BACKLOG))
        except OSError as error:
            if error.errno not in _NOT_HERE:
                for each in found:
                    each.close()
                raise
            missing = error
    if missing is not None and not found:
        raise missing
    return found


class Listener:
    """Lets in who comes to a bound socket, until it is closed."""

    def __init__(self, listening: socket.socket, make_protocol: Callable[[], asyncio.BaseProtocol]) -> None:
        self._socket = listening
        self._socket.listen(BACKLOG)
        self._socket.setblocking(False)
        self._make_protocol = make_protocol
        self._loop = asyncio.get_running_loop()
        self._entering: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._loop.add_reader(self._socket, self._let_in)

    @property
    def port(self) -> int:
        """The port at which it listens."""
        return int(self._socket.getsockname()[1])

    async def close(self) -> None:
        """Let in nobody any more. Those who are in stay, and those who are just coming in are in when this returns."""
        if self._socket.fileno() < 0:
            return
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._socket)
        self._socket.close()
        await asyncio.gather(*self._entering, return_exceptions=True)

    def _let_in(self) -> None:
        for _ in range(AT_ONCE):
            try:
                connection, _ = self._socket.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError:  # it has gone again
                continue
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                logger.error("no more clients can be let in: %s", error.strerror)
                self._loop.remove_reader(self._socket)
                self._pause = self._loop.call_later(PAUSE_SECONDS, self._go_on)
                return
            task = self._loop.create_task(self._enter(connection))
            self._entering.add(task)
            task.add_done_callback(self._entering.discard)

    def _go_on(self) -> None:
        self._pause = None
        self._loop.add_reader(self._socket, self._let_in)

    async def _enter(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        try:
            await self._loop.connect_accepted_socket(self._make_protocol, connection)
        except OSError as error:
            logger.debug("a client went away as it came: %s", error)
            connection.close()
