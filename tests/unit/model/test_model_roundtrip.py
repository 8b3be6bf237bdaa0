"""What goes in comes out: parsing and representation are inverse, in normalized and in concise form."""

import copy
from typing import Any

from hypothesis import given, settings
from strategies_entities import NAMES, NOW, documents

from broker.model.entity import Entity
from broker.model.merging import same_json
from broker.model.parsing import parse_entity
from broker.model.representation import View, represent


def _without_times(entity: dict[str, Any]) -> dict[str, Any]:
    return {member: value for member, value in entity.items() if member not in ("createdAt", "modifiedAt")}


def _normal(entity: Entity) -> Any:
    return {
        **entity,
        "attrs": {iri: [_without_times(instance) for instance in each] for iri, each in entity["attrs"].items()},
    }


@settings(max_examples=60, deadline=None)
@given(documents(depth=2))
def test_4_5_2_normalized_documents_come_back_as_they_went_in(document: dict[str, Any]) -> None:
    assert same_json(represent(parse_entity(document, NAMES, NOW), NAMES, View()), document)


@settings(max_examples=60, deadline=None)
@given(documents(depth=2, expiring=True))
def test_6_3_11_with_sys_attrs_expiry_comes_back_as_well(document: dict[str, Any]) -> None:
    entity = parse_entity(document, NAMES, NOW)
    shown = represent(entity, NAMES, View(sys_attrs=True))
    assert same_json(_normal(parse_entity(shown, NAMES, NOW)), _normal(entity))
    assert shown.get("expiresAt") == document.get("expiresAt")
    assert shown["createdAt"] == shown["modifiedAt"] == NOW


@settings(max_examples=60, deadline=None)
@given(documents(depth=2))
def test_4_5_2_3_concise_representation_is_lossless(document: dict[str, Any]) -> None:
    entity = parse_entity(document, NAMES, NOW)
    concise = represent(entity, NAMES, View("concise"))
    assert same_json(_normal(parse_entity(concise, NAMES, NOW)), _normal(entity))


@settings(deadline=None)
@given(documents())
def test_parsing_and_representing_change_neither_document_nor_entity(document: dict[str, Any]) -> None:
    before = copy.deepcopy(document)
    entity = parse_entity(document, NAMES, NOW)
    state = copy.deepcopy(entity)
    for view in (View(), View("concise"), View("simplified"), View("normalized", lang="ja,en;q=0.5")):
        represent(entity, NAMES, view)
    assert document == before
    assert entity == state
