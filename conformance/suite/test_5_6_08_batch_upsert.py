"""5.6.8 Batch Entity Creation or Update (Upsert), 6.15.3.1 POST /entityOperations/upsert."""

from typing import Any, Final

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.exchanges import ERRORS
from conformance.samples import Unique, entity, prop, rel

NULL: Final = "urn:ngsi-ld:null"
UPSERT: Final = "/entityOperations/upsert"
MODES: Final = [None, "replace", "update"]


@clause("5.6.8.4", 3, 6)
@clause("6.15.3.1", 1)
@pytest.mark.parametrize("mode", MODES)
def test_unknown_entities_are_created(broker: BrokerClient, unique: Unique, mode: str | None) -> None:
    batch = [entity(unique.id(), unique.type(), speed=prop(n)) for n in range(3)]
    created = broker.post(UPSERT, batch, query={"options": mode}).expect(201).json
    assert sorted(created) == [one["id"] for one in batch]
    stored = broker.get("/entities", {"type": unique.type()}).expect(200).json
    assert sorted(stored, key=lambda one: str(one["id"])) == batch


@clause("6.15.3.1", 1)
@pytest.mark.parametrize("mode", MODES)
def test_only_new_entities_are_in_the_answer(broker: BrokerClient, unique: Unique, mode: str | None) -> None:
    old, new = entity(unique.id(), unique.type(), speed=prop(1)), entity(unique.id(), unique.type(), speed=prop(2))
    broker.post("/entities", old).expect(201)
    batch = [{**old, "speed": prop(9)}, new]
    broker.post(UPSERT, batch, query={"options": mode}).expect(201).expect_json([new["id"]])
    broker.get(f"/entities/{old['id']}").expect_json({**old, "speed": prop(9)})
    broker.get(f"/entities/{new['id']}").expect_json(new)


@clause("5.6.8.3", 1)
@clause("5.6.8.4", 7)
@clause("6.15.3.1", 1, 2)
@pytest.mark.parametrize("mode", [None, "replace"])
def test_replacing_leaves_nothing_of_what_was_there(broker: BrokerClient, unique: Unique, mode: str | None) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1, unitCode="KMH"), fuel=prop(7), scope="/Fukui")
    broker.post("/entities", one).expect(201)
    new = entity(one["id"], unique.type("Shelter"), speed=prop(2))
    assert broker.post(UPSERT, [new], query={"options": mode}).expect(204).body == b""
    broker.get(f"/entities/{one['id']}").expect_json(new)


@clause("5.6.8.4", 7)
def test_a_replaced_entity_keeps_its_created_at(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", one).expect(201)
    before = broker.get(f"/entities/{one['id']}", {"options": "sysAttrs"}).json
    broker.post(UPSERT, [{**one, "speed": prop(2)}]).expect(204)
    after = broker.get(f"/entities/{one['id']}", {"options": "sysAttrs"}).json
    assert after["createdAt"] == before["createdAt"]
    assert after["modifiedAt"] >= before["modifiedAt"]


@clause("5.6.8.3", 2)
@clause("5.6.8.4", 8)
@clause("6.15.3.1", 3)
def test_updating_keeps_the_other_attributes(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1, unitCode="KMH"), fuel=prop(7))
    broker.post("/entities", one).expect(201)
    patch = entity(one["id"], unique.type(), speed=prop(2), owner=rel("urn:a:b"))
    assert broker.post(UPSERT, [patch], query={"options": "update"}).expect(204).body == b""
    broker.get(f"/entities/{one['id']}").expect_json({**one, **patch})


@clause("5.6.8.4", 8)
def test_updating_adds_types_and_removes_by_null(broker: BrokerClient, unique: Unique) -> None:
    building, shelter = unique.type("Building"), unique.type("Shelter")
    one = entity(unique.id(), building, speed=prop(1), fuel=prop(7))
    broker.post("/entities", one).expect(201)
    broker.post(UPSERT, [entity(one["id"], shelter, fuel=prop(NULL))], query={"options": "update"}).expect(204)
    stored = broker.get(f"/entities/{one['id']}").json
    assert sorted(stored.pop("type")) == sorted([building, shelter])
    assert stored == {"id": one["id"], "speed": prop(1)}


@clause("5.6.8.4", 1, 3, 4, 5)
@clause("5.2.16", 1)
@clause("5.2.17", 1)
@clause("6.15.3.1", 4)
@pytest.mark.parametrize("mode", MODES)
def test_an_invalid_entity_does_not_spoil_the_others(broker: BrokerClient, unique: Unique, mode: str | None) -> None:
    old, new = entity(unique.id(), unique.type(), speed=prop(1)), entity(unique.id(), unique.type())
    broker.post("/entities", old).expect(201)
    invalid = entity(unique.id(), unique.type(), owner=rel("not a URI"))
    batch = [invalid, {**old, "speed": prop(9)}, new]
    result = broker.post(UPSERT, batch, query={"options": mode}).expect(207).json
    assert sorted(result["success"]) == [old["id"], new["id"]]
    assert [each["entityId"] for each in result["errors"]] == [invalid["id"]]
    assert result["errors"][0]["error"]["type"] == ERRORS + "BadRequestData"
    broker.get(f"/entities/{invalid['id']}").expect_problem("ResourceNotFound")
    broker.get(f"/entities/{old['id']}").expect_json({**old, "speed": prop(9)})


@clause("5.6.8.4", 1, 5)
@pytest.mark.parametrize("mode", MODES)
def test_an_invalid_entity_changes_nothing_of_the_one_that_is_there(
    broker: BrokerClient, unique: Unique, mode: str | None
) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1), fuel=prop(7))
    broker.post("/entities", one).expect(201)
    invalid = {**one, "fuel": prop(8), "speed": prop(2, observedAt="noon")}
    result = broker.post(UPSERT, [invalid], query={"options": mode}).expect(207).json
    assert result["success"] == []
    assert [each["entityId"] for each in result["errors"]] == [one["id"]]
    broker.get(f"/entities/{one['id']}").expect_json(one)


@clause("5.6.8.4", 2)
@clause("6.15.3.1", 5)
@pytest.mark.parametrize("mode", MODES)
def test_an_empty_array_is_bad_request_data(broker: BrokerClient, mode: str | None) -> None:
    broker.post(UPSERT, [], query={"options": mode}).expect_problem("BadRequestData")


@clause("5.6.8.4", 2)
@clause("6.15.3.1", 5)
def test_a_null_among_the_elements_is_bad_request_data(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type())
    broker.post(UPSERT, [one, None]).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@clause("6.15.3.1", 5)
@pytest.mark.parametrize("body", [{}, {"id": "urn:a:b", "type": "T"}, "urn:a:b"], ids=str)
def test_a_body_that_is_no_array_is_refused(broker: BrokerClient, body: Any) -> None:
    broker.post(UPSERT, body).expect_problem("BadRequestData", "InvalidRequest")
