"""5.6.14 Modify Attribute instance in Temporal Evolution of an Entity, 6.22.3.1."""

from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import DEFAULT_CONTEXT, Document, Unique, entity, prop, rel
from conformance.series import at, listed, observed, series, values_of
from conformance.servers import DocumentServer, eventually


def stored(broker: BrokerClient, unique: Unique, **attributes: Any) -> tuple[str, Document]:
    """The path of a new evolution with these attributes and three levels, and its second instance of these."""
    one = entity(unique.id(), unique.type(), level=series(1, 2, 3, accuracy=prop(9)), **attributes)
    broker.post("/temporal/entities", one).expect(201)
    path = f"/temporal/entities/{one['id']}"
    shown = broker.get(path, {"options": "sysAttrs"}).expect(200).json["level"]
    return path, next(each for each in shown if each["value"] == 2)


@clause("5.6.14.4", 6)
@clause("6.22.3.1", 1)
def test_an_instance_is_replaced(broker: BrokerClient, unique: Unique) -> None:
    path, target = stored(broker, unique, name=series("a"))
    fragment = {"level": [prop(22, observedAt=at(30), unitCode="MTR")]}
    assert broker.patch(f"{path}/attrs/level/{target['instanceId']}", fragment).expect(204).body == b""
    shown = broker.get(path).expect(200).json
    assert observed(shown["level"]) == [(1, at(0)), (3, at(2)), (22, at(30))]
    (new,) = [each for each in shown["level"] if each["value"] == 22]
    assert (new["instanceId"], new["unitCode"]) == (target["instanceId"], "MTR")
    assert "accuracy" not in new
    assert all(each["accuracy"]["value"] == 9 for each in shown["level"] if each["value"] != 22)
    assert values_of(shown["name"]) == ["a"]


@clause("5.6.14.4", 6)
def test_an_instance_may_become_one_of_another_dataset(broker: BrokerClient, unique: Unique) -> None:
    path, target = stored(broker, unique)
    fragment = {"level": [prop(22, observedAt=at(1), datasetId="urn:d:1")]}
    broker.patch(f"{path}/attrs/level/{target['instanceId']}", fragment).expect(204)
    shown = broker.get(path).expect(200).json["level"]
    assert [(each.get("datasetId"), each["value"]) for each in sorted(shown, key=lambda each: each["observedAt"])] == [
        (None, 1),
        ("urn:d:1", 22),
        (None, 3),
    ]


@clause("5.6.14.4", 6)
def test_a_relationship_instance_is_replaced(broker: BrokerClient, unique: Unique) -> None:
    path, _ = stored(broker, unique, owner=[rel("urn:a:1", observedAt=at(0))])
    (target,) = listed(broker.get(path).expect(200).json["owner"])
    fragment = {"owner": [rel("urn:a:2", observedAt=at(0))]}
    broker.patch(f"{path}/attrs/owner/{target['instanceId']}", fragment).expect(204)
    assert values_of(broker.get(path).expect(200).json["owner"], "object") == ["urn:a:2"]


@clause("5.6.14.4", 9, 10)
def test_created_at_stays_and_modified_at_goes_on(broker: BrokerClient, unique: Unique) -> None:
    path, target = stored(broker, unique)
    number = iter(range(10, 1000))

    def modified() -> Document | None:
        fragment = {"level": [prop(next(number), observedAt=at(1))]}
        broker.patch(f"{path}/attrs/level/{target['instanceId']}", fragment).expect(204)
        shown = broker.get(path, {"options": "sysAttrs"}).expect(200).json["level"]
        (new,) = [each for each in shown if each["instanceId"] == target["instanceId"]]
        assert new["createdAt"] == target["createdAt"]
        # Timestamps may have no fraction of a second.
        return new if new["modifiedAt"] > target["modifiedAt"] else None

    new = eventually(modified)
    others = broker.get(path, {"options": "sysAttrs"}).expect(200).json["level"]
    assert all(each["modifiedAt"] < new["modifiedAt"] for each in others if each["value"] in (1, 3))


@clause("5.6.14.4", 6)
def test_the_attribute_is_found_by_its_expanded_name(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    context = documents.publish_context(niveau=DEFAULT_CONTEXT + "level")
    path, target = stored(broker, unique)
    fragment = {"niveau": [prop(22, observedAt=at(1))]}
    broker.patch(f"{path}/attrs/niveau/{target['instanceId']}", fragment, link=context).expect(204)
    assert values_of(broker.get(path).expect(200).json["level"]) == [1, 22, 3]


@clause("5.6.14.4", 6)
def test_the_current_state_is_not_modified(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=prop(1, observedAt=at(0)))
    broker.post("/entities", one).expect(201)
    path = f"/temporal/entities/{one['id']}"
    (target,) = listed(broker.get(path).expect(200).json["level"])
    fragment = {"level": [prop(2, observedAt=at(0))]}
    broker.patch(f"{path}/attrs/level/{target['instanceId']}", fragment).expect(204)
    assert values_of(broker.get(path).expect(200).json["level"]) == [2]
    assert broker.get(f"/entities/{one['id']}").expect(200).json["level"]["value"] == 1
    broker.delete(path)


@clause("5.6.14.4", 11)
@clause("6.22.3.1", 1)
@pytest.mark.parametrize(
    "fragment",
    [
        {},
        {"level": []},
        {"level": series(8, 9)},
        {"name": series("a")},
        {"level": series(8), "name": series("a")},
        {"level": [{"type": "Property", "observedAt": at(0)}]},
        {"level": [prop(8, observedAt="yesterday")]},
        {"level": [prop(None)]},
        {"level": [prop(8, datasetId="no uri")]},
        {"level": [{"type": "Relationship", "object": "no uri"}]},
    ],
)
def test_a_wrong_fragment_changes_nothing(broker: BrokerClient, unique: Unique, fragment: Any) -> None:
    path, target = stored(broker, unique)
    before = broker.get(path, {"options": "sysAttrs"}).expect(200).json
    broker.patch(f"{path}/attrs/level/{target['instanceId']}", fragment).expect_problem("BadRequestData")
    assert broker.get(path, {"options": "sysAttrs"}).expect(200).json == before


@clause("5.6.14.4", 11)
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5"])
def test_a_body_that_is_no_object_changes_nothing(broker: BrokerClient, unique: Unique, body: bytes) -> None:
    path, target = stored(broker, unique)
    answer = broker.patch(f"{path}/attrs/level/{target['instanceId']}", body, content_type="application/json")
    answer.expect_problem("InvalidRequest", "BadRequestData")
    assert values_of(broker.get(path).expect(200).json["level"]) == [1, 2, 3]


@clause("5.6.14.4", 1)
@clause("6.22.3.1", 1)
@pytest.mark.parametrize("entity_id", ["not-a-uri", "12345", "a%20b"])
def test_an_entity_id_that_is_no_uri_is_refused(broker: BrokerClient, entity_id: str) -> None:
    path = f"/temporal/entities/{entity_id}/attrs/level/urn:instance:1"
    broker.patch(path, {"level": series(1)}).expect_problem("BadRequestData")


@clause("5.6.14.4", 2)
@clause("6.22.3.1", 1)
@pytest.mark.parametrize("name", ["a%20b", "%3Cb%3E", "b%28"])
def test_an_attribute_name_that_is_none_is_refused(broker: BrokerClient, unique: Unique, name: str) -> None:
    path, target = stored(broker, unique)
    answer = broker.patch(f"{path}/attrs/{name}/{target['instanceId']}", {"level": series(1)})
    answer.expect_problem("BadRequestData")


@clause("5.6.14.4", 3)
@clause("6.22.3.1", 1)
@pytest.mark.parametrize("instance_id", ["not-a-uri", "12345", "a%20b"])
def test_an_instance_id_that_is_no_uri_is_refused(broker: BrokerClient, unique: Unique, instance_id: str) -> None:
    path, _ = stored(broker, unique)
    broker.patch(f"{path}/attrs/level/{instance_id}", {"level": series(1)}).expect_problem("BadRequestData")


@clause("5.6.14.4", 4)
@clause("6.22.3.1", 1)
def test_an_unknown_evolution_is_not_found(broker: BrokerClient, unique: Unique) -> None:
    path = f"/temporal/entities/{unique.id()}"
    broker.patch(f"{path}/attrs/level/urn:instance:1", {"level": series(1)}).expect_problem("ResourceNotFound")
    broker.get(path).expect_problem("ResourceNotFound")


@clause("5.6.14.4", 7, 8)
@clause("6.22.3.1", 1)
@pytest.mark.parametrize("name", ["level", "name", "unknown"])
def test_an_instance_that_the_attribute_does_not_have_is_not_found(
    broker: BrokerClient, unique: Unique, name: str
) -> None:
    path, target = stored(broker, unique, name=series("a"))
    before = broker.get(path).expect(200).json
    instance_id = "urn:ngsi-ld:Instance:unknown" if name == "level" else target["instanceId"]
    answer = broker.patch(f"{path}/attrs/{name}/{instance_id}", {name: series(1)})
    answer.expect_problem("ResourceNotFound")
    assert broker.get(path).expect(200).json == before
