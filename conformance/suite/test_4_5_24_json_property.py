"""4.5.24 NGSI-LD JsonProperty Representations, 5.2.38 JsonProperty."""

from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, json_prop, prop, rel
from conformance.servers import DocumentServer

_RAW = {"id": "85a6cc52", "@id": 5, "value": "60 minutes", "type": None, "@context": "none", "speed": [None, [[]]]}


@clause("4.5.24.1", 1, 2)
@clause("4.5.24.2", 1)
def test_a_json_property_is_normalized_unless_something_else_is_asked_for(broker: BrokerClient, unique: Unique) -> None:
    tickets = json_prop({"id": "85a6cc52"}, by=rel("urn:a:1"), source=prop("letter"))
    one = entity(unique.id(), unique.type(), tickets=tickets)
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}").expect_json(one)


@pytest.mark.parametrize("value", [_RAW, [_RAW, {}], {}, [{"a": None}], {"": {"a b": 1, "@value": 2}}], ids=str)
@clause("4.5.24.1", 1)
@clause("4.5.24.2", 2)
@clause("4.5.24.3", 2)
@clause("5.2.38", 3)
def test_raw_json_is_given_back_as_it_came(broker: BrokerClient, unique: Unique, value: Any) -> None:
    one = entity(unique.id(), unique.type(), tickets=json_prop(value))
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}").expect_json(one)
    broker.get(f"/entities/{one['id']}", {"format": "concise"}).expect_json({**one, "tickets": {"json": value}})


@pytest.mark.parametrize("format_", ["normalized", "concise", "simplified"])
@clause("4.5.24.2", 2)
@clause("4.5.24.3", 2)
@clause("5.2.38", 3)
def test_no_context_touches_the_keys_of_raw_json(
    broker: BrokerClient, unique: Unique, documents: DocumentServer, format_: str
) -> None:
    context = documents.publish_context(speed=f"https://example.org/{unique.name('speed')}")
    one = entity(unique.id(), unique.type(), tickets=json_prop({"speed": 5, "https://example.org/other": "speed"}))
    broker.post("/entities", one, link=context).expect(201)
    for link in (None, context):
        shown = broker.get(f"/entities/{one['id']}", {"format": format_}, link=link).expect(200).json
        assert shown["tickets"]["json"] == {"speed": 5, "https://example.org/other": "speed"}


@pytest.mark.parametrize("concise", [False, True], ids=["normalized", "concise"])
@pytest.mark.parametrize(
    ("member", "value"),
    [("unitCode", "KMH"), ("value", {}), ("previousValue", {}), ("object", "urn:a:1"), ("languageMap", {"en": "a"})],
)
@clause("4.5.24.2", 3)
@clause("4.5.24.3", 3)
def test_a_json_property_has_neither_unit_nor_value(
    broker: BrokerClient, unique: Unique, member: str, value: Any, concise: bool
) -> None:
    told = {"json": {"a": 1}} if concise else json_prop({"a": 1})
    one = entity(unique.id(), unique.type(), tickets={**told, member: value})
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@pytest.mark.parametrize(
    ("concise", "normalized"),
    [
        ({"json": {"a": None}}, json_prop({"a": None})),
        ({"json": [{"a": 1}, {"a": 2}]}, json_prop([{"a": 1}, {"a": 2}])),
        ({"json": {"a": 1}, "source": "letter"}, json_prop({"a": 1}, source=prop("letter"))),
        ({"json": {"a": 1}, "datasetId": "urn:a:1"}, json_prop({"a": 1}, datasetId="urn:a:1")),
        ({"json": {"a": 1}, "of": {"json": {"a": 2}}}, json_prop({"a": 1}, of=json_prop({"a": 2}))),
    ],
    ids=str,
)
@clause("4.5.24.1", 2)
@clause("4.5.24.3", 1, 4)
@clause("5.2.38", 1)
def test_a_concise_json_property_goes_without_its_type(
    broker: BrokerClient, unique: Unique, concise: Any, normalized: Any
) -> None:
    one = entity(unique.id(), unique.type(), tickets=concise)
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "tickets": normalized})
    broker.get(f"/entities/{one['id']}", {"format": "concise"}).expect_json(one)
