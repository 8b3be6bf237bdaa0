"""Retention of the change log: what every consumer has read goes after a while (design §4).

Changes stay for `keep_seconds`, but not more than `keep_changes` of them, so that streams and replays can go back. Beyond
that they stay for as long as a live cursor has not passed them, up to a bound in time and number. When the bound is hit,
the log is trimmed all the same and each cursor that was overtaken is named in the log of the broker. Whoever wants to know
is told of it before the changes go, so that a record of what is missed can be made first. How far the consumers are behind
is looked at more often than the log is trimmed, and put into the metrics: by every process, while one trims for all.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from broker import metrics
from broker.model.instants import canonical, parse_instant
from broker.store.protocol import Store
from broker.store.sweeping import sweep_regularly

STRIDE: Final = 5_000
"""Changes trimmed at a time, so that no write waits long for it."""
LOOK_SECONDS: Final = 10.0
"""How often the lag of the consumers is looked at."""

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long changes are kept once all have read them (`keep_`), and at most (`bound_`)."""

    keep_seconds: float = 86_400.0
    keep_changes: int = 500_000
    bound_seconds: float = 7 * 86_400.0
    bound_changes: int = 10_000_000


@dataclass(frozen=True, slots=True)
class Overtaken:
    """A cursor under which the log is about to be trimmed: it misses the changes above `after` up to `through`, which were
    made from `start` to `end` (canonical instants)."""

    cursor: str
    after: int
    through: int
    start: str | None
    end: str | None


async def _tell_nobody(_: Sequence[Overtaken]) -> None:
    """Nobody wants to know."""


class Retention:
    """Trims a store's log every `interval` seconds as long as `run` runs; shows the lag of its consumers while `watch` does.

    `tell` hears of cursors that are overtaken.
    """

    def __init__(
        self,
        store: Store,
        bounds: Bounds = Bounds(),
        *,
        interval: float = 30.0,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        tell: Callable[[Sequence[Overtaken]], Awaitable[None]] = _tell_nobody,
    ) -> None:
        self._store = store
        self._bounds = bounds
        self._interval = interval
        self._clock = clock
        self._tell = tell

    async def run(self) -> None:
        """Trim from time to time until cancelled; whatever goes wrong is tried again next time."""
        await sweep_regularly(self.trim, self._interval, _LOG, "the log cannot be trimmed")

    async def watch(self) -> None:
        """Show the lag from time to time until cancelled."""
        await sweep_regularly(self.show, LOOK_SECONDS, _LOG, "the log cannot be looked at")

    async def show(self) -> None:
        """Put the log's ends, and for each kind of consumer its slowest cursor, into the metrics. Raises StoreUnavailable."""
        store = self._store
        metrics.log_tail.set(await store.tail())
        # The cursors first: what is committed meanwhile is lag of this moment, and none is ever ahead of the head.
        cursors, head = await store.cursors(), await store.head()
        metrics.log_head.set(head)
        slowest: dict[str, int] = {}
        for name, cursor in cursors.items():
            kind = name.partition("/")[0]
            slowest[kind] = min(cursor, slowest.get(kind, cursor))
        for kind, cursor in slowest.items():
            label = "history" if kind == "temporal" else kind
            oldest = await store.changes(cursor, 1) if cursor < head else []
            age = (self._clock() - parse_instant(oldest[0].at)).total_seconds() if oldest else 0.0
            metrics.consumer_cursor.labels(label).set(cursor)
            metrics.consumer_lag.labels(label).set(max(0, head - cursor))
            metrics.consumer_lag_seconds.labels(label).set(max(0.0, age))

    async def trim(self) -> int:
        """Trim once; the log's tail after it. Raises StoreUnavailable."""
        store, bounds = self._store, self._bounds
        head, tail, cursors = await store.head(), await store.tail(), await store.cursors()
        done_with = max(head - bounds.keep_changes, await self._last_before(bounds.keep_seconds, tail, head))
        through = min(done_with, *cursors.values(), head) if cursors else min(done_with, head)
        forced = max(head - bounds.bound_changes, await self._last_before(bounds.bound_seconds, tail, head))
        if forced > through:
            await self._overtake(cursors, tail, forced)
            through = forced
        while tail < through:
            tail = min(through, tail + STRIDE)
            await store.trim(tail)
        return tail

    async def _overtake(self, cursors: Mapping[str, int], tail: int, forced: int) -> None:
        """Say which cursors will miss what, because the log's bound is reached."""
        afters = {name: max(cursor, tail) for name, cursor in cursors.items() if max(cursor, tail) < forced}
        if not afters:
            return
        ends = {after: await self._made_at(after + 1) for after in {*afters.values(), forced - 1}}
        for name in afters:
            _LOG.error(
                "the log's bound is reached: a consumer will miss changes",
                extra={"cursor": name, "after": cursors[name], "through": forced},
            )
        end = ends[forced - 1]
        await self._tell([Overtaken(name, after, forced, ends[after], end) for name, after in afters.items()])

    async def _made_at(self, position: int) -> str | None:
        """When the first change from a position on was made."""
        found = await self._store.changes(position - 1, 1)
        return found[0].at if found else None

    async def _last_before(self, seconds: float, tail: int, head: int) -> int:
        """The last sequence of a change made more than `seconds` ago, `tail` if there is none: found by halving."""
        limit = canonical(self._clock() - timedelta(seconds=seconds))
        low, high = tail, head
        while low < high:
            middle = (low + high) // 2
            found = await self._store.changes(middle, 1)
            if found and found[0].at < limit:
                low = found[0].sequence
            else:
                high = middle
        return low
