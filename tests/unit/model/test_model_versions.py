"""Entities in earlier versions of NGSI-LD (4.3.6.8), in every representation."""

import copy
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies_entities import NAMES, NOW, entities

from broker.errors import BadRequestData
from broker.model.entity import Entity
from broker.model.geojson import geojson_feature
from broker.model.merging import same_json
from broker.model.parsing import parse_entity
from broker.model.representation import Format, View, flatten, linked_ids, represent
from broker.model.terms import KINDS, LOCATION
from broker.model.versions import NEWEST, Version, amended, earlier, nearest, parse_version

VERSIONS: list[Version] = [(1, minor) for minor in range(10)]
FORMATS: list[Format] = ["normalized", "concise", "simplified"]

SINCE = {
    **{"expiresAt": (1, 9), "valueType": (1, 9), "ngsildproof": (1, 9), "objectType": (1, 8), "json": (1, 8)},
    **{"vocab": (1, 8), "valueList": (1, 8), "objectList": (1, 8), "languageMap": (1, 4), "lang": (1, 4)},
    **{"scope": (1, 4), "datasetId": (1, 3), "observedAt": (1, 3), "unitCode": (1, 3)},
}
KINDS_SINCE = {
    **{"JsonProperty": (1, 8), "VocabProperty": (1, 8), "ListProperty": (1, 8), "ListRelationship": (1, 8)},
    "LanguageProperty": (1, 4),
}


def entity(**members: Any) -> Entity:
    return parse_entity({"id": "urn:ngsi-ld:Vehicle:1", "type": "Vehicle", **members}, NAMES, NOW)


def show(version: Version, view: View = View(), **members: Any) -> dict[str, Any]:
    shown = represent(entity(**members), NAMES, View(view.format, view.sys_attrs, view.lang, version=version))
    return {member: value for member, value in shown.items() if member not in ("id", "type")}


EVERYTHING: dict[str, Any] = {
    "scope": "/a",
    "street": {"type": "LanguageProperty", "languageMap": {"fr": "Grand Place", "nl": "Grote Markt"}},
    "category": {"type": "VocabProperty", "vocab": ["commercial", "category"]},
    "depths": {"type": "ListProperty", "valueList": [300, 120], "unitCode": "CMT"},
    "route": {"type": "ListRelationship", "objectList": ["urn:a:1", "urn:a:2"], "objectType": "Stop"},
    "tickets": {"type": "JsonProperty", "json": {"id": 5}, "valueType": "Ticket"},
    "speed": [{"type": "Property", "value": 1, "datasetId": "urn:d:1"}, {"type": "Property", "value": 2}],
}


def test_4_3_6_8_before_1_8_lists_json_and_vocabulary_are_properties_and_relationships() -> None:
    assert show((1, 7), **EVERYTHING) == {
        "scope": "/a",
        "street": {"type": "LanguageProperty", "languageMap": {"fr": "Grand Place", "nl": "Grote Markt"}},
        "category": {"type": "Property", "value": ["commercial", "category"]},
        "depths": {"type": "Property", "value": [300, 120], "unitCode": "CMT"},
        "route": {"type": "Relationship", "object": ["urn:a:1", "urn:a:2"]},
        "tickets": {"type": "Property", "value": {"id": 5}},
        "speed": [{"type": "Property", "value": 1, "datasetId": "urn:d:1"}, {"type": "Property", "value": 2}],
    }


def test_4_3_6_8_concise_is_what_the_amended_attributes_are_in_concise() -> None:
    assert show((1, 2), View("concise"), **EVERYTHING) == {
        "street": {"fr": "Grand Place", "nl": "Grote Markt"},
        "category": ["commercial", "category"],
        "depths": [300, 120],
        "route": {"object": ["urn:a:1", "urn:a:2"]},
        "tickets": {"id": 5},
        "speed": 2,
    }


def test_4_3_6_8_simplified_has_no_wrappers_that_only_later_versions_know() -> None:
    assert show((1, 2), View("simplified"), **EVERYTHING) == {
        "street": {"fr": "Grand Place", "nl": "Grote Markt"},
        "category": ["commercial", "category"],
        "depths": [300, 120],
        "route": ["urn:a:1", "urn:a:2"],
        "tickets": {"id": 5},
        "speed": 2,
    }


def test_4_3_6_8_features_are_amended_and_keep_their_geometry() -> None:
    point = {"type": "Point", "coordinates": [1, 2]}
    feature = geojson_feature(entity(location=point, **EVERYTHING), NAMES, View("simplified", version=(1, 3)), LOCATION)
    assert feature["geometry"] == point
    assert feature["properties"]["location"] == point
    assert feature["properties"]["street"] == {"fr": "Grand Place", "nl": "Grote Markt"}
    assert "scope" not in feature["properties"]


def test_4_15_the_language_is_chosen_before_an_attribute_is_reformatted() -> None:
    street = EVERYTHING["street"]
    assert show((1, 3), View(lang="nl"), street=street) == {"street": {"type": "Property", "value": "Grote Markt"}}
    assert show((1, 4), View(lang="nl"), street=street)["street"]["lang"] == "nl"
    assert show((1, 3), View("simplified", lang="nl"), street=street) == {"street": "Grote Markt"}


def test_4_5_5_the_dataset_is_chosen_before_its_id_is_removed() -> None:
    view = View(dataset_ids=frozenset({"urn:d:1"}), version=(1, 2))
    assert represent(entity(**EVERYTHING), NAMES, view)["speed"] == {"type": "Property", "value": 1}


def test_4_3_6_8_before_1_3_there_is_one_instance_the_default_one_or_else_the_first() -> None:
    others = [{"value": number, "datasetId": f"urn:d:{number}"} for number in (3, 1)]
    assert show((1, 2), speed=[*others, {"value": 2}]) == {"speed": {"type": "Property", "value": 2}}
    assert show((1, 2), speed=others) == {"speed": {"type": "Property", "value": 3}}
    accuracy = {"value": 5, "accuracy": [*others, {"value": 2}]}
    assert show((1, 2), speed=accuracy)["speed"]["accuracy"] == {"type": "Property", "value": 2}


def test_4_3_6_8_before_1_3_an_entity_has_its_first_type() -> None:
    many = entity()
    many["type"] = ["https://a.example/A", "https://a.example/B"]
    assert represent(many, NAMES, View(version=(1, 2)))["type"] == "https://a.example/A"
    assert represent(many, NAMES, View(version=(1, 3)))["type"] == ["https://a.example/A", "https://a.example/B"]


def test_4_3_6_8_proofs_are_for_versions_that_know_them() -> None:
    proof = {"type": "Property", "value": {"type": "DataIntegrityProof"}, "entityIdSealed": "urn:ngsi-ld:Vehicle:1"}
    members = {"speed": {"value": 1, "ngsildproof": proof}, "ngsildproof": proof}
    assert show((1, 8), **members) == {"speed": {"type": "Property", "value": 1}}
    assert show((1, 9), **members) == {"speed": {"type": "Property", "value": 1, "ngsildproof": proof}} | {
        "ngsildproof": proof
    }


def test_4_3_6_8_expiry_is_left_out_where_it_is_not_known() -> None:
    members = {"expiresAt": "2100-01-01T00:00:00Z", "speed": {"value": 1, "expiresAt": "2100-01-01T00:00:00Z"}}
    shown = show((1, 8), View(sys_attrs=True), **members)
    assert "expiresAt" not in shown
    assert "expiresAt" not in shown["speed"]
    assert "modifiedAt" in shown["speed"]


@pytest.mark.parametrize("raw", [{"a": None}, [[None]], {"a": {"@context": 1}}, {"@value": 1}])
def test_4_5_0_json_that_is_no_value_becomes_a_json_literal(raw: Any) -> None:
    shown = show((1, 7), tickets={"json": raw})
    assert shown == {"tickets": {"type": "Property", "value": {"@type": "@json", "@value": raw}}}
    assert entity(**shown)


def test_4_5_23_linked_entities_are_amended_too() -> None:
    stop = entity(**EVERYTHING)
    stop["id"] = "urn:a:1"
    for version, member in (((1, 7), "entity"), ((1, 8), "entityList")):
        view = View(join="inline", join_level=1, version=version)
        shown = represent(entity(**EVERYTHING), NAMES, view, {"urn:a:1": stop})
        assert shown["route"][member][0]["tickets"]["type"] == ("Property" if version < (1, 8) else "JsonProperty")
    flat = View(join="flat", join_level=1, version=(1, 7))
    first, second = [
        represent(each, NAMES, as_) for each, as_ in flatten([entity(**EVERYTHING)], flat, {"urn:a:1": stop})
    ]
    assert first["tickets"] == second["tickets"] == {"type": "Property", "value": {"id": 5}}


def test_4_5_23_only_what_an_instance_of_the_version_links_to_is_linked() -> None:
    owners = [{"object": "urn:a:1", "datasetId": "urn:d:1"}, {"object": "urn:a:2"}]
    view = View(join="flat", join_level=1, version=(1, 2))
    assert linked_ids(entity(owner=owners), view) == {"urn:a:2"}


@pytest.mark.parametrize(
    ("text", "version"),
    [("1.5", (1, 5)), ("1.10", (1, 10)), ("2.0", (2, 0))]
    + [(text, None) for text in ("", "1", "1.", ".5", "v1.5", "1.5.1", "1.5 ", "-1.5", "１.５", "1.99999")],
)
def test_4_3_6_8_a_version_is_major_and_minor(text: str, version: Version | None) -> None:
    assert parse_version(text) == version


def test_4_3_6_8_versions_that_there_are_not_mean_the_nearest_one() -> None:
    assert [nearest(version) for version in ((0, 5), (1, 2), (1, 10), (3, 0))] == [(1, 0), (1, 2), (1, 9), (1, 9)]
    assert earlier(NEWEST) is None
    assert earlier(None) is None
    assert earlier((1, 8)) == (1, 8)


def too_new(instance: Any, version: Version) -> list[str]:
    """The members and kinds of a normalized attribute, at any depth, that came after a version."""
    if isinstance(instance, list):
        found = ["several instances"] if version < (1, 3) else []
        return found + [name for each in instance for name in too_new(each, version)]
    found = [instance["type"]] if version < KINDS_SINCE.get(instance["type"], (1, 0)) else []
    value = KINDS[instance["type"]].value
    for member, item in instance.items():
        if version < SINCE.get(member, (1, 0)):
            found.append(member)
        elif member not in (value, "type") and isinstance(item, dict | list) and member not in SINCE:
            found += too_new(item, version)
    return found


@settings(max_examples=150, deadline=None)
@given(entities(depth=2, expiring=True), st.sampled_from(VERSIONS), st.sampled_from([None, "en"]))
def test_4_3_6_8_nothing_is_newer_than_the_version(entity: Entity, version: Version, lang: str | None) -> None:
    before = copy.deepcopy(entity)
    shown = represent(entity, NAMES, View(sys_attrs=True, lang=lang, version=version))
    assert entity == before
    for member in ("id", "createdAt", "modifiedAt"):
        assert shown.pop(member)
    assert isinstance(shown.pop("type"), str) or version >= (1, 3)
    for member in ("scope", "expiresAt"):
        assert shown.pop(member, None) is None or version >= SINCE[member]
    assert [name for attribute in shown.values() for name in too_new(attribute, version)] == []


@settings(max_examples=60, deadline=None)
@given(entities(depth=2, expiring=True), st.sampled_from(FORMATS))
def test_4_3_6_8_the_newest_version_changes_nothing(entity: Entity, representation: Format) -> None:
    assert represent(entity, NAMES, View(representation, True, version=NEWEST)) == represent(
        entity, NAMES, View(representation, True)
    )


@settings(max_examples=100, deadline=None)
@given(entities(depth=2), st.sampled_from(VERSIONS), st.sampled_from(VERSIONS))
def test_4_3_6_8_amending_what_is_amended_changes_nothing(entity: Entity, one: Version, other: Version) -> None:
    for instances in entity["attrs"].values():
        for instance in instances:
            once = amended(instance, one, NAMES.compact)
            assert amended(once, one, NAMES.compact) is once
            lower = min(one, other)
            assert amended(once, lower, NAMES.compact) == amended(instance, lower, NAMES.compact)


@settings(max_examples=100, deadline=None)
@given(entities(depth=2), st.sampled_from(VERSIONS))
def test_4_3_6_8_amended_entities_are_valid_and_say_the_same_in_concise(entity: Entity, version: Version) -> None:
    normalized = represent(entity, NAMES, View(version=version))
    concise = represent(entity, NAMES, View("concise", version=version))
    try:
        read = parse_entity(normalized, NAMES, NOW)
    except BadRequestData as error:
        if "empty array" not in error.detail:
            raise
        assume(False)  # a list of no relationships has no other way to be said
    assert same_json(parse_entity(concise, NAMES, NOW)["attrs"], read["attrs"])
    assert same_json(represent(read, NAMES, View(version=version)), normalized)
