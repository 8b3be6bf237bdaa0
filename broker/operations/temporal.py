"""Provision of temporal evolutions (5.6.11 to 5.6.16): what clients write into the history themselves.

The history is durable before an operation returns. The current state of entities is another thing: none of these change it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import uuid4

from broker.errors import ResourceNotFound
from broker.model.entity import Instance, Names
from broker.model.evolution import (
    SCOPE,
    EvolutionFragment,
    null_of,
    parse_evolution,
    parse_evolution_fragment,
    parse_instance,
)
from broker.model.members import is_null_value
from broker.model.naming import check_uri
from broker.model.terms import KINDS
from broker.operations.broker import Broker
from broker.query.ast import EntitySelector
from broker.store.protocol import Evolution, HistoryEntry, HistoryQuery, Span


async def history_caught_up(broker: Broker) -> None:
    """Wait until the history has every change that was acknowledged by now. Raises StoreUnavailable."""
    await broker.recorder.caught_up(await broker.store.head())


async def create_or_update_evolution(
    broker: Broker, tenant: str, document: dict[str, Any], names: Names
) -> tuple[str, bool]:
    """5.6.11 Create or Update Temporal Evolution of an Entity: its id, and whether it was created."""
    now = broker.now()
    fragment = parse_evolution(document, names)
    if broker.validation is not None:
        broker.validation.judge_instances(tenant, fragment.entity_id, fragment.types, fragment.attrs)
    await broker.tenants.ensure(tenant, now)
    existed = await _add(broker, tenant, fragment, now, create=True)
    return fragment.entity_id, not existed


async def add_attributes(broker: Broker, tenant: str, entity_id: str, document: dict[str, Any], names: Names) -> None:
    """5.6.12 Add Attributes to Temporal Evolution of an Entity. Raises ResourceNotFound."""
    fragment = parse_evolution_fragment(document, names, check_uri(entity_id, "entityId"))
    await _judge(broker, tenant, entity_id, fragment.attrs)
    if not await _add(broker, tenant, fragment, broker.now(), create=False):
        raise _unknown(entity_id)


async def delete_attribute(
    broker: Broker, tenant: str, entity_id: str, attribute: str, *, dataset_id: str | None, delete_all: bool
) -> None:
    """5.6.13 Delete Attribute from Temporal Evolution of an Entity: all its instances, or those of one dataset."""
    await history_caught_up(broker)
    datasets = None if delete_all else frozenset({dataset_id})
    if await broker.store.delete_history(tenant, entity_id, attribute, datasets):
        return
    await evolution_of(broker, tenant, entity_id)
    raise ResourceNotFound(
        f"the temporal evolution of {entity_id} has no such instances of {attribute}", instance=entity_id
    )


async def modify_instance(
    broker: Broker,
    tenant: str,
    entity_id: str,
    attribute: str,
    instance_id: str,
    document: dict[str, Any],
    names: Names,
) -> None:
    """5.6.14 Modify Attribute Instance: replaced completely, but its instanceId and createdAt."""
    replacement = parse_instance(document, names, attribute)
    await _judge(broker, tenant, entity_id, {attribute: [replacement]})
    await history_caught_up(broker)
    now = broker.now()

    def modified(old: HistoryEntry) -> HistoryEntry:
        instance = _stamped(replacement, now) | {"createdAt": old.instance.get("createdAt", old.recorded_at)}
        return _entry(
            tenant, entity_id, old.types, attribute, instance, now, sequence=old.sequence, instance_id=instance_id
        )

    if not await broker.store.change_history(tenant, entity_id, attribute, instance_id, modified):
        await evolution_of(broker, tenant, entity_id)
        raise _no_instance(entity_id, attribute, instance_id)


async def delete_instance(broker: Broker, tenant: str, entity_id: str, attribute: str, instance_id: str) -> None:
    """5.6.15 Delete Attribute Instance from Temporal Evolution of an Entity."""
    await history_caught_up(broker)
    if not await broker.store.change_history(tenant, entity_id, attribute, instance_id, lambda _: None):
        await evolution_of(broker, tenant, entity_id)
        raise _no_instance(entity_id, attribute, instance_id)


async def delete_evolution(broker: Broker, tenant: str, entity_id: str) -> None:
    """5.6.16 Delete Temporal Evolution of an Entity. Raises ResourceNotFound."""
    await history_caught_up(broker)
    if not await broker.store.delete_history(tenant, check_uri(entity_id, "entityId")):
        raise _unknown(entity_id)


async def record_deleted_attribute(
    broker: Broker, tenant: str, entity_id: str, attribute: str, *, dataset_id: str | None, delete_all: bool
) -> bool:
    """Put on record that an attribute was deleted from an entity of which only the temporal evolution is known (4.5.7).

    Whether the evolution has such instances that are not deleted already. The last of each dataset counts.
    """
    await history_caught_up(broker)
    last = await broker.store.instances(
        tenant,
        HistoryQuery(
            (Span(entity_id),),
            attributes=frozenset({attribute}),
            datasets=None if delete_all else frozenset({dataset_id}),
            newest_first=True,
        ),
        1 if not delete_all else 1000,
    )
    alive = [entry for entry in {entry.dataset_id: entry for entry in reversed(last)}.values() if not entry.deleted]
    if not alive:
        return False
    now, sequence = broker.now(), await broker.store.head()
    entries = []
    for entry in alive:
        kind = KINDS[entry.instance["type"]]
        instance: Instance = {"type": kind.name, kind.value: null_of(kind.name)}
        if entry.dataset_id is not None:
            instance["datasetId"] = entry.dataset_id
        if attribute == SCOPE:
            instance["observedAt"] = now
        stamped = _stamped(instance, now)
        entries.append(_entry(tenant, entity_id, entry.types, attribute, stamped, now, sequence=sequence))
    evolution = Evolution(tenant, entity_id, (), now, now)
    return await broker.store.add_history(evolution, entries, create=False)


async def evolution_of(broker: Broker, tenant: str, entity_id: str) -> Evolution:
    """What is known of an evolution as a whole. Raises ResourceNotFound."""
    found = await broker.store.evolutions(tenant, [EntitySelector(ids=frozenset({entity_id}))], 1)
    if not found:
        raise _unknown(entity_id)
    return found[0]


async def _judge(broker: Broker, tenant: str, entity_id: str, attributes: Mapping[str, Sequence[Instance]]) -> None:
    """Judge instances under the models of the types that the evolution has by now, if it is there."""
    if broker.validation is None or not broker.validation.concerns(tenant):
        return
    await history_caught_up(broker)
    found = await broker.store.evolutions(tenant, [EntitySelector(ids=frozenset({entity_id}))], 1)
    for evolution in found:
        broker.validation.judge_instances(tenant, entity_id, evolution.types, attributes)


async def _add(broker: Broker, tenant: str, fragment: EvolutionFragment, now: str, *, create: bool) -> bool:
    await history_caught_up(broker)
    evolution = Evolution(tenant, fragment.entity_id, tuple(fragment.types), now, now)
    entries = list(_entries(tenant, fragment, now, await broker.store.head()))
    return await broker.store.add_history(evolution, entries, create=create)


def _entries(tenant: str, fragment: EvolutionFragment, now: str, sequence: int) -> Iterator[HistoryEntry]:
    """The entries of a fragment; of several with the same attribute, dataset and observedAt the last one counts."""
    kept: dict[tuple[str, str | None, Any], Instance] = {}
    for attribute, instances in fragment.attrs.items():
        for place, instance in enumerate(instances):
            kept[attribute, instance.get("datasetId"), instance.get("observedAt", place)] = instance
    for (attribute, _, _), instance in kept.items():
        stamped = _stamped(instance, now)
        yield _entry(tenant, fragment.entity_id, tuple(fragment.types), attribute, stamped, now, sequence=sequence)


def _stamped(instance: Instance, now: str) -> Instance:
    """An instance as it enters the system now. A deleted one has the time of that, too (4.5.7)."""
    kind = KINDS[instance["type"]]
    deleted = {"deletedAt": now} if is_null_value(kind.value, instance[kind.value]) else {}
    return instance | {"createdAt": now, "modifiedAt": now} | deleted


def _entry(
    tenant: str,
    entity_id: str,
    types: tuple[str, ...],
    attribute: str,
    instance: Instance,
    now: str,
    *,
    sequence: int,
    instance_id: str | None = None,
) -> HistoryEntry:
    return HistoryEntry(
        tenant=tenant,
        entity_id=entity_id,
        types=types,
        attribute=attribute,
        dataset_id=instance.get("datasetId"),
        instance_id=uuid4().urn if instance_id is None else instance_id,
        sequence=sequence,
        recorded_at=now,
        deleted="deletedAt" in instance,
        instance=instance,
    )


def check_temporal_target(entity_id: str, instance_id: str | None = None) -> None:
    """The ids that name a target. Raises BadRequestData."""
    check_uri(entity_id, "entityId")
    if instance_id is not None:
        check_uri(instance_id, "instanceId")


def _unknown(entity_id: str) -> ResourceNotFound:
    return ResourceNotFound(f"there is no temporal evolution of {entity_id}", instance=entity_id)


def _no_instance(entity_id: str, attribute: str, instance_id: str) -> ResourceNotFound:
    return ResourceNotFound(f"{attribute} of {entity_id} has no instance {instance_id}", instance=instance_id)
