"""Random entities and random queries over one small vocabulary, so that the queries often match.

The evaluator and every store must agree on them:

    @given(st.lists(entities(), max_size=8, unique_by=lambda entity: entity["id"]), entity_queries())

All values are plain JSON: integers of 64 bits, finite decimals that every store reads back unchanged, strings without NUL,
geometries near (8, 40) that are valid on the plane and on the sphere.
"""

from itertools import pairwise
from typing import Any

import orjson
from hypothesis import strategies as st

from broker.model.entity import Entity, Instance, JsonObject
from broker.model.terms import LOCATION
from broker.query.ast import (
    And,
    Comparison,
    Condition,
    EntityQuery,
    EntitySelector,
    Exists,
    GeoQuery,
    LinkedIn,
    Operator,
    Or,
    Ordering,
    OrderTerm,
    Path,
    Range,
    ScopePattern,
    ScopeQuery,
    TypeSelection,
    Value,
    ValueKind,
    ValueList,
)

BASE = "https://example.org/"
ATTRIBUTES = (BASE + "level", BASE + "label", BASE + "ref", BASE + "data")
SUB_ATTRIBUTES = (BASE + "accuracy", BASE + "source")
TYPES = (BASE + "Sensor", BASE + "Room", BASE + "House")
IDS = tuple(f"urn:ngsi-ld:Thing:{number}" for number in range(8))
DATASETS = ("urn:ngsi-ld:Dataset:1", "urn:ngsi-ld:Dataset:2")
INSTANTS = (
    "2020-01-01T00:00:00Z",
    "2020-01-01T00:00:00.000000Z",
    "2020-06-15T12:30:00.5Z",
    "2021-03-04T05:06:07.123456Z",
    "2026-01-01T00:00:00Z",
)
SYSTEM_INSTANTS = ("2020-01-01T00:00:00.000000Z", "2020-06-15T12:30:00.500000Z", "2021-03-04T05:06:07.123456Z")
SCOPES = ("/Madrid", "/Madrid/Gardens", "/Madrid/Gardens/North", "Madrid", "/Kyoto", "/Kyoto/Gardens", "/京都")
DATES = ("2020-01-01", "2020-06-15", "1999-12-31")
TIMES = ("00:00:00Z", "12:30:00Z", "12:30:00.500Z")
UNITS = ("CEL", "MTR")
LANGUAGES = ("en", "fr", "ja", "@none")
TEXTS = (
    "",
    "red",
    "Red",
    "blue",
    "red wine",
    "\u00e9t\u00e9",
    "e\u0301te\u0301",
    "名古屋",
    "𝄞",
    "\uffee",
    "a\nb",
    'say "no\\"',
    "a.b",
    "$gt",
    "100%",
    "1",
    "true",
    "null",
    "2020-13-01",
    "2020-01-01T00:00:00",
    "2020-01-01T02:00:00+02:00",
    "2020-06-15T12:30:00,5Z",
    "r" * 64,
    "r" * 65,
    "r" * 257,
)
PATTERNS = (
    "red",
    "^r",
    "d$",
    "^red$",
    "a.b",
    r"a\.b",
    "é",
    "[0-9]+",
    "^$",
    ".*",
    "名",
    "(?i)^RED",
    "a|e",
    "^urn:ngsi-ld:Thing:[0-3]$",
)
MEMBERS = ("city", "deep", "n", "list", "$gt", 'it\'s "q"')
"""Of JSON objects; the last ones are there for stores that write names into statements."""


class ExampleNames:
    """An @context in which every short name is a name of example.org, and `location` the core's."""

    def expand(self, name: str) -> str:
        if ":" in name:
            return name
        return LOCATION if name == "location" else BASE + name

    def compact(self, iri: str) -> str:
        return "location" if iri == LOCATION else iri.removeprefix(BASE)


# --- values ----------------------------------------------------------------------------------------------------------

numbers = st.one_of(
    st.integers(-3, 6),
    st.sampled_from(
        (0.5, 1.5, 2.0, -0.0, 0.1, 2**53, 2**53 + 1, float(2**53), 2**63 - 1, 2**63, -(2**63), 123456789.125)
    ),
    st.integers(-(2**20), 2**20).map(lambda eighths: eighths / 8),
)
texts = st.one_of(
    st.sampled_from(TEXTS),
    st.sampled_from(IDS + INSTANTS + DATES + TIMES),
    st.text(st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), max_size=6),
)
scalars = st.one_of(numbers, texts, st.booleans())
typed_values = st.one_of(
    st.sampled_from(INSTANTS).map(lambda instant: {"@type": "DateTime", "@value": instant}),
    scalars.map(lambda value: {"@type": BASE + "unit", "@value": value}),
)
arrays = st.lists(st.one_of(scalars, typed_values, st.none(), st.lists(scalars, max_size=2)), max_size=4)
objects = st.dictionaries(
    st.sampled_from(MEMBERS),
    st.one_of(scalars, st.none(), arrays, typed_values, st.dictionaries(st.sampled_from(MEMBERS), scalars, max_size=2)),
    max_size=3,
)
json_values = st.one_of(scalars, scalars, arrays, objects, typed_values)

# --- geometries ------------------------------------------------------------------------------------------------------

_offsets = st.integers(-10, 10)


@st.composite
def positions(draw: st.DrawFn) -> list[float]:
    return [8 + draw(_offsets) / 100, 40 + draw(_offsets) / 100]


@st.composite
def _rectangles(draw: st.DrawFn) -> list[list[list[float]]]:
    west, south = draw(positions())
    east, north = west + draw(st.integers(1, 12)) / 100, south + draw(st.integers(1, 12)) / 100
    return [[[west, south], [east, south], [east, north], [west, north], [west, south]]]


_lines = st.lists(positions(), min_size=2, max_size=4, unique_by=tuple)


@st.composite
def geometries(draw: st.DrawFn) -> JsonObject:
    kind, coordinates = draw(
        st.one_of(
            st.tuples(st.just("Point"), positions()),
            st.tuples(st.just("MultiPoint"), st.lists(positions(), min_size=1, max_size=3, unique_by=tuple)),
            st.tuples(st.just("LineString"), _lines),
            st.tuples(st.just("MultiLineString"), st.lists(_lines, min_size=1, max_size=2)),
            st.tuples(st.just("Polygon"), _rectangles()),
            st.tuples(st.just("MultiPolygon"), _rectangles().map(lambda rings: [rings])),
        )
    )
    return {"type": kind, "coordinates": coordinates}


@st.composite
def geo_queries(draw: st.DrawFn) -> GeoQuery:
    reference = draw(geometries())
    geoproperty = draw(st.sampled_from((LOCATION, LOCATION, LOCATION, BASE + "data")))
    coordinates = orjson.dumps(reference["coordinates"]).decode()
    metres = draw(st.sampled_from((0.5, 777.0, 3333.0, 11_000.0)))
    relation = draw(
        st.sampled_from(("near", "near", "within", "contains", "overlaps", "intersects", "equals", "disjoint"))
    )
    if relation != "near":
        return GeoQuery(relation, reference["type"], coordinates, geoproperty)
    if draw(st.booleans()):
        return GeoQuery("near", reference["type"], coordinates, geoproperty, max_distance=metres)
    return GeoQuery("near", reference["type"], coordinates, geoproperty, min_distance=metres)


# --- entities --------------------------------------------------------------------------------------------------------

_language_maps = st.dictionaries(
    st.sampled_from(LANGUAGES), st.one_of(texts, st.lists(texts, min_size=1, max_size=3)), min_size=1, max_size=3
)
_some_ids = st.lists(st.sampled_from(IDS), min_size=1, max_size=3, unique=True)
_vocabulary = st.sampled_from((BASE + "red", BASE + "blue", BASE + "Male"))

_values: dict[str, tuple[str, st.SearchStrategy[Any]]] = {
    "Property": ("value", json_values),
    "GeoProperty": ("value", geometries()),
    "Relationship": ("object", st.one_of(st.sampled_from(IDS), st.sampled_from(IDS), _some_ids)),
    "LanguageProperty": ("languageMap", _language_maps),
    "VocabProperty": ("vocab", st.one_of(_vocabulary, st.lists(_vocabulary, min_size=1, max_size=2, unique=True))),
    "ListProperty": ("valueList", arrays),
    "ListRelationship": ("objectList", _some_ids),
    "JsonProperty": ("json", st.one_of(objects, arrays)),
}
_kinds = st.sampled_from(("Property", "Property", "Property", *_values))


@st.composite
def instances(draw: st.DrawFn, depth: int = 2, *, kind: str | None = None) -> Instance:
    """One attribute instance without datasetId, of any kind, with sub-attributes down to `depth` levels."""
    kind = kind or draw(_kinds)
    member, values = _values[kind]
    instance: Instance = {"type": kind, member: draw(values)}
    if draw(st.booleans()):
        instance["observedAt"] = draw(st.sampled_from(INSTANTS))
    if kind == "Property" and draw(st.booleans()):
        instance["unitCode"] = draw(st.sampled_from(UNITS))
    if depth and draw(st.integers(0, 3)) == 0:
        for name in draw(st.lists(st.sampled_from(SUB_ATTRIBUTES), min_size=1, max_size=2, unique=True)):
            instance[name] = draw(_attribute(depth - 1))
    return instance


@st.composite
def _attribute(draw: st.DrawFn, depth: int, *, kind: str | None = None, top: bool = False) -> list[Instance]:
    datasets = draw(
        st.one_of(st.just([None]), st.lists(st.sampled_from((None, *DATASETS)), min_size=1, max_size=3, unique=True))
    )
    attribute = []
    for dataset in datasets:
        instance = draw(instances(depth, kind=kind))
        if dataset is not None:
            instance["datasetId"] = dataset
        if top:
            instance["createdAt"], instance["modifiedAt"] = draw(_system_times())
            if draw(st.integers(0, 5)) == 0:
                instance["expiresAt"] = draw(st.sampled_from(INSTANTS))
        attribute.append(instance)
    return attribute


@st.composite
def _system_times(draw: st.DrawFn) -> tuple[str, str]:
    created, modified = sorted((draw(st.sampled_from(SYSTEM_INSTANTS)), draw(st.sampled_from(SYSTEM_INSTANTS))))
    return created, modified


@st.composite
def entities(draw: st.DrawFn) -> Entity:
    """An entity in the form of broker.model.entity."""
    created, modified = draw(_system_times())
    entity: Entity = {
        "id": draw(st.sampled_from(IDS)),
        "type": draw(st.lists(st.sampled_from(TYPES), min_size=1, max_size=2, unique=True)),
        "attrs": {},
        "createdAt": created,
        "modifiedAt": modified,
        "version": draw(st.integers(1, 3)),
    }
    for name in draw(st.lists(st.sampled_from(ATTRIBUTES), max_size=4, unique=True)):
        entity["attrs"][name] = draw(_attribute(2, top=True))
    if draw(st.integers(0, 2)):
        entity["attrs"][LOCATION] = draw(_attribute(0, kind="GeoProperty", top=True))
    if draw(st.booleans()):
        entity["scope"] = draw(st.lists(st.sampled_from(SCOPES), min_size=1, max_size=2, unique=True))
    if draw(st.integers(0, 5)) == 0:
        entity["expiresAt"] = draw(st.sampled_from(INSTANTS))
    return entity


# --- conditions ------------------------------------------------------------------------------------------------------

_trailing = st.sampled_from(
    (
        ("city",),
        ("deep",),
        ("deep", "n"),
        ("n",),
        ("list",),
        ("en",),
        ("ja",),
        ("*",),
        ("missing",),
        ("$gt",),
        ('it\'s "q"',),
    )
)


@st.composite
def paths(draw: st.DrawFn) -> Path:
    attribute = draw(st.sampled_from((*ATTRIBUTES, *ATTRIBUTES, LOCATION)))
    names = draw(
        st.one_of(
            st.just((attribute,)),
            st.just((attribute,)),
            st.just((attribute,)),
            st.just((attribute, draw(st.sampled_from(SUB_ATTRIBUTES)))),
            st.just((attribute, *SUB_ATTRIBUTES)),
            st.sampled_from(("observedAt", "unitCode", "datasetId", "createdAt", "type", "value")).map(
                lambda member: (attribute, member)
            ),
            st.sampled_from((("id",), ("type",), ("scope",), ("createdAt",), ("modifiedAt",), ("expiresAt",))),
        )
    )
    own = len(names) == 1 and ":" not in names[0]
    return Path(names, None if own else draw(st.one_of(st.none(), st.none(), _trailing)))


_literals: dict[ValueKind, st.SearchStrategy[Any]] = {
    "number": numbers,
    "string": st.one_of(texts, st.sampled_from((*TYPES, *IDS, *SCOPES, *UNITS, BASE + "red"))),
    "boolean": st.booleans(),
    "dateTime": st.sampled_from(INSTANTS),
    "date": st.sampled_from(DATES),
    "time": st.sampled_from(TIMES),
    "uri": st.sampled_from((*IDS, *TYPES, *DATASETS, BASE + "red")),
}
_comparable = st.sampled_from(("number", "number", "string", "string", "dateTime", "date", "time"))


@st.composite
def values(draw: st.DrawFn, kinds: st.SearchStrategy[Any] = st.sampled_from(tuple(_literals))) -> Value:
    kind = draw(kinds)
    return Value(draw(_literals[kind]), kind)


@st.composite
def ranges(draw: st.DrawFn) -> Range:
    kind = draw(_comparable)
    low, high = draw(_literals[kind]), draw(_literals[kind])
    return Range(Value(min(low, high), kind), Value(max(low, high), kind))


@st.composite
def comparisons(draw: st.DrawFn) -> Comparison:
    path = draw(paths())
    operator: Operator = draw(st.sampled_from(("==", "==", "==", "!=", "!=", ">", ">=", "<", "<=", "~=", "!~=")))
    if operator in ("==", "!="):
        lists = st.lists(values(), min_size=2, max_size=4).map(lambda found: ValueList(tuple(found)))
        return Comparison(path, operator, draw(st.one_of(values(), values(), lists, ranges())))
    if operator in ("~=", "!~="):
        return Comparison(path, operator, Value(draw(st.sampled_from(PATTERNS)), "string"))
    return Comparison(path, operator, draw(values(_comparable)))


terms: st.SearchStrategy[Condition] = st.one_of(
    comparisons(),
    comparisons(),
    comparisons(),
    paths().map(Exists),
    st.builds(LinkedIn, paths(), st.frozensets(st.sampled_from(IDS), max_size=4)),
)


def _combined(conditions: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    several = st.lists(conditions, min_size=2, max_size=3).map(tuple)
    return several.map(And) | several.map(Or)


conditions: st.SearchStrategy[Condition] = st.recursive(terms, _combined, max_leaves=6)
"""Conditions of every kind but Linked, which is resolved before anything is evaluated."""

# --- whole queries ---------------------------------------------------------------------------------------------------

_conjunctions = st.lists(st.sampled_from((*TYPES, BASE + "Ghost")), min_size=1, max_size=2, unique=True).map(tuple)
type_selections = st.one_of(
    st.lists(_conjunctions, min_size=1, max_size=3).map(lambda alternatives: TypeSelection(tuple(alternatives))),
    st.just(TypeSelection(((),))),
)

_scope_patterns = st.one_of(
    st.builds(
        ScopePattern,
        st.lists(st.sampled_from(("Madrid", "Gardens", "North", "Kyoto", "京都", "+")), min_size=1, max_size=3).map(
            tuple
        ),
        st.booleans(),
    ),
    st.just(ScopePattern((), subtree=True)),
)
scope_queries = st.lists(st.lists(_scope_patterns, min_size=1, max_size=2).map(tuple), min_size=1, max_size=2).map(
    lambda alternatives: ScopeQuery(tuple(alternatives))
)

selectors = st.builds(
    EntitySelector,
    ids=st.none() | st.frozensets(st.sampled_from(IDS), min_size=1, max_size=5),
    id_pattern=st.none()
    | st.sampled_from(("Thing", "^urn:ngsi-ld:Thing:[0-3]$", ":[2-5]", "1|2|3", "^urn:ngsi-ld:Nothing")),
    types=st.none() | type_selections,
)


def _seldom(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), st.none(), strategy)


@st.composite
def entity_queries(draw: st.DrawFn) -> EntityQuery:
    """A query without ordering; most of them match something, as conditions beyond `q` are seldom."""
    return EntityQuery(
        selectors=draw(_seldom(st.lists(selectors, min_size=1, max_size=2).map(tuple))) or (),
        attrs=draw(_seldom(st.frozensets(st.sampled_from((*ATTRIBUTES, LOCATION)), min_size=1, max_size=3)))
        or frozenset(),
        q=draw(st.one_of(st.none(), conditions, conditions, conditions)),
        geo=draw(_seldom(geo_queries())),
        scope=draw(_seldom(scope_queries)),
        now=draw(_seldom(st.sampled_from(INSTANTS))),
    )


@st.composite
def orderings(draw: st.DrawFn) -> Ordering:
    """An ordering by value and by distance from a point, for sort_entities."""
    reference = ("Point", orjson.dumps(draw(positions())).decode())
    order_terms = draw(st.lists(st.builds(OrderTerm, paths(), st.booleans(), st.booleans()), min_size=1, max_size=3))
    return Ordering(tuple(order_terms), draw(st.sampled_from((None, "und", "de-u-co-phonebk"))), reference)


def is_sorted(keys: list[Any]) -> bool:
    """Whether each key is at most its successor."""
    return all(one <= other for one, other in pairwise(keys))
