"""MongoStore's queries: the evaluator's answers, from indexes."""

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pymongo import MongoClient
from store_samples import LEVEL, entity, instance, put

from broker.errors import TooComplexQuery
from broker.model.change import Change
from broker.model.entity import Entity
from broker.query.ast import (
    And,
    Comparison,
    EntityQuery,
    EntitySelector,
    Exists,
    GeoQuery,
    LinkedIn,
    Or,
    Ordering,
    OrderTerm,
    Path,
    Range,
    ScopePattern,
    ScopeQuery,
    TypeSelection,
    Value,
    ValueList,
)
from broker.query.evaluate import matches
from broker.query.ordering import sort_entities
from broker.store.mongo.filters import compile_query
from broker.store.mongo.store import MongoStore
from broker.store.protocol import Mutation, Page

pytestmark = pytest.mark.mongo

NOW = "2026-11-22T21:34:08.123456Z"
PAST, FUTURE = "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"
TYPES = ["https://example.org/A", "https://example.org/B", "https://example.org/C"]
X, Y, REL, LANG, PLACE = (f"https://example.org/{name}" for name in ("x.y", "y", "rel", "lang", "place"))
NUMBERS = [0, 1, 1.0, -1, 2.5, 2**53 + 1, 2**63, -0.0, 10**30, 5]
STRINGS = ["", "a", "b", "ab", "urn:x:1", "urn:x:2", "日本", "\U0001f600", "\uffee", "1", "true", "z" * 300, "2026"]
INSTANTS = [PAST, NOW, FUTURE, "2026-11-22T21:34:08,123456Z", "2026-11-22", "2025-01-01", "21:34:08Z", "21:34:08.0Z"]
SCOPES = ["/a", "/a/b", "/a/b/c", "/ab", "a/b", "/x.y", "/a+b"]

SCALARS = st.sampled_from([*NUMBERS, *STRINGS, *INSTANTS, True, False])
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=3),
    st.fixed_dictionaries({"@type": st.just("DateTime"), "@value": st.sampled_from(INSTANTS)}),
    st.fixed_dictionaries({"m": SCALARS}),
)
COORDINATES = st.sampled_from([-180.0, -1.0, 0.0, 0.5, 1.0, 89.0, 180.0, 139.7])
POSITIONS = st.tuples(COORDINATES, COORDINATES.filter(lambda latitude: abs(latitude) <= 90)).map(list)
SQUARES = st.tuples(POSITIONS, st.sampled_from([0.25, 2.0])).map(
    lambda drawn: [
        [
            [drawn[0][0] + dx * drawn[1], drawn[0][1] + dy * drawn[1]]
            for dx, dy in ((0, 0), (1, 0), (1, 1), (0, 1), (0, 0))
        ]
    ]
)
GEOMETRIES = st.one_of(
    st.fixed_dictionaries({"type": st.just("Point"), "coordinates": POSITIONS}),
    st.fixed_dictionaries({"type": st.just("Polygon"), "coordinates": SQUARES}),
    st.fixed_dictionaries({"type": st.just("LineString"), "coordinates": st.lists(POSITIONS, min_size=2, max_size=3)}),
)


def attribute(kind, member, values):
    required = {"type": st.just(kind), member: values}
    optional = {
        "observedAt": st.sampled_from(INSTANTS[:3]),
        "expiresAt": st.sampled_from([PAST, FUTURE]),
        "urn:s": st.just([{"type": "Property", "value": 1}]),
    }
    first = st.fixed_dictionaries(required, optional=optional)
    second = st.fixed_dictionaries(required | {"datasetId": st.just("urn:d:1")}, optional=optional)
    return st.tuples(first, second).flatmap(lambda both: st.sampled_from([[both[0]], [both[1]], list(both)]))


OBJECTS = st.sampled_from(["urn:x:1", "urn:x:2", ["urn:x:1", "urn:x:3"]])
ATTRS = st.fixed_dictionaries(
    {},
    optional={
        X: attribute("Property", "value", VALUES),
        Y: attribute("Property", "value", SCALARS)
        | attribute("ListProperty", "valueList", st.lists(SCALARS, max_size=2)),
        REL: attribute("Relationship", "object", OBJECTS),
        LANG: attribute(
            "LanguageProperty",
            "languageMap",
            st.dictionaries(
                st.sampled_from(["en", "ja"]), st.sampled_from(STRINGS) | st.lists(st.sampled_from(STRINGS))
            ),
        ),
        PLACE: attribute("GeoProperty", "value", GEOMETRIES),
    },
)
ENTITIES = st.lists(
    st.fixed_dictionaries(
        {
            "type": st.lists(st.sampled_from(TYPES), min_size=1, max_size=2, unique=True),
            "createdAt": st.just("2026-01-01T00:00:00.000000Z"),
            "modifiedAt": st.sampled_from(["2026-01-01T00:00:00.000000Z", NOW]),
            "version": st.just(1),
            "attrs": ATTRS,
        },
        optional={
            "scope": st.lists(st.sampled_from(SCOPES), min_size=1, max_size=2, unique=True),
            "expiresAt": st.sampled_from([PAST, FUTURE, NOW]),
        },
    ),
    min_size=1,
    max_size=8,
).map(lambda drawn: [{"id": f"urn:{'xy'[place % 2]}:{place}"} | each for place, each in enumerate(drawn)])


def literal(value):
    if isinstance(value, bool):
        return Value(value, "boolean")
    if isinstance(value, str):
        return Value(value, "string")
    return Value(value, "number")


def instant(text):
    return Value(text, "time" if text[2] == ":" else "date" if len(text) == 10 else "dateTime")


LITERALS = SCALARS.map(literal) | st.sampled_from(INSTANTS).map(instant) | st.just(Value("urn:x:1", "uri"))
ORDERED = st.sampled_from([*NUMBERS, *STRINGS]).map(literal) | st.sampled_from(INSTANTS).map(instant)
RANGES = st.tuples(ORDERED, ORDERED).filter(lambda both: both[0].kind == both[1].kind).map(lambda both: Range(*both))
PATHS = st.sampled_from(
    [
        *(Path((name,)) for name in (X, Y, REL, LANG, PLACE, "createdAt", "modifiedAt", "expiresAt", "id")),
        Path((X, "observedAt")),
        Path((X, "urn:s")),
        Path((X,), ("m",)),
        Path((LANG,), ("en",)),
        Path((LANG,), ("*",)),
    ]
)
PATTERNS = st.sampled_from(["^a", "b$", "^urn:x:.*", "^(a|b)", "^日", "^ab*", ".", "^$"])
COMPARISONS = st.one_of(
    st.builds(
        Comparison,
        PATHS,
        st.sampled_from(["==", "!="]),
        LITERALS | RANGES | st.lists(LITERALS, min_size=1).map(tuple).map(ValueList),
    ),
    st.builds(Comparison, PATHS, st.sampled_from([">", ">=", "<", "<="]), ORDERED),
    st.builds(Comparison, PATHS, st.sampled_from(["~=", "!~="]), PATTERNS.map(lambda text: Value(text, "string"))),
    st.builds(Exists, PATHS),
    st.builds(LinkedIn, PATHS, st.frozensets(st.sampled_from(["urn:x:1", "urn:x:3"]))),
)
CONDITIONS = st.recursive(
    COMPARISONS,
    lambda inner: (
        st.lists(inner, min_size=2, max_size=3)
        .map(tuple)
        .flatmap(lambda terms: st.sampled_from([And(terms), Or(terms)]))
    ),
    max_leaves=4,
)
SELECTORS = st.builds(
    EntitySelector,
    ids=st.none() | st.frozensets(st.sampled_from(["urn:x:0", "urn:y:1", "urn:x:2", "urn:z:9"])),
    id_pattern=st.none() | st.sampled_from(["^urn:x", "y", "^urn:x:[0-3]$", "^u?", "^urn:x|4"]),
    types=st.none()
    | st.lists(st.lists(st.sampled_from(TYPES), max_size=2).map(tuple), min_size=1, max_size=2)
    .map(tuple)
    .map(TypeSelection),
)
SCOPE_PATTERNS = st.builds(
    ScopePattern, st.lists(st.sampled_from(["a", "b", "+", "ab", "x.y", "a+b"]), max_size=3).map(tuple), st.booleans()
).filter(lambda pattern: pattern.levels or pattern.subtree)
SCOPE_QUERIES = (
    st.lists(st.lists(SCOPE_PATTERNS, min_size=1, max_size=2).map(tuple), min_size=1, max_size=2)
    .map(tuple)
    .map(ScopeQuery)
)
GEO_QUERIES = st.one_of(
    st.builds(
        GeoQuery,
        st.sampled_from(["within", "contains", "overlaps", "intersects", "equals", "disjoint"]),
        st.just("Polygon"),
        SQUARES.map(repr),
        st.just(PLACE),
    ),
    st.builds(
        GeoQuery,
        st.just("near"),
        st.just("Point"),
        POSITIONS.map(repr),
        st.just(PLACE),
        max_distance=st.sampled_from([1.0, 30_000.0, 3e6]),
    ),
    st.builds(
        GeoQuery, st.just("near"), st.just("Point"), POSITIONS.map(repr), st.just(PLACE), min_distance=st.just(1e5)
    ),
)
QUERIES = st.builds(
    EntityQuery,
    selectors=st.lists(SELECTORS, max_size=2).map(tuple),
    attrs=st.frozensets(st.sampled_from([X, REL, PLACE]), max_size=2),
    q=st.none() | CONDITIONS,
    geo=st.none() | st.none() | GEO_QUERIES,
    scope=st.none() | st.none() | SCOPE_QUERIES,
    now=st.none() | st.just(NOW),
)


def creation(state, tenant=""):
    return Mutation(Change(tenant, state["id"], "entityCreated", NOW, (), None, state), 0)


async def assert_agreement(store, entities, query):
    expected = sorted(state["id"] for state in entities if matches(query, state))
    found = await store.query("", query, Page(1000))
    assert [state["id"] for state in found.entities] == expected, query
    assert await store.count("", query) == len(expected), query
    return expected


NO_SHRINKING = [Phase.explicit, Phase.reuse, Phase.generate]  # it takes minutes on a database, and the query is shown


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), phases=NO_SHRINKING)
@given(ENTITIES, st.lists(QUERIES, min_size=6, max_size=6))
async def test_answers_are_the_evaluators(mongo_store, mongo_client, empty_mongo_database, entities, queries):
    mongo_client[empty_mongo_database].entities.delete_many({})
    await mongo_store.commit([creation(state) for state in entities])
    await mongo_store.commit([creation(entities[0] | {"attrs": {}}, "other")])
    for query in queries:
        expected = await assert_agreement(mongo_store, entities, query)
        for offset in range(0, len(expected) + 1, 2):
            window = await mongo_store.query("", query, Page(2, offset))
            assert [state["id"] for state in window.entities] == expected[offset : offset + 2]
            assert window.more == (len(expected) > offset + 2)
        if len(expected) > 1:
            window = await mongo_store.query("", query, Page(1, after=expected[0]))
            assert [state["id"] for state in window.entities] == expected[1:2]


def bearing(attrs, number, **members):
    base = {"id": f"urn:x:{number:04}", "type": TYPES[:1], "createdAt": PAST, "modifiedAt": NOW, "version": 1}
    return base | {"attrs": attrs} | members


def sole(kind, member, value, **members):
    return [{"type": kind, member: value} | members]


def specimens():
    """An entity for every kind of value in every kind of attribute, alone and two by two."""
    scalars = [*NUMBERS, *STRINGS, *INSTANTS, True, False, None]
    for value in scalars:
        yield {X: sole("Property", "value", value)}
        yield {X: sole("Property", "value", [value, 77])}
        yield {X: sole("Property", "value", {"@type": "urn:t", "@value": value})}
        yield {X: sole("ListProperty", "valueList", [value])}
    for one, other in pairwise(scalars):
        yield {X: [*sole("Property", "value", one), *sole("Property", "value", other, datasetId="urn:d:1")]}
        yield {
            X: [*sole("Property", "value", one, expiresAt=PAST), *sole("Property", "value", other, datasetId="urn:d:1")]
        }
    for value in ("urn:x:1", ["urn:x:1", "urn:x:2"], "2026-11-22"):
        yield {X: sole("Relationship", "object", value)}
        yield {X: sole("VocabProperty", "vocab", value)}
    yield {X: sole("ListRelationship", "objectList", ["urn:x:2"])}
    for languages in ({}, {"en": "a"}, {"en": "ab", "ja": ["日本", "b"]}, {"en": NOW, "ja": "a"}):
        yield {X: sole("LanguageProperty", "languageMap", languages)}
    yield {X: sole("JsonProperty", "json", {"a": 1})}
    for instant in INSTANTS[:4]:
        yield {X: sole("Property", "value", 1, observedAt=instant.replace(",", "."))}
    yield {Y: sole("Property", "value", 1)}
    yield {}


LITERAL_LIST = [
    *map(literal, [*NUMBERS, *STRINGS, True, False]),
    *map(instant, INSTANTS),
    Value("urn:x:1", "uri"),
    *(literal(text) for text in INSTANTS),
]


@pytest.mark.parametrize("path", [Path((X,)), Path((X, "observedAt")), Path(("modifiedAt",))], ids=str)
async def test_4_9_every_operator_on_every_kind_of_value(mongo_store, path):
    entities = [bearing(attrs, number) for number, attrs in enumerate(specimens())]
    await mongo_store.commit([creation(state) for state in entities])
    conditions = [Exists(path), LinkedIn(path, frozenset({"urn:x:2", "2026-11-22"}))]
    for operand in LITERAL_LIST:
        operators = ["==", "!="] if operand.kind in ("boolean", "uri") else ["==", "!=", ">", ">=", "<", "<="]
        conditions += [Comparison(path, operator, operand) for operator in operators]
    ordered = [operand for operand in LITERAL_LIST if operand.kind not in ("boolean", "uri")]
    for low, high in zip(ordered, ordered[2:], strict=False):
        if low.kind == high.kind:
            conditions += [Comparison(path, "==", Range(low, high)), Comparison(path, "==", Range(high, low))]
        conditions.append(Comparison(path, "==", ValueList((low, high))))
    for pattern in ("^a", "^urn:x:.*", "b$", "^日", "^20", "^ab*"):
        conditions += [Comparison(path, operator, Value(pattern, "string")) for operator in ("~=", "!~=")]
    answers = {}
    for condition in conditions:
        answers[condition] = await assert_agreement(mongo_store, entities, EntityQuery(q=condition, now=NOW))
    assert sum(map(bool, answers.values())) > len(answers) / 3


PLACES = [
    *(
        {"type": "Point", "coordinates": [x, y]}
        for x in (-180, -179.99, -0.5, 0, 0.5, 139.7, 179.99)
        for y in (-90, 0, 0.5, 35.6)
    ),
    {"type": "MultiPoint", "coordinates": [[0, 0], [139.7, 35.6]]},
    {"type": "LineString", "coordinates": [[-1, -1], [140, 36]]},
    *(
        {"type": "Polygon", "coordinates": [[[x, y], [x + w, y], [x + w, y + w], [x, y + w], [x, y]]]}
        for x, y in ((-0.1, -0.1), (0, 0), (139.6, 35.5), (-170, -80))
        for w in (0.001, 0.2, 3, 100)
    ),
    {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]},
    {"type": "Point", "coordinates": [200, 95]},
]


async def test_4_10_every_relation_between_geometries_of_every_size(mongo_store):
    entities = [bearing({PLACE: sole("GeoProperty", "value", place)}, number) for number, place in enumerate(PLACES)]
    entities.append(bearing({PLACE: [*entities[0]["attrs"][PLACE], *entities[40]["attrs"][PLACE]]}, 999))
    entities.append(bearing({X: sole("GeoProperty", "value", PLACES[0])}, 1000))
    await mongo_store.commit([creation(state) for state in entities])
    hits = 0
    for place in PLACES:
        if place["type"] not in ("Point", "Polygon", "LineString"):
            continue
        kind, coordinates = place["type"], json.dumps(place["coordinates"])
        queries = [
            GeoQuery(relation, kind, coordinates, PLACE) for relation in ("within", "contains", "intersects", "equals")
        ]
        if place["coordinates"] != [200, 95]:
            queries += [GeoQuery("near", kind, coordinates, PLACE, max_distance=metres) for metres in (5.0, 3e4, 4e6)]
        for query in queries:
            hits += bool(await assert_agreement(mongo_store, entities, EntityQuery(geo=query, now=NOW)))
    disjoint = GeoQuery("disjoint", "Point", "[0,0]", PLACE)
    assert await assert_agreement(mongo_store, entities, EntityQuery(geo=disjoint))
    assert hits > 150


async def test_4_19_every_pattern_on_every_scope(mongo_store):
    entities = [bearing({}, number, scope=[scope]) for number, scope in enumerate(SCOPES)]
    entities += [bearing({}, 90, scope=["/a", "/x.y"]), bearing({}, 91, scope=["/ab", "/a/b"]), bearing({}, 92)]
    await mongo_store.commit([creation(state) for state in entities])
    levels = ["a", "b", "+", "ab", "x.y", "a+b"]
    patterns = [ScopePattern((one,), subtree) for one in levels for subtree in (True, False)]
    patterns += [ScopePattern((one, other), subtree) for one in levels for other in levels for subtree in (True, False)]
    patterns.append(ScopePattern((), subtree=True))
    for pattern, other in zip(patterns, patterns[1:] + patterns[:1], strict=True):
        for alternatives in (((pattern,),), ((pattern, other),), ((pattern,), (other,))):
            await assert_agreement(mongo_store, entities, EntityQuery(scope=ScopeQuery(alternatives), now=NOW))


async def test_4_23_ordered_pages_are_those_of_the_sorted_whole(mongo_store):
    entities = [
        {"id": f"urn:x:{place:04}", "type": TYPES[:1], "createdAt": NOW, "modifiedAt": NOW, "version": 1}
        | {"attrs": {X: [{"type": "Property", "value": place * 7919 % 1009}]} if place % 5 else {}}
        for place in range(1500)
    ]
    await mongo_store.commit([creation(state) for state in entities])
    ordering = Ordering((OrderTerm(Path((X,)), descending=True),))
    query = EntityQuery(ordering=ordering, now=NOW)
    expected = [state["id"] for state in sort_entities(entities, ordering)]
    for offset in (0, 10, 700, 1495, 1600):
        window = await mongo_store.query("", query, Page(10, offset))
        assert [state["id"] for state in window.entities] == expected[offset : offset + 10]
        assert window.more == (offset + 10 < 1500)
    assert await mongo_store.count("", query) == 1500


# --- plans -----------------------------------------------------------------------------------------------------------


@pytest.fixture
async def town(mongo_store):
    """3,000 entities of type A, 30 of type B with a place and a scope, in one tenant, and 500 of type B in another."""
    for start in range(0, 3000, 500):
        await mongo_store.commit([creation(plain("urn:a", TYPES[0], place)) for place in range(start, start + 500)])
    await mongo_store.commit([creation(placed("urn:b", TYPES[1], place)) for place in range(30)])
    await mongo_store.commit([creation(placed("urn:b", TYPES[1], place), "other") for place in range(500)])
    return mongo_store


def plain(prefix, entity_type, place):
    attrs = {X: [{"type": "Property", "value": place}]}
    state = {"id": f"{prefix}:{place:05}", "type": [entity_type], "createdAt": NOW, "modifiedAt": NOW, "version": 1}
    return state | {"attrs": attrs}


def placed(prefix, entity_type, place):
    state = plain(prefix, entity_type, place)
    position = {"type": "Point", "coordinates": [139 + place / 100, 35.5]}
    state["attrs"][PLACE] = [{"type": "GeoProperty", "value": position}]
    return state | {"scope": [f"/city/district{place % 3}"]}


def stages(plan):
    found = [plan] if "stage" in plan else []
    for inner in (plan.get("inputStage"), *plan.get("inputStages", ()), plan.get("queryPlan")):
        if inner:
            found += stages(inner)
    return found


def explain(mongo_client, database, query, **page):
    compiled = compile_query("", query, page.get("after"))
    cursor = mongo_client[database].entities.find(
        compiled.living, {"body": 1, "_id": 0}, sort=[("_id", 1)], hint=compiled.hint
    )
    answer = cursor.limit(page.get("limit", 21)).explain()
    indexes = {stage["indexName"] for stage in stages(answer["queryPlanner"]["winningPlan"]) if "indexName" in stage}
    names = {stage["stage"] for stage in stages(answer["queryPlanner"]["winningPlan"])}
    return indexes, names, answer["executionStats"]


def typed(*types, **parts):
    selection = TypeSelection(tuple((each,) for each in types))
    return EntityQuery(selectors=(EntitySelector(types=selection),), now=NOW, **parts)


async def test_a_query_by_type_reads_the_index_of_types_and_sorts_nothing(town, mongo_client, empty_mongo_database):
    for query in (
        typed(TYPES[1]),
        typed(TYPES[1], q=Comparison(Path((X,)), ">", Value(3, "number"))),
        typed(*TYPES[1:]),
    ):
        indexes, names, statistics = explain(mongo_client, empty_mongo_database, query)
        assert indexes == {"types"}
        assert "SORT" not in names
        assert statistics["totalDocsExamined"] <= 40


async def test_a_later_page_costs_what_the_first_costs(town, mongo_client, empty_mongo_database):
    query = typed(TYPES[0])
    _, names, statistics = explain(mongo_client, empty_mongo_database, query, after="urn:a:02900")
    assert statistics["totalKeysExamined"] <= 25
    assert statistics["totalDocsExamined"] <= 25
    assert "SORT" not in names


async def test_a_query_by_area_reads_the_index_of_cells_of_its_tenant(town, mongo_client, empty_mongo_database):
    square = "[[[139.045,35.4],[139.095,35.4],[139.095,35.6],[139.045,35.6],[139.045,35.4]]]"
    query = EntityQuery(geo=GeoQuery("within", "Polygon", square, PLACE), now=NOW)
    indexes, _, statistics = explain(mongo_client, empty_mongo_database, query)
    assert indexes == {"cells"}
    assert statistics["totalKeysExamined"] <= 20
    found = await town.query("", query, Page(100))
    assert [state["id"] for state in found.entities] == [f"urn:b:{place:05}" for place in range(5, 10)]


async def test_a_query_by_scope_reads_the_index_of_scopes(town, mongo_client, empty_mongo_database):
    scope = ScopeQuery(((ScopePattern(("city", "district1"), subtree=True),),))
    indexes, _, statistics = explain(mongo_client, empty_mongo_database, EntityQuery(scope=scope, now=NOW))
    assert indexes == {"scopes"}
    assert statistics["totalDocsExamined"] <= 11


async def test_a_query_by_id_prefix_reads_a_range_of_ids(town, mongo_client, empty_mongo_database):
    query = EntityQuery(selectors=(EntitySelector(id_pattern="^urn:b:0000"),), now=NOW)
    indexes, _, statistics = explain(mongo_client, empty_mongo_database, query)
    assert indexes == {"_id_"}
    assert statistics["totalDocsExamined"] <= 11


async def test_counting_a_type_reads_the_index_alone(town, mongo_client, empty_mongo_database):
    assert await town.count("", typed(TYPES[0])) == 3000
    compiled = compile_query("", typed(TYPES[0]))
    pipeline = [{"$match": compiled.found}, {"$group": {"_id": 1, "n": {"$sum": 1}}}]
    plan = mongo_client[empty_mongo_database].command(
        "explain", {"aggregate": "entities", "pipeline": pipeline, "cursor": {}}, verbosity="executionStats"
    )
    cursor = plan["stages"][0]["$cursor"] if "stages" in plan else plan
    assert cursor["executionStats"]["totalDocsExamined"] == 0


async def test_an_expensive_query_is_told_to_be_too_complex(mongodb_uri, empty_mongo_database, town):
    hurried = MongoStore(mongodb_uri, empty_mongo_database, query_seconds=0.01)
    await hurried.open()
    condition = Comparison(Path((X,)), "~=", Value("no such text", "string"))
    with pytest.raises(TooComplexQuery, match="narrow"):
        await hurried.query("", replace(typed(TYPES[0]), q=condition), Page(10))
    await hurried.close()


async def test_a_page_misses_nothing_where_what_was_found_first_is_deleted_meanwhile(
    mongo_store: MongoStore, mongo_client: MongoClient[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def state(number: int, value: int) -> Entity:
        attrs = {LEVEL: [instance(value), instance(1, datasetId="urn:d:1", expiresAt=PAST)]}
        return entity(number, attrs=attrs)

    await put(mongo_store, [state(number, 2 if number in (1, 2) else 1) for number in range(6)])
    find, asked = mongo_store._search._find, 0

    def find_and_delete(*given: Any) -> Any:
        nonlocal asked
        asked += 1
        if asked == 2:  # the first three have been looked at, and two of them did not match
            mongo_client[mongo_store._connection.name].entities.delete_one({"_id": {"$regex": "Thing:0$"}})
        return find(*given)

    monkeypatch.setattr(mongo_store._search, "_find", find_and_delete)
    query = EntityQuery(q=Comparison(Path((LEVEL,)), "==", Value(1, "number")), now=NOW)
    window = await mongo_store.query("", query, Page(2))
    assert asked == 2
    assert [each["id"][-1] for each in window.entities] == ["0", "3"]
    assert window.more
    monkeypatch.undo()
    window = await mongo_store.query("", query, Page(3, after=window.entities[-1]["id"]))
    assert [each["id"][-1] for each in window.entities] == ["4", "5"]
