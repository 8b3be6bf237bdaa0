"""4.5.9: the simplified temporal representation, and 6.3.12: how it is asked for."""

from typing import Any

import pytest

from conformance.broker_client import JSON_LD, BrokerClient
from conformance.clauses import clause
from conformance.samples import (
    Document,
    Unique,
    entity,
    geo,
    json_prop,
    lang,
    list_prop,
    list_rel,
    prop,
    rel,
    vocab,
)
from conformance.series import ALWAYS, at, moment, pairs, series

SIMPLE = {"format": "temporalValues"}


def shown_for(broker: BrokerClient, unique: Unique, first: Document, second: Document) -> Any:
    """The attribute `told` in simplified form, after its two values at minutes 0 and 1 were stored."""
    told = [{**first, "observedAt": at(0)}, {**second, "observedAt": at(1)}]
    one = entity(unique.id(), unique.type(), told=told)
    broker.post("/temporal/entities", one).expect(201)
    return broker.get(f"/temporal/entities/{one['id']}", SIMPLE).expect(200).json["told"]


@clause("4.5.9", 1, 3, 4)
@clause("6.3.12", 3)
def test_an_entity_has_id_and_type(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=series(1))
    broker.post("/temporal/entities", one).expect(201)
    shown = broker.get(f"/temporal/entities/{one['id']}", SIMPLE).expect(200).json
    assert shown.keys() == {"id", "type", "level"}
    assert (shown["id"], shown["type"]) == (one["id"], one["type"])


@clause("4.5.9", 4)
def test_an_entity_of_several_types_has_them_in_an_array(broker: BrokerClient, unique: Unique) -> None:
    types = [unique.type(), unique.type("House")]
    one = entity(unique.id(), types, level=series(1))
    broker.post("/temporal/entities", one).expect(201)
    shown = broker.get(f"/temporal/entities/{one['id']}", SIMPLE).expect(200).json
    assert sorted(shown["type"]) == sorted(types)


@clause("4.5.9", 2)
def test_an_entity_has_a_context_where_json_ld_is_asked_for(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=series(1))
    broker.post("/temporal/entities", one).expect(201)
    answer = broker.get(f"/temporal/entities/{one['id']}", SIMPLE, accept=JSON_LD).expect(200)
    assert answer.media_type == JSON_LD
    assert "@context" in answer.json


@clause("4.5.9", 5, 6, 7)
def test_a_property_has_values(broker: BrokerClient, unique: Unique) -> None:
    shown = shown_for(broker, unique, prop(120, unitCode="KMH"), prop({"low": [1, 0]}))
    assert shown.keys() == {"type", "values"}
    assert shown["type"] == "Property"
    assert pairs(shown["values"]) == [[120, at(0)], [{"low": [1, 0]}, at(1)]]


@clause("4.5.9", 8, 9, 10)
def test_a_geo_property_has_values(broker: BrokerClient, unique: Unique) -> None:
    line = geo("LineString", [[8, 40], [9, 41]])
    shown = shown_for(broker, unique, geo("Point", [8, 40]), line)
    assert shown.keys() == {"type", "values"}
    assert shown["type"] == "GeoProperty"
    assert pairs(shown["values"]) == [[{"type": "Point", "coordinates": [8, 40]}, at(0)], [line["value"], at(1)]]


@clause("4.5.9", 11, 12, 13)
def test_a_language_property_has_language_maps(broker: BrokerClient, unique: Unique) -> None:
    first, second = {"en": "yes", "fr": "oui"}, {"en": "no", "fr": "non"}
    shown = shown_for(broker, unique, lang(first), lang(second))
    assert shown.keys() == {"type", "languageMaps"}
    assert shown["type"] == "LanguageProperty"
    assert pairs(shown["languageMaps"]) == [[{"languageMap": first}, at(0)], [{"languageMap": second}, at(1)]]


@clause("4.5.9", 14, 15, 16)
def test_a_list_property_has_value_lists(broker: BrokerClient, unique: Unique) -> None:
    shown = shown_for(broker, unique, list_prop(["b", "a", "b"]), list_prop([2, 1]))
    assert shown.keys() == {"type", "valueLists"}
    assert shown["type"] == "ListProperty"
    assert pairs(shown["valueLists"]) == [[["b", "a", "b"], at(0)], [[2, 1], at(1)]]


@clause("4.5.9", 17, 18, 19)
def test_a_json_property_has_jsons(broker: BrokerClient, unique: Unique) -> None:
    first, second = [{"id": "85a6", "value": None}], {"@id": "raw", "type": 1}
    shown = shown_for(broker, unique, json_prop(first), json_prop(second))
    assert shown.keys() == {"type", "jsons"}
    assert shown["type"] == "JsonProperty"
    assert pairs(shown["jsons"]) == [[{"json": first}, at(0)], [{"json": second}, at(1)]]


@clause("4.5.9", 20, 21, 22)
def test_a_vocab_property_has_vocabs(broker: BrokerClient, unique: Unique) -> None:
    shown = shown_for(broker, unique, vocab("Male"), vocab(["Female", "Other"]))
    assert shown.keys() == {"type", "vocabs"}
    assert shown["type"] == "VocabProperty"
    assert pairs(shown["vocabs"]) == [[{"vocab": "Male"}, at(0)], [{"vocab": ["Female", "Other"]}, at(1)]]


@clause("4.5.9", 23, 24, 25)
def test_a_relationship_has_objects(broker: BrokerClient, unique: Unique) -> None:
    targets = ["urn:ngsi-ld:Person:1", "urn:ngsi-ld:Person:2"]
    shown = shown_for(broker, unique, rel(targets[0]), rel(targets))
    assert shown.keys() == {"type", "objects"}
    assert shown["type"] == "Relationship"
    assert pairs(shown["objects"]) == [[targets[0], at(0)], [targets, at(1)]]


@clause("4.5.9", 26, 27, 28)
def test_a_list_relationship_has_object_lists(broker: BrokerClient, unique: Unique) -> None:
    first, second = ["urn:a:2", "urn:a:1"], ["urn:a:3"]
    shown = shown_for(broker, unique, list_rel(first), list_rel(second))
    assert shown.keys() == {"type", "objectLists"}
    assert shown["type"] == "ListRelationship"
    lists = pairs(shown["objectLists"])
    # Table and example have bare URIs in the list; in the normalized form each one is an object around its URI.
    bare = [[[each["object"] if isinstance(each, dict) else each for each in value], time] for value, time in lists]
    assert bare == [[first, at(0)], [second, at(1)]]


@clause("4.5.9", 6, 7)
def test_one_instance_alone_is_an_array_too(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=series(1))
    broker.post("/temporal/entities", one).expect(201)
    shown = broker.get(f"/temporal/entities/{one['id']}", SIMPLE).expect(200).json["level"]
    assert pairs(shown["values"]) == [[1, at(0)]]


@clause("4.5.9", 7)
@pytest.mark.parametrize("time", ["createdAt", "modifiedAt"])
def test_the_time_of_a_pair_is_that_of_the_query(broker: BrokerClient, unique: Unique, time: str) -> None:
    one = entity(unique.id(), unique.type(), level=series(1))
    broker.post("/temporal/entities", one).expect(201)
    path = f"/temporal/entities/{one['id']}"
    (full,) = broker.get(path, {"options": "sysAttrs"}).expect(200).json["level"]
    shown = broker.get(path, {**SIMPLE, **ALWAYS, "timeproperty": time}).expect(200).json["level"]
    assert pairs(shown["values"]) == [[1, moment(full[time])]]


@clause("5.2.20", 2)
@pytest.mark.parametrize(
    ("kind", "member", "values"),
    [
        ("Property", "values", [[1, at(0)], ["b", at(1)]]),
        ("GeoProperty", "values", [[{"type": "Point", "coordinates": [8, 40]}, at(0)]]),
        ("LanguageProperty", "languageMaps", [[{"languageMap": {"en": "yes"}}, at(0)]]),
        ("ListProperty", "valueLists", [[[2, 1], at(0)]]),
        ("JsonProperty", "jsons", [[{"json": {"a": None}}, at(0)]]),
        ("VocabProperty", "vocabs", [[{"vocab": "Male"}, at(0)]]),
        ("Relationship", "objects", [["urn:ngsi-ld:Person:1", at(0)]]),
        ("ListRelationship", "objectLists", [[["urn:a:2", "urn:a:1"], at(0)]]),
    ],
)
def test_a_client_may_send_the_simplified_form(
    broker: BrokerClient, unique: Unique, kind: str, member: str, values: list[Any]
) -> None:
    one = entity(unique.id(), unique.type(), told={"type": kind, member: values})
    broker.post("/temporal/entities", one).expect(201)
    shown = broker.get(f"/temporal/entities/{one['id']}", SIMPLE).expect(200).json["told"]
    assert shown["type"] == kind
    assert pairs(shown[member]) == values


@clause("5.2.20", 2)
@clause("5.6.11.4", 1)
@pytest.mark.parametrize(
    "told",
    [
        {"type": "Property", "values": [[1]]},
        {"type": "Property", "values": [1, at(0)]},
        {"type": "Property", "values": [[1, "yesterday"]]},
        {"type": "Property", "values": {"1": at(0)}},
        {"type": "LanguageProperty", "languageMaps": [[{"en": "yes"}, at(0)]]},
        {"type": "JsonProperty", "jsons": [[1, at(0)]]},
        {"type": "Relationship", "objects": [["not a uri", at(0)]]},
        {"type": "GeoProperty", "values": [[{"type": "Point"}, at(0)]]},
    ],
)
def test_a_simplified_form_that_is_wrong_is_refused(broker: BrokerClient, unique: Unique, told: Document) -> None:
    one = entity(unique.id(), unique.type(), told=told)
    broker.post("/temporal/entities", one).expect_problem("BadRequestData")
    broker.get(f"/temporal/entities/{one['id']}").expect_problem("ResourceNotFound")


@clause("6.3.12", 1, 3, 5)
@pytest.mark.parametrize("query", [{"format": "temporalValues"}, {"options": "temporalValues"}])
def test_retrieval_and_queries_give_the_simplified_form(
    broker: BrokerClient, unique: Unique, query: dict[str, str]
) -> None:
    one = entity(unique.id(), unique.type(), level=series(1, 2))
    broker.post("/temporal/entities", one).expect(201)
    body = {"type": "Query", "entities": [{"type": one["type"]}], "temporalQ": ALWAYS}
    (word,) = query.items()
    for shown in (
        broker.get(f"/temporal/entities/{one['id']}", query).expect(200).json,
        broker.get("/temporal/entities", {"type": one["type"], **ALWAYS, **query}).expect(200).json[0],
        broker.post(f"/temporal/entityOperations/query?{word[0]}={word[1]}", body).expect(200).json[0],
    ):
        assert pairs(shown["level"]["values"]) == [[1, at(0)], [2, at(1)]]


@clause("6.3.12", 2)
@pytest.mark.parametrize("word", ["simplified", "keyValues", "concise", "temporalvalues", "nonsense"])
def test_another_format_is_refused(broker: BrokerClient, unique: Unique, word: str) -> None:
    one = entity(unique.id(), unique.type(), level=series(1))
    broker.post("/temporal/entities", one).expect(201)
    problem = broker.get(f"/temporal/entities/{one['id']}", {"format": word})
    problem.expect_problem("InvalidRequest", "BadRequestData")


@clause("6.3.12", 4, 6, 7)
def test_format_counts_more_than_options(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=series(1, 3))
    broker.post("/temporal/entities", one).expect(201)
    path, methods = f"/temporal/entities/{one['id']}", {"aggrMethods": "max"}
    for query in (
        {"format": "aggregatedValues"},
        {"options": "aggregatedValues"},
        {"format": "aggregatedValues", "options": "temporalValues"},
    ):
        shown = broker.get(path, {**ALWAYS, **methods, **query}).expect(200).json["level"]
        assert shown["max"][0][0] == 3
    query = {"format": "temporalValues", "options": "aggregatedValues"}
    shown = broker.get(path, {**ALWAYS, **methods, **query}).expect(200).json["level"]
    assert pairs(shown["values"]) == [[1, at(0)], [3, at(1)]]


@clause("6.3.12", 8)
def test_both_keywords_at_once_are_refused(broker: BrokerClient, unique: Unique) -> None:
    query = {**ALWAYS, "aggrMethods": "max", "options": "temporalValues,aggregatedValues", "type": unique.type()}
    broker.get("/temporal/entities", query).expect_problem("InvalidRequest", "BadRequestData")
