"""What can be wrong with a MongoDB, and what to do about it: for `tsunagu doctor` and readiness."""

import time
from typing import Any, Final

from pymongo.errors import PyMongoError

from broker.errors import NgsiLdError
from broker.store.mongo.connection import REPLICA_SET_REMEDY, SCHEMA_VERSION, Connection, meaning
from broker.store.protocol import Finding

OLDEST_SERVER: Final = (5, 0)
LEAST_FREE_BYTES: Final = 2 * 1024**3
LEAST_FREE_SHARE: Final = 0.05
SLOW_WRITE_SECONDS: Final = 0.25


async def examine(connection: Connection) -> list[Finding]:
    """Findings in the order in which one would ask; the first that fails may end the list, as the others rest on it."""
    try:
        hello = await connection.client.admin.command("hello")
    except (NgsiLdError, PyMongoError) as error:
        reason = error.detail if isinstance(error, NgsiLdError) else meaning(error, "saying hello").detail
        remedy = "check that mongod runs, the host and port in the store's URI, and the firewall between"
        return [Finding("MongoDB reachable", False, reason, remedy)]
    findings = [Finding("MongoDB reachable", True, f"{hello.get('me') or hello.get('setName') or 'mongos'} answers")]
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        return [*findings, Finding("Transactions", False, "this MongoDB is no replica set", REPLICA_SET_REMEDY)]
    findings.append(Finding("Transactions", True, _topology(hello)))
    for check in (_version, _schema, _writes, _disk):
        try:
            findings.append(await check(connection))
        except PyMongoError as error:
            subject = check.__name__.removeprefix("_").capitalize()
            remedy = "give the broker's MongoDB user the role readWrite on its database and clusterMonitor on admin"
            findings.append(Finding(subject, False, meaning(error, "examining the store").detail, remedy))
    return findings


def _topology(hello: dict[str, Any]) -> str:
    if hello.get("msg") == "isdbgrid":
        return "a sharded cluster"
    members = len(hello.get("hosts", ()))
    name = hello["setName"]
    return f"replica set {name} of {members}" if members > 1 else f"replica set {name} of one: no fail-over"


async def _version(connection: Connection) -> Finding:
    build = await connection.client.admin.command("buildInfo")
    version = ".".join(map(str, OLDEST_SERVER))
    ok = tuple(build["versionArray"][:2]) >= OLDEST_SERVER
    return Finding("Version", ok, f"MongoDB {build['version']}", "" if ok else f"upgrade to MongoDB {version} or later")


async def _schema(connection: Connection) -> Finding:
    schema = await connection.collection("meta").find_one({"_id": "schema"})
    version = None if schema is None else schema["version"]
    ok = version == SCHEMA_VERSION
    message = f"database {connection.name} has schema version {version}; this broker writes {SCHEMA_VERSION}"
    return Finding("Schema", ok, message, "" if ok else "start the newest version of the broker once")


async def _writes(connection: Connection) -> Finding:
    """A journaled write that a majority has: what every commit waits for."""
    start = time.perf_counter()
    await connection.collection("meta").update_one({"_id": "examination"}, {"$inc": {"runs": 1}}, upsert=True)
    seconds = time.perf_counter() - start
    ok = seconds < SLOW_WRITE_SECONDS
    remedy = "" if ok else "look at the disk's latency and at the replication lag: every write waits for both"
    return Finding("Durable writes", ok, f"a majority had one on disk after {seconds * 1000:.1f} ms", remedy)


async def _disk(connection: Connection) -> Finding:
    stats = await connection.database.command("dbStats")
    total, used = stats.get("fsTotalSize"), stats.get("fsUsedSize")
    if not total:
        return Finding("Disk", True, "MongoDB does not tell how full its disk is")
    free = total - used
    ok = free >= LEAST_FREE_BYTES and free >= LEAST_FREE_SHARE * total
    message = f"{free / 2**30:.1f} GiB of {total / 2**30:.1f} GiB are free on MongoDB's disk"
    return Finding("Disk", ok, message, "" if ok else "make room or add a larger disk: a full one stops all writes")
