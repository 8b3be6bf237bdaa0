"""A port that several processes listen on, without a moment in which a connection to it could be lost.

The supervisor binds the sockets, one for each slot, and keeps them open; the slot's worker inherits its own and listens on it,
and so does its successor. The kernel spreads new connections evenly over the sockets that somebody listens on (SO_REUSEPORT).
A worker that ends closes its copy only: what waits in the socket's queue is the successor's
(docs/decisions/0011-sockets-of-workers.md). Where the kernel does not spread connections (it is no Linux), all slots share one.
"""

import socket
import sys
from typing import Final

SPREADS: Final = sys.platform == "linux"
"""Whether the kernel spreads connections over the sockets of a port."""


class Port:
    """A port on every address of a host. Raises OSError where it is taken, or the host is not this machine's."""

    def __init__(self, host: str, port: int) -> None:
        self.number = port
        self._addresses: list[tuple[socket.AddressFamily, tuple[str, int]]] = []
        # Not listened on where each slot has sockets of its own: they hold the port while all of those are closed.
        self._anchors: list[socket.socket] = []
        try:
            for family, _, _, _, address in _resolved(host, port):
                at = (str(address[0]), self.number)
                _refuse_if_taken(family, at)
                self._anchors.append(_bound(family, at))
                self._addresses.append((family, at))
                self.number = int(self._anchors[0].getsockname()[1])
        except OSError:
            self.close()
            raise

    def sockets(self) -> list[socket.socket]:
        """The sockets of one slot, bound but not listened on: one for each address. Raises OSError."""
        if not SPREADS:
            return [each.dup() for each in self._anchors]
        made: list[socket.socket] = []
        try:
            for family, (host, _) in self._addresses:
                made.append(_bound(family, (host, self.number)))
        except OSError:
            for each in made:
                each.close()
            raise
        return made

    def close(self) -> None:
        """Give the port up."""
        for anchor in self._anchors:
            anchor.close()


def _resolved(host: str, port: int) -> list[tuple[socket.AddressFamily, int, int, str, tuple[str | int, ...]]]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys(found))  # type: ignore[arg-type] # IP addresses only: the tuples begin with host and port


def _bound(family: socket.AddressFamily, address: tuple[str, int]) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if SPREADS:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


def _refuse_if_taken(family: socket.AddressFamily, address: tuple[str, int]) -> None:
    """Raises OSError where another program listens: with SO_REUSEPORT alone, two brokers would share a port in silence."""
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        probe.bind(address)
