"""Tells subscribers of changes of the registrations that they asked for (5.11.7).

Nothing is kept for each change. What a subscriber was told last is on record (broker.federation.subscriber), and what it is owed
follows from that and from the registrations themselves. So an acknowledged registration needs no further write to be notified at
least once, also after a crash. A crash between a delivery and its record makes that notification go out again, with the same id.
A registration that was told of is kept when it is deleted, as a document of kind FORMER, until all who have to know it know.

One process tells subscribers for all: it has the duty between `start` and `stop`, and hears of what others write. Should it have
lost the lease for that, what it puts on record is refused, and its successor has begun with what was there.

What a crash can lose: counts of failed attempts since the last record, and with it how long to pause before the next attempt.

Decisions where the standard leaves room:

* Where nothing matches there is no notification, neither at first nor at the end of a period (as in 5.8.6).
* Several changes of a registration that a receiver was not told of yet become one notification of the last state.
* Each change of a subscription starts it anew: all that matches is `newlyMatching` (5.11.3.4).
* A periodic notification has the trigger reason `newlyMatching` too: it tells what matches, not what changed.
* Throttling, cooldown and timeouts hold as for other subscriptions (5.2.12, 5.2.15).
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from broker.delivery.alarms import Alarms
from broker.delivery.attempt import AttemptFailed, send
from broker.delivery.course import pause_after
from broker.delivery.courses import SHORTEST_PERIOD
from broker.delivery.endpoint import Endpoint
from broker.delivery.mqtt import MqttPublisher
from broker.delivery.subscription import SubscriptionKey
from broker.delivery.tally import Tally
from broker.egress.http import OutboundHttp
from broker.errors import NgsiLdError, StoreUnavailable
from broker.federation.notice import Notice, make_message
from broker.federation.registration import Registration, compile_registration
from broker.federation.subscriber import Subscriber
from broker.federation.subscription import RegistrationSubscription, compile_registration_subscription
from broker.model.entity import JsonObject
from broker.model.instants import parse_instant
from broker.store.protocol import Document, Lease, Store

if TYPE_CHECKING:
    from broker.contexts.library import ContextLibrary

SUBSCRIPTIONS: Final = "registrationSubscription"
STATES: Final = "registrationDelivery"
FORMER: Final = "formerRegistration"
"""Kinds of documents: the subscriptions, what each subscriber was told, and registrations that are gone."""
SIDE_BY_SIDE: Final = 8
"""Notifications under way to one receiver at the same time."""
HEAD_START: Final = 4
"""Failures that the first one counts as. Registrations change rarely, so that its retry may wait for some 12 to 16 seconds."""

_LOG: Final = logging.getLogger(__name__)


class RegistrationNotifier:
    """See the module. `find` and `registrations` give the registrations that are in force."""

    def __init__(
        self,
        store: Store,
        contexts: "ContextLibrary",
        http: OutboundHttp,
        mqtt: MqttPublisher,
        now: Callable[[], str],
        find: Callable[[str, str], Registration | None],
        registrations: Callable[[str], list[Registration]],
    ) -> None:
        self._store = store
        self._contexts = contexts
        self._http = http
        self._mqtt = mqtt
        self._now = now
        self._find = find
        self._registrations = registrations
        self._subscribers: dict[SubscriptionKey, Subscriber] = {}
        self._former: dict[tuple[str, str], Registration] = {}
        self._lease: Lease | None = None
        self._tasks: dict[SubscriptionKey, asyncio.Task[None]] = {}
        self._alarms = Alarms()
        self._lanes: WeakValueDictionary[tuple[str, str, int], asyncio.Semaphore] = WeakValueDictionary()
        self._changing: WeakValueDictionary[SubscriptionKey, asyncio.Lock] = WeakValueDictionary()

    # --- life

    async def start(self, lease: Lease) -> None:
        """Take up every subscription where it was left, once the registrations are there."""
        states = {(tenant, key): body for tenant, key, body in await self._store.list_documents(STATES)}
        formers = await self._store.list_documents(FORMER)
        documents = await self._store.list_documents(SUBSCRIPTIONS)
        # From here to where everybody is served nothing is awaited: what happens to registrations later is heard of.
        self._lease = lease
        for tenant, registration_id, document in formers:
            self._former[tenant, registration_id] = compile_registration(tenant, document)
        for tenant, subscription_id, document in documents:
            state = states.pop((tenant, subscription_id), {})
            if (subscription := _compiled(tenant, document)) is not None:
                registrations = self._registrations(tenant)
                self._subscribers[subscription.key] = Subscriber.restored(subscription, state, registrations)
        for subscriber in self._subscribers.values():
            self._run(subscriber, subscriber.tally.last_notification)
        for key in states:
            await self._store.delete_document(STATES, *key)
        for former in list(self._former):
            await self._forget_former(*former)
        await self.look()  # what was written since it was read was not heard of here

    async def stop(self) -> None:
        """Break off what is under way; it stays owed."""
        self._lease = None
        self._alarms.close()
        self._alarms = Alarms()
        self._subscribers.clear()
        self._former.clear()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- subscriptions come, change and go

    def changing(self, tenant: str, subscription_id: str) -> asyncio.Lock:
        """The lock to hold while a stored subscription is read, changed and written back."""
        return self._changing.setdefault((tenant, subscription_id), asyncio.Lock())

    async def put(self, tenant: str, document: JsonObject) -> None:
        """A subscription was created or changed: its stored document. Everything that matches is told, by who has the duty."""
        if self._lease is None:
            return
        subscription = compile_registration_subscription(tenant, document)
        subscriber = self._subscribers.get(subscription.key)
        if subscriber is None:
            subscriber = self._subscribers[subscription.key] = Subscriber(subscription)
        await self._halt(subscription.key)
        told = tuple(subscriber.told)
        subscriber.begin_again(subscription, self._registrations(tenant))
        for registration_id in told:
            await self._forget_former(tenant, registration_id)
        self._run(subscriber, None)

    async def remove(self, tenant: str, subscription_id: str) -> None:
        """A subscription was deleted: nothing more is sent under it, its counts are forgotten."""
        key = tenant, subscription_id
        subscriber = self._subscribers.pop(key, None)
        await self._halt(key)
        await self._store.delete_document(STATES, tenant, subscription_id)
        for registration_id in () if subscriber is None else tuple(subscriber.told):
            await self._forget_former(tenant, registration_id)

    async def heard(self, tenant: str, subscription_id: str) -> None:
        """A subscription was written, perhaps by this process. Raises StoreUnavailable."""
        if self._lease is None:
            return
        async with self.changing(tenant, subscription_id):
            document = await self._store.get_document(SUBSCRIPTIONS, tenant, subscription_id)
            known = self._subscribers.get((tenant, subscription_id))
            if document is None:
                if known is not None:
                    await self.remove(tenant, subscription_id)
            elif known is not None and known.subscription.version == document["modifiedAt"]:
                return
            elif _compiled(tenant, document) is not None:
                await self.put(tenant, document)

    async def look(self) -> None:
        """Any subscription may have changed. Raises StoreUnavailable."""
        if self._lease is None:
            return
        found = {
            (tenant, subscription_id): document
            for tenant, subscription_id, document in await self._store.list_documents(SUBSCRIPTIONS)
        }
        for key in found.keys() | self._subscribers.keys():
            known = self._subscribers.get(key)
            if key not in found or known is None or known.subscription.version != found[key]["modifiedAt"]:
                await self.heard(*key)

    async def tally(self, tenant: str, subscription_id: str) -> Tally:
        """The counts of a subscription's notifications: as of this moment where they are sent from here, else as on record."""
        subscriber = self._subscribers.get((tenant, subscription_id))
        if subscriber is not None:
            return subscriber.tally
        state = await self._store.get_document(STATES, tenant, subscription_id)
        return Tally() if state is None else Tally.restored(state)

    # --- registrations come, change and go

    def changed(self, tenant: str, registration_id: str) -> None:
        """A registration was created or changed."""
        registration = self._find(tenant, registration_id)
        for subscriber in self._of(tenant):
            subscriber.look(registration_id, registration)
            self._nudge(subscriber)

    async def farewell(self, registration: Registration) -> Sequence[Document]:
        """What is to be put on record when this registration is deleted: itself, for those who know of it. Raises
        StoreUnavailable."""
        tenant = registration.tenant
        if self._lease is not None:
            known = any(subscriber.concerns(registration.id) for subscriber in self._of(tenant))
        else:  # who knows of it is not known here; whoever has the duty lets go of it if nobody does
            known = bool(await self._store.list_documents(SUBSCRIPTIONS, tenant))
        return [Document(FORMER, tenant, registration.id, registration.document)] if known else []

    async def deleted(self, registration: Registration) -> None:
        """A registration is gone."""
        if self._lease is None:
            return
        tenant, registration_id = registration.tenant, registration.id
        body = None
        with suppress(StoreUnavailable):  # what is known here is as good, or nearly so
            body = await self._store.get_document(FORMER, tenant, registration_id)
        self._former[tenant, registration_id] = registration if body is None else compile_registration(tenant, body)
        self.changed(tenant, registration_id)
        await self._forget_former(tenant, registration_id)

    async def gone(self, tenant: str, registration_id: str) -> None:
        """A registration is gone that was never known here, so nobody was told of it. Raises StoreUnavailable."""
        if self._lease is None or (tenant, registration_id) in self._former:
            return
        body = await self._store.get_document(FORMER, tenant, registration_id)
        if body is not None:
            await self._store.delete_document(FORMER, tenant, registration_id, found=body)

    def _of(self, tenant: str) -> Iterator[Subscriber]:
        """The subscribers of a tenant."""
        for (owner, _), subscriber in self._subscribers.items():
            if owner == tenant:
                yield subscriber

    async def _forget_former(self, tenant: str, registration_id: str) -> None:
        """Let go of a deleted registration that is there again, or of which everybody knows."""
        former = self._former.get((tenant, registration_id))
        if former is None:
            return
        present = self._find(tenant, registration_id) is not None
        if present or not any(subscriber.concerns(registration_id) for subscriber in self._of(tenant)):
            del self._former[tenant, registration_id]
            try:
                # Only this one: it may have been there again meanwhile, and be gone again.
                await self._store.delete_document(FORMER, tenant, registration_id, found=former.document)
            except StoreUnavailable as error:  # it stays until the next start, which has no use for it either
                _LOG.warning("a former registration is kept", extra={"id": registration_id, "detail": error.detail})

    # --- notifications go out

    def _run(self, subscriber: Subscriber, last: str | None) -> None:
        """Begin to serve a subscriber: at once, or period after period, the first of which began at the instant `last`."""
        interval, key = subscriber.subscription.subscription.interval, subscriber.subscription.key
        if interval is None:
            self._nudge(subscriber)
            return
        if not self._is_active(subscriber.subscription):
            return
        period = max(interval, SHORTEST_PERIOD)
        first = 0.0
        if last is not None:
            ago = (parse_instant(self._now()) - parse_instant(last)).total_seconds()
            first = min(max(period - ago, 0.0), period)

        def tick() -> None:
            if not self._is_active(subscriber.subscription):
                self._alarms.cancel(key)
                return
            subscriber.due = True
            self._nudge(subscriber)

        self._alarms.repeat(key, first, period, tick)

    async def _halt(self, key: SubscriptionKey) -> None:
        self._alarms.cancel(key)
        task = self._tasks.pop(key, None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _is_active(self, subscription: RegistrationSubscription) -> bool:
        return subscription.subscription.status(self._now()) == "active"

    def _nudge(self, subscriber: Subscriber) -> None:
        """Send what is owed, unless that is going on already."""
        key = subscriber.subscription.key
        under_way = key in self._tasks and not self._tasks[key].done()
        if under_way or not subscriber.is_outstanding or not self._is_active(subscriber.subscription):
            return
        task = self._tasks[key] = asyncio.create_task(self._serve(subscriber))

        def done(ended: asyncio.Task[None]) -> None:
            if self._tasks.get(key) is ended:
                del self._tasks[key]
            if not ended.cancelled() and (error := ended.exception()) is not None:
                _LOG.critical("notifications of registrations came to a stop", exc_info=error)

        task.add_done_callback(done)

    async def _serve(self, subscriber: Subscriber) -> None:
        """Send one notification after the other until nothing is owed."""
        clock = asyncio.get_running_loop().time
        subscription = subscriber.subscription
        while subscriber.is_outstanding:
            await asyncio.sleep(max(0.0, subscriber.ready_at - clock()))
            if not self._is_active(subscription):
                return
            notice = self._next(subscriber)
            if notice is None:
                continue
            failure: AttemptFailed | None = None
            async with self._lane(subscription.endpoint):
                try:
                    await self._send(subscriber, notice)
                except AttemptFailed as failed:
                    failure = failed
                finally:
                    subscriber.flying = frozenset()
            pause = subscription.subscription.throttling or 0.0
            if failure is None:
                subscriber.failures = 0
                subscriber.tally.succeeded(self._now())
                self._settle(subscriber, notice)
            else:
                subscriber.failures += 1
                subscriber.tally.failed(self._now(), str(failure))
                subscriber.due = subscriber.is_periodic
                pause = max(pause, subscription.endpoint.cooldown, pause_after(HEAD_START + subscriber.failures))
            subscriber.ready_at = clock() + pause
            if not await self._save(subscriber, notice):
                return

    def _next(self, subscriber: Subscriber) -> Notice | None:
        """What goes out next, made of the registrations as they are at this moment."""
        tenant = subscriber.subscription.subscription.tenant
        if subscriber.is_periodic:
            subscriber.due = False
            matching = tuple(filter(subscriber.matches, self._registrations(tenant)))
            return Notice("newlyMatching", matching, self._now()) if matching else None
        owed = subscriber.next_told()
        if owed is None:
            return None
        reason, ids = owed
        found: list[Registration] = []
        for registration_id in ids:
            registration = self._find(tenant, registration_id) or self._former.get((tenant, registration_id))
            if registration is None:
                subscriber.forget(registration_id)
            else:
                found.append(registration)
        subscriber.flying = frozenset(registration.id for registration in found)
        return Notice(reason, tuple(found)) if found else None

    async def _send(self, subscriber: Subscriber, notice: Notice) -> None:
        """Compose a notification and send it once. Raises AttemptFailed."""
        subscription = subscriber.subscription
        now = self._now()
        subscriber.tally.sent(now)
        try:
            context = await self._contexts.resolve(subscription.subscription.context)
            message = make_message(subscription, notice, context.names, context.payload, now)
            await send(self._http, self._mqtt, subscription.endpoint, message)
        except AttemptFailed:
            raise
        except NgsiLdError as error:  # the @context cannot be had
            raise AttemptFailed(f"not composed: {error.detail}") from error
        except Exception as error:
            # A fault in one notification must not end those of the subscription.
            _LOG.exception("a notification cannot be composed", extra={"subscription": subscription.subscription.id})
            raise AttemptFailed(f"not composed: {type(error).__name__}") from error

    def _settle(self, subscriber: Subscriber, notice: Notice) -> None:
        """A notification arrived: note what was told, and look whether that is still how things are."""
        if subscriber.is_periodic:
            return
        subscriber.delivered(notice)
        for registration in notice.registrations:
            subscriber.look(registration.id, self._find(registration.tenant, registration.id))

    async def _save(self, subscriber: Subscriber, notice: Notice) -> bool:
        """Put on record what a subscriber was told, or else it is told again after a restart. False: the duty is lost."""
        key = subscriber.subscription.key
        if self._lease is None:
            return False
        try:
            if not await self._store.save_under(self._lease, puts=[Document(STATES, *key, subscriber.stored())]):
                return False
            for registration in notice.registrations:
                await self._forget_former(registration.tenant, registration.id)
        except StoreUnavailable as error:
            _LOG.warning("the state of a subscription cannot be saved", extra={"id": key[1], "detail": error.detail})
        return True

    def _lane(self, endpoint: Endpoint) -> asyncio.Semaphore:
        """What bounds the notifications under way to one receiver."""
        return self._lanes.setdefault(endpoint.lane, asyncio.Semaphore(SIDE_BY_SIDE))


def _compiled(tenant: str, document: JsonObject) -> RegistrationSubscription | None:
    """A stored subscription, ready for use; None, loudly, for one that a later version has stored and this one cannot read."""
    try:
        return compile_registration_subscription(tenant, document)
    except NgsiLdError as error:
        # The others must work all the same.
        _LOG.error("a stored subscription is not valid", extra={"id": document.get("id"), "detail": error.detail})
        return None
