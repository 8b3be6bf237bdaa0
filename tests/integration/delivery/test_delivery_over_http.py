"""Notifications from a committed change to a real HTTP receiver (5.8.6, 6.3.8)."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from delivery_desk import Desk, OpenDesk, Receiver, eventually

from broker.model.instants import canonical

DEVICE = "urn:ngsi-ld:Device:1"
LEVEL = {"type": "Property", "value": 1}


async def test_5_8_6_a_change_is_notified_with_the_whole_entity(desk: Desk, receiver: Receiver) -> None:
    subscription = await desk.subscribe(f"{receiver.url}/notify")
    await desk.create(DEVICE, level=LEVEL)
    await desk.update(DEVICE, level={"type": "Property", "value": 2})
    first, second = await receiver.wait(2)
    assert first.body["type"] == "Notification"
    assert first.body["subscriptionId"] == subscription
    assert first.body["id"] != second.body["id"]
    assert second.data == [{"id": DEVICE, "type": "Device", "level": {"type": "Property", "value": 2}}]
    assert first.headers["Content-Type"] == "application/json"
    assert first.headers["Content-Length"].isdigit()
    assert first.headers["Link"].endswith('; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"')


async def test_5_8_1_creating_a_subscription_notifies_nothing_by_itself(desk: Desk, receiver: Receiver) -> None:
    await desk.create(DEVICE, level=LEVEL)
    await desk.subscribe(receiver.url)
    await receiver.silence()


async def test_5_2_14_2_counts_and_instants_are_there_as_soon_as_the_receiver_answered(
    desk: Desk, receiver: Receiver
) -> None:
    subscription = await desk.subscribe(receiver.url)
    assert "timesSent" not in (await desk.look(subscription))["notification"]
    await desk.create(DEVICE, level=LEVEL)
    await receiver.wait(1)
    await asyncio.sleep(0.05)
    seen = (await desk.look(subscription))["notification"]
    assert (seen["timesSent"], seen["status"]) == (1, "ok")
    assert seen["lastSuccess"] >= seen["lastNotification"]
    assert "timesFailed" not in seen


async def test_5_8_6_a_failure_is_recorded_at_once_and_retried(desk: Desk, receiver: Receiver) -> None:
    receiver.status["/notify"] = 503
    subscription = await desk.subscribe(f"{receiver.url}/notify")
    await desk.create(DEVICE, level=LEVEL)
    (first,) = await receiver.wait(1)
    failed = await eventually(lambda: _notification(desk, subscription, "lastFailure"))
    assert (failed["timesSent"], failed["timesFailed"], failed["status"]) == (1, 1, "failed")
    receiver.status.clear()
    again = (await receiver.wait(2))[1]
    assert again.body["id"] == first.body["id"]
    assert again.data == first.data
    seen = await eventually(lambda: _notification(desk, subscription, "lastSuccess"))
    assert (seen["timesSent"], seen["timesFailed"], seen["status"]) == (2, 1, "ok")


async def test_5_8_6_a_receiver_that_is_not_there_is_a_failure(desk: Desk) -> None:
    subscription = await desk.subscribe("http://127.0.0.1:1/notify")
    await desk.create(DEVICE, level=LEVEL)
    failed = await eventually(lambda: _notification(desk, subscription, "lastFailure"))
    assert failed["status"] == "failed"
    tally = await desk.broker.dispatcher.tally("", subscription)
    assert tally.reason is not None
    assert tally.reason.startswith("refused")


async def test_an_endpoint_that_the_egress_policy_forbids_is_a_failure_with_its_reason(open_desk: OpenDesk) -> None:
    desk = await open_desk(egress="public")
    subscription = await desk.subscribe("http://127.0.0.1:8/notify")
    await desk.create(DEVICE, level=LEVEL)
    await eventually(lambda: _notification(desk, subscription, "lastFailure"))
    tally = await desk.broker.dispatcher.tally("", subscription)
    assert tally.reason is not None
    assert tally.reason.startswith("forbidden")


async def test_6_3_8_receiver_info_becomes_headers_as_spelled_and_the_tenant_goes_along(
    desk: Desk, receiver: Receiver
) -> None:
    await desk.subscribe(
        receiver.url, tenant="madrid", endpoint={"receiverInfo": [{"key": "X-Additional-Key", "value": "Value"}]}
    )
    await desk.create(DEVICE, tenant="madrid", level=LEVEL)
    await desk.create("urn:ngsi-ld:Device:other", level=LEVEL)
    (got,) = await receiver.wait(1)
    assert got.headers["X-Additional-Key"] == "Value"
    assert got.headers["NGSILD-Tenant"] == "madrid"
    await receiver.silence()


async def test_5_2_12_a_paused_subscription_is_silent_and_goes_on_with_what_happens_after_it_resumes(
    desk: Desk, receiver: Receiver
) -> None:
    subscription = await desk.subscribe(receiver.url, isActive=False)
    await desk.create(DEVICE, level=LEVEL)
    await receiver.silence()
    await desk.change(subscription, {"isActive": True})
    await desk.update(DEVICE, level={"type": "Property", "value": 7})
    (got,) = await receiver.wait(1)
    assert got.data[0]["level"]["value"] == 7
    await receiver.silence()


async def test_5_8_5_deleting_a_subscription_ends_its_retries(desk: Desk, receiver: Receiver) -> None:
    receiver.status["/"] = 500
    subscription = await desk.subscribe(f"{receiver.url}/")
    await desk.create(DEVICE, level=LEVEL)
    await receiver.wait(1)
    await desk.unsubscribe(subscription)
    await receiver.silence(1.3)
    assert await desk.broker.store.list_documents("delivery") == []


async def test_5_8_1_an_expired_subscription_ends_without_any_trigger(desk: Desk, receiver: Receiver) -> None:
    soon = canonical(datetime.now(UTC) + timedelta(seconds=0.5))
    subscription = await desk.subscribe(receiver.url, expiresAt=soon)
    assert (await desk.look(subscription))["status"] == "active"
    await asyncio.sleep(0.6)
    assert (await desk.look(subscription))["status"] == "expired"
    await desk.create(DEVICE, level=LEVEL)
    await receiver.silence()
    await desk.change(subscription, {"expiresAt": "2100-01-01T00:00:00Z"})
    assert (await desk.look(subscription))["status"] == "active"
    await desk.update(DEVICE, level={"type": "Property", "value": 3})
    await receiver.wait(1)


async def test_notifications_of_one_entity_arrive_in_order_while_other_entities_need_not_wait(
    desk: Desk, receiver: Receiver
) -> None:
    receiver.hold.add("/slow")
    await desk.subscribe(f"{receiver.url}/slow", entities=[{"type": "Device"}])
    for value in range(5):
        await (desk.create if value == 0 else desk.update)(DEVICE, level={"type": "Property", "value": value})
    await desk.create("urn:ngsi-ld:Device:2", level=LEVEL)
    await asyncio.sleep(0.2)
    receiver.release.set()
    got = await receiver.wait(6)
    assert [one.data[0]["level"]["value"] for one in got if one.entity_ids == [DEVICE]] == [0, 1, 2, 3, 4]


async def test_a_hanging_receiver_holds_up_nobody_else(
    desk: Desk, receiver: Receiver, other_receiver: Receiver
) -> None:
    receiver.hold.add("/hang")
    for number in range(20):
        await desk.subscribe(f"{receiver.url}/hang", subscriptionName=str(number))
    await desk.subscribe(f"{other_receiver.url}/other")
    for number in range(20):
        await desk.create(f"urn:ngsi-ld:Device:{number}", level=LEVEL)
    await other_receiver.wait(20, seconds=2)
    assert receiver.received == []


async def test_a_hanging_path_of_a_receiver_leaves_the_way_to_its_other_paths_free(
    desk: Desk, receiver: Receiver
) -> None:
    receiver.hold.add("/hang")
    await desk.subscribe(f"{receiver.url}/hang")
    await desk.subscribe(f"{receiver.url}/well")
    for number in range(60):
        await desk.create(f"urn:ngsi-ld:Device:{number}", level=LEVEL)
    await receiver.wait(60, path="/well", seconds=2)


async def test_5_2_15_a_timeout_of_the_endpoint_is_honoured(desk: Desk, receiver: Receiver) -> None:
    receiver.hold.add("/hang")
    subscription = await desk.subscribe(f"{receiver.url}/hang", endpoint={"timeout": 100})
    await desk.create(DEVICE, level=LEVEL)
    failed = await eventually(lambda: _notification(desk, subscription, "timesFailed"), seconds=1)
    assert failed["status"] == "failed"


async def test_5_2_15_a_cooldown_delays_all_notifications_to_the_endpoint(desk: Desk, receiver: Receiver) -> None:
    receiver.status["/"] = 400
    await desk.subscribe(f"{receiver.url}/", endpoint={"cooldown": 1500})
    await desk.create(DEVICE, level=LEVEL)
    await receiver.wait(1)
    receiver.status.clear()
    await desk.create("urn:ngsi-ld:Device:2", level=LEVEL)
    await receiver.silence(1.2)
    got = await receiver.wait(3)
    assert sorted(one.entity_ids[0] for one in got[1:]) == [DEVICE, "urn:ngsi-ld:Device:2"]


async def test_a_message_that_a_receiver_refuses_holds_up_its_own_entity_only(desk: Desk, receiver: Receiver) -> None:
    receiver.status["/"] = 422
    await desk.subscribe(f"{receiver.url}/")
    await desk.create(DEVICE, level=LEVEL)
    await receiver.wait(1)
    receiver.status.clear()
    await desk.create("urn:ngsi-ld:Device:2", level=LEVEL)
    got = await receiver.wait(2, seconds=0.5)
    assert got[1].entity_ids == ["urn:ngsi-ld:Device:2"]
    assert (await receiver.wait(3))[2].entity_ids == [DEVICE]


async def test_5_2_12_throttling_sends_the_latest_states_together_when_the_period_is_over(
    desk: Desk, receiver: Receiver
) -> None:
    await desk.subscribe(receiver.url, throttling=1)
    await desk.create(DEVICE, level=LEVEL)
    await receiver.wait(1)
    for value in (2, 3, 4):
        await desk.update(DEVICE, level={"type": "Property", "value": value})
    await desk.create("urn:ngsi-ld:Device:2", level=LEVEL)
    await receiver.silence(0.6)
    got = (await receiver.wait(2))[1]
    assert {entity["id"]: entity["level"]["value"] for entity in got.data} == {DEVICE: 4, "urn:ngsi-ld:Device:2": 1}
    await receiver.silence()


async def test_5_8_6_time_interval_sends_all_matching_entities_periodically(desk: Desk, receiver: Receiver) -> None:
    await desk.create(DEVICE, level=LEVEL)
    await desk.create("urn:ngsi-ld:Device:2", level={"type": "Property", "value": 20})
    await desk.create("urn:ngsi-ld:Device:3", level={"type": "Property", "value": 30})
    await desk.subscribe(receiver.url, timeInterval=0.3, q="level>10")
    got = await receiver.wait(2)
    assert [one.entity_ids for one in got[:2]] == [["urn:ngsi-ld:Device:2", "urn:ngsi-ld:Device:3"]] * 2


async def test_5_8_6_time_interval_without_matching_entities_sends_nothing(desk: Desk, receiver: Receiver) -> None:
    await desk.subscribe(receiver.url, timeInterval=0.1)
    await receiver.silence()


async def test_4_9_a_linked_condition_is_settled_by_the_entities_that_are_linked(
    desk: Desk, receiver: Receiver
) -> None:
    await desk.create("urn:ngsi-ld:Battery:low", type_="Battery", charge={"type": "Property", "value": 0.3})
    await desk.create("urn:ngsi-ld:Battery:full", type_="Battery", charge={"type": "Property", "value": 0.95})
    await desk.subscribe(receiver.url, q="uses{charge}<0.5")
    await desk.create("urn:ngsi-ld:Device:full", uses={"type": "Relationship", "object": "urn:ngsi-ld:Battery:full"})
    await desk.create("urn:ngsi-ld:Device:low", uses={"type": "Relationship", "object": "urn:ngsi-ld:Battery:low"})
    (got,) = await receiver.wait(1)
    assert got.entity_ids == ["urn:ngsi-ld:Device:low"]
    await receiver.silence()


async def test_4_5_23_linked_entities_come_along_inline_or_flat(desk: Desk, receiver: Receiver) -> None:
    await desk.create("urn:ngsi-ld:City:1", type_="City", name={"type": "Property", "value": "Paris"})
    await desk.subscribe(f"{receiver.url}/flat", notification={"join": "flat"})
    await desk.subscribe(f"{receiver.url}/inline", notification={"join": "inline", "format": "simplified"})
    await desk.create(DEVICE, locatedAt={"type": "Relationship", "object": "urn:ngsi-ld:City:1"})
    (flat,) = await receiver.wait(1, path="/flat")
    assert flat.entity_ids == [DEVICE, "urn:ngsi-ld:City:1"]
    (inline,) = await receiver.wait(1, path="/inline")
    assert inline.data[0]["locatedAt"] == {"id": "urn:ngsi-ld:City:1", "type": "City", "name": "Paris"}


async def test_5_8_2_an_updated_endpoint_gets_what_the_old_one_did_not_take(
    desk: Desk, receiver: Receiver, other_receiver: Receiver
) -> None:
    receiver.status["/"] = 404
    subscription = await desk.subscribe(f"{receiver.url}/")
    await desk.create(DEVICE, level=LEVEL)
    await receiver.wait(1)
    await desk.change(subscription, {"notification": {"endpoint": {"uri": f"{other_receiver.url}/"}}})
    (got,) = await other_receiver.wait(1, seconds=0.5)
    assert got.entity_ids == [DEVICE]


async def test_5_8_2_what_is_owed_is_matched_again_after_the_conditions_changed(desk: Desk, receiver: Receiver) -> None:
    receiver.status["/"] = 404
    subscription = await desk.subscribe(f"{receiver.url}/")
    await desk.create(DEVICE, level=LEVEL)
    await receiver.wait(1)
    receiver.status.clear()
    await desk.change(subscription, {"q": "level>10"})
    await receiver.silence()
    assert desk.broker.dispatcher.owed("", subscription) == (0, None)


async def test_a_receiver_that_comes_back_is_noticed_by_all_its_subscriptions(desk: Desk, receiver: Receiver) -> None:
    await receiver.stop()
    for number in range(3):
        await desk.subscribe(f"{receiver.url}/{number}")
    await desk.create(DEVICE, level=LEVEL)
    await asyncio.sleep(0.1)
    await receiver.start()
    got = await receiver.wait(3, seconds=3)
    assert {one.path for one in got} == {"/0", "/1", "/2"}


async def _notification(desk: Desk, subscription: str, member: str) -> dict[str, Any] | None:
    """The notification members of a subscription, once this one is among them."""
    shown = (await desk.look(subscription))["notification"]
    return shown if member in shown else None
