"""5.7.8 to 5.7.10 discovery of attributes with 4.5.13 to 4.5.15, 5.2.27 and 5.2.28, 6.27 and 6.28 GET /attributes."""

import re
from urllib.parse import quote

import pytest

from conformance.broker_client import JSON, JSON_LD, BrokerClient
from conformance.clauses import clause
from conformance.samples import (
    DEFAULT_CONTEXT,
    Unique,
    entity,
    geo,
    json_prop,
    lang,
    list_prop,
    list_rel,
    prop,
    rel,
    vocab,
)
from conformance.servers import DocumentServer

URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")


@clause("4.5.13", 1, 2)
@clause("5.2.27", 1, 2)
@clause("5.7.8.4", 1)
@clause("6.27.3.1", 1)
def test_the_attributes_in_use_are_listed_once_each(broker: BrokerClient, unique: Unique) -> None:
    speed, owner = unique.name("speed"), unique.name("owner")
    for type_name in ("Car", "Car", "Bus"):
        broker.post("/entities", entity(unique.id(), unique.type(type_name), **{speed: prop(1)})).expect(201)
    broker.post("/entities", entity(unique.id(), unique.type(), **{owner: rel("urn:x:1")})).expect(201)
    shown = broker.get("/attributes").expect(200).json
    assert shown.keys() - {"@context"} == {"id", "type", "attributeList"}
    assert URI.fullmatch(shown["id"])
    assert shown["type"] == "AttributeList"
    for name in (speed, owner):
        assert shown["attributeList"].count(name) == 1


@clause("5.7.8.4", 2)
def test_an_attribute_that_is_not_in_use_any_more_is_not_listed(broker: BrokerClient, unique: Unique) -> None:
    name = unique.name("speed")
    one = entity(unique.id(), unique.type(), **{name: prop(1)})
    assert name not in broker.get("/attributes").expect(200).json["attributeList"]
    broker.post("/entities", one).expect(201)
    assert name in broker.get("/attributes").expect(200).json["attributeList"]
    broker.delete(f"/entities/{one['id']}/attrs/{name}").expect(204)
    assert name not in broker.get("/attributes").expect(200).json["attributeList"]


@clause("4.5.13", 1)
@clause("5.7.8.4", 1)
@pytest.mark.parametrize("accept", [JSON, JSON_LD])
def test_the_list_comes_in_the_media_type_that_was_asked_for(broker: BrokerClient, unique: Unique, accept: str) -> None:
    broker.post("/entities", entity(unique.id(), unique.type(), **{unique.name("speed"): prop(1)})).expect(201)
    answer = broker.get("/attributes", accept=accept).expect(200)
    assert answer.media_type == accept
    assert ("@context" in answer.json) is (accept == JSON_LD)
    assert unique.name("speed") in answer.json["attributeList"]


@clause("5.7.8.4", 1)
@clause("5.2.27", 1)
def test_the_names_of_attributes_are_those_of_the_context(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    iri = f"https://example.org/{unique.name('speed')}"
    broker.post("/entities", entity(unique.id(), unique.type(), **{iri: prop(1)})).expect(201)
    assert iri in broker.get("/attributes").expect(200).json["attributeList"]
    link = documents.publish_context(**{unique.name("pace"): iri})
    listed = broker.get("/attributes", link=link).expect(200).json["attributeList"]
    assert unique.name("pace") in listed
    assert iri not in listed


@clause("4.5.14", 1, 2)
@clause("5.2.28", 1, 2)
@clause("5.7.9.4", 1)
@clause("6.27.3.1", 1, 2)
def test_details_of_attributes_have_the_names_of_their_types(broker: BrokerClient, unique: Unique) -> None:
    name = unique.name("speed")
    for types in (unique.type("Car"), unique.type("Bus"), [unique.type("Car"), unique.type("Taxi")]):
        broker.post("/entities", entity(unique.id(), types, **{name: prop(1)})).expect(201)
    broker.post("/entities", entity(unique.id(), unique.type("Boat"), other=prop(1))).expect(201)
    answer = broker.get("/attributes", {"details": True}).expect(200)
    [shown] = [each for each in answer.json if each["attributeName"] == name]
    assert shown.keys() - {"@context"} == {"id", "type", "attributeName", "typeNames"}
    assert (shown["id"], shown["type"]) == (DEFAULT_CONTEXT + name, "Attribute")
    assert sorted(shown["typeNames"]) == sorted(map(unique.type, ("Car", "Bus", "Taxi")))


@clause("5.7.9.4", 1)
@clause("5.2.28", 1)
def test_details_have_the_names_of_the_context(broker: BrokerClient, unique: Unique, documents: DocumentServer) -> None:
    speed, car = f"https://example.org/{unique.name('speed')}", f"https://example.org/{unique.type()}"
    broker.post("/entities", entity(unique.id(), car, **{speed: prop(1)})).expect(201)
    link = documents.publish_context(Car=car, pace=speed)
    for expected, asked in (((speed, car), None), (("pace", "Car"), link)):
        answer = broker.get("/attributes", {"details": True}, link=asked).expect(200)
        [shown] = [each for each in answer.json if each["id"] == speed]
        assert (shown["attributeName"], shown["typeNames"]) == (expected[0], [expected[1]])


@clause("6.27.3.1", 2)
def test_without_details_the_list_comes(broker: BrokerClient) -> None:
    assert broker.get("/attributes", {"details": False}).expect(200).json["type"] == "AttributeList"


@clause("6.27.3.1", 1, 2)
@pytest.mark.parametrize("details", ["maybe", "1", ""])
def test_a_value_that_details_does_not_have_is_refused(broker: BrokerClient, details: str) -> None:
    broker.get("/attributes", {"details": details}).expect_problem("BadRequestData", "InvalidRequest")


@clause("4.5.15", 1, 2)
@clause("5.2.28", 1, 2)
@clause("5.7.10.4", 1, 2)
@clause("6.28.3.1", 1)
def test_information_about_an_attribute_counts_it_and_has_types_and_kinds(broker: BrokerClient, unique: Unique) -> None:
    name = unique.name("thing")
    broker.post("/entities", entity(unique.id(), unique.type("Car"), **{name: prop(1)})).expect(201)
    broker.post("/entities", entity(unique.id(), unique.type("Car"), **{name: rel("urn:x:1")})).expect(201)
    broker.post("/entities", entity(unique.id(), [unique.type("Bus"), unique.type("Car")], **{name: prop(2)}))
    shown = broker.get(f"/attributes/{name}").expect(200).json
    assert shown.keys() - {"@context"} == {
        *("id", "type", "attributeName", "attributeCount", "attributeTypes", "typeNames")
    }
    assert (shown["id"], shown["type"], shown["attributeName"]) == (DEFAULT_CONTEXT + name, "Attribute", name)
    assert shown["attributeCount"] == 3
    assert sorted(shown["attributeTypes"]) == ["Property", "Relationship"]
    assert sorted(shown["typeNames"]) == sorted(map(unique.type, ("Bus", "Car")))


@clause("5.7.10.4", 1)
@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (prop(1), "Property"),
        (rel("urn:x:1"), "Relationship"),
        (geo("Point", [1, 2]), "GeoProperty"),
        (lang({"en": "a"}), "LanguageProperty"),
        (vocab("male"), "VocabProperty"),
        (json_prop({"a": 1}), "JsonProperty"),
        (list_prop([1]), "ListProperty"),
        (list_rel(["urn:x:1"]), "ListRelationship"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_kind_is_told(broker: BrokerClient, unique: Unique, value: dict[str, object], kind: str) -> None:
    broker.post("/entities", entity(unique.id(), unique.type(), **{unique.name("thing"): value})).expect(201)
    shown = broker.get(f"/attributes/{unique.name('thing')}").expect(200).json
    assert shown["attributeTypes"] == [kind]


@clause("5.7.10.4", 2)
def test_the_count_follows_the_entities(broker: BrokerClient, unique: Unique) -> None:
    ids = [unique.id() for _ in range(3)]
    for entity_id in ids:
        broker.post("/entities", entity(entity_id, unique.type(), **{unique.name("speed"): prop(1)})).expect(201)
    broker.delete(f"/entities/{ids[0]}/attrs/{unique.name('speed')}").expect(204)
    assert broker.get(f"/attributes/{unique.name('speed')}").expect(200).json["attributeCount"] == 2


@clause("4.5.15", 3)
@clause("6.28.3.1", 1)
def test_an_attribute_is_found_by_its_full_and_by_its_short_name(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    iri = f"https://example.org/{unique.name('speed')}"
    broker.post("/entities", entity(unique.id(), unique.type(), **{iri: prop(1)})).expect(201)
    by_uri = broker.get(f"/attributes/{quote(iri, safe='')}").expect(200).json
    assert (by_uri["id"], by_uri["attributeName"]) == (iri, iri)
    link = documents.publish_context(pace=iri)
    by_name = broker.get("/attributes/pace", link=link).expect(200).json
    assert (by_name["id"], by_name["attributeName"]) == (iri, "pace")


@clause("5.7.10.4", 3)
@clause("6.28.3.1", 1)
def test_an_attribute_that_is_not_in_use_is_not_found(broker: BrokerClient, unique: Unique) -> None:
    broker.get(f"/attributes/{unique.name('speed')}").expect_problem("ResourceNotFound")


@clause("6.28.3.1", 1)
@pytest.mark.parametrize("name", ["a%20b", "1a", "%3Cscript%3E"])
def test_a_name_that_no_attribute_can_have_is_refused(broker: BrokerClient, name: str) -> None:
    broker.get(f"/attributes/{name}").expect_problem("BadRequestData")
