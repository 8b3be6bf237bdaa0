"""5.6.10 Batch Entity Delete, 6.17.3.1 POST /entityOperations/delete."""

from typing import Any, Final

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.exchanges import ERRORS
from conformance.samples import Unique, entity, prop

DELETE: Final = "/entityOperations/delete"


@clause("5.6.10.4", 6)
@clause("6.17.3.1", 1)
@pytest.mark.parametrize("count", [1, 3, 25])
def test_the_entities_that_are_named_go_and_no_others(broker: BrokerClient, unique: Unique, count: int) -> None:
    batch = [entity(unique.id(), unique.type(), speed=prop(n)) for n in range(count)]
    other = entity(unique.id(), unique.type(), speed=prop(99))
    broker.post("/entityOperations/create", [*batch, other]).expect(201)
    assert broker.post(DELETE, [one["id"] for one in batch]).expect(204).body == b""
    broker.get("/entities", {"type": unique.type(), "limit": 100}).expect(200).expect_json([other])


@clause("5.6.10.4", 1, 3, 4, 5)
@clause("5.2.16", 1)
@clause("5.2.17", 1)
@clause("6.17.3.1", 2)
def test_an_entity_that_is_not_there_is_in_error_and_the_others_go(broker: BrokerClient, unique: Unique) -> None:
    one, missing = entity(unique.id(), unique.type()), unique.id()
    broker.post("/entities", one).expect(201)
    result = broker.post(DELETE, [missing, one["id"]]).expect(207).json
    assert result["success"] == [one["id"]]
    assert [each["entityId"] for each in result["errors"]] == [missing]
    assert result["errors"][0]["error"]["type"] == ERRORS + "ResourceNotFound"
    assert result["errors"][0]["error"]["title"]
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@clause("5.6.10.4", 3, 4)
@clause("5.2.16", 1)
@clause("6.17.3.1", 2)
def test_nothing_is_in_success_where_nothing_was_deleted(broker: BrokerClient, unique: Unique) -> None:
    missing = [unique.id(), unique.id()]
    result = broker.post(DELETE, missing).expect(207).json
    assert result["success"] == []
    assert sorted(each["entityId"] for each in result["errors"]) == missing


@clause("5.6.10.4", 1, 5)
@pytest.mark.parametrize("invalid", ["no-URI", "urn:a b", 5], ids=str)
def test_an_id_that_is_no_uri_does_not_keep_the_others(broker: BrokerClient, unique: Unique, invalid: Any) -> None:
    one = entity(unique.id(), unique.type())
    broker.post("/entities", one).expect(201)
    result = broker.post(DELETE, [invalid, one["id"]]).expect(207).json
    assert result["success"] == [one["id"]]
    assert [each["error"]["type"] for each in result["errors"]] == [ERRORS + "BadRequestData"]
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@clause("5.6.10.4", 2)
@clause("6.17.3.1", 3)
def test_an_empty_array_is_bad_request_data(broker: BrokerClient) -> None:
    broker.post(DELETE, []).expect_problem("BadRequestData")


@clause("5.6.10.4", 2)
@clause("6.17.3.1", 3)
def test_a_null_among_the_elements_is_bad_request_data(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type())
    broker.post("/entities", one).expect(201)
    broker.post(DELETE, [one["id"], None]).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_json(one)


@clause("6.17.3.1", 3)
@pytest.mark.parametrize("body", [{}, {"id": "urn:a:b"}, "urn:a:b"], ids=str)
def test_a_body_that_is_no_array_is_refused(broker: BrokerClient, body: Any) -> None:
    broker.post(DELETE, body).expect_problem("BadRequestData", "InvalidRequest")
