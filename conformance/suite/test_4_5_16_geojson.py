"""4.5.16 GeoJSON Representation of Entities, 5.2.29 Feature, 5.2.30 FeatureCollection, 5.2.31 FeatureProperties."""

from typing import Any

import pytest

from conformance.broker_client import GEO_JSON, BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, geo, json_prop, lang, list_prop, list_rel, prop, rel, vocab
from conformance.servers import DocumentServer, Receiver

_KYOTO = {"type": "Point", "coordinates": [135.75, 35.0]}
_OSAKA = {"type": "Point", "coordinates": [135.5, 34.75]}
_D1, _D2 = "urn:ngsi-ld:Dataset:1", "urn:ngsi-ld:Dataset:2"
_PLAIN = {"Prefer": "body=json"}


@clause("4.5.16.1", 1)
@clause("4.5.16.2", 1, 2)
@clause("5.2.29", 1, 2)
@clause("5.2.31", 1)
def test_an_entity_is_a_feature_whose_geometry_is_its_location(broker: BrokerClient, unique: Unique) -> None:
    place = geo("Point", _KYOTO["coordinates"], observedAt="2026-01-01T00:00:00Z", source=prop("survey"))
    one = entity(unique.id(), unique.type(), location=place, speed=prop(5, unitCode="KMH"), driver=rel("urn:a:1"))
    broker.post("/entities", one).expect(201)
    answer = broker.get(f"/entities/{one['id']}", accept=GEO_JSON, headers=_PLAIN).expect(200)
    assert answer.media_type == GEO_JSON
    answer.expect_json(
        {
            "id": one["id"],
            "type": "Feature",
            "geometry": _KYOTO,
            "properties": {name: item for name, item in one.items() if name != "id"},
        }
    )


@pytest.mark.parametrize(
    "attribute",
    [
        prop({"a": 1}),
        rel(["urn:a:1", "urn:a:2"]),
        geo("LineString", [[1.5, 2.5], [3.5, 4.5]]),
        lang({"en": "yes"}),
        vocab("male"),
        list_prop([2, 1]),
        list_rel(["urn:a:2", "urn:a:1"]),
        json_prop({"a": None}),
        [prop(5), prop(6, datasetId=_D1)],
        [rel("urn:a:1", datasetId=_D1), rel("urn:a:2", datasetId=_D2)],
    ],
    ids=lambda attribute: str(attribute.get("type")) if isinstance(attribute, dict) else attribute[0]["type"] + "[]",
)
@clause("4.5.16.2", 2)
@clause("5.2.31", 1)
def test_the_properties_of_a_feature_are_the_attributes_of_the_entity(
    broker: BrokerClient, unique: Unique, attribute: Any
) -> None:
    one = entity(unique.id(), unique.type(), told=attribute)
    broker.post("/entities", one).expect(201)
    normalized = broker.get(f"/entities/{one['id']}").expect(200).json
    shown = broker.get(f"/entities/{one['id']}", accept=GEO_JSON, headers=_PLAIN).expect(200).json
    assert shown["properties"] == {"type": one["type"], "told": normalized["told"]}


@clause("4.5.16.2", 2)
@clause("5.2.31", 1)
def test_the_properties_of_a_feature_have_all_types(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), [unique.type("Car"), unique.type("Taxi")], location=geo("Point", [1.5, 2.5]))
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}", accept=GEO_JSON).expect(200).json
    assert shown["type"] == "Feature"
    assert sorted(shown["properties"]["type"]) == sorted(one["type"])


@pytest.mark.parametrize(
    ("kind", "coordinates"),
    [
        ("Point", [1.5, 2.5]),
        ("Point", [1.5, 2.5, 3.5]),
        ("MultiPoint", [[1.5, 2.5], [3.5, 4.5]]),
        ("LineString", [[1.5, 2.5], [3.5, 4.5]]),
        ("MultiLineString", [[[1.5, 2.5], [3.5, 4.5]], [[5.5, 6.5], [7.5, 8.5]]]),
        ("Polygon", [[[0.5, 0.5], [0.5, 9.5], [9.5, 9.5], [0.5, 0.5]]]),
        ("MultiPolygon", [[[[0.5, 0.5], [0.5, 9.5], [9.5, 9.5], [0.5, 0.5]]]]),
    ],
)
@clause("4.5.16.2", 1)
@clause("5.2.29", 1)
def test_the_geometry_of_a_feature_may_be_of_any_type(
    broker: BrokerClient, unique: Unique, kind: str, coordinates: Any
) -> None:
    one = entity(unique.id(), unique.type(), location=geo(kind, coordinates))
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}", accept=GEO_JSON).expect(200).json
    assert shown["geometry"] == {"type": kind, "coordinates": coordinates}


@clause("4.5.16.1", 1)
def test_another_geo_property_can_be_chosen(broker: BrokerClient, unique: Unique, documents: DocumentServer) -> None:
    context = documents.publish_context(parked=f"https://example.org/{unique.name('parked')}")
    one = entity(
        unique.id(), unique.type(), location=geo("Point", [135.75, 35.0]), parked=geo("Point", _OSAKA["coordinates"])
    )
    broker.post("/entities", one, link=context).expect(201)
    query = {"geometryProperty": "parked"}
    shown = broker.get(f"/entities/{one['id']}", query, accept=GEO_JSON, link=context).expect(200).json
    assert shown["geometry"] == _OSAKA
    assert shown["properties"]["location"] == one["location"]
    query = {"type": one["type"], "geometryProperty": "parked"}
    found = broker.get("/entities", query, accept=GEO_JSON, link=context).expect(200).json
    assert [each["geometry"] for each in found["features"]] == [_OSAKA]


@pytest.mark.parametrize(
    ("places", "dataset", "geometry"),
    [
        ([(_KYOTO, None), (_OSAKA, _D1)], None, _KYOTO),
        ([(_OSAKA, _D1), (_KYOTO, None)], None, _KYOTO),
        ([(_KYOTO, None), (_OSAKA, _D1)], _D1, _OSAKA),
        ([(_KYOTO, _D1), (_OSAKA, _D2)], _D1, _KYOTO),
        ([(_KYOTO, _D1), (_OSAKA, _D2)], _D2, _OSAKA),
        ([(_KYOTO, None), (_OSAKA, _D1)], "@none", _KYOTO),
        ([(_KYOTO, _D1), (_OSAKA, _D2)], None, None),
        ([(_KYOTO, _D1), (_OSAKA, _D2)], "urn:ngsi-ld:Dataset:9", None),
    ],
    ids=["default", "default last", "named", "first", "second", "@none", "none chosen", "unknown"],
)
@clause("4.5.16.1", 2)
def test_of_several_instances_the_one_with_the_dataset_or_the_default_is_the_geometry(
    broker: BrokerClient, unique: Unique, places: Any, dataset: str | None, geometry: Any
) -> None:
    instances = [
        {"type": "GeoProperty", "value": place} | ({} if name is None else {"datasetId": name})
        for place, name in places
    ]
    one = entity(unique.id(), unique.type(), location=instances)
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}", {"datasetId": dataset}, accept=GEO_JSON).expect(200).json
    assert shown["geometry"] == geometry


@pytest.mark.parametrize("chosen", [None, "operationSpace", "unknown", "speed", "driver"])
@clause("4.5.16.1", 3)
@clause("5.2.29", 1)
def test_without_a_geometry_there_is_null(broker: BrokerClient, unique: Unique, chosen: str | None) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(5), driver=rel("urn:a:1"), parked=geo("Point", [1.5, 2.5]))
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}", {"geometryProperty": chosen}, accept=GEO_JSON).expect(200).json
    assert shown["geometry"] is None
    assert shown["properties"]["speed"] == prop(5)


@clause("4.5.16.2", 3)
@clause("5.2.29", 1)
def test_a_feature_has_its_context_where_the_body_may_have_it(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    context = documents.publish_context(speed=f"https://example.org/{unique.name('speed')}")
    one = entity(unique.id(), unique.type(), speed=prop(5))
    broker.post("/entities", one, link=context).expect(201)
    path = f"/entities/{one['id']}"
    for headers in ({}, {"Prefer": "body=ld+json"}):
        shown = broker.get(path, accept=GEO_JSON, link=context, headers=headers).expect(200).json
        assert context in shown["@context"]
        assert shown["properties"]["speed"] == prop(5)
    plain = broker.get(path, accept=GEO_JSON, link=context, headers=_PLAIN).expect(200)
    assert "@context" not in plain.json
    assert plain.link("http://www.w3.org/ns/json-ld#context") == context


# --- several entities


@clause("4.5.16.3", 1, 2)
@clause("5.2.30", 1, 2)
def test_several_entities_are_a_feature_collection(broker: BrokerClient, unique: Unique) -> None:
    ones = [
        entity(unique.id(), unique.type(), location=geo("Point", [135.75, 35.0]), speed=prop(5)),
        entity(unique.id(), unique.type(), driver=rel("urn:a:1")),
    ]
    broker.post("/entityOperations/create", ones).expect(201)
    answer = broker.get("/entities", {"type": unique.type()}, accept=GEO_JSON, headers=_PLAIN).expect(200)
    assert answer.media_type == GEO_JSON
    assert answer.json.keys() == {"type", "features"}
    assert answer.json["type"] == "FeatureCollection"
    assert sorted(answer.json["features"], key=lambda each: str(each["id"])) == [
        {
            "id": one["id"],
            "type": "Feature",
            "geometry": geometry,
            "properties": {name: item for name, item in one.items() if name != "id"},
        }
        for one, geometry in zip(ones, (_KYOTO, None), strict=True)
    ]


@clause("4.5.16.3", 1)
@clause("5.2.30", 1, 2)
def test_a_feature_collection_may_be_empty(broker: BrokerClient, unique: Unique) -> None:
    answer = broker.get("/entities", {"type": unique.type()}, accept=GEO_JSON, headers=_PLAIN).expect(200)
    answer.expect_json({"type": "FeatureCollection", "features": []})


@clause("4.5.16.3", 2, 3)
@clause("5.2.30", 1)
def test_a_feature_collection_has_one_context_for_all(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    context = documents.publish_context(Car=f"https://example.org/{unique.name('Car')}")
    for _ in range(2):
        broker.post("/entities", entity(unique.id(), "Car"), link=context).expect(201)
    shown = broker.get("/entities", {"type": "Car"}, accept=GEO_JSON, link=context).expect(200).json
    assert context in shown["@context"]
    assert [each["properties"] for each in shown["features"]] == [{"type": "Car"}] * 2
    assert not any("@context" in each for each in shown["features"])


@clause("4.5.16.3", 1)
@clause("5.2.30", 1)
def test_a_query_by_post_may_be_answered_in_geojson(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), location=geo("Point", [135.75, 35.0]))
    broker.post("/entities", one).expect(201)
    query = {"type": "Query", "entities": [{"type": one["type"]}]}
    shown = broker.post("/entityOperations/query", query, accept=GEO_JSON).expect(200).json
    assert shown["type"] == "FeatureCollection"
    assert [(each["id"], each["geometry"]) for each in shown["features"]] == [(one["id"], _KYOTO)]


@clause("4.5.16.3", 1)
@clause("5.2.30", 1)
def test_a_notification_may_be_a_feature_collection(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    subscription = {
        "type": "Subscription",
        "entities": [{"type": unique.type()}],
        "notification": {"endpoint": {"uri": receiver.url, "accept": GEO_JSON}},
    }
    broker.post("/subscriptions", subscription).expect(201)
    one = entity(unique.id(), unique.type(), location=geo("Point", [135.75, 35.0]), speed=prop(5))
    broker.post("/entities", one).expect(201)
    data = receiver.next_json()["data"]
    assert data["type"] == "FeatureCollection"
    assert [(each["type"], each["id"], each["geometry"]) for each in data["features"]] == [
        ("Feature", one["id"], _KYOTO)
    ]
    assert data["features"][0]["properties"]["speed"] == prop(5)


# --- simplified (4.5.17)


@clause("4.5.17.0", 1)
@clause("4.5.17.1", 1, 2)
def test_a_simplified_feature_has_simplified_properties(broker: BrokerClient, unique: Unique) -> None:
    one = entity(
        unique.id(),
        unique.type(),
        location=geo("Point", _KYOTO["coordinates"], source=prop("survey")),
        speed=prop(5, unitCode="KMH"),
        driver=rel("urn:a:1"),
        says=lang({"en": "yes"}),
        steps=list_prop([2, 1]),
        heights=[prop(1), prop(2, datasetId=_D1)],
        links=[rel("urn:a:1"), rel("urn:a:2", datasetId=_D1)],
    )
    broker.post("/entities", one).expect(201)
    answer = broker.get(f"/entities/{one['id']}", {"format": "simplified"}, accept=GEO_JSON, headers=_PLAIN)
    assert answer.expect(200).media_type == GEO_JSON
    properties = {
        "type": one["type"],
        "location": _KYOTO,
        "speed": 5,
        "driver": "urn:a:1",
        "says": {"languageMap": {"en": "yes"}},
        "steps": [2, 1],
        "heights": {"dataset": {"@none": 1, _D1: 2}},
        "links": {"dataset": {"@none": "urn:a:1", _D1: "urn:a:2"}},
    }
    answer.expect_json({"id": one["id"], "type": "Feature", "geometry": _KYOTO, "properties": properties})


@clause("4.5.17.1", 1)
@clause("4.5.16.1", 1, 3)
def test_a_simplified_feature_chooses_its_geometry_as_any_does(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), parked=geo("Point", _OSAKA["coordinates"]))
    broker.post("/entities", one).expect(201)
    query = {"format": "simplified", "geometryProperty": "parked"}
    assert broker.get(f"/entities/{one['id']}", query, accept=GEO_JSON).expect(200).json["geometry"] == _OSAKA
    query = {"format": "simplified"}
    assert broker.get(f"/entities/{one['id']}", query, accept=GEO_JSON).expect(200).json["geometry"] is None


@clause("4.5.17.0", 1)
@clause("4.5.17.2", 1, 2)
def test_a_simplified_collection_has_simplified_features_and_one_context(broker: BrokerClient, unique: Unique) -> None:
    ones = [
        entity(unique.id(), unique.type(), location=geo("Point", [135.75, 35.0]), speed=prop(5)),
        entity(unique.id(), unique.type()),
    ]
    broker.post("/entityOperations/create", ones).expect(201)
    shown = broker.get("/entities", {"type": unique.type(), "options": "keyValues"}, accept=GEO_JSON).expect(200).json
    assert shown["type"] == "FeatureCollection"
    assert shown["@context"]
    assert sorted(shown["features"], key=lambda each: str(each["id"])) == [
        {
            "id": ones[0]["id"],
            "type": "Feature",
            "geometry": _KYOTO,
            "properties": {"type": unique.type(), "location": _KYOTO, "speed": 5},
        },
        {"id": ones[1]["id"], "type": "Feature", "geometry": None, "properties": {"type": unique.type()}},
    ]
