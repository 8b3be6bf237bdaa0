"""Querying entities: rows found by SQL (`narrowing`), and the evaluator's word on those that SQL cannot be sure of."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Final

import orjson

from broker.model.entity import Entity
from broker.model.expiry import without_expired
from broker.query.ast import EntityQuery, Ordering
from broker.query.evaluate import compile_query
from broker.query.ordering import sort_entities
from broker.store.demand import Effort
from broker.store.protocol import Page, Window
from broker.store.sqlite.catalogue import canonical_instant
from broker.store.sqlite.database import Deadline
from broker.store.sqlite.narrowing import Narrowing, narrow

FIRST_STRIDE: Final = 64
LONGEST_STRIDE: Final = 1024
"""Bodies are fetched in strides that grow between these, so that a page that fills soon reads little."""


def find(
    connection: sqlite3.Connection, deadline: Deadline, effort: Effort, tenant: str, query: EntityQuery, page: Page
) -> Window:
    """One page of the entities that match. `page.after` is for the default order only (ValueError otherwise)."""
    if query.ordering is not None:
        if page.after is not None:
            raise ValueError("a result in another order than by id cannot go on after an id")
        return _find_ordered(connection, deadline, effort, tenant, query, query.ordering, page)
    narrowing = narrow(connection, tenant, query, page.after)
    if narrowing is None:
        return Window()
    if narrowing.exact and not narrowing.faded:
        limits = f"LIMIT {page.limit + 1} OFFSET {page.offset}"
        matching = _matching(connection, deadline, effort, query, narrowing, limits)
    else:
        matching = islice(_matching(connection, deadline, effort, query, narrowing), page.offset, None)
    return _window(list(islice(matching, page.limit + 1)), page.limit, effort)


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


def _window(entities: list[Entity], limit: int, effort: Effort) -> Window:
    return Window(entities[:limit], len(entities) > limit, effort.wasted)


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
    while more := list(islice(matching, stride)):
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
) -> Iterator[Entity]:
    """The entities that match, in order of id, without instances that have expired."""
    effort.missing, effort.used = narrowing.missing, narrowing.used
    test = compile_query(query)
    now = None if query.now is None else canonical_instant(query.now)
    rows = connection.execute(f"{narrowing.rows} ORDER BY 2 {limits}", narrowing.values)
    stride = FIRST_STRIDE
    while numbers := [row for row, _ in rows.fetchmany(stride)]:
        deadline.check()
        bodies = {
            row: (body, fades_at)
            for row, body, fades_at in connection.execute(
                "SELECT row, body, fades_at FROM entities WHERE row IN (SELECT value FROM json_each(?))",
                (orjson.dumps(numbers).decode(),),
            )
        }
        for number in numbers:
            body, fades_at = bodies[number]
            entity: Entity = orjson.loads(body)
            effort.looked_at += 1
            faded = now is not None and fades_at is not None and fades_at <= now
            if (narrowing.exact and not faded) or test(entity):
                effort.found += 1
                yield entity if not faded or now is None else without_expired(entity, now) or entity
        stride = min(stride * 2, LONGEST_STRIDE)
