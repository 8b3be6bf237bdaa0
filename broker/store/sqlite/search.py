"""Querying entities: rows found by SQL (`narrowing`), and the evaluator's word on those that SQL cannot be sure of."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Final, NamedTuple

import orjson

from broker.model.entity import Entity
from broker.model.expiry import without_expired
from broker.query.ast import EntityQuery, Ordering
from broker.query.evaluate import compile_query
from broker.query.ordering import sort_entities
from broker.store.demand import Effort
from broker.store.protocol import Page, Sheet, Window
from broker.store.sqlite.catalogue import canonical_instant
from broker.store.sqlite.database import Deadline
from broker.store.sqlite.narrowing import Narrowing, narrow

FIRST_STRIDE: Final = 64
LONGEST_STRIDE: Final = 1024
"""Bodies are fetched in strides that grow between these, so that a page that fills soon reads little."""


class Found(NamedTuple):
    """An entity that matches: its id, its body, and what the body says where it has been read."""

    id: str
    body: str
    entity: Entity | None


def find(
    connection: sqlite3.Connection, deadline: Deadline, effort: Effort, tenant: str, query: EntityQuery, page: Page
) -> Window:
    """One page of the entities that match. `page.after` is for the default order only (ValueError otherwise)."""
    if query.ordering is not None:
        if page.after is not None:
            raise ValueError("a result in another order than by id cannot go on after an id")
        return _find_ordered(connection, deadline, effort, tenant, query, query.ordering, page)
    found = _page(connection, deadline, effort, tenant, query, page)
    return Window([_read(each) for each in found[: page.limit]], len(found) > page.limit, effort.wasted)


def find_bodies(
    connection: sqlite3.Connection, deadline: Deadline, effort: Effort, tenant: str, query: EntityQuery, page: Page
) -> Sheet:
    """The same, in the default order, without reading bodies for it."""
    if query.ordering is not None:
        raise ValueError("who orders entities reads them")
    found = _page(connection, deadline, effort, tenant, query, page)
    shown = found[: page.limit]
    return Sheet(
        orjson.loads,
        [each.id for each in shown],
        [each.body for each in shown],
        len(found) > page.limit,
        effort.wasted,
    )


def _page(
    connection: sqlite3.Connection, deadline: Deadline, effort: Effort, tenant: str, query: EntityQuery, page: Page
) -> list[Found]:
    """The page and one more."""
    narrowing = narrow(connection, tenant, query, page.after)
    if narrowing is None:
        return []
    if narrowing.exact and not narrowing.faded:
        limits = f"LIMIT {page.limit + 1} OFFSET {page.offset}"
        return list(_matching(connection, deadline, effort, query, narrowing, limits))
    matching = _matching(connection, deadline, effort, query, narrowing)
    return list(islice(matching, page.offset, page.offset + page.limit + 1))


def _read(found: Found) -> Entity:
    return orjson.loads(found.body) if found.entity is None else found.entity


def count(connection: sqlite3.Connection, deadline: Deadline, effort: Effort, tenant: str, query: EntityQuery) -> int:
    """How many entities match."""
    narrowing = narrow(connection, tenant, query)
    if narrowing is None:
        return 0
    if narrowing.known_count is not None:
        return narrowing.known_count
    if narrowing.exact and not narrowing.faded:
        effort.used = narrowing.used
        return int(connection.execute(narrowing.size, narrowing.values).fetchone()[0])
    return sum(1 for _ in _matching(connection, deadline, effort, query, narrowing))


def _find_ordered(
    connection: sqlite3.Connection,
    deadline: Deadline,
    effort: Effort,
    tenant: str,
    query: EntityQuery,
    ordering: Ordering,
    page: Page,
) -> Window:
    """All that match have to be looked at, but only those that may still be on the page are kept."""
    query = replace(query, ordering=None)
    narrowing = narrow(connection, tenant, query)
    if narrowing is None:
        return Window()
    needed = page.offset + page.limit + 1
    stride = max(needed, LONGEST_STRIDE)
    matching = _matching(connection, deadline, effort, query, narrowing)
    best: list[Entity] = []
    while more := [_read(each) for each in islice(matching, stride)]:
        best = sort_entities([*best, *more], ordering)[:needed]
    shown = best[page.offset : page.offset + page.limit]
    return Window(shown, len(best) > page.offset + page.limit, effort.looked_at - len(shown))


def _matching(
    connection: sqlite3.Connection,
    deadline: Deadline,
    effort: Effort,
    query: EntityQuery,
    narrowing: Narrowing,
    limits: str = "",
) -> Iterator[Found]:
    """The entities that match, in order of id, without instances that have expired."""
    effort.missing, effort.used = narrowing.missing, narrowing.used
    surely = narrowing.exact and not narrowing.faded
    test = None if surely else compile_query(query)
    now = None if query.now is None else canonical_instant(query.now)
    rows = connection.execute(f"{narrowing.rows} ORDER BY 2 {limits}", narrowing.values)
    stride = FIRST_STRIDE
    while numbers := rows.fetchmany(stride):
        deadline.check()
        bodies = {
            row: (body, fades_at)
            for row, body, fades_at in connection.execute(
                "SELECT row, body, fades_at FROM entities WHERE row IN (SELECT value FROM json_each(?))",
                (orjson.dumps([row for row, _ in numbers]).decode(),),
            )
        }
        for number, entity_id in numbers:
            body, fades_at = bodies[number]
            effort.looked_at += 1
            if test is None:
                effort.found += 1
                yield Found(entity_id, body, None)
                continue
            entity: Entity = orjson.loads(body)
            faded = now is not None and fades_at is not None and fades_at <= now
            if (narrowing.exact and not faded) or test(entity):
                effort.found += 1
                if faded and now is not None and (left := without_expired(entity, now)) is not None:
                    yield Found(entity_id, orjson.dumps(left).decode(), left)
                else:
                    yield Found(entity_id, body, entity)
        stride = min(stride * 2, LONGEST_STRIDE)
