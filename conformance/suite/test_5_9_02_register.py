"""5.9.2 Register Context Source, 6.8.3.1 POST /csourceRegistrations; 4.3.6.3, 4.3.6.5 and 4.3.6.6 of its modes and keys."""

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Document, Unique, entity, instant, prop, seconds_from_now
from conformance.servers import eventually
from conformance.suite.registrations import about, found, registration


@clause("5.9.2.4", 1, 13)
@clause("6.8.3.1", 1, 2)
def test_a_registration_is_found_at_its_location(broker: BrokerClient, unique: Unique) -> None:
    given = registration(unique.id("Registration"), about(unique.type()), description="all of it")
    answer = broker.post("/csourceRegistrations", given).expect(201)
    assert answer.header("Location").endswith(f"/ngsi-ld/v1/csourceRegistrations/{given['id']}")
    shown = broker.get(answer.header("Location")).expect(200).json
    assert {member: shown[member] for member in given} == given
    assert found(broker.get("/csourceRegistrations", {"type": unique.type()}), given) == [True]


@clause("5.9.2.4", 12, 14)
@clause("6.8.3.1", 2)
def test_an_id_is_generated_where_none_is_given(broker: BrokerClient, unique: Unique) -> None:
    given = registration(None, about(unique.type()))
    first, second = (broker.post("/csourceRegistrations", given).expect(201).header("Location") for _ in range(2))
    assert first != second
    shown = broker.get(first).expect(200).json
    assert first.endswith(f"/csourceRegistrations/{shown['id']}")
    broker.delete(f"/csourceRegistrations/{shown['id']}").expect(204)
    broker.get(first).expect_problem("ResourceNotFound")
    broker.get(second).expect(200)


@clause("5.9.2.4", 11)
@clause("6.8.3.1", 1)
def test_an_id_that_is_known_already_is_refused(broker: BrokerClient, unique: Unique) -> None:
    given = registration(unique.id("Registration"), about(unique.type()), description="one")
    broker.post("/csourceRegistrations", given).expect(201)
    broker.post("/csourceRegistrations", {**given, "description": "other"}).expect_problem("AlreadyExists")
    assert broker.get(f"/csourceRegistrations/{given['id']}").expect(200).json["description"] == "one"


@clause("5.9.2.4", 1, 2)
@clause("6.8.3.1", 1)
@pytest.mark.parametrize("body", [b"{", b"[]", b"7", b"{}"])
def test_a_body_that_is_no_registration_is_refused(broker: BrokerClient, body: bytes) -> None:
    broker.post("/csourceRegistrations", body).expect_problem("InvalidRequest", "BadRequestData")


@clause("5.9.2.4", 2)
def test_an_ngsi_ld_null_is_refused(broker: BrokerClient, unique: Unique) -> None:
    given = registration(unique.id("Registration"), about(unique.type()), description="urn:ngsi-ld:null")
    broker.post("/csourceRegistrations", given).expect_problem("BadRequestData")
    broker.get(f"/csourceRegistrations/{given['id']}").expect_problem("ResourceNotFound")


@clause("5.9.2.4", 1)
def test_names_are_expanded_with_the_context_of_the_registration(broker: BrokerClient, unique: Unique) -> None:
    context = {"Car": f"https://example.org/{unique.type()}", "pace": "https://example.org/speed"}
    given = registration(unique.id("Registration"), about("Car", propertyNames=["pace"]))
    broker.post("/csourceRegistrations", {**given, "@context": context}).expect(201)
    shown = broker.get(f"/csourceRegistrations/{given['id']}").expect(200).json["information"]
    assert shown == [about(context["Car"], propertyNames=["https://example.org/speed"])]


# --- when it expires


@clause("5.9.2.4", 8)
def test_without_an_expiration_none_is_set(broker: BrokerClient, unique: Unique) -> None:
    given = registration(unique.id("Registration"), about(unique.type()))
    broker.post("/csourceRegistrations", given).expect(201)
    assert "expiresAt" not in broker.get(f"/csourceRegistrations/{given['id']}").expect(200).json


@clause("5.9.2.4", 10)
def test_the_expiration_is_what_was_given(broker: BrokerClient, unique: Unique) -> None:
    given = registration(unique.id("Registration"), about(unique.type()), expiresAt="2090-01-02T03:04:05Z")
    broker.post("/csourceRegistrations", given).expect(201)
    shown = broker.get(f"/csourceRegistrations/{given['id']}").expect(200).json
    assert instant(shown["expiresAt"]) == instant("2090-01-02T03:04:05Z")


@clause("5.9.2.4", 9)
@clause("6.8.3.1", 1)
def test_an_expiration_in_the_past_is_refused(broker: BrokerClient, unique: Unique) -> None:
    given = registration(unique.id("Registration"), about(unique.type()), expiresAt="2020-01-01T00:00:00Z")
    broker.post("/csourceRegistrations", given).expect_problem("BadRequestData")
    broker.get(f"/csourceRegistrations/{given['id']}").expect_problem("ResourceNotFound")


@clause("5.9.2.4", 10)
def test_a_registration_is_gone_when_it_expires(broker: BrokerClient, unique: Unique) -> None:
    given = registration(unique.id("Registration"), about(unique.type()), expiresAt=seconds_from_now(1.2))
    broker.post("/csourceRegistrations", given).expect(201)
    broker.get(f"/csourceRegistrations/{given['id']}").expect(200)
    eventually(lambda: broker.get(f"/csourceRegistrations/{given['id']}").expect_problem("ResourceNotFound"))
    assert found(broker.get("/csourceRegistrations", {"type": unique.type()}), given) == [False]


# --- exclusive (4.3.6.3)


@clause("5.9.2.4", 4)
@clause("4.3.6.3", 1)
@pytest.mark.parametrize("mode", ["exclusive", "redirect"])
def test_an_exclusive_registration_conflicts_with_a_proxied_one_for_the_same(
    broker: BrokerClient, unique: Unique, mode: str
) -> None:
    info = about(unique.type(), id=unique.id(), propertyNames=["speed", "brand"])
    broker.post("/csourceRegistrations", registration(unique.id("Registration"), info, mode=mode)).expect(201)
    other = registration(unique.id("Registration"), {**info, "propertyNames": ["brand"]}, mode="exclusive")
    broker.post("/csourceRegistrations", other).expect_problem("Conflict")
    broker.get(f"/csourceRegistrations/{other['id']}").expect_problem("ResourceNotFound")


@clause("4.3.6.3", 1)
def test_a_redirect_registration_conflicts_with_an_exclusive_one_for_the_same(
    broker: BrokerClient, unique: Unique
) -> None:
    info = about(unique.type(), id=unique.id(), propertyNames=["speed"])
    broker.post("/csourceRegistrations", registration(unique.id("Registration"), info, mode="exclusive")).expect(201)
    other = registration(unique.id("Registration"), info, mode="redirect")
    broker.post("/csourceRegistrations", other).expect_problem("Conflict")
    broker.get(f"/csourceRegistrations/{other['id']}").expect_problem("ResourceNotFound")


@clause("5.9.2.4", 4)
@clause("4.3.6.3", 1)
@pytest.mark.parametrize(
    "change",
    [
        {"propertyNames": ["brand"]},
        {"entities": [{"type": "Vehicle", "id": "urn:ngsi-ld:Vehicle:another"}]},
    ],
)
def test_exclusive_registrations_for_something_else_do_not_conflict(
    broker: BrokerClient, unique: Unique, change: Document
) -> None:
    info = about(unique.type(), id=unique.id(), propertyNames=[unique.name("speed")])
    broker.post("/csourceRegistrations", registration(unique.id("Registration"), info, mode="exclusive")).expect(201)
    other = registration(unique.id("Registration"), {**info, **change}, mode="exclusive")
    broker.post("/csourceRegistrations", other).expect(201)


@clause("5.9.2.4", 4)
@pytest.mark.parametrize("members", [{}, {"mode": "inclusive"}, {"mode": "auxiliary", "operations": ["retrieveOps"]}])
def test_additive_registrations_conflict_with_nothing(broker: BrokerClient, unique: Unique, members: Document) -> None:
    info = about(unique.type(), id=unique.id(), propertyNames=["speed"])
    broker.post("/csourceRegistrations", registration(unique.id("Registration"), info, mode="exclusive")).expect(201)
    broker.post("/csourceRegistrations", registration(unique.id("Registration"), info, **members)).expect(201)


@clause("4.3.6.3", 2, 3)
@clause("5.9.2.4", 2)
@pytest.mark.parametrize(
    "entities",
    [
        [{"type": "Vehicle"}],
        [{"type": "Vehicle", "idPattern": ".*"}],
        [{"type": "Vehicle", "id": "urn:ngsi-ld:Vehicle:1"}, {"type": "Vehicle", "id": "urn:ngsi-ld:Vehicle:2"}],
        [{"type": "Vehicle", "id": "urn:ngsi-ld:Vehicle:1"}, {"type": "Vehicle"}],
    ],
)
def test_an_exclusive_registration_is_about_one_entity_by_its_id(
    broker: BrokerClient, unique: Unique, entities: list[Document]
) -> None:
    info = {"entities": entities, "propertyNames": [unique.name("speed")]}
    given = registration(unique.id("Registration"), info, mode="exclusive")
    broker.post("/csourceRegistrations", given).expect_problem("BadRequestData")
    broker.get(f"/csourceRegistrations/{given['id']}").expect_problem("ResourceNotFound")


@clause("4.3.6.3", 2)
def test_an_exclusive_registration_without_attributes_is_refused(broker: BrokerClient, unique: Unique) -> None:
    given = registration(unique.id("Registration"), about(unique.type(), id=unique.id()), mode="exclusive")
    broker.post("/csourceRegistrations", given).expect_problem("BadRequestData")


@clause("4.3.6.3", 3)
def test_an_exclusive_registration_without_entities_is_refused(broker: BrokerClient, unique: Unique) -> None:
    given = registration(unique.id("Registration"), {"propertyNames": [unique.name("speed")]}, mode="exclusive")
    broker.post("/csourceRegistrations", given).expect_problem("BadRequestData")


@clause("5.9.2.4", 5)
def test_an_exclusive_registration_conflicts_with_an_entity_that_is_here(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", one).expect(201)
    info = about(unique.type(), id=one["id"], propertyNames=["brand", "speed"])
    given = registration(unique.id("Registration"), info, mode="exclusive")
    broker.post("/csourceRegistrations", given).expect_problem("Conflict")
    broker.get(f"/csourceRegistrations/{given['id']}").expect_problem("ResourceNotFound")
    broker.post("/csourceRegistrations", {**given, "information": [{**info, "propertyNames": ["brand"]}]}).expect(201)


# --- redirect and auxiliary


@clause("5.9.2.4", 6)
@pytest.mark.parametrize("info", [{}, {"propertyNames": ["speed"]}])
def test_a_redirect_registration_conflicts_with_an_entity_that_is_here(
    broker: BrokerClient, unique: Unique, info: Document
) -> None:
    broker.post("/entities", entity(unique.id(), unique.type(), speed=prop(1))).expect(201)
    given = registration(unique.id("Registration"), {**about(unique.type()), **info}, mode="redirect")
    broker.post("/csourceRegistrations", given).expect_problem("Conflict")
    broker.get(f"/csourceRegistrations/{given['id']}").expect_problem("ResourceNotFound")


@clause("5.9.2.4", 6)
def test_a_redirect_registration_does_not_conflict_with_other_entities(broker: BrokerClient, unique: Unique) -> None:
    broker.post("/entities", entity(unique.id(), unique.type(), speed=prop(1))).expect(201)
    for info in (about(unique.type("Other")), about(unique.type(), id=unique.id())):
        given = registration(unique.id("Registration"), info, mode="redirect")
        broker.post("/csourceRegistrations", given).expect(201)


@clause("4.3.6.3", 4)
def test_redirect_registrations_may_overlap(broker: BrokerClient, unique: Unique) -> None:
    name = unique.name("speed")
    for info in (
        about(unique.type(), id=unique.id()),
        about(unique.type(), idPattern="^urn:"),
        about(unique.type()),
        about(unique.type(), propertyNames=[name]),
        {"propertyNames": [name]},
    ):
        given = registration(unique.id("Registration"), info, mode="redirect")
        broker.post("/csourceRegistrations", given).expect(201)


@clause("5.9.2.4", 7)
@pytest.mark.parametrize(
    "operations", [["retrieveOps"], ["retrieveEntity"], ["queryEntity"], ["retrieveEntity", "queryEntity"]]
)
def test_an_auxiliary_registration_may_read(broker: BrokerClient, unique: Unique, operations: list[str]) -> None:
    given = registration(unique.id("Registration"), about(unique.type()), mode="auxiliary", operations=operations)
    broker.post("/csourceRegistrations", given).expect(201)


@clause("5.9.2.4", 7)
@pytest.mark.parametrize(
    "members",
    [
        {},
        {"operations": ["federationOps"]},
        {"operations": ["createEntity"]},
        {"operations": ["retrieveEntity", "updateOps"]},
        {"operations": ["queryBatch"]},
    ],
)
def test_an_auxiliary_registration_may_do_nothing_else(broker: BrokerClient, unique: Unique, members: Document) -> None:
    given = registration(unique.id("Registration"), about(unique.type()), mode="auxiliary", **members)
    broker.post("/csourceRegistrations", given).expect_problem("BadRequestData")
    broker.get(f"/csourceRegistrations/{given['id']}").expect_problem("ResourceNotFound")


# --- contextSourceInfo (4.3.6.5, 4.3.6.6)

GOOD_PAIRS = [
    ("accept", "application/json"),
    ("accept", "application/ld+json"),
    ("contentType", "application/json"),
    ("contentType", "application/ld+json"),
    ("jsonldContext", "https://example.org/context.jsonld"),
    ("ngsildConformance", "1.5"),
    ("Authorization", "urn:ngsi-ld:request"),
    ("X-Api-Key", "abc"),
]


@clause("4.3.6.5", 4)
@clause("4.3.6.6", 1, 3, 5, 7)
@pytest.mark.parametrize(("key", "value"), GOOD_PAIRS)
def test_extra_information_comes_back(broker: BrokerClient, unique: Unique, key: str, value: str) -> None:
    pairs = [{"key": key, "value": value}]
    given = registration(unique.id("Registration"), about(unique.type()), contextSourceInfo=pairs)
    broker.post("/csourceRegistrations", given).expect(201)
    assert broker.get(f"/csourceRegistrations/{given['id']}").expect(200).json["contextSourceInfo"] == pairs


@clause("4.3.6.6", 1, 3, 5, 7)
@clause("5.9.2.4", 3)
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("accept", "text/html"),
        ("accept", "application/geo+json"),
        ("contentType", "application/merge-patch+json"),
        ("contentType", ""),
        ("jsonldContext", "context.jsonld"),
        ("jsonldContext", "{}"),
        ("ngsildConformance", "1"),
        ("ngsildConformance", "1.5.1"),
        ("ngsildConformance", "latest"),
    ],
)
def test_a_well_known_key_with_a_value_that_it_does_not_have_is_refused(
    broker: BrokerClient, unique: Unique, key: str, value: str
) -> None:
    pairs = [{"key": "X-Api-Key", "value": "abc"}, {"key": key, "value": value}]
    given = registration(unique.id("Registration"), about(unique.type()), contextSourceInfo=pairs)
    broker.post("/csourceRegistrations", given).expect_problem("BadRequestData")
    broker.get(f"/csourceRegistrations/{given['id']}").expect_problem("ResourceNotFound")


@clause("4.3.6.5", 2)
@pytest.mark.parametrize("key", ["NGSILD-Tenant", "ngsild-tenant"])
def test_a_tenant_among_the_extra_information_is_refused(broker: BrokerClient, unique: Unique, key: str) -> None:
    pairs = [{"key": key, "value": "city"}]
    given = registration(unique.id("Registration"), about(unique.type()), contextSourceInfo=pairs)
    broker.post("/csourceRegistrations", given).expect_problem("BadRequestData")
