"""5.6.18 Replace Entity, 6.5.3.3 PUT /entities/{entityId}."""

from typing import Any

import pytest

from conformance.broker_client import JSON, BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, lang, prop, rel


@clause("5.6.18.4", 4)
@clause("6.5.3.3", 1, 2)
def test_nothing_is_left_of_the_old_entity(broker: BrokerClient, unique: Unique) -> None:
    datasets = [prop(0), prop(1, datasetId="urn:ngsi-ld:Dataset:gps")]
    old = entity(unique.id(), unique.type("Building"), scope="/Fukui", speed=datasets, fuel=prop(7, unitCode="LTR"))
    broker.post("/entities", old).expect(201)
    new = entity(old["id"], unique.type("Shelter"), fuel=prop(8), owner=rel("urn:a:b"))
    assert broker.put(f"/entities/{old['id']}", new).expect(204).body == b""
    broker.get(f"/entities/{old['id']}").expect_json(new)


@clause("5.6.18.4", 4)
def test_an_entity_can_be_replaced_by_a_bare_one(broker: BrokerClient, unique: Unique) -> None:
    old = entity(unique.id(), unique.type(), speed=prop(1), scope="/Fukui")
    broker.post("/entities", old).expect(201)
    broker.put(f"/entities/{old['id']}", entity(old["id"], old["type"])).expect(204)
    broker.get(f"/entities/{old['id']}").expect_json(entity(old["id"], old["type"]))


@clause("5.6.18.4", 4)
def test_instances_that_the_new_entity_lacks_are_gone(broker: BrokerClient, unique: Unique) -> None:
    gps = "urn:ngsi-ld:Dataset:gps"
    old = entity(
        unique.id(), unique.type(), speed=[prop(0), prop(1, datasetId=gps)], fuel=[prop(7), prop(8, datasetId=gps)]
    )
    broker.post("/entities", old).expect(201)
    new = entity(old["id"], old["type"], speed=prop(2), fuel=prop(9, datasetId=gps))
    broker.put(f"/entities/{old['id']}", new).expect(204)
    broker.get(f"/entities/{old['id']}").expect_json(new)


@clause("5.6.18.4", 4)
def test_the_kind_of_an_attribute_may_be_another_one_after_a_replacement(broker: BrokerClient, unique: Unique) -> None:
    old = entity(unique.id(), unique.type(), owner=prop("Suzuki"))
    broker.post("/entities", old).expect(201)
    broker.put(f"/entities/{old['id']}", {**old, "owner": rel("urn:a:b")}).expect(204)
    broker.get(f"/entities/{old['id']}").expect_json({**old, "owner": rel("urn:a:b")})


@clause("5.6.18.4", 4)
def test_the_expiry_is_that_of_the_new_entity(broker: BrokerClient, unique: Unique) -> None:
    old = entity(unique.id(), unique.type(), expiresAt="2099-01-01T00:00:00Z")
    broker.post("/entities", old).expect(201)
    broker.put(f"/entities/{old['id']}", entity(old["id"], old["type"])).expect(204)
    assert "expiresAt" not in broker.get(f"/entities/{old['id']}", {"options": "sysAttrs"}).expect(200).json


@clause("5.6.18.4", 5)
def test_a_replaced_entity_keeps_its_created_at(broker: BrokerClient, unique: Unique) -> None:
    old = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", old).expect(201)
    before = broker.get(f"/entities/{old['id']}", {"options": "sysAttrs"}).json
    broker.put(f"/entities/{old['id']}", {**old, "speed": prop(2)}).expect(204)
    after = broker.get(f"/entities/{old['id']}", {"options": "sysAttrs"}).json
    assert after["createdAt"] == before["createdAt"]
    assert after["modifiedAt"] >= before["modifiedAt"]


INVALID: dict[str, dict[str, Any]] = {
    "property without value": {"speed": {"type": "Property"}},
    "relationship to no URI": {"owner": rel("not a URI")},
    "no DateTime": {"speed": prop(2, observedAt="noon")},
    "null value": {"speed": prop("urn:ngsi-ld:null")},
    "null attribute": {"speed": "urn:ngsi-ld:null"},
    "null object": {"owner": rel("urn:ngsi-ld:null")},
    "null language map": {"label": lang({"@none": "urn:ngsi-ld:null"})},
    "null in a value": {"speed": prop({"now": "urn:ngsi-ld:null"})},
}


@clause("5.6.18.4", 6)
@clause("6.5.3.3", 4)
@pytest.mark.parametrize("members", INVALID.values(), ids=INVALID.keys())
def test_an_invalid_document_replaces_nothing(broker: BrokerClient, unique: Unique, members: dict[str, Any]) -> None:
    old = entity(unique.id(), unique.type(), speed=prop(1), fuel=prop(7))
    broker.post("/entities", old).expect(201)
    new = {**entity(old["id"], old["type"], fuel=prop(8)), **members}
    broker.put(f"/entities/{old['id']}", new).expect_problem("BadRequestData")
    broker.get(f"/entities/{old['id']}").expect_json(old)


@clause("5.6.18.4", 2)
@clause("6.5.3.3", 4)
def test_an_entity_that_is_not_there_is_not_found_and_not_created(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.put(f"/entities/{one['id']}", one).expect_problem("ResourceNotFound")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@clause("5.6.18.4", 2)
@clause("6.5.3.3", 3)
def test_the_target_has_to_be_of_the_type_asked_for(broker: BrokerClient, unique: Unique) -> None:
    old = entity(unique.id(), unique.type("Building"), speed=prop(1))
    broker.post("/entities", old).expect(201)
    path, new = f"/entities/{old['id']}", {**old, "speed": prop(2)}
    broker.put(path, new, query={"type": unique.type("Vehicle")}).expect_problem("ResourceNotFound")
    broker.get(path).expect_json(old)
    broker.put(path, new, query={"type": unique.type("Building")}).expect(204)
    broker.get(path).expect_json(new)


@clause("5.6.18.4", 1)
@clause("6.5.3.3", 4)
def test_a_target_that_is_no_uri_is_bad_request_data(broker: BrokerClient, unique: Unique) -> None:
    broker.put("/entities/no-URI", entity("no-URI", unique.type())).expect_problem("BadRequestData")


@clause("6.5.3.3", 2)
def test_a_request_without_a_document_is_invalid(broker: BrokerClient, unique: Unique) -> None:
    old = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", old).expect(201)
    broker.put(f"/entities/{old['id']}", b"", content_type=JSON).expect_problem("InvalidRequest")
    broker.get(f"/entities/{old['id']}").expect_json(old)
