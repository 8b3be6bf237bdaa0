"""5.5.8 Partial Update Patch Behaviour: how fragments of entities and attributes overwrite on their first level."""

from typing import Final

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.instances import by_dataset
from conformance.samples import Document, Unique, entity, prop, rel
from conformance.servers import DocumentServer

NULL: Final = "urn:ngsi-ld:null"
GPS: Final = "urn:ngsi-ld:Dataset:gps"
STORED: Final = prop(25, unitCode="CEL", observedAt="2022-03-14T01:59:26.535Z")
PATCH: Final = prop(100, observedAt="2022-03-14T13:00:00.000Z")


@clause("5.5.8", 1, 2)
@pytest.mark.parametrize(
    ("path", "fragment", "expected"),
    [
        ("/entities/{id}/attrs/temperature", PATCH, {"temperature": {**STORED, **PATCH}}),
        ("/entities/{id}/attrs", {"temperature": PATCH}, {"temperature": PATCH}),
        ("/entities/{id}/attrs", {"temperature": prop(NULL)}, {}),
    ],
    ids=["attribute fragment", "entity fragment", "null"],
)
def test_the_examples_of_the_clause(
    broker: BrokerClient, unique: Unique, path: str, fragment: Document, expected: Document
) -> None:
    one = entity(unique.id(), unique.type(), temperature=STORED, fuel=prop(7))
    broker.post("/entities", one).expect(201)
    broker.patch(path.format(id=one["id"]), fragment).expect(204)
    stored = broker.get(f"/entities/{one['id']}").expect(200).json
    assert stored.keys() == {"id", "type", "fuel", *expected}
    for name, instance in expected.items():
        assert stored[name]["value"] == instance["value"]
        assert stored[name].get("unitCode") == instance.get("unitCode")
        assert stored[name]["observedAt"].startswith("2022-03-14T13:00:00")


@clause("5.5.8", 2)
def test_a_sub_attribute_is_replaced_as_a_whole(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1, accuracy=prop(2, unitCode="P1", by=rel("urn:a:b"))))
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs/speed", {"accuracy": prop(3)}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "speed": prop(1, accuracy=prop(3))})


@clause("5.5.8", 2)
def test_a_value_that_is_an_object_is_replaced_as_a_whole(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), address=prop({"street": "Weststraat", "city": "Ghent"}))
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs/address", {"value": {"city": "Bruges"}}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "address": prop({"city": "Bruges"})})


@clause("5.5.8", 2)
def test_sub_attributes_are_the_same_by_their_iri(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    dutch = documents.publish_context(snelheid="https://example.org/speed", bron="https://example.org/source")
    english = documents.publish_context(velocity="https://example.org/speed", source="https://example.org/source")
    one = entity(unique.id(), unique.type(), snelheid=prop(1, bron=prop("gps")))
    broker.post("/entities", one, link=dutch).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs/velocity", {"source": prop("radar")}, link=english).expect(204)
    broker.get(f"/entities/{one['id']}", link=dutch).expect_json({**one, "snelheid": prop(1, bron=prop("radar"))})


@clause("5.5.8", 1)
def test_a_fragment_that_says_nothing_new_changes_nothing(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=STORED, fuel=prop(7))
    broker.post("/entities", one).expect(201)
    before = broker.get(f"/entities/{one['id']}").json
    broker.patch(f"/entities/{one['id']}/attrs", {"speed": STORED, "type": one["type"]}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json(before)


@clause("5.5.8", 1)
def test_a_null_for_what_is_not_there_changes_nothing(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs", {"fuel": prop(NULL), "speed": prop(2)}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "speed": prop(2)})


@clause("5.5.8", 4)
@pytest.mark.parametrize("path", ["/entities/{id}/attrs/speed", "/entities/{id}/attrs"])
def test_a_dataset_id_cannot_be_taken_away(broker: BrokerClient, unique: Unique, path: str) -> None:
    one = entity(unique.id(), unique.type(), speed=[prop(0), prop(1, datasetId=GPS)])
    broker.post("/entities", one).expect(201)
    instance = {"type": "Property", "value": 5, "datasetId": NULL}
    fragment = {"speed": instance} if path.endswith("attrs") else instance
    broker.patch(path.format(id=one["id"]), fragment).expect_problem("BadRequestData")
    stored = by_dataset(broker.get(f"/entities/{one['id']}").json["speed"])
    assert stored == {"@none": prop(0), GPS: prop(1, datasetId=GPS)}
