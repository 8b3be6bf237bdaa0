"""What every store promises about queries, counts, pages and the types in use."""

from dataclasses import replace

import pytest
from store_samples import BASE, LEVEL, ROOM, creation, deletion, entity, instance, point, put, update

from broker.errors import BadRequestData
from broker.model.terms import LOCATION
from broker.query.ast import (
    And,
    Comparison,
    EntityQuery,
    EntitySelector,
    Exists,
    GeoQuery,
    Or,
    Ordering,
    OrderTerm,
    Path,
    ScopePattern,
    ScopeQuery,
    TypeSelection,
    Value,
)
from broker.store.protocol import AttributeCensus, Mutation, Page, Store, TypeCensus

HALL = BASE + "Hall"
NOTE = BASE + "note"
NOW = "2026-06-01T00:00:00Z"


def of_type(*types: str) -> EntityQuery:
    return EntityQuery((EntitySelector(types=TypeSelection(tuple((each,) for each in types))),))


def level(operator: str, value: object) -> Comparison:
    kind = "number" if isinstance(value, int | float) else "string"
    return Comparison(Path((LEVEL,)), operator, Value(value, kind))  # type: ignore[arg-type]


async def found(store: Store, query: EntityQuery, tenant: str = "", **page: object) -> list[str]:
    """The last parts of the ids that a query finds, which must be as many as are counted."""
    window = await store.query(tenant, query, Page(**{"limit": 100, **page}))  # type: ignore[arg-type]
    if not page:
        assert await store.count(tenant, query) == len(window.entities)
    return [each["id"].rpartition(":")[2] for each in window.entities]


async def test_an_empty_store_finds_nothing(store: Store) -> None:
    for query in (EntityQuery(), of_type(ROOM), EntityQuery(q=level("==", 1)), EntityQuery(attrs=frozenset({LEVEL}))):
        assert await found(store, query) == []
    assert await store.census("") == []


async def test_results_come_in_order_of_id_by_code_point(store: Store) -> None:
    await put(
        store, [entity(part, types=(ROOM if part < "b" else HALL,)) for part in ("b", "B", "é", "10", "9", "𝄞", "｡")]
    )
    assert await found(store, EntityQuery()) == ["10", "9", "B", "b", "é", "｡", "𝄞"]
    assert await found(store, of_type(ROOM, HALL)) == ["10", "9", "B", "b", "é", "｡", "𝄞"]


async def test_tenants_are_kept_apart(store: Store) -> None:
    await put(store, [entity(1)], "a")
    await put(store, [entity(2)], "b")
    for query in (
        EntityQuery(),
        of_type(ROOM),
        EntityQuery(attrs=frozenset({LEVEL})),
        EntityQuery((EntitySelector(ids=frozenset({"urn:ngsi-ld:Thing:1", "urn:ngsi-ld:Thing:2"})),)),
        EntityQuery(q=level(">", 0)),
    ):
        assert await found(store, query, "a") == ["1"]
        assert await found(store, query, "b") == ["2"]
        assert await found(store, query, "c") == []


async def test_4_17_type_selections(store: Store) -> None:
    await put(
        store, [entity(1), entity(2, types=(HALL,)), entity(3, types=(ROOM, HALL)), entity(4, types=(BASE + "X",))]
    )
    assert await found(store, of_type(ROOM)) == ["1", "3"]
    assert await found(store, of_type(ROOM, HALL)) == ["1", "2", "3"]
    both = TypeSelection(((HALL, ROOM), (BASE + "X",)))
    assert await found(store, EntityQuery((EntitySelector(types=both),))) == ["3", "4"]
    assert await found(store, EntityQuery((EntitySelector(types=TypeSelection(((),))),))) == ["1", "2", "3", "4"]
    assert await found(store, of_type(BASE + "Ghost")) == []


async def test_5_2_33_selectors_by_id_and_pattern(store: Store) -> None:
    await put(store, [entity(number, types=(ROOM if number % 2 else HALL,)) for number in range(20)])
    by_id = EntitySelector(ids=frozenset(f"urn:ngsi-ld:Thing:{number}" for number in (1, 2, 99)), id_pattern="nothing")
    assert await found(store, EntityQuery((by_id,))) == ["1", "2"]
    assert await found(store, EntityQuery((replace(by_id, types=TypeSelection(((ROOM,),))),))) == ["1"]
    assert await found(store, EntityQuery((EntitySelector(id_pattern="^urn:ngsi-ld:Thing:1[23]"),))) == ["12", "13"]
    assert await found(store, EntityQuery((EntitySelector(id_pattern="7$"),))) == ["17", "7"]
    either = (EntitySelector(id_pattern=":1.$", types=TypeSelection(((HALL,),))), by_id)
    assert await found(store, EntityQuery(either)) == ["1", "10", "12", "14", "16", "18", "2"]
    with pytest.raises(BadRequestData):
        await store.query("", EntityQuery((EntitySelector(id_pattern="("),)), Page(10))


async def test_many_selectors_are_one_query(store: Store) -> None:
    await put(store, [entity(number) for number in range(5)])
    selectors = tuple(EntitySelector(ids=frozenset({f"urn:ngsi-ld:Thing:{number}"})) for number in range(3, 400))
    assert await found(store, EntityQuery(selectors)) == ["3", "4"]
    patterns = tuple(EntitySelector(id_pattern=f":{number}$") for number in range(3, 400))
    assert await found(store, EntityQuery(patterns)) == ["3", "4"]


async def test_5_7_2_attrs_want_one_of_them(store: Store) -> None:
    await put(store, [entity(1), entity(2, attrs={NOTE: [instance("x")]}), entity(3, attrs={})])
    assert await found(store, EntityQuery(attrs=frozenset({LEVEL}))) == ["1"]
    assert await found(store, EntityQuery(attrs=frozenset({LEVEL, NOTE, BASE + "no"}))) == ["1", "2"]
    assert await found(store, EntityQuery(attrs=frozenset({BASE + "no"}))) == []


async def test_4_9_conditions_on_values(store: Store) -> None:
    note = {NOTE: [instance("x")]}
    await put(
        store,
        [
            entity(1, 5),
            entity(2, 5.0, attrs={LEVEL: [instance(4), instance(5, datasetId="urn:d:1")]} | note),
            entity(3, "5"),
            entity(4, [1, 5]),
            entity(5, True),
            entity(6, attrs=note),
            entity(7, {"@type": "x", "@value": 6}),
            entity(8, 9007199254740993),
        ],
    )
    assert await found(store, EntityQuery(q=level("==", 5))) == ["1", "2", "4"]
    assert await found(store, EntityQuery(q=level("==", "5"))) == ["3"]
    assert await found(store, EntityQuery(q=level(">", 5))) == ["7", "8"]
    assert await found(store, EntityQuery(q=level("==", 9007199254740993))) == ["8"]
    assert await found(store, EntityQuery(q=level("==", 9007199254740992))) == []
    assert await found(store, EntityQuery(q=level("!=", 5))) == ["2", "3", "5", "7", "8"]
    assert await found(store, EntityQuery(q=And((level("<", 5), Exists(Path((NOTE,))))))) == ["2"]
    assert await found(store, EntityQuery(q=Or((level("<", 5), Exists(Path((NOTE,))))))) == ["2", "6"]
    assert await found(store, replace(of_type(ROOM), q=level("==", 5), attrs=frozenset({NOTE}))) == ["2"]
    created = Comparison(Path(("createdAt",)), ">", Value("2025-12-31T23:59:59Z", "dateTime"))
    assert await found(store, EntityQuery(q=Or((level("==", 1000), created)))) == list("12345678")


async def test_a_condition_of_a_thousand_terms_is_answered(store: Store) -> None:
    await put(store, [entity(1, 5), entity(2, 9999)])
    wide = Or(tuple(level("==", number) for number in range(1000)))
    assert await found(store, EntityQuery(q=wide)) == ["1"]
    deep: And | Comparison = level("==", 5)
    for _ in range(50):
        deep = And((deep, level(">", 0)))
    assert await found(store, EntityQuery(q=deep)) == ["1"]


async def test_4_19_scopes(store: Store) -> None:
    await put(
        store,
        [
            entity(1, scope=["/Madrid/Gardens"]),
            entity(2, scope=["Madrid"]),
            entity(3, scope=["/Madrid/Gardens/North", "/Kyoto"]),
            entity(4),
        ],
    )

    def scoped(*patterns: ScopePattern) -> EntityQuery:
        return EntityQuery(scope=ScopeQuery((patterns,)))

    assert await found(store, scoped(ScopePattern(("Madrid",)))) == ["2"]
    assert await found(store, scoped(ScopePattern(("Madrid",), subtree=True))) == ["1", "2", "3"]
    assert await found(store, scoped(ScopePattern(("+", "Gardens")))) == ["1"]
    assert await found(store, scoped(ScopePattern((), subtree=True))) == ["1", "2", "3"]
    assert await found(store, scoped(ScopePattern(("Kyoto",)), ScopePattern(("Madrid",), subtree=True))) == ["3"]
    assert await found(store, scoped(ScopePattern(("Oslo",)))) == []


async def test_4_10_places(store: Store) -> None:
    square = {"type": "Polygon", "coordinates": [[[7, 39], [9, 39], [9, 41], [7, 41], [7, 39]]]}
    await put(
        store,
        [
            entity(1, attrs={LOCATION: [point(8, 40)]}),
            entity(2, attrs={LOCATION: [point(20, 50)]}),
            entity(3, attrs={LOCATION: [point(20, 50), point(8.001, 40) | {"datasetId": "urn:d:1"}]}),
            entity(4, attrs={NOTE: [point(8, 40)]}),
            entity(5),
            entity(6, attrs={LOCATION: [instance(square) | {"type": "GeoProperty"}]}),
        ],
    )
    near = GeoQuery("near", "Point", "[8,40]", LOCATION, max_distance=1000.0)
    assert await found(store, EntityQuery(geo=near)) == ["1", "3", "6"]
    far = replace(near, max_distance=None, min_distance=1000.0)
    assert await found(store, EntityQuery(geo=far)) == ["2", "3"]
    within = GeoQuery("within", "Polygon", "[[[7,39],[9,39],[9,41],[7,41],[7,39]]]", LOCATION)
    assert await found(store, EntityQuery(geo=within)) == ["1", "3", "6"]
    assert await found(store, EntityQuery(geo=replace(within, relation="disjoint"))) == ["2", "3"]
    assert await found(store, EntityQuery(geo=replace(near, geoproperty=NOTE))) == ["4"]
    assert await found(store, EntityQuery(geo=replace(near, geoproperty=BASE + "elsewhere"))) == []


async def test_places_follow_an_entity_that_moves(store: Store) -> None:
    near = EntityQuery(geo=GeoQuery("near", "Point", "[8,40]", LOCATION, max_distance=1000.0))
    here, gone = entity(1, attrs={LOCATION: [point(8, 40)]}), entity(1, attrs={LOCATION: [point(9, 40)]}, version=2)
    await put(store, [here])
    assert await found(store, near) == ["1"]
    await store.commit([Mutation(update(here, gone), 1)])
    assert await found(store, near) == []
    back = entity(1, attrs={LOCATION: [point(8, 40)]}, version=3)
    await store.commit([Mutation(update(gone, back), 2)])
    assert await found(store, near) == ["1"]
    await store.commit([Mutation(deletion(back), 3)])
    assert await found(store, near) == []


async def test_4_22_what_has_expired_does_not_match(store: Store) -> None:
    old, young = "2026-05-01T00:00:00Z", "2026-07-01T00:00:00,5Z"
    await put(
        store,
        [
            entity(1),
            entity(2, expiresAt=old),
            entity(3, expiresAt=young),
            entity(4, attrs={LEVEL: [instance(1, expiresAt=old)]}),
            entity(5, attrs={LEVEL: [instance(1, expiresAt=old), instance(2, datasetId="urn:d:1")]}),
            entity(6, expiresAt=NOW),
        ],
    )
    assert await found(store, EntityQuery()) == ["1", "2", "3", "4", "5", "6"]
    assert await found(store, EntityQuery(now=NOW)) == ["1", "3", "4", "5"]
    assert await found(store, replace(of_type(ROOM), now=NOW)) == ["1", "3", "4", "5"]
    assert await found(store, EntityQuery(attrs=frozenset({LEVEL}), now=NOW)) == ["1", "3", "5"]
    assert await found(store, EntityQuery(q=level("==", 1), now=NOW)) == ["1", "3"]
    assert await found(store, EntityQuery(now=NOW), limit=2, offset=1) == ["3", "4"]


async def test_4_12_pages_by_offset_and_by_id(store: Store) -> None:
    await put(store, [entity(number, number % 2, types=(ROOM, HALL)[number % 2 :][:1]) for number in range(10)])
    for query, ids in (
        (EntityQuery(), list("0123456789")),
        (of_type(HALL), list("13579")),
        (of_type(HALL, ROOM), list("0123456789")),
        (EntityQuery(q=level("==", 1)), list("13579")),
        (EntityQuery(attrs=frozenset({LEVEL})), list("0123456789")),
    ):
        for limit in (1, 2, 5, 10, 20):
            pages: list[str] = []
            last: str | None = None
            more = True
            while more:
                by_offset = await store.query("", query, Page(limit, offset=len(pages)))
                window = await store.query("", query, Page(limit, after=last))
                assert window == by_offset
                more = window.more
                last = window.entities[-1]["id"]
                pages += [each["id"].rpartition(":")[2] for each in window.entities]
            assert pages == ids
        beyond = await store.query("", query, Page(10, offset=10))
        assert (beyond.entities, beyond.more) == ([], False)
        nothing = await store.query("", query, Page(0))
        assert (nothing.entities, nothing.more) == ([], True)


async def test_4_23_ordering_and_pages_of_it(store: Store) -> None:
    await put(store, [entity(number, value) for number, value in enumerate([3, 1, 2, 1, "a"])])
    ascending = EntityQuery(ordering=Ordering((OrderTerm(Path((LEVEL,))),)))
    assert await found(store, ascending) == ["1", "3", "2", "0", "4"]
    assert await found(store, ascending, limit=2, offset=1) == ["3", "2"]
    descending = replace(
        of_type(ROOM), ordering=Ordering((OrderTerm(Path((LEVEL,)), descending=True),)), q=level(">", 1)
    )
    assert await found(store, descending) == ["0", "2"]
    window = await store.query("", ascending, Page(2, offset=2))
    assert window.more
    assert not (await store.query("", ascending, Page(2, offset=3))).more


async def test_4_23_ordering_looks_at_all_that_match(store: Store) -> None:
    await put(store, [entity(f"{number:04d}", (number * 7919) % 3000) for number in range(3000)])
    query = EntityQuery(ordering=Ordering((OrderTerm(Path((LEVEL,)), descending=True),)))
    window = await store.query("", query, Page(5, offset=3))
    assert [each["attrs"][LEVEL][0]["value"] for each in window.entities] == [2996, 2995, 2994, 2993, 2992]
    assert window.more


async def test_5_7_5_types_and_attributes_in_use(store: Store) -> None:
    mixed = {
        LEVEL: [instance(1), instance({}) | {"type": "JsonProperty", "datasetId": "urn:d:1"}],
        NOTE: [instance("x")],
    }
    one, two = entity(1), entity(2, types=(HALL, ROOM), attrs=mixed)
    await put(store, [one, two, entity(3, types=(BASE + "Empty",), attrs={})])
    await put(store, [entity(4, types=(BASE + "Other",))], "other")
    room = TypeCensus(
        ROOM,
        2,
        (AttributeCensus(LEVEL, {"JsonProperty": 1, "Property": 2}, 2), AttributeCensus(NOTE, {"Property": 1}, 1)),
    )
    hall = TypeCensus(
        HALL,
        1,
        (AttributeCensus(LEVEL, {"JsonProperty": 1, "Property": 1}, 1), AttributeCensus(NOTE, {"Property": 1}, 1)),
    )
    empty = TypeCensus(BASE + "Empty", 1, ())
    assert await store.census("") == [empty, hall, room]
    assert await store.census("", ROOM) == [room]
    assert await store.census("", BASE + "Other") == []
    retyped = entity(1, types=(BASE + "Empty",), version=2)
    await store.commit([Mutation(update(one, retyped), 1), Mutation(deletion(two), 1)])
    assert await store.census("") == [TypeCensus(BASE + "Empty", 2, (AttributeCensus(LEVEL, {"Property": 1}, 1),))]


async def test_5_7_5_what_has_expired_is_not_in_use(store: Store) -> None:
    old = "2026-05-01T00:00:00Z"
    await put(
        store,
        [
            entity(1),
            entity(2, expiresAt=old),
            entity(3, attrs={LEVEL: [instance(1)], NOTE: [instance("x", expiresAt=old)]}),
            entity(4, types=(HALL,), expiresAt=old),
        ],
    )
    assert await store.census("", now=NOW) == [TypeCensus(ROOM, 2, (AttributeCensus(LEVEL, {"Property": 2}, 2),))]
    assert [each.count for each in await store.census("")] == [1, 3]


async def test_a_rolled_back_commit_leaves_no_trace_in_queries(store: Store) -> None:
    await put(store, [entity(1)])
    fresh = entity(
        2, types=(BASE + "Fresh",), scope=["/New"], attrs={LOCATION: [point(8, 40)], BASE + "fresh": [instance(1)]}
    )
    with pytest.raises(Exception, match="changed meanwhile"):
        await store.commit([Mutation(creation(fresh), 0), Mutation(creation(entity(1)), 0)])
    assert [each.type for each in await store.census("")] == [ROOM]
    await put(store, [fresh])
    assert await found(store, of_type(BASE + "Fresh")) == ["2"]
    assert await found(store, EntityQuery(attrs=frozenset({BASE + "fresh"}))) == ["2"]
    assert await found(store, EntityQuery(scope=ScopeQuery(((ScopePattern(("New",)),),)))) == ["2"]
    near = GeoQuery("near", "Point", "[8,40]", LOCATION, max_distance=1000.0)
    assert await found(store, EntityQuery(geo=near)) == ["2"]


async def test_trimming_the_log_leaves_the_census_alone(store: Store) -> None:
    one = entity(1, scope=["/A"])
    await put(store, [one])
    await put(store, [entity(2, types=(HALL,), attrs={NOTE: [instance(1)]})])
    await store.commit([Mutation(deletion(one), 1)])
    await store.trim(await store.head())
    assert [each.type for each in await store.census("")] == [HALL]
    await put(store, [one])
    assert await found(store, of_type(ROOM)) == ["1"]
    assert await found(store, EntityQuery(scope=ScopeQuery(((ScopePattern(("A",)),),)))) == ["1"]
    assert [each.type for each in await store.census("")] == [HALL, ROOM]
