"""What the operations of 5.6 make of an entity."""

import copy
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies_entities import LATER, NAMES, NOW, documents, entities, fragments, json_values, nasty_values

from broker.errors import BadRequestData, ResourceNotFound
from broker.model.change import Touch
from broker.model.entity import Entity
from broker.model.merging import merge_json, same_json
from broker.model.parsing import (
    parse_attribute_fragment,
    parse_entity,
    parse_fragment,
    parse_simplified_fragment,
)
from broker.model.patches import (
    Patched,
    append_attributes,
    delete_attribute,
    delete_attributes,
    make_change,
    merge_entity,
    partial_update,
    replace_attribute,
    replace_entity,
    update_attributes,
)
from broker.model.representation import View, represent
from broker.model.terms import DEFAULT_VOCAB, NGSI_LD_NULL

TEMPERATURE = DEFAULT_VOCAB + "temperature"
STREET = DEFAULT_VOCAB + "street"
SPEED = "https://vocab.example/speed"
DATASET = "urn:ngsi-ld:Dataset:a"


def device(**attributes: Any) -> Entity:
    return parse_entity({"id": "urn:ngsi-ld:Device:1", "type": "Device", **attributes}, NAMES, NOW)


def shown(entity: Entity | None) -> dict[str, Any]:
    assert entity is not None
    return represent(entity, NAMES, View())


def append(entity: Entity, document: dict[str, Any], *, overwrite: bool = True) -> Patched:
    return append_attributes(entity, parse_fragment(document, NAMES, allow_null=False), LATER, overwrite=overwrite)


def update(entity: Entity, document: dict[str, Any]) -> Patched:
    return update_attributes(entity, parse_fragment(document, NAMES, allow_null=True), LATER)


def merge(entity: Entity, document: dict[str, Any], **options: Any) -> Patched:
    return merge_entity(entity, parse_fragment(document, NAMES, allow_null=True), LATER, **options)


def partial(entity: Entity, attribute: str, document: dict[str, Any]) -> Patched:
    return partial_update(entity, attribute, parse_attribute_fragment(document, NAMES, attribute, partial=True), LATER)


def property_of(value: Any, **members: Any) -> dict[str, Any]:
    return {"type": "Property", "value": value, **members}


HOT = property_of(25, unitCode="CEL", observedAt="2022-03-14T01:59:26.535Z")


# --- 5.8.6: what counts as a change ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0.0, False, False),
        ({"a": [1, {"b": True}]}, {"a": [1.0, {"b": True}]}, True),
        ({"a": [1, {"b": True}]}, {"a": [1, {"b": 1}]}, False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True),
        ([1, 2], [2, 1], False),
        (None, False, False),
        ("", None, False),
    ],
)
def test_5_8_6_booleans_differ_from_numbers_and_integers_not_from_floats(one: Any, other: Any, same: bool) -> None:
    assert same_json(one, other) is same
    assert same_json(other, one) is same


def test_5_8_6_an_equal_value_is_no_change_and_keeps_the_very_object() -> None:
    entity = device(temperature=HOT)
    for patched in (
        append(entity, {"temperature": HOT}),
        update(entity, {"temperature": {**HOT, "value": 25.0}}),
        merge(entity, {"temperature": {"value": 25}}),
        partial(entity, TEMPERATURE, {"unitCode": "CEL"}),
        replace_entity(entity, device(temperature=HOT), LATER),
        merge(entity, {"type": "Device"}),
    ):
        assert patched.entity is entity
        assert patched.touched == ()


def test_5_8_6_only_instances_that_differ_are_touched_and_stamped() -> None:
    entity = device(temperature=[HOT, {**HOT, "datasetId": DATASET}], humidity=property_of(1))
    patched = update(
        entity, {"temperature": [HOT, {**HOT, "value": 26, "datasetId": DATASET}], "humidity": property_of(1)}
    )
    assert patched.touched == (Touch(TEMPERATURE, DATASET, "attributeUpdated"),)
    assert patched.updated == [TEMPERATURE, DEFAULT_VOCAB + "humidity"]
    assert patched.entity is not None
    first, second = patched.entity["attrs"][TEMPERATURE]
    assert first is entity["attrs"][TEMPERATURE][0]
    assert (second["createdAt"], second["modifiedAt"]) == (NOW, LATER)
    assert (patched.entity["createdAt"], patched.entity["modifiedAt"], patched.entity["version"]) == (NOW, LATER, 2)
    assert patched.entity["attrs"][DEFAULT_VOCAB + "humidity"] is entity["attrs"][DEFAULT_VOCAB + "humidity"]


PATCHES: list[Callable[[Entity, dict[str, Any]], Patched]] = [append, update, merge]


@settings(max_examples=60, deadline=None)
@given(entities(), fragments)
@pytest.mark.parametrize("patch", PATCHES)
def test_5_5_8_a_fragment_applied_twice_touches_nothing_the_second_time(
    patch: Callable[[Entity, dict[str, Any]], Patched], entity: Entity, fragment: dict[str, Any]
) -> None:
    before = copy.deepcopy(entity)
    try:
        first = patch(entity, fragment)
    except BadRequestData:
        assert patch is merge  # only a merge insists on the type that an attribute has
        return
    finally:
        assert entity == before
    assert first.entity is not None
    again = patch(first.entity, fragment)
    assert again.entity is first.entity
    assert again.touched == ()
    assert again.updated == first.updated


@settings(max_examples=100, deadline=None)
@given(nasty_values, st.sampled_from(["temperature", "speed", "location", "owner", "street", "proof", "scope"]))
def test_no_fragment_leaves_a_state_that_could_not_have_been_created(value: Any, member: str) -> None:
    entity = device(
        temperature=HOT,
        location={"type": "Point", "coordinates": [1, 2]},
        owner={"object": "urn:a:b"},
        street={"languageMap": {}},
    )
    name = NAMES.expand(member)
    for attempt in (
        lambda: append(entity, {member: value}),
        lambda: update(entity, {member: value}),
        lambda: merge(entity, {member: value}, lang="en"),
        lambda: partial(entity, name, value if isinstance(value, dict) else {"value": value}),
        lambda: merge_entity(
            entity, parse_simplified_fragment({member: value}, NAMES, entity, lang="en"), LATER, lang="en"
        ),
    ):
        try:
            state = attempt().entity
        except (BadRequestData, ResourceNotFound):
            continue
        document = shown(state)
        assert same_json(shown(parse_entity(document, NAMES, NOW)), document)


def _ordered(document: dict[str, Any]) -> dict[str, Any]:
    """A document with its unordered arrays in one order: types, scopes, instances (4.5.1)."""
    return {
        member: sorted(value, key=lambda each: each.get("datasetId", "") if isinstance(each, dict) else each)
        if isinstance(value, list)
        else value
        for member, value in document.items()
    }


@settings(max_examples=60, deadline=None)
@given(entities(), documents())
def test_5_6_18_replace_leaves_exactly_the_new_content(entity: Entity, document: dict[str, Any]) -> None:
    before = copy.deepcopy(entity)
    document = {**document, "id": entity["id"]}
    patched = replace_entity(entity, parse_entity(document, NAMES, LATER), LATER)
    assert entity == before
    assert same_json(_ordered(shown(patched.entity)), _ordered(document))
    assert patched.entity is not None
    assert patched.entity["createdAt"] == NOW
    assert {touch.attribute for touch in patched.touched} <= {*entity["attrs"], *patched.entity["attrs"]}
    assert replace_entity(patched.entity, parse_entity(document, NAMES, NOW), LATER).entity is patched.entity


def test_5_6_18_replace_reports_created_updated_and_deleted_instances() -> None:
    entity = device(temperature=[HOT, {**HOT, "datasetId": DATASET}], humidity=property_of(1), scope="/a")
    patched = replace_entity(entity, device(temperature=property_of(1), speed=property_of(2)), LATER)
    assert set(patched.touched) == {
        Touch(TEMPERATURE, None, "attributeUpdated"),
        Touch(SPEED, None, "attributeCreated"),
        Touch(TEMPERATURE, DATASET, "attributeDeleted"),
        Touch(DEFAULT_VOCAB + "humidity", None, "attributeDeleted"),
    }
    assert patched.entity is not None
    assert "scope" not in patched.entity
    assert patched.entity["attrs"][TEMPERATURE][0]["createdAt"] == NOW


# --- 5.6.3 Append Attributes ----------------------------------------------------------------------------------------


def test_5_6_3_without_overwrite_existing_instances_stay_and_are_reported() -> None:
    entity = device(temperature=HOT)
    patched = append(
        entity,
        {"temperature": [property_of(1), property_of(2, datasetId=DATASET)], "speed": property_of(3)},
        overwrite=False,
    )
    assert patched.updated == [TEMPERATURE, SPEED]
    assert [attribute for attribute, _ in patched.not_updated] == [TEMPERATURE]
    assert shown(patched.entity)["temperature"] == [HOT, property_of(2, datasetId=DATASET)]


def test_5_6_3_scope_is_replaced_with_overwrite_and_extended_without() -> None:
    entity = device(scope="/a")
    assert shown(append(entity, {"scope": ["/b", "/c"]}).entity)["scope"] == ["/b", "/c"]
    assert shown(append(entity, {"scope": ["/b", "/a"]}, overwrite=False).entity)["scope"] == ["/a", "/b"]
    assert append(entity, {"scope": "a"}, overwrite=False).entity is entity


def test_5_6_3_types_are_added_never_removed() -> None:
    patched = append(device(), {"type": ["Vehicle", "Device"]})
    assert shown(patched.entity)["type"] == ["Device", "Vehicle"]
    assert patched.touched == ()


# --- 5.6.2 Update Attributes ----------------------------------------------------------------------------------------


def test_5_5_8_example_2_update_replaces_the_whole_attribute() -> None:
    new = property_of(100, observedAt="2022-03-14T13:00:00.000Z")
    assert shown(update(device(temperature=HOT), {"temperature": new}).entity)["temperature"] == new


@pytest.mark.parametrize(
    ("stored", "null"),
    [
        (HOT, property_of(NGSI_LD_NULL)),
        (HOT, NGSI_LD_NULL),
        (HOT, {"value": NGSI_LD_NULL}),
        ({"type": "Relationship", "object": "urn:a:b"}, {"type": "Relationship", "object": NGSI_LD_NULL}),
        (
            {"type": "LanguageProperty", "languageMap": {"en": "x"}},
            {"type": "LanguageProperty", "languageMap": {"@none": NGSI_LD_NULL}},
        ),
        ({"type": "VocabProperty", "vocab": "x"}, {"vocab": NGSI_LD_NULL}),
        ({"type": "ListProperty", "valueList": [1]}, {"type": "ListProperty", "valueList": [NGSI_LD_NULL]}),
        ({"type": "ListRelationship", "objectList": ["urn:a:b"]}, {"objectList": [{"object": NGSI_LD_NULL}]}),
        ({"type": "ListRelationship", "objectList": ["urn:a:b"]}, {"objectList": [NGSI_LD_NULL]}),
        ({"type": "JsonProperty", "json": {}}, {"type": "JsonProperty", "json": NGSI_LD_NULL}),
        (
            {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [1, 2]}},
            {"type": "GeoProperty", "value": NGSI_LD_NULL},
        ),
    ],
)
def test_4_5_0_ngsi_ld_null_of_every_kind_deletes_the_attribute(stored: Any, null: Any) -> None:
    entity = device(temperature=stored, speed=property_of(1))
    for patched in (update(entity, {"temperature": null}), merge(entity, {"temperature": null})):
        assert patched.touched == (Touch(TEMPERATURE, None, "attributeDeleted"),)
        assert "temperature" not in shown(patched.entity)
        assert "speed" in shown(patched.entity)
    if isinstance(null, dict):
        assert "temperature" not in shown(partial(entity, TEMPERATURE, null).entity)


def test_4_5_5_null_with_a_dataset_id_deletes_that_instance_only() -> None:
    entity = device(temperature=[HOT, {**HOT, "datasetId": DATASET}])
    null = property_of(NGSI_LD_NULL, datasetId=DATASET)
    assert shown(update(entity, {"temperature": null}).entity)["temperature"] == HOT
    assert shown(merge(entity, {"temperature": NGSI_LD_NULL}).entity)["temperature"] == {**HOT, "datasetId": DATASET}


def test_5_6_2_null_for_an_absent_attribute_changes_nothing() -> None:
    entity = device(temperature=HOT)
    assert update(entity, {"speed": NGSI_LD_NULL}).entity is entity
    assert merge(entity, {"speed": {"value": NGSI_LD_NULL, "datasetId": DATASET}}).entity is entity


def test_5_6_2_scope_is_replaced_only_where_there_is_one() -> None:
    assert shown(update(device(scope="/a"), {"scope": "/b"}).entity)["scope"] == "/b"
    assert "scope" not in shown(update(device(scope="/a"), {"scope": NGSI_LD_NULL}).entity)
    entity = device()
    patched = update(entity, {"scope": "/b"})
    assert patched.entity is entity
    assert [name for name, _ in patched.not_updated] == ["scope"]


def test_5_5_4_only_a_merge_may_remove_members_inside_a_value() -> None:
    entity = device(address=property_of({"street": "a", "country": "b"}))
    nested = {"address": property_of({"country": NGSI_LD_NULL})}
    assert shown(merge(entity, nested).entity)["address"] == property_of({"street": "a"})
    with pytest.raises(BadRequestData, match=r"address\.value\.country"):
        update(entity, nested)
    with pytest.raises(BadRequestData, match=r"address\.value\.country"):
        partial(entity, DEFAULT_VOCAB + "address", {"value": {"country": NGSI_LD_NULL}})


def test_5_6_2_an_update_needs_a_complete_attribute() -> None:
    with pytest.raises(BadRequestData, match="value"):
        update(device(temperature=HOT), {"temperature": {"type": "Property", "unitCode": "CEL"}})
    with pytest.raises(BadRequestData, match="value"):
        update(device(temperature=HOT), {"temperature": {"observedAt": NOW}})


def test_5_6_2_nulls_of_members_in_a_replaced_attribute_are_not_stored() -> None:
    new = {"type": "Property", "value": 1, "unitCode": NGSI_LD_NULL, "accuracy": NGSI_LD_NULL}
    assert shown(update(device(temperature=HOT), {"temperature": new}).entity)["temperature"] == property_of(1)


def test_4_7_1_update_with_an_invalid_geometry_is_refused() -> None:
    with pytest.raises(BadRequestData, match="Point"):
        update(device(), {"place": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": ["a", 1]}}})
    with pytest.raises(BadRequestData, match="location"):
        update(device(), {"location": 5})


# --- 5.6.4 Partial Attribute Update ---------------------------------------------------------------------------------


def test_5_5_8_example_1_partial_update_keeps_other_members() -> None:
    fragment = {"type": "Property", "value": 100, "observedAt": "2022-03-14T13:00:00.000Z"}
    patched = partial(device(temperature=HOT), TEMPERATURE, fragment)
    assert shown(patched.entity)["temperature"] == {**HOT, **fragment}
    assert patched.touched == (Touch(TEMPERATURE, None, "attributeUpdated"),)


def test_5_5_8_partial_update_removes_members_and_sub_attributes_by_null() -> None:
    entity = device(temperature={**HOT, "accuracy": property_of(1), "providedBy": property_of("x")})
    patched = partial(entity, TEMPERATURE, {"unitCode": NGSI_LD_NULL, "accuracy": NGSI_LD_NULL})
    expected = {**HOT, "providedBy": property_of("x")}
    del expected["unitCode"]
    assert shown(patched.entity)["temperature"] == expected


def test_5_5_8_partial_update_replaces_sub_attributes_and_values_whole() -> None:
    entity = device(temperature=property_of({"a": 1}, accuracy=property_of(1, unitCode="P1")))
    patched = partial(entity, TEMPERATURE, {"value": {"b": 2}, "accuracy": {"value": 2}})
    assert shown(patched.entity)["temperature"] == property_of({"b": 2}, accuracy=property_of(2))


def test_5_6_4_the_type_of_an_attribute_cannot_change() -> None:
    for fragment in ({"type": "Relationship", "object": "urn:a:b"}, {"object": "urn:a:b"}, {"objectType": "Car"}):
        with pytest.raises(BadRequestData):
            partial(device(temperature=HOT), TEMPERATURE, fragment)
    with pytest.raises(BadRequestData, match="Point"):
        partial(
            device(location={"type": "Point", "coordinates": [1, 2]}),
            "https://uri.etsi.org/ngsi-ld/location",
            {"value": {"type": "Point", "coordinates": []}},
        )


def test_5_6_4_an_absent_attribute_or_instance_is_not_found() -> None:
    entity = device(temperature=HOT)
    with pytest.raises(ResourceNotFound, match="speed"):
        partial(entity, SPEED, {"value": 1})
    with pytest.raises(ResourceNotFound, match=DATASET):
        partial(entity, TEMPERATURE, {"value": 1, "datasetId": DATASET})


# --- 5.6.19 Replace Attribute ---------------------------------------------------------------------------------------


def test_5_6_19_replace_attribute_keeps_only_created_at() -> None:
    new = parse_attribute_fragment({"value": 1}, NAMES, TEMPERATURE, partial=False)
    patched = replace_attribute(device(temperature=HOT), TEMPERATURE, new, LATER)
    assert shown(patched.entity)["temperature"] == property_of(1)
    assert patched.entity is not None
    assert patched.entity["attrs"][TEMPERATURE][0]["createdAt"] == NOW
    with pytest.raises(ResourceNotFound):
        replace_attribute(device(), TEMPERATURE, new, LATER)


# --- 5.6.5 Delete Attribute -----------------------------------------------------------------------------------------


def test_5_6_5_delete_targets_the_default_a_dataset_or_all_instances() -> None:
    entity = device(temperature=[HOT, {**HOT, "datasetId": DATASET}])
    assert (
        shown(delete_attribute(entity, TEMPERATURE, None, False, LATER).entity)["temperature"]["datasetId"] == DATASET
    )
    assert (
        shown(delete_attribute(entity, TEMPERATURE, "@none", False, LATER).entity)["temperature"]["datasetId"]
        == DATASET
    )
    assert shown(delete_attribute(entity, TEMPERATURE, DATASET, False, LATER).entity)["temperature"] == HOT
    all_gone = delete_attribute(entity, TEMPERATURE, None, True, LATER)
    assert "temperature" not in shown(all_gone.entity)
    assert len(all_gone.touched) == 2


def test_5_6_5_delete_of_scope_and_of_what_is_not_there() -> None:
    assert "scope" not in shown(delete_attribute(device(scope="/a"), "scope", None, False, LATER).entity)
    for attribute, dataset, delete_all in [("scope", None, False), (SPEED, None, True), (TEMPERATURE, DATASET, False)]:
        with pytest.raises(ResourceNotFound):
            delete_attribute(device(temperature=HOT), attribute, dataset, delete_all, LATER)


# --- 5.6.17 Merge Entity --------------------------------------------------------------------------------------------


def reference_merge(target: Any, patch: Any) -> Any:
    """RFC 7396, section 2, with the NGSI-LD Null in place of null."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value == NGSI_LD_NULL:
            result.pop(name, None)
        else:
            result[name] = reference_merge(result.get(name), value)
    return result


patch_values = st.recursive(
    st.one_of(st.just(NGSI_LD_NULL), st.integers(0, 2), st.booleans(), st.text("xy", max_size=1)),
    lambda inner: st.one_of(
        st.dictionaries(st.text("abc", min_size=1, max_size=1), inner, max_size=4), st.lists(st.integers(), max_size=2)
    ),
    max_leaves=12,
)
patch_objects = st.dictionaries(st.text("abc", min_size=1, max_size=1), patch_values, max_size=4)


@settings(deadline=None)
@given(st.one_of(json_values, patch_objects.map(lambda patch: reference_merge(None, patch))), patch_objects)
def test_5_5_12_merge_follows_rfc_7396(target: Any, patch: dict[str, Any]) -> None:
    before = copy.deepcopy((target, patch))
    if isinstance(target, dict) and "@value" in target:
        assert same_json(merge_json(target, patch), reference_merge(None, patch))
    assert same_json(merge_json(target, patch, raw=True), reference_merge(target, patch))
    assert same_json([target, patch], list(before))


@settings(deadline=None)
@given(patch_objects.map(lambda patch: reference_merge(None, patch)), patch_objects)
def test_5_6_17_merge_reaches_into_values(target: dict[str, Any], patch: dict[str, Any]) -> None:
    entity = device(address=property_of(target), tickets={"json": target})
    merged = shown(merge(entity, {"address": {"value": patch}, "tickets": {"json": patch}}).entity)
    assert same_json(merged["address"]["value"], reference_merge(target, patch))
    assert same_json(merged["tickets"]["json"], reference_merge(target, patch))


def test_5_5_12_example_1_merge_keeps_other_members() -> None:
    fragment = property_of(100, observedAt="2022-03-14T13:00:00.000Z")
    assert shown(merge(device(temperature=HOT), {"temperature": fragment}).entity)["temperature"] == {**HOT, **fragment}


def test_5_6_17_merge_appends_absent_attributes_without_their_nulls() -> None:
    fragment = {"address": {"value": {"a": 1, "b": NGSI_LD_NULL}, "unitCode": NGSI_LD_NULL}, "speed": 5}
    merged = shown(merge(device(), fragment).entity)
    assert merged["address"] == property_of({"a": 1})
    assert merged["speed"] == property_of(5)


def test_5_6_17_merge_reaches_into_sub_attributes_and_their_datasets() -> None:
    entity = device(
        temperature={**HOT, "accuracy": [property_of(1, unitCode="P1"), property_of(2, datasetId=DATASET)], "note": "x"}
    )
    fragment = {"accuracy": {"value": 3}, "note": NGSI_LD_NULL, "providedBy": {"object": "urn:a:b"}}
    merged = shown(merge(entity, {"temperature": {"value": 25, **fragment}}).entity)["temperature"]
    assert merged["accuracy"] == [property_of(3, unitCode="P1"), property_of(2, datasetId=DATASET)]
    assert "note" not in merged
    assert merged["providedBy"] == {"type": "Relationship", "object": "urn:a:b"}


def test_5_6_17_merge_of_language_maps_adds_and_removes_languages() -> None:
    entity = device(street={"languageMap": {"en": "Main St", "fr": "Rue"}})
    merged = shown(merge(entity, {"street": {"languageMap": {"fr": NGSI_LD_NULL, "ja": "通り"}}}).entity)
    assert merged["street"]["languageMap"] == {"en": "Main St", "ja": "通り"}


def test_5_6_17_merge_of_geometries_is_checked_as_a_whole() -> None:
    entity = device(location={"type": "Point", "coordinates": [1, 2]})
    moved = merge(entity, {"location": {"type": "GeoProperty", "value": {"coordinates": [3, 4]}}})
    assert shown(moved.entity)["location"]["value"] == {"type": "Point", "coordinates": [3, 4]}
    text = merge(entity, {"location": {"value": '{"type": "Point", "coordinates": [5, 6]}'}})
    assert shown(text.entity)["location"]["value"] == {"type": "Point", "coordinates": [5, 6]}
    with pytest.raises(BadRequestData, match="LineString"):
        merge(entity, {"location": {"type": "GeoProperty", "value": {"type": "LineString"}}})


def test_5_6_17_a_merge_cannot_change_the_type_of_an_attribute() -> None:
    with pytest.raises(BadRequestData, match="cannot become"):
        merge(device(temperature=HOT), {"temperature": {"type": "Relationship", "object": "urn:a:b"}})
    with pytest.raises(BadRequestData, match="languageMap"):
        merge(device(temperature=HOT), {"temperature": {"languageMap": {"en": "x"}}})


def test_5_6_17_common_observed_at_goes_to_attributes_that_had_one() -> None:
    at = "2026-02-02T00:00:00Z"
    entity = device(temperature=HOT, speed=property_of(1), street=property_of("x", observedAt=NOW))
    merged = shown(
        merge(
            entity, {"temperature": 26, "speed": 2, "street": {"value": "y", "observedAt": NOW}}, observed_at=at
        ).entity
    )
    assert merged["temperature"]["observedAt"] == at
    assert "observedAt" not in merged["speed"]
    assert merged["street"]["observedAt"] == NOW


def test_5_6_17_a_text_goes_to_the_given_language_of_a_language_property() -> None:
    entity = device(street={"languageMap": {"en": "Main St", "fr": "Rue"}})
    merged = shown(merge(entity, {"street": "Hauptstraße"}, lang="de").entity)
    assert merged["street"]["languageMap"] == {"en": "Main St", "fr": "Rue", "de": "Hauptstraße"}
    with pytest.raises(BadRequestData, match="LanguageProperty"):
        merge(entity, {"street": "Hauptstraße"})


def test_5_6_17_expiry_and_scope_can_be_merged_and_removed() -> None:
    entity = device(expiresAt="2030-01-01T00:00:00Z", scope="/a")
    merged = merge(entity, {"expiresAt": "2031-01-01T00:00:00Z", "scope": ["/b", "/c"]}).entity
    assert merged is not None
    assert (merged.get("expiresAt"), merged.get("scope")) == ("2031-01-01T00:00:00Z", ["/b", "/c"])
    bare = merge(entity, {"expiresAt": NGSI_LD_NULL, "scope": NGSI_LD_NULL}).entity
    assert bare is not None
    assert not {"expiresAt", "scope"} & bare.keys()


# --- 6.5.3.4: simplified merges -------------------------------------------------------------------------------------


def merge_simplified(entity: Entity, document: dict[str, Any], lang: str | None = None) -> dict[str, Any]:
    fragment = parse_simplified_fragment(document, NAMES, entity, entity_id=entity["id"], lang=lang)
    return shown(merge_entity(entity, fragment, LATER, lang=lang).entity)


def test_6_5_3_4_simplified_values_keep_the_type_of_their_attribute() -> None:
    entity = device(
        temperature=HOT,
        owner={"object": "urn:a:b"},
        route={"objectList": ["urn:a:b"]},
        periods={"valueList": [1]},
        gender={"vocab": "Male"},
        tickets={"json": {"a": 1}},
        street={"languageMap": {"en": "x"}},
        location={"type": "Point", "coordinates": [1, 2]},
    )
    merged = merge_simplified(
        entity,
        {
            "temperature": {"a": 1},
            "owner": ["urn:a:c", "urn:a:d"],
            "route": ["urn:a:c"],
            "periods": [1, 2],
            "gender": {"vocab": "Female"},
            "tickets": {"json": {"b": 2}},
            "street": "y",
            "location": {"type": "Point", "coordinates": [3, 4]},
        },
        lang="fr",
    )
    assert merged["temperature"] == {**HOT, "value": {"a": 1}}
    assert merged["owner"] == {"type": "Relationship", "object": ["urn:a:c", "urn:a:d"]}
    assert merged["route"] == {"type": "ListRelationship", "objectList": [{"object": "urn:a:c"}]}
    assert merged["periods"] == {"type": "ListProperty", "valueList": [1, 2]}
    assert merged["gender"] == {"type": "VocabProperty", "vocab": "Female"}
    assert merged["tickets"] == {"type": "JsonProperty", "json": {"a": 1, "b": 2}}
    assert merged["street"] == {"type": "LanguageProperty", "languageMap": {"en": "x", "fr": "y"}}
    assert merged["location"]["value"] == {"type": "Point", "coordinates": [3, 4]}


def test_6_5_3_4_simplified_values_of_new_attributes_and_datasets() -> None:
    entity = device(temperature=HOT)
    merged = merge_simplified(
        entity,
        {
            "temperature": {"dataset": {"@none": 1, DATASET: 2}},
            "speed": 3,
            "tags": ["a"],
            "note": {"languageMap": {"en": "x"}},
        },
    )
    assert merged["temperature"] == [{**HOT, "value": 1}, property_of(2, datasetId=DATASET)]
    assert merged["speed"] == property_of(3)
    assert merged["tags"] == property_of(["a"])
    assert merged["note"] == {"type": "LanguageProperty", "languageMap": {"en": "x"}}
    assert "temperature" not in merge_simplified(entity, {"temperature": NGSI_LD_NULL})


def test_6_5_3_4_simplified_values_of_the_wrong_shape_are_refused() -> None:
    entity = device(owner={"object": "urn:a:b"}, street={"languageMap": {"en": "x"}}, gender={"vocab": "Male"})
    for document in ({"owner": 5}, {"street": "y"}, {"street": {"a": 1}}, {"gender": "Female"}):
        with pytest.raises(BadRequestData):
            merge_simplified(entity, document)


# --- the record of a change -----------------------------------------------------------------------------------------


def test_a_creation_and_a_deletion_touch_every_instance() -> None:
    entity = device(temperature=[HOT, {**HOT, "datasetId": DATASET}])
    created = make_change("", None, entity, (), NOW)
    assert (created.kind, created.before, created.after) == ("entityCreated", None, entity)
    assert created.touched == (
        Touch(TEMPERATURE, None, "attributeCreated"),
        Touch(TEMPERATURE, DATASET, "attributeCreated"),
    )
    gone = make_change("", entity, None, (), LATER)
    assert (gone.kind, gone.before, gone.after, gone.at) == ("entityDeleted", entity, None, LATER)
    assert gone.touched == (
        Touch(TEMPERATURE, None, "attributeDeleted"),
        Touch(TEMPERATURE, DATASET, "attributeDeleted"),
    )
    with pytest.raises(ValueError, match="state"):
        make_change("", None, None, (), NOW)


def test_the_state_before_an_update_holds_only_what_was_touched() -> None:
    entity = device(temperature=HOT, speed=property_of(1))
    patched = update(entity, {"temperature": property_of(26)})
    change = make_change("t", entity, patched.entity, patched.touched, LATER)
    assert change.before is not None
    assert change.before["attrs"] == {TEMPERATURE: entity["attrs"][TEMPERATURE]}
    assert change.before["version"] == 1
    assert (change.tenant, change.entity_id, change.kind) == ("t", "urn:ngsi-ld:Device:1", "entityUpdated")
    assert len(entity["attrs"]) == 2


# --- size -----------------------------------------------------------------------------------------------------------


def test_4_5_5_many_instances_types_and_scopes_cost_no_more_than_their_number() -> None:
    many = range(20_000)
    entity = device(
        speed=[{"value": number, "datasetId": f"urn:d:{number}"} for number in many],
        hub=property_of(1) | {"speed": [{"value": number, "datasetId": f"urn:d:{number}"} for number in many]},
    )
    faster = [{"value": number + 1, "datasetId": f"urn:d:{number}"} for number in many]
    started = time.perf_counter()
    merged = merge(entity, {"speed": faster, "hub": {"value": 2, "speed": faster}})
    grown = append(
        entity, {"type": [f"Kind{number}" for number in many], "scope": [f"/level{number}" for number in many]}
    )
    emptied = delete_attributes(entity, [SPEED], LATER)
    assert time.perf_counter() - started < 10, "their square would take minutes"
    assert len(merged.touched) == len(many) + 1
    assert merged.entity is not None
    assert [instance["value"] for instance in merged.entity["attrs"][SPEED]] == [number + 1 for number in many]
    assert grown.entity is not None
    assert (len(grown.entity["type"]), len(grown.entity["scope"])) == (len(many) + 1, len(many))
    assert emptied.entity is not None
    assert SPEED not in emptied.entity["attrs"]
    assert emptied.entity["version"] == 2
