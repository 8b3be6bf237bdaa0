"""Evolutions as clients send them (5.2.20, 4.5.6 to 4.5.9)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import BadRequestData
from broker.model.evolution import parse_evolution, parse_evolution_fragment, parse_instance

V = "https://example.org/"
AT = "2026-01-01T00:00:00Z"
NULL = "urn:ngsi-ld:null"


class Names:
    def expand(self, name: str) -> str:
        return name if ":" in name else V + name

    def compact(self, iri: str) -> str:
        return iri.removeprefix(V)


def instances(value):
    document = {"id": "urn:a:1", "type": "T", "a": value}
    return parse_evolution(document, Names()).attrs[V + "a"]


def test_4_5_7_instances_of_one_dataset_are_many():
    given_ = [{"type": "Property", "value": number, "observedAt": AT, "instanceId": "urn:i:1"} for number in range(3)]
    assert [each["value"] for each in instances(given_)] == [0, 1, 2]
    assert "instanceId" not in instances(given_)[0]
    assert instances({"type": "Property", "value": 1}) == [{"type": "Property", "value": 1}]
    assert instances({"object": "urn:b:1"}) == [{"type": "Relationship", "object": "urn:b:1"}]
    assert instances([1, 2]) == [{"type": "Property", "value": [1, 2]}], "concise: an array is one value"


@pytest.mark.parametrize(
    ("kind", "member", "null"),
    [
        ("Property", "value", NULL),
        ("GeoProperty", "value", NULL),
        ("Relationship", "object", NULL),
        ("LanguageProperty", "languageMap", {"@none": NULL}),
        ("VocabProperty", "vocab", NULL),
        ("ListProperty", "valueList", [NULL]),
        ("ListRelationship", "objectList", [NULL]),
        ("JsonProperty", "json", NULL),
    ],
)
def test_4_5_7_deleted_instances_of_every_kind(kind, member, null):
    (found,) = instances([{"type": kind, member: null, "observedAt": AT, "deletedAt": AT}])
    expected = {"@none": NULL} if kind == "LanguageProperty" else NULL
    assert found == {"type": kind, member: expected, "observedAt": AT}


@pytest.mark.parametrize(
    "value",
    [
        NULL,
        [{"type": "Property"}],
        [{"type": "Property", "value": 1}, 2],
        [{"type": "Property", "value": {"a": NULL}}],
        {"type": "Property", "values": "x"},
        {"type": "Property", "values": [[1, AT, 2]]},
        {"type": "Property", "values": [[1, "soon"]]},
        {"type": "Property", "values": [[1, AT]], "unitCode": "MTR"},
        {"type": "LanguageProperty", "languageMaps": [["x", AT]]},
        {"type": "Property", "value": NULL, "unitCode": 3},
    ],
)
def test_5_5_4_what_is_wrong_is_bad_request_data(value):
    with pytest.raises(BadRequestData):
        instances(value)


def test_4_5_9_simplified_pairs_are_instances_with_observed_at():
    assert instances({"type": "Property", "datasetId": "urn:d:1", "values": [[1, AT]]}) == [
        {"type": "Property", "datasetId": "urn:d:1", "value": 1, "observedAt": AT}
    ]
    assert instances({"type": "Property", "values": []}) == []


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("/A", [{"type": "Property", "value": ["/A"]}]),
        (["/A", "/B"], [{"type": "Property", "value": ["/A", "/B"]}]),
        (
            {"type": "Property", "value": "/A", "observedAt": AT},
            [{"type": "Property", "value": ["/A"], "observedAt": AT}],
        ),
        ([{"value": NULL, "deletedAt": AT}], [{"type": "Property", "value": NULL}]),
        ({"type": "Property", "values": [["/A", AT]]}, [{"type": "Property", "value": ["/A"], "observedAt": AT}]),
    ],
)
def test_4_5_6_the_scope_has_an_evolution_too(scope, expected):
    assert parse_evolution({"id": "urn:a:1", "type": "T", "scope": scope}, Names()).attrs == {"scope": expected}


@pytest.mark.parametrize(
    "scope",
    ["1/x", [], {}, {"type": "Property"}, {"value": "/A", "unitCode": "x"}, {"value": "/A", "observedAt": 1}, 5],
)
def test_4_5_6_what_is_no_scope_is_refused(scope):
    with pytest.raises(BadRequestData):
        parse_evolution({"id": "urn:a:1", "type": "T", "scope": scope}, Names())


def test_5_6_12_a_fragment_is_of_its_target_and_adds_something():
    assert parse_evolution_fragment({"type": "U"}, Names(), "urn:a:1").types == [V + "U"]
    for document in ({}, {"id": "urn:a:2", "a": {"type": "Property", "value": 1}}):
        with pytest.raises(BadRequestData):
            parse_evolution_fragment(document, Names(), "urn:a:1")


def test_5_6_14_exactly_one_instance():
    one = {"type": "Property", "value": 1}
    assert parse_instance({"a": [one]}, Names(), V + "a") == one
    assert parse_instance({"a": one}, Names(), V + "a") == one
    assert parse_instance(one, Names(), V + "a") == one
    for document in ({"a": [one, one]}, {"b": one}, {"a": one, "b": one}, {}, {"a": []}):
        with pytest.raises(BadRequestData):
            parse_instance(document, Names(), V + "a")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.sampled_from([NULL, AT, "Property", "/A"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "value", "values", "object", "languageMap", "observedAt", "datasetId", "json", "jsons", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(JSON, JSON)
def test_any_json_is_read_or_refused(attribute, scope):
    document = {"id": "urn:a:1", "type": "T", "a": attribute, "scope": scope}
    try:
        parsed = parse_evolution(document, Names())
    except BadRequestData as error:
        assert error.detail  # noqa: PT017
    else:
        assert all("type" in instance for series in parsed.attrs.values() for instance in series)
