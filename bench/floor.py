"""The raw floor: `python -m bench.floor STORE ENTITIES` answers the same by nothing but aiohttp and the bare driver call.

It checks nothing, keeps no log, knows no tenants and no @context: what is left is what the building blocks cost. The store is
`sqlite:DIRECTORY` or a MongoDB's address. Prints its port.
"""

import asyncio
import sqlite3
import sys
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import orjson
import uvloop
from aiohttp import web
from pymongo import AsyncMongoClient, ReplaceOne

from bench.stock import PAGE, ROOT, Stock

_JSON: Final = "application/json"


class SqliteFloor:
    """One connection, in the event loop, a commit for each write."""

    def __init__(self, folder: str) -> None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(f"{folder}/floor.db", isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute(
            "CREATE TABLE entities (id TEXT PRIMARY KEY, type TEXT, level INTEGER, flow BLOB, body BLOB)"
        )
        self._connection.execute("CREATE INDEX by_type ON entities (type, level, id)")

    async def fill(self, stock: Stock) -> None:
        await self.upsert([stock.entity(number) for number in range(stock.entities)])

    async def get(self, entity_id: str) -> bytes:
        (body,) = self._connection.execute("SELECT body FROM entities WHERE id = ?", (entity_id,)).fetchone()
        return bytes(body)

    async def patch(self, entity_id: str, fragment: dict[str, Any]) -> None:
        self._connection.execute(
            "UPDATE entities SET flow = ? WHERE id = ?", (orjson.dumps(fragment["flow"]), entity_id)
        )

    async def upsert(self, entities: list[dict[str, Any]]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.executemany(
            "INSERT OR REPLACE INTO entities VALUES (?, ?, ?, NULL, ?)",
            [(each["id"], each["type"], each["level"]["value"], orjson.dumps(each)) for each in entities],
        )
        self._connection.execute("COMMIT")

    async def find(self, kind: str, level: int | None) -> list[bytes]:
        where, values = ("type = ?", (kind,)) if level is None else ("type = ? AND level = ?", (kind, level))
        rows = self._connection.execute(f"SELECT body FROM entities WHERE {where} LIMIT {PAGE}", values)
        return [bytes(body) for (body,) in rows]


class MongoFloor:
    """One command for each request, journaled and acknowledged by the majority."""

    def __init__(self, url: str) -> None:
        self._client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(url, w="majority", journal=True)
        self._rows = self._client.get_default_database()["floor"]

    @staticmethod
    def _row(each: dict[str, Any]) -> dict[str, Any]:
        return {"_id": each["id"], "type": each["type"], "level": each["level"]["value"], "body": orjson.dumps(each)}

    async def fill(self, stock: Stock) -> None:
        await self._rows.create_index([("type", 1), ("level", 1)])
        await self._rows.insert_many([self._row(stock.entity(number)) for number in range(stock.entities)])

    async def get(self, entity_id: str) -> bytes:
        row = await self._rows.find_one({"_id": entity_id}, {"body": 1})
        assert row is not None
        return bytes(row["body"])

    async def patch(self, entity_id: str, fragment: dict[str, Any]) -> None:
        await self._rows.update_one({"_id": entity_id}, {"$set": {"flow": fragment["flow"]}})

    async def upsert(self, entities: list[dict[str, Any]]) -> None:
        if len(entities) == 1:
            await self._rows.insert_one(self._row(entities[0]))
            return
        await self._rows.bulk_write(
            [ReplaceOne({"_id": each["id"]}, self._row(each), upsert=True) for each in entities], ordered=False
        )

    async def find(self, kind: str, level: int | None) -> list[bytes]:
        where = {"type": kind} if level is None else {"type": kind, "level": level}
        return [bytes(row["body"]) for row in await self._rows.find(where, {"body": 1}).limit(PAGE).to_list()]


def _application(floor: SqliteFloor | MongoFloor) -> web.Application:
    async def get(request: web.Request) -> web.Response:
        return web.Response(body=await floor.get(request.match_info["id"]), content_type=_JSON)

    async def patch(request: web.Request) -> web.Response:
        await floor.patch(request.match_info["id"], orjson.loads(await request.read()))
        return web.Response(status=204)

    async def post(request: web.Request) -> web.Response:
        await floor.upsert([orjson.loads(await request.read())])
        return web.Response(status=201)

    async def batch(request: web.Request) -> web.Response:
        await floor.upsert(orjson.loads(await request.read()))
        return web.Response(status=204)

    async def find(request: web.Request) -> web.Response:
        q = unquote(request.query.get("q", ""))
        bodies = await floor.find(request.query["type"], int(q.rpartition("==")[2]) if q else None)
        return web.Response(body=b"[" + b",".join(bodies) + b"]", content_type=_JSON)

    application = web.Application(client_max_size=2**24)
    application.router.add_get(f"{ROOT}/entities/{{id}}", get)
    application.router.add_patch(f"{ROOT}/entities/{{id}}/attrs", patch)
    application.router.add_post(f"{ROOT}/entities", post)
    application.router.add_get(f"{ROOT}/entities", find)
    application.router.add_post(f"{ROOT}/entityOperations/upsert", batch)
    return application


async def _serve(store: str, entities: int) -> None:
    floor = SqliteFloor(store.removeprefix("sqlite:")) if store.startswith("sqlite:") else MongoFloor(store)
    await floor.fill(Stock(entities))
    runner = web.AppRunner(_application(floor), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1], int(sys.argv[2])))
