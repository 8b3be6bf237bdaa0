"""5.6.4 Partial Attribute Update, 6.7.3.1 PATCH /entities/{entityId}/attrs/{attrId}."""

from typing import Any, Final

import pytest

from conformance.broker_client import JSON, BrokerClient
from conformance.clauses import clause
from conformance.instances import by_dataset
from conformance.samples import Document, Unique, entity, geo, lang, prop, rel
from conformance.servers import DocumentServer

NULL: Final = "urn:ngsi-ld:null"
GPS: Final = "urn:ngsi-ld:Dataset:gps"
RADAR: Final = "urn:ngsi-ld:Dataset:radar"
MEASURED: Final = prop(
    25, unitCode="CEL", observedAt="2026-03-14T01:59:26Z", accuracy=prop(0.1, unitCode="P1"), by=rel("urn:a:b")
)


@clause("5.6.4.4", 8)
@clause("5.5.8", 1, 2)
@clause("6.7.3.1", 1, 2)
@pytest.mark.parametrize(
    "fragment",
    [
        {"type": "Property", "value": 100, "observedAt": "2026-03-14T13:00:00Z"},
        {"value": "cold"},
        {"value": {"low": 3}, "unitCode": "FAH"},
        {"observedAt": "2026-03-14T13:00:00Z"},
        {"accuracy": prop(0.2)},
        {"quality": prop("good")},
    ],
    ids=["value and time", "value", "value and unit", "time", "sub-attribute", "new sub-attribute"],
)
def test_the_members_of_the_fragment_change_and_no_others(
    broker: BrokerClient, unique: Unique, fragment: dict[str, Any]
) -> None:
    one = entity(unique.id(), unique.type(), temperature=MEASURED, fuel=prop(7))
    broker.post("/entities", one).expect(201)
    assert broker.patch(f"/entities/{one['id']}/attrs/temperature", fragment).expect(204).body == b""
    broker.get(f"/entities/{one['id']}").expect_json({**one, "temperature": {**MEASURED, **fragment}})


@clause("5.6.4.4", 8)
@clause("5.5.8", 2)
@pytest.mark.parametrize("member", ["unitCode", "observedAt", "accuracy", "by"])
def test_a_null_removes_a_member_of_the_attribute(broker: BrokerClient, unique: Unique, member: str) -> None:
    one = entity(unique.id(), unique.type(), temperature=MEASURED)
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs/temperature", {member: NULL}).expect(204)
    left = {name: value for name, value in MEASURED.items() if name != member}
    broker.get(f"/entities/{one['id']}").expect_json({**one, "temperature": left})


@clause("5.6.4.4", 4)
def test_a_null_is_never_stored(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), temperature=MEASURED)
    broker.post("/entities", one).expect(201)
    answer = broker.patch(f"/entities/{one['id']}/attrs/temperature", {"unitCode": NULL, "quality": NULL})
    assert answer.status in (204, 207) or answer.expect_problem("OperationNotSupported")
    assert NULL.encode() not in broker.get(f"/entities/{one['id']}").expect(200).body


KINDS: dict[str, tuple[Document, dict[str, Any]]] = {
    "Relationship": (rel("urn:a:b", since=prop(1)), {"object": "urn:a:c"}),
    "GeoProperty": (geo("Point", [1, 2], since=prop(1)), {"value": {"type": "Point", "coordinates": [3, 4]}}),
    "LanguageProperty": (lang({"en": "gauge"}, since=prop(1)), {"languageMap": {"ja": "水位計"}}),
}


@clause("5.6.4.4", 8)
@pytest.mark.parametrize(("attribute", "fragment"), KINDS.values(), ids=KINDS.keys())
def test_the_value_of_each_kind_is_replaced(
    broker: BrokerClient, unique: Unique, attribute: Document, fragment: dict[str, Any]
) -> None:
    one = entity(unique.id(), unique.type(), reading=attribute)
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs/reading", fragment).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "reading": {**attribute, **fragment}})


@clause("5.6.4.4", 9)
@pytest.mark.parametrize(
    "fragment",
    [rel("urn:a:c"), {"object": "urn:a:c"}, lang({"en": "gauge"}), geo("Point", [1, 2]), {"type": "ListProperty"}],
    ids=str,
)
def test_the_type_of_an_attribute_cannot_change(broker: BrokerClient, unique: Unique, fragment: dict[str, Any]) -> None:
    one = entity(unique.id(), unique.type(), temperature=MEASURED)
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs/temperature", fragment).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_json(one)


@clause("5.6.4.4", 7, 8)
@pytest.mark.parametrize(
    ("fragment", "expected"),
    [
        ({"value": 2, "datasetId": GPS}, {"@none": prop(0, unitCode="KMH"), GPS: prop(2, unitCode="MPH")}),
        ({"value": 2}, {"@none": prop(2, unitCode="KMH"), GPS: prop(1, unitCode="MPH")}),
    ],
    ids=["with a datasetId", "without one"],
)
def test_a_dataset_id_says_which_instance_is_meant(
    broker: BrokerClient, unique: Unique, fragment: Document, expected: dict[str, Document]
) -> None:
    speed = [prop(0, unitCode="KMH"), prop(1, unitCode="MPH", datasetId=GPS)]
    one = entity(unique.id(), unique.type(), speed=speed)
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs/speed", fragment).expect(204)
    stored = by_dataset(broker.get(f"/entities/{one['id']}").json["speed"])
    assert stored == {"@none": expected["@none"], GPS: {**expected[GPS], "datasetId": GPS}}


@clause("5.6.4.4", 7)
@clause("6.7.3.1", 4)
@pytest.mark.parametrize(
    ("attribute", "fragment"),
    [("fuel", {"value": 1}), ("speed", {"value": 1}), ("speed", {"value": 1, "datasetId": RADAR})],
    ids=["no such attribute", "no default instance", "no such dataset"],
)
def test_an_instance_that_is_not_there_is_not_found(
    broker: BrokerClient, unique: Unique, attribute: str, fragment: Document
) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1, datasetId=GPS))
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs/{attribute}", fragment).expect_problem("ResourceNotFound")
    broker.get(f"/entities/{one['id']}").expect_json(one)


@clause("5.6.4.4", 5)
@clause("6.7.3.1", 4)
def test_an_entity_that_is_not_there_is_not_found(broker: BrokerClient, unique: Unique) -> None:
    broker.patch(f"/entities/{unique.id()}/attrs/speed", {"value": 1}).expect_problem("ResourceNotFound")


@clause("5.6.4.4", 5)
@clause("6.7.3.1", 3)
def test_the_target_has_to_be_of_the_type_asked_for(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type("Building"), speed=prop(1))
    broker.post("/entities", one).expect(201)
    path = f"/entities/{one['id']}/attrs/speed"
    broker.patch(path, {"value": 2}, query={"type": unique.type("Vehicle")}).expect_problem("ResourceNotFound")
    broker.get(f"/entities/{one['id']}").expect_json(one)
    broker.patch(path, {"value": 2}, query={"type": unique.type("Building")}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "speed": prop(2)})


@clause("5.6.4.4", 1)
@clause("6.7.3.1", 4)
def test_a_target_that_is_no_uri_is_bad_request_data(broker: BrokerClient) -> None:
    broker.patch("/entities/no-URI/attrs/speed", {"value": 1}).expect_problem("BadRequestData")


@clause("5.6.4.4", 2)
@clause("6.7.3.1", 4)
@pytest.mark.parametrize("name", ["sp%20eed", "%3Cspeed%3E", "1speed"])
def test_an_attribute_name_that_is_none_is_bad_request_data(broker: BrokerClient, unique: Unique, name: str) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs/{name}", {"value": 2}).expect_problem("BadRequestData")


@clause("5.6.4.4", 3)
def test_a_scope_cannot_be_updated_in_this_way(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), scope="/Fukui")
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs/scope", {"value": "/Toyama"}).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_json(one)


@clause("5.6.4.4", 10)
def test_the_name_in_the_path_means_what_the_context_says(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    dutch = documents.publish_context(snelheid="https://example.org/terms/speed")
    english = documents.publish_context(velocity="https://example.org/terms/speed")
    one = entity(unique.id(), unique.type(), snelheid=prop(25))
    broker.post("/entities", one, link=dutch).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs/velocity", {"value": 30}, link=english).expect(204)
    broker.patch(f"/entities/{one['id']}/attrs/https%3A%2F%2Fexample.org%2Fterms%2Fspeed", {"unitCode": "KMH"}).expect(
        204
    )
    broker.get(f"/entities/{one['id']}", link=dutch).expect_json({**one, "snelheid": prop(30, unitCode="KMH")})


@clause("5.6.4.4", 8)
@clause("6.7.3.1", 4)
@pytest.mark.parametrize("fragment", [{"value": 2, "observedAt": "noon"}, {"value": 2, "unitCode": 5}], ids=str)
def test_an_invalid_fragment_changes_nothing(broker: BrokerClient, unique: Unique, fragment: Document) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs/speed", fragment).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_json(one)


@clause("6.7.3.1", 2)
def test_a_request_without_a_fragment_is_invalid(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs/speed", b"", content_type=JSON).expect_problem("InvalidRequest")
