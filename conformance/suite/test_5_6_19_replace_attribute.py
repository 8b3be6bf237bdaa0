"""5.6.19 Replace Attribute, 6.7.3.3 PUT /entities/{entityId}/attrs/{attrId}."""

from typing import Any, Final

import pytest

from conformance.broker_client import JSON, BrokerClient
from conformance.clauses import clause
from conformance.instances import by_dataset
from conformance.samples import Document, Unique, entity, geo, lang, list_prop, prop, rel
from conformance.servers import DocumentServer

NULL: Final = "urn:ngsi-ld:null"
GPS: Final = "urn:ngsi-ld:Dataset:gps"
RADAR: Final = "urn:ngsi-ld:Dataset:radar"

KINDS: dict[str, tuple[Document, Document]] = {
    "Property": (prop(1, unitCode="KMH", observedAt="2026-03-14T01:00:00Z", by=rel("urn:a:b")), prop({"now": 2})),
    "Relationship": (rel("urn:a:b", since=prop(5)), rel("urn:a:c", until=prop(6))),
    "GeoProperty": (geo("Point", [1, 2], since=prop(5)), geo("LineString", [[1, 2], [3, 4]])),
    "LanguageProperty": (lang({"en": "gauge", "fr": "jauge"}), lang({"ja": "水位計"})),
    "ListProperty": (list_prop([1, 2]), list_prop([])),
}


@clause("5.6.19.4", 7)
@clause("6.7.3.3", 1, 2)
@pytest.mark.parametrize(("old", "new"), KINDS.values(), ids=KINDS.keys())
def test_nothing_is_left_of_the_old_attribute(
    broker: BrokerClient, unique: Unique, old: Document, new: Document
) -> None:
    one = entity(unique.id(), unique.type(), reading=old, fuel=prop(7))
    broker.post("/entities", one).expect(201)
    assert broker.put(f"/entities/{one['id']}/attrs/reading", new).expect(204).body == b""
    broker.get(f"/entities/{one['id']}").expect_json({**one, "reading": new})


@clause("5.6.19.4", 7)
@pytest.mark.parametrize("new", [prop(5), prop(5, datasetId=GPS)], ids=["default", "dataset"])
def test_one_instance_is_replaced_and_its_siblings_stay(broker: BrokerClient, unique: Unique, new: Document) -> None:
    speed = [prop(0, unitCode="KMH"), prop(1, unitCode="KMH", datasetId=GPS), prop(2, datasetId=RADAR)]
    one = entity(unique.id(), unique.type(), speed=speed)
    broker.post("/entities", one).expect(201)
    broker.put(f"/entities/{one['id']}/attrs/speed", new).expect(204)
    stored = by_dataset(broker.get(f"/entities/{one['id']}").json["speed"])
    assert stored == by_dataset(speed) | by_dataset(new)


@clause("5.6.19.4", 7)
def test_a_replaced_attribute_keeps_its_created_at(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", one).expect(201)
    before = broker.get(f"/entities/{one['id']}", {"options": "sysAttrs"}).json["speed"]
    broker.put(f"/entities/{one['id']}/attrs/speed", prop(2)).expect(204)
    after = broker.get(f"/entities/{one['id']}", {"options": "sysAttrs"}).json["speed"]
    assert after["createdAt"] == before["createdAt"]
    assert after["modifiedAt"] >= before["modifiedAt"]


@clause("5.6.19.4", 9)
def test_the_name_in_the_path_means_what_the_context_says(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    dutch = documents.publish_context(snelheid="https://example.org/terms/speed")
    english = documents.publish_context(velocity="https://example.org/terms/speed")
    one = entity(unique.id(), unique.type(), snelheid=prop(25))
    broker.post("/entities", one, link=dutch).expect(201)
    broker.put(f"/entities/{one['id']}/attrs/snelheid", prop(30)).expect_problem("ResourceNotFound")
    broker.put(f"/entities/{one['id']}/attrs/velocity", prop(30), link=english).expect(204)
    broker.get(f"/entities/{one['id']}", link=dutch).expect_json({**one, "snelheid": prop(30)})


@clause("5.6.19.4", 6)
@clause("6.7.3.3", 4)
@pytest.mark.parametrize(
    ("attribute", "new"),
    [("fuel", prop(1)), ("speed", prop(1)), ("speed", prop(1, datasetId=RADAR))],
    ids=["no such attribute", "no default instance", "no such dataset"],
)
def test_an_instance_that_is_not_there_is_not_found(
    broker: BrokerClient, unique: Unique, attribute: str, new: Document
) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1, datasetId=GPS))
    broker.post("/entities", one).expect(201)
    broker.put(f"/entities/{one['id']}/attrs/{attribute}", new).expect_problem("ResourceNotFound")
    broker.get(f"/entities/{one['id']}").expect_json(one)


@clause("5.6.19.4", 4)
@clause("6.7.3.3", 4)
def test_an_entity_that_is_not_there_is_not_found(broker: BrokerClient, unique: Unique) -> None:
    broker.put(f"/entities/{unique.id()}/attrs/speed", prop(1)).expect_problem("ResourceNotFound")


@clause("5.6.19.4", 4)
@clause("6.7.3.3", 3)
def test_the_target_has_to_be_of_the_type_asked_for(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type("Building"), speed=prop(1))
    broker.post("/entities", one).expect(201)
    path = f"/entities/{one['id']}/attrs/speed"
    broker.put(path, prop(2), query={"type": unique.type("Vehicle")}).expect_problem("ResourceNotFound")
    broker.get(f"/entities/{one['id']}").expect_json(one)
    broker.put(path, prop(2), query={"type": unique.type("Building")}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "speed": prop(2)})


@clause("5.6.19.4", 1)
@clause("6.7.3.3", 4)
def test_a_target_that_is_no_uri_is_bad_request_data(broker: BrokerClient) -> None:
    broker.put("/entities/no-URI/attrs/speed", prop(1)).expect_problem("BadRequestData")


@clause("5.6.19.4", 2)
@clause("6.7.3.3", 4)
@pytest.mark.parametrize("name", ["sp%20eed", "%3Cspeed%3E", "1speed"])
def test_an_attribute_name_that_is_none_is_bad_request_data(broker: BrokerClient, unique: Unique, name: str) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", one).expect(201)
    broker.put(f"/entities/{one['id']}/attrs/{name}", prop(2)).expect_problem("BadRequestData")


@clause("5.6.19.4", 3)
def test_a_scope_cannot_be_replaced_in_this_way(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), scope="/Fukui")
    broker.post("/entities", one).expect(201)
    broker.put(f"/entities/{one['id']}/attrs/scope", prop("/Toyama")).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_json(one)


INVALID: dict[str, Any] = {
    "without a value": {"type": "Property", "unitCode": "KMH"},
    "unknown type": {"type": "Speed", "value": 2},
    "no DateTime": prop(2, observedAt="noon"),
    "null": prop(NULL),
    "null in the value": prop({"now": NULL}),
    "null relationship": rel(NULL),
}


@clause("5.6.19.4", 8)
@clause("6.7.3.3", 4)
@pytest.mark.parametrize("fragment", INVALID.values(), ids=INVALID.keys())
def test_an_invalid_fragment_replaces_nothing(broker: BrokerClient, unique: Unique, fragment: Any) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1, unitCode="KMH"))
    broker.post("/entities", one).expect(201)
    broker.put(f"/entities/{one['id']}/attrs/speed", fragment).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_json(one)


@clause("6.7.3.3", 2)
def test_a_request_without_a_fragment_is_invalid(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", one).expect(201)
    broker.put(f"/entities/{one['id']}/attrs/speed", b"", content_type=JSON).expect_problem("InvalidRequest")
    broker.get(f"/entities/{one['id']}").expect_json(one)
