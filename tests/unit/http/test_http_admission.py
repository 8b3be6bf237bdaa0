"""What the server takes on: bounds on requests, on bytes of bodies, and on memory."""

from contextlib import ExitStack

import pytest

from broker.http.admission import LARGE, Admission, Limits, Overloaded
from broker.memory import Memory, resident_bytes

ENTITIES = "/ngsi-ld/v1/entities"


def test_requests_are_worked_on_up_to_the_limit_and_again_once_some_are_answered() -> None:
    admission = Admission(Limits(requests=2))
    with ExitStack() as first, ExitStack() as second:
        first.enter_context(admission.request("GET", ENTITIES)).work()
        second.enter_context(admission.request("GET", ENTITIES)).work()
        with pytest.raises(Overloaded, match="2 requests"), admission.request("GET", ENTITIES):
            pass
        first.close()
        with admission.request("GET", ENTITIES) as place:
            place.work()
    assert admission.requests == 0


def test_a_request_whose_body_took_long_is_refused_if_others_have_its_place_by_then() -> None:
    admission = Admission(Limits(requests=1))
    with admission.request("POST", ENTITIES) as slow, admission.request("POST", ENTITIES) as quick:
        quick.work()
        with pytest.raises(Overloaded):
            slow.work()
    assert admission.requests == 0


def test_large_bodies_leave_a_part_of_the_bytes_to_small_ones() -> None:
    admission = Admission(Limits(body_bytes=8 * LARGE))
    with (
        admission.request("POST", ENTITIES) as large,
        admission.request("POST", ENTITIES) as larger,
        admission.request("POST", ENTITIES) as small,
    ):
        large.announce(5 * LARGE)
        with pytest.raises(Overloaded):
            larger.announce(2 * LARGE)
        small.announce(100)
        small.take(100)
        large.take(5 * LARGE)
        assert admission.body_bytes == 5 * LARGE + 100
    assert (admission.body_bytes, admission.reserved) == (0, 0)


def test_a_body_larger_than_all_that_is_allowed_is_read_alone() -> None:
    admission = Admission(Limits(body_bytes=LARGE))
    with admission.request("POST", ENTITIES) as place:
        place.announce(10 * LARGE)
        with pytest.raises(Overloaded), admission.request("POST", ENTITIES):
            pass
        with admission.request("GET", ENTITIES):
            pass
    assert admission.body_bytes == 0


def test_small_bodies_are_bounded_as_they_arrive() -> None:
    admission = Admission(Limits(body_bytes=1000))
    with admission.request("POST", ENTITIES) as one, admission.request("POST", ENTITIES) as other:
        one.take(600)
        with pytest.raises(Overloaded):
            other.take(600)


@pytest.mark.parametrize(
    ("share", "refused"),
    [
        (0.5, set()),
        (0.9, {("POST", ENTITIES), ("PATCH", ENTITIES)}),
        (0.96, {("POST", ENTITIES), ("PATCH", ENTITIES), ("DELETE", ENTITIES), ("GET", ENTITIES), ("POST", "query")}),
    ],
)
def test_where_memory_is_tight_writes_are_refused_first(share: float, refused: set[tuple[str, str]]) -> None:
    memory = Memory(1000, lambda: int(share * 1000))
    memory.look()
    admission = Admission(memory=memory)
    found = set()
    for method, path in (*((m, ENTITIES) for m in ("GET", "POST", "PATCH", "DELETE")), ("POST", "query")):
        target = "/ngsi-ld/v1/entityOperations/query" if path == "query" else path
        try:
            with admission.request(method, target):
                pass
        except Overloaded:
            found.add((method, path))
    assert found == refused


def test_memory_without_a_limit_is_never_tight_and_the_system_says_how_much_is_in_use() -> None:
    assert not Memory(0).tight
    assert resident_bytes() > 10_000_000
