"""4.5.2 NGSI-LD Property Representations, 5.2.5 Property."""

from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.random_entities import LOOKALIKES
from conformance.samples import Unique, entity, geo, lang, prop, rel

_NEVER = [
    ("entity", {"id": "urn:a:1", "type": "Car"}),
    ("entityIdSealed", "urn:a:1"),
    ("entityTypeSealed", "Car"),
    ("entityList", [{"id": "urn:a:1", "type": "Car"}]),
    ("json", {"a": 1}),
    ("previousJson", {"a": 1}),
    ("languageMap", {"en": "yes"}),
    ("previousLanguageMap", {"en": "yes"}),
    ("object", "urn:a:1"),
    ("previousObject", "urn:a:1"),
    ("objectList", ["urn:a:1"]),
    ("previousObjectList", ["urn:a:1"]),
    ("valueList", [1]),
    ("previousValueList", [1]),
    ("vocab", "male"),
    ("previousVocab", "male"),
]


@clause("4.5.2.1", 1)
@clause("4.5.2.2", 1)
def test_a_property_is_normalized_unless_something_else_is_asked_for(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(5, unitCode="KMH", source=prop("GPS")))
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}").expect(200).expect_json(one)
    broker.get(f"/entities/{one['id']}", {"format": "normalized"}).expect(200).expect_json(one)
    broker.get(f"/entities/{one['id']}", {"options": "normalized"}).expect(200).expect_json(one)


@pytest.mark.parametrize("value", [0, -7, 5.5, 1e20, 1.5e-7, 9007199254740991, True, False, "", "five", "5"], ids=repr)
@clause("4.5.2.2", 2)
@clause("5.2.5", 3)
def test_the_value_is_the_same_json_value(broker: BrokerClient, unique: Unique, value: Any) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(value))
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}").expect(200).json["speed"]
    assert shown == prop(value)
    assert isinstance(shown["value"], bool) is isinstance(value, bool)


@pytest.mark.parametrize(("member", "value"), _NEVER)
@clause("4.5.2.2", 7)
def test_a_normalized_property_never_has_a_member_of_another_kind(
    broker: BrokerClient, unique: Unique, member: str, value: Any
) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(5, **{member: value}))
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@pytest.mark.parametrize(("member", "value"), _NEVER)
@clause("4.5.2.3", 9)
def test_a_concise_property_never_has_a_member_of_another_kind(
    broker: BrokerClient, unique: Unique, member: str, value: Any
) -> None:
    one = entity(unique.id(), unique.type(), speed={"value": 5, member: value})
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@pytest.mark.parametrize("unit", ["KMH", "CEL", "C62", "1"])
@clause("4.5.2.2", 5)
@clause("4.5.2.3", 7)
@clause("4.2.3", 5)
def test_the_unit_is_kept_in_both_representations(broker: BrokerClient, unique: Unique, unit: str) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(5, unitCode=unit))
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}").expect_json(one)
    concise = broker.get(f"/entities/{one['id']}", {"format": "concise"}).expect(200)
    concise.expect_json({**one, "speed": {"value": 5, "unitCode": unit}})


@pytest.mark.parametrize("unit", [5, "", True, ["KMH"], {"code": "KMH"}], ids=repr)
@clause("4.5.2.2", 5)
@clause("4.5.2.3", 7)
@clause("5.2.5", 1)
def test_a_unit_that_is_no_code_is_refused(broker: BrokerClient, unique: Unique, unit: Any) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(5, unitCode=unit))
    broker.post("/entities", one).expect_problem("BadRequestData")
    concise = entity(one["id"], one["type"], speed={"value": 5, "unitCode": unit})
    broker.post("/entities", concise).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@clause("4.5.2.2", 6)
@clause("4.5.2.3", 8)
def test_the_value_type_is_a_uri_and_shown_as_a_term_where_there_is_one(broker: BrokerClient, unique: Unique) -> None:
    context = {"integer": f"http://example.org/{unique.name('integer')}"}
    one = entity(
        unique.id(), unique.type(), speed=prop(5, valueType="integer"), length={"value": 4, "valueType": "integer"}
    )
    broker.post("/entities", {"@context": context, **one}).expect(201)
    shown = broker.get(f"/entities/{one['id']}").expect(200).json
    assert shown["speed"] == prop(5, valueType=context["integer"])
    assert shown["length"] == prop(4, valueType=context["integer"])
    concise = broker.get(f"/entities/{one['id']}", {"format": "concise"}).expect(200).json
    assert concise["speed"] == {"value": 5, "valueType": context["integer"]}


@pytest.mark.parametrize("value", [5, "red", True, 5.5, [1, 2], {"street": "Shijo"}], ids=str)
@clause("4.5.2.1", 1)
@clause("4.5.2.3", 1)
def test_a_property_without_sub_attributes_is_its_value_in_concise_representation(
    broker: BrokerClient, unique: Unique, value: Any
) -> None:
    concise = entity(unique.id(), unique.type(), speed=value)
    broker.post("/entities", concise).expect(201)
    broker.get(f"/entities/{concise['id']}").expect_json({**concise, "speed": prop(value)})
    broker.get(f"/entities/{concise['id']}", {"format": "concise"}).expect_json(concise)
    broker.get(f"/entities/{concise['id']}", {"options": "concise"}).expect_json(concise)


@pytest.mark.parametrize("type_", ["Thing", "PostalAddress", 5], ids=str)
@clause("4.5.2.3", 2)
def test_an_object_with_a_type_is_read_as_normalized(broker: BrokerClient, unique: Unique, type_: Any) -> None:
    one = entity(unique.id(), unique.type(), address={"type": type_, "street": "Shijo"})
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@clause("4.5.2.3", 2)
def test_normalized_and_concise_attributes_may_stand_side_by_side(broker: BrokerClient, unique: Unique) -> None:
    mixed = entity(unique.id(), unique.type(), speed=prop(5, source="GPS"), height=2, driver={"object": "urn:a:1"})
    broker.post("/entities", mixed).expect(201)
    expected = {**mixed, "speed": prop(5, source=prop("GPS")), "height": prop(2), "driver": rel("urn:a:1")}
    broker.get(f"/entities/{mixed['id']}").expect_json(expected)


@pytest.mark.parametrize("value", LOOKALIKES, ids=str)
@clause("4.5.2.1", 1)
@clause("4.5.2.3", 3)
def test_a_value_that_looks_like_an_attribute_is_not_lost_in_concise_representation(
    broker: BrokerClient, unique: Unique, value: Any
) -> None:
    one = entity(unique.id(), unique.type(), address=prop(value))
    broker.post("/entities", one).expect(201)
    concise = broker.get(f"/entities/{one['id']}", {"format": "concise"}).expect(200).json
    copy = unique.id()
    broker.post("/entities", {**concise, "id": copy}).expect(201)
    broker.get(f"/entities/{copy}").expect_json({**one, "id": copy})


@pytest.mark.parametrize(
    ("concise", "normalized"),
    [
        ({"value": 5, "unitCode": "KMH"}, prop(5, unitCode="KMH")),
        ({"value": 5, "observedAt": "2026-01-01T00:00:00Z"}, prop(5, observedAt="2026-01-01T00:00:00Z")),
        ({"value": 5, "datasetId": "urn:a:1"}, prop(5, datasetId="urn:a:1")),
        ({"value": 5, "source": "GPS"}, prop(5, source=prop("GPS"))),
        ({"value": 5, "source": {"value": "GPS", "error": 0.1}}, prop(5, source=prop("GPS", error=prop(0.1)))),
        ({"value": 5, "by": {"object": "urn:a:1"}}, prop(5, by=rel("urn:a:1"))),
        (
            {"value": 5, "by": {"object": "urn:a:1", "since": 2020}},
            prop(5, by=rel("urn:a:1", since=prop(2020))),
        ),
        ({"value": 5, "at": {"type": "Point", "coordinates": [1.5, 2.5]}}, prop(5, at=geo("Point", [1.5, 2.5]))),
        ({"value": 5, "says": {"languageMap": {"en": "hi"}}}, prop(5, says=lang({"en": "hi"}))),
        ([{"value": 5}, {"value": 6, "datasetId": "urn:a:1"}], [prop(5), prop(6, datasetId="urn:a:1")]),
    ],
    ids=str,
)
@clause("4.5.2.3", 3, 4)
def test_a_property_with_more_than_its_value_is_an_object_in_concise_representation(
    broker: BrokerClient, unique: Unique, concise: Any, normalized: Any
) -> None:
    one = entity(unique.id(), unique.type(), speed=concise)
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "speed": normalized})
    broker.get(f"/entities/{one['id']}", {"format": "concise"}).expect_json(one)


@clause("4.5.2.3", 4)
@clause("5.2.5", 1)
def test_the_type_may_be_given_in_concise_representation(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed={"type": "Property", "value": 5, "source": "GPS"})
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "speed": prop(5, source=prop("GPS"))})


@clause("4.5.2.3", 6)
@clause("4.7.3", 4, 6)
@clause("5.2.7", 1)
def test_a_value_that_is_a_geometry_makes_it_a_geo_property(broker: BrokerClient, unique: Unique) -> None:
    point = {"type": "Point", "coordinates": [135.75, 35.0]}
    one = entity(unique.id(), unique.type(), seen={"value": point, "by": "camera"}, parked={"value": point}, sold=point)
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}").expect(200).json
    assert shown["seen"] == geo("Point", [135.75, 35.0], by=prop("camera"))
    assert shown["parked"] == shown["sold"] == geo("Point", [135.75, 35.0])


@pytest.mark.parametrize("proof", [{"proofValue": "z58"}, {"type": "DataIntegrityProof", "proofValue": "z58"}], ids=str)
@clause("4.5.2.2", 4)
@clause("4.5.2.3", 5)
def test_a_proof_is_a_property_that_seals_id_and_type(broker: BrokerClient, unique: Unique, proof: Any) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(5))
    sealed = {"value": proof, "entityIdSealed": one["id"], "entityTypeSealed": one["type"]}
    one["speed"]["ngsildproof"] = {"type": "Property", **sealed}
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}").expect_json(one)
    broker.get(f"/entities/{one['id']}", {"format": "concise"}).expect_json(
        {**one, "speed": {"value": 5, "ngsildproof": sealed}}
    )


@pytest.mark.parametrize("value", ["z58", 5, ["z58"]], ids=str)
@clause("4.5.2.2", 4)
@clause("4.5.2.3", 5)
def test_a_proof_that_is_no_object_is_refused(broker: BrokerClient, unique: Unique, value: Any) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(5, ngsildproof=prop(value)))
    broker.post("/entities", one).expect_problem("BadRequestData")
    concise = entity(one["id"], one["type"], speed={"value": 5, "ngsildproof": {"value": value}})
    broker.post("/entities", concise).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")
