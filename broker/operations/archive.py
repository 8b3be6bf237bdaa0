"""The archive: the snapshots of all tenants while the process lives (5.16): their content prepared, their time kept, their end.

What it does in the background is done by one process for all on a store, which hears of what the others put on record. It follows
from what is there, so that a kill costs nothing but time:

* A snapshot whose status is `preparing` when this begins is prepared again from the beginning, in a new space; the old one is
  erased. A process that was thought dead and prepares it still notices before its next page, and gives up.
* A snapshot that is deleted or has expired is gone for every request at that instant. Its space is erased afterwards
  (broker.operations.erasure), however long that takes.
* What an endpoint is to be told is told (broker.operations.snapshot_notifier).

Decisions where the standard leaves room:

* A snapshot that is still prepared answers no operation but those on itself: Conflict. One that failed is empty.
* A tenant has a bounded number of snapshots. One more is refused (Conflict); none is removed to make room for it, though 5.5.15
  would allow that, because its owner still counts on it until it expires.
* `lastUsedAt` is exact to a minute after a restart or from another broker: it is not written with every request.
"""

import asyncio
import logging
import uuid
from dataclasses import dataclass
from typing import Final
from weakref import WeakValueDictionary

from broker.delivery.course import pause_after
from broker.delivery.mqtt import MqttPublisher
from broker.egress.http import OutboundHttp
from broker.errors import AlreadyExists, Conflict, ResourceNotFound, StoreUnavailable
from broker.model.dataspace import snapshot_space
from broker.model.entity import JsonObject
from broker.model.instants import parse_instant
from broker.model.snapshot import PREPARING, expiry, is_expired
from broker.operations.broker import Broker
from broker.operations.erasure import FORMER, GRACE_SECONDS, KIND, end_subscriptions, erase_space
from broker.operations.filling import LONGEST_PAUSE, Filling, Superseded
from broker.operations.snapshot_notifier import Key, SnapshotNotifier
from broker.operations.temporal import history_caught_up
from broker.sharing.turns import Turns
from broker.store.protocol import DocumentEvent, Lease
from broker.store.sweeping import sweep_regularly

FOLLOWED: Final = frozenset({KIND, FORMER})
"""The kinds of documents that `heard` wants to hear of."""
USES: Final = "snapshotUse"
"""The kind of the documents that say when a snapshot was used last: apart, as they are written by who else only reads."""
FILLED_AT_ONCE: Final = 2
"""Snapshots that are prepared at the same time, so that requests have the store to themselves most of the time."""
INTERVAL: Final = 5.0
"""Seconds between two looks for what has expired or is to be erased."""
USE_SECONDS: Final = 60.0
"""How often it is put on record that a snapshot was used."""

_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SnapshotLimits:
    """Seconds that a snapshot lasts if its owner does not say, and at most; how many a tenant may have."""

    lifetime: float = 86_400.0
    longest_lifetime: float = 30 * 86_400.0
    most: int = 100


class SnapshotArchive:
    """See the module. To be used in one event loop."""

    def __init__(
        self,
        broker: Broker,
        http: OutboundHttp,
        mqtt: MqttPublisher,
        turns: Turns,
        limits: SnapshotLimits = SnapshotLimits(),
        *,
        interval: float = INTERVAL,
        grace: float = GRACE_SECONDS,
    ) -> None:
        self._broker = broker
        self._store = broker.store
        self._limits = limits
        self._interval = interval
        self._grace = grace
        self._notifier = SnapshotNotifier(broker.store, http, mqtt, broker.now, self.changing)
        self._changing: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()
        self._turns = turns
        self._places = asyncio.Semaphore(FILLED_AT_ONCE)
        self._filling: dict[Key, asyncio.Task[None]] = {}
        self._uses: dict[Key, tuple[str, str, str]] = {}
        self._erased: set[Key] = set()
        self._wake = asyncio.Event()
        self._at_work = False

    # --- the duty

    async def serve(self, _: Lease) -> None:
        """Prepare, remove and tell until cancelled; who has the duty next takes up everything where it was left.

        Nothing of it needs the lease: what is put on record is put there only if it is still as it was found.
        """
        try:
            await self._take_up()
            await sweep_regularly(self.sweep, self._interval, _LOG, "snapshots cannot be removed", self._wake)
        finally:
            await self._break_off()

    async def _take_up(self) -> None:
        known = set()
        for tenant, snapshot_id, document in await self._store.list_documents(KIND):
            known.add((tenant, snapshot_id))
            if document["snapshotStatus"] == PREPARING and not is_expired(document, self._broker.now()):
                await self._prepare_again(tenant, document)
        for tenant, snapshot_id, _ in await self._store.list_documents(USES):
            if (tenant, snapshot_id) not in known:
                await self._store.delete_document(USES, tenant, snapshot_id)
        self._at_work = True
        await self.look()

    async def _break_off(self) -> None:
        self._at_work = False
        tasks = list(self._filling.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._notifier.stop()
        self._erased.clear()

    async def heard(self, event: DocumentEvent) -> None:
        """A document of one of the kinds FOLLOWED was written, perhaps by this process. Raises StoreUnavailable."""
        if not self._at_work:
            return
        if event.kind == FORMER:
            former = await self._store.get_document(FORMER, event.tenant, event.id)
            if former is not None and "notice" in former:
                self._notifier.tell_end(event.tenant, event.id)
            self._wake.set()
            return
        async with self.changing(event.tenant, event.id):
            document = await self._store.get_document(KIND, event.tenant, event.id)
            if document is None:
                await self._halt_filling((event.tenant, event.id))
                await self._notifier.halt(event.tenant, event.id)
            else:
                self._attend(event.tenant, document)

    async def look(self) -> None:
        """Look at everything: where anything may have changed. Raises StoreUnavailable."""
        if not self._at_work:
            return
        for tenant, snapshot_id, _ in await self._store.list_documents(KIND):
            await self.heard(DocumentEvent(KIND, tenant, snapshot_id))
        for tenant, generation, _ in await self._store.list_documents(FORMER):
            await self.heard(DocumentEvent(FORMER, tenant, generation))

    def _attend(self, tenant: str, document: JsonObject) -> None:
        """Do what is to be done for a snapshot as it is now, if that is this process's duty."""
        if not self._at_work or is_expired(document, self._broker.now()):
            return
        if document["snapshotStatus"] != PREPARING:
            self._notifier.tell(tenant, document["id"], document)
        elif (tenant, document["id"]) not in self._filling:
            self._prepare(tenant, document)

    # --- what is there

    def changing(self, tenant: str, snapshot_id: str) -> asyncio.Lock:
        """The lock to hold while a snapshot's document is read, changed and written back."""
        return self._changing.setdefault((tenant, snapshot_id), asyncio.Lock())

    async def find(self, tenant: str, snapshot_id: str) -> JsonObject:
        """The document of a snapshot that is there. Raises ResourceNotFound."""
        document = await self._store.get_document(KIND, tenant, snapshot_id)
        if document is None or is_expired(document, self._broker.now()):
            raise ResourceNotFound(f"there is no snapshot {snapshot_id}", instance=snapshot_id)
        return document

    async def all_of(self, tenant: str) -> list[JsonObject]:
        """The documents of a tenant's snapshots, in order of creation."""
        now = self._broker.now()
        found = await self._store.list_documents(KIND, tenant)
        return [document for _, _, document in found if not is_expired(document, now)]

    async def enter(self, tenant: str, snapshot_id: str) -> str:
        """The key of the space in which an operation on a snapshot takes place (5.5.15).

        Raises ResourceNotFound, and Conflict for one that is still prepared.
        """
        document = await self.find(tenant, snapshot_id)
        if document["snapshotStatus"] == PREPARING:
            raise Conflict(f"snapshot {snapshot_id} is still prepared: its snapshotStatus tells when it is ready")
        await self._note_use(tenant, document)
        return snapshot_space(tenant, snapshot_id, document["space"])

    async def last_used(self, tenant: str, document: JsonObject) -> str:
        """When a snapshot was used last."""
        generation, created_at = document["space"], str(document["createdAt"])
        recorded = await self._store.get_document(USES, tenant, document["id"])
        moments = [created_at]
        if recorded is not None and recorded["space"] == generation:
            moments.append(recorded["lastUsedAt"])
        known = self._uses.get((tenant, document["id"]))
        if known is not None and known[0] == generation:
            moments.append(known[1])
        return max(moments)

    async def _note_use(self, tenant: str, document: JsonObject) -> None:
        """A snapshot is used now: remember it, and put it on record if that was not done for a while."""
        key, generation, now = (tenant, document["id"]), document["space"], self._broker.now()
        known = self._uses.get(key)
        recorded = known[2] if known is not None and known[0] == generation else ""
        if recorded and _seconds(recorded, now) < USE_SECONDS:
            self._uses[key] = generation, now, recorded
            return
        self._uses[key] = generation, now, now
        try:
            await self._store.put_document(USES, tenant, document["id"], {"space": generation, "lastUsedAt": now})
        except StoreUnavailable as error:  # no reason to refuse what may only be a read
            _LOG.warning("the use of a snapshot cannot be noted", extra={"detail": error.detail})

    # --- what comes, changes and goes

    def expiry(self, lifetime: str | None) -> str:
        """When a snapshot expires that is to last so long from now on (5.16.1.4). Raises BadRequestData."""
        limits = self._limits
        return expiry(self._broker.now(), lifetime, default=limits.lifetime, longest=limits.longest_lifetime)

    async def add(self, tenant: str, document: JsonObject) -> None:
        """Put a new snapshot on record and begin to prepare it. Raises AlreadyExists, Conflict where there are too many."""
        snapshot_id = document["id"]
        async with self._turns.turn(f"snapshots/{tenant}"), self.changing(tenant, snapshot_id):
            former = await self._store.get_document(KIND, tenant, snapshot_id)
            if former is not None and is_expired(former, self._broker.now()):
                await self._remove(tenant, former)
                former = None
            if former is None and len(await self.all_of(tenant)) >= self._limits.most:
                raise Conflict(
                    f"there are {self._limits.most} snapshots already, as many as this broker keeps for a tenant"
                )
            if not await self._store.put_document(KIND, tenant, snapshot_id, document, create=True):
                raise AlreadyExists(f"there is a snapshot {snapshot_id} already", instance=snapshot_id)
            self._attend(tenant, document)

    async def replace(self, tenant: str, found: JsonObject, document: JsonObject) -> bool:
        """Store the new state of a snapshot and have its endpoint told; False if it is not as it was `found` any more. To be
        called with the lock."""
        if not await self._store.replace_document(KIND, tenant, document["id"], found, document):
            return False
        self._attend(tenant, document)
        return True

    async def remove(self, tenant: str, snapshot_id: str) -> None:
        """Delete a snapshot (5.16.5). Raises ResourceNotFound."""
        async with self.changing(tenant, snapshot_id):
            while not await self._remove(tenant, await self.find(tenant, snapshot_id)):
                pass  # another process has just begun to prepare it again

    async def _remove(self, tenant: str, document: JsonObject) -> bool:
        """The same with the lock. From the first write on the end of the space is certain, whatever happens; False where the
        snapshot has another one by now."""
        snapshot_id, now = document["id"], self._broker.now()
        former: JsonObject = {"snapshot": snapshot_id, "at": now}
        if "endpoint" in document:
            former["notice"] = {**document, "expiresAt": min(now, document["expiresAt"])}
        await self._store.put_document(FORMER, tenant, document["space"], former)
        taken_away = await self._take_away(tenant, document["space"], former)
        self._wake.set()
        return taken_away

    async def _take_away(self, tenant: str, generation: str, former: JsonObject) -> bool:
        """Take a snapshot away whose end is on record, with the lock; False where it has another space by now."""
        snapshot_id = former["snapshot"]
        deleted = False
        while not deleted:
            current = await self._store.get_document(KIND, tenant, snapshot_id)
            if current is None:
                break
            if current["space"] != generation:
                return False
            deleted = await self._store.delete_document(KIND, tenant, snapshot_id, found=current)
        await self._halt_filling((tenant, snapshot_id))
        await self._notifier.halt(tenant, snapshot_id)
        await self._store.delete_document(USES, tenant, snapshot_id)
        self._uses.pop((tenant, snapshot_id), None)
        await end_subscriptions(self._broker, snapshot_space(tenant, snapshot_id, generation))
        if "notice" in former and self._at_work:
            self._notifier.tell_end(tenant, generation)
        return True

    # --- preparation

    async def _prepare_again(self, tenant: str, document: JsonObject) -> None:
        """Prepare a snapshot from the beginning whose preparation was interrupted."""
        former = [*document.get("former", ()), document["space"]]
        again = {**document, "former": former, "space": uuid.uuid4().hex}
        if not await self._store.replace_document(KIND, tenant, document["id"], document, again):
            return  # it was ready in this moment, or is gone; if it was changed, that is heard of
        for generation in former:
            await self._give_up(tenant, document["id"], generation)
        self._prepare(tenant, again)

    async def _give_up(self, tenant: str, snapshot_id: str, generation: str) -> None:
        """Have a space erased that no snapshot has any more."""
        await self._store.put_document(FORMER, tenant, generation, {"snapshot": snapshot_id, "at": self._broker.now()})
        self._wake.set()

    def _prepare(self, tenant: str, document: JsonObject) -> None:
        key = tenant, document["id"]
        task = self._filling[key] = asyncio.create_task(self._fill(tenant, document), name="preparation of a snapshot")

        def done(ended: asyncio.Task[None]) -> None:
            if self._filling.get(key) is ended:
                del self._filling[key]
            if not ended.cancelled() and (error := ended.exception()) is not None:
                _LOG.critical("the preparation of a snapshot came to a stop", exc_info=error)

        task.add_done_callback(done)

    async def _halt_filling(self, key: Key) -> None:
        task = self._filling.pop(key, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _fill(self, tenant: str, document: JsonObject) -> None:
        """Fill a snapshot's space and put on record what came of it."""
        snapshot_id, generation = document["id"], document["space"]

        async def check() -> None:
            current = await self._store.get_document(KIND, tenant, snapshot_id)
            if current is None or current["space"] != generation:
                raise Superseded

        filling = Filling(self._broker, snapshot_space(tenant, snapshot_id, generation), check)
        try:
            async with self._places:
                outcome = await self._content(filling, tenant, document)
            await self._finish(tenant, document, outcome)
        except Superseded:
            _LOG.info("the preparation of a snapshot was given up", extra={"id": snapshot_id})

    async def _content(self, filling: Filling, tenant: str, document: JsonObject) -> JsonObject:
        source = document.get("source")
        if source is None:
            return await filling.from_queries(tenant, document)

        async def check() -> None:
            if (await self.find(tenant, source["id"]))["space"] != source["space"]:
                raise ResourceNotFound(f"snapshot {source['id']} is another one now", instance=source["id"])

        return await filling.from_space(snapshot_space(tenant, source["id"], source["space"]), check)

    async def _finish(self, tenant: str, document: JsonObject, outcome: JsonObject) -> None:
        """Put the outcome of a preparation on record, as soon as the store lets it. Raises Superseded."""
        snapshot_id, generation, failures = document["id"], document["space"], 0
        while True:
            try:
                if outcome["snapshotStatus"] == "failure":
                    await erase_space(self._broker, snapshot_space(tenant, snapshot_id, generation))
                async with self.changing(tenant, snapshot_id):
                    current = await self._store.get_document(KIND, tenant, snapshot_id)
                    if current is None or current["space"] != generation:
                        raise Superseded
                    kept = {member: value for member, value in current.items() if member not in ("former", "source")}
                    ready = {**kept, **outcome, "modifiedAt": self._broker.now(), "revision": current["revision"] + 1}
                    if not await self.replace(tenant, current, ready):
                        continue
            except StoreUnavailable as error:
                failures += 1
                _LOG.warning("a snapshot is ready, but the store is not", extra={"detail": error.detail})
                await asyncio.sleep(min(pause_after(failures), LONGEST_PAUSE))
            else:
                return

    # --- time passes

    async def sweep(self) -> None:
        """Delete the snapshots that have expired, and erase what is to be erased. Raises StoreUnavailable."""
        for tenant, snapshot_id, document in await self._store.list_documents(KIND):
            if not is_expired(document, self._broker.now()):
                continue
            async with self.changing(tenant, snapshot_id):
                current = await self._store.get_document(KIND, tenant, snapshot_id)
                if current is not None and is_expired(current, self._broker.now()):
                    await self._remove(tenant, current)
        for tenant, generation, former in await self._store.list_documents(FORMER):
            await self._erase(tenant, generation, former)

    async def _erase(self, tenant: str, generation: str, former: JsonObject) -> None:
        """Erase a space that was given up: once at once, and again when nothing can be added to it any more."""
        snapshot_id, key = former["snapshot"], (tenant, generation)
        late = _seconds(former["at"], self._broker.now()) >= self._grace
        if key in self._erased and not late:
            return
        async with self.changing(tenant, snapshot_id):  # a kill, or the store, may have interrupted the deletion
            current = await self._store.get_document(KIND, tenant, snapshot_id)
            if current is not None and current["space"] == generation:
                await self._take_away(tenant, generation, former)
        if late:
            await history_caught_up(self._broker)
        removed = await erase_space(self._broker, snapshot_space(tenant, snapshot_id, generation))
        self._erased.add(key)
        if late and not removed and "notice" not in former:
            await self._store.delete_document(FORMER, tenant, generation)
            self._erased.discard(key)


def _seconds(start: str, end: str) -> float:
    return (parse_instant(end) - parse_instant(start)).total_seconds()
