"""From an attribute path to what it addresses in an entity: target elements, target values and target objects (4.9)."""

from collections.abc import Callable, Iterable
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from broker.model.entity import Entity, Instance
from broker.model.terms import KINDS, is_attribute_name
from broker.query.ast import Path

Nature: TypeAlias = Literal["value", "object", "languages"]


class Target(NamedTuple):
    """One target element, of one instance of the addressed attribute.

    `value` is a JSON value; for an "object" (of a Relationship or ListRelationship) a URI or a list of URIs; for
    "languages" (a LanguageProperty of which no language is chosen) the languageMap. `kind` is the attribute's type where
    its whole value is addressed, None inside a value and for core members.
    """

    nature: Nature
    value: Any
    kind: str | None = None


_OBJECTS: Final = frozenset({"Relationship", "ListRelationship"})
ANY_LANGUAGE: Final = ("*",)


def compile_targets(path: Path) -> Callable[[Entity], list[Target]]:
    """A function that finds the targets of this path in an entity: one for each instance (4.5.5), none where there is none.

    Where the path goes on below an attribute with several instances, it goes on below all of them.
    """
    first, *rest = path.names
    trailing = path.trailing
    if not is_attribute_name(first):
        return lambda entity: _members((entity,), first) if not rest and trailing is None else []

    def targets(entity: Entity) -> list[Target]:
        instances: Iterable[Instance] = entity["attrs"].get(first, ())
        for name in rest:
            if not is_attribute_name(name):
                found = _members(instances, name) if name is rest[-1] else []
                return [target for each in found for target in _inside(each.value, trailing)]
            instances = [sub for instance in instances for sub in instance.get(name, ())]
        return [target for instance in instances for target in _of_instance(instance, trailing)]

    return targets


def preferred_target(path: Path, entity: Entity) -> Target | None:
    """The one target to order an entity by: of the default instance, where there is one, else of the first (4.23)."""
    first, *rest = path.names
    if not is_attribute_name(first):
        return next(iter(compile_targets(path)(entity)), None)
    instance = _preferred(entity["attrs"].get(first, ()))
    for name in rest:
        if instance is None:
            return None
        if not is_attribute_name(name):
            found = _members((instance,), name) if name is rest[-1] else []
            return next((target for each in found for target in _inside(each.value, path.trailing)), None)
        instance = _preferred(instance.get(name, ()))
    return None if instance is None else next(iter(_of_instance(instance, path.trailing)), None)


def _preferred(instances: Iterable[Instance]) -> Instance | None:
    best: Instance | None = None
    for instance in instances:
        if "datasetId" not in instance:
            return instance
        best = best or instance
    return best


def _members(holders: Iterable[Any], name: str) -> list[Target]:
    return [Target("value", holder[name]) for holder in holders if name in holder]


def _of_instance(instance: Instance, trailing: tuple[str, ...] | None) -> list[Target]:
    kind = KINDS[instance["type"]]
    if kind.value not in instance:
        return []
    value = instance[kind.value]
    if kind.name in _OBJECTS:
        return [Target("object", value, kind.name)] if trailing is None else []
    if kind.name == "LanguageProperty" and (trailing is None or trailing == ANY_LANGUAGE):
        return [Target("languages", value, kind.name)] if value else []
    return [Target("value", value, kind.name)] if trailing is None else _inside(value, trailing)


def _inside(value: Any, trailing: tuple[str, ...] | None) -> list[Target]:
    """The target after a MemberExpression in dot notation (ECMA 262): members of objects only."""
    for member in trailing or ():
        if not isinstance(value, dict) or member not in value:
            return []
        value = value[member]
    return [Target("value", value)]
