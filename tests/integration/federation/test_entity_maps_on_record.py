"""EntityMaps in a store of each kind: whole or not there at all, trimmed by many, removed in time (5.14, 5.5.14)."""

import asyncio

import pytest

from broker.errors import ResourceNotFound, StoreUnavailable, TooComplexQuery, TooManyResults
from broker.federation import entity_maps
from broker.federation.entity_map import EntityMap, expiry
from broker.federation.entity_maps import HEADS, PARTS, EntityMaps
from broker.store.protocol import Store

NOW = "2026-11-22T21:34:08.000000Z"


class Clock:
    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now

    def pass_by(self, seconds):
        self.now = expiry(self.now, seconds)


async def some(*strides):
    for stride in strides:
        yield list(stride)


def numbered(count, begin=0):
    return [f"urn:ngsi-ld:Thing:{number:07}" for number in range(begin, begin + count)]


async def ids_of(maps, tenant, found):
    slots = [slot for number in range(found.parts) for slot in await maps.slots(tenant, found, number)]
    return [slot and slot[0] for slot in slots]


async def rests(store):
    return [(kind, tenant, key) for kind in (HEADS, PARTS) for tenant, key, _ in await store.list_documents(kind)]


async def make(maps, *strides, tenant="", seconds=60.0):
    return await maps.make(tenant, some(*strides), seconds, filters="f", window=None)


async def test_a_map_is_kept_in_parts_and_found_again_by_its_own_tenant_only(store: Store) -> None:
    clock = Clock()
    maps = EntityMaps(store, clock)
    made = await make(maps, numbered(700), numbered(1800, 700), tenant="city")
    assert (made.parts, made.ids, made.expires_at) == (3, 2500, expiry(NOW, 60))
    assert await EntityMaps(store, clock).find("city", made.id) == made
    assert await ids_of(maps, "city", made) == numbered(2500)
    assert await maps.find("", made.id) is None
    assert await maps.find("city", made.id + "x") is None


async def test_a_map_of_the_longest_ids_fits_into_the_store(store: Store) -> None:
    maps = EntityMaps(store, Clock())
    ids = [f"urn:{number}:".ljust(4096, "都") for number in range(1200)]
    made = await make(maps, ids)
    assert made.parts == 5
    assert await ids_of(maps, "", made) == ids


async def test_an_empty_map_is_a_map(store: Store) -> None:
    maps = EntityMaps(store, Clock())
    made = await make(maps)
    assert (made.parts, made.ids) == (0, 0)
    assert await maps.find("", made.id) == made


async def test_5_5_14_an_expired_map_is_gone_at_once_and_then_removed(store: Store) -> None:
    clock = Clock()
    maps = EntityMaps(store, clock)
    short, long = await make(maps, numbered(1500)), await make(maps, numbered(1), tenant="city", seconds=90.0)
    clock.pass_by(60)
    assert await maps.find("", short.id) is None
    assert not await maps.prolong("", short.id, expiry(clock(), 60)), "what has expired does not come back"
    assert not await maps.remove("", short.id)
    assert await maps.find("city", long.id) == long
    assert await maps.sweep() == 1
    assert {key for _, _, key in await rests(store)} == {long.id, f"{long.id}/0"}
    assert await maps.sweep() == 0


async def test_5_14_2_the_expiry_can_be_set_later_and_earlier(store: Store) -> None:
    clock = Clock()
    maps = EntityMaps(store, clock)
    made = await make(maps, numbered(3))
    assert await maps.prolong("", made.id, expiry(NOW, 600))
    clock.pass_by(100)
    assert await maps.find("", made.id) is not None
    assert await maps.prolong("", made.id, NOW)
    assert await maps.find("", made.id) is None


async def test_5_14_3_a_deleted_map_is_gone_with_all_its_parts(store: Store) -> None:
    maps = EntityMaps(store, Clock())
    made = await make(maps, numbered(2500))
    assert sorted(await asyncio.gather(*(maps.remove("", made.id) for _ in range(4)))) == [False, False, False, True]
    assert await rests(store) == []
    with pytest.raises(ResourceNotFound, match="meanwhile"):
        await maps.slots("", made, 0)
    assert not await maps.prolong("", made.id, expiry(NOW, 600)), "an update may not bring the head back"
    assert await rests(store) == []


async def test_whoever_trims_at_the_same_time_no_removal_is_lost(store: Store) -> None:
    maps, others = EntityMaps(store, Clock()), EntityMaps(store, Clock())
    ids = numbered(40)
    made = await make(maps, ids)
    await asyncio.gather(
        *(
            (maps if number % 2 else others).trim("", made, {0: {ids[number], ids[number + 1]}})
            for number in range(0, 30)
        )
    )
    assert await ids_of(maps, "", made) == [None] * 31 + ids[31:]
    await maps.remove("", made.id)
    await maps.trim("", made, {0: {ids[35]}})
    assert await rests(store) == []


async def test_what_a_failed_query_has_left_is_removed_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    maps = EntityMaps(store, Clock())

    async def failing():
        yield numbered(1500)
        raise TooComplexQuery("too slow")

    with pytest.raises(TooComplexQuery):
        await maps.make("", failing(), 60, filters=None, window=None)
    assert await rests(store) == []
    monkeypatch.setattr(entity_maps, "MOST_IDS", 2000)
    with pytest.raises(TooManyResults, match="at most 2000"):
        await make(maps, numbered(2001))
    assert await rests(store) == []
    assert (await make(maps, numbered(2000))).ids == 2000


async def test_a_map_whose_making_ended_in_the_middle_is_never_seen_and_is_swept(store: Store) -> None:
    """A kill at any point leaves the first so many writes: all such leftovers are made here, and then time passes."""
    clock = Clock()
    maps = EntityMaps(store, clock)
    made = await make(maps, numbered(3500), seconds=10_000.0)
    parts = [await store.get_document(PARTS, "", f"{made.id}/{number}") for number in range(made.parts)]
    unfinished = EntityMap("", expiry(clock(), entity_maps.MAKING), "f", None).body()
    for written in range(made.parts + 1):
        await store.put_document(HEADS, "", f"urn:left:{written}", unfinished)
        for number in range(written):
            await store.put_document(PARTS, "", f"urn:left:{written}/{number}", parts[number])
        assert await maps.find("", f"urn:left:{written}") is None
    assert await maps.sweep() == 0, "it may still be in the making"
    clock.pass_by(entity_maps.MAKING)
    assert await maps.sweep() == made.parts + 1
    assert {key.split("/")[0] for _, _, key in await rests(store)} == {made.id}


async def test_a_removal_that_ended_in_the_middle_is_finished_by_the_sweep(store: Store) -> None:
    clock = Clock()
    maps = EntityMaps(store, clock)
    for left in range(4):
        made = await make(maps, numbered(3000))
        closed = {**made.body(), "complete": False, "expiresAt": clock()}
        await store.put_document(HEADS, "", made.id, closed)
        for number in range(made.parts - 1, left - 1, -1):
            await store.delete_document(PARTS, "", f"{made.id}/{number}")
        assert await maps.find("", made.id) is None
        assert await maps.sweep() == 1
        assert await rests(store) == []


async def test_a_making_that_outlasts_its_time_makes_nothing(store: Store) -> None:
    clock = Clock()
    maps = EntityMaps(store, clock)

    async def slow():
        yield numbered(1000)
        clock.pass_by(entity_maps.MAKING)
        await maps.sweep()
        yield numbered(1000)

    with pytest.raises(StoreUnavailable, match="too long"):
        await maps.make("", slow(), 60, filters=None, window=None)
    assert await rests(store) == []


async def test_the_maps_of_a_tenant_are_bounded_and_those_go_that_would_expire_first(store: Store) -> None:
    clock = Clock()
    maps = EntityMaps(store, clock, most_maps=3, most_ids=10)
    other = await make(maps, numbered(10), tenant="city")
    made = [await make(maps, numbered(2), seconds=seconds) for seconds in (50.0, 20.0, 40.0, 30.0)]
    assert await maps.sweep() == 1
    assert [await maps.find("", each.id) is not None for each in made] == [True, False, True, True]
    large = await make(maps, numbered(7), seconds=45.0)
    assert await maps.sweep() == 2
    assert [await maps.find("", each.id) is not None for each in (*made, large)] == [True, False, False, False, True]
    assert await maps.find("city", other.id) == other
    assert len(await rests(store)) == 6


async def test_a_sweep_goes_on_after_the_store_was_away(store: Store) -> None:
    clock = Clock()
    maps = EntityMaps(store, clock, interval=0.01)
    await make(maps, numbered(3))
    await store.close()
    sweeping = asyncio.create_task(maps.run())
    await asyncio.sleep(0.05)
    await store.open()
    clock.pass_by(60)
    async with asyncio.timeout(10):
        while await rests(store):  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)
    assert not sweeping.done()
    sweeping.cancel()
    await asyncio.gather(sweeping, return_exceptions=True)
