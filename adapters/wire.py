"""Entities on their way to and from a broker: names that need no @context, and what differs from what the broker has.

On the wire an entity has full IRIs for every type and attribute that is not in the core @context. So any NGSI-LD broker
understands it without fetching anything, and its answer needs no @context to be read.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from adapters.contract import Entity
from adapters.provenance import PROVENANCE
from datamodels import Model
from datamodels.model import SUB_ATTRIBUTES

_NGSI_LD: Final = "https://uri.etsi.org/ngsi-ld/"
_OF_THE_BROKER: Final = frozenset(["createdAt", "modifiedAt", "instanceId"])
_INSTANTS: Final = frozenset(["observedAt", "expiresAt"])
_VALUES: Final = frozenset(["value", "json", "languageMap", "object", "vocab", "unitCode", "datasetId", "type"])


@dataclass(frozen=True, slots=True)
class Change:
    """What an upsert has to do to one entity: send `fragment` (on the wire), and delete the attributes in `removed`.

    `created` says whether the broker has no such entity yet; the fragment is then the whole entity.
    """

    fragment: Entity
    removed: tuple[str, ...] = ()
    created: bool = False

    @property
    def id(self) -> str:
        """The id of the entity."""
        entity_id: str = self.fragment["id"]
        return entity_id

    @property
    def attributes(self) -> tuple[str, ...]:
        """The wire names of the attributes to send."""
        return tuple(name for name in self.fragment if name not in ("id", "type"))


def to_wire(entity: Mapping[str, Any], model: Model | None) -> Entity:
    """An entity with short names (as decoders make it) with the names that any broker understands.

    A type without model, and an attribute that its model does not have, keep their names.
    """
    wire: Entity = {"id": entity["id"], "type": entity["type"] if model is None else model.iri}
    known = {} if model is None else model.attributes
    for name in (*(name for name in known if name in entity), *(name for name in entity if name not in known)):
        if name in known:
            wire[known[name].wire_name] = _instance_on_wire(entity[name])
        elif name not in ("id", "type"):
            wire[PROVENANCE.get(name, name)] = _instance_on_wire(entity[name])
    return wire


def from_wire(entity: Mapping[str, Any], model: Model) -> Entity:
    """An entity of a broker with the model's short names; attributes that the model does not have are left out."""
    now = {_expanded(name): value for name, value in entity.items()}
    short: Entity = {"id": entity["id"], "type": model.type}
    for name, attribute in model.attributes.items():
        for known in (_expanded(attribute.wire_name), name):
            if known in now:
                short[name] = now[known]
                break
    return short


def change(entity: Entity, current: Entity | None, owned: Iterable[str]) -> Change | None:
    """What makes the broker's `current` entity say what `entity` says; None where it does already.

    Both are on the wire. Attributes in `owned` (wire names) that the entity no longer has are removed; attributes of other
    owners are left alone.
    """
    if current is None:
        return Change(entity, created=True)
    now = expanded_names(current)
    differing = {
        name: value
        for name, value in entity.items()
        if name not in ("id", "type") and not says(now.get(_expanded(name)), value)
    }
    removed = tuple(sorted(name for name in owned if name not in entity and _expanded(name) in now))
    if not differing and not removed:
        return None
    return Change({"id": entity["id"], "type": entity["type"], **differing}, removed)


def expanded_names(entity: Mapping[str, Any]) -> dict[str, Any]:
    """An entity of a broker, with the names that we send: some brokers answer with `ngsi-ld:name`."""
    return {_expanded(name): value for name, value in entity.items()}


def says(current: Any, wanted: Any) -> bool:
    """Whether a broker's attribute holds all of the wanted one and nothing more, but for what brokers add themselves.

    Of an attribute with several instances (4.5.5), each wanted one must be there.
    """
    if current == wanted and repr(current) == repr(
        wanted
    ):  # which tells true from 1; most of what comes again is like that
        return True
    if isinstance(wanted, list):
        there = current if isinstance(current, list) else [current]
        return all(any(says(each, one) for each in there) for one in wanted)
    if isinstance(current, list) and isinstance(wanted, dict):
        return any(says(each, wanted) for each in current)
    if not isinstance(current, dict) or not isinstance(wanted, dict):
        return _same(current, wanted)
    members = {_expanded(name): value for name, value in current.items() if name not in _OF_THE_BROKER}
    expected = {_expanded(name): value for name, value in wanted.items()}
    return members.keys() == expected.keys() and all(
        _member_says(name, members[name], value) for name, value in expected.items()
    )


def _instance_on_wire(attribute: Any) -> Any:
    if isinstance(attribute, list):
        return [_instance_on_wire(each) for each in attribute]
    if not isinstance(attribute, dict) or SUB_ATTRIBUTES.keys().isdisjoint(attribute):
        return attribute
    return {SUB_ATTRIBUTES.get(key, key): value for key, value in attribute.items()}


def _expanded(name: str) -> str:
    return _NGSI_LD + name.removeprefix("ngsi-ld:") if name.startswith("ngsi-ld:") else name


def _member_says(name: str, current: Any, wanted: Any) -> bool:
    if name in _INSTANTS and isinstance(current, str) and isinstance(wanted, str):
        return datetime.fromisoformat(current) == datetime.fromisoformat(wanted)
    if isinstance(wanted, dict) and "type" in wanted and name not in _VALUES:
        return says(current, wanted)
    return _same(current, wanted)


def _same(left: Any, right: Any) -> bool:
    """Whether two JSON values are the same; brokers that answer in compacted JSON-LD give [x] back as x."""
    if isinstance(left, list) != isinstance(right, list):
        return (left if isinstance(left, list) else [left]) == (right if isinstance(right, list) else [right])
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    return bool(left == right)
