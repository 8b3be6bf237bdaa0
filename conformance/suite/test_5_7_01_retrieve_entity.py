"""5.7.1 Retrieve Entity, 6.5.3.1 GET /entities/{entityId}."""

import pytest

from conformance.broker_client import GEO_JSON, JSON_LD, BrokerClient
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
from conformance.servers import DocumentServer


@clause("5.7.1.4", 5)
@clause("6.5.3.1", 1, 5)
def test_all_that_is_held_of_an_entity_is_retrieved(broker: BrokerClient, unique: Unique) -> None:
    one = entity(
        unique.id(),
        [unique.type(), unique.type("House")],
        scope=["/A", "/B"],
        number=prop(5, unitCode="MTR", observedAt="2020-01-01T00:00:00Z", accuracy=prop(0.1)),
        several=[prop(1), prop(2, datasetId="urn:dataset:2")],
        owner=rel("urn:person:1"),
        location=geo("Point", [8, 40]),
        name=lang({"fr": "rouge", "en": "red"}),
        kind=vocab("Hotel"),
        file=json_prop({"id": 1}),
        numbers=list_prop([1, 2]),
        owners=list_rel(["urn:person:1", "urn:person:2"]),
    )
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}").expect(200).json
    for listed in ("type", "scope", "several"):
        assert sorted(shown.pop(listed), key=str) == sorted(one.pop(listed), key=str)
    assert shown == one


@clause("5.7.1.4", 1)
@pytest.mark.parametrize("entity_id", ["not-a-uri", "12345", "%20", "a%20b"])
def test_an_id_that_is_no_uri_is_refused(broker: BrokerClient, entity_id: str) -> None:
    broker.get(f"/entities/{entity_id}").expect_problem("BadRequestData")


@clause("5.7.1.4", 4)
@clause("6.5.3.1", 1)
def test_an_unknown_entity_is_not_found(broker: BrokerClient, unique: Unique) -> None:
    broker.get(f"/entities/{unique.id()}").expect_problem("ResourceNotFound")


@clause("5.7.1.4", 4)
@clause("6.5.3.1", 2)
def test_an_entity_of_other_types_is_not_found(broker: BrokerClient, unique: Unique, documents: DocumentServer) -> None:
    one = entity(unique.id(), [unique.type(), "https://example.org/House"], size=prop(1))
    broker.post("/entities", one).expect(201)
    context = documents.publish_context(Haus="https://example.org/House")
    path = f"/entities/{one['id']}"
    for selection in (unique.type(), f"{unique.type('Other')}|{unique.type()}", f"({unique.type()};Haus)", "Haus"):
        assert broker.get(path, {"type": selection}, link=context).expect(200).json["id"] == one["id"]
    for selection in (unique.type("Other"), f"({unique.type()};{unique.type('Other')})", "House"):
        broker.get(path, {"type": selection}, link=context).expect_problem("ResourceNotFound")


@clause("5.7.1.4", 2)
@pytest.mark.parametrize("accept", [None, "application/json", JSON_LD])
def test_geometry_property_is_for_geo_json_only(broker: BrokerClient, unique: Unique, accept: str | None) -> None:
    one = entity(unique.id(), unique.type(), location=geo("Point", [8, 40]))
    broker.post("/entities", one).expect(201)
    query = {"geometryProperty": "location"}
    broker.get(f"/entities/{one['id']}", query, accept=accept).expect_problem("BadRequestData")


# --- attributes and datasets


@clause("5.7.1.4", 9)
@clause("6.5.3.1", 2)
def test_attrs_names_the_attributes_to_show(broker: BrokerClient, unique: Unique, documents: DocumentServer) -> None:
    speed = f"https://example.org/{unique.name('speed')}"
    one = entity(unique.id(), unique.type(), **{speed: prop(80)}, tempo=prop(3), name=prop("North"))
    broker.post("/entities", one).expect(201)
    path, context = f"/entities/{one['id']}", documents.publish_context(tempo=speed)
    head = entity(one["id"], unique.type())
    broker.get(path, {"attrs": "tempo"}, link=context).expect(200).expect_json({**head, "tempo": prop(80)})
    broker.get(path, {"attrs": "tempo,unheardOf"}).expect(200).expect_json({**head, "tempo": prop(3)})
    broker.get(path, {"attrs": f"{speed},name"}).expect(200).expect_json(
        {**head, speed: prop(80), "name": prop("North")}
    )


@clause("5.7.1.4", 11)
@clause("6.5.3.1", 4)
@pytest.mark.parametrize("attrs", ["unheardOf", "unheardOf,unknown"])
def test_an_entity_with_none_of_the_attributes_is_not_found(broker: BrokerClient, unique: Unique, attrs: str) -> None:
    one = entity(unique.id(), unique.type(), name=prop("North"))
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}", {"attrs": attrs}).expect_problem("ResourceNotFound")


@clause("5.7.1.4", 10, 13)
@clause("6.5.3.1", 2)
@pytest.mark.parametrize(
    ("datasets", "expected"),
    [
        ("urn:dataset:1", {"speed": prop(2, datasetId="urn:dataset:1")}),
        ("@none", {"speed": prop(1), "name": prop("North")}),
        (
            "@none,urn:dataset:2",
            {"speed": [prop(1), prop(3, datasetId="urn:dataset:2")], "name": prop("North")},
        ),
        ("urn:dataset:unheardOf", {}),
    ],
)
def test_dataset_id_chooses_among_the_instances(
    broker: BrokerClient, unique: Unique, datasets: str, expected: Document
) -> None:
    instances = [prop(1), prop(2, datasetId="urn:dataset:1"), prop(3, datasetId="urn:dataset:2")]
    one = entity(unique.id(), unique.type(), speed=instances, name=prop("North"))
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}", {"datasetId": datasets}).expect(200).json
    if isinstance(shown.get("speed"), list):
        shown["speed"].sort(key=lambda instance: instance["value"])
    assert shown == entity(one["id"], unique.type(), **expected)


# --- languages and vocabularies


@clause("5.7.1.5", 1)
def test_vocabulary_is_compacted_in_the_context_of_the_request(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    context = documents.publish_context(Male="https://example.org/Male")
    one = entity(unique.id(), unique.type(), gender=vocab("Male"))
    broker.post("/entities", one, link=context).expect(201)
    path = f"/entities/{one['id']}"
    assert broker.get(path, link=context).expect(200).json["gender"] == vocab("Male")
    german = documents.publish_context(Mann="https://example.org/Male")
    assert broker.get(path, link=german).expect(200).json["gender"] == vocab("Mann")
    assert broker.get(path).expect(200).json["gender"] == vocab("https://example.org/Male")


@clause("5.7.1.5", 2, 3, 4)
@clause("6.5.3.1", 2)
@pytest.mark.parametrize(
    ("filter_", "text", "language"),
    [
        ("fr", "rouge", "fr"),
        ("en", ["red", "crimson"], "en"),
        ("de,fr", "rouge", "fr"),
        ("en;q=0.1,fr;q=0.9", "rouge", "fr"),
        ("de;q=0.9,en;q=0.5", ["red", "crimson"], "en"),
    ],
)
def test_a_language_filter_turns_a_language_property_into_a_property(
    broker: BrokerClient, unique: Unique, filter_: str, text: object, language: str
) -> None:
    one = entity(unique.id(), unique.type(), name=lang({"fr": "rouge", "en": ["red", "crimson"]}))
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}", {"lang": filter_}).expect(200).json
    assert shown["name"] == prop(text, lang=language)


@clause("5.7.1.5", 5)
@pytest.mark.parametrize("filter_", ["nl", "*", "nl,pl;q=0.3"])
def test_where_no_language_fits_one_is_chosen(broker: BrokerClient, unique: Unique, filter_: str) -> None:
    texts = {"fr": "rouge", "en": "red"}
    one = entity(unique.id(), unique.type(), name=lang(texts))
    broker.post("/entities", one).expect(201)
    name = broker.get(f"/entities/{one['id']}", {"lang": filter_}).expect(200).json["name"]
    assert name["type"] == "Property"
    assert texts[name["lang"]] == name["value"]


# --- linked entities


@clause("5.7.1.5", 6)
@clause("6.5.3.1", 2)
@pytest.mark.parametrize("level", [None, 1])
def test_joined_inline_a_relationship_carries_the_entity_it_points_to(
    broker: BrokerClient, unique: Unique, level: int | None
) -> None:
    city = entity(unique.id("City"), unique.type("City"), name=prop("Delft"))
    street = entity(unique.id("Street"), unique.type("Street"), lies=rel(city["id"], objectType=unique.type("City")))
    house = entity(unique.id(), unique.type(), stands=rel(street["id"], objectType=unique.type("Street")))
    broker.post("/entityOperations/create", [city, street, house]).expect(201)
    query = {"join": "inline", "joinLevel": level}
    shown = broker.get(f"/entities/{house['id']}", query).expect(200).json
    assert shown["stands"]["object"] == street["id"]
    assert shown["stands"]["entity"] == street


@clause("5.7.1.5", 6)
@clause("6.5.3.1", 2)
def test_entities_are_joined_as_deep_as_join_level_says(broker: BrokerClient, unique: Unique) -> None:
    city = entity(unique.id("City"), unique.type("City"), name=prop("Delft"))
    street = entity(unique.id("Street"), unique.type("Street"), lies=rel(city["id"], objectType=unique.type("City")))
    house = entity(unique.id(), unique.type(), stands=rel(street["id"], objectType=unique.type("Street")))
    broker.post("/entityOperations/create", [city, street, house]).expect(201)
    shown = broker.get(f"/entities/{house['id']}", {"join": "inline", "joinLevel": 2}).expect(200).json
    assert shown["stands"]["entity"]["lies"]["entity"] == city


@clause("5.7.1.5", 6)
def test_joined_inline_a_relationship_to_several_carries_them_all(broker: BrokerClient, unique: Unique) -> None:
    stops = [entity(unique.id("Stop"), unique.type("Stop"), name=prop(name)) for name in ("A", "B", "C")]
    targets = [each["id"] for each in stops]
    line = entity(unique.id(), unique.type(), stops=rel(targets, objectType=unique.type("Stop")))
    broker.post("/entityOperations/create", [*stops, line]).expect(201)
    shown = broker.get(f"/entities/{line['id']}", {"join": "inline"}).expect(200).json
    assert sorted(shown["stops"]["entity"], key=lambda each: str(each["id"])) == stops


@clause("5.7.1.5", 6)
@clause("6.5.3.1", 2)
def test_an_entity_met_before_is_not_joined_again(broker: BrokerClient, unique: Unique) -> None:
    first, second = unique.id(), unique.id()
    kind = unique.type()
    broker.post(
        "/entityOperations/create",
        [
            entity(first, kind, beside=rel(second, objectType=kind)),
            entity(second, kind, beside=rel(first, objectType=kind)),
        ],
    ).expect(201)
    shown = broker.get(f"/entities/{first}", {"join": "inline", "joinLevel": 5}).expect(200).json
    assert shown["beside"]["entity"]["beside"] == rel(first, objectType=kind)
    query = {"join": "inline", "joinLevel": 5, "containedBy": second}
    shown = broker.get(f"/entities/{first}", query).expect(200).json
    assert shown["beside"] == rel(second, objectType=kind)


@clause("5.7.1.5", 7)
def test_joined_inline_a_list_relationship_carries_the_list_of_its_entities(
    broker: BrokerClient, unique: Unique
) -> None:
    stops = [entity(unique.id("Stop"), unique.type("Stop"), name=prop(name)) for name in ("A", "B", "C")]
    order = [stops[2]["id"], stops[0]["id"], stops[1]["id"]]
    line = entity(unique.id(), unique.type(), stops=list_rel(order, objectType=unique.type("Stop")))
    broker.post("/entityOperations/create", [*stops, line]).expect(201)
    shown = broker.get(f"/entities/{line['id']}", {"join": "inline"}).expect(200).json
    assert shown["stops"]["entityList"] == [stops[2], stops[0], stops[1]]


@clause("5.7.1.5", 8)
@clause("6.5.3.1", 2)
def test_joined_flat_the_answer_is_an_array_of_all_entities(broker: BrokerClient, unique: Unique) -> None:
    stops = [entity(unique.id("Stop"), unique.type("Stop"), name=prop(name)) for name in ("A", "B")]
    line = entity(
        unique.id(),
        unique.type(),
        first=rel(stops[0]["id"], objectType=unique.type("Stop")),
        stops=list_rel([stops[1]["id"], stops[0]["id"]], objectType=unique.type("Stop")),
    )
    broker.post("/entityOperations/create", [*stops, line]).expect(201)
    shown = broker.get(f"/entities/{line['id']}", {"join": "flat"}).expect(200).json
    assert shown[0] == line
    assert sorted(shown[1:], key=lambda each: str(each["id"])) == stops
    query = {"join": "flat", "containedBy": stops[0]["id"]}
    broker.get(f"/entities/{line['id']}", query).expect(200).expect_json([line, stops[1]])


@clause("6.5.3.1", 2)
@pytest.mark.parametrize("query", [{}, {"join": "@none"}, {"join": "@none", "joinLevel": 2}], ids=str)
def test_without_a_join_relationships_stay_as_they_are(
    broker: BrokerClient, unique: Unique, query: dict[str, object]
) -> None:
    device = entity(unique.id("Device"), unique.type("Device"), name=prop("Device"))
    one = entity(unique.id(), unique.type(), sensor=rel(device["id"], objectType=unique.type("Device")))
    broker.post("/entityOperations/create", [device, one]).expect(201)
    broker.get(f"/entities/{one['id']}", query).expect(200).expect_json(one)


# --- GeoJSON


@clause("5.7.1.4", 14)
@clause("6.5.3.1", 7)
@pytest.mark.parametrize(
    ("geometry_property", "coordinates"), [(None, [8, 40]), ("location", [8, 40]), ("yard", [9, 41]), ("name", None)]
)
def test_an_entity_as_a_feature(
    broker: BrokerClient, unique: Unique, geometry_property: str | None, coordinates: list[int] | None
) -> None:
    one = entity(
        unique.id(), unique.type(), location=geo("Point", [8, 40]), yard=geo("Point", [9, 41]), name=prop("North")
    )
    broker.post("/entities", one).expect(201)
    query = {"geometryProperty": geometry_property}
    answer = broker.get(f"/entities/{one['id']}", query, accept=GEO_JSON).expect(200)
    assert answer.media_type == GEO_JSON
    feature = answer.json
    assert "@context" in feature
    del feature["@context"]
    assert feature == {
        "id": one["id"],
        "type": "Feature",
        "geometry": None if coordinates is None else {"type": "Point", "coordinates": coordinates},
        "properties": {member: value for member, value in one.items() if member != "id"},
    }


@clause("5.7.1.4", 14)
@pytest.mark.parametrize(("prefer", "inside"), [("body=ld+json", True), ("body=json", False)])
def test_the_context_of_a_feature_is_inside_or_in_the_link_header(
    broker: BrokerClient, unique: Unique, documents: DocumentServer, prefer: str, inside: bool
) -> None:
    context = documents.publish_context(tempo="https://example.org/speed")
    one = entity(unique.id(), unique.type(), tempo=prop(5), location=geo("Point", [8, 40]))
    broker.post("/entities", one, link=context).expect(201)
    answer = broker.get(
        f"/entities/{one['id']}", {"attrs": "tempo"}, accept=GEO_JSON, link=context, headers={"Prefer": prefer}
    ).expect(200)
    assert ("@context" in answer.json) == inside
    assert (answer.link("http://www.w3.org/ns/json-ld#context") is None) == inside
    assert answer.json["properties"] == {"type": unique.type(), "tempo": prop(5)}


@clause("6.5.3.1", 10)
@pytest.mark.parametrize(
    "query",
    [
        {"attrs": "id"},
        {"attrs": "name,type"},
        {"attrs": "scope"},
        {"attrs": "name,"},
        {"attrs": ""},
        {"datasetId": "not a uri"},
        {"join": "deep"},
        {"join": "inline", "joinLevel": 0},
        {"join": "inline", "joinLevel": -1},
        {"join": "inline", "joinLevel": "two"},
        {"join": "inline", "containedBy": "not a uri"},
        {"lang": "not a language!"},
        {"type": "(A"},
        {"format": "fancy"},
    ],
    ids=str,
)
def test_values_that_a_parameter_does_not_have_are_refused(
    broker: BrokerClient, unique: Unique, query: dict[str, object]
) -> None:
    one = entity(unique.id(), unique.type(), name=prop("North"))
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}", query).expect_problem("BadRequestData", "InvalidRequest")
