"""When a notification is given up: what keeps failing while others go through makes room, what nobody answers waits."""

from delivery_samples import subscription
from hypothesis import given
from hypothesis import strategies as st

from broker.delivery.course import CROWD, ROOM, Course
from broker.delivery.failure import ENDLESS, Failure, Kind, patience_with
from broker.delivery.tally import Tally

AT = "2026-01-01T00:00:00.000000Z"


def answered(status: int) -> Failure:
    return Failure(AT, "status", f"status {status}", status)


def broken(kind: Kind) -> Failure:
    return Failure(AT, kind, kind)


def course() -> Course:
    return Course(subscription(), Tally(), 0)


class Trial:
    """A course whose receiver refuses the entity `bad`, and takes all others, of which one changes before each attempt."""

    def __init__(self, failure: Failure, *, by_message: bool = False, others: bool = True) -> None:
        self.course = course()
        self.failure, self.by_message, self.others = failure, by_message, others
        self.now, self.position = 0.0, 1
        self.course.push(1, "bad")
        if others:
            self.position = 2
            self.course.push(2, "other 2")

    def let_others_through(self) -> None:
        self.position += 1
        self.course.push(self.position, f"other {self.position}")
        while (positions := self.course.take(self.now)) is not None and self.course.pending[positions[0]] != "bad":
            self.course.delivered(positions)
        if positions is not None:
            self.course.released(positions)

    def attempts(self, most: int = 40) -> int | None:
        """After how many attempts it is given up; None if it is not."""
        for attempt in range(1, most + 1):
            while (positions := self.course.take(self.now)) is None or self.course.pending[positions[0]] != "bad":
                if positions is None:
                    self.now = self.course.wake_at(self.now) or self.now
                else:
                    self.course.delivered(positions)
            assert self.course.pending[positions[0]] == "bad"
            unanswered = self.failure.status is None
            if self.course.failed(
                positions, self.now, by_message=self.by_message, unanswered=unanswered, failure=self.failure
            ):
                return attempt
            if self.others:
                self.now = max(self.now, self.course.stop.until)
                self.let_others_through()
        return None


def test_a_refused_message_is_given_up_after_few_attempts_while_others_go_through() -> None:
    assert Trial(answered(422), by_message=True).attempts() == 5


def test_a_refused_message_is_given_up_later_where_there_is_nothing_to_compare_it_with() -> None:
    assert Trial(answered(400), by_message=True, others=False).attempts() == 10


def test_a_message_is_not_given_up_for_what_failed_before_anybody_answered() -> None:
    trial = Trial(broken("timeout"), others=False)
    assert trial.attempts() is None
    trial.failure, trial.by_message = answered(400), True
    assert trial.attempts() == 10


def test_a_status_that_may_be_the_endpoints_is_given_up_only_while_others_go_through() -> None:
    assert Trial(answered(404)).attempts() == 5
    assert Trial(answered(404), others=False).attempts() is None


def test_a_server_error_gets_more_attempts_and_is_never_given_up_alone() -> None:
    assert Trial(answered(500), by_message=True).attempts() == 10
    assert Trial(answered(503)).attempts() == 10
    assert Trial(answered(500), by_message=True, others=False).attempts() is None


def test_statuses_that_ask_for_patience_get_as_much_as_server_errors() -> None:
    for status in (408, 425, 429):
        assert Trial(answered(status)).attempts() == 10


def test_a_message_that_breaks_the_connection_is_given_up_only_while_others_go_through() -> None:
    assert Trial(broken("timeout")).attempts() == 10
    assert Trial(broken("refused"), others=False).attempts() is None


def test_what_cannot_be_sent_for_reasons_of_the_broker_waits() -> None:
    assert patience_with(broken("unavailable")) == ENDLESS
    assert patience_with(broken("forbidden")) == ENDLESS
    assert Trial(broken("unavailable")).attempts() is None


def test_what_is_given_up_stays_on_its_way_until_it_is_set_aside() -> None:
    trial = Trial(answered(400), by_message=True)
    trial.attempts()
    one = trial.course
    assert 1 in one.pending
    assert 1 in one.flying
    one.push(100, "bad")
    assert one.take(trial.now + 1000) is None
    one.set_aside((1,))
    assert list(one.pending) == [100]
    assert one.take(trial.now) == (100,)


def test_what_cannot_be_set_aside_now_is_tried_again_after_a_pause() -> None:
    trial = Trial(answered(400), by_message=True)
    trial.attempts()
    trial.course.released((1,))
    assert trial.course.take(trial.now) is None
    wake = trial.course.wake_at(trial.now)
    assert wake is not None
    assert trial.course.take(wake) == (1,)


def test_the_next_one_of_an_entity_that_is_refused_for_ever_is_given_up_at_once() -> None:
    trial = Trial(answered(400), by_message=True)
    trial.attempts()
    one = trial.course
    one.set_aside((1,))
    one.push(100, "bad")
    one.take(trial.now)
    assert one.failed((100,), trial.now, by_message=True, failure=answered(400))
    one.set_aside((100,))
    one.push(101, "bad")
    one.take(trial.now)
    one.delivered((101,))
    one.push(102, "bad")
    one.take(trial.now)
    assert not one.failed((102,), trial.now, by_message=True, failure=answered(400))


def test_an_entity_that_changes_all_the_time_and_is_refused_leaves_the_room_to_others() -> None:
    one, now = course(), 0.0
    arrived = 0
    for position in range(1, 3001):
        assert one.push(position, "bad" if position % 2 else f"other {position}")
        while (positions := one.take(now)) is not None:
            if one.pending[positions[0]] != "bad":
                one.delivered(positions)
                arrived += 1
            elif one.failed(positions, now, by_message=True, failure=answered(400)):
                one.set_aside(positions)
        now += 0.1
    assert arrived == 1500


def test_many_entities_that_are_refused_are_given_up_sooner() -> None:
    one, now = course(), 0.0
    for position in range(1, ROOM + 1):
        one.push(position, "good" if position == ROOM else f"bad {position}")
    given_up = 0
    for _ in range(3 * ROOM):
        positions = one.take(now)
        if positions is None:
            now = one.wake_at(now) or now + 1
            if now > 5:
                break
        elif one.pending[positions[0]] == "good":
            one.delivered(positions)
        elif one.failed(positions, now, by_message=True, failure=answered(422)):
            given_up += 1
            one.set_aside(positions)
    assert given_up >= ROOM - CROWD - 1


def test_5_2_12_a_throttled_notification_that_is_refused_is_given_up_as_a_whole() -> None:
    one = Course(subscription(throttling=1), Tally(), 0)
    one.push(1, "a")
    one.push(2, "b")
    now = 0.0
    for attempt in range(1, 11):
        assert one.take(now) == (1, 2)
        assert one.failed((1, 2), now, by_message=True, failure=answered(413)) == (attempt == 10)
        now += 1000
    assert one.stop_of((1, 2)).failures == 10
    one.set_aside((1, 2))
    one.push(3, "a")
    assert one.take(now) == (3,)


def test_a_periodic_notification_is_never_given_up() -> None:
    one = Course(subscription(timeInterval=5), Tally(), 0)
    now = 0.0
    one.due = True
    for _ in range(30):
        assert one.take(now) == ()
        assert not one.failed((), now, by_message=True, failure=answered(400))
        now += 1000


def test_a_changed_subscription_gets_all_attempts_again() -> None:
    trial = Trial(answered(400), by_message=True)
    trial.attempts()
    one = trial.course
    one.set_aside((1,))
    one.renew(subscription())
    one.push(100, "bad")
    one.take(trial.now)
    assert not one.failed((100,), trial.now, by_message=True, failure=answered(400))


FAILURES = st.sampled_from([answered(400), answered(404), answered(500), answered(503), broken("timeout"), None])


@given(st.lists(st.tuples(st.sampled_from("abc"), FAILURES), min_size=1, max_size=60))
def test_each_position_is_delivered_or_set_aside_and_those_delivered_keep_their_order(
    steps: list[tuple[str, Failure | None]],
) -> None:
    one, now = course(), 0.0
    for position, (entity_id, _failure) in enumerate(steps, 1):
        one.push(position, entity_id)
    delivered: list[int] = []
    aside: list[int] = []
    outcomes = iter([failure for _, failure in steps] * 3)
    while one.is_outstanding:
        positions = one.take(now)
        if positions is None:
            now = one.wake_at(now) or now
            continue
        failure = next(outcomes, None)
        if failure is None:
            one.delivered(positions)
            delivered += positions
        else:
            by_message, unanswered = failure.status in (400, 500), failure.status is None
            if one.failed(positions, now, by_message=by_message, unanswered=unanswered, failure=failure):
                one.set_aside(positions)
                aside += positions
    assert sorted(delivered + aside) == list(range(1, len(steps) + 1))
    for entity in "abc":
        own = [position for position in delivered if steps[position - 1][0] == entity]
        assert own == sorted(own)
