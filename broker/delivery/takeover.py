"""Taking shares over: the courses of their subscriptions, as the store has them (broker.delivery.ledger says what that means)."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from broker.delivery.course import Course
from broker.delivery.gaps import read_overtaken
from broker.delivery.record import DOCUMENTS, is_taken_up, restored_course
from broker.delivery.share import WATERMARK, guard_name, guarded, share_name, share_of
from broker.delivery.subscription import SubscriptionKey
from broker.delivery.undelivered import UNDELIVERED, Undelivered, read_undelivered
from broker.model.entity import JsonObject
from broker.store.protocol import DocumentKey, Lease, Store
from broker.store.retention import Overtaken

SUBSCRIPTIONS: Final = "subscription"
BREATH: Final = 256
"""Subscriptions that are compiled before others have their turn."""


@dataclass(slots=True)
class Estate:
    """What the store has of one share. `watermark`: what its own cursor says, None where it has none yet. `start`: matching goes
    on behind it. `tail`: how much of the log is gone. Courses that are `fresh` have no record yet. What belongs to no
    subscription any more is to be deleted."""

    number: int
    lease: Lease
    watermark: int | None
    start: int
    tail: int
    courses: list[Course] = field(default_factory=list)
    fresh: list[Course] = field(default_factory=list)
    undelivered: list[Undelivered] = field(default_factory=list)
    overtaken: dict[DocumentKey, Overtaken] = field(default_factory=dict)
    deletes: list[DocumentKey] = field(default_factory=list)
    drop_cursors: list[str] = field(default_factory=list)


async def read_estates(store: Store, leases: Mapping[int, Lease], shares: int, now: str) -> dict[int, Estate]:
    """What the store has of the shares that these leases are for, out of so many. Raises StoreUnavailable.

    To be called when the leases are held: then no former holder can change it any more.
    """
    cursors = await store.cursors()
    documents: dict[int, list[tuple[str, JsonObject]]] = {number: [] for number in leases}
    known: set[SubscriptionKey] = set()
    for tenant, subscription_id, document in await store.list_documents(SUBSCRIPTIONS):
        number = share_of((tenant, subscription_id), shares)
        if number in leases:
            documents[number].append((tenant, document))
            known.add((tenant, subscription_id))
    states = {
        (tenant, subscription_id): body
        for tenant, subscription_id, body in await store.list_documents(DOCUMENTS)
        if share_of((tenant, subscription_id), shares) in leases
    }
    head, tail = await store.head(), await store.tail()
    estates = {}
    for number, lease in leases.items():
        watermark = cursors.get(share_name(number, shares))
        # A database from before there were shares has one watermark for all of them.
        common = cursors.get(WATERMARK) if watermark is None else watermark
        earliest = min((document["since"] for _, document in documents[number]), default=head)
        start = min(earliest, head) if common is None else common
        estate = estates[number] = Estate(number, lease, watermark, start, tail)
        for count, (tenant, document) in enumerate(documents[number], 1):
            if count % BREATH == 0:
                await asyncio.sleep(0)
            course = restored_course(tenant, document, states.get((tenant, document["id"]), {}), now)
            if course is not None:
                course.share = number
                state = states.get((tenant, document["id"]))
                is_fresh = shares > 1 and not is_taken_up(course, state)  # where there is one process, all is taken up
                if is_fresh:
                    estate.fresh.append(course)
                is_new = is_fresh and estate.watermark is not None  # before there were shares, there was one process
                _resume(course, estate, is_new=is_new)
                estate.courses.append(course)
    created = {
        course.subscription.key: course.subscription.created_at
        for estate in estates.values()
        for course in estate.courses
    }
    for one in await read_undelivered(store):
        if (number := share_of(one.key, shares)) in estates:
            if one.of in ("", created.get(one.key)) and one.key in created:
                estates[number].undelivered.append(one)
            elif one.key in created or one.key not in known:
                estates[number].deletes.append((UNDELIVERED, *one.name))
    for number, overtaken in (await read_overtaken(store)).items():
        if number in estates:
            estates[number].overtaken = overtaken
            estates[number].deletes += overtaken
    _find_orphans(estates, known, states.keys(), cursors.keys(), shares)
    return estates


def _resume(course: Course, estate: Estate, *, is_new: bool) -> None:
    """Where matching goes on for a course: behind its share's watermark, or, where it `is_new` because no holder of the share
    had taken up the subscription as it is, behind the position from which on changes concern it."""
    if course.closed:
        course.through = max(course.through, estate.start)
    if course.closed or course.behind is not None:
        return
    since = course.subscription.since
    if not is_new:
        course.through = max(course.through, estate.start)
    elif since < estate.start and course.subscription.interval is None:
        course.behind = since + 1


def _find_orphans(
    estates: Mapping[int, Estate],
    known: Collection[SubscriptionKey],
    states: Collection[SubscriptionKey],
    cursors: Collection[str],
    shares: int,
) -> None:
    for key in states:
        if key not in known:
            estates[share_of(key, shares)].deletes.append((DOCUMENTS, *key))
    outstanding = {
        guard_name(course.subscription.key)
        for estate in estates.values()
        for course in estate.courses
        if course.is_outstanding
    }
    for name in cursors:
        owner = guarded(name)
        if owner is not None and name not in outstanding and (number := share_of(owner, shares)) in estates:
            estates[number].drop_cursors.append(name)
