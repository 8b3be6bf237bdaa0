"""5.6.2 Update Attributes, 6.6.3.2 PATCH /entities/{entityId}/attrs."""

from typing import Any, Final

import pytest

from conformance.broker_client import JSON, BrokerClient
from conformance.clauses import clause
from conformance.instances import by_dataset
from conformance.samples import Document, Unique, entity, geo, lang, list_prop, list_rel, prop, rel
from conformance.servers import DocumentServer

NULL: Final = "urn:ngsi-ld:null"
GPS: Final = "urn:ngsi-ld:Dataset:gps"
RADAR: Final = "urn:ngsi-ld:Dataset:radar"


@clause("5.6.2.4", 5, 11)
@clause("5.5.8", 2)
@clause("6.6.3.2", 1, 2)
def test_an_attribute_is_replaced_as_a_whole_and_the_others_stay(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(25, unitCode="KMH", limit=prop(50)), fuel=prop(7))
    broker.post("/entities", one).expect(201)
    answer = broker.patch(f"/entities/{one['id']}/attrs", {"speed": prop(100)}).expect(204)
    assert answer.body == b""
    broker.get(f"/entities/{one['id']}").expect_json({**one, "speed": prop(100)})


@clause("5.6.2.4", 5)
def test_a_value_that_is_an_object_is_replaced_not_merged(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), address=prop({"street": "Weststraat", "city": "Ghent"}))
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs", {"address": prop({"city": "Bruges"})}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "address": prop({"city": "Bruges"})})


@clause("5.6.2.4", 6)
def test_an_attribute_that_the_entity_lacks_is_added(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(25))
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs", {"owner": rel("urn:ngsi-ld:Person:1")}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "owner": rel("urn:ngsi-ld:Person:1")})


@clause("5.6.2.4", 17)
def test_another_term_for_the_same_iri_is_the_same_attribute(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    dutch = documents.publish_context(snelheid="https://example.org/terms/speed")
    english = documents.publish_context(velocity="https://example.org/terms/speed")
    one = entity(unique.id(), unique.type(), snelheid=prop(25))
    broker.post("/entities", one, link=dutch).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs", {"velocity": prop(30)}, link=english).expect(204)
    broker.get(f"/entities/{one['id']}", link=dutch).expect_json({**one, "snelheid": prop(30)})


@clause("5.6.2.4", 7, 9, 10, 11)
@clause("5.5.8", 2, 3)
@pytest.mark.parametrize(
    ("patch", "expected"),
    [
        (prop(2, datasetId=GPS), {"@none": 0, GPS: 2}),
        (prop(2, datasetId=RADAR), {"@none": 0, GPS: 1, RADAR: 2}),
        (prop(2), {"@none": 2, GPS: 1}),
        (prop(NULL, datasetId=GPS), {"@none": 0}),
        ([prop(2), prop(3, datasetId=RADAR)], {"@none": 2, GPS: 1, RADAR: 3}),
        ([prop(2), prop(NULL, datasetId=GPS)], {"@none": 2}),
    ],
    ids=["replaces", "adds", "replaces the default", "deletes", "replaces and adds", "replaces and deletes"],
)
def test_a_dataset_id_says_which_instance_is_meant(
    broker: BrokerClient, unique: Unique, patch: Any, expected: dict[str, int]
) -> None:
    one = entity(unique.id(), unique.type(), speed=[prop(0), prop(1, datasetId=GPS)])
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs", {"speed": patch}).expect(204)
    stored = by_dataset(broker.get(f"/entities/{one['id']}").json["speed"])
    assert {dataset: instance["value"] for dataset, instance in stored.items()} == expected


@clause("5.6.2.4", 13)
def test_a_null_without_dataset_id_deletes_the_default_instance_alone(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=[prop(0), prop(1, datasetId=GPS)])
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs", {"speed": prop(NULL)}).expect(204)
    assert by_dataset(broker.get(f"/entities/{one['id']}").json["speed"]) == {GPS: prop(1, datasetId=GPS)}


@clause("5.6.2.4", 14)
def test_a_default_instance_joins_those_with_a_dataset_id(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1, datasetId=GPS))
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs", {"speed": prop(2)}).expect(204)
    stored = by_dataset(broker.get(f"/entities/{one['id']}").json["speed"])
    assert stored == {"@none": prop(2), GPS: prop(1, datasetId=GPS)}


NULLS: dict[str, tuple[Document, Any]] = {
    "Property": (prop(1), prop(NULL)),
    "Relationship": (rel("urn:ngsi-ld:Person:1"), rel(NULL)),
    "GeoProperty": (geo("Point", [1, 2]), {"type": "GeoProperty", "value": NULL}),
    "LanguageProperty": (lang({"en": "gauge"}), lang({"@none": NULL})),
    "ListProperty": (list_prop([1, 2]), list_prop([NULL])),
    "ListRelationship": (list_rel(["urn:ngsi-ld:Person:1"]), list_rel([NULL])),
    "concise": (prop(1), NULL),
}


@clause("5.6.2.4", 13)
@clause("5.5.8", 2)
@clause("5.4", 5)
@pytest.mark.parametrize(("attribute", "null"), NULLS.values(), ids=NULLS.keys())
def test_the_null_of_each_kind_of_attribute_deletes_it(
    broker: BrokerClient, unique: Unique, attribute: Document, null: Any
) -> None:
    one = entity(unique.id(), unique.type(), reading=attribute, fuel=prop(7))
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs", {"reading": null}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json(entity(one["id"], one["type"], fuel=prop(7)))


@clause("5.6.2.4", 3)
def test_a_null_is_never_stored(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(25))
    broker.post("/entities", one).expect(201)
    answer = broker.patch(f"/entities/{one['id']}/attrs", {"speed": prop(NULL), "fuel": prop(NULL)})
    assert answer.status in (204, 207) or answer.expect_problem("OperationNotSupported")
    assert NULL.encode() not in broker.get(f"/entities/{one['id']}").expect(200).body


@clause("5.6.2.4", 8, 12)
def test_a_replaced_instance_keeps_its_created_at(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=[prop(0), prop(1, datasetId=GPS)])
    broker.post("/entities", one).expect(201)
    before = broker.get(f"/entities/{one['id']}", {"options": "sysAttrs"}).json
    broker.patch(f"/entities/{one['id']}/attrs", {"speed": [prop(5), prop(6, datasetId=GPS)]}).expect(204)
    after = broker.get(f"/entities/{one['id']}", {"options": "sysAttrs"}).json
    old, new = by_dataset(before["speed"]), by_dataset(after["speed"])
    assert {dataset: new[dataset]["createdAt"] for dataset in new} == {
        dataset: old[dataset]["createdAt"] for dataset in old
    }
    assert after["createdAt"] == before["createdAt"]
    assert new["@none"]["modifiedAt"] >= old["@none"]["modifiedAt"]


@clause("5.6.2.4", 15)
@clause("5.5.8", 2)
def test_types_are_added_to_those_that_are_there(broker: BrokerClient, unique: Unique) -> None:
    building, shelter = unique.type("Building"), unique.type("Shelter")
    one = entity(unique.id(), building, speed=prop(25))
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs", {"type": shelter, "speed": prop(26)}).expect(204)
    stored = broker.get(f"/entities/{one['id']}").json
    assert sorted(stored["type"]) == sorted([building, shelter])
    assert stored["speed"] == prop(26)


@clause("5.6.2.4", 16)
def test_a_scope_replaces_the_one_that_is_there(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), scope=["/Fukui", "/Ishikawa"])
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs", {"scope": "/Toyama"}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "scope": "/Toyama"})


@clause("5.6.2.4", 16)
def test_a_scope_is_ignored_where_the_entity_has_none(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(25))
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs", {"scope": "/Toyama", "speed": prop(26)}).expect(204, 207)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "speed": prop(26)})


@clause("5.6.2.4", 2)
@clause("6.6.3.2", 4)
def test_an_entity_that_is_not_there_is_not_found(broker: BrokerClient, unique: Unique) -> None:
    missing = unique.id()
    broker.patch(f"/entities/{missing}/attrs", {"speed": prop(1)}).expect_problem("ResourceNotFound")
    broker.get(f"/entities/{missing}").expect_problem("ResourceNotFound")


@clause("5.6.2.4", 2)
@clause("6.6.3.2", 3)
def test_the_target_has_to_be_of_the_type_asked_for(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type("Building"), speed=prop(1))
    broker.post("/entities", one).expect(201)
    path = f"/entities/{one['id']}/attrs"
    other, either = unique.type("Vehicle"), f"{unique.type('Vehicle')}|{unique.type('Building')}"
    broker.patch(path, {"speed": prop(2)}, query={"type": other}).expect_problem("ResourceNotFound")
    broker.get(f"/entities/{one['id']}").expect_json(one)
    broker.patch(path, {"speed": prop(2)}, query={"type": either}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "speed": prop(2)})


@clause("5.6.2.4", 1)
@clause("6.6.3.2", 4)
def test_a_target_that_is_no_uri_is_bad_request_data(broker: BrokerClient) -> None:
    broker.patch("/entities/no-URI/attrs", {"speed": prop(1)}).expect_problem("BadRequestData")


@clause("5.6.2.4", 5)
@clause("5.5.4", 1)
@clause("6.6.3.2", 4)
@pytest.mark.parametrize(
    "invalid", [prop(2, observedAt="noon"), rel("not a URI"), {"type": "Speed", "value": 2}], ids=str
)
def test_one_invalid_attribute_spoils_the_whole_fragment(
    broker: BrokerClient, unique: Unique, invalid: Document
) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1), fuel=prop(7))
    broker.post("/entities", one).expect(201)
    fragment = {"fuel": prop(8), "speed": invalid}
    broker.patch(f"/entities/{one['id']}/attrs", fragment).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_json(one)


@clause("6.6.3.2", 2)
def test_a_request_without_a_fragment_is_invalid(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs", b"", content_type=JSON).expect_problem("InvalidRequest")
