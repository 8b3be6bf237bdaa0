"""Two brokers on one MongoDB behave as one: what is done through either is so for both, and duties are done once."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from api import Api, running_api
from context_web import context_web
from snapshot_receiver import receiving

from broker import metrics
from broker.model.instants import canonical
from broker.store.mongo.store import MongoStore

pytestmark = pytest.mark.mongo

LIVE_SECONDS = 1.0
"""Within which what is done through one broker is live in the other."""
PATIENCE = 3.0
"""How many times as long it may take while the machine is busy with other things."""


@pytest.fixture
async def brokers(mongodb_uri: str, empty_mongo_database: str) -> AsyncIterator[tuple[Api, Api]]:
    """Two of them, of which the first has all duties."""
    async with (
        opened(mongodb_uri, empty_mongo_database) as one,
        opened(mongodb_uri, empty_mongo_database) as two,
        running_api(one) as first,
        running_api(two) as second,
    ):
        yield first, second


@asynccontextmanager
async def opened(uri: str, database: str) -> AsyncIterator[MongoStore]:
    store = MongoStore(uri, database)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def soon(condition: Callable[[], Awaitable[Any]]) -> None:
    """The condition becomes true within a second, or what stands for it on a busy machine."""
    async with asyncio.timeout(LIVE_SECONDS * PATIENCE):
        while not await condition():  # noqa: ASYNC110 - what a client can only look at has no event
            await asyncio.sleep(0.01)


def registration(number: int, **members: Any) -> dict[str, Any]:
    return {
        "id": f"urn:ngsi-ld:ContextSourceRegistration:{number}",
        "type": "ContextSourceRegistration",
        "endpoint": "http://source.example",
        "information": [{"entities": [{"type": "Vehicle"}]}],
        **members,
    }


async def test_5_9_2_a_registration_made_through_one_broker_is_in_force_in_the_other(brokers: tuple[Api, Api]) -> None:
    first, second = brokers
    made = registration(1)
    for there, elsewhere in ((first, second), (second, first)):
        path = f"csourceRegistrations/{made['id']}"

        async def known(api: Api = elsewhere) -> list[str | None]:
            return [each.document.get("description") for each in api.broker.registry.registrations("")]

        assert (await there.post("csourceRegistrations", made)).status == 201
        assert (await elsewhere.get(path)).status == 200
        assert len((await elsewhere.get("csourceRegistrations?type=Vehicle")).json) == 1
        assert (await elsewhere.post("csourceRegistrations", made)).status == 409
        await soon(lambda known=known: _is(known, [None]))
        assert (await elsewhere.patch(path, {"description": "changed"})).status == 204
        assert (await there.get(path)).json["description"] == "changed"
        await soon(lambda known=known: _is(known, ["changed"]))
        assert (await there.delete(path)).status == 204
        assert (await elsewhere.get(path)).status == 404
        await soon(lambda known=known: _is(known, []))


async def _is(looked_at: Callable[[], Awaitable[Any]], value: Any) -> bool:
    return bool(await looked_at() == value)


async def test_4_3_6_3_two_brokers_do_not_accept_registrations_that_exclude_each_other(
    brokers: tuple[Api, Api],
) -> None:
    information = [{"entities": [{"id": "urn:ngsi-ld:Vehicle:1", "type": "Vehicle"}], "propertyNames": ["speed"]}]
    asked = [
        brokers[number % 2].post(
            "csourceRegistrations", registration(number, mode="exclusive", information=information)
        )
        for number in range(6)
    ]
    answers = await asyncio.gather(*asked)
    assert sorted(answer.status for answer in answers) == [201, *[409] * 5]


async def test_5_9_3_and_5_8_2_changes_through_both_brokers_at_once_build_on_each_other(
    brokers: tuple[Api, Api],
) -> None:
    subscription = {
        "id": "urn:ngsi-ld:Subscription:1",
        "type": "Subscription",
        "entities": [{"type": "Vehicle"}],
        "notification": {"endpoint": {"uri": "http://127.0.0.1:9/"}},
    }
    assert (await brokers[0].post("csourceRegistrations", registration(1))).status == 201
    assert (await brokers[0].post("subscriptions", subscription)).status == 201
    assert (await brokers[0].post("csourceSubscriptions", subscription)).status == 201
    changes = {
        f"csourceRegistrations/{registration(1)['id']}": [{"description": "d"}, {"registrationName": "n"}],
        f"subscriptions/{subscription['id']}": [{"description": "d"}, {"subscriptionName": "n"}],
        f"csourceSubscriptions/{subscription['id']}": [{"description": "d"}, {"subscriptionName": "n"}],
    }
    for path, fragments in changes.items():
        for turn in range(5):
            told = [{name: f"{value}{turn}" for name, value in each.items()} for each in fragments]
            answers = await asyncio.gather(
                *(api.patch(path, fragment) for api, fragment in zip(brokers, told, strict=True))
            )
            assert [answer.status for answer in answers] == [204, 204]
            found = (await brokers[turn % 2].get(path)).json
            assert all(found[name] == value for each in told for name, value in each.items()), found


async def test_5_11_7_subscribers_to_registrations_are_told_once_whoever_is_asked(brokers: tuple[Api, Api]) -> None:
    first, second = brokers
    async with receiving() as receiver:
        subscription = {
            "id": "urn:ngsi-ld:Subscription:1",
            "type": "Subscription",
            "entities": [{"type": "Vehicle"}],
            "notification": {"endpoint": {"uri": receiver.url}},
        }
        assert (await second.post("csourceSubscriptions", subscription)).status == 201
        assert (await second.post("csourceRegistrations", registration(1))).status == 201
        await receiver.wait(1)
        assert (await first.post("csourceRegistrations", registration(2))).status == 201
        await receiver.wait(2)
        assert (await second.patch(f"csourceRegistrations/{registration(1)['id']}", {"description": "x"})).status == 204
        await receiver.wait(3)
        assert (await second.delete(f"csourceRegistrations/{registration(1)['id']}")).status == 204
        await receiver.wait(4)
        assert (await first.delete(f"csourceRegistrations/{registration(2)['id']}")).status == 204
        await receiver.wait(5)
        told = [
            (each.body["triggerReason"], [one["id"][-1] for one in each.body["data"]]) for each in receiver.received
        ]
        assert told == [
            ("newlyMatching", ["1"]),
            ("newlyMatching", ["2"]),
            ("updated", ["1"]),
            ("noLongerMatching", ["1"]),
            ("noLongerMatching", ["2"]),
        ]
        path = f"csourceSubscriptions/{subscription['id']}"

        async def counted(api: Api) -> bool:
            return bool((await api.get(path)).json["notification"].get("timesSent") == 5)

        await soon(lambda: counted(first))
        await soon(lambda: counted(second))
        store = first.broker.store
        await soon(lambda: _is(lambda: store.list_documents("formerRegistration"), []))
        assert (await second.delete(path)).status == 204
        assert (await first.get(path)).status == 404
        assert (await first.post("csourceRegistrations", registration(3))).status == 201
        await asyncio.sleep(0.3)
        assert len(receiver.received) == 5
        await soon(lambda: _is(lambda: store.list_documents("registrationDelivery"), []))


async def test_5_13_what_becomes_of_a_hosted_context_is_so_for_both_brokers(brokers: tuple[Api, Api]) -> None:
    first, second = brokers
    made = await first.post("jsonldContexts", {"@context": {"speed": "https://example.org/speed"}})
    path = made.headers["Location"].partition("/ngsi-ld/v1/")[2]
    link = f"<{path if path.startswith('http') else first.url + '/ngsi-ld/v1/' + path}>"
    link = f'{link}; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"'
    vehicle = {"id": "urn:ngsi-ld:Vehicle:1", "type": "Vehicle", "speed": {"type": "Property", "value": 1}}
    assert (await second.post("entities", vehicle, Link=link)).status == 201
    assert "https://example.org/speed" in (await second.get("entities/urn:ngsi-ld:Vehicle:1")).json
    assert (await first.delete(path)).status == 204

    async def refused() -> bool:
        return (await second.get("entities/urn:ngsi-ld:Vehicle:1", Link=link)).status != 200

    await soon(refused)


async def test_5_13_5_4_a_cached_context_that_one_broker_reloads_is_the_new_one_for_both(
    brokers: tuple[Api, Api],
) -> None:
    first, second = brokers
    async with context_web() as source:
        url = source.put("speeds", {"speed": "https://example.org/old"})
        headers = {"Link": f'<{url}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"'}

        async def meant(api: Api) -> bool:
            """Whether `speed` means the new name: a vehicle that has that shows so."""
            found = await api.request("GET", "entities/urn:ngsi-ld:Vehicle:1", headers=headers)
            return "speed" in found.json

        vehicle = {"id": "urn:ngsi-ld:Vehicle:1", "type": "Vehicle", "https://example.org/new": {"value": 1}}
        vehicle["https://example.org/new"]["type"] = "Property"
        assert (await first.post("entities", vehicle)).status == 201
        assert [await meant(api) for api in brokers] == [False, False]
        source.put("speeds", {"speed": "https://example.org/new"})
        assert (await first.delete(f"jsonldContexts/{quote(url, safe='')}?reload=true")).status == 204
        await soon(lambda: meant(first))
        await soon(lambda: meant(second))
        assert source.hits["speeds"] == 2, "the other broker has it from the store"


async def test_the_metrics_show_who_does_what(brokers: tuple[Api, Api]) -> None:
    """Both brokers are in this process, so that the metrics are of both: of each duty there is one."""

    def shown(duty: str) -> float | None:
        return metrics.REGISTRY.get_sample_value("tsunagu_duty", {"duty": duty})

    assert [shown(duty) for duty in ("history", "registrations", "snapshots", "upkeep")] == [1, 1, 1, 1]

    async def both_known() -> bool:
        return metrics.REGISTRY.get_sample_value("tsunagu_processes") == 2

    await soon(both_known)


async def test_4_22_what_expires_is_removed_once(brokers: tuple[Api, Api]) -> None:
    first, second = brokers
    soon_over = canonical(datetime.now(UTC) + timedelta(seconds=1))
    ids = [f"urn:ngsi-ld:Vehicle:{number}" for number in range(20)]
    given = [{"id": each, "type": "Vehicle", "expiresAt": soon_over} for each in ids]
    assert (await second.post("entityOperations/create", given)).status == 201
    store = first.broker.store
    async with asyncio.timeout(15):
        while len(await store.changes(0, 1000)) < 40:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)
    removed = [change.entity_id for change in await store.changes(0, 1000) if change.after is None]
    assert sorted(removed) == sorted(ids)


async def test_a_temporal_request_to_either_broker_sees_what_was_written_through_either(
    brokers: tuple[Api, Api],
) -> None:
    path = "urn:ngsi-ld:Vehicle:1"
    vehicle = {"id": path, "type": "Vehicle", "speed": {"type": "Property", "value": 0}}
    assert (await brokers[0].post("entities", vehicle)).status == 201
    waited = []
    for number in range(1, 9):
        writer, reader = brokers[number % 2], brokers[number // 2 % 2]
        fragment = {"speed": {"type": "Property", "value": number}}
        assert (await writer.patch(f"entities/{path}/attrs", fragment)).status == 204
        begun = time.monotonic()
        answer = await reader.get(f"temporal/entities/{path}?options=temporalValues")
        waited.append(time.monotonic() - begun)
        assert [value for value, _ in answer.json["speed"]["values"]] == list(range(number + 1))
    assert sorted(waited)[len(waited) // 2] < 1, waited


async def test_5_16_1_a_snapshot_made_through_one_broker_is_prepared_by_the_other(brokers: tuple[Api, Api]) -> None:
    first, second = brokers
    assert (await first.post("entities", {"id": "urn:ngsi-ld:Vehicle:1", "type": "Vehicle"})).status == 201
    async with receiving() as receiver:
        given = {
            "id": "urn:s:1",
            "type": "Snapshot",
            "snapshotQueries": [{"type": "Query", "entities": [{"type": "Vehicle"}]}],
            "endpoint": receiver.url,
        }
        assert (await second.post("snapshots", given)).status == 201

        async def prepared() -> bool:
            return bool((await second.get("snapshots/urn:s:1")).json["snapshotStatus"] == "success")

        await soon(prepared)
        for api in brokers:
            found = (await api.request("GET", "entities?type=Vehicle", headers={"NGSILD-Snapshot": "urn:s:1"})).json
            assert [each["id"] for each in found] == ["urn:ngsi-ld:Vehicle:1"]
        await receiver.wait(1)
        assert (await second.patch("snapshots/urn:s:1", {"snapshotPriority": 3})).status in (200, 204)
        assert (await receiver.wait(2))[1].body["snapshotPriority"] == 3
        assert (await second.delete("snapshots/urn:s:1")).status == 204
        assert (await first.get("snapshots/urn:s:1")).status == 404
        await receiver.wait(3)

        async def told_on_record() -> bool:
            found = await first.broker.store.list_documents("formerSnapshot")
            return all("notice" not in former for _, _, former in found)

        await soon(told_on_record)
        await asyncio.sleep(0.2)
        assert len(receiver.received) == 3
