"""5.6.7 Batch Entity Creation, 6.14.3.1 POST /entityOperations/create."""

from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.exchanges import ERRORS
from conformance.samples import Unique, entity, prop, rel
from conformance.servers import DocumentServer


@clause("5.6.7.4", 3)
@clause("6.14.3.1", 1)
@pytest.mark.parametrize("count", [1, 2, 25])
def test_all_entities_are_created(broker: BrokerClient, unique: Unique, count: int) -> None:
    batch = [entity(unique.id(), unique.type(), speed=prop(n), owner=rel(f"urn:a:{n}")) for n in range(count)]
    created = broker.post("/entityOperations/create", batch).expect(201).json
    assert sorted(created) == [one["id"] for one in batch]
    stored = broker.get("/entities", {"type": unique.type(), "limit": 100}).expect(200).json
    assert sorted(stored, key=lambda one: str(one["id"])) == batch


@clause("5.6.7.4", 3, 4, 5)
@clause("5.2.16", 1)
@clause("5.2.17", 1)
@clause("6.14.3.1", 2)
def test_an_entity_that_is_there_is_in_error_and_the_others_are_created(broker: BrokerClient, unique: Unique) -> None:
    old, new = entity(unique.id(), unique.type(), speed=prop(1)), entity(unique.id(), unique.type(), speed=prop(2))
    broker.post("/entities", old).expect(201)
    result = broker.post("/entityOperations/create", [{**old, "speed": prop(9)}, new]).expect(207).json
    assert result["success"] == [new["id"]]
    assert [each["entityId"] for each in result["errors"]] == [old["id"]]
    assert result["errors"][0]["error"]["type"] == ERRORS + "AlreadyExists"
    assert result["errors"][0]["error"]["title"]
    broker.get(f"/entities/{old['id']}").expect_json(old)
    broker.get(f"/entities/{new['id']}").expect_json(new)


@clause("5.6.7.4", 3, 4)
@clause("5.2.16", 1)
@clause("6.14.3.1", 2)
def test_nothing_is_in_success_where_nothing_was_created(broker: BrokerClient, unique: Unique) -> None:
    batch = [entity(unique.id(), unique.type()) for _ in range(3)]
    broker.post("/entityOperations/create", batch).expect(201)
    result = broker.post("/entityOperations/create", batch).expect(207).json
    assert result["success"] == []
    assert sorted(each["entityId"] for each in result["errors"]) == [one["id"] for one in batch]


@clause("5.6.7.4", 1, 5)
@clause("5.2.17", 1)
@pytest.mark.parametrize(
    "invalid",
    [{"speed": {"type": "Property"}}, {"owner": rel("not a URI")}, {"type": []}, {"speed": prop("urn:ngsi-ld:null")}],
    ids=str,
)
def test_an_invalid_entity_does_not_spoil_the_others(
    broker: BrokerClient, unique: Unique, invalid: dict[str, Any]
) -> None:
    good, bad = entity(unique.id(), unique.type(), speed=prop(1)), {**entity(unique.id(), unique.type()), **invalid}
    result = broker.post("/entityOperations/create", [bad, good]).expect(207).json
    assert result["success"] == [good["id"]]
    assert [each["entityId"] for each in result["errors"]] == [bad["id"]]
    assert result["errors"][0]["error"]["type"] == ERRORS + "BadRequestData"
    assert result["errors"][0]["error"]["detail"]
    broker.get(f"/entities/{bad['id']}").expect_problem("ResourceNotFound")
    broker.get(f"/entities/{good['id']}").expect_json(good)


@clause("5.6.7.4", 2)
@clause("6.14.3.1", 3)
def test_an_empty_array_is_bad_request_data(broker: BrokerClient) -> None:
    broker.post("/entityOperations/create", []).expect_problem("BadRequestData")


@clause("5.6.7.4", 2)
@clause("6.14.3.1", 3)
def test_a_null_among_the_elements_is_bad_request_data(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type())
    broker.post("/entityOperations/create", [one, None]).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@clause("6.14.3.1", 3)
@pytest.mark.parametrize("body", [{}, {"id": "urn:a:b", "type": "T"}, "urn:a:b", 5], ids=str)
def test_a_body_that_is_no_array_is_refused(broker: BrokerClient, body: Any) -> None:
    broker.post("/entityOperations/create", body).expect_problem("BadRequestData", "InvalidRequest")


@clause("5.6.7.4", 1)
def test_each_element_may_have_a_context_of_its_own(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    dutch = documents.publish_context(snelheid="https://example.org/terms/speed")
    english = documents.publish_context(velocity="https://example.org/terms/speed")
    one = entity(unique.id(), unique.type(), snelheid=prop(1), **{"@context": dutch})
    two = entity(unique.id(), unique.type(), velocity=prop(2), **{"@context": english})
    broker.post("/entityOperations/create", [one, two]).expect(201)
    assert broker.get(f"/entities/{one['id']}", link=english).json["velocity"] == prop(1)
    assert broker.get(f"/entities/{two['id']}", link=dutch).json["snelheid"] == prop(2)
