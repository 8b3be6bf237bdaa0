"""5.7.2 Query Entities, 6.4.3.2 GET /entities: how the entities that match are shown."""

import pytest

from conformance.broker_client import GEO_JSON, JSON_LD, BrokerClient
from conformance.clauses import clause
from conformance.samples import Document, Unique, entity, geo, lang, list_rel, prop, rel, vocab
from conformance.servers import DocumentServer


@clause("5.7.2.3", 1)
@clause("5.7.2.4", 15)
@clause("5.7.2.5", 2)
@clause("6.4.3.2", 2)
def test_attrs_selects_entities_and_shows_these_attributes_only(broker: BrokerClient, unique: Unique) -> None:
    both = entity(unique.id(), unique.type(), size=prop(1), name=prop("A"), age=prop(9))
    only_size = entity(unique.id(), unique.type(), size=prop(2), age=prop(9))
    neither = entity(unique.id(), unique.type(), age=prop(9))
    broker.post("/entityOperations/create", [both, only_size, neither]).expect(201)
    answer = broker.get("/entities", {"type": unique.type(), "attrs": "size,name,unheardOf"}).expect(200)
    expected = [{key: value for key, value in each.items() if key != "age"} for each in (both, only_size)]
    assert sorted(answer.json, key=lambda each: str(each["id"])) == expected


@clause("5.7.2.4", 15)
def test_pick_selects_the_entities_that_have_one_of_its_attributes(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), size=prop(1))
    broker.post("/entityOperations/create", [one, entity(unique.id(), unique.type(), age=prop(9))]).expect(201)
    answer = broker.get("/entities", {"type": unique.type(), "pick": "size,name"}).expect(200)
    answer.expect_json([{"size": prop(1)}])


@clause("5.7.2.5", 3)
@clause("6.4.3.2", 1)
@pytest.mark.parametrize("accept", [None, "application/json", JSON_LD])
def test_without_a_list_all_attributes_are_shown(broker: BrokerClient, unique: Unique, accept: str | None) -> None:
    one = entity(
        unique.id(),
        unique.type(),
        scope="/Madrid",
        size=prop(5, unitCode="MTR", accuracy=prop(0.1)),
        owner=rel("urn:person:1"),
        location=geo("Point", [8, 40]),
        name=lang({"fr": "rouge", "en": "red"}),
    )
    broker.post("/entities", one).expect(201)
    (shown,) = broker.get("/entities", {"type": unique.type()}, accept=accept).expect(200).json
    shown.pop("@context", None)
    assert shown == one


@clause("5.7.2.4", 22)
@clause("6.4.3.2", 2)
@pytest.mark.parametrize(
    ("datasets", "expected"),
    [
        ("urn:dataset:1", {"speed": prop(2, datasetId="urn:dataset:1")}),
        ("@none", {"speed": prop(1), "name": prop("North")}),
        ("@none,urn:dataset:1", {"speed": [prop(1), prop(2, datasetId="urn:dataset:1")], "name": prop("North")}),
        ("urn:dataset:unheardOf", {}),
    ],
)
def test_dataset_id_chooses_among_the_instances(
    broker: BrokerClient, unique: Unique, datasets: str, expected: Document
) -> None:
    one = entity(unique.id(), unique.type(), speed=[prop(1), prop(2, datasetId="urn:dataset:1")], name=prop("North"))
    broker.post("/entities", one).expect(201)
    (shown,) = broker.get("/entities", {"type": unique.type(), "datasetId": datasets}).expect(200).json
    if isinstance(shown.get("speed"), list):
        shown["speed"].sort(key=lambda instance: instance["value"])
    assert shown == entity(one["id"], unique.type(), **expected)


@clause("5.7.2.4", 10)
def test_names_are_expanded_and_compacted_in_the_context_of_the_request(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    speed, kind = f"https://example.org/{unique.name('speed')}", f"https://example.org/{unique.type()}"
    one = entity(unique.id(), kind, **{speed: prop(80)})
    broker.post("/entities", one).expect(201)
    german = documents.publish_context(Auto=kind, tempo=speed)
    french = documents.publish_context(Voiture=kind, vitesse=speed)
    query = {"type": "Auto", "attrs": "tempo", "q": "tempo==80"}
    broker.get("/entities", query, link=german).expect(200).expect_json([entity(one["id"], "Auto", tempo=prop(80))])
    query = {"type": "Voiture", "attrs": "vitesse"}
    expected = [entity(one["id"], "Voiture", vitesse=prop(80))]
    broker.get("/entities", query, link=french).expect(200).expect_json(expected)
    broker.get("/entities", query, link=german).expect(200).expect_json([])


@clause("5.7.2.5", 4)
def test_vocabulary_is_compacted_in_the_context_of_the_request(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    context = documents.publish_context(Male="https://example.org/Male")
    broker.post("/entities", entity(unique.id(), unique.type(), gender=vocab("Male")), link=context).expect(201)
    german = documents.publish_context(Mann="https://example.org/Male")
    (shown,) = broker.get("/entities", {"type": unique.type()}, link=german).expect(200).json
    assert shown["gender"] == vocab("Mann")


@clause("5.7.2.5", 5, 6)
@pytest.mark.parametrize(("filter_", "text"), [("fr", "rouge"), ("en", ["red", "crimson"]), ("de,fr;q=0.8", "rouge")])
def test_a_language_filter_turns_a_language_property_into_a_property(
    broker: BrokerClient, unique: Unique, filter_: str, text: object
) -> None:
    broker.post(
        "/entities", entity(unique.id(), unique.type(), name=lang({"fr": "rouge", "en": ["red", "crimson"]}))
    ).expect(201)
    (shown,) = broker.get("/entities", {"type": unique.type(), "lang": filter_}).expect(200).json
    assert shown["name"] == prop(text, lang="en" if filter_ == "en" else "fr")


@clause("5.7.2.5", 7)
def test_where_no_language_fits_the_text_without_one_is_chosen(broker: BrokerClient, unique: Unique) -> None:
    texts = {"fr": "rouge", "@none": "#f00", "en": "red"}
    broker.post("/entities", entity(unique.id(), unique.type(), name=lang(texts))).expect(201)
    (shown,) = broker.get("/entities", {"type": unique.type(), "lang": "nl"}).expect(200).json
    assert (shown["name"]["type"], shown["name"]["value"]) == ("Property", "#f00")


@clause("5.7.2.5", 8)
@clause("6.4.3.2", 2)
def test_joined_inline_a_relationship_carries_the_entity_it_points_to(broker: BrokerClient, unique: Unique) -> None:
    city = entity(unique.id("City"), unique.type("City"), name=prop("Delft"))
    street = entity(unique.id("Street"), unique.type("Street"), lies=rel(city["id"], objectType=unique.type("City")))
    houses = [
        entity(unique.id(), unique.type(), stands=rel(street["id"], objectType=unique.type("Street"))) for _ in range(2)
    ]
    broker.post("/entityOperations/create", [city, street, *houses]).expect(201)
    for house in broker.get("/entities", {"type": unique.type(), "join": "inline"}).expect(200).json:
        assert house["stands"]["entity"] == street
    query = {"type": unique.type(), "join": "inline", "joinLevel": 2}
    for house in broker.get("/entities", query).expect(200).json:
        assert house["stands"]["entity"]["lies"]["entity"] == city
    for house in broker.get("/entities", {**query, "containedBy": city["id"]}).expect(200).json:
        assert house["stands"]["entity"] == street


@clause("5.7.2.5", 9)
def test_joined_inline_a_list_relationship_carries_the_list_of_its_entities(
    broker: BrokerClient, unique: Unique
) -> None:
    stops = [entity(unique.id("Stop"), unique.type("Stop"), name=prop(name)) for name in ("A", "B", "C")]
    order = [stops[2]["id"], stops[0]["id"], stops[1]["id"]]
    line = entity(unique.id(), unique.type(), stops=list_rel(order, objectType=unique.type("Stop")))
    broker.post("/entityOperations/create", [*stops, line]).expect(201)
    (shown,) = broker.get("/entities", {"type": unique.type(), "join": "inline"}).expect(200).json
    assert shown["stops"]["entityList"] == [stops[2], stops[0], stops[1]]


@clause("5.7.2.5", 10)
@clause("6.4.3.2", 2)
def test_joined_flat_the_linked_entities_follow_those_that_match(broker: BrokerClient, unique: Unique) -> None:
    street = entity(unique.id("Street"), unique.type("Street"), name=prop("Oude Delft"))
    houses = [
        entity(unique.id(), unique.type(), stands=rel(street["id"], objectType=unique.type("Street"))) for _ in range(2)
    ]
    broker.post("/entityOperations/create", [street, *houses]).expect(201)
    query = {"type": unique.type(), "join": "flat"}
    shown = broker.get("/entities", query).expect(200).json
    assert sorted(shown[:2], key=lambda each: str(each["id"])) == houses
    assert shown[2:] == [street]
    shown = broker.get("/entities", {**query, "containedBy": street["id"]}).expect(200).json
    assert sorted(shown, key=lambda each: str(each["id"])) == houses


@clause("5.7.2.4", 24)
@clause("6.4.3.2", 2)
@pytest.mark.parametrize(
    ("geometry_property", "coordinates"), [(None, [[8, 40], None]), ("yard", [[9, 41], None]), ("name", [None, None])]
)
def test_entities_as_a_feature_collection(
    broker: BrokerClient, unique: Unique, geometry_property: str | None, coordinates: list[list[int] | None]
) -> None:
    located = entity(unique.id(), unique.type(), location=geo("Point", [8, 40]), yard=geo("Point", [9, 41]))
    placeless = entity(unique.id(), unique.type(), name=prop("North"))
    broker.post("/entityOperations/create", [located, placeless]).expect(201)
    query = {"type": unique.type(), "geometryProperty": geometry_property}
    answer = broker.get("/entities", query, accept=GEO_JSON).expect(200)
    assert (answer.media_type, answer.json["type"]) == (GEO_JSON, "FeatureCollection")
    assert sorted(answer.json["features"], key=lambda each: str(each["id"])) == [
        {
            "id": one["id"],
            "type": "Feature",
            "geometry": None if place is None else {"type": "Point", "coordinates": place},
            "properties": {member: value for member, value in one.items() if member != "id"},
        }
        for one, place in zip((located, placeless), coordinates, strict=True)
    ]


@clause("5.7.2.4", 24)
@pytest.mark.parametrize(("prefer", "inside"), [(None, True), ("body=ld+json", True), ("body=json", False)])
def test_the_context_of_a_feature_collection_is_inside_or_in_the_link_header(
    broker: BrokerClient, unique: Unique, prefer: str | None, inside: bool
) -> None:
    broker.post("/entities", entity(unique.id(), unique.type(), location=geo("Point", [8, 40]))).expect(201)
    headers = {} if prefer is None else {"Prefer": prefer}
    answer = broker.get("/entities", {"type": unique.type(), "attrs": "location"}, accept=GEO_JSON, headers=headers)
    assert ("@context" in answer.expect(200).json) == inside
    assert (answer.link("http://www.w3.org/ns/json-ld#context") is None) == inside
    assert [list(feature["properties"]) for feature in answer.json["features"]] == [["type", "location"]]


@clause("5.7.2.4", 24)
def test_no_entities_are_an_empty_feature_collection(broker: BrokerClient, unique: Unique) -> None:
    answer = broker.get("/entities", {"type": unique.type()}, accept=GEO_JSON).expect(200)
    assert (answer.json["type"], answer.json["features"]) == ("FeatureCollection", [])
