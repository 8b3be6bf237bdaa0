"""Clients that write numbers, each of which is written once, and remember what they were told of each."""

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import orjson
from faults.write import Effect, EntityKey, Outcome, Write

CLIENTS: Final = 12
PAUSE: Final = 0.12
"""Seconds that a client waits between two writes, at most: what is shown is what becomes of them, not how many there can be."""
HOT: Final = {"": 4, "east": 2}
"""How many entities all clients share, by tenant."""
KEYED: Final = 0.4
"""The part of the requests that have an Idempotency-Key and are repeated until they are answered."""
PATIENCE: Final = 40.0
"""Seconds that a client waits for an answer; longer than the broker may look for the truth about a commit."""
IMPATIENCE: Final = 3.0
"""The same for one that will repeat its request."""
LAST_SECONDS: Final = 90.0
"""How long a request is repeated."""

TYPE: Final = "Reading"


def hot_id(index: int) -> str:
    return f"urn:ngsi-ld:{TYPE}:hot{index}"


def attributes(number: int) -> dict[str, Any]:
    """The attributes that carry a number; `side` goes with it, for conditions of subscriptions."""
    return {
        "number": {"type": "Property", "value": number},
        "side": {"type": "Property", "value": "even" if number % 2 == 0 else "odd"},
    }


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: Any


class Writers:
    """`urls` are the brokers, any of which may be asked. `writes` has everything that was ever sent.

    `strange` are answers that no fault excuses.
    """

    def __init__(self, urls: Sequence[str], chance: random.Random) -> None:
        self.urls = urls
        self.writes: list[Write] = []
        self.strange: list[str] = []
        self.last_acknowledged = 0.0
        self._chance = chance
        self._number = 0
        self._key = f"{chance.random()}"
        self._session: aiohttp.ClientSession | None = None
        self._ended = asyncio.Event()
        self._working: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Create the shared entities, then write on and on."""
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self._session._retry_connection = False  # else it repeats a DELETE by itself, and shows the second answer only
        for tenant, number in HOT.items():
            for index in range(number):
                await self._create((tenant, hot_id(index)))
        assert all(each.outcome == "acknowledged" for write in self.writes for each in write.effects)
        self._working = [asyncio.create_task(self._work()) for _ in range(CLIENTS)]

    async def stop(self) -> None:
        """Begin no more, and wait for what is under way."""
        self._ended.set()
        try:
            await asyncio.gather(*self._working)
        finally:
            for task in self._working:
                task.cancel()
            if self._session is not None:
                await self._session.close()

    def check(self) -> None:
        """Raise what ended a client, if one has ended."""
        for task in self._working:
            if task.done() and not self._ended.is_set():
                task.result()
                raise AssertionError("a client has ended")

    async def _work(self) -> None:
        ways = (
            self._change_hot,
            self._change_hot,
            self._change_hot,
            self._guarded,
            self._batch,
            self._life,
            self._lives,
        )
        while not self._ended.is_set():
            await self._chance.choice(ways)()
            await asyncio.sleep(self._chance.uniform(0, PAUSE))

    # what they write

    async def _change_hot(self) -> None:
        """One of the three ways to change an entity, one that is shared."""
        tenant = self._chance.choice((*HOT, ""))
        await self._change((tenant, hot_id(self._chance.randrange(HOT[tenant]))))

    async def _change(self, entity: EntityKey) -> Outcome:
        kind, method, path = self._chance.choice(
            (("update", "PATCH", "/attrs"), ("merge", "PATCH", ""), ("append", "POST", "/attrs"))
        )
        return await self._write_one(kind, method, f"entities/{entity[1]}{path}", entity)

    async def _guarded(self) -> None:
        """A change on condition that nobody else was there meanwhile."""
        entity = ("", hot_id(0))
        try:
            read = await self._ask("GET", f"entities/{entity[1]}", "", None, {}, PATIENCE)
        except (aiohttp.ClientError, OSError, TimeoutError):
            return
        if read.status == 200:
            condition = {"If-Match": read.headers["ETag"]}
            await self._write_one("guarded", "PATCH", f"entities/{entity[1]}/attrs", entity, condition)

    async def _create(self, entity: EntityKey) -> Outcome:
        return await self._write_one("create", "POST", "entities", entity)

    async def _life(self) -> None:
        """An entity of one's own is created, changed and, often, deleted."""
        entity = self._own()
        if await self._create(entity) != "acknowledged":
            return
        for _ in range(self._chance.randrange(4)):
            await self._change(entity)
        if self._chance.random() < 0.5:
            write = self._begin("delete", [Effect(entity, None)])
            await self._send(write, "DELETE", f"entities/{entity[1]}", entity[0], None)

    async def _batch(self) -> None:
        """Several shared entities and a new one at once, with the same number."""
        tenant = self._chance.choice(tuple(HOT))
        entities = [(tenant, hot_id(index)) for index in range(self._chance.randint(1, HOT[tenant]))]
        kind, path = self._chance.choice(
            (("upsert", "upsert?options=update"), ("batch update", "update"), ("batch merge", "merge"))
        )
        if kind == "upsert":
            entities.append(self._own(tenant))
        await self._write_batch(kind, path, entities)

    async def _lives(self) -> None:
        """Several entities of one's own are created at once and, often, deleted at once."""
        tenant = self._chance.choice(tuple(HOT))
        outcomes = await self._write_batch("batch create", "create", [self._own(tenant) for _ in range(3)])
        there = [entity for entity, outcome in outcomes.items() if outcome == "acknowledged"]
        if there and self._chance.random() < 0.5:
            write = self._begin("batch delete", [Effect(entity, None) for entity in there])
            await self._send(write, "POST", "entityOperations/delete", tenant, [entity_id for _, entity_id in there])

    def _own(self, tenant: str = "") -> EntityKey:
        return tenant, f"urn:ngsi-ld:{TYPE}:{self._number + 1}-{self._chance.randrange(10**9)}"

    async def _write_one(
        self, kind: str, method: str, path: str, entity: EntityKey, headers: dict[str, str] | None = None
    ) -> Outcome:
        number = self._next()
        write = self._begin(kind, [Effect(entity, number)])
        body = attributes(number)
        if kind == "create":
            body |= {"id": entity[1], "type": TYPE}
        await self._send(write, method, path, entity[0], body, headers or {})
        return write.effects[0].outcome

    async def _write_batch(self, kind: str, path: str, entities: Sequence[EntityKey]) -> dict[EntityKey, Outcome]:
        number = self._next()
        write = self._begin(kind, [Effect(entity, number) for entity in entities])
        body = [{"id": entity_id, "type": TYPE, **attributes(number)} for _, entity_id in entities]
        await self._send(write, "POST", f"entityOperations/{path}", entities[0][0], body)
        return {effect.entity: effect.outcome for effect in write.effects}

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _begin(self, kind: str, effects: list[Effect]) -> Write:
        write = Write(kind, effects, time.monotonic())
        self.writes.append(write)
        return write

    # how it is sent, and what the answer means

    async def _send(
        self,
        write: Write,
        method: str,
        path: str,
        tenant: str,
        body: Any,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Send a write, again and again where it has a key, and note what became of it."""
        headers = dict(headers or {})
        write.whole = method != "DELETE" and self._chance.random() < KEYED
        if write.whole:
            headers["Idempotency-Key"] = f'"{self._key}/{len(self.writes)}/{self._number}"'
        while True:
            write.attempts += 1
            try:
                answer = await self._ask(method, path, tenant, body, headers, IMPATIENCE if write.whole else PATIENCE)
            except (aiohttp.ClientError, OSError, TimeoutError):
                answer = None
            again = answer is None or answer.status == 503 or (answer.status == 409 and "Retry-After" in answer.headers)
            if not write.whole or not again:
                break
            if time.monotonic() > write.began + LAST_SECONDS:
                answer = None
                break
            await asyncio.sleep(self._chance.uniform(0.05, 0.3))
        if answer is not None:
            write.ended = time.monotonic()
            self._note(write, answer)

    async def _ask(
        self, method: str, path: str, tenant: str, body: Any, headers: dict[str, str], seconds: float
    ) -> Answer:
        assert self._session is not None
        headers = {"Content-Type": "application/json", **headers} if body is not None else dict(headers)
        if tenant:
            headers["NGSILD-Tenant"] = tenant
        async with self._session.request(
            method,
            f"{self._chance.choice(self.urls)}/ngsi-ld/v1/{path}",
            data=None if body is None else orjson.dumps(body),
            headers=headers,
            timeout=aiohttp.ClientTimeout(seconds),
        ) as response:
            text = await response.read()
            return Answer(response.status, response.headers, orjson.loads(text) if text else None)

    def _note(self, write: Write, answer: Answer) -> None:
        """What an answer says about each effect."""
        if answer.status == 207:
            done = set(answer.body["success"])
            failed = {error["entityId"]: error["error"] for error in answer.body["errors"]}
            for effect in write.effects:
                entity_id = effect.entity[1]
                effect.outcome = "acknowledged" if entity_id in done else self._refusal(write, failed[entity_id])
        elif answer.status < 300:
            for effect in write.effects:
                effect.outcome = "acknowledged"
        else:
            for effect in write.effects:
                effect.outcome = self._refusal(write, answer.body)
        if any(effect.outcome == "acknowledged" for effect in write.effects):
            self.last_acknowledged = write.ended

    def _refusal(self, write: Write, problem: dict[str, Any]) -> Outcome:
        """What a problem means for the effect that it is about. Only a store that is away and a condition excuse one."""
        status, detail = problem["status"], problem.get("detail", "")
        excused = status == 503 or (status == 412 and write.kind == "guarded")
        excused = excused or (status == 409 and "nothing was written" in detail)
        if not excused:
            self.strange.append(f"{write.kind}, attempt {write.attempts}: {problem}")
        return "unknown" if "not known" in detail or status == 500 else "refused"
