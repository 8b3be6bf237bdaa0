"""Discovery of entity types: 5.7.5 to 5.7.7, 4.5.10 to 4.5.12, 5.2.24 to 5.2.26, 6.25 GET /types, 6.26 GET /types/{type}."""

import re
from urllib.parse import quote

import pytest

from conformance.broker_client import JSON, JSON_LD, BrokerClient
from conformance.clauses import clause
from conformance.samples import DEFAULT_CONTEXT, Unique, entity, geo, lang, prop, rel
from conformance.servers import DocumentServer

URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")


@clause("4.5.10", 1, 2)
@clause("5.2.24", 1, 2)
@clause("5.7.5.4", 1)
@clause("6.25.3.1", 1)
def test_the_types_in_use_are_listed_once_each(broker: BrokerClient, unique: Unique) -> None:
    for types in (unique.type("Home"), unique.type("Home"), [unique.type("Home"), unique.type("Shop")]):
        broker.post("/entities", entity(unique.id(), types)).expect(201)
    shown = broker.get("/types").expect(200).json
    assert shown.keys() - {"@context"} == {"id", "type", "typeList"}
    assert URI.fullmatch(shown["id"])
    assert shown["type"] == "EntityTypeList"
    for name in ("Home", "Shop"):
        assert shown["typeList"].count(unique.type(name)) == 1


@clause("5.7.5.4", 2)
def test_a_type_that_is_not_in_use_any_more_is_not_listed(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type())
    assert unique.type() not in broker.get("/types").expect(200).json["typeList"]
    broker.post("/entities", one).expect(201)
    assert unique.type() in broker.get("/types").expect(200).json["typeList"]
    broker.delete(f"/entities/{one['id']}").expect(204)
    assert unique.type() not in broker.get("/types").expect(200).json["typeList"]


@clause("4.5.10", 3)
@clause("5.7.5.4", 1)
@pytest.mark.parametrize("accept", [JSON, JSON_LD])
def test_the_list_comes_in_the_media_type_that_was_asked_for(broker: BrokerClient, unique: Unique, accept: str) -> None:
    broker.post("/entities", entity(unique.id(), unique.type())).expect(201)
    answer = broker.get("/types", accept=accept).expect(200)
    assert answer.media_type == accept
    assert ("@context" in answer.json) is (accept == JSON_LD)
    assert unique.type() in answer.json["typeList"]


@clause("5.2.24", 1)
@clause("5.7.5.4", 1)
def test_the_names_of_types_are_those_of_the_context(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    iri = f"https://example.org/{unique.type()}"
    broker.post("/entities", entity(unique.id(), iri)).expect(201)
    assert iri in broker.get("/types").expect(200).json["typeList"]
    link = documents.publish_context(**{unique.name("House"): iri})
    listed = broker.get("/types", link=link).expect(200).json["typeList"]
    assert unique.name("House") in listed
    assert iri not in listed


@clause("4.5.11", 1, 2)
@clause("5.2.25", 1, 2)
@clause("5.7.6.4", 1)
@clause("6.25.3.1", 1, 2)
def test_details_of_types_have_the_names_of_their_attributes(broker: BrokerClient, unique: Unique) -> None:
    broker.post("/entities", entity(unique.id(), unique.type(), speed=prop(1), owner=rel("urn:x:1"))).expect(201)
    broker.post("/entities", entity(unique.id(), unique.type(), speed=prop(2), place=geo("Point", [1, 2])))
    answer = broker.get("/types", {"details": True}).expect(200)
    [shown] = [each for each in answer.json if each["typeName"] == unique.type()]
    assert shown.keys() - {"@context"} == {"id", "type", "typeName", "attributeNames"}
    assert shown["id"] == DEFAULT_CONTEXT + unique.type()
    assert shown["type"] == "EntityType"
    assert sorted(shown["attributeNames"]) == ["owner", "place", "speed"]


@clause("5.7.6.4", 1)
@clause("5.2.25", 1)
def test_details_have_the_names_of_the_context(broker: BrokerClient, unique: Unique, documents: DocumentServer) -> None:
    iri = f"https://example.org/{unique.type()}"
    broker.post("/entities", entity(unique.id(), iri, **{"https://example.org/speed": prop(1)})).expect(201)
    link = documents.publish_context(House=iri, pace="https://example.org/speed")
    for expected, asked in (((iri, "https://example.org/speed"), None), (("House", "pace"), link)):
        answer = broker.get("/types", {"details": True}, link=asked).expect(200)
        [shown] = [each for each in answer.json if each["id"] == iri]
        assert (shown["typeName"], shown["attributeNames"]) == (expected[0], [expected[1]])


@clause("6.25.3.1", 2)
@pytest.mark.parametrize("details", ["false", False])
def test_without_details_the_list_comes(broker: BrokerClient, details: object) -> None:
    assert broker.get("/types", {"details": details}).expect(200).json["type"] == "EntityTypeList"


@clause("6.25.3.1", 1, 2)
@pytest.mark.parametrize("details", ["maybe", "1", ""])
def test_a_value_that_details_does_not_have_is_refused(broker: BrokerClient, details: str) -> None:
    broker.get("/types", {"details": details}).expect_problem("BadRequestData", "InvalidRequest")


@clause("4.5.12", 1, 2)
@clause("5.2.26", 1, 2)
@clause("5.2.28", 1, 2)
@clause("5.7.7.4", 1, 2)
@clause("6.26.3.1", 1)
def test_information_about_a_type_counts_entities_and_tells_of_attributes(broker: BrokerClient, unique: Unique) -> None:
    broker.post("/entities", entity(unique.id(), unique.type(), speed=prop(1), owner=rel("urn:x:1"))).expect(201)
    broker.post("/entities", entity(unique.id(), unique.type(), speed=prop(2))).expect(201)
    broker.post("/entities", entity(unique.id(), unique.type("Shop"), label=lang({"en": "a"}))).expect(201)
    shown = broker.get(f"/types/{unique.type()}").expect(200).json
    assert shown.keys() - {"@context"} == {"id", "type", "typeName", "entityCount", "attributeDetails"}
    assert shown["id"] == DEFAULT_CONTEXT + unique.type()
    assert (shown["type"], shown["typeName"], shown["entityCount"]) == ("EntityTypeInfo", unique.type(), 2)
    details = sorted(shown["attributeDetails"], key=lambda each: str(each["id"]))
    assert details == [
        {
            "id": DEFAULT_CONTEXT + name,
            "type": "Attribute",
            "attributeName": name,
            "attributeTypes": [kind],
        }
        for name, kind in (("owner", "Relationship"), ("speed", "Property"))
    ]


@clause("5.7.7.4", 2)
@clause("5.2.26", 1)
def test_an_attribute_that_is_of_several_kinds_has_them_all(broker: BrokerClient, unique: Unique) -> None:
    for value in (prop(1), rel("urn:x:1"), geo("Point", [1, 2])):
        broker.post("/entities", entity(unique.id(), unique.type(), thing=value)).expect(201)
    [details] = broker.get(f"/types/{unique.type()}").expect(200).json["attributeDetails"]
    assert sorted(details["attributeTypes"]) == ["GeoProperty", "Property", "Relationship"]


@clause("5.7.7.4", 1)
def test_the_count_follows_the_entities(broker: BrokerClient, unique: Unique) -> None:
    ids = [unique.id() for _ in range(3)]
    for entity_id in ids:
        broker.post("/entities", entity(entity_id, unique.type())).expect(201)
    assert broker.get(f"/types/{unique.type()}").expect(200).json["entityCount"] == 3
    broker.delete(f"/entities/{ids[0]}").expect(204)
    assert broker.get(f"/types/{unique.type()}").expect(200).json["entityCount"] == 2


@clause("4.5.12", 3)
@clause("6.26.3.1", 1)
def test_a_type_is_found_by_its_full_and_by_its_short_name(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    iri = f"https://example.org/{unique.type()}"
    broker.post("/entities", entity(unique.id(), iri)).expect(201)
    link = documents.publish_context(House=iri)
    by_uri = broker.get(f"/types/{quote(iri, safe='')}").expect(200).json
    assert (by_uri["id"], by_uri["typeName"]) == (iri, iri)
    by_name = broker.get("/types/House", link=link).expect(200).json
    assert (by_name["id"], by_name["typeName"]) == (iri, "House")


@clause("5.7.7.4", 3)
@clause("6.26.3.1", 1)
def test_a_type_that_is_not_in_use_is_not_found(broker: BrokerClient, unique: Unique) -> None:
    broker.get(f"/types/{unique.type()}").expect_problem("ResourceNotFound")


@clause("6.26.3.1", 1)
@pytest.mark.parametrize("name", ["a%20b", "1a", "%3Cscript%3E"])
def test_a_name_that_no_type_can_have_is_refused(broker: BrokerClient, name: str) -> None:
    broker.get(f"/types/{name}").expect_problem("BadRequestData")
