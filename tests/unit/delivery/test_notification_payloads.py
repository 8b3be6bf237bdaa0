"""Notifications as they are sent (5.3.1, 5.8.6, 6.3.8, 7.2)."""

import uuid
from typing import Any

import orjson
import pytest
from delivery_samples import NOW, entity, iri, subscription

from broker.delivery.payload import Message, changed_entity, make_message, notification_id
from broker.jsonld.terms import CORE
from broker.model.change import Change, Touch
from broker.model.dataspace import snapshot_space
from broker.model.entity import Entity, Instance
from broker.model.patches import make_change
from broker.model.terms import LOCATION

AT = "2026-02-02T00:00:00.000000Z"
NULL = "urn:ngsi-ld:null"
CONTEXT = "https://context.example/c.jsonld"
TIMES = {"createdAt": NOW, "modifiedAt": NOW}


class Default:
    """Names in the default vocabulary, compacted."""

    def expand(self, name: str) -> str:
        return iri(name)

    def compact(self, name: str) -> str:
        return CORE.compact(name)


def property_(value: Any, **members: Any) -> Instance:
    return {"type": "Property", "value": value, **TIMES, **members}


BEFORE = {
    iri("name"): [property_("Eiffel Tower"), property_("Tour", datasetId="urn:d:fr")],
    iri("level"): [property_(4, unitCode="C62")],
    iri("street"): [{"type": "LanguageProperty", "languageMap": {"fr": "Rue"}, **TIMES}],
    iri("in"): [{"type": "Relationship", "object": "urn:c:1", **TIMES}],
    iri("kind"): [{"type": "VocabProperty", "vocab": iri("monument"), **TIMES}],
    iri("raw"): [{"type": "JsonProperty", "json": {"a": None}, **TIMES}],
    iri("list"): [{"type": "ListProperty", "valueList": [1, 2], **TIMES}],
    iri("links"): [{"type": "ListRelationship", "objectList": ["urn:c:1"], **TIMES}],
    LOCATION: [{"type": "GeoProperty", "value": {"type": "Point", "coordinates": [1, 2]}, **TIMES}],
}


def whole(attrs: dict[str, list[Instance]]) -> Entity:
    return {**entity(), "attrs": attrs}


def without(*names: str) -> Change:
    """The change in which default instances of these attributes were deleted."""
    gone = {LOCATION if name == "location" else iri(name) for name in names}
    after = {
        name: rest
        for name, instances in BEFORE.items()
        if (rest := [one for one in instances if name not in gone or "datasetId" in one])
    }
    touched = [Touch(name, None, "attributeDeleted") for name in gone]
    return make_change("", whole(BEFORE), whole(after), touched, AT)


def message(change: Change | Entity, linked: dict[str, Entity] | None = None, /, **members: Any) -> Message:
    notification = {"endpoint": {"uri": "http://r/", **members.pop("endpoint", {})}, **members.pop("notification", {})}
    wanted = subscription(notification=notification, **members)
    shown = changed_entity(wanted, change) if isinstance(change, Change) else change
    return make_message(wanted, [shown], linked or {}, CORE, CONTEXT, CONTEXT, occasion="7", now=AT)


def shown(change: Change | Entity, /, **members: Any) -> dict[str, Any]:
    (one,) = message(change, **members).body["data"]
    return dict(one)


def test_5_3_1_members_of_a_notification() -> None:
    body = message(without("level")).body
    assert body.keys() == {"id", "type", "subscriptionId", "notifiedAt", "data"}
    assert (body["type"], body["subscriptionId"], body["notifiedAt"]) == ("Notification", "urn:s:1", AT)
    assert body["id"].startswith("urn:ngsi-ld:Notification:")
    assert body["id"] == message(without("level")).body["id"]


@pytest.mark.parametrize(
    ("name", "null"),
    [
        ("level", {"type": "Property", "value": NULL}),
        ("location", {"type": "GeoProperty", "value": NULL}),
        ("in", {"type": "Relationship", "object": NULL}),
        ("street", {"type": "LanguageProperty", "languageMap": {"@none": NULL}}),
        ("kind", {"type": "VocabProperty", "vocab": NULL}),
        ("raw", {"type": "JsonProperty", "json": NULL}),
        ("list", {"type": "ListProperty", "valueList": [NULL]}),
        ("links", {"type": "ListRelationship", "objectList": [NULL]}),
    ],
)
def test_5_8_6_a_deleted_attribute_is_a_null(name: str, null: dict[str, Any]) -> None:
    assert shown(without(name))[name] == null
    assert shown(without(name), notification={"format": "concise"})[name] == NULL
    assert shown(without(name), notification={"format": "simplified"})[name] == NULL
    assert shown(without(name), notification={"format": "keyValues"})[name] == NULL


def test_5_8_6_a_deleted_instance_is_told_with_its_dataset_beside_the_others() -> None:
    after = {**BEFORE, iri("name"): BEFORE[iri("name")][:1]}
    change = make_change("", whole(BEFORE), whole(after), [Touch(iri("name"), "urn:d:fr", "attributeDeleted")], AT)
    assert shown(change)["name"] == [
        {"type": "Property", "value": "Eiffel Tower"},
        {"type": "Property", "value": NULL, "datasetId": "urn:d:fr"},
    ]
    assert shown(change, notification={"format": "simplified"})["name"] == {
        "dataset": {"@none": "Eiffel Tower", "urn:d:fr": NULL}
    }
    assert shown(change, datasetId=["urn:d:fr"])["name"] == {"type": "Property", "value": NULL, "datasetId": "urn:d:fr"}
    assert "name" in shown(change, datasetId=["@none"])
    assert "level" not in shown(change, datasetId=["urn:d:fr"])


def test_5_8_6_system_times_of_a_deleted_attribute() -> None:
    assert shown(without("level"), notification={"sysAttrs": True})["level"] == {
        "type": "Property",
        "value": NULL,
        **TIMES,
        "deletedAt": AT,
    }
    assert shown(without("level"), notification={"sysAttrs": True, "format": "concise"})["level"] == {
        "value": NULL,
        **TIMES,
        "deletedAt": AT,
    }


@pytest.mark.parametrize(
    ("name", "new", "previous"),
    [
        ("level", {"type": "Property", "value": 5}, {"previousValue": 4}),
        ("in", {"type": "Relationship", "object": "urn:c:2"}, {"previousObject": "urn:c:1"}),
        (
            "street",
            {"type": "LanguageProperty", "languageMap": {"es": "Calle"}},
            {"previousLanguageMap": {"fr": "Rue"}},
        ),
        ("kind", {"type": "VocabProperty", "vocab": iri("museum")}, {"previousVocab": "monument"}),
        ("raw", {"type": "JsonProperty", "json": [1]}, {"previousJson": {"a": None}}),
        ("list", {"type": "ListProperty", "valueList": [3]}, {"previousValueList": [1, 2]}),
        (
            "links",
            {"type": "ListRelationship", "objectList": ["urn:c:2"]},
            {"previousObjectList": [{"object": "urn:c:1"}]},
        ),
    ],
)
def test_5_2_14_show_changes_adds_the_previous_value(name: str, new: Instance, previous: dict[str, Any]) -> None:
    after = {**BEFORE, iri(name): [{**new, **TIMES}]}
    change = make_change("", whole(BEFORE), whole(after), [Touch(iri(name), None, "attributeUpdated")], AT)
    told = shown(change, notification={"showChanges": True})
    assert {member: value for member, value in told[name].items() if member.startswith("previous")} == previous
    assert not any(member.startswith("previous") for member in told["in" if name == "level" else "level"])
    assert not any(member.startswith("previous") for member in shown(change)[name])


def test_5_2_14_show_changes_of_a_deleted_attribute() -> None:
    assert shown(without("level"), notification={"showChanges": True})["level"] == {
        "type": "Property",
        "value": NULL,
        "previousValue": 4,
    }
    assert shown(without("level"), notification={"showChanges": True, "format": "concise"})["level"] == {
        "value": NULL,
        "previousValue": 4,
    }


def test_5_2_14_there_is_no_previous_value_of_what_was_created() -> None:
    change = make_change("", None, whole(BEFORE), (), AT)
    assert "previous" not in orjson.dumps(shown(change, notification={"showChanges": True})).decode()


DELETION = make_change("", whole(BEFORE), None, (), AT)


def test_5_8_6_a_deleted_entity_is_told_by_its_deletion_alone() -> None:
    triggered = {"notificationTrigger": ["entityDeleted"]}
    assert shown(DELETION, **triggered) == {"id": "urn:d:1", "type": "Device", "deletedAt": AT}
    for representation in ("normalized", "concise", "simplified"):
        settings = {"sysAttrs": True, "format": representation}
        assert shown(DELETION, notification=settings, **triggered) == {
            "id": "urn:d:1",
            "type": "Device",
            "deletedAt": AT,
            **TIMES,
        }


def test_5_8_6_a_deleted_entity_with_show_changes_tells_all_previous_values() -> None:
    told = shown(DELETION, notificationTrigger=["entityDeleted"], notification={"showChanges": True})
    assert told["deletedAt"] == AT
    assert told["level"] == {"type": "Property", "value": NULL, "previousValue": 4}
    assert told["street"] == {
        "type": "LanguageProperty",
        "languageMap": {"@none": NULL},
        "previousLanguageMap": {"fr": "Rue"},
    }
    assert told["kind"] == {"type": "VocabProperty", "vocab": NULL, "previousVocab": "monument"}
    assert [one["previousValue"] for one in told["name"]] == ["Eiffel Tower", "Tour"]


def test_5_8_6_attribute_triggers_tell_the_watched_attributes_of_a_deleted_entity() -> None:
    told = shown(DELETION, notificationTrigger=["attributeDeleted"], watchedAttributes=["level"])
    assert told == {"id": "urn:d:1", "type": "Device", "deletedAt": AT, "level": {"type": "Property", "value": NULL}}


def test_5_2_14_attributes_pick_and_omit() -> None:
    small = entity(name="n", level=1)
    assert shown(small, notification={"attributes": ["level"]}).keys() == {"id", "type", "level"}
    assert shown(small, notification={"pick": ["id", "name"]}).keys() == {"id", "name"}
    assert shown(small, notification={"omit": ["type", "name"]}).keys() == {"id", "level"}


def test_4_15_a_language_is_chosen() -> None:
    told = shown(whole({iri("street"): BEFORE[iri("street")]}), lang="fr")
    assert told["street"] == {"type": "Property", "value": "Rue", "lang": "fr"}


def test_4_5_23_linked_entities_inline_and_flat() -> None:
    linking = whole({iri("in"): BEFORE[iri("in")]})
    city = entity("urn:c:1", ("City",), name="Paris")
    flat = message(linking, {"urn:c:1": city}, notification={"join": "flat"}).body["data"]
    assert [one["id"] for one in flat] == ["urn:d:1", "urn:c:1"]
    (inline,) = message(linking, {"urn:c:1": city}, notification={"join": "inline"}).body["data"]
    assert inline["in"]["entity"]["name"] == {"type": "Property", "value": "Paris"}


def test_6_3_8_json_has_its_context_in_the_link_header() -> None:
    sent = message(without("level"))
    assert sent.http_headers() == {
        "Content-Type": "application/json",
        "Link": f'<{CONTEXT}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"',
    }
    assert b"@context" not in sent.http_body()


@pytest.mark.parametrize("tenant", ["", "north"])
def test_6_3_22_a_notification_of_a_snapshot_names_it_beside_its_tenant(tenant: str) -> None:
    told = message(without("level"), tenant=snapshot_space(tenant, "urn:ngsi-ld:Snapshot:1", "a"))
    for information in (told.http_headers(), orjson.loads(told.mqtt_payload())["metadata"]):
        assert information["NGSILD-Snapshot"] == "urn:ngsi-ld:Snapshot:1"
        assert information.get("NGSILD-Tenant", "") == tenant
    assert "NGSILD-Snapshot" not in message(without("level"), tenant=tenant).http_headers()


def test_6_3_8_json_ld_has_its_context_in_the_body_only() -> None:
    sent = message(without("level"), endpoint={"accept": "application/ld+json"})
    assert sent.http_headers() == {"Content-Type": "application/ld+json"}
    assert sent.body["@context"] == CONTEXT
    assert sent.body["data"][0]["@context"] == CONTEXT


def test_5_3_1_geojson_is_a_feature_collection_with_its_context() -> None:
    sent = message(without("level"), endpoint={"accept": "application/geo+json"})
    assert sent.http_headers() == {"Content-Type": "application/geo+json"}
    data = sent.body["data"]
    assert (data["type"], data["@context"]) == ("FeatureCollection", CONTEXT)
    (feature,) = data["features"]
    assert feature["geometry"] == {"type": "Point", "coordinates": [1, 2]}
    assert feature["properties"]["level"] == {"type": "Property", "value": NULL}
    assert "@context" not in feature


def test_6_3_8_prefer_body_json_takes_the_context_out_of_geojson() -> None:
    prefer = [{"key": "Prefer", "value": "body=json"}]
    sent = message(without("level"), endpoint={"accept": "application/geo+json", "receiverInfo": prefer})
    assert "@context" not in sent.body["data"]
    assert sent.http_headers().keys() == {"Content-Type", "Link", "Prefer"}
    other = [{"key": "Prefer", "value": "body=ld+json"}]
    sent = message(without("level"), endpoint={"accept": "application/geo+json", "receiverInfo": other})
    assert "@context" in sent.body["data"]


def test_a_deleted_location_leaves_a_feature_without_geometry() -> None:
    data = message(without("location"), endpoint={"accept": "application/geo+json"}).body["data"]
    assert data["features"][0]["geometry"] is None


def test_7_2_mqtt_has_everything_in_one_object() -> None:
    sent = message(without("level"), endpoint={"receiverInfo": [{"key": "k", "value": "v"}]})
    payload = orjson.loads(sent.mqtt_payload())
    assert payload.keys() == {"metadata", "body"}
    assert payload["body"] == sent.body
    assert payload["metadata"] == {**sent.http_headers()}


NEW_THINGS = whole(
    {
        iri("raw"): [{"type": "JsonProperty", "json": {"a": 1}}],
        iri("kind"): [{"type": "VocabProperty", "vocab": [iri("x")]}],
        iri("many"): [{"type": "ListProperty", "valueList": [1]}],
        iri("links"): [{"type": "ListRelationship", "objectList": ["urn:c:1"]}],
        iri("word"): [{"type": "LanguageProperty", "languageMap": {"en": "t"}}],
        iri("one"): [property_(1, datasetId="urn:d:1"), property_(2, observedAt=NOW, unitCode="C", valueType=iri("V"))],
    }
) | {"scope": ["/a"], "type": [iri("Device"), iri("Sensor")]}


@pytest.mark.parametrize(
    ("version", "members"),
    [
        ("1.9", {"raw": "JsonProperty", "word": "LanguageProperty", "scope": True, "types": 2, "one": 2}),
        ("1.7", {"raw": "Property", "word": "LanguageProperty", "scope": True, "types": 2, "one": 2}),
        ("1.3", {"raw": "Property", "word": "Property", "scope": False, "types": 2, "one": 2}),
        ("1.0", {"raw": "Property", "word": "Property", "scope": False, "types": 1, "one": 1}),
    ],
)
def test_4_3_6_8_receivers_of_earlier_versions_get_what_these_know(version: str, members: dict[str, Any]) -> None:
    told = shown(NEW_THINGS, ngsildConformance=version)
    assert told["raw"]["type"] == members["raw"]
    assert told["word"]["type"] == members["word"]
    assert ("scope" in told) is members["scope"]
    assert (2 if isinstance(told["type"], list) else 1) == members["types"]
    assert (len(told["one"]) if isinstance(told["one"], list) else 1) == members["one"]
    if version == "1.0":
        assert told["one"] == {"type": "Property", "value": 2}
    if version == "1.7":
        assert told["kind"] == {"type": "Property", "value": ["x"]}
        assert told["links"] == {"type": "Relationship", "object": ["urn:c:1"]}
        assert told["many"] == {"type": "Property", "value": [1]}


def test_4_3_6_8_an_attribute_that_is_gone_is_told_in_the_kind_of_the_version() -> None:
    assert shown(without("street"), ngsildConformance="1.9")["street"]["type"] == "LanguageProperty"
    assert shown(without("street"), ngsildConformance="1.3")["street"] == {"type": "Property", "value": NULL}
    assert shown(without("links"), ngsildConformance="1.7")["links"] == {"type": "Relationship", "object": NULL}


def test_4_3_6_8_the_language_and_the_dataset_are_chosen_before() -> None:
    assert shown(NEW_THINGS, ngsildConformance="1.3", lang="en")["word"] == {"type": "Property", "value": "t"}
    assert shown(NEW_THINGS, ngsildConformance="1.2", datasetId=["urn:d:1"])["one"] == {"type": "Property", "value": 1}


@pytest.mark.parametrize("occasion", ["7", "7,8,9", "2026-02-02T00:00:00.000000Z urn:ngsi-ld:Device:é"])
def test_the_id_of_a_notification_is_the_uuid_of_its_subscription_and_its_occasion(occasion: str) -> None:
    one = subscription()
    space = uuid.UUID("8f4f2f43-0f5b-5c0b-9a86-52a1c4d1b1a6")
    named = uuid.uuid5(space, f"{one.tenant}\n{one.id}\n{occasion}")
    assert notification_id(one, occasion) == f"urn:ngsi-ld:Notification:{named}"
