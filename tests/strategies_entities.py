"""Random entities for property-based tests: normalized documents in the form the broker shows them, and their internal form.

Names come from a small pool, so that documents meet in the same attributes; values hold, on purpose, members that look
like the core vocabulary, geometries in plain Properties, and booleans beside numbers.
"""

from typing import Any

from hypothesis import strategies as st

from broker.model.entity import Entity
from broker.model.parsing import parse_entity
from broker.model.terms import DEFAULT_VOCAB, NGSI_LD, NGSI_LD_NULL

CORE_TERMS = {
    **{
        term: NGSI_LD + term for term in ("location", "observationSpace", "operationSpace", "ngsildproof", "observedAt")
    },
    "langString": "http://www.w3.org/1999/02/22-rdf-syntax-ns#langString",
}


class VocabNames:
    """The names of an @context that has core terms, the given ones, and the default vocabulary."""

    def __init__(self, terms: dict[str, str] | None = None) -> None:
        self._iris = {**(terms or {}), **CORE_TERMS}
        self._terms = {iri: term for term, iri in self._iris.items()}

    def expand(self, name: str) -> str:
        if ":" in name:
            return name
        return self._iris.get(name) or DEFAULT_VOCAB + name

    def compact(self, iri: str) -> str:
        return self._terms.get(iri) or iri.removeprefix(DEFAULT_VOCAB)


NAMES = VocabNames({"speed": "https://vocab.example/speed", "category": "https://vocab.example/category"})
NOW = "2026-11-22T21:34:08.123456Z"
LATER = "2026-11-22T21:35:00.000000Z"

attribute_names = st.sampled_from(["temperature", "speed", "気温", "name_2", "https://vocab.example/other", "owner"])
sub_attribute_names = st.sampled_from(["accuracy", "providedBy", "単位", "speed"])
type_names = st.sampled_from(["Device", "Vehicle", "気象観測", "https://vocab.example/Room"])
uris = st.sampled_from([f"urn:ngsi-ld:Thing:{number}" for number in range(5)] + ["https://都市.example/施設#1"])
dataset_ids = st.sampled_from(["urn:ngsi-ld:Dataset:a", "urn:ngsi-ld:Dataset:b"])
instants = st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5Z", "2026-11-22T21:34:08.123456Z"])
expiries = st.sampled_from(["2027-01-01T00:00:00Z", "2030-12-31T23:59:59.999Z"])
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)

_members = st.one_of(
    st.text("abc", min_size=1, max_size=2),
    st.sampled_from(
        ["type", "value", "object", "coordinates", "observedAt", "json", "unitCode", "id", "@type", "@value"]
    ),
)
_scalars = st.one_of(
    texts,
    st.integers(-3, 3),
    st.booleans(),
    st.floats(-1e9, 1e9, allow_nan=False),
    st.sampled_from(["Point", "Property", "urn:ngsi-ld:Thing:1", "2026-01-01T00:00:00Z"]),
)
positions = st.lists(st.integers(-90, 90), min_size=2, max_size=3)


def _closed(ring: list[list[int]]) -> list[list[int]]:
    return [*ring, ring[0]]


geometries = st.one_of(
    positions.map(lambda where: {"type": "Point", "coordinates": where}),
    st.lists(positions, min_size=2, max_size=4).map(lambda line: {"type": "LineString", "coordinates": line}),
    st.lists(positions, min_size=3, max_size=4).map(lambda ring: {"type": "Polygon", "coordinates": [_closed(ring)]}),
    st.lists(positions, min_size=1, max_size=3).map(lambda points: {"type": "MultiPoint", "coordinates": points}),
)

json_values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(_scalars, geometries),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_members, inner, max_size=3)),
    max_leaves=6,
)
"""NGSI-LD Values: any JSON without null."""

raw_json = st.one_of(
    st.dictionaries(st.text("abc@", min_size=1, max_size=2), st.one_of(json_values, st.none()), max_size=3),
    st.lists(st.dictionaries(st.text("ab", min_size=1, max_size=1), st.none()), max_size=2),
)

language_maps = st.dictionaries(
    st.sampled_from(["ja", "en", "fr-CH", "@none"]),
    st.one_of(texts, st.lists(texts, max_size=2)),
    min_size=1,
    max_size=3,
)

_words = st.sampled_from(["open", "category", "non-commercial", "閉"])

_VALUES: dict[str, tuple[str, st.SearchStrategy[Any]]] = {
    "Property": ("value", json_values),
    "GeoProperty": ("value", geometries),
    "Relationship": ("object", st.one_of(uris, st.lists(uris, min_size=1, max_size=3))),
    "LanguageProperty": ("languageMap", language_maps),
    "VocabProperty": ("vocab", st.one_of(_words, st.lists(_words, min_size=1, max_size=2))),
    "ListProperty": ("valueList", st.lists(json_values, max_size=3)),
    "ListRelationship": ("objectList", st.lists(uris.map(lambda uri: {"object": uri}), max_size=3)),
    "JsonProperty": ("json", raw_json),
}

kinds = st.sampled_from(sorted(_VALUES))


@st.composite
def instances(draw: st.DrawFn, *, depth: int = 1, expiring: bool = False) -> dict[str, Any]:
    """One normalized attribute instance of any kind, without datasetId."""
    kind = draw(kinds)
    member, values = _VALUES[kind]
    instance: dict[str, Any] = {"type": kind, member: draw(values)}
    if draw(st.booleans()):
        instance["observedAt"] = draw(instants)
    if kind in ("Property", "ListProperty") and draw(st.booleans()):
        instance["unitCode"] = draw(st.sampled_from(["CEL", "MTR"]))
    if kind.endswith("Relationship") and draw(st.booleans()):
        instance["objectType"] = draw(st.one_of(type_names, st.lists(type_names, min_size=2, max_size=2, unique=True)))
    if kind in ("Property", "JsonProperty") and draw(st.booleans()):
        instance["valueType"] = draw(st.sampled_from(["String", "xsd:double"]))
    if expiring and draw(st.booleans()):
        instance["expiresAt"] = draw(expiries)
    if depth > 0:
        subs = attributes(depth=depth - 1, expiring=expiring)
        instance.update(draw(st.dictionaries(sub_attribute_names, subs, max_size=2)))
    return instance


@st.composite
def attributes(draw: st.DrawFn, *, depth: int = 1, expiring: bool = False) -> Any:
    """One normalized attribute: an instance, or an array of instances of different datasets."""
    first = draw(instances(depth=depth, expiring=expiring))
    others = draw(st.lists(dataset_ids, max_size=2, unique=True)) if draw(st.integers(0, 3)) == 0 else []
    if not others:
        return first
    return [first, *({**draw(instances(depth=depth, expiring=expiring)), "datasetId": other} for other in others)]


@st.composite
def documents(draw: st.DrawFn, *, depth: int = 1, expiring: bool = False) -> dict[str, Any]:
    """A normalized entity exactly as the broker shows it."""
    types = draw(st.lists(type_names, min_size=1, max_size=2, unique=True))
    document: dict[str, Any] = {"id": draw(uris), "type": types[0] if len(types) == 1 else types}
    scopes = draw(st.lists(st.sampled_from(["/Tokyo", "/Tokyo/Shibuya", "/東京/区_1"]), max_size=2, unique=True))
    if scopes:
        document["scope"] = scopes[0] if len(scopes) == 1 else scopes
    if expiring and draw(st.booleans()):
        document["expiresAt"] = draw(expiries)
    if draw(st.booleans()):
        document["location"] = {"type": "GeoProperty", "value": draw(geometries)}
    document.update(draw(st.dictionaries(attribute_names, attributes(depth=depth, expiring=expiring), max_size=4)))
    return document


def entities(*, depth: int = 1, expiring: bool = False) -> st.SearchStrategy[Entity]:
    """An entity in internal form, created at NOW."""
    return documents(depth=depth, expiring=expiring).map(lambda document: parse_entity(document, NAMES, NOW))


fragments = st.builds(
    lambda attrs, types: {**attrs, "type": types},
    st.dictionaries(attribute_names, attributes(), max_size=3),
    st.lists(type_names, min_size=1, max_size=2, unique=True),
)
"""Normalized Entity Fragments without NGSI-LD Nulls."""

_CORE_MEMBERS = (
    *("type", "@type", "value", "object", "languageMap", "vocab", "json", "valueList", "objectList", "datasetId"),
    *("observedAt", "unitCode", "ngsildproof", "coordinates", "a", "b", "@context", "@value", "dataset", ""),
)
nasty_values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3), st.just(NGSI_LD_NULL), st.just("urn:a:b")),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(_CORE_MEMBERS),
            st.one_of(inner, st.sampled_from(["Property", "GeoProperty", "Relationship", "Point", "ListRelationship"])),
            max_size=4,
        ),
    ),
    max_leaves=10,
)
"""What a careless or hostile client may send as any member: core members, nulls and kinds in the wrong places."""
