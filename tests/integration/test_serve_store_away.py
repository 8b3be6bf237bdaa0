"""`tsunagu serve` whose MongoDB dies, hangs or steps down, and whose SQLite has a disk with no space left."""

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
from broker_process import Process
from mongod import Mongod, do_without
from pymongo import MongoClient
from pymongo.errors import AutoReconnect

QUICK_SECONDS = 10.0
"""The broker answers within about four; the rest is for a machine that runs other tests beside this one."""
DISK_BYTES = 3 * 1024 * 1024

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(40)) as opened:
        yield opened


@pytest.fixture
async def on_mongo(mongod: Mongod, session: aiohttp.ClientSession) -> AsyncIterator[Process]:
    """A broker on a MongoDB of its own."""
    base, _, options = mongod.uri.partition("?")
    process = Process(f"{base}tsunagu?{options}")
    await process.start(session)
    yield process
    await process.end(signal.SIGKILL)


class Client:
    """Requests to one broker, each with its status, its seconds and its Retry-After."""

    def __init__(self, process: Process, session: aiohttp.ClientSession) -> None:
        self.url = process.url
        self.session = session
        self.acknowledged: list[str] = []

    async def ask(self, method: str, path: str, body: object = None) -> tuple[int, float, str | None]:
        began = time.monotonic()
        async with self.session.request(method, self.url + path, json=body) as answer:
            await answer.read()
            return answer.status, time.monotonic() - began, answer.headers.get("Retry-After")

    async def create(self, name: str, text: str = "") -> tuple[int, float, str | None]:
        entity_id = f"urn:ngsi-ld:Device:{name}"
        body = {"id": entity_id, "type": "Device", "text": {"type": "Property", "value": text}}
        answer = await self.ask("POST", "/ngsi-ld/v1/entities", body)
        if answer[0] == 201:
            self.acknowledged.append(entity_id)
        return answer

    async def retrieve(self, entity_id: str) -> int:
        return (await self.ask("GET", f"/ngsi-ld/v1/entities/{entity_id}"))[0]

    async def write_on(self, over: asyncio.Event, number: int) -> list[int]:
        """Create one entity after the other until told that it is over; the statuses."""
        statuses = []
        while not over.is_set():
            status, _, _ = await self.create(f"{number}-{len(statuses)}")
            statuses.append(status)
            await asyncio.sleep(0.01 if status == 201 else 0.1)
        return statuses

    async def ready(self, status: int = 200) -> None:
        async with asyncio.timeout(20):
            while (await self.ask("GET", "/health/ready"))[0] != status:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)

    async def lost(self) -> list[str]:
        return [each for each in self.acknowledged if await self.retrieve(each) != 200]


async def refused_quickly(client: Client, number: int) -> None:
    """Hundreds of requests of all kinds that come at once are all answered, soon, by 503 and when to come back."""
    asked = []
    for turn in range(number):
        asked.append(client.create(f"refused-{turn}"))
        asked.append(client.ask("GET", f"/ngsi-ld/v1/entities/urn:ngsi-ld:Device:{turn}"))
        asked.append(client.ask("GET", "/ngsi-ld/v1/entities?type=Device"))
    answers = await asyncio.gather(*asked)
    assert {status for status, _, _ in answers} == {503}
    assert all(retry_after is not None for _, _, retry_after in answers)
    assert max(seconds for _, seconds, _ in answers) < QUICK_SECONDS
    assert (await client.ask("GET", "/health/live"))[0] == 200
    status, seconds, retry_after = await client.ask("GET", "/health/ready")
    assert (status, retry_after) == (503, "1")
    assert seconds < QUICK_SECONDS


@pytest.mark.mongo
async def test_a_dead_mongodb_refuses_hundreds_at_once_and_quickly_and_the_broker_recovers_by_itself(
    on_mongo: Process, mongod: Mongod, session: aiohttp.ClientSession
) -> None:
    client = Client(on_mongo, session)
    assert (await client.create("before"))[0] == 201
    mongod.kill()
    await refused_quickly(client, 100)
    began = time.monotonic()
    await refused_quickly(client, 100)
    assert time.monotonic() - began < QUICK_SECONDS  # what is known by now costs no wait at all
    await asyncio.to_thread(mongod.start)
    await client.ready()
    assert (await client.create("after"))[0] == 201
    assert await client.lost() == []


@pytest.mark.mongo
async def test_a_mongodb_that_hangs_refuses_quickly_and_the_broker_recovers_by_itself(
    on_mongo: Process, mongod: Mongod, session: aiohttp.ClientSession
) -> None:
    client = Client(on_mongo, session)
    assert (await client.create("before"))[0] == 201
    mongod.freeze()
    assert mongod.process is not None
    await asyncio.to_thread(os.waitid, os.P_PID, mongod.process.pid, os.WSTOPPED | os.WNOWAIT)
    await refused_quickly(client, 100)
    mongod.thaw()
    await client.ready()
    assert (await client.create("after"))[0] == 201
    assert await client.lost() == []


@pytest.mark.mongo
async def test_writers_through_a_hang_are_told_the_truth(
    on_mongo: Process, mongod: Mongod, session: aiohttp.ClientSession
) -> None:
    """Some are caught in the middle of their commit: their 2xx or 503 comes when it is known what became of it."""
    client = Client(on_mongo, session)
    over = asyncio.Event()
    writing = [asyncio.create_task(client.write_on(over, number)) for number in range(16)]
    for _ in range(3):
        await asyncio.sleep(0.7)
        mongod.freeze()
        await client.ready(503)
        mongod.thaw()
        await client.ready()
    over.set()
    statuses = [status for each in writing for status in await each]
    assert set(statuses) == {201, 503}
    assert await client.lost() == []


@pytest.mark.mongo
async def test_a_step_down_of_the_primary_loses_no_acknowledged_write(
    on_mongo: Process, mongod: Mongod, session: aiohttp.ClientSession
) -> None:
    client = Client(on_mongo, session)
    over = asyncio.Event()
    writing = [asyncio.create_task(client.write_on(over, number)) for number in range(16)]
    await asyncio.sleep(0.5)
    await asyncio.to_thread(_step_down, mongod, 6)
    await client.ready(503)
    await refused_quickly(client, 20)
    await client.ready()
    before = len(client.acknowledged)
    await asyncio.sleep(0.5)
    over.set()
    statuses = [status for each in writing for status in await each]
    assert set(statuses) == {201, 503}
    assert before
    assert len(client.acknowledged) > before
    assert await client.lost() == []


def _step_down(mongod: Mongod, seconds: int) -> None:
    address = f"mongodb://127.0.0.1:{mongod.port}/?directConnection=true"
    # It may close the connection instead of answering.
    with MongoClient[dict[str, object]](address) as client, suppress(AutoReconnect):
        client.admin.command("replSetStepDown", seconds, secondaryCatchUpPeriodSecs=0, force=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of three megabytes of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        do_without("only root can mount a small file system")
    arguments = [mount, "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    mounted = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        do_without(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_a_disk_without_space_refuses_writes_answers_reads_and_works_again_with_space(
    small_disk: Path, session: aiohttp.ClientSession
) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(DISK_BYTES // 3))
    process = Process(f"sqlite:{small_disk / 'state'}")
    await process.start(session)
    try:
        client = Client(process, session)
        refused: list[str] = []
        for number in range(2000):
            status, seconds, retry_after = await client.create(str(number), "x" * 5_000)
            if status != 201:
                assert (status, retry_after) == (503, "1")
                assert seconds < QUICK_SECONDS
                refused.append(f"urn:ngsi-ld:Device:{number}")
            if len(refused) == 30:
                break
        assert len(refused) == 30
        assert client.acknowledged
        together = await asyncio.gather(*(client.create(f"together-{turn}", "x" * 20_000) for turn in range(50)))
        assert all(status in (201, 503) for status, _, _ in together)
        assert await client.lost() == []
        assert {await client.retrieve(each) for each in refused} == {404}
        assert (await client.ask("GET", "/ngsi-ld/v1/entities?type=Device&limit=1000"))[0] == 200
        assert (await client.ask("GET", "/health/live"))[0] == 200
        ballast.unlink()
        async with asyncio.timeout(10):
            while (await client.create("after"))[0] != 201:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)
        assert await client.lost() == []
        assert {await client.retrieve(each) for each in refused} == {404}
        # The history, which has followed the log, is as whole as the entities.
        for entity_id in (client.acknowledged[0], client.acknowledged[-1]):
            assert (await client.ask("GET", f"/ngsi-ld/v1/temporal/entities/{entity_id}"))[0] == 200
        assert (await client.ask("GET", f"/ngsi-ld/v1/temporal/entities/{refused[0]}"))[0] == 404
        assert await process.end(signal.SIGTERM) == 0
        await process.start(session)
        assert await client.lost() == []
    finally:
        await process.end(signal.SIGKILL)
