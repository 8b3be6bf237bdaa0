"""Entities as clients see them."""

from typing import Any

import pytest
from hypothesis import given, settings
from strategies_entities import NAMES, NOW, entities

from broker.errors import TooManyResults
from broker.model.entity import Entity
from broker.model.geojson import feature_collection, geojson_feature
from broker.model.parsing import parse_entity
from broker.model.projection import parse_projection
from broker.model.representation import View, flatten, linked_ids, linked_views, represent
from broker.model.terms import DEFAULT_VOCAB, LOCATION, NGSI_LD, NGSI_LD_NULL

POINT = {"type": "Point", "coordinates": [8.0, 49.0]}
OTHER_POINT = {"type": "Point", "coordinates": [1, 2]}
DATASET = "urn:ngsi-ld:Dataset:a"
CONCISE = View("concise")
SIMPLIFIED = View("simplified")


def entity(number: int = 1, **attributes: Any) -> Entity:
    return parse_entity({"id": f"urn:ngsi-ld:Vehicle:{number}", "type": "Vehicle", **attributes}, NAMES, NOW)


def show(view: View, **attributes: Any) -> dict[str, Any]:
    document = represent(entity(**attributes), NAMES, view)
    assert document.pop("id") == "urn:ngsi-ld:Vehicle:1"
    assert document.pop("type") == "Vehicle"
    return document


EVERYTHING = {
    "speed": {"value": 55, "unitCode": "KMH", "accuracy": 1},
    "brand": "Mercedes",
    "street": {"languageMap": {"fr": "Grand Place", "nl": "Grote Markt"}},
    "isParked": {"object": "urn:a:parking", "objectType": "Parking", "observedAt": "2026-01-01T00:00:00Z"},
    "category": {"vocab": "commercial"},
    "depths": {"valueList": [300, 120]},
    "passengers": {"object": ["urn:a:1", "urn:a:2"]},
    "route": {"objectList": ["urn:a:1", "urn:a:2"]},
    "tickets": {"json": {"id": 5, "value": None}},
    "location": POINT,
}


def test_4_5_2_normalized_representation_names_every_kind() -> None:
    assert show(View(), **EVERYTHING) == {
        "speed": {"type": "Property", "value": 55, "unitCode": "KMH", "accuracy": {"type": "Property", "value": 1}},
        "brand": {"type": "Property", "value": "Mercedes"},
        "street": {"type": "LanguageProperty", "languageMap": {"fr": "Grand Place", "nl": "Grote Markt"}},
        "isParked": {
            "type": "Relationship",
            "object": "urn:a:parking",
            "objectType": "Parking",
            "observedAt": "2026-01-01T00:00:00Z",
        },
        "category": {"type": "VocabProperty", "vocab": "commercial"},
        "depths": {"type": "ListProperty", "valueList": [300, 120]},
        "passengers": {"type": "Relationship", "object": ["urn:a:1", "urn:a:2"]},
        "route": {"type": "ListRelationship", "objectList": [{"object": "urn:a:1"}, {"object": "urn:a:2"}]},
        "tickets": {"type": "JsonProperty", "json": {"id": 5, "value": None}},
        "location": {"type": "GeoProperty", "value": POINT},
    }


def test_4_5_2_3_concise_representation_leaves_out_what_can_be_inferred() -> None:
    assert show(CONCISE, **EVERYTHING) == {
        "speed": {"value": 55, "unitCode": "KMH", "accuracy": 1},
        "brand": "Mercedes",
        "street": {"languageMap": {"fr": "Grand Place", "nl": "Grote Markt"}},
        "isParked": {"object": "urn:a:parking", "objectType": "Parking", "observedAt": "2026-01-01T00:00:00Z"},
        "category": {"vocab": "commercial"},
        "depths": {"valueList": [300, 120]},
        "passengers": {"object": ["urn:a:1", "urn:a:2"]},
        "route": {"objectList": ["urn:a:1", "urn:a:2"]},
        "tickets": {"json": {"id": 5, "value": None}},
        "location": POINT,
    }


@pytest.mark.parametrize(
    ("value", "concise"),
    [
        ({"a": 1}, {"a": 1}),
        ({"type": "PostalAddress"}, {"value": {"type": "PostalAddress"}}),
        ({"value": 1}, {"value": {"value": 1}}),
        ({"unitCode": "x"}, {"value": {"unitCode": "x"}}),
        ([{"object": "cup"}], {"value": [{"object": "cup"}]}),
        (POINT, {"type": "Property", "value": POINT}),
        ([POINT], [POINT]),
    ],
)
def test_4_5_2_3_concise_values_that_could_be_misread_are_wrapped(value: Any, concise: Any) -> None:
    assert show(CONCISE, probe={"type": "Property", "value": value}) == {"probe": concise}


def test_4_5_4_simplified_representation_keeps_only_values() -> None:
    assert show(SIMPLIFIED, **EVERYTHING) == {
        "speed": 55,
        "brand": "Mercedes",
        "street": {"languageMap": {"fr": "Grand Place", "nl": "Grote Markt"}},
        "isParked": "urn:a:parking",
        "category": {"vocab": "commercial"},
        "depths": [300, 120],
        "passengers": ["urn:a:1", "urn:a:2"],
        "route": ["urn:a:1", "urn:a:2"],
        "tickets": {"json": {"id": 5, "value": None}},
        "location": POINT,
    }


MULTI = [{"value": 55}, {"value": 11, "datasetId": DATASET}]


def test_4_5_5_several_instances_are_an_array_or_a_dataset_map() -> None:
    assert show(View(), speed=MULTI)["speed"] == [
        {"type": "Property", "value": 55},
        {"type": "Property", "value": 11, "datasetId": DATASET},
    ]
    assert show(CONCISE, speed=MULTI)["speed"] == MULTI
    assert show(SIMPLIFIED, speed=MULTI)["speed"] == {"dataset": {"@none": 55, DATASET: 11}}
    assert show(CONCISE, speed=MULTI[1:])["speed"] == {"value": 11, "datasetId": DATASET}
    assert show(SIMPLIFIED, route=[{"objectList": ["urn:a:1"]}, {"objectList": [], "datasetId": DATASET}])["route"] == {
        "dataset": {"@none": ["urn:a:1"], DATASET: []}
    }


def test_4_5_5_a_dataset_filter_drops_other_instances_and_then_empty_attributes() -> None:
    view = View(dataset_ids=frozenset({DATASET}))
    assert show(view, speed=MULTI, brand="x") == {"speed": {"type": "Property", "value": 11, "datasetId": DATASET}}
    view = View("simplified", dataset_ids=frozenset({"@none"}))
    assert show(view, speed=MULTI, brand="x") == {"speed": 55, "brand": "x"}


def test_6_3_11_system_times_are_shown_only_on_request() -> None:
    attributes = {"speed": {"value": 1, "expiresAt": "2030-01-01T00:00:00Z"}, "expiresAt": "2031-01-01T00:00:00Z"}
    assert show(View(), **attributes) == {"speed": {"type": "Property", "value": 1}}
    times = {"createdAt": NOW, "modifiedAt": NOW}
    assert show(View(sys_attrs=True), **attributes) == {
        **times,
        "expiresAt": "2031-01-01T00:00:00Z",
        "speed": {"type": "Property", "value": 1, "expiresAt": "2030-01-01T00:00:00Z", **times},
    }
    assert show(View("simplified", sys_attrs=True), speed=1) == {**times, "speed": 1}


def test_4_5_1_types_and_scopes_are_arrays_only_where_there_are_several() -> None:
    several = represent(entity(type=["Vehicle", "Car"], scope=["/a", "/b"]), NAMES, View())
    assert (several["type"], several["scope"]) == (["Vehicle", "Car"], ["/a", "/b"])
    assert represent(entity(scope="/a"), NAMES, View())["scope"] == "/a"


def test_5_5_7_names_are_compacted_at_every_depth_and_fully_qualified_without_a_term() -> None:
    attribute = {
        "value": 1,
        "valueType": "Kilometre",
        "https://other.example/sub": {
            "vocab": ["a", "https://other.example/x"],
            "deep": {"object": "urn:a:b", "objectType": "T"},
        },
    }
    assert show(View(), speed=attribute)["speed"] == {
        "type": "Property",
        "value": 1,
        "valueType": "Kilometre",
        "https://other.example/sub": {
            "type": "VocabProperty",
            "vocab": ["a", "https://other.example/x"],
            "deep": {"type": "Relationship", "object": "urn:a:b", "objectType": "T"},
        },
    }
    assert list(entity(speed=1)["attrs"]) == ["https://vocab.example/speed"]


def test_c_11_proofs_are_shown_with_their_sealed_members() -> None:
    proof = {"type": "Property", "entityIdSealed": "urn:a:b", "entityTypeSealed": "Vehicle", "value": {"type": "Proof"}}
    assert show(View(), speed={"value": 1, "ngsildproof": proof}, ngsildproof=proof) == {
        "speed": {"type": "Property", "value": 1, "ngsildproof": proof},
        "ngsildproof": proof,
    }


def test_4_5_2_2_a_proof_is_a_property_with_its_members_in_concise_as_well() -> None:
    proof = {"value": {"proofValue": "z3X"}}
    members = {"speed": {"value": 1, "ngsildproof": proof}, "ngsildproof": proof}
    assert show(CONCISE, **members) == members
    assert show(SIMPLIFIED, **members) == {"speed": 1, "ngsildproof": {"proofValue": "z3X"}}


# --- 4.15: one language ---------------------------------------------------------------------------------------------

STREET = {"languageMap": {"fr": "Grand Place", "nl": ["Grote Markt", "GM"]}, "observedAt": NOW}


def test_4_15_a_language_filter_makes_properties_of_language_properties() -> None:
    assert show(View(lang="nl-BE"), street=STREET)["street"] == {
        "type": "Property",
        "value": ["Grote Markt", "GM"],
        "lang": "nl",
        "observedAt": NOW,
    }
    assert show(View("concise", lang="fr"), street={"languageMap": {"fr": "Grand Place"}})["street"] == {
        "value": "Grand Place",
        "lang": "fr",
    }
    assert show(View("simplified", lang="fr"), street=STREET)["street"] == "Grand Place"
    sub = show(
        View(lang="fr"), speed={"value": 1, "label": {"languageMap": {"fr": "vitesse"}, "valueType": "langString"}}
    )
    assert sub["speed"]["label"] == {"type": "Property", "value": "vitesse", "lang": "fr"}


# --- what only notifications show (5.8.6) ---------------------------------------------------------------------------


def with_instance(**instance: Any) -> Entity:
    state = entity()
    state["attrs"] = {DEFAULT_VOCAB + "probe": [instance]}
    return state


@pytest.mark.parametrize(
    ("kind", "member", "null"),
    [
        ("Property", "value", NGSI_LD_NULL),
        ("GeoProperty", "value", NGSI_LD_NULL),
        ("Relationship", "object", NGSI_LD_NULL),
        ("LanguageProperty", "languageMap", {"@none": NGSI_LD_NULL}),
        ("VocabProperty", "vocab", NGSI_LD_NULL),
        ("JsonProperty", "json", NGSI_LD_NULL),
        ("ListProperty", "valueList", [NGSI_LD_NULL]),
        ("ListRelationship", "objectList", [NGSI_LD_NULL]),
    ],
)
def test_5_8_6_a_deleted_attribute_is_a_null_alone_unless_there_is_more_to_say(
    kind: str, member: str, null: Any
) -> None:
    bare = with_instance(type=kind, **{member: null})
    more = with_instance(type=kind, **{member: null}, datasetId=DATASET)
    for view in (View(), CONCISE, SIMPLIFIED, View(lang="en")):
        assert represent(bare, NAMES, view)["probe"] == NGSI_LD_NULL
    assert represent(more, NAMES, View())["probe"] == {"type": kind, member: null, "datasetId": DATASET}
    assert represent(more, NAMES, CONCISE)["probe"] == {member: null, "datasetId": DATASET}


def test_5_8_6_previous_values_and_deletion_times_are_passed_through() -> None:
    vocab = with_instance(
        type="VocabProperty", vocab=DEFAULT_VOCAB + "a", previousVocab=DEFAULT_VOCAB + "b", deletedAt=NOW
    )
    shown = {"type": "VocabProperty", "vocab": "a", "previousVocab": "b", "deletedAt": NOW}
    assert represent(vocab, NAMES, View())["probe"] == shown
    links = with_instance(type="ListRelationship", objectList=["urn:a:1"], previousObjectList=["urn:a:2"])
    assert represent(links, NAMES, View())["probe"]["previousObjectList"] == [{"object": "urn:a:2"}]
    assert represent(links, NAMES, CONCISE)["probe"]["previousObjectList"] == ["urn:a:2"]
    words = with_instance(type="LanguageProperty", languageMap={"en": "a"}, previousLanguageMap={"en": "b"})
    assert represent(words, NAMES, View(lang="en"))["probe"] == {
        "type": "Property",
        "value": "a",
        "lang": "en",
        "previousValue": "b",
    }
    gone = entity()
    gone["deletedAt"] = NOW
    assert represent(gone, NAMES, View())["deletedAt"] == NOW


# --- 4.21: projection -----------------------------------------------------------------------------------------------


def test_4_21_pick_omit_and_attrs() -> None:
    state = entity(speed=1, brand="x", scope="/a")

    def projected(**parameters: list[str]) -> dict[str, Any]:
        return represent(state, NAMES, View("simplified", projection=parse_projection(NAMES, **parameters)))  # type: ignore[arg-type]

    assert projected(pick=["id,speed"]) == {"id": "urn:ngsi-ld:Vehicle:1", "speed": 1}
    assert projected(pick=["unknown"]) == {}
    assert projected(omit=["id", "speed"]) == {"type": "Vehicle", "scope": "/a", "brand": "x"}
    assert projected(attrs=["speed"]) == {"id": "urn:ngsi-ld:Vehicle:1", "type": "Vehicle", "scope": "/a", "speed": 1}


# --- 4.5.23: linked entities ----------------------------------------------------------------------------------------


def _graph() -> tuple[Entity, dict[str, Entity]]:
    building = entity(0, locatedAt={"object": "urn:ngsi-ld:Vehicle:1"}, name="Tower")
    city = entity(
        1,
        isInCountry={"object": "urn:ngsi-ld:Vehicle:2"},
        name="Paris",
        towers={"objectList": ["urn:ngsi-ld:Vehicle:0"]},
    )
    country = entity(2, name="France", capital={"object": "urn:ngsi-ld:Vehicle:1"})
    return building, {each["id"]: each for each in (building, city, country)}


def test_4_5_23_2_linked_entities_are_inlined_down_to_the_join_level_without_loops() -> None:
    building, linked = _graph()
    one = represent(building, NAMES, View("simplified", join="inline", join_level=1), linked)
    assert one["locatedAt"] == {
        "id": "urn:ngsi-ld:Vehicle:1",
        "type": "Vehicle",
        "isInCountry": "urn:ngsi-ld:Vehicle:2",
        "name": "Paris",
        "towers": ["urn:ngsi-ld:Vehicle:0"],
    }
    deep = represent(building, NAMES, View("normalized", join="inline", join_level=9), linked)
    city = deep["locatedAt"]["entity"]
    assert deep["locatedAt"]["object"] == "urn:ngsi-ld:Vehicle:1"
    assert "entityList" not in city["towers"]
    assert city["isInCountry"]["entity"]["name"] == {"type": "Property", "value": "France"}
    assert city["isInCountry"]["entity"]["capital"] == {"type": "Relationship", "object": "urn:ngsi-ld:Vehicle:1"}


def test_4_5_23_2_several_targets_become_arrays_of_those_that_are_known() -> None:
    _, linked = _graph()
    ids = ["urn:ngsi-ld:Vehicle:2", "urn:ngsi-ld:Vehicle:9", "urn:ngsi-ld:Vehicle:1"]
    state = entity(7, many={"object": ids}, ordered={"objectList": ids}, none={"object": "urn:ngsi-ld:Vehicle:9"})
    concise = represent(state, NAMES, View("concise", join="inline", join_level=1), linked)
    assert [each["name"] for each in concise["many"]["entity"]] == ["France", "Paris"]
    assert [each["name"] for each in concise["ordered"]["entityList"]] == ["France", "Paris"]
    assert concise["none"] == {"object": "urn:ngsi-ld:Vehicle:9"}
    simplified = represent(state, NAMES, View("simplified", join="inline", join_level=1), linked)
    assert [each if isinstance(each, str) else each["name"] for each in simplified["ordered"]] == [
        "France",
        ids[1],
        "Paris",
    ]


def test_4_21_braces_project_linked_entities() -> None:
    building, linked = _graph()
    view = View(
        "simplified",
        projection=parse_projection(NAMES, pick=["id,locatedAt{name,isInCountry{name}}"]),
        join="inline",
        join_level=2,
    )
    assert represent(building, NAMES, view, linked) == {
        "id": "urn:ngsi-ld:Vehicle:0",
        "locatedAt": {"name": "Paris", "isInCountry": {"name": "France"}},
    }
    views = linked_views(building, view)
    assert list(views) == ["urn:ngsi-ld:Vehicle:1"]
    assert linked_ids(linked["urn:ngsi-ld:Vehicle:1"], views["urn:ngsi-ld:Vehicle:1"]) == {"urn:ngsi-ld:Vehicle:2"}
    assert linked_ids(building, View()) == set()


def test_4_5_23_3_flattened_entities_follow_each_once() -> None:
    building, linked = _graph()
    view = View(
        "simplified",
        projection=parse_projection(NAMES, pick=["id,locatedAt{id,name,isInCountry{id,capital}}"]),
        join="flat",
        join_level=3,
    )
    shown = [represent(each, NAMES, seen_as, linked) for each, seen_as in flatten([building], view, linked)]
    assert shown == [
        {"id": "urn:ngsi-ld:Vehicle:0", "locatedAt": "urn:ngsi-ld:Vehicle:1"},
        {"id": "urn:ngsi-ld:Vehicle:1", "name": "Paris", "isInCountry": "urn:ngsi-ld:Vehicle:2"},
        {"id": "urn:ngsi-ld:Vehicle:2", "capital": "urn:ngsi-ld:Vehicle:1"},
    ]


def test_a_dense_graph_is_bounded() -> None:
    ids = [f"urn:ngsi-ld:Vehicle:{number}" for number in range(30)]
    linked = {each["id"]: each for each in (entity(number, knows={"object": ids}) for number in range(30))}
    with pytest.raises(TooManyResults, match="joinLevel"):
        represent(linked[ids[0]], NAMES, View(join="inline", join_level=10), linked)


# --- 4.5.16, 4.5.17: GeoJSON ----------------------------------------------------------------------------------------


def test_4_5_16_a_feature_has_the_geometry_of_the_chosen_property() -> None:
    state = entity(location=POINT, observationSpace=OTHER_POINT, speed=1)
    feature = geojson_feature(state, NAMES, View(), LOCATION)
    assert feature == {
        "id": "urn:ngsi-ld:Vehicle:1",
        "type": "Feature",
        "geometry": POINT,
        "properties": {
            "type": "Vehicle",
            "location": {"type": "GeoProperty", "value": POINT},
            "observationSpace": {"type": "GeoProperty", "value": OTHER_POINT},
            "speed": {"type": "Property", "value": 1},
        },
    }
    simplified = geojson_feature(state, NAMES, SIMPLIFIED, NGSI_LD + "observationSpace")
    assert simplified["geometry"] == OTHER_POINT
    assert simplified["properties"]["location"] == POINT
    for other in (NGSI_LD + "operationSpace", "https://vocab.example/speed"):
        assert geojson_feature(state, NAMES, View(), other)["geometry"] is None
    assert feature_collection([feature]) == {"type": "FeatureCollection", "features": [feature]}


def test_4_5_16_1_of_several_instances_the_default_or_the_requested_one_is_the_geometry() -> None:
    both = [{"value": OTHER_POINT, "datasetId": DATASET}, {"value": POINT}]
    state = entity(location=both)
    assert geojson_feature(state, NAMES, View(), LOCATION)["geometry"] == POINT
    only_dataset = View(dataset_ids=frozenset({DATASET}))
    assert geojson_feature(state, NAMES, only_dataset, LOCATION)["geometry"] == OTHER_POINT
    no_default = entity(location=[both[0], {"value": POINT, "datasetId": "urn:ngsi-ld:Dataset:b"}])
    assert geojson_feature(no_default, NAMES, View(), LOCATION)["geometry"] is None
    assert geojson_feature(entity(location=both[:1]), NAMES, View(), LOCATION)["geometry"] == OTHER_POINT
    projected = View(projection=parse_projection(NAMES, pick=["speed"]))
    assert geojson_feature(entity(location=POINT, speed=1), NAMES, projected, LOCATION) == {
        "id": "urn:ngsi-ld:Vehicle:1",
        "type": "Feature",
        "geometry": POINT,
        "properties": {"speed": {"type": "Property", "value": 1}},
    }


@settings(max_examples=60, deadline=None)
@given(entities())
def test_4_5_4_simplified_representation_has_every_attribute_and_no_reification(state: Entity) -> None:
    shown = represent(state, NAMES, SIMPLIFIED)
    attributes = shown.keys() - {"id", "type", "scope"}
    assert attributes == {NAMES.compact(iri) for iri in state["attrs"]}
