"""Transient entities and attributes (4.22)."""

import copy
from typing import Any

from strategies_entities import NAMES, NOW

from broker.model.entity import Entity
from broker.model.expiry import is_expired, without_expired
from broker.model.parsing import parse_entity
from broker.model.terms import DEFAULT_VOCAB

PAST = "2026-01-01T00:00:00Z"
FUTURE = "2030-01-01T00:00:00.5Z"
PROBE = DEFAULT_VOCAB + "probe"
SUB = DEFAULT_VOCAB + "sub"


def entity(**members: Any) -> Entity:
    return parse_entity({"id": "urn:a:b", "type": "T", **members}, NAMES, PAST)


def test_4_22_an_entity_expires_at_its_instant() -> None:
    assert not is_expired(entity(), NOW)
    assert not is_expired(entity(expiresAt=FUTURE), NOW)
    assert is_expired(entity(expiresAt=PAST), NOW)
    assert is_expired(entity(expiresAt=NOW), NOW)
    assert without_expired(entity(expiresAt=PAST), NOW) is None


def test_4_22_an_entity_without_expired_attributes_is_the_same_object() -> None:
    state = entity(
        expiresAt=FUTURE, probe={"value": [1], "expiresAt": FUTURE, "sub": {"value": 1, "expiresAt": FUTURE}}
    )
    assert without_expired(state, NOW) is state


def test_4_22_expired_instances_are_left_out_at_every_depth() -> None:
    past, future = {"expiresAt": PAST}, {"expiresAt": FUTURE, "datasetId": "urn:a:d"}
    state = entity(
        probe=[{"value": 1, **past}, {"value": 2, **future}],
        gone={"object": "urn:a:c", **past},
        deep={"value": 1, "sub": {"value": 1, **past}, "kept": [{"value": 1}, {"value": 2, **future, **past}]},
    )
    before = copy.deepcopy(state)
    live = without_expired(state, NOW)
    assert state == before
    assert live is not None
    assert [instance["value"] for instance in live["attrs"][PROBE]] == [2]
    assert DEFAULT_VOCAB + "gone" not in live["attrs"]
    (deep,) = live["attrs"][DEFAULT_VOCAB + "deep"]
    assert SUB not in deep
    assert deep[DEFAULT_VOCAB + "kept"] == [{"type": "Property", "value": 1}]
