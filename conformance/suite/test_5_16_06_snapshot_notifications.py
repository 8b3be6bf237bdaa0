"""5.16.6 Snapshot status notification behaviour and 5.3.4: what the endpoint of a snapshot is told, and when."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.mqtt import MqttListener
from conformance.samples import Unique, entity, instant, prop
from conformance.servers import Receiver, Reply
from conformance.snapshots import ALWAYS, of_type, ready, snapshot, taken


@clause("5.16.6", 3, 5)
@clause("5.3.4", 1, 2, 3)
def test_the_endpoint_is_told_when_a_snapshot_is_ready(
    broker: BrokerClient, unique: Unique, receiver: Receiver
) -> None:
    broker.post("/entities", entity(unique.id(), unique.type(), level=prop(1))).expect(201)
    empty = of_type(unique.type("Empty"), temporalQ=ALWAYS)
    members = {"endpoint": receiver.url, "snapshotPriority": 7, "snapshotTemporalQueries": [empty]}
    shown = taken(broker, snapshot(of_type(unique.type()), **members))
    told = receiver.next_json()
    assert told["type"] == "SnapshotNotification"
    assert ":" in told["id"]
    assert told["snapshotId"] == shown["id"]
    assert told["snapshotStatus"] == shown["snapshotStatus"] == "partial"
    assert told["snapshotPriority"] == 7
    assert [each["resultStatus"] for each in told["snapshotQueriesDetails"]] == ["success"]
    assert [each["resultStatus"] for each in told["temporalSnapshotQueriesDetails"]] == ["empty"]
    assert instant(told["expiresAt"]) == instant(shown["expiresAt"])
    assert instant(shown["createdAt"]) <= instant(told["notifiedAt"]) < instant(told["expiresAt"])


@clause("5.16.6", 3)
@clause("5.3.4", 5)
@pytest.mark.parametrize(
    ("kinds", "status"), [("F", "success"), ("FE", "partial"), ("FX", "partial"), ("E", "empty"), ("X", "failure")]
)
def test_the_status_is_told(broker: BrokerClient, unique: Unique, receiver: Receiver, kinds: str, status: str) -> None:
    broker.post("/entities", entity(unique.id(), unique.type(), level=prop(1))).expect(201)
    queries = {"F": of_type(unique.type()), "E": of_type(unique.type("Empty")), "X": {"type": "Query"}}
    shown = taken(broker, snapshot(*(queries[kind] for kind in kinds), endpoint=receiver.url))
    told = receiver.next_json()
    assert told["snapshotStatus"] == status
    assert told["snapshotQueriesDetails"] == shown["snapshotQueriesDetails"]
    assert "temporalSnapshotQueriesDetails" not in told


@clause("5.16.6", 3)
@clause("5.16.1.4", 10)
def test_when_the_endpoint_is_told_the_content_is_there(
    broker: BrokerClient, unique: Unique, receiver: Receiver
) -> None:
    broker.post("/entities", entity(unique.id(), unique.type(), level=prop(1))).expect(201)
    broker.post("/snapshots", snapshot(of_type(unique.type()), endpoint=receiver.url)).expect(201)
    told = receiver.next_json()
    found = broker.get("/entities", {"type": unique.type()}, snapshot=told["snapshotId"]).expect(200).json
    assert [each["level"] for each in found] == [prop(1)]


@clause("5.16.6", 4, 5)
@clause("5.3.4", 1, 2)
def test_the_endpoint_is_told_of_updates(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    shown = taken(broker, snapshot(of_type(unique.type()), endpoint=receiver.url, snapshotLifetime="PT1H"))
    first = receiver.next_json()
    fragment = {"snapshotLifetime": "PT3H", "snapshotPriority": 9}
    updated = broker.patch(f"/snapshots/{shown['id']}", fragment).expect(200).json
    second = receiver.next_json()
    assert second["id"] != first["id"]
    assert (second["type"], second["snapshotId"]) == ("SnapshotNotification", shown["id"])
    assert (second["snapshotStatus"], second["snapshotPriority"]) == ("empty", 9)
    assert instant(second["expiresAt"]) == instant(updated["expiresAt"])
    assert instant(second["expiresAt"]) - instant(first["expiresAt"]) > timedelta(minutes=119)


@clause("5.16.6", 1, 4)
def test_a_new_endpoint_is_told_instead_of_the_former_one(
    broker: BrokerClient, unique: Unique, new_receiver: Callable[[], Receiver]
) -> None:
    former, new = new_receiver(), new_receiver()
    shown = taken(broker, snapshot(of_type(unique.type()), endpoint=former.url))
    former.next()
    broker.patch(f"/snapshots/{shown['id']}", {"endpoint": new.url}).expect(200)
    assert new.next_json()["snapshotId"] == shown["id"]
    former.expect_silence()


@clause("5.16.6", 1)
def test_a_removed_endpoint_is_told_nothing_more(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    shown = taken(broker, snapshot(of_type(unique.type()), endpoint=receiver.url))
    receiver.next()
    broker.patch(f"/snapshots/{shown['id']}", {"endpoint": "urn:ngsi-ld:null"}).expect(200)
    broker.patch(f"/snapshots/{shown['id']}", {"snapshotPriority": 1}).expect(200)
    receiver.expect_silence()


@clause("5.16.6", 4)
def test_an_update_that_is_refused_is_not_told(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    shown = taken(broker, snapshot(of_type(unique.type()), endpoint=receiver.url))
    receiver.next()
    broker.patch(f"/snapshots/{shown['id']}", {"snapshotPriority": 99}).expect_problem("BadRequestData")
    broker.get(f"/snapshots/{shown['id']}").expect(200)
    broker.get("/entities", {"type": unique.type()}, snapshot=shown["id"]).expect(200)
    receiver.expect_silence()


@clause("5.3.4", 1, 6)
@clause("5.16.6", 5)
def test_the_endpoint_is_told_of_the_end(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    shown = taken(broker, snapshot(of_type(unique.type()), endpoint=receiver.url))
    receiver.next()
    broker.delete(f"/snapshots/{shown['id']}").expect(204)
    told = receiver.next_json()
    assert (told["type"], told["snapshotId"]) == ("SnapshotNotification", shown["id"])
    assert told["snapshotStatus"] in ("success", "partial", "failure", "empty")
    assert instant(told["expiresAt"]) < instant(told["notifiedAt"])


@clause("5.16.6", 2)
@clause("5.2.41", 6)
@pytest.mark.parametrize(
    "pairs",
    [
        {"Authorization": "Bearer 7"},
        {"X-One": "1", "X-Two": "a, b; c"},
    ],
)
def test_receiver_info_becomes_headers(
    broker: BrokerClient, unique: Unique, receiver: Receiver, pairs: dict[str, str]
) -> None:
    info = [{"key": key, "value": value} for key, value in pairs.items()]
    taken(broker, snapshot(of_type(unique.type()), endpoint=receiver.url, receiverInfo=info))
    told = receiver.next()
    assert told.method == "POST"
    assert {key: told.headers[key] for key in pairs} == pairs


@clause("5.16.6", 3, 5)
@clause("5.16.2.4", 7)
def test_the_endpoint_of_a_clone_is_told(
    broker: BrokerClient, unique: Unique, new_receiver: Callable[[], Receiver]
) -> None:
    of_original, of_clone = new_receiver(), new_receiver()
    shown = taken(broker, snapshot(of_type(unique.type()), endpoint=of_original.url))
    of_original.next()
    document = snapshot(endpoint=of_clone.url)
    clone = ready(broker, broker.post(f"/snapshots/{shown['id']}/clone", document).expect(201).header("Location"))
    told = of_clone.next_json()
    assert (told["snapshotId"], told["snapshotStatus"]) == (clone["id"], "success")
    of_original.expect_silence()


@clause("5.16.6", 1)
@pytest.mark.parametrize("members", [{}, {"receiverInfo": [{"key": "X-Key", "value": "1"}]}])
def test_without_an_endpoint_nobody_is_told(
    broker: BrokerClient, unique: Unique, receiver: Receiver, members: dict[str, Any]
) -> None:
    other = taken(broker, snapshot(of_type(unique.type()), endpoint=receiver.url))
    receiver.next()
    shown = taken(broker, snapshot(of_type(unique.type()), **members))
    broker.patch(f"/snapshots/{shown['id']}", {"snapshotPriority": 1}).expect(200)
    broker.delete(f"/snapshots/{shown['id']}").expect(204)
    receiver.expect_silence()
    assert broker.get(f"/snapshots/{other['id']}").expect(200).json["snapshotStatus"] == "empty"


@clause("5.16.6", 3)
@clause("5.16.1.4", 6)
@pytest.mark.parametrize("reply", [Reply(500), Reply(404), Reply(200, delay=1.0)])
def test_an_endpoint_that_fails_does_not_harm_the_snapshot(
    broker: BrokerClient, unique: Unique, receiver: Receiver, reply: Reply
) -> None:
    receiver.answer_next(reply)
    broker.post("/entities", entity(unique.id(), unique.type(), level=prop(1))).expect(201)
    shown = taken(broker, snapshot(of_type(unique.type()), endpoint=receiver.url))
    assert shown["snapshotStatus"] == "success"
    receiver.next()
    found = broker.get("/entities", {"type": unique.type()}, snapshot=shown["id"]).expect(200).json
    assert len(found) == 1


@clause("5.16.6", 2, 3)
@clause("5.3.4", 3)
def test_an_mqtt_endpoint_is_told(broker: BrokerClient, unique: Unique, mqtt: MqttListener) -> None:
    info = [{"key": "X-Key", "value": "1"}]
    shown = taken(broker, snapshot(of_type(unique.type()), endpoint=mqtt.endpoint, receiverInfo=info))
    message = mqtt.next_json()
    assert (message["body"]["type"], message["body"]["snapshotId"]) == ("SnapshotNotification", shown["id"])
    assert message["metadata"]["X-Key"] == "1"
