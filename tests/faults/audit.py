"""The audit: pure functions that hold what is there at the end against what clients were told.

The log is the middle of it. What clients were told is held against the log; states, history and receipts are held against the
log as well, and must say the same as it does. So a write of which its client knows nothing may be there or not, but if it
is, it is everywhere.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from faults.evidence import Evidence, Logged
from faults.receipt import Receipt
from faults.watch import Watch
from faults.write import EntityKey, Write

MOMENT: Final = 5.0
"""Seconds for which a fault is felt after it has ended."""

Happening: TypeAlias = tuple[EntityKey, int | None]
"""An entity got a number, or (None) was deleted, which happens to an entity once."""


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A fault that was done: of which kind, from when to when (seconds of the monotonic clock)."""

    kind: str
    began: float
    ended: float


def lost_writes(writes: Iterable[Write], evidence: Evidence) -> list[str]:
    """What was acknowledged and is not in the log, or is in the log but not in the history, or not in the state at the end."""
    logged = {happening(change) for change in evidence.log}
    lost = [
        f"{write.kind} {effect.number} of {effect.entity}: not in the log"
        for write in writes
        for effect in write.effects
        if effect.outcome == "acknowledged" and (effect.entity, effect.number) not in logged
    ]
    numbers, last = _by_entity(evidence.log)
    for entity, expected in numbers.items():
        missing = set(expected) - set(evidence.history.get(entity, ()))
        lost += [f"{number} of {entity}: not in the history" for number in sorted(missing)]
        if (last[entity] is None) != (entity in evidence.deleted):
            lost.append(f"{entity}: the history does not tell whether it was deleted")
        if evidence.states.get(entity) != last[entity]:
            lost.append(f"{last[entity]} of {entity}: the state has {evidence.states.get(entity)}")
    lost += [f"{entity}: a state without any change" for entity in evidence.states.keys() - last.keys()]
    return lost


def false_refusals(writes: Sequence[Write], log: Sequence[Logged]) -> list[str]:
    """What is there although its client was told that it is not, or that nobody has asked for at all."""
    logged = {happening(change) for change in log}
    wanted: set[Happening] = set()
    false = []
    for write in writes:
        for effect in write.effects:
            wanted.add((effect.entity, effect.number))
            if effect.outcome == "refused" and (effect.entity, effect.number) in logged:
                false.append(f"{write.kind} {effect.number} of {effect.entity}: refused, and in the log")
    return false + [f"{number} of {entity}: in the log, and nobody's write" for entity, number in logged - wanted]


def half_written(writes: Iterable[Write], log: Sequence[Logged]) -> list[str]:
    """Writes that were to be there as a whole or not at all, and of which a part is there."""
    logged = {happening(change) for change in log}
    halves = []
    for write in writes:
        there = sum((effect.entity, effect.number) in logged for effect in write.effects)
        if write.whole and 0 < there < len(write.effects):
            halves.append(f"{write.kind} {write.effects[0].number}: {there} of {len(write.effects)} effects")
    return halves


def doubled_writes(evidence: Evidence) -> list[str]:
    """What is in the log or in the history more than once."""
    logged = Counter(happening(change) for change in evidence.log)
    recorded = Counter((entity, number) for entity, numbers in evidence.history.items() for number in numbers)
    doubled = [
        f"{number} of {entity}: {times} times in the log" for (entity, number), times in logged.items() if times > 1
    ]
    return doubled + [
        f"{number} of {entity}: {times} times in the history"
        for (entity, number), times in recorded.items()
        if times > 1
    ]


def broken_log(evidence: Evidence) -> list[str]:
    """Where the log has gaps, where a change does not follow on the one before it, where the history has another order."""
    broken = []
    for former, change in zip(evidence.log, evidence.log[1:], strict=False):
        if change.sequence != former.sequence + 1:
            broken.append(f"{change.sequence} follows on {former.sequence}")
    states: dict[EntityKey, int | None] = {}
    for change in evidence.log:
        if change.before != states.get(change.entity):
            broken.append(f"{change.sequence}: {change.entity} had {states.get(change.entity)}, not {change.before}")
        states[change.entity] = change.after
    for entity, numbers in _by_entity(evidence.log)[0].items():
        recorded = evidence.history.get(entity, [])
        if recorded != numbers and Counter(recorded) == Counter(numbers):
            broken.append(f"{entity}: the history has another order than the log")
    return broken


def overtaken_writes(writes: Iterable[Write], log: Sequence[Logged]) -> list[str]:
    """Writes that began after another one of the same entity was acknowledged, and come before it in the log."""
    positions = {happening(change): change.sequence for change in log}
    by_entity: dict[EntityKey, list[tuple[int, Write]]] = defaultdict(list)
    for write in writes:
        for effect in write.effects:
            position = positions.get((effect.entity, effect.number))
            if effect.outcome == "acknowledged" and position is not None:
                by_entity[effect.entity].append((position, write))
    overtaken = []
    for entity, placed in by_entity.items():
        latest = 0.0
        for position, write in sorted(placed, key=lambda each: each[0]):
            if write.ended < latest:
                overtaken.append(f"{entity}: the change at {position} was acknowledged before one ahead of it began")
            latest = max(latest, write.began)
    return overtaken


@dataclass(slots=True)
class Delivery:
    """What one subscription's receiver got. Each is counted in notifications.

    `repeated` are repetitions by their cause; `""` is that of a repetition which no fault explains.
    """

    owed: int = 0
    lost: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)
    repeated: Counter[str] = field(default_factory=Counter)


def delivery(
    watch: Watch, log: Sequence[Logged], receipts: Sequence[Receipt], faults: Sequence[Occurrence]
) -> Delivery:
    """Hold the receipts of one subscription, in order of arrival, against the log.

    A notification that comes with an id that has come before is a repetition. Without repetitions, what came of each entity
    must be in the log's order. A repetition is explained by the last fault of a kind that this receiver may feel, among those
    that began before it came and did not end before it came for the first time, but for a moment: what has piled up while a
    process hung comes when it goes on.
    """
    owed = {happening(change): change.sequence for change in log if watch.concerns(change)}
    found = Delivery(owed=len(owed))
    came: set[Happening] = set()
    first: dict[str, Receipt] = {}
    reached: dict[str, int] = {}
    for receipt in receipts:
        told = (watch.tenant, receipt.entity_id), receipt.number
        if receipt.notification in first:
            found.repeated[_cause(watch, first[receipt.notification], receipt, faults)] += 1
            continue
        first[receipt.notification] = receipt
        position = owed.get(told)
        if position is None:
            found.invented.append(f"{watch.name}: {receipt.number} of {receipt.entity_id}")
            continue
        if told in came:
            found.invented.append(f"{watch.name}: {receipt.number} of {receipt.entity_id}, again under another id")
            continue
        came.add(told)
        if position < reached.get(receipt.entity_id, 0):
            found.disordered.append(f"{watch.name}: {receipt.number} of {receipt.entity_id} came after later ones")
        reached[receipt.entity_id] = max(position, reached.get(receipt.entity_id, 0))
    missing = owed.keys() - came
    found.lost = [
        f"{watch.name}: {owed[each]}, {each[1]} of {each[0]}" for each in sorted(missing, key=owed.__getitem__)
    ]
    return found


def happening(change: Logged) -> Happening:
    """What a change of the log did, as its write wanted it."""
    return change.entity, change.after


def _cause(watch: Watch, first: Receipt, again: Receipt, faults: Sequence[Occurrence]) -> str:
    possible = [
        fault
        for fault in faults
        if fault.kind in watch.felt and fault.began <= again.at and fault.ended + MOMENT >= first.at
    ]
    return max(possible, key=lambda fault: fault.began).kind if possible else ""


def _by_entity(log: Iterable[Logged]) -> tuple[Mapping[EntityKey, list[int]], Mapping[EntityKey, int | None]]:
    """The numbers that each entity had, in order, and the last one, None for one that was deleted."""
    numbers: dict[EntityKey, list[int]] = defaultdict(list)
    last: dict[EntityKey, int | None] = {}
    for change in log:
        last[change.entity] = change.after
        if change.after is not None:
            numbers[change.entity].append(change.after)
        else:
            numbers[change.entity]  # one that was only deleted is one, too
    return numbers, last
