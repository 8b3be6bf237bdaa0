"""The Context Registry: the context source registrations that are in force, on record and at hand (5.9, 5.10).

All of them are held in memory, compiled, so that a request without a matching registration costs next to nothing. Writes go to
the store first. A registration that expires is gone for every reader at that instant, and is deleted within a moment (5.9.2.4).
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from broker.delivery.mqtt import MqttPublisher
from broker.egress.http import OutboundHttp
from broker.errors import StoreUnavailable
from broker.federation.notifier import RegistrationNotifier
from broker.federation.registration import Registration, compile_registration
from broker.model.entity import JsonObject
from broker.model.instants import parse_instant
from broker.store.protocol import Document, Store

if TYPE_CHECKING:
    from broker.contexts.library import ContextLibrary

KIND: Final = "registration"
"""The kind of the stored documents (broker.federation.document says what they look like)."""
LONGEST_WAIT: Final = 3600.0
"""Seconds after which the next expiry is looked up again."""
RETRY: Final = 5.0
"""Seconds after which a deletion is tried again that the store could not do."""

_LOG: Final = logging.getLogger(__name__)


class ContextRegistry:
    """See the module. `notifier` tells subscribers of every change. To be started and stopped in the event loop that uses it."""

    def __init__(
        self,
        store: Store,
        contexts: "ContextLibrary",
        http: OutboundHttp,
        mqtt: MqttPublisher,
        now: Callable[[], str],
    ) -> None:
        """`now` gives the canonical instant of the moment."""
        self._store = store
        self._now = now
        self._by_tenant: dict[str, dict[str, Registration]] = {}
        self._changing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._expiring = asyncio.Event()
        self._sweeper: asyncio.Task[None] | None = None
        self.notifier = RegistrationNotifier(store, contexts, http, mqtt, now, self.find, self.registrations)

    async def start(self) -> None:
        """Read all registrations, and begin to serve their subscribers."""
        for tenant, registration_id, document in await self._store.list_documents(KIND):
            self._by_tenant.setdefault(tenant, {})[registration_id] = compile_registration(tenant, document)
        await self.notifier.start()
        self._sweeper = asyncio.create_task(self._sweep(), name="expiry of registrations")

    async def stop(self) -> None:
        """End everything; what subscribers are owed stays owed."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        await self.notifier.stop()

    # --- reading

    def registrations(self, tenant: str) -> list[Registration]:
        """The registrations of a tenant that have not expired, in order of creation."""
        known = self._by_tenant.get(tenant)
        if not known:
            return []
        now = self._now()
        return [registration for registration in known.values() if not registration.is_expired(now)]

    def find(self, tenant: str, registration_id: str) -> Registration | None:
        """One registration, if it is there and has not expired."""
        registration = self._by_tenant.get(tenant, {}).get(registration_id)
        return None if registration is None or registration.is_expired(self._now()) else registration

    # --- writing

    def changing(self, tenant: str) -> asyncio.Lock:
        """The lock to hold while registrations of a tenant are checked against one another and written."""
        return self._changing.setdefault(tenant, asyncio.Lock())

    async def add(self, tenant: str, document: JsonObject, documents: Sequence[Document] = ()) -> bool:
        """Store a new registration, with other documents; False if there is one with this id. An expired one makes way."""
        registration_id = document["id"]
        known = self._by_tenant.get(tenant, {}).get(registration_id)
        if known is not None and known.is_expired(self._now()):
            await self.remove(known)
        if not await self._store.put_document(
            KIND, tenant, registration_id, document, create=True, documents=documents
        ):
            return False
        self._took_effect(tenant, document)
        return True

    async def replace(self, tenant: str, document: JsonObject, documents: Sequence[Document] = ()) -> None:
        """Store the new state of a registration, with other documents."""
        await self._store.put_document(KIND, tenant, document["id"], document, documents=documents)
        self._took_effect(tenant, document)

    async def remove(self, registration: Registration) -> None:
        """Delete a registration."""
        tenant, registration_id = registration.tenant, registration.id
        try:
            await self.notifier.keep(registration)
            await self._store.delete_document(KIND, tenant, registration_id)
            del self._by_tenant[tenant][registration_id]
        finally:
            await self.notifier.deleted(tenant, registration_id)

    def _took_effect(self, tenant: str, document: JsonObject) -> None:
        registration = compile_registration(tenant, document)
        self._by_tenant.setdefault(tenant, {})[registration.id] = registration
        self.notifier.changed(tenant, registration.id)
        self._expiring.set()

    # --- time passes

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
            async with self.changing(registration.tenant):
                if self._by_tenant[registration.tenant].get(registration.id) is not registration:
                    continue  # it was changed or deleted meanwhile
                try:
                    await self.remove(registration)
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
