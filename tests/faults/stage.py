"""The stage: a store, brokers, receivers and an MQTT broker, each a process of its own, with wires between them."""

import asyncio
import random
import shutil
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import aiohttp
from broker_process import Process
from faults.disk import Disk
from faults.receipt import Receipt, read_journal
from faults.subscriber import Subscriber
from faults.watch import Watch, watches
from faults.wire import Wire
from mongod import Mongod, die_with_parent, do_without, free_port
from mosquitto import MqttBroker, find_mosquitto

StoreKind: TypeAlias = Literal["sqlite", "mongo"]

START_SECONDS: Final = 60.0
LIVE_SECONDS: Final = 2.0
"""How long it may take until a subscription is live in all brokers; one second, where the machine is not busy."""
QUIET_SECONDS: Final = 240.0
"""How long deliveries may go on after the last write: pauses after failures grow."""


class ReceiverProcess:
    """A receiver of HTTP (receiver.py) that can be killed, frozen and started again; its journal stays."""

    def __init__(self, folder: Path, name: str) -> None:
        self.journal = folder / f"{name}.journal"
        self.port = free_port()
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        script = Path(__file__).with_name("receiver.py")
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(script), str(self.port), str(self.journal)), preexec_fn=die_with_parent
        )
        for _ in range(500):
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                return
            await asyncio.sleep(0.02)
        raise AssertionError("a receiver does not start")

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    async def set_mood(self, mood: str) -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.put(f"http://127.0.0.1:{self.port}/mood", data=mood) as answer,
        ):
            assert answer.status == 204


class Stage:
    """Everything that a run needs, between `set_up` and `clear`.

    Clients reach the broker at `client_wire`, the broker its troubled receiver, mosquitto and mongod at theirs.
    """

    def __init__(self, kind: StoreKind, folder: Path, chance: random.Random) -> None:
        self.kind = kind
        self.folder = folder
        self.disk = Disk(folder / "disk")
        self.troubled = ReceiverProcess(folder, "troubled")
        self.calm = ReceiverProcess(folder, "calm")
        self.receiver_wire = Wire(self.troubled.port, chance)
        self.mongod: Mongod | None = None
        self.mongod_wire: Wire | None = None
        self.mosquitto: MqttBroker | None = None
        self.mosquitto_wire: Wire | None = None
        self.subscriber: Subscriber | None = None
        self.brokers: list[Process] = []
        self.client_wires: list[Wire] = []
        self.watches: list[Watch] = []
        self.store_url = ""
        self._chance = chance
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        assert self._session is not None
        return self._session

    # life

    async def set_up(self, brokers: int = 1) -> None:
        """Start everything, and subscribe. Skips where something that is needed is not there."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(20))
        self.disk.mount()
        await self._start_store()
        await asyncio.gather(self.troubled.start(), self.calm.start())
        await self.receiver_wire.open()
        mqtt = await self._start_mosquitto()
        self.brokers = [Process(self.store_url, log=self.folder / f"broker{number}.log") for number in range(brokers)]
        for broker in self.brokers:
            await self.start_broker(broker)
            wire = Wire(broker.port, self._chance)
            await wire.open()
            self.client_wires.append(wire)
        self.watches = watches(
            f"http://127.0.0.1:{self.receiver_wire.port}",
            f"http://127.0.0.1:{self.calm.port}",
            f"mqtt://127.0.0.1:{mqtt.port}/faults",
            is_shared=self.is_shared,
        )
        for watch in self.watches:
            url = f"{self.brokers[0].url}/ngsi-ld/v1/subscriptions"
            async with self.session.post(url, json=watch.document, headers=_headers(watch)) as answer:
                assert answer.status == 201, await answer.text()
        if brokers > 1:
            await asyncio.sleep(LIVE_SECONDS)

    async def _start_store(self) -> None:
        if self.kind == "sqlite":
            self.store_url = f"sqlite:{self.disk.folder / 'state'}"
            return
        self.mongod_wire = Wire(0, self._chance)
        await self.mongod_wire.open()
        self.mongod = Mongod(self.disk.folder, reached_at=self.mongod_wire.port)
        self.mongod_wire.target = self.mongod.port
        await asyncio.to_thread(self.mongod.start)
        base, _, options = self.mongod.uri.partition("?")
        self.store_url = f"{base}tsunagu?{options}"

    async def _start_mosquitto(self) -> Wire:
        if find_mosquitto() is None:
            do_without("mosquitto is not installed")
        # It does not stay root, and pytest's folders are for their owner alone. What it acknowledges, it has passed on.
        self.mosquitto = MqttBroker(Path(tempfile.mkdtemp(prefix="tsunagu-mqtt-")), persistent=True, inflight=1000)
        await asyncio.to_thread(self.mosquitto.start)
        self.subscriber = Subscriber(self.mosquitto.port)
        await asyncio.to_thread(self.subscriber.start)
        # From here on it knows the session of its subscriber, whenever it is killed.
        await asyncio.to_thread(self.mosquitto.save)
        self.mosquitto_wire = Wire(self.mosquitto.port, self._chance)
        await self.mosquitto_wire.open()
        return self.mosquitto_wire

    async def clear(self) -> None:
        """End everything."""
        for broker in self.brokers:
            if not broker.has_ended:
                with suppress(ProcessLookupError):
                    await broker.end(signal.SIGKILL)
        for wire in (self.receiver_wire, self.mongod_wire, self.mosquitto_wire, *self.client_wires):
            if wire is not None:
                await wire.close()
        if self.subscriber is not None:
            await asyncio.to_thread(self.subscriber.stop)
        if self.mosquitto is not None:
            self.mosquitto.kill()
            shutil.rmtree(self.mosquitto.folder, ignore_errors=True)
        if self.mongod is not None:
            self.mongod.kill()
        for receiver in (self.troubled, self.calm):
            if receiver.process is not None:
                await receiver.kill()
        self.disk.unmount()
        if self._session is not None:
            await self._session.close()

    async def start_broker(self, broker: Process) -> None:
        """Start a broker again and again until it is ready, as whoever runs services would: its store may be away."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                await broker.start(self.session)
                return
            except (AssertionError, TimeoutError):
                if not broker.has_ended:
                    await broker.end(signal.SIGKILL)
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.1)

    async def subscriber_is_back(self) -> None:
        """Wait until the receiver over MQTT is connected again."""
        assert self.subscriber is not None
        assert await asyncio.to_thread(self.subscriber.connected.wait, 20), "the subscriber does not come back"

    @property
    def is_shared(self) -> bool:
        """Whether several brokers are on the store."""
        return len(self.brokers) > 1

    # what is under way and what has come

    async def be_quiet(self) -> int:
        """Wait until every notification has arrived; those that were set aside are sent again on request. Their number."""
        deadline = time.monotonic() + QUIET_SECONDS
        set_aside = 0
        left = list(self.watches)
        while left and time.monotonic() < deadline:
            for watch in list(left):
                summary = await self._summary(watch)
                if summary["failed"]:
                    set_aside += await self._replay(watch)
                elif not summary["pending"] and not summary["lag"]["changes"] and "pendingUnreadFrom" not in summary:
                    left.remove(watch)
            await asyncio.sleep(0.1)
        return set_aside

    async def _summary(self, watch: Watch) -> dict[str, Any]:
        async with self.session.get(self._deliveries(watch), headers=_headers(watch)) as answer:
            assert answer.status == 200, await answer.text()
            summary: dict[str, Any] = (await answer.json())["summary"]
            return summary

    async def _replay(self, watch: Watch) -> int:
        """Send again what was set aside."""
        url = self._deliveries(watch)
        async with self.session.get(f"{url}?state=failed&limit=100", headers=_headers(watch)) as answer:
            failed = (await answer.json())["deliveries"]
        for one in failed:
            body = {"notificationId": one["notificationId"]}
            async with self.session.post(f"{url}/replay", json=body, headers=_headers(watch)) as answer:
                assert answer.status == 200, await answer.text()
        return len(failed)

    def _deliveries(self, watch: Watch) -> str:
        return f"{self.brokers[0].url}/tsunagu/v1/subscriptions/{watch.document['id']}/deliveries"

    def receipts(self) -> list[Receipt]:
        """Everything that was received, in order of arrival at each receiver."""
        received = read_journal(self.troubled.journal) + read_journal(self.calm.journal)
        return received + (self.subscriber.receipts if self.subscriber is not None else [])


def _headers(watch: Watch) -> dict[str, str]:
    return {"NGSILD-Tenant": watch.tenant} if watch.tenant else {}
