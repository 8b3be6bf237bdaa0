"""Provision of single entities and their attributes (5.6.1 to 5.6.6, 5.6.17 to 5.6.19).

Each operation parses its input first, then hands the writer a pure decision: current state -> change. The decision may
run again if another process was faster; what it found is taken from its last run.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace as with_members
from typing import Any, TypeAlias

from broker.errors import AlreadyExists, BadRequestData, Conflict, ResourceNotFound, StoreUnavailable
from broker.model.change import Change
from broker.model.entity import Entity, Names
from broker.model.expiry import without_expired
from broker.model.naming import check_uri
from broker.model.parsing import (
    parse_attribute_fragment,
    parse_entity,
    parse_fragment,
    parse_simplified_fragment,
)
from broker.model.patches import (
    Patched,
    append_attributes,
    delete_attribute,
    make_change,
    merge_entity,
    partial_update,
    replace_attribute,
    replace_entity,
    update_attributes,
)
from broker.model.preconditions import NO_PRECONDITION, Precondition
from broker.operations.broker import Broker
from broker.operations.temporal import record_deleted_attribute
from broker.query.ast import TypeSelection
from broker.query.evaluate import matches_types
from broker.store.plan import Outcome

Patch: TypeAlias = Callable[[Entity], Patched]


async def create_entity(
    broker: Broker, tenant: str, document: dict[str, Any], names: Names, condition: Precondition = NO_PRECONDITION
) -> Entity:
    """5.6.1 Create Entity: the new entity. Raises AlreadyExists, BadRequestData, PreconditionFailed."""
    now = broker.now()
    entity = parse_entity(document, names, now)
    create = creation(tenant, entity, now)

    def decide(current: Entity | None) -> Change | None:
        condition.check(entity["id"], current)
        return create(current)

    def created(outcomes: Sequence[Outcome]) -> Entity:
        (change,) = outcomes
        assert isinstance(change, Change)
        assert change.after is not None
        return change.after

    await broker.tenants.ensure(tenant, now)
    return created([await broker.writer.write(tenant, entity["id"], decide, record=broker.record(created))])


def creation(tenant: str, entity: Entity, now: str) -> Callable[[Entity | None], Change | None]:
    """The decision of 5.6.1 for a parsed entity."""

    def decide(current: Entity | None) -> Change | None:
        if current is not None:
            raise AlreadyExists(f"{entity['id']} already exists", instance=entity["id"])
        return make_change(tenant, None, entity, (), now)

    return decide


async def retrieve(broker: Broker, tenant: str, entity_id: str, types: TypeSelection | None) -> tuple[Entity, bool]:
    """5.7.1 Retrieve Entity: the entity as of now, and whether that is its stored state. Raises ResourceNotFound.

    What has expired in it (4.22) is removed first, where the sweep has not been there yet: otherwise no tag would stand
    for what is shown. A store that takes no writes now does not keep the entity from being shown.
    """
    stored = await broker.writer.read(tenant, entity_id)
    shown = None if stored is None else without_expired(stored, broker.now())
    settled = shown is stored
    if not settled:
        with suppress(StoreUnavailable, Conflict):  # what was read, without what has expired, is as true as before
            shown, settled = await _settled(broker, tenant, entity_id), True
    return existing(shown, entity_id, types), settled


async def _settled(broker: Broker, tenant: str, entity_id: str) -> Entity | None:
    """The state of an entity after what has expired in it was removed by the writer, as before any write."""
    found: list[Entity | None] = []

    def look(current: Entity | None) -> None:
        found[:] = [current]

    await broker.writer.write(tenant, entity_id, look)
    return found[0]


async def replace(
    broker: Broker,
    tenant: str,
    entity_id: str,
    document: dict[str, Any],
    names: Names,
    types: TypeSelection | None,
    condition: Precondition = NO_PRECONDITION,
) -> None:
    """5.6.18 Replace Entity: completely, but its id and createdAt."""
    now = broker.now()
    if document.keys().isdisjoint(("id", "@id")):
        document = {"id": entity_id, **document}
    replacement = parse_entity(document, names, now)
    check_same_id(entity_id, replacement["id"])
    await patch_entity(
        broker, tenant, entity_id, types, now, lambda current: replace_entity(current, replacement, now), condition
    )


async def append(
    broker: Broker,
    tenant: str,
    entity_id: str,
    document: dict[str, Any],
    names: Names,
    types: TypeSelection | None,
    condition: Precondition = NO_PRECONDITION,
    *,
    overwrite: bool,
) -> Patched:
    """5.6.3 Append Attributes: what was appended, and what was not because it exists and may not be overwritten."""
    now = broker.now()
    fragment = parse_fragment(document, names, entity_id=entity_id, allow_null=False)
    return await patch_entity(
        broker,
        tenant,
        entity_id,
        types,
        now,
        lambda current: append_attributes(current, fragment, now, overwrite=overwrite),
        condition,
    )


async def update(
    broker: Broker,
    tenant: str,
    entity_id: str,
    document: dict[str, Any],
    names: Names,
    types: TypeSelection | None,
    condition: Precondition = NO_PRECONDITION,
) -> Patched:
    """5.6.2 Update Attributes: whole attributes replaced, appended, or deleted by NGSI-LD Null."""
    now = broker.now()
    fragment = parse_fragment(document, names, entity_id=entity_id, allow_null=True)
    return await patch_entity(
        broker, tenant, entity_id, types, now, lambda current: update_attributes(current, fragment, now), condition
    )


async def merge(
    broker: Broker,
    tenant: str,
    entity_id: str,
    document: dict[str, Any],
    names: Names,
    types: TypeSelection | None,
    condition: Precondition = NO_PRECONDITION,
    *,
    simplified: bool = False,
    observed_at: str | None = None,
    lang: str | None = None,
) -> Patched:
    """5.6.17 Merge Entity: a merge patch of any depth (5.5.12).

    `simplified`: the document is in simplified representation, each attribute keeps the type that it has. `observed_at`
    goes to merged attributes that had an observedAt and bring none. `lang` is the language of plain strings for
    LanguageProperties.
    """
    now = broker.now()
    fragment = None if simplified else parse_fragment(document, names, entity_id=entity_id, allow_null=True)

    def patch(current: Entity) -> Patched:
        parsed = fragment
        if parsed is None:
            parsed = parse_simplified_fragment(document, names, current, entity_id=entity_id, lang=lang)
        return merge_entity(current, parsed, now, observed_at=observed_at, lang=lang)

    return await patch_entity(broker, tenant, entity_id, types, now, patch, condition)


async def delete(
    broker: Broker,
    tenant: str,
    entity_id: str,
    types: TypeSelection | None,
    condition: Precondition = NO_PRECONDITION,
) -> None:
    """5.6.6 Delete Entity."""
    check_uri(entity_id, "entityId")
    await broker.writer.write(tenant, entity_id, deletion(tenant, entity_id, types, broker.now(), condition))


def deletion(
    tenant: str,
    entity_id: str,
    types: TypeSelection | None,
    now: str,
    condition: Precondition = NO_PRECONDITION,
) -> Callable[[Entity | None], Change | None]:
    """The decision of 5.6.6."""

    def decide(current: Entity | None) -> Change | None:
        present = existing(current, entity_id, types)
        condition.check(entity_id, present)
        return make_change(tenant, present, None, (), now)

    return decide


async def update_attribute(
    broker: Broker,
    tenant: str,
    entity_id: str,
    attribute: str,
    document: dict[str, Any],
    names: Names,
    types: TypeSelection | None,
    condition: Precondition = NO_PRECONDITION,
) -> Patched:
    """5.6.4 Partial Attribute Update: members of one instance replaced, or removed by NGSI-LD Null."""
    now = broker.now()
    iri = names.expand(attribute)
    fragment = parse_attribute_fragment(document, names, iri, partial=True)
    return await patch_entity(
        broker, tenant, entity_id, types, now, lambda current: partial_update(current, iri, fragment, now), condition
    )


async def replace_one_attribute(
    broker: Broker,
    tenant: str,
    entity_id: str,
    attribute: str,
    document: dict[str, Any],
    names: Names,
    types: TypeSelection | None,
    condition: Precondition = NO_PRECONDITION,
) -> Patched:
    """5.6.19 Replace Attribute: one instance, completely."""
    now = broker.now()
    iri = names.expand(attribute)
    fragment = parse_attribute_fragment(document, names, iri, partial=False)
    return await patch_entity(
        broker, tenant, entity_id, types, now, lambda current: replace_attribute(current, iri, fragment, now), condition
    )


async def remove_attribute(
    broker: Broker,
    tenant: str,
    entity_id: str,
    attribute: str,
    types: TypeSelection | None,
    condition: Precondition = NO_PRECONDITION,
    *,
    dataset_id: str | None,
    delete_all: bool,
) -> Patched:
    """5.6.5 Delete Attribute: `attribute` is an IRI or `scope`; its default instance, the one of a dataset, or all."""
    now = broker.now()

    def patch(current: Entity) -> Patched:
        return delete_attribute(current, attribute, dataset_id, delete_all, now)

    try:
        return await patch_entity(broker, tenant, entity_id, types, now, patch, condition)
    except ResourceNotFound:
        # An entity may be known by its temporal evolution alone (5.6.11): then that is what the deletion is recorded in.
        # It has no tag, so that no condition can hold for it.
        if (
            types is not None
            or condition.if_match is not None
            or await broker.writer.read(tenant, entity_id) is not None
        ):
            raise
        if not await record_deleted_attribute(
            broker, tenant, entity_id, attribute, dataset_id=dataset_id, delete_all=delete_all
        ):
            raise
        return Patched(None)


async def patch_entity(
    broker: Broker,
    tenant: str,
    entity_id: str,
    types: TypeSelection | None,
    now: str,
    patch: Patch,
    condition: Precondition = NO_PRECONDITION,
) -> Patched:
    """Apply a patch to an existing entity through the writer; the outcome, with the state as it is stored now.

    Raises ResourceNotFound, PreconditionFailed and what the patch raises.
    """
    check_uri(entity_id, "entityId")
    found: list[Patched] = []

    def decide(current: Entity | None) -> Change | None:
        found.clear()
        before = existing(current, entity_id, types)
        condition.check(entity_id, before)
        patched = patch(before)
        found.append(patched)
        return change_of(tenant, before, patched, now)

    def result(outcomes: Sequence[Outcome]) -> Patched:
        (change,) = outcomes
        return with_members(found[0], entity=change.after) if isinstance(change, Change) else found[0]

    return result([await broker.writer.write(tenant, entity_id, decide, record=broker.record(result))])


def change_of(tenant: str, before: Entity, patched: Patched, now: str) -> Change | None:
    """The change that a patch makes, None if the entity is what it was."""
    if patched.entity is before:
        return None
    return make_change(tenant, before, patched.entity, patched.touched, now)


def existing(current: Entity | None, entity_id: str, types: TypeSelection | None) -> Entity:
    """The target entity, if it is there and of the selected types. Raises ResourceNotFound."""
    if current is None or (types is not None and not matches_types(types, current["type"])):
        raise ResourceNotFound(f"there is no entity {entity_id}", instance=entity_id)
    return current


def check_same_id(entity_id: str, given: str) -> None:
    """A document may repeat the id of its target, not name another (5.4). Raises BadRequestData."""
    if given != entity_id:
        raise BadRequestData(f"id: {given} is not the id of the target entity, {entity_id}", instance=entity_id)
