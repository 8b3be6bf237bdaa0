"""Orphaned transactions: ending those whose process died between two statements, long before the server would.

MongoDB has no idea that a transaction's client is gone: it keeps the transaction, and its lock on the log's head, until
`transactionLifetimeLimitSeconds` are over and its reaper comes round, 60 to 90 s with the defaults. All that time no other
process can commit. But it shows what it keeps (`$currentOp`), and it lets a user end sessions of its own
(`killSessions`); both need no right beyond readWrite. So who finds its commits blocked looks at what blocks them.

An orphan is a transaction of a broker on the same database, between two statements, and

* the connection that its last statement came by no longer exists: its process has ended, or has given the connection up
  and will start again; or
* it has done nothing for IDLE_SECONDS: its machine lost power or the network, which no server notices, or it is frozen.

The evidence is the server's alone, with the server's clock: no process has to announce itself, send heartbeats, or be
looked for by its number, which says nothing across containers. Nor can a wrong guess lose a write. A transaction that is
ended is undone as a whole; its owner, should it live, learns so from its next statement and does all of it again.
docs/decisions/0009-orphaned-transactions.md has the alternatives and the measurements.
"""

import logging
from typing import Any, Final, TypeAlias

import pymongo
from bson.binary import Binary
from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference

IDLE_SECONDS: Final = 5.0
"""How long a transaction may do nothing, in all, while it is in others' way. Those of a broker take milliseconds."""
LOOK_SECONDS: Final = 2.0
"""How long looking and ending may take together before the blocked transaction is simply tried again."""

# `localOps`: of a sharded cluster, the router's own view. It alone knows the brokers' connections, and to ask the shards
# takes a right that brokers do not have. Orphans that came by another router are left to the shards' own limit.
_LOOK: Final[list[dict[str, Any]]] = [
    {"$currentOp": {"idleConnections": True, "idleSessions": True, "allUsers": False, "localOps": True}},
    {"$match": {"connectionId": {"$exists": True}}},
    {"$project": {"type": 1, "connectionId": 1, "client": 1, "appName": 1, "lsid": 1, "transaction": 1}},
]

_Identity: TypeAlias = tuple[bytes, int]
_Report: TypeAlias = dict[str, Any]

log = logging.getLogger(__name__)


async def end_orphans(client: AsyncMongoClient[dict[str, Any]], application: str) -> int:
    """End the orphaned transactions of clients with this application name; how many there were.

    Raises nothing: where the server does not answer or does not allow it, the log says so and its own limit stays.
    """
    try:
        with pymongo.timeout(LOOK_SECONDS):
            suspects = await _look(client, application)
            if not suspects:
                return 0
            # Connections are listed before sessions, so a transaction on a connection made in between looks orphaned.
            # By a second look it has got on, or its connection is listed.
            orphans = {
                found: report for found, report in (await _look(client, application)).items() if found in suspects
            }
            if orphans:
                # By the session's id alone: the server adds the user, so that nobody else's can be meant.
                sessions = [{"id": Binary(session, 4)} for session, _ in orphans]
                await client.admin.command("killSessions", sessions)
    except PyMongoError as error:
        log.warning("cannot look for orphaned transactions", extra={"reason": str(error)[:500]})
        return 0
    for report in orphans.values():
        open_for, idle_for = (report["transaction"][name] / 1e6 for name in ("timeOpenMicros", "timeInactiveMicros"))
        log.warning(
            "ended an orphaned transaction: its process was killed, or is cut off or frozen",
            extra={"client": report.get("client"), "open_seconds": open_for, "idle_seconds": idle_for},
        )
    return len(orphans)


async def _look(client: AsyncMongoClient[dict[str, Any]], application: str) -> dict[_Identity, _Report]:
    """What seems orphaned now, by session and number of the transaction."""
    admin = client.get_database("admin", read_preference=ReadPreference.PRIMARY, read_concern=ReadConcern("local"))
    reports = await (await admin.aggregate(_LOOK)).to_list()
    connected = {report["connectionId"] for report in reports if report["type"] != "idleSession"}
    return {
        (bytes(report["lsid"]["id"]), report["transaction"]["parameters"]["txnNumber"]): report
        for report in reports
        if report["type"] == "idleSession"
        and report.get("appName") == application
        and "transaction" in report
        and _is_orphaned(report, connected)
    }


def _is_orphaned(report: _Report, connected: set[int]) -> bool:
    idle: int = report["transaction"]["timeInactiveMicros"]
    return report["connectionId"] not in connected or idle >= IDLE_SECONDS * 1e6
