"""4.5.25 and 5.2.39: what an EntityMap is; 5.14.1 to 5.14.3 and 6.32: retrieve, update and delete one."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from conformance.broker_client import JSON_LD, BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, prop
from conformance.series import moment
from conformance.servers import eventually

HEADER = "NGSILD-EntityMap"
NO_URIS = ["not-a-uri", "12345", "%20", "a%20b"]


def new_map(broker: BrokerClient, unique: Unique, number: int = 2, **query: str) -> tuple[str, list[str]]:
    """The location of a map of so many new entities, and the ids of these."""
    ids = [unique.id() for _ in range(number)]
    for entity_id in ids:
        broker.post("/entities", entity(entity_id, unique.type(), level=prop(1))).expect(201)
    return broker.get("/entityMaps", {"type": unique.type(), **query}).expect(201).header(HEADER), ids


def in_an_hour() -> str:
    """A DateTime to which a client may want to prolong a map."""
    return (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")


@clause("4.5.25", 1, 2, 3)
@clause("5.2.39", 1, 2, 3)
@clause("5.14.1.4", 3)
@clause("6.32.3.1", 1)
def test_a_map_is_shown_with_what_it_is_and_when_it_expires(broker: BrokerClient, unique: Unique) -> None:
    location, _ = new_map(broker, unique)
    shown = broker.get(location).expect(200).json
    assert location.endswith(f"/entityMaps/{shown['id']}")
    assert ":" in shown["id"]
    assert shown["type"] == "EntityMap"
    # 4.5.25 and table 5.2.39-1 differ in the name of this member.
    expiry = shown.get("expiresAt", shown.get("expiredBy"))
    assert moment(expiry) > datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert isinstance(shown.get("linkedMaps", {}), dict)


@clause("4.5.25", 3)
@clause("5.2.39", 5, 6, 7)
@clause("5.14.1.4", 3)
def test_a_map_has_each_entity_with_where_it_is(broker: BrokerClient, unique: Unique) -> None:
    location, ids = new_map(broker, unique, 3)
    assert broker.get(location).expect(200).json["entityMap"] == {entity_id: ["@none"] for entity_id in ids}


@clause("4.5.25", 3)
def test_a_map_may_be_empty(broker: BrokerClient, unique: Unique) -> None:
    location, _ = new_map(broker, unique, 0)
    assert broker.get(location).expect(200).json["entityMap"] == {}


@clause("4.5.25", 1)
@clause("6.32.3.1", 1)
def test_a_map_has_a_context_where_json_ld_is_asked_for(broker: BrokerClient, unique: Unique) -> None:
    location, _ = new_map(broker, unique)
    answer = broker.get(location, accept=JSON_LD).expect(200)
    assert (answer.media_type, "@context" in answer.json) == (JSON_LD, True)
    answer = broker.get(location, accept="application/json").expect(200)
    assert (answer.media_type, "@context" in answer.json) == ("application/json", False)


@clause("5.14.1.4", 1)
@clause("6.32.3.1", 1)
@pytest.mark.parametrize("map_id", NO_URIS)
def test_an_id_that_is_no_uri_is_not_retrieved(broker: BrokerClient, map_id: str) -> None:
    broker.get(f"/entityMaps/{map_id}").expect_problem("BadRequestData")


@clause("5.14.2.4", 1)
@clause("6.32.3.2", 1)
@pytest.mark.parametrize("map_id", NO_URIS)
def test_an_id_that_is_no_uri_is_not_updated(broker: BrokerClient, map_id: str) -> None:
    broker.patch(f"/entityMaps/{map_id}", {"expiresAt": in_an_hour()}).expect_problem("BadRequestData")


@clause("5.14.3.4", 1)
@clause("6.32.3.3", 1)
@pytest.mark.parametrize("map_id", NO_URIS)
def test_an_id_that_is_no_uri_is_not_deleted(broker: BrokerClient, map_id: str) -> None:
    broker.delete(f"/entityMaps/{map_id}").expect_problem("BadRequestData")


@clause("5.14.1.4", 2)
@clause("5.14.2.4", 2)
@clause("5.14.3.4", 2)
@clause("6.32.3.1", 1)
@clause("6.32.3.2", 1)
@clause("6.32.3.3", 1)
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_an_unknown_map_is_not_found(broker: BrokerClient, unique: Unique, method: str) -> None:
    fragment = {"expiresAt": in_an_hour()} if method == "PATCH" else None
    broker.request(method, f"/entityMaps/{unique.id('EntityMap')}", fragment).expect_problem("ResourceNotFound")


@clause("5.14.1.4", 2)
@clause("5.14.3.4", 2)
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_an_entity_is_no_map(broker: BrokerClient, unique: Unique, method: str) -> None:
    _, (entity_id, *_) = new_map(broker, unique)
    fragment = {"expiresAt": in_an_hour()} if method == "PATCH" else None
    broker.request(method, f"/entityMaps/{entity_id}", fragment).expect_problem("ResourceNotFound")
    broker.get(f"/entities/{entity_id}").expect(200)


@clause("5.14.1.4", 2)
@clause("5.14.2.4", 2)
def test_an_expired_map_is_not_found(broker: BrokerClient, unique: Unique) -> None:
    location, _ = new_map(broker, unique, entityMapLifetime="PT1S")
    eventually(lambda: broker.get(location).status == 404)
    broker.get(location).expect_problem("ResourceNotFound")
    broker.patch(location, {"expiresAt": in_an_hour()}).expect_problem("ResourceNotFound")
    broker.get(location).expect_problem("ResourceNotFound")


@clause("5.14.2.4", 4)
@clause("6.32.3.2", 1)
def test_the_expiry_is_updated(broker: BrokerClient, unique: Unique) -> None:
    location, ids = new_map(broker, unique, entityMapLifetime="PT10M")
    wanted = in_an_hour()
    assert broker.patch(location, {"type": "EntityMap", "expiresAt": wanted}).expect(204).body == b""
    shown = broker.get(location).expect(200).json
    assert (moment(shown["expiresAt"]), sorted(shown["entityMap"])) == (wanted, ids)


@clause("5.14.2.4", 4)
def test_a_map_may_be_let_expire_at_once(broker: BrokerClient, unique: Unique) -> None:
    location, _ = new_map(broker, unique)
    broker.patch(location, {"expiresAt": "2020-01-01T00:00:00Z"}).expect(204)
    broker.get(location).expect_problem("ResourceNotFound")


@clause("5.14.2.4", 3)
@clause("5.2.39", 3, 4)
@pytest.mark.parametrize("more", [{}, {"expiresAt": True}])
def test_what_is_output_only_is_ignored(broker: BrokerClient, unique: Unique, more: dict[str, Any]) -> None:
    location, ids = new_map(broker, unique)
    before = broker.get(location).expect(200).json
    fragment: dict[str, Any] = {"entityMap": {unique.id(): ["@none"]}, "linkedMaps": {"urn:a:1": "urn:b:1"}}
    if more:
        fragment["expiresAt"] = in_an_hour()
    broker.patch(location, fragment).expect(204)
    shown = broker.get(location).expect(200).json
    assert sorted(shown["entityMap"]) == ids
    assert shown.get("linkedMaps", {}) == before.get("linkedMaps", {})
    assert moment(shown["expiresAt"]) == moment(fragment.get("expiresAt", before["expiresAt"]))


@clause("5.14.2.4", 4)
@clause("6.32.3.2", 1)
@pytest.mark.parametrize(
    "fragment",
    [
        {"expiresAt": "tomorrow"},
        {"expiresAt": "2030-01-01"},
        {"expiresAt": 5},
        {"expiresAt": None},
        {"type": "Map", "expiresAt": "2030-01-01T00:00:00Z"},
        {"id": "urn:ngsi-ld:EntityMap:other", "expiresAt": "2030-01-01T00:00:00Z"},
    ],
)
def test_a_wrong_fragment_changes_nothing(broker: BrokerClient, unique: Unique, fragment: dict[str, Any]) -> None:
    location, _ = new_map(broker, unique)
    before = broker.get(location).expect(200).json
    broker.patch(location, fragment).expect_problem("BadRequestData", "InvalidRequest")
    assert broker.get(location).expect(200).json == before


@clause("6.32.3.2", 1)
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5"])
def test_a_fragment_that_is_no_object_changes_nothing(broker: BrokerClient, unique: Unique, body: bytes) -> None:
    location, _ = new_map(broker, unique)
    before = broker.get(location).expect(200).json
    answer = broker.patch(location, body, content_type="application/json")
    answer.expect_problem("InvalidRequest", "BadRequestData")
    assert broker.get(location).expect(200).json == before


@clause("5.14.3.4", 3)
@clause("6.32.3.3", 1)
def test_nothing_is_left_of_a_deleted_map(broker: BrokerClient, unique: Unique) -> None:
    location, ids = new_map(broker, unique)
    assert broker.delete(location).expect(204).body == b""
    broker.get(location).expect_problem("ResourceNotFound")
    broker.patch(location, {"expiresAt": in_an_hour()}).expect_problem("ResourceNotFound")
    broker.delete(location).expect_problem("ResourceNotFound")
    for entity_id in ids:
        broker.get(f"/entities/{entity_id}").expect(200)


@clause("5.14.3.4", 3)
def test_other_maps_outlive_a_deleted_one(broker: BrokerClient, unique: Unique) -> None:
    one, ids = new_map(broker, unique)
    other = broker.get("/entityMaps", {"type": unique.type()}).expect(201).header(HEADER)
    assert one != other
    broker.delete(one).expect(204)
    assert sorted(broker.get(other).expect(200).json["entityMap"]) == ids
