"""One effect: the process is killed (SIGKILL) under load, and every client repeats what got no answer, with its key.

Writers of unique numbers share a few entities, so that a write which had its effect twice is in the log twice. At the end each
number is there exactly once, for each entity of a batch, and each answer is the one that a first request gets.
"""

import asyncio
import random
import signal
from collections import Counter

import aiohttp
import pytest
from broker_process import Process
from faults.numbered import HOT, JSON, VALUE
from test_kill import KILLS

from broker.app import make_store
from broker.settings import parse_store

CLIENTS = 12
IDS = [f"urn:ngsi-ld:Kill:hot{number}" for number in range(HOT)]

pytestmark = [pytest.mark.fault, pytest.mark.timeout(120 + 15 * KILLS)]


class Clients:
    """Clients that give each request a key and send it until it is answered; `done` are the numbers by kind of request."""

    def __init__(self, broker: Process, session: aiohttp.ClientSession) -> None:
        self.base = f"{broker.url}/ngsi-ld/v1"
        self.session = session
        self.up = asyncio.Event()
        self.done: dict[str, list[int]] = {"patch": [], "batch": [], "create": [], "subscribe": []}
        self.repeated = 0
        self._next = 0

    async def work(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self._next += 1
            number = self._next
            kind = ("patch", "batch", "create", "subscribe")[number % 4]
            await getattr(self, kind)(number)

    async def patch(self, number: int) -> None:
        body = {"number": {"type": "Property", "value": number}}
        assert await self.send("PATCH", f"entities/{IDS[number % HOT]}/attrs", body, number) == 204
        self.done["patch"].append(number)

    async def batch(self, number: int) -> None:
        body = [{"id": each, "type": "Kill", "number": {"type": "Property", "value": number}} for each in IDS]
        assert await self.send("POST", "entityOperations/upsert?options=update", body, number) == 204
        self.done["batch"].append(number)

    async def create(self, number: int) -> None:
        body = {"id": f"urn:ngsi-ld:Kill:{number}", "type": "Kill"}
        assert await self.send("POST", "entities", body, number) == 201
        self.done["create"].append(number)

    async def subscribe(self, number: int) -> None:
        body = {
            "type": "Subscription",
            "description": str(number),
            "isActive": False,
            "entities": [{"type": "Nothing"}],
            "notification": {"endpoint": {"uri": "http://127.0.0.1:9/x"}},
        }
        assert await self.send("POST", "subscriptions", body, number) == 201
        self.done["subscribe"].append(number)

    async def send(self, method: str, path: str, body: object, number: int) -> int:
        headers = {**JSON, "Idempotency-Key": f'"{number}"'}
        attempt = 0
        while True:
            await self.up.wait()
            attempt += 1
            try:
                async with self.session.request(method, f"{self.base}/{path}", json=body, headers=headers) as answer:
                    text = await answer.text()
            except (aiohttp.ClientError, OSError):
                await asyncio.sleep(0.01)
                continue
            if answer.status < 500 and answer.status != 409:
                assert answer.status in (201, 204), text
                self.repeated += attempt > 1
                return answer.status
            assert answer.status >= 500 or "Retry-After" in answer.headers, text
            await asyncio.sleep(0.05)


async def test_a_request_that_is_repeated_after_a_kill_has_one_effect(store_url: str) -> None:
    broker = Process(store_url)
    chance = random.Random(9110)
    async with aiohttp.ClientSession() as session:
        clients = Clients(broker, session)
        await broker.start(session)
        clients.up.set()
        for each in IDS:
            body = {"id": each, "type": "Kill", "number": {"type": "Property", "value": 0}}
            async with session.post(f"{clients.base}/entities", json=body) as answer:
                assert answer.status == 201
        stop = asyncio.Event()
        working = [asyncio.create_task(clients.work(stop)) for _ in range(CLIENTS)]
        for _ in range(KILLS):
            await asyncio.sleep(chance.uniform(0.05, 0.6))
            clients.up.clear()
            assert await broker.end(signal.SIGKILL) == -signal.SIGKILL
            await broker.start(session)
            clients.up.set()
        await asyncio.sleep(0.2)
        stop.set()
        await asyncio.gather(*working)
        assert await broker.end(signal.SIGTERM) == 0
    await _check(store_url, clients)
    print(
        f"{KILLS} kills, {sum(map(len, clients.done.values()))} requests with one effect each, "
        f"{clients.repeated} of them repeated"
    )


async def _check(url: str, clients: Clients) -> None:
    store = make_store(parse_store(url))
    await store.open()
    try:
        written: Counter[tuple[str, int]] = Counter()
        created: Counter[str] = Counter()
        after = 0
        while changes := await store.changes(after, 1000):
            after = changes[-1].sequence
            for change in changes:
                assert change.after is not None
                created[change.entity_id] += change.kind == "entityCreated"
                if change.kind == "entityUpdated":
                    written[change.entity_id, change.after["attrs"][VALUE][0]["value"]] += 1
        expected = {(IDS[number % HOT], number) for number in clients.done["patch"]}
        expected |= {(each, number) for number in clients.done["batch"] for each in IDS}
        assert written == Counter(expected)
        assert created == Counter(IDS + [f"urn:ngsi-ld:Kill:{number}" for number in clients.done["create"]])
        subscribed = Counter(int(body["description"]) for _, _, body in await store.list_documents("subscription"))
        assert subscribed == Counter(clients.done["subscribe"])
    finally:
        await store.close()
