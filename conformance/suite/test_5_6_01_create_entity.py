"""5.6.1 Create Entity, 6.4.3.1 POST /entities."""

from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.instances import by_dataset
from conformance.samples import (
    Document,
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

ATTRIBUTES: dict[str, Document] = {
    "number": prop(12.5, unitCode="CEL", observedAt="2026-03-14T01:59:26Z"),
    "boolean": prop(True),
    "text": prop("水位計"),
    "object": prop({"street": "Weststraat", "numbers": [1, 2.5, False]}),
    "array": prop([1, "two", {"three": 3}]),
    "relationship": rel("urn:ngsi-ld:Building:42"),
    "many targets": rel(["urn:ngsi-ld:Building:42", "urn:ngsi-ld:Building:43"]),
    "geometry": geo("Point", [136.2, 36.06]),
    "languages": lang({"en": "gauge", "ja": "水位計"}),
    "vocabulary": vocab("outOfService"),
    "json": json_prop({"id": "not a URI", "value": [1, 2]}),
    "list": list_prop([3, 1, 2]),
    "list of targets": list_rel(["urn:ngsi-ld:Building:42", "urn:ngsi-ld:Building:41"]),
    "sub-attributes": prop(1, accuracy=prop(0.1, unitCode="P1"), measuredBy=rel("urn:ngsi-ld:Device:1")),
}


@clause("5.6.1.4", 3)
@clause("6.4.3.1", 1)
@pytest.mark.parametrize("attribute", ATTRIBUTES.values(), ids=ATTRIBUTES.keys())
def test_an_entity_is_stored_as_it_was_given(broker: BrokerClient, unique: Unique, attribute: Document) -> None:
    one = entity(unique.id(), unique.type(), reading=attribute)
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}").expect(200).expect_json(one)


@clause("5.6.1.4", 3)
def test_an_entity_without_attributes_is_created(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type())
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}").expect(200).expect_json(one)


@clause("5.6.1.4", 3)
def test_all_instances_of_a_multi_attribute_are_stored(broker: BrokerClient, unique: Unique) -> None:
    speed = [prop(55), prop(54.5, datasetId="urn:ngsi-ld:Dataset:gps")]
    one = entity(unique.id(), unique.type(), speed=speed)
    broker.post("/entities", one).expect(201)
    stored = by_dataset(broker.get(f"/entities/{one['id']}").json["speed"])
    assert stored == {"@none": speed[0], "urn:ngsi-ld:Dataset:gps": speed[1]}


@clause("5.6.1.4", 3)
def test_types_and_scopes_are_stored_as_sets(broker: BrokerClient, unique: Unique) -> None:
    types = [unique.type("Building"), unique.type("Shelter")]
    one = entity(unique.id(), types, scope=["/Fukui/Asuwa", "/Disaster"])
    broker.post("/entities", one).expect(201)
    stored = broker.get(f"/entities/{one['id']}").expect(200).json
    assert sorted(stored["type"]) == sorted(types)
    assert sorted(stored["scope"]) == ["/Disaster", "/Fukui/Asuwa"]


@clause("5.6.1.4", 3)
def test_names_mean_what_the_context_of_the_request_says(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    dutch = documents.publish_context(snelheid="https://example.org/terms/speed")
    english = documents.publish_context(velocity="https://example.org/terms/speed")
    one = entity(unique.id(), unique.type(), snelheid=prop(55))
    broker.post("/entities", one, link=dutch).expect(201)
    assert broker.get(f"/entities/{one['id']}", link=english).expect(200).json["velocity"] == prop(55)


@clause("5.6.1.4", 2)
@clause("6.4.3.1", 4)
def test_an_entity_that_is_there_already_is_not_created_again(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(5))
    broker.post("/entities", one).expect(201)
    broker.post("/entities", {**one, "speed": prop(6), "fuel": prop(1)}).expect_problem("AlreadyExists")
    broker.get(f"/entities/{one['id']}").expect_json(one)


@clause("5.6.1.4", 2)
def test_an_id_is_taken_whatever_the_type(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type("Building"))
    broker.post("/entities", one).expect(201)
    broker.post("/entities", entity(one["id"], unique.type("Vehicle"))).expect_problem("AlreadyExists")
    broker.get(f"/entities/{one['id']}").expect_json(one)


@clause("6.4.3.1", 2)
def test_the_location_header_is_the_path_of_the_new_entity(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(5))
    location = broker.post("/entities", one).expect(201).header("Location")
    assert location.startswith("/")
    broker.get(location).expect(200).expect_json(one)


@clause("6.4.2")
def test_the_resource_of_all_entities_is_also_written_with_a_slash(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type())
    broker.post("/entities/", one).expect(201)
    broker.get(f"/entities/{one['id']}").expect_json(one)


@clause("6.4.3.1", 2)
def test_the_location_header_leads_to_an_id_of_any_characters(broker: BrokerClient, unique: Unique) -> None:
    one = entity(f"https://example.org/{unique.name('a')}?b=c,d#水", unique.type())
    location = broker.post("/entities", one).expect(201).header("Location")
    broker.get(location).expect(200).expect_json(one)


INVALID: dict[str, dict[str, Any]] = {
    "no type": {"type": None},
    "an empty array of types": {"type": []},
    "a type that is no name": {"type": "Build<ing>"},
    "an attribute name that is no name": {"sp eed": prop(1)},
    "an unknown type of attribute": {"speed": {"type": "Speed", "value": 1}},
    "a property without value": {"speed": {"type": "Property"}},
    "a relationship without object": {"owner": {"type": "Relationship"}},
    "a relationship to no URI": {"owner": rel("not a URI")},
    "an observedAt that is no DateTime": {"speed": prop(1, observedAt="yesterday")},
    "a unitCode that is no string": {"speed": prop(1, unitCode=3)},
    "a datasetId that is no URI": {"speed": prop(1, datasetId="gps")},
    "two default instances": {"speed": [prop(1), prop(2)]},
    "two instances of one dataset": {"speed": [prop(n, datasetId="urn:ngsi-ld:Dataset:gps") for n in (1, 2)]},
    "a geometry with too few coordinates": {"place": geo("Point", [1])},
    "a location that is no geometry": {"location": prop("Fukui")},
    "a language map that is a string": {"name": {"type": "LanguageProperty", "languageMap": "gauge"}},
    "a list that is none": {"levels": {"type": "ListProperty", "valueList": 5}},
    "a scope that is no scope": {"scope": "/1//2"},
    "an expiresAt that is no DateTime": {"expiresAt": "tomorrow"},
}


@clause("5.6.1.4", 1)
@clause("5.5.4", 3)
@clause("6.4.3.1", 3)
@pytest.mark.parametrize("members", INVALID.values(), ids=INVALID.keys())
def test_a_document_that_is_no_valid_entity_is_refused(
    broker: BrokerClient, unique: Unique, members: dict[str, Any]
) -> None:
    one = {**entity(unique.id(), unique.type(), valid=prop(1)), **members}
    document = {name: value for name, value in one.items() if value is not None}
    broker.post("/entities", document).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@clause("5.6.1.4", 1)
@clause("6.4.3.1", 3)
@pytest.mark.parametrize("members", [{}, {"id": "Building:1 2"}, {"id": "no-URI"}, {"id": 5}, {"id": ["urn:a:b"]}])
def test_an_entity_has_an_id_that_is_a_uri(broker: BrokerClient, unique: Unique, members: dict[str, Any]) -> None:
    broker.post("/entities", {"type": unique.type(), **members}).expect_problem("BadRequestData")
