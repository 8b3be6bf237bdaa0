"""5.6.20 Batch Entity Merge, 6.31.3.1 POST /entityOperations/merge."""

from typing import Any, Final

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.exchanges import ERRORS
from conformance.samples import Unique, entity, prop, rel

NULL: Final = "urn:ngsi-ld:null"
MERGE: Final = "/entityOperations/merge"


@clause("5.6.20.4", 5)
@clause("6.31.3.1", 1)
def test_each_element_is_merged_into_its_entity(broker: BrokerClient, unique: Unique) -> None:
    batch = [
        entity(unique.id(), unique.type(), speed=prop({"now": n, "limit": 50}, unitCode="KMH"), fuel=prop(7))
        for n in range(3)
    ]
    broker.post("/entityOperations/create", batch).expect(201)
    patches = [entity(one["id"], one["type"], speed=prop({"limit": 30}), owner=rel("urn:a:b")) for one in batch]
    assert broker.post(MERGE, patches).expect(204).body == b""
    stored = broker.get("/entities", {"type": unique.type()}).expect(200).json
    assert sorted(stored, key=lambda one: str(one["id"])) == [
        {**one, "speed": prop({"now": n, "limit": 30}, unitCode="KMH"), "owner": rel("urn:a:b")}
        for n, one in enumerate(batch)
    ]


@clause("5.6.20.4", 5)
def test_nulls_remove_attributes_and_members_of_values(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop({"now": 1, "limit": 50}, unitCode="KMH"), fuel=prop(7))
    broker.post("/entities", one).expect(201)
    patch = entity(one["id"], one["type"], speed={"value": {"limit": NULL}, "unitCode": NULL}, fuel=prop(NULL))
    broker.post(MERGE, [patch]).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json(entity(one["id"], one["type"], speed=prop({"now": 1})))


@clause("5.6.20.4", 5)
def test_types_are_added_and_a_scope_is_replaced(broker: BrokerClient, unique: Unique) -> None:
    building, shelter = unique.type("Building"), unique.type("Shelter")
    one = entity(unique.id(), building, scope="/Fukui")
    broker.post("/entities", one).expect(201)
    broker.post(MERGE, [entity(one["id"], shelter, scope="/Toyama")]).expect(204)
    stored = broker.get(f"/entities/{one['id']}").json
    assert sorted(stored["type"]) == sorted([building, shelter])
    assert stored["scope"] == "/Toyama"


@clause("5.6.20.4", 2, 3, 4)
@clause("5.2.16", 1)
@clause("5.2.17", 1)
@clause("6.31.3.1", 2)
def test_an_entity_that_is_not_there_is_in_error_and_not_created(broker: BrokerClient, unique: Unique) -> None:
    one, missing = entity(unique.id(), unique.type(), speed=prop(1)), entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", one).expect(201)
    result = broker.post(MERGE, [missing, {**one, "speed": prop(2)}]).expect(207).json
    assert result["success"] == [one["id"]]
    assert [each["entityId"] for each in result["errors"]] == [missing["id"]]
    assert result["errors"][0]["error"]["type"] == ERRORS + "ResourceNotFound"
    broker.get(f"/entities/{missing['id']}").expect_problem("ResourceNotFound")
    broker.get(f"/entities/{one['id']}").expect_json({**one, "speed": prop(2)})


@clause("5.6.20.4", 2, 3)
@clause("5.2.16", 1)
@clause("6.31.3.1", 2)
def test_nothing_is_in_success_where_nothing_was_merged(broker: BrokerClient, unique: Unique) -> None:
    batch = [entity(unique.id(), unique.type(), speed=prop(1)) for _ in range(2)]
    result = broker.post(MERGE, batch).expect(207).json
    assert result["success"] == []
    assert sorted(each["entityId"] for each in result["errors"]) == [one["id"] for one in batch]


@clause("5.6.20.4", 1, 4)
@clause("5.2.17", 1)
@pytest.mark.parametrize("invalid", [{"owner": rel("not a URI")}, {"speed": prop(2, observedAt="noon")}], ids=str)
def test_an_invalid_element_does_not_spoil_the_others(
    broker: BrokerClient, unique: Unique, invalid: dict[str, Any]
) -> None:
    good, bad = entity(unique.id(), unique.type(), fuel=prop(1)), entity(unique.id(), unique.type(), fuel=prop(1))
    broker.post("/entityOperations/create", [good, bad]).expect(201)
    result = broker.post(MERGE, [{**bad, "fuel": prop(2), **invalid}, {**good, "fuel": prop(2)}]).expect(207).json
    assert result["success"] == [good["id"]]
    assert [each["entityId"] for each in result["errors"]] == [bad["id"]]
    assert result["errors"][0]["error"]["type"] == ERRORS + "BadRequestData"
    broker.get(f"/entities/{bad['id']}").expect_json(bad)
    broker.get(f"/entities/{good['id']}").expect_json({**good, "fuel": prop(2)})


@clause("6.31.3.1", 3)
@pytest.mark.parametrize("body", [{}, {"id": "urn:a:b", "type": "T"}, "urn:a:b"], ids=str)
def test_a_body_that_is_no_array_is_refused(broker: BrokerClient, body: Any) -> None:
    broker.post(MERGE, body).expect_problem("BadRequestData", "InvalidRequest")
