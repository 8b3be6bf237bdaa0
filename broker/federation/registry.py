"""The Context Registry: the context source registrations that are in force, on record and at hand (5.9, 5.10).

All of them are held in memory, compiled, so that a request without a matching registration costs next to nothing. Writes go to
the store first, and what other processes write there is followed. Whoever manages registrations reads them from the store, so
that it makes no difference which process answers. A registration that expires is gone for every reader at that instant, and is
deleted within a moment (5.9.2.4) by the one process that has this duty.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from broker.delivery.mqtt import MqttPublisher
from broker.egress.http import OutboundHttp
from broker.errors import NgsiLdError, StoreUnavailable
from broker.federation.forwarding import PROXIED, ProxiedIndex, entity_ids
from broker.federation.notifier import SUBSCRIPTIONS, RegistrationNotifier
from broker.federation.registration import Registration, compile_registration
from broker.model.entity import JsonObject
from broker.model.instants import parse_instant
from broker.sharing.turns import Turns
from broker.store.protocol import Document, DocumentEvent, Lease, Store

if TYPE_CHECKING:
    from broker.contexts.library import ContextLibrary

KIND: Final = "registration"
"""The kind of the stored documents (broker.federation.document says what they look like)."""
FOLLOWED: Final = frozenset({KIND, SUBSCRIPTIONS})
"""The kinds of documents that `heard` wants to hear of."""
LONGEST_WAIT: Final = 3600.0
"""Seconds after which the next expiry is looked up again."""
MOST_RIVALS: Final = 50
"""So many registrations are read one by one; more are read with all others."""
RETRY: Final = 5.0
"""Seconds after which a deletion is tried again that the store could not do."""

_LOG: Final = logging.getLogger(__name__)


class ContextRegistry:
    """See the module. `notifier` tells subscribers of every change. To be used in one event loop."""

    def __init__(
        self,
        store: Store,
        contexts: "ContextLibrary",
        http: OutboundHttp,
        mqtt: MqttPublisher,
        now: Callable[[], str],
        turns: Turns,
    ) -> None:
        """`now` gives the canonical instant of the moment."""
        self._store = store
        self._now = now
        self._turns = turns
        self._by_tenant: dict[str, dict[str, Registration]] = {}
        self._proxied = ProxiedIndex()
        self._complete: dict[str, int] = {}
        """By tenant, the epoch of the turn at whose end all that was on record was at hand."""
        self._applying: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._expiring = asyncio.Event()
        self.notifier = RegistrationNotifier(store, contexts, http, mqtt, now, self.find, self.registrations)

    # --- at hand

    def registrations(self, tenant: str) -> list[Registration]:
        """The registrations of a tenant that have not expired, in order of creation, as this process knows them."""
        known = self._by_tenant.get(tenant)
        if not known:
            return []
        now = self._now()
        return [registration for registration in known.values() if not registration.is_expired(now)]

    def find(self, tenant: str, registration_id: str) -> Registration | None:
        """One registration, if it is known here and has not expired."""
        registration = self._by_tenant.get(tenant, {}).get(registration_id)
        return None if registration is None or registration.is_expired(self._now()) else registration

    def proxied(self, tenant: str, entity_id: str) -> list[Registration]:
        """The exclusive and redirect registrations that may be about an entity and have not expired."""
        found = self._proxied.about(tenant, entity_id)
        if not found:
            return found
        now = self._now()
        return [registration for registration in found if not registration.is_expired(now)]

    def has_proxied(self, tenant: str) -> bool:
        """Whether a tenant has any such registration."""
        return self._proxied.any_of(tenant)

    # --- on record

    async def read(self, tenant: str, registration_id: str) -> Registration | None:
        """One registration, if it is there and has not expired."""
        document = await self._store.get_document(KIND, tenant, registration_id)
        if document is None:
            return None
        registration = self._compiled(tenant, document)
        return None if registration.is_expired(self._now()) else registration

    async def all_of(self, tenant: str) -> list[Registration]:
        """The registrations of a tenant that have not expired, in order of creation."""
        now = self._now()
        found = [self._compiled(tenant, document) for _, _, document in await self._store.list_documents(KIND, tenant)]
        return [registration for registration in found if not registration.is_expired(now)]

    async def rivals(self, registration: Registration) -> list[Registration]:
        """The other registrations on record beside which this one may be impossible (4.3.6.3). To be called in a turn."""
        tenant, ids = registration.tenant, entity_ids(registration)
        if registration.mode not in PROXIED:
            return []
        if ids is None:
            return await self.all_of(tenant)
        near = {each.id for entity_id in ids for each in self._proxied.about(tenant, entity_id)} - {registration.id}
        if len(near) > MOST_RIVALS:
            return await self.all_of(tenant)
        # What is at hand lacks nothing, but may have been deleted by another process a moment ago.
        found = [await self.read(tenant, each) for each in sorted(near)]
        return [each for each in found if each is not None]

    def _compiled(self, tenant: str, document: JsonObject) -> Registration:
        known = self._by_tenant.get(tenant, {}).get(document["id"])
        return known if known is not None and known.document == document else compile_registration(tenant, document)

    # --- writing

    @asynccontextmanager
    async def turn(self, tenant: str) -> AsyncIterator[None]:
        """To be held while registrations of a tenant are checked against one another and written. Raises StoreUnavailable.

        What is at hand lacks none that is on record then: either nobody else had a turn since this process had the last one,
        or all are read.
        """
        async with self._turns.turn(f"registrations/{tenant}") as lease:
            last = self._complete.pop(tenant, None)
            if last is None or lease.epoch - last > 1:
                await self._catch_up(tenant)
            try:
                yield
            except StoreUnavailable:
                raise  # it may be on record, and not at hand
            except NgsiLdError:
                self._complete[tenant] = lease.epoch
                raise
            self._complete[tenant] = lease.epoch

    async def add(self, tenant: str, document: JsonObject, documents: Sequence[Document] = ()) -> bool:
        """Store a new registration, with other documents; False if there is one with this id. An expired one makes way."""
        async with self._lock(tenant):
            former = await self._store.get_document(KIND, tenant, document["id"])
            if former is not None:
                expired = compile_registration(tenant, former)
                if not expired.is_expired(self._now()):
                    return False
                await self._delete(expired)
            if not await self._store.put_document(
                KIND, tenant, document["id"], document, create=True, documents=documents
            ):
                return False
            self._took_effect(tenant, document)
            return True

    async def replace(self, former: Registration, document: JsonObject, documents: Sequence[Document] = ()) -> bool:
        """Store the new state of a registration, with other documents; False if it is not what it was any more."""
        tenant = former.tenant
        async with self._lock(tenant):
            if not await self._store.replace_document(
                KIND, tenant, former.id, former.document, document, documents=documents
            ):
                return False
            self._took_effect(tenant, document)
            return True

    async def remove(self, registration: Registration) -> bool:
        """Delete a registration; False if it is not what it was any more."""
        async with self._lock(registration.tenant):
            return await self._delete(registration)

    def _lock(self, tenant: str) -> asyncio.Lock:
        """To be held while what is in the store takes effect here: so what was written last does so last."""
        return self._applying.setdefault(tenant, asyncio.Lock())

    async def _delete(self, registration: Registration) -> bool:
        tenant, registration_id = registration.tenant, registration.id
        farewell = await self.notifier.farewell(registration)
        if not await self._store.delete_document(
            KIND, tenant, registration_id, found=registration.document, puts=farewell
        ):
            return False
        if (known := self._by_tenant.get(tenant, {}).pop(registration_id, None)) is not None:
            self._proxied.drop(known)
        await self.notifier.deleted(registration)
        return True

    def _took_effect(self, tenant: str, document: JsonObject) -> None:
        registration = compile_registration(tenant, document)
        known = self._by_tenant.setdefault(tenant, {})
        if (former := known.get(registration.id)) is not None:
            self._proxied.drop(former)
        known[registration.id] = registration
        self._proxied.put(registration)
        self.notifier.changed(tenant, registration.id)
        if "expiresAt" in document:
            self._expiring.set()

    # --- what other processes do

    async def heard(self, event: DocumentEvent) -> None:
        """A document of one of the kinds FOLLOWED was written, perhaps by this process. Raises StoreUnavailable."""
        if event.kind == SUBSCRIPTIONS:
            await self.notifier.heard(event.tenant, event.id)
            return
        async with self._lock(event.tenant):
            document = await self._store.get_document(KIND, event.tenant, event.id)
            await self._apply(event.tenant, event.id, document)

    async def look(self) -> None:
        """Look at everything: at first, and where anything may have changed. Raises StoreUnavailable."""
        found: dict[str, dict[str, JsonObject]] = {}
        for tenant, registration_id, document in await self._store.list_documents(KIND):
            found.setdefault(tenant, {})[registration_id] = document
        for tenant in found.keys() | self._by_tenant.keys():
            known = self._by_tenant.get(tenant, {})
            documents = found.get(tenant, {})
            changed = [each for each in documents if each not in known or known[each].document != documents[each]]
            for registration_id in (*changed, *(known.keys() - documents.keys())):
                # Read once more: it may have changed since the list was made.
                await self.heard(DocumentEvent(KIND, tenant, registration_id))
        await self.notifier.look()

    async def _catch_up(self, tenant: str) -> None:
        # Under the lock: what is deleted meanwhile is heard of behind it.
        async with self._lock(tenant):
            found = {each: document for _, each, document in await self._store.list_documents(KIND, tenant)}
            for registration_id in {**found, **self._by_tenant.get(tenant, {})}:
                await self._apply(tenant, registration_id, found.get(registration_id))

    async def _apply(self, tenant: str, registration_id: str, document: JsonObject | None) -> None:
        known = self._by_tenant.get(tenant, {}).get(registration_id)
        if document is not None:
            if known is None or known.document != document:
                self._took_effect(tenant, document)
        elif known is not None:
            del self._by_tenant[tenant][registration_id]
            self._proxied.drop(known)
            await self.notifier.deleted(known)
        else:
            await self.notifier.gone(tenant, registration_id)

    # --- the duty

    async def serve(self, lease: Lease) -> None:
        """Tell subscribers, and delete what has expired, until cancelled. What subscribers are owed then stays owed."""
        try:
            await self.look()
            await self.notifier.start(lease)
            await self._sweep()
        finally:
            await self.notifier.stop()

    async def _sweep(self) -> None:
        """Delete what has expired, for ever."""
        while True:
            self._expiring.clear()
            wait = min((self._left(registration) for registration in self._all()), default=LONGEST_WAIT)
            try:
                async with asyncio.timeout(min(max(wait, 0.0), LONGEST_WAIT)):
                    await self._expiring.wait()
            except TimeoutError:
                await self._drop_expired()

    async def _drop_expired(self) -> None:
        now = self._now()
        for registration in [each for each in self._all() if each.is_expired(now)]:
            try:
                if not await self.remove(registration):  # it was changed or deleted meanwhile
                    await self.heard(DocumentEvent(KIND, registration.tenant, registration.id))
            except StoreUnavailable as error:
                _LOG.warning("an expired registration cannot be deleted", extra={"detail": error.detail})
                await asyncio.sleep(RETRY)
                return

    def _all(self) -> Iterator[Registration]:
        for known in self._by_tenant.values():
            yield from known.values()

    def _left(self, registration: Registration) -> float:
        """Seconds until a registration expires."""
        expires_at = registration.document.get("expiresAt")
        if expires_at is None:
            return LONGEST_WAIT
        return (parse_instant(expires_at) - parse_instant(self._now())).total_seconds() + 0.001
