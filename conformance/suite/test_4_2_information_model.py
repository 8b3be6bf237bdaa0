"""4.2 NGSI-LD information model: the meta-model and the cross-domain ontology, as far as documents show them."""

from typing import Any

import pytest

from conformance.broker_client import JSON_LD, BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, geo, lang, list_prop, list_rel, prop, rel, vocab

_BOB = "urn:ngsi-ld:Person:Bob"


@clause("4.2.1", 1)
@clause("4.2.2", 2)
@clause("4.5.1", 2)
def test_properties_and_relationships_may_describe_entities_and_each_other(
    broker: BrokerClient, unique: Unique
) -> None:
    speed = prop(55, accuracy=prop(2, measuredWith=rel("urn:ngsi-ld:Device:7")), source=rel("urn:ngsi-ld:Device:8"))
    driver = rel(_BOB, since=prop("2020"), witness=rel("urn:ngsi-ld:Person:Eve", sworn=prop(True)))
    car = entity(unique.id("Car"), unique.type("Car"), speed=speed, driver=driver)
    broker.post("/entities", car).expect(201)
    broker.get(f"/entities/{car['id']}").expect(200).expect_json(car)


@clause("4.2.1", 2)
@clause("4.5.1", 1)
def test_entities_are_represented_in_json_ld(broker: BrokerClient, unique: Unique) -> None:
    car = entity(unique.id("Car"), unique.type("Car"), speed=prop(55))
    broker.post("/entities", car).expect(201)
    shown = broker.get(f"/entities/{car['id']}", accept=JSON_LD).expect(200)
    assert shown.media_type == JSON_LD
    assert shown.json.pop("@context")
    assert {name: item for name, item in shown.json.items() if name != "@context"} == car


@pytest.mark.parametrize("member", ["observedAt", "datasetId", "unitCode", "expiresAt"])
@clause("4.2.2", 1)
@clause("4.2.3", 1)
def test_what_is_only_a_value_cannot_be_reified(broker: BrokerClient, unique: Unique, member: str) -> None:
    reified = prop("2026-01-01T00:00:00Z")
    car = entity(unique.id("Car"), unique.type("Car"), speed=prop(55, **{member: reified}))
    broker.post("/entities", car).expect_problem("BadRequestData")
    broker.get(f"/entities/{car['id']}").expect_problem("ResourceNotFound")


@pytest.mark.parametrize(
    "value",
    ["red", 7, 7.25, True, False, "", [1, 2], {"street": "Shijo", "number": 5}, {"at": {"floor": 3}}],
    ids=str,
)
@clause("4.2.2", 3)
@clause("4.6.3", 1)
def test_a_value_is_a_literal_or_a_structure(broker: BrokerClient, unique: Unique, value: Any) -> None:
    car = entity(unique.id("Car"), unique.type("Car"), colour=prop(value))
    broker.post("/entities", car).expect(201)
    broker.get(f"/entities/{car['id']}").expect(200).expect_json(car)


@pytest.mark.parametrize("extra", [{}, {"unitCode": "KMH"}, {"observedAt": "2026-01-01T00:00:00Z"}], ids=str)
@clause("4.2.2", 4)
@clause("4.5.2.2", 3)
@clause("5.2.5", 1)
def test_a_property_without_a_value_is_refused(broker: BrokerClient, unique: Unique, extra: dict[str, Any]) -> None:
    car = entity(unique.id("Car"), unique.type("Car"), speed={"type": "Property", **extra})
    broker.post("/entities", car).expect_problem("BadRequestData")
    broker.get(f"/entities/{car['id']}").expect_problem("ResourceNotFound")


@pytest.mark.parametrize("extra", [{}, {"objectType": "Person"}, {"since": prop(2020)}], ids=str)
@clause("4.2.2", 5)
@clause("4.5.3.2", 2)
@clause("5.2.6", 1)
def test_a_relationship_without_an_object_is_refused(
    broker: BrokerClient, unique: Unique, extra: dict[str, Any]
) -> None:
    car = entity(unique.id("Car"), unique.type("Car"), driver={"type": "Relationship", **extra})
    broker.post("/entities", car).expect_problem("BadRequestData")
    broker.get(f"/entities/{car['id']}").expect_problem("ResourceNotFound")


@pytest.mark.parametrize(
    "attribute",
    [
        pytest.param(geo("Point", [135.75, 35.0]), marks=pytest.mark.clause("4.2.3", 3, 7), id="GeoProperty"),
        pytest.param(lang({"en": "yes", "ja": "はい"}), marks=pytest.mark.clause("4.2.3", 9), id="LanguageProperty"),
        pytest.param(vocab("commercial"), marks=pytest.mark.clause("4.2.3", 2), id="VocabProperty"),
        pytest.param(list_prop([1, 2, 1]), marks=pytest.mark.clause("4.2.3", 2), id="ListProperty"),
        pytest.param(list_rel([_BOB, _BOB]), marks=pytest.mark.clause("4.2.3", 2), id="ListRelationship"),
        pytest.param(
            prop(5, observedAt="2026-01-01T00:00:00Z"),
            marks=pytest.mark.clause("4.2.3", 4),
            id="observedAt",
        ),
        pytest.param(prop(5, unitCode="KMH"), marks=pytest.mark.clause("4.2.3", 5), id="unitCode"),
        pytest.param(
            prop({"@type": "DateTime", "@value": "2018-12-04T12:00:00Z"}),
            marks=pytest.mark.clause("4.2.3", 8),
            id="DateTime value",
        ),
    ],
)
def test_the_concepts_of_the_ontology_are_kept(broker: BrokerClient, unique: Unique, attribute: dict[str, Any]) -> None:
    car = entity(unique.id("Car"), unique.type("Car"), **{unique.name("told"): attribute})
    broker.post("/entities", car).expect(201)
    broker.get(f"/entities/{car['id']}").expect(200).expect_json(car)


@clause("4.2.3", 6)
@clause("4.5.1", 5)
def test_an_entity_has_its_scope_without_reification(broker: BrokerClient, unique: Unique) -> None:
    car = entity(unique.id("Car"), unique.type("Car"), scope="/Kyoto/Nakagyo")
    broker.post("/entities", car).expect(201)
    broker.get(f"/entities/{car['id']}").expect(200).expect_json(car)
