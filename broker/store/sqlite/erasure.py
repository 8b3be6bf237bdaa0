"""Removing all that is kept of one tenant, some rows at a time: for the spaces of snapshots (5.16.5)."""

import sqlite3

from broker.store.sqlite import entities, evolutions
from broker.store.sqlite.catalogue import Catalogue


def erase(connection: sqlite3.Connection, catalogue: Catalogue, tenant: str, limit: int) -> int:
    """Remove up to `limit` of the tenant's rows; how many they were. To be called in a transaction."""
    removed = entities.remove_some(connection, tenant, limit)
    if removed < limit:
        removed += _history(connection, tenant, limit - removed)
    if removed < limit:
        removed += connection.execute(
            "DELETE FROM documents WHERE no IN (SELECT no FROM documents WHERE tenant = ? LIMIT ?)",
            (tenant, limit - removed),
        ).rowcount
    if removed < limit:
        _forget_sets(connection, catalogue, tenant)
    return removed


def _history(connection: sqlite3.Connection, tenant: str, limit: int) -> int:
    """Remove entries, and with the last ones of an evolution the evolution itself, which counts as one more."""
    removed = 0
    while removed < limit:
        evolution = connection.execute("SELECT no, id FROM evolutions WHERE tenant = ? LIMIT 1", (tenant,)).fetchone()
        if evolution is None:
            return removed
        number, entity_id = evolution
        for (series,) in connection.execute("SELECT no FROM series WHERE evolution = ?", (number,)).fetchall():
            removed += connection.execute(
                "DELETE FROM history WHERE series = ?1 AND (moment, sequence, instance_id) IN"
                " (SELECT moment, sequence, instance_id FROM history WHERE series = ?1 LIMIT ?2)",
                (series, limit - removed),
            ).rowcount
            if removed == limit:
                return removed  # there may be more of this series
            connection.execute("DELETE FROM series WHERE no = ?", (series,))
        evolutions.remove(connection, number, tenant, entity_id)
        removed += 1
    return removed


def _forget_sets(connection: sqlite3.Connection, catalogue: Catalogue, tenant: str) -> None:
    """Drop what the tenant's entities had in common, now that there are none, and the indexes of their values."""
    of_tenant = "IN (SELECT no FROM type_sets WHERE tenant = ?)"
    connection.execute("DELETE FROM shape_attributes WHERE tenant = ?", (tenant,))
    connection.execute(f"DELETE FROM shapes WHERE type_set {of_tenant}", (tenant,))
    for table in ("type_set_members", "type_sets", "scope_sets", "layers", "value_indexes"):
        connection.execute(f"DELETE FROM {table} WHERE tenant = ?", (tenant,))
    catalogue.forget()
