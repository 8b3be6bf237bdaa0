"""What every store promises about the erasure of a space, and about history that is copied into one (broker.store.protocol)."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from held_leases import lease_of
from store_samples import BASE, LEVEL, ROOM, T0, T1, creation, entity, instance, point, put

from broker.model.dataspace import snapshot_space
from broker.query import ast
from broker.query.ast import EntityQuery, EntitySelector, TypeSelection
from broker.store.protocol import Evolution, HistoryEntry, HistoryQuery, Mutation, Page, Span, Store
from broker.store.sqlite.store import SqliteStore
from broker.temporal.recorder import Recorder

SPACE = snapshot_space("north", "urn:ngsi-ld:Snapshot:都", "a1")
NEIGHBOURS = ("", "north", "northern", snapshot_space("north", "urn:ngsi-ld:Snapshot:都", "a2"), SPACE + "1")
AT_LEVEL = ast.Path((LEVEL,))


def entry(tenant: str, number: int, *, entity_id: str = "urn:ngsi-ld:Thing:1", attribute: str = LEVEL) -> HistoryEntry:
    return HistoryEntry(
        tenant=tenant,
        entity_id=entity_id,
        types=(ROOM,),
        attribute=attribute,
        dataset_id=None,
        instance_id=f"urn:uuid:{number}",
        sequence=number,
        recorded_at=T0,
        deleted=False,
        instance=instance(number),
    )


async def fill(store: Store, tenant: str) -> None:
    states = [entity(n, n, attrs={LEVEL: [instance(n)], BASE + "place": [point(n, n)]}, scope=["/a"]) for n in range(7)]
    await put(store, states, tenant)
    entries = [entry(tenant, n) for n in range(9)]
    entries += [entry(tenant, n, entity_id="urn:ngsi-ld:Thing:2", attribute=BASE + "b") for n in range(3)]
    await store.append_history(entries, None)
    await store.put_document("subscription", tenant, "urn:s:1", {"a": 1})
    await store.put_document("delivery", tenant, "urn:s:1", {"a": 1})


async def content(store: Store, tenant: str) -> tuple[int, int, int, int]:
    history = [await store.history(tenant, each.entity_id) for each in await store.evolutions(tenant, (), 100)]
    documents = [await store.list_documents(kind, tenant) for kind in ("subscription", "delivery")]
    query = EntityQuery(selectors=(EntitySelector(types=TypeSelection(((ROOM,),))),))
    counted = await store.count(tenant, query)
    assert counted == len((await store.query(tenant, query, Page(100))).entities)
    assert sum(each.count for each in await store.census(tenant)) == counted
    return counted, len(history), sum(map(len, history)), sum(map(len, documents))


@pytest.mark.parametrize("limit", [1, 4, 1000])
async def test_erasure_removes_all_of_a_space_in_steps_and_nothing_else(store: Store, limit: int) -> None:
    for tenant in (SPACE, *NEIGHBOURS):
        await fill(store, tenant)
    assert await content(store, SPACE) == (7, 2, 12, 2)
    total, head = 0, await store.head()
    while removed := await store.erase(SPACE, limit):
        assert removed <= limit
        total += removed
    assert total == 7 + 12 + 2 + 2
    assert await content(store, SPACE) == (0, 0, 0, 0)
    for tenant in NEIGHBOURS:
        assert await content(store, tenant) == (7, 2, 12, 2)
    assert await store.head() == head, "an erasure is no change"
    assert await store.erase("nobody", limit) == 0


async def test_what_was_erased_may_be_filled_again(store: Store) -> None:
    for _ in range(2):
        await fill(store, SPACE)
        assert await content(store, SPACE) == (7, 2, 12, 2)
        await store.erase(SPACE, 1000)
        assert await content(store, SPACE) == (0, 0, 0, 0)


async def test_erasure_goes_on_while_others_write(store: Store) -> None:
    await fill(store, SPACE)

    async def write() -> None:
        for number in range(20, 40):
            await store.commit(
                [Mutation(creation(entity(number), SPACE), 0), Mutation(creation(entity(number), ""), 0)]
            )

    async def erase() -> None:
        for _ in range(20):
            await store.erase(SPACE, 3)

    await asyncio.gather(write(), erase())
    while await store.erase(SPACE, 100):
        pass
    assert (await content(store, SPACE))[0] == 0
    assert (await content(store, ""))[0] == 20


async def test_history_without_a_cursor_is_added_like_any_other_and_moves_no_cursor(store: Store) -> None:
    await store.append_history([entry("", 1)], ("temporal", 5))
    evolution = Evolution(SPACE, "urn:ngsi-ld:Thing:1", (ROOM, BASE + "Hall"), T0, T1, T1)
    for _ in range(2):
        await store.append_history([entry(SPACE, 1), entry(SPACE, 2)], None, [evolution])
    assert await store.evolutions(SPACE, (), 10) == [evolution]
    assert [each.sequence for each in await store.history(SPACE, "urn:ngsi-ld:Thing:1")] == [1, 2]
    assert await store.cursors() == {"temporal": 5}


async def test_a_loaded_state_is_a_change_that_is_not_recorded(store: Store) -> None:
    loaded = replace(creation(entity(1), SPACE), kind="entityLoaded", touched=())
    (change,) = await store.commit([Mutation(loaded, 0)])
    assert (await store.changes(0, 10)) == [change]
    assert change.kind == "entityLoaded"
    await put(store, [entity(2)], SPACE)
    recorder = Recorder(store)
    recording = asyncio.create_task(recorder.run(await lease_of(store)))
    await recorder.caught_up(await store.head())
    recording.cancel()
    await asyncio.gather(recording, return_exceptions=True)
    assert [each.entity_id for each in await store.evolutions(SPACE, (), 10)] == ["urn:ngsi-ld:Thing:2"]
    span = Span("urn:ngsi-ld:Thing:1")
    assert await store.instances(SPACE, HistoryQuery((span,)), 10) == []


async def test_erasure_frees_the_indexes_of_a_space_also_while_they_are_built(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "store"))
    await store.open()
    try:
        await fill(store, SPACE)
        await store.index_values(SPACE, "", AT_LEVEL)
        await store.index_values("north", "", AT_LEVEL)
        assert [each.tenant for each in await store.value_indexes()] == ["north", SPACE]
        await store.erase(SPACE, 1000)
        assert [each.tenant for each in await store.value_indexes()] == ["north"]
        for place in range(0, 3000, 500):
            await put(store, [entity(number) for number in range(place, place + 500)], SPACE)
        building = asyncio.create_task(store.index_values(SPACE, "", AT_LEVEL))
        await asyncio.sleep(0)
        while await store.erase(SPACE, 1000):
            pass
        await building
        await fill(store, SPACE)
        assert await content(store, SPACE) == (7, 2, 12, 2)
    finally:
        await store.close()
