"""The newest stretch of the change log in memory: what this process itself has committed last, for all who read on from there.

The matcher, the recorder and the streams each read every change soon after its commit. A log has no gaps, so a stretch without
a gap is all that there is of it; as soon as another process has committed something in between, a new stretch begins.
"""

from collections.abc import Sequence
from typing import Final

from broker.model.change import Change

MOST: Final = 1_000
"""Changes that are kept."""
MOST_BYTES: Final = 4 * 1024 * 1024
"""Bytes of their states, as they are stored: in memory they take some four times as much, and at worst seventeen times."""


class LatestChanges:
    """See the module. Who is given a change must leave it as it is: others are given the same one."""

    def __init__(self, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._changes: list[Change] = []
        self._sizes: list[int] = []
        self._size = 0

    def add(self, changes: Sequence[Change], sizes: Sequence[int]) -> None:
        """Keep a commit's changes, each with the bytes of its states, and forget the oldest ones if they are too many."""
        if self._changes and changes[0].sequence != self._changes[-1].sequence + 1:
            self._forget(len(self._changes))
        self._changes += changes
        self._sizes += sizes
        self._size += sum(sizes)
        # By halves, because taking away from the front moves all the others.
        while len(self._changes) > 2 * self._most or self._size > 2 * self._most_bytes:
            self._forget(max(1, len(self._changes) // 2))

    def after(self, position: int, limit: int) -> list[Change]:
        """The changes behind a position, in order. None of them may mean as well that they are not kept."""
        if not self._changes:
            return []
        place = position + 1 - self._changes[0].sequence
        return self._changes[place : place + limit] if place >= 0 else []

    def trim(self, through: int) -> None:
        """Forget the changes up to and including this position."""
        if self._changes:
            self._forget(min(len(self._changes), max(0, through + 1 - self._changes[0].sequence)))

    def _forget(self, count: int) -> None:
        self._size -= sum(self._sizes[:count])
        del self._changes[:count], self._sizes[:count]
