"""Entities as clients see them: normalized, concise or simplified, compacted, projected, with linked entities (4.5)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

from broker.errors import TooManyResults
from broker.model.entity import Entity, Instance, JsonObject, Names
from broker.model.geometry import is_geometry_shaped
from broker.model.language import choose_language, parse_language_filter
from broker.model.members import PROOF_IRI, is_null_value, reads_as_instance, reads_as_instances
from broker.model.projection import Projection
from broker.model.terms import KINDS, NGSI_LD_NULL, NONE_DATASET, is_attribute_name
from broker.model.versions import Version, amended, shown_instances, shown_types, shows_member

Format: TypeAlias = Literal["normalized", "concise", "simplified"]
Join: TypeAlias = Literal["inline", "flat"]

MAX_INLINED: Final = 10_000
"""Linked entities shown inside one entity: in a dense graph their number grows exponentially with the join level."""


@dataclass(frozen=True, slots=True)
class View:
    """How entities are to be shown. `dataset_ids` holds "@none" for the default instance (4.5.5); `version` is an earlier one
    of NGSI-LD that the result has to conform to (4.3.6.8)."""

    format: Format = "normalized"
    sys_attrs: bool = False
    lang: str | None = None
    dataset_ids: frozenset[str] | None = None
    projection: Projection | None = None
    join: Join | None = None
    join_level: int = 0
    version: Version | None = None

    def linked(self, attribute: str) -> "View":
        """The view of the entities that a relationship (IRI) links to, one level further down."""
        projection = None if self.projection is None else self.projection.linked(attribute)
        return replace(self, projection=projection, join_level=self.join_level - 1)


NO_ENTITIES: Final[Mapping[str, Entity]] = MappingProxyType({})

_VERBATIM: Final = frozenset(
    {
        *("createdAt", "modifiedAt", "expiresAt"),
        *("type", "value", "object", "languageMap", "json", "valueList"),
        *("previousValue", "previousObject", "previousLanguageMap", "previousJson", "previousValueList"),
        *("datasetId", "observedAt", "unitCode", "deletedAt", "instanceId", "lang", "entityIdSealed"),
    }
)
_LINKING: Final = frozenset({"Relationship", "ListRelationship"})


def represent(entity: Entity, names: Names, view: View, linked: Mapping[str, Entity] = NO_ENTITIES) -> JsonObject:
    """One entity in the view's format, with the entities of `linked` inline where the view joins them (4.5.23.2).

    The members of the internal form that only notifications have are shown as well: `deletedAt`, `previous…`, and a value
    that is the NGSI-LD Null (5.8.6). The result shares values with the entity: it is to be serialized, not changed. It is
    empty if the projection leaves nothing.
    """
    return _Rendering(names, view, linked).entity(entity, view)


def linked_views(entity: Entity, view: View) -> dict[str, View]:
    """The ids that the entity's shown relationships point to, each with the view of the entity there (4.5.23).

    Empty at the last join level. An entity may be linked twice: the first relationship counts.
    """
    views: dict[str, View] = {}
    if view.join is not None and view.join_level > 0:
        for iri, instances in entity["attrs"].items():
            if view.projection is not None and not view.projection.keeps(iri):
                continue
            below: View | None = None
            for instance in _selected(iri, instances, view):
                if instance["type"] in _LINKING:
                    below = below or view.linked(iri)
                    for target in targets(instance):
                        views.setdefault(target, below)
    return views


def linked_ids(entity: Entity, view: View) -> set[str]:
    """The ids that the entity's shown relationships point to."""
    return set(linked_views(entity, view))


def targets(instance: Instance) -> Sequence[str]:
    """The ids that a Relationship or ListRelationship points to, in order."""
    objects: Any = instance["object"] if "object" in instance else instance.get("objectList", ())
    return (objects,) if type(objects) is str else objects


def flatten(entities: Sequence[Entity], view: View, linked: Mapping[str, Entity]) -> list[tuple[Entity, View]]:
    """The entities, then those linked to them, level by level and each once, with the view of each (4.5.23.3)."""
    shown = [(entity, view) for entity in entities]
    met = {entity["id"] for entity in entities}
    level = shown
    while level:
        below = []
        for entity, seen_as in level:
            for target, target_view in linked_views(entity, seen_as).items():
                if target in linked and target not in met:
                    met.add(target)
                    below.append((linked[target], target_view))
        shown = shown + below
        level = below
    return shown


def _selected(attribute: str, instances: list[Instance], view: View) -> list[Instance]:
    """The instances of an attribute (IRI) that a view shows: of the datasets asked for, as far as its version has several."""
    datasets = view.dataset_ids
    if datasets is not None:
        instances = [instance for instance in instances if instance.get("datasetId", NONE_DATASET) in datasets]
    return instances if view.version is None else shown_instances(attribute, instances, view.version)


class _Rendering:
    """One entity on its way out: what stays the same from its root to the last linked entity."""

    __slots__ = ("_adapts", "_compact", "_format", "_inlined", "_linked", "_path", "_ranges", "_sys_attrs", "_version")

    def __init__(self, names: Names, view: View, linked: Mapping[str, Entity]) -> None:
        self._compact = names.compact
        self._format = view.format
        self._sys_attrs = view.sys_attrs
        self._ranges = None if view.lang is None else parse_language_filter(view.lang)
        self._version = view.version
        self._adapts = self._ranges is not None or self._version is not None
        self._linked = linked if view.join == "inline" else NO_ENTITIES
        self._path: set[str] = set()
        self._inlined = 0

    def entity(self, entity: Entity, view: View) -> JsonObject:
        document = self._head(entity, view.projection)
        compact = self._compact
        projection = view.projection
        selects = view.dataset_ids is not None or view.version is not None
        simplified = self._format == "simplified"
        render = self._normalized if self._format == "normalized" else self._concise
        joins = bool(self._linked) and view.join_level > 0
        for iri, instances in entity["attrs"].items():
            if projection is not None and not projection.keeps(iri):
                continue
            if selects:
                instances = _selected(iri, instances, view)
                if not instances:
                    continue
            if self._adapts:
                instances = [self._adapted(instance) for instance in instances]
            if joins and any(instance["type"] in _LINKING for instance in instances):
                document[compact(iri)] = self._joined(entity["id"], iri, instances, view)
            elif simplified:
                document[compact(iri)] = _simplified_instances(
                    instances, [self._simplified(each) for each in instances]
                )
            elif len(instances) == 1:
                document[compact(iri)] = render(instances[0], iri != PROOF_IRI)
            else:
                document[compact(iri)] = [render(instance, False) for instance in instances]
        return document

    def _head(self, entity: Entity, projection: Projection | None) -> JsonObject:
        """The entity's own members."""
        version = self._version
        types: Sequence[str] = entity["type"]
        if version is not None:
            types = shown_types(types, version)
        compact = self._compact
        head: JsonObject = {
            "id": entity["id"],
            "type": compact(types[0]) if len(types) == 1 else [compact(name) for name in types],
        }
        scopes = entity.get("scope")
        if scopes is not None:
            head["scope"] = scopes[0] if len(scopes) == 1 else scopes
        if self._sys_attrs:
            head["createdAt"] = entity["createdAt"]
            head["modifiedAt"] = entity["modifiedAt"]
            if "expiresAt" in entity:
                head["expiresAt"] = entity["expiresAt"]
        if "deletedAt" in entity:
            head["deletedAt"] = entity["deletedAt"]
        if version is not None:
            head = {member: item for member, item in head.items() if shows_member(member, version)}
        if projection is not None:
            return {member: item for member, item in head.items() if projection.keeps_member(member)}
        return head

    def _normalized(self, instance: Instance, alone: bool = True) -> Any:
        shown = self._members(instance, self._normalized)
        if alone and len(shown) == 2 and self._is_deletion(shown):
            return NGSI_LD_NULL
        return shown

    def _concise(self, instance: Instance, alone: bool = True) -> Any:
        shown = self._members(instance, self._concise)
        kind = shown.pop("type")
        if alone and len(shown) == 1:
            for member, value in shown.items():
                if is_null_value(member, value):
                    return NGSI_LD_NULL
                if member == "value" and _stands_alone(kind, value):
                    return value
        if kind == "Property" and is_geometry_shaped(shown.get("value")):
            # Read back without its type it would be a GeoProperty (4.5.2.3).
            return {"type": kind, **shown}
        return shown

    def _members(self, instance: Instance, render: Callable[..., Any]) -> JsonObject:
        """The members of an instance, its sub-attributes rendered and everything compacted."""
        shown = instance.copy()
        if not self._sys_attrs:
            shown.pop("createdAt", None)
            shown.pop("modifiedAt", None)
            if "expiresAt" in shown:
                del shown["expiresAt"]
        if not _VERBATIM.issuperset(shown):
            for member, item in instance.items():
                if member in _VERBATIM:
                    continue
                if is_attribute_name(member):
                    del shown[member]
                    if self._adapts:
                        item = self._adapted_all(member, item)
                        if not item:
                            continue
                    alone = member != PROOF_IRI  # a proof is always a Property with its members (4.5.2.2)
                    shown[self._compact(member)] = (
                        render(item[0], alone) if len(item) == 1 else [render(each, False) for each in item]
                    )
                else:
                    self._other_member(shown, member, item)
        return shown

    def _other_member(self, shown: JsonObject, member: str, item: Any) -> None:
        """Show a core member that needs compaction or has another form inside."""
        compact = self._compact
        if member == "objectList" or member == "previousObjectList":
            bare = self._format == "concise" or is_null_value("objectList", item)
            shown[member] = item if bare else [{"object": target} for target in item]
        elif member == "vocab" or member == "previousVocab":
            shown[member] = self._vocab(item)
        elif member == "objectType":
            shown[member] = compact(item[0]) if len(item) == 1 else [compact(name) for name in item]
        elif member == "valueType" or member == "entityTypeSealed":
            shown[member] = compact(item)

    def _vocab(self, item: Any) -> Any:
        if type(item) is list:
            return [self._compact(iri) for iri in item]
        return item if item == NGSI_LD_NULL else self._compact(item)

    def _adapted_all(self, attribute: str, instances: list[Instance]) -> list[Instance]:
        """The instances of a sub-attribute in the language and the version that are asked for."""
        if self._version is not None:
            instances = shown_instances(attribute, instances, self._version)
        return [self._adapted(instance) for instance in instances]

    def _adapted(self, instance: Instance) -> Instance:
        """An instance with its own members in the language and the version that are asked for."""
        if self._ranges is not None and "languageMap" in instance:
            instance = self._in_one_language(instance)
        return instance if self._version is None else amended(instance, self._version, self._compact)

    def _in_one_language(self, instance: Instance) -> Instance:
        """A LanguageProperty as a Property with one text and the sub-member lang (4.15)."""
        assert self._ranges is not None
        language_map = instance["languageMap"]
        tag = choose_language(language_map, self._ranges)
        if tag is None or is_null_value("languageMap", language_map):
            return instance
        shown: Instance = {}
        for member, item in instance.items():
            if member == "type":
                shown["type"] = "Property"
            elif member == "languageMap":
                shown["value"] = item[tag]
                shown["lang"] = tag
            elif member == "previousLanguageMap":
                previous = choose_language(item, self._ranges)
                shown["previousValue"] = NGSI_LD_NULL if previous is None else item[previous]
            elif member != "valueType":
                shown[member] = item
        return shown

    def _simplified(self, instance: Instance) -> Any:
        kind = KINDS[instance["type"]]
        value = instance[kind.value]
        if is_null_value(kind.value, value):
            return NGSI_LD_NULL
        if kind.value == "vocab":
            return {"vocab": self._vocab(value)}
        if kind.value == "languageMap":
            return {"languageMap": value}
        if kind.value == "json":
            return {"json": value}
        return value

    def _is_deletion(self, shown: JsonObject) -> bool:
        """Whether type and value are all there is, and the value is the NGSI-LD Null: then the null alone is shown (5.8.6)."""
        value_member = KINDS[shown["type"]].value
        return value_member in shown and is_null_value(value_member, shown[value_member])

    # linked entities (4.5.23)

    def _joined(self, entity_id: str, iri: str, instances: Sequence[Instance], view: View) -> Any:
        """An attribute with relationships among its instances, their linked entities inline."""
        below = view.linked(iri)
        entered = entity_id not in self._path
        self._path.add(entity_id)
        alone = len(instances) == 1
        if self._format == "simplified":
            shown = [self._simplified_link(instance, below) for instance in instances]
            result = _simplified_instances(instances, shown)
        else:
            rendered = [self._link(instance, below, alone) for instance in instances]
            result = rendered[0] if alone else rendered
        if entered:
            self._path.discard(entity_id)
        return result

    def _link(self, instance: Instance, below: View, alone: bool) -> Any:
        shown = self._normalized(instance, alone) if self._format == "normalized" else self._concise(instance, alone)
        if instance["type"] in _LINKING and type(shown) is dict:
            found = [entity for target in targets(instance) if (entity := self._target(target, below))]
            if found:
                if instance["type"] == "ListRelationship":
                    shown["entityList"] = found
                else:
                    shown["entity"] = found[0] if type(instance["object"]) is str else found
        return shown

    def _simplified_link(self, instance: Instance, below: View) -> Any:
        if instance["type"] not in _LINKING:
            return self._simplified(instance)
        found = [self._target(target, below) or target for target in targets(instance)]
        return found[0] if type(instance.get("object")) is str else found

    def _target(self, entity_id: str, view: View) -> JsonObject | None:
        """The linked entity, unless it is unknown or contains the place where it would stand."""
        if entity_id not in self._linked or entity_id in self._path:
            return None
        self._inlined += 1
        if self._inlined > MAX_INLINED:
            raise TooManyResults(f"join: more than {MAX_INLINED} linked entities inside one; lower joinLevel")
        return self.entity(self._linked[entity_id], view)


def _simplified_instances(instances: Sequence[Instance], shown: Sequence[Any]) -> Any:
    """Simplified values of an attribute's instances: the only one, or a map by datasetId (4.5.4)."""
    if len(shown) == 1:
        return shown[0]
    return {
        "dataset": {
            instance.get("datasetId", NONE_DATASET): value for instance, value in zip(instances, shown, strict=True)
        }
    }


def _stands_alone(kind: str, value: Any) -> bool:
    """Whether concise input would read a bare value as this Property or GeoProperty again (4.5.2.3)."""
    if type(value) is dict:
        return kind == "GeoProperty" or not (is_geometry_shaped(value) or reads_as_instance(value))
    return type(value) is not list or not reads_as_instances(value)
