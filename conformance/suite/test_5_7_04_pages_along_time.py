"""6.3.10, as temporal answers have it (5.7.3, 5.7.4, 6.18.3.2, 6.19.3.1, 6.24.3.1): those that are too long are cut along time.

How much is too long is up to a broker. One that shows all there is, with 200, has nothing to cut.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.exchanges import Answer
from conformance.samples import Document, Unique, entity, prop
from conformance.series import listed, moment, observed

MANY = 2500
_RANGE = re.compile(r"DateTime (\S+?Z)-(\S+?Z)/(\*|\d+)")


def second(number: int) -> str:
    """A DateTime: so many seconds after midnight of one day."""
    return (datetime(2024, 5, 1, tzinfo=UTC) + timedelta(seconds=number)).strftime("%Y-%m-%dT%H:%M:%SZ")


def many(first: int = 0) -> list[Document]:
    """A series that is long, each value observed as many seconds after midnight as it says."""
    return [prop(number, observedAt=second(number)) for number in range(first, first + MANY)]


def content_range(answer: Answer) -> tuple[str, str, str]:
    """Start, end and size of the Content-Range of an answer that was cut."""
    match = _RANGE.fullmatch(answer.header("Content-Range"))
    if match is None:
        raise answer.failure("the Content-Range should be DateTime start-end/size")
    start, end, size = match.groups()
    return moment(start), moment(end), size


FORWARDS = [
    ({"timerel": "after", "timeAt": second(-5)}, second(-5), 0, MANY),
    ({"timerel": "after", "timeAt": second(100)}, second(100), 100, MANY),
    ({"timerel": "between", "timeAt": second(-5), "endTimeAt": second(2400)}, second(-5), 0, 2400),
    ({"timerel": "before", "timeAt": second(2400)}, second(0), 0, 2400),
]
"""A temporal query, the start of its range, and the first value that it is about, with the one behind the last."""
BACKWARDS = [
    ({"timerel": "after", "timeAt": second(-5)}, second(MANY - 1), MANY),
    ({"timerel": "between", "timeAt": second(0), "endTimeAt": second(2450)}, second(2450), 2450),
    ({"timerel": "before", "timeAt": second(2450)}, second(2450), 2450),
]
"""A temporal query, the start of its range, and the value behind the last one that it is about."""


@clause("6.19.3.1", 12)
@pytest.mark.parametrize(("query", "start", "first", "behind"), FORWARDS)
def test_an_evolution_that_is_too_long_is_cut_forwards(
    broker: BrokerClient, unique: Unique, query: dict[str, str], start: str, first: int, behind: int
) -> None:
    one = entity(unique.id(), unique.type(), level=many())
    broker.post("/temporal/entities", one).expect(201)
    answer = broker.get(f"/temporal/entities/{one['id']}", query).expect(200, 206)
    shown = observed(answer.json["level"])
    last = behind if answer.status == 200 else first + len(shown)
    assert shown == [(number, second(number)) for number in range(first, last)]
    if answer.status == 206:
        assert content_range(answer) == (start, shown[-1][1], "*")


@clause("6.19.3.1", 12)
@pytest.mark.parametrize(("query", "start", "behind"), BACKWARDS)
def test_an_evolution_that_is_too_long_is_cut_backwards_with_last_n(
    broker: BrokerClient, unique: Unique, query: dict[str, str], start: str, behind: int
) -> None:
    one = entity(unique.id(), unique.type(), level=many())
    broker.post("/temporal/entities", one).expect(201)
    answer = broker.get(f"/temporal/entities/{one['id']}", {**query, "lastN": 2000}).expect(200, 206)
    shown = observed(answer.json["level"])
    number_shown = 2000 if answer.status == 200 else len(shown)
    assert shown == [(number, second(number)) for number in range(behind - number_shown, behind)]
    if answer.status == 206:
        assert content_range(answer) == (start, shown[0][1], "2000")


@clause("6.18.3.2", 22)
@clause("6.24.3.1", 1)
@pytest.mark.parametrize("posted", [False, True])
def test_all_entities_of_an_answer_are_cut_at_one_time(broker: BrokerClient, unique: Unique, posted: bool) -> None:
    ids = [unique.id(), unique.id()]
    for entity_id in ids:
        broker.post("/temporal/entities", entity(entity_id, unique.type(), level=many())).expect(201)
    query = {"timerel": "between", "timeAt": second(0), "endTimeAt": second(2400)}
    body = {"type": "Query", "entities": [{"type": unique.type()}], "temporalQ": query}
    answer = (
        broker.post("/temporal/entityOperations/query", body)
        if posted
        else broker.get("/temporal/entities", {"type": unique.type(), **query})
    ).expect(200, 206)
    shown = {each["id"]: observed(each["level"]) for each in answer.json}
    assert sorted(shown) == ids
    end = second(2399) if answer.status == 200 else content_range(answer)[1]
    for series in shown.values():
        assert series == [(number, second(number)) for number in range(len(series))]
        assert series[-1][1] == end
    if answer.status == 206:
        assert content_range(answer) == (second(0), end, "*")


@clause("6.18.3.2", 22)
def test_all_entities_of_an_answer_are_cut_backwards_with_last_n(broker: BrokerClient, unique: Unique) -> None:
    for _ in range(2):
        broker.post("/temporal/entities", entity(unique.id(), unique.type(), level=many())).expect(201)
    query = {"timerel": "before", "timeAt": second(2400), "lastN": 2000}
    answer = broker.get("/temporal/entities", {"type": unique.type(), **query}).expect(200, 206)
    end = second(400) if answer.status == 200 else content_range(answer)[1]
    for each in answer.json:
        series = observed(each["level"])
        assert series == [(number, second(number)) for number in range(2400 - len(series), 2400)]
        assert series[0][1] == end
    if answer.status == 206:
        assert content_range(answer) == (second(2400), end, "2000")


@clause("6.19.3.1", 12)
def test_going_on_from_the_end_of_the_range_misses_nothing(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=many(), other=many(first=1000))
    broker.post("/temporal/entities", one).expect(201)
    seen: dict[str, set[int]] = {"level": set(), "other": set()}
    time, status = second(0), 206
    for _ in range(2 * MANY):
        query = {"timerel": "after", "timeAt": time}
        answer = broker.get(f"/temporal/entities/{one['id']}", query).expect(200, 206)
        for name, values in seen.items():
            values.update(each["value"] for each in listed(answer.json.get(name, [])))
        status = answer.status
        if status == 200:
            break
        _, end, _ = content_range(answer)
        assert end > time
        time = end
    assert status == 200
    assert seen == {"level": set(range(MANY)), "other": set(range(1000, 1000 + MANY))}


@clause("6.18.3.2", 22)
@clause("6.19.3.1", 12)
@pytest.mark.parametrize("query", [{}, {"format": "temporalValues"}, {"lastN": 3}])
def test_a_short_answer_is_not_cut(broker: BrokerClient, unique: Unique, query: dict[str, Any]) -> None:
    one = entity(unique.id(), unique.type(), level=many()[:5])
    broker.post("/temporal/entities", one).expect(201)
    query = {**query, "timerel": "after", "timeAt": second(0)}
    for answer in (
        broker.get(f"/temporal/entities/{one['id']}", query),
        broker.get("/temporal/entities", {"type": one["type"], **query}),
    ):
        assert "Content-Range" not in answer.expect(200).headers
