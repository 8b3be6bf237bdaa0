"""Subscriptions as clients write them: what 5.2.12 to 5.2.15 admit, and how they are shown again (5.8.1 to 5.8.3)."""

from typing import Any

import pytest

from broker.delivery.document import check_whole, parse_members, show_document
from broker.delivery.subscription import bind_terms, compile_subscription
from broker.errors import NgsiLdError
from broker.jsonld.terms import CORE
from broker.model.entity import JsonObject
from broker.model.terms import DEFAULT_VOCAB

NOW = "2026-01-01T00:00:00.000000Z"


class Shop:
    """An @context with a vocabulary of its own."""

    def expand(self, name: str) -> str:
        return name if ":" in name else f"https://shop.example/{name}"

    def compact(self, iri: str) -> str:
        return iri.removeprefix("https://shop.example/")


def given(endpoint: JsonObject | None = None, notification: JsonObject | None = None, **members: Any) -> JsonObject:
    """A valid subscription, changed by the arguments; `...` removes a member."""
    document = {
        "id": "urn:ngsi-ld:Subscription:1",
        "type": "Subscription",
        "entities": [{"type": "Building"}],
        "notification": {"endpoint": {"uri": "http://receiver.example/", **(endpoint or {})}, **(notification or {})},
        **members,
    }
    return {member: value for member, value in document.items() if value is not ...}


def stored(document: JsonObject, names: Any = CORE) -> JsonObject:
    members = {"id": "urn:ngsi-ld:Subscription:generated", **parse_members(document, names, NOW)}
    check_whole(members)
    bound = bind_terms(members, names)
    bound |= {"createdAt": NOW, "modifiedAt": NOW, "since": 0}
    bound.setdefault("jsonldContext", "https://context.example/")
    compile_subscription("", bound)
    return bound


VALID: dict[str, JsonObject] = {
    "least": given(),
    "no_id": given(id=...),
    "watched attributes instead of entities": given(entities=..., watchedAttributes=["temperature"]),
    "local only needs neither": given(entities=..., localOnly=True),
    "every type": given(entities=[{"type": "*"}]),
    "every type, local": given(entities=[{"type": "*"}], localOnly=True),
    "several ids": given(entities=[{"type": "T", "id": ["urn:a:1", "urn:a:2"]}]),
    "id pattern": given(entities=[{"type": "T", "idPattern": "^urn:.*7$"}]),
    "type selection": given(entities=[{"type": "(Building;Tower)|House,Hut"}]),
    "all triggers": given(
        notificationTrigger=[
            "entityCreated",
            "entityUpdated",
            "entityDeleted",
            "attributeCreated",
            "attributeUpdated",
            "attributeDeleted",
        ]
    ),
    "period": given(timeInterval=0.5),
    "throttling": given(throttling=3.5, watchedAttributes=["a"]),
    "queries": given(q='name=="a";x.y>3|z~="^a"', scopeQ="/a/+/b", csf="a==1"),
    "geoquery": given(
        geoQ={"georel": "near;maxDistance==2000", "geometry": "Point", "coordinates": [1, 2], "geoproperty": "where"}
    ),
    "geoquery as text": given(
        geoQ={"georel": "within", "geometry": "Polygon", "coordinates": "[[[0,0],[0,1],[1,1],[0,0]]]"}
    ),
    "language": given(lang="fr-CH,fr;q=0.9,*;q=0.5"),
    "datasets": given(datasetId=["@none", "urn:ngsi-ld:Dataset:1"]),
    "future expiry": given(expiresAt="2030-01-01T00:00:00Z"),
    "version": given(ngsildConformance="1.6"),
    "texts": given(
        subscriptionName="n", description="d", expandValues="a,b", jsonKeys="c", q="a==b", splitEntities=False
    ),
    "null members are absent": given(expiresAt=None, throttling=None),
    "read-only and unknown members are ignored": given(
        {"status": 1}, {"timesSent": "x", "lastFailure": 3}, status=5, createdAt=1, __context="http://x", foo={"a": 1}
    ),
    "all of an endpoint": given(
        {
            "accept": "application/geo+json",
            "timeout": 1000,
            "cooldown": 20.5,
            "receiverInfo": [{"key": "Authorization", "value": "Bearer abc"}],
            "notifierInfo": [{"key": "Prefer", "value": "body=json"}],
        }
    ),
    "mqtt": given(
        {"uri": "mqtt://user:p%40ss@broker.example:1884/a/b", "notifierInfo": [{"key": "MQTT-QoS", "value": "2"}]}
    ),
    "show changes": given(notification={"format": "concise", "showChanges": True, "sysAttrs": True}),
    "pick and omit": given(notification={"pick": ["id", "name"], "omit": ["type"]}),
    "projection of linked entities": given(notification={"pick": ["has{name}"], "join": "inline", "joinLevel": 2}),
}


@pytest.mark.parametrize("document", VALID.values(), ids=VALID)
def test_5_2_12_valid_subscriptions_are_taken(document: JsonObject) -> None:
    assert stored(document)["type"] == "Subscription"


INVALID: dict[str, tuple[JsonObject, str]] = {
    "empty": ({}, "type"),
    "other type": (given(type="Entity"), "type"),
    "type missing": (given(type=...), "type"),
    "id is no uri": (given(id="invalidId"), "id"),
    "id is empty": (given(id=""), "id"),
    "notification missing": (given() | {"notification": None}, "notification"),
    "neither entities nor watched attributes": (given(entities=...), "watchedAttributes"),
    "localOnly=false needs entities": (given(entities=..., localOnly=False), "watchedAttributes"),
    "entities empty": (given(entities=[]), "entities"),
    "entities no array": (given(entities={"type": "T"}), "entities"),
    "selector without type": (given(entities=[{"id": "urn:a:1"}]), "entities.type"),
    "selector with a bad id": (given(entities=[{"type": "T", "id": "x"}]), "entities.id"),
    "selector with no ids": (given(entities=[{"type": "T", "id": []}]), "entities.id"),
    "selector with a bad pattern": (given(entities=[{"type": "T", "idPattern": "("}]), "("),
    "selector with a bad type selection": (given(entities=[{"type": "(a;b"}]), "type"),
    "every type but not local": (given(entities=[{"type": "*"}], localOnly=False), "localOnly"),
    "watched empty": (given(watchedAttributes=[]), "watchedAttributes"),
    "watched id": (given(watchedAttributes=["id"]), "watchedAttributes"),
    "watched number": (given(watchedAttributes=[3]), "watchedAttributes"),
    "bad trigger": (given(notificationTrigger=["entityChanged"]), "entityChanged"),
    "no triggers": (given(notificationTrigger=[]), "notificationTrigger"),
    "period and throttling": (given(timeInterval=10, throttling=30), "throttling"),
    "period and watched": (given(timeInterval=10, watchedAttributes=["a"]), "watchedAttributes"),
    "period without entities": (given(timeInterval=10, entities=..., localOnly=False), "entities"),
    "negative throttling": (given(throttling=-30), "throttling"),
    "period zero": (given(timeInterval=0), "timeInterval"),
    "period true": (given(timeInterval=True), "timeInterval"),
    "throttling text": (given(throttling="5"), "throttling"),
    "past expiry": (given(expiresAt="2000-01-01T00:00:00Z"), "expiresAt"),
    "expiry is no instant": (given(expiresAt="tomorrow"), "expiresAt"),
    "isActive text": (given(isActive="yes"), "isActive"),
    "bad q": (given(q="a=="), "q"),
    "bad csf": (given(csf="(("), "csf"),
    "bad scopeQ": (given(scopeQ="//"), "scopeQ"),
    "bad geoquery": (given(geoQ={"georel": "under", "geometry": "Point", "coordinates": [1, 2]}), "georel"),
    "geoquery without coordinates": (given(geoQ={"georel": "within", "geometry": "Point"}), "coordinates"),
    "geoquery text": (given(geoQ="near"), "geoQ"),
    "temporal query": (given(temporalQ={"timerel": "before", "timeAt": NOW}), "temporalQ"),
    "bad lang": (given(lang="?"), "lang"),
    "bad dataset": (given(datasetId=["x"]), "datasetId"),
    "no datasets": (given(datasetId=[]), "datasetId"),
    "bad version": (given(ngsildConformance="new"), "ngsildConformance"),
    "context is no uri": (given(jsonldContext="unknownContext"), "jsonldContext"),
    "ngsi-ld null": (given(description="urn:ngsi-ld:null"), "description"),
    "ngsi-ld null inside": (given(notification={"format": "urn:ngsi-ld:null"}), "notification"),
    "endpoint missing": (given() | {"notification": {}}, "endpoint"),
    "endpoint without uri": (given({"uri": None}), "uri"),
    "endpoint of another scheme": (given({"uri": "ftp://x/y"}), "ftp"),
    "endpoint without host": (given({"uri": "http:///x"}), "host"),
    "endpoint with a bad port": (given({"uri": "http://x:99999/"}), "uri"),
    "endpoint with spaces": (given({"uri": "http://x/a b"}), "uri"),
    "bad accept": (given({"accept": "text/plain"}), "accept"),
    "timeout zero": (given({"timeout": 0}), "timeout"),
    "cooldown text": (given({"cooldown": "1"}), "cooldown"),
    "pair with a number": (given({"receiverInfo": [{"key": "K", "value": 42}]}), "receiverInfo"),
    "pair with an object": (given({"notifierInfo": [{"key": "K", "value": {}}]}), "notifierInfo"),
    "pair without value": (given({"receiverInfo": [{"key": "K"}]}), "receiverInfo"),
    "pair with a numeric key": (given({"receiverInfo": [{"key": 5, "value": "v"}]}), "receiverInfo"),
    "pairs as an object": (given({"receiverInfo": {"key": "a", "value": "b"}}), "receiverInfo"),
    "header with a line break": (given({"receiverInfo": [{"key": "K", "value": "a\r\nHost: b"}]}), "receiverInfo"),
    "header that is no token": (given({"receiverInfo": [{"key": "a b", "value": "c"}]}), "receiverInfo"),
    "header of the framing": (given({"receiverInfo": [{"key": "content-LENGTH", "value": "3"}]}), "content-LENGTH"),
    "mqtt without topic": (given({"uri": "mqtt://broker.example/"}), "topic"),
    "mqtt with a wildcard": (given({"uri": "mqtt://broker.example/a/%2B"}), "topic"),
    "mqtt with a query": (given({"uri": "mqtt://broker.example/a?b=c"}), "query"),
    "mqtt with geojson": (given({"uri": "mqtt://broker.example/a", "accept": "application/geo+json"}), "MQTT"),
    "mqtt quality": (given({"uri": "mqtt://b.example/a", "notifierInfo": [{"key": "MQTT-QoS", "value": "3"}]}), "QoS"),
    "mqtt version": (
        given({"uri": "mqtt://b.example/a", "notifierInfo": [{"key": "MQTT-Version", "value": "5"}]}),
        "Version",
    ),
    "bad format": (given(notification={"format": "pretty"}), "format"),
    "show changes simplified": (given(notification={"format": "simplified", "showChanges": True}), "showChanges"),
    "show changes key values": (given(notification={"format": "keyValues", "showChanges": True}), "showChanges"),
    "attributes empty": (given(notification={"attributes": []}), "attributes"),
    "attributes with type": (given(notification={"attributes": ["type"]}), "attributes"),
    "attributes and pick": (given(notification={"attributes": ["a"], "pick": ["a"]}), "pick"),
    "attributes and omit": (given(notification={"attributes": ["a"], "omit": ["b"]}), "omit"),
    "pick empty": (given(notification={"pick": []}), "pick"),
    "omit empty": (given(notification={"omit": []}), "omit"),
    "pick and omit the same": (given(notification={"pick": ["id"], "omit": ["id"]}), "pick"),
    "pick with bad syntax": (given(notification={"pick": ["a{b"]}), "pick"),
    "projection deeper than join": (given(notification={"pick": ["a{b}"]}), "join"),
    "bad join": (given(notification={"join": "outer"}), "join"),
    "join level zero": (given(notification={"join": "flat", "joinLevel": 0}), "joinLevel"),
    "sysAttrs text": (given(notification={"sysAttrs": "true"}), "sysAttrs"),
}


@pytest.mark.parametrize(("document", "named"), INVALID.values(), ids=INVALID)
def test_5_8_1_what_the_tables_do_not_admit_is_refused_by_name(document: JsonObject, named: str) -> None:
    with pytest.raises(NgsiLdError) as refusal:
        stored(document)
    assert refusal.value.status in (400, 403)
    assert named in refusal.value.detail


def test_5_5_7_names_are_kept_as_iris_and_shown_in_the_readers_context() -> None:
    document = stored(
        given(
            entities=[{"type": "(Building;Tower)|Hut"}],
            watchedAttributes=["height"],
            q="height>3",
            geoQ={"georel": "within", "geometry": "Point", "coordinates": [1, 2], "geoproperty": "where"},
            notification={"pick": ["id", "height|owner{name}"], "join": "inline"},
        ),
        Shop(),
    )
    assert document["watchedAttributes"] == ["https://shop.example/height"]
    assert show_document(document, Shop(), sys_attrs=False)["entities"] == [{"type": "(Building;Tower)|Hut"}]
    shown = show_document(document, CORE, sys_attrs=False)
    assert shown["entities"] == [
        {"type": "(https://shop.example/Building;https://shop.example/Tower)|https://shop.example/Hut"}
    ]
    assert shown["watchedAttributes"] == ["https://shop.example/height"]
    assert shown["geoQ"]["geoproperty"] == "https://shop.example/where"
    assert shown["notification"]["pick"] == [
        "id",
        "https://shop.example/height|https://shop.example/owner{https://shop.example/name}",
    ]
    assert shown["q"] == "height>3"


def test_5_8_1_a_stored_subscription_means_the_same_without_its_context() -> None:
    document = stored(given(q="height>3", watchedAttributes=["height"]), Shop())
    subscription = compile_subscription("", document)
    tower = {
        "id": "urn:t:1",
        "type": ["https://shop.example/Building"],
        "createdAt": NOW,
        "modifiedAt": NOW,
        "version": 1,
    }
    high = {"https://shop.example/height": [{"type": "Property", "value": 4}]}
    default = {DEFAULT_VOCAB + "height": [{"type": "Property", "value": 4}]}
    assert subscription.test({**tower, "attrs": high})  # type: ignore[typeddict-item]
    assert not subscription.test({**tower, "attrs": default})  # type: ignore[typeddict-item]


def test_5_2_12_defaults_are_shown_for_the_triggers_only() -> None:
    shown = show_document(stored(given()), CORE, sys_attrs=False)
    assert shown.keys() == {"id", "type", "entities", "notificationTrigger", "notification", "jsonldContext"}
    assert shown["notificationTrigger"] == ["attributeCreated", "attributeUpdated"]
    assert shown["notification"] == {"endpoint": {"uri": "http://receiver.example/"}}


def test_6_3_11_system_times_are_shown_on_demand() -> None:
    shown = show_document(stored(given()), CORE, sys_attrs=True)
    assert (shown["createdAt"], shown["modifiedAt"]) == (NOW, NOW)


def test_5_8_1_status_follows_from_expiry_and_pause() -> None:
    active = compile_subscription("", stored(given(expiresAt="2026-06-01T00:00:00Z")))
    paused = compile_subscription("", stored(given(isActive=False, expiresAt="2026-06-01T00:00:00Z")))
    assert active.status("2026-05-31T23:59:59Z") == "active"
    assert paused.status("2026-05-31T23:59:59Z") == "paused"
    assert active.status("2026-06-01T00:00:00Z") == "expired"
    assert paused.status("2026-06-01T00:00:00Z") == "expired"
