"""Temporal history: one row for each attribute instance at each change (4.5.7, 4.5.8)."""

import sqlite3
from collections.abc import Sequence

import orjson

from broker.store.protocol import HistoryEntry

_COLUMNS = "tenant, entity_id, sequence, instance_id, attribute, dataset_id, types, recorded_at, deleted, instance"


def append(connection: sqlite3.Connection, entries: Sequence[HistoryEntry]) -> None:
    """Add entries; one that is there already is replaced by itself."""
    connection.executemany(
        f"INSERT OR REPLACE INTO history ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                entry.tenant,
                entry.entity_id,
                entry.sequence,
                entry.instance_id,
                entry.attribute,
                entry.dataset_id,
                orjson.dumps(entry.types).decode(),
                entry.recorded_at,
                entry.deleted,
                orjson.dumps(entry.instance).decode(),
            )
            for entry in entries
        ],
    )


def read(connection: sqlite3.Connection, tenant: str, entity_id: str) -> list[HistoryEntry]:
    """All entries of one entity in order of sequence."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM history WHERE tenant = ? AND entity_id = ? ORDER BY sequence, instance_id",
        (tenant, entity_id),
    )
    return [
        HistoryEntry(
            tenant=row[0],
            entity_id=row[1],
            types=tuple(orjson.loads(row[6])),
            attribute=row[4],
            dataset_id=row[5],
            instance_id=row[3],
            sequence=row[2],
            recorded_at=row[7],
            deleted=bool(row[8]),
            instance=orjson.loads(row[9]),
        )
        for row in rows
    ]
