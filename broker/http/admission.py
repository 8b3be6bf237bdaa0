"""Which requests the server takes on: what it cannot do soon it refuses at once, by 503, before it costs anything.

Bounded are the requests that are worked on and the bytes of all bodies that are not answered yet. A request is worked on
when its body is there. A large body has its bytes reserved before it is read, so that what is let in can also end; small
ones count as they arrive, and a part of the bytes is left to them. So clients that announce much and send it slowly keep
out large bodies, but nobody else. What the process needs besides is bounded by its memory limit: near it, writes are
refused first. A deletion is no such write. Health and metrics never come here.
"""

import logging
import time
from dataclasses import dataclass
from typing import Final, Self

from broker import metrics
from broker.errors import NgsiLdError
from broker.memory import Memory

GROWING: Final = frozenset({"POST", "PATCH", "PUT"})
QUERY: Final = "/entityOperations/query"
"""The end of the paths at which POST only reads (5.7.2, 5.7.4)."""
LARGE: Final = 65_536
"""Bytes from which on a body is large."""
LARGE_SHARE: Final = 0.75
"""Which part of the bytes large bodies may use up."""
LOG_SECONDS: Final = 10.0
"""How often at most the log says that requests are refused; each is counted."""

log = logging.getLogger(__name__)


class Overloaded(NgsiLdError):
    """The broker has too much to do: nothing was done about this request, try again later."""

    title = "The broker has too much to do"
    status = 503


@dataclass(frozen=True, slots=True)
class Limits:
    """How many `requests` are worked on, and how many `body_bytes` are held, at the same time."""

    requests: int = 1000
    body_bytes: int = 64 * 1024 * 1024


class Admission:
    """Counts what is in flight, and refuses what is too much."""

    def __init__(self, limits: Limits = Limits(), memory: Memory | None = None) -> None:
        self.requests = 0
        self.body_bytes = 0
        self.reserved = 0
        self._limits = limits
        self._memory = Memory(0) if memory is None else memory
        self._logged = -LOG_SECONDS

    def request(self, method: str, path: str) -> "Place":
        """The place of a request that has come, to be entered by `with`. Raises Overloaded."""
        self._check(method, path)
        return Place(self)

    def _check(self, method: str, path: str) -> None:
        if self.requests >= self._limits.requests:
            raise self.refusal("requests", f"{self.requests} requests are under way")
        if method in GROWING and self.body_bytes >= self._limits.body_bytes:
            raise self.refusal("bytes", f"{self.body_bytes} bytes of bodies are held")
        memory = self._memory
        if memory.exhausted or (memory.tight and method in GROWING and not path.endswith(QUERY)):
            raise self.refusal("memory", f"{memory.share:.0%} of the memory that the broker may use is in use")

    def announce(self, place: "Place", size: int) -> None:
        """Reserve the bytes of a large body. One that is the only large one is never too large. Raises Overloaded."""
        if size < LARGE:
            return
        most = self._limits.body_bytes
        if self.reserved and (self.reserved + size > LARGE_SHARE * most or self.body_bytes + size > most):
            raise self.refusal("bytes", f"{self.body_bytes} bytes of bodies are held")
        place.reserved = size
        self.reserved += size
        place.body_bytes = size
        self.body_bytes += size

    def take(self, place: "Place", size: int) -> None:
        """Hold bytes of a body that have arrived, if they are not reserved. Raises Overloaded."""
        if place.reserved:
            return
        if self.body_bytes and self.body_bytes + size > self._limits.body_bytes:
            raise self.refusal("bytes", f"{self.body_bytes} bytes of bodies are held")
        place.body_bytes += size
        self.body_bytes += size

    def work(self, place: "Place") -> None:
        """Work on a request, whose body is there. Raises Overloaded."""
        if self.requests >= self._limits.requests:
            raise self.refusal("requests", f"{self.requests} requests are under way")
        place.working = 1
        self.requests += 1

    def refusal(self, reason: str, detail: str) -> Overloaded:
        """Count a refusal; the error to raise."""
        metrics.requests_shed.labels(reason).inc()
        now = time.monotonic()
        if now >= self._logged + LOG_SECONDS:
            self._logged = now
            log.warning("requests are refused: %s", detail)
        return Overloaded(f"{detail}: nothing was done, try again later")


@dataclass(slots=True)
class Place:
    """What one request holds, until it is left."""

    admission: Admission
    body_bytes: int = 0
    reserved: int = 0
    working: int = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        admission = self.admission
        admission.requests -= self.working
        admission.body_bytes -= self.body_bytes
        admission.reserved -= self.reserved

    def announce(self, size: int) -> None:
        """The body will have so many bytes. Raises Overloaded."""
        self.admission.announce(self, size)

    def take(self, size: int) -> None:
        """So many bytes of the body have arrived. Raises Overloaded."""
        self.admission.take(self, size)

    def work(self) -> None:
        """Begin to work on the request. Raises Overloaded."""
        self.admission.work(self)
