"""What every store promises about temporal history that is queried, written by clients, corrected and erased."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from store_samples import BASE, LEVEL, ROOM, T0, T1, T2

from broker.query.ast import EntitySelector, TypeSelection
from broker.store.mongo import history as mongo_history
from broker.store.protocol import Evolution, HistoryEntry, HistoryQuery, Span, Store
from broker.store.sqlite import history as sqlite_history

ID = "urn:ngsi-ld:Thing:1"
OTHER = "urn:ngsi-ld:Thing:2"
SPEED = BASE + "speed"


def at(minute: int) -> str:
    return f"2026-01-01T{minute // 60:02}:{minute % 60:02}:00.000000Z"


def entry(
    minute: int | None,
    value: Any = None,
    *,
    attribute: str = LEVEL,
    entity_id: str = ID,
    dataset_id: str | None = None,
    modified: str = T0,
    tenant: str = "",
    **members: Any,
) -> HistoryEntry:
    instance = {
        "type": "Property",
        "value": minute if value is None else value,
        "createdAt": T0,
        "modifiedAt": modified,
    }
    if minute is not None:
        instance["observedAt"] = at(minute).replace(".000000", "")
    if dataset_id is not None:
        instance["datasetId"] = dataset_id
    return HistoryEntry(
        tenant=tenant,
        entity_id=entity_id,
        types=(ROOM,),
        attribute=attribute,
        dataset_id=dataset_id,
        instance_id=f"urn:uuid:{entity_id}-{attribute}-{dataset_id}-{minute}-{value}",
        sequence=0,
        recorded_at=modified,
        deleted="deletedAt" in members,
        instance=instance | members,
    )


async def keep(store: Store, entries: Sequence[HistoryEntry]) -> None:
    await store.append_history(entries, ("temporal", 1))


def values(entries: Sequence[HistoryEntry]) -> list[Any]:
    return [each.instance["value"] for each in entries]


def whole(*ids: str, **members: Any) -> HistoryQuery:
    return HistoryQuery(tuple(Span(entity_id) for entity_id in ids or (ID,)), **members)


@pytest.fixture
async def recorded(store: Store) -> Store:
    await keep(store, [entry(minute) for minute in (30, 10, 20, 40)])
    await keep(store, [entry(minute, f"s{minute}", attribute=SPEED) for minute in (15, 25)])
    await keep(store, [entry(35, "d", attribute=SPEED, dataset_id="urn:d:1"), entry(12, "o", entity_id=OTHER)])
    return store


async def test_instances_come_in_order_of_time_over_all_attributes_and_entities(recorded: Store) -> None:
    expected = [10, "o", "s15", 20, "s25", 30, "d", 40]
    assert values(await recorded.instances("", whole(ID, OTHER), 100)) == expected
    assert values(await recorded.instances("", whole(ID, OTHER), 3)) == expected[:3]
    assert values(await recorded.instances("", whole(ID, OTHER, newest_first=True), 4)) == expected[::-1][:4]
    assert await recorded.instances("other", whole(), 10) == []
    assert await recorded.instances("", whole("urn:ngsi-ld:Thing:9"), 10) == []


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"attributes": frozenset({SPEED})}, ["s15", "s25", "d"]),
        ({"without": frozenset({LEVEL})}, ["s15", "s25", "d"]),
        ({"attributes": frozenset({SPEED}), "datasets": frozenset({None})}, ["s15", "s25"]),
        ({"attributes": frozenset({SPEED}), "datasets": frozenset({"urn:d:1"})}, ["d"]),
        ({"newest_first": True, "last_n": 1}, [40, "d"]),
        ({"newest_first": True, "last_n": 2}, [40, "d", 30, "s25"]),
        ({"newest_first": True, "last_n": 2, "datasets": frozenset({None})}, [40, 30, "s25", "s15"]),
    ],
)
async def test_a_query_narrows_attributes_datasets_and_the_last_of_each(
    recorded: Store, members: dict[str, Any], expected: list[Any]
) -> None:
    assert values(await recorded.instances("", whole(**members), 100)) == expected


async def test_4_11_a_span_has_its_start_and_not_its_end(recorded: Store) -> None:
    query = HistoryQuery((Span(ID, at(15), at(30)),), "observedAt")
    assert values(await recorded.instances("", query, 100)) == ["s15", 20, "s25"]
    two = HistoryQuery((Span(ID, at(10), at(11)), Span(ID, at(40), None)), "observedAt")
    assert values(await recorded.instances("", two, 100)) == [10, 40]


async def test_4_11_entries_without_the_time_property_do_not_match(store: Store) -> None:
    gone = entry(None, "gone", modified=T2, deletedAt=T2)
    await keep(store, [entry(10), entry(None, "unobserved", modified=T1), gone])
    assert values(await store.instances("", whole(time="observedAt"), 10)) == [10]
    assert values(await store.instances("", whole(time="deletedAt"), 10)) == ["gone"]
    assert values(await store.instances("", whole(time="modifiedAt"), 10)) == [10, "unobserved", "gone"]
    assert values(await store.instances("", whole(), 10)) == [10, "unobserved", "gone"]
    later = HistoryQuery((Span(ID, T1, T2),), "modifiedAt", newest_first=True)
    assert values(await store.instances("", later, 10)) == ["unobserved"]
    assert len(await store.instances("", HistoryQuery((Span(ID, T0, None),), "createdAt"), 10)) == 3


async def test_instances_agree_with_sorting_everything(store: Store) -> None:
    chance = random.Random(7)
    entries = [
        entry(
            chance.randrange(60),
            number,
            attribute=BASE + f"a{chance.randrange(3)}",
            entity_id=chance.choice((ID, OTHER)),
            dataset_id=chance.choice((None, "urn:d:1")),
        )
        for number in range(120)
    ]
    await keep(store, entries)
    ordered = sorted(entries, key=lambda each: (each.instance["observedAt"], 0, each.instance_id))
    for _ in range(10):
        low, limit, last_n = chance.randrange(40), chance.randrange(1, 60), chance.choice((None, 1, 5))
        within = [
            each for each in ordered if at(low) <= each.instance["observedAt"].replace("Z", ".000000Z") < at(low + 20)
        ]
        kept, counts = [], {}
        for each in reversed(within):
            key = each.entity_id, each.attribute
            counts[key] = counts.get(key, 0) + 1
            if last_n is None or counts[key] <= last_n:
                kept.append(each)
        spans = (Span(ID, at(low), at(low + 20)), Span(OTHER, at(low), at(low + 20)))
        query = HistoryQuery(spans, "observedAt", newest_first=True, last_n=last_n)
        assert await store.instances("", query, limit) == kept[:limit]


async def test_a_scan_shows_everything_until_it_is_enough(store: Store) -> None:
    await keep(store, [entry(minute % 1440, minute) for minute in range(1200)])
    seen: list[Any] = []

    def all_of_them(entries: Sequence[HistoryEntry]) -> bool:
        seen.extend(values(entries))
        return False

    await store.scan_history("", HistoryQuery((Span(ID, at(100), None),), "observedAt"), all_of_them)
    assert sorted(seen) == list(range(100, 1200))
    strides = []
    await store.scan_history("", whole(), lambda entries: not strides.append(len(entries)))
    assert len(strides) == 1
    assert strides[0] < 1200


async def test_5_7_4_which_entities_have_any_instance(recorded: Store) -> None:
    assert await recorded.present("", whole(ID, OTHER, "urn:ngsi-ld:Thing:9")) == {ID, OTHER}
    assert await recorded.present("", whole(ID, OTHER, attributes=frozenset({SPEED}))) == {ID}
    spans = (Span(ID, at(50)), Span(OTHER, at(12), at(13)))
    assert await recorded.present("", HistoryQuery(spans, "observedAt")) == {OTHER}
    assert await recorded.present("", HistoryQuery(spans, "deletedAt")) == set()
    assert await recorded.present("", whole(without=frozenset({LEVEL}), datasets=frozenset({"urn:d:1"}))) == {ID}
    assert await recorded.present("other", whole(ID)) == set()
    assert await recorded.present("", HistoryQuery(())) == set()


async def test_5_6_11_what_clients_add_replaces_the_same_observation(store: Store) -> None:
    evolution = Evolution("", ID, (ROOM,), T0, T0)
    assert not await store.add_history(evolution, [entry(10, "a"), entry(20, "b")], create=True)
    news = replace(evolution, types=(BASE + "Hall",), modified_at=T1)
    assert await store.add_history(news, [entry(10, "c"), entry(10, "d", dataset_id="urn:d:1")], create=False)
    assert sorted(values(await store.history("", ID))) == ["b", "c", "d"]
    (found,) = await store.evolutions("", [], 10)
    assert found == Evolution("", ID, (ROOM, BASE + "Hall"), T0, T1)
    unobserved = [entry(None, "x")._replace(instance_id=f"urn:uuid:{n}") for n in range(2)]
    await store.add_history(evolution, unobserved, create=False)
    assert len(await store.history("", ID)) == 5


async def test_5_6_11_many_at_once_replace_many(store: Store) -> None:
    evolution = Evolution("", ID, (ROOM,), T0, T0)
    await store.add_history(evolution, [entry(minute, f"old{minute}") for minute in range(0, 200, 2)], create=True)
    await store.add_history(evolution, [entry(minute, minute) for minute in range(50, 150)], create=True)
    found = values(await store.instances("", whole(), 1000))
    assert found[:26] == [*(f"old{minute}" for minute in range(0, 50, 2)), 50]
    assert [value for value in found if isinstance(value, int)] == list(range(50, 150))
    assert len(found) == 150


async def test_5_6_12_nothing_is_added_to_an_evolution_that_is_not_there(store: Store) -> None:
    assert not await store.add_history(Evolution("", ID, (ROOM,), T0, T0), [entry(10)], create=False)
    assert await store.history("", ID) == []
    assert await store.evolutions("", [], 10) == []


async def test_5_6_14_one_instance_is_replaced(recorded: Store) -> None:
    target = entry(20).instance_id

    def moved(old: HistoryEntry) -> HistoryEntry:
        return entry(50, "moved", dataset_id="urn:d:7")._replace(instance_id=old.instance_id)

    assert await recorded.change_history("", ID, LEVEL, target, moved)
    assert values(await recorded.instances("", whole(attributes=frozenset({LEVEL})), 10)) == [10, 30, 40, "moved"]
    assert not await recorded.change_history("", ID, SPEED, target, moved)
    assert not await recorded.change_history("", OTHER, LEVEL, target, moved)
    assert not await recorded.change_history("other", ID, LEVEL, target, moved)


async def test_5_6_14_corrections_of_one_instance_at_the_same_time_all_find_it(recorded: Store) -> None:
    def later(old: HistoryEntry) -> HistoryEntry:
        minute = int(old.instance["observedAt"][14:16])
        return entry(minute + 1, old.instance["value"])._replace(instance_id=old.instance_id)

    corrections = (recorded.change_history("", ID, LEVEL, entry(20).instance_id, later) for _ in range(5))
    assert await asyncio.gather(*corrections) == [True] * 5
    levels = await recorded.instances("", whole(attributes=frozenset({LEVEL})), 10)
    assert [each.instance["observedAt"][14:16] for each in levels] == ["10", "25", "30", "40"]


async def test_5_6_15_one_instance_is_removed(recorded: Store) -> None:
    assert await recorded.change_history("", ID, LEVEL, entry(20).instance_id, lambda _: None)
    assert not await recorded.change_history("", ID, LEVEL, entry(20).instance_id, lambda _: None)
    assert values(await recorded.instances("", whole(attributes=frozenset({LEVEL})), 10)) == [10, 30, 40]


async def test_5_6_13_an_attribute_is_removed_by_dataset_or_whole(recorded: Store) -> None:
    assert not await recorded.delete_history("", ID, SPEED, frozenset({"urn:d:9"}))
    assert await recorded.delete_history("", ID, SPEED, frozenset({None}))
    assert not await recorded.delete_history("", ID, SPEED, frozenset({None}))
    assert values(await recorded.instances("", whole(), 10)) == [10, 20, 30, "d", 40]
    assert await recorded.delete_history("", ID, SPEED)
    assert not await recorded.delete_history("", ID, SPEED)
    assert values(await recorded.instances("", whole(ID, OTHER), 10)) == [10, "o", 20, 30, 40]


@pytest.mark.parametrize("attribute", [LEVEL, None])
async def test_5_6_13_and_5_6_16_many_instances_are_removed_in_steps(
    store: Store, monkeypatch: pytest.MonkeyPatch, attribute: str | None
) -> None:
    monkeypatch.setattr(sqlite_history, "PORTION", 7)
    monkeypatch.setattr(mongo_history, "PORTION", 7)
    # One series in time, one of a single instant, and what has to stay.
    at_once = [entry(5, number, dataset_id="urn:d:1") for number in range(30)]
    await keep(store, [*(entry(minute) for minute in range(50)), *at_once])
    await keep(store, [entry(1, "other", entity_id=OTHER), entry(3, "speed", attribute=SPEED)])
    assert await store.delete_history("", ID, attribute)
    left = values(await store.instances("", whole(ID, OTHER), 100))
    assert left == (["other"] if attribute is None else ["other", "speed"])
    assert not await store.delete_history("", ID, attribute)


async def test_5_6_16_an_evolution_is_removed_and_can_begin_again(recorded: Store) -> None:
    assert await recorded.delete_history("", ID)
    assert not await recorded.delete_history("", ID)
    assert await recorded.history("", ID) == []
    assert [each.entity_id for each in await recorded.evolutions("", [], 10)] == [OTHER]
    await keep(recorded, [entry(10)])
    assert values(await recorded.history("", ID)) == [10]


async def test_evolutions_are_listed_by_id_type_and_place(store: Store) -> None:
    types = {"1": (ROOM,), "2": (ROOM, BASE + "Hall"), "3": (BASE + "Hall",), "4": (BASE + "Attic",)}
    for number, names in types.items():
        await store.append_history([], ("temporal", 1), [Evolution("", f"urn:e:{number}", names, T0, T0)])
    await store.append_history([], ("temporal", 1), [Evolution("north", "urn:e:9", (ROOM,), T0, T0)])

    async def listed(*selectors: EntitySelector, limit: int = 10, **members: Any) -> str:
        found = await store.evolutions("", selectors, limit, **members)
        return "".join(each.entity_id[-1] for each in found)

    def of(*alternatives: tuple[str, ...]) -> EntitySelector:
        return EntitySelector(types=TypeSelection(alternatives))

    assert await listed() == "1234"
    assert await listed(limit=2) == "12"
    assert await listed(after="urn:e:2") == "34"
    assert await listed(descending=True, after="urn:e:3") == "21"
    assert await listed(of((ROOM,))) == "12"
    assert await listed(of((ROOM,)), after="urn:e:1") == "2"
    assert await listed(of((ROOM,), (BASE + "Hall",))) == "123"
    assert await listed(of((ROOM, BASE + "Hall"))) == "2"
    assert await listed(of((ROOM,)), of((BASE + "Attic",)), descending=True) == "421"
    assert await listed(EntitySelector(ids=frozenset({"urn:e:3", "urn:e:8"}))) == "3"
    assert await listed(EntitySelector(id_pattern="[14]$")) == "14"


async def test_an_evolution_remembers_types_and_its_end(store: Store) -> None:
    for at_, types, gone in ((T0, (ROOM,), None), (T2, (BASE + "Hall",), T2)):
        await store.append_history([], ("temporal", 1), [Evolution("", ID, types, T0, at_, gone)])
    assert await store.evolutions("", [], 1) == [Evolution("", ID, (ROOM, BASE + "Hall"), T0, T2, T2)]
    await store.add_history(Evolution("", ID, (), T1, T1), [entry(10)], create=False)
    (found,) = await store.evolutions("", [], 1)
    assert (found.modified_at, found.deleted_at) == (T2, T2)
    await store.append_history([], ("temporal", 2), [Evolution("", ID, (ROOM,), T2, T2)])
    assert (await store.evolutions("", [], 1))[0].deleted_at is None


async def test_an_evolution_begun_anew_beside_others_has_only_what_came_since(store: Store) -> None:
    ids = [f"urn:ngsi-ld:Vehicle:{number}" for number in range(4)]
    await keep(store, [entry(0, entity_id=each) for each in ids[:2]])
    assert await store.delete_history("", ids[1])
    # One that is known gets a new attribute, one that was deleted begins again, and two never were: all in one commit.
    await keep(
        store,
        [entry(1, entity_id=ids[0], attribute=SPEED)]
        + [entry(minute, entity_id=each) for each in ids[1:] for minute in (1, 2)]
        + [entry(1, entity_id=ids[3], dataset_id="urn:d:1")],
    )
    found = [await store.history("", each) for each in ids]
    assert [sorted((each.attribute, each.dataset_id or "", each.instance["value"]) for each in of) for of in found] == [
        [(LEVEL, "", 0), (SPEED, "", 1)],
        [(LEVEL, "", 1), (LEVEL, "", 2)],
        [(LEVEL, "", 1), (LEVEL, "", 2)],
        [(LEVEL, "", 1), (LEVEL, "", 2), (LEVEL, "urn:d:1", 1)],
    ]
