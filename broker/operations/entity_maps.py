"""EntityMaps (5.14): retrieve, update, delete and create them, and answer a query page by page with one (5.5.9.3, 5.5.14)."""

import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from broker.errors import BadRequestData, ResourceNotFound, TooComplexQuery, TooManyResults
from broker.federation.entity_map import DEFAULT_LIFETIME, EntityMap, Mark, filters_digest, updated_expiry
from broker.federation.map_pages import Checked, Inquiry, MapPage, MapReader
from broker.model.entity import Entity, JsonObject
from broker.model.naming import check_uri
from broker.operations.broker import Broker
from broker.query.ast import EntityQuery, EntitySelector
from broker.query.evaluate import matches_types
from broker.query.ordering import sort_entities
from broker.query.patterns import pattern_test
from broker.store.linked import resolve_linked
from broker.store.protocol import Page

STRIDE: Final = 1000
"""Entities that the making of a map takes up at a time."""
MAKING_SECONDS: Final = 60.0
MOST_ORDERED: Final = 10_000
"""Entities of a map in another order than by id: to be ordered, all of them have to be at hand."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class MapUse:
    """What a request says of EntityMaps: which one it refers to, if any, at which mark of that its page is, and for how many
    seconds a new one is to live."""

    map_id: str | None = None
    mark: Mark | None = None
    seconds: float = DEFAULT_LIFETIME


@dataclass(frozen=True, slots=True)
class Question(Generic[T]):
    """A query of which a map can fix the entities. `filters` and `window` are digests; `ids` finds the candidates of a new
    map, some at a time."""

    filters: str
    window: str | None
    ids: Callable[[], AsyncIterator[list[str]]]
    inquiry: Inquiry[T]


@dataclass(frozen=True, slots=True)
class MappedPage(Generic[T]):
    """One page, the map that it is from, whether that was created on the way, and how many match, where asked for."""

    page: MapPage[T]
    entity_map: EntityMap
    created: bool
    total: int | None


# --- 5.14.1 to 5.14.3


async def retrieve_entity_map(broker: Broker, tenant: str, map_id: str) -> JsonObject:
    """5.14.1 Retrieve EntityMap. Raises BadRequestData, ResourceNotFound."""
    return await entity_map_document(broker, tenant, await existing_entity_map(broker, tenant, map_id))


async def update_entity_map(broker: Broker, tenant: str, map_id: str, fragment: JsonObject) -> None:
    """5.14.2 Update EntityMap: only when it expires. Raises BadRequestData, ResourceNotFound."""
    await existing_entity_map(broker, tenant, map_id)
    expires_at = updated_expiry(fragment, map_id, broker.now())
    if expires_at is not None and not await broker.entity_maps.prolong(tenant, map_id, expires_at):
        raise _unknown(map_id)


async def delete_entity_map(broker: Broker, tenant: str, map_id: str) -> None:
    """5.14.3 Delete EntityMap. Raises BadRequestData, ResourceNotFound."""
    if not await broker.entity_maps.remove(tenant, check_uri(map_id, "entityMapId")):
        raise _unknown(map_id)


async def entity_map_document(broker: Broker, tenant: str, entity_map: EntityMap) -> JsonObject:
    """The whole EntityMap (5.2.39)."""
    entities: dict[str, list[str]] = {}
    for number in range(entity_map.parts):
        slots = await broker.entity_maps.slots(tenant, entity_map, number)
        entities.update((slot[0], slot[1]) for slot in slots if slot is not None)
    return entity_map.document(entities)


async def existing_entity_map(broker: Broker, tenant: str, map_id: str) -> EntityMap:
    """A map by its id. Raises BadRequestData, ResourceNotFound."""
    found = await broker.entity_maps.find(tenant, check_uri(map_id, "entityMapId"))
    if found is None:
        raise _unknown(map_id)
    return found


def _unknown(map_id: str) -> ResourceNotFound:
    return ResourceNotFound(f"there is no EntityMap {map_id}, or it has expired", instance=map_id)


# --- creating (5.14.4, 5.14.5) and using maps


async def create_entity_map(broker: Broker, tenant: str, question: Question[T], seconds: float) -> EntityMap:
    """5.14.4, 5.14.5: a map of what a query selects now. Raises TooManyResults, TooComplexQuery."""
    maps = broker.entity_maps
    return await maps.make(tenant, question.ids(), seconds, filters=question.filters, window=question.window)


async def map_of_one(broker: Broker, tenant: str, use: MapUse, entity_id: str) -> EntityMap:
    """The map of a retrieval (5.7.1.4, 5.7.3.4): the one referred to, else a new one of this entity alone.

    It says which registrations to ask for the entity. What this broker holds of it is shown whatever the map says.
    """

    async def ids() -> AsyncIterator[list[str]]:
        yield [entity_id]

    found = None if use.map_id is None else await broker.entity_maps.find(tenant, use.map_id)
    return found or await broker.entity_maps.make(tenant, ids(), use.seconds, filters=None, window=None)


async def mapped_page(
    broker: Broker, tenant: str, use: MapUse, question: Question[T], *, limit: int, offset: int, count: bool
) -> MappedPage[T]:
    """One page of a query with a map (5.5.9.3): the one referred to or, where there is none or it has expired, a new one.

    What does not fit the query any more is removed from the map, unless another interval is asked for than at first. Raises
    BadRequestData for a map that was made for another query (5.5.14).
    """
    maps = broker.entity_maps
    found = None if use.map_id is None else await maps.find(tenant, use.map_id)
    if found is not None and found.filters != question.filters:
        raise BadRequestData(
            f"NGSILD-EntityMap: {found.id} was made for a query with other parameters (5.5.14)", instance=found.id
        )
    entity_map = found or await create_entity_map(broker, tenant, question, use.seconds)
    reader = MapReader(lambda number: maps.slots(tenant, entity_map, number), entity_map.parts, question.inquiry)
    total = await reader.count() if count else None
    mark = use.mark if use.mark is not None and use.mark.map_id == entity_map.id else None
    if not limit:
        page: MapPage[T] = MapPage([], None, None, offset)
    elif mark is None:
        page = await reader.page_at(offset, limit)
    elif mark.ahead:
        page = await reader.page_from(mark.place, limit, offset)
    else:
        page = await reader.page_before(mark.place, limit, offset)
    if entity_map.window == question.window:
        await maps.trim(tenant, entity_map, reader.gone)
    return MappedPage(page, entity_map, found is None, total)


async def query_with_map(
    broker: Broker,
    tenant: str,
    query: EntityQuery,
    use: MapUse,
    *,
    split: bool,
    limit: int,
    offset: int,
    count: bool,
) -> MappedPage[Entity]:
    """5.7.2 Query Entities with a map. Pages have the order in which the entities were found; within each, it is what they are
    now that counts (4.23)."""
    question = await entity_question(broker, tenant, query, split=split)
    mapped = await mapped_page(broker, tenant, use, question, limit=limit, offset=offset, count=count)
    if query.ordering is None:
        return mapped
    return replace(mapped, page=replace(mapped.page, found=sort_entities(mapped.page.found, query.ordering)))


async def entity_question(broker: Broker, tenant: str, query: EntityQuery, *, split: bool) -> Question[Entity]:
    """A query of current entities. Where they are to be expected `split`, a map first takes all that ids and types select, since
    no other condition holds for parts of an entity (5.14.4.4); an order is for the local scope only (5.7.2.4)."""
    store = broker.store
    digest = filters_digest("entities", query)
    query = await resolve_linked(store, tenant, query)
    split = split and query.ordering is None
    candidates = replace(query, attrs=frozenset(), q=None, geo=None, scope=None) if split else query

    async def check(ids: Sequence[str]) -> Checked[Entity]:
        found = (await store.query(tenant, among(query, ids), Page(len(ids)))).entities
        asked_for = {each["id"]: each for each in found if is_selected(query.selectors, each["id"], each["type"])}
        return Checked({each["id"] for each in found}, asked_for)

    async def every_one(ids: Sequence[str]) -> bool:
        return await store.count(tenant, among(query, ids)) == len(ids)

    def ids() -> AsyncIterator[list[str]]:
        return _entity_ids(broker, tenant, candidates)

    # With several selectors, an id that is asked for may belong to another one's type.
    alone = len(query.selectors) <= 1
    return Question(digest, None, ids, Inquiry(identified(query.selectors), check, every_one if alone else None))


async def _entity_ids(broker: Broker, tenant: str, query: EntityQuery) -> AsyncIterator[list[str]]:
    """The ids of all entities that match, in the query's order."""
    if query.ordering is not None:
        window = await broker.store.query(tenant, query, Page(MOST_ORDERED))
        if window.more:
            raise TooManyResults(f"orderBy: an ordered EntityMap holds at most {MOST_ORDERED} entities: ask for fewer")
        yield [entity["id"] for entity in window.entities]
        return
    deadline = time.monotonic() + MAKING_SECONDS
    after: str | None = None
    while True:
        window = await broker.store.query(tenant, query, Page(STRIDE, after=after))
        if window.entities:
            yield [entity["id"] for entity in window.entities]
            after = window.entities[-1]["id"]
        if not window.more:
            return
        if time.monotonic() > deadline:
            raise TooComplexQuery(f"the query took longer than {MAKING_SECONDS:g} seconds: ask for fewer entities")


# --- selectors, with and without their identifiers: these may differ among the requests that use a map (5.5.14)


def among(query: EntityQuery, ids: Sequence[str]) -> EntityQuery:
    """The query's conditions on these entities, in any order, whatever ids the query itself asks for."""
    wanted = frozenset(ids)
    types = dict.fromkeys(selector.types for selector in query.selectors) or {None: None}
    return replace(query, selectors=tuple(EntitySelector(ids=wanted, types=each) for each in types), ordering=None)


def identified(selectors: Sequence[EntitySelector]) -> Callable[[str], bool]:
    """Whether an id alone is asked for: by one selector, of whatever type."""
    tests = [_identified(selector) for selector in selectors]
    return lambda entity_id: not tests or any(test(entity_id) for test in tests)


def _identified(selector: EntitySelector) -> Callable[[str], bool]:
    ids = selector.ids
    if ids is not None:
        return lambda entity_id: entity_id in ids
    return (lambda _: True) if selector.id_pattern is None else pattern_test(selector.id_pattern)


def is_selected(selectors: Sequence[EntitySelector], entity_id: str, types: Sequence[str]) -> bool:
    """Whether a selector asks for an entity, by its id and its types (5.2.33)."""
    return not selectors or any(
        _identified(selector)(entity_id) and (selector.types is None or matches_types(selector.types, types))
        for selector in selectors
    )
