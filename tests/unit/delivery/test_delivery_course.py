"""The rules of one subscription's deliveries, without waiting: order, pauses, throttling, cooldown, falling behind."""

from itertools import pairwise
from typing import Any

import pytest
from delivery_samples import subscription
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.delivery.course import FIRST_PAUSE, LONGEST_PAUSE, ROOM, Course, pause_after
from broker.delivery.tally import Tally


def course(through: int = 0, endpoint: dict[str, Any] | None = None, **members: Any) -> Course:
    notification = {"endpoint": {"uri": "http://r/", **(endpoint or {})}}
    return Course(subscription(notification=notification, **members), Tally(), through)


def test_each_change_is_a_notification_of_its_own() -> None:
    one = course()
    assert one.push(1, "a")
    assert one.push(2, "b")
    assert one.take(0.0) == (1,)
    assert one.take(0.0) == (2,)
    assert one.take(0.0) is None


def test_notifications_of_one_entity_wait_for_each_other() -> None:
    one = course()
    for position, entity_id in ((1, "a"), (2, "a"), (3, "b")):
        one.push(position, entity_id)
    assert one.take(0.0) == (1,)
    assert one.take(0.0) == (3,)
    assert one.take(0.0) is None
    one.delivered((1,))
    assert one.take(0.0) == (2,)


def test_positions_that_are_accounted_for_are_not_taken_again() -> None:
    one = course(through=5)
    assert one.push(5, "a")
    assert not one.is_outstanding
    one.push(6, "a")
    one.push(6, "a")
    assert list(one.pending) == [6]


def test_a_failure_pauses_everything_and_the_pause_grows() -> None:
    one = course()
    one.push(1, "a")
    one.push(2, "b")
    now = 100.0
    pauses = []
    for number in range(12):
        positions = one.take(now)
        assert positions == (1 + number % 2,)
        one.failed(positions, now, unanswered=True)
        assert one.take(now) is None
        wake = one.wake_at(now)
        assert wake is not None
        pauses.append(wake - now)
        now = wake
    assert FIRST_PAUSE * 0.75 <= pauses[0] <= FIRST_PAUSE
    assert all(later >= earlier for earlier, later in pairwise(pauses[:8]))
    assert LONGEST_PAUSE * 0.75 <= pauses[-1] <= LONGEST_PAUSE
    assert one.take(now) == (1,)
    one.delivered((1,))
    assert one.take(now + 1) == (2,)


def test_a_refused_message_pauses_its_entity_only() -> None:
    one = course()
    for position, entity_id in ((1, "a"), (2, "a"), (3, "b")):
        one.push(position, entity_id)
    one.take(0.0)
    one.failed((1,), 0.0, by_message=True)
    assert one.take(0.0) == (3,)
    one.delivered((3,))
    assert one.take(0.0) is None
    wake = one.wake_at(0.0)
    assert wake is not None
    assert one.take(wake) == (1,)


def test_5_2_15_cooldown_is_a_pause_for_everything() -> None:
    one = course(endpoint={"cooldown": 30_000})
    one.push(1, "a")
    one.push(2, "b")
    one.take(0.0)
    one.failed((1,), 0.0, by_message=True)
    assert one.take(29.9) is None
    one.reached(1.0)
    assert one.take(29.9) is None
    assert one.take(30.0) is not None


def test_an_unanswered_course_goes_on_when_its_receiver_was_reached() -> None:
    one = course()
    one.push(1, "a")
    one.take(0.0)
    one.failed((1,), 0.0, unanswered=True)
    one.reached(0.1)
    assert one.take(0.1) == (1,)


def test_5_2_12_throttling_lets_one_notification_out_in_a_period() -> None:
    one = course(throttling=10)
    one.push(1, "a")
    assert one.take(0.0) == (1,)
    one.delivered((1,))
    for position, entity_id in ((2, "a"), (3, "b"), (4, "a")):
        one.push(position, entity_id)
    assert one.take(9.9) is None
    assert one.wake_at(9.9) == 10.0
    assert one.take(10.0) == (3, 4)


def test_5_2_12_a_throttled_retry_waits_for_the_period_too() -> None:
    one = course(throttling=10)
    one.push(1, "a")
    one.take(0.0)
    one.failed((1,), 0.5)
    assert one.wake_at(0.5) == 10.0
    one.push(2, "a")
    assert one.take(10.0) == (2,)


def test_a_throttled_course_does_not_forget_what_is_flying() -> None:
    one = course(throttling=1)
    one.push(1, "a")
    one.take(0.0)
    one.push(2, "a")
    assert list(one.pending) == [1, 2]
    one.delivered((1,))
    assert one.take(1.0) == (2,)
    one.delivered((2,))
    assert not one.is_outstanding


def test_a_full_course_takes_no_more_positions() -> None:
    one = course()
    assert all(one.push(position, str(position)) for position in range(1, ROOM + 1))
    assert not one.push(ROOM + 1, "x")
    assert one.through == ROOM
    assert one.oldest == 1
    one.take(0.0)
    one.delivered((1,))
    assert one.push(ROOM + 1, "x")


def test_a_periodic_course_has_one_notification_under_way() -> None:
    one = course(timeInterval=5)
    assert one.take(0.0) is None
    one.due = True
    assert one.take(0.0) == ()
    one.due = True
    assert one.take(0.0) is None
    one.delivered(())
    assert one.take(0.0) == ()
    one.failed((), 0.0)
    assert one.take(0.0) is None
    assert one.take(1.0) == ()


def test_a_closed_course_owes_nothing() -> None:
    one = course()
    one.push(1, "a")
    one.behind = 2
    one.close()
    assert not one.is_outstanding
    assert one.take(0.0) is None
    assert one.wake_at(0.0) is None


def test_a_changed_subscription_is_tried_at_once_and_its_positions_are_unsure() -> None:
    one = course()
    one.push(1, "a")
    one.take(0.0)
    one.failed((1,), 0.0)
    one.renew(subscription(q="a>1"))
    assert one.take(0.0) == (1,)
    assert one.unsure == 1
    one.renew(subscription(timeInterval=3))
    assert not one.pending


@pytest.mark.parametrize("failures", [1, 2, 9, 10, 1_000_000])
def test_pauses_are_bounded(failures: int) -> None:
    assert 0 < pause_after(failures) <= LONGEST_PAUSE


@settings(max_examples=200)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["ok", "fail", "refuse"])), min_size=1, max_size=30))
def test_every_position_is_delivered_once_and_in_order_for_its_entity(steps: list[tuple[str, str]]) -> None:
    one, now, delivered = course(), 0.0, []
    for position, (entity_id, _) in enumerate(steps, 1):
        one.push(position, entity_id)
    outcomes = [outcome for _, outcome in steps] + ["ok"] * (3 * len(steps))
    for outcome in outcomes:
        positions = one.take(now)
        if positions is None:
            now = one.wake_at(now) or now
            continue
        if outcome == "ok":
            one.delivered(positions)
            delivered += positions
        else:
            one.failed(positions, now, by_message=outcome == "refuse")
    while (positions := one.take(now)) is not None or (wake := one.wake_at(now)) is not None:
        if positions is None:
            now = wake
        else:
            one.delivered(positions)
            delivered += positions
    assert sorted(delivered) == list(range(1, len(steps) + 1))
    for entity in "abc":
        own = [position for position in delivered if steps[position - 1][0] == entity]
        assert own == sorted(own)
