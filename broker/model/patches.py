"""What the operations of 5.6 make of an entity: pure functions from a state and a fragment to the state after it.

None of them changes its arguments; what a patch leaves as it is, the new state shares with the old one. An instance counts
as changed only if a member has a different value (5.8.6): applying a fragment a second time touches nothing, and an
entity of which nothing differs comes back as the same object.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from broker.errors import BadRequestData, ResourceNotFound
from broker.model.attributes import is_null_instance
from broker.model.change import AttributeTrigger, Change, EntityTrigger, Touch
from broker.model.entity import Entity, Instance, dataset_of
from broker.model.merging import completed, patched_instance, same_json
from broker.model.parsing import Fragment
from broker.model.terms import NGSI_LD_NULL, NONE_DATASET

_EXISTS = "exists already, and overwriting is not allowed"
_NO_SCOPE = "the entity has no scope to update (5.6.2); append it"


@dataclass(frozen=True, slots=True)
class Patched:
    """The outcome of a patch: the state after it (None: deleted, the same object: unchanged), and what it touched.

    `updated` lists the attributes (IRIs, and `scope`) that the request asked for and got, whether they differ or not;
    `not_updated` those that it did not get, with the reason.
    """

    entity: Entity | None
    touched: tuple[Touch, ...] = ()
    updated: list[str] = field(default_factory=list)
    not_updated: list[tuple[str, str]] = field(default_factory=list)


def append_attributes(entity: Entity, fragment: Fragment, now: str, *, overwrite: bool) -> Patched:
    """5.6.3 Append Attributes: new instances are added; existing ones are replaced only with `overwrite`."""
    draft = _Draft(entity, now)
    for iri, instances in fragment.attrs.items():
        for instance in instances:
            if overwrite or draft.find(iri, dataset_of(instance)) is None:
                draft.put(iri, instance)
                draft.note(iri)
            else:
                draft.refuse(iri, _EXISTS)
    draft.add_types(fragment.types)
    if fragment.scope is not None:
        draft.set_scope(list(dict.fromkeys((*(() if overwrite else entity.get("scope", ())), *fragment.scope))))
        draft.note("scope")
    if fragment.expires_at is not None:
        if overwrite or "expiresAt" not in entity:
            draft.set_expiry(fragment.expires_at)
        else:
            draft.refuse("expiresAt", _EXISTS)
    return draft.finish()


def update_attributes(entity: Entity, fragment: Fragment, now: str) -> Patched:
    """5.6.2 Update Attributes: whole instances are replaced, added, or deleted by NGSI-LD Null (5.5.8)."""
    if fragment.merge_only is not None:
        raise BadRequestData(f"{fragment.merge_only}: only a merge may remove a member inside a value (5.5.4)")
    draft = _Draft(entity, now)
    for iri, instances in fragment.attrs.items():
        for instance in instances:
            if is_null_instance(instance):
                draft.drop(iri, dataset_of(instance))
            else:
                draft.put(iri, completed(iri, instance))
        draft.note(iri)
    draft.add_types(fragment.types)
    if fragment.scope is not None:
        if "scope" in entity:
            draft.set_scope(fragment.scope)
            draft.note("scope")
        else:
            draft.refuse("scope", _NO_SCOPE)
    if fragment.expires_at is not None:
        draft.set_expiry(fragment.expires_at)
    return draft.finish()


def merge_entity(
    entity: Entity, fragment: Fragment, now: str, *, observed_at: str | None = None, lang: str | None = None
) -> Patched:
    """5.6.17 Merge Entity: a merge patch of any depth (5.5.12).

    `observed_at` goes to those merged attributes that had an observedAt and bring none of their own; `lang` is the language of a
    plain text that is merged into a LanguageProperty.
    """
    draft = _Draft(entity, now)
    for iri, instances in fragment.attrs.items():
        for instance in instances:
            stored = draft.find(iri, dataset_of(instance))
            if is_null_instance(instance):
                draft.drop(iri, dataset_of(instance))
            elif stored is None:
                draft.put(iri, completed(iri, instance))
            else:
                if observed_at is not None and "observedAt" in stored and "observedAt" not in instance:
                    instance = {**instance, "observedAt": observed_at}
                draft.revise(iri, stored, patched_instance(iri, stored, instance, deep=True, lang=lang))
        draft.note(iri)
    draft.add_types(fragment.types)
    if fragment.scope is not None:
        draft.set_scope(fragment.scope)
        draft.note("scope")
    if fragment.expires_at is not None:
        draft.set_expiry(fragment.expires_at)
    return draft.finish()


def replace_entity(entity: Entity, new: Entity, now: str) -> Patched:
    """5.6.18 Replace Entity: by a newly parsed one. The entity's createdAt stays, as does that of instances it keeps."""
    draft = _Draft(entity, now)
    for iri, instances in new["attrs"].items():
        for instance in instances:
            draft.put(iri, instance)
        draft.note(iri)
    for iri, instances in entity["attrs"].items():
        kept = [dataset_of(instance) for instance in new["attrs"].get(iri, ())]
        gone = [dataset_of(instance) for instance in instances]
        if gone != kept:
            staying = set(kept)
            for dataset in gone:
                if dataset not in staying:
                    draft.drop(iri, dataset)
    draft.set_types(new["type"])
    draft.set_scope(new.get("scope", NGSI_LD_NULL))
    draft.set_expiry(new.get("expiresAt", NGSI_LD_NULL))
    return draft.finish()


def partial_update(entity: Entity, attribute: str, fragment: Instance, now: str) -> Patched:
    """5.6.4 Partial Attribute Update: members of one instance are overwritten, or removed by NGSI-LD Null (5.5.8).

    Raises ResourceNotFound if there is no such instance, BadRequestData for another type.
    """
    draft = _Draft(entity, now)
    stored = _existing(entity, attribute, dataset_of(fragment))
    if is_null_instance(fragment):
        draft.drop(attribute, dataset_of(fragment))
    else:
        draft.revise(attribute, stored, patched_instance(attribute, stored, fragment, deep=False))
    draft.note(attribute)
    return draft.finish()


def replace_attribute(entity: Entity, attribute: str, new: Instance, now: str) -> Patched:
    """5.6.19 Replace Attribute: one instance, completely. Raises ResourceNotFound if there is none."""
    _existing(entity, attribute, dataset_of(new))
    draft = _Draft(entity, now)
    draft.put(attribute, new)
    draft.note(attribute)
    return draft.finish()


def delete_attribute(entity: Entity, attribute: str, dataset_id: str | None, delete_all: bool, now: str) -> Patched:
    """5.6.5 Delete Attribute: the default instance, that of a datasetId, or all; `attribute` is an IRI or `scope`.

    Raises ResourceNotFound if there is nothing to delete.
    """
    draft = _Draft(entity, now)
    if attribute == "scope":
        if "scope" not in entity:
            raise ResourceNotFound(f"{entity['id']} has no scope", instance=entity["id"])
        draft.set_scope(NGSI_LD_NULL)
    elif delete_all and attribute in entity["attrs"]:
        for instance in entity["attrs"][attribute]:
            draft.drop(attribute, dataset_of(instance))
    else:
        dataset = None if dataset_id == NONE_DATASET else dataset_id
        _existing(entity, attribute, dataset)
        draft.drop(attribute, dataset)
    draft.note(attribute)
    return draft.finish()


def delete_attributes(entity: Entity, attributes: Collection[str], now: str) -> Patched:
    """All instances of several attributes (IRIs), as far as they are there, for Purge Entities (5.6.21)."""
    draft = _Draft(entity, now)
    for attribute in attributes:
        for instance in entity["attrs"].get(attribute, ()):
            draft.drop(attribute, dataset_of(instance))
    return draft.finish()


def make_change(tenant: str, before: Entity | None, after: Entity | None, touched: Sequence[Touch], now: str) -> Change:
    """The record of a change. For a creation and a deletion every instance is touched, whatever `touched` says."""
    kind: EntityTrigger
    if after is None:
        if before is None:
            raise ValueError("a change has a state before it, after it, or both")
        kind, entity_id = "entityDeleted", before["id"]
        touched = _touches_of_all(before, "attributeDeleted")
    elif before is None:
        kind, entity_id = "entityCreated", after["id"]
        touched = _touches_of_all(after, "attributeCreated")
    else:
        kind, entity_id = "entityUpdated", after["id"]
        names = {touch.attribute for touch in touched}
        before = before.copy()
        before["attrs"] = {iri: instances for iri, instances in before["attrs"].items() if iri in names}
    return Change(tenant, entity_id, kind, now, tuple(touched), before, after)


class _Draft:
    """A state in the making: copies on the first write, keeps book of what it touches.

    `_opened` has the instances of those attributes that were looked at, by datasetId: an attribute may have many.
    """

    __slots__ = ("_entity", "_head", "_not_updated", "_now", "_opened", "_touched", "_updated")

    def __init__(self, entity: Entity, now: str) -> None:
        self._entity = entity
        self._now = now
        self._head = entity
        self._opened: dict[str, dict[str | None, Instance]] = {}
        self._touched: list[Touch] = []
        self._updated: dict[str, None] = {}
        self._not_updated: dict[str, str] = {}

    def _instances(self, iri: str) -> dict[str | None, Instance]:
        opened = self._opened.get(iri)
        if opened is None:
            opened = {dataset_of(instance): instance for instance in self._entity["attrs"].get(iri, ())}
            self._opened[iri] = opened
        return opened

    def find(self, iri: str, dataset: str | None) -> Instance | None:
        return self._instances(iri).get(dataset)

    def put(self, iri: str, new: Instance) -> None:
        """Replace the instance of the same datasetId, or add one."""
        stored = self.find(iri, dataset_of(new))
        if stored is None:
            stamped = {**new, "createdAt": self._now, "modifiedAt": self._now}
            self._write(iri, stamped, "attributeCreated")
        else:
            kept = {**new, "createdAt": stored["createdAt"], "modifiedAt": stored["modifiedAt"]}
            self.revise(iri, stored, stored if same_json(kept, stored) else kept)

    def revise(self, iri: str, stored: Instance, new: Instance) -> None:
        """Replace a stored instance by what was made of it; the same object means that nothing differs."""
        if new is not stored:
            self._write(iri, {**new, "modifiedAt": self._now}, "attributeUpdated")

    def _write(self, iri: str, instance: Instance, trigger: AttributeTrigger) -> None:
        dataset = dataset_of(instance)
        self._instances(iri)[dataset] = instance
        self._touched.append(Touch(iri, dataset, trigger))

    def drop(self, iri: str, dataset: str | None) -> None:
        """Remove an instance, if it is there."""
        if self._instances(iri).pop(dataset, None) is not None:
            self._touched.append(Touch(iri, dataset, "attributeDeleted"))

    def add_types(self, types: Sequence[str]) -> None:
        self.set_types(list(dict.fromkeys((*self._entity["type"], *types))))

    def set_types(self, types: list[str]) -> None:
        if set(types) != set(self._entity["type"]):
            self._copy_head()["type"] = types

    def set_scope(self, scope: list[str] | str) -> None:
        if isinstance(scope, str):
            if "scope" in self._entity:
                del self._copy_head()["scope"]
        elif set(scope) != set(self._entity.get("scope", ())):
            self._copy_head()["scope"] = scope

    def set_expiry(self, expires_at: str) -> None:
        if expires_at == NGSI_LD_NULL:
            if "expiresAt" in self._entity:
                del self._copy_head()["expiresAt"]
        elif expires_at != self._entity.get("expiresAt"):
            self._copy_head()["expiresAt"] = expires_at

    def _copy_head(self) -> Entity:
        if self._head is self._entity:
            self._head = self._entity.copy()
        return self._head

    def note(self, name: str) -> None:
        """The request got what it asked for of this attribute."""
        self._updated[name] = None

    def refuse(self, name: str, reason: str) -> None:
        self._not_updated[name] = reason

    def finish(self) -> Patched:
        state = self._entity
        if self._touched or self._head is not state:
            state = self._copy_head()
            if self._touched:
                state["attrs"] = self._attributes()
            state["modifiedAt"] = self._now
            state["version"] = self._entity["version"] + 1
        return Patched(state, tuple(self._touched), list(self._updated), list(self._not_updated.items()))

    def _attributes(self) -> dict[str, list[Instance]]:
        attrs = dict(self._entity["attrs"])
        for iri in {touch.attribute: None for touch in self._touched}:
            if instances := self._opened[iri]:
                attrs[iri] = list(instances.values())
            else:
                attrs.pop(iri, None)
        return attrs


def _existing(entity: Entity, attribute: str, dataset: str | None) -> Instance:
    for instance in entity["attrs"].get(attribute, ()):
        if dataset_of(instance) == dataset:
            return instance
    which = "" if dataset is None else f" with datasetId {dataset}"
    raise ResourceNotFound(f"{entity['id']} has no attribute {attribute}{which}", instance=entity["id"])


def _touches_of_all(entity: Entity, trigger: AttributeTrigger) -> tuple[Touch, ...]:
    return tuple(
        [
            Touch(iri, instance.get("datasetId"), trigger)
            for iri, instances in entity["attrs"].items()
            for instance in instances
        ]
    )
