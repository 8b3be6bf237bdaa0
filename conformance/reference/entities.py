"""What provision (5.6) makes of a set of entities, as the plainest code that says it: no store, no time, no names to expand.

Documents are normalized and their attributes arrays or objects, as clients send them. In the model an entity is `types`,
`scopes`, and `attributes`: name -> datasetId (None: the default instance) -> instance. The kinds of attributes do not change.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Final

NULL: Final = "urn:ngsi-ld:null"
VALUES: Final[Mapping[str, str]] = {
    "Property": "value",
    "Relationship": "object",
    "LanguageProperty": "languageMap",
    "VocabProperty": "vocab",
    "ListProperty": "valueList",
}
"""The member that holds the value of an attribute, by kind."""
_PLAIN: Final = frozenset({"type", "datasetId", "observedAt", "unitCode", *VALUES.values()})

Instance = dict[str, Any]


class Refused(Exception):
    """The operation is answered with this error type, and changes nothing."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass
class Entity:
    """The state of one entity."""

    types: set[str]
    scopes: list[str] = field(default_factory=list)
    attributes: dict[str, dict[str | None, Instance]] = field(default_factory=dict)


class Entities:
    """All entities by id, and the operations on them. Each raises Refused where the standard demands an error."""

    def __init__(self) -> None:
        self.by_id: dict[str, Entity] = {}

    # --- one entity

    def create(self, document: Mapping[str, Any]) -> None:
        """5.6.1 Create Entity."""
        if document["id"] in self.by_id:
            raise Refused("AlreadyExists")
        self.by_id[document["id"]] = _whole(document)

    def delete(self, entity_id: str) -> None:
        """5.6.6 Delete Entity."""
        self.find(entity_id)
        del self.by_id[entity_id]

    def replace(self, entity_id: str, document: Mapping[str, Any]) -> None:
        """5.6.18 Replace Entity."""
        self.find(entity_id)
        self.by_id[entity_id] = _whole(document)

    def merge(self, entity_id: str, fragment: Mapping[str, Any]) -> None:
        """5.6.17 Merge Entity, 5.5.12 merge patch."""
        entity = self.find(entity_id)
        for name, instance in _instances(fragment):
            stored = entity.attributes.get(name, {}).get(instance.get("datasetId"))
            if _is_null(instance):
                _drop(entity, name, instance.get("datasetId"))
            elif stored is None:
                _put(entity, name, merged({}, instance))
            else:
                _put(entity, name, merged(stored, instance))
        entity.types |= _types(fragment)
        if "scope" in fragment:
            entity.scopes = _scopes(fragment)

    def append(self, entity_id: str, fragment: Mapping[str, Any], *, overwrite: bool) -> set[str]:
        """5.6.3 Append Attributes: the names of those that were not appended."""
        entity = self.find(entity_id)
        refused = set()
        for name, instance in _instances(fragment):
            if overwrite or instance.get("datasetId") not in entity.attributes.get(name, {}):
                _put(entity, name, instance)
            else:
                refused.add(name)
        entity.types |= _types(fragment)
        if "scope" in fragment:
            kept = [] if overwrite else entity.scopes
            entity.scopes = [*kept, *(scope for scope in _scopes(fragment) if scope not in kept)]
        return refused

    def update(self, entity_id: str, fragment: Mapping[str, Any]) -> set[str]:
        """5.6.2 Update Attributes, 5.5.8 partial update patch: what was ignored."""
        entity = self.find(entity_id)
        for name, instance in _instances(fragment):
            if _is_null(instance):
                _drop(entity, name, instance.get("datasetId"))
            else:
                _put(entity, name, instance)
        entity.types |= _types(fragment)
        if "scope" in fragment and not entity.scopes:
            return {"scope"}
        if "scope" in fragment:
            entity.scopes = _scopes(fragment)
        return set()

    # --- one attribute

    def update_attribute(self, entity_id: str, name: str, fragment: Instance) -> None:
        """5.6.4 Partial Attribute Update, 5.5.8 for its members."""
        entity = self.find(entity_id)
        stored = self._attribute(entity, name, fragment.get("datasetId"))
        if _is_null(fragment):
            _drop(entity, name, fragment.get("datasetId"))
            return
        kept = {**stored, **{member: value for member, value in fragment.items() if not _removes(value)}}
        for member, value in fragment.items():
            if _removes(value):
                kept.pop(member, None)
        _put(entity, name, kept)

    def replace_attribute(self, entity_id: str, name: str, instance: Instance) -> None:
        """5.6.19 Replace Attribute."""
        entity = self.find(entity_id)
        self._attribute(entity, name, instance.get("datasetId"))
        _put(entity, name, instance)

    def delete_attribute(self, entity_id: str, name: str, dataset: str | None, *, delete_all: bool) -> None:
        """5.6.5 Delete Attribute."""
        entity = self.find(entity_id)
        if delete_all:
            if name not in entity.attributes:
                raise Refused("ResourceNotFound")
            del entity.attributes[name]
            return
        self._attribute(entity, name, dataset)
        _drop(entity, name, dataset)

    # --- many entities (5.5.11: as if they had come in one request each)

    def batch(
        self, operation: Callable[[Mapping[str, Any]], object], elements: Iterable[Mapping[str, Any]]
    ) -> tuple[list[str], list[str]]:
        """The ids that succeeded and those in error, in order."""
        success: list[str] = []
        errors: list[str] = []
        for element in elements:
            try:
                failed = operation(element)
            except Refused:
                failed = True
            (errors if failed else success).append(element["id"])
        return success, errors

    def upsert(self, document: Mapping[str, Any], *, update: bool) -> None:
        """5.6.8 for one element."""
        if document["id"] not in self.by_id:
            self.create(document)
        elif update:
            self.update(document["id"], document)
        else:
            self.replace(document["id"], document)

    # --- what is there

    def find(self, entity_id: str) -> Entity:
        """The entity with this id."""
        if entity_id not in self.by_id:
            raise Refused("ResourceNotFound")
        return self.by_id[entity_id]

    def matching(self, entity_type: str, condition: Callable[[Entity], bool]) -> set[str]:
        """The ids of the entities of a type that meet a condition."""
        return {
            entity_id for entity_id, entity in self.by_id.items() if entity_type in entity.types and condition(entity)
        }

    def _attribute(self, entity: Entity, name: str, dataset: str | None) -> Instance:
        found = entity.attributes.get(name, {}).get(dataset)
        if found is None:
            raise Refused("ResourceNotFound")
        return found


def tagged(value: Any) -> Any:
    """A JSON value in which true is not 1, as it is for Python's comparison."""
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, dict):
        return {name: tagged(each) for name, each in value.items()}
    return [tagged(each) for each in value] if isinstance(value, list) else value


def read_back(document: Mapping[str, Any]) -> Entity:
    """A normalized entity as a broker shows it, as an entity of the model."""
    return _whole(document)


def merged(stored: Mapping[str, Any], patch: Mapping[str, Any]) -> Instance:
    """RFC 7396 with the NGSI-LD Null in place of null, at any depth."""
    result = deepcopy(dict(stored))
    for member, value in patch.items():
        if _removes(value):
            result.pop(member, None)
        elif isinstance(value, dict):
            before = result.get(member)
            result[member] = merged(before if isinstance(before, dict) else {}, value)
        else:
            result[member] = deepcopy(value)
    return result


def values_of(entity: Entity, name: str) -> list[Any]:
    """The values of all instances of an attribute."""
    return [instance[VALUES[instance["type"]]] for instance in entity.attributes.get(name, {}).values()]


def _whole(document: Mapping[str, Any]) -> Entity:
    entity = Entity(_types(document), _scopes(document))
    for name, instance in _instances(document):
        _put(entity, name, instance)
    return entity


def _instances(document: Mapping[str, Any]) -> list[tuple[str, Instance]]:
    return [
        (name, instance)
        for name, given in document.items()
        if name not in ("id", "type", "scope", "@context")
        for instance in (given if isinstance(given, list) else [given])
    ]


def _types(document: Mapping[str, Any]) -> set[str]:
    given = document.get("type", [])
    return {given} if isinstance(given, str) else set(given)


def _scopes(document: Mapping[str, Any]) -> list[str]:
    given: str | Sequence[str] = document.get("scope", [])
    return [given] if isinstance(given, str) else list(given)


def _put(entity: Entity, name: str, instance: Mapping[str, Any]) -> None:
    entity.attributes.setdefault(name, {})[instance.get("datasetId")] = deepcopy(dict(instance))


def _drop(entity: Entity, name: str, dataset: str | None) -> None:
    entity.attributes.get(name, {}).pop(dataset, None)
    if not entity.attributes.get(name, True):
        del entity.attributes[name]


def _is_null(instance: Mapping[str, Any]) -> bool:
    """Whether an instance of a fragment says that the stored one is to be deleted."""
    value = instance.get(VALUES[instance["type"]])
    return _removes(value) or value == {"@none": NULL}


def _removes(value: Any) -> bool:
    """Whether a member of a fragment is to be removed: the NGSI-LD Null, or a sub-attribute that is one."""
    return value == NULL or (isinstance(value, dict) and value.get("type") in VALUES and _is_null(value))
