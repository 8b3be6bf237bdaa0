"""5.6.6 Delete Entity, 6.5.3.2 DELETE /entities/{entityId}."""

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, prop


@clause("5.6.6.4", 3)
@clause("6.5.3.2", 1)
def test_a_deleted_entity_is_gone(broker: BrokerClient, unique: Unique) -> None:
    one, other = entity(unique.id(), unique.type(), speed=prop(1)), entity(unique.id(), unique.type())
    broker.post("/entities", one).expect(201)
    broker.post("/entities", other).expect(201)
    assert broker.delete(f"/entities/{one['id']}").expect(204).body == b""
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")
    broker.get("/entities", {"type": unique.type()}).expect(200).expect_json([other])


@clause("5.6.6.4", 3)
def test_the_id_of_a_deleted_entity_is_free_again(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1), scope="/Fukui")
    broker.post("/entities", one).expect(201)
    broker.delete(f"/entities/{one['id']}").expect(204)
    broker.post("/entities", entity(one["id"], unique.type(), fuel=prop(7))).expect(201)
    broker.get(f"/entities/{one['id']}").expect_json(entity(one["id"], unique.type(), fuel=prop(7)))


@clause("5.6.6.4", 2)
@clause("6.5.3.2", 3)
def test_an_entity_is_deleted_once(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type())
    broker.post("/entities", one).expect(201)
    broker.delete(f"/entities/{one['id']}").expect(204)
    broker.delete(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@clause("5.6.6.4", 2)
@clause("6.5.3.2", 3)
def test_an_entity_that_was_never_there_is_not_found(broker: BrokerClient, unique: Unique) -> None:
    broker.delete(f"/entities/{unique.id()}").expect_problem("ResourceNotFound")


@clause("5.6.6.4", 2)
@clause("6.5.3.2", 2)
def test_the_target_has_to_be_of_the_type_asked_for(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type("Building"))
    broker.post("/entities", one).expect(201)
    broker.delete(f"/entities/{one['id']}", {"type": unique.type("Vehicle")}).expect_problem("ResourceNotFound")
    broker.get(f"/entities/{one['id']}").expect_json(one)


@clause("5.6.6.4", 2)
@clause("6.5.3.2", 2)
@pytest.mark.parametrize("selection", ["{building}", "{vehicle},{building}", "{vehicle}|({building};{shelter})"])
def test_the_type_is_a_selection_of_types(broker: BrokerClient, unique: Unique, selection: str) -> None:
    building, vehicle, shelter = unique.type("Building"), unique.type("Vehicle"), unique.type("Shelter")
    one = entity(unique.id(), [building, shelter])
    broker.post("/entities", one).expect(201)
    types = selection.format(building=building, vehicle=vehicle, shelter=shelter)
    broker.delete(f"/entities/{one['id']}", {"type": types}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@clause("5.6.6.4", 1)
@clause("6.5.3.2", 3)
@pytest.mark.parametrize("entity_id", ["no-URI", "urn:a%20b", "%20"])
def test_a_target_that_is_no_uri_is_bad_request_data(broker: BrokerClient, entity_id: str) -> None:
    broker.delete(f"/entities/{entity_id}").expect_problem("BadRequestData")


@clause("5.6.6.4", 1)
def test_without_an_id_nothing_is_deleted(broker: BrokerClient, unique: Unique) -> None:
    tenant = unique.name("tenant")  # the path without an id is that of all entities: not in a tenant that others use
    one = entity(unique.id(), unique.type())
    broker.post("/entities", one, tenant=tenant).expect(201)
    broker.delete("/entities/", tenant=tenant).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}", tenant=tenant).expect_json(one)
