"""`tsunagu serve` when things go wrong: it ends under load, its disk is full, it starts with very many subscriptions."""

import asyncio
import os
import resource
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import orjson
import pytest
from aiohttp import web
from mongod import die_with_parent, free_port

CLIENTS = 32
SMALL_FILE = 6 * 1024 * 1024
JSON = {"Content-Type": "application/json"}

pytestmark = pytest.mark.timeout(90)


class Serving:
    """A broker process on a directory of its own."""

    def __init__(self, directory: Path, session: aiohttp.ClientSession) -> None:
        self.directory = directory
        self.session = session
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/ngsi-ld/v1"
        self.process: asyncio.subprocess.Process | None = None

    async def start(self, limit: int | None = None, files: int | None = None) -> float:
        """Seconds until it was ready. It may write files of `limit` bytes, and open so many `files` at a time."""

        def prepare() -> None:
            die_with_parent()
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            if files is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

        began = asyncio.get_running_loop().time()
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "broker.cli", "serve", "--host", "127.0.0.1", "--port", str(self.port)),
            *("--store", f"sqlite:{self.directory}", "--egress", "any"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            preexec_fn=prepare,
            env={name: value for name, value in os.environ.items() if not name.startswith("TSUNAGU_")},
        )
        async with asyncio.timeout(20):
            while True:
                assert self.process.returncode is None, "the broker ended by itself"
                try:
                    async with self.session.get(f"http://127.0.0.1:{self.port}/health/ready") as answer:
                        if answer.status == 200:
                            return asyncio.get_running_loop().time() - began
                except aiohttp.ClientError:
                    await asyncio.sleep(0.02)

    async def end(self) -> int:
        """Its exit code after SIGTERM."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), 20)

    async def create(self, entity_id: str, text: str = "") -> int:
        body = {"id": entity_id, "type": "Device", "text": {"type": "Property", "value": text}}
        async with self.session.post(f"{self.url}/entities", data=orjson.dumps(body), headers=JSON) as answer:
            await answer.read()
            return answer.status

    async def subscribe(self, uri: str) -> None:
        body = {
            "type": "Subscription",
            "entities": [{"type": "Device"}],
            "notification": {"endpoint": {"uri": uri}},
        }
        async with self.session.post(f"{self.url}/subscriptions", json=body) as answer:
            assert answer.status == 201, await answer.text()

    async def missing(self, ids: list[str]) -> list[str]:
        """Those of the entities that are not there."""
        absent = []
        for entity_id in ids:
            async with self.session.get(f"{self.url}/entities/{entity_id}") as answer:
                if answer.status != 200:
                    absent.append(entity_id)
        return absent


@pytest.fixture
async def serving(tmp_path: Path) -> AsyncIterator[Serving]:
    async with aiohttp.ClientSession() as session:
        one = Serving(tmp_path / "state", session)
        yield one
        if one.process is not None and one.process.returncode is None:
            one.process.kill()
            await one.process.wait()


@pytest.fixture
async def notified() -> AsyncIterator[tuple[str, list[str]]]:
    """The URL of a receiver, and the ids of the entities that it was told of, in order of arrival."""
    ids: list[str] = []

    async def receive(request: web.Request) -> web.Response:
        ids.extend(entity["id"] for entity in orjson.loads(await request.read())["data"])
        return web.Response()

    app = web.Application()
    app.router.add_post("/", receive)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/", ids
    await runner.cleanup()


async def until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what another process does has no event here
            await asyncio.sleep(0.02)


async def test_sigterm_under_load_loses_nothing_and_repeats_nothing(
    serving: Serving, notified: tuple[str, list[str]]
) -> None:
    url, ids = notified
    await serving.start()
    await serving.subscribe(url)
    acknowledged: list[str] = []

    async def client(number: int) -> None:
        for turn in range(100_000):
            entity_id = f"urn:ngsi-ld:Device:{number}-{turn}"
            try:
                if await serving.create(entity_id) == 201:
                    acknowledged.append(entity_id)
            except (aiohttp.ClientError, OSError):
                return

    clients = [asyncio.create_task(client(number)) for number in range(CLIENTS)]
    await asyncio.sleep(0.7)
    assert await serving.end() == 0
    await asyncio.gather(*clients)
    assert acknowledged
    await serving.start()
    assert await serving.missing(acknowledged) == []
    await until(lambda: set(acknowledged) <= set(ids))
    assert len(ids) == len(set(ids))
    assert await serving.end() == 0


async def test_a_full_disk_refuses_writes_answers_reads_and_loses_nothing(
    serving: Serving, notified: tuple[str, list[str]]
) -> None:
    """A limit on the size of files stands for the disk: what SQLite gets from the system is an error in both cases."""
    url, ids = notified
    await serving.start(limit=SMALL_FILE)
    await serving.subscribe(url)
    acknowledged, refused = [], 0
    for number in range(1000):
        entity_id = f"urn:ngsi-ld:Device:{number}"
        status = await serving.create(entity_id, "x" * 20_000)
        if status == 201:
            acknowledged.append(entity_id)
        else:
            assert status == 503
            refused += 1
            if refused == 20:
                break
    assert acknowledged
    assert refused == 20
    assert await serving.missing(acknowledged) == []
    assert await serving.end() == 0
    await serving.start()
    assert await serving.missing(acknowledged) == []
    assert await serving.create("urn:ngsi-ld:Device:after") == 201
    await until(lambda: {*acknowledged, "urn:ngsi-ld:Device:after"} <= set(ids))
    assert set(ids) == {*acknowledged, "urn:ngsi-ld:Device:after"}
    assert await serving.end() == 0


async def test_many_hanging_receivers_leave_connections_for_clients(
    serving: Serving, notified: tuple[str, list[str]]
) -> None:
    url, ids = notified

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass
        writer.close()

    receivers = [await asyncio.start_server(hang, "127.0.0.1", 0) for _ in range(60)]
    await serving.start(files=256)
    for receiver in receivers:
        await serving.subscribe(f"http://127.0.0.1:{receiver.sockets[0].getsockname()[1]}/")
    await serving.subscribe(url)
    created = [f"urn:ngsi-ld:Device:{number}" for number in range(30)]
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as serving.session:
        for entity_id in created:
            assert await serving.create(entity_id) == 201
        await until(lambda: set(created) <= set(ids))
        assert await serving.end() == 0
    for receiver in receivers:
        receiver.close()


async def test_ten_thousand_subscriptions_cost_a_start_and_a_write_little(
    serving: Serving, notified: tuple[str, list[str]]
) -> None:
    url, ids = notified
    await serving.start()
    await serving.subscribe(url)
    assert await serving.end() == 0
    _multiply_subscription(serving.directory / "tsunagu.db", 10_000)
    assert await serving.start() < 10.0
    began = asyncio.get_running_loop().time()
    assert await serving.create("urn:ngsi-ld:Device:1") == 201
    assert asyncio.get_running_loop().time() - began < 1.0
    await until(lambda: bool(ids))
    assert await serving.end() == 0


def _multiply_subscription(database: Path, number: int) -> None:
    """Copy the one subscription there is, to others of other types."""
    connection = sqlite3.connect(database)
    ((body,),) = connection.execute("SELECT body FROM documents WHERE kind = 'subscription'").fetchall()
    document = orjson.loads(body)
    rows = []
    for index in range(number):
        name = f"urn:ngsi-ld:Subscription:copy-{index}"
        other = [{"type": f"https://example.org/Other{index % 1000}"}]
        rows.append((name, orjson.dumps({**document, "id": name, "entities": other}).decode()))
    connection.executemany("INSERT INTO documents (kind, tenant, id, body) VALUES ('subscription', '', ?, ?)", rows)
    connection.commit()
    connection.close()
