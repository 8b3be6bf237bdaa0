"""5.9.3 Update and 5.9.4 Delete Context Source Registration, 6.9.3.2 PATCH and 6.9.3.3 DELETE /csourceRegistrations/{id}."""

from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Document, Unique, entity, instant, prop, seconds_from_now
from conformance.servers import eventually
from conformance.suite.registrations import about, found, registration


@clause("5.9.3.4", 10)
@clause("6.9.3.2", 1, 2)
def test_the_members_of_the_fragment_replace_those_that_are_there(broker: BrokerClient, unique: Unique) -> None:
    given = registration(unique.id("Registration"), about(unique.type()), description="one", scope="/a")
    broker.post("/csourceRegistrations", given).expect(201)
    fragment = {"endpoint": "http://127.0.0.1:9/other", "description": "other", "registrationName": "new"}
    answer = broker.patch(f"/csourceRegistrations/{given['id']}", fragment).expect(204)
    assert answer.body == b""
    shown = broker.get(f"/csourceRegistrations/{given['id']}").expect(200).json
    assert {member: shown[member] for member in given | fragment} == given | fragment


@clause("5.9.3.4", 10)
@pytest.mark.parametrize("member", ["description", "scope", "location", "operations", "management", "expiresAt"])
def test_an_ngsi_ld_null_removes_a_member(broker: BrokerClient, unique: Unique, member: str) -> None:
    optional = {
        "description": "one",
        "scope": "/a",
        "location": {"type": "Point", "coordinates": [1, 2]},
        "operations": ["retrieveOps"],
        "management": {"timeout": 5},
        "expiresAt": "2090-01-01T00:00:00Z",
    }
    given = registration(unique.id("Registration"), about(unique.type()), **optional)
    broker.post("/csourceRegistrations", given).expect(201)
    broker.patch(f"/csourceRegistrations/{given['id']}", {member: "urn:ngsi-ld:null"}).expect(204)
    shown = broker.get(f"/csourceRegistrations/{given['id']}").expect(200).json
    assert shown.get(member) != optional[member]
    assert all(other in shown for other in optional if other != member)


@clause("5.9.3.4", 10)
@clause("5.2.9", 10)
def test_context_source_properties_are_replaced_added_and_removed(broker: BrokerClient, unique: Unique) -> None:
    kept, changed, removed, added = map(unique.name, ("kept", "changed", "removed", "added"))
    properties = {kept: 1, changed: {"a": 1}, removed: "x"}
    given = registration(unique.id("Registration"), about(unique.type()), **properties)
    broker.post("/csourceRegistrations", given).expect(201)
    fragment = {changed: [2], removed: "urn:ngsi-ld:null", added: True}
    broker.patch(f"/csourceRegistrations/{given['id']}", fragment).expect(204)
    shown = broker.get(f"/csourceRegistrations/{given['id']}").expect(200).json
    assert (shown[kept], shown[changed], shown[added], removed in shown) == (1, [2], True, False)


@clause("5.9.3.4", 10)
def test_information_is_replaced_as_a_whole(broker: BrokerClient, unique: Unique) -> None:
    given = registration(unique.id("Registration"), about(unique.type()), about(unique.type("Bus")))
    broker.post("/csourceRegistrations", given).expect(201)
    fragment = {"information": [about(unique.type("Tram"))]}
    broker.patch(f"/csourceRegistrations/{given['id']}", fragment).expect(204)
    assert broker.get(f"/csourceRegistrations/{given['id']}").json["information"] == fragment["information"]
    assert found(broker.get("/csourceRegistrations", {"type": unique.type()}), given) == [False]
    assert found(broker.get("/csourceRegistrations", {"type": unique.type("Tram")}), given) == [True]


@clause("5.9.3.4", 10)
@clause("5.9.2.4", 10)
def test_an_expiration_that_was_added_takes_effect(broker: BrokerClient, unique: Unique) -> None:
    given = registration(unique.id("Registration"), about(unique.type()))
    broker.post("/csourceRegistrations", given).expect(201)
    broker.patch(f"/csourceRegistrations/{given['id']}", {"expiresAt": seconds_from_now(1)}).expect(204)
    eventually(lambda: broker.get(f"/csourceRegistrations/{given['id']}").expect_problem("ResourceNotFound"))


@clause("5.9.3.4", 10)
def test_an_update_is_seen_in_modified_at_alone(broker: BrokerClient, unique: Unique) -> None:
    given = registration(unique.id("Registration"), about(unique.type()))
    broker.post("/csourceRegistrations", given).expect(201)
    path = f"/csourceRegistrations/{given['id']}"
    before = broker.get(path, {"options": "sysAttrs"}).expect(200).json
    broker.patch(path, {"description": "x"}).expect(204)
    after = broker.get(path, {"options": "sysAttrs"}).expect(200).json
    assert after["createdAt"] == before["createdAt"]
    assert instant(after["modifiedAt"]) > instant(before["modifiedAt"])


@clause("5.9.3.4", 5)
def test_names_are_expanded_with_the_context_of_the_fragment(broker: BrokerClient, unique: Unique) -> None:
    given = registration(unique.id("Registration"), about(unique.type()))
    broker.post("/csourceRegistrations", given).expect(201)
    context = {"Car": f"https://example.org/{unique.type()}", "pace": "https://example.org/speed"}
    fragment = {"information": [about("Car", propertyNames=["pace"])], "@context": context}
    broker.patch(f"/csourceRegistrations/{given['id']}", fragment).expect(204)
    shown = broker.get(f"/csourceRegistrations/{given['id']}").expect(200).json["information"]
    assert shown == [about(context["Car"], propertyNames=[context["pace"]])]


@clause("5.9.3.4", 1)
@clause("6.9.3.2", 1)
def test_the_id_of_an_update_is_a_uri(broker: BrokerClient) -> None:
    broker.patch("/csourceRegistrations/no-uri", {"description": "x"}).expect_problem("BadRequestData")


@clause("5.9.3.4", 3)
@clause("6.9.3.2", 1)
def test_what_is_not_known_cannot_be_updated(broker: BrokerClient, unique: Unique) -> None:
    path = f"/csourceRegistrations/{unique.id('Registration')}"
    broker.patch(path, {"description": "x"}).expect_problem("ResourceNotFound")
    broker.get(path).expect_problem("ResourceNotFound")


@clause("5.9.3.4", 2, 4, 11)
@clause("6.9.3.2", 1)
@pytest.mark.parametrize(
    "fragment",
    [
        {"id": "urn:ngsi-ld:Registration:other"},
        {"type": "Subscription"},
        {"endpoint": "urn:ngsi-ld:null"},
        {"endpoint": "nowhere"},
        {"information": "urn:ngsi-ld:null"},
        {"information": []},
        {"information": [{"entities": []}]},
        {"mode": "shared"},
        {"operations": ["flyAway"]},
        {"expiresAt": "2020-01-01T00:00:00Z"},
        {"observationInterval": {"endAt": "2020-01-01T00:00:00Z"}},
        {"management": {"timeout": -1}},
        {"location": {"type": "Point"}},
        {"contextSourceInfo": [{"key": "accept", "value": "text/html"}]},
        {"contextSourceInfo": [{"key": "ngsildConformance", "value": "newest"}]},
        {"contextSourceInfo": [{"key": "NGSILD-Tenant", "value": "city"}]},
    ],
)
def test_a_fragment_that_is_not_valid_changes_nothing(broker: BrokerClient, unique: Unique, fragment: Document) -> None:
    given = registration(unique.id("Registration"), about(unique.type()), description="one")
    broker.post("/csourceRegistrations", given).expect(201)
    path = f"/csourceRegistrations/{given['id']}"
    before = broker.get(path).expect(200).json
    broker.patch(path, {"description": "other", **fragment}).expect_problem("BadRequestData")
    assert broker.get(path).expect(200).json == before


@clause("5.9.3.4", 4)
@pytest.mark.parametrize("body", [b"{", b"[]", b"7"])
def test_a_body_that_is_no_fragment_is_refused(broker: BrokerClient, unique: Unique, body: bytes) -> None:
    given = registration(unique.id("Registration"), about(unique.type()))
    broker.post("/csourceRegistrations", given).expect(201)
    path = f"/csourceRegistrations/{given['id']}"
    broker.patch(path, body).expect_problem("InvalidRequest", "BadRequestData")


@clause("5.9.3.4", 6)
@pytest.mark.parametrize("mode", ["exclusive", "redirect"])
def test_an_update_to_exclusive_conflicts_with_what_covers_the_same(
    broker: BrokerClient, unique: Unique, mode: str
) -> None:
    info = about(unique.type(), id=unique.id(), propertyNames=["speed"])
    broker.post("/csourceRegistrations", registration(unique.id("Registration"), info, mode=mode)).expect(201)
    other = registration(unique.id("Registration"), info, mode="inclusive")
    broker.post("/csourceRegistrations", other).expect(201)
    broker.patch(f"/csourceRegistrations/{other['id']}", {"mode": "exclusive"}).expect_problem("Conflict")
    assert broker.get(f"/csourceRegistrations/{other['id']}").expect(200).json["mode"] == "inclusive"


@clause("5.9.3.4", 6)
def test_an_update_to_more_attributes_conflicts_with_who_has_them(broker: BrokerClient, unique: Unique) -> None:
    info = about(unique.type(), id=unique.id(), propertyNames=["speed"])
    broker.post("/csourceRegistrations", registration(unique.id("Registration"), info, mode="exclusive")).expect(201)
    brand = {**info, "propertyNames": ["brand"]}
    other = registration(unique.id("Registration"), brand, mode="exclusive")
    broker.post("/csourceRegistrations", other).expect(201)
    both = {"information": [{**info, "propertyNames": ["brand", "speed"]}]}
    broker.patch(f"/csourceRegistrations/{other['id']}", both).expect_problem("Conflict")
    assert broker.get(f"/csourceRegistrations/{other['id']}").expect(200).json["information"] == [brand]


@clause("5.9.3.4", 6)
def test_an_exclusive_registration_does_not_conflict_with_itself(broker: BrokerClient, unique: Unique) -> None:
    info = about(unique.type(), id=unique.id(), propertyNames=["speed"])
    given = registration(unique.id("Registration"), info, mode="exclusive")
    broker.post("/csourceRegistrations", given).expect(201)
    broker.patch(f"/csourceRegistrations/{given['id']}", {"description": "x"}).expect(204)


@clause("5.9.3.4", 7, 8)
@pytest.mark.parametrize("mode", ["exclusive", "redirect"])
def test_an_update_to_a_proxied_mode_conflicts_with_an_entity_that_is_here(
    broker: BrokerClient, unique: Unique, mode: str
) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", one).expect(201)
    info = about(unique.type(), id=one["id"], propertyNames=["speed"])
    given = registration(unique.id("Registration"), info, mode="inclusive")
    broker.post("/csourceRegistrations", given).expect(201)
    broker.patch(f"/csourceRegistrations/{given['id']}", {"mode": mode}).expect_problem("Conflict")
    assert broker.get(f"/csourceRegistrations/{given['id']}").expect(200).json["mode"] == "inclusive"


@clause("5.9.3.4", 9)
def test_an_update_to_auxiliary_demands_operations_that_read(broker: BrokerClient, unique: Unique) -> None:
    given = registration(unique.id("Registration"), about(unique.type()), operations=["createEntity"])
    broker.post("/csourceRegistrations", given).expect(201)
    path = f"/csourceRegistrations/{given['id']}"
    broker.patch(path, {"mode": "auxiliary"}).expect_problem("BadRequestData")
    assert broker.get(path).expect(200).json.get("mode") != "auxiliary"
    broker.patch(path, {"mode": "auxiliary", "operations": ["retrieveEntity"]}).expect(204)
    broker.patch(path, {"operations": ["updateOps"]}).expect_problem("BadRequestData")
    assert broker.get(path).expect(200).json["operations"] == ["retrieveEntity"]


@clause("5.9.3.4", 4)
@pytest.mark.parametrize("value", [{"a": "urn:ngsi-ld:null"}, ["urn:ngsi-ld:null"]])
def test_an_ngsi_ld_null_inside_a_value_is_refused(broker: BrokerClient, unique: Unique, value: Any) -> None:
    given = registration(unique.id("Registration"), about(unique.type()), **{unique.name("owner"): {"a": 1}})
    broker.post("/csourceRegistrations", given).expect(201)
    path = f"/csourceRegistrations/{given['id']}"
    broker.patch(path, {unique.name("owner"): value}).expect_problem("BadRequestData")
    assert broker.get(path).expect(200).json[unique.name("owner")] == {"a": 1}


# --- 5.9.4 Delete


@clause("5.9.4.4", 3)
@clause("6.9.3.3", 1)
def test_a_deleted_registration_is_gone(broker: BrokerClient, unique: Unique) -> None:
    given, other = (registration(unique.id("Registration"), about(unique.type())) for _ in range(2))
    for each in (given, other):
        broker.post("/csourceRegistrations", each).expect(201)
    assert broker.delete(f"/csourceRegistrations/{given['id']}").expect(204).body == b""
    broker.get(f"/csourceRegistrations/{given['id']}").expect_problem("ResourceNotFound")
    assert found(broker.get("/csourceRegistrations", {"type": unique.type()}), given, other) == [False, True]
    broker.post("/csourceRegistrations", given).expect(201)


@clause("5.9.4.4", 1)
@clause("6.9.3.3", 1)
def test_the_id_of_what_is_deleted_is_a_uri(broker: BrokerClient) -> None:
    broker.delete("/csourceRegistrations/no-uri").expect_problem("BadRequestData")


@clause("5.9.4.4", 2)
@clause("6.9.3.3", 1)
def test_what_is_not_known_cannot_be_deleted(broker: BrokerClient, unique: Unique) -> None:
    broker.delete(f"/csourceRegistrations/{unique.id('Registration')}").expect_problem("ResourceNotFound")
