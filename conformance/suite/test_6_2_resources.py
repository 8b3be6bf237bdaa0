"""6.2 Resource Structure, 4.3.5 the operations of the Core API, and the wrong methods of 6.3.2."""

from typing import Any

import pytest

from conformance.broker_client import API, BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, prop, subscription
from conformance.servers import Receiver

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
RESOURCES = [
    ("/entities", "POST GET DELETE"),
    ("/entities/{id}", "GET DELETE PATCH PUT"),
    ("/entities/{id}/attrs", "POST PATCH"),
    ("/entities/{id}/attrs/speed", "PATCH DELETE PUT"),
    ("/subscriptions", "POST GET"),
    ("/subscriptions/{id}", "GET PATCH DELETE"),
    ("/types", "GET"),
    ("/types/Vehicle", "GET"),
    ("/attributes", "GET"),
    ("/attributes/speed", "GET"),
    ("/entityOperations/create", "POST"),
    ("/entityOperations/upsert", "POST"),
    ("/entityOperations/update", "POST"),
    ("/entityOperations/delete", "POST"),
    ("/entityOperations/query", "POST"),
    ("/entityOperations/merge", "POST"),
]
WRONG = [(path, allowed, method) for path, allowed in RESOURCES for method in METHODS if method not in allowed.split()]


@clause("6.2", 5)
@clause("6.3.1", 1)
@clause("6.3.2", 2, 3, 4)
@pytest.mark.parametrize(("path", "allowed", "method"), WRONG)
def test_a_method_that_a_resource_does_not_have_is_405_with_those_that_it_has(
    broker: BrokerClient, unique: Unique, path: str, allowed: str, method: str
) -> None:
    answer = broker.request(method, path.format(id=unique.id())).expect(405)
    listed = {name.strip() for name in answer.header("Allow").split(",")}
    assert listed - {"HEAD", "OPTIONS"} == set(allowed.split())


@clause("6.3.2", 3)
def test_a_wrong_method_changes_nothing(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", one).expect(201)
    broker.put(f"/entities/{one['id']}/attrs", {"speed": prop(2)}).expect(405)
    broker.delete(f"/entities/{one['id']}/attrs").expect(405)
    broker.get(f"/entities/{one['id']}").expect(200).expect_json(one)


@clause("6.2", 1, 3, 4)
def test_resources_are_below_ngsi_ld_v1(broker: BrokerClient, unique: Unique) -> None:
    assert broker.root.endswith(API)
    location = (
        broker.post("/entities", entity(unique.id(), unique.type(), speed=prop(1))).expect(201).header("Location")
    )
    assert f"{API}/entities/" in location
    broker.get(location).expect(200)


@clause("6.2", 3, 4)
@pytest.mark.parametrize("other", ["/ngsi-ld/v2", "/ngsi-ld", "/ngsild/v1", "/NGSI-LD/v1", "/v1", ""])
def test_there_is_nothing_below_another_root(broker: BrokerClient, unique: Unique, other: str) -> None:
    broker.post("/entities", entity(unique.id(), unique.type(), speed=prop(1))).expect(201)
    outside = BrokerClient(broker.url, broker.traces)
    prefix, outside.root = broker.root.removesuffix(API), ""
    answer = outside.get(f"{prefix}{other}/entities", {"type": unique.type()})
    outside.close()
    answer.expect(400, 404)


@clause("6.2", 5)
@pytest.mark.parametrize(
    "path", ["/entitys", "/entities/{id}/attributes", "/entityOperations/replace", "/entities/{id}/attrs/a/b/c"]
)
def test_what_is_not_in_the_table_is_no_resource(broker: BrokerClient, unique: Unique, path: str) -> None:
    one = entity(unique.id(), unique.type(), a=prop(1))
    broker.post("/entities", one).expect(201)
    broker.get(path.format(id=one["id"])).expect(400, 404)


@clause("6.2", 5)
@clause("4.3.5", 1)
@pytest.mark.parametrize(
    ("method", "path", "document", "status"),
    [
        ("PATCH", "/entities/{id}/attrs", {"speed": prop(2)}, 204),
        ("POST", "/entities/{id}/attrs", {"age": prop(2)}, 204),
        ("PATCH", "/entities/{id}/attrs/speed", prop(2), 204),
        ("PUT", "/entities/{id}/attrs/speed", prop(2), 204),
        ("DELETE", "/entities/{id}/attrs/speed", None, 204),
        ("PATCH", "/entities/{id}", {"speed": prop(2)}, 204),
        ("PUT", "/entities/{id}", {"type": "Vehicle", "speed": prop(2)}, 204),
        ("DELETE", "/entities/{id}", None, 204),
        ("GET", "/entities/{id}", None, 200),
        ("GET", "/entities?type={type}", None, 200),
        ("GET", "/types", None, 200),
        ("GET", "/types?details=true", None, 200),
        ("GET", "/types/{type}", None, 200),
        ("GET", "/attributes", None, 200),
        ("GET", "/attributes?details=true", None, 200),
        ("GET", "/attributes/speed", None, 200),
        ("GET", "/subscriptions", None, 200),
    ],
)
def test_the_operations_of_the_core_api_are_there(
    broker: BrokerClient, unique: Unique, method: str, path: str, document: Any, status: int
) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", one).expect(201)
    broker.request(method, path.format(id=one["id"], type=unique.type()), document).expect(status)


@clause("6.2", 5)
@clause("4.3.5", 1)
def test_the_batch_operations_of_the_core_api_are_there(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entityOperations/create", [one]).expect(201)
    for name in ("upsert", "update", "merge"):
        broker.post(f"/entityOperations/{name}", [one]).expect(200, 204)
    query = {"type": "Query", "entities": [{"type": unique.type()}]}
    broker.post("/entityOperations/query", query).expect(200).expect_json([one])
    broker.post("/entityOperations/delete", [one["id"]]).expect(204)


@clause("6.2", 5)
@clause("4.3.5", 1)
def test_the_subscriptions_of_the_core_api_are_there(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    given = subscription(receiver.url, id=unique.id("Subscription"), entities=[{"type": unique.type()}])
    location = broker.post("/subscriptions", given).expect(201).header("Location")
    broker.post("/entities", entity(unique.id(), unique.type(), speed=prop(1))).expect(201)
    assert receiver.next_json()["subscriptionId"] == given["id"]
    broker.patch(location, {"description": "speed"}).expect(204)
    assert broker.get(location).expect(200).json["description"] == "speed"
    broker.delete(location).expect(204)
    broker.get(location).expect_problem("ResourceNotFound")


@clause("6.2", 1)
@pytest.mark.parametrize("path", ["/entities", "/entityOperations/create"])
def test_a_collection_may_be_written_with_a_slash_at_its_end(broker: BrokerClient, unique: Unique, path: str) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    document = one if path == "/entities" else [one]
    broker.post(f"{path}/", document).expect(201)
    broker.get("/entities/", {"type": unique.type()}).expect(200).expect_json([one])
