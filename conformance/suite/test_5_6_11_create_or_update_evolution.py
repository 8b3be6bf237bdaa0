"""5.6.11 Create or Update Temporal Evolution of an Entity, 6.18.3.1; 5.6.12 Add Attributes to it, 6.20.3.1."""

from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import DEFAULT_CONTEXT, Unique, entity, prop
from conformance.series import at, listed, observed, series, values_of
from conformance.servers import DocumentServer


@clause("5.6.11.4", 5)
@clause("5.6.11.5", 1)
@clause("6.18.3.1", 1, 2)
def test_an_evolution_is_created_and_found_at_its_location(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=series(1, 2))
    answer = broker.post("/temporal/entities", one).expect(201)
    location = answer.header("Location")
    assert location.endswith(f"/temporal/entities/{one['id']}")
    assert answer.body == b""
    shown = broker.get(location).expect(200).json
    assert (shown["id"], observed(shown["level"])) == (one["id"], [(1, at(0)), (2, at(1))])


@clause("5.6.11.4", 4)
@clause("5.6.11.5", 1)
@clause("6.18.3.1", 1)
def test_instances_are_added_to_an_evolution_that_is_known(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=series(1, 2), name=series("a"))
    broker.post("/temporal/entities", one).expect(201)
    more = entity(one["id"], one["type"], level=series(3, start=2), depth=series(9, datasetId="urn:d:1"))
    answer = broker.post("/temporal/entities", more).expect(204)
    assert answer.body == b""
    assert "Location" not in answer.headers
    shown = broker.get(f"/temporal/entities/{one['id']}").expect(200).json
    assert observed(shown["level"]) == [(1, at(0)), (2, at(1)), (3, at(2))]
    assert (values_of(shown["name"]), values_of(shown["depth"])) == (["a"], [9])


@clause("5.6.11.4", 4)
def test_instances_of_other_datasets_stand_beside_each_other(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=series(1))
    broker.post("/temporal/entities", one).expect(201)
    more = entity(one["id"], one["type"], level=series(2, datasetId="urn:d:1"))
    broker.post("/temporal/entities", more).expect(204)
    shown = broker.get(f"/temporal/entities/{one['id']}").expect(200).json["level"]
    assert {each.get("datasetId"): each["value"] for each in shown} == {None: 1, "urn:d:1": 2}


@clause("5.6.11.4", 6)
def test_types_are_added_to_those_of_the_evolution(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=series(1))
    broker.post("/temporal/entities", one).expect(201)
    types = [unique.type("House"), unique.type()]
    broker.post("/temporal/entities", entity(one["id"], types, level=series(2, start=1))).expect(204)
    broker.post("/temporal/entities", entity(one["id"], types[0], level=series(3, start=2))).expect(204)
    assert sorted(broker.get(f"/temporal/entities/{one['id']}").expect(200).json["type"]) == sorted(types)


@clause("5.6.11.4", 5)
def test_the_current_state_is_another_thing(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=series(1))
    broker.post("/temporal/entities", one).expect(201)
    broker.get("/entities", {"type": one["type"]}).expect(200).expect_json([])


@clause("5.6.11.4", 5)
def test_names_are_expanded_with_the_context_of_the_request(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    context = documents.publish_context(niveau="https://example.org/level", Haus="https://example.org/House")
    one = entity(unique.id(), "Haus", niveau=series(1))
    broker.post("/temporal/entities", {**one, "@context": [context]}).expect(201)
    shown = broker.get(f"/temporal/entities/{one['id']}").expect(200).json
    assert (shown["type"], values_of(shown["https://example.org/level"])) == ("https://example.org/House", [1])
    assert "niveau" in broker.get(f"/temporal/entities/{one['id']}", link=context).expect(200).json


INVALID: list[Any] = [
    {"level": [{"type": "Property", "observedAt": at(0)}]},
    {"level": [prop(1, observedAt="yesterday")]},
    {"level": [prop(1, observedAt="2024-05-01T10:00:00+01:00")]},
    {"level": [prop(1, observedAt=at(0), datasetId="no uri")]},
    {"level": [{"type": "Relationship", "value": 1, "observedAt": at(0)}]},
    {"level": [{"type": "Relationship", "object": "no uri", "observedAt": at(0)}]},
    {"level": [{"type": "Nonsense", "value": 1}]},
    {"level": [*series(1), 5]},
    {"level": [*series(1), prop(None, observedAt=at(1))]},
    {"level": [{"type": "GeoProperty", "value": {"type": "Point", "coordinates": ["x"]}, "observedAt": at(0)}]},
    {"le vel": series(1)},
]


@clause("5.6.11.4", 1)
@clause("6.18.3.1", 3)
@pytest.mark.parametrize("wrong", INVALID)
def test_an_evolution_that_is_wrong_is_refused_as_a_whole(
    broker: BrokerClient, unique: Unique, wrong: dict[str, Any]
) -> None:
    one = entity(unique.id(), unique.type(), good=series(1), **wrong)
    broker.post("/temporal/entities", one).expect_problem("BadRequestData")
    broker.get(f"/temporal/entities/{one['id']}").expect_problem("ResourceNotFound")


@clause("5.6.11.4", 1)
@pytest.mark.parametrize("wrong", INVALID)
def test_a_wrong_addition_changes_nothing(broker: BrokerClient, unique: Unique, wrong: dict[str, Any]) -> None:
    one = entity(unique.id(), unique.type(), good=series(1))
    broker.post("/temporal/entities", one).expect(201)
    more = entity(one["id"], unique.type("House"), good=series(2, start=1), **wrong)
    broker.post("/temporal/entities", more).expect_problem("BadRequestData")
    shown = broker.get(f"/temporal/entities/{one['id']}").expect(200).json
    assert (shown.keys(), shown["type"]) == ({"id", "type", "good"}, one["type"])
    assert values_of(shown["good"]) == [1]


@clause("5.6.11.4", 1)
@clause("6.18.3.1", 3)
@pytest.mark.parametrize("missing", ["id", "type"])
def test_an_evolution_needs_id_and_type(broker: BrokerClient, unique: Unique, missing: str) -> None:
    one = entity(unique.id(), unique.type(), level=series(1))
    without = {name: value for name, value in one.items() if name != missing}
    broker.post("/temporal/entities", without).expect_problem("BadRequestData")
    broker.get(f"/temporal/entities/{one['id']}").expect_problem("ResourceNotFound")


@clause("5.6.11.4", 1)
@pytest.mark.parametrize("entity_id", ["no uri", "", 5, None, ["urn:a:1"]])
def test_an_evolution_has_a_uri(broker: BrokerClient, unique: Unique, entity_id: Any) -> None:
    one = {"id": entity_id, "type": unique.type(), "level": series(1)}
    broker.post("/temporal/entities", one).expect_problem("BadRequestData")
    query = {"type": unique.type(), "timerel": "after", "timeAt": at(0)}
    broker.get("/temporal/entities", query).expect(200).expect_json([])


@clause("5.6.11.4", 1)
@clause("6.18.3.1", 3)
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5", b'"text"', b"null"])
def test_a_body_that_is_no_object_is_an_invalid_request(broker: BrokerClient, body: bytes) -> None:
    answer = broker.post("/temporal/entities", body, content_type="application/json")
    answer.expect_problem("InvalidRequest", "BadRequestData")


# --- 5.6.12


@clause("5.6.12.4", 5)
@clause("6.20.3.1", 1, 2)
def test_attributes_are_added(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=series(1))
    broker.post("/temporal/entities", one).expect(201)
    more = {"level": series(2, 3, start=1), "name": series("a"), "depth": prop(7, observedAt=at(0))}
    answer = broker.post(f"/temporal/entities/{one['id']}/attrs", more).expect(204)
    assert answer.body == b""
    shown = broker.get(f"/temporal/entities/{one['id']}").expect(200).json
    assert observed(shown["level"]) == [(1, at(0)), (2, at(1)), (3, at(2))]
    assert (values_of(shown["name"]), values_of(shown["depth"])) == (["a"], [7])


@clause("5.6.12.4", 5)
def test_attributes_are_added_under_their_expanded_names(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    context = documents.publish_context(niveau=DEFAULT_CONTEXT + "level")
    one = entity(unique.id(), unique.type(), level=series(1))
    broker.post("/temporal/entities", one).expect(201)
    broker.post(f"/temporal/entities/{one['id']}/attrs", {"niveau": series(2, start=1)}, link=context).expect(204)
    shown = broker.get(f"/temporal/entities/{one['id']}").expect(200).json
    assert (shown.keys(), values_of(shown["level"])) == ({"id", "type", "level"}, [1, 2])


@clause("5.6.12.4", 6)
def test_types_of_a_fragment_are_added(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=series(1))
    broker.post("/temporal/entities", one).expect(201)
    more = {"type": [unique.type("House")], "level": series(2, start=1)}
    broker.post(f"/temporal/entities/{one['id']}/attrs", more).expect(204)
    shown = broker.get(f"/temporal/entities/{one['id']}").expect(200).json
    assert sorted(shown["type"]) == sorted([unique.type(), unique.type("House")])


@clause("5.6.12.4", 5)
def test_a_scope_is_added(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=series(1))
    broker.post("/temporal/entities", one).expect(201)
    path = f"/temporal/entities/{one['id']}"
    broker.post(f"{path}/attrs", {"scope": [prop("/Madrid", observedAt=at(1))]}).expect(204)
    assert observed(broker.get(path).expect(200).json["scope"]) == [("/Madrid", at(1))]


@clause("5.6.12.4", 5)
def test_an_entity_that_the_core_api_created_has_an_evolution_to_add_to(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=prop(5, observedAt=at(5)))
    broker.post("/entities", one).expect(201)
    path = f"/temporal/entities/{one['id']}"
    broker.post(f"{path}/attrs", {"level": series(1)}).expect(204)
    assert values_of(broker.get(path).expect(200).json["level"]) == [1, 5]
    assert broker.get(f"/entities/{one['id']}").expect(200).json["level"]["value"] == 5
    broker.delete(path)


@clause("5.6.12.4", 1)
@clause("6.20.3.1", 1)
@pytest.mark.parametrize("entity_id", ["not-a-uri", "12345", "%20", "a%20b"])
def test_an_addition_to_an_id_that_is_no_uri_is_refused(broker: BrokerClient, entity_id: str) -> None:
    answer = broker.post(f"/temporal/entities/{entity_id}/attrs", {"level": series(1)})
    answer.expect_problem("BadRequestData")


@clause("5.6.12.4", 2)
@clause("6.20.3.1", 1)
def test_an_addition_to_an_unknown_evolution_is_not_found(broker: BrokerClient, unique: Unique) -> None:
    path = f"/temporal/entities/{unique.id()}"
    broker.post(f"{path}/attrs", {"level": series(1)}).expect_problem("ResourceNotFound")
    broker.get(path).expect_problem("ResourceNotFound")


@clause("5.6.12.4", 3)
@clause("6.20.3.1", 1)
@pytest.mark.parametrize("wrong", INVALID)
def test_a_wrong_fragment_changes_nothing(broker: BrokerClient, unique: Unique, wrong: dict[str, Any]) -> None:
    one = entity(unique.id(), unique.type(), good=series(1))
    broker.post("/temporal/entities", one).expect(201)
    path = f"/temporal/entities/{one['id']}"
    broker.post(f"{path}/attrs", {"good": series(2, start=1), **wrong}).expect_problem("BadRequestData")
    shown = broker.get(path).expect(200).json
    assert shown.keys() == {"id", "type", "good"}
    assert [each["value"] for each in listed(shown["good"])] == [1]


@clause("5.6.12.4", 3)
@clause("6.20.3.1", 2)
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5"])
def test_a_fragment_that_is_no_object_is_an_invalid_request(broker: BrokerClient, unique: Unique, body: bytes) -> None:
    one = entity(unique.id(), unique.type(), level=series(1))
    broker.post("/temporal/entities", one).expect(201)
    answer = broker.post(f"/temporal/entities/{one['id']}/attrs", body, content_type="application/json")
    answer.expect_problem("InvalidRequest", "BadRequestData")


@clause("5.6.12.4", 3)
def test_a_fragment_of_another_entity_is_refused(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=series(1))
    broker.post("/temporal/entities", one).expect(201)
    path = f"/temporal/entities/{one['id']}"
    broker.post(f"{path}/attrs", {"id": unique.id(), "level": series(2)}).expect_problem("BadRequestData")
    assert values_of(broker.get(path).expect(200).json["level"]) == [1]
