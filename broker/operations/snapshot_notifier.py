"""Tells the endpoints of snapshots what became of these (5.16.6).

What an endpoint is owed follows from what is on record: a snapshot whose `revision` is not the one that was `told`, or one that
is gone and whose record has a `notice`. So an acknowledged change is told of at least once, also after a crash. Several changes
that could not be told in time become one notification of how things are. What nobody takes for GIVE_UP_SECONDS is given up,
loudly.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeAlias
from weakref import WeakValueDictionary

from broker.delivery.attempt import AttemptFailed, send
from broker.delivery.course import pause_after
from broker.delivery.endpoint import Endpoint, parse_endpoint
from broker.delivery.mqtt import MqttPublisher
from broker.delivery.payload import Message
from broker.egress.http import OutboundHttp
from broker.errors import BadRequestData, StoreUnavailable
from broker.jsonld.core import CORE_URL
from broker.model.entity import JsonObject
from broker.model.snapshot import PREPARING, notification_body
from broker.operations.erasure import FORMER, KIND
from broker.store.protocol import Store

GIVE_UP_SECONDS: Final = 3600.0
SIDE_BY_SIDE: Final = 8
"""Notifications under way to one receiver at the same time."""

Key: TypeAlias = tuple[str, str]
"""(tenant, id of the snapshot), or (tenant, generation of the space) of one that is gone."""

_Owed: TypeAlias = Callable[[], Awaitable[JsonObject | None]]
_Settle: TypeAlias = Callable[[JsonObject], Awaitable[None]]

_IDS: Final = uuid.UUID("0d3b8f0e-4f57-5b1a-a0a7-2f6f6d0a9b3c")
_LINK: Final = f'<{CORE_URL}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"'
_LOG: Final = logging.getLogger(__name__)


def snapshot_endpoint(document: JsonObject) -> Endpoint | None:
    """Where a snapshot's notifications go, None if nowhere. Raises BadRequestData for what is no endpoint."""
    if "endpoint" not in document:
        return None
    given = {"uri": document["endpoint"], "receiverInfo": document.get("receiverInfo", [])}
    try:
        return parse_endpoint(given)
    except BadRequestData as error:
        # The words of a subscription's endpoint: here its URI is the endpoint, and its other members stand beside it.
        detail = error.detail.replace("notification.endpoint.uri", "endpoint").replace("notification.endpoint.", "")
        raise BadRequestData(detail) from error


class SnapshotNotifier:
    """See the module. `changing` gives the lock to hold while a snapshot's document is read, changed and written back."""

    def __init__(
        self,
        store: Store,
        http: OutboundHttp,
        mqtt: MqttPublisher,
        now: Callable[[], str],
        changing: Callable[[str, str], asyncio.Lock],
    ) -> None:
        self._store = store
        self._http = http
        self._mqtt = mqtt
        self._now = now
        self._changing = changing
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._offered: dict[Key, tuple[str, int]] = {}
        self._news: WeakValueDictionary[Key, asyncio.Event] = WeakValueDictionary()
        self._lanes: WeakValueDictionary[tuple[str, str, int], asyncio.Semaphore] = WeakValueDictionary()

    async def stop(self) -> None:
        """Break off what is under way; it stays owed."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def tell(self, tenant: str, snapshot_id: str, document: JsonObject) -> None:
        """Tell the endpoint of a snapshot, whose document this is, what it does not know yet. What it is being told already is no
        reason to hurry."""
        key, state = (tenant, snapshot_id), (document["space"], document["revision"])
        if _is_owed(document) and not (key in self._tasks and self._offered.get(key) == state):
            self._offered[key] = state
            self._run(key, self._tell)

    def tell_end(self, tenant: str, generation: str) -> None:
        """Tell the endpoint of a snapshot that is gone, which is on record under this generation."""
        if (tenant, generation) not in self._tasks:
            self._run((tenant, generation), self._tell_end)

    async def halt(self, tenant: str, snapshot_id: str) -> None:
        """Tell nothing more of a snapshot as it was: it is gone."""
        self._offered.pop((tenant, snapshot_id), None)
        task = self._tasks.pop((tenant, snapshot_id), None)
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _run(self, key: Key, work: Callable[[Key, asyncio.Event], Coroutine[Any, Any, None]]) -> None:
        """Do the work, or where it is going on already, let it look again, without waiting for the end of a pause."""
        known = self._tasks.get(key)
        if known is not None and not known.done():
            self._news[key].set()
            return
        news = self._news[key] = asyncio.Event()
        task = self._tasks[key] = asyncio.create_task(work(key, news))

        def done(ended: asyncio.Task[None]) -> None:
            if self._tasks.get(key) is ended:
                del self._tasks[key]
                self._offered.pop(key, None)
            if not ended.cancelled() and (error := ended.exception()) is not None:
                _LOG.critical("notifications of a snapshot came to a stop", exc_info=error)

        task.add_done_callback(done)

    async def _tell(self, key: Key, news: asyncio.Event) -> None:
        tenant, snapshot_id = key

        async def owed() -> JsonObject | None:
            document = await self._store.get_document(KIND, tenant, snapshot_id)
            return document if document is not None and _is_owed(document) else None

        async def settle(told: JsonObject) -> None:
            def change(document: JsonObject) -> JsonObject | None:
                return {**document, "told": told["revision"]} if document["space"] == told["space"] else None

            async with self._changing(tenant, snapshot_id):
                await self._store.change_document(KIND, tenant, snapshot_id, change)

        await self._serve(tenant, news, owed, settle)

    async def _tell_end(self, key: Key, news: asyncio.Event) -> None:
        tenant, generation = key

        async def owed() -> JsonObject | None:
            former = await self._store.get_document(FORMER, tenant, generation)
            return None if former is None else former.get("notice")

        async def settle(_: JsonObject) -> None:
            def change(former: JsonObject) -> JsonObject | None:
                return {member: value for member, value in former.items() if member != "notice"}

            await self._store.change_document(FORMER, tenant, generation, change)

        await self._serve(tenant, news, owed, settle)

    async def _serve(self, tenant: str, news: asyncio.Event, owed: _Owed, settle: _Settle) -> None:
        """Send what is owed, with growing pauses after failures, until nothing is or until it is given up."""
        failures, since = 0, time.monotonic()
        while True:
            news.clear()
            try:
                document = await owed()
                if document is None:
                    if news.is_set():
                        continue
                    return
                endpoint = snapshot_endpoint(document)
                assert endpoint is not None, "only what has an endpoint is owed anything"
                try:
                    async with self._lanes.setdefault(endpoint.lane, asyncio.Semaphore(SIDE_BY_SIDE)):
                        await self._send(tenant, document, endpoint)
                except AttemptFailed as failed:
                    if time.monotonic() < since + GIVE_UP_SECONDS:
                        raise
                    _LOG.error("nobody is told of a snapshot", extra={"id": document["id"], "reason": str(failed)})
                await settle(document)
                failures, since = 0, time.monotonic()
            except (AttemptFailed, StoreUnavailable) as error:
                failures += 1
                _LOG.info("a notification of a snapshot is tried again", extra={"reason": str(error)})
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause_after(failures)):
                        await news.wait()

    async def _send(self, tenant: str, document: JsonObject, endpoint: Endpoint) -> None:
        """Compose a notification and send it once. Raises AttemptFailed."""
        occasion = "\n".join(
            (tenant, document["id"], document["space"], str(document["revision"]), document["expiresAt"])
        )
        notification_id = f"urn:ngsi-ld:SnapshotNotification:{uuid.uuid5(_IDS, occasion)}"
        body = notification_body(document, notification_id, self._now())
        message = Message(body, endpoint.accept, _LINK, tenant, endpoint.receiver_info)
        await send(self._http, self._mqtt, endpoint, message)


def _is_owed(document: JsonObject) -> bool:
    return (
        "endpoint" in document
        and document["snapshotStatus"] != PREPARING  # it will be told when it is ready (5.16.6)
        and document["told"] != document["revision"]
    )
