"""5.5.12 Merge Patch Behaviour: how fragments of entities are merged at any depth."""

from typing import Any, Final

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.instances import by_dataset
from conformance.samples import Unique, entity, json_prop, lang, prop, rel
from conformance.servers import DocumentServer

NULL: Final = "urn:ngsi-ld:null"
GPS: Final = "urn:ngsi-ld:Dataset:gps"
ADDRESS: Final = {"street": "Weststraat", "city": "Ghent", "country": "Belgium", "geo": {"x": 1, "y": 2}}

VALUES: dict[str, tuple[Any, Any, Any]] = {
    "members are replaced and removed": (
        ADDRESS,
        {"street": "Oudeburg", "country": NULL},
        {"street": "Oudeburg", "city": "Ghent", "geo": {"x": 1, "y": 2}},
    ),
    "members are added": ({"a": 1}, {"b": {"c": 2}}, {"a": 1, "b": {"c": 2}}),
    "deeper members are merged": (
        {"a": {"b": {"c": 1, "d": 2}, "e": 3}},
        {"a": {"b": {"c": 4}}},
        {"a": {"b": {"c": 4, "d": 2}, "e": 3}},
    ),
    "a deeper member is removed": ({"a": {"b": 1, "c": 2}}, {"a": {"b": NULL}}, {"a": {"c": 2}}),
    "the last member is removed": ({"a": {"b": 1}, "c": 2}, {"a": {"b": NULL}}, {"a": {}, "c": 2}),
    "what is not there is not removed": ({"a": 1}, {"b": NULL}, {"a": 1}),
    "arrays are replaced": ({"a": [1, 2, 3], "b": 1}, {"a": [4]}, {"a": [4], "b": 1}),
    "objects in arrays are not merged": ({"a": [{"b": 1, "c": 2}]}, {"a": [{"b": 3}]}, {"a": [{"b": 3}]}),
    "an object replaces a number": ({"a": 1}, {"a": {"b": 2}}, {"a": {"b": 2}}),
    "a number replaces an object": ({"a": {"b": 2}}, {"a": 1}, {"a": 1}),
    "a number replaces the value": ({"a": 1}, 5, 5),
    "an object replaces the value": (5, {"a": 1}, {"a": 1}),
    "nulls of a new object add nothing": ({"a": 1}, {"b": {"c": NULL, "d": 2}}, {"a": 1, "b": {"d": 2}}),
    "false, zero and the empty text are values": (
        {"a": 1, "b": 1, "c": 1},
        {"a": False, "b": 0, "c": ""},
        {"a": False, "b": 0, "c": ""},
    ),
}


@clause("5.5.12", 1, 2)
@clause("5.6.17.4", 6)
@pytest.mark.parametrize(("before", "patch", "after"), VALUES.values(), ids=VALUES.keys())
def test_the_value_of_a_property_is_merged(
    broker: BrokerClient, unique: Unique, before: Any, patch: Any, after: Any
) -> None:
    one = entity(unique.id(), unique.type(), reading=prop(before), fuel=prop(7))
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}", {"reading": prop(patch)}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "reading": prop(after)})


@clause("5.5.12", 1, 2)
def test_the_raw_json_of_a_json_property_is_merged(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), reading=json_prop({"id": 1, "value": {"a": 1, "b": 2}}))
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}", {"reading": json_prop({"value": {"b": 3}})}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json(
        {**one, "reading": json_prop({"id": 1, "value": {"a": 1, "b": 3}})}
    )


@clause("5.5.12", 1, 2)
def test_texts_are_merged_by_language_and_removed_by_null(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), label=lang({"en": "gauge", "fr": "jauge", "ja": "水位計"}))
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}", {"label": lang({"fr": NULL, "ja": "水位"})}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "label": lang({"en": "gauge", "ja": "水位"})})


@clause("5.5.12", 1, 2)
def test_members_and_sub_attributes_are_removed_by_null(broker: BrokerClient, unique: Unique) -> None:
    speed = prop(1, unitCode="KMH", observedAt="2026-03-14T01:00:00Z", accuracy=prop(2), by=rel("urn:a:b"))
    one = entity(unique.id(), unique.type(), speed=speed)
    broker.post("/entities", one).expect(201)
    patch = {"unitCode": NULL, "observedAt": NULL, "accuracy": NULL, "by": rel(NULL)}
    broker.patch(f"/entities/{one['id']}", {"speed": patch}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "speed": prop(1)})


@clause("5.5.12", 1, 2)
def test_sub_attributes_of_sub_attributes_are_merged(broker: BrokerClient, unique: Unique) -> None:
    accuracy = prop({"min": 1, "max": 2}, unitCode="P1", by=rel("urn:a:b", since=prop(5)))
    one = entity(unique.id(), unique.type(), speed=prop(1, accuracy=accuracy, quality=prop("good")))
    broker.post("/entities", one).expect(201)
    by = {"type": "Relationship", "since": NULL, "until": prop(6)}
    patch = {"type": "Property", "accuracy": {"value": {"max": 3}, "by": by}}
    broker.patch(f"/entities/{one['id']}", {"speed": patch}).expect(204)
    merged = prop({"min": 1, "max": 3}, unitCode="P1", by=rel("urn:a:b", until=prop(6)))
    broker.get(f"/entities/{one['id']}").expect_json({**one, "speed": prop(1, accuracy=merged, quality=prop("good"))})


@clause("5.5.12", 2)
def test_a_new_attribute_brings_no_nulls_with_it(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type())
    broker.post("/entities", one).expect(201)
    patch = prop({"street": "Weststraat", "country": NULL}, unitCode=NULL, by=NULL)
    broker.patch(f"/entities/{one['id']}", {"address": patch}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "address": prop({"street": "Weststraat"})})


@clause("5.5.12", 2)
def test_sub_attributes_are_the_same_by_their_iri(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    dutch = documents.publish_context(snelheid="https://example.org/speed", bron="https://example.org/source")
    english = documents.publish_context(velocity="https://example.org/speed", source="https://example.org/source")
    one = entity(unique.id(), unique.type(), snelheid=prop(1, bron=prop("gps", unitCode="C62")))
    broker.post("/entities", one, link=dutch).expect(201)
    broker.patch(
        f"/entities/{one['id']}", {"velocity": {"type": "Property", "source": prop("radar")}}, link=english
    ).expect(204)
    merged = prop(1, bron=prop("radar", unitCode="C62"))
    broker.get(f"/entities/{one['id']}", link=dutch).expect_json({**one, "snelheid": merged})


@clause("5.5.12", 1)
def test_a_fragment_merged_twice_is_the_same_as_once(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), address=prop(ADDRESS), fuel=prop(7))
    broker.post("/entities", one).expect(201)
    fragment = {"address": prop({"country": NULL, "geo": {"y": 3}}), "fuel": prop(NULL), "speed": prop(1)}
    broker.patch(f"/entities/{one['id']}", fragment).expect(204)
    once = broker.get(f"/entities/{one['id']}").json
    broker.patch(f"/entities/{one['id']}", fragment).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json(once)
    assert once["address"] == prop({"street": "Weststraat", "city": "Ghent", "geo": {"x": 1, "y": 3}})


@clause("5.5.12", 4)
def test_a_dataset_id_cannot_be_taken_away(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=[prop(0), prop(1, datasetId=GPS)])
    broker.post("/entities", one).expect(201)
    fragment = {"speed": {"type": "Property", "value": 5, "datasetId": NULL}}
    broker.patch(f"/entities/{one['id']}", fragment).expect_problem("BadRequestData")
    stored = by_dataset(broker.get(f"/entities/{one['id']}").json["speed"])
    assert stored == {"@none": prop(0), GPS: prop(1, datasetId=GPS)}
