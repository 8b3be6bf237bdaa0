"""The head of the change log, read once for all streams that have reached it (broker.delivery.stream).

However many streams there are, a change is read and decoded once, and only those hear of it that it may concern: they are found
through the same index as subscriptions. They are told its position; the change itself is at hand here for a while. So what all
streams together hold in memory does not grow with how slow they are.
"""

import asyncio
import logging
from collections import OrderedDict
from typing import Final, Protocol

from broker.delivery.carrier import RecentChanges
from broker.delivery.matching import SubscriptionIndex
from broker.delivery.subscription import Subscription, SubscriptionKey
from broker.errors import StoreUnavailable
from broker.model.change import Change
from broker.store.protocol import Store

BATCH: Final = 256
"""Changes that are read from the log at a time."""
PORTION: Final = 8
"""How many of them are offered before others get their turn: each may concern every stream."""
LONGEST_WAIT: Final = 5.0
"""Seconds after which a wait for changes is looked at again."""
PAUSE: Final = 1.0
"""Seconds before a log that cannot be read is tried again."""
SHOWN: Final = 64
"""Notifications that are kept for streams with the same filters."""

_LOG: Final = logging.getLogger(__name__)


class Follower(Protocol):
    """What follows the head. Followers with one subscription key have the same filters."""

    @property
    def subscription(self) -> Subscription:
        """Which changes it wants to hear of."""
        ...

    def offer(self, position: int) -> None:
        """A change at this position may concern it."""
        ...

    def fall_behind(self) -> None:
        """It has to read the log itself from where it is: changes were trimmed before they were read here."""
        ...


class Head:
    """See the module. `at` is the position up to which all followers have been offered what may concern them."""

    def __init__(self, store: Store) -> None:
        self.at = 0
        self.recent = RecentChanges()
        self._store = store
        self._index = SubscriptionIndex()
        self._followers: dict[SubscriptionKey, set[Follower]] = {}
        self._shown: OrderedDict[tuple[SubscriptionKey, int], bytes | None] = OrderedDict()
        self._task: asyncio.Task[None] | None = None

    def start(self, position: int) -> None:
        """Begin to read behind this position, unless that has begun."""
        if self._task is None:
            self.at = position
            self._task = asyncio.create_task(self._read(), name="head of the log")

    async def stop(self) -> None:
        """Read no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def join(self, follower: Follower, position: int) -> bool:
        """Let somebody follow who has read up to this position; False where the head has been further already."""
        if position < self.at:
            return False
        key = follower.subscription.key
        if key not in self._followers:
            self._index.put(follower.subscription)
        self._followers.setdefault(key, set()).add(follower)
        return True

    def leave(self, follower: Follower) -> None:
        """Offer somebody nothing any more."""
        key = follower.subscription.key
        followers = self._followers.get(key, set())
        followers.discard(follower)
        if not followers and self._followers.pop(key, None) is not None:
            self._index.remove(key)

    # --- what one follower has made of a change, for others with the same filters

    def shown(self, key: SubscriptionKey, position: int) -> tuple[bool, bytes | None]:
        """Whether it is known how these filters show the change at a position, and how: None if it does not concern them."""
        return (key, position) in self._shown, self._shown.get((key, position))

    def show(self, key: SubscriptionKey, position: int, body: bytes | None) -> None:
        """Keep that for the others, if there are any."""
        if len(self._followers.get(key, ())) > 1:
            self._shown[key, position] = body
            if len(self._shown) > SHOWN:
                self._shown.popitem(last=False)

    # --- reading

    async def _read(self) -> None:
        """Read on for ever."""
        while True:
            try:
                await self._read_on()
            except StoreUnavailable as error:
                _LOG.warning("the change log cannot be read for streams", extra={"detail": error.detail})
                await asyncio.sleep(PAUSE)
            except Exception:  # noqa: BLE001 - streams must never come to a silent stop
                _LOG.exception("the change log cannot be read for streams")
                await asyncio.sleep(PAUSE)

    async def _read_on(self) -> None:
        """Offer what there is, or wait for more. Without any follower the log is passed over unread."""
        if not self._followers:
            head = await self._store.head()
            if not self._followers:
                self.at = max(self.at, head)
                await self._store.wait_for_changes(self.at, LONGEST_WAIT)
                return
        changes = await self._store.next_changes(self.at, BATCH)
        if not changes:
            await self._store.wait_for_changes(self.at, LONGEST_WAIT)
            return
        if changes[0].sequence > self.at + 1 and await self._store.tail() > self.at:
            for follower in [each for followers in self._followers.values() for each in followers]:
                follower.fall_behind()
        for number, change in enumerate(changes, 1):
            self._offer(change)
            self.at = change.sequence
            if number % PORTION == 0:
                await asyncio.sleep(0)
        await asyncio.sleep(0)
        if len(changes) < BATCH:
            await self._store.wait_for_changes(self.at, LONGEST_WAIT)

    def _offer(self, change: Change) -> None:
        concerned = self._index.candidates(change)
        if not concerned:
            return
        self.recent.put(change)
        for subscription in concerned:
            for follower in list(self._followers[subscription.key]):
                follower.offer(change.sequence)
