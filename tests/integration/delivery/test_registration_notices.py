"""Notifications of context source registrations to real receivers (5.11.7, 6.3.9), also across restarts."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from delivery_desk import Desk, Received, Receiver, eventually, opened_desk

from broker.errors import StoreUnavailable
from broker.federation import notifier
from broker.federation.registry import KIND
from broker.operations import registration_subscriptions as subscriptions
from broker.operations import registrations

SUBSCRIPTION = "urn:ngsi-ld:Subscription:1"


class RegistryDesk:
    """What a client can do with registrations, without HTTP, in the core @context."""

    def __init__(self, desk: Desk) -> None:
        self.broker = desk.broker

    async def register(
        self, registration_id: str, entity_type: str = "Vehicle", tenant: str = "", **members: Any
    ) -> None:
        given = {
            "id": registration_id,
            "type": "ContextSourceRegistration",
            "endpoint": "http://source.example",
            "information": [{"entities": [{"type": entity_type}]}],
            **members,
        }
        names = (await self.broker.contexts.resolve(None)).names
        await registrations.register_context_source(self.broker, tenant, given, names)

    async def update(self, registration_id: str, **fragment: Any) -> None:
        names = (await self.broker.contexts.resolve(None)).names
        await registrations.update_registration(self.broker, "", registration_id, fragment, names)

    async def delete(self, registration_id: str) -> None:
        await registrations.delete_registration(self.broker, "", registration_id)

    async def subscribe(self, uri: str, tenant: str = "", **members: Any) -> None:
        given = {
            "id": SUBSCRIPTION,
            "type": "Subscription",
            "entities": [{"type": "Vehicle"}],
            "notification": {"endpoint": {"uri": uri, **members.pop("endpoint", {})}},
            **members,
        }
        context = await self.broker.contexts.resolve(None)
        await subscriptions.create_subscription(self.broker, tenant, given, context)

    async def change(self, **fragment: Any) -> None:
        context = await self.broker.contexts.resolve(None)
        await subscriptions.update_subscription(self.broker, "", SUBSCRIPTION, fragment, context)

    async def look(self) -> dict[str, Any]:
        names = (await self.broker.contexts.resolve(None)).names
        return await subscriptions.retrieve_subscription(self.broker, "", SUBSCRIPTION, names, sys_attrs=False)

    async def documents(self, kind: str) -> list[str]:
        return [key for _, key, _ in await self.broker.store.list_documents(kind)]


def told(received: Received) -> tuple[str, list[str]]:
    return received.body["triggerReason"], received.entity_ids


async def test_5_11_7_a_subscriber_is_told_initially_and_of_every_change(desk: Desk, receiver: Receiver) -> None:
    registry = RegistryDesk(desk)
    await registry.register("urn:x:1")
    await registry.register("urn:x:bus", "Bus")
    await registry.subscribe(receiver.url)
    assert told((await receiver.wait(1))[0]) == ("newlyMatching", ["urn:x:1"])
    await registry.register("urn:x:2")
    assert told((await receiver.wait(2))[1]) == ("newlyMatching", ["urn:x:2"])
    await registry.update("urn:x:1", description="new")
    third = (await receiver.wait(3))[2]
    assert told(third) == ("updated", ["urn:x:1"])
    assert third.data[0]["description"] == "new"
    await registry.update("urn:x:1", information=[{"entities": [{"type": "Bus"}]}])
    assert told((await receiver.wait(4))[3]) == ("noLongerMatching", ["urn:x:1"])
    await registry.delete("urn:x:2")
    fifth = (await receiver.wait(5))[4]
    assert told(fifth) == ("noLongerMatching", ["urn:x:2"])
    assert fifth.data[0]["endpoint"] == "http://source.example"
    await registry.update("urn:x:bus", description="of no interest")
    await registry.delete("urn:x:1")
    await receiver.silence(0.2)
    assert await eventually(lambda: _none(registry, notifier.FORMER))
    shown = (await registry.look())["notification"]
    assert (shown["status"], shown["timesSent"]) == ("ok", 5)
    assert shown["lastSuccess"] >= shown["lastNotification"]


async def _none(registry: RegistryDesk, kind: str) -> bool:
    return await registry.documents(kind) == []


async def test_5_3_2_and_6_3_9_a_notification_is_a_context_source_notification(desk: Desk, receiver: Receiver) -> None:
    registry = RegistryDesk(desk)
    information = [{"entities": [{"type": "Bus"}]}, {"entities": [{"type": "Vehicle"}], "propertyNames": ["speed"]}]
    await registry.register("urn:x:1", tenant="city", information=information)
    endpoint = {"receiverInfo": [{"key": "X-Key", "value": "v"}]}
    await registry.subscribe(receiver.url, tenant="city", endpoint=endpoint)
    received = (await receiver.wait(1))[0]
    assert received.body["type"] == "ContextSourceNotification"
    assert received.body["subscriptionId"] == SUBSCRIPTION
    assert received.data[0]["information"] == information[1:]
    assert received.headers["X-Key"] == "v"
    assert received.headers["NGSILD-Tenant"] == "city"
    assert received.headers["Content-Type"] == "application/json"
    assert received.headers["Link"].endswith('rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"')


async def test_5_11_3_4_a_changed_subscription_is_told_of_all_that_matches(desk: Desk, receiver: Receiver) -> None:
    registry = RegistryDesk(desk)
    await registry.register("urn:x:1")
    await registry.register("urn:x:2", "Bus")
    await registry.subscribe(receiver.url, isActive=False)
    await receiver.silence(0.1)
    await registry.change(isActive=True)
    assert told((await receiver.wait(1))[0]) == ("newlyMatching", ["urn:x:1"])
    await registry.change(entities=[{"type": "Vehicle"}, {"type": "Bus"}])
    assert told((await receiver.wait(2))[1]) == ("newlyMatching", ["urn:x:1", "urn:x:2"])


async def test_5_11_7_a_periodic_subscriber_is_told_of_all_that_matches_at_once_and_regularly(
    desk: Desk, receiver: Receiver
) -> None:
    registry = RegistryDesk(desk)
    await registry.subscribe(receiver.url, timeInterval=0.2)
    await receiver.silence(0.3)
    await registry.register("urn:x:1")
    for received in await receiver.wait(3):
        assert told(received) == ("newlyMatching", ["urn:x:1"])
    await registry.change(isActive=False)
    await receiver.silence(0.3)


async def test_5_11_6_4_a_deleted_subscription_is_told_nothing_more(desk: Desk, receiver: Receiver) -> None:
    registry = RegistryDesk(desk)
    await registry.register("urn:x:1")
    await registry.subscribe(receiver.url)
    await receiver.wait(1)
    await subscriptions.delete_subscription(registry.broker, "", SUBSCRIPTION)
    await registry.delete("urn:x:1")
    await receiver.silence(0.2)
    assert await _none(registry, notifier.STATES)
    assert await _none(registry, notifier.FORMER)


async def test_5_11_7_who_is_told_of_a_registration_while_it_is_deleted_is_told_of_that_too(
    desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, store = RegistryDesk(desk), desk.broker.store
    delete_document = store.delete_document

    async def delete_late(kind: str, tenant: str, key: str, **options: Any) -> bool:
        if kind == KIND:
            await eventually(lambda: registry.documents(notifier.STATES))  # the first notification has arrived by then
            await asyncio.sleep(0.1)
        return await delete_document(kind, tenant, key, **options)

    monkeypatch.setattr(store, "delete_document", delete_late)
    await registry.register("urn:x:1")
    await registry.subscribe(receiver.url)
    await registry.delete("urn:x:1")
    first, second = await receiver.wait(2)
    assert (told(first), told(second)) == (("newlyMatching", ["urn:x:1"]), ("noLongerMatching", ["urn:x:1"]))
    assert await eventually(lambda: _none(registry, notifier.FORMER))


async def test_5_9_4_4_a_registration_that_the_store_does_not_delete_stays_and_leaves_no_record(
    desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, store = RegistryDesk(desk), desk.broker.store
    delete_document = store.delete_document

    async def fail(kind: str, tenant: str, key: str, **options: Any) -> bool:
        if kind == KIND:
            raise StoreUnavailable("the disk is gone")
        return await delete_document(kind, tenant, key, **options)

    await registry.register("urn:x:1")
    await registry.subscribe(receiver.url)
    await receiver.wait(1)
    monkeypatch.setattr(store, "delete_document", fail)
    with pytest.raises(StoreUnavailable):
        await registry.delete("urn:x:1")
    assert await eventually(lambda: _none(registry, notifier.FORMER))
    monkeypatch.undo()
    await registry.update("urn:x:1", description="still here")
    assert told((await receiver.wait(2))[1]) == ("updated", ["urn:x:1"])
    await registry.delete("urn:x:1")
    assert told((await receiver.wait(3))[2]) == ("noLongerMatching", ["urn:x:1"])


async def test_5_11_7_an_expired_registration_no_longer_matches(desk: Desk, receiver: Receiver) -> None:
    registry = RegistryDesk(desk)
    await registry.subscribe(receiver.url)
    now = registry.broker.now()
    soon = f"{now[:17]}{min(int(now[17:19]) + 1, 59):02}.999Z"
    await registry.register("urn:x:1", expiresAt=soon)
    both = await receiver.wait(2, seconds=6)
    assert [told(each) for each in both] == [("newlyMatching", ["urn:x:1"]), ("noLongerMatching", ["urn:x:1"])]


async def test_5_11_7_a_failure_is_recorded_at_once_and_harms_no_other_receiver(desk: Desk, receiver: Receiver) -> None:
    registry = RegistryDesk(desk)
    receiver.status["/refused"] = 500
    await registry.subscribe(f"{receiver.url}/refused")
    await registry.register("urn:x:1")
    await receiver.wait(1)

    async def failed() -> bool:
        return (await registry.look())["notification"].get("status") == "failed"

    await eventually(failed)
    shown = (await registry.look())["notification"]
    assert (shown["timesSent"], shown["timesFailed"]) == (1, 1)
    assert "lastFailure" in shown


async def test_5_11_7_what_was_not_told_before_a_restart_is_told_after_it(tmp_path: Path, receiver: Receiver) -> None:
    async with opened_desk(tmp_path) as desk:
        first = RegistryDesk(desk)
        for name in ("kept", "changed", "gone"):
            await first.register(f"urn:x:{name}")
        await first.subscribe(receiver.url)
        assert told((await receiver.wait(1))[0])[0] == "newlyMatching"
        await eventually(lambda: first.documents(notifier.STATES))
        await receiver.stop()
        await first.update("urn:x:changed", description="new")
        await first.delete("urn:x:gone")
        await first.register("urn:x:new")
    again = Receiver(port=receiver.port)
    await again.start()
    try:
        async with opened_desk(tmp_path) as desk:
            received = await again.wait(3)
            assert {told(each)[0]: told(each)[1] for each in received} == {
                "updated": ["urn:x:changed"],
                "noLongerMatching": ["urn:x:gone"],
                "newlyMatching": ["urn:x:new"],
            }
            await again.silence(0.2)
            assert await eventually(lambda: _none(RegistryDesk(desk), notifier.FORMER))
    finally:
        await again.stop()


async def test_5_11_7_what_was_told_before_a_restart_is_not_told_again(tmp_path: Path, receiver: Receiver) -> None:
    async with opened_desk(tmp_path) as desk:
        first = RegistryDesk(desk)
        await first.register("urn:x:1")
        await first.subscribe(receiver.url)
        await receiver.wait(1)
        await eventually(lambda: first.documents(notifier.STATES))
    async with opened_desk(tmp_path) as desk:
        await receiver.silence(0.2)
        assert (await RegistryDesk(desk).look())["notification"]["timesSent"] == 1
