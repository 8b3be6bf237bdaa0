"""Random entities for property-based tests, and what other representations have to say of them (4.5)."""

from functools import cache
from typing import Any, Final

from hypothesis import strategies as st

from conformance.samples import Document

NAMES: Final = ("speed", "driver", "a", "x1", "with_underscore", "été", "京都", "ひらがな", "ß", "name2")
"""The names of attributes, sub-attributes, vocabulary terms and types of targets."""

_DATASETS: Final = (
    (None,),
    (None,),
    ("urn:ngsi-ld:Dataset:1",),
    (None, "https://example.org/dataset#2"),
    ("urn:x:データ", "urn:ngsi-ld:Dataset:1", None),
)
"""The datasetIds of an attribute's instances; None is the default one."""
_TAGS: Final = ("en", "en-GB", "ja", "fr", "zh-Hant-TW", "@none")
_TYPES: Final = ("Property", "Relationship", "Point", "PostalAddress", "JsonProperty")
_KEYS: Final = (*NAMES, "type", "value", "object", "coordinates", "languageMap", "id", "a b", "x.y", "$z")

LOOKALIKES: Final[tuple[Any, ...]] = (
    {"type": "PostalAddress", "city": "Kyoto"},
    {"type": "Property", "value": 1},
    {"type": "Point", "coordinates": [1.5, 2.5]},
    {"type": "Point", "coordinates": "nowhere"},
    {"value": 1},
    {"object": "urn:ngsi-ld:Thing:1"},
    {"languageMap": {"en": "yes"}},
    {"datasetId": "urn:ngsi-ld:Dataset:1"},
    [{"type": "Property", "value": 1}],
    [{"value": 1}, {"value": 2, "datasetId": "urn:ngsi-ld:Dataset:1"}],
    [{"type": "Relationship", "object": "urn:ngsi-ld:Thing:1"}, 5],
    {"dataset": {"@none": 1}},
)
"""Values of Properties that a careless reader takes for attributes, or for something else than the value of a Property."""

_VALUE: Final = {
    "Property": "value",
    "GeoProperty": "value",
    "Relationship": "object",
    "LanguageProperty": "languageMap",
    "VocabProperty": "vocab",
    "ListProperty": "valueList",
    "ListRelationship": "objectList",
    "JsonProperty": "json",
}
_CORE: Final = frozenset({*_VALUE.values(), "type", "datasetId", "observedAt", "unitCode", "valueType", "objectType"})
_UNORDERED: Final = frozenset({"object", "vocab", "objectType"})


# --- parts

_names = st.sampled_from(NAMES)
_texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=12)
_uris = st.builds("{}{}".format, st.sampled_from(("urn:ngsi-ld:Thing:", "https://example.org/道/")), st.integers(0, 99))
_numbers = st.integers(-(2**53) + 1, 2**53 - 1) | st.integers(-(10**6), 10**6).map(lambda n: n / 64)
_scalars = _texts | _numbers | st.booleans()
_instants = st.builds(
    "2026-{:02}-{:02}T{:02}:59:00{}Z".format,
    st.integers(1, 12),
    st.integers(1, 28),
    st.integers(0, 23),
    st.sampled_from(("", ".5", ".25", ".123456")),
)


def _several(one: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """One, or an array of more than one: an array of one may come back without its brackets."""
    return one | st.lists(one, min_size=2, max_size=3, unique=True)


def _structures(leaves: st.SearchStrategy[Any], keys: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=6
    )


_keys = st.sampled_from(_KEYS)
_lookalikes = st.sampled_from(LOOKALIKES)
_values = _lookalikes | _structures(_scalars | st.sampled_from(_TYPES) | _lookalikes, _keys)
_raw = _structures(_scalars | st.none(), _texts | _keys)
_raw_json = st.dictionaries(_texts | _keys, _raw, max_size=3) | st.lists(_raw, max_size=3)

_positions = st.lists(st.integers(-80 * 64, 80 * 64).map(lambda n: n / 64), min_size=2, max_size=2)
_lines = st.lists(_positions, min_size=2, max_size=4)
_squares = st.builds(
    lambda x, y, side: [[[x, y], [x + side, y], [x + side, y + side], [x, y + side], [x, y]]],
    st.integers(-80, 70),
    st.integers(-80, 70),
    st.integers(1, 9),
)
_geometries = st.one_of(
    [
        st.fixed_dictionaries({"type": st.just(kind), "coordinates": coordinates})
        for kind, coordinates in (
            ("Point", _positions),
            ("MultiPoint", st.lists(_positions, min_size=1, max_size=3)),
            ("LineString", _lines),
            ("MultiLineString", st.lists(_lines, min_size=1, max_size=2)),
            ("Polygon", _squares),
            ("MultiPolygon", st.lists(_squares, min_size=1, max_size=2)),
        )
    ]
)

_scopes = _several(st.sampled_from(("/Kyoto", "/Kyoto/Nakagyo", "/京都/中京", "/A/B_1")))

_content: Final = {
    "Property": _values,
    "GeoProperty": _geometries,
    "Relationship": _several(_uris),
    "LanguageProperty": st.dictionaries(st.sampled_from(_TAGS), _several(_texts), min_size=1, max_size=3),
    "VocabProperty": _several(_names | _uris),
    "ListProperty": st.lists(_values, max_size=3),
    "ListRelationship": st.lists(_uris.map(lambda uri: {"object": uri}), max_size=3),
    "JsonProperty": _raw_json,
}
_optional: Final = {
    "Property": {"unitCode": st.sampled_from(("CEL", "KMH", "C62")), "valueType": _names},
    "GeoProperty": {"valueType": _names},
    "Relationship": {"objectType": _several(_names)},
    "LanguageProperty": {},
    "VocabProperty": {"valueType": _names},
    "ListProperty": {"unitCode": st.sampled_from(("CEL", "KMH", "C62")), "valueType": _names},
    "ListRelationship": {"objectType": _several(_names)},
    "JsonProperty": {"valueType": _names},
}


@cache
def _instances(kind: str, depth: int) -> st.SearchStrategy[Document]:
    """Instances of a kind without datasetId, with sub-attributes `depth` levels deep."""
    members = {"type": st.just(kind), _VALUE[kind]: _content[kind]}
    own = st.fixed_dictionaries(members, optional={"observedAt": _instants, **_optional[kind]})
    if depth == 0:
        return own
    return st.builds(lambda instance, more: {**instance, **more}, own, _attributes_of(depth - 1, 1))


@st.composite
def _attributes(draw: st.DrawFn, depth: int) -> Any:
    """One instance, or an array of several with a dataset each."""
    datasets = draw(st.sampled_from(_DATASETS))
    kind = draw(st.sampled_from(tuple(_VALUE)))
    instances = []
    for dataset in datasets:
        instance = draw(_instances(kind, depth))
        instances.append(instance if dataset is None else {**instance, "datasetId": dataset})
    return instances[0] if len(instances) == 1 else instances


@cache
def _attributes_of(depth: int, at_most: int) -> st.SearchStrategy[Document]:
    return st.dictionaries(_names, _attributes(depth), max_size=at_most)


@st.composite
def bodies(draw: st.DrawFn) -> Document:
    """The members of a normalized entity but for its id and type."""
    own = st.fixed_dictionaries({}, optional={"location": _instances("GeoProperty", 1), "scope": _scopes})
    return {**draw(_attributes_of(2, 4)), **draw(own)}


# --- what has to be the same


def canonical(entity: Document) -> Document:
    """A normalized entity in a form in which all ways to write the same one are equal."""
    return {
        member: item if member == "id" else _sorted(item) if member in ("type", "scope") else _canonical_attribute(item)
        for member, item in entity.items()
        if member != "@context"
    }


def _canonical_attribute(attribute: Any) -> list[Any]:
    instances = attribute if isinstance(attribute, list) else [attribute]
    shown = [_canonical_instance(instance) for instance in instances]
    return sorted(shown, key=lambda instance: str(instance.get("datasetId", "")))


def _canonical_instance(instance: Document) -> Document:
    result: Document = {}
    for member, item in instance.items():
        if member == "observedAt":
            result[member] = item.rstrip("Z").rstrip("0") if "." in item else item.rstrip("Z") + "."
        elif member in _UNORDERED:
            result[member] = _sorted(item)
        else:
            result[member] = _exact(item) if member in _CORE else _canonical_attribute(item)
    return result


def _sorted(item: Any) -> list[Any]:
    return sorted(item) if isinstance(item, list) else [item]


def _exact(value: Any) -> Any:
    """A JSON value in which true is not 1, and 1 is 1.0."""
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, dict):
        return {key: _exact(item) for key, item in value.items()}
    return [_exact(item) for item in value] if isinstance(value, list) else value


# --- other representations


def simplified(entity: Document) -> Document:
    """What the simplified representation (4.5.4) has to say of a normalized entity; about scopes it is silent."""
    return {
        member: item if member in ("id", "type") else _simplified_attribute(item)
        for member, item in entity.items()
        if member != "scope"
    }


def _simplified_attribute(attribute: Any) -> Any:
    if isinstance(attribute, list):
        return {"dataset": {each.get("datasetId", "@none"): _simplified_instance(each) for each in attribute}}
    return _simplified_instance(attribute)


def _simplified_instance(instance: Document) -> Any:
    member = _VALUE[instance["type"]]
    if member in ("languageMap", "vocab", "json"):
        return {member: instance[member]}
    if member == "objectList":
        return [each["object"] for each in instance[member]]
    return instance[member]


def feature(entity: Document, properties: Document) -> Document:
    """What GeoJSON has to say of a normalized entity (4.5.16.2), given the representation of its members."""
    location = entity.get("location")
    shown = {member: item for member, item in properties.items() if member not in ("id", "scope")}
    geometry = None if location is None else location["value"]
    return {"id": entity["id"], "type": "Feature", "geometry": geometry, "properties": shown}
