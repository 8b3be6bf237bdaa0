"""Temporal evolutions as clients see them: normalized (4.5.6 to 4.5.8), simplified (4.5.9) or aggregated (4.5.19)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from broker.model.entity import Entity, Instance, JsonObject, Names
from broker.model.evolution import SCOPE, SIMPLIFIED
from broker.model.language import choose_language, parse_language_filter
from broker.model.members import is_null_value
from broker.model.projection import Projection
from broker.model.representation import View, represent
from broker.model.terms import KINDS, NGSI_LD_NULL
from broker.model.versions import Version, amended, shown_instances, shown_types, shows_member
from broker.query.temporal import TimeProperty
from broker.store.protocol import Evolution, HistoryEntry
from broker.temporal.aggregation import Aggregation, Aggregator

TemporalFormat: TypeAlias = Literal["normalized", "temporalValues", "aggregatedValues"]


@dataclass(frozen=True, slots=True)
class TemporalView:
    """How evolutions are to be shown; `time` is the Temporal Property that stands beside simplified values, `version` an
    earlier one of NGSI-LD to conform to (4.3.6.8)."""

    format: TemporalFormat = "normalized"
    sys_attrs: bool = False
    lang: str | None = None
    projection: Projection | None = None
    time: TimeProperty | None = None
    aggregation: Aggregation | None = None
    version: Version | None = None

    def keeps(self, attribute: str) -> bool:
        """Whether an attribute (IRI), or the scope, is shown."""
        if self.projection is None:
            return True
        return self.projection.keeps_member(SCOPE) if attribute == SCOPE else self.projection.keeps(attribute)


def represent_evolution(
    evolution: Evolution,
    entries: Sequence[HistoryEntry],
    others: Iterable[HistoryEntry],
    names: Names,
    view: TemporalView,
) -> JsonObject:
    """One evolution with these entries, in their order.

    `others` are entries of attributes that have instances elsewhere in the time asked for: they are shown as empty.
    """
    by_attribute: dict[str, list[HistoryEntry]] = {}
    for entry in entries:
        by_attribute.setdefault(entry.attribute, []).append(entry)
    if view.version is not None:
        by_attribute = {name: kept for name, own in by_attribute.items() if (kept := _known(name, own, view.version))}
        others = [entry for entry in others if _known(entry.attribute, [entry], view.version)]
    empty = {entry.attribute: entry for entry in others if entry.attribute not in by_attribute}
    document = _head(evolution, names, view)
    if view.format == "temporalValues":
        for attribute, instances in by_attribute.items():
            document[_name(attribute, names)] = _simplified(instances, names, view)
        for attribute, entry in empty.items():
            kind, _ = _value(entry, names, view)
            document[_name(attribute, names)] = {"type": kind, SIMPLIFIED[kind]: []}
        return document
    document |= _normalized(evolution, by_attribute, names, view)
    for attribute in empty:
        document[_name(attribute, names)] = []
    return document


def represent_aggregated(evolution: Evolution, aggregator: Aggregator, names: Names, view: TemporalView) -> JsonObject:
    """One evolution with aggregated values (4.5.19)."""
    document = _head(evolution, names, view)
    for attribute in aggregator.attributes():
        shown = aggregator.represented(attribute)
        if view.version is not None:
            version, instances = view.version, shown_instances(attribute, shown, view.version)
            shown = [amended(instance, version, names.compact) for instance in instances]
        if shown:
            document[_name(attribute, names)] = shown[0] if len(shown) == 1 else shown
    return document


def _known(attribute: str, entries: list[HistoryEntry], version: Version) -> list[HistoryEntry]:
    """The entries of an attribute, or of the scope, that there can be in an earlier version."""
    if attribute == SCOPE:
        return entries if shows_member(SCOPE, version) else []
    shown = shown_instances(attribute, [entry.instance for entry in entries], version)
    kept = {id(instance) for instance in shown}
    return [entry for entry in entries if id(entry.instance) in kept]


def _name(attribute: str, names: Names) -> str:
    return attribute if attribute == SCOPE else names.compact(attribute)


def _head(evolution: Evolution, names: Names, view: TemporalView) -> JsonObject:
    known = evolution.types if view.version is None else shown_types(evolution.types, view.version)
    types = [names.compact(name) for name in known]
    head: JsonObject = {"id": evolution.entity_id, "type": types[0] if len(types) == 1 else types}
    if view.sys_attrs:
        head["createdAt"] = evolution.created_at
        head["modifiedAt"] = evolution.modified_at
        if evolution.deleted_at is not None:
            head["deletedAt"] = evolution.deleted_at
    if view.projection is None:
        return head
    return {member: value for member, value in head.items() if view.projection.keeps_member(member)}


def _normalized(
    evolution: Evolution, by_attribute: dict[str, list[HistoryEntry]], names: Names, view: TemporalView
) -> JsonObject:
    """Each attribute as an array of its instances, with their instanceId."""
    shown: JsonObject = {}
    state: Entity = {
        "id": evolution.entity_id,
        "type": list(evolution.types),
        "attrs": {
            attribute: [entry.instance | {"instanceId": entry.instance_id} for entry in entries]
            for attribute, entries in by_attribute.items()
            if attribute != SCOPE
        },
        "createdAt": evolution.created_at,
        "modifiedAt": evolution.modified_at,
        "version": 0,
    }
    rendered = represent(state, names, View(sys_attrs=view.sys_attrs, lang=view.lang, version=view.version))
    if SCOPE in by_attribute:
        shown[SCOPE] = [_scope(entry, view) for entry in by_attribute[SCOPE]]
    for attribute in state["attrs"]:
        instances = rendered[names.compact(attribute)]
        shown[names.compact(attribute)] = instances if isinstance(instances, list) else [instances]
    return shown


def _scope(entry: HistoryEntry, view: TemporalView) -> Instance:
    hidden = () if view.sys_attrs else ("createdAt", "modifiedAt")
    shown = {member: value for member, value in entry.instance.items() if member not in hidden}
    return shown | {"value": _scope_value(entry), "instanceId": entry.instance_id}


def _scope_value(entry: HistoryEntry) -> Any:
    scopes = entry.instance["value"]
    return scopes[0] if isinstance(scopes, list) and len(scopes) == 1 else scopes


def _simplified(entries: Sequence[HistoryEntry], names: Names, view: TemporalView) -> Any:
    """The pairs of an attribute; an array of objects where it has several datasets, or kinds over time."""
    groups: dict[tuple[str | None, str], JsonObject] = {}
    for entry in entries:
        kind, value = _value(entry, names, view)
        group = groups.get((entry.dataset_id, kind))
        if group is None:
            group = groups[entry.dataset_id, kind] = {"type": kind}
            if entry.dataset_id is not None and (view.version is None or shows_member("datasetId", view.version)):
                group["datasetId"] = entry.dataset_id
            group[SIMPLIFIED[kind]] = []
        group[SIMPLIFIED[kind]].append([value, _time(entry, view)])
    shown = list(groups.values())
    return shown[0] if len(shown) == 1 else shown


def _time(entry: HistoryEntry, view: TemporalView) -> Any:
    """The Temporal Property of an instance that stands beside its value."""
    instance = entry.instance
    wanted = view.time or "observedAt"
    return instance.get(wanted, instance.get("modifiedAt", entry.recorded_at))


def _value(entry: HistoryEntry, names: Names, view: TemporalView) -> tuple[str, Any]:
    """The kind that an instance is shown as, and its value."""
    if entry.attribute == SCOPE:
        return "Property", _scope_value(entry)
    kind = KINDS[entry.instance["type"]]
    value = entry.instance[kind.value]
    null = is_null_value(kind.value, value)
    if kind.value == "languageMap" and view.lang is not None and not null:
        tag = choose_language(value, parse_language_filter(view.lang))
        if tag is not None:
            return "Property", value[tag]
    if view.version is not None:
        instance = amended(entry.instance, view.version, names.compact)
        kind = KINDS[instance["type"]]
        value = instance[kind.value]
    if kind.value == "languageMap":
        return kind.name, {"languageMap": value}
    if null:
        return kind.name, NGSI_LD_NULL
    if kind.value == "vocab":
        return kind.name, {
            "vocab": [names.compact(each) for each in value] if isinstance(value, list) else names.compact(value)
        }
    if kind.value == "json":
        return kind.name, {"json": value}
    return kind.name, value
