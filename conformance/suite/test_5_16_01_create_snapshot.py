"""5.16.1 Create Snapshot, 5.2.41 and 6.36.3.1: what makes a snapshot, and what does not."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, instant, prop
from conformance.servers import Receiver, eventually
from conformance.snapshots import ALWAYS, of_type, ready, snapshot, taken

QUERY = of_type("Building")
STATUSES = {"preparing", "success", "partial", "failure", "empty"}


@clause("5.16.1.4", 3, 11)
@clause("5.2.41", 1, 2, 7)
@clause("6.36.3.1", 1, 2)
@clause("6.37.3.1", 1)
def test_a_snapshot_gets_an_id_and_is_found_where_location_says(broker: BrokerClient, unique: Unique) -> None:
    query = of_type(unique.type())
    answer = broker.post("/snapshots", snapshot(query)).expect(201)
    assert answer.body == b""
    location = answer.header("Location")
    assert location.startswith("/ngsi-ld/v1/snapshots/")
    shown = ready(broker, location)
    assert shown["id"] == unquote(location.rpartition("/")[2])
    assert ":" in shown["id"]
    assert shown["type"] == "Snapshot"
    assert shown["snapshotQueries"] == [query]
    assert {"snapshotStatus", "createdAt", "modifiedAt", "expiresAt", "snapshotPriority"} <= shown.keys()


@clause("5.16.1.4", 3)
def test_generated_ids_differ(broker: BrokerClient, unique: Unique) -> None:
    first, second = (broker.post("/snapshots", snapshot(of_type(unique.type()))).expect(201) for _ in range(2))
    assert first.header("Location") != second.header("Location")


@clause("5.2.41", 1)
@clause("6.36.3.1", 2)
@clause("6.37.3.1", 1)
@clause("6.37.3.3", 1)
@pytest.mark.parametrize("tail", ["plain", "a/b", "a?b=c", "a#b", "a%2Fb", "a+b", "a;b,c", "(a)", "~a@b", "a'b", "港"])
def test_an_id_may_have_all_characters_of_uris(broker: BrokerClient, unique: Unique, tail: str) -> None:
    snapshot_id = f"{unique.id('Snapshot')}:{tail}"
    location = (
        broker.post("/snapshots", snapshot(of_type(unique.type()), id=snapshot_id)).expect(201).header("Location")
    )
    assert ready(broker, location)["id"] == snapshot_id
    broker.get("/entities", {"type": unique.type()}, snapshot=snapshot_id).expect(200).expect_json([])
    broker.delete(location).expect(204)
    broker.get(location).expect_problem("ResourceNotFound")


@clause("5.2.41", 9, 10)
@clause("5.16.1.4", 6)
def test_a_new_snapshot_is_preparing_until_it_is_ready(broker: BrokerClient, unique: Unique) -> None:
    location = broker.post("/snapshots", snapshot(of_type(unique.type()))).expect(201).header("Location")
    seen = {broker.get(location).expect(200).json["snapshotStatus"], ready(broker, location)["snapshotStatus"]}
    assert seen <= {"preparing", "empty"}
    assert "empty" in seen


@clause("5.16.1.4", 1)
@clause("5.2.41", 1, 2, 3, 11)
@clause("6.36.3.1", 1)
@pytest.mark.parametrize(
    "document",
    [
        {"type": "Snapshot"},
        {"snapshotQueries": [QUERY]},
        {"type": "snapshot", "snapshotQueries": [QUERY]},
        {"type": "Subscription", "snapshotQueries": [QUERY]},
        {"type": ["Snapshot", "Other"], "snapshotQueries": [QUERY]},
        {"type": 7, "snapshotQueries": [QUERY]},
        {"type": "Snapshot", "snapshotQueries": []},
        {"type": "Snapshot", "snapshotQueries": QUERY},
        {"type": "Snapshot", "snapshotQueries": "Building"},
        {"type": "Snapshot", "snapshotQueries": [7]},
        {"type": "Snapshot", "snapshotQueries": [QUERY, None]},
        {"type": "Snapshot", "snapshotQueries": [{**QUERY, "type": "Question"}]},
        {"type": "Snapshot", "snapshotQueries": [{**QUERY, "q": "level=="}]},
        {"type": "Snapshot", "snapshotQueries": [{**QUERY, "entities": "Building"}]},
        {"type": "Snapshot", "snapshotQueries": [{**QUERY, "geoQ": {"georel": "within"}}]},
        {"type": "Snapshot", "snapshotQueries": [{**QUERY, "temporalQ": ALWAYS}]},
        {"type": "Snapshot", "snapshotTemporalQueries": [QUERY]},
        {"type": "Snapshot", "snapshotTemporalQueries": [{**QUERY, "temporalQ": {"timerel": "sometime"}}]},
        {"type": "Snapshot", "snapshotTemporalQueries": []},
        {"type": "Snapshot", "snapshotQueries": [QUERY], "snapshotTemporalQueries": [QUERY]},
        {"id": "nowhere", "type": "Snapshot", "snapshotQueries": [QUERY]},
        {"id": "", "type": "Snapshot", "snapshotQueries": [QUERY]},
        {"id": 7, "type": "Snapshot", "snapshotQueries": [QUERY]},
        {"id": "urn:ngsi-ld:Snapshot:a b", "type": "Snapshot", "snapshotQueries": [QUERY]},
        {"type": "Snapshot", "snapshotQueries": [QUERY], "snapshotLifetime": "1 day"},
        {"type": "Snapshot", "snapshotQueries": [QUERY], "snapshotLifetime": "P"},
        {"type": "Snapshot", "snapshotQueries": [QUERY], "snapshotLifetime": "PT"},
        {"type": "Snapshot", "snapshotQueries": [QUERY], "snapshotLifetime": 3600},
        {"type": "Snapshot", "snapshotQueries": [QUERY], "snapshotPriority": 0},
        {"type": "Snapshot", "snapshotQueries": [QUERY], "snapshotPriority": 11},
        {"type": "Snapshot", "snapshotQueries": [QUERY], "snapshotPriority": -1},
        {"type": "Snapshot", "snapshotQueries": [QUERY], "snapshotPriority": 5.5},
        {"type": "Snapshot", "snapshotQueries": [QUERY], "snapshotPriority": "5"},
        {"type": "Snapshot", "snapshotQueries": [QUERY], "snapshotPriority": True},
        {"type": "Snapshot", "snapshotQueries": [QUERY], "endpoint": "nowhere"},
        {"type": "Snapshot", "snapshotQueries": [QUERY], "endpoint": {"uri": "http://127.0.0.1:9/"}},
        {"type": "Snapshot", "snapshotQueries": [QUERY], "receiverInfo": {"key": "a", "value": "b"}},
        {"type": "Snapshot", "snapshotQueries": [QUERY], "receiverInfo": [7]},
        {"type": "Snapshot", "snapshotQueries": [QUERY], "receiverInfo": [{"key": "a"}]},
    ],
)
def test_what_is_no_snapshot_is_refused(broker: BrokerClient, document: Any) -> None:
    broker.post("/snapshots", document).expect_problem("BadRequestData")


@clause("5.16.1.4", 1)
@clause("6.36.3.1", 1)
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"null"])
def test_a_body_that_is_no_object_is_refused(broker: BrokerClient, body: bytes) -> None:
    broker.post("/snapshots", body, content_type="application/json").expect_problem("InvalidRequest", "BadRequestData")


@clause("5.16.1.4", 2)
@clause("6.36.3.1", 1)
def test_an_id_is_taken_once(broker: BrokerClient, unique: Unique) -> None:
    first = taken(broker, snapshot(of_type(unique.type()), id=unique.id("Snapshot"), snapshotPriority=2))
    again = snapshot(of_type(unique.type("Other")), id=first["id"], snapshotPriority=9)
    broker.post("/snapshots", again).expect_problem("AlreadyExists")
    kept = broker.get(f"/snapshots/{first['id']}").expect(200).json
    assert (kept["snapshotPriority"], kept["snapshotQueries"]) == (2, first["snapshotQueries"])


@clause("5.16.1.4", 2)
def test_of_several_at_once_with_one_id_one_is_created(broker: BrokerClient, unique: Unique) -> None:
    document = snapshot(of_type(unique.type()), id=unique.id("Snapshot"))
    clients = [broker.another() for _ in range(6)]
    with ThreadPoolExecutor(len(clients)) as pool:
        answers = list(pool.map(lambda client: client.post("/snapshots", document), clients))
    for client in clients:
        client.close()
    assert sorted(answer.status for answer in answers) == [201, 409, 409, 409, 409, 409]


@clause("5.16.1.4", 11)
@clause("5.2.41", 7)
@clause("4.8", 4)
def test_its_times_are_those_of_its_creation(broker: BrokerClient, unique: Unique) -> None:
    shown = taken(broker, snapshot(of_type(unique.type())))
    created, modified = instant(shown["createdAt"]), instant(shown["modifiedAt"])
    assert abs(datetime.now(UTC) - created) < timedelta(minutes=5)
    assert timedelta(0) <= modified - created < timedelta(minutes=1)
    assert instant(shown["lastUsedAt"]) == created


@clause("5.16.1.4", 4)
@clause("5.2.41", 5)
@pytest.mark.parametrize(
    ("lifetime", "least", "most"),
    [
        ("PT20M", timedelta(minutes=19), timedelta(minutes=20, seconds=5)),
        ("PT1H", timedelta(minutes=59), timedelta(hours=1, seconds=5)),
        ("PT1H30M", timedelta(minutes=89), timedelta(hours=1, minutes=30, seconds=5)),
        ("PT600S", timedelta(minutes=9), timedelta(minutes=10, seconds=5)),
    ],
)
def test_it_expires_when_its_lifetime_is_over(
    broker: BrokerClient, unique: Unique, lifetime: str, least: timedelta, most: timedelta
) -> None:
    shown = taken(broker, snapshot(of_type(unique.type()), snapshotLifetime=lifetime))
    assert shown["snapshotLifetime"] == lifetime
    assert least <= instant(shown["expiresAt"]) - instant(shown["createdAt"]) <= most


@clause("5.16.1.4", 4)
@clause("5.2.41", 5)
@pytest.mark.parametrize("members", [{}, {"snapshotLifetime": "P9000Y"}, {"expiresAt": "2001-01-01T00:00:00Z"}])
def test_the_broker_decides_when_it_expires(broker: BrokerClient, unique: Unique, members: dict[str, str]) -> None:
    shown = taken(broker, snapshot(of_type(unique.type()), **members))
    assert instant(shown["expiresAt"]) > instant(shown["createdAt"])


@clause("5.16.1.4", 4)
@clause("5.16.3.4", 2)
def test_an_expired_snapshot_is_gone_and_its_id_is_free(broker: BrokerClient, unique: Unique) -> None:
    document = snapshot(of_type(unique.type()), id=unique.id("Snapshot"), snapshotLifetime="PT1S")
    broker.post("/snapshots", document).expect(201)
    path = f"/snapshots/{document['id']}"
    eventually(lambda: broker.get(path).expect_problem("ResourceNotFound"))
    broker.get("/entities", {"type": unique.type()}, snapshot=document["id"]).expect_problem("ResourceNotFound")
    assert taken(broker, {**document, "snapshotLifetime": "PT1H"})["snapshotStatus"] == "empty"


@clause("5.16.1.4", 5)
@clause("5.2.41", 1)
@pytest.mark.parametrize(("members", "priority"), [({}, 5), *(({"snapshotPriority": each}, each) for each in (1, 10))])
def test_the_priority_is_the_one_given_or_5(
    broker: BrokerClient, unique: Unique, members: dict[str, int], priority: int
) -> None:
    assert taken(broker, snapshot(of_type(unique.type()), **members))["snapshotPriority"] == priority


@clause("5.2.41", 1, 6)
def test_the_members_given_are_kept(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    members = {
        "id": unique.id("Snapshot"),
        "snapshotLifetime": "PT1H",
        "snapshotPriority": 7,
        "endpoint": receiver.url,
        "receiverInfo": [{"key": "X-Key", "value": "1"}],
        "snapshotQueries": [of_type(unique.type(), q="level>1"), of_type(unique.type(), attrs=["level"])],
        "snapshotTemporalQueries": [of_type(unique.type(), temporalQ=ALWAYS)],
    }
    shown = taken(broker, snapshot(**members))
    assert {member: shown[member] for member in members} == members


@clause("5.2.41", 8)
def test_output_only_members_that_are_given_are_ignored(broker: BrokerClient, unique: Unique) -> None:
    given = {
        "snapshotStatus": "failure",
        "snapshotQueriesDetails": [{"resultStatus": "failure"}],
        "snapshotTemporalQueriesDetails": [{"resultStatus": "failure"}],
        **dict.fromkeys(("createdAt", "modifiedAt", "expiresAt", "lastUsedAt"), "2001-01-01T00:00:00Z"),
    }
    shown = taken(broker, snapshot(of_type(unique.type()), **given))
    assert shown["snapshotStatus"] == "empty"
    assert shown["snapshotQueriesDetails"] == [{"resultStatus": "empty"}]
    assert "snapshotTemporalQueriesDetails" not in shown
    for member in ("createdAt", "modifiedAt", "expiresAt", "lastUsedAt"):
        assert instant(shown[member]) > instant("2002-01-01T00:00:00Z")


@clause("5.16.1.4", 1)
def test_a_refused_snapshot_leaves_its_id_free(broker: BrokerClient, unique: Unique) -> None:
    document = snapshot(of_type(unique.type()), id=unique.id("Snapshot"))
    broker.post("/snapshots", {**document, "snapshotPriority": 99}).expect_problem("BadRequestData")
    broker.get(f"/snapshots/{document['id']}").expect_problem("ResourceNotFound")
    broker.post("/snapshots", document).expect(201)


@clause("5.16.1.4", 10)
@clause("5.2.41", 1)
def test_names_have_the_meaning_of_the_snapshots_own_context(broker: BrokerClient, unique: Unique) -> None:
    terms = {unique.name("pegel"): f"https://example.org/{unique.name('level')}"}
    (name, iri) = next(iter(terms.items()))
    one = entity(unique.id(), unique.type(), **{iri: prop(7)})
    broker.post("/entities", one).expect(201)
    query = of_type(unique.type(), q=f"{name}>5", pick=["id", "type", name])
    core = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.8.jsonld"
    shown = taken(broker, {**snapshot(query), "@context": [terms, core]})
    found = broker.get("/entities", {"type": unique.type()}, snapshot=shown["id"]).expect(200).json
    assert found == [one]
