"""A small NGSI-LD server of the tests' own: it keeps entities in memory, can be made busy, and answers in compacted JSON-LD.

It behaves like brokers other than ours where they differ: arrays of one item come back as the item, `ngsi-ld:` is a prefix.
"""

import asyncio
import copy
from collections import Counter
from typing import Any

from aiohttp import web

NGSI_LD = "https://uri.etsi.org/ngsi-ld/"
REFUSED = "urn:ngsi-ld:EvacuationSite:999997:refused"


class SmallBroker:
    """Entities by id, what was written, and how often each path was asked; `busy` answers are 503 before any other,
    `under_way` answers to writes 409; batches above `most_in_batch` are refused, and those in which an entity has `poison`."""

    def __init__(self) -> None:
        self.entities: dict[str, dict[str, Any]] = {}
        self.writes: list[tuple[str, str]] = []
        self.asked: Counter[str] = Counter()
        self.tenants: set[str | None] = set()
        self.largest_batch = 0
        self.most_in_batch = 10**6
        self.busy = 0
        self.keys: list[str | None] = []
        self.under_way = 0
        self.at_once = 0
        self.most_at_once = 0
        self.url = ""

    async def __aenter__(self) -> "SmallBroker":
        app = web.Application(middlewares=[self._watch], client_max_size=1 << 24)
        app.router.add_get("/ngsi-ld/v1/entities", self._query)
        app.router.add_post("/ngsi-ld/v1/entityOperations/upsert", self._upsert)
        app.router.add_post("/ngsi-ld/v1/entityOperations/create", self._create)
        app.router.add_delete("/ngsi-ld/v1/entities/{id}/attrs/{name}", self._delete)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    @web.middleware
    async def _watch(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.asked[request.path.rsplit("/", 1)[-1]] += 1
        self.tenants.add(request.headers.get("NGSILD-Tenant"))
        if self.busy:
            self.busy -= 1
            return web.json_response({"title": "busy"}, status=503, headers={"Retry-After": "0"})
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(0.005)
            return await handler(request)
        finally:
            self.at_once -= 1

    async def _query(self, request: web.Request) -> web.Response:
        wanted = request.query["id"].split(",")
        assert len(wanted) <= int(request.query["limit"])
        found = [self.entities[each] for each in wanted if each in self.entities]
        return web.json_response([_compacted(entity) for entity in found if entity["type"] == request.query["type"]])

    async def _create(self, request: web.Request) -> web.Response:
        return await self._written(request, create=True)

    async def _upsert(self, request: web.Request) -> web.Response:
        assert request.query["options"] == "update"
        return await self._written(request, create=False)

    async def _written(self, request: web.Request, *, create: bool) -> web.Response:
        self.keys.append(request.headers.get("Idempotency-Key"))
        if self.under_way:
            self.under_way -= 1
            return web.json_response({"title": "under way"}, status=409, headers={"Retry-After": "0"})
        batch = await request.json()
        if len(batch) > self.most_in_batch:
            return web.json_response({"title": "too many"}, status=413)
        if any("poison" in entity for entity in batch):
            return web.json_response({"title": "unreadable"}, status=400)
        self.largest_batch = max(self.largest_batch, len(batch))
        created, updated, errors = [], [], []
        for entity in batch:
            known = entity["id"] in self.entities
            if entity["id"] == REFUSED or (create and known):
                detail = "it is there" if known else "not this one"
                errors.append({"entityId": entity["id"], "error": {"title": "no", "detail": detail, "status": 400}})
                continue
            (updated if known else created).append(entity["id"])
            self.entities.setdefault(entity["id"], {}).update(entity)
            self.writes.append(("create" if create else "upsert", entity["id"]))
        if errors:
            return web.json_response({"success": created + updated, "errors": errors}, status=207)
        return web.json_response(created, status=201) if created else web.Response(status=204)

    async def _delete(self, request: web.Request) -> web.Response:
        entity = self.entities[request.match_info["id"]]
        del entity[request.match_info["name"]]
        self.writes.append(("delete", request.match_info["name"]))
        return web.Response(status=204)


def _compacted(entity: dict[str, Any]) -> dict[str, Any]:
    answer = {}
    for name, value in copy.deepcopy(entity).items():
        if isinstance(value, dict) and isinstance(value.get("value"), list) and len(value["value"]) == 1:
            value["value"] = value["value"][0]
        answer[name.replace(NGSI_LD, "ngsi-ld:") if name.startswith(NGSI_LD) else name] = value
    return answer
