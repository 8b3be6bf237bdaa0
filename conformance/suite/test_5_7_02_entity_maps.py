"""5.7.1 and 5.7.2 with EntityMaps: how a request asks for one, gets one made, and uses it again."""

from datetime import UTC, datetime

import pytest

from conformance.broker_client import GEO_JSON, BrokerClient
from conformance.clauses import clause
from conformance.exchanges import Answer
from conformance.samples import Unique, entity, geo, prop

HEADER = "NGSILD-EntityMap"
UNKNOWN = "/ngsi-ld/v1/entityMaps/urn:ngsi-ld:EntityMap:nobody-made-this-one"


def location(answer: Answer) -> str:
    """Where the map of an answer is. A broker without EntityMaps says so by naming none (5.5.14)."""
    answer.expect(200, 201)
    return answer.headers.get(HEADER) or pytest.skip("the broker declines to make EntityMaps")


@clause("5.7.2.4", 16)
@clause("5.7.2.5", 11)
@clause("6.4.3.2", 15)
@pytest.mark.parametrize("accept", [None, GEO_JSON])
def test_a_query_that_asks_for_a_map_gets_one_made(broker: BrokerClient, unique: Unique, accept: str | None) -> None:
    ids = [unique.id() for _ in range(3)]
    broker.post("/entityOperations/create", [entity(each, unique.type(), size=prop(1)) for each in ids]).expect(201)
    answer = broker.get("/entities", {"type": unique.type(), "q": "size==1", "entityMap": True}, accept=accept)
    made = broker.get(location(answer)).expect(200).json
    assert answer.status == 201
    assert made["type"] == "EntityMap"
    assert set(made["entityMap"]) == set(ids)


@clause("6.23.3.1", 2)
@clause("5.2.23", 1)
@pytest.mark.parametrize("accept", [None, GEO_JSON])
def test_a_query_in_a_body_that_asks_for_a_map_gets_one_made(
    broker: BrokerClient, unique: Unique, accept: str | None
) -> None:
    one = entity(unique.id(), unique.type(), location=geo("Point", [8, 40]))
    broker.post("/entities", one).expect(201)
    query = {"type": "Query", "entities": [{"type": unique.type()}], "entityMap": True}
    answer = broker.post("/entityOperations/query", query, accept=accept)
    assert set(broker.get(location(answer)).expect(200).json["entityMap"]) == {one["id"]}
    assert answer.status == 201


@clause("5.7.2.4", 16)
@clause("5.7.2.5", 11)
@clause("6.4.3.2", 3, 15)
def test_a_query_with_a_map_stays_with_the_entities_in_it(broker: BrokerClient, unique: Unique) -> None:
    ids = [unique.id() for _ in range(3)]
    broker.post("/entityOperations/create", [entity(each, unique.type(), size=prop(1)) for each in ids]).expect(201)
    query = {"type": unique.type(), "q": "size==1"}
    made = location(broker.get("/entities", {**query, "entityMap": True}))
    broker.post("/entities", entity(unique.id(), unique.type(), size=prop(1))).expect(201)
    broker.patch(f"/entities/{ids[0]}/attrs", {"size": prop(2)}).expect(204)
    answer = broker.get("/entities", query, headers={HEADER: made}).expect(200)
    assert {each["id"] for each in answer.json} == set(ids[1:])
    assert answer.header(HEADER) == made


@clause("5.7.2.4", 16)
def test_a_query_with_a_map_that_is_gone_gets_a_new_one(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), size=prop(1))
    broker.post("/entities", one).expect(201)
    query = {"type": unique.type()}
    first = location(broker.get("/entities", {**query, "entityMap": True}))
    broker.delete(first).expect(204)
    for gone in (first, UNKNOWN):
        answer = broker.get("/entities", query, headers={HEADER: gone}).expect(201)
        assert [each["id"] for each in answer.json] == [one["id"]]
        assert answer.header(HEADER) != gone
        assert set(broker.get(answer.header(HEADER)).expect(200).json["entityMap"]) == {one["id"]}


@clause("6.4.3.2", 15)
@clause("6.5.3.1", 8)
@pytest.mark.parametrize("wanted", [None, False])
def test_nobody_gets_a_map_who_does_not_ask(broker: BrokerClient, unique: Unique, wanted: bool | None) -> None:
    one = entity(unique.id(), unique.type(), size=prop(1))
    broker.post("/entities", one).expect(201)
    assert HEADER not in broker.get("/entities", {"type": unique.type(), "entityMap": wanted}).expect(200).headers
    assert HEADER not in broker.get(f"/entities/{one['id']}", {"entityMap": wanted}).expect(200).headers


@clause("5.7.1.4", 6)
@clause("5.7.1.5", 9)
@clause("6.5.3.1", 3, 8)
@pytest.mark.parametrize("accept", [None, GEO_JSON])
def test_a_retrieval_makes_a_map_and_uses_it_again(broker: BrokerClient, unique: Unique, accept: str | None) -> None:
    one = entity(unique.id(), unique.type(), location=geo("Point", [8, 40]))
    broker.post("/entities", one).expect(201)
    path = f"/entities/{one['id']}"
    answer = broker.get(path, {"entityMap": True}, accept=accept)
    made = location(answer)
    assert answer.json["id"] == one["id"]
    assert set(broker.get(made).expect(200).json["entityMap"]) == {one["id"]}
    assert broker.get(path, accept=accept, headers={HEADER: made}).expect(200).header(HEADER) == made


@clause("5.7.1.4", 6)
def test_a_retrieval_with_a_map_that_is_gone_gets_a_new_one(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), size=prop(1))
    broker.post("/entities", one).expect(201)
    location(broker.get(f"/entities/{one['id']}", {"entityMap": True}))
    answer = broker.get(f"/entities/{one['id']}", headers={HEADER: UNKNOWN}).expect(200, 201)
    assert answer.header(HEADER) != UNKNOWN
    broker.get(answer.header(HEADER)).expect(200)


@clause("6.4.3.2", 7)
@clause("6.5.3.1", 6)
@clause("5.2.23", 8)
@pytest.mark.parametrize("lifetime", [None, "PT10M", "P3650D"])
def test_the_broker_sets_when_a_map_expires(broker: BrokerClient, unique: Unique, lifetime: str | None) -> None:
    one = entity(unique.id(), unique.type(), size=prop(1))
    broker.post("/entities", one).expect(201)
    query = {"entityMap": True, "entityMapLifetime": lifetime}
    body = {"type": "Query", "entities": [{"type": unique.type()}], "entityMap": True}
    for answer in (
        broker.get("/entities", {"type": unique.type(), **query}),
        broker.get(f"/entities/{one['id']}", query),
        broker.post("/entityOperations/query", {**body, **({"entityMapLifetime": lifetime} if lifetime else {})}),
    ):
        expires = broker.get(location(answer)).expect(200).json["expiresAt"]
        assert datetime.fromisoformat(expires) > datetime.now(UTC)


@clause("6.4.3.2", 17)
@clause("6.5.3.1", 10)
@clause("5.2.23", 1)
@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("entityMap", "yes"),
        ("entityMapLifetime", "1 hour"),
        ("entityMapLifetime", "PT"),
        ("entityMapLifetime", "-PT1H"),
    ],
)
def test_values_that_a_map_parameter_does_not_have_are_refused(
    broker: BrokerClient, unique: Unique, member: str, value: str
) -> None:
    one = entity(unique.id(), unique.type(), size=prop(1))
    broker.post("/entities", one).expect(201)
    query = {"entityMap": True, member: value}
    broker.get("/entities", {"type": unique.type(), **query}).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}", query).expect_problem("BadRequestData")
    body = {"type": "Query", "entities": [{"type": unique.type()}], **query}
    broker.post("/entityOperations/query", body).expect_problem("BadRequestData")
