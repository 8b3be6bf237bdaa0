"""A stream: the change log as one client follows it, from a position of its choice, through the filters of a subscription.

A stream has no durable state. It stands at a position of the log, and whoever opens another one there misses nothing and gets
nothing twice. While it is behind, it reads the log itself, a few changes at a time; once it has reached the head, it is told
there which positions may concern it (broker.delivery.head). Either way it does not go on before its client has taken what it
was shown, and it keeps a handful of changes at most: a client that is slow is behind, and nothing piles up for it.

Changes are matched and shown by the code that serves subscriptions, so that both always agree.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import orjson

from broker import metrics
from broker.delivery.composing import compose
from broker.delivery.head import Head
from broker.delivery.matching import is_match_or_fault, state_of_interest
from broker.delivery.payload import changed_entity
from broker.delivery.subscription import Subscription
from broker.delivery.tally import Tally
from broker.errors import InternalError, NgsiLdError
from broker.model.change import Change
from broker.store.protocol import Store

if TYPE_CHECKING:
    from broker.contexts.library import ContextLibrary

INBOX: Final = 256
"""Positions offered at the head that a stream keeps; with more it falls behind."""
KEPT: Final = 16
"""Matching changes that a stream which is behind reads ahead."""
SHORT_STRIDE: Final = 16
LONG_STRIDE: Final = 256
"""Changes that such a stream reads at a time: few where many match, more where few do."""
PAUSE: Final = 1.0
"""Seconds before something is tried again that failed for a reason outside of the stream."""
LONGEST_LAG: Final = 100_000
"""Changes that a stream may lie behind after it had reached the head: beyond that its client is too slow for it."""

_LOG: Final = logging.getLogger(__name__)


class StreamEnded(Exception):
    """The broker ends a stream; the text says why. The client may go on in a new one."""


@dataclass(frozen=True, slots=True)
class Event:
    """What a stream tells: `data` is JSON, `position` is where to go on after it.

    `notification`: a Notification (5.3.1). `gap`: changes that the log does not have any more. `fault`: a change that cannot be
    shown, as ProblemDetails.
    """

    kind: Literal["notification", "gap", "fault"]
    position: int
    data: bytes


class Stream:
    """See the module. It is used by one task, which calls `next` again and again, and at last `close`."""

    def __init__(
        self,
        store: Store,
        contexts: "ContextLibrary",
        head: Head,
        turns: asyncio.Semaphore,
        now: Callable[[], str],
        subscription: Subscription,
        position: int,
    ) -> None:
        """`turns` bounds how many streams read the log by themselves at the same time."""
        self.subscription = subscription
        self._store = store
        self._contexts = contexts
        self._head = head
        self._turns = turns
        self._now = now
        self._seen = position
        self._gaps: deque[Event] = deque()
        self._found: deque[Change] = deque()
        self._stride = SHORT_STRIDE
        self._follows = self._caught_up = False
        self._inbox: deque[int] = deque()
        self._news = asyncio.Event()
        self._tally = Tally()

    @property
    def position(self) -> int:
        """The position up to which the stream has told all that concerns it."""
        if self._found:
            return self._found[0].sequence - 1
        if self._inbox:
            return self._inbox[0] - 1
        return max(self._seen, self._head.at) if self._follows else self._seen

    async def next(self, patience: float) -> Event | None:
        """The next event, None where there was none for `patience` seconds. Raises StreamEnded."""
        loop = asyncio.get_running_loop()
        until = loop.time() + patience
        while True:
            try:
                event = await self._advance(until)
            except NgsiLdError as error:  # the store cannot be read, or the @context cannot be had
                _LOG.warning("a stream waits", extra={"subscription": self.subscription.id, "detail": error.detail})
                await asyncio.sleep(max(0.0, min(PAUSE, until - loop.time())))
                event = None
            if event is not None:
                metrics.stream_events.labels(event.kind).inc()
                return event
            if loop.time() >= until:
                return None
            if self._caught_up and self._head.at - self.position > LONGEST_LAG:
                raise StreamEnded(f"the client is more than {LONGEST_LAG} changes behind")

    def lose(self, first: int, last: int) -> None:
        """Tell, before anything else, that these changes are gone."""
        self._gaps.append(Event("gap", last, orjson.dumps({"from": first, "to": last})))

    def close(self) -> None:
        """Follow the log no more."""
        self._head.leave(self)
        self._follows = False
        self._inbox.clear()
        self._found.clear()

    # --- a step forwards: each leaves `position` where the next one may begin, whatever breaks it off

    async def _advance(self, until: float) -> Event | None:
        if self._gaps:
            return self._gaps.popleft()
        if self._found:
            event = await self._show(self._found[0])
            self._found.popleft()
            return event
        if self._inbox:
            return await self._take()
        if self._follows:
            await self._wait(until)
        else:
            await self._read_on()
        return None

    async def _wait(self, until: float) -> None:
        self._news.clear()
        try:
            async with asyncio.timeout_at(until):
                await self._news.wait()
        except TimeoutError:
            return

    async def _take(self) -> Event | None:
        """What the first position in the inbox has to tell."""
        position, key = self._inbox[0], self.subscription.key
        known, body = self._head.shown(key, position)
        event = None
        if known:
            event = None if body is None else Event("notification", position, body)
        else:
            change = self._head.recent.get(position)
            if change is None:
                self.fall_behind()  # too slow even for what it has in mind
                return None
            if await self._concerns(change):
                event = await self._show(change)
            if event is None or event.kind == "notification":
                self._head.show(key, position, None if event is None else event.data)
        self._seen = max(self._seen, position)
        if self._inbox and self._inbox[0] == position:
            self._inbox.popleft()
        return event

    async def _read_on(self) -> None:
        """Look through the next changes of the log, and follow its head where that is reached."""
        async with self._turns:
            changes = await self._store.changes(self._seen, self._stride)
        if (not changes or changes[0].sequence > self._seen + 1) and await self._trimmed(changes):
            return
        for change in changes:
            if change.tenant == self.subscription.tenant and await self._concerns(change):
                self._found.append(change)
            self._seen = change.sequence
            if len(self._found) == KEPT:
                break
        self._stride = SHORT_STRIDE if self._found else min(self._stride * 2, LONG_STRIDE)
        if not self._found and self._head.join(self, self._seen):
            self._follows = self._caught_up = True
        else:
            await asyncio.sleep(0 if changes else 0.01)

    async def _trimmed(self, changes: list[Change]) -> bool:
        """Whether the log was trimmed between where the stream is and these changes; then that is told."""
        through = await self._store.tail()
        if changes:
            through = min(through, changes[0].sequence - 1)
        if through <= self._seen:
            return False
        self.lose(self._seen + 1, through)
        self._seen = through
        return True

    async def _concerns(self, change: Change) -> bool:
        return await is_match_or_fault(self._store, self.subscription, change, state_of_interest(change), self._tally)

    async def _show(self, change: Change) -> Event:
        """The notification of a change that matches. Raises NgsiLdError where it may be made later."""
        position = change.sequence
        try:
            entity = changed_entity(self.subscription, change)
            message = await compose(
                self._store,
                self._contexts,
                self.subscription,
                [entity],
                occasion=str(position),
                now=self._now(),
            )
            return Event("notification", position, message.http_body())
        except NgsiLdError:
            raise
        except Exception:  # noqa: BLE001 - one change must not end a stream
            # Told instead of tried again: the next attempt, and every new stream from here, would end in the same way.
            _LOG.exception("a change cannot be shown", extra={"subscription": self.subscription.id})
            fault = InternalError("the change cannot be shown; the broker's log says why", instance=change.entity_id)
            return Event("fault", position, orjson.dumps(fault.problem()))

    # --- as a follower of the head

    def offer(self, position: int) -> None:
        """A change at this position may concern the stream."""
        if position <= self._seen:
            return
        if len(self._inbox) >= INBOX:
            self.fall_behind()
            return
        if not self._inbox:
            self._seen = position - 1
        self._inbox.append(position)
        self._news.set()

    def fall_behind(self) -> None:
        """Read the log again from here."""
        if not self._inbox:
            self._seen = max(self._seen, self._head.at)
        self._inbox.clear()
        self._follows = False
        self._head.leave(self)
        self._news.set()
