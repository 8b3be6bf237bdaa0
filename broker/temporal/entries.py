"""From a change of an entity to the entries of its temporal evolution (4.5.6, 4.5.7, 4.5.8): pure."""

from collections.abc import Iterator
from typing import Final
from uuid import UUID

from broker.model.change import Change
from broker.model.entity import Instance, by_dataset
from broker.model.evolution import SCOPE, null_of
from broker.model.terms import KINDS, NGSI_LD_NULL
from broker.model.uuids import uuid_of
from broker.store.protocol import Evolution, HistoryEntry

_INSTANCES: Final = UUID("6f0a4d52-6b3c-5a0e-9d57-0a3f1c7e2b84")
_KEPT_AFTER_DELETION: Final[tuple[str, ...]] = ("type", "datasetId", "createdAt")


def entries_of(change: Change) -> list[HistoryEntry]:
    """One entry for each attribute instance that a change created, updated or deleted, and one for the scope if it changed.

    A deleted instance holds the NGSI-LD Null and `deletedAt` (4.5.7). The same change gives the same entries again.
    """
    types = tuple((change.after or change.before or {"type": []})["type"])
    # All that makes a change unique in the world goes in: histories of several brokers may be merged (4.3.6).
    seed = _INSTANCES.bytes + f"{change.tenant}\n{change.entity_id}\n{change.at}\n{change.sequence}\n".encode()
    entries: list[HistoryEntry] = []
    for attribute, instance in (*_attributes(change), *_scope(change)):
        dataset: str | None = instance.get("datasetId")
        entries.append(
            HistoryEntry(
                change.tenant,
                change.entity_id,
                types,
                attribute,
                dataset,
                "urn:uuid:" + uuid_of(seed + f"{attribute}\n{dataset or ''}".encode()),
                change.sequence,
                change.at,
                "deletedAt" in instance,
                instance,
            )
        )
    return entries


def evolution_of(change: Change) -> Evolution:
    """What a change says about the evolution of its entity as a whole."""
    state = change.after or change.before
    return Evolution(
        tenant=change.tenant,
        entity_id=change.entity_id,
        types=tuple(state["type"]) if state is not None else (),
        created_at=change.at if state is None else state["createdAt"],
        modified_at=change.at,
        deleted_at=change.at if change.after is None else None,
    )


def _attributes(change: Change) -> Iterator[tuple[str, Instance]]:
    if change.after is None:
        for attribute, instances in (change.before or {"attrs": {}})["attrs"].items():
            for instance in instances:
                yield attribute, _deleted(instance, change.at)
        return
    if change.kind == "entityCreated":  # touches all that there is
        for attribute, instances in change.after["attrs"].items():
            for instance in instances:
                yield attribute, instance
        return
    # By datasetId, once for each attribute: it may have thousands of instances, all of them touched.
    indexed: dict[tuple[str, bool], dict[str | None, Instance]] = {}
    for attribute, dataset_id, trigger in dict.fromkeys(change.touched):
        deleted = trigger == "attributeDeleted"
        if (attribute, deleted) not in indexed:
            indexed[attribute, deleted] = by_dataset(change.before if deleted else change.after, attribute)
        found = indexed[attribute, deleted].get(dataset_id)
        if found is not None:
            yield attribute, _deleted(found, change.at) if deleted else found


def _deleted(instance: Instance, at: str) -> Instance:
    kind = KINDS[instance["type"]]
    kept: Instance = {member: instance[member] for member in _KEPT_AFTER_DELETION if member in instance}
    return kept | {kind.value: null_of(kind.name), "modifiedAt": at, "deletedAt": at}


def _scope(change: Change) -> Iterator[tuple[str, Instance]]:
    before = change.before.get("scope", []) if change.before is not None else []
    after = change.after.get("scope", []) if change.after is not None else []
    if before == after:
        return
    instance: Instance = {"type": "Property", "modifiedAt": change.at, "observedAt": change.at}
    if not before:
        instance["createdAt"] = change.at
    if after:
        yield SCOPE, instance | {"value": after}
    else:
        yield SCOPE, instance | {"value": NGSI_LD_NULL, "deletedAt": change.at}
