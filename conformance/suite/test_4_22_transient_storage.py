"""4.22 Transient Storage of Entities and Attributes."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.instances import by_dataset
from conformance.samples import Document, Unique, entity, geo, lang, prop, rel
from conformance.servers import eventually

FAR: Final = "2099-01-01T00:00:00Z"
PATIENCE: Final = 60.0
"""Seconds until what has expired has to be gone: a broker may clean up from time to time only."""


def soon() -> str:
    """An instant in the near future."""
    return (datetime.now(UTC) + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@clause("4.22", 1)
def test_the_expiry_of_an_entity_is_a_system_attribute(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), expiresAt=FAR, speed=prop(1))
    broker.post("/entities", one).expect(201)
    assert (
        broker.get(f"/entities/{one['id']}", {"options": "sysAttrs"}).expect(200).json["expiresAt"].startswith("2099")
    )
    broker.get(f"/entities/{one['id']}").expect_json(entity(one["id"], one["type"], speed=prop(1)))


@clause("4.22", 1)
@pytest.mark.parametrize(
    "attribute",
    [prop(1), rel("urn:a:b"), geo("Point", [1, 2]), lang({"en": "gauge"})],
    ids=["Property", "Relationship", "GeoProperty", "LanguageProperty"],
)
def test_the_expiry_of_an_attribute_is_a_system_attribute(
    broker: BrokerClient, unique: Unique, attribute: Document
) -> None:
    one = entity(unique.id(), unique.type(), reading={**attribute, "expiresAt": FAR})
    broker.post("/entities", one).expect(201)
    stored = broker.get(f"/entities/{one['id']}", {"options": "sysAttrs"}).expect(200).json
    assert stored["reading"]["expiresAt"].startswith("2099")
    assert "expiresAt" not in stored
    broker.get(f"/entities/{one['id']}").expect_json({**one, "reading": attribute})


@clause("4.22", 1)
@pytest.mark.parametrize("path", ["/entities/{id}", "/entities/{id}/attrs"])
def test_an_entity_gets_an_expiry_later(broker: BrokerClient, unique: Unique, path: str) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", one).expect(201)
    broker.patch(path.format(id=one["id"]), {"expiresAt": FAR, "speed": prop(2)}).expect(204)
    assert (
        broker.get(f"/entities/{one['id']}", {"options": "sysAttrs"}).expect(200).json["expiresAt"].startswith("2099")
    )


@clause("4.22", 2)
def test_an_entity_is_gone_behind_its_expiry_and_others_stay(broker: BrokerClient, unique: Unique) -> None:
    doomed = entity(unique.id(), unique.type(), expiresAt=soon(), speed=prop(1))
    kept = [entity(unique.id(), unique.type(), speed=prop(1)), entity(unique.id(), unique.type(), expiresAt=FAR)]
    broker.post("/entityOperations/create", [doomed, *kept]).expect(201)
    eventually(lambda: broker.get(f"/entities/{doomed['id']}").expect_problem("ResourceNotFound"), PATIENCE)
    found = broker.get("/entities", {"type": unique.type()}).expect(200).json
    assert sorted(one["id"] for one in found) == [one["id"] for one in kept]


@clause("4.22", 2)
def test_the_id_of_an_expired_entity_is_free_again(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", {**one, "expiresAt": soon()}).expect(201)
    eventually(lambda: broker.post("/entities", entity(one["id"], one["type"], fuel=prop(7))).expect(201), PATIENCE)
    broker.get(f"/entities/{one['id']}").expect_json(entity(one["id"], one["type"], fuel=prop(7)))


@clause("4.22", 2)
@pytest.mark.parametrize("attribute", [prop(1), rel("urn:a:b")], ids=["Property", "Relationship"])
def test_an_attribute_is_gone_behind_its_expiry_and_the_entity_stays(
    broker: BrokerClient, unique: Unique, attribute: Document
) -> None:
    one = entity(unique.id(), unique.type(), fuel=prop(7))
    broker.post("/entities", {**one, "reading": {**attribute, "expiresAt": soon()}}).expect(201)
    eventually(lambda: broker.get(f"/entities/{one['id']}").expect(200).expect_json(one), PATIENCE)


@clause("4.22", 2)
def test_an_attribute_that_is_gone_is_as_if_it_had_never_been(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), fuel=prop(7))
    broker.post("/entities", {**one, "speed": prop(1, unitCode="KMH", expiresAt=soon())}).expect(201)
    eventually(lambda: broker.get(f"/entities/{one['id']}").expect(200).expect_json(one), PATIENCE)
    broker.patch(f"/entities/{one['id']}/attrs/speed", {"value": 2}).expect_problem("ResourceNotFound")
    broker.delete(f"/entities/{one['id']}/attrs/speed").expect_problem("ResourceNotFound")
    broker.patch(f"/entities/{one['id']}", {"speed": prop(2)}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "speed": prop(2)})
    assert "expiresAt" not in broker.get(f"/entities/{one['id']}", {"options": "sysAttrs"}).json["speed"]


@clause("4.22", 2)
def test_each_instance_of_an_attribute_has_its_own_expiry(broker: BrokerClient, unique: Unique) -> None:
    speed = [prop(0), prop(1, datasetId="urn:ngsi-ld:Dataset:gps", expiresAt=soon())]
    one = entity(unique.id(), unique.type(), speed=speed)
    broker.post("/entities", one).expect(201)

    def left() -> Any:
        return by_dataset(broker.get(f"/entities/{one['id']}").expect(200).json["speed"])

    eventually(lambda: left() == {"@none": prop(0)}, PATIENCE)


@clause("4.22", 3)
@pytest.mark.parametrize("instant", ["tomorrow", "2099-01-01", 5, "2099-01-01T00:00:00+09:00"], ids=str)
def test_an_expiry_is_a_date_time(broker: BrokerClient, unique: Unique, instant: Any) -> None:
    one = entity(unique.id(), unique.type())
    broker.post("/entities", {**one, "expiresAt": instant}).expect_problem("BadRequestData")
    broker.post("/entities", {**one, "speed": prop(1, expiresAt=instant)}).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")
