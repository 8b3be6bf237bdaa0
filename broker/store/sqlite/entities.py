"""Entities' rows: reading them by key, and writing a commit's mutations together with their change records."""

import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import orjson

from broker.model.change import Change
from broker.model.entity import Entity
from broker.store.protocol import EntityKey, Mutation, VersionConflict
from broker.store.sqlite import entries, log
from broker.store.sqlite.catalogue import Catalogue, Traits, canonical_instant


class Row(NamedTuple):
    """An entity's row without its body."""

    row: int
    version: int
    traits: Traits
    entries: str | None


def read(connection: sqlite3.Connection, keys: Sequence[EntityKey]) -> dict[EntityKey, Entity]:
    """The stored states of those of `keys` that exist."""
    found: dict[EntityKey, Entity] = {}
    for tenant, ids in by_tenant(keys).items():
        rows = connection.execute(
            "SELECT id, body FROM entities WHERE tenant = ? AND id IN (SELECT value FROM json_each(?))",
            (tenant, orjson.dumps(ids).decode()),
        )
        for entity_id, body in rows:
            found[tenant, entity_id] = orjson.loads(body)
    return found


def commit(
    connection: sqlite3.Connection, catalogue: Catalogue, mutations: Sequence[Mutation], head: int
) -> tuple[list[Change], list[int]]:
    """Write states and change records; sequences follow `head`. The changes, and the sizes of their states as stored.

    To be called in a transaction. Raises VersionConflict.
    """
    before = _rows(connection, {(mutation.change.tenant, mutation.change.entity_id) for mutation in mutations})
    states = _final_states(before, mutations)
    changes = [mutation.change.committed(head + place) for place, mutation in enumerate(mutations, start=1)]
    bodies = [None if change.after is None else orjson.dumps(change.after).decode() for change in changes]
    body_of = {(change.tenant, change.entity_id): body for change, body in zip(changes, bodies, strict=True)}
    shapes: Counter[int] = Counter()
    type_sets: Counter[int] = Counter()
    new: list[tuple[object, ...]] = []
    last = _last_row(connection) if len(before) < len(states) else 0
    for key, state in states.items():
        row = before.get(key)
        body = body_of[key]
        if row is not None:
            shapes[row.traits.shape] -= 1
            type_sets[row.traits.type_set] -= 1
        if state is None or body is None:
            if row is not None:
                _delete(connection, key[1], row)
            continue
        traits = catalogue.traits(connection, key[0], state)
        shapes[traits.shape] += 1
        type_sets[traits.type_set] += 1
        if row is None:
            number = last + len(new) + 1
            made = entries.renew(connection, catalogue, key[0], number, None, state)
            new.append((number, *key, state["version"], *traits, made, body))
        else:
            _update(connection, catalogue, key[0], row, state, traits, body)
    if new:
        connection.executemany(
            "INSERT INTO entities"
            " (row, tenant, id, version, type_set, shape, scope_set, expires_at, fades_at, entries, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            new,
        )
    _adjust(connection, "shapes", shapes)
    _adjust(connection, "type_sets", type_sets)
    return changes, log.append(connection, changes, bodies)


def expired(connection: sqlite3.Connection, now: str, limit: int) -> list[EntityKey]:
    """The keys of at most `limit` entities that have expired at `now`, or of which an attribute instance has."""
    moment = canonical_instant(now)
    rows = connection.execute(
        "SELECT tenant, id FROM entities WHERE expires_at <= ?1 "
        "UNION SELECT tenant, id FROM entities WHERE fades_at <= ?1 LIMIT ?2",
        (moment, limit),
    )
    return [(tenant, entity_id) for tenant, entity_id in rows]


def remove_some(connection: sqlite3.Connection, tenant: str, limit: int) -> int:
    """Remove up to `limit` entities of a tenant without a change record; how many they were."""
    found = connection.execute(
        "SELECT row, id, entries, shape, type_set FROM entities WHERE tenant = ? LIMIT ?", (tenant, limit)
    ).fetchall()
    for _, entity_id, made, _, _ in found:
        entries.erase(connection, entity_id, made)
    connection.executemany("DELETE FROM entities WHERE row = ?", [(row,) for row, *_ in found])
    _adjust(
        connection, "shapes", Counter({shape: -count for shape, count in Counter(each[3] for each in found).items()})
    )
    _adjust(connection, "type_sets", Counter({no: -count for no, count in Counter(each[4] for each in found).items()}))
    return len(found)


def by_tenant(keys: Iterable[EntityKey]) -> dict[str, list[str]]:
    """The entity ids of these keys, by tenant."""
    grouped: dict[str, list[str]] = {}
    for tenant, entity_id in keys:
        grouped.setdefault(tenant, []).append(entity_id)
    return grouped


def _rows(connection: sqlite3.Connection, keys: Iterable[EntityKey]) -> dict[EntityKey, Row]:
    found: dict[EntityKey, Row] = {}
    for tenant, ids in by_tenant(keys).items():
        rows = connection.execute(
            "SELECT id, row, version, entries, type_set, shape, scope_set, expires_at, fades_at FROM entities"
            " WHERE tenant = ? AND id IN (SELECT value FROM json_each(?))",
            (tenant, orjson.dumps(ids).decode()),
        )
        for entity_id, row, version, drawn, *traits in rows:
            found[tenant, entity_id] = Row(row, version, Traits(*traits), drawn)
    return found


def _final_states(before: dict[EntityKey, Row], mutations: Sequence[Mutation]) -> dict[EntityKey, Entity | None]:
    """The last state of each key, after checking that every mutation found the version it expects."""
    versions = {key: row.version for key, row in before.items()}
    states: dict[EntityKey, Entity | None] = {}
    conflicts: dict[EntityKey, None] = {}
    for mutation in mutations:
        change = mutation.change
        key = change.tenant, change.entity_id
        if versions.get(key, 0) != mutation.expected_version:
            conflicts[key] = None
        states[key] = change.after
        versions[key] = 0 if change.after is None else change.after["version"]
    if conflicts:
        raise VersionConflict(list(conflicts))
    return states


def _last_row(connection: sqlite3.Connection) -> int:
    (last,) = connection.execute("SELECT ifnull(max(row), 0) FROM entities").fetchone()
    return int(last)


def _update(
    connection: sqlite3.Connection,
    catalogue: Catalogue,
    tenant: str,
    row: Row,
    state: Entity,
    traits: Traits,
    body: str,
) -> None:
    made = entries.renew(connection, catalogue, tenant, row.row, row.entries, state)
    if traits == row.traits:  # a statement that names no indexed column leaves the indexes alone
        connection.execute(
            "UPDATE entities SET version = ?, body = ?, entries = ? WHERE row = ?",
            (state["version"], body, made, row.row),
        )
    else:
        connection.execute(
            "UPDATE entities SET version = ?, type_set = ?, shape = ?, scope_set = ?, expires_at = ?, fades_at = ?,"
            " body = ?, entries = ? WHERE row = ?",
            (state["version"], *traits, body, made, row.row),
        )


def _delete(connection: sqlite3.Connection, entity_id: str, row: Row) -> None:
    entries.erase(connection, entity_id, row.entries)
    connection.execute("DELETE FROM entities WHERE row = ?", (row.row,))


def _adjust(connection: sqlite3.Connection, table: str, differences: Counter[int]) -> None:
    connection.executemany(
        f"UPDATE {table} SET entities = entities + ? WHERE no = ?",
        [(difference, number) for number, difference in differences.items() if difference],
    )
