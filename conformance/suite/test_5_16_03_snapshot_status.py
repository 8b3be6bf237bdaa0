"""5.16.3 Retrieve, 5.16.4 Update Snapshot Status, 5.16.5 Delete Snapshot, and 6.37: one snapshot, by its id."""

from datetime import timedelta
from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import DEFAULT_CONTEXT, Unique, entity, instant, prop
from conformance.servers import Receiver
from conformance.snapshots import ALWAYS, of_type, snapshot, taken

NULL = "urn:ngsi-ld:null"


# --- 5.16.3


@clause("5.16.3.4", 3)
@clause("6.37.3.1", 1)
@pytest.mark.parametrize("accept", ["application/json", "application/ld+json"])
def test_a_snapshot_is_answered_as_json_or_json_ld(broker: BrokerClient, unique: Unique, accept: str) -> None:
    known = taken(broker, snapshot(of_type(unique.type())))
    answer = broker.get(f"/snapshots/{known['id']}", accept=accept).expect(200)
    assert answer.media_type == accept
    assert ("@context" in answer.json) == (accept == "application/ld+json")
    assert {member: value for member, value in answer.json.items() if member != "@context"} == known


@clause("5.16.3.4", 1)
@clause("5.16.4.4", 1)
@clause("5.16.5.4", 1)
@clause("6.37.3.1", 1)
@clause("6.37.3.2", 1)
@clause("6.37.3.3", 1)
@pytest.mark.parametrize("path", ["nowhere", "%20", "urn:ngsi-ld:Snapshot:a%20b", "urn:ngsi-ld:Snapshot:%22", "%2F"])
def test_an_id_that_is_no_uri_is_refused(broker: BrokerClient, path: str) -> None:
    broker.get(f"/snapshots/{path}").expect_problem("BadRequestData")
    broker.patch(f"/snapshots/{path}", {"snapshotPriority": 1}).expect_problem("BadRequestData")
    broker.delete(f"/snapshots/{path}").expect_problem("BadRequestData")


@clause("5.16.3.4", 2)
@clause("5.16.4.4", 2)
@clause("5.16.5.4", 2)
@clause("6.37.3.1", 1)
@clause("6.37.3.2", 1)
@clause("6.37.3.3", 1)
def test_what_does_not_exist_is_not_found(broker: BrokerClient, unique: Unique) -> None:
    path = f"/snapshots/{unique.id('Snapshot')}"
    broker.get(path).expect_problem("ResourceNotFound")
    broker.patch(path, {"snapshotPriority": 1}).expect_problem("ResourceNotFound")
    broker.delete(path).expect_problem("ResourceNotFound")
    broker.get(path).expect_problem("ResourceNotFound")


# --- 5.16.4


@clause("5.16.4.4", 5)
@clause("6.37.3.2", 1)
@pytest.mark.parametrize(
    "fragment",
    [
        {"snapshotPriority": 1},
        {"snapshotPriority": 10},
        {"snapshotLifetime": "PT3H"},
        {"receiverInfo": [{"key": "X-Key", "value": "2"}]},
        {"receiverInfo": []},
        {"type": "Snapshot", "snapshotPriority": 4},
        {"snapshotPriority": 4, "snapshotLifetime": "PT5H"},
    ],
)
def test_an_update_replaces_what_it_names(broker: BrokerClient, unique: Unique, fragment: dict[str, Any]) -> None:
    members = {"snapshotLifetime": "PT2H", "receiverInfo": [{"key": "X-Key", "value": "1"}]}
    before = taken(broker, snapshot(of_type(unique.type()), **members))
    path = f"/snapshots/{before['id']}"
    after = broker.patch(path, fragment).expect(200).json
    assert instant(after["modifiedAt"]) > instant(before["modifiedAt"])
    changing = {"modifiedAt", "expiresAt"}
    kept = {member: value for member, value in after.items() if member not in changing}
    assert kept == {member: value for member, value in {**before, **fragment}.items() if member not in changing}
    broker.get(path).expect(200).expect_json(after)


@clause("5.16.4.4", 7)
@clause("5.2.41", 5)
@pytest.mark.parametrize("hours", [1, 4])
def test_a_new_lifetime_counts_from_the_update(broker: BrokerClient, unique: Unique, hours: int) -> None:
    before = taken(broker, snapshot(of_type(unique.type()), snapshotLifetime="PT2H"))
    after = broker.patch(f"/snapshots/{before['id']}", {"snapshotLifetime": f"PT{hours}H"}).expect(200).json
    lasts = instant(after["expiresAt"]) - instant(after["modifiedAt"])
    assert timedelta(hours=hours, minutes=-1) <= lasts <= timedelta(hours=hours, seconds=5)


@clause("5.16.4.4", 5)
def test_without_a_new_lifetime_it_expires_when_it_did(broker: BrokerClient, unique: Unique) -> None:
    before = taken(broker, snapshot(of_type(unique.type()), snapshotLifetime="PT2H"))
    after = broker.patch(f"/snapshots/{before['id']}", {"snapshotPriority": 2}).expect(200).json
    assert after["expiresAt"] == before["expiresAt"]


@clause("5.16.4.4", 5)
@pytest.mark.parametrize("member", ["endpoint", "receiverInfo"])
def test_an_ngsi_ld_null_removes_a_member(
    broker: BrokerClient, unique: Unique, receiver: Receiver, member: str
) -> None:
    members = {"endpoint": receiver.url, "receiverInfo": [{"key": "X-Key", "value": "1"}]}
    known = taken(broker, snapshot(of_type(unique.type()), **members))
    after = broker.patch(f"/snapshots/{known['id']}", {member: NULL}).expect(200).json
    assert {name: after.get(name) for name in members} == {**members, member: None}


@clause("5.16.4.4", 3)
@clause("5.2.41", 1, 4)
@clause("6.37.3.2", 1)
@pytest.mark.parametrize(
    "fragment",
    [
        {"snapshotQueries": [of_type("Building")]},
        {"snapshotQueries": []},
        {"snapshotQueries": NULL},
        {"snapshotTemporalQueries": [of_type("Building", temporalQ=ALWAYS)]},
        {"snapshotPriority": 2, "snapshotQueries": [of_type("Building")]},
        {"id": "urn:ngsi-ld:Snapshot:another"},
        {"id": "nowhere"},
        {"type": "Subscription"},
        {"type": NULL},
        {"snapshotPriority": 0},
        {"snapshotPriority": 11},
        {"snapshotPriority": 1.5},
        {"snapshotPriority": "high"},
        {"snapshotLifetime": "for ever"},
        {"snapshotLifetime": 60},
        {"snapshotPriority": 2, "snapshotLifetime": "P"},
        {"endpoint": "nowhere"},
        {"endpoint": 7},
        {"receiverInfo": {}},
        {"receiverInfo": ["key"]},
        {"receiverInfo": [{"value": "1"}]},
    ],
)
def test_an_update_that_is_refused_changes_nothing(
    broker: BrokerClient, unique: Unique, fragment: dict[str, Any]
) -> None:
    before = taken(broker, snapshot(of_type(unique.type())))
    broker.patch(f"/snapshots/{before['id']}", fragment).expect_problem("BadRequestData")
    broker.get(f"/snapshots/{before['id']}").expect(200).expect_json(before)


@clause("5.16.4.4", 6)
@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "application/json"),
        (b"{", "application/json"),
        (b"[]", "application/json"),
        (b'{"snapshotPriority": 2}', "application/ld+json"),
        (b'{"@context": 7, "snapshotPriority": 2}', "application/ld+json"),
    ],
)
def test_a_fragment_that_is_no_json_ld_is_refused(
    broker: BrokerClient, unique: Unique, body: bytes, content_type: str
) -> None:
    before = taken(broker, snapshot(of_type(unique.type())))
    answer = broker.patch(f"/snapshots/{before['id']}", body, content_type=content_type)
    answer.expect_problem("InvalidRequest", "BadRequestData")
    broker.get(f"/snapshots/{before['id']}").expect(200).expect_json(before)


@clause("5.2.41", 8)
@clause("5.16.4.4", 5)
def test_an_update_leaves_output_only_members_as_they_are(broker: BrokerClient, unique: Unique) -> None:
    before = taken(broker, snapshot(of_type(unique.type())))
    given = {
        "snapshotPriority": 2,
        "snapshotStatus": "failure",
        "snapshotQueriesDetails": [],
        **dict.fromkeys(("createdAt", "modifiedAt", "expiresAt", "lastUsedAt"), "2001-01-01T00:00:00Z"),
    }
    after = broker.patch(f"/snapshots/{before['id']}", given).expect(200).json
    assert after["snapshotPriority"] == 2
    for member in ("snapshotStatus", "snapshotQueriesDetails", "createdAt", "expiresAt"):
        assert after[member] == before[member]
    assert instant(after["modifiedAt"]) > instant(before["modifiedAt"])


@clause("5.16.4.4", 4)
@clause("5.16.3.4", 3)
def test_names_are_shown_in_the_context_of_the_request(broker: BrokerClient, unique: Unique) -> None:
    name = unique.name("pegel")
    terms = {name: f"https://example.org/{name}"}
    core = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.8.jsonld"
    known = taken(broker, {**snapshot(of_type(unique.type(), attrs=[name])), "@context": [terms, core]})
    path = f"/snapshots/{known['id']}"
    assert broker.get(path).expect(200).json["snapshotQueries"][0]["attrs"] == [terms[name]]
    after = broker.patch(path, {"snapshotPriority": 2, "@context": [terms, core]}).expect(200).json
    assert after["snapshotQueries"][0]["attrs"] == [name]
    assert not after["snapshotQueries"][0]["entities"][0]["type"].startswith(DEFAULT_CONTEXT)


# --- 5.16.5


@clause("5.16.5.4", 3)
@clause("5.16.3.4", 2)
@clause("6.37.3.3", 1)
def test_a_deleted_snapshot_is_gone_with_all_that_is_in_it(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=prop(1))
    broker.post("/entities", one).expect(201)
    known = taken(broker, snapshot(of_type(unique.type())))
    assert broker.delete(f"/snapshots/{known['id']}").expect(204).body == b""
    broker.get(f"/snapshots/{known['id']}").expect_problem("ResourceNotFound")
    broker.get(f"/entities/{one['id']}", snapshot=known["id"]).expect_problem("ResourceNotFound")
    broker.post("/entities", one, snapshot=known["id"]).expect_problem("ResourceNotFound")
    broker.delete(f"/snapshots/{known['id']}").expect_problem("ResourceNotFound")
    broker.get(f"/entities/{one['id']}").expect(200).expect_json(one)


@clause("5.16.5.4", 3)
def test_one_with_the_id_of_a_deleted_snapshot_has_nothing_of_it(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=prop(1))
    broker.post("/entities", one).expect(201)
    document = snapshot(of_type(unique.type("Empty")), id=unique.id("Snapshot"))
    taken(broker, snapshot(of_type(unique.type()), id=document["id"]))
    broker.delete(f"/snapshots/{document['id']}").expect(204)
    assert taken(broker, document)["snapshotStatus"] == "empty"
    broker.get("/entities", {"type": unique.type()}, snapshot=document["id"]).expect(200).expect_json([])
    broker.get(f"/entities/{one['id']}", snapshot=document["id"]).expect_problem("ResourceNotFound")


@clause("5.16.5.4", 3)
def test_a_snapshot_may_be_deleted_while_it_is_prepared(broker: BrokerClient, unique: Unique) -> None:
    entities = [entity(unique.id(), unique.type(), level=prop(number)) for number in range(400)]
    broker.post("/entityOperations/create", entities).expect(201)
    location = broker.post("/snapshots", snapshot(of_type(unique.type()))).expect(201).header("Location")
    broker.delete(location).expect(204)
    broker.get(location).expect_problem("ResourceNotFound")


@clause("5.16.5.4", 3)
def test_deleting_a_snapshot_leaves_the_others(broker: BrokerClient, unique: Unique) -> None:
    first, second = (taken(broker, snapshot(of_type(unique.type()))) for _ in range(2))
    broker.delete(f"/snapshots/{first['id']}").expect(204)
    broker.get(f"/snapshots/{second['id']}").expect(200).expect_json(second)
