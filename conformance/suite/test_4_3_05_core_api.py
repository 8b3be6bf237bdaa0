"""4.3.5 NGSI-LD API structure: the operations of the Core API are there. 4.3.6.7: EntityMaps are told of."""

from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, prop, subscription

NOWHERE = "http://127.0.0.1:9/notify"


@clause("4.3.5", 1)
@pytest.mark.parametrize(
    ("method", "path", "document", "statuses"),
    [
        ("PATCH", "/entities/{one}/attrs", {"level": prop(2)}, {204}),
        ("POST", "/entities/{one}/attrs", {"other": prop(2)}, {204}),
        ("PATCH", "/entities/{one}/attrs/level", {"value": 2}, {204}),
        ("DELETE", "/entities/{one}/attrs/level", None, {204}),
        ("DELETE", "/entities/{one}", None, {204}),
        ("PATCH", "/entities/{one}", {"level": prop(2)}, {204}),
        ("PUT", "/entities/{one}", {"id": "{one}", "type": "{type}", "level": prop(2)}, {204}),
        ("PUT", "/entities/{one}/attrs/level", prop(2), {204}),
        ("POST", "/entityOperations/create", [{"id": "{new}", "type": "{type}"}], {201}),
        ("POST", "/entityOperations/upsert", [{"id": "{new}", "type": "{type}"}], {201}),
        ("POST", "/entityOperations/update", [{"id": "{one}", "type": "{type}", "level": prop(2)}], {204}),
        ("POST", "/entityOperations/merge", [{"id": "{one}", "type": "{type}", "level": prop(2)}], {204}),
        ("POST", "/entityOperations/delete", ["{one}"], {204}),
        ("POST", "/entityOperations/query", {"type": "Query", "entities": [{"type": "{type}"}]}, {200}),
        ("GET", "/entities/{one}", None, {200}),
        ("GET", "/entities?type={type}", None, {200}),
        ("GET", "/types", None, {200}),
        ("GET", "/types?details=true", None, {200}),
        ("GET", "/types/{type}", None, {200}),
        ("GET", "/attributes", None, {200}),
        ("GET", "/attributes?details=true", None, {200}),
        ("GET", "/attributes/level", None, {200}),
        ("POST", "/subscriptions", subscription(NOWHERE, entities=[{"type": "{type}"}]), {201}),
        ("GET", "/subscriptions", None, {200}),
        ("GET", "/subscriptions/{subscription}", None, {200}),
        ("PATCH", "/subscriptions/{subscription}", {"description": "x"}, {204}),
        ("DELETE", "/subscriptions/{subscription}", None, {204}),
    ],
)
def test_an_operation_of_the_core_api_is_there(
    broker: BrokerClient, unique: Unique, method: str, path: str, document: Any, statuses: set[int]
) -> None:
    names = {"one": unique.id(), "new": unique.id(), "type": unique.type(), "subscription": unique.id("Subscription")}
    broker.post("/entities", entity(names["one"], unique.type(), level=prop(1))).expect(201)
    given = subscription(NOWHERE, id=names["subscription"], entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect(201)
    for name, value in names.items():
        path = path.replace(f"{{{name}}}", value)
        document = _filled(document, f"{{{name}}}", value)
    broker.request(method, path, document).expect(*statuses)


def _filled(document: Any, name: str, value: str) -> Any:
    """A document with a placeholder replaced."""
    if isinstance(document, dict):
        return {member: _filled(item, name, value) for member, item in document.items()}
    if isinstance(document, list):
        return [_filled(item, name, value) for item in document]
    return value if document == name else document


@clause("4.3.6.7", 1)
def test_a_query_tells_of_its_entity_map_where_that_is_asked_for(broker: BrokerClient, unique: Unique) -> None:
    broker.post("/entities", entity(unique.id(), unique.type())).expect(201)
    answer = broker.get("/entities", {"type": unique.type(), "entityMap": True})
    if answer.status == 501:
        answer.expect_problem("NotImplemented")
        pytest.skip("this broker keeps no EntityMaps, and says so")
    assert answer.expect(200, 201).header("NGSILD-EntityMap")
    assert "NGSILD-EntityMap" not in broker.get("/entities", {"type": unique.type()}).expect(200).headers
