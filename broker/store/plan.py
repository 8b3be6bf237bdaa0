"""What a batch of decisions on entities comes to: one plan for one commit. Pure: the states and the time are passed in.

`broker.store.writer` gathers the batches, and commits the plans.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from broker.model.change import Change
from broker.model.entity import Entity
from broker.model.expiry import expiry
from broker.store.protocol import Document, EntityKey, Ground, Mutation

Decision: TypeAlias = Callable[[Entity | None], Change | None]
"""Given an entity's state (None: there is none), the change to commit, or None for nothing to do.

The state is without what has expired (4.22): unless the decision raises, the expiry is committed before it, as a change of
its own. Pure: it may be asked again with a newer state. It may raise an NgsiLdError, which reaches its caller only. The writer
sets the `version` of the state that it returns.
"""

Outcome: TypeAlias = Change | Exception | None

Record: TypeAlias = Callable[[Sequence[Outcome]], Document | None]
"""Given the outcomes that a call's requests are about to have, the document that goes into their commit, None for none.

It is asked again whenever the decisions are. The requests of such a call are committed together or not at all.
"""


@dataclass(slots=True, eq=False)
class Request:
    """A decision on one entity, and what its caller waits for. `record` is the same object for all requests of one call, which
    nothing may part."""

    key: EntityKey
    decide: Decision
    done: asyncio.Future[Change | None]
    see_expired: bool = False
    record: Record | None = None

    def belongs_to(self, other: "Request") -> bool:
        """Whether both must be committed together."""
        return self.record is not None and self.record is other.record


@dataclass(slots=True)
class Plan:
    """What a batch comes to on the states read: an outcome for each request, the mutations of those that change, documents.

    `places` says of which request each mutation is; None of those that only remove what has expired.
    """

    outcomes: list[Outcome]
    mutations: list[Mutation]
    places: list[int | None]
    documents: list[Document]


def decide_all(batch: list[Request], states: dict[EntityKey, Entity], now: str, ground: Ground | None = None) -> Plan:
    """Apply the decisions in order, each on the state that the ones before it leave. `ground` is what the states rest on."""
    plan = Plan([], [], [], [])
    current: dict[EntityKey, Entity | None] = dict(states)
    for place, request in enumerate(batch):
        stored = current.get(request.key)
        expired = None if stored is None or request.see_expired else expiry(request.key[0], stored, now)
        try:
            change = request.decide(stored if expired is None else expired.after)
        except Exception as error:  # noqa: BLE001 - it belongs to this request's caller
            plan.outcomes.append(error)
            continue
        plan.outcomes.append(change)
        for step, step_place in ((expired, None), (change, place)):
            if step is not None:
                version = 0 if stored is None else stored["version"]
                step = _versioned(step, version + 1)
                plan.mutations.append(Mutation(step, version, ground, stored))
                plan.places.append(step_place)
                stored = current[request.key] = step.after
    for start, end in _recorded(batch):
        record = batch[start].record
        assert record is not None
        if (document := record(plan.outcomes[start:end])) is not None:
            plan.documents.append(document)
    return plan


def _recorded(batch: list[Request]) -> Iterator[tuple[int, int]]:
    """Where the requests of each call with a record are in a batch: from, up to."""
    start = 0
    for place in range(1, len(batch) + 1):
        if place == len(batch) or not batch[place].belongs_to(batch[start]):
            if batch[start].record is not None:
                yield start, place
            start = place


def middle_of(batch: list[Request]) -> int | None:
    """Where to part a batch, as near to its middle as may be; None where it may not be parted."""
    half = len(batch) // 2
    places = [place for place in range(1, len(batch)) if not batch[place].belongs_to(batch[place - 1])]
    return min(places, key=lambda place: abs(place - half), default=None)


def _versioned(change: Change, version: int) -> Change:
    """A change whose state after it has this version."""
    after = change.after
    if after is None or after.get("version") == version:
        return change
    state = after.copy()
    state["version"] = version
    return replace(change, after=state)
