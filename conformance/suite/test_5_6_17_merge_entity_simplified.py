"""5.6.17 Merge Entity, 6.5.3.4 PATCH /entities/{entityId}: simplified fragments, common language and observedAt."""

from typing import Any, Final

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.instances import by_dataset
from conformance.samples import Document, Unique, entity, geo, json_prop, lang, list_prop, prop, rel, vocab

NULL: Final = "urn:ngsi-ld:null"
SIMPLIFIED: Final = {"format": "simplified"}
EARLY: Final = "2026-03-14T01:00:00Z"
LATE: Final = "2026-03-14T13:00:00Z"
OWN: Final = "2026-03-14T07:00:00Z"

KINDS: dict[str, tuple[Document, Any, Document]] = {
    "Property": (prop(1, unitCode="KMH"), 2, prop(2, unitCode="KMH")),
    "Property of an object": (prop({"a": 1, "b": 2}), {"b": 3, "a": NULL}, prop({"b": 3})),
    "Relationship": (rel("urn:a:b", since=prop(5)), "urn:a:c", rel("urn:a:c", since=prop(5))),
    "GeoProperty": (geo("Point", [1, 2]), {"type": "Point", "coordinates": [3, 4]}, geo("Point", [3, 4])),
    "LanguageProperty": (
        lang({"en": "gauge", "fr": "jauge"}),
        {"languageMap": {"ja": "水位計"}},
        lang({"en": "gauge", "fr": "jauge", "ja": "水位計"}),
    ),
    "VocabProperty": (vocab("open"), {"vocab": "closed"}, vocab("closed")),
    "JsonProperty": (json_prop({"a": 1}), {"json": {"b": 2}}, json_prop({"a": 1, "b": 2})),
    "ListProperty": (list_prop([1, 2]), [3], list_prop([3])),
}


@clause("5.6.17.4", 8)
@clause("6.5.3.4", 4, 5)
@pytest.mark.parametrize(("stored", "value", "merged"), KINDS.values(), ids=KINDS.keys())
def test_an_attribute_keeps_its_type_under_a_simplified_value(
    broker: BrokerClient, unique: Unique, stored: Document, value: Any, merged: Document
) -> None:
    one = entity(unique.id(), unique.type(), reading=stored, fuel=prop(7))
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}", {"reading": value}, query=SIMPLIFIED).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "reading": merged})


@clause("5.6.17.4", 8)
@clause("6.5.3.4", 4, 5)
def test_simplified_instances_have_the_type_of_the_attribute(broker: BrokerClient, unique: Unique) -> None:
    gps = "urn:ngsi-ld:Dataset:gps"
    one = entity(unique.id(), unique.type(), near=rel("urn:a:b"))
    broker.post("/entities", one).expect(201)
    fragment = {"near": {"dataset": {"@none": "urn:a:c", gps: "urn:a:d"}}}
    broker.patch(f"/entities/{one['id']}", fragment, query=SIMPLIFIED).expect(204)
    stored = by_dataset(broker.get(f"/entities/{one['id']}").json["near"])
    assert stored == {"@none": rel("urn:a:c"), gps: rel("urn:a:d", datasetId=gps)}


@clause("6.5.3.4", 4)
@pytest.mark.parametrize(
    "query", [{"format": "simplified"}, {"format": "keyValues"}, {"options": "simplified"}, {"options": "keyValues"}]
)
def test_four_ways_to_say_that_a_fragment_is_simplified(
    broker: BrokerClient, unique: Unique, query: dict[str, str]
) -> None:
    one = entity(unique.id(), unique.type(), owner=rel("urn:a:b"))
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}", {"owner": "urn:a:c", "fuel": 7}, query=query).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "owner": rel("urn:a:c"), "fuel": prop(7)})


@clause("6.5.3.4", 4)
@pytest.mark.parametrize("representation", ["normalized", "concise", "nonsense"])
def test_no_other_format_is_one(broker: BrokerClient, unique: Unique, representation: str) -> None:
    one = entity(unique.id(), unique.type(), fuel=prop(7))
    broker.post("/entities", one).expect(201)
    answer = broker.patch(f"/entities/{one['id']}", {"fuel": 8}, query={"format": representation})
    answer.expect_problem("BadRequestData", "InvalidRequest")
    broker.get(f"/entities/{one['id']}").expect_json(one)


@clause("5.6.17.4", 8)
@clause("6.5.3.4", 6, 11)
@pytest.mark.parametrize(
    ("stored", "value"),
    [
        (rel("urn:a:b"), 5),
        (rel("urn:a:b"), "not a URI"),
        (geo("Point", [1, 2]), 5),
        (lang({"en": "gauge"}), 5),
        (list_prop([1]), 5),
    ],
    ids=["Relationship, number", "Relationship, text", "GeoProperty", "LanguageProperty", "ListProperty"],
)
def test_a_simplified_value_cannot_change_the_type(
    broker: BrokerClient, unique: Unique, stored: Document, value: Any
) -> None:
    one = entity(unique.id(), unique.type(), reading=stored, fuel=prop(7))
    broker.post("/entities", one).expect(201)
    fragment = {"fuel": 8, "reading": value}
    broker.patch(f"/entities/{one['id']}", fragment, query=SIMPLIFIED).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_json(one)


@clause("5.6.17.4", 16)
@pytest.mark.parametrize("stored", [prop(1), rel("urn:a:b"), lang({"en": "gauge"})], ids=["prop", "rel", "lang"])
def test_a_null_removes_an_attribute_in_simplified_representation(
    broker: BrokerClient, unique: Unique, stored: Document
) -> None:
    one = entity(unique.id(), unique.type(), reading=stored)
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}", {"reading": NULL}, query=SIMPLIFIED).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json(entity(one["id"], one["type"]))


@clause("5.6.17.4", 9, 10)
@clause("6.5.3.4", 7)
@pytest.mark.parametrize("text", ["jauge", ["jauge", "limnimètre"]], ids=["text", "texts"])
@pytest.mark.parametrize("before", [{"en": "gauge"}, {"en": "gauge", "fr": "niveau"}], ids=["new", "known"])
def test_a_common_language_says_which_text_is_meant(
    broker: BrokerClient, unique: Unique, before: dict[str, str], text: Any
) -> None:
    one = entity(unique.id(), unique.type(), label=lang(before, since=prop(5)))
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}", {"label": text}, query={**SIMPLIFIED, "lang": "fr"}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "label": lang({**before, "fr": text}, since=prop(5))})


@clause("6.5.3.4", 7)
def test_a_common_language_is_for_language_properties_alone(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), label=lang({"en": "gauge"}), code=prop("a"), owner=rel("urn:a:b"))
    broker.post("/entities", one).expect(201)
    fragment = {"label": "jauge", "code": "b", "owner": "urn:a:c"}
    broker.patch(f"/entities/{one['id']}", fragment, query={**SIMPLIFIED, "lang": "fr"}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json(
        {**one, "label": lang({"en": "gauge", "fr": "jauge"}), "code": prop("b"), "owner": rel("urn:a:c")}
    )


@clause("5.6.17.4", 18)
@clause("6.5.3.4", 9)
def test_a_common_observed_at_goes_to_attributes_that_had_one(broker: BrokerClient, unique: Unique) -> None:
    one = entity(
        unique.id(), unique.type(), speed=prop(1, observedAt=EARLY), fuel=prop(7), heading=prop(90, observedAt=EARLY)
    )
    broker.post("/entities", one).expect(201)
    fragment = {"speed": prop(2), "fuel": prop(6), "doors": prop(4)}
    broker.patch(f"/entities/{one['id']}", fragment, query={"observedAt": LATE}).expect(204)
    merged = {"speed": prop(2, observedAt=LATE), "fuel": prop(6), "doors": prop(4)}
    broker.get(f"/entities/{one['id']}").expect_json({**one, **merged})


@clause("5.6.17.4", 18)
@clause("6.5.3.4", 9)
def test_an_observed_at_of_the_fragment_comes_before_the_common_one(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1, observedAt=EARLY))
    broker.post("/entities", one).expect(201)
    patch = prop(2, observedAt=OWN)
    broker.patch(f"/entities/{one['id']}", {"speed": patch}, query={"observedAt": LATE}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "speed": patch})


@clause("6.5.3.4", 4, 9)
def test_a_common_observed_at_goes_with_simplified_values(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1, observedAt=EARLY), fuel=prop(7))
    broker.post("/entities", one).expect(201)
    query = {**SIMPLIFIED, "observedAt": LATE}
    broker.patch(f"/entities/{one['id']}", {"speed": 2, "fuel": 6}, query=query).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "speed": prop(2, observedAt=LATE), "fuel": prop(6)})


@clause("6.5.3.4", 8, 11)
@pytest.mark.parametrize("instant", ["noon", "2026-03-14", "2026-03-14T13:00:00+09:00"])
def test_a_common_observed_at_is_a_date_time(broker: BrokerClient, unique: Unique, instant: str) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1, observedAt=EARLY))
    broker.post("/entities", one).expect(201)
    answer = broker.patch(f"/entities/{one['id']}", {"speed": prop(2)}, query={"observedAt": instant})
    answer.expect_problem("BadRequestData", "InvalidRequest")
    broker.get(f"/entities/{one['id']}").expect_json(one)
