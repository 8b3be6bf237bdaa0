"""4.5.4 Simplified Representation."""

from typing import Any

import pytest

from conformance.broker_client import JSON_LD, BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, geo, json_prop, lang, list_prop, list_rel, prop, rel, vocab
from conformance.servers import DocumentServer, Receiver

_BOB = "urn:ngsi-ld:Person:Bob"
_EVE = "urn:ngsi-ld:Person:Eve"
_D1, _D2 = "urn:ngsi-ld:Dataset:1", "urn:ngsi-ld:Dataset:2"
_POINT = {"type": "Point", "coordinates": [13.3986, 52.5547]}


@pytest.mark.parametrize(
    "query", [{"format": "simplified"}, {"format": "keyValues"}, {"options": "keyValues"}], ids=str
)
@clause("4.5.4", 1, 2, 3, 4)
def test_the_simplified_representation_is_chosen_by_the_request(
    broker: BrokerClient, unique: Unique, query: dict[str, str]
) -> None:
    one = entity(unique.id(), unique.type(), name=prop("David"), driver=rel(_BOB))
    broker.post("/entities", one).expect(201)
    expected = entity(one["id"], one["type"], name="David", driver=_BOB)
    broker.get(f"/entities/{one['id']}", query).expect(200).expect_json(expected)
    broker.get("/entities", {"type": one["type"], **query}).expect(200).expect_json([expected])


@pytest.mark.parametrize(
    ("attribute", "shown"),
    [
        pytest.param(prop("David"), "David", marks=pytest.mark.clause("4.5.4", 9), id="Property"),
        pytest.param(prop([1, [2], {"a": []}]), [1, [2], {"a": []}], marks=pytest.mark.clause("4.5.4", 9), id="array"),
        pytest.param(prop({"a": 1}), {"a": 1}, marks=pytest.mark.clause("4.5.4", 9), id="object"),
        pytest.param(geo("Point", [13.3986, 52.5547]), _POINT, marks=pytest.mark.clause("4.5.4", 10), id="GeoProperty"),
        pytest.param(
            lang({"en": "yes", "fr": ["oui", "si"]}),
            {"languageMap": {"en": "yes", "fr": ["oui", "si"]}},
            marks=pytest.mark.clause("4.5.4", 5),
            id="LanguageProperty",
        ),
        pytest.param(
            json_prop({"id": "85a6", "value": None}),
            {"json": {"id": "85a6", "value": None}},
            marks=pytest.mark.clause("4.5.4", 6),
            id="JsonProperty",
        ),
        pytest.param(vocab("Male"), {"vocab": "Male"}, marks=pytest.mark.clause("4.5.4", 7), id="VocabProperty"),
        pytest.param(rel(_BOB), _BOB, marks=pytest.mark.clause("4.5.4", 11), id="Relationship"),
        pytest.param(rel([_BOB, _EVE]), [_BOB, _EVE], marks=pytest.mark.clause("4.5.4", 11), id="Relationships"),
        pytest.param(list_prop([2, 1, 2]), [2, 1, 2], marks=pytest.mark.clause("4.5.4", 12), id="ListProperty"),
        pytest.param(
            list_rel([_EVE, _BOB, _EVE]),
            [_EVE, _BOB, _EVE],
            marks=pytest.mark.clause("4.5.4", 13),
            id="ListRelationship",
        ),
    ],
)
def test_only_what_an_attribute_says_is_left_of_it(
    broker: BrokerClient, unique: Unique, attribute: dict[str, Any], shown: Any
) -> None:
    rich = {**attribute, "observedAt": "2026-01-01T00:00:00Z", "source": prop("GPS"), "by": rel("urn:a:1")}
    one = entity(unique.id(), unique.type(), plain=attribute, rich=rich)
    broker.post("/entities", one).expect(201)
    expected = entity(one["id"], one["type"], plain=shown, rich=shown)
    broker.get(f"/entities/{one['id']}", {"format": "simplified"}).expect(200).expect_json(expected)


@pytest.mark.parametrize(
    ("instances", "shown"),
    [
        ([prop("David"), prop("Ziggy", datasetId=_D1)], {"@none": "David", _D1: "Ziggy"}),
        ([prop(1, datasetId=_D1), prop({"a": 2}, datasetId=_D2)], {_D1: 1, _D2: {"a": 2}}),
        (
            [geo("Point", [1.5, 2.5], datasetId=_D1), geo("Point", [3.5, 4.5])],
            {_D1: {"type": "Point", "coordinates": [1.5, 2.5]}, "@none": {"type": "Point", "coordinates": [3.5, 4.5]}},
        ),
        ([rel(_BOB), rel([_BOB, _EVE], datasetId=_D1)], {"@none": _BOB, _D1: [_BOB, _EVE]}),
        (
            [lang({"en": "a"}), lang({"en": "b"}, datasetId=_D1)],
            {"@none": {"languageMap": {"en": "a"}}, _D1: {"languageMap": {"en": "b"}}},
        ),
        ([vocab("a"), vocab("b", datasetId=_D1)], {"@none": {"vocab": "a"}, _D1: {"vocab": "b"}}),
        ([json_prop({"a": 1}), json_prop([], datasetId=_D1)], {"@none": {"json": {"a": 1}}, _D1: {"json": []}}),
        ([list_prop([2, 1]), list_prop([], datasetId=_D1)], {"@none": [2, 1], _D1: []}),
        ([list_rel([_EVE, _BOB]), list_rel([_BOB], datasetId=_D1)], {"@none": [_EVE, _BOB], _D1: [_BOB]}),
    ],
    ids=lambda value: value[0]["type"] if isinstance(value, list) else "",
)
@clause("4.5.4", 14)
@clause("4.5.5.1", 2)
def test_several_instances_are_a_map_by_dataset(
    broker: BrokerClient, unique: Unique, instances: list[dict[str, Any]], shown: dict[str, Any]
) -> None:
    one = entity(unique.id(), unique.type(), told=instances)
    broker.post("/entities", one).expect(201)
    expected = entity(one["id"], one["type"], told={"dataset": shown})
    broker.get(f"/entities/{one['id']}", {"format": "simplified"}).expect(200).expect_json(expected)


@clause("4.5.4", 8)
def test_a_simplified_entity_in_json_ld_has_its_context(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    context = documents.publish_context(name=f"https://example.org/{unique.name('name')}")
    one = entity(unique.id(), unique.type(), name=prop("David"))
    broker.post("/entities", one, link=context).expect(201)
    shown = (
        broker.get(f"/entities/{one['id']}", {"format": "simplified"}, link=context, accept=JSON_LD).expect(200).json
    )
    assert context in shown.pop("@context")
    assert shown == entity(one["id"], one["type"], name="David")


@clause("4.5.4", 9, 11)
def test_names_and_terms_are_compacted_in_the_context_of_the_request(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    base = f"https://example.org/{unique.name('v')}/"
    context = documents.publish_context(
        Person=base + "Person", name=base + "name", gender=base + "gender", m=base + "m"
    )
    one = entity(unique.id(), "Person", name=prop("David"), gender=vocab("m"))
    broker.post("/entities", one, link=context).expect(201)
    broker.get(f"/entities/{one['id']}", {"format": "simplified"}, link=context).expect_json(
        entity(one["id"], "Person", name="David", gender={"vocab": "m"})
    )
    broker.get(f"/entities/{one['id']}", {"format": "simplified"}).expect_json(
        entity(one["id"], base + "Person", **{base + "name": "David", base + "gender": {"vocab": base + "m"}})
    )


@clause("4.5.4", 1)
def test_notifications_may_be_simplified(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    subscription = {
        "type": "Subscription",
        "entities": [{"type": unique.type()}],
        "notification": {"endpoint": {"uri": receiver.url}, "format": "simplified"},
    }
    broker.post("/subscriptions", subscription).expect(201)
    one = entity(unique.id(), unique.type(), name=prop("David", source=prop("letter")), says=lang({"en": "yes"}))
    broker.post("/entities", one).expect(201)
    expected = entity(one["id"], one["type"], name="David", says={"languageMap": {"en": "yes"}})
    assert receiver.next_json()["data"] == [expected]


# --- linked entities in simplified representation


@clause("4.5.4", 15)
@clause("4.5.23.2", 1)
def test_inline_a_linked_entity_stands_in_place_of_its_uri(broker: BrokerClient, unique: Unique) -> None:
    device = entity(unique.id("Device"), unique.type("Device"), brand=prop("Anemometer"), speed=prop(60))
    other = entity(unique.id("Device"), unique.type("Device"), brand=prop("Barometer"))
    one = entity(unique.id("Site"), unique.type("Site"), by=rel(device["id"]), all=rel([device["id"], other["id"]]))
    for each in (device, other, one):
        broker.post("/entities", each).expect(201)
    simple = entity(device["id"], device["type"], brand="Anemometer", speed=60)
    shown = broker.get(f"/entities/{one['id']}", {"format": "simplified", "join": "inline"}).expect(200).json
    assert shown["by"] == simple
    assert sorted(shown["all"], key=lambda each: str(each["id"])) == [
        simple,
        entity(other["id"], other["type"], brand="Barometer"),
    ]


@clause("4.5.4", 15)
@clause("4.5.23.2", 1)
def test_inline_the_entities_of_a_list_keep_its_order(broker: BrokerClient, unique: Unique) -> None:
    stops = [entity(unique.id("Stop"), unique.type("Stop"), name=prop(name)) for name in ("a", "b")]
    route = list_rel([stops[1]["id"], stops[0]["id"], stops[1]["id"]])
    one = entity(unique.id("Line"), unique.type("Line"), route=route)
    for each in (*stops, one):
        broker.post("/entities", each).expect(201)
    shown = broker.get(f"/entities/{one['id']}", {"format": "simplified", "join": "inline"}).expect(200).json
    assert [each["name"] for each in shown["route"]] == ["b", "a", "b"]


@clause("4.5.4", 16)
@clause("4.5.23.3", 1)
def test_flat_a_linked_entity_follows_in_the_array(broker: BrokerClient, unique: Unique) -> None:
    device = entity(unique.id("Device"), unique.type("Device"), brand=prop("Anemometer"))
    stops = [entity(unique.id("Stop"), unique.type("Stop"), name=prop(name)) for name in ("a", "b")]
    route = list_rel([each["id"] for each in stops])
    one = entity(unique.id("Site"), unique.type("Site"), by=rel(device["id"]), route=route)
    for each in (device, *stops, one):
        broker.post("/entities", each).expect(201)
    shown = broker.get(f"/entities/{one['id']}", {"format": "simplified", "join": "flat"}).expect(200).json
    assert shown[0] == entity(one["id"], one["type"], by=device["id"], route=[each["id"] for each in stops])
    linked = [entity(device["id"], device["type"], brand="Anemometer")]
    linked += [entity(each["id"], each["type"], name=each["name"]["value"]) for each in stops]
    assert sorted(shown[1:], key=lambda each: str(each["id"])) == linked
