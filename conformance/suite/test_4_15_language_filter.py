"""4.15 NGSI-LD Language Filter."""

from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, lang, prop, rel
from conformance.servers import Receiver

_TEXTS = {"en": "yes", "fr": "oui", "de": "ja"}


@pytest.mark.parametrize(
    ("asked", "tag"),
    [
        ("en", "en"),
        ("fr", "fr"),
        ("FR", "fr"),
        ("es,fr", "fr"),
        ("es,fr;q=0.9,en;q=0.8", "fr"),
        ("en;q=0.5,de;q=0.7,es", "de"),
        ("es;q=0.9, de;q=0.8, *;q=0.5", "de"),
        ("en;q=0.001,fr;q=1.0", "fr"),
    ],
)
@clause("4.15", 1, 2, 4)
@clause("4.5.18.1", 2)
def test_the_best_language_becomes_a_property_that_names_it(
    broker: BrokerClient, unique: Unique, asked: str, tag: str
) -> None:
    one = entity(unique.id(), unique.type(), says=lang(_TEXTS), speed=prop(5))
    broker.post("/entities", one).expect(201)
    expected = {**one, "says": prop(_TEXTS[tag], lang=tag)}
    broker.get(f"/entities/{one['id']}", {"lang": asked}).expect(200).expect_json(expected)
    broker.get("/entities", {"type": one["type"], "lang": asked}).expect(200).expect_json([expected])


@pytest.mark.parametrize(
    ("texts", "asked", "tag"),
    [
        ({"fr-CH": "ouais", "fr": "oui", "en": "yes"}, "fr-CH,fr", "fr-CH"),
        ({"fr": "oui", "en": "yes"}, "fr-CH,fr", "fr"),
        ({"fr": "oui", "en": "yes"}, "fr-CH,fr;q=0.9,en;q=0.8,*;q=0.5", "fr"),
        ({"de": "ja", "en": "yes"}, "fr-CH,fr;q=0.9,en;q=0.8,*;q=0.5", "en"),
        ({"zh-Hant-TW": "是", "en": "yes"}, "zh-Hant-TW", "zh-Hant-TW"),
    ],
)
@clause("4.15", 2, 4)
def test_regional_languages_are_told_apart(
    broker: BrokerClient, unique: Unique, texts: dict[str, str], asked: str, tag: str
) -> None:
    one = entity(unique.id(), unique.type(), says=lang(texts))
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}", {"lang": asked}).expect(200).json["says"]
    assert shown == prop(texts[tag], lang=tag)


@pytest.mark.parametrize("asked", ["*", "ja", "ja,ko;q=0.5", "ja,*;q=0.1", "fr-CH;q=0.3,*"])
@clause("4.15", 3, 4)
def test_without_a_match_any_language_is_shown(broker: BrokerClient, unique: Unique, asked: str) -> None:
    texts = {"en": "yes", "de": "ja"}
    one = entity(unique.id(), unique.type(), says=lang(texts))
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}", {"lang": asked}).expect(200).json["says"]
    assert shown == prop(texts[shown["lang"]], lang=shown["lang"])


@clause("4.15", 3, 4)
def test_texts_without_a_language_are_shown_where_there_is_nothing_better(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), says=lang({"@none": "hm", "en": "yes"}), name=lang({"@none": "X"}))
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}", {"lang": "en"}).expect(200).json
    assert shown["says"] == prop("yes", lang="en")
    assert shown["name"] == prop("X", lang="@none")


@clause("4.15", 1)
def test_the_filter_leaves_the_rest_of_the_attribute_alone(broker: BrokerClient, unique: Unique) -> None:
    more = {"observedAt": "2026-01-01T00:00:00Z", "source": prop("letter"), "by": rel("urn:a:1")}
    one = entity(unique.id(), unique.type(), says=lang(_TEXTS, **more))
    broker.post("/entities", one).expect(201)
    expected = {**one, "says": prop("oui", lang="fr", **more)}
    broker.get(f"/entities/{one['id']}", {"lang": "fr"}).expect(200).expect_json(expected)


@clause("4.15", 1, 4)
def test_the_filter_applies_to_each_instance_and_to_sub_attributes(broker: BrokerClient, unique: Unique) -> None:
    says = [lang(_TEXTS), lang({"en": "aye"}, datasetId="urn:a:1")]
    one = entity(unique.id(), unique.type(), says=says, speed=prop(5, note=lang(_TEXTS)))
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}", {"lang": "fr"}).expect(200).json
    assert sorted(shown["says"], key=lambda each: each.get("datasetId", "")) == [
        prop("oui", lang="fr"),
        prop("aye", lang="en", datasetId="urn:a:1"),
    ]
    assert shown["speed"] == prop(5, note=prop("oui", lang="fr"))


@pytest.mark.parametrize(
    ("format_", "shown"),
    [("concise", {"value": "oui", "lang": "fr"}), ("simplified", "oui")],
)
@clause("4.15", 1)
def test_the_filter_applies_to_other_representations(
    broker: BrokerClient, unique: Unique, format_: str, shown: Any
) -> None:
    one = entity(unique.id(), unique.type(), says=lang(_TEXTS))
    broker.post("/entities", one).expect(201)
    answer = broker.get(f"/entities/{one['id']}", {"lang": "fr", "format": format_}).expect(200)
    answer.expect_json({**one, "says": shown})


@clause("4.15", 1, 4)
def test_subscriptions_may_have_a_language_filter(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    subscription = {
        "type": "Subscription",
        "entities": [{"type": unique.type()}],
        "lang": "es,fr;q=0.9",
        "notification": {"endpoint": {"uri": receiver.url}},
    }
    broker.post("/subscriptions", subscription).expect(201)
    one = entity(unique.id(), unique.type(), says=lang(_TEXTS))
    broker.post("/entities", one).expect(201)
    assert receiver.next_json()["data"] == [{**one, "says": prop("oui", lang="fr")}]


@clause("4.15", 1)
def test_what_is_stored_keeps_all_languages(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), says=lang(_TEXTS))
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}", {"lang": "fr"}).expect(200)
    broker.get(f"/entities/{one['id']}").expect(200).expect_json(one)


@pytest.mark.parametrize("asked", ["en_GB", "two words", ",", "en;q=2", "en;q=high", "en;q=-1", "日本語", "@none;q=x"])
@clause("4.15", 2)
def test_what_is_no_language_filter_is_refused(broker: BrokerClient, unique: Unique, asked: str) -> None:
    one = entity(unique.id(), unique.type(), says=lang(_TEXTS))
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}", {"lang": asked}).expect_problem("BadRequestData")
