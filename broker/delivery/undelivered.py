"""Notifications that were set aside: kept durably with the changes they tell of, so that they can be listed and replayed.

Each is a document of kind `undelivered`, named by its notification id: subscription, positions, entities, attempts, the first
and the last failure, and the changes as JSON text. It holds the changes and not the message, so that a replay goes to the
endpoint and in the form that the subscription has by then, and does not depend on what is left of the log.

The document is there before the position counts as done (broker.delivery.carrier). A kill between the two means that the
notification is tried again; what comes of that replaces or removes the document, which has the same name.

Kept are so many and so many bytes, for one subscription and for all that the process has. Beyond that the oldest goes: first one
of the same entity, which a later state supersedes, then the oldest of the subscription, or of all. Who owns it is told of each
one that is lost in this way. The process remembers all but the changes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import orjson

from broker import metrics
from broker.delivery.failure import Failure
from broker.delivery.share import ShareLost
from broker.delivery.subscription import SubscriptionKey
from broker.model.change import Change, Touch
from broker.model.entity import JsonObject
from broker.store.protocol import Document, DocumentKey, Store

UNDELIVERED: Final = "undelivered"
MOST: Final = 1_000
MOST_BYTES: Final = 8 * 2**20
"""How many are kept for one subscription, and how many bytes of changes."""
MOST_OF_ALL: Final = 10_000
MOST_BYTES_OF_ALL: Final = 64 * 2**20
"""How many are kept for all subscriptions of a process together."""
TOGETHER: Final = 500
"""Documents that are removed in one commit."""


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A notification that was set aside. `size` is that of its changes in bytes, `changed_at` the instant of the last one. `of`
    is when the subscription was created: another one may have its id later."""

    tenant: str
    subscription_id: str
    notification_id: str
    positions: tuple[int, ...]
    entities: tuple[str, ...]
    changed_at: str
    attempts: int
    first: Failure
    last: Failure
    set_aside_at: str
    size: int = 0
    of: str = ""

    @property
    def key(self) -> SubscriptionKey:
        """The subscription that it belongs to."""
        return self.tenant, self.subscription_id

    @property
    def name(self) -> tuple[str, str]:
        """Tenant and id of its document."""
        return self.tenant, self.notification_id

    def failed_again(self, failure: Failure) -> "Undelivered":
        """The same after another attempt."""
        return replace(self, attempts=self.attempts + 1, last=failure)

    def stored(self, changes: str) -> JsonObject:
        """As its document."""
        return {
            "subscription": self.subscription_id,
            "positions": self.positions,
            "entities": self.entities,
            "changedAt": self.changed_at,
            "attempts": self.attempts,
            "first": self.first.shown(),
            "last": self.last.shown(),
            "setAsideAt": self.set_aside_at,
            "of": self.of,
            "changes": changes,
        }

    @classmethod
    def restored(cls, tenant: str, notification_id: str, document: JsonObject) -> "Undelivered":
        """What `stored` gave."""
        return cls(
            tenant,
            document["subscription"],
            notification_id,
            tuple(document["positions"]),
            tuple(document["entities"]),
            document["changedAt"],
            document["attempts"],
            Failure.restored(document["first"]),
            Failure.restored(document["last"]),
            document["setAsideAt"],
            len(document["changes"].encode()),
            document.get("of", ""),
        )


class Write(Protocol):
    """Writes documents of a subscription in one commit. Raises ShareLost where another process has it, StoreUnavailable."""

    async def __call__(
        self, key: SubscriptionKey, *, puts: Sequence[Document] = (), deletes: Collection[DocumentKey] = ()
    ) -> None:
        """As told."""


class UndeliveredStore:
    """See the module. `write` writes, `dropped` is told of each notification that is lost because there is no room for it any
    more."""

    def __init__(self, store: Store, write: Write, dropped: Callable[[Undelivered], None]) -> None:
        self._store = store
        self._write = write
        self._dropped = dropped
        self._all: dict[tuple[str, str], Undelivered] = {}
        self._of: dict[SubscriptionKey, dict[str, Undelivered]] = {}
        self._bytes = 0
        self._bytes_of: dict[SubscriptionKey, int] = {}
        self._writing = asyncio.Lock()
        self._writes: set[asyncio.Task[None]] = set()

    def take_in(self, them: Iterable[Undelivered]) -> None:
        """Know these, which are on record."""
        for one in them:
            self._note(one)

    def forget(self, key: SubscriptionKey) -> None:
        """Know nothing of a subscription any more, which another process has. It stays on record."""
        for one in self.of(key):
            self._forget(one)

    async def make_room(self) -> None:
        """Drop what is too much, after much was taken in. Raises StoreUnavailable."""
        await self._whole(self._make_room())

    def of(self, key: SubscriptionKey) -> list[Undelivered]:
        """What was set aside of a subscription, the oldest first."""
        return list(self._of.get(key, {}).values())

    def find(self, key: SubscriptionKey, notification_id: str) -> Undelivered | None:
        """One of them."""
        return self._of.get(key, {}).get(notification_id)

    async def keep(self, one: Undelivered, changes: Iterable[Change]) -> None:
        """Put a notification on record, durably, and make room where there is too much. Raises StoreUnavailable.

        A write that was begun is always ended, so that what is on record and what is known here cannot differ.
        """
        text = orjson.dumps([stored_change(change) for change in changes]).decode()
        await self._whole(self._keep(replace(one, size=len(text.encode())), text))

    async def _keep(self, one: Undelivered, text: str) -> None:
        known = self._all.get(one.name)
        if one.size > MOST_BYTES:
            self._dropped(one)
            return
        await self._write(one.key, puts=[Document(UNDELIVERED, *one.name, one.stored(text))])
        if known is None:
            metrics.notifications_set_aside.inc()
        self._note(one)
        await self._make_room(one)

    async def note_attempt(self, one: Undelivered) -> None:
        """Put the changed attempts of a notification on record, if it is still there. Raises StoreUnavailable."""
        await self._whole(self._note_attempt(one))

    async def _note_attempt(self, one: Undelivered) -> None:
        document = await self._store.get_document(UNDELIVERED, *one.name)
        if document is not None and one.name in self._all:
            await self._write(one.key, puts=[Document(UNDELIVERED, *one.name, one.stored(document["changes"]))])
            self._note(one)

    async def changes(self, one: Undelivered) -> list[Change]:
        """The changes that a notification tells of; empty if it is gone. Raises StoreUnavailable."""
        document = await self._store.get_document(UNDELIVERED, *one.name)
        return [] if document is None else [restored_change(each) for each in orjson.loads(document["changes"])]

    async def discard(self, key: SubscriptionKey, notification_id: str) -> bool:
        """Forget one; whether it was there. Raises StoreUnavailable."""
        one = self.find(key, notification_id)
        if one is None:
            return False
        await self._whole(self._remove([one]))
        return True

    async def erase(self, key: SubscriptionKey) -> None:
        """Forget all of a subscription that is gone. Raises StoreUnavailable."""

        async def remove() -> None:
            await self._remove(self.of(key))

        await self._whole(remove())

    async def _remove(self, them: Sequence[Undelivered]) -> None:
        """Remove some of one subscription."""
        for first in range(0, len(them), TOGETHER):
            group = them[first : first + TOGETHER]
            await self._write(group[0].key, deletes=[(UNDELIVERED, *one.name) for one in group])
            for one in group:
                self._forget(one)

    async def _whole(self, work: Awaitable[None]) -> None:
        """Do one thing after the other, each to its end, even where who asked for it is cancelled."""

        async def run() -> None:
            async with self._writing:
                await work

        task = asyncio.create_task(run())
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)
        await asyncio.shield(task)

    async def written(self) -> None:
        """Wait for what is being written."""
        await asyncio.gather(*self._writes, return_exceptions=True)

    async def _make_room(self, newest: Undelivered | None = None) -> None:
        """Drop what is too much, the oldest first (see the module)."""
        if newest is not None:
            while self._is_full(newest.key):
                await self._drop(self._oldest_beside(newest))
        for key in [] if newest is not None else list(self._of):
            while self._is_full(key):
                await self._drop(next(iter(self._of[key].values())))
        while len(self._all) > MOST_OF_ALL or self._bytes > MOST_BYTES_OF_ALL:
            await self._drop(next(iter(self._all.values())))

    def _is_full(self, key: SubscriptionKey) -> bool:
        return len(self._of.get(key, ())) > MOST or self._bytes_of.get(key, 0) > MOST_BYTES

    def _oldest_beside(self, newest: Undelivered) -> Undelivered:
        others = [one for one in self._of[newest.key].values() if one.notification_id != newest.notification_id]
        return next((one for one in others if one.entities == newest.entities), others[0])

    async def _drop(self, one: Undelivered) -> None:
        try:
            await self._remove([one])
        except ShareLost:  # somebody else's concern by now
            self._forget(one)
        else:
            self._dropped(one)

    def _note(self, one: Undelivered) -> None:
        known = self._all.get(one.name)
        grown = one.size - (0 if known is None else known.size)
        self._all[one.name] = one
        self._of.setdefault(one.key, {})[one.notification_id] = one
        self._bytes += grown
        self._bytes_of[one.key] = self._bytes_of.get(one.key, 0) + grown
        metrics.notifications_undelivered.set(len(self._all))

    def _forget(self, one: Undelivered) -> None:
        known = self._all.pop(one.name, None)
        if known is None:
            return
        own = self._of[one.key]
        del own[one.notification_id]
        self._bytes -= known.size
        self._bytes_of[one.key] -= known.size
        if not own:
            del self._of[one.key], self._bytes_of[one.key]
        metrics.notifications_undelivered.set(len(self._all))


def stored_change(change: Change) -> list[Any]:
    """A change as a JSON array."""
    return [
        change.tenant,
        change.entity_id,
        change.kind,
        change.at,
        [tuple(touch) for touch in change.touched],
        change.before,
        change.after,
        change.sequence,
    ]


def restored_change(stored: list[Any]) -> Change:
    """What `stored_change` gave."""
    tenant, entity_id, kind, at, touched, before, after, sequence = stored
    return Change(tenant, entity_id, kind, at, tuple(Touch(*touch) for touch in touched), before, after, sequence)


async def read_undelivered(store: Store) -> list[Undelivered]:
    """All that is on record, the oldest first. Raises StoreUnavailable."""
    found = await store.list_documents(UNDELIVERED)
    return [Undelivered.restored(tenant, notification_id, document) for tenant, notification_id, document in found]
