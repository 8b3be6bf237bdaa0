"""5.5.15 Snapshot Behaviour, 6.3.22, 4.3.7 and 4.8: operations on a snapshot, and on nothing else."""

from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Document, Unique, entity, instant, prop, subscription
from conformance.servers import Receiver
from conformance.snapshots import ALWAYS, of_type, snapshot, taken


def one_entity(broker: BrokerClient, unique: Unique) -> tuple[Document, str]:
    """An entity, and the id of a snapshot that has it."""
    one = entity(unique.id(), unique.type(), level=prop(1), name=prop("a"))
    broker.post("/entities", one).expect(201)
    return one, str(taken(broker, snapshot(of_type(unique.type())))["id"])


def filled(given: Any, one: Document) -> Any:
    """A path or a document with the id and the type of an entity where it says {id} and {type}."""
    if isinstance(given, str):
        return given.replace("{id}", one["id"]).replace("{type}", one["type"])
    if isinstance(given, list):
        return [filled(each, one) for each in given]
    if isinstance(given, dict):
        return {name: filled(value, one) for name, value in given.items()}
    return given


# --- inside and outside


@clause("4.3.7", 1)
@clause("5.5.15", 1)
@clause("6.3.22", 2)
def test_a_snapshot_stays_as_it_was_taken(broker: BrokerClient, unique: Unique) -> None:
    one, known = one_entity(broker, unique)
    broker.patch(f"/entities/{one['id']}", {"level": prop(2), "more": prop(3)}).expect(204)
    broker.post("/entities", entity(unique.id(), unique.type(), level=prop(9))).expect(201)
    broker.get("/entities", {"type": unique.type()}, snapshot=known).expect(200).expect_json([one])
    broker.delete(f"/entities/{one['id']}").expect(204)
    broker.get("/entities", {"type": unique.type()}, snapshot=known).expect(200).expect_json([one])


@clause("4.3.7", 2)
@clause("5.5.15", 1, 2)
@pytest.mark.parametrize(
    ("method", "path", "document", "levels"),
    [
        ("PATCH", "/entities/{id}", {"level": prop(2)}, [prop(2)]),
        ("PUT", "/entities/{id}", {"id": "{id}", "type": "{type}", "level": prop(2)}, [prop(2)]),
        ("DELETE", "/entities/{id}", None, []),
        ("POST", "/entities/{id}/attrs", {"level": prop(2)}, [prop(2)]),
        ("PATCH", "/entities/{id}/attrs", {"level": prop(2)}, [prop(2)]),
        ("PATCH", "/entities/{id}/attrs/level", {"value": 2}, [prop(2)]),
        ("PUT", "/entities/{id}/attrs/level", prop(2), [prop(2)]),
        ("DELETE", "/entities/{id}/attrs/level", None, [None]),
        ("DELETE", "/entities?type={type}", None, []),
        ("POST", "/entityOperations/update", [{"id": "{id}", "type": "{type}", "level": prop(2)}], [prop(2)]),
        ("POST", "/entityOperations/upsert", [{"id": "{id}", "type": "{type}", "level": prop(2)}], [prop(2)]),
        ("POST", "/entityOperations/merge", [{"id": "{id}", "type": "{type}", "level": prop(2)}], [prop(2)]),
        ("POST", "/entityOperations/delete", ["{id}"], []),
    ],
)
def test_what_changes_in_a_snapshot_changes_there_only(
    broker: BrokerClient, unique: Unique, method: str, path: str, document: Any, levels: list[Any]
) -> None:
    one, known = one_entity(broker, unique)
    broker.request(method, filled(path, one), filled(document, one), snapshot=known).expect(204)
    inside = broker.get("/entities", {"type": unique.type()}, snapshot=known).expect(200).json
    assert [each.get("level") for each in inside] == levels
    broker.get(f"/entities/{one['id']}").expect(200).expect_json(one)


@clause("5.5.15", 1, 2)
@clause("6.3.22", 2)
def test_what_is_created_in_a_snapshot_is_there_only(broker: BrokerClient, unique: Unique) -> None:
    _, known = one_entity(broker, unique)
    new, another = (entity(unique.id(), unique.type(), level=prop(5)) for _ in range(2))
    broker.post("/entities", new, snapshot=known).expect(201)
    broker.post("/entities", new, snapshot=known).expect_problem("AlreadyExists")
    broker.post("/entityOperations/create", [another], snapshot=known).expect(201)
    for each in (new, another):
        broker.get(f"/entities/{each['id']}", snapshot=known).expect(200).expect_json(each)
        broker.get(f"/entities/{each['id']}").expect_problem("ResourceNotFound")


@clause("5.5.15", 1, 2)
def test_each_snapshot_has_its_own_content(broker: BrokerClient, unique: Unique) -> None:
    one, first = one_entity(broker, unique)
    broker.patch(f"/entities/{one['id']}", {"level": prop(2)}).expect(204)
    second = taken(broker, snapshot(of_type(unique.type())))["id"]
    for known, level in ((first, 1), (second, 2)):
        shown = broker.get(f"/entities/{one['id']}", {"format": "simplified"}, snapshot=known).expect(200).json
        assert shown["level"] == level


@clause("5.5.15", 1, 2)
def test_types_and_attributes_are_those_of_the_snapshot(broker: BrokerClient, unique: Unique) -> None:
    one, known = one_entity(broker, unique)
    broker.patch(f"/entities/{one['id']}", {unique.name("later"): prop(1)}).expect(204)
    assert broker.get("/types", snapshot=known).expect(200).json["typeList"] == [unique.type()]
    assert broker.get(f"/types/{unique.type()}", snapshot=known).expect(200).json["entityCount"] == 1
    assert sorted(broker.get("/attributes", snapshot=known).expect(200).json["attributeList"]) == ["level", "name"]
    assert broker.get("/attributes/level", snapshot=known).expect(200).json["attributeCount"] == 1
    broker.get(f"/attributes/{unique.name('later')}", snapshot=known).expect_problem("ResourceNotFound")


@clause("5.5.15", 1, 2)
def test_a_snapshot_has_evolutions_of_its_own(broker: BrokerClient, unique: Unique) -> None:
    one, known = one_entity(broker, unique)
    levels = [prop(second, observedAt=f"2026-01-01T00:00:0{second}Z") for second in range(2)]
    new = entity(unique.id(), unique.type(), level=levels)
    broker.post("/temporal/entities", new, snapshot=known).expect(201)
    broker.post(f"/temporal/entities/{new['id']}/attrs", {"name": [prop("a")]}, snapshot=known).expect(204)
    found = broker.get("/temporal/entities", {"type": unique.type(), **ALWAYS}, snapshot=known).expect(200).json
    assert new["id"] in [each["id"] for each in found]
    broker.get(f"/temporal/entities/{new['id']}").expect_problem("ResourceNotFound")
    broker.delete(f"/temporal/entities/{new['id']}", snapshot=known).expect(204)
    broker.get(f"/temporal/entities/{new['id']}", snapshot=known).expect_problem("ResourceNotFound")
    broker.get(f"/temporal/entities/{one['id']}").expect(200)


@clause("5.5.15", 2)
def test_pages_of_a_snapshot_stay_while_entities_change_outside(broker: BrokerClient, unique: Unique) -> None:
    entities = [entity(unique.id(), unique.type(), level=prop(number)) for number in range(5)]
    broker.post("/entityOperations/create", entities).expect(201)
    known = taken(broker, snapshot(of_type(unique.type())))["id"]
    first = broker.get("/entities", {"type": unique.type(), "limit": 3}, snapshot=known).expect(200)
    broker.post("/entityOperations/delete", [each["id"] for each in entities]).expect(204)
    following = first.link("next")
    assert following is not None
    second = broker.get(following, snapshot=known).expect(200)
    assert sorted(each["id"] for each in first.json + second.json) == sorted(each["id"] for each in entities)


# --- local, whatever is said


@clause("5.5.15", 3)
@clause("6.3.18")
@pytest.mark.parametrize("query", [{}, {"local": False}, {"local": True}])
def test_operations_on_a_snapshot_are_local(broker: BrokerClient, unique: Unique, query: dict[str, bool]) -> None:
    one, known = one_entity(broker, unique)
    broker.get("/entities", query, snapshot=known).expect(200).expect_json([one])
    broker.get(f"/entities/{one['id']}", query, snapshot=known).expect(200).expect_json(one)
    assert broker.get("/types", query, snapshot=known).expect(200).json["typeList"] == [unique.type()]
    broker.delete(f"/entities/{one['id']}", query, snapshot=known).expect(204)
    broker.get("/entities", query, snapshot=known).expect(200).expect_json([])


@clause("5.5.15", 3)
@clause("6.3.18")
def test_registrations_play_no_part_in_a_snapshot(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    one, known = one_entity(broker, unique)
    registration = {
        "type": "ContextSourceRegistration",
        "information": [{"entities": [{"type": unique.type()}]}],
        "endpoint": receiver.url,
    }
    broker.post("/csourceRegistrations", registration).expect(201)
    broker.get("/entities", {"type": unique.type()}, snapshot=known).expect(200).expect_json([one])
    broker.patch(f"/entities/{one['id']}", {"level": prop(2)}, snapshot=known).expect(204)
    receiver.expect_silence()


# --- the header


@clause("6.3.22", 1)
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/entities?type={type}", 200),
        ("GET", "/entities/{id}", 200),
        ("GET", "/entities/urn:ngsi-ld:Building:nowhere", 404),
        ("GET", "/entities/nowhere", 400),
        ("GET", "/entities?type={type}&q===", 400),
        ("GET", "/entities?type={type}&limit=-1", 400),
        ("DELETE", "/entities/{id}", 204),
        ("GET", "/types", 200),
        ("GET", "/subscriptions", 200),
        ("GET", "/temporal/entities/urn:ngsi-ld:Building:nowhere", 404),
    ],
)
def test_every_answer_names_the_snapshot(
    broker: BrokerClient, unique: Unique, method: str, path: str, status: int
) -> None:
    one, known = one_entity(broker, unique)
    answer = broker.request(method, filled(path, one), snapshot=known).expect(status)
    assert answer.headers.get_all("NGSILD-Snapshot") == [known]


@clause("6.3.22", 1)
def test_an_answer_names_no_snapshot_where_the_request_does_not(broker: BrokerClient, unique: Unique) -> None:
    one, _ = one_entity(broker, unique)
    assert "NGSILD-Snapshot" not in broker.get(f"/entities/{one['id']}").expect(200).headers


@clause("6.3.22", 1, 2)
def test_an_unknown_snapshot_is_not_found(broker: BrokerClient, unique: Unique) -> None:
    unknown, new = unique.id("Snapshot"), entity(unique.id(), unique.type(), level=prop(1))
    answer = broker.get("/entities", {"type": unique.type()}, snapshot=unknown)
    answer.expect_problem("ResourceNotFound")
    assert answer.header("NGSILD-Snapshot") == unknown
    broker.post("/entities", new, snapshot=unknown).expect_problem("ResourceNotFound")
    broker.get(f"/entities/{new['id']}").expect_problem("ResourceNotFound")


@clause("6.3.22", 2)
@pytest.mark.parametrize("header", ["nowhere", "", "urn:ngsi-ld:Snapshot:1, urn:ngsi-ld:Snapshot:2"])
def test_a_header_that_is_no_id_is_refused_and_nothing_done(broker: BrokerClient, unique: Unique, header: str) -> None:
    new = entity(unique.id(), unique.type(), level=prop(1))
    broker.post("/entities", new, snapshot=header).expect_problem("BadRequestData", "InvalidRequest")
    broker.get(f"/entities/{new['id']}").expect_problem("ResourceNotFound")


@clause("5.5.15", 4)
@clause("6.3.22", 1, 2)
def test_a_snapshot_is_reached_together_with_its_tenant(broker: BrokerClient, unique: Unique) -> None:
    tenant, one = unique.name("north"), entity(unique.id(), unique.type(), level=prop(1))
    broker.post("/entities", one, tenant=tenant).expect(201)
    known = taken(broker, snapshot(of_type(unique.type())), tenant)["id"]
    answer = broker.get(f"/entities/{one['id']}", tenant=tenant, snapshot=known).expect(200).expect_json(one)
    assert (answer.header("NGSILD-Tenant"), answer.header("NGSILD-Snapshot")) == (tenant, known)
    broker.get(f"/entities/{one['id']}", snapshot=known).expect_problem("ResourceNotFound")
    broker.get(f"/snapshots/{known}").expect_problem("ResourceNotFound")


@clause("5.5.15", 4)
@clause("5.16.1.4", 10)
def test_tenants_may_have_snapshots_with_one_id(broker: BrokerClient, unique: Unique) -> None:
    tenant, snapshot_id = unique.name("north"), unique.id("Snapshot")
    here, there = (entity(unique.id(), unique.type(), level=prop(number)) for number in range(2))
    broker.post("/entities", here).expect(201)
    broker.post("/entities", there, tenant=tenant).expect(201)
    taken(broker, snapshot(of_type(unique.type()), id=snapshot_id))
    taken(broker, snapshot(of_type(unique.type()), id=snapshot_id), tenant)
    query = {"type": unique.type()}
    broker.get("/entities", query, snapshot=snapshot_id).expect(200).expect_json([here])
    broker.get("/entities", query, snapshot=snapshot_id, tenant=tenant).expect(200).expect_json([there])


# --- subscriptions


@clause("5.5.15", 1, 2)
@clause("6.3.22", 3)
def test_a_subscription_of_a_snapshot_is_notified_of_the_snapshot(
    broker: BrokerClient, unique: Unique, receiver: Receiver
) -> None:
    one, known = one_entity(broker, unique)
    given = subscription(receiver.url, entities=[{"type": unique.type()}])
    location = broker.post("/subscriptions", given, snapshot=known).expect(201).header("Location")
    broker.patch(f"/entities/{one['id']}", {"level": prop(2)}).expect(204)
    broker.patch(f"/entities/{one['id']}", {"level": prop(3)}, snapshot=known).expect(204)
    notified = receiver.next()
    assert notified.headers["NGSILD-Snapshot"] == known
    assert [each["level"] for each in notified.json["data"]] == [prop(3)]
    receiver.expect_silence()
    broker.get(location).expect_problem("ResourceNotFound")
    broker.get(location, snapshot=known).expect(200)
    broker.delete(location, snapshot=known).expect(204)


@clause("5.5.15", 1)
def test_a_subscription_outside_is_not_notified_of_a_snapshot(
    broker: BrokerClient, unique: Unique, receiver: Receiver
) -> None:
    given = subscription(receiver.url, entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect(201)
    one, known = one_entity(broker, unique)
    receiver.next()  # of its creation outside
    receiver.expect_silence()
    broker.patch(f"/entities/{one['id']}", {"level": prop(2)}, snapshot=known).expect(204)
    receiver.expect_silence()
    broker.patch(f"/entities/{one['id']}", {"level": prop(3)}).expect(204)
    notified = receiver.next()
    assert "NGSILD-Snapshot" not in notified.headers
    assert notified.json["data"][0]["level"] == prop(3)


@clause("5.16.5.4", 3)
@clause("5.5.15", 1)
def test_subscriptions_end_with_the_snapshot(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    one, known = one_entity(broker, unique)
    given = subscription(receiver.url, entities=[{"type": unique.type()}])
    location = broker.post("/subscriptions", given, snapshot=known).expect(201).header("Location")
    broker.delete(f"/snapshots/{known}").expect(204)
    taken(broker, snapshot(of_type(unique.type()), id=known))
    broker.get(location, snapshot=known).expect_problem("ResourceNotFound")
    broker.patch(f"/entities/{one['id']}", {"level": prop(2)}, snapshot=known).expect(204)
    receiver.expect_silence()


# --- use


@clause("4.8", 4)
@clause("5.2.41", 7)
@pytest.mark.parametrize(
    ("method", "path", "document"),
    [
        ("GET", "/entities?type={type}", None),
        ("GET", "/entities/{id}", None),
        ("PATCH", "/entities/{id}", {"level": prop(2)}),
        ("DELETE", "/entities/{id}", None),
        ("GET", "/types", None),
        ("GET", "/temporal/entities?type={type}&timerel=before&timeAt=2100-01-01T00:00:00Z", None),
    ],
)
def test_last_used_is_the_time_of_the_last_operation(
    broker: BrokerClient, unique: Unique, method: str, path: str, document: Any
) -> None:
    one, known = one_entity(broker, unique)
    before = broker.get(f"/snapshots/{known}").expect(200).json
    broker.request(method, filled(path, one), document, snapshot=known).expect(200, 204)
    after = broker.get(f"/snapshots/{known}").expect(200).json
    assert instant(after["lastUsedAt"]) > instant(before["lastUsedAt"]) >= instant(before["createdAt"])
    assert after["modifiedAt"] == before["modifiedAt"]


@clause("4.8", 4)
def test_looking_at_a_snapshots_status_is_no_use_of_it(broker: BrokerClient, unique: Unique) -> None:
    known = taken(broker, snapshot(of_type(unique.type())))
    assert broker.get(f"/snapshots/{known['id']}").expect(200).json["lastUsedAt"] == known["lastUsedAt"]
    assert known["lastUsedAt"] == known["createdAt"]
