"""What a kill leaves of snapshots is taken up at the next start, and what is deleted is erased completely (5.16.1, 5.16.5).

A kill is played by what it leaves on record; tests/faults/test_snapshot_kill.py kills real processes.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from api import Api, running_api
from held_leases import lease_of
from snapshot_receiver import inside, of_type, ready, receiving, snapshot_of, vehicle

from broker.delivery.mqtt import MqttPublisher
from broker.egress.http import OutboundHttp
from broker.egress.policy import EgressPolicy
from broker.errors import StoreUnavailable
from broker.model.dataspace import origin_of, snapshot_space
from broker.model.entity import JsonObject
from broker.operations.archive import SnapshotArchive
from broker.operations.entities import create_entity
from broker.operations.snapshots import create_snapshot, retrieve_snapshot
from broker.operations.temporal import history_caught_up
from broker.query.ast import EntityQuery
from broker.sharing.turns import Turns
from broker.store.protocol import Page, Store


async def document_of(store: Store, snapshot: JsonObject) -> JsonObject:
    document = await store.get_document("snapshot", "", snapshot["id"])
    assert document is not None
    return document


async def space_of(store: Store, snapshot: JsonObject) -> str:
    return snapshot_space("", snapshot["id"], (await document_of(store, snapshot))["space"])


async def until(condition: Any, seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - what can only be looked at has no event
            await asyncio.sleep(0.02)


async def all_spaces(store: Store) -> set[str]:
    """The keys of snapshots' spaces that anything is still kept in."""
    changes = await store.changes(0, 100_000)
    spaces = {change.tenant for change in changes if origin_of(change.tenant).snapshot is not None}
    spaces |= {space for space in spaces for _ in await store.list_documents("subscription", space)}
    return {space for space in spaces if await is_used(store, space)}


async def is_used(store: Store, space: str) -> bool:
    entities = await store.query(space, EntityQuery(), Page(1))
    return bool(
        entities.entities or await store.evolutions(space, (), 1) or await store.list_documents("subscription", space)
    )


@asynccontextmanager
async def with_grace(api: Api, grace: float) -> AsyncIterator[SnapshotArchive]:
    """The broker's archive, replaced by one that waits so long before it erases for the last time."""
    policy = EgressPolicy.parse("any")
    http, mqtt = OutboundHttp(policy), MqttPublisher(policy)
    await api.broker.archive._break_off()
    turns = Turns(api.broker.store, "test")
    archive = api.broker.archive = SnapshotArchive(api.broker, http, mqtt, turns, interval=0.05, grace=grace)
    serving = asyncio.create_task(archive.serve(await lease_of(api.broker.store)))

    async def at_work() -> bool:
        return archive._at_work

    try:
        await until(at_work)
        yield archive
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await http.close()


async def test_5_16_1_an_interrupted_preparation_begins_again_in_a_new_space(store: Store) -> None:
    async with running_api(store) as api:
        await api.post("entityOperations/create", [vehicle(1), vehicle(2)])
        snapshot = await snapshot_of(api)
        await inside(api, snapshot, "POST", "entities", vehicle("of the first attempt"))
    document = await document_of(store, snapshot)
    interrupted = {**document, "snapshotStatus": "preparing", "revision": 0, "told": 0}
    del interrupted["snapshotQueriesDetails"]
    await store.put_document("snapshot", "", snapshot["id"], interrupted)
    async with running_api(store) as api:
        again = await ready(api, f"snapshots/{snapshot['id']}")
        assert again["snapshotStatus"] == "success"
        assert again["createdAt"] == snapshot["createdAt"]
        found = (await inside(api, snapshot, "GET", "entities?type=Vehicle")).json
        assert [each["id"] for each in found] == ["urn:ngsi-ld:Vehicle:1", "urn:ngsi-ld:Vehicle:2"]
        renewed = await document_of(store, snapshot)
        assert renewed["space"] != document["space"]
        assert "former" not in renewed
        old = snapshot_space("", snapshot["id"], document["space"])

        async def erased() -> bool:
            return not await is_used(store, old)

        await until(erased)


async def test_5_16_2_an_interrupted_clone_begins_again_or_fails_where_its_source_is_gone(store: Store) -> None:
    async with running_api(store) as api:
        await api.post("entities", vehicle(1))
        source = await snapshot_of(api)
        clones = []
        for _ in range(2):
            made = await api.post(f"snapshots/{source['id']}/clone", {"type": "Snapshot"})
            clones.append(await ready(api, made.headers["Location"]))
    key = {"id": source["id"], "space": (await document_of(store, source))["space"]}
    for clone, space in zip(clones, (key["space"], "another"), strict=True):
        document = await document_of(store, clone)
        interrupted = {**document, "snapshotStatus": "preparing", "source": {**key, "space": space}}
        await store.put_document("snapshot", "", clone["id"], interrupted)
    async with running_api(store) as api:
        statuses = [(await ready(api, f"snapshots/{clone['id']}"))["snapshotStatus"] for clone in clones]
        assert statuses == ["success", "failure"]
        assert len((await inside(api, clones[0], "GET", "entities?type=Vehicle")).json) == 1
        assert (await inside(api, clones[1], "GET", "entities?type=Vehicle")).json == []


async def test_5_16_5_an_interrupted_deletion_is_finished_before_anything_is_notified(store: Store) -> None:
    async with running_api(store) as api:
        await api.post("entities", vehicle(1))
        snapshot = await snapshot_of(api)
        subscription = {"type": "Subscription", "notification": {"endpoint": {"uri": "http://127.0.0.1:9/"}}}
        assert (await inside(api, snapshot, "POST", "subscriptions", subscription)).status == 201
        await inside(api, snapshot, "PATCH", "entities/urn:ngsi-ld:Vehicle:1/attrs", {"speed": 1})
        await history_caught_up(api.broker)  # what the recorder adds later is erased when the time of grace is over
    document, space = await document_of(store, snapshot), await space_of(store, snapshot)
    former = {"snapshot": snapshot["id"], "at": document["modifiedAt"]}
    await store.put_document("formerSnapshot", "", document["space"], former)
    async with running_api(store) as api:
        assert await store.list_documents("subscription") == []

        async def gone() -> bool:
            return (await api.get(f"snapshots/{snapshot['id']}")).status == 404 and not await is_used(store, space)

        await until(gone)


async def test_5_16_5_a_deleted_snapshot_leaves_nothing_behind(store: Store) -> None:
    async with running_api(store) as api, with_grace(api, 0.3):
        await api.post("entityOperations/create", [vehicle(number) for number in range(700)])
        last = {"timerel": "before", "timeAt": "2030-01-01T00:00:00Z", "timeproperty": "createdAt"}
        snapshot = await snapshot_of(api, snapshotTemporalQueries=[of_type("Vehicle", temporalQ=last)])
        space = await space_of(store, snapshot)
        subscription = {"type": "Subscription", "notification": {"endpoint": {"uri": "http://127.0.0.1:9/"}}}
        await inside(api, snapshot, "POST", "subscriptions", subscription)
        await inside(api, snapshot, "PATCH", "entities/urn:ngsi-ld:Vehicle:1/attrs", {"speed": 1})
        assert await is_used(store, space)
        assert (await api.delete(f"snapshots/{snapshot['id']}")).status == 204

        async def forgotten() -> bool:
            return await store.list_documents("formerSnapshot") == []

        await until(forgotten, 30)
        assert not await is_used(store, space)
        assert await store.erase(space, 10) == 0
        for kind in ("snapshot", "snapshotUse", "subscription", "delivery"):
            assert await store.list_documents(kind) == []
        assert (await api.get("entities?type=Vehicle&count=true")).headers["NGSILD-Results-Count"] == "700"
        assert (await api.get("temporal/entities/urn:ngsi-ld:Vehicle:1")).status == 200


async def test_5_16_5_what_a_request_under_way_adds_after_the_deletion_is_erased_too(store: Store) -> None:
    async with running_api(store) as api, with_grace(api, 1.0):
        await api.post("entities", vehicle(1))
        snapshot = await snapshot_of(api)
        # As a request does that has entered the snapshot just before it was deleted.
        space = await api.broker.archive.enter("", snapshot["id"])
        assert (await api.delete(f"snapshots/{snapshot['id']}")).status == 204

        async def erased() -> bool:
            return not await is_used(store, space)

        await until(erased)
        names = (await api.broker.contexts.resolve(None)).names
        await create_entity(api.broker, space, vehicle("late"), names)
        assert await is_used(store, space)

        async def forgotten() -> bool:
            return await store.list_documents("formerSnapshot") == []

        await until(forgotten)
        assert not await is_used(store, space)


async def test_5_16_1_an_expired_snapshot_is_removed_by_itself(store: Store) -> None:
    async with running_api(store) as api, with_grace(api, 0.0):
        await api.post("entities", vehicle(1))
        snapshot = await snapshot_of(api, snapshotLifetime="PT1S")
        space = await space_of(store, snapshot)

        async def removed() -> bool:
            return await store.list_documents("snapshot") == [] and await store.list_documents("formerSnapshot") == []

        await until(removed)
        assert not await is_used(store, space)


async def test_5_16_5_a_snapshot_may_be_deleted_while_it_is_prepared(store: Store) -> None:
    # The grace covers the write that was under way when the preparation was broken off.
    async with running_api(store) as api, with_grace(api, 2.0):
        for place in range(0, 2000, 500):
            await api.post("entityOperations/create", [vehicle(n) for n in range(place, place + 500)])
        given = {"type": "Snapshot", "id": "urn:s:1", "snapshotQueries": [of_type("Vehicle")] * 5}
        for _ in range(3):
            assert (await api.post("snapshots", given)).status == 201
            await asyncio.sleep(0.05)
            assert (await api.delete("snapshots/urn:s:1")).status == 204

        async def forgotten() -> bool:
            return await store.list_documents("formerSnapshot") == []

        await until(forgotten, 30)
        assert await all_spaces(store) == set()
        assert await store.list_documents("snapshot") == []


async def test_5_16_1_a_preparation_that_another_broker_took_over_is_given_up(store: Store) -> None:
    async with running_api(store) as api:
        for place in range(0, 1000, 500):
            await api.post("entityOperations/create", [vehicle(n) for n in range(place, place + 500)])
        given = {"type": "Snapshot", "id": "urn:s:1", "snapshotQueries": [of_type("Vehicle")] * 5}
        assert (await api.post("snapshots", given)).status == 201
        first = await document_of(store, {"id": "urn:s:1"})
        policy = EgressPolicy.parse("any")
        http, mqtt = OutboundHttp(policy), MqttPublisher(policy)
        other = SnapshotArchive(api.broker, http, mqtt, Turns(store, "test"), interval=0.05, grace=2.0)
        serving = asyncio.create_task(other.serve(await lease_of(store)))
        try:
            snapshot = await ready(api, "snapshots/urn:s:1")
            assert snapshot["snapshotStatus"] == "success"
            space = (await document_of(store, snapshot))["space"]
            assert space != first["space"]

            async def forgotten() -> bool:
                return await store.list_documents("formerSnapshot") == []

            await until(forgotten)
            answer = await inside(api, snapshot, "GET", "entities?type=Vehicle&count=true&limit=1")
            assert answer.headers["NGSILD-Results-Count"] == "1000"
            assert await all_spaces(store) == {snapshot_space("", "urn:s:1", space)}
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            await http.close()


class Faltering:
    """A store that is not available for some queries and deletions."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.failures = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def query(self, *given: Any) -> Any:
        self._fail()
        return await self._store.query(*given)

    async def delete_document(self, *given: Any, **named: Any) -> Any:
        self._fail()
        return await self._store.delete_document(*given, **named)

    def _fail(self) -> None:
        if self.failures > 0:
            self.failures -= 1
            raise StoreUnavailable("on purpose")


async def test_5_16_1_a_preparation_waits_for_a_store_that_is_not_available(store: Store) -> None:
    async with running_api(store) as api:
        await api.post("entities", vehicle(1))
        faltering = Faltering(store)
        api.broker.store = faltering  # type: ignore[assignment]
        faltering.failures = 1
        names = (await api.broker.contexts.resolve(None)).names
        given = {"type": "Snapshot", "snapshotQueries": [of_type("Vehicle")]}
        snapshot_id = await create_snapshot(api.broker, "", given, names)

        async def is_ready() -> bool:
            shown = await retrieve_snapshot(api.broker, "", snapshot_id, names)
            return bool(shown["snapshotStatus"] == "success")

        await until(is_ready)
        assert faltering.failures == 0


async def test_5_16_5_a_deletion_that_the_store_interrupts_is_finished_and_told(store: Store) -> None:
    async with running_api(store) as api, receiving() as receiver:
        await api.post("entities", vehicle(1))
        snapshot = await snapshot_of(api, endpoint=receiver.url)

        async def noted() -> bool:
            document = await document_of(store, snapshot)
            return bool(document["told"] == document["revision"])

        await until(noted)
        faltering = Faltering(store)
        api.broker.store = faltering  # type: ignore[assignment]
        async with with_grace(api, 0.0):
            faltering.failures = 1
            assert (await api.delete(f"snapshots/{snapshot['id']}")).status == 503
            end = (await receiver.wait(2))[1].body
            assert end["expiresAt"] < end["notifiedAt"]
            assert (await api.get(f"snapshots/{snapshot['id']}")).status == 404


@pytest.mark.parametrize("members", [{"expiresAt": "2100-01-01T00:00:00Z"}, {"scope": ["/a", "/b"]}])
async def test_5_16_1_entities_are_stored_as_they_were(store: Store, members: dict[str, Any]) -> None:
    async with running_api(store) as api:
        await api.post("entities", vehicle(1, {"type": "Property", "value": 1, "unitCode": "KMH"}, **members))
        await api.patch("entities/urn:ngsi-ld:Vehicle:1/attrs", {"colour": "red"})
        snapshot = await snapshot_of(api)
        space = await space_of(store, snapshot)
        key = "urn:ngsi-ld:Vehicle:1"
        states = await store.read([("", key), (space, key)])
        assert states[space, key] == {**states["", key], "version": 1}
        assert await store.evolutions(space, (), 10) == []
