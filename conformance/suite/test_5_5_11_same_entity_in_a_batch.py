"""5.5.11 More than one instance of the same entity in an array, 4.6.6 their order."""

from typing import Any, Final

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.exchanges import ERRORS
from conformance.samples import Unique, entity, prop
from conformance.servers import Receiver, eventually

TIMES: Final = [f"2026-03-14T0{hour}:00:00Z" for hour in range(4)]


@clause("4.6.6", 1)
@clause("5.5.11.0", 1)
@clause("5.5.11.1", 1)
def test_the_first_of_an_id_is_created_and_the_others_are_in_error(broker: BrokerClient, unique: Unique) -> None:
    one, other = unique.id(), entity(unique.id(), unique.type())
    batch = [entity(one, unique.type(), speed=prop(n)) for n in (1, 2, 3)]
    result = broker.post("/entityOperations/create", [batch[0], batch[1], other, batch[2]]).expect(207).json
    assert sorted(result["success"]) == [one, other["id"]]
    assert [each["entityId"] for each in result["errors"]] == [one, one]
    assert {each["error"]["type"] for each in result["errors"]} == {ERRORS + "AlreadyExists"}
    broker.get(f"/entities/{one}").expect_json(batch[0])


@clause("4.6.6", 1)
@clause("5.5.11.0", 1)
@clause("5.5.11.2", 1)
@pytest.mark.parametrize(
    ("mode", "left"),
    [(None, {"fuel": 3}), ("replace", {"fuel": 3}), ("update", {"speed": 2, "limit": 50, "fuel": 3})],
)
@pytest.mark.parametrize("known", [False, True], ids=["unknown", "known"])
def test_an_upsert_takes_the_elements_of_an_id_in_their_order(
    broker: BrokerClient, unique: Unique, known: bool, mode: str | None, left: dict[str, int]
) -> None:
    one = entity(unique.id(), unique.type())
    broker.post("/entityOperations/create", [one] if known else [entity(unique.id(), unique.type())]).expect(201)
    batch = [{**one, "speed": prop(1), "limit": prop(50)}, {**one, "speed": prop(2)}, {**one, "fuel": prop(3)}]
    broker.post("/entityOperations/upsert", batch, query={"options": mode}).expect(204 if known else 201)
    expected = {name: prop(value) for name, value in left.items()}
    broker.get(f"/entities/{one['id']}").expect_json({**one, **expected})


@clause("5.5.11.2", 1)
def test_an_entity_that_an_upsert_creates_and_updates_is_reported_once(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type())
    batch = [{**one, "speed": prop(n)} for n in (1, 2, 3)]
    broker.post("/entityOperations/upsert", batch).expect(201).expect_json([one["id"]])


@clause("4.6.6", 1)
@clause("5.5.11.0", 1)
@clause("5.5.11.3", 2)
@pytest.mark.parametrize(("options", "speed"), [(None, 2), ("noOverwrite", 0)])
def test_an_update_takes_the_elements_of_an_id_in_their_order(
    broker: BrokerClient, unique: Unique, options: str | None, speed: int
) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(0))
    broker.post("/entities", one).expect(201)
    batch = [{**one, "speed": prop(1), "limit": prop(50)}, {**one, "speed": prop(2)}]
    broker.post("/entityOperations/update", batch, query={"options": options}).expect(204, 207)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "speed": prop(speed), "limit": prop(50)})


@clause("5.5.11.3", 2)
def test_an_update_that_may_not_overwrite_keeps_what_an_earlier_element_added(
    broker: BrokerClient, unique: Unique
) -> None:
    one = entity(unique.id(), unique.type())
    broker.post("/entities", one).expect(201)
    batch = [{**one, "speed": prop(1)}, {**one, "speed": prop(2)}]
    broker.post("/entityOperations/update", batch, query={"options": "noOverwrite"}).expect(204, 207)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "speed": prop(1)})


@clause("4.6.6", 1)
@clause("5.5.11.0", 1)
@clause("5.5.11.4", 1)
def test_the_first_mention_deletes_and_the_others_are_in_error(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type())
    broker.post("/entities", one).expect(201)
    result = broker.post("/entityOperations/delete", [one["id"], one["id"], one["id"]]).expect(207).json
    assert result["success"] == [one["id"]]
    assert [each["entityId"] for each in result["errors"]] == [one["id"], one["id"]]
    assert {each["error"]["type"] for each in result["errors"]} == {ERRORS + "ResourceNotFound"}
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@clause("4.6.6", 1)
@clause("5.5.11.0", 1)
@clause("5.5.11.5", 1)
def test_a_merge_takes_the_elements_of_an_id_in_their_order(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop({"now": 0, "limit": 50, "unit": "km/h"}))
    broker.post("/entities", one).expect(201)
    values: list[dict[str, Any]] = [{"now": 1}, {"unit": "urn:ngsi-ld:null"}, {"now": 2, "unit": "mph"}]
    broker.post("/entityOperations/merge", [{**one, "speed": prop(value)} for value in values]).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "speed": prop({"now": 2, "limit": 50, "unit": "mph"})})


@clause("5.5.11.0", 1)
def test_an_invalid_element_does_not_keep_the_others_of_its_id(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type())
    broker.post("/entities", one).expect(201)
    batch = [{**one, "speed": prop(1)}, {**one, "speed": prop(2, observedAt="noon")}, {**one, "fuel": prop(3)}]
    result = broker.post("/entityOperations/merge", batch).expect(207).json
    assert [each["entityId"] for each in result["errors"]] == [one["id"]]
    broker.get(f"/entities/{one['id']}").expect_json({**one, "speed": prop(1), "fuel": prop(3)})


@clause("5.5.11.0", 2)
@pytest.mark.parametrize("operation", ["create", "upsert"])
def test_all_that_a_batch_writes_has_the_same_modified_at(broker: BrokerClient, unique: Unique, operation: str) -> None:
    batch = [entity(unique.id(), unique.type(), speed=prop(n), fuel=prop(n)) for n in range(5)]
    broker.post(f"/entityOperations/{operation}", batch).expect(201)
    stored = broker.get("/entities", {"type": unique.type(), "options": "sysAttrs"}).expect(200).json
    written = [each for one in stored for each in (one, one["speed"], one["fuel"])]
    assert len({each["modifiedAt"] for each in written}) == 1


@clause("5.5.11.2", 2)
@clause("5.5.11.5", 2)
@pytest.mark.parametrize(("operation", "options"), [("upsert", None), ("upsert", "update"), ("merge", None)], ids=str)
def test_the_temporal_evolution_has_the_values_of_all_elements(
    broker: BrokerClient, unique: Unique, operation: str, options: str | None
) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(0, observedAt=TIMES[0]))
    broker.post("/entities", one).expect(201)
    batch = [{**one, "speed": prop(n, observedAt=TIMES[n])} for n in (1, 2, 3)]
    broker.post(f"/entityOperations/{operation}", batch, query={"options": options}).expect(204)

    def values_in_order() -> list[Any]:
        evolution = broker.get(f"/temporal/entities/{one['id']}").expect(200).json["speed"]
        return [each["value"] for each in sorted(evolution, key=lambda each: str(each["observedAt"]))]

    eventually(lambda: values_in_order() == [0, 1, 2, 3])


@clause("5.5.11.3", 1)
@pytest.mark.parametrize("operation", ["update", "merge", "upsert"])
def test_subscribers_hear_of_each_update_of_the_same_entity(
    broker: BrokerClient, unique: Unique, receiver: Receiver, operation: str
) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(0))
    broker.post("/entities", one).expect(201)
    subscription = {
        "id": unique.id("Subscription"),
        "type": "Subscription",
        "entities": [{"type": unique.type()}],
        "watchedAttributes": ["speed"],
        "notification": {"endpoint": {"uri": receiver.url, "accept": "application/json"}},
    }
    broker.post("/subscriptions", subscription).expect(201)
    batch = [{**one, "speed": prop(n)} for n in (1, 2, 3)]
    broker.post(f"/entityOperations/{operation}", batch).expect(204)
    notified = [receiver.next_json()["data"] for _ in batch]
    assert sorted(entities[0]["speed"]["value"] for entities in notified) == [1, 2, 3]
    assert [len(entities) for entities in notified] == [1, 1, 1]
