"""The fields beside an entity's body that queries search by, derived from its state.

  types, scopes    lists of IRIs and of scopes ("/a/b"); scopes only where there are any
  names, kinds     IRIs of the attributes, ascending, and their kinds in the same order; one attribute may be there twice
  values           {field: [scalar, ...]}, the target values of q (4.9) that can be compared, in a range, or tell a pattern
  elements         {field: [scalar, ...]}, what can be equal only: elements of arrays, objects of relationships
  instants         {field: [string, ...]}, those of either that are a DateTime, Date or Time, in an order-preserving form
  cells            quadtree cells of the GeoProperties (broker.store.mongo.cells), by tenant and attribute
  expires          when the entity expires (4.22), microseconds since 1970
  doubtful         fields about whose values the three above do not tell the whole truth
  lapses           when the first instance of an attribute expires, from when on the above may be too much, microseconds

A field of `values` is an attribute's escaped IRI, or that and "%observedAt". A condition compiled to these fields never
misses an entity that matches, except one that is doubtful there; `broker.query.evaluate` has the last word.
"""

from datetime import date, datetime
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
INT64: Final = range(-(2**63), 2**63)
OPTIONAL: Final = ("scopes", "cells", "expires", "lapses", "doubtful", "elements", "instants")

_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def microseconds(instant: str) -> int:
    """A DateTime string as microseconds since 1970. Raises ValueError."""
    elapsed = parse_instant(instant) - _EPOCH
    return (elapsed.days * 86_400 + elapsed.seconds) * 1_000_000 + elapsed.microseconds


def instant_string(text: str) -> str | None:
    """A DateTime, Date or Time as a string that orders like the points in time of its kind; None for any other string."""
    found = temporal(text)
    if found is None:
        return None
    kind, moment = found
    if isinstance(moment, datetime):
        moment = moment.replace(tzinfo=None)
    elif isinstance(moment, date):
        return f"{kind} {moment.isoformat()}"
    return f"{kind} {moment.isoformat(timespec='microseconds')}"


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


class _Search:
    def __init__(self, tenant: str, entity: Entity) -> None:
        self.tenant = tenant
        self.entity = entity
        self.values: dict[str, list[Any]] = {}
        self.elements: dict[str, list[Any]] = {}
        self.instants: dict[str, list[str]] = {}
        self.cells: list[str] = []
        self.doubtful: set[str] = set()
        self.lapses: int | None = None

    def fields(self) -> dict[str, Any]:
        entity = self.entity
        for attribute, instances in entity["attrs"].items():
            field = escape_name(attribute)
            for instance in instances:
                self._instance(attribute, field, instance)
        fields: dict[str, Any] = {
            "values": self.values,
        }
        fields |= attribute_kinds(entity)
        for name in ("createdAt", "modifiedAt"):
            self._scalar(name, entity[name], self.values)
        if scopes := entity.get("scope"):
            fields["scopes"] = [scope_string(scope) for scope in scopes]
        if (expires := entity.get("expiresAt")) is not None:
            fields["expires"] = microseconds(expires)
        for optional in ("elements", "instants", "cells"):
            if found := getattr(self, optional):
                fields[optional] = found
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
            self._scalar(observed_field(field), observed, self.values)
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

    def _target(self, field: str, target: Any, among: dict[str, list[Any]]) -> None:
        target = plain(target)
        if isinstance(target, list):
            for element in target:
                self._scalar(field, plain(element), self.elements)
        else:
            self._scalar(field, target, among)

    def _scalar(self, field: str, value: Any, among: dict[str, list[Any]]) -> None:
        if isinstance(value, str):
            if len(value) > LONGEST_STRING:
                self.doubtful.add(field)
                return
            instant = instant_string(value)
            if instant is not None and among is self.values:
                self.instants.setdefault(field, []).append(instant)
            elif instant is not None:
                self.doubtful.add(field)  # rare enough to leave to the evaluator: an array of times
        elif isinstance(value, int):
            if value not in INT64:
                self.doubtful.add(field)
                return
        elif not isinstance(value, float):
            return
        held = among.setdefault(field, [])
        if len(held) < MOST_VALUES:
            held.append(value)
        else:
            self.doubtful.add(field)
