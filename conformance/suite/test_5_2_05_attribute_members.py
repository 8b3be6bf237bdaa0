"""5.2.5 to 5.2.7, 5.2.32, 5.2.35 to 5.2.38: the members of all kinds of attributes, as the tables of their data types say."""

from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import DEFAULT_CONTEXT, Unique, entity, geo, json_prop, lang, list_prop, prop, rel, vocab
from conformance.servers import DocumentServer
from conformance.suite.kinds import RELATIONS, Kind, each_kind

_PROOF = {
    "type": "Property",
    "value": {"type": "DataIntegrityProof", "proofValue": "z5sHgVgqdWzL"},
    "entityIdSealed": "urn:ngsi-ld:Vehicle:A4567",
    "entityTypeSealed": "Vehicle",
}


@pytest.mark.parametrize("kind", each_kind(1, 2))
@clause("5.2.1", 1)
@clause("5.2.4", 1)
def test_an_attribute_comes_back_with_type_and_value_as_it_was_written(
    broker: BrokerClient, unique: Unique, kind: Kind
) -> None:
    one = entity(unique.id(), unique.type(), told=kind.one)
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}").expect(200).expect_json(one)


@pytest.mark.parametrize(
    "name", ["Thing", "property", "", "Entity", "TemporalProperty", 5, None, ["Property"]], ids=str
)
@pytest.mark.parametrize("kind", each_kind(2))
def test_an_attribute_of_another_type_is_refused(broker: BrokerClient, unique: Unique, kind: Kind, name: Any) -> None:
    one = entity(unique.id(), unique.type(), told={**kind.one, "type": name})
    broker.post("/entities", one).expect_problem("BadRequestData", "InvalidRequest")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("datasetId", "urn:ngsi-ld:Dataset:1"),
        ("datasetId", "https://example.org/データ"),
        ("observedAt", "2026-03-14T01:59:26Z"),
        ("nested", prop(1, unitCode="CEL")),
        ("nested", rel("urn:ngsi-ld:Person:1")),
        ("nested", geo("Point", [1.5, 2.5])),
        ("nested", lang({"en": "yes"})),
        ("nested", json_prop({"a": None})),
        ("nested", vocab("male")),
        ("nested", list_prop([1, "two"])),
        ("nested", {"type": "ListRelationship", "objectList": [{"object": "urn:ngsi-ld:Person:1"}]}),
        ("nested", [prop(1), prop(2, datasetId="urn:ngsi-ld:Dataset:1")]),
        ("nested", [rel("urn:a:1", datasetId="urn:a:3"), rel("urn:a:2", datasetId="urn:a:4")]),
        ("ngsildproof", _PROOF),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("kind", each_kind(1))
def test_an_attribute_keeps_its_optional_members(
    broker: BrokerClient, unique: Unique, kind: Kind, member: str, value: Any
) -> None:
    one = entity(unique.id(), unique.type(), told={**kind.one, member: value})
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}").expect(200).expect_json(one)


@pytest.mark.parametrize("kind", each_kind(1))
def test_expires_at_is_kept_and_shown_among_the_system_attributes(
    broker: BrokerClient, unique: Unique, kind: Kind
) -> None:
    one = entity(unique.id(), unique.type(), told={**kind.one, "expiresAt": "2099-01-01T00:00:00Z"})
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}", {"options": "sysAttrs"}).expect(200).json
    assert shown["told"]["expiresAt"].startswith("2099-01-01T00:00:00")


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("datasetId", "no uri"),
        ("datasetId", 5),
        ("datasetId", ["urn:a:1"]),
        ("observedAt", "yesterday"),
        ("observedAt", 5),
        ("expiresAt", "soon"),
        ("expiresAt", True),
        ("ngsildproof", "signed"),
        ("ngsildproof", {"type": "Property", "value": "signed"}),
        ("nested", {"type": "Nonsense", "value": 1}),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", each_kind(1, 4))
def test_optional_members_with_a_wrong_value_are_refused(
    broker: BrokerClient, unique: Unique, kind: Kind, member: str, value: Any
) -> None:
    one = entity(unique.id(), unique.type(), told={**kind.one, member: value})
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@pytest.mark.parametrize("kind", each_kind(4))
def test_a_proof_has_an_object_as_its_value(broker: BrokerClient, unique: Unique, kind: Kind) -> None:
    one = entity(unique.id(), unique.type(), told={**kind.one, "ngsildproof": _PROOF})
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}").expect(200).expect_json(one)
    bad = entity(unique.id(), unique.type(), told={**kind.one, "ngsildproof": {**_PROOF, "value": "z5sHgVgqdWzL"}})
    broker.post("/entities", bad).expect_problem("BadRequestData")


@pytest.mark.parametrize("kind", each_kind(5, without=(*RELATIONS, "LanguageProperty")))
def test_the_type_of_a_value_is_coerced_to_a_uri(
    broker: BrokerClient, unique: Unique, documents: DocumentServer, kind: Kind
) -> None:
    iri = f"https://example.org/{unique.name('Celsius')}"
    one = entity(unique.id(), unique.type(), told={**kind.one, "valueType": "Celsius"})
    broker.post("/entities", one, link=documents.publish_context(Celsius=iri)).expect(201)
    assert broker.get(f"/entities/{one['id']}").expect(200).json["told"]["valueType"] == iri


@pytest.mark.parametrize("kind", each_kind(5, without=RELATIONS))
def test_the_type_of_a_value_is_a_string(broker: BrokerClient, unique: Unique, kind: Kind) -> None:
    one = entity(unique.id(), unique.type(), told={**kind.one, "valueType": 5})
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@pytest.mark.parametrize("value", ["langString", "http://www.w3.org/1999/02/22-rdf-syntax-ns#langString"])
@clause("5.2.32", 5)
def test_the_type_of_a_language_property_is_lang_string(broker: BrokerClient, unique: Unique, value: str) -> None:
    one = entity(unique.id(), unique.type(), told=lang({"en": "yes"}, valueType=value))
    broker.post("/entities", one).expect(201)
    assert broker.get(f"/entities/{one['id']}").expect(200).json["told"]["valueType"] == "langString"


@pytest.mark.parametrize("value", ["string", "http://www.w3.org/2001/XMLSchema#string", DEFAULT_CONTEXT + "langString"])
@clause("5.2.32", 5)
def test_a_language_property_of_any_other_type_is_refused(broker: BrokerClient, unique: Unique, value: str) -> None:
    one = entity(unique.id(), unique.type(), told=lang({"en": "yes"}, valueType=value))
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@pytest.mark.parametrize("types", ["Person", ["Person", "Driver"]], ids=str)
@pytest.mark.parametrize("kind", each_kind(5, only=RELATIONS))
def test_the_type_of_a_target_is_a_name_of_an_entity_type(
    broker: BrokerClient, unique: Unique, documents: DocumentServer, kind: Kind, types: Any
) -> None:
    base = f"https://example.org/{unique.name('v')}/"
    one = entity(unique.id(), unique.type(), told={**kind.one, "objectType": types})
    broker.post("/entities", one, link=documents.publish_context(Person=base + "Person", Driver=base + "Driver"))
    shown = broker.get(f"/entities/{one['id']}").expect(200).json["told"]["objectType"]
    expanded = [base + types] if isinstance(types, str) else [base + name for name in types]
    assert (sorted(shown) if isinstance(shown, list) else [shown]) == sorted(expanded)
