"""The supervisor with workers that do what a test wants: it replaces, renews, counts and gives up as it should."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

from broker.workers import child, supervisor
from broker.workers.port import Port
from broker.workers.supervisor import Supervisor

WAIT_SECONDS = 30.0

WORKER = """
import json, os, socket, sys
folder, slot = sys.argv[1], sys.argv[-1]
number, sockets, line = slot.split(":")
open(os.path.join(folder, f"{number}-{os.getpid()}"), "w").close()
if os.path.exists(os.path.join(folder, "broken")):
    sys.exit(1)
listeners = [socket.socket(fileno=int(each)) for each in sockets.split(",")]
for each in listeners:
    each.listen(16)
line = socket.socket(fileno=int(line))
line.sendall(b'{"say":"ready"}\\n')
for message in line.makefile():
    if json.loads(message)["say"] == "count":
        families = [["writes", "counter", "Writes.", [["writes_total", {}, 2.0]]]]
        line.sendall(json.dumps({"say": "counted", "families": families}).encode() + b"\\n")
"""


class Service:
    """A supervisor in the test's process; its workers leave a file each in `folder`."""

    def __init__(self, count: int, folder: Path, port: Port) -> None:
        self.folder = folder
        self.port = port
        self.ready = asyncio.Event()
        self.supervisor = Supervisor(count, [sys.executable, "-c", WORKER, str(folder)], port)
        self.running = asyncio.create_task(self.supervisor.run(self.ready.set))

    def started(self, number: int) -> list[int]:
        """The processes that were started in a slot, in no order."""
        return [int(file.name.partition("-")[2]) for file in self.folder.glob(f"{number}-*")]

    async def samples(self) -> dict[tuple[str, str], float]:
        families = await self.supervisor._count()
        return {(name, labels["worker"]): value for each in families for name, labels, value in each.samples}

    def lets_in(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port.number)) == 0


@asynccontextmanager
async def serving(count: int, folder: Path) -> AsyncIterator[Service]:
    with closing(Port("127.0.0.1", 0)) as port:
        service = Service(count, folder, port)
        async with asyncio.timeout(WAIT_SECONDS):
            await service.ready.wait()
        try:
            yield service
        finally:
            service.supervisor.stop()
            await service.running


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not condition():  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.01)


async def test_a_worker_that_dies_again_and_again_is_replaced_after_pauses_in_which_its_connections_go_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "PAUSES", (0.0, 3600.0))
    async with serving(1, tmp_path) as service:
        (first,) = service.started(1)
        os.kill(first, signal.SIGKILL)
        await until(lambda: len(service.started(1)) == 2)
        second = max(set(service.started(1)) - {first})
        await until(lambda: service.supervisor._slots[0].living is not None)
        assert service.lets_in(), "whoever came meanwhile has waited"
        os.kill(second, signal.SIGKILL)
        await until(lambda: not service.lets_in())
        assert len(service.started(1)) == 2


async def test_a_successor_that_does_not_become_ready_ends_the_rolling_restart_and_nothing_else(tmp_path: Path) -> None:
    async with serving(2, tmp_path) as service:
        before = service.started(1), service.started(2)
        (tmp_path / "broken").touch()
        service.supervisor.renew()
        await until(lambda: len(service.started(1)) == 2)
        await until(lambda: not service.supervisor._slots[0].turn.locked())
        assert service.lets_in()
        assert [service.supervisor._slots[place].living.process.pid for place in (0, 1)] == [*before[0], *before[1]]  # type: ignore[union-attr]
        (tmp_path / "broken").unlink()
        service.supervisor.renew()
        await until(lambda: len(service.started(2)) == 2)
        await until(
            lambda: all(each.living.process.pid not in (*before[0], *before[1]) for each in service.supervisor._slots)
        )  # type: ignore[union-attr]


async def test_no_counter_falls_and_a_worker_that_does_not_answer_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "COUNT_SECONDS", 5.0)
    async with serving(2, tmp_path) as service:
        samples = await service.samples()
        assert samples["writes_total", "1"] == samples["writes_total", "2"] == 2
        assert samples["tsunagu_worker_up", "1"] == 1
        service.supervisor.renew()
        await until(lambda: len(service.started(2)) == 2)
        await until(lambda: len(service.supervisor._children) == 2)
        await until(lambda: not service.supervisor._slots[1].turn.locked())
        samples = await service.samples()
        assert samples["writes_total", "1"] == samples["writes_total", "2"] == 4
        assert samples["tsunagu_worker_starts_total", "1"] == 2
        monkeypatch.setattr(child, "COUNT_SECONDS", 0.2)
        frozen = service.supervisor._slots[0].living
        assert frozen is not None
        frozen.process.send_signal(signal.SIGSTOP)
        samples = await service.samples()
        assert (samples["tsunagu_worker_up", "1"], samples["tsunagu_worker_up", "2"]) == (0, 1)
        assert samples["writes_total", "1"] == 4
        frozen.process.send_signal(signal.SIGCONT)


async def test_workers_of_which_none_becomes_ready_are_given_up(tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    with closing(Port("127.0.0.1", 0)) as port:
        service = Service(2, tmp_path, port)
        async with asyncio.timeout(WAIT_SECONDS):
            assert await service.running == 1
        assert not service.ready.is_set()
