"""The fields beside an entity's body that queries search by, derived from its state.

  types, scopes    lists of IRIs and of scopes ("/a/b"); scopes only where there are any
  names, kinds     IRIs of the attributes, ascending, and their kinds in the same order; one attribute may be there twice
  values           {field: scalar or [scalar, ...]}, target values of q (4.9) that can be equal, in a range, or tell a pattern
  elements         {field: the same}, what can be equal only: elements of arrays, objects of relationships
  instants         {field: the same}, those of `values` that are a DateTime, as microseconds since 1970, or a Date or Time
  doubtful         fields about whose values the three above do not tell the whole truth
  lapses           when the first instance of an attribute expires, from when on the above may be too much, microseconds

A field is an attribute's escaped IRI, or that and "%observedAt", or createdAt or modifiedAt (those with instants only).
A condition compiled to these fields never misses an entity that matches, except one that is doubtful there;
`broker.query.evaluate` has the last word.
"""

from collections.abc import Iterable
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Final

from broker.model.entity import Entity, Instance
from broker.model.instants import parse_instant
from broker.model.terms import KINDS
from broker.query.geometry import bounding_box
from broker.query.scopes import scope_levels
from broker.query.values import plain, temporal
from broker.store.mongo.cells import covering
from broker.store.mongo.encoding import SEPARATOR, escape_name

LONGEST_STRING: Final = 256
MOST_VALUES: Final = 64
"""Of one field; with more of them, or longer strings, the field is doubtful."""
MOST_PATHS: Final = 32
"""Fields within `values`, `instants` or `elements` that are written one by one: each costs the server a walk through them all."""
INT64: Final = range(-(2**63), 2**63)
OPTIONAL: Final = ("scopes", "cells", "expires", "lapses", "doubtful", "elements")

_BY_FIELD: Final = frozenset({"values", "instants", "elements"})
_OF_THE_ENTITY: Final = ("type", "scope", "expiresAt")

_CANONICAL: Final = len("2026-01-01T00:00:00.000000Z")
_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def microseconds(instant: str) -> int:
    """A DateTime string as microseconds since 1970. Raises ValueError."""
    return _microseconds(parse_instant(instant))


def _microseconds(moment: datetime) -> int:
    elapsed = moment - _EPOCH
    return (elapsed.days * 86_400 + elapsed.seconds) * 1_000_000 + elapsed.microseconds


def instant_of(text: str) -> int | str | None:
    """A DateTime as microseconds since 1970; a Date or Time as text that orders within its kind; None for other strings."""
    if len(text) == _CANONICAL and text[10] == "T" and text[19] == "." and text[26] == "Z":
        # As the broker itself writes it: many moments have their second in common.
        second, fraction = _instant_of(text[:19] + "Z"), text[20:26]
        if isinstance(second, int) and fraction.isascii() and fraction.isdigit():
            return second + int(fraction)
    return _instant_of(text)


@lru_cache(maxsize=8192)
def _instant_of(text: str) -> int | str | None:
    found = temporal(text)
    if found is None:
        return None
    kind, moment = found
    if isinstance(moment, datetime):
        return _microseconds(moment)
    return f"{kind} {moment.isoformat() if isinstance(moment, date) else moment.isoformat('microseconds')}"


def scope_string(scope: str) -> str:
    """A scope with its leading slash, which is optional (4.18)."""
    return "/" + "/".join(scope_levels(scope))


def cell_string(tenant: str, attribute: str, cell: str) -> str:
    """A cell's entry in the index: the tenant leads, then the GeoProperty."""
    return tenant + SEPARATOR + attribute + SEPARATOR + cell


def observed_field(field: str) -> str:
    """The field of an attribute's `observedAt`. No escaped name holds a percent sign before a letter o."""
    return field + "%observedAt"


def attribute_kinds(entity: Entity) -> dict[str, list[str]]:
    """The fields `types`, `names` and `kinds`: equal for entities that are of one kind."""
    kinds = {(name, instance["type"]) for name, instances in entity["attrs"].items() for instance in instances}
    ordered = sorted(kinds)
    return {"types": entity["type"], "names": [name for name, _ in ordered], "kinds": [kind for _, kind in ordered]}


def search_fields(tenant: str, entity: Entity) -> dict[str, Any]:
    """All fields of the module's list that this state has."""
    return _Search(tenant, entity).fields()


def search_changes(tenant: str, before: Entity, after: Entity) -> tuple[dict[str, Any], list[str]]:
    """What to set and what to unset, by path, in a document that has the fields of one state, so that it has those of another.

    Attributes that both states have as the same object are not looked at.
    """
    former, attrs = before["attrs"], after["attrs"]
    changed = [name for name, instances in attrs.items() if former.get(name) is not instances]
    if (
        2 * len(changed) > MOST_PATHS
        or former.keys() != attrs.keys()
        or any(before.get(member) != after.get(member) for member in _OF_THE_ENTITY)
    ):
        return _differences(search_fields(tenant, before), search_fields(tenant, after))
    old, new = _Search(tenant, before), _Search(tenant, after)
    old.gather(changed)
    new.gather(changed)
    if not (
        _kinds(former, changed) == _kinds(attrs, changed)
        and (old.cells, old.doubtful, old.lapses) == (new.cells, new.doubtful, new.lapses)
        and bool(old.elements) == bool(new.elements)
    ):  # every attribute may add to these
        return _differences(search_fields(tenant, before), search_fields(tenant, after))
    for member in ("createdAt", "modifiedAt"):
        if before[member] != after[member]:
            new.instant(member, after[member])
    return _differences(
        {"values": old.values, "instants": old.instants, "elements": old.elements},
        {"values": new.values, "instants": new.instants, "elements": new.elements},
        whole=False,
    )


def _kinds(attrs: dict[str, list[Instance]], names: list[str]) -> list[set[str]]:
    return [{instance["type"] for instance in attrs[name]} for name in names]


def _differences(old: dict[str, Any], new: dict[str, Any], *, whole: bool = True) -> tuple[dict[str, Any], list[str]]:
    """The same of fields. `whole`: all are given, so those of a kind may be written together where they are many."""
    changed: dict[str, Any] = {}
    gone = [name for name in old if name not in new]
    for name, holds in new.items():
        held = old.get(name)
        if name in _BY_FIELD and held is not None:
            written = [field for field in holds if not _same(held.get(field), holds[field])]
            removed = [field for field in held if field not in holds]
            if whole and len(written) + len(removed) > MOST_PATHS:
                changed[name] = holds
                continue
            changed |= {f"{name}.{field}": holds[field] for field in written}
            gone += [f"{name}.{field}" for field in removed]
        elif not _same(held, holds):
            changed[name] = holds
    return changed, gone


def _same(one: Any, other: Any) -> bool:
    """Whether two values of fields are the same to the server: True is not 1."""
    if one is other:
        return True
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and bool(one == other)


class _Search:
    def __init__(self, tenant: str, entity: Entity) -> None:
        self.tenant = tenant
        self.entity = entity
        self.values: dict[str, Any] = {}
        self.elements: dict[str, Any] = {}
        self.instants: dict[str, Any] = {}
        self.cells: list[str] = []
        self.doubtful: set[str] = set()
        self.lapses: int | None = None

    def gather(self, attributes: Iterable[str]) -> None:
        attrs = self.entity["attrs"]
        for attribute in attributes:
            field = escape_name(attribute)
            for instance in attrs[attribute]:
                self._instance(attribute, field, instance)

    def fields(self) -> dict[str, Any]:
        entity = self.entity
        self.gather(entity["attrs"])
        self.instant("createdAt", entity["createdAt"])
        self.instant("modifiedAt", entity["modifiedAt"])
        fields: dict[str, Any] = attribute_kinds(entity) | {"values": self.values, "instants": self.instants}
        if scopes := entity.get("scope"):
            fields["scopes"] = [scope_string(scope) for scope in scopes]
        if (expires := entity.get("expiresAt")) is not None:
            fields["expires"] = microseconds(expires)
        if self.elements:
            fields["elements"] = self.elements
        if self.cells:
            fields["cells"] = self.cells
        if self.doubtful:
            fields["doubtful"] = sorted(self.doubtful)
        if self.lapses is not None:
            fields["lapses"] = self.lapses
        return fields

    def _instance(self, attribute: str, field: str, instance: Instance) -> None:
        if (expires := instance.get("expiresAt")) is not None:
            moment = microseconds(expires)
            self.lapses = moment if self.lapses is None else min(self.lapses, moment)
        if (observed := instance.get("observedAt")) is not None:
            self.instant(observed_field(field), observed)
        kind = KINDS[instance["type"]]
        if kind.value not in instance:
            self.doubtful.add(field)  # an attribute without a value exists for `attrs`, but not for `q`
            return
        target = plain(instance[kind.value])
        if kind.name == "GeoProperty":
            self.cells += [cell_string(self.tenant, attribute, cell) for cell in covering(bounding_box(target))]
        elif kind.name == "LanguageProperty":
            for text in target.values():
                self._target(field, text, self.values)
            if not target:
                self.doubtful.add(field)
        else:
            # What a relationship points to has no order and is in no range: like an element of an array.
            self._target(field, target, self.elements if kind.value.startswith("object") else self.values)

    def _target(self, field: str, target: Any, among: dict[str, Any]) -> None:
        target = plain(target)
        if isinstance(target, list):
            for element in target:
                self._scalar(field, plain(element), self.elements)
        else:
            self._scalar(field, target, among)

    def _scalar(self, field: str, value: Any, among: dict[str, Any]) -> None:
        if isinstance(value, str):
            if len(value) > LONGEST_STRING:
                self.doubtful.add(field)
                return
            self.instant(field, value, of_array=among is self.elements)
        elif isinstance(value, int):
            if value not in INT64:
                self.doubtful.add(field)
                return
        elif not isinstance(value, float):
            return
        self._hold(field, value, among)

    def instant(self, field: str, text: str, *, of_array: bool = False) -> None:
        instant = instant_of(text)
        if instant is None:
            return
        if of_array:
            self.doubtful.add(field)  # rare enough to leave to the evaluator: an array of times
        else:
            self._hold(field, instant, self.instants)

    def _hold(self, field: str, value: Any, among: dict[str, Any]) -> None:
        held = among.get(field)
        if held is None:
            among[field] = value
        elif not isinstance(held, list):
            among[field] = [held, value]
        elif len(held) < MOST_VALUES:
            held.append(value)
        else:
            self.doubtful.add(field)
