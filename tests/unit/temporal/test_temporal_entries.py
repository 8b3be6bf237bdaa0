"""Changes become entries of temporal history (4.5.6 to 4.5.8)."""

from dataclasses import replace
from uuid import uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_samples import BASE, LEVEL, T1, T2, creation, deletion, entity, instance

from broker.model.change import Change, Touch
from broker.model.evolution import SCOPE
from broker.model.terms import KINDS, NGSI_LD_NULL
from broker.model.uuids import uuid_of
from broker.temporal.entries import _INSTANCES, entries_of

NOTE = BASE + "note"
DATASET = "urn:ngsi-ld:Dataset:1"


def test_4_5_7_a_creation_gives_one_entry_for_each_instance() -> None:
    state = entity(1, attrs={LEVEL: [instance(1), instance(2, datasetId=DATASET)], NOTE: [instance("x")]})
    entries = entries_of(creation(state, "north").committed(7))
    assert [(each.attribute, each.dataset_id, each.instance["value"]) for each in entries] == [
        (LEVEL, None, 1),
        (LEVEL, DATASET, 2),
        (NOTE, None, "x"),
    ]
    assert {(each.tenant, each.entity_id, each.sequence, each.deleted) for each in entries} == {
        ("north", state["id"], 7, False)
    }
    assert len({each.instance_id for each in entries}) == 3


def test_4_5_7_an_update_gives_entries_for_what_it_touched_only() -> None:
    before = entity(1, attrs={LEVEL: [instance(1)]})
    after = entity(1, attrs={LEVEL: [instance(2)], NOTE: [instance("x")]}, version=2)
    change = Change("", after["id"], "entityUpdated", T1, (Touch(LEVEL, None, "attributeUpdated"),), before, after, 8)
    (entry,) = entries_of(change)
    assert (entry.attribute, entry.instance, entry.recorded_at) == (LEVEL, instance(2), T1)


@pytest.mark.parametrize("kind", KINDS)
def test_4_5_7_a_deleted_attribute_is_recorded_as_null_with_deleted_at(kind: str) -> None:
    held = {"type": kind, KINDS[kind].value: {"en": "x"}, "datasetId": DATASET, "createdAt": "c", "modifiedAt": "m"}
    before, after = entity(1, attrs={NOTE: [instance(0), held]}), entity(1, attrs={NOTE: [instance(0)]}, version=2)
    change = Change("", after["id"], "entityUpdated", T1, (Touch(NOTE, DATASET, "attributeDeleted"),), before, after, 8)
    (entry,) = entries_of(change)
    null = {"@none": NGSI_LD_NULL} if kind == "LanguageProperty" else NGSI_LD_NULL
    assert entry.deleted
    assert entry.instance == {
        "type": kind,
        KINDS[kind].value: null,
        "datasetId": DATASET,
        "createdAt": "c",
        "modifiedAt": T1,
        "deletedAt": T1,
    }


def test_the_deletion_of_an_entity_deletes_every_instance() -> None:
    state = entity(1, attrs={LEVEL: [instance(1), instance(2, datasetId=DATASET)], NOTE: [instance("x")]}, scope=["/A"])
    entries = entries_of(deletion(state).committed(9))
    assert [(each.attribute, each.dataset_id) for each in entries] == [
        (LEVEL, None),
        (LEVEL, DATASET),
        (NOTE, None),
        (SCOPE, None),
    ]
    assert all(each.deleted and each.instance["deletedAt"] == T2 for each in entries)
    assert entries[0].types == tuple(state["type"])


def test_4_5_6_scope_is_recorded_when_it_changes_and_observed_when_modified() -> None:
    none, some, other = entity(1), entity(1, scope=["/A"], version=2), entity(1, scope=["/A", "/B"], version=3)

    def scopes(before: object, after: object) -> list[tuple[object, bool]]:
        change = Change("", "urn:x", "entityUpdated", T1, (), before, after, 3)  # type: ignore[arg-type]
        entries = [each for each in entries_of(change) if each.attribute == SCOPE]
        assert all(each.instance["observedAt"] == each.instance["modifiedAt"] == T1 for each in entries)
        return [(each.instance["value"], each.deleted) for each in entries]

    assert scopes(none, some) == [(["/A"], False)]
    assert scopes(some, some) == []
    assert scopes(some, other) == [(["/A", "/B"], False)]
    assert scopes(other, none) == [(NGSI_LD_NULL, True)]
    assert scopes(None, some) == [(["/A"], False)]


def test_the_same_change_gives_the_same_entries_and_no_other_change_the_same_ids() -> None:
    change = creation(entity(1)).committed(5)
    assert entries_of(change) == entries_of(change)
    others = [
        replace(change, tenant="t"),
        replace(change, entity_id="urn:y"),
        replace(change, at=T2),
        change.committed(6),
    ]
    ids = {entry.instance_id for each in (change, *others) for entry in entries_of(each)}
    assert len(ids) == 5
    assert all(each.startswith("urn:uuid:") for each in ids)


def test_a_touch_told_twice_is_recorded_once() -> None:
    change = creation(entity(1)).committed(5)
    assert len(entries_of(replace(change, touched=change.touched * 2))) == 1


@given(st.text())
def test_an_instance_id_is_the_name_based_uuid_of_the_change(name):
    text = name.encode("utf-8", "replace")
    assert f"urn:uuid:{uuid_of(_INSTANCES.bytes + text)}" == uuid5(_INSTANCES, text.decode()).urn
