"""A rolling restart under load loses nothing: three workers on one MongoDB are renewed one after the other, again and again.

Clients write numbered changes, to entities of their own and to shared ones, with an idempotency key and one retry. At the end
every number that was acknowledged is once in the change log and once in the temporal history, in the same order, of which
the entity's state has the last, and every subscriber has received it, each entity's numbers in the log's order. One retry
is all that a client needs.
`TSUNAGU_TEST_RESTARTS` sets how many rolling restarts there are.
"""

import asyncio
import os
import signal
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Mapping

import aiohttp
import orjson
import psutil
import pytest
from broker_process import Process
from faults.numbered import JSON, Receiver, attribute, entity_of, first_entities, log_of, subscription

from broker.app import make_store
from broker.settings import parse_store

RESTARTS = int(os.environ.get("TSUNAGU_TEST_RESTARTS", "1"))
WORKERS = 3
CLIENTS = 6
SUBSCRIBERS = 6
PAUSE_SECONDS = 0.05
"""Between two writes of a client: where the machine is busy with other things, the load must not be the test."""

pytestmark = [pytest.mark.fault, pytest.mark.mongo, pytest.mark.timeout(180 + 60 * RESTARTS)]


class Load:
    """Clients that write and read with one retry, and remember what was acknowledged."""

    def __init__(self, url: str) -> None:
        self.url = f"{url}/ngsi-ld/v1"
        self.acknowledged: dict[str, list[int]] = defaultdict(list)
        self.refused: Counter[str] = Counter()
        self.failed: list[str] = []
        self.slowest = 0.0
        self._next = 0

    async def client(self, session: aiohttp.ClientSession, stop: asyncio.Event) -> None:
        while not stop.is_set():
            self._next += 1
            number = self._next
            entity_id, hot = entity_of("Restart", number)
            value = attribute(number)
            if hot:
                status, _ = await self.ask(session, "PATCH", f"/entities/{entity_id}/attrs", value)
            else:
                status, _ = await self.ask(session, "POST", "/entities", {"id": entity_id, "type": "Restart", **value})
            if status in (201, 204):
                self.acknowledged[entity_id].append(number)
                if number % 10 == 1:
                    await self._read_own_write(session, entity_id, number, alone=not hot)
            elif status:
                self.failed.append(f"{status} for the write of {number}")
            await asyncio.sleep(PAUSE_SECONDS)

    async def _read_own_write(
        self, session: aiohttp.ClientSession, entity_id: str, number: int, *, alone: bool
    ) -> None:
        """What was acknowledged by one worker is shown by all, also as history."""
        status, body = await self.ask(session, "GET", f"/entities/{entity_id}?format=simplified")
        if status != 200 or (alone and orjson.loads(body)["number"] != number):
            self.failed.append(f"{status} {body.decode()} where {number} was acknowledged")
        status, body = await self.ask(
            session, "GET", f"/temporal/entities/{entity_id}?format=temporalValues&lastN=1000"
        )
        if status not in (200, 206) or number not in [value for value, _ in orjson.loads(body)["number"]["values"]]:
            self.failed.append(f"{status} {body.decode()} as history where {number} was acknowledged")

    async def ask(
        self, session: aiohttp.ClientSession, method: str, path: str, document: Mapping[str, object] | None = None
    ) -> tuple[int, bytes]:
        """Status and body of the answer, 0 where neither the request nor its one repetition got one below 500."""
        headers = {**JSON, "Idempotency-Key": f'"{uuid.uuid4()}"'} if document is not None else {}
        data = None if document is None else orjson.dumps(document)
        began = time.monotonic()
        problems: list[str] = []
        for _ in range(2):
            try:
                async with session.request(method, self.url + path, data=data, headers=headers) as answer:
                    body = await answer.read()
                    if answer.status < 500:
                        self.slowest = max(self.slowest, time.monotonic() - began)
                        return answer.status, body
                    problems.append(f"{answer.status} {body.decode()}")
                    self.refused[str(answer.status)] += 1
                    await asyncio.sleep(float(answer.headers.get("Retry-After", "0")))
            except (aiohttp.ClientError, OSError) as error:
                problems.append(repr(error))
                self.refused[type(error).__name__] += 1
        self.failed.append(f"{method} {path}: {problems}")
        return 0, b""


async def test_a_rolling_restart_loses_no_write_and_no_notification_and_needs_one_retry_at_most(
    mongodb_uri: str, mongo_database: str
) -> None:
    base, _, options = mongodb_uri.partition("?")
    store_url = f"{base.rstrip('/')}/{mongo_database}?{options}"
    receiver = Receiver()
    service = Process(store_url, "--workers", str(WORKERS))
    load = Load(service.url)
    seconds = []
    try:
        async with receiver.running(), aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await service.start(session)
            await _all_ready(session, service)
            await _prepare(session, load, receiver.url)
            stop = asyncio.Event()
            clients = [asyncio.create_task(load.client(session, stop)) for _ in range(CLIENTS)]
            for _ in range(RESTARTS):
                await asyncio.sleep(1.0)
                seconds.append(await _restart(service))
            await asyncio.sleep(0.5)
            stop.set()
            await asyncio.gather(*clients)
            assert not load.failed, load.failed[:10]
            states = await _states(session, load)
            await receiver.has_all(load.acknowledged, [str(subscriber) for subscriber in range(SUBSCRIBERS)])
            numbers = await _history_is_recorded(session, load)
        assert await service.end(signal.SIGTERM) == 0
    finally:
        if psutil.pid_exists(service.pid):
            await service.end(signal.SIGKILL)
    await _check_log_and_history(store_url, load, states, receiver)
    print(
        f"{RESTARTS} rolling restarts of {WORKERS} workers, {max(seconds):.1f} s at most: {numbers} acknowledged writes, "
        f"none lost; {receiver.received} notifications, {receiver.repeated} of them came twice; "
        f"retried: {dict(load.refused)}; slowest request {load.slowest:.2f} s"
    )


async def _all_ready(session: aiohttp.ClientSession, service: Process) -> None:
    for _ in range(600):
        async with session.get(f"{service.url}/health/ready") as answer:
            if (await answer.json())["workers"] == {"wanted": WORKERS, "ready": WORKERS}:
                return
        await asyncio.sleep(0.1)
    raise AssertionError("not all workers became ready")


async def _prepare(session: aiohttp.ClientSession, load: Load, endpoint: str) -> None:
    for body in first_entities("Restart"):
        assert (await load.ask(session, "POST", "/entities", body))[0] == 201
    for subscriber in range(SUBSCRIBERS):
        body = subscription("Restart", f"{endpoint}/{subscriber}")
        assert (await load.ask(session, "POST", "/subscriptions", body))[0] == 201


async def _restart(service: Process) -> float:
    """One rolling restart; how many seconds it took until all workers were new and the old ones had ended."""
    supervisor = psutil.Process(service.pid)
    old = {each.pid for each in supervisor.children()}
    began = time.monotonic()
    supervisor.send_signal(signal.SIGHUP)
    while len(now := {each.pid for each in supervisor.children()}) != WORKERS or now & old:
        assert time.monotonic() - began < 120, "the rolling restart does not end"
        await asyncio.sleep(0.1)
    return time.monotonic() - began


async def _states(session: aiohttp.ClientSession, load: Load) -> dict[str, int]:
    """The number that each entity has now."""
    states = {}
    for entity_id in load.acknowledged:
        status, body = await load.ask(session, "GET", f"/entities/{entity_id}?format=simplified")
        assert status == 200, f"{entity_id} was acknowledged and is lost"
        states[entity_id] = orjson.loads(body)["number"]
    return states


async def _history_is_recorded(session: aiohttp.ClientSession, load: Load) -> int:
    """Wait for the history of all that was written (a temporal request does); how much was written."""
    status, body = await load.ask(session, "GET", f"/temporal/entities/{next(iter(load.acknowledged))}")
    assert status == 200, body
    return sum(map(len, load.acknowledged.values()))


async def _check_log_and_history(store_url: str, load: Load, states: dict[str, int], receiver: Receiver) -> None:
    store = make_store(parse_store(store_url))
    await store.open()
    try:
        for entity_id, order in (await log_of(store, load.acknowledged)).items():
            if entity_id in states:
                assert states[entity_id] == order[-1]
            for subscriber in map(str, range(SUBSCRIBERS)):
                came = [number for number in receiver.seen[subscriber, entity_id] if number]
                assert came == [number for number in order if number in set(came)], f"{entity_id}: out of order"
    finally:
        await store.close()
