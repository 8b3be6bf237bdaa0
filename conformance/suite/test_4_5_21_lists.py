"""4.5.21 NGSI-LD ListProperty and 4.5.22 NGSI-LD ListRelationship Representations, 5.2.36 and 5.2.37."""

from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, list_prop, list_rel, prop, rel

_STOPS = ["urn:ngsi-ld:Stop:3", "urn:ngsi-ld:Stop:1", "urn:ngsi-ld:Stop:3"]
_OBJECTS = [{"object": stop} for stop in _STOPS]


@clause("4.5.21.1", 1, 2)
@clause("4.5.21.2", 1)
def test_a_list_property_is_normalized_unless_something_else_is_asked_for(broker: BrokerClient, unique: Unique) -> None:
    periods = list_prop(["First", "Second"], unitCode="C62", by=rel("urn:a:1"), source=prop("letter"))
    one = entity(unique.id(), unique.type(), periods=periods)
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}").expect_json(one)


@pytest.mark.parametrize(
    "values",
    [
        [],
        [1],
        [3, 1, 2, 1],
        ["b", "a", "b"],
        [True, 1, "1"],
        [[1, 2], [2, 1]],
        [{"a": [1]}, {"a": []}],
        [[]],
        [0.5, {}],
    ],
    ids=str,
)
@clause("4.5.21.1", 1)
@clause("4.5.21.2", 2)
@clause("5.2.36", 3)
def test_a_list_property_keeps_order_and_repetitions(broker: BrokerClient, unique: Unique, values: list[Any]) -> None:
    one = entity(unique.id(), unique.type(), periods=list_prop(values))
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}").expect_json(one)
    broker.get(f"/entities/{one['id']}", {"format": "simplified"}).expect_json({**one, "periods": values})


@pytest.mark.parametrize("bad", ["First", 5, True, {}, {"0": "First"}], ids=repr)
@clause("4.5.21.2", 2)
@clause("4.5.21.3", 2)
@clause("5.2.36", 1)
def test_a_value_list_that_is_no_array_is_refused(broker: BrokerClient, unique: Unique, bad: Any) -> None:
    one = entity(unique.id(), unique.type(), periods=list_prop(bad))
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.post("/entities", {**one, "periods": {"valueList": bad}}).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@pytest.mark.parametrize("concise", [False, True], ids=["normalized", "concise"])
@pytest.mark.parametrize(
    ("member", "value"), [("value", 5), ("previousValue", 5), ("object", "urn:a:1"), ("objectList", ["urn:a:1"])]
)
@clause("4.5.21.2", 4)
@clause("4.5.21.3", 4)
def test_a_list_property_has_no_value_beside_its_list(
    broker: BrokerClient, unique: Unique, member: str, value: Any, concise: bool
) -> None:
    told = {"valueList": [1]} if concise else list_prop([1])
    one = entity(unique.id(), unique.type(), periods={**told, member: value})
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@pytest.mark.parametrize(
    ("concise", "normalized"),
    [
        ({"valueList": ["b", "a"]}, list_prop(["b", "a"])),
        ({"valueList": []}, list_prop([])),
        ({"valueList": [1, [2]], "source": "letter"}, list_prop([1, [2]], source=prop("letter"))),
        ({"valueList": [1], "unitCode": "CEL"}, list_prop([1], unitCode="CEL")),
        ({"valueList": [1], "weights": {"valueList": [2]}}, list_prop([1], weights=list_prop([2]))),
    ],
    ids=str,
)
@clause("4.5.21.1", 2)
@clause("4.5.21.3", 1, 5)
@clause("5.2.36", 1)
def test_a_concise_list_property_goes_without_its_type(
    broker: BrokerClient, unique: Unique, concise: Any, normalized: Any
) -> None:
    one = entity(unique.id(), unique.type(), periods=concise)
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "periods": normalized})
    broker.get(f"/entities/{one['id']}", {"format": "concise"}).expect_json(one)


@pytest.mark.parametrize("part", ["/attrs", ""], ids=["partial update", "merge"])
@pytest.mark.parametrize(
    ("told", "deletion"),
    [
        pytest.param(
            list_prop([1]), {"valueList": ["urn:ngsi-ld:null"]}, marks=pytest.mark.clause("4.5.21.3", 3), id="property"
        ),
        pytest.param(
            list_rel(_STOPS),
            {"objectList": ["urn:ngsi-ld:null"]},
            marks=pytest.mark.clause("4.5.22.3", 3),
            id="relationship",
        ),
    ],
)
def test_a_concise_list_of_one_null_removes_a_list(
    broker: BrokerClient, unique: Unique, told: Any, deletion: Any, part: str
) -> None:
    one = entity(unique.id(), unique.type(), told=told, speed=prop(5))
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}{part}", {"told": deletion}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json(entity(one["id"], one["type"], speed=prop(5)))


# --- ListRelationship (4.5.22)


@clause("4.5.22.1", 1, 2)
@clause("4.5.22.2", 1, 2)
@clause("5.2.37", 3)
def test_a_list_relationship_is_normalized_unless_something_else_is_asked_for(
    broker: BrokerClient, unique: Unique
) -> None:
    route = list_rel(_STOPS, objectType="Stop", by=rel("urn:a:1"), source=prop("letter"))
    one = entity(unique.id(), unique.type(), route=route)
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}").expect_json(one)


@pytest.mark.parametrize(
    "objects", [_STOPS, _OBJECTS, [_STOPS[0], _OBJECTS[1], _STOPS[2]]], ids=["URIs", "objects", "mix"]
)
@pytest.mark.parametrize("typed", [{"type": "ListRelationship"}, {}], ids=["with type", "without type"])
@clause("4.5.22.1", 1, 2)
@clause("4.5.22.3", 1, 2, 5)
@clause("5.2.37", 1, 3)
def test_a_concise_list_relationship_may_list_bare_uris(
    broker: BrokerClient, unique: Unique, objects: Any, typed: dict[str, str]
) -> None:
    one = entity(unique.id(), unique.type(), route={**typed, "objectList": objects, "source": "letter"})
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "route": list_rel(_STOPS, source=prop("letter"))})
    shown = broker.get(f"/entities/{one['id']}", {"format": "concise"}).expect(200).json["route"]
    assert shown == {"objectList": _STOPS, "source": "letter"}


@pytest.mark.parametrize(
    "bad",
    [
        "urn:a:1",
        5,
        {"object": "urn:a:1"},
        ["no uri"],
        [5],
        [{"object": "no uri"}],
        [{"object": 5}],
        [{}],
        [["urn:a:1"]],
    ],
    ids=repr,
)
@clause("4.5.22.2", 2)
@clause("4.5.22.3", 2)
@clause("5.2.37", 3)
def test_an_object_list_of_anything_else_is_refused(broker: BrokerClient, unique: Unique, bad: Any) -> None:
    one = entity(unique.id(), unique.type(), route={"type": "ListRelationship", "objectList": bad})
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.post("/entities", {**one, "route": {"objectList": bad}}).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@clause("4.5.22.2", 2)
def test_an_element_of_an_object_list_has_only_its_object(broker: BrokerClient, unique: Unique) -> None:
    stops = [{"object": "urn:a:1", "name": "Shijo"}]
    one = entity(unique.id(), unique.type(), route={"type": "ListRelationship", "objectList": stops})
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@pytest.mark.parametrize("concise", [False, True], ids=["normalized", "concise"])
@pytest.mark.parametrize(
    ("member", "value"),
    [("entity", {"id": "urn:a:1", "type": "Stop"}), ("object", "urn:a:1"), ("previousObject", "urn:a:1"), ("value", 5)],
)
@clause("4.5.22.2", 4)
@clause("4.5.22.3", 4)
def test_a_list_relationship_has_no_object_beside_its_list(
    broker: BrokerClient, unique: Unique, member: str, value: Any, concise: bool
) -> None:
    told = {"objectList": _STOPS} if concise else list_rel(_STOPS)
    one = entity(unique.id(), unique.type(), route={**told, member: value})
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")
