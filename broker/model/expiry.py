"""Transient storage (4.22): what has expired is as if it were not there, however late the sweep that removes it."""

from operator import is_
from typing import Final, cast

from broker.model.change import Change, Touch
from broker.model.entity import Entity, Instance, dataset_of
from broker.model.instants import is_past
from broker.model.members import ANY_KIND, VALUE_MEMBERS
from broker.model.patches import make_change
from broker.model.terms import is_attribute_name

_LASTING: Final = (ANY_KIND.permitted | VALUE_MEMBERS.keys() | {"createdAt", "modifiedAt"}) - {"expiresAt"}
"""Members that neither expire nor have members that do. Hardly any instance has others, so that this is a quick look."""


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


def expiry(tenant: str, current: Entity, now: str) -> Change | None:
    """The change that removes an entity, or those of its attribute instances, that have expired at `now`; None if none have."""
    live = without_expired(current, now)
    if live is current:
        return None
    if live is None:
        return make_change(tenant, current, None, (), now)
    after: Entity = {**live, "modifiedAt": now, "version": current["version"] + 1}
    return make_change(tenant, current, after, _touches(current, live), now)


def _touches(before: Entity, live: Entity) -> list[Touch]:
    touches = []
    for attribute, instances in before["attrs"].items():
        left = {dataset_of(instance): instance for instance in live["attrs"].get(attribute, ())}
        for instance in instances:
            dataset = dataset_of(instance)
            if dataset not in left:
                touches.append(Touch(attribute, dataset, "attributeDeleted"))
            elif left[dataset] is not instance:
                touches.append(Touch(attribute, dataset, "attributeUpdated"))
    return touches


def _live_attributes(attrs: dict[str, list[Instance]], now: str) -> dict[str, list[Instance]]:
    changed: dict[str, list[Instance]] = {}
    for iri, instances in attrs.items():
        if all(map(_LASTING.issuperset, instances)):
            continue
        live = _live_instances(instances, now)
        if live is not instances:
            changed[iri] = live
    if not changed:
        return attrs
    return {iri: live for iri, instances in attrs.items() if (live := changed.get(iri, instances))}


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
