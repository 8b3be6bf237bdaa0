"""5.6.17 Merge Entity, 6.5.3.4 PATCH /entities/{entityId}: fragments in normalized or concise representation."""

from typing import Any, Final

import pytest

from conformance.broker_client import JSON, BrokerClient
from conformance.clauses import clause
from conformance.instances import by_dataset
from conformance.samples import Document, Unique, entity, geo, json_prop, lang, list_prop, list_rel, prop, rel, vocab
from conformance.servers import DocumentServer

NULL: Final = "urn:ngsi-ld:null"
GPS: Final = "urn:ngsi-ld:Dataset:gps"
RADAR: Final = "urn:ngsi-ld:Dataset:radar"


@clause("5.6.17.4", 6, 15)
@clause("6.5.3.4", 1, 2)
def test_members_of_an_attribute_are_merged_and_the_rest_stays(broker: BrokerClient, unique: Unique) -> None:
    speed = prop(25, unitCode="KMH", observedAt="2026-03-14T01:59:26Z", accuracy=prop(0.1))
    one = entity(unique.id(), unique.type(), speed=speed, fuel=prop(7))
    broker.post("/entities", one).expect(201)
    patch = {"type": "Property", "value": 100, "observedAt": "2026-03-14T13:00:00Z"}
    assert broker.patch(f"/entities/{one['id']}", {"speed": patch}).expect(204).body == b""
    broker.get(f"/entities/{one['id']}").expect_json({**one, "speed": {**speed, **patch}})


@clause("5.6.17.4", 7)
@clause("5.5.12", 2)
def test_an_attribute_that_the_entity_lacks_is_added(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(25))
    broker.post("/entities", one).expect(201)
    added = {"owner": rel("urn:ngsi-ld:Person:1"), "fuel": prop(7, unitCode="LTR")}
    broker.patch(f"/entities/{one['id']}", added).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json({**one, **added})


KINDS: dict[str, tuple[Document, Document, Document]] = {
    "Property": (prop(1, since=prop(5)), prop("two"), prop("two", since=prop(5))),
    "Relationship": (rel("urn:a:b", since=prop(5)), rel("urn:a:c"), rel("urn:a:c", since=prop(5))),
    "GeoProperty": (
        geo("Point", [1, 2], since=prop(5)),
        geo("LineString", [[1, 2], [3, 4]]),
        geo("LineString", [[1, 2], [3, 4]], since=prop(5)),
    ),
    "LanguageProperty": (
        lang({"en": "gauge", "fr": "jauge"}),
        lang({"en": "river gauge", "ja": "水位計"}),
        lang({"en": "river gauge", "fr": "jauge", "ja": "水位計"}),
    ),
    "VocabProperty": (vocab("open", since=prop(5)), vocab("closed"), vocab("closed", since=prop(5))),
    "ListProperty": (list_prop([1, 2, 3]), list_prop([4]), list_prop([4])),
    "ListRelationship": (list_rel(["urn:a:b", "urn:a:c"]), list_rel(["urn:a:d"]), list_rel(["urn:a:d"])),
    "JsonProperty": (json_prop({"a": 1, "b": 2}), json_prop({"b": 3}), json_prop({"a": 1, "b": 3})),
}


@clause("5.6.17.4", 6, 15)
@pytest.mark.parametrize(("stored", "patch", "merged"), KINDS.values(), ids=KINDS.keys())
def test_attributes_of_each_kind_are_merged(
    broker: BrokerClient, unique: Unique, stored: Document, patch: Document, merged: Document
) -> None:
    one = entity(unique.id(), unique.type(), reading=stored)
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}", {"reading": patch}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "reading": merged})


@clause("5.6.17.4", 11, 12, 14, 15)
@clause("5.5.12", 2, 3)
@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        ({"value": 2, "datasetId": GPS}, {"@none": prop(0, unitCode="KMH"), GPS: prop(2, unitCode="MPH")}),
        ({"value": 2}, {"@none": prop(2, unitCode="KMH"), GPS: prop(1, unitCode="MPH")}),
        (prop(NULL, datasetId=GPS), {"@none": prop(0, unitCode="KMH")}),
        (
            prop(2, datasetId=RADAR),
            {"@none": prop(0, unitCode="KMH"), GPS: prop(1, unitCode="MPH"), RADAR: prop(2)},
        ),
        ([prop(2), prop(NULL, datasetId=GPS)], {"@none": prop(2, unitCode="KMH")}),
    ],
    ids=["merges", "merges the default", "deletes", "adds", "merges and deletes"],
)
def test_a_dataset_id_says_which_instance_is_meant(
    broker: BrokerClient, unique: Unique, patch: Any, expected: dict[str, Document]
) -> None:
    speed = [prop(0, unitCode="KMH"), prop(1, unitCode="MPH", datasetId=GPS)]
    one = entity(unique.id(), unique.type(), speed=speed)
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}", {"speed": patch}).expect(204)
    stored = by_dataset(broker.get(f"/entities/{one['id']}").json["speed"])
    assert stored == {
        name: instance if name == "@none" else {**instance, "datasetId": name} for name, instance in expected.items()
    }


@clause("5.6.17.4", 16)
def test_a_null_without_dataset_id_deletes_the_default_instance_alone(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=[prop(0), prop(1, datasetId=GPS)], fuel=prop(7))
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}", {"speed": prop(NULL)}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "speed": prop(1, datasetId=GPS)})


@clause("5.6.17.4", 17)
def test_a_default_instance_joins_those_with_a_dataset_id(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1, datasetId=GPS))
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}", {"speed": prop(2)}).expect(204)
    stored = by_dataset(broker.get(f"/entities/{one['id']}").json["speed"])
    assert stored == {"@none": prop(2), GPS: prop(1, datasetId=GPS)}


@clause("5.6.17.4", 17)
def test_a_null_for_what_is_not_there_adds_nothing(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1, datasetId=GPS))
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}", {"speed": prop(NULL), "fuel": prop(NULL)}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json(one)


@clause("5.6.17.4", 5)
def test_a_null_is_never_stored(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop({"now": 25}, unitCode="KMH"))
    broker.post("/entities", one).expect(201)
    fragment = {"speed": {"value": {"now": NULL, "limit": NULL}, "unitCode": NULL, "by": NULL}, "fuel": NULL}
    answer = broker.patch(f"/entities/{one['id']}", fragment)
    assert answer.status in (204, 207) or answer.expect_problem("OperationNotSupported")
    assert NULL.encode() not in broker.get(f"/entities/{one['id']}").expect(200).body


@clause("5.6.17.4", 6)
def test_what_merges_keeps_its_created_at(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", one).expect(201)
    before = broker.get(f"/entities/{one['id']}", {"options": "sysAttrs"}).json
    broker.patch(f"/entities/{one['id']}", {"speed": prop(2)}).expect(204)
    after = broker.get(f"/entities/{one['id']}", {"options": "sysAttrs"}).json
    assert after["createdAt"] == before["createdAt"]
    assert after["speed"]["createdAt"] == before["speed"]["createdAt"]


@clause("5.6.17.4", 19)
@clause("5.5.12", 2)
def test_types_are_added_to_those_that_are_there(broker: BrokerClient, unique: Unique) -> None:
    building, shelter = unique.type("Building"), unique.type("Shelter")
    one = entity(unique.id(), building, speed=prop(25))
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}", {"type": [shelter], "speed": prop(26)}).expect(204)
    stored = broker.get(f"/entities/{one['id']}").json
    assert sorted(stored["type"]) == sorted([building, shelter])


@clause("5.6.17.4", 20)
@pytest.mark.parametrize("members", [{}, {"scope": ["/Fukui", "/Ishikawa"]}], ids=["no scope", "scopes"])
def test_the_scope_becomes_that_of_the_fragment(broker: BrokerClient, unique: Unique, members: dict[str, Any]) -> None:
    one = entity(unique.id(), unique.type(), **members)
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}", {"scope": "/Toyama"}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "scope": "/Toyama"})


@clause("5.6.17.4", 21)
def test_another_term_for_the_same_iri_is_the_same_attribute(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    dutch = documents.publish_context(snelheid="https://example.org/terms/speed")
    english = documents.publish_context(velocity="https://example.org/terms/speed")
    one = entity(unique.id(), unique.type(), snelheid=prop(25, unitCode="KMH"))
    broker.post("/entities", one, link=dutch).expect(201)
    broker.patch(f"/entities/{one['id']}", {"velocity": prop(30)}, link=english).expect(204)
    broker.get(f"/entities/{one['id']}", link=dutch).expect_json({**one, "snelheid": prop(30, unitCode="KMH")})


@clause("5.6.17.4", 3)
@clause("6.5.3.4", 11)
def test_an_entity_that_is_not_there_is_not_found(broker: BrokerClient, unique: Unique) -> None:
    missing = unique.id()
    broker.patch(f"/entities/{missing}", {"speed": prop(1)}).expect_problem("ResourceNotFound")
    broker.get(f"/entities/{missing}").expect_problem("ResourceNotFound")


@clause("5.6.17.4", 3)
@clause("6.5.3.4", 3)
def test_the_target_has_to_be_of_the_type_asked_for(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type("Building"), speed=prop(1))
    broker.post("/entities", one).expect(201)
    path, fragment = f"/entities/{one['id']}", {"speed": prop(2)}
    broker.patch(path, fragment, query={"type": unique.type("Vehicle")}).expect_problem("ResourceNotFound")
    broker.get(path).expect_json(one)
    broker.patch(path, fragment, query={"type": unique.type("Building")}).expect(204)
    broker.get(path).expect_json({**one, **fragment})


@clause("5.6.17.4", 2)
@clause("6.5.3.4", 11)
def test_a_target_that_is_no_uri_is_bad_request_data(broker: BrokerClient) -> None:
    broker.patch("/entities/no-URI", {"speed": prop(1)}).expect_problem("BadRequestData")


@clause("5.6.17.4", 1)
@clause("5.5.4", 1)
@clause("6.5.3.4", 11)
@pytest.mark.parametrize(
    "invalid", [prop(2, observedAt="noon"), rel("not a URI"), {"type": "Speed", "value": 2}], ids=str
)
def test_one_invalid_attribute_spoils_the_whole_fragment(
    broker: BrokerClient, unique: Unique, invalid: Document
) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1), fuel=prop(7))
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}", {"fuel": prop(8), "speed": invalid}).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_json(one)


@clause("6.5.3.4", 2)
def test_a_request_without_a_fragment_is_invalid(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}", b"", content_type=JSON).expect_problem("InvalidRequest")
