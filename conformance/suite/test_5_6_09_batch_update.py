"""5.6.9 Batch Entity Update, 6.16.3.1 POST /entityOperations/update."""

from typing import Any, Final

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.exchanges import ERRORS
from conformance.instances import by_dataset
from conformance.samples import Unique, entity, prop, rel

GPS: Final = "urn:ngsi-ld:Dataset:gps"
UPDATE: Final = "/entityOperations/update"
KEEP: Final = {"options": "noOverwrite"}


@clause("5.6.9.3", 1)
@clause("5.6.9.4", 6)
@clause("6.16.3.1", 1)
def test_attributes_are_overwritten_and_added_and_the_others_stay(broker: BrokerClient, unique: Unique) -> None:
    batch = [entity(unique.id(), unique.type(), speed=prop(n, unitCode="KMH"), fuel=prop(7)) for n in range(3)]
    broker.post("/entityOperations/create", batch).expect(201)
    patches = [entity(one["id"], one["type"], speed=prop(50), owner=rel("urn:a:b")) for one in batch]
    assert broker.post(UPDATE, patches).expect(204).body == b""
    stored = broker.get("/entities", {"type": unique.type()}).expect(200).json
    assert sorted(stored, key=lambda one: str(one["id"])) == [
        {**one, "speed": prop(50), "owner": rel("urn:a:b")} for one in batch
    ]


@clause("5.6.9.3", 1)
@clause("5.6.9.4", 6)
@clause("6.16.3.1", 2)
def test_no_overwrite_leaves_what_is_there_and_adds_the_rest(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1, unitCode="KMH"))
    broker.post("/entities", one).expect(201)
    patch = entity(one["id"], one["type"], speed=prop(2), owner=rel("urn:a:b"))
    broker.post(UPDATE, [patch], query=KEEP).expect(204, 207)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "owner": rel("urn:a:b")})


@clause("6.16.3.1", 2)
def test_no_overwrite_of_new_attributes_alone_is_a_plain_success(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", one).expect(201)
    broker.post(UPDATE, [entity(one["id"], one["type"], fuel=prop(7))], query=KEEP).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "fuel": prop(7)})


@clause("5.6.9.4", 6)
def test_instances_are_overwritten_by_their_dataset_id(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=[prop(0), prop(1, datasetId=GPS)])
    broker.post("/entities", one).expect(201)
    broker.post(UPDATE, [entity(one["id"], one["type"], speed=prop(5, datasetId=GPS))]).expect(204)
    stored = by_dataset(broker.get(f"/entities/{one['id']}").json["speed"])
    assert stored == {"@none": prop(0), GPS: prop(5, datasetId=GPS)}


@clause("5.6.9.4", 6)
def test_types_and_scopes_are_appended_as_well(broker: BrokerClient, unique: Unique) -> None:
    building, shelter = unique.type("Building"), unique.type("Shelter")
    one = entity(unique.id(), building, scope="/Fukui")
    broker.post("/entities", one).expect(201)
    broker.post(UPDATE, [entity(one["id"], shelter, scope="/Toyama")], query=KEEP).expect(204)
    stored = broker.get(f"/entities/{one['id']}").json
    assert sorted(stored["type"]) == sorted([building, shelter])
    assert sorted(stored["scope"]) == ["/Fukui", "/Toyama"]


@clause("5.6.9.4", 3, 4, 5)
@clause("5.2.16", 1)
@clause("5.2.17", 1)
@clause("6.16.3.1", 3)
def test_an_entity_that_is_not_there_is_in_error_and_not_created(broker: BrokerClient, unique: Unique) -> None:
    one, missing = entity(unique.id(), unique.type(), speed=prop(1)), entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", one).expect(201)
    result = broker.post(UPDATE, [missing, {**one, "speed": prop(2)}]).expect(207).json
    assert result["success"] == [one["id"]]
    assert [each["entityId"] for each in result["errors"]] == [missing["id"]]
    assert result["errors"][0]["error"]["type"] == ERRORS + "ResourceNotFound"
    broker.get(f"/entities/{missing['id']}").expect_problem("ResourceNotFound")
    broker.get(f"/entities/{one['id']}").expect_json({**one, "speed": prop(2)})


@clause("5.6.9.4", 3, 4)
@clause("5.2.16", 1)
@clause("6.16.3.1", 3)
def test_nothing_is_in_success_where_nothing_was_updated(broker: BrokerClient, unique: Unique) -> None:
    batch = [entity(unique.id(), unique.type(), speed=prop(1)) for _ in range(2)]
    result = broker.post(UPDATE, batch).expect(207).json
    assert result["success"] == []
    assert sorted(each["entityId"] for each in result["errors"]) == [one["id"] for one in batch]


@clause("5.6.9.4", 1, 5)
@clause("5.2.17", 1)
@pytest.mark.parametrize("invalid", [{"owner": rel("not a URI")}, {"speed": prop(2, observedAt="noon")}], ids=str)
def test_an_invalid_element_does_not_spoil_the_others(
    broker: BrokerClient, unique: Unique, invalid: dict[str, Any]
) -> None:
    good, bad = entity(unique.id(), unique.type(), fuel=prop(1)), entity(unique.id(), unique.type(), fuel=prop(1))
    broker.post("/entityOperations/create", [good, bad]).expect(201)
    result = broker.post(UPDATE, [{**bad, "fuel": prop(2), **invalid}, {**good, "fuel": prop(2)}]).expect(207).json
    assert result["success"] == [good["id"]]
    assert [each["entityId"] for each in result["errors"]] == [bad["id"]]
    assert result["errors"][0]["error"]["type"] == ERRORS + "BadRequestData"
    broker.get(f"/entities/{bad['id']}").expect_json(bad)
    broker.get(f"/entities/{good['id']}").expect_json({**good, "fuel": prop(2)})


@clause("5.6.9.4", 2)
@clause("6.16.3.1", 4)
@pytest.mark.parametrize("query", [{}, KEEP], ids=str)
def test_an_empty_array_is_bad_request_data(broker: BrokerClient, query: dict[str, str]) -> None:
    broker.post(UPDATE, [], query=query).expect_problem("BadRequestData")


@clause("5.6.9.4", 2)
@clause("6.16.3.1", 4)
def test_a_null_among_the_elements_is_bad_request_data(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", one).expect(201)
    broker.post(UPDATE, [{**one, "speed": prop(2)}, None]).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_json(one)


@clause("6.16.3.1", 4)
@pytest.mark.parametrize("body", [{}, {"id": "urn:a:b", "type": "T"}, "urn:a:b"], ids=str)
def test_a_body_that_is_no_array_is_refused(broker: BrokerClient, body: Any) -> None:
    broker.post(UPDATE, body).expect_problem("BadRequestData", "InvalidRequest")
