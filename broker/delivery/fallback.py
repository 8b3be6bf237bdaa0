"""Entities for receivers that only know an earlier version of NGSI-LD (4.3.6.8, tables 1 to 3; member ngsildConformance)."""

from typing import Any, Final, TypeAlias, cast

from broker.model.entity import Entity, Instance, Names, dataset_of
from broker.model.terms import KINDS, is_attribute_name

Version: TypeAlias = tuple[int, int]

_MEMBERS: Final = {
    "expiresAt": (1, 9),
    "valueType": (1, 9),
    "objectType": (1, 8),
    "datasetId": (1, 3),
    "observedAt": (1, 3),
    "unitCode": (1, 3),
}
"""Members of attributes that are left out before the version that brought them."""

_KINDS: Final = {
    "JsonProperty": ((1, 8), "Property"),
    "VocabProperty": ((1, 8), "Property"),
    "ListProperty": ((1, 8), "Property"),
    "ListRelationship": ((1, 8), "Relationship"),
    "LanguageProperty": ((1, 4), "Property"),
}
"""Kinds of attributes: the version that brought them, and what they become before it."""

_NEWEST: Final = (1, 9)


def conforming(entity: Entity, version: Version | None, names: Names) -> Entity:
    """The entity with everything that came after `version` left out or reformatted; itself if there is nothing to do."""
    if version is None or version >= _NEWEST:
        return entity
    state: dict[str, Any] = dict(entity)
    state.pop("expiresAt", None)
    if version < (1, 4):
        state.pop("scope", None)
    if version < (1, 3):
        state["type"] = state["type"][:1]
    state["attrs"] = {
        name: [_instance(instance, version, names) for instance in _admitted(instances, version)]
        for name, instances in entity["attrs"].items()
    }
    return cast(Entity, state)


def _admitted(instances: list[Instance], version: Version) -> list[Instance]:
    """Before 1.3 an attribute has one instance: the default one, or else the first."""
    if version >= (1, 3) or len(instances) == 1:
        return instances
    return [next((instance for instance in instances if dataset_of(instance) is None), instances[0])]


def _instance(instance: Instance, version: Version, names: Names) -> Instance:
    kind = KINDS[instance["type"]]
    since, fallback = _KINDS.get(kind.name, ((1, 0), kind.name))
    target = KINDS[fallback] if version < since else kind
    shown: Instance = {}
    for member, value in instance.items():
        if version < _MEMBERS.get(member, (1, 0)):
            continue
        if is_attribute_name(member):
            shown[member] = [_instance(inner, version, names) for inner in _admitted(value, version)]
        elif member == "type":
            shown["type"] = target.name
        elif target is not kind and member in (kind.value, kind.previous):
            text = _compacted(value, names) if kind.value == "vocab" else value
            shown[target.value if member == kind.value else target.previous] = text
        else:
            shown[member] = value
    return shown


def _compacted(vocab: Any, names: Names) -> Any:
    return [names.compact(iri) for iri in vocab] if isinstance(vocab, list) else names.compact(vocab)
