"""What entities, as decoders give them, come to against what the broker has: pure, entities in, what to write out.

Decoders give parts of entities, the same entity perhaps many times with readings of different times. Of each attribute (and
datasetId) the newest reading is for the entity's state, unless the broker's is newer; the older ones belong into its history.
What the broker says already is not written again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from adapters.contract import Entity
from adapters.wire import Change, change, expanded_names, says

_MEMBERS_OF_ENTITY: Final = frozenset(["id", "type", "scope", "@context"])


@dataclass(slots=True)
class Wanted:
    """One entity as some parts together want it: its newest attributes, older readings by attribute, and what it owns.

    `owned` are names on the wire that are taken away where the entity comes without them.
    """

    entity: Entity
    older: dict[str, list[Any]] = field(default_factory=dict)
    owned: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do to one entity: a change of its state, if any, and readings that go into its history only, by attribute."""

    id: str
    type: str
    change: Change | None
    history: Mapping[str, Sequence[Any]]


def wanted(parts: Iterable[tuple[Entity, frozenset[str]]]) -> dict[str, Wanted]:
    """Parts of entities on the wire, each with what it owns, put together by id, in the order in which the ids come first."""
    found: dict[str, Wanted] = {}
    for part, owned in parts:
        known = found.get(part["id"])
        if known is None:
            found[part["id"]] = known = Wanted({"id": part["id"], "type": part["type"]})
        known.owned = owned
        if owned:
            for name in owned & known.entity.keys() - part.keys():
                del known.entity[name]
        for name, value in part.items():
            if name in ("id", "type"):
                continue
            if name in _MEMBERS_OF_ENTITY or name not in known.entity:
                known.entity[name] = value
            else:
                known.entity[name] = _together(known, name, known.entity[name], value)
    return found


def rounds(parts: Iterable[tuple[Entity, frozenset[str]]]) -> Iterator[list[tuple[Entity, frozenset[str]]]]:
    """The parts in rounds: no entity comes twice in one, and each round has the next part of each entity that has more."""
    waiting: dict[str, list[tuple[Entity, frozenset[str]]]] = {}
    for part in parts:
        waiting.setdefault(part[0]["id"], []).append(part)
    depth = 0
    while found := [parts[depth] for parts in waiting.values() if len(parts) > depth]:
        yield found
        depth += 1


def plan(want: Wanted, current: Entity | None) -> Plan:
    """What is to be done to an entity that the broker has as `current`, both on the wire; None where it has none."""
    if current is None:
        late = {name: found for name, found in want.older.items() if found}
        return Plan(want.entity["id"], want.entity["type"], Change(want.entity, created=True), late)
    entity = dict(want.entity)
    history = {name: list(instances) for name, instances in want.older.items()}
    now = expanded_names(current)
    outdone = set()
    for name, value in want.entity.items():
        if name in _MEMBERS_OF_ENTITY:
            continue
        kept, outdated = _newer(value, now.get(name))
        if outdated:
            history.setdefault(name, []).extend(outdated)
            outdone.add(name)
            if kept is None:
                del entity[name]
            else:
                entity[name] = kept
    changed = change(entity, current, want.owned - outdone)
    return Plan(entity["id"], entity["type"], changed, {name: found for name, found in history.items() if found})


def new_instances(history: Mapping[str, Sequence[Any]], known: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Of readings by attribute, those that an entity's history (normalized, 4.5.6) does not hold yet, each once."""
    there = expanded_names(known)
    found: dict[str, list[Any]] = {}
    for name, instances in history.items():
        had = list(_listed(there.get(name, [])))
        for instance in instances:
            if not any(says(each, instance) for each in had if _same_reading(each, instance)):
                found.setdefault(name, []).append(instance)
                had.append(instance)
    return found


def span(history: Mapping[str, Sequence[Any]]) -> tuple[str, str]:
    """The first and the last instant of readings by attribute."""
    instants = sorted((instance["observedAt"] for each in history.values() for instance in each), key=moment)
    return instants[0], instants[-1]


def moment(text: str) -> datetime:
    """The instant that a text of the standard's form (4.8) means."""
    return datetime.fromisoformat(text)


def _together(want: Wanted, name: str, before: Any, after: Any) -> Any:
    """The newest of two values of an attribute, by datasetId; older readings go to `want.older`."""
    newest = {_dataset(each): each for each in _listed(before)}
    for each in _listed(after):
        known = newest.get(_dataset(each))
        if known is None or not _is_reading(known) or not _is_reading(each):
            newest[_dataset(each)] = each
            continue
        if known == each:
            continue
        older, newer = sorted((known, each), key=lambda reading: moment(reading["observedAt"]))
        newest[_dataset(each)] = newer
        if moment(older["observedAt"]) < moment(newer["observedAt"]):
            want.older.setdefault(name, []).append(older)
    values = list(newest.values())
    return values[0] if len(values) == 1 else values


def _newer(value: Any, current: Any) -> tuple[Any, list[Any]]:
    """Of an attribute's instances, those that the broker has nothing newer than (None: there is none), and the others."""
    standing = {_dataset(each): each for each in _listed(current) if _is_reading(each)} if current is not None else {}
    kept: list[Any] = []
    outdated: list[Any] = []
    for each in _listed(value):
        known = standing.get(_dataset(each))
        late = known is not None and _is_reading(each) and moment(each["observedAt"]) < moment(known["observedAt"])
        (outdated if late else kept).append(each)
    if not outdated:
        return value, []
    return (kept[0] if len(kept) == 1 else kept or None), outdated


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else [value]


def _dataset(instance: Any) -> str | None:
    return instance.get("datasetId") if isinstance(instance, dict) else None


def _is_reading(instance: Any) -> bool:
    return isinstance(instance, dict) and isinstance(instance.get("observedAt"), str)


def _same_reading(left: Any, right: Any) -> bool:
    """Whether two instances are of the same instant and datasetId."""
    return (
        _is_reading(left)
        and _dataset(left) == _dataset(right)
        and moment(left["observedAt"]) == moment(right["observedAt"])
    )
