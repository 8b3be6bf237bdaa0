"""4.5.6, 4.5.7, 4.5.8 and 5.2.20: the temporal representation of entities, Properties and Relationships."""

from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, prop, rel
from conformance.series import ALWAYS, at, listed, observed, series, values_of
from conformance.suite.kinds import KINDS, Kind

NULL = "urn:ngsi-ld:null"


@clause("4.5.6", 1, 2)
@clause("5.2.20", 1)
def test_an_evolution_has_its_id_its_type_and_its_series(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=series(1, 2, 3), name=series("a"))
    broker.post("/temporal/entities", one).expect(201)
    shown = broker.get(f"/temporal/entities/{one['id']}").expect(200).json
    assert shown.keys() == {"id", "type", "level", "name"}
    assert (shown["id"], shown["type"]) == (one["id"], one["type"])
    assert observed(shown["level"]) == [(1, at(0)), (2, at(1)), (3, at(2))]
    assert observed(shown["name"]) == [("a", at(0))]


@clause("4.5.6", 1)
def test_an_evolution_has_all_types(broker: BrokerClient, unique: Unique) -> None:
    types = [unique.type(), unique.type("House")]
    one = entity(unique.id(), types, level=series(1))
    broker.post("/temporal/entities", one).expect(201)
    assert sorted(broker.get(f"/temporal/entities/{one['id']}").expect(200).json["type"]) == sorted(types)


@clause("4.5.7", 1)
@clause("4.5.8", 1)
@clause("5.2.20", 1)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_series_has_each_instance_with_value_and_time(broker: BrokerClient, unique: Unique, kind: Kind) -> None:
    given = [{**kind.one, "observedAt": at(0)}, {**kind.other, "observedAt": at(1)}]
    one = entity(unique.id(), unique.type(), told=given)
    broker.post("/temporal/entities", one).expect(201)
    shown = broker.get(f"/temporal/entities/{one['id']}").expect(200).json["told"]
    assert {each["type"] for each in shown} == {kind.name}
    assert observed(shown, kind.value) == [(kind.one[kind.value], at(0)), (kind.other[kind.value], at(1))]


@clause("4.5.7", 1)
@clause("4.5.8", 1)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_one_instance_alone_is_a_series_too(broker: BrokerClient, unique: Unique, kind: Kind) -> None:
    one = entity(unique.id(), unique.type(), told={**kind.one, "observedAt": at(0)})
    broker.post("/temporal/entities", one).expect(201)
    answer = broker.get(f"/temporal/entities/{one['id']}").expect(200)
    assert observed(answer.json["told"], kind.value) == [(kind.one[kind.value], at(0))]


@clause("4.5.7", 1)
def test_an_instance_has_its_unit_its_dataset_and_attributes_of_its_own(broker: BrokerClient, unique: Unique) -> None:
    members: dict[str, Any] = {"unitCode": "MTR", "datasetId": "urn:d:1"}
    below: dict[str, Any] = {"accuracy": prop(0.5, unitCode="P1"), "meter": rel("urn:ngsi-ld:Meter:1")}
    one = entity(unique.id(), unique.type(), level=series(1, 2, **members, **below))
    broker.post("/temporal/entities", one).expect(201)
    for each in broker.get(f"/temporal/entities/{one['id']}").expect(200).json["level"]:
        assert {name: each[name] for name in members | below} == members | below


@clause("4.5.8", 1)
def test_a_relationship_instance_has_attributes_of_its_own(broker: BrokerClient, unique: Unique) -> None:
    below = {"since": prop("2020-01-01"), "by": rel("urn:ngsi-ld:Person:9")}
    one = entity(unique.id(), unique.type(), owner=[rel("urn:ngsi-ld:Person:1", observedAt=at(0), **below)])
    broker.post("/temporal/entities", one).expect(201)
    (shown,) = listed(broker.get(f"/temporal/entities/{one['id']}").expect(200).json["owner"])
    assert {name: shown[name] for name in below} == below


@clause("4.5.8", 1)
def test_a_relationship_may_have_several_targets_at_a_time(broker: BrokerClient, unique: Unique) -> None:
    targets = ["urn:ngsi-ld:Person:1", "urn:ngsi-ld:Person:2"]
    one = entity(unique.id(), unique.type(), owner=[rel(targets, observedAt=at(0))])
    broker.post("/temporal/entities", one).expect(201)
    (shown,) = listed(broker.get(f"/temporal/entities/{one['id']}").expect(200).json["owner"])
    assert sorted(shown["object"]) == targets


@clause("4.5.7", 3)
@clause("4.5.8", 3)
def test_each_instance_has_an_id_of_its_own(broker: BrokerClient, unique: Unique) -> None:
    owners = [rel("urn:ngsi-ld:Person:1", observedAt=at(minute)) for minute in range(3)]
    one = entity(unique.id(), unique.type(), level=series(1, 1, 1), owner=owners)
    broker.post("/temporal/entities", one).expect(201)
    shown = broker.get(f"/temporal/entities/{one['id']}").expect(200).json
    ids = {each["instanceId"] for each in [*shown["level"], *shown["owner"]]}
    assert len(ids) == 6
    assert all(":" in each for each in ids)


@clause("4.5.6", 3)
def test_the_scope_is_a_series(broker: BrokerClient, unique: Unique) -> None:
    scopes = [prop("/Madrid", observedAt=at(0)), prop(["/Madrid/Centro", "/Company"], observedAt=at(1))]
    one = entity(unique.id(), unique.type(), scope=scopes, level=series(1))
    broker.post("/temporal/entities", one).expect(201)
    shown = broker.get(f"/temporal/entities/{one['id']}", {"options": "sysAttrs"}).expect(200).json["scope"]
    assert values_of(shown) == ["/Madrid", ["/Madrid/Centro", "/Company"]]
    for each in shown:
        assert each["type"] == "Property"
        assert each.keys() <= {"type", "value", "instanceId", "createdAt", "modifiedAt", "deletedAt", "observedAt"}


@clause("4.5.6", 3)
@clause("5.6.11.4", 1)
@pytest.mark.parametrize(
    "scope",
    [
        [rel("urn:ngsi-ld:Scope:1", observedAt=at(0))],
        [prop("/A", observedAt=at(0), unitCode="MTR")],
        [prop("/A", observedAt=at(0), accuracy=prop(1))],
        [prop("//", observedAt=at(0))],
        [prop(5, observedAt=at(0))],
    ],
)
def test_a_scope_of_another_form_is_refused(broker: BrokerClient, unique: Unique, scope: Any) -> None:
    one = entity(unique.id(), unique.type(), scope=scope, level=series(1))
    broker.post("/temporal/entities", one).expect_problem("BadRequestData")
    broker.get(f"/temporal/entities/{one['id']}").expect_problem("ResourceNotFound")


@clause("4.5.6", 3, 4)
def test_a_scope_that_the_core_api_sets_is_observed_when_it_is_modified(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), scope="/Madrid", level=prop(1))
    broker.post("/entities", one).expect(201)
    broker.post(f"/entities/{one['id']}/attrs", {"scope": ["/Company"]}).expect(204)
    shown = broker.get(f"/temporal/entities/{one['id']}", {"options": "sysAttrs"}).expect(200).json["scope"]
    assert len(shown) == 2
    assert values_of(shown)[0] == "/Madrid"
    assert all(each["observedAt"] == each["modifiedAt"] for each in shown)
    broker.delete(f"/temporal/entities/{one['id']}")


@clause("4.5.7", 4)
def test_what_the_core_api_does_is_in_the_evolution_at_once(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=prop(1, observedAt=at(0)))
    path = f"/temporal/entities/{one['id']}"
    broker.post("/entities", one).expect(201)
    assert observed(broker.get(path).expect(200).json["level"]) == [(1, at(0))]
    broker.patch(f"/entities/{one['id']}/attrs/level", prop(2, observedAt=at(1))).expect(204)
    assert observed(broker.get(path).expect(200).json["level"]) == [(1, at(0)), (2, at(1))]
    broker.put(f"/entities/{one['id']}", {**one, "level": prop(3, observedAt=at(2))}).expect(204)
    assert values_of(broker.get(path).expect(200).json["level"]) == [1, 2, 3]
    broker.delete(path)


@clause("4.5.7", 2)
@clause("4.5.8", 2)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_deleted_attribute_leaves_an_instance_that_is_null(broker: BrokerClient, unique: Unique, kind: Kind) -> None:
    one = entity(unique.id(), unique.type(), told=kind.one, other=prop(1))
    broker.post("/entities", one).expect(201)
    broker.delete(f"/entities/{one['id']}/attrs/told").expect(204)
    shown = broker.get(f"/temporal/entities/{one['id']}", {"options": "sysAttrs"}).expect(200).json
    (deleted,) = [each for each in listed(shown["told"]) if "deletedAt" in each]
    assert len(shown["told"]) == 2
    assert deleted["type"] == kind.name
    # The kinds whose value is no plain one have the null wrapped as their values are, or bare.
    assert deleted[kind.value] in (NULL, [NULL], {"@none": NULL}, [{"object": NULL}])
    assert not any("deletedAt" in each for each in listed(shown["other"]))
    broker.delete(f"/temporal/entities/{one['id']}")


@clause("4.5.7", 2)
def test_deleting_an_entity_deletes_its_attributes_in_the_evolution(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=prop(1), name=prop("a"))
    broker.post("/entities", one).expect(201)
    broker.delete(f"/entities/{one['id']}").expect(204)
    query = {"timerel": "after", "timeAt": "2000-01-01T00:00:00Z", "timeproperty": "deletedAt"}
    shown = broker.get(f"/temporal/entities/{one['id']}", query).expect(200).json
    assert [listed(shown[name])[0]["value"] for name in ("level", "name")] == [NULL, NULL]
    broker.delete(f"/temporal/entities/{one['id']}")


@clause("4.5.7", 2)
def test_a_dataset_is_deleted_by_itself_in_the_evolution(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=[prop(1), prop(2, datasetId="urn:d:1")])
    broker.post("/entities", one).expect(201)
    broker.delete(f"/entities/{one['id']}/attrs/level", {"datasetId": "urn:d:1"}).expect(204)
    query = {**ALWAYS, "timeproperty": "deletedAt"}
    (deleted,) = listed(broker.get(f"/temporal/entities/{one['id']}", query).expect(200).json["level"])
    assert (deleted["value"], deleted["datasetId"]) == (NULL, "urn:d:1")
    broker.delete(f"/temporal/entities/{one['id']}")


@clause("4.5.6", 1, 2)
def test_system_attributes_are_shown_where_they_are_asked_for(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=series(1))
    broker.post("/temporal/entities", one).expect(201)
    path = f"/temporal/entities/{one['id']}"
    plain, full = broker.get(path).expect(200).json, broker.get(path, {"options": "sysAttrs"}).expect(200).json
    assert not {"createdAt", "modifiedAt"} & (plain.keys() | listed(plain["level"])[0].keys())
    assert {"createdAt", "modifiedAt"} <= (full.keys() & listed(full["level"])[0].keys())
