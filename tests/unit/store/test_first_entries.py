"""The first entries of a query out of those of many series, as both stores find them."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from broker.model.instants import canonical_text
from broker.store.chronicle import First
from broker.store.protocol import HistoryEntry, HistoryQuery

SERIES = st.tuples(st.sampled_from(["urn:e:1", "urn:e:2"]), st.sampled_from(["urn:a", "urn:b"]), st.booleans())
ENTRIES = st.lists(st.tuples(SERIES, st.integers(0, 59)), unique=True, max_size=60)


def entry(entity_id: str, attribute: str, in_dataset: bool, second: int) -> HistoryEntry:
    instance = {"type": "Property", "value": second, "observedAt": f"2026-01-01T00:00:{second:02}Z"}
    dataset = "urn:d:1" if in_dataset else None
    name = f"urn:i:{entity_id}{attribute}{dataset}{second}"
    return HistoryEntry("", entity_id, (), attribute, dataset, name, 0, "", False, instance)


def time(each: HistoryEntry) -> str:
    return canonical_text(each.instance["observedAt"])


def order(each: HistoryEntry) -> tuple[str, str]:
    return time(each), each.instance_id


def first(entries: Sequence[HistoryEntry], query: HistoryQuery, limit: int) -> list[HistoryEntry]:
    """What a store does: series by series, each read up to the bound and no further than needed."""
    best = First(query, limit)
    most = limit if query.last_n is None else min(limit, query.last_n)
    ordered = sorted(entries, key=order, reverse=query.newest_first)
    for attribute in sorted({(each.entity_id, each.attribute) for each in ordered}):
        part = best.part()
        for dataset in ("urn:d:1", None):
            series = [
                each for each in ordered if (each.entity_id, each.attribute, each.dataset_id) == (*attribute, dataset)
            ]
            bound = part.bound
            if bound is not None:
                series = [
                    each for each in series if (time(each) >= bound if query.newest_first else time(each) <= bound)
                ]
            part.offer(series[:most])
        best.join(part)
    return best.found


@given(ENTRIES, st.integers(1, 20), st.booleans(), st.none() | st.integers(1, 5))
def test_they_are_those_that_sorting_everything_would_give(
    drawn: list[tuple[tuple[str, str, bool], int]], limit: int, newest_first: bool, last_n: int | None
) -> None:
    query = HistoryQuery((), newest_first=newest_first or last_n is not None, last_n=last_n)
    entries = [entry(*series, second) for series, second in drawn]
    expected: list[HistoryEntry] = []
    seen: dict[tuple[str, str], int] = {}
    for each in sorted(entries, key=order, reverse=query.newest_first):
        place = each.entity_id, each.attribute
        seen[place] = seen.get(place, 0) + 1
        if last_n is None or seen[place] <= last_n:
            expected.append(each)
    assert first(entries, query, limit) == expected[:limit]


def test_a_thousand_series_leave_little_more_than_what_is_wanted() -> None:
    best = First(HistoryQuery(()), 100)
    most = 0
    for number in range(1000):
        best.offer(entry(f"urn:e:{number:04}", "urn:a", False, second) for second in range(60))
        most = max(most, len(best._kept))
    assert most <= 100 + 100 // 4 + 60
    assert [each.instance["value"] for each in best.found] == [0] * 100
