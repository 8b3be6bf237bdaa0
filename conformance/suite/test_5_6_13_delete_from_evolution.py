"""Deletion from temporal evolutions: 5.6.13, 6.21.3.1 of attributes; 5.6.15, 6.22.3.2 of instances; 5.6.16, 6.19.3.2 of all."""

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import DEFAULT_CONTEXT, Unique, entity, prop, rel
from conformance.series import ALWAYS, at, listed, observed, series, values_of
from conformance.servers import DocumentServer

NO_URIS = ["not-a-uri", "12345", "%20", "a%20b"]
NO_NAMES = ["a%20b", "%3Cb%3E", "b%28"]


@clause("5.6.13.1", 1)
@clause("5.6.13.4", 9)
@clause("6.21.3.1", 1)
def test_an_attribute_is_deleted_with_all_below_it(broker: BrokerClient, unique: Unique) -> None:
    owners = [rel("urn:a:1", observedAt=at(0), since=prop(2020))]
    one = entity(unique.id(), unique.type(), level=series(1, 2, accuracy=prop(3)), owner=owners)
    broker.post("/temporal/entities", one).expect(201)
    path = f"/temporal/entities/{one['id']}"
    assert broker.delete(f"{path}/attrs/level").expect(204).body == b""
    assert broker.get(path).expect(200).json.keys() == {"id", "type", "owner"}
    broker.delete(f"{path}/attrs/owner").expect(204)
    assert broker.get(path).expect(200).json == {"id": one["id"], "type": one["type"]}
    broker.post(f"{path}/attrs", {"level": series(5)}).expect(204)
    (shown,) = listed(broker.get(path).expect(200).json["level"])
    assert (shown["value"], "accuracy" in shown) == (5, False)


@clause("5.6.13.4", 7, 8, 9)
@clause("6.21.3.1", 2)
@pytest.mark.parametrize(
    ("query", "left"),
    [
        ({}, ["urn:d:1", "urn:d:1", "urn:d:2"]),
        ({"deleteAll": False}, ["urn:d:1", "urn:d:1", "urn:d:2"]),
        ({"datasetId": "urn:d:1"}, ["", "", "urn:d:2"]),
        ({"datasetId": "urn:d:2"}, ["", "", "urn:d:1", "urn:d:1"]),
        ({"deleteAll": True}, []),
        ({"deleteAll": True, "datasetId": "urn:d:1"}, []),
    ],
)
def test_parameters_say_which_instances_are_deleted(
    broker: BrokerClient, unique: Unique, query: dict[str, str], left: list[str]
) -> None:
    told = [*series(1, 2), *series(3, 4, datasetId="urn:d:1"), *series(5, datasetId="urn:d:2")]
    one = entity(unique.id(), unique.type(), level=told, other=series(0))
    broker.post("/temporal/entities", one).expect(201)
    path = f"/temporal/entities/{one['id']}"
    broker.delete(f"{path}/attrs/level", query).expect(204)
    shown = broker.get(path).expect(200).json
    assert sorted(each.get("datasetId", "") for each in listed(shown.get("level", []))) == left
    assert values_of(shown["other"]) == [0]


@clause("5.6.13.4", 5)
@clause("5.6.15.4", 6)
def test_the_target_is_found_by_its_expanded_name(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    context = documents.publish_context(niveau=DEFAULT_CONTEXT + "level", level="https://example.org/other")
    one = entity(unique.id(), unique.type(), level=series(1, 2))
    broker.post("/temporal/entities", one).expect(201)
    path = f"/temporal/entities/{one['id']}"
    first = broker.get(path).expect(200).json["level"][0]
    broker.delete(f"{path}/attrs/level", link=context).expect_problem("ResourceNotFound")
    broker.delete(f"{path}/attrs/level/{first['instanceId']}", link=context).expect_problem("ResourceNotFound")
    broker.delete(f"{path}/attrs/niveau/{first['instanceId']}", link=context).expect(204)
    assert len(listed(broker.get(path).expect(200).json["level"])) == 1
    broker.delete(f"{path}/attrs/niveau", link=context).expect(204)
    assert "level" not in broker.get(path).expect(200).json


@clause("5.6.13.4", 6)
@clause("6.21.3.1", 1)
@pytest.mark.parametrize(
    ("name", "query"),
    [("unknown", {}), ("unknown", {"deleteAll": True}), ("level", {"datasetId": "urn:d:2"}), ("named", {})],
)
def test_an_attribute_that_is_not_there_is_not_found(
    broker: BrokerClient, unique: Unique, name: str, query: dict[str, str]
) -> None:
    one = entity(unique.id(), unique.type(), level=series(1), named=series(2, datasetId="urn:d:1"))
    broker.post("/temporal/entities", one).expect(201)
    path = f"/temporal/entities/{one['id']}"
    broker.delete(f"{path}/attrs/{name}", query).expect_problem("ResourceNotFound")
    shown = broker.get(path).expect(200).json
    assert (values_of(shown["level"]), values_of(shown["named"])) == ([1], [2])


@clause("5.6.13.4", 1)
@clause("5.6.15.4", 1)
@clause("5.6.16.4", 1)
@clause("6.19.3.2", 1)
@clause("6.21.3.1", 1)
@clause("6.22.3.2", 1)
@pytest.mark.parametrize("entity_id", NO_URIS)
@pytest.mark.parametrize("rest", ["", "/attrs/level", "/attrs/level/urn:instance:1"])
def test_an_id_that_is_no_uri_is_refused(broker: BrokerClient, entity_id: str, rest: str) -> None:
    broker.delete(f"/temporal/entities/{entity_id}{rest}").expect_problem("BadRequestData")


@clause("5.6.13.4", 3)
@clause("5.6.15.4", 4)
@clause("5.6.16.4", 2)
@clause("6.19.3.2", 1)
@clause("6.21.3.1", 1)
@clause("6.22.3.2", 1)
@pytest.mark.parametrize("rest", ["", "/attrs/level", "/attrs/level?deleteAll=true", "/attrs/level/urn:instance:1"])
def test_an_unknown_evolution_is_not_found(broker: BrokerClient, unique: Unique, rest: str) -> None:
    broker.delete(f"/temporal/entities/{unique.id()}{rest}").expect_problem("ResourceNotFound")


@clause("5.6.13.4", 2)
@clause("5.6.15.4", 2)
@clause("6.21.3.1", 1)
@clause("6.22.3.2", 1)
@pytest.mark.parametrize("name", NO_NAMES)
@pytest.mark.parametrize("rest", ["", "/urn:instance:1"])
def test_an_attribute_name_that_is_none_is_refused(broker: BrokerClient, unique: Unique, name: str, rest: str) -> None:
    one = entity(unique.id(), unique.type(), level=series(1))
    broker.post("/temporal/entities", one).expect(201)
    path = f"/temporal/entities/{one['id']}"
    broker.delete(f"{path}/attrs/{name}{rest}").expect_problem("BadRequestData")
    assert values_of(broker.get(path).expect(200).json["level"]) == [1]


@clause("6.21.3.1", 2)
@pytest.mark.parametrize("query", [{"datasetId": "no uri"}, {"deleteAll": "yes"}])
def test_a_parameter_that_is_wrong_deletes_nothing(broker: BrokerClient, unique: Unique, query: dict[str, str]) -> None:
    one = entity(unique.id(), unique.type(), level=series(1))
    broker.post("/temporal/entities", one).expect(201)
    path = f"/temporal/entities/{one['id']}"
    broker.delete(f"{path}/attrs/level", query).expect_problem("BadRequestData", "InvalidRequest")
    assert values_of(broker.get(path).expect(200).json["level"]) == [1]


# --- 5.6.15


@clause("5.6.15.1", 1)
@clause("5.6.15.4", 6)
@clause("6.22.3.2", 1)
def test_one_instance_is_deleted_with_all_below_it(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=series(1, 2, 3, accuracy=prop(5)), name=series("a"))
    broker.post("/temporal/entities", one).expect(201)
    path = f"/temporal/entities/{one['id']}"
    (target,) = [each for each in broker.get(path).expect(200).json["level"] if each["value"] == 2]
    assert broker.delete(f"{path}/attrs/level/{target['instanceId']}").expect(204).body == b""
    shown = broker.get(path).expect(200).json
    assert observed(shown["level"]) == [(1, at(0)), (3, at(2))]
    assert all(each["accuracy"]["value"] == 5 for each in shown["level"])
    assert values_of(shown["name"]) == ["a"]
    broker.delete(f"{path}/attrs/level/{target['instanceId']}").expect_problem("ResourceNotFound")


@clause("5.6.15.4", 6)
def test_the_last_instance_takes_the_attribute_along(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=series(1), name=series("a"))
    broker.post("/temporal/entities", one).expect(201)
    path = f"/temporal/entities/{one['id']}"
    (target,) = listed(broker.get(path).expect(200).json["level"])
    broker.delete(f"{path}/attrs/level/{target['instanceId']}").expect(204)
    assert broker.get(path).expect(200).json.keys() == {"id", "type", "name"}
    broker.delete(f"{path}/attrs/level").expect_problem("ResourceNotFound")


@clause("5.6.15.4", 6)
def test_an_instance_that_the_core_api_made_can_be_deleted(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=prop(1, observedAt=at(0)))
    broker.post("/entities", one).expect(201)
    path = f"/temporal/entities/{one['id']}"
    broker.patch(f"/entities/{one['id']}/attrs/level", prop(2, observedAt=at(1))).expect(204)
    (target,) = [each for each in broker.get(path).expect(200).json["level"] if each["value"] == 1]
    broker.delete(f"{path}/attrs/level/{target['instanceId']}").expect(204)
    assert values_of(broker.get(path).expect(200).json["level"]) == [2]
    assert broker.get(f"/entities/{one['id']}").expect(200).json["level"]["value"] == 2
    broker.delete(path)


@clause("5.6.15.4", 7, 8)
@clause("6.22.3.2", 1)
@pytest.mark.parametrize("name", ["level", "name", "unknown"])
def test_an_instance_that_the_attribute_does_not_have_is_not_found(
    broker: BrokerClient, unique: Unique, name: str
) -> None:
    one = entity(unique.id(), unique.type(), level=series(1), name=series("a"))
    broker.post("/temporal/entities", one).expect(201)
    path = f"/temporal/entities/{one['id']}"
    shown = broker.get(path).expect(200).json
    of_level = listed(shown["level"])[0]["instanceId"]
    instance_id = "urn:ngsi-ld:Instance:unknown" if name == "level" else of_level
    broker.delete(f"{path}/attrs/{name}/{instance_id}").expect_problem("ResourceNotFound")
    assert broker.get(path).expect(200).json == shown


@clause("5.6.15.4", 3)
@clause("6.22.3.2", 1)
@pytest.mark.parametrize("instance_id", NO_URIS)
def test_an_instance_id_that_is_no_uri_is_refused(broker: BrokerClient, unique: Unique, instance_id: str) -> None:
    one = entity(unique.id(), unique.type(), level=series(1))
    broker.post("/temporal/entities", one).expect(201)
    path = f"/temporal/entities/{one['id']}"
    broker.delete(f"{path}/attrs/level/{instance_id}").expect_problem("BadRequestData")
    assert values_of(broker.get(path).expect(200).json["level"]) == [1]


# --- 5.6.16


@clause("5.6.16.4", 4)
@clause("6.19.3.2", 1)
def test_nothing_is_left_of_a_deleted_evolution(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=series(1, 2), name=series("a", datasetId="urn:d:1"))
    other = entity(unique.id(), unique.type(), level=series(7))
    broker.post("/temporal/entities", one).expect(201)
    broker.post("/temporal/entities", other).expect(201)
    path = f"/temporal/entities/{one['id']}"
    assert broker.delete(path).expect(204).body == b""
    broker.get(path).expect_problem("ResourceNotFound")
    broker.delete(path).expect_problem("ResourceNotFound")
    found = broker.get("/temporal/entities", {"type": one["type"], **ALWAYS}).expect(200).json
    assert [each["id"] for each in found] == [other["id"]]
    broker.post("/temporal/entities", entity(one["id"], unique.type("House"), level=series(9))).expect(201)
    shown = broker.get(path).expect(200).json
    assert (shown["type"], values_of(shown["level"])) == (unique.type("House"), [9])


@clause("5.6.16.4", 4)
def test_the_current_state_outlives_the_evolution(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=prop(1))
    broker.post("/entities", one).expect(201)
    broker.delete(f"/temporal/entities/{one['id']}").expect(204)
    assert broker.get(f"/entities/{one['id']}").expect(200).json["level"]["value"] == 1
