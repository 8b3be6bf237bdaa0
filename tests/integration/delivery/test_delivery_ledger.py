"""The ledger of a subscription's deliveries over HTTP: what arrived, what failed and why, what waits; replays and dry runs."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
from api import Answer, Api, running_api
from delivery_desk import Receiver, Refusing, eventually

from broker import metrics
from broker.delivery import course as courses
from broker.delivery import redelivery
from broker.store.protocol import Store
from broker.store.retention import Bounds, Retention

BAD = "urn:ngsi-ld:Device:bad"
GOOD = "urn:ngsi-ld:Device:good"
SUBSCRIPTION = "urn:ngsi-ld:Subscription:1"


@pytest.fixture(autouse=True)
def no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courses, "FIRST_PAUSE", 0.005)
    monkeypatch.setattr(courses, "LONGEST_PAUSE", 0.05)


@pytest.fixture
async def api(store: Store) -> AsyncIterator[Api]:
    async with running_api(store) as one:
        yield one


def where(api: Api, rest: str = "", subscription: str = SUBSCRIPTION) -> str:
    return f"{api.url}/tsunagu/v1/subscriptions/{quote(subscription, safe=':')}/deliveries{rest}"


async def subscribe(api: Api, uri: str, tenant: str | None = None, **members: Any) -> None:
    document = {
        "id": SUBSCRIPTION,
        "type": "Subscription",
        "entities": [{"type": "Device"}],
        "notification": {"endpoint": {"uri": uri}},
        **members,
    }
    headers = {} if tenant is None else {"NGSILD_Tenant": tenant}
    answer = await api.post("subscriptions", document, **headers)
    assert answer.status == 201, answer.body


async def create(api: Api, entity_id: str, level: int = 1, **headers: str) -> None:
    entity = {"id": entity_id, "type": "Device", "level": {"type": "Property", "value": level}}
    answer = await api.post("entities", entity, **headers)
    assert answer.status == 201, answer.body


async def set_level(api: Api, entity_id: str, level: int) -> None:
    answer = await api.patch(f"entities/{entity_id}/attrs", {"level": {"type": "Property", "value": level}})
    assert answer.status == 204, answer.body


async def listed(api: Api, query: str = "") -> Any:
    answer = await api.get(where(api, query))
    assert answer.status == 200, answer.body
    return answer.json


async def in_state(api: Api, state: str, number: int, seconds: float = 10.0) -> list[dict[str, Any]]:
    """The deliveries in a state, as soon as there are so many."""

    async def found() -> list[dict[str, Any]]:
        deliveries = (await listed(api, f"?state={state}"))["deliveries"]
        return deliveries if len(deliveries) == number else []

    return await eventually(found, seconds=seconds)


def holding(answer: Answer) -> dict[str, bool]:
    return {each["condition"]: each["holds"] for each in answer.json["conditions"]}


async def test_the_ledger_shows_what_arrived_and_what_was_refused_with_the_reason(api: Api, refusing: Refusing) -> None:
    refusing.refused.add(BAD)
    await subscribe(api, f"{refusing.url}/")
    await create(api, BAD)
    await create(api, GOOD)
    (arrived,) = await in_state(api, "delivered", 1)
    (failed,) = await in_state(api, "failed", 1)
    assert arrived["notificationId"] == refusing.received[0].body["id"]
    assert (arrived["entityIds"], arrived["entityCount"]) == ([GOOD], 1)
    assert failed["entityIds"] == [BAD]
    assert failed["lastFailure"]["kind"] == "status"
    assert failed["lastFailure"]["status"] == 400
    assert failed["attempts"] == refusing.refusals
    assert failed["changedAt"] <= failed["firstFailure"]["at"] <= failed["lastFailure"]["at"] <= failed["setAsideAt"]
    ledger = await listed(api)
    summary = ledger["summary"]
    assert ledger["subscriptionId"] == SUBSCRIPTION
    assert (summary["failed"], summary["pending"], summary["delivered"]) == (1, 0, 1)
    assert summary["lag"] == {"changes": 0, "seconds": 0.0}
    assert (summary["dropped"], summary["missed"]) == (0, [])
    assert [each["state"] for each in ledger["deliveries"]] == ["failed", "delivered"]
    one = await api.get(where(api, f"/{failed['notificationId']}"))
    assert one.json == failed
    standard = (await api.get(f"subscriptions/{SUBSCRIPTION}")).json
    assert set(standard["notification"]) <= {
        "endpoint", "format", "status", "timesSent", "timesFailed", "lastNotification", "lastSuccess", "lastFailure",
    }  # fmt: skip


async def test_what_waits_for_a_receiver_is_pending_with_the_reason_and_the_lag(api: Api, receiver: Receiver) -> None:
    await receiver.stop()
    await subscribe(api, f"http://127.0.0.1:{receiver.port}/")
    for number in range(3):
        await create(api, f"urn:ngsi-ld:Device:{number}")

    async def tried() -> list[dict[str, Any]]:
        deliveries = (await listed(api, "?state=pending"))["deliveries"]
        return deliveries if len(deliveries) == 3 and all("lastFailure" in one for one in deliveries) else []

    pending = await eventually(tried)
    assert [one["entityIds"] for one in pending] == [[f"urn:ngsi-ld:Device:{number}"] for number in range(3)]
    assert pending[0]["lastFailure"]["kind"] == "refused"
    assert pending[0]["attempts"] >= 1
    summary = (await listed(api))["summary"]
    assert summary["pending"] == 3
    assert summary["lag"]["changes"] == 3
    assert summary["lag"]["seconds"] > 0
    assert summary["lastFailureReason"].startswith("refused")
    again = await api.get(where(api, f"/{pending[0]['notificationId']}"))
    assert again.json["state"] == "pending"
    replayed = await api.post(where(api, "/replay"), {"notificationId": pending[0]["notificationId"]})
    assert replayed.status == 409

    async def is_measured() -> bool:
        return bool(metrics.delivery_lag_seconds._value.get() > 0)

    await eventually(is_measured)


async def test_the_ledger_is_paged_and_filtered_by_state(api: Api, receiver: Receiver) -> None:
    await subscribe(api, f"{receiver.url}/")
    for number in range(5):
        await create(api, f"urn:ngsi-ld:Device:{number}")
    await in_state(api, "delivered", 5)
    answer = await api.get(where(api, "?state=delivered,failed&limit=2&offset=2&count=true"))
    assert [one["entityIds"][0][-1] for one in answer.json["deliveries"]] == ["2", "1"]
    assert answer.headers["NGSILD-Results-Count"] == "5"
    assert 'rel="next"' in answer.headers["Link"]
    assert 'rel="prev"' in answer.headers["Link"]
    assert (await api.get(where(api, "?state=pending"))).json["deliveries"] == []
    assert (await api.get(where(api, "?state=lost"))).status == 400
    assert (await api.get(where(api, "?bogus=1"))).status == 400


async def test_one_that_was_set_aside_is_replayed_with_its_own_id_and_leaves_the_store(
    api: Api, refusing: Refusing
) -> None:
    refusing.refused.add(BAD)
    await subscribe(api, f"{refusing.url}/")
    await create(api, BAD)
    (failed,) = await in_state(api, "failed", 1)
    name = failed["notificationId"]
    again = await api.post(where(api, "/replay"), {"notificationId": name})
    assert (again.status, again.json["delivered"]) == (200, False)
    assert again.json["failure"]["status"] == 400
    assert (await in_state(api, "failed", 1))[0]["attempts"] == failed["attempts"] + 1
    refusing.refused.clear()
    again = await api.post(where(api, "/replay"), {"notificationId": name})
    assert again.json == {"notificationId": name, "delivered": True}
    (got,) = await refusing.wait(1)
    assert (got.body["id"], got.entity_ids) == (name, [BAD])
    assert (await listed(api))["summary"]["failed"] == 0
    once_more = await api.post(where(api, "/replay"), {"notificationId": name})
    assert once_more.json["delivered"]
    assert [one.body["id"] for one in await refusing.wait(2)] == [name, name]
    unknown = await api.post(where(api, "/replay"), {"notificationId": "urn:ngsi-ld:Notification:none"})
    assert unknown.status == 404


async def test_a_window_is_replayed_in_order_from_the_log_and_from_what_was_set_aside(
    api: Api, refusing: Refusing
) -> None:
    refusing.refused.add(BAD)
    await create(api, "urn:ngsi-ld:Device:before")
    await subscribe(api, f"{refusing.url}/")
    start = (await api.get("entities/urn:ngsi-ld:Device:before?options=sysAttrs")).json["createdAt"]
    await create(api, GOOD)
    await create(api, BAD)
    await set_level(api, GOOD, 2)
    await in_state(api, "failed", 1)
    before = await refusing.wait(2)
    refusing.refused.clear()
    refusing.received.clear()
    run = (await api.post(where(api, "/replay"), {"from": start})).json
    got = await refusing.wait(4)
    assert [one.entity_ids[0] for one in got] == ["urn:ngsi-ld:Device:before", GOOD, BAD, GOOD]
    assert [one.body["id"] for one in got] == run["delivered"]
    assert {one.body["id"] for one in before} < set(run["delivered"])
    assert (run["failed"], run["examinedChanges"]) == ([], 4)
    assert "next" not in run
    assert (await listed(api))["summary"]["failed"] == 0
    empty = await api.post(where(api, "/replay"), {"from": "2001-01-01T00:00:00Z", "to": "2001-01-02T00:00:00Z"})
    assert empty.json["delivered"] == []


async def test_a_long_replay_says_where_to_go_on_and_stops_where_nobody_answers(
    api: Api, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redelivery, "MOST", 2)
    await subscribe(api, f"{receiver.url}/")
    for number in range(5):
        await create(api, f"urn:ngsi-ld:Device:{number}")
    first = await receiver.wait(5)
    await in_state(api, "delivered", 5)
    receiver.received.clear()
    request, runs = {"from": "2001-01-01T00:00:00Z"}, 0
    while request is not None:
        run = (await api.post(where(api, "/replay"), request)).json
        request, runs = run.get("next"), runs + 1
    assert runs == 3
    assert sorted(one.body["id"] for one in receiver.received) == sorted(one.body["id"] for one in first)
    await receiver.stop()
    run = (await api.post(where(api, "/replay"), {"from": "2001-01-01T00:00:00Z"})).json
    assert [each["failure"]["kind"] for each in run["failed"]] == ["refused"]
    assert run["next"]["after"] == 0


async def test_two_replays_of_a_subscription_do_not_run_at_the_same_time(api: Api, receiver: Receiver) -> None:
    await create(api, GOOD)
    receiver.hold.add("/")
    await subscribe(api, f"{receiver.url}/")
    window = {"from": "2001-01-01T00:00:00Z"}
    first = asyncio.create_task(api.post(where(api, "/replay"), window))
    await asyncio.sleep(0.3)
    assert (await api.post(where(api, "/replay"), window)).status == 409
    receiver.release.set()
    assert len((await first).json["delivered"]) == 1
    assert (await api.post(where(api, "/replay"), window)).status == 200


async def test_a_replay_ends_with_its_subscription(api: Api, receiver: Receiver) -> None:
    for number in range(3):
        await create(api, f"urn:ngsi-ld:Device:{number}")
    receiver.hold.add("/")
    await subscribe(api, f"{receiver.url}/")
    run = asyncio.create_task(api.post(where(api, "/replay"), {"from": "2001-01-01T00:00:00Z"}))
    await asyncio.sleep(0.3)
    assert (await api.delete(f"subscriptions/{SUBSCRIPTION}")).status == 204
    receiver.release.set()
    await run
    await asyncio.sleep(0.7)
    assert len(receiver.received) == 1
    assert await api.broker.store.list_documents("delivery") == []


async def test_a_notification_that_was_set_aside_can_be_discarded(api: Api, refusing: Refusing) -> None:
    refusing.refused.add(BAD)
    await subscribe(api, f"{refusing.url}/")
    await create(api, BAD)
    (failed,) = await in_state(api, "failed", 1)
    path = where(api, f"/{failed['notificationId']}")
    assert (await api.delete(path)).status == 204
    assert (await api.delete(path)).status == 404
    assert (await api.get(path)).status == 404
    assert (await listed(api))["deliveries"] == []


async def test_a_dry_run_explains_each_condition(api: Api, receiver: Receiver) -> None:
    await subscribe(
        api,
        f"{receiver.url}/",
        watchedAttributes=["level"],
        q="level>5",
        scopeQ="/city/#",
        geoQ={"georel": "near;maxDistance==10", "geometry": "Point", "coordinates": [1, 1]},
        isActive=False,
    )
    await create(api, GOOD, 3)
    answer = await api.post(where(api, "/explain"), {"entityId": GOOD})
    assert answer.status == 200, answer.body
    assert not answer.json["notifies"]
    assert answer.json["change"]["touched"] == [{"attribute": "level", "trigger": "attributeUpdated"}]
    assert holding(answer) == {
        "status": False,
        "expiresAt": True,
        "since": True,
        "timeInterval": True,
        "entity": True,
        "entities": True,
        "watchedAttributes": True,
        "notificationTrigger": True,
        "q": False,
        "geoQ": False,
        "scopeQ": False,
        "throttling": True,
    }
    unwatched = await api.post(where(api, "/explain"), {"entityId": GOOD, "attributes": ["other"]})
    assert not holding(unwatched)["watchedAttributes"]
    deleted = await api.post(where(api, "/explain"), {"entityId": GOOD, "trigger": "attributeDeleted"})
    assert not holding(deleted)["notificationTrigger"]
    await receiver.silence(0.1)


async def test_a_dry_run_of_a_change_agrees_with_what_is_notified(api: Api, receiver: Receiver) -> None:
    await create(api, "urn:ngsi-ld:Device:early", 9)
    await subscribe(api, f"{receiver.url}/", q="level>5", throttling=60)
    for number, level in enumerate((3, 9, 5, 7)):
        await create(api, f"urn:ngsi-ld:Device:{number}", level)
    await in_state(api, "delivered", 1)
    head = await api.broker.store.head()
    answers = [await api.post(where(api, "/explain"), {"position": head - 4 + number}) for number in range(5)]
    assert [answer.json["notifies"] for answer in answers] == [False, False, True, False, True]
    assert [holding(answer)["since"] for answer in answers] == [False, True, True, True, True]
    assert [holding(answer)["q"] for answer in answers] == [True, False, True, False, True]
    assert not holding(answers[4])["throttling"]
    assert answers[4].json["change"]["position"] == head
    assert (await api.post(where(api, "/explain"), {"position": head + 1})).status == 404


@pytest.mark.parametrize(
    ("rest", "body"),
    [
        ("/replay", {}),
        ("/replay", {"from": "yesterday"}),
        ("/replay", {"from": 7}),
        ("/replay", {"from": "2001-01-02T00:00:00Z", "to": "2001-01-01T00:00:00Z"}),
        ("/replay", {"from": "2001-01-02T00:00:00Z", "after": -1}),
        ("/replay", {"from": "2001-01-02T00:00:00Z", "after": True}),
        ("/replay", {"notificationId": "no uri"}),
        ("/replay", {"notificationId": "urn:n:1", "from": "2001-01-02T00:00:00Z"}),
        ("/replay", {"unknown": 1}),
        ("/replay", []),
        ("/explain", {}),
        ("/explain", {"entityId": 1}),
        ("/explain", {"entityId": GOOD, "attributes": []}),
        ("/explain", {"entityId": GOOD, "attributes": "level"}),
        ("/explain", {"entityId": GOOD, "trigger": "entityCreated"}),
        ("/explain", {"position": "1"}),
        ("/explain", {"position": 2**63}),
        ("/explain", {"position": 1, "entityId": GOOD}),
    ],
)
async def test_requests_that_make_no_sense_are_refused(store: Store, rest: str, body: Any, receiver: Receiver) -> None:
    async with running_api(store) as api:
        await subscribe(api, f"{receiver.url}/")
        answer = await api.post(where(api, rest), body)
        assert answer.status == 400, answer.body


async def test_unknown_subscriptions_tenants_paths_and_verbs(api: Api, receiver: Receiver) -> None:
    await subscribe(api, f"{receiver.url}/", tenant="tokyo")
    assert (await api.get(where(api), NGSILD_Tenant="tokyo")).status == 200
    assert (await api.get(where(api))).status == 404
    assert (await api.get(where(api), NGSILD_Tenant="nowhere")).status == 404
    assert (await api.get(where(api, subscription="no uri"))).status == 400
    assert (await api.get(f"{api.url}/tsunagu/v1/entities")).status == 404
    assert (await api.get(f"subscriptions/{SUBSCRIPTION}/deliveries")).status == 404
    wrong = await api.post(where(api), {})
    assert (wrong.status, wrong.headers["Allow"]) == (405, "GET")
    assert (await api.get(where(api, "/replay"))).status == 405


async def test_another_tenants_changes_are_neither_explained_nor_replayed(api: Api, receiver: Receiver) -> None:
    await create(api, GOOD, NGSILD_Tenant="kyoto")
    await subscribe(api, f"{receiver.url}/")
    position = await api.broker.store.head()
    assert (await api.post(where(api, "/explain"), {"position": position})).status == 404
    assert (await api.post(where(api, "/replay"), {"from": "2001-01-01T00:00:00Z"})).json["delivered"] == []


async def test_a_subscription_that_falls_out_of_retention_says_what_it_missed(api: Api, receiver: Receiver) -> None:
    await receiver.stop()
    await subscribe(api, f"http://127.0.0.1:{receiver.port}/")
    first = await api.broker.store.head()
    for number in range(4):
        await create(api, f"urn:ngsi-ld:Device:{number}")

    async def is_guarded() -> bool:
        pending, _ = api.broker.dispatcher.owed("", SUBSCRIPTION)
        return pending == 4 and f"delivery//{SUBSCRIPTION}" in await api.broker.store.cursors()

    await eventually(is_guarded)
    ats = [change.at for change in await api.broker.store.changes(first, 3)]
    bounds = Bounds(keep_changes=1, bound_changes=1)
    retention = Retention(api.broker.store, bounds, tell=api.broker.dispatcher.overtaken)
    assert await retention.trim() == first + 3
    gap = {
        "after": first,
        "through": first + 3,
        "owedNotifications": 3,
        "unreadChanges": 0,
        "from": ats[0],
        "to": ats[2],
    }
    assert (await listed(api))["summary"]["missed"] == [gap]
    ((_, _, stored),) = await api.broker.store.list_documents("delivery")
    assert stored["missed"] == [gap]
    run = (await api.post(where(api, "/replay"), {"from": "2001-01-01T00:00:00Z"})).json
    assert run["logBeginsBehind"] == first + 3


async def test_a_subscription_tells_of_changes_that_were_trimmed_while_the_broker_was_down(
    store: Store, receiver: Receiver
) -> None:
    await receiver.stop()
    async with running_api(store) as api:
        await subscribe(api, f"http://127.0.0.1:{receiver.port}/")
        first = await store.head()
        await create(api, "urn:ngsi-ld:Device:1")
        await create(api, "urn:ngsi-ld:Device:2")
    await store.trim(first + 2)
    async with running_api(store) as api:

        async def is_told() -> Any:
            return (await listed(api))["summary"]["missed"]

        (gap,) = await eventually(is_told)
        assert gap["through"] == first + 2
        assert gap["owedNotifications"] + gap["unreadChanges"] == 2
        assert "from" not in gap
