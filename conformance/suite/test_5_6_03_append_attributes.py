"""5.6.3 Append Attributes, 6.6.3.1 POST /entities/{entityId}/attrs."""

from typing import Any, Final

import pytest

from conformance.broker_client import JSON, BrokerClient
from conformance.clauses import clause
from conformance.instances import by_dataset
from conformance.samples import Document, Unique, entity, prop, rel
from conformance.servers import DocumentServer

GPS: Final = "urn:ngsi-ld:Dataset:gps"
RADAR: Final = "urn:ngsi-ld:Dataset:radar"
KEEP: Final = {"options": "noOverwrite"}


@clause("5.6.3.4", 5, 10)
@clause("6.6.3.1", 1, 2)
def test_a_new_attribute_is_added_and_the_others_stay(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(25, unitCode="KMH"))
    broker.post("/entities", one).expect(201)
    added = {"owner": rel("urn:ngsi-ld:Person:1"), "fuel": prop(7)}
    answer = broker.post(f"/entities/{one['id']}/attrs", added).expect(204)
    assert answer.body == b""
    broker.get(f"/entities/{one['id']}").expect_json({**one, **added})


@clause("5.6.3.4", 11)
def test_an_attribute_that_is_there_is_overwritten_as_a_whole(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(25, unitCode="KMH", limit=prop(50)), fuel=prop(7))
    broker.post("/entities", one).expect(201)
    broker.post(f"/entities/{one['id']}/attrs", {"speed": prop(30)}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "speed": prop(30)})


@clause("5.6.3.4", 13)
@clause("5.2.18", 1)
@clause("6.6.3.1", 4)
def test_no_overwrite_leaves_what_is_there_and_adds_the_rest(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(25, unitCode="KMH"))
    broker.post("/entities", one).expect(201)
    fragment = {"speed": prop(30), "fuel": prop(7)}
    result = broker.post(f"/entities/{one['id']}/attrs", fragment, query=KEEP).expect(207).json
    assert [name.rpartition("/")[2] for name in result["updated"]] == ["fuel"]
    assert [each["attributeName"].rpartition("/")[2] for each in result["notUpdated"]] == ["speed"]
    broker.get(f"/entities/{one['id']}").expect_json({**one, "fuel": prop(7)})


@clause("5.6.3.4", 13)
@clause("5.2.18", 1)
@clause("5.2.19", 1)
@clause("6.6.3.1", 4)
def test_no_overwrite_where_everything_is_there_updates_nothing(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(25))
    broker.post("/entities", one).expect(201)
    result = broker.post(f"/entities/{one['id']}/attrs", {"speed": prop(30)}, query=KEEP).expect(207).json
    assert result["updated"] == []
    assert isinstance(result["notUpdated"][0]["reason"], str)
    broker.get(f"/entities/{one['id']}").expect_json(one)


@clause("6.6.3.1", 4)
def test_no_overwrite_of_new_attributes_alone_is_a_plain_success(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(25))
    broker.post("/entities", one).expect(201)
    broker.post(f"/entities/{one['id']}/attrs", {"fuel": prop(7)}, query=KEEP).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "fuel": prop(7)})


@clause("5.6.3.4", 6, 7, 9, 11, 13)
@pytest.mark.parametrize(
    ("options", "appended", "expected"),
    [
        (None, prop(2, datasetId=RADAR), {"@none": 0, GPS: 1, RADAR: 2}),
        (None, prop(2, datasetId=GPS), {"@none": 0, GPS: 2}),
        (None, prop(2), {"@none": 2, GPS: 1}),
        (None, [prop(2), prop(3, datasetId=RADAR)], {"@none": 2, GPS: 1, RADAR: 3}),
        ("noOverwrite", prop(2, datasetId=RADAR), {"@none": 0, GPS: 1, RADAR: 2}),
        ("noOverwrite", prop(2, datasetId=GPS), {"@none": 0, GPS: 1}),
        ("noOverwrite", prop(2), {"@none": 0, GPS: 1}),
        ("noOverwrite", [prop(2), prop(3, datasetId=RADAR)], {"@none": 0, GPS: 1, RADAR: 3}),
    ],
)
def test_a_dataset_id_says_which_instance_is_meant(
    broker: BrokerClient, unique: Unique, options: str | None, appended: Any, expected: dict[str, int]
) -> None:
    one = entity(unique.id(), unique.type(), speed=[prop(0), prop(1, datasetId=GPS)])
    broker.post("/entities", one).expect(201)
    path = f"/entities/{one['id']}/attrs"
    broker.post(path, {"speed": appended}, query={"options": options}).expect(204, 207)
    stored = by_dataset(broker.get(f"/entities/{one['id']}").json["speed"])
    assert {dataset: instance["value"] for dataset, instance in stored.items()} == expected


@clause("5.6.3.4", 10)
@pytest.mark.parametrize("options", [None, "noOverwrite"])
def test_a_default_instance_joins_those_with_a_dataset_id(
    broker: BrokerClient, unique: Unique, options: str | None
) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1, datasetId=GPS))
    broker.post("/entities", one).expect(201)
    broker.post(f"/entities/{one['id']}/attrs", {"speed": prop(2)}, query={"options": options}).expect(204)
    stored = by_dataset(broker.get(f"/entities/{one['id']}").json["speed"])
    assert stored == {"@none": prop(2), GPS: prop(1, datasetId=GPS)}


@clause("5.6.3.4", 8, 12)
def test_an_overwritten_instance_keeps_its_created_at(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=[prop(0), prop(1, datasetId=GPS)])
    broker.post("/entities", one).expect(201)
    before = by_dataset(broker.get(f"/entities/{one['id']}", {"options": "sysAttrs"}).json["speed"])
    broker.post(f"/entities/{one['id']}/attrs", {"speed": [prop(5), prop(6, datasetId=GPS)]}).expect(204)
    after = by_dataset(broker.get(f"/entities/{one['id']}", {"options": "sysAttrs"}).json["speed"])
    assert after["@none"]["createdAt"] == before["@none"]["createdAt"]
    assert after[GPS]["createdAt"] == before[GPS]["createdAt"]


@clause("5.6.3.4", 14)
@pytest.mark.parametrize("options", [None, "noOverwrite"])
def test_types_are_added_to_those_that_are_there(broker: BrokerClient, unique: Unique, options: str | None) -> None:
    building, shelter = unique.type("Building"), unique.type("Shelter")
    one = entity(unique.id(), building)
    broker.post("/entities", one).expect(201)
    fragment = {"type": [building, shelter], "fuel": prop(7)}
    broker.post(f"/entities/{one['id']}/attrs", fragment, query={"options": options}).expect(204)
    assert sorted(broker.get(f"/entities/{one['id']}").json["type"]) == sorted([building, shelter])


@clause("5.6.3.4", 15)
@pytest.mark.parametrize(
    ("options", "expected"), [(None, ["/Ishikawa", "/Toyama"]), ("noOverwrite", ["/Fukui", "/Ishikawa", "/Toyama"])]
)
def test_a_scope_replaces_or_with_no_overwrite_joins_the_one_there(
    broker: BrokerClient, unique: Unique, options: str | None, expected: list[str]
) -> None:
    one = entity(unique.id(), unique.type(), scope=["/Fukui", "/Ishikawa"])
    broker.post("/entities", one).expect(201)
    fragment = {"scope": ["/Ishikawa", "/Toyama"]}
    broker.post(f"/entities/{one['id']}/attrs", fragment, query={"options": options}).expect(204)
    assert sorted(broker.get(f"/entities/{one['id']}").json["scope"]) == expected


@clause("5.6.3.4", 15)
def test_an_entity_gets_its_first_scope(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type())
    broker.post("/entities", one).expect(201)
    broker.post(f"/entities/{one['id']}/attrs", {"scope": "/Fukui"}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "scope": "/Fukui"})


@clause("5.6.3.4", 16)
def test_another_term_for_the_same_iri_is_the_same_attribute(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    dutch = documents.publish_context(snelheid="https://example.org/terms/speed")
    english = documents.publish_context(velocity="https://example.org/terms/speed")
    one = entity(unique.id(), unique.type(), snelheid=prop(25))
    broker.post("/entities", one, link=dutch).expect(201)
    broker.post(f"/entities/{one['id']}/attrs", {"velocity": prop(30)}, link=english, query=KEEP).expect(207)
    broker.get(f"/entities/{one['id']}", link=dutch).expect_json(one)


@clause("5.6.3.4", 3)
@clause("6.6.3.1", 5)
def test_an_entity_that_is_not_there_is_not_found(broker: BrokerClient, unique: Unique) -> None:
    missing = unique.id()
    broker.post(f"/entities/{missing}/attrs", {"speed": prop(1)}).expect_problem("ResourceNotFound")
    broker.get(f"/entities/{missing}").expect_problem("ResourceNotFound")


@clause("5.6.3.4", 3)
@clause("6.6.3.1", 3)
def test_the_target_has_to_be_of_the_type_asked_for(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type("Building"))
    broker.post("/entities", one).expect(201)
    path, fragment = f"/entities/{one['id']}/attrs", {"speed": prop(2)}
    broker.post(path, fragment, query={"type": unique.type("Vehicle")}).expect_problem("ResourceNotFound")
    broker.get(f"/entities/{one['id']}").expect_json(one)
    broker.post(path, fragment, query={"type": unique.type("Building")}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json({**one, **fragment})


@clause("5.6.3.4", 2)
@clause("6.6.3.1", 5)
def test_a_target_that_is_no_uri_is_bad_request_data(broker: BrokerClient) -> None:
    broker.post("/entities/no-URI/attrs", {"speed": prop(1)}).expect_problem("BadRequestData")


@clause("5.6.3.4", 1)
@clause("6.6.3.1", 5)
@pytest.mark.parametrize(
    "invalid", [prop(2, observedAt="noon"), rel("not a URI"), {"type": "Property"}, prop("urn:ngsi-ld:null")], ids=str
)
def test_one_invalid_attribute_spoils_the_whole_fragment(
    broker: BrokerClient, unique: Unique, invalid: Document
) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", one).expect(201)
    fragment = {"fuel": prop(8), "speed": invalid}
    broker.post(f"/entities/{one['id']}/attrs", fragment).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_json(one)


@clause("6.6.3.1", 2)
def test_a_request_without_a_fragment_is_invalid(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", one).expect(201)
    broker.post(f"/entities/{one['id']}/attrs", b"", content_type=JSON).expect_problem("InvalidRequest")
