"""The process is killed (SIGKILL) while devices are provisioned and send: all that was answered is there afterwards, once.

TSUNAGU_IOT_KILLS says how many kills there are, and has commands outlive some, too.
"""

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from broker_process import Process
from mongod import free_port

KILLS = int(os.environ.get("TSUNAGU_IOT_KILLS", "1"))
KEY = "a-key-of-devices"
NORTH = {"X-Api-Key": "north-key-of-tests", "fiware-service": "city", "fiware-servicepath": "/"}
GROUP = {"apikey": KEY, "resource": "/iot/d", "entity_type": "Sensor"}
MINUTES = 40

pytestmark = [pytest.mark.fault, pytest.mark.timeout(120 + 20 * KILLS)]


class Estate:
    """Those who provision and the devices, and what they were told: ids of devices, and (device, minute) of measures."""

    def __init__(self, north: str, south: str, session: aiohttp.ClientSession) -> None:
        self.north, self.south, self.session = north, south, session
        self.devices: list[str] = []
        self.measures: list[tuple[str, int]] = []
        self.asked = 0

    async def live(self) -> None:
        """Provision a device and have it send, again and again, until the process is gone."""
        try:
            while True:
                self.asked += 1
                device = f"d{self.asked}"
                body = {"device_id": device, "attributes": [{"object_id": "t", "name": "temperature"}]}
                async with self.session.post(f"{self.north}/iot/devices", json=body, headers=NORTH) as answer:
                    assert answer.status == 201, await answer.text()
                self.devices.append(device)
                for minute in range(MINUTES):
                    query = {"k": KEY, "i": device, "t": f"2026-06-30T05:{minute:02d}:00Z"}
                    async with self.session.post(f"{self.south}/iot/d", params=query, data=f"t|{minute}") as answer:
                        assert answer.status == 200, await answer.text()
                    self.measures.append((device, minute))
        except aiohttp.ClientError:
            return

    async def provisioned(self) -> set[str]:
        found: set[str] = set()
        while True:
            query = {"limit": "1000", "offset": str(len(found))}
            async with self.session.get(f"{self.north}/iot/devices", params=query, headers=NORTH) as answer:
                page = await answer.json()
            found |= {each["device_id"] for each in page["devices"]}
            if len(found) >= page["count"]:
                return found


async def history(broker: Process, session: aiohttp.ClientSession, device: str) -> list[int]:
    """The values that a device's entity had, in order."""
    url = f"{broker.url}/ngsi-ld/v1/temporal/entities/urn:ngsi-ld:Sensor:{device}?attrs=temperature"
    async with session.get(url, headers={"NGSILD-Tenant": "city"}) as answer:
        if answer.status == 404:
            return []
        instances = (await answer.json())["temperature"]
    listed = instances if isinstance(instances, list) else [instances]
    return [each["value"] for each in sorted(listed, key=lambda each: each["observedAt"])]


async def test_what_was_answered_before_a_kill_is_there_after_it_once(tmp_path: Path) -> None:
    north, south = free_port(), free_port()
    file = tmp_path / "adapters.toml"
    file.write_text(f'[iot]\nkeys = ["north-key-of-tests"]\nnorth_port = {north}\nport = {south}\n')
    broker = Process(f"sqlite:{tmp_path / 'store'}", "--adapters", str(file), log=tmp_path / "log")
    chance = random.Random(20260630)
    try:
        async with aiohttp.ClientSession() as session:
            estate = Estate(f"http://127.0.0.1:{north}", f"http://127.0.0.1:{south}", session)
            await started(broker, estate)
            async with session.post(f"{estate.north}/iot/services", json=GROUP, headers=NORTH) as answer:
                assert answer.status == 201
            for _ in range(KILLS):
                life = asyncio.create_task(estate.live())
                await asyncio.sleep(chance.uniform(0.3, 1.0))
                await broker.end(signal.SIGKILL)
                await life
                await started(broker, estate)
            print(f"{KILLS} kills; {len(estate.devices)} devices, {len(estate.measures)} measures were answered")
            assert len(estate.measures) > KILLS
            assert set(estate.devices) <= await estate.provisioned()
            for device in estate.devices:
                sent = [minute for name, minute in estate.measures if name == device]
                for _ in range(200):
                    found = await history(broker, session, device)
                    if set(sent) <= set(found):
                        break
                    await asyncio.sleep(0.1)
                # The one that was in the air at the kill may be there, too.
                assert found in (sent, [*sent, len(sent)]), (device, (tmp_path / "log").read_text()[-2000:])
    finally:
        await broker.end(signal.SIGKILL)


async def started(broker: Process, estate: Estate) -> None:
    """Start the process, and wait until devices are let in."""
    await broker.start(estate.session)
    for _ in range(200):
        try:
            async with estate.session.get(f"{estate.north}/iot/about") as answer:
                assert answer.status == 200
                return
        except aiohttp.ClientConnectionError:
            await asyncio.sleep(0.05)
    raise AssertionError("the devices' part did not start")


@pytest.mark.skipif("TSUNAGU_IOT_KILLS" not in os.environ, reason="many starts of a process: make adapter-kills")
async def test_a_command_for_a_device_that_polls_outlives_kills_and_is_told_once(tmp_path: Path) -> None:
    north, south, door = free_port(), free_port(), free_port()
    file = tmp_path / "adapters.toml"
    file.write_text(
        f'[iot]\nkeys = ["north-key-of-tests"]\nnorth_port = {north}\nport = {south}\n'
        f'[commands]\nport = {door}\n[commands.principals.office]\ntokens = ["office-token-0123456789"]\n'
        '[[commands.allow]]\nprincipals = ["office"]\ngroups = ["Gate"]\ncommands = ["open"]\n'
    )
    device = {"device_id": "g1", "apikey": KEY, "entity_type": "Gate", "commands": [{"name": "open"}]}
    broker = Process(f"sqlite:{tmp_path / 'store'}", "--adapters", str(file), log=tmp_path / "log")
    entity = f"{broker.url}/ngsi-ld/v1/entities/urn:ngsi-ld:Gate:g1"
    tenant = {"NGSILD-Tenant": "city"}
    polled: list[str] = []
    try:
        async with aiohttp.ClientSession() as session:
            estate = Estate(f"http://127.0.0.1:{north}", f"http://127.0.0.1:{south}", session)

            async def again() -> None:
                await broker.end(signal.SIGKILL)
                await started(broker, estate)

            async def poll() -> bool:
                query = {"k": KEY, "i": "g1", "getCmd": "1"}
                async with session.get(f"{estate.south}/iot/d", params=query) as answer:
                    assert answer.status == 200
                    if text := await answer.text():
                        polled.append(text)
                return bool(polled)

            async def command() -> bool:
                headers = {**tenant, "Authorization": "Bearer office-token-0123456789"}
                body = {"type": "Property", "value": 40}
                async with session.patch(f"{entity}/attrs/open", json=body, headers=headers) as answer:
                    return answer.status == 204

            async def is_done() -> bool:
                async with session.get(entity, headers=tenant) as answer:
                    found = await answer.json() if answer.status == 200 else {}
                return bool(found.get("open_status", {}).get("value") == "OK")

            async def until(condition: Callable[[], Awaitable[bool]]) -> None:
                for _ in range(200):
                    if await condition():
                        return
                    await asyncio.sleep(0.1)
                raise AssertionError((tmp_path / "log").read_text()[-3000:])

            await started(broker, estate)
            async with session.post(f"{estate.north}/iot/devices", json=device, headers=NORTH) as answer:
                assert answer.status == 201
            await again()
            await until(command)
            await again()
            await until(poll)
            await again()
            for _ in range(5):
                await poll()
            assert polled == ["g1@open|40"]
            async with session.post(f"{estate.south}/iot/d?k={KEY}&i=g1", data="g1@open|open OK") as answer:
                assert answer.status == 200
            await again()
            await until(is_done)
    finally:
        await broker.end(signal.SIGKILL)
