"""5.2.2 Common members and 5.2.3 @context, of entities, registrations and subscriptions."""

from typing import Any

import pytest

from conformance.broker_client import GEO_JSON, JSON_LD, BrokerClient
from conformance.clauses import clause
from conformance.samples import Document, Unique, entity, geo, instant, prop, subscription
from conformance.servers import DocumentServer

CORE = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context"
MADE_UP = dict.fromkeys(("createdAt", "modifiedAt", "deletedAt"), "2001-01-01T00:00:00Z")
KINDS = ["entities", "subscriptions", "csourceRegistrations", "csourceSubscriptions"]


def element(kind: str, unique: Unique) -> Document:
    """An NGSI-LD element for a resource of this name."""
    if kind == "entities":
        return entity(unique.id(), unique.type(), level=prop(1))
    if kind == "csourceRegistrations":
        information = [{"entities": [{"type": unique.type()}]}]
        return {
            "id": unique.id("ContextSourceRegistration"),
            "type": "ContextSourceRegistration",
            "endpoint": "http://127.0.0.1:9",
            "information": information,
        }
    selectors = [{"type": unique.type()}]
    return subscription("http://127.0.0.1:9/", id=unique.id("Subscription"), entities=selectors, isActive=False)


@clause("5.2.2", 2, 3)
@pytest.mark.parametrize("kind", KINDS)
def test_system_times_that_a_client_gives_on_creation_are_ignored(
    broker: BrokerClient, unique: Unique, kind: str
) -> None:
    given = element(kind, unique)
    broker.post(f"/{kind}", given | MADE_UP).expect(201)
    assert MADE_UP.keys().isdisjoint(broker.get(f"/{kind}/{given['id']}").expect(200).json)
    shown = broker.get(f"/{kind}/{given['id']}", {"options": "sysAttrs"}).expect(200).json
    assert {shown["createdAt"], shown["modifiedAt"]}.isdisjoint(MADE_UP.values())
    assert "deletedAt" not in shown
    assert instant(shown["createdAt"]) <= instant(shown["modifiedAt"])


@clause("5.2.2", 2)
@pytest.mark.parametrize("kind", ["subscriptions", "csourceRegistrations", "csourceSubscriptions"])
def test_system_times_that_a_client_gives_in_an_update_are_ignored(
    broker: BrokerClient, unique: Unique, kind: str
) -> None:
    given = element(kind, unique)
    broker.post(f"/{kind}", given).expect(201)
    before = broker.get(f"/{kind}/{given['id']}", {"options": "sysAttrs"}).expect(200).json
    broker.patch(f"/{kind}/{given['id']}", {"description": "new"} | MADE_UP).expect(204)
    after = broker.get(f"/{kind}/{given['id']}", {"options": "sysAttrs"}).expect(200).json
    assert after["description"] == "new"
    assert after["createdAt"] == before["createdAt"]
    assert instant(after["modifiedAt"]) >= instant(before["modifiedAt"])
    assert "deletedAt" not in after


@clause("5.2.2", 2)
def test_system_times_that_a_client_gives_to_attributes_of_attributes_are_ignored(
    broker: BrokerClient, unique: Unique
) -> None:
    attribute = prop(1, accuracy=prop(2, **MADE_UP))
    one = entity(unique.id(), unique.type(), level=attribute | MADE_UP)
    broker.post("/entities", one).expect(201)
    broker.post(f"/entities/{one['id']}/attrs", {"later": attribute | MADE_UP}).expect(204)
    shown = broker.get(f"/entities/{one['id']}", {"options": "sysAttrs"}).expect(200)
    assert b"2001-01-01" not in shown.body
    for name in ("level", "later"):
        assert {"createdAt", "modifiedAt"} <= shown.json[name].keys()
        assert "deletedAt" not in shown.json[name]


@clause("5.2.2", 2)
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "/attrs", {"level": prop(2, **MADE_UP)}),
        ("PATCH", "/attrs/level", {"value": 2, **MADE_UP}),
        ("PUT", "/attrs/level", prop(2, **MADE_UP)),
        ("PATCH", "", {"level": {"value": 2, **MADE_UP}, **MADE_UP}),
    ],
)
def test_system_times_that_a_client_gives_in_an_update_of_an_entity_are_ignored(
    broker: BrokerClient, unique: Unique, method: str, path: str, body: Any
) -> None:
    one = entity(unique.id(), unique.type(), level=prop(1))
    broker.post("/entities", one).expect(201)
    before = broker.get(f"/entities/{one['id']}", {"options": "sysAttrs"}).expect(200).json
    broker.request(method, f"/entities/{one['id']}{path}", body).expect(204)
    after = broker.get(f"/entities/{one['id']}", {"options": "sysAttrs"}).expect(200)
    assert after.json["level"]["value"] == 2
    assert after.json["createdAt"] == before["createdAt"]
    assert instant(after.json["level"]["modifiedAt"]) >= instant(before["level"]["modifiedAt"])
    assert b"2001-01-01" not in after.body
    assert b"deletedAt" not in after.body


@clause("5.2.2", 3)
@pytest.mark.parametrize("kind", KINDS)
def test_system_times_are_shown_only_to_who_asks_for_them(broker: BrokerClient, unique: Unique, kind: str) -> None:
    given = element(kind, unique)
    broker.post(f"/{kind}", given).expect(201)
    asked = {"limit": 1000} if "ubscriptions" in kind else {"type": unique.type()}
    plain = broker.get(f"/{kind}", asked).expect(200).json
    shown = broker.get(f"/{kind}", asked | {"options": "sysAttrs"}).expect(200).json
    assert "createdAt" not in str(broker.get(f"/{kind}/{given['id']}").expect(200).json)
    assert "createdAt" not in str([each for each in plain if each["id"] == given["id"]])
    assert "createdAt" in str([each for each in shown if each["id"] == given["id"]])


@clause("5.2.3", 1)
@pytest.mark.parametrize("kind", KINDS)
def test_json_ld_has_the_context_of_the_user_and_the_core(
    broker: BrokerClient, unique: Unique, documents: DocumentServer, kind: str
) -> None:
    context = documents.publish_context(level="https://example.org/level")
    given = element(kind, unique)
    broker.post(f"/{kind}", given).expect(201)
    shown = broker.get(f"/{kind}/{given['id']}", link=context, accept=JSON_LD).expect(200)
    assert shown.media_type == JSON_LD
    contexts = shown.json["@context"]
    assert contexts[0] == context
    assert contexts[1].startswith(CORE)
    assert len(contexts) == 2


@clause("5.2.3", 1)
@pytest.mark.parametrize("kind", KINDS)
def test_json_ld_without_a_users_context_has_the_core(broker: BrokerClient, unique: Unique, kind: str) -> None:
    given = element(kind, unique)
    broker.post(f"/{kind}", given).expect(201)
    context = broker.get(f"/{kind}/{given['id']}", accept=JSON_LD).expect(200).json["@context"]
    (only,) = [context] if isinstance(context, str) else context
    assert only.startswith(CORE)


@clause("5.2.3", 1)
def test_each_entity_of_a_list_has_its_context(broker: BrokerClient, unique: Unique, documents: DocumentServer) -> None:
    context = documents.publish_context(level="https://example.org/level")
    for number in range(2):
        broker.post("/entities", entity(unique.id(), unique.type(), level=prop(number)), link=context).expect(201)
    found = broker.get("/entities", {"type": unique.type()}, link=context, accept=JSON_LD).expect(200).json
    assert [each["@context"][0] for each in found] == [context, context]


@clause("5.2.3", 1)
def test_an_embedded_context_is_no_part_of_what_is_stored(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=prop(1))
    terms = {"level": "https://example.org/level"}
    broker.post("/entities", one | {"@context": terms}).expect(201)
    shown = broker.get(f"/entities/{one['id']}", accept=JSON_LD).expect(200).json
    assert "https://example.org/level" not in str(shown["@context"])
    assert shown["https://example.org/level"] == prop(1)


@clause("5.2.3", 1)
def test_geojson_has_a_context_too(broker: BrokerClient, unique: Unique, documents: DocumentServer) -> None:
    context = documents.publish_context(level="https://example.org/level")
    one = entity(unique.id(), unique.type(), location=geo("Point", [1, 2]))
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}", link=context, accept=GEO_JSON).expect(200).json
    assert context in shown["@context"]
