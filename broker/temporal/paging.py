"""Where a temporal answer is cut, and how its Content-Range says so (6.3.10): along time, over all attributes together."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from broker.query.temporal import TemporalQuery
from broker.store.chronicle import time_in
from broker.store.protocol import HistoryEntry, HistoryQuery

UNIT: Final = "DateTime"
"""The range unit of 6.3.10."""


def cut(entries: Sequence[HistoryEntry], query: HistoryQuery, limit: int) -> tuple[list[HistoryEntry], bool]:
    """The entries of one page out of the first `limit` + 1, and whether these were all.

    Entries of one instant stay together, so that a client can go on from the last instant that it has seen. The page
    is empty where more than `limit` entries are of one instant.
    """
    if len(entries) <= limit:
        return list(entries), True
    beyond = time_in(entries[limit], query)
    return [entry for entry in entries[:limit] if time_in(entry, query) != beyond], False


def after_instant(instant: str) -> str:
    """Behind a canonical instant and before the next one, as strings order."""
    return instant + "~"


def at_instant(query: HistoryQuery, instant: str) -> HistoryQuery:
    """What of a query is about one instant: those of its spans that it lies in, reduced to it."""
    spans = [
        replace(span, start=instant, end=after_instant(instant))
        for span in query.spans
        if (span.start is None or span.start <= instant) and (span.end is None or instant < span.end)
    ]
    return replace(query, spans=tuple(spans))


def content_range(entries: Sequence[HistoryEntry], query: HistoryQuery, temporal: TemporalQuery) -> str:
    """The Content-Range header of a page that was cut; `entries` are what it shows, in the order of the query."""
    first, last = (_written(entry, query) for entry in (entries[0], entries[-1]))
    if temporal.last_n is not None:
        start = {"before": temporal.time_at, "between": temporal.end_time_at}.get(temporal.relation or "")
        return f"{UNIT} {start or first}-{last}/{temporal.last_n}"
    start = temporal.time_at if temporal.relation in ("after", "between") else None
    return f"{UNIT} {start or first}-{last}/*"


def _written(entry: HistoryEntry, query: HistoryQuery) -> str:
    """The time by which an entry is ordered, as it is shown."""
    if query.time in (None, "observedAt") and "observedAt" in entry.instance:
        return str(entry.instance["observedAt"])
    return time_in(entry, query)
