"""Consumption of temporal evolutions (5.7.3, 5.7.4): requests, once they are compiled, are run against the history."""

import math
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from broker.errors import InvalidRequest, ResourceNotFound, TooComplexQuery
from broker.federation.entity_map import filters_digest, window_digest
from broker.federation.map_pages import Checked, Inquiry
from broker.model.entity import JsonObject, Names
from broker.model.evolution import SCOPE
from broker.model.instants import parse_instant
from broker.model.versions import Version
from broker.operations.broker import Broker
from broker.operations.entity_maps import (
    MappedPage,
    MapUse,
    Question,
    among,
    identified,
    is_selected,
    mapped_page,
)
from broker.operations.temporal import evolution_of, history_caught_up
from broker.operations.temporal_request import SYSTEM_MEMBERS, TemporalRequest
from broker.store.chronicle import time_in
from broker.store.protocol import Evolution, HistoryEntry, HistoryQuery, Span
from broker.temporal.aggregation import Aggregator, Periods, Room
from broker.temporal.pages import instance_pages
from broker.temporal.paging import at_instant, content_range, cut
from broker.temporal.representation import (
    TemporalView,
    represent_aggregated,
    represent_evolution,
)
from broker.temporal.selection import select, time_of

STRIDE: Final = 100
"""Evolutions that a query takes up at a time."""
AT_ONCE: Final = 25
"""Evolutions that are looked at side by side."""
QUERY_SECONDS: Final = 20.0
MOST_ATTRIBUTES: Final = 100_000
"""Attributes of all entities on a page."""
MOST_AT_ONE_INSTANT: Final = 100_000


@dataclass(frozen=True, slots=True)
class TemporalPage:
    """Evolutions as they are shown, in an earlier version of NGSI-LD (`version`) where that is asked for, and whether that
    made a difference; whether more entities follow; how many match, where asked for; Content-Range if cut."""

    documents: list[JsonObject]
    version: Version | None = None
    altered: bool = False
    more: bool = False
    total: int | None = None
    content_range: str | None = None


@dataclass(frozen=True, slots=True)
class Selected:
    """An entity that a query selects, with what of its history is to be shown."""

    evolution: Evolution
    spans: tuple[Span, ...]
    scopes: list[HistoryEntry]


async def retrieve_evolution(
    broker: Broker, tenant: str, entity_id: str, request: TemporalRequest, names: Names, page_size: int
) -> TemporalPage:
    """5.7.3 Retrieve Temporal Evolution of an Entity: one document.

    Raises ResourceNotFound for an entity of which nothing is known, or nothing in the time asked for, or nothing that
    the projection leaves.
    """
    await history_caught_up(broker)
    evolution = await evolution_of(broker, tenant, entity_id)
    span = Span(entity_id, request.temporal.start, request.temporal.end)
    selected = [Selected(evolution, (span,), [])]
    projection = request.view.projection
    if request.temporal.restricts or (projection is not None and projection.attrs):
        present = HistoryQuery((span,), time=time_of(request.temporal), attributes=_concerned(request))
        if not await broker.store.present(tenant, present):
            raise ResourceNotFound(
                f"{entity_id} has no such instances in the time asked for (5.7.3)", instance=entity_id
            )
    page = await _shown(broker, tenant, request, selected, names, page_size)
    if page.documents[0].keys() <= SYSTEM_MEMBERS:
        raise ResourceNotFound(f"{entity_id} has nothing of what pick and omit leave (5.7.3)", instance=entity_id)
    return page


async def query_evolutions(
    broker: Broker,
    tenant: str,
    request: TemporalRequest,
    names: Names,
    page_size: int,
    *,
    limit: int,
    offset: int,
    count: bool,
) -> TemporalPage:
    """5.7.4 Query Temporal Evolution of Entities. An offset behind the end means the last element (6.3.10)."""
    await history_caught_up(broker)
    page: list[Selected] = []
    last: Selected | None = None
    seen = 0
    async for selected in _selected(broker, tenant, request):
        if seen >= offset and len(page) <= limit:
            page.append(selected)
        last = selected
        seen += 1
        if len(page) > limit and not count:
            break
    if not page and limit and last is not None and offset > seen:
        page = [last]
    shown = await _shown(broker, tenant, request, page[:limit], names, page_size)
    return replace(shown, documents=_not_empty(shown.documents), more=len(page) > limit, total=seen if count else None)


async def query_with_map(
    broker: Broker,
    tenant: str,
    request: TemporalRequest,
    names: Names,
    page_size: int,
    use: MapUse,
    *,
    split: bool,
    limit: int,
    offset: int,
    count: bool,
) -> tuple[TemporalPage, MappedPage[Selected]]:
    """5.7.4 with an EntityMap: the page as it is shown, and where it is in which map."""
    question = await evolution_question(broker, tenant, request, split=split)
    mapped = await mapped_page(broker, tenant, use, question, limit=limit, offset=offset, count=count)
    shown = await _shown(broker, tenant, request, mapped.page.found, names, page_size)
    return replace(shown, documents=_not_empty(shown.documents)), mapped


async def evolution_question(
    broker: Broker, tenant: str, request: TemporalRequest, *, split: bool
) -> Question[Selected]:
    """A query of evolutions, of which an EntityMap can fix the entities. With `split` a new map takes all that ids, types and
    the temporal query select (5.14.5.4)."""
    await history_caught_up(broker)
    query = request.query
    everything = replace(query, q=None, geo=None, scope=None)
    candidates = replace(request, query=everything, datasets=None) if split else request

    async def check(ids: Sequence[str]) -> Checked[Selected]:
        narrowed = replace(request, query=among(query, ids))
        found = [each async for each in _selected(broker, tenant, narrowed)]
        asked_for = {
            each.evolution.entity_id: each
            for each in found
            if is_selected(query.selectors, each.evolution.entity_id, each.evolution.types)
        }
        return Checked({each.evolution.entity_id for each in found}, asked_for)

    async def ids() -> AsyncIterator[list[str]]:
        async for selected in _selected(broker, tenant, candidates):
            yield [selected.evolution.entity_id]

    return Question(
        filters_digest("evolutions, descending" if request.descending else "evolutions", query, request.datasets),
        window_digest(request.temporal),
        ids,
        Inquiry(identified(query.selectors), check),
    )


def _not_empty(documents: Sequence[JsonObject]) -> list[JsonObject]:
    return [document for document in documents if document.keys() - SYSTEM_MEMBERS]


async def matching_instances(
    broker: Broker, tenant: str, request: TemporalRequest
) -> AsyncIterator[tuple[Evolution, list[HistoryEntry]]]:
    """All that a query selects (5.7.4), for as long as it takes: evolutions in order of id, the instances of each in pages.

    Aggregation is a matter of what is shown, and has no effect here.
    """
    await history_caught_up(broker)
    async for selected in _selected(broker, tenant, request, seconds=math.inf):
        if selected.scopes and request.view.keeps(SCOPE):
            yield selected.evolution, selected.scopes
        async for page in instance_pages(broker.store, tenant, _history_query(request, selected.spans)):
            yield selected.evolution, page


async def _selected(
    broker: Broker, tenant: str, request: TemporalRequest, *, seconds: float = QUERY_SECONDS
) -> AsyncIterator[Selected]:
    """The entities that a query selects, in order of id."""
    deadline = time.monotonic() + seconds
    after: str | None = None
    while True:
        evolutions = await broker.store.evolutions(
            tenant, request.query.selectors, STRIDE, after=after, descending=request.descending
        )
        for place in range(0, len(evolutions), AT_ONCE):
            if time.monotonic() > deadline:
                raise TooComplexQuery(f"the query took longer than {seconds:g} seconds: ask for fewer entities")
            some = evolutions[place : place + AT_ONCE]
            for found in await select(broker.store, tenant, some, request.query, request.temporal, request.datasets):
                yield Selected(*found)
        if len(evolutions) < STRIDE:
            return
        after = evolutions[-1].entity_id


async def _shown(
    broker: Broker, tenant: str, request: TemporalRequest, page: Sequence[Selected], names: Names, page_size: int
) -> TemporalPage:
    """The representation of the entities on a page, cut along time where they have too many instances together."""
    if request.view.aggregation is not None:
        room = Room()
        aggregated = [(each.evolution, await _aggregated(broker, tenant, request, each, names, room)) for each in page]
        return _in_version(
            request.view,
            lambda view: [represent_aggregated(*each, names, view) for each in aggregated],
        )
    query = _history_query(request, [span for each in page for span in each.spans])
    entries, complete = cut(await broker.store.instances(tenant, query, page_size + 1), query, page_size)
    others: list[HistoryEntry] = []
    header = None
    if not complete:
        entries = entries or await _of_one_instant(broker, tenant, query)
        header = content_range(entries, query, request.temporal)
        one_each = replace(query, newest_first=True, last_n=1)
        others = await broker.store.instances(tenant, one_each, MOST_ATTRIBUTES)
    own, empty = _by_entity(entries), _by_entity(others)
    parts = []
    for each in page:
        entity_id = each.evolution.entity_id
        scopes = each.scopes if request.view.keeps(SCOPE) else []
        parts.append((each.evolution, [*scopes, *own.get(entity_id, ())], empty.get(entity_id, ())))
    shown = _in_version(request.view, lambda view: [represent_evolution(*part, names, view) for part in parts])
    return replace(shown, content_range=header)


def _in_version(view: TemporalView, seen: Callable[[TemporalView], list[JsonObject]]) -> TemporalPage:
    """What is seen under a view, and whether it would be something else in the newest version of NGSI-LD (4.3.6.8)."""
    documents = seen(view)
    altered = view.version is not None and documents != seen(replace(view, version=None))
    return TemporalPage(documents, view.version, altered)


def _by_entity(entries: Sequence[HistoryEntry]) -> dict[str, list[HistoryEntry]]:
    found: dict[str, list[HistoryEntry]] = {}
    for entry in entries:
        found.setdefault(entry.entity_id, []).append(entry)
    return found


async def _of_one_instant(broker: Broker, tenant: str, query: HistoryQuery) -> list[HistoryEntry]:
    """All entries of the first instant, where they are more than a page: an instant is not divided."""
    (first,) = await broker.store.instances(tenant, query, 1)
    return await broker.store.instances(tenant, at_instant(query, time_in(first, query)), MOST_AT_ONE_INSTANT)


async def _aggregated(
    broker: Broker, tenant: str, request: TemporalRequest, selected: Selected, names: Names, room: Room
) -> Aggregator:
    """The aggregated values of one entity. `lastN` is for instances, not for what is aggregated (5.7.3.4)."""
    assert request.view.aggregation is not None
    query = replace(_history_query(request, selected.spans), newest_first=False, last_n=None)
    query = replace(query, without=query.without | {SCOPE})
    start, end = request.temporal.start, request.temporal.end
    bounds = [start, end]
    for place, newest_first in ((0, False), (1, True)):
        if bounds[place] is None:
            found = await broker.store.instances(tenant, replace(query, newest_first=newest_first), 1)
            bounds[place] = time_in(found[0], query) if found else broker.now()
    first, last = (_moment(bound) for bound in bounds)
    aggregation = request.view.aggregation
    aggregator = Aggregator(aggregation, query, Periods(first, last, aggregation.duration), room)
    await broker.store.scan_history(tenant, query, aggregator.take)
    for attribute in sorted(request.query.attrs):
        if unfit := aggregator.unfit(attribute):
            raise InvalidRequest(
                f"aggrMethods: {', '.join(unfit)} is not for the values of {names.compact(attribute)} (5.7.4.4)"
            )
    return aggregator


def _moment(instant: str | None) -> datetime:
    return datetime.min.replace(tzinfo=UTC) if instant is None else parse_instant(instant)


def _history_query(request: TemporalRequest, spans: Sequence[Span]) -> HistoryQuery:
    """The instances to show. With a scope query the scopes are those that matched, whenever they were set (C.5.16)."""
    scoped = request.query.scope is not None
    return HistoryQuery(
        spans=tuple(spans),
        time=time_of(request.temporal),
        attributes=request.attributes,
        without=request.without | {SCOPE} if scoped else request.without,
        datasets=request.datasets,
        newest_first=request.temporal.last_n is not None,
        last_n=request.temporal.last_n,
    )


def _concerned(request: TemporalRequest) -> frozenset[str] | None:
    """The attributes of which one has to have an instance in the time asked for."""
    projection = request.view.projection
    return (projection.picked or None) if projection is not None else None
