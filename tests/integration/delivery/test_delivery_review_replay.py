"""A course that fell behind gets every change from the log or from live matching, whichever of them is ahead."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from delivery_desk import eventually

from broker.delivery.books import Books
from broker.delivery.carrier import Carrier, RecentChanges
from broker.delivery.course import Course
from broker.delivery.courses import Courses
from broker.delivery.document import parse_members
from broker.delivery.matching import SubscriptionIndex
from broker.delivery.replay import replay
from broker.delivery.subscription import Subscription, bind_terms, compile_subscription
from broker.delivery.tally import Tally
from broker.errors import StoreUnavailable
from broker.jsonld.terms import CORE
from broker.model.change import Change, Touch
from broker.model.entity import Entity
from broker.model.terms import DEFAULT_VOCAB
from broker.store.protocol import Mutation
from broker.store.sqlite.store import SqliteStore

NOW = "2026-01-01T00:00:00.000000Z"
LEVEL = DEFAULT_VOCAB + "level"


@pytest.fixture
async def store() -> AsyncIterator[SqliteStore]:
    one = SqliteStore(":memory:")
    await one.open()
    yield one
    await one.close()


def compiled(identifier: str, since: int = 0, **more: object) -> Subscription:
    given = {
        "id": identifier,
        "type": "Subscription",
        "entities": [{"type": "Device"}],
        "notification": {"endpoint": {"uri": "http://receiver.example/"}},
        **more,
    }
    members = parse_members(given, CORE, NOW) | {"jsonldContext": "http://c/", "since": since}
    return compile_subscription("", bind_terms(members, CORE))


def course_behind(index: SubscriptionIndex, position: int, subscription_id: str = "urn:s:1") -> Course:
    subscription = compiled(subscription_id)
    index.put(subscription)
    return Course(subscription, Tally(), position - 1, behind=position)


async def create(store: SqliteStore, number: int) -> None:
    state: Entity = {
        "id": f"urn:d:{number}",
        "type": [DEFAULT_VOCAB + "Device"],
        "attrs": {LEVEL: [{"type": "Property", "value": number}]},
        "createdAt": NOW,
        "modifiedAt": NOW,
        "version": 1,
    }
    touched = (Touch(LEVEL, None, "attributeCreated"),)
    await store.commit([Mutation(Change("", state["id"], "entityCreated", NOW, touched, None, state), 0)])


async def test_what_live_matching_has_met_but_passed_over_is_read_from_the_log(store: SqliteStore) -> None:
    """Live matching takes up a change after the log was read, and finds the course behind still: nobody else will push it."""
    index = SubscriptionIndex()
    course = course_behind(index, 1)
    await create(store, 1)
    met = 0
    asked = 0

    def begun() -> int:
        nonlocal asked
        asked += 1
        return met

    read = store.changes

    async def changes(after: int, limit: int) -> list[Change]:
        nonlocal met
        found = await read(after, limit)
        if met < 2:
            await create(store, 2)
            met = 2  # matched while this answer was on its way: the course was behind and was passed over
        return found

    store.changes = changes  # type: ignore[method-assign]
    behind = {course}
    await replay(store, index, behind, lambda _: begun(), lambda _: None, lambda _, __: None)
    assert sorted(course.pending) == [1, 2]
    assert course.behind is None
    assert not behind
    assert asked


async def test_an_empty_read_of_the_log_says_nothing_about_what_came_after_it(store: SqliteStore) -> None:
    index = SubscriptionIndex()
    course = course_behind(index, 1)
    met = 0
    read = store.changes

    async def changes(after: int, limit: int) -> list[Change]:
        nonlocal met
        found = await read(after, limit)
        if met == 0:
            await create(store, 1)
            met = 1
        return found

    store.changes = changes  # type: ignore[method-assign]
    await replay(store, index, {course}, lambda _: met, lambda _: None, lambda _, __: None)
    assert list(course.pending) == [1]
    assert course.behind is None


async def test_a_course_has_caught_up_only_where_the_watermark_of_its_share_is(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Live matching went back to 2 for another share; the share of the second course was matched up to 6 before."""
    monkeypatch.setattr("broker.delivery.replay.BATCH", 3)
    index = SubscriptionIndex()
    first, second = course_behind(index, 1), course_behind(index, 5, "urn:s:2")
    for number in range(1, 7):
        await create(store, number)
    passed = {first: 2, second: 6}
    await replay(store, index, {first, second}, passed.__getitem__, lambda _: None, lambda _, __: None)
    assert sorted(second.pending) == [5, 6]
    assert second.through == 6


async def test_what_the_store_does_not_show_for_a_moment_is_not_passed_over(store: SqliteStore) -> None:
    """A server of MongoDB that was elected a moment ago may show less of the log than the one before it did."""
    index = SubscriptionIndex()
    course = course_behind(index, 1)
    await create(store, 1)
    behind = {course}
    read = store.changes

    async def nothing(after: int, limit: int) -> list[Change]:
        return []

    store.changes = nothing  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable, match="from 1 on"):
        await replay(store, index, behind, lambda _: 1, lambda _: None, lambda _, __: None)
    assert course.behind == 1
    store.changes = read  # type: ignore[method-assign]
    await replay(store, index, behind, lambda _: 1, lambda _: None, lambda _, __: None)
    assert list(course.pending) == [1]


async def test_what_is_not_shown_while_the_log_is_trimmed_is_not_passed_over(store: SqliteStore) -> None:
    index = SubscriptionIndex()
    course = course_behind(index, 1)
    for number in range(1, 4):
        await create(store, number)
    read, lost = store.changes, []

    async def changes(after: int, limit: int) -> list[Change]:
        if await store.tail():
            return await read(after, limit)
        await store.trim(1)
        return []

    store.changes = changes  # type: ignore[method-assign]
    await replay(store, index, {course}, lambda _: 3, lambda _: None, lambda _, through: lost.append(through))
    assert lost == [1]
    assert list(course.pending) == [2, 3]


async def test_a_change_that_is_owed_counts_as_gone_only_if_it_was_trimmed(store: SqliteStore) -> None:
    carrier = Carrier.__new__(Carrier)
    carrier._store, carrier.recent = store, RecentChanges()
    await create(store, 1)
    await create(store, 2)
    await store.trim(1)
    assert await carrier.change_at(1) is None
    assert await carrier.change_at(2) is not None
    with pytest.raises(StoreUnavailable, match="up to 3"):
        await carrier.change_at(3)


async def test_a_course_that_is_given_back_while_the_log_is_read_stays_behind_what_was_not_matched(
    store: SqliteStore,
) -> None:
    """Whoever takes it over goes on where it is: what the index does not find any more must not count as read."""
    index = SubscriptionIndex()
    course = course_behind(index, 1)
    await create(store, 1)
    await create(store, 2)
    behind = {course}
    read = store.changes

    async def changes(after: int, limit: int) -> list[Change]:
        found = await read(after, limit)
        index.remove(course.subscription.key)  # as a share that is given back does it
        behind.discard(course)
        return found

    store.changes = changes  # type: ignore[method-assign]
    await replay(store, index, behind, lambda _: 2, lambda _: None, lambda _, __: None)
    assert course.behind == 1
    assert not course.pending


async def test_a_course_that_comes_in_the_moment_in_which_its_lane_has_read_all_is_read_on_for(
    store: SqliteStore,
) -> None:
    """Subscriptions that another process made come one by one: the reading for one may end as the next one is put."""
    await create(store, 1)
    asked_for = False

    async def carry(_: Course, __: tuple[int, ...]) -> None:
        """Nothing is owed here."""

    def met() -> int:
        nonlocal asked_for
        first = courses.get(("", "urn:s:1"))
        if first is not None and first.behind == 2 and not asked_for:  # in this step the reading for it ends
            asked_for = True
            asyncio.get_running_loop().call_soon(lambda: courses.put(compiled("urn:s:2"), late=True))
        return 1

    books = Books(store, 1, met, lambda _: None, lambda: NOW)
    courses = Courses(store, books, carry, met, lambda: NOW)
    courses.put(compiled("urn:s:1"), late=True)

    async def second_has_caught_up() -> bool:
        second = courses.get(("", "urn:s:2"))
        return second is not None and second.behind is None

    try:
        await eventually(second_has_caught_up)
    finally:
        await courses.stop()


async def test_5_8_2_a_periodic_subscription_that_another_process_made_one_of_changes_is_told_of_all_since_then(
    store: SqliteStore,
) -> None:
    """Live matching has passed those that came before this process heard of it."""
    for number in (1, 2, 3):
        await create(store, number)

    async def carry(_: Course, __: tuple[int, ...]) -> None:
        """It is enough that it is owed."""

    books = Books(store, 1, lambda: 3, lambda _: None, lambda: NOW)
    courses = Courses(store, books, carry, lambda: 3, lambda: NOW)
    courses.put(compiled("urn:s:1", timeInterval=100), late=True)
    courses.put(compiled("urn:s:1", since=1), late=True)
    course = courses.get(("", "urn:s:1"))
    assert course is not None

    async def has_caught_up() -> bool:
        return course.behind is None

    try:
        await eventually(has_caught_up)
        assert list(course.pending) == [2, 3]
    finally:
        await courses.stop()


async def test_5_8_2_an_expiry_put_off_through_another_process_at_the_last_moment_repeats_nothing(
    store: SqliteStore,
) -> None:
    """It was active when it was changed, so it goes on where it was; but here it expired before that was heard of."""
    for number in (1, 2):
        await create(store, number)
    met = 2

    async def carry(_: Course, __: tuple[int, ...]) -> None:
        """It is enough that it is owed."""

    books = Books(store, 1, lambda: met, lambda _: None, lambda: NOW)
    courses = Courses(store, books, carry, lambda: met, lambda: "2026-01-01T00:00:02.000000Z")
    courses.put(compiled("urn:s:1", expiresAt="2026-01-01T00:00:01Z"), late=False)
    await create(store, 3)
    met = 3
    courses.put(compiled("urn:s:1", expiresAt="2027-01-01T00:00:00Z"), late=True)
    course = courses.get(("", "urn:s:1"))
    assert course is not None

    async def has_caught_up() -> bool:
        return course.behind is None

    try:
        await eventually(has_caught_up)
        assert list(course.pending) == [3]
    finally:
        await courses.stop()
