"""4.5.3 NGSI-LD Relationship Representations, 5.2.6 Relationship."""

from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, prop, rel

_BOB = "urn:ngsi-ld:Person:Bob"
_NEVER = [
    ("entityIdSealed", "urn:a:1"),
    ("entityTypeSealed", "Car"),
    ("entityList", [{"id": "urn:a:1", "type": "Car"}]),
    ("languageMap", {"en": "yes"}),
    ("previousLanguageMap", {"en": "yes"}),
    ("json", {"a": 1}),
    ("previousJson", {"a": 1}),
    ("objectList", ["urn:a:1"]),
    ("previousObjectList", ["urn:a:1"]),
    ("unitCode", "KMH"),
    ("value", 5),
    ("previousValue", 5),
    ("valueList", [1]),
    ("previousValueList", [1]),
    ("vocab", "male"),
    ("previousVocab", "male"),
]


@clause("4.5.3.1", 1)
@clause("4.5.3.2", 1)
def test_a_relationship_is_normalized_unless_something_else_is_asked_for(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), driver=rel(_BOB, since=prop(2020), through=rel("urn:ngsi-ld:Org:1")))
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}").expect(200).expect_json(one)
    broker.get(f"/entities/{one['id']}", {"format": "normalized"}).expect(200).expect_json(one)


@pytest.mark.parametrize("format_", ["normalized", "concise"])
@clause("4.5.3.2", 2)
@clause("4.5.3.3", 2)
@clause("5.2.6", 1)
def test_a_relationship_may_have_several_objects(broker: BrokerClient, unique: Unique, format_: str) -> None:
    one = entity(unique.id(), unique.type(), drivers=rel(["urn:a:1", "urn:a:2", "https://example.org/東山"]))
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}", {"format": format_}).expect(200).json["drivers"]["object"]
    assert sorted(shown) == sorted(one["drivers"]["object"])


@pytest.mark.parametrize("bad", ["Bob", "", 5, True, {}, {"id": "urn:a:1"}, [], ["urn:a:1", "Bob"], [5]], ids=repr)
@clause("4.5.3.2", 2)
@clause("4.5.3.3", 2)
@clause("5.2.6", 3)
def test_an_object_that_is_no_uri_is_refused(broker: BrokerClient, unique: Unique, bad: Any) -> None:
    one = entity(unique.id(), unique.type(), driver={"type": "Relationship", "object": bad})
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.post("/entities", {**one, "driver": {"object": bad}}).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@pytest.mark.parametrize(("member", "value"), _NEVER)
@clause("4.5.3.2", 4)
def test_a_normalized_relationship_never_has_a_member_of_another_kind(
    broker: BrokerClient, unique: Unique, member: str, value: Any
) -> None:
    one = entity(unique.id(), unique.type(), driver=rel(_BOB, **{member: value}))
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@pytest.mark.parametrize(("member", "value"), _NEVER)
@clause("4.5.3.3", 5)
def test_a_concise_relationship_never_has_a_member_of_another_kind(
    broker: BrokerClient, unique: Unique, member: str, value: Any
) -> None:
    one = entity(unique.id(), unique.type(), driver={"object": _BOB, member: value})
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@pytest.mark.parametrize(
    ("concise", "normalized"),
    [
        ({"object": _BOB}, rel(_BOB)),
        ({"object": _BOB, "objectType": "Person"}, rel(_BOB, objectType="Person")),
        ({"object": _BOB, "observedAt": "2026-01-01T00:00:00Z"}, rel(_BOB, observedAt="2026-01-01T00:00:00Z")),
        ({"object": _BOB, "datasetId": "urn:a:1"}, rel(_BOB, datasetId="urn:a:1")),
        ({"object": _BOB, "since": 2020}, rel(_BOB, since=prop(2020))),
        ({"object": _BOB, "by": {"object": "urn:a:1", "at": "noon"}}, rel(_BOB, by=rel("urn:a:1", at=prop("noon")))),
        (
            [{"object": _BOB}, {"object": "urn:a:1", "datasetId": "urn:a:2"}],
            [rel(_BOB), rel("urn:a:1", datasetId="urn:a:2")],
        ),
    ],
    ids=str,
)
@clause("4.5.3.1", 1)
@clause("4.5.3.3", 1, 4)
@clause("5.2.6", 1)
def test_a_concise_relationship_goes_without_its_type(
    broker: BrokerClient, unique: Unique, concise: Any, normalized: Any
) -> None:
    one = entity(unique.id(), unique.type(), driver=concise)
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "driver": normalized})
    broker.get(f"/entities/{one['id']}", {"format": "concise"}).expect_json(one)


@pytest.mark.parametrize("value", ["z58", ["z58"]], ids=str)
@clause("4.5.3.2", 3)
@clause("4.5.3.3", 3)
def test_a_proof_of_a_relationship_has_an_object_as_its_value(broker: BrokerClient, unique: Unique, value: Any) -> None:
    one = entity(unique.id(), unique.type(), driver=rel(_BOB))
    sealed = {"value": {"proofValue": "z58"}, "entityIdSealed": one["id"], "entityTypeSealed": one["type"]}
    signed = {**one, "driver": rel(_BOB, ngsildproof={"type": "Property", **sealed})}
    broker.post("/entities", {**one, "driver": rel(_BOB, ngsildproof=prop(value))}).expect_problem("BadRequestData")
    bad = {**one, "driver": {"object": _BOB, "ngsildproof": {"value": value}}}
    broker.post("/entities", bad).expect_problem("BadRequestData")
    broker.post("/entities", signed).expect(201)
    broker.get(f"/entities/{one['id']}").expect_json(signed)
    broker.get(f"/entities/{one['id']}", {"format": "concise"}).expect_json(
        {**one, "driver": {"object": _BOB, "ngsildproof": sealed}}
    )


@pytest.mark.parametrize("part", ["/attrs", ""], ids=["partial update", "merge"])
@clause("4.5.3.3", 6)
def test_the_bare_null_of_ngsi_ld_removes_a_relationship(broker: BrokerClient, unique: Unique, part: str) -> None:
    one = entity(unique.id(), unique.type(), driver=rel(_BOB), speed=prop(5))
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}{part}", {"driver": "urn:ngsi-ld:null"}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json(entity(one["id"], one["type"], speed=prop(5)))
