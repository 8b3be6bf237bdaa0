"""Aggregation of temporal values (4.5.19): durations, periods, and what each method makes of each data type."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import BadRequestData, TooManyResults
from broker.store.protocol import HistoryEntry, HistoryQuery
from broker.temporal import aggregation
from broker.temporal.aggregation import (
    METHODS,
    Aggregation,
    Aggregator,
    Duration,
    Periods,
    Room,
    parse_aggregation,
    parse_duration,
    shown,
)

ORIGIN = datetime(2026, 1, 31, tzinfo=UTC)
A = "https://example.org/a"


def entry(value, minute=0, kind="Property", member="value", **members):
    observed_at = shown(ORIGIN + timedelta(minutes=minute))
    instance = {"type": kind, member: value, "observedAt": observed_at, **members}
    return HistoryEntry("", "urn:a:1", (), A, members.get("datasetId"), f"urn:{value}", 0, observed_at, False, instance)


def aggregated(values, methods=tuple(METHODS), duration=Duration(0, 0)):
    periods = Periods(ORIGIN, ORIGIN + timedelta(hours=1), duration)
    aggregator = Aggregator(Aggregation(methods, duration), HistoryQuery(()), periods, Room())
    aggregator.take([each if isinstance(each, HistoryEntry) else entry(each) for each in values])
    return aggregator


def results(values):
    (shown_,) = aggregated(values).represented(A)
    return {method: rows[0][0] for method, rows in shown_.items() if method != "type"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PT0S", (0, 0)),
        ("P0D", (0, 0)),
        ("P2W", (0, 14 * 86_400)),
        ("P3Y6M4DT12H30M5S", (42, 4 * 86_400 + 12 * 3600 + 30 * 60 + 5)),
        ("P1M", (1, 0)),
        ("PT1M", (0, 60)),
    ],
)
def test_4_5_19_1_durations(text, expected):
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", "P", "PT", "1H", "PT1", "P1W2D", "P-1D", "P1DT", "PT1.5S", 3, None, "P١D"])
def test_4_5_19_1_anything_else_is_no_duration(text):
    with pytest.raises(BadRequestData, match="aggrPeriodDuration"):
        parse_duration(text)


@pytest.mark.parametrize("methods", [None, [], "", "median", ["avg", 3], {"avg": 1}, 7])
def test_5_2_44_methods_are_a_list_of_known_ones(methods):
    with pytest.raises(BadRequestData, match="aggrMethods"):
        parse_aggregation(methods, None)


def test_5_2_44_methods_come_as_list_or_text():
    assert parse_aggregation("avg, max", "PT1H") == parse_aggregation(["avg", "max", "avg"], "PT1H")


def test_table_4_5_19_1_1_numbers():
    assert results([1, 2, 2, 5]) == {
        "avg": 2.5,
        "distinctCount": 3,
        "max": 5,
        "min": 1,
        "stddev": 1.5,
        "sum": 10,
        "sumsq": 34,
        "totalCount": 4,
    }


def test_table_4_5_19_1_1_booleans_are_0_and_1():
    found = results([True, False, True, True])
    assert (found["avg"], found["sum"], found["max"], found["min"], found["distinctCount"]) == (0.75, 3, 1, 0, 2)


def test_table_4_5_19_1_1_strings_objects_and_arrays():
    assert results(["b", "a"]) == {"distinctCount": 2, "max": "b", "min": "a", "totalCount": 2}
    assert results([{"a": 1}, {"a": 1}]) == {"distinctCount": 1, "totalCount": 2}
    found = results([[1, 2], [3], []])
    assert (found["avg"], found["max"], found["min"], found["sum"]) == (1, 2, 0, 3)
    assert "stddev" not in found


def test_table_4_5_19_1_2_times_dates_and_instants():
    assert results(["10:00:00Z", "12:00:01Z"]) == {
        "avg": "11:00:00.500000Z",
        "distinctCount": 2,
        "max": "12:00:01Z",
        "min": "10:00:00Z",
        "totalCount": 2,
    }
    assert results(["2026-01-02", "2025-01-01"])["max"] == "2026-01-02"
    found = results(["2026-01-01T00:00:00.5Z", {"@type": "DateTime", "@value": "2026-01-01T00:00:00Z"}])
    assert found["max"] == "2026-01-01T00:00:00.5Z"
    assert "avg" not in found


def test_table_4_5_19_1_3_relationships_are_only_counted():
    links = [entry(target, kind="Relationship", member="object") for target in ("urn:p:1", "urn:p:2", "urn:p:1")]
    assert aggregated(links).represented(A)[0] == {
        "type": "Relationship",
        "distinctCount": [[2, shown(ORIGIN), shown(ORIGIN + timedelta(hours=1))]],
        "totalCount": [[3, shown(ORIGIN), shown(ORIGIN + timedelta(hours=1))]],
    }
    assert aggregated(links).unfit(A) == ["avg", "max", "min", "stddev", "sum", "sumsq"]


def test_4_5_19_1_methods_that_are_not_for_mixed_values_are_left_out():
    assert results([1, "a"]) == {"distinctCount": 2, "totalCount": 2}


def test_4_5_19_1_numbers_beyond_64_bits_stay_writable():
    assert results([2**62, 2**62])["sum"] == float(2**63)
    assert isinstance(results([2**62])["sumsq"], float)


def test_4_5_19_0_deleted_instances_have_no_value_and_datasets_stay_apart():
    gone = HistoryEntry("", "urn:a:1", (), A, None, "urn:x", 0, shown(ORIGIN), True, {"type": "Property", "value": "x"})
    found = aggregated([gone, entry(1), entry(5, datasetId="urn:d:1")], ("sum",)).represented(A)
    assert [(each.get("datasetId"), each["sum"][0][0]) for each in found] == [(None, 1), ("urn:d:1", 5)]
    assert aggregated([gone]).attributes() == []


def test_4_5_19_1_long_values_are_distinct_by_all_of_their_content():
    long = "x" * 1000
    assert results([long + "a", long + "b", long + "a"])["distinctCount"] == 2


def test_4_5_19_1_distinct_values_are_bounded(monkeypatch):
    monkeypatch.setattr(aggregation, "MOST_DISTINCT", 3)
    assert results([1, 2, 3, 3, 2, 1])["distinctCount"] == 3
    with pytest.raises(TooManyResults, match="distinctCount"):
        results([1, 2, 3, 4])
    assert aggregated([1, 2, 3, 4], ("sum",)).represented(A)[0]["sum"][0][0] == 10


def test_4_5_19_0_one_value_a_period():
    found = aggregated([entry(minute, minute) for minute in (0, 9, 10, 45)], ("sum",), parse_duration("PT10M"))
    assert found.represented(A)[0]["sum"] == [
        [9, "2026-01-31T00:00:00Z", "2026-01-31T00:10:00Z"],
        [10, "2026-01-31T00:10:00Z", "2026-01-31T00:20:00Z"],
        [45, "2026-01-31T00:40:00Z", "2026-01-31T00:50:00Z"],
    ]


def test_4_5_19_1_months_are_those_of_the_calendar():
    periods = Periods(ORIGIN, ORIGIN, parse_duration("P1M"))
    assert periods.bounds(1) == ("2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z")
    assert periods.index(datetime(2026, 2, 27, tzinfo=UTC)) == 0
    assert periods.index(datetime(2026, 2, 28, tzinfo=UTC)) == 1


@given(
    st.sampled_from(
        ["PT1S", "PT7M", "P1D", "P2W", "P1M", "P1Y", "P1M3DT5S", "P999999999Y", "PT999999999H", "P999999999W"]
    ),
    st.datetimes(datetime(2000, 1, 1), datetime(2000, 12, 31), timezones=st.just(UTC)),
    st.timedeltas(timedelta(0), timedelta(days=90)),
)
def test_4_5_19_1_every_instant_is_in_the_period_that_it_is_counted_in(text, origin, passed):
    periods = Periods(origin, origin, parse_duration(text))
    moment = origin + passed
    start, end = periods.bounds(periods.index(moment))
    assert datetime.fromisoformat(start) <= moment < datetime.fromisoformat(end)


def test_4_12_an_answer_has_a_bounded_number_of_periods(monkeypatch):
    monkeypatch.setattr(aggregation, "MOST_PERIODS", 3)
    with pytest.raises(TooManyResults):
        aggregated([entry(minute, minute) for minute in range(4)], ("sum",), parse_duration("PT1M"))
