"""4.8 Temporal Properties, and the output-only members of each kind of attribute (tables 5.2.x-2).

The members that all elements have in common are in test_5_2_02_common_members.
"""

import re
from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, prop, rel
from conformance.servers import DocumentServer, Receiver, eventually
from conformance.suite.kinds import Kind, each_kind

_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")
_LONG_AGO = "1999-01-01T00:00:00Z"


@clause("4.8", 1, 2)
@clause("5.2.2", 1)
def test_entities_and_attributes_have_the_times_of_creation_and_modification(
    broker: BrokerClient, unique: Unique
) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(5), driver=rel("urn:ngsi-ld:Person:1"))
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}", {"options": "sysAttrs"}).expect(200).json
    for part in (shown, shown["speed"], shown["driver"]):
        assert _DATE_TIME.fullmatch(part["createdAt"])
        assert _DATE_TIME.fullmatch(part["modifiedAt"])


@clause("4.8", 1)
@clause("5.2.2", 1)
def test_a_change_moves_the_modification_and_leaves_the_creation(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(5), height=prop(2))
    broker.post("/entities", one).expect(201)
    before = broker.get(f"/entities/{one['id']}", {"options": "sysAttrs"}).expect(200).json
    broker.patch(f"/entities/{one['id']}/attrs", {"speed": prop(6)}).expect(204)
    after = broker.get(f"/entities/{one['id']}", {"options": "sysAttrs"}).expect(200).json
    assert after["createdAt"] == before["createdAt"]
    assert after["modifiedAt"] > before["modifiedAt"]
    assert after["speed"]["modifiedAt"] > before["speed"]["modifiedAt"]
    assert after["height"] == before["height"]


@pytest.mark.parametrize("format_", ["normalized", "concise", "simplified"])
@clause("5.2.2", 3)
def test_common_members_are_shown_only_where_they_are_asked_for(
    broker: BrokerClient, unique: Unique, format_: str
) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(5, source=prop("GPS")), driver=rel("urn:ngsi-ld:Person:1"))
    broker.post("/entities", one).expect(201)
    one_by_id = broker.get(f"/entities/{one['id']}", {"format": format_}).expect(200)
    by_type = broker.get("/entities", {"type": one["type"], "format": format_}).expect(200)
    for shown in (one_by_id, by_type):
        assert b"createdAt" not in shown.body
        assert b"modifiedAt" not in shown.body
        assert b"deletedAt" not in shown.body


@pytest.mark.parametrize(
    "observed_at", ["2026-03-14T01:59:26Z", "2026-03-14T01:59:26.5Z", "2026-03-14T01:59:26.535123Z"]
)
@clause("4.8", 1, 2)
def test_observed_at_is_kept(broker: BrokerClient, unique: Unique, observed_at: str) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(5, observedAt=observed_at))
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}").expect(200).json["speed"]["observedAt"]
    assert shown.rstrip("Z0") == observed_at.rstrip("Z0")


@clause("4.8", 1, 2)
@clause("5.2.4", 1)
def test_an_entity_may_say_when_it_expires(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), expiresAt="2099-01-01T00:00:00Z", speed=prop(5))
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}", {"options": "sysAttrs"}).expect(200).json
    assert shown["expiresAt"].startswith("2099-01-01T00:00:00")


@clause("4.8", 1, 2)
@clause("5.2.2", 1)
def test_a_notification_of_a_deletion_says_when(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    subscription = {
        "type": "Subscription",
        "entities": [{"type": unique.type()}],
        "notificationTrigger": ["entityDeleted"],
        "notification": {"endpoint": {"uri": receiver.url}, "sysAttrs": True},
    }
    broker.post("/subscriptions", subscription).expect(201)
    one = entity(unique.id(), unique.type(), speed=prop(5))
    broker.post("/entities", one).expect(201)
    broker.delete(f"/entities/{one['id']}").expect(204)
    assert _DATE_TIME.fullmatch(receiver.next_json()["data"][0]["deletedAt"])


# --- output-only members of attributes


@pytest.mark.parametrize("kind", each_kind(6))
def test_an_attribute_has_system_times_where_they_are_asked_for(
    broker: BrokerClient, unique: Unique, kind: Kind
) -> None:
    one = entity(unique.id(), unique.type(), told=kind.one)
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}", {"options": "sysAttrs"}).expect(200).json["told"]
    assert shown.keys() - kind.one.keys() == {"createdAt", "modifiedAt"}
    assert _DATE_TIME.fullmatch(shown["createdAt"])
    assert _DATE_TIME.fullmatch(shown["modifiedAt"])


@pytest.mark.parametrize("kind", each_kind(6))
def test_an_instance_in_the_temporal_representation_has_an_id(broker: BrokerClient, unique: Unique, kind: Kind) -> None:
    one = entity(unique.id(), unique.type(), told=kind.one)
    broker.post("/entities", one).expect(201)
    shown = eventually(lambda: broker.get(f"/temporal/entities/{one['id']}").expect(200).json["told"])
    instance = shown[0] if isinstance(shown, list) else shown
    assert ":" in instance["instanceId"]
    assert instance[kind.value] == kind.one[kind.value]


@pytest.mark.parametrize("kind", each_kind(6))
def test_a_notification_shows_the_previous_value_where_changes_are_asked_for(
    broker: BrokerClient, unique: Unique, receiver: Receiver, kind: Kind
) -> None:
    one = entity(unique.id(), unique.type(), told=kind.one)
    broker.post("/entities", one).expect(201)
    subscription = {
        "type": "Subscription",
        "entities": [{"type": unique.type()}],
        "notification": {"endpoint": {"uri": receiver.url}, "showChanges": True},
    }
    broker.post("/subscriptions", subscription).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs", {"told": kind.other}).expect(204)
    shown = receiver.next_json()["data"][0]["told"]
    assert shown == {**kind.other, kind.previous: kind.one[kind.value]}


@clause("5.2.32", 8)
@clause("5.2.35", 6)
@clause("4.5.20.2", 1)
def test_previous_texts_and_terms_are_shown_like_present_ones(
    broker: BrokerClient, unique: Unique, receiver: Receiver, documents: DocumentServer
) -> None:
    context = documents.publish_context(male=f"https://example.org/{unique.name('male')}")
    told = {"type": "VocabProperty", "vocab": "male"}
    said = {"type": "LanguageProperty", "languageMap": {"en": ["yes", "aye"], "ja": "はい"}}
    one = entity(unique.id(), unique.type(), told=told, said=said)
    broker.post("/entities", one, link=context).expect(201)
    subscription = {
        "type": "Subscription",
        "entities": [{"type": unique.type()}],
        "notification": {"endpoint": {"uri": receiver.url}, "showChanges": True},
    }
    broker.post("/subscriptions", subscription, link=context).expect(201)
    changed = {"told": {**told, "vocab": "female"}, "said": {**said, "languageMap": {"en": "no"}}}
    broker.patch(f"/entities/{one['id']}/attrs", changed, link=context).expect(204)
    shown = receiver.next_json()["data"][0]
    assert shown["told"]["previousVocab"] == "male"
    assert shown["said"]["previousLanguageMap"] == {"en": ["yes", "aye"], "ja": "はい"}


@pytest.mark.parametrize("member", ["createdAt", "modifiedAt", "deletedAt", "instanceId", "previous"])
@pytest.mark.parametrize("kind", each_kind(7))
def test_output_only_members_that_a_client_provides_are_ignored(
    broker: BrokerClient, unique: Unique, kind: Kind, member: str
) -> None:
    given: dict[str, Any] = {
        "instanceId": {"instanceId": "urn:ngsi-ld:Instance:mine"},
        "previous": {kind.previous: kind.other[kind.value]},
    }.get(member, {member: _LONG_AGO})
    one = entity(unique.id(), unique.type(), told={**kind.one, **given})
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "told": kind.one})
    broker.patch(f"/entities/{one['id']}/attrs", {"told": {**kind.other, **given}}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "told": kind.other})
    shown = broker.get(f"/entities/{one['id']}", {"options": "sysAttrs"}).json["told"]
    assert _LONG_AGO not in shown.values()


@pytest.mark.parametrize(
    ("member", "given"), [("entity", {"id": "urn:ngsi-ld:Person:1", "type": "Person"}), ("entity", [])], ids=str
)
@clause("5.2.6", 7)
def test_an_inline_entity_that_a_client_provides_is_ignored(
    broker: BrokerClient, unique: Unique, member: str, given: Any
) -> None:
    one = entity(unique.id(), unique.type(), driver=rel("urn:ngsi-ld:Person:1"))
    broker.post("/entities", {**one, "driver": {**one["driver"], member: given}}).expect(201)
    broker.get(f"/entities/{one['id']}").expect_json(one)


@clause("5.2.37", 7)
def test_inline_entities_of_a_list_that_a_client_provides_are_ignored(broker: BrokerClient, unique: Unique) -> None:
    stops = {"type": "ListRelationship", "objectList": [{"object": "urn:ngsi-ld:Stop:1"}]}
    one = entity(unique.id(), unique.type(), stops=stops)
    given = {**stops, "entityList": [{"id": "urn:ngsi-ld:Stop:1", "type": "Stop"}]}
    broker.post("/entities", {**one, "stops": given}).expect(201)
    broker.get(f"/entities/{one['id']}").expect_json(one)
