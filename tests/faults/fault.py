"""The kinds of faults: each does its harm, lets it last for a moment, and ends it."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeAlias

from broker_process import Process
from faults.stage import Stage
from faults.tempo import Tempo
from faults.wire import Wire
from pymongo import MongoClient
from pymongo.errors import PyMongoError

Harm: TypeAlias = Callable[[Stage, Tempo], Awaitable[None]]

FULL_SECONDS: Final = 20.0
"""How long mongod may take to find out that its disk is full."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind. Two of them may be done at the same time where they befall different parts."""

    name: str
    part: str
    harm: Harm


# the broker


async def _kill_broker(stage: Stage, tempo: Tempo) -> None:
    broker = tempo.chance.choice(stage.brokers)
    assert await broker.end(signal.SIGKILL) == -signal.SIGKILL
    await stage.start_broker(broker)


async def _stop_broker(stage: Stage, tempo: Tempo) -> None:
    broker = tempo.chance.choice(stage.brokers)
    assert await broker.end(signal.SIGTERM) == 0, "an orderly stop ends in order"
    await stage.start_broker(broker)


async def _freeze_broker(stage: Stage, tempo: Tempo) -> None:
    broker = tempo.chance.choice(stage.brokers)
    _send(broker, signal.SIGSTOP)
    await (tempo.stay_away() if stage.is_shared else tempo.last_long())  # others take over what is its own, after 3 s
    _send(broker, signal.SIGCONT)


def _send(broker: Process, number: signal.Signals) -> None:
    os.kill(broker.pid, number)


async def _cut_clients(stage: Stage, tempo: Tempo) -> None:
    await _cut(tempo.chance.choice(stage.client_wires), tempo)


async def _cut(wire: Wire | None, tempo: Tempo) -> None:
    assert wire is not None
    wire.begin_to_cut()
    await tempo.last_short()
    wire.mend()


# the store


async def _fill_disk_of_sqlite(stage: Stage, tempo: Tempo) -> None:
    stage.disk.fill()
    await tempo.last_long()
    stage.disk.give_space()


async def _fill_disk_of_mongod(stage: Stage, tempo: Tempo) -> None:
    """mongod ends itself when it cannot write; it is started again when there is space."""
    mongod = stage.mongod
    assert mongod is not None
    assert mongod.process is not None
    stage.disk.fill()
    await tempo.last_short()
    checkpoint = asyncio.create_task(
        asyncio.to_thread(_checkpoint, mongod.port)
    )  # it would come by itself within a minute
    assert await asyncio.to_thread(mongod.process.wait, FULL_SECONDS) != 0
    await checkpoint
    stage.disk.give_space()
    mongod.kill()
    await asyncio.to_thread(mongod.start)


def _checkpoint(port: int) -> None:
    with _client(port) as client, suppress(PyMongoError):
        client.admin.command("fsync")


def _client(port: int) -> MongoClient[dict[str, object]]:
    return MongoClient(f"mongodb://127.0.0.1:{port}/?directConnection=true", timeoutMS=10_000)


async def _kill_mongod(stage: Stage, tempo: Tempo) -> None:
    assert stage.mongod is not None
    stage.mongod.kill()
    await tempo.stay_away()
    await asyncio.to_thread(stage.mongod.start)


async def _freeze_mongod(stage: Stage, tempo: Tempo) -> None:
    assert stage.mongod is not None
    stage.mongod.freeze()
    await tempo.stay_away()
    stage.mongod.thaw()


async def _step_mongod_down(stage: Stage, tempo: Tempo) -> None:
    assert stage.mongod is not None
    await asyncio.to_thread(_step_down, stage.mongod.port)


def _step_down(port: int) -> None:
    # It may close the connection instead of answering, and it may not be a primary yet.
    with _client(port) as client, suppress(PyMongoError):
        client.admin.command("replSetStepDown", 1, secondaryCatchUpPeriodSecs=0, force=True)


async def _cut_mongod(stage: Stage, tempo: Tempo) -> None:
    await _cut(stage.mongod_wire, tempo)


# receivers


async def _kill_receiver(stage: Stage, tempo: Tempo) -> None:
    await stage.troubled.kill()
    await tempo.last_short()
    await stage.troubled.start()


async def _freeze_receiver(stage: Stage, tempo: Tempo) -> None:
    stage.troubled.send(signal.SIGSTOP)
    await tempo.last_long()
    stage.troubled.send(signal.SIGCONT)


async def _fail_receiver(stage: Stage, tempo: Tempo) -> None:
    await stage.troubled.set_mood("failing")
    await tempo.last_short()
    await stage.troubled.set_mood("fine")


async def _drip_receiver(stage: Stage, tempo: Tempo) -> None:
    await stage.troubled.set_mood("dripping")
    await tempo.last_long()
    await stage.troubled.set_mood("fine")


async def _cut_receiver(stage: Stage, tempo: Tempo) -> None:
    await _cut(stage.receiver_wire, tempo)


# MQTT


async def _kill_mosquitto(stage: Stage, tempo: Tempo) -> None:
    """What it has acknowledged and passed on counts as received; so it is killed while its receiver is connected."""
    assert stage.mosquitto is not None
    await stage.subscriber_is_back()
    stage.mosquitto.kill()
    await tempo.last_short()
    await asyncio.to_thread(stage.mosquitto.start)
    await stage.subscriber_is_back()


async def _restart_mosquitto(stage: Stage, tempo: Tempo) -> None:
    """It saves what it has, and goes on with it."""
    assert stage.mosquitto is not None
    await asyncio.to_thread(stage.mosquitto.stop)
    await tempo.last_short()
    await asyncio.to_thread(stage.mosquitto.start)
    await stage.subscriber_is_back()


async def _freeze_mosquitto(stage: Stage, tempo: Tempo) -> None:
    assert stage.mosquitto is not None
    stage.mosquitto.freeze()
    await tempo.last_long()
    stage.mosquitto.thaw()


async def _cut_mosquitto(stage: Stage, tempo: Tempo) -> None:
    await _cut(stage.mosquitto_wire, tempo)


_KILL: Final = Fault("broker killed", "broker", _kill_broker)
_ANYWHERE: Final = (
    *[_KILL] * 3,  # it is the one that tells most: in whichever moment it comes, another line is the last one
    Fault("broker stopped", "broker", _stop_broker),
    Fault("broker frozen", "broker", _freeze_broker),
    Fault("clients cut off", "clients", _cut_clients),
    Fault("receiver killed", "receiver", _kill_receiver),
    Fault("receiver frozen", "receiver", _freeze_receiver),
    Fault("receiver failing", "receiver", _fail_receiver),
    Fault("receiver dripping", "receiver", _drip_receiver),
    Fault("receiver cut off", "receiver", _cut_receiver),
)
_MQTT: Final = (
    Fault("mosquitto killed", "mosquitto", _kill_mosquitto),
    Fault("mosquitto restarted", "mosquitto", _restart_mosquitto),
    Fault("mosquitto frozen", "mosquitto", _freeze_mosquitto),
    Fault("mosquitto cut off", "mosquitto", _cut_mosquitto),
)
_SQLITE: Final = (Fault("disk full", "store", _fill_disk_of_sqlite),)
_MONGODB: Final = (
    Fault("disk full", "store", _fill_disk_of_mongod),
    Fault("mongod killed", "store", _kill_mongod),
    Fault("mongod frozen", "store", _freeze_mongod),
    Fault("mongod stepped down", "store", _step_mongod_down),
    Fault("mongod cut off", "store", _cut_mongod),
)


def kinds(stage: Stage) -> list[Fault]:
    """The faults that can be done on a stage, some of them several times, so that they come more often than others."""
    return [*_ANYWHERE, *_MQTT, *(_SQLITE if stage.kind == "sqlite" else _MONGODB)]
