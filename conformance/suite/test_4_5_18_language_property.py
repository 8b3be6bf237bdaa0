"""4.5.18 NGSI-LD LanguageProperty Representations, 4.6.5 LanguageMaps, 5.2.32 LanguageProperty."""

from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, lang, prop, rel

_TEXTS = {"en": "yes", "fr": ["oui", "si"], "ja": "はい"}


@clause("4.5.18.1", 1, 2)
@clause("4.5.18.2", 1)
def test_a_language_property_is_normalized_unless_something_else_is_asked_for(
    broker: BrokerClient, unique: Unique
) -> None:
    said = lang(_TEXTS, observedAt="2026-01-01T00:00:00Z", by=rel("urn:a:1"), source=prop("letter"))
    one = entity(unique.id(), unique.type(), says=said)
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}").expect_json(one)


@pytest.mark.parametrize("tag", ["en", "en-GB", "zh-Hant-TW", "sl-rozaj-biske-1994", "de-CH-1996", "x-kansai", "@none"])
@clause("4.5.18.2", 2)
@clause("4.6.5", 1, 2)
@clause("5.2.32", 3)
def test_the_keys_of_a_language_map_are_language_tags(broker: BrokerClient, unique: Unique, tag: str) -> None:
    one = entity(unique.id(), unique.type(), says=lang({tag: "yes"}))
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}").expect(200).json["says"]
    assert {key.lower(): text for key, text in shown["languageMap"].items()} == {tag.lower(): "yes"}


@pytest.mark.parametrize(
    "tag", ["", "english please", "en_GB", "@en", "-en", "en-", "toolonglanguage", "日本"], ids=repr
)
@clause("4.6.5", 2)
@clause("4.5.18.2", 2)
@clause("5.2.32", 3)
def test_a_key_that_is_no_language_tag_is_refused(broker: BrokerClient, unique: Unique, tag: str) -> None:
    one = entity(unique.id(), unique.type(), says=lang({"en": "yes", tag: "no"}))
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@pytest.mark.parametrize("text", ["yes", "", "はい <b>!</b>", ["yes", "aye"], ["yes", "aye", "sure"]], ids=repr)
@clause("4.6.5", 3)
@clause("5.2.32", 3)
def test_the_texts_are_strings_or_arrays_of_strings(broker: BrokerClient, unique: Unique, text: Any) -> None:
    one = entity(unique.id(), unique.type(), says=lang({"en": text}))
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}").expect_json(one)


@pytest.mark.parametrize("text", [5, True, {"a": "yes"}, ["yes", 5], [["yes"]], {"@value": "yes"}], ids=repr)
@clause("4.6.5", 3)
@clause("5.2.32", 3)
def test_what_is_no_text_is_refused(broker: BrokerClient, unique: Unique, text: Any) -> None:
    one = entity(unique.id(), unique.type(), says=lang({"en": text}))
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.post("/entities", {**one, "says": {"languageMap": {"en": text}}}).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@pytest.mark.parametrize("bad", ["yes", ["yes"], 5, True, [{"en": "yes"}]], ids=repr)
@clause("4.5.18.2", 2)
@clause("5.2.32", 1)
def test_a_language_map_that_is_no_object_is_refused(broker: BrokerClient, unique: Unique, bad: Any) -> None:
    one = entity(unique.id(), unique.type(), says=lang(bad))
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@pytest.mark.parametrize("concise", [False, True], ids=["normalized", "concise"])
@pytest.mark.parametrize(
    ("member", "value"),
    [("unitCode", "KMH"), ("value", "yes"), ("previousValue", "no"), ("object", "urn:a:1"), ("vocab", "a")],
)
@clause("4.5.18.2", 4)
@clause("4.5.18.3", 4)
def test_a_language_property_has_neither_unit_nor_value(
    broker: BrokerClient, unique: Unique, member: str, value: Any, concise: bool
) -> None:
    said = {"languageMap": _TEXTS} if concise else lang(_TEXTS)
    one = entity(unique.id(), unique.type(), says={**said, member: value})
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@pytest.mark.parametrize(
    ("concise", "normalized"),
    [
        ({"languageMap": _TEXTS}, lang(_TEXTS)),
        ({"languageMap": _TEXTS, "source": "letter"}, lang(_TEXTS, source=prop("letter"))),
        ({"languageMap": _TEXTS, "datasetId": "urn:a:1"}, lang(_TEXTS, datasetId="urn:a:1")),
        (
            {"languageMap": {"en": "a"}, "note": {"languageMap": {"en": "b"}}},
            lang({"en": "a"}, note=lang({"en": "b"})),
        ),
    ],
    ids=str,
)
@clause("4.5.18.1", 2)
@clause("4.5.18.3", 1, 2)
@clause("5.2.32", 1)
def test_a_concise_language_property_goes_without_its_type(
    broker: BrokerClient, unique: Unique, concise: Any, normalized: Any
) -> None:
    one = entity(unique.id(), unique.type(), says=concise)
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "says": normalized})
    broker.get(f"/entities/{one['id']}", {"format": "concise"}).expect_json(one)


@pytest.mark.parametrize("deletion", [{"languageMap": {"@none": "urn:ngsi-ld:null"}}, "urn:ngsi-ld:null"], ids=str)
@pytest.mark.parametrize("part", ["/attrs", ""], ids=["partial update", "merge"])
@clause("4.5.18.3", 3, 5)
@clause("4.6.5", 4)
def test_a_concise_null_removes_a_language_property(
    broker: BrokerClient, unique: Unique, part: str, deletion: Any
) -> None:
    one = entity(unique.id(), unique.type(), says=lang(_TEXTS), speed=prop(5))
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}{part}", {"says": deletion}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json(entity(one["id"], one["type"], speed=prop(5)))
