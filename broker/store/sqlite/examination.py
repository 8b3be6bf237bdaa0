"""What `tsunagu doctor` and readiness ask of the embedded store."""

import shutil
import sqlite3
from typing import Final

from broker.errors import StoreUnavailable
from broker.store.protocol import Finding
from broker.store.sqlite.database import Database

SCARCE_BYTES: Final = 256 * 1024 * 1024


async def examine(database: Database) -> list[Finding]:
    """Findings about writing, durability and room; cheap enough for a readiness probe."""
    findings = [await _writable(database)]
    if not findings[0].ok:
        return findings
    if database.in_memory:
        findings.append(
            Finding("durability", False, "the database is in memory: all is lost at the end", "give a directory")
        )
        return findings
    mode, synchronous = await database.write(_durability, "examining the database")
    findings.append(
        Finding(
            "durability",
            (mode, synchronous) == ("wal", 2),
            f"journal_mode {mode}, synchronous {synchronous}",
            "" if mode == "wal" else "put the directory on a local disk: a network file system cannot keep a WAL",
        )
    )
    free = shutil.disk_usage(database.path).free
    findings.append(
        Finding(
            "disk space",
            free >= SCARCE_BYTES,
            f"{free // 1024**2} MiB are free in {database.path}",
            "" if free >= SCARCE_BYTES else "make room, or shorten the retention of the change log",
        )
    )
    return findings


async def _writable(database: Database) -> Finding:
    try:
        await database.write(
            lambda c: c.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('examined', 1)"),
            "writing to the database",
        )
    except StoreUnavailable as error:
        return Finding("writing", False, error.detail, f"make {database.path} writable for this user and make room")
    return Finding("writing", True, "a transaction was committed")


def _durability(connection: sqlite3.Connection) -> tuple[str, int]:
    return (
        connection.execute("PRAGMA journal_mode").fetchone()[0],
        connection.execute("PRAGMA synchronous").fetchone()[0],
    )
