"""What fails together is one failure; what was never on its way needs no record of its own."""

from delivery_samples import subscription

from broker.delivery.course import FIRST_PAUSE, SIDE_BY_SIDE, Course
from broker.delivery.record import lag_of
from broker.delivery.tally import Tally


def course_with(number: int) -> Course:
    course = Course(subscription(), Tally(), 0)
    for position in range(1, number + 1):
        course.push(position, f"urn:d:{position}")
    return course


def test_notifications_that_were_under_way_together_fail_as_one() -> None:
    course = course_with(SIDE_BY_SIDE)
    taken = [course.take(0.0) for _ in range(SIDE_BY_SIDE)]
    for number, positions in enumerate(taken):
        assert positions is not None
        course.failed(positions, 0.001 * number, unanswered=True)
    assert course.stop.failures == 1
    assert course.ready_at(0.1) <= 0.001 * SIDE_BY_SIDE + FIRST_PAUSE
    again = course.take(5.0)
    assert again is not None
    course.failed(again, 5.0, unanswered=True)
    assert course.stop.failures == 2


def test_a_failure_within_the_cooldown_of_another_still_counts() -> None:
    course = Course(subscription(notification={"endpoint": {"uri": "http://r/", "cooldown": 5000}}), Tally(), 0)
    for position in (1, 2):
        course.push(position, f"urn:d:{position}")
        course.take(0.0)
    course.failed((1,), 0.0, by_message=True)
    course.failed((2,), 0.1, unanswered=True)
    assert course.stop.failures == 1


def test_the_lag_lists_only_what_may_have_been_sent() -> None:
    course = course_with(20)
    assert lag_of(course) == {"pending": [], "behind": 1}
    for _ in range(3):
        course.take(0.0)
    course.delivered((2,))
    before = lag_of(course)
    assert before == {"pending": [(1, "urn:d:1"), (3, "urn:d:3")], "behind": 4}
    course.push(21, "urn:d:21")
    assert lag_of(course) == before


def test_the_lag_of_a_course_that_sent_all_it_knows_resumes_where_it_fell_behind() -> None:
    course = course_with(2)
    course.take(0.0)
    course.take(0.0)
    course.behind = 7
    assert lag_of(course) == {"pending": [(1, "urn:d:1"), (2, "urn:d:2")], "behind": 7}
