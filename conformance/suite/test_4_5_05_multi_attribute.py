"""4.5.5 Multi-Attribute Support."""

from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, prop, rel

_D1, _D2 = "urn:ngsi-ld:Dataset:1", "urn:ngsi-ld:Dataset:2"
_SPEED = [prop(5), prop(6, datasetId=_D1), prop(7, datasetId=_D2)]
_DRIVER = [rel("urn:a:1"), rel("urn:a:2", datasetId=_D1)]


def _by_dataset(instance: dict[str, Any]) -> str:
    return str(instance.get("datasetId", ""))


@clause("4.5.5.1", 4)
def test_none_names_the_default_instance_and_is_not_shown(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(5, datasetId="@none"))
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "speed": prop(5)})
    broker.get(f"/entities/{one['id']}", {"format": "concise"}).expect_json({**one, "speed": 5})


@clause("4.5.5.1", 2)
def test_one_instance_alone_is_no_array_whatever_its_dataset(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=[prop(5, datasetId=_D1)], driver=[rel("urn:a:1")])
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "speed": prop(5, datasetId=_D1), "driver": rel("urn:a:1")})


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/attrs"), ("PATCH", "/attrs"), ("PATCH", "/attrs/speed")],
    ids=["append", "update attributes", "partial update"],
)
@clause("4.5.5.1", 3)
def test_a_write_touches_only_the_instance_with_its_dataset(
    broker: BrokerClient, unique: Unique, method: str, path: str
) -> None:
    one = entity(unique.id(), unique.type(), speed=_SPEED)
    broker.post("/entities", one).expect(201)
    changed = prop(60, datasetId=_D1)
    broker.request(method, f"/entities/{one['id']}{path}", {"speed": changed} if path == "/attrs" else changed).expect(
        204
    )
    shown = broker.get(f"/entities/{one['id']}").expect(200).json["speed"]
    assert sorted(shown, key=_by_dataset) == [prop(5), changed, prop(7, datasetId=_D2)]


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/attrs"), ("PATCH", "/attrs"), ("PATCH", "/attrs/speed")],
    ids=["append", "update attributes", "partial update"],
)
@pytest.mark.parametrize("dataset", [{}, {"datasetId": "@none"}], ids=["without dataset", "@none"])
@clause("4.5.5.1", 3, 4)
def test_a_write_without_a_dataset_touches_only_the_default_instance(
    broker: BrokerClient, unique: Unique, method: str, path: str, dataset: dict[str, str]
) -> None:
    one = entity(unique.id(), unique.type(), speed=_SPEED)
    broker.post("/entities", one).expect(201)
    changed = prop(50, **dataset)
    broker.request(method, f"/entities/{one['id']}{path}", {"speed": changed} if path == "/attrs" else changed).expect(
        204
    )
    shown = broker.get(f"/entities/{one['id']}").expect(200).json["speed"]
    assert sorted(shown, key=_by_dataset) == [prop(50), *_SPEED[1:]]


@pytest.mark.parametrize(
    ("dataset", "left"), [(None, _SPEED[1:]), (_D1, [_SPEED[0], _SPEED[2]]), (_D2, _SPEED[:2])], ids=str
)
@clause("4.5.5.1", 3)
def test_a_deletion_touches_only_the_instance_with_its_dataset(
    broker: BrokerClient, unique: Unique, dataset: str | None, left: list[dict[str, Any]]
) -> None:
    one = entity(unique.id(), unique.type(), speed=_SPEED)
    broker.post("/entities", one).expect(201)
    broker.delete(f"/entities/{one['id']}/attrs/speed", {"datasetId": dataset}).expect(204)
    shown = broker.get(f"/entities/{one['id']}").expect(200).json["speed"]
    assert sorted(shown, key=_by_dataset) == left


@clause("4.5.5.1", 3)
def test_a_write_with_a_new_dataset_adds_an_instance(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(5), driver=rel("urn:a:1"))
    broker.post("/entities", one).expect(201)
    more = {"speed": prop(6, datasetId=_D1), "driver": rel("urn:a:2", datasetId=_D1)}
    broker.post(f"/entities/{one['id']}/attrs", more).expect(204)
    shown = broker.get(f"/entities/{one['id']}").expect(200).json
    assert sorted(shown["speed"], key=_by_dataset) == _SPEED[:2]
    assert sorted(shown["driver"], key=_by_dataset) == _DRIVER


@pytest.mark.parametrize(
    ("asked", "left"),
    [
        (_D1, {"speed": _SPEED[1], "driver": _DRIVER[1]}),
        ("@none", {"speed": _SPEED[0], "driver": _DRIVER[0], "height": prop(2)}),
        ([_D1, _D2], {"speed": _SPEED[1:], "driver": _DRIVER[1]}),
        (["@none", _D2], {"speed": [_SPEED[0], _SPEED[2]], "driver": _DRIVER[0], "height": prop(2)}),
    ],
    ids=str,
)
@clause("4.5.5.1", 1, 5)
def test_a_request_for_datasets_shows_only_their_instances(
    broker: BrokerClient, unique: Unique, asked: Any, left: dict[str, Any]
) -> None:
    one = entity(unique.id(), unique.type(), speed=_SPEED, driver=_DRIVER, height=prop(2))
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}", {"datasetId": asked}).expect(200).json
    for name, instances in left.items():
        given = shown.pop(name)
        assert (sorted(given, key=_by_dataset) if isinstance(given, list) else given) == instances
    assert shown == entity(one["id"], one["type"])


@clause("4.5.5.1", 1)
def test_an_attribute_without_any_of_the_datasets_is_left_out(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=_SPEED, height=prop(2))
    broker.post("/entities", one).expect(201)
    query = {"datasetId": "urn:ngsi-ld:Dataset:9"}
    broker.get(f"/entities/{one['id']}", query).expect(200).expect_json(entity(one["id"], one["type"]))
    queried = broker.get("/entities", {"type": one["type"], "datasetId": _D1}).expect(200)
    queried.expect_json([entity(one["id"], one["type"], speed=_SPEED[1])])


@pytest.mark.parametrize("format_", ["concise", "simplified"])
@clause("4.5.5.1", 1, 5)
def test_datasets_can_be_asked_for_in_other_representations(broker: BrokerClient, unique: Unique, format_: str) -> None:
    one = entity(unique.id(), unique.type(), speed=_SPEED, height=prop(2))
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}", {"datasetId": "@none", "format": format_}).expect(200)
    shown.expect_json(entity(one["id"], one["type"], speed=5, height=2))


@pytest.mark.parametrize(
    ("member", "values"),
    [
        ("observedAt", ["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"]),
        ("expiresAt", ["2099-01-01T00:00:00Z", "2099-01-02T00:00:00Z"]),
        ("unitCode", ["KMH", "MTS"]),
    ],
)
@clause("4.5.5.1", 7)
def test_what_is_not_reified_has_no_several_instances(
    broker: BrokerClient, unique: Unique, member: str, values: list[str]
) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(5, **{member: values}))
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@clause("4.5.5.1", 2, 3)
def test_sub_attributes_have_several_instances_too(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(5, error=[prop(1), prop(2, datasetId=_D1)]))
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}").expect(200).json["speed"]
    assert sorted(shown["error"], key=_by_dataset) == [prop(1), prop(2, datasetId=_D1)]
