"""5.16.2 Clone Snapshot and 6.38.3.1: a copy of a snapshot under another id."""

from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, instant, prop
from conformance.snapshots import ALWAYS, of_type, ready, snapshot, taken


@clause("5.16.2.4", 4, 7)
@clause("6.38.3.1", 1, 2)
def test_a_clone_has_the_entities_of_the_snapshot(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=prop(1), scope="/Tokyo")
    broker.post("/entities", one).expect(201)
    original = taken(broker, snapshot(of_type(unique.type())))
    answer = broker.post(f"/snapshots/{original['id']}/clone", snapshot()).expect(201)
    assert answer.header("Location").startswith("/ngsi-ld/v1/snapshots/")
    clone = ready(broker, answer.header("Location"))
    assert clone["id"] == unquote(answer.header("Location").rpartition("/")[2]) != original["id"]
    assert (clone["type"], clone["snapshotStatus"]) == ("Snapshot", "success")
    broker.get("/entities", {"type": unique.type()}, snapshot=clone["id"]).expect(200).expect_json([one])


@clause("5.16.2.4", 7)
def test_a_clone_has_the_evolutions_of_the_snapshot(broker: BrokerClient, unique: Unique) -> None:
    levels = [prop(second, observedAt=f"2026-01-01T00:00:0{second}Z") for second in range(3)]
    one = entity(unique.id(), unique.type(), level=levels)
    broker.post("/temporal/entities", one).expect(201)
    original = taken(broker, snapshot(snapshotTemporalQueries=[of_type(unique.type(), temporalQ=ALWAYS)]))
    location = broker.post(f"/snapshots/{original['id']}/clone", snapshot()).expect(201).header("Location")
    clone = ready(broker, location)
    found = broker.get(f"/temporal/entities/{one['id']}", snapshot=clone["id"]).expect(200).json["level"]
    assert sorted(each["value"] for each in found) == [0, 1, 2]


@clause("5.16.2.4", 7, 8)
@clause("4.3.7", 2)
def test_a_clone_has_what_was_done_on_the_snapshot_before_and_not_after(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=prop(1))
    broker.post("/entities", one).expect(201)
    original = taken(broker, snapshot(of_type(unique.type())))
    broker.patch(f"/entities/{one['id']}", {"level": prop(2)}, snapshot=original["id"]).expect(204)
    location = broker.post(f"/snapshots/{original['id']}/clone", snapshot()).expect(201).header("Location")
    clone = ready(broker, location)
    broker.patch(f"/entities/{one['id']}", {"level": prop(3)}, snapshot=original["id"]).expect(204)
    assert broker.get(f"/entities/{one['id']}", snapshot=clone["id"]).expect(200).json["level"] == prop(2)
    broker.delete(f"/entities/{one['id']}", snapshot=clone["id"]).expect(204)
    assert broker.get(f"/entities/{one['id']}", snapshot=original["id"]).expect(200).json["level"] == prop(3)
    assert broker.get(f"/entities/{one['id']}").expect(200).json["level"] == prop(1)


@clause("5.16.2.4", 8)
@clause("5.16.5.4", 3)
def test_a_clone_outlives_the_original(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=prop(1))
    broker.post("/entities", one).expect(201)
    original = taken(broker, snapshot(of_type(unique.type())))
    location = broker.post(f"/snapshots/{original['id']}/clone", snapshot()).expect(201).header("Location")
    clone = ready(broker, location)
    broker.delete(f"/snapshots/{original['id']}").expect(204)
    broker.get(f"/entities/{one['id']}", snapshot=clone["id"]).expect(200).expect_json(one)
    again = ready(broker, broker.post(location + "/clone", snapshot()).expect(201).header("Location"))
    broker.get(f"/entities/{one['id']}", snapshot=again["id"]).expect(200).expect_json(one)


@clause("5.16.2.4", 5, 6)
@clause("5.2.41", 1, 5)
def test_a_clone_has_times_and_members_of_its_own(broker: BrokerClient, unique: Unique) -> None:
    original = taken(broker, snapshot(of_type(unique.type()), snapshotLifetime="PT2H", snapshotPriority=3))
    members = {"id": unique.id("Snapshot"), "snapshotLifetime": "PT1H", "snapshotPriority": 8}
    location = broker.post(f"/snapshots/{original['id']}/clone", snapshot(**members)).expect(201).header("Location")
    clone = ready(broker, location)
    assert {member: clone[member] for member in members} == members
    assert instant(clone["createdAt"]) > instant(original["createdAt"])
    assert instant(clone["modifiedAt"]) >= instant(clone["createdAt"])
    lasts = instant(clone["expiresAt"]) - instant(clone["createdAt"])
    assert timedelta(minutes=59) <= lasts <= timedelta(hours=1, seconds=5)


@clause("5.16.2.4", 4)
def test_generated_ids_of_clones_differ(broker: BrokerClient, unique: Unique) -> None:
    original = taken(broker, snapshot(of_type(unique.type())))
    path = f"/snapshots/{original['id']}/clone"
    first, second = (broker.post(path, snapshot()).expect(201).header("Location") for _ in range(2))
    assert first != second


@clause("5.16.2.4", 2)
@clause("6.38.3.1", 1)
def test_what_does_not_exist_cannot_be_cloned(broker: BrokerClient, unique: Unique) -> None:
    clone = snapshot(id=unique.id("Snapshot"))
    broker.post(f"/snapshots/{unique.id('Snapshot')}/clone", clone).expect_problem("ResourceNotFound")
    broker.get(f"/snapshots/{clone['id']}").expect_problem("ResourceNotFound")


@clause("5.16.2.4", 3)
@clause("6.38.3.1", 1)
def test_a_clone_takes_no_id_of_another(broker: BrokerClient, unique: Unique) -> None:
    original = taken(broker, snapshot(of_type(unique.type())))
    other = taken(broker, snapshot(of_type(unique.type()), snapshotPriority=2))
    path = f"/snapshots/{original['id']}/clone"
    broker.post(path, snapshot(id=other["id"])).expect_problem("AlreadyExists")
    broker.post(path, snapshot(id=original["id"])).expect_problem("AlreadyExists")
    assert broker.get(f"/snapshots/{other['id']}").expect(200).json["snapshotPriority"] == 2


@clause("5.16.2.4", 1)
@clause("5.2.41", 1, 2, 4)
@clause("6.38.3.1", 1)
@pytest.mark.parametrize(
    "document",
    [
        {},
        {"type": "Clone"},
        {"type": "Snapshot", "snapshotQueries": [of_type("Building")]},
        {"type": "Snapshot", "snapshotTemporalQueries": [of_type("Building", temporalQ=ALWAYS)]},
        {"type": "Snapshot", "id": "nowhere"},
        {"type": "Snapshot", "snapshotPriority": 11},
        {"type": "Snapshot", "snapshotLifetime": "long"},
        {"type": "Snapshot", "endpoint": "nowhere"},
        {"type": "Snapshot", "receiverInfo": "key=value"},
    ],
)
def test_what_is_no_clone_is_refused(broker: BrokerClient, unique: Unique, document: Any) -> None:
    original = taken(broker, snapshot(of_type(unique.type())))
    broker.post(f"/snapshots/{original['id']}/clone", document).expect_problem("BadRequestData")


@clause("5.2.41", 8)
def test_output_only_members_of_a_clone_are_ignored(broker: BrokerClient, unique: Unique) -> None:
    original = taken(broker, snapshot(of_type(unique.type())))
    given = {"snapshotStatus": "failure", **dict.fromkeys(("createdAt", "expiresAt"), "2001-01-01T00:00:00Z")}
    location = broker.post(f"/snapshots/{original['id']}/clone", snapshot(**given)).expect(201).header("Location")
    clone = ready(broker, location)
    assert clone["snapshotStatus"] == "success"
    assert instant(clone["expiresAt"]) > instant(clone["createdAt"]) > instant(original["createdAt"])
