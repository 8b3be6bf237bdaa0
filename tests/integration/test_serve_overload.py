"""`tsunagu serve` with more to do than it can: it refuses at once what is too much, stays small, and loses nothing."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import orjson
import pytest
from broker_process import Process
from prometheus_client.parser import text_string_to_metric_families

MIB = 1024 * 1024
FLOOD = 2_000
JSON = {"Content-Type": "application/json"}

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(120)) as opened:
        yield opened


def entity(number: int | str, size: int) -> bytes:
    text = {"type": "Property", "value": "x" * size}
    return orjson.dumps({"id": f"urn:ngsi-ld:Device:{number}", "type": "Device", "text": text})


async def create(process: Process, session: aiohttp.ClientSession, body: bytes) -> tuple[int, str | None]:
    """The status and Retry-After; 0 where the broker closed the connection while the body was on its way."""
    try:
        async with session.post(f"{process.url}/ngsi-ld/v1/entities", data=body, headers=JSON) as answer:
            await answer.read()
            return answer.status, answer.headers.get("Retry-After")
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
        return 0, None


async def alive(process: Process, session: aiohttp.ClientSession) -> float:
    """Seconds until the broker says that it lives."""
    began = time.monotonic()
    async with session.get(f"{process.url}/health/live") as answer:
        assert answer.status == 200
    return time.monotonic() - began


async def samples(process: Process, session: aiohttp.ClientSession) -> dict[tuple[str, str], float]:
    """Metrics by name and first label."""
    async with session.get(f"{process.url}/metrics") as answer:
        text = await answer.text()
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def most_memory(process: Process) -> int:
    """The most bytes that were resident in the broker at any time."""
    status = Path(f"/proc/{process.pid}/status").read_text("ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


async def test_a_flood_of_large_requests_leaves_memory_bounded_and_every_acknowledged_write_there(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    limit = 384 * MIB
    process = Process(f"sqlite:{tmp_path}", "--memory-limit", str(limit), "--max-bytes-in-flight", str(16 * MIB))
    await process.start(session)
    try:
        # Half a gigabyte of bodies.
        flood = [asyncio.create_task(create(process, session, entity(number, 256 * 1024))) for number in range(FLOOD)]
        slowest = 0.0
        while not all(each.done() for each in flood):
            slowest = max(slowest, await alive(process, session))
            await asyncio.sleep(0.1)
        answers = [await each for each in flood]
        acknowledged = [number for number, (status, _) in enumerate(answers) if status == 201]
        assert {status for status, _ in answers} <= {0, 201, 503}
        assert all(retry_after == "1" for status, retry_after in answers if status == 503)
        assert acknowledged
        assert len(acknowledged) < FLOOD
        assert most_memory(process) < limit
        assert slowest < 5
        for number in acknowledged:
            async with session.get(f"{process.url}/ngsi-ld/v1/entities/urn:ngsi-ld:Device:{number}") as answer:
                assert answer.status == 200
        counted = await samples(process, session)
        assert counted["tsunagu_requests_shed_total", "bytes"] > 0
        assert counted["tsunagu_body_bytes_in_flight", ""] == 0
        assert counted["tsunagu_requests_in_flight", ""] == 0
        assert counted["tsunagu_memory_limit_bytes", ""] == limit
        assert (await create(process, session, entity("after", 10)))[0] == 201
    finally:
        await process.end(signal.SIGKILL)


async def test_a_flood_of_requests_that_drip_keeps_nobody_else_out(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    """They keep out large bodies at most, and are worked on once they are whole."""
    process = Process(f"sqlite:{tmp_path}", "--max-requests-in-flight", "50", "--max-bytes-in-flight", str(8 * MIB))
    await process.start(session)
    head = b"POST /ngsi-ld/v1/entities HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 4000000\r\n\r\n"
    writers = []
    try:
        for _ in range(FLOOD):
            _, writer = await asyncio.open_connection("127.0.0.1", process.port)
            writer.write(head + b'{"id": "urn:')
            writers.append(writer)
        for number in range(50):
            assert (await create(process, session, entity(number, 1000)))[0] == 201
        assert await alive(process, session) < 1
        held = (await samples(process, session))["tsunagu_body_bytes_in_flight", ""]
        assert 0 < held <= 8 * MIB
        assert most_memory(process) < 256 * MIB
    finally:
        for writer in writers:
            writer.close()
        await process.end(signal.SIGKILL)


async def test_more_requests_than_are_worked_on_are_refused_and_counted(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    process = Process(f"sqlite:{tmp_path}", "--max-requests-in-flight", "5")
    await process.start(session)
    try:
        answers = await asyncio.gather(*(create(process, session, entity(number, 100)) for number in range(300)))
        assert {status for status, _ in answers} == {201, 503}
        shed = sum(status == 503 for status, _ in answers)
        assert (await samples(process, session))["tsunagu_requests_shed_total", "requests"] == shed
        async with session.get(f"{process.url}/ngsi-ld/v1/entities?type=Device&limit=1000&count=true") as answer:
            assert int(answer.headers["NGSILD-Results-Count"]) == 300 - shed
    finally:
        await process.end(signal.SIGKILL)
