"""5.6.5 Delete Attribute, 6.7.3.2 DELETE /entities/{entityId}/attrs/{attrId}."""

from typing import Final

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.instances import by_dataset
from conformance.samples import Unique, entity, prop, rel
from conformance.servers import DocumentServer

GPS: Final = "urn:ngsi-ld:Dataset:gps"
RADAR: Final = "urn:ngsi-ld:Dataset:radar"


@clause("5.6.5.1", 1)
@clause("6.7.3.2", 1)
def test_an_attribute_goes_with_all_that_belongs_to_it(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1, accuracy=prop(2), by=rel("urn:a:b")), fuel=prop(7))
    broker.post("/entities", one).expect(201)
    assert broker.delete(f"/entities/{one['id']}/attrs/speed").expect(204).body == b""
    broker.get(f"/entities/{one['id']}").expect_json(entity(one["id"], one["type"], fuel=prop(7)))


@clause("5.6.5.1", 1)
def test_nothing_of_a_deleted_attribute_comes_back_with_a_new_one(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1, unitCode="KMH", accuracy=prop(2)))
    broker.post("/entities", one).expect(201)
    broker.delete(f"/entities/{one['id']}/attrs/speed").expect(204)
    broker.post(f"/entities/{one['id']}/attrs", {"speed": prop(3)}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "speed": prop(3)})


@clause("5.6.5.1", 1)
def test_the_last_attribute_leaves_an_entity_without_any(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), owner=rel("urn:a:b"))
    broker.post("/entities", one).expect(201)
    broker.delete(f"/entities/{one['id']}/attrs/owner").expect(204)
    broker.get(f"/entities/{one['id']}").expect_json(entity(one["id"], one["type"]))


@clause("5.6.5.4", 7)
@clause("6.7.3.2", 2)
@pytest.mark.parametrize(
    ("query", "left"),
    [
        ({}, {GPS, RADAR}),
        ({"datasetId": GPS}, {"@none", RADAR}),
        ({"deleteAll": False}, {GPS, RADAR}),
        ({"datasetId": GPS, "deleteAll": False}, {"@none", RADAR}),
    ],
    ids=["default", "datasetId", "not all", "datasetId and not all"],
)
def test_the_parameters_say_which_instance_goes(
    broker: BrokerClient, unique: Unique, query: dict[str, str | bool], left: set[str]
) -> None:
    speed = [prop(0), prop(1, datasetId=GPS), prop(2, datasetId=RADAR)]
    one = entity(unique.id(), unique.type(), speed=speed)
    broker.post("/entities", one).expect(201)
    broker.delete(f"/entities/{one['id']}/attrs/speed", query).expect(204)
    assert set(by_dataset(broker.get(f"/entities/{one['id']}").json["speed"])) == left


@clause("5.6.5.4", 6)
@clause("6.7.3.2", 2)
@pytest.mark.parametrize("query", [{"deleteAll": True}, {"deleteAll": True, "datasetId": GPS}], ids=str)
def test_delete_all_leaves_no_instance(broker: BrokerClient, unique: Unique, query: dict[str, str | bool]) -> None:
    one = entity(unique.id(), unique.type(), speed=[prop(0), prop(1, datasetId=GPS), prop(2, datasetId=RADAR)])
    broker.post("/entities", one).expect(201)
    broker.delete(f"/entities/{one['id']}/attrs/speed", query).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json(entity(one["id"], one["type"]))


@clause("5.6.5.4", 8)
def test_the_scope_is_deleted_like_an_attribute(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), scope=["/Fukui", "/Toyama"], speed=prop(1))
    broker.post("/entities", one).expect(201)
    broker.delete(f"/entities/{one['id']}/attrs/scope").expect(204)
    broker.get(f"/entities/{one['id']}").expect_json(entity(one["id"], one["type"], speed=prop(1)))


@clause("5.6.5.4", 5)
def test_the_name_in_the_path_means_what_the_context_says(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    dutch = documents.publish_context(snelheid="https://example.org/terms/speed")
    english = documents.publish_context(velocity="https://example.org/terms/speed")
    one = entity(unique.id(), unique.type(), snelheid=prop(25))
    broker.post("/entities", one, link=dutch).expect(201)
    broker.delete(f"/entities/{one['id']}/attrs/snelheid").expect_problem("ResourceNotFound")
    broker.delete(f"/entities/{one['id']}/attrs/velocity", link=english).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json(entity(one["id"], one["type"]))


@clause("5.6.5.4", 5)
@clause("6.7.3.2", 3)
def test_an_attribute_that_is_not_there_is_not_found(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", one).expect(201)
    broker.delete(f"/entities/{one['id']}/attrs/fuel").expect_problem("ResourceNotFound")
    broker.delete(f"/entities/{one['id']}/attrs/fuel", {"deleteAll": True}).expect_problem("ResourceNotFound")
    broker.get(f"/entities/{one['id']}").expect_json(one)


@clause("5.6.5.4", 5)
def test_an_attribute_is_deleted_once(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", one).expect(201)
    broker.delete(f"/entities/{one['id']}/attrs/speed").expect(204)
    broker.delete(f"/entities/{one['id']}/attrs/speed").expect_problem("ResourceNotFound")


@clause("5.6.5.4", 4)
@clause("6.7.3.2", 3)
def test_an_entity_that_is_not_there_is_not_found(broker: BrokerClient, unique: Unique) -> None:
    broker.delete(f"/entities/{unique.id()}/attrs/speed").expect_problem("ResourceNotFound")


@clause("5.6.5.4", 4)
@clause("6.7.3.2", 2)
def test_the_target_has_to_be_of_the_type_asked_for(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type("Building"), speed=prop(1))
    broker.post("/entities", one).expect(201)
    path = f"/entities/{one['id']}/attrs/speed"
    broker.delete(path, {"type": unique.type("Vehicle")}).expect_problem("ResourceNotFound")
    broker.get(f"/entities/{one['id']}").expect_json(one)
    broker.delete(path, {"type": unique.type("Building")}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json(entity(one["id"], one["type"]))


@clause("5.6.5.4", 1)
@clause("6.7.3.2", 3)
def test_a_target_that_is_no_uri_is_bad_request_data(broker: BrokerClient) -> None:
    broker.delete("/entities/no-URI/attrs/speed").expect_problem("BadRequestData")


@clause("5.6.5.4", 2)
@clause("6.7.3.2", 3)
@pytest.mark.parametrize("name", ["sp%20eed", "%3Cspeed%3E", "1speed"])
def test_an_attribute_name_that_is_none_is_bad_request_data(broker: BrokerClient, unique: Unique, name: str) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", one).expect(201)
    broker.delete(f"/entities/{one['id']}/attrs/{name}").expect_problem("BadRequestData")


@clause("6.7.3.2", 2)
def test_a_dataset_id_has_to_be_a_uri(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", one).expect(201)
    broker.delete(f"/entities/{one['id']}/attrs/speed", {"datasetId": "g p s"}).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_json(one)
