"""Documents read into the internal form: what is accepted, inferred, ignored, refused."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_entities import NAMES, NOW, nasty_values

from broker.errors import BadRequestData
from broker.model.entity import Entity
from broker.model.members import PROOF_IRI
from broker.model.parsing import (
    parse_attribute_fragment,
    parse_entity,
    parse_fragment,
    parse_simplified_fragment,
)
from broker.model.terms import DEFAULT_VOCAB, LOCATION, NGSI_LD, NGSI_LD_NULL

POINT = {"type": "Point", "coordinates": [8.0, 49.0]}
DATASET = "urn:ngsi-ld:Dataset:a"


def parse(**members: Any) -> Entity:
    return parse_entity({"id": "urn:ngsi-ld:Vehicle:1", "type": "Vehicle", **members}, NAMES, NOW)


def attribute(value: Any) -> list[dict[str, Any]]:
    """The instances of one attribute, without the times the broker adds."""
    instances = parse(probe=value)["attrs"][DEFAULT_VOCAB + "probe"]
    for instance in instances:
        assert instance.pop("createdAt") == instance.pop("modifiedAt") == NOW
    return instances


def test_4_5_1_an_entity_in_internal_form() -> None:
    entity = parse(
        type=["Vehicle", "https://vocab.example/Car", "Vehicle"],
        scope="Madrid",
        expiresAt="2030-01-01T00:00:00,5Z",
        speed={"type": "Property", "value": 55},
        **{"@context": "https://ignored.example", "createdAt": "nonsense", "modifiedAt": 5, "deletedAt": None},
    )
    assert entity == {
        "id": "urn:ngsi-ld:Vehicle:1",
        "type": [DEFAULT_VOCAB + "Vehicle", "https://vocab.example/Car"],
        "scope": ["/Madrid"],
        "expiresAt": "2030-01-01T00:00:00.5Z",
        "createdAt": NOW,
        "modifiedAt": NOW,
        "version": 1,
        "attrs": {
            "https://vocab.example/speed": [{"type": "Property", "value": 55, "createdAt": NOW, "modifiedAt": NOW}]
        },
    }


def test_4_4_json_ld_keywords_are_synonyms_on_input() -> None:
    entity = parse_entity(
        {"@id": "urn:a:b", "@type": "Vehicle", "probe": {"@type": "Property", "value": 1}}, NAMES, NOW
    )
    assert (entity["id"], entity["type"]) == ("urn:a:b", [DEFAULT_VOCAB + "Vehicle"])
    assert entity["attrs"][DEFAULT_VOCAB + "probe"][0]["value"] == 1
    assert attribute({"type": NGSI_LD + "Property", "value": 1}) == [{"type": "Property", "value": 1}]


@pytest.mark.parametrize(
    ("document", "member"),
    [
        ({}, "id"),
        ({"type": "Vehicle"}, "id"),
        ({"id": "urn:a:b"}, "type"),
        ({"id": "urn:a:b", "type": None}, "type"),
        ({"id": "urn:a:b", "type": []}, "type"),
        ({"id": "urn:a:b", "type": ["Vehicle", 5]}, "type"),
        ({"id": "urn:a:b", "type": "9Vehicle"}, "valid name"),
        ({"id": "urn:a:b", "type": NGSI_LD_NULL}, "valid name"),
        ({"id": NGSI_LD_NULL, "type": "Vehicle"}, "id"),
        ({"id": "urn:a:b", "type": "Vehicle", "scope": NGSI_LD_NULL}, "scope"),
        ({"id": "urn:a:b", "type": "Vehicle", "scope": None}, "scope"),
        ({"id": "urn:a:b", "type": "Vehicle", "expiresAt": NGSI_LD_NULL}, "expiresAt"),
        ({"id": "urn:a:b", "type": "Vehicle", "expiresAt": "tomorrow"}, "expiresAt"),
        ({"id": "urn:a:b", "type": "Vehicle", "my attr": 1}, "my attr"),
        ({"id": "urn:a:b", "type": "Vehicle", "a": 1, DEFAULT_VOCAB + "a": 2}, "same attribute"),
    ],
)
def test_4_5_1_faulty_entities_are_refused_by_member(document: dict[str, Any], member: str) -> None:
    with pytest.raises(BadRequestData, match=member):
        parse_entity(document, NAMES, NOW)


@pytest.mark.parametrize(
    "name",
    [
        *("datasetId", "instanceId", "observedAt", "unitCode", "value", "object", "languageMap", "valueType", "@value"),
        *("entityIdSealed", "previousValue", "entity", "https://uri.etsi.org/ngsi-ld/observedAt"),
        "https://uri.etsi.org/ngsi-ld/hasValue",
    ],
)
def test_4_5_1_non_reified_core_terms_are_not_attribute_names(name: str) -> None:
    for value in ({"type": "Property", "value": 1}, "2026-01-01T00:00:00Z"):
        with pytest.raises(BadRequestData):
            parse(**{name: value})
    if ":" in name:
        with pytest.raises(BadRequestData):
            parse(probe={"type": "Property", "value": 1, name: 5})


@pytest.mark.parametrize(
    ("given_form", "internal"),
    [
        (55, {"type": "Property", "value": 55}),
        ("x", {"type": "Property", "value": "x"}),
        (False, {"type": "Property", "value": False}),
        ([1, "a"], {"type": "Property", "value": [1, "a"]}),
        ([], {"type": "Property", "value": []}),
        ({}, {"type": "Property", "value": {}}),
        ({"street": "x"}, {"type": "Property", "value": {"street": "x"}}),
        ([{"a": 1}], {"type": "Property", "value": [{"a": 1}]}),
        ([{"type": "PostalAddress"}], {"type": "Property", "value": [{"type": "PostalAddress"}]}),
        ({"@type": "DateTime", "@value": "x"}, {"type": "Property", "value": {"@type": "DateTime", "@value": "x"}}),
        ({"value": 5}, {"type": "Property", "value": 5}),
        ({"value": {"type": "x"}}, {"type": "Property", "value": {"type": "x"}}),
        (POINT, {"type": "GeoProperty", "value": POINT}),
        ({"value": POINT}, {"type": "GeoProperty", "value": POINT}),
        ({"type": "Property", "value": POINT}, {"type": "Property", "value": POINT}),
        ([POINT, POINT], {"type": "Property", "value": [POINT, POINT]}),
        ({"object": "urn:a:b"}, {"type": "Relationship", "object": "urn:a:b"}),
        ({"object": ["urn:a:b"]}, {"type": "Relationship", "object": ["urn:a:b"]}),
        ({"languageMap": {"en": "x", "@none": ["y"]}}, {"type": "LanguageProperty", "languageMap": {"en": "x", "@none": ["y"]}}),
        ({"vocab": "open"}, {"type": "VocabProperty", "vocab": DEFAULT_VOCAB + "open"}),
        ({"vocab": ["open", "urn:a:b"]}, {"type": "VocabProperty", "vocab": [DEFAULT_VOCAB + "open", "urn:a:b"]}),
        ({"valueList": [1, {"a": 2}]}, {"type": "ListProperty", "valueList": [1, {"a": 2}]}),
        ({"objectList": ["urn:a:b", {"object": "urn:a:c"}]}, {"type": "ListRelationship", "objectList": ["urn:a:b", "urn:a:c"]}),
        ({"json": {"type": 1, "b": None}}, {"type": "JsonProperty", "json": {"type": 1, "b": None}}),
        ({"json": [{"@context": 1}]}, {"type": "JsonProperty", "json": [{"@context": 1}]}),
    ],
)  # fmt: skip
def test_4_5_2_3_concise_input_infers_the_kind(given_form: Any, internal: dict[str, Any]) -> None:
    assert attribute(given_form) == [internal]


def test_4_5_2_2_all_members_of_an_instance_are_read() -> None:
    (instance,) = attribute(
        {
            "type": "Property",
            "value": 1,
            "datasetId": DATASET,
            "observedAt": "2026-01-01T00:00:00,25Z",
            "expiresAt": "2030-01-01T00:00:00Z",
            "unitCode": "MTR",
            "valueType": "Metre",
            "accuracy": {"type": "Property", "value": 2, "unitCode": "P1", "note": "deep"},
            "providedBy": [{"object": "urn:a:b"}, {"object": "urn:a:c", "datasetId": DATASET}],
        }
    )
    assert instance == {
        "type": "Property",
        "value": 1,
        "datasetId": DATASET,
        "observedAt": "2026-01-01T00:00:00.25Z",
        "expiresAt": "2030-01-01T00:00:00Z",
        "unitCode": "MTR",
        "valueType": DEFAULT_VOCAB + "Metre",
        DEFAULT_VOCAB + "accuracy": [
            {"type": "Property", "value": 2, "unitCode": "P1", DEFAULT_VOCAB + "note": [{"type": "Property", "value": "deep"}]}
        ],
        DEFAULT_VOCAB + "providedBy": [
            {"type": "Relationship", "object": "urn:a:b"},
            {"type": "Relationship", "object": "urn:a:c", "datasetId": DATASET},
        ],
    }  # fmt: skip
    (relationship,) = attribute({"object": "urn:a:b", "objectType": "Car"})
    assert relationship["objectType"] == [DEFAULT_VOCAB + "Car"]


def test_5_2_2_members_that_only_a_broker_generates_are_ignored() -> None:
    system = {"createdAt": "x", "modifiedAt": 5, "deletedAt": None, "instanceId": "x"}
    assert attribute({"type": "Property", "value": 1, "previousValue": 0, **system}) == [
        {"type": "Property", "value": 1}
    ]
    assert attribute({"object": "urn:a:b", "previousObject": "x", "entity": {"id": 5}, **system}) == [
        {"type": "Relationship", "object": "urn:a:b"}
    ]
    assert attribute({"objectList": ["urn:a:b"], "entityList": [{}]}) == [
        {"type": "ListRelationship", "objectList": ["urn:a:b"]}
    ]


_PROPERTY = {"type": "Property", "value": 1}
_RELATIONSHIP = {"type": "Relationship", "object": "urn:a:b"}


@pytest.mark.parametrize(
    ("value", "member"),
    [
        *((_PROPERTY | {member: {}}, member) for member in (
            "object", "languageMap", "vocab", "valueList", "objectList", "json", "entity", "entityList", "entityIdSealed",
            "entityTypeSealed", "previousObject", "previousLanguageMap", "previousVocab", "previousJson", "objectType",
            "@context", "id", "scope", "my attr",
        )),
        *((_RELATIONSHIP | {member: 5}, member) for member in (
            "value", "unitCode", "languageMap", "json", "vocab", "valueList", "objectList", "entityList", "previousValue",
            "valueType", "entityIdSealed",
        )),
        ({"type": "LanguageProperty", "languageMap": {"en": "x"}, "unitCode": "MTR"}, "unitCode"),
        ({"type": "LanguageProperty", "languageMap": {"en": "x"}, "value": 1}, "value"),
        ({"type": "VocabProperty", "vocab": "x", "unitCode": "MTR"}, "unitCode"),
        ({"type": "JsonProperty", "json": {}, "unitCode": "MTR"}, "unitCode"),
        ({"type": "JsonProperty", "json": {}, "value": 1}, "value"),
        ({"type": "ListProperty", "valueList": [1], "value": 3}, "value"),
        ({"type": "ListRelationship", "objectList": [], "object": "urn:a:b"}, "object"),
        ({"value": 1, "object": "urn:a:b"}, "only one of object, value"),
        # missing or null values
        ({"type": "Property"}, "value"),
        ({"type": "Property", "value": None}, "null"),
        ({"type": "Relationship"}, "object"),
        ({"type": "LanguageProperty"}, "languageMap"),
        ({"unitCode": "MTR"}, "value"),
        (None, "null"),
        ({"a": None}, "null"),
        ([1, None], "null"),
        # types
        ({"type": "property", "value": 1}, "type"),
        ({"type": "PostalAddress", "street": "x"}, "type"),
        ({"type": ["Property"], "value": 1}, "type"),
        ({"type": None, "value": 1}, "type"),
        # values of the wrong shape
        ({"object": "not a uri"}, "object"),
        ({"object": 5}, "object"),
        ({"object": []}, "object"),
        ({"object": ["urn:a:b", None]}, "object"),
        ({"type": "LanguageProperty", "languageMap": "x"}, "languageMap"),
        ({"languageMap": {"en": 5}}, "languageMap"),
        ({"languageMap": {"en": ["a", 5]}}, "languageMap"),
        ({"languageMap": {"": "x"}}, "languageMap"),
        ({"languageMap": {"not a tag": "x"}}, "languageMap"),
        ({"languageMap": {"en": "x"}, "valueType": "String"}, "valueType"),
        ({"vocab": 5}, "vocab"),
        ({"vocab": []}, "vocab"),
        ({"vocab": ["a", 5]}, "vocab"),
        ({"type": "JsonProperty", "json": 5}, "json"),
        ({"json": "text"}, "json"),
        ({"valueList": 5}, "valueList"),
        ({"valueList": [None]}, "null"),
        ({"objectList": "urn:a:b"}, "objectList"),
        ({"objectList": ["not a uri"]}, "objectList"),
        ({"objectList": [{"object": "urn:a:b", "x": 1}]}, "objectList"),
        ({"type": "GeoProperty", "value": 5}, "geometry"),
        ({"type": "GeoProperty", "value": "not a geometry"}, "geometry"),
        ({"type": "Point", "coordinates": "x"}, "Point"),
        # other members
        ({"value": 1, "observedAt": "2026-08-10T12:00:00+02:00"}, r"probe\.observedAt"),
        ({"value": 1, "observedAt": {"type": "Property", "value": NOW}}, r"probe\.observedAt"),
        ({"value": 1, "expiresAt": 5}, r"probe\.expiresAt"),
        ({"value": 1, "unitCode": 5}, r"probe\.unitCode"),
        ({"value": 1, "unitCode": ""}, r"probe\.unitCode"),
        ({"value": 1, "valueType": 5}, r"probe\.valueType"),
        ({"object": "urn:a:b", "objectType": [5]}, r"probe\.objectType"),
        ({"object": "urn:a:b", "objectType": []}, r"probe\.objectType"),
        ({"value": 1, "datasetId": "x"}, r"probe\.datasetId"),
        ({"value": 1, "datasetId": None}, r"probe\.datasetId"),
        ({"value": {"a": {"@context": {}}}}, "@context"),
        ({"value": 1, "a": 1, DEFAULT_VOCAB + "a": 2}, "same sub-attribute"),
        ({"value": 1, "sub": {"type": "Property"}}, r"probe\.sub"),
        # multi-attributes
        ([{"value": 1}, {"value": 2}], "default instance"),
        ([{"value": 1}, {"value": 2, "datasetId": "@none"}], "default instance"),
        ([{"value": 1, "datasetId": DATASET}, {"value": 2, "datasetId": DATASET}], DATASET),
        ([{"value": 1}, 5], "instance"),
        ([{"value": 1}, {"a": 5}], "instance"),
        # the NGSI-LD Null
        (NGSI_LD_NULL, "Null"),
        ({"value": NGSI_LD_NULL}, "Null"),
        ({"object": NGSI_LD_NULL}, "Null"),
        ({"object": [NGSI_LD_NULL]}, "Null"),
        ({"languageMap": {"@none": NGSI_LD_NULL}}, "Null"),
        ({"languageMap": {"en": NGSI_LD_NULL, "fr": "x"}}, "Null"),
        ({"vocab": NGSI_LD_NULL}, "Null"),
        ({"vocab": ["a", NGSI_LD_NULL]}, "Null"),
        ({"valueList": [NGSI_LD_NULL]}, "Null"),
        ({"valueList": [1, NGSI_LD_NULL]}, "Null"),
        ({"objectList": [{"object": NGSI_LD_NULL}]}, "Null"),
        ({"json": NGSI_LD_NULL}, "Null"),
        ({"json": {"a": NGSI_LD_NULL}}, "Null"),
        ({"value": {"a": {"b": NGSI_LD_NULL}}}, r"probe\.value\.a\.b"),
        ({"value": [[NGSI_LD_NULL]]}, "Null"),
        ({"value": 1, "unitCode": NGSI_LD_NULL}, "Null"),
        ({"value": 1, "sub": {"value": NGSI_LD_NULL}}, "Null"),
        ({"value": 1, "sub": NGSI_LD_NULL}, "Null"),
    ],
)  # fmt: skip
def test_4_5_faulty_attributes_are_refused_by_member(value: Any, member: str) -> None:
    with pytest.raises(BadRequestData, match=member):
        parse(probe=value)
    with pytest.raises(BadRequestData):
        parse_fragment({"probe": value}, NAMES, allow_null=False)


def test_4_5_0_a_json_null_literal_is_a_value() -> None:
    literal = {"@type": "@json", "@value": None}
    assert attribute({"type": "Property", "value": literal}) == [{"type": "Property", "value": literal}]
    assert attribute({"a": literal})[0]["value"] == {"a": literal}


def test_4_5_5_datasets_distinguish_instances_and_none_is_the_default() -> None:
    assert attribute([{"value": 1, "datasetId": "@none"}, {"value": 2, "datasetId": DATASET}]) == [
        {"type": "Property", "value": 1},
        {"type": "Property", "value": 2, "datasetId": DATASET},
    ]


def test_4_7_1_core_geo_properties_are_geo_properties() -> None:
    for name in ("location", "observationSpace", "operationSpace"):
        for value in ({"type": "Property", "value": 7}, 7, {"object": "urn:a:b"}, {"value": 7}, "nowhere"):
            with pytest.raises(BadRequestData, match=name):
                parse(**{name: value})
    text = '{"type": "Point", "coordinates": [8.0, 49.0]}'
    for value in (text, {"value": text}, {"type": "GeoProperty", "value": text}):
        assert parse(location=value)["attrs"][LOCATION][0]["value"] == POINT
    # As a sub-attribute the same name says nothing about the entity.
    assert attribute({"value": 1, "location": "here"})[0][LOCATION] == [{"type": "Property", "value": "here"}]


PROOF = {
    "type": "Property",
    "entityIdSealed": "urn:ngsi-ld:Vehicle:1",
    "entityTypeSealed": "Vehicle",
    "value": {"type": "DataIntegrityProof", "proofValue": "z3X"},
}


def test_4_5_2_2_a_proof_is_kept_with_its_sealed_members() -> None:
    internal = PROOF | {"entityTypeSealed": DEFAULT_VOCAB + "Vehicle"}
    assert attribute({"value": 1, "ngsildproof": PROOF})[0][PROOF_IRI] == [internal]
    assert attribute({"value": 1, PROOF_IRI: PROOF})[0][PROOF_IRI] == [internal], "by its IRI it is the same"
    (proof,) = parse(ngsildproof=PROOF)["attrs"][NGSI_LD + "ngsildproof"]
    assert proof == internal | {"createdAt": NOW, "modifiedAt": NOW}


@pytest.mark.parametrize(
    "proof",
    [
        PROOF | {"value": "x"},
        PROOF | {"entityTypeSealed": 42},
        PROOF | {"entityIdSealed": "x"},
        {"object": "urn:a:b"},
        "x",
        [PROOF | {"value": "x"}],
    ],
)
def test_4_5_2_2_a_faulty_proof_is_refused(proof: Any) -> None:
    with pytest.raises(BadRequestData):
        parse(ngsildproof=proof)
    with pytest.raises(BadRequestData):
        parse(probe={"value": 1, "ngsildproof": proof})


@pytest.mark.parametrize(
    "members", [{"ngsildproof": [PROOF]}, {"ngsildproof": [PROOF, PROOF]}, {"ngsildproof": PROOF, PROOF_IRI: PROOF}]
)
def test_4_5_2_2_an_attribute_has_one_proof(members: Any) -> None:
    with pytest.raises(BadRequestData, match="ngsildproof"):
        parse(probe={"value": 1, **members})


# --- fragments ------------------------------------------------------------------------------------------------------


def test_5_4_a_fragment_may_repeat_the_id_of_its_target_only() -> None:
    target = "urn:ngsi-ld:Vehicle:1"
    fragment = parse_fragment({"id": target, "type": "Vehicle"}, NAMES, entity_id=target, allow_null=False)
    assert fragment.types == [DEFAULT_VOCAB + "Vehicle"]
    for given_id in ("urn:ngsi-ld:Vehicle:2", "x", 5):
        with pytest.raises(BadRequestData, match="id"):
            parse_fragment({"id": given_id, "a": 1}, NAMES, entity_id=target, allow_null=False)


def test_5_4_an_empty_fragment_is_refused() -> None:
    for document in ({}, {"id": "urn:a:b"}, {"@context": []}, {"createdAt": "x"}):
        with pytest.raises(BadRequestData, match="empty"):
            parse_fragment(document, NAMES, allow_null=True)
        with pytest.raises(BadRequestData, match="empty"):
            parse_simplified_fragment(document, NAMES, None)
    for document in ({}, {"@context": []}, {"createdAt": "x"}):
        with pytest.raises(BadRequestData, match="empty"):
            parse_attribute_fragment(document, NAMES, DEFAULT_VOCAB + "a", partial=True)


@pytest.mark.parametrize(
    "fragment",
    [
        {"type": NGSI_LD_NULL},
        {"id": NGSI_LD_NULL, "a": 1},
        {"a": {"value": 1, "datasetId": NGSI_LD_NULL}},
        {"a": {"type": NGSI_LD_NULL, "value": 1}},
        {"a": {"value": [NGSI_LD_NULL]}},
        {"a": {"value": {"b": [{"c": NGSI_LD_NULL}]}}},
        {"a": {"valueList": [{"b": NGSI_LD_NULL}]}},
        {"a": {"vocab": [NGSI_LD_NULL]}},
        {"a": None},
        {"scope": None},
        {"expiresAt": None},
    ],
)
def test_5_5_8_an_ngsi_ld_null_in_the_wrong_place_is_refused_in_fragments_too(fragment: dict[str, Any]) -> None:
    with pytest.raises(BadRequestData):
        parse_fragment(fragment, NAMES, allow_null=True)


def test_5_6_19_a_replacement_is_complete_and_has_no_nulls() -> None:
    iri = DEFAULT_VOCAB + "probe"
    assert parse_attribute_fragment({"value": 5, "@context": []}, NAMES, iri, partial=False) == {
        "type": "Property",
        "value": 5,
    }
    assert parse_attribute_fragment(POINT, NAMES, iri, partial=False) == {"type": "GeoProperty", "value": POINT}
    for document in (
        {"type": "Property"},
        {"value": NGSI_LD_NULL},
        {"sub": 1},
        {"type": "Property", "value": 1, "object": 1},
    ):
        with pytest.raises(BadRequestData):
            parse_attribute_fragment(document, NAMES, iri, partial=False)


@settings(max_examples=150, deadline=None)
@given(nasty_values, st.sampled_from(["id", "type", "scope", "expiresAt", "a", "location", "ngsildproof"]))
def test_no_input_causes_anything_but_bad_request_data(value: Any, member: str) -> None:
    document = {"id": "urn:a:b", "type": "T", member: value}
    for parsing in (
        lambda: parse_entity(document, NAMES, NOW),
        lambda: parse_fragment(document, NAMES, allow_null=True),
        lambda: parse_simplified_fragment(document, NAMES, parse(a={"object": "urn:a:b"}), lang="en"),
        lambda: parse_attribute_fragment({member: value}, NAMES, DEFAULT_VOCAB + "a", partial=True),
    ):
        try:
            result: Any = parsing()
        except BadRequestData as refusal:
            result = refusal.detail
        assert result
