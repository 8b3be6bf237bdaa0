"""Transient storage (4.22): what has expired is as if it were not there, however late the sweep that removes it."""

from operator import is_
from typing import cast

from broker.model.entity import Entity, Instance
from broker.model.instants import is_past
from broker.model.terms import is_attribute_name


def is_expired(entity: Entity, now: str) -> bool:
    """Whether the entity as a whole expired at or before `now`."""
    return "expiresAt" in entity and is_past(entity["expiresAt"], now)


def without_expired(entity: Entity, now: str) -> Entity | None:
    """The entity without expired attribute instances at any depth; the same object if there are none, None if it expired."""
    if is_expired(entity, now):
        return None
    attrs = entity["attrs"]
    live = _live_attributes(attrs, now)
    if live is attrs:
        return entity
    alive = entity.copy()
    alive["attrs"] = live
    return alive


def _live_attributes(attrs: dict[str, list[Instance]], now: str) -> dict[str, list[Instance]]:
    changed: dict[str, list[Instance]] = {}
    for iri, instances in attrs.items():
        if not any(map(_may_expire, instances)):
            continue
        live = _live_instances(instances, now)
        if live is not instances:
            changed[iri] = live
    if not changed:
        return attrs
    return {iri: live for iri, instances in attrs.items() if (live := changed.get(iri, instances))}


def _may_expire(instance: Instance) -> bool:
    """A quick look, since hardly any attribute expires: an expiry of its own, or what could be a sub-attribute."""
    return "expiresAt" in instance or list in map(type, instance.values())


def _live_instances(instances: list[Instance], now: str) -> list[Instance]:
    live = [_live_instance(instance, now) for instance in instances]
    if all(map(is_, live, instances)):
        return instances
    return [alive for alive in live if alive is not None]


def _live_instance(instance: Instance, now: str) -> Instance | None:
    if "expiresAt" in instance and is_past(instance["expiresAt"], now):
        return None
    changed: dict[str, list[Instance]] = {}
    for member, item in instance.items():
        if type(item) is list and is_attribute_name(member):
            live = _live_instances(item, now)
            if live is not item:
                changed[member] = live
    if not changed:
        return instance
    return cast(
        Instance, {member: item for member, given in instance.items() if (item := changed.get(member, given)) != []}
    )
