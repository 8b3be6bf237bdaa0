"""Several brokers on one MongoDB share out subscriptions, and behave as one towards clients and receivers (design §7)."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from api import Api
from delivery_desk import Receiver, eventually
from event_stream import event_source
from pymongo import MongoClient
from share_samples import (
    Brokers,
    create,
    deliveries,
    opened_brokers,
    set_level,
    shares_of,
    subscribe,
    subscription_in,
    told,
    writing,
)

from broker.delivery import course as courses
from broker.delivery.share import SHARES, WATERMARK
from broker.delivery.subscription import revision_of
from broker.operations import errands
from broker.store.retention import Bounds, Retention

pytestmark = [pytest.mark.mongo]


@pytest.fixture
async def brokers(mongodb_uri: str, empty_mongo_database: str) -> AsyncIterator[Brokers]:
    async with opened_brokers(mongodb_uri, empty_mongo_database) as them:
        yield them


async def test_one_change_is_one_notification_whichever_broker_it_went_through(
    brokers: Brokers, receiver: Receiver
) -> None:
    one = await brokers.open()
    assert len(shares_of(one)) == SHARES
    other = await brokers.open()
    await brokers.settled(one, other)
    assert len(shares_of(one)) == len(shares_of(other)) == SHARES // 2
    subscriptions = [subscription_in(share) for share in range(0, SHARES, 2)]
    for number, subscription in enumerate(subscriptions):
        await subscribe((one, other)[number % 2], subscription, f"{receiver.url}/")
        await create((other, one)[number // 2 % 2], f"urn:ngsi-ld:Device:{number}")
    expected = {
        (subscription, f"urn:ngsi-ld:Device:{device}", 1)
        for number, subscription in enumerate(subscriptions)
        for device in range(number, len(subscriptions))
    }

    async def all_came() -> bool:
        return told(receiver).keys() >= expected

    await eventually(all_came)
    await receiver.silence()
    assert set(told(receiver).values()) == {1}
    assert told(receiver).keys() == expected
    for _, subscription, document in await one.broker.store.list_documents("subscription"):
        course = one.broker.dispatcher.course("", subscription) or other.broker.dispatcher.course("", subscription)
        assert course is not None
        assert course.subscription.revision == revision_of(document), "what comes back as an event changes nothing"


async def pair(brokers: Brokers) -> tuple[Api, Api, str]:
    """Two brokers, and the id of a subscription that the first one delivers for."""
    one, other = await brokers.open(), await brokers.open()
    await brokers.settled(one, other)
    return one, other, subscription_in(min(shares_of(one)))


async def test_5_8_1_a_change_that_comes_at_once_after_a_subscription_through_another_broker_is_notified(
    brokers: Brokers, receiver: Receiver
) -> None:
    one, other, _ = await pair(brokers)
    for share in shares_of(one):
        subscription = subscription_in(share)
        await subscribe(other, subscription, f"{receiver.url}/")
        await create(one, f"urn:ngsi-ld:Device:{share}")

    async def all_came() -> bool:
        return {key[:2] for key in told(receiver)} >= {
            (subscription_in(share), f"urn:ngsi-ld:Device:{share}") for share in shares_of(one)
        }

    await eventually(all_came)
    assert set(told(receiver).values()) == {1}


async def test_5_8_2_a_subscription_that_is_changed_through_another_broker_is_another_within_a_second(
    brokers: Brokers, receiver: Receiver
) -> None:
    one, other, subscription = await pair(brokers)
    await subscribe(one, subscription, f"{receiver.url}/old")
    await create(one, "urn:ngsi-ld:Device:1")
    await receiver.wait(1, path="/old")
    fragment = {
        "type": "Subscription",
        "notification": {"format": "keyValues", "endpoint": {"uri": f"{receiver.url}/new"}},
    }
    assert (await other.patch(f"subscriptions/{subscription}", fragment)).status == 204

    async def is_moved() -> bool:
        course = one.broker.dispatcher.course("", subscription)
        return course is not None and course.subscription.endpoint.uri.endswith("/new")

    await eventually(is_moved)
    await set_level(other, "urn:ngsi-ld:Device:1", 2)
    await receiver.wait(1, path="/new")
    assert (
        await other.patch(f"subscriptions/{subscription}", {"type": "Subscription", "isActive": False})
    ).status == 204

    async def is_paused() -> bool:
        course = one.broker.dispatcher.course("", subscription)
        return course is not None and course.closed

    await eventually(is_paused)
    await set_level(other, "urn:ngsi-ld:Device:1", 3)
    assert (
        await other.patch(f"subscriptions/{subscription}", {"type": "Subscription", "isActive": True})
    ).status == 204
    await set_level(one, "urn:ngsi-ld:Device:1", 4)
    await receiver.wait(2, path="/new")
    await receiver.silence()
    assert [one.data[0]["level"] for one in receiver.received] == [1, 2, 4]


@pytest.mark.parametrize("creates", ["holder", "other"])
async def test_5_8_2_what_comes_before_and_behind_a_change_through_another_broker_is_judged_by_what_holds_then(
    brokers: Brokers, receiver: Receiver, creates: str
) -> None:
    one, other, _ = await pair(brokers)
    creator = one if creates == "holder" else other
    for share in sorted(shares_of(one))[:4]:
        subscription, device = subscription_in(share), f"urn:ngsi-ld:Device:{share}"
        await subscribe(other, subscription, f"{receiver.url}/", q="level>100")
        await create(creator, device)  # with level 1
        fragment = {"type": "Subscription", "q": "level<100"}
        assert (await other.patch(f"subscriptions/{subscription}", fragment)).status == 204
        await set_level(one, device, 200)
        await set_level(other, device, 2)
        assert (await other.delete(f"subscriptions/{subscription}")).status == 204
        await set_level(one, device, 3)
        await receiver.silence()
        assert {key for key in told(receiver) if key[0] == subscription} <= {(subscription, device, 2)}
    assert not await other.broker.store.list_documents("errand")


async def test_5_8_2_a_change_does_not_fail_where_who_has_the_subscription_does_not_answer(
    brokers: Brokers, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other, subscription = await pair(brokers)
    await subscribe(one, subscription, f"{receiver.url}/")
    monkeypatch.setattr(one.broker.errands, "_has", lambda *_: False)
    fragment = {"type": "Subscription", "description": "new"}
    assert (await other.patch(f"subscriptions/{subscription}", fragment)).status == 204
    assert (await other.delete(f"subscriptions/{subscription}")).status == 204

    async def nothing_is_asked() -> bool:
        return not await other.broker.store.list_documents("errand")

    await eventually(nothing_is_asked)


async def test_5_8_5_a_subscription_that_is_deleted_through_another_broker_ends_within_a_second_and_leaves_nothing(
    brokers: Brokers, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courses, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(courses, "LONGEST_PAUSE", 0.05)
    one, other, subscription = await pair(brokers)
    receiver.status["/"] = 400
    await subscribe(other, subscription, f"{receiver.url}/")
    for number in range(3):
        await create(other, f"urn:ngsi-ld:Device:{number}")
    store = one.broker.store

    async def one_is_aside() -> bool:
        return len(await store.list_documents("undelivered")) > 0

    await eventually(one_is_aside)
    assert (await other.delete(f"subscriptions/{subscription}")).status == 204

    async def is_gone() -> bool:
        kept = [await store.list_documents(kind) for kind in ("subscription", "delivery", "undelivered")]
        guards = [name for name in await store.cursors() if name.count("/") > 1]
        return not (any(kept) or guards)

    await eventually(is_gone)
    await receiver.silence(1)
    assert await is_gone()


async def test_5_8_5_a_subscription_that_takes_the_id_of_a_deleted_one_begins_anew(
    brokers: Brokers, receiver: Receiver
) -> None:
    _, other, subscription = await pair(brokers)
    await subscribe(other, subscription, f"{receiver.url}/old")
    await create(other, "urn:ngsi-ld:Device:1")
    await receiver.wait(1)
    assert (await other.delete(f"subscriptions/{subscription}")).status == 204
    await subscribe(other, subscription, f"{receiver.url}/new")
    await set_level(other, "urn:ngsi-ld:Device:1", 2)
    await receiver.wait(1, path="/new")

    async def is_counted() -> bool:
        found = (await other.get(f"subscriptions/{subscription}")).json
        return bool(found["notification"].get("timesSent") == 1)

    await eventually(is_counted)


async def test_5_8_3_every_broker_tells_the_same_counts_within_a_second(brokers: Brokers, receiver: Receiver) -> None:
    one, other, subscription = await pair(brokers)
    await subscribe(one, subscription, f"{receiver.url}/")
    for number in range(5):
        await create(other, f"urn:ngsi-ld:Device:{number}")
    await receiver.wait(5)

    async def all_tell_the_same() -> bool:
        of_one = (await one.get(f"subscriptions/{subscription}")).json["notification"]
        of_other = (await other.get(f"subscriptions/{subscription}")).json["notification"]
        (listed,) = (await other.get("subscriptions")).json
        is_told = (of_one.get("timesSent"), of_one.get("status")) == (5, "ok")
        return is_told and of_one == of_other == listed["notification"]

    await eventually(all_tell_the_same)
    receiver.status["/"] = 500
    await set_level(other, "urn:ngsi-ld:Device:1", 2)

    async def failure_is_told() -> bool:
        seen = (await other.get(f"subscriptions/{subscription}")).json["notification"]
        return seen["status"] == "failed" and seen["timesFailed"] >= 1

    await eventually(failure_is_told)


async def test_deliveries_are_listed_replayed_and_discarded_through_any_broker(
    brokers: Brokers, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(courses, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(courses, "LONGEST_PAUSE", 0.05)
    one, other, subscription = await pair(brokers)
    await subscribe(one, subscription, f"{receiver.url}/")
    await create(one, "urn:ngsi-ld:Device:good")
    await receiver.wait(1)
    receiver.status["/"] = 400
    for name in ("bad", "worse"):
        await create(one, f"urn:ngsi-ld:Device:{name}")

    async def both_are_aside() -> bool:
        counts = (await deliveries(other, subscription))["summary"]
        return (counts["failed"], counts["pending"]) == (2, 0)

    await eventually(both_are_aside)
    mine, theirs = await deliveries(one, subscription), await deliveries(other, subscription)
    assert theirs["deliveries"] == mine["deliveries"]
    assert theirs["summary"] == mine["summary"]
    assert [each["state"] for each in theirs["deliveries"]] == ["failed", "failed", "delivered"]
    bad, worse, good = (each["notificationId"] for each in theirs["deliveries"])
    where = f"{other.url}/tsunagu/v1/subscriptions/{subscription}/deliveries"
    assert (await other.request("GET", f"{where}/{good}")).json["state"] == "delivered"
    receiver.status.clear()
    assert (await other.request("POST", f"{where}/replay", {"notificationId": bad})).json["delivered"] is True
    assert (await other.request("DELETE", f"{where}/{worse}")).status == 204
    assert (await other.request("DELETE", f"{where}/{worse}")).status == 404
    assert (await other.request("POST", f"{where}/replay", {"notificationId": worse})).status == 404
    explained = (await other.request("POST", f"{where}/explain", {"entityId": "urn:ngsi-ld:Device:good"})).json
    assert explained["notifies"] is True
    assert [each["state"] for each in (await deliveries(one, subscription))["deliveries"]] == ["delivered", "delivered"]
    for kind in ("errand", "errandAnswer"):
        assert await one.broker.store.list_documents(kind) == []


async def test_5_2_12_a_period_is_notified_once_whoever_has_the_subscription(
    brokers: Brokers, receiver: Receiver
) -> None:
    one = await brokers.open()
    await create(one, "urn:ngsi-ld:Device:1")
    subscription = subscription_in(0)
    await subscribe(one, subscription, f"{receiver.url}/", timeInterval=1)
    began = asyncio.get_running_loop().time()
    await receiver.wait(1)
    other = await brokers.open()
    await brokers.settled(one, other)
    await asyncio.sleep(1.2)
    await brokers.stop(one)
    await brokers.settled(other)
    await asyncio.sleep(2.2)
    periods = asyncio.get_running_loop().time() - began
    assert len(receiver.received) <= periods
    assert len(receiver.received) >= periods - 3  # while the subscription moves, a period may be late


async def test_brokers_that_come_and_go_under_load_lose_nothing_repeat_nothing_and_keep_the_order(
    brokers: Brokers, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = await brokers.open(), await brokers.open()
    await brokers.settled(one, other)
    subscriptions = [subscription_in(share) for share in range(SHARES)]
    for subscription in subscriptions:
        await subscribe(one, subscription, f"{receiver.url}/")
    stop = asyncio.Event()
    load = asyncio.create_task(writing([one, other], 4, stop))
    await asyncio.sleep(0.5)
    third = await brokers.open()
    await brokers.settled(one, other, third)
    await brokers.stop(third)
    await brokers.settled(one, other)
    stop.set()
    done = await load
    expected = {(subscription, *each) for subscription in subscriptions for each in done}

    async def all_came() -> bool:
        return told(receiver).keys() >= expected

    await eventually(all_came, seconds=20)
    if "not renewed in time" not in caplog.text:  # else the machine is so busy that a process counts as dead
        assert set(told(receiver).values()) == {1}
    levels: dict[tuple[str, str], list[int]] = {}
    for got in receiver.received:
        for entity in got.data:
            seen = levels.setdefault((got.body["subscriptionId"], entity["id"]), [])
            if entity["level"] not in seen:
                seen.append(entity["level"])
    assert all(seen == sorted(seen) for seen in levels.values())


async def test_a_database_of_the_former_layout_is_taken_over_behind_its_one_watermark(
    brokers: Brokers, receiver: Receiver
) -> None:
    one = await brokers.open()
    store = one.broker.store
    subscription = subscription_in(3)
    await subscribe(one, subscription, f"{receiver.url}/")
    for number in range(4):
        await create(one, f"urn:ngsi-ld:Device:{number}")
    await receiver.wait(4)
    await brokers.stop(one)
    receiver.received.clear()
    async with opened_brokers(brokers.uri, brokers.database) as former:
        store = await former.open_store()
        for name in await store.cursors():
            if name.startswith(WATERMARK):
                await store.drop_cursor(name)
        await store.save_cursors({WATERMARK: 2})
        await store.delete_document("delivery", "", subscription)
    one = await brokers.open()
    await receiver.wait(2)
    await receiver.silence()
    assert [each.entity_ids for each in receiver.received] == [["urn:ngsi-ld:Device:2"], ["urn:ngsi-ld:Device:3"]]
    cursors = await one.broker.store.cursors()
    assert WATERMARK not in cursors
    assert {f"{WATERMARK}/{share}" for share in range(SHARES)} <= cursors.keys()


async def test_what_a_subscription_of_another_broker_misses_is_on_record_before_the_log_is_trimmed(
    brokers: Brokers, receiver: Receiver
) -> None:
    one, other, subscription = await pair(brokers)
    receiver.status["/"] = 503
    await subscribe(one, subscription, f"{receiver.url}/")
    first = await one.broker.store.head()
    for number in range(4):
        await create(one, f"urn:ngsi-ld:Device:{number}")

    async def is_guarded() -> bool:
        return f"{WATERMARK}//{subscription}" in await one.broker.store.cursors()

    await eventually(is_guarded)
    await asyncio.sleep(0.5)
    retention = Retention(
        other.broker.store, Bounds(keep_changes=1, bound_changes=1), tell=other.broker.dispatcher.overtaken
    )
    assert await retention.trim() == first + 3
    (gap,) = (await deliveries(other, subscription))["summary"]["missed"]
    assert (gap["after"], gap["through"], gap["owedNotifications"]) == (first, first + 3, 3)
    assert await one.broker.store.list_documents("overtaken") == []


async def test_a_share_that_another_process_has_had_is_written_no_more(
    brokers: Brokers,
    receiver: Receiver,
    mongo_client: MongoClient[dict[str, object]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As where a process was frozen, and wakes up when its lease has run out and somebody else has had it."""
    one = await brokers.open()
    store, subscription = one.broker.store, subscription_in(5)
    await subscribe(one, subscription, f"{receiver.url}/")
    await create(one, "urn:ngsi-ld:Device:1")
    await receiver.wait(1)

    async def is_on_record() -> bool:
        cursors = await store.cursors()
        document = await store.get_document("delivery", "", subscription)
        return cursors[f"{WATERMARK}/5"] == await store.head() and bool(document and document.get("timesSent") == 1)

    await eventually(is_on_record)
    before = await store.cursors(), await store.get_document("delivery", "", subscription)
    taken = {"$set": {"holder": "another", "until": datetime.now(UTC) + timedelta(minutes=1)}, "$inc": {"epoch": 1}}
    mongo_client[brokers.database]["leases"].update_one({"_id": f"{WATERMARK}/5"}, taken)
    await create(one, "urn:ngsi-ld:Device:2")

    async def is_given_up() -> bool:
        return 5 not in shares_of(one)

    await eventually(is_given_up)
    monkeypatch.setattr(errands, "UNTAKEN_SECONDS", 0.5)
    answer = await one.request("GET", f"{one.url}/tsunagu/v1/subscriptions/{subscription}/deliveries")
    assert answer.status == 503
    assert (await store.cursors())[f"{WATERMARK}/5"] == before[0][f"{WATERMARK}/5"]
    assert await store.get_document("delivery", "", subscription) == before[1]
    mongo_client[brokers.database]["leases"].update_one(
        {"_id": f"{WATERMARK}/5"}, {"$set": {"holder": "", "until": datetime(1970, 1, 1, tzinfo=UTC)}}
    )
    await brokers.settled(one)
    await create(one, "urn:ngsi-ld:Device:3")

    async def all_came() -> bool:
        return {key[1][-1] for key in told(receiver)} == {"1", "2", "3"}

    await eventually(all_came)


async def test_a_stream_of_one_broker_tells_what_goes_through_another_in_the_same_order(brokers: Brokers) -> None:
    one, other = await brokers.open(), await brokers.open()
    query = "type=Device&format=simplified"
    async with (
        event_source(one.session, one.url, query) as here,
        event_source(other.session, other.url, query) as there,
    ):
        await create(one, "urn:ngsi-ld:Device:1", 0)
        for level in range(1, 20):
            await set_level((one, other)[level % 2], "urn:ngsi-ld:Device:1", level)
        mine, theirs = await here.take(20), await there.take(20)
    assert [event.entity["level"] for event in mine] == list(range(20))
    assert [event.id for event in theirs] == [event.id for event in mine]
    assert [event.data["data"] for event in theirs] == [event.data["data"] for event in mine]
