"""Conflicts of exclusive and redirect registrations, with each other and with entities that are here (4.3.6.3, 5.9.2.4).

A proxied registration says that its data is held elsewhere only. So an exclusive one may overlap no other proxied one, and data
that it covers may not be held locally. Redirect registrations may overlap each other, inclusive and auxiliary ones anything.

Entities are looked at just before the registration is written, not in one commit with it: an entity that is created in the same
instant can slip in.
"""

from collections.abc import Iterable
from typing import Final

from broker.errors import Conflict
from broker.federation.matching import matches_attributes
from broker.federation.registration import EntityInfo, Registration, RegistrationInfo
from broker.model.expiry import without_expired
from broker.query.ast import EntityQuery, EntitySelector, TypeSelection
from broker.store.protocol import Page, Store

PROXIED: Final = frozenset({"exclusive", "redirect"})


async def check_conflicts(store: Store, registration: Registration, others: Iterable[Registration], now: str) -> None:
    """Raises Conflict if a registration cannot be accepted beside these `others` of its tenant and the stored entities."""
    if registration.mode not in PROXIED:
        return
    for other in others:
        if other.id != registration.id and conflict(registration, other):
            raise Conflict(
                f"the {other.mode} registration {other.id} already covers entities and attributes of this one (4.3.6.3)",
                instance=other.id,
            )
    if registration.mode == "exclusive":
        await _check_exclusive(store, registration, now)
    else:
        await _check_redirect(store, registration, now)


def conflict(one: Registration, other: Registration) -> bool:
    """Whether two registrations exclude each other: proxied ones, not both redirect, that overlap (4.3.6.3)."""
    modes = {one.mode, other.mode}
    if not modes <= PROXIED or "exclusive" not in modes:
        return False
    return any(_overlap(left, right) for left in one.information for right in other.information)


def _overlap(one: RegistrationInfo, other: RegistrationInfo) -> bool:
    """Whether there can be an attribute of an entity that both describe."""
    if not matches_attributes(one.attributes, other):
        return False
    if not one.entities or not other.entities:
        return True
    return any(_same_entity(left, right) for left in one.entities for right in other.entities)


def _same_entity(one: EntityInfo, other: EntityInfo) -> bool:
    if one.id is not None and other.id is not None:
        return one.id == other.id  # an id names one entity, whatever types are said of it
    if one.types.isdisjoint(other.types):
        return False
    if one.id is not None:
        return other.may_be(one.id)
    return other.id is None or one.may_be(other.id)


async def _check_exclusive(store: Store, registration: Registration, now: str) -> None:
    """The entity may be here, but none of the attributes."""
    for info in registration.information:
        for entity_id in {entity.id for entity in info.entities if entity.id is not None}:
            states = await store.read([(registration.tenant, entity_id)])
            stored = states.get((registration.tenant, entity_id))
            entity = None if stored is None else without_expired(stored, now)
            if entity is not None and not info.attributes.isdisjoint(entity["attrs"]):
                raise Conflict(
                    f"the entity {entity_id} with an attribute of this registration is held here (5.9.2.4)",
                    instance=entity_id,
                )


async def _check_redirect(store: Store, registration: Registration, now: str) -> None:
    """No entity that matches may be here."""
    for info in registration.information:
        window = await store.query(registration.tenant, _entities(info, now), Page(1))
        if window.entities:
            found = window.entities[0]["id"]
            raise Conflict(
                f"the entity {found}, which matches this registration, is held here (5.9.2.4)", instance=found
            )


def _entities(info: RegistrationInfo, now: str) -> EntityQuery:
    """The local entities that a RegistrationInfo describes."""
    selectors = tuple(
        EntitySelector(
            ids=None if entity.id is None else frozenset({entity.id}),
            id_pattern=entity.id_pattern,
            types=TypeSelection((tuple(sorted(entity.types)),)),
        )
        for entity in info.entities
    )
    return EntityQuery(selectors=selectors, attrs=info.attributes, now=now)
