"""Temporal history: entries in series, one series for each attribute and datasetId of an evolution (4.5.6 to 4.5.8)."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any, Final, NamedTuple, TypeAlias

import orjson

from broker.store.chronicle import First, times_of, wanted
from broker.store.protocol import Evolution, HistoryEntry, HistoryQuery, Span
from broker.store.sqlite import evolutions
from broker.store.sqlite.database import Deadline
from broker.store.sqlite.evolutions import Numbers, types_text

STRIDE: Final = 500
"""Entries that a scan shows at a time."""
PORTION: Final = 10_000
"""Entries that are deleted at a time: a few hundredths of a second in which nothing else is written."""

Change: TypeAlias = Callable[[HistoryEntry], HistoryEntry | None]
Visit: TypeAlias = Callable[[Sequence[HistoryEntry]], bool]

_TIMES: Final = {
    None: "moment",
    "observedAt": "moment",
    "createdAt": "created_at",
    "modifiedAt": "modified_at",
    "deletedAt": "deleted_at",
}
_READ: Final = "instance_id, sequence, recorded_at, deleted, types, instance"


class _Series(NamedTuple):
    number: int
    tenant: str
    entity_id: str
    attribute: str
    dataset: str | None


def append(connection: sqlite3.Connection, entries: Sequence[HistoryEntry], news: Sequence[Evolution]) -> None:
    """Add entries; one that is there already is replaced by itself. Evolutions come from both."""
    numbers = evolutions.record(connection, entries, news)
    _insert(connection, numbers, _numbers_of_series(connection, numbers, entries), entries)


def add(connection: sqlite3.Connection, evolution: Evolution, entries: Sequence[HistoryEntry], *, create: bool) -> bool:
    """Add a client's entries to one evolution, in place of those of the same series and observedAt."""
    existed = evolutions.find(connection, evolution.tenant, evolution.entity_id) is not None
    if not existed and not create:
        return False
    numbers = evolutions.record(connection, entries, [evolution], by_client=True)
    series = _numbers_of_series(connection, numbers, entries)
    observed = [(entry, times) for entry in entries if (times := times_of(entry)).observed]
    connection.executemany(
        "DELETE FROM history WHERE series = ? AND moment = ? AND observed = 1",
        [(series[_series_key(numbers, entry)], times.moment) for entry, times in observed],
    )
    _insert(connection, numbers, series, entries)
    return existed


class Place(NamedTuple):
    """Where an entry is: its series, and the rest of its key."""

    series: _Series
    moment: str
    sequence: int
    instance_id: str


def place_of(
    connection: sqlite3.Connection, tenant: str, entity_id: str, attribute: str, instance_id: str
) -> Place | None:
    """Where an entry is. It reads a whole series: no index of instance ids is worth what it would cost each entry."""
    number = evolutions.find(connection, tenant, entity_id)
    if number is None:
        return None
    for series in _all_series(connection, tenant, entity_id, number):
        if series.attribute == attribute:
            row = connection.execute(
                "SELECT moment, sequence FROM history WHERE series = ? AND instance_id = ?",
                (series.number, instance_id),
            ).fetchone()
            if row is not None:
                return Place(series, row[0], row[1], instance_id)
    return None


def change(connection: sqlite3.Connection, place: Place, changed: Change) -> bool:
    """Replace or remove one entry; whether it is still at its place."""
    series = place.series
    here = "series = ? AND moment = ? AND sequence = ? AND instance_id = ?"
    key = (series.number, *place[1:])
    row = connection.execute(f"SELECT {_READ} FROM history WHERE {here}", key).fetchone()
    number = evolutions.find(connection, series.tenant, series.entity_id)
    if row is None or number is None:
        return False
    connection.execute(f"DELETE FROM history WHERE {here}", key)
    replacement = changed(_entry(series, row))
    if replacement is not None:
        numbers = Numbers({(series.tenant, series.entity_id): number}, set())
        _insert(connection, numbers, _numbers_of_series(connection, numbers, [replacement]), [replacement])
    return True


def thin_out(
    connection: sqlite3.Connection,
    tenant: str,
    entity_id: str,
    attribute: str | None,
    datasets: frozenset[str | None] | None,
) -> bool:
    """Remove some of the entries that `delete` would remove, where they are many; whether that may be so again."""
    number = evolutions.find(connection, tenant, entity_id)
    for series in [] if number is None else _chosen(connection, tenant, entity_id, number, attribute, datasets):
        behind = connection.execute(
            "SELECT moment FROM history WHERE series = ? ORDER BY moment LIMIT 1 OFFSET ?", (series.number, PORTION)
        ).fetchone()
        if (
            behind is not None
            and connection.execute(
                "DELETE FROM history WHERE series = ? AND moment < ?", (series.number, behind[0])
            ).rowcount
        ):
            return True
    return False


def delete(
    connection: sqlite3.Connection,
    tenant: str,
    entity_id: str,
    attribute: str | None,
    datasets: frozenset[str | None] | None,
) -> bool:
    """Remove an evolution, or an attribute of it; whether there was anything to remove."""
    number = evolutions.find(connection, tenant, entity_id)
    if number is None:
        return False
    removed = 0
    for series in _chosen(connection, tenant, entity_id, number, attribute, datasets):
        removed += connection.execute("DELETE FROM history WHERE series = ?", (series.number,)).rowcount
        connection.execute("DELETE FROM series WHERE no = ?", (series.number,))
    if attribute is None:
        evolutions.remove(connection, number, tenant, entity_id)
        return True
    return removed > 0


def _chosen(
    connection: sqlite3.Connection,
    tenant: str,
    entity_id: str,
    evolution: int,
    attribute: str | None,
    datasets: frozenset[str | None] | None,
) -> list[_Series]:
    """The series of one attribute in these datasets, or all of them."""
    return [
        series
        for series in _all_series(connection, tenant, entity_id, evolution)
        if attribute is None or (series.attribute == attribute and (datasets is None or series.dataset in datasets))
    ]


def read(connection: sqlite3.Connection, tenant: str, entity_id: str) -> list[HistoryEntry]:
    """All entries of one entity in order of sequence."""
    found = [
        _entry(series, row)
        for series in _series_of(connection, tenant, HistoryQuery((Span(entity_id),)), Span(entity_id))
        for row in connection.execute(f"SELECT {_READ} FROM history WHERE series = ?", (series.number,))
    ]
    return sorted(found, key=lambda entry: (entry.sequence, entry.instance_id))


def present(connection: sqlite3.Connection, deadline: Deadline, tenant: str, query: HistoryQuery) -> set[str]:
    """The entities of a query's spans of which any entry matches."""
    found: set[str] = set()
    for span in query.spans:
        deadline.check()
        if span.entity_id in found:
            continue
        for series in _series_of(connection, tenant, query, span):
            condition, values = _condition(query, series, span, None)
            if connection.execute(f"SELECT 1 FROM history WHERE {condition} LIMIT 1", values).fetchone():
                found.add(span.entity_id)
                break
    return found


def first(
    connection: sqlite3.Connection, deadline: Deadline, tenant: str, query: HistoryQuery, limit: int
) -> list[HistoryEntry]:
    """The first `limit` entries of a query."""
    best = First(query, limit)
    each = limit if query.last_n is None else min(limit, query.last_n)
    direction = "DESC" if query.newest_first else "ASC"
    columns = dict.fromkeys((_TIMES[query.time], "moment", "sequence", "instance_id"))
    order = f"ORDER BY {', '.join(f'{column} {direction}' for column in columns)} LIMIT ?"
    for entity_id, spans in groupby(sorted(query.spans, key=lambda span: span.entity_id), lambda span: span.entity_id):
        stretches = list(spans)
        of_entity = _series_of(connection, tenant, query, Span(entity_id))
        for _, group in groupby(of_entity, lambda series: series.attribute):
            deadline.check()
            part = best.part()
            for series in group:
                for span in stretches:
                    condition, values = _condition(query, series, span, part.bound)
                    rows = connection.execute(f"SELECT {_READ} FROM history WHERE {condition} {order}", [*values, each])
                    part.offer(_entry(series, row) for row in rows)
            best.join(part)
    return best.found


def scan(connection: sqlite3.Connection, deadline: Deadline, tenant: str, query: HistoryQuery, visit: Visit) -> None:
    """Show all entries of a query to `visit`, until it has seen enough."""
    for span in query.spans:
        for series in _series_of(connection, tenant, query, span):
            condition, values = _condition(query, series, span, None)
            rows = connection.execute(f"SELECT {_READ} FROM history WHERE {condition}", values)
            while stride := rows.fetchmany(STRIDE):
                deadline.check()
                if visit([_entry(series, row) for row in stride]):
                    return


def _condition(query: HistoryQuery, series: _Series, span: Span, bound: str | None) -> tuple[str, list[Any]]:
    column = _TIMES[query.time]
    conditions, values = ["series = ?"], [series.number]
    limits = [(">=", span.start), ("<", span.end), (">=" if query.newest_first else "<=", bound)]
    for operator, limit in limits:
        if limit is not None:
            conditions.append(f"{column} {operator} ?")
            values.append(limit)  # type: ignore[arg-type]
    if query.time == "observedAt":
        conditions.append("observed = 1")
    elif query.time == "deletedAt":
        conditions.append("deleted_at IS NOT NULL")
    return " AND ".join(conditions), values


def _series_of(connection: sqlite3.Connection, tenant: str, query: HistoryQuery, span: Span) -> list[_Series]:
    """The series of an entity that a query is about, ordered by attribute."""
    number = evolutions.find(connection, tenant, span.entity_id)
    if number is None:
        return []
    return [
        series
        for series in _all_series(connection, tenant, span.entity_id, number)
        if wanted(query, series.attribute, series.dataset)
    ]


def _all_series(connection: sqlite3.Connection, tenant: str, entity_id: str, evolution: int) -> Iterator[_Series]:
    rows = connection.execute(
        "SELECT no, attribute, dataset FROM series WHERE evolution = ? ORDER BY attribute, dataset", (evolution,)
    ).fetchall()
    for number, attribute, dataset in rows:
        yield _Series(number, tenant, entity_id, attribute, dataset or None)


def _entry(series: _Series, row: Sequence[Any]) -> HistoryEntry:
    instance_id, sequence, recorded_at, deleted, types, instance = row[:6]
    return HistoryEntry(
        series.tenant,
        series.entity_id,
        _types(types),
        series.attribute,
        series.dataset,
        instance_id,
        sequence,
        recorded_at,
        bool(deleted),
        orjson.loads(instance),
    )


@lru_cache(maxsize=1024)
def _types(text: str) -> tuple[str, ...]:
    return tuple(orjson.loads(text))


_Key: TypeAlias = tuple[int, str, str]


def _series_key(numbers: Numbers, entry: HistoryEntry) -> _Key:
    return numbers.of[entry.tenant, entry.entity_id], entry.attribute, entry.dataset_id or ""


def _numbers_of_series(
    connection: sqlite3.Connection, numbers: Numbers, entries: Sequence[HistoryEntry]
) -> dict[_Key, int]:
    """The numbers of the entries' series; those that are missing are made. A new evolution has none yet."""
    found: dict[_Key, int] = dict.fromkeys((_series_key(numbers, entry) for entry in entries), 0)
    missing: list[_Key] = []
    for key in found:
        row = None
        if key[0] not in numbers.new:
            row = connection.execute(
                "SELECT no FROM series WHERE evolution = ? AND attribute = ? AND dataset = ?", key
            ).fetchone()
        if row is None:
            missing.append(key)
        else:
            found[key] = row[0]
    if missing:
        (last,) = connection.execute("SELECT ifnull(max(no), 0) FROM series").fetchone()
        found.update(zip(missing, range(last + 1, last + 1 + len(missing)), strict=True))
        connection.executemany(
            "INSERT INTO series (no, evolution, attribute, dataset) VALUES (?, ?, ?, ?)",
            [(found[key], *key) for key in missing],
        )
    return found


def _insert(
    connection: sqlite3.Connection, numbers: Numbers, series: dict[_Key, int], entries: Sequence[HistoryEntry]
) -> None:
    rows = []
    for entry in entries:
        moment, observed, created_at, modified_at, deleted_at = times_of(entry)
        rows.append(
            (
                series[_series_key(numbers, entry)],
                moment,
                entry.sequence,
                entry.instance_id,
                observed,
                created_at,
                modified_at,
                deleted_at,
                entry.deleted,
                entry.recorded_at,
                types_text(entry.types),
                orjson.dumps(entry.instance).decode(),
            )
        )
    connection.executemany("INSERT OR REPLACE INTO history VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
