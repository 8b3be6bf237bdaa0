"""Entities on their way to and from a broker: names that need no @context, and what differs from what the broker has.

On the wire an entity has full IRIs for every type and attribute that is not in the core @context. So any NGSI-LD broker
understands it without fetching anything, and its answer needs no @context to be read.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from datamodels import Model
from datamodels.model import SUB_ATTRIBUTES

Entity: TypeAlias = dict[str, Any]

_NGSI_LD: Final = "https://uri.etsi.org/ngsi-ld/"
_OF_THE_BROKER: Final = frozenset(["createdAt", "modifiedAt", "instanceId"])


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


def to_wire(entity: Mapping[str, Any], model: Model) -> Entity:
    """An entity with short names (as decoders make it) with the names that any broker understands."""
    wire: Entity = {"id": entity["id"], "type": model.iri}
    for name, attribute in model.attributes.items():
        if name in entity:
            wire[attribute.wire_name] = {SUB_ATTRIBUTES.get(key, key): value for key, value in entity[name].items()}
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
    now = {_expanded(name): value for name, value in current.items()}
    differing = {
        name: value
        for name, value in entity.items()
        if name not in ("id", "type") and not _says(now.get(_expanded(name)), value)
    }
    removed = tuple(sorted(name for name in owned if name not in entity and _expanded(name) in now))
    if not differing and not removed:
        return None
    return Change({"id": entity["id"], "type": entity["type"], **differing}, removed)


def _expanded(name: str) -> str:
    return _NGSI_LD + name.removeprefix("ngsi-ld:") if name.startswith("ngsi-ld:") else name


def _says(current: Any, wanted: Any) -> bool:
    """Whether a broker's attribute holds all of the wanted one and nothing more, but for what brokers add themselves."""
    if not isinstance(current, dict) or not isinstance(wanted, dict):
        return _same(current, wanted)
    members = {_expanded(name): value for name, value in current.items() if name not in _OF_THE_BROKER}
    expected = {_expanded(name): value for name, value in wanted.items()}
    return members.keys() == expected.keys() and all(
        _says(members[name], value) if name.startswith(("http:", "https:")) else _same(members[name], value)
        for name, value in expected.items()
    )


def _same(left: Any, right: Any) -> bool:
    """Whether two JSON values are the same; brokers that answer in compacted JSON-LD give [x] back as x."""
    if isinstance(left, list) != isinstance(right, list):
        return (left if isinstance(left, list) else [left]) == (right if isinstance(right, list) else [right])
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    return bool(left == right)
