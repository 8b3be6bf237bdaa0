"""4.5.23 NGSI-LD Linked Entity Retrieval: inline and flattened representation."""

from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, list_rel, prop, rel


def _chain(unique: Unique) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """A car, its driver, and the driver's town."""
    town = entity(unique.id("Town"), unique.type("Town"), size=prop(7))
    driver = entity(
        unique.id("Person"), unique.type("Person"), age=prop(30), livesIn=rel(town["id"], objectType=town["type"])
    )
    car = entity(
        unique.id("Car"), unique.type("Car"), speed=prop(5), driver=rel(driver["id"], objectType=driver["type"])
    )
    return car, driver, town


@clause("4.5.23.1", 1)
def test_without_join_nothing_is_linked(broker: BrokerClient, unique: Unique) -> None:
    car, driver, _ = _chain(unique)
    broker.post("/entityOperations/create", [car, driver]).expect(201)
    broker.get(f"/entities/{car['id']}").expect(200).expect_json(car)
    broker.get("/entities", {"type": car["type"]}).expect(200).expect_json([car])


@clause("4.5.23.2", 1, 2)
@clause("4.5.23.1", 1)
@clause("4.5.3.2", 5)
@clause("5.2.6", 6)
def test_inline_a_linked_entity_is_a_member_of_its_relationship(broker: BrokerClient, unique: Unique) -> None:
    car, driver, _ = _chain(unique)
    broker.post("/entityOperations/create", [car, driver]).expect(201)
    expected = {**car, "driver": {**car["driver"], "entity": driver}}
    broker.get(f"/entities/{car['id']}", {"join": "inline"}).expect(200).expect_json(expected)
    broker.get("/entities", {"type": car["type"], "join": "inline"}).expect(200).expect_json([expected])


@clause("4.5.23.2", 2)
@clause("4.5.3.3", 7)
def test_inline_in_concise_representation_is_concise_all_the_way_down(broker: BrokerClient, unique: Unique) -> None:
    car, driver, _ = _chain(unique)
    broker.post("/entityOperations/create", [car, driver]).expect(201)
    inside = {
        **driver,
        "age": 30,
        "livesIn": {"object": driver["livesIn"]["object"], "objectType": unique.type("Town")},
    }
    link = {"object": driver["id"], "objectType": driver["type"], "entity": inside}
    expected = entity(car["id"], car["type"], speed=5, driver=link)
    broker.get(f"/entities/{car['id']}", {"join": "inline", "format": "concise"}).expect(200).expect_json(expected)


@clause("4.5.23.2", 2)
@clause("5.2.6", 6)
def test_inline_a_relationship_with_several_objects_has_several_entities(broker: BrokerClient, unique: Unique) -> None:
    friends = [entity(unique.id("Person"), unique.type("Person"), age=prop(age)) for age in (30, 40)]
    one = entity(unique.id(), unique.type(), knows=rel([each["id"] for each in friends]))
    broker.post("/entityOperations/create", [one, *friends]).expect(201)
    shown = broker.get(f"/entities/{one['id']}", {"join": "inline"}).expect(200).json["knows"]["entity"]
    assert sorted(shown, key=lambda each: str(each["id"])) == friends


@pytest.mark.parametrize("format_", ["normalized", "concise"])
@clause("4.5.23.2", 2)
@clause("4.5.22.2", 5)
@clause("4.5.22.3", 6)
@clause("5.2.37", 6)
def test_inline_a_list_relationship_has_an_entity_list_in_its_order(
    broker: BrokerClient, unique: Unique, format_: str
) -> None:
    stops = [entity(unique.id("Stop"), unique.type("Stop")) for _ in range(3)]
    one = entity(unique.id(), unique.type(), route=list_rel([stops[2]["id"], stops[0]["id"], stops[1]["id"]]))
    broker.post("/entityOperations/create", [one, *stops]).expect(201)
    shown = broker.get(f"/entities/{one['id']}", {"join": "inline", "format": format_}).expect(200).json["route"]
    assert shown["entityList"] == [stops[2], stops[0], stops[1]]


@clause("4.5.23.1", 2)
@clause("4.5.23.2", 3)
def test_inline_representation_is_for_output_only(broker: BrokerClient, unique: Unique) -> None:
    car, driver, _ = _chain(unique)
    broker.post("/entities", {**car, "driver": {**car["driver"], "entity": driver}}).expect(201)
    broker.get(f"/entities/{driver['id']}").expect_problem("ResourceNotFound")
    broker.get(f"/entities/{car['id']}").expect_json(car)


@pytest.mark.parametrize("join", ["inline", "flat"])
@clause("4.5.23.1", 2)
def test_a_target_that_is_unknown_is_left_out(broker: BrokerClient, unique: Unique, join: str) -> None:
    car, _, _ = _chain(unique)
    broker.post("/entities", car).expect(201)
    expected = car if join == "inline" else [car]
    broker.get(f"/entities/{car['id']}", {"join": join}).expect(200).expect_json(expected)


@pytest.mark.parametrize("level", [None, 1, 2, 3])
@clause("4.5.23.1", 2)
@clause("4.5.23.2", 2)
def test_inline_goes_as_deep_as_the_request_says(broker: BrokerClient, unique: Unique, level: int | None) -> None:
    car, driver, town = _chain(unique)
    broker.post("/entityOperations/create", [car, driver, town]).expect(201)
    shown = broker.get(f"/entities/{car['id']}", {"join": "inline", "joinLevel": level}).expect(200).json
    inside = driver if level in (None, 1) else {**driver, "livesIn": {**driver["livesIn"], "entity": town}}
    assert shown["driver"]["entity"] == inside


@clause("4.5.23.1", 2)
def test_circles_of_relationships_come_to_an_end(broker: BrokerClient, unique: Unique) -> None:
    ids = [unique.id("Person"), unique.id("Person")]
    eve = entity(ids[0], unique.type("Person"), knows=rel(ids[1]))
    bob = entity(ids[1], unique.type("Person"), knows=rel(ids[0]))
    broker.post("/entityOperations/create", [eve, bob]).expect(201)
    inline = broker.get(f"/entities/{ids[0]}", {"join": "inline", "joinLevel": 5}).expect(200)
    inline.expect_json({**eve, "knows": {**eve["knows"], "entity": bob}})
    broker.get(f"/entities/{ids[0]}", {"join": "flat", "joinLevel": 5}).expect(200).expect_json([eve, bob])


@clause("4.5.23.3", 1, 2)
@clause("4.5.23.1", 1)
def test_flat_linking_and_linked_entities_are_one_array(broker: BrokerClient, unique: Unique) -> None:
    car, driver, town = _chain(unique)
    broker.post("/entityOperations/create", [car, driver, town]).expect(201)
    broker.get(f"/entities/{car['id']}", {"join": "flat"}).expect(200).expect_json([car, driver])
    broker.get(f"/entities/{car['id']}", {"join": "flat", "joinLevel": 2}).expect(200).expect_json([car, driver, town])
    broker.get("/entities", {"type": car["type"], "join": "flat"}).expect(200).expect_json([car, driver])


@clause("4.5.23.3", 1)
def test_flat_an_entity_without_links_is_an_array_of_one(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(5))
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}", {"join": "flat"}).expect(200).expect_json([one])


@clause("4.5.23.3", 2)
@clause("4.5.23.1", 2)
def test_flat_an_entity_that_is_linked_twice_comes_once(broker: BrokerClient, unique: Unique) -> None:
    town = entity(unique.id("Town"), unique.type("Town"), size=prop(7))
    cars = [entity(unique.id("Car"), unique.type("Car"), at=rel(town["id"]), to=rel(town["id"])) for _ in range(2)]
    broker.post("/entityOperations/create", [town, *cars]).expect(201)
    shown = broker.get("/entities", {"type": unique.type("Car"), "join": "flat"}).expect(200).json
    assert sorted(each["id"] for each in shown) == [cars[0]["id"], cars[1]["id"], town["id"]]


@pytest.mark.parametrize("format_", ["normalized", "concise"])
@clause("4.5.23.3", 3)
def test_flat_answers_can_be_written_by_batch_operations(broker: BrokerClient, unique: Unique, format_: str) -> None:
    car, driver, town = _chain(unique)
    broker.post("/entityOperations/create", [car, driver, town]).expect(201)
    query = {"join": "flat", "joinLevel": 2, "format": format_}
    shown = broker.get(f"/entities/{car['id']}", query).expect(200).json
    broker.post("/entityOperations/delete", [car["id"], driver["id"], town["id"]]).expect(204)
    broker.post("/entityOperations/create", shown).expect(201)
    for each in (car, driver, town):
        broker.get(f"/entities/{each['id']}").expect(200).expect_json(each)
