"""4.3.6.8 Answers in earlier versions of NGSI-LD, as 5.7.1.4, 5.7.2.4, 6.4.3.2, 6.5.3.1 and 6.23.3.1 have them."""

from typing import Any

import pytest

from conformance.broker_client import GEO_JSON, JSON, JSON_LD, BrokerClient
from conformance.clauses import clause
from conformance.samples import (
    Document,
    Unique,
    entity,
    geo,
    instant,
    json_prop,
    lang,
    list_prop,
    list_rel,
    prop,
    rel,
    vocab,
)

TARGETS = ["urn:ngsi-ld:Person:1", "urn:ngsi-ld:Person:2"]
SEEN = "2026-03-01T12:00:00Z"
FOREVER = "2090-01-01T00:00:00Z"


def prefer(version: str) -> dict[str, str]:
    """The header that asks for a version."""
    return {"Prefer": f"ngsi-ld={version}"}


@clause("4.3.6.8", 4, 5)
@clause("5.7.1.4", 12)
@clause("6.5.3.1", 9)
@pytest.mark.parametrize(
    ("given", "version", "expected"),
    [
        (lang({"en": "Bridge", "ja": "橋"}), "1.3", prop({"en": "Bridge", "ja": "橋"})),
        (lang({"en": ["a", "b"]}), "1.0", prop({"en": ["a", "b"]})),
        (json_prop({"a": [1, {"b": True}]}), "1.7", prop({"a": [1, {"b": True}]})),
        (json_prop([1, 2]), "1.3", prop([1, 2])),
        (vocab("male"), "1.7", prop("male")),
        (vocab(["male", "female"]), "1.4", prop(["male", "female"])),
        (list_prop([1, "a", [2]]), "1.7", prop([1, "a", [2]])),
        (list_rel(TARGETS), "1.7", rel(TARGETS)),
        (list_rel(TARGETS), "1.3", rel(TARGETS)),
    ],
)
def test_a_kind_that_a_version_does_not_know_is_reformatted(
    broker: BrokerClient, unique: Unique, given: Document, version: str, expected: Document
) -> None:
    one = entity(unique.id(), unique.type(), thing=given)
    broker.post("/entities", one).expect(201)
    answer = broker.get(f"/entities/{one['id']}", headers=prefer(version)).expect(203)
    assert answer.header("Preference-Applied") == f"ngsi-ld={version}"
    shown = answer.json["thing"]
    assert shown["type"] == expected["type"]
    member = "value" if expected["type"] == "Property" else "object"
    assert [shown.get(member)] == [expected[member]]
    assert shown.keys() == {"type", member}


@clause("4.3.6.8", 11)
@clause("5.7.1.4", 12)
@pytest.mark.parametrize(
    ("given", "version"),
    [
        (lang({"en": "Bridge"}), "1.4"),
        (json_prop({"a": 1}), "1.8"),
        (vocab("male"), "1.8"),
        (list_prop([1, 2]), "1.8"),
        (list_rel(TARGETS), "1.8"),
        (prop(1), "1.0"),
        (rel(TARGETS[0]), "1.0"),
        (geo("Point", [1, 2]), "1.0"),
        (prop(1, unitCode="MTR", observedAt=SEEN, datasetId="urn:x:1"), "1.3"),
        (rel(TARGETS[0], objectType="Person"), "1.8"),
        (prop(1, valueType="Integer"), "1.9"),
    ],
)
def test_what_a_version_knows_is_left_as_it_is(
    broker: BrokerClient, unique: Unique, given: Document, version: str
) -> None:
    one = entity(unique.id(), unique.type(), thing=given)
    broker.post("/entities", one).expect(201)
    newest = broker.get(f"/entities/{one['id']}").expect(200).json
    answer = broker.get(f"/entities/{one['id']}", headers=prefer(version)).expect(200)
    assert answer.header("Preference-Applied") == f"ngsi-ld={version}"
    assert answer.json == newest


@clause("4.3.6.8", 9, 10, 6)
@clause("5.7.1.4", 12)
@pytest.mark.parametrize(
    ("make", "member", "value", "version"),
    [
        (prop, "unitCode", "MTR", "1.2"),
        (prop, "observedAt", SEEN, "1.2"),
        (rel, "observedAt", SEEN, "1.0"),
        (prop, "datasetId", "urn:x:1", "1.2"),
        (rel, "datasetId", "urn:x:1", "1.0"),
        (prop, "valueType", "Integer", "1.8"),
        (rel, "objectType", "Person", "1.7"),
        (prop, "expiresAt", FOREVER, "1.8"),
        (rel, "expiresAt", FOREVER, "1.8"),
    ],
)
def test_a_member_that_a_version_does_not_know_is_left_out(
    broker: BrokerClient, unique: Unique, make: Any, member: str, value: str, version: str
) -> None:
    plain = make(TARGETS[0])
    one = entity(unique.id(), unique.type(), thing={**plain, member: value})
    broker.post("/entities", one).expect(201)
    query = {"options": "sysAttrs"} if member == "expiresAt" else {}
    newest = broker.get(f"/entities/{one['id']}", query).expect(200).json["thing"]
    assert member in newest
    shown = broker.get(f"/entities/{one['id']}", query, headers=prefer(version)).expect(203).json["thing"]
    assert shown == {name: part for name, part in newest.items() if name != member}


@clause("4.3.6.8", 6)
@clause("5.7.1.4", 12)
def test_there_is_no_scope_before_1_4(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), scope=["/a", "/b"], level=prop(1))
    broker.post("/entities", one).expect(201)
    older = broker.get(f"/entities/{one['id']}", headers=prefer("1.3")).expect(203).json
    assert older == entity(one["id"], unique.type(), level=prop(1))
    assert broker.get(f"/entities/{one['id']}", headers=prefer("1.4")).expect(200).json["scope"] == ["/a", "/b"]


@clause("4.3.6.8", 6)
def test_no_entity_expires_before_1_9(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), expiresAt=FOREVER, level=prop(1))
    broker.post("/entities", one).expect(201)
    query = {"options": "sysAttrs"}
    newest = broker.get(f"/entities/{one['id']}", query).expect(200).json
    assert instant(newest["expiresAt"]) == instant(FOREVER)
    older = broker.get(f"/entities/{one['id']}", query, headers=prefer("1.8")).expect(203).json
    assert "expiresAt" not in older
    assert older["level"]["value"] == 1


@clause("4.3.6.8", 7)
@pytest.mark.parametrize(("version", "types"), [("1.0", 1), ("1.2", 1), ("1.3", 2), ("1.9", 2)])
def test_before_1_3_an_entity_has_its_first_type(
    broker: BrokerClient, unique: Unique, version: str, types: int
) -> None:
    names = [unique.type("Zoo"), unique.type("Aquarium")]
    one = entity(unique.id(), names)
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}", headers=prefer(version)).expect(200, 203).json["type"]
    if types == 1:
        assert shown in (names[0], names[:1])
    else:
        assert sorted(shown) == sorted(names)


@clause("4.3.6.8", 8)
@pytest.mark.parametrize("version", ["1.0", "1.2"])
@pytest.mark.parametrize("make", [prop, rel])
def test_before_1_3_an_attribute_has_its_default_instance(
    broker: BrokerClient, unique: Unique, version: str, make: Any
) -> None:
    instances = [make("urn:x:one", datasetId="urn:d:1"), make("urn:x:default"), make("urn:x:two", datasetId="urn:d:2")]
    one = entity(unique.id(), unique.type(), thing=instances)
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}", headers=prefer(version)).expect(203).json["thing"]
    assert shown in (make("urn:x:default"), [make("urn:x:default")])
    assert len(broker.get(f"/entities/{one['id']}", headers=prefer("1.3")).expect(200).json["thing"]) == 3


@clause("4.3.6.8", 8)
def test_before_1_3_an_attribute_without_default_instance_has_one_all_the_same(
    broker: BrokerClient, unique: Unique
) -> None:
    instances = [prop(1, datasetId="urn:d:1"), prop(2, datasetId="urn:d:2")]
    one = entity(unique.id(), unique.type(), thing=instances)
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}", headers=prefer("1.2")).expect(203).json["thing"]
    assert shown in (prop(1), prop(2), [prop(1)], [prop(2)])


@clause("4.3.6.8", 2)
def test_attributes_of_attributes_are_amended_too(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), thing=prop(1, label=lang({"en": "a"}), note=json_prop({"a": 1})))
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}", headers=prefer("1.3")).expect(203).json["thing"]
    assert shown == prop(1, label=prop({"en": "a"}), note=prop({"a": 1}))


@clause("4.3.6.8", 2, 3)
@clause("5.7.1.4", 12)
@pytest.mark.parametrize("accept", [JSON, JSON_LD])
def test_both_media_types_are_amended(broker: BrokerClient, unique: Unique, accept: str) -> None:
    one = entity(unique.id(), unique.type(), name=lang({"en": "a"}))
    broker.post("/entities", one).expect(201)
    answer = broker.get(f"/entities/{one['id']}", accept=accept, headers=prefer("1.3")).expect(203)
    assert answer.header("Preference-Applied") == "ngsi-ld=1.3"
    assert answer.media_type == accept
    assert answer.json["name"] == prop({"en": "a"})
    assert ("@context" in answer.json) is (accept == JSON_LD)


@clause("4.3.6.8", 2)
@pytest.mark.parametrize("form", ["concise", "simplified"])
def test_other_representations_are_amended(broker: BrokerClient, unique: Unique, form: str) -> None:
    one = entity(unique.id(), unique.type(), name=lang({"en": "a"}), scope="/a")
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}", {"format": form}, headers=prefer("1.3")).expect(203).json
    assert shown["name"] in ({"en": "a"}, {"value": {"en": "a"}})
    assert "scope" not in shown


@clause("4.3.6.8", 2, 3)
@clause("5.7.2.4", 23)
@clause("6.4.3.2", 16)
def test_queries_amend_every_entity(broker: BrokerClient, unique: Unique) -> None:
    given = [entity(unique.id(), unique.type(), name=lang({"en": text})) for text in ("a", "b")]
    given.append(entity(unique.id(), unique.type(), level=prop(1)))
    for each in given:
        broker.post("/entities", each).expect(201)
    answer = broker.get("/entities", {"type": unique.type()}, headers=prefer("1.3")).expect(203)
    assert answer.header("Preference-Applied") == "ngsi-ld=1.3"
    shown = sorted(answer.json, key=lambda each: str(each["id"]))
    assert [each.get("name") for each in shown] == [prop({"en": "a"}), prop({"en": "b"}), None]
    assert shown[2] == given[2]


@clause("5.7.2.4", 23)
@clause("6.23.3.1", 3)
def test_queries_by_post_amend_every_entity(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), size=list_prop([1, 2]), friends=list_rel(TARGETS))
    broker.post("/entities", one).expect(201)
    query = {"type": "Query", "entities": [{"type": unique.type()}]}
    answer = broker.post("/entityOperations/query", query, headers=prefer("1.7")).expect(203)
    assert answer.header("Preference-Applied") == "ngsi-ld=1.7"
    assert answer.json == [entity(one["id"], unique.type(), size=prop([1, 2]), friends=rel(TARGETS))]


@clause("4.3.6.8", 3, 11)
@clause("6.4.3.2", 16)
@clause("6.23.3.1", 3)
def test_a_query_that_needs_no_amendment_says_what_it_conforms_to(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=prop(1))
    broker.post("/entities", one).expect(201)
    query = {"type": "Query", "entities": [{"type": unique.type()}]}
    for answer in (
        broker.get("/entities", {"type": unique.type()}, headers=prefer("1.3")).expect(200),
        broker.post("/entityOperations/query", query, headers=prefer("1.3")).expect(200),
    ):
        assert answer.header("Preference-Applied") == "ngsi-ld=1.3"
        assert answer.json == [one]


@clause("4.3.6.8", 3)
@pytest.mark.parametrize("value", ["ngsi-ld=newest", "ngsi-ld=", "ngsi-ld", "respond-async"])
def test_what_is_no_version_is_no_wish(broker: BrokerClient, unique: Unique, value: str) -> None:
    one = entity(unique.id(), unique.type(), name=lang({"en": "a"}))
    broker.post("/entities", one).expect(201)
    answer = broker.get(f"/entities/{one['id']}", headers={"Prefer": value}).expect(200)
    assert answer.json == one


@clause("4.3.6.8", 2)
@clause("5.7.1.4", 12)
def test_geojson_is_amended(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), name=lang({"en": "a"}), location=geo("Point", [1, 2]))
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}", accept=GEO_JSON, headers=prefer("1.3")).expect(203).json
    assert shown["geometry"] == {"type": "Point", "coordinates": [1, 2]}
    assert shown["properties"]["name"] == prop({"en": "a"})


@clause("4.3.6.8", 2)
def test_what_is_stored_stays_as_it_is(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), name=lang({"en": "a"}), scope="/a")
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}", headers=prefer("1.0")).expect(203)
    assert broker.get(f"/entities/{one['id']}").expect(200).json == one
