"""All the entries that a query of the history finds in one evolution, page by page along time, in bounded memory."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from typing import Final

from broker.errors import TooManyResults
from broker.store.chronicle import time_in
from broker.store.protocol import HistoryEntry, HistoryQuery, Span, Store
from broker.temporal.paging import after_instant, at_instant, cut

PAGE: Final = 1_000
MOST_AT_ONE_INSTANT: Final = 100_000
"""Entries of one instant, which a page holds all together."""


async def instance_pages(
    store: Store, tenant: str, query: HistoryQuery, *, page: int = PAGE
) -> AsyncIterator[list[HistoryEntry]]:
    """The entries of a query on one evolution in its order. Those that `last_n` leaves out are not among them.

    Raises TooManyResults for more than MOST_AT_ONE_INSTANT entries of one instant.
    """
    last_n, query = query.last_n, replace(query, last_n=None)
    seen: Counter[str] = Counter()
    while query.spans:
        entries, complete = cut(await store.instances(tenant, query, page + 1), query, page)
        if not complete and not entries:
            entries = await _of_first_instant(store, tenant, query)
        if not entries:
            return
        wanted = entries if last_n is None else list(_last(entries, last_n, seen))
        if wanted:
            yield wanted
        if complete:
            return
        query = replace(query, spans=tuple(_behind(query, time_in(entries[-1], query))))
        if last_n is not None:
            query = replace(query, without=query.without | {name for name, count in seen.items() if count >= last_n})


def _last(entries: Sequence[HistoryEntry], last_n: int, seen: Counter[str]) -> Iterator[HistoryEntry]:
    """Those of the entries that are among the first `last_n` of their attribute; `seen` counts these."""
    for entry in entries:
        if seen[entry.attribute] < last_n:
            seen[entry.attribute] += 1
            yield entry


def _behind(query: HistoryQuery, instant: str) -> Iterator[Span]:
    """What is left of a query's spans once all up to an instant was seen, in the direction of the query."""
    for span in query.spans:
        if query.newest_first:
            end = instant if span.end is None else min(span.end, instant)
            if span.start is None or span.start < end:
                yield replace(span, end=end)
        else:
            start = after_instant(instant) if span.start is None else max(span.start, after_instant(instant))
            if span.end is None or start < span.end:
                yield replace(span, start=start)


async def _of_first_instant(store: Store, tenant: str, query: HistoryQuery) -> list[HistoryEntry]:
    (first,) = await store.instances(tenant, query, 1)
    instant = time_in(first, query)
    found = await store.instances(tenant, at_instant(query, instant), MOST_AT_ONE_INSTANT + 1)
    if len(found) > MOST_AT_ONE_INSTANT:
        raise TooManyResults(f"{first.entity_id} has more than {MOST_AT_ONE_INSTANT} instances of {instant}")
    return found
