"""What of an entity goes into a snapshot, and how results of several queries come together (broker.operations.filling)."""

from typing import Any

from broker.jsonld.terms import CORE
from broker.model.entity import Entity
from broker.model.projection import parse_projection
from broker.model.representation import View
from broker.model.terms import DEFAULT_VOCAB
from broker.operations.filling import loading, projected

T0, T1 = "2026-01-01T00:00:00.000000Z", "2026-01-02T00:00:00.000000Z"
NOW = "2026-02-01T00:00:00.000000Z"
SPEED, COLOUR = DEFAULT_VOCAB + "speed", DEFAULT_VOCAB + "colour"


def value(content: Any, **members: Any) -> dict[str, Any]:
    return {"type": "Property", "value": content, "createdAt": T0, "modifiedAt": T0, **members}


ENTITY: Entity = {
    "id": "urn:e:1",
    "type": [DEFAULT_VOCAB + "Vehicle"],
    "scope": ["/a"],
    "attrs": {SPEED: [value(1), value(2, datasetId="urn:d:2")], COLOUR: [value("red")]},
    "createdAt": T0,
    "modifiedAt": T1,
    "version": 7,
}


def test_without_projection_an_entity_is_itself() -> None:
    assert projected(ENTITY, View()) is ENTITY


def test_4_21_only_what_is_picked_or_not_omitted_is_left() -> None:
    picked = projected(ENTITY, View(projection=parse_projection(CORE, pick=["id", "speed"])))
    assert picked["attrs"].keys() == {SPEED}
    assert "scope" not in picked
    assert picked["type"] == ENTITY["type"], "an entity without a type is none"
    omitted = projected(ENTITY, View(projection=parse_projection(CORE, omit=["speed"])))
    assert omitted["attrs"].keys() == {COLOUR}
    assert omitted["scope"] == ["/a"]
    assert ENTITY["attrs"].keys() == {SPEED, COLOUR}


def test_4_5_5_only_the_datasets_asked_for_are_left() -> None:
    second = projected(ENTITY, View(dataset_ids=frozenset({"urn:d:2"})))
    assert second["attrs"] == {SPEED: [ENTITY["attrs"][SPEED][1]]}
    default = projected(ENTITY, View(dataset_ids=frozenset({"@none"})))
    assert [len(instances) for instances in default["attrs"].values()] == [1, 1]


def test_a_state_is_loaded_as_it_was_and_touches_nothing() -> None:
    change = loading("space", ENTITY, NOW)(None)
    assert change is not None
    assert (change.kind, change.touched, change.before) == ("entityLoaded", (), None)
    assert change.after == {**ENTITY, "version": 1}
    assert change.tenant == "space"


def test_loading_the_same_again_changes_nothing() -> None:
    for state in (ENTITY, projected(ENTITY, View(projection=parse_projection(CORE, pick=["speed"])))):
        assert loading("space", state, NOW)({**ENTITY, "version": 3}) is None


def test_results_of_two_queries_are_joined_and_the_later_instance_counts() -> None:
    newer: Entity = {**ENTITY, "attrs": {SPEED: [value(9)]}, "modifiedAt": T0}
    change = loading("space", newer, NOW)({**ENTITY, "version": 3})
    assert change is not None
    assert change.after is not None
    assert change.after["version"] == 4
    assert change.after["modifiedAt"] == T1
    assert [each["value"] for each in change.after["attrs"][SPEED]] == [9, 2]
    assert change.after["attrs"][COLOUR] == ENTITY["attrs"][COLOUR]
