"""The part of a query of the history that is about one instant (broker.temporal.paging)."""

from broker.store.protocol import HistoryQuery, Span
from broker.temporal.paging import after_instant, at_instant

T1, T2, T3 = (f"2026-01-0{day}T00:00:00.000000Z" for day in (1, 2, 3))


def test_only_spans_that_hold_the_instant_are_left_and_they_are_reduced_to_it() -> None:
    spans = (
        Span("urn:whole"),
        Span("urn:from", T2),
        Span("urn:until", None, T2),
        Span("urn:several", T1, T2),
        Span("urn:several", T2, T3),
        Span("urn:later", T3),
    )
    query = at_instant(HistoryQuery(spans, newest_first=True), T2)
    assert [span.entity_id for span in query.spans] == ["urn:whole", "urn:from", "urn:several"]
    assert {(span.start, span.end) for span in query.spans} == {(T2, after_instant(T2))}
    assert query.newest_first


def test_behind_an_instant_is_before_the_next_one() -> None:
    assert T2 < after_instant(T2) < "2026-01-02T00:00:00.000001Z"
