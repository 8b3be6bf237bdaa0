"""The newest states of entities that this process has committed itself, at hand for what is decided next on them.

They are true as long as nobody else has committed anything: every commit moves the log's head in its transaction, so one that
finds the head where this process has left it proves them, and one that does not is turned away and reads anew. Nobody is
answered from here: who is told nothing but what stands here has it read first (`broker.store.writer`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from broker.model.entity import Entity
from broker.store.mongo.encoding import decode_body
from broker.store.protocol import EntityKey, Ground

MOST_BYTES: Final = 24 * 1024 * 1024
"""Of all that is kept, as it is in memory."""
LARGEST: Final = 256 * 1024
"""Bytes of a state that is kept."""
OVERHEAD: Final = 300
"""Bytes that an entry takes beside its body."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a log is, how often spaces were erased on it, and which one it is: a database that was emptied begins another."""

    head: int
    erasures: int = 0
    log: str = ""


class Remembered:
    """See the module. `mark` is where this process's last commit has left the log; None before the first one, or after doubt."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.mark: Mark | None = None
        self._most_bytes = most_bytes
        self._bodies: dict[EntityKey, bytes] = {}
        self._size = 0

    def recall(self, keys: Sequence[EntityKey], head: int) -> tuple[dict[EntityKey, Entity], Ground | None]:
        """The states of those that are remembered, and the ground of decisions on these and on what is read from now on: none
        where the log is known to have reached a `head` beyond."""
        if self.mark is None or self.mark.head < head:
            return {}, None
        bodies = self._bodies
        states = {key: decode_body(bodies[key]) for key in keys if key in bodies}
        return states, Ground(self.mark, frozenset(states))

    def keep(self, before: Mark, after: Mark, states: Iterable[tuple[EntityKey, bytes | None]]) -> None:
        """A commit has moved the log from one mark to the other and left these states, None where there is none any more.

        If others have committed before it, all that was kept may not be true any more.
        """
        if before != self.mark:
            self.forget()
        self.mark = after
        for key, body in states:
            former = self._bodies.pop(key, None)
            if former is not None:
                self._size -= len(former) + OVERHEAD
            if body is not None and len(body) <= LARGEST:
                self._bodies[key] = body
                self._size += len(body) + OVERHEAD
        while self._size > self._most_bytes:  # the one that was written longest ago goes first
            oldest = next(iter(self._bodies))
            self._size -= len(self._bodies.pop(oldest)) + OVERHEAD

    def forget(self) -> None:
        """Somebody else may have committed."""
        self.mark = None
        self._bodies.clear()
        self._size = 0
