"""Bring a broker to what decoded entities say, in batches: compare, write what differs, add late readings to the history.

The comparison makes the same input twice no event, with any broker. Each batch has a key, made of the group's key, its place and
its content: sent again after a crash it is the same request, and the broker gives it one effect.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from adapters.contract import Entity
from adapters.errors import BrokerRefused, OutcomeUnknown
from adapters.ngsild_client import BATCH, NgsiLdClient, portions
from adapters.planning import Plan, Wanted, new_instances, plan, rounds, span, wanted
from adapters.wire import to_wire
from datamodels import Model, models

MOST_BYTES: Final = 768 * 1024
"""Bytes of entities in one request: some brokers take 1 MB at most."""
IN_FLIGHT: Final = 4
"""Batches that may be under way at the same time: the back-pressure of a run."""

HISTORIES_AT_ONCE: Final = 8
ATTEMPTS: Final = 3
"""How often a batch is compared and written before what the broker still will not have counts as refused."""

Parts = Sequence[tuple[Entity, frozenset[str]]]
"""Parts of entities on the wire, in order, each with the names on the wire that it owns."""


@dataclass(slots=True)
class Applied:
    """What became of entities: counts of `created`, `updated`, `unchanged`, `late` (readings for the history), `deleted`, and
    `failed`; and why, by id, for those that the broker would not have."""

    counts: Counter[str] = field(default_factory=Counter)
    failed: dict[str, str] = field(default_factory=dict)

    def add(self, other: "Applied") -> None:
        """Count another one in."""
        self.counts.update(other.counts)
        self.failed.update(other.failed)


def parts_of(entities: Iterable[Entity], owned: Mapping[str, frozenset[str]]) -> list[tuple[Entity, frozenset[str]]]:
    """Entities with short names, as decoders give them, as parts on the wire. `owned` has what they own, by type."""
    known = models()
    on_wire = {kind: _on_wire(names, known.get(kind)) for kind, names in owned.items()}
    nothing: frozenset[str] = frozenset()
    return [(to_wire(each, known.get(each["type"])), on_wire.get(each["type"], nothing)) for each in entities]


def _on_wire(names: frozenset[str], model: Model | None) -> frozenset[str]:
    if model is None:
        return names
    return frozenset(model.attributes[name].wire_name if name in model.attributes else name for name in names)


OnProgress = Callable[[int, Applied], Awaitable[None]]
"""Told how many batches are done without a gap, and what those came to."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Entities that are compared and written together.

    `end` is how many entities it and the batches before it have, `after` how many batches must have ended before it begins.
    """

    entities: Sequence[Wanted]
    end: int
    after: int = 0


def batches(parts: Parts, *, in_turn: bool) -> list[Batch]:
    """The parts as batches. `in_turn`: each reading of an entity becomes its state, one after the other; else the newest does."""
    found: list[Batch] = []
    end = 0
    for group in rounds(parts) if in_turn else [parts]:
        after = len(found)
        for together in portions(wanted(group).values(), lambda each: _weight(each.entity), BATCH, MOST_BYTES):
            end += len(together)
            found.append(Batch(together, end, after))
    return found


def _weight(entity: Entity) -> int:
    """The bytes of an entity in a request; 0 where it cannot be written, which is told when it is to be."""
    try:
        return len(orjson.dumps(entity)) + 1
    except TypeError:
        return 0


async def apply(
    client: NgsiLdClient, todo: Sequence[Batch], key: str, done: int, before: Applied, on_progress: OnProgress
) -> Applied:
    """Apply all batches but the first `done`, which came to `before`, several at a time; what all came to.

    Raises BrokerUnreachable; what the broker refuses is in `failed`.
    """
    results: list[Applied | None] = [None] * len(todo)
    results[:done] = [Applied()] * done
    sofar = Applied(Counter(before.counts), dict(before.failed))
    low = done
    all_new = False
    room = asyncio.Semaphore(IN_FLIGHT)
    moved = asyncio.Condition()

    async def bring(place: int) -> None:
        nonlocal low, all_new
        async with moved:
            await moved.wait_for(lambda: low >= todo[place].after)
        async with room:
            # Where all of a batch was new, the next one most likely is: it need not be compared first.
            result = await apply_batch(client, todo[place].entities, f"{key}/{place}", new=all_new)
            all_new = result.counts["created"] == len(todo[place].entities)
        async with moved:
            results[place] = result
            while low < len(results) and (ended := results[low]) is not None:
                sofar.add(ended)
                low += 1
            moved.notify_all()
            await on_progress(low, sofar)

    waiting: set[asyncio.Task[None]] = set()
    try:
        for place in range(done, len(todo)):
            if len(waiting) >= 2 * IN_FLIGHT:
                waiting = await _some_done(waiting)
            waiting.add(asyncio.create_task(bring(place)))
        while waiting:
            waiting = await _some_done(waiting)
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    return sofar


async def apply_batch(client: NgsiLdClient, batch: Sequence[Wanted], key: str, *, new: bool = False) -> Applied:
    """Apply one batch; what became of it. Raises BrokerUnreachable.

    `new`: the broker is expected to have none of the entities, so they are created without comparing; those that are there
    are compared then. Where the broker will not have the batch as a whole, its halves are tried: one entity that cannot be
    read keeps no other out.
    """
    applied = Applied()
    rest = list(batch)
    reasons: dict[str, str] = {}
    for attempt in range(ATTEMPTS):
        compared = attempt > 0 or not new
        plans = await _plans(client, rest) if compared else [plan(each, None) for each in rest]
        try:
            done, reasons = await _carry_out(client, plans, f"{key}/{attempt}")
        except OutcomeUnknown as unknown:
            reasons = {each.id: str(unknown) for each in plans}
            continue
        except BrokerRefused as refusal:
            if refusal.of_body and len(rest) > 1:
                half = len(rest) // 2
                for place, some in enumerate((rest[:half], rest[half:])):
                    applied.add(await apply_batch(client, some, f"{key}/{attempt}.{place}"))
                return applied
            reasons = {each.id: str(refusal) for each in plans}
            break
        applied.add(done)
        rest = [each for each in rest if each.entity["id"] in reasons]
        if not rest:
            break
    applied.add(Applied(Counter(failed=len(reasons)), reasons))
    return applied


async def _carry_out(client: NgsiLdClient, plans: Sequence[Plan], key: str) -> tuple[Applied, dict[str, str]]:
    """Do what is planned; what became of it, and what was not created, with the reason: it is there by now, or cannot be.

    Raises BrokerUnreachable, BrokerRefused, OutcomeUnknown.
    """
    changes = [each.change for each in plans if each.change is not None]
    new = [each.fragment for each in changes if each.created]
    fragments = [each.fragment for each in changes if not each.created and each.attributes]
    there = await client.create(new, key=f"{key}/c") if new else {}
    refused = await client.upsert(fragments, key=f"{key}/u") if fragments else {}
    for found in changes:
        if found.id not in refused:
            for name in found.removed:
                await client.delete_attribute(found.id, name)
    late = [each for each in plans if each.history and each.id not in there]
    told, refused_late = await _add_history(client, late, f"{key}/h")
    failed = refused_late | refused
    counts = Counter(
        created=len(new) - len(there),
        updated=sum(not each.created and each.id not in refused for each in changes),
        unchanged=len(plans) - len(changes),
        failed=len(failed),
        late=told,
    )
    return Applied(counts, failed), there


async def delete(client: NgsiLdClient, ids: Iterable[str], key: str) -> Applied:
    """Delete entities; what became of them. Raises BrokerUnreachable."""
    applied = Applied()
    listed = list(dict.fromkeys(ids))
    for start in range(0, len(listed), BATCH):
        some = listed[start : start + BATCH]
        try:
            failed = await client.delete_entities(some, key=f"{key}/d{start}")
        except OutcomeUnknown:
            failed = await client.delete_entities(some)
        except BrokerRefused as refusal:
            failed = dict.fromkeys(some, str(refusal))
        applied.add(Applied(Counter(deleted=len(some) - len(failed), failed=len(failed)), failed))
    return applied


async def _plans(client: NgsiLdClient, batch: Sequence[Wanted]) -> list[Plan]:
    by_type: dict[str, list[str]] = {}
    for each in batch:
        by_type.setdefault(each.entity["type"], []).append(each.entity["id"])
    current: dict[str, Entity] = {}
    for kind, ids in by_type.items():
        current.update(await client.entities(kind, ids))
    return [plan(each, current.get(each.entity["id"])) for each in batch]


async def _add_history(client: NgsiLdClient, plans: Sequence[Plan], key: str) -> tuple[int, dict[str, str]]:
    """Add late readings to the history, those that it has not; how many that were, and why others were refused, by entity."""
    room = asyncio.Semaphore(HISTORIES_AT_ONCE)
    failed: dict[str, str] = {}

    async def add(found: Plan) -> int:
        async with room:
            try:
                return await new_to_history(found)
            except OutcomeUnknown:
                raise
            except BrokerRefused as refusal:
                failed[found.id] = str(refusal)
                return 0

    async def new_to_history(found: Plan) -> int:
        known = await client.history(found.id, found.history, *span(found.history))
        new = new_instances(found.history, known)
        if new:
            evolution: Mapping[str, Any] = {"id": found.id, "type": found.type, **new}
            await client.append_history(evolution, key=key)
        return sum(map(len, new.values()))

    return sum(await asyncio.gather(*map(add, plans))), failed


async def _some_done(tasks: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
    """Wait until one has ended; those that have not. Raises what one raised."""
    done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    try:
        for task in done:
            task.result()
    except BaseException:
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)
        raise
    return rest
