"""`tsunagu serve --workers N`: starts N workers on one port, replaces those that die, renews them, and ends them all.

Each worker is this very command in a process of its own, on its slot's sockets, so that a successor runs the code and reads
the settings that are on the disk then. SIGHUP is a rolling restart: in one slot after the other the successor is started,
and when it is ready its predecessor ends in good order. SIGTERM and SIGINT end all in good order. A worker that dies is
replaced, after pauses that grow while it dies again. If the supervisor itself is killed, its workers end in good order.
"""

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from broker.logs import start_logging
from broker.metrics import Family
from broker.settings import Settings
from broker.workers.child import Child
from broker.workers.port import Port
from broker.workers.totals import Totals

PAUSES: Final = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds until a worker is replaced that died for the first, second, ... time in a row."""
STEADY_SECONDS: Final = 60.0
"""How long a worker must have lived for its death to count as a first one."""

log: Final = logging.getLogger(__name__)


def supervise(settings: Settings, command: Sequence[str], on_ready: Callable[[str], None]) -> int:
    """Serve with `settings.workers` processes of `command` until a signal ends it; the exit code.

    `on_ready` is told the base URL once all answer requests.
    """
    stop_logging = start_logging(settings.log_format, settings.log_level)
    try:
        return asyncio.run(_supervise(settings, command, on_ready))
    finally:
        stop_logging()


async def _supervise(settings: Settings, command: Sequence[str], on_ready: Callable[[str], None]) -> int:
    try:
        port = Port(settings.host, settings.port)
    except OSError as error:
        log.error("cannot listen on %s port %s: %s", settings.host, settings.port, error.strerror or error)
        return 1
    supervisor = Supervisor(settings.workers, command, port)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.stop)
    loop.add_signal_handler(signal.SIGHUP, supervisor.renew)
    try:
        return await supervisor.run(lambda: on_ready(replace(settings, port=port.number).base_url))
    finally:
        port.close()


@dataclass(eq=False)
class _Slot:
    """One worker's place. Who puts a process there has its `turn`."""

    number: int
    sockets: list[socket.socket] = field(default_factory=list)
    child: Child | None = None
    starts: int = 0
    deaths: int = 0
    """How many processes died in a row, without having lived long."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def living(self) -> Child | None:
        """The process that answers requests, if there is one."""
        return self.child if self.child is not None and self.child.alive else None

    def close(self) -> None:
        """Refuse connections, those that wait too, until there is a process again."""
        for each in self.sockets:
            each.close()
        self.sockets = []


class Supervisor:
    """Keeps `count` workers on a port. They are processes of `command`, with an option that tells each its slot."""

    def __init__(self, count: int, command: Sequence[str], port: Port) -> None:
        self._command = command
        self._port = port
        self._slots = [_Slot(number) for number in range(1, count + 1)]
        self._children: set[Child] = set()
        self._totals = Totals()
        self._counting: asyncio.Task[list[Family]] | None = None
        self._telling: set[asyncio.Task[None]] = set()
        self._was_ready = False
        self._failed = False
        self._complete = asyncio.Event()
        self._stopping = asyncio.Event()
        self._renewal = asyncio.Event()

    def stop(self) -> None:
        """End all workers, and `run`."""
        self._stopping.set()

    def renew(self) -> None:
        """Replace all workers, one after the other. Asked for again meanwhile, it is done again afterwards."""
        self._renewal.set()

    async def run(self, on_ready: Callable[[], None]) -> int:
        """Have a worker in each slot until told to stop, or until it turns out that none can start; the exit code.

        `on_ready` is called when all are ready for the first time.
        """
        tasks = [asyncio.create_task(self._keep(slot), name=f"slot {slot.number}") for slot in self._slots]
        tasks.append(asyncio.create_task(self._renew_when_asked(), name="rolling restart"))
        tasks.append(asyncio.create_task(self._announce(on_ready), name="announcement"))
        stopping = asyncio.create_task(self._stopping.wait())
        done, _ = await asyncio.wait({stopping, *tasks[:-1]}, return_when=asyncio.FIRST_COMPLETED)
        for task in (stopping, *tasks):
            task.cancel()
        log.info("stopping: ending all workers")
        ended = await asyncio.gather(*(child.end() for child in self._children))
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for slot in self._slots:
            slot.close()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                log.critical("the supervisor failed", exc_info=outcome)
                self._failed = True
        if not all(ended):
            log.error("some workers did not end in time and were killed")
        return 0 if all(ended) and not self._failed and stopping in done else 1

    async def _keep(self, slot: _Slot) -> None:
        """Have a worker in a slot, until none can ever be: then this ends."""
        while not self._hopeless():
            async with slot.turn:
                if slot.living is None:
                    await self._fill(slot)
            child = slot.living
            if child is not None:
                code = await child.ended()
                if child is not slot.child:  # its successor is there already
                    continue
                if time.monotonic() - child.started >= STEADY_SECONDS:
                    slot.deaths = 0
                log.error("a worker died", extra={"worker": slot.number, "pid": child.process.pid, "exit": code})
                self._tell_workers()
            slot.deaths += 1
            pause = PAUSES[min(slot.deaths, len(PAUSES)) - 1]
            if pause:
                if not slot.turn.locked():
                    slot.close()  # whoever waits in its queue is better off with another worker
                log.warning("a worker is started again after a pause", extra={"worker": slot.number, "seconds": pause})
                await asyncio.sleep(pause)
        log.critical("no worker became ready: giving up")
        self._failed = True

    def _hopeless(self) -> bool:
        return not self._was_ready and all(slot.deaths for slot in self._slots)

    async def _fill(self, slot: _Slot) -> bool:
        """Start a process in a slot; when it is ready it takes the place of the one that is there, which ends.

        Whether it became ready; if not, nothing has changed.
        """
        try:
            if not slot.sockets:
                slot.sockets = self._port.sockets()
            child = await Child.start(slot.number, self._command, slot.sockets, self._totals, self._tell_whole)
        except OSError as error:
            log.error("a worker cannot be started: %s", error, extra={"worker": slot.number})
            return False
        slot.starts += 1
        self._children.add(child)
        if not await child.becomes_ready():
            log.error("a worker did not become ready", extra={"worker": slot.number, "pid": child.process.pid})
            await child.kill()
            self._children.discard(child)
            return False
        predecessor, slot.child = slot.child, child
        self._was_ready = True
        if all(each.living is not None for each in self._slots):
            self._complete.set()
        log.info("a worker is ready", extra={"worker": slot.number, "pid": child.process.pid})
        self._tell_workers()
        if predecessor is not None:
            if not await predecessor.end():
                log.error("a worker did not end in time and was killed", extra={"worker": slot.number})
            self._children.discard(predecessor)
        return True

    async def _renew_when_asked(self) -> None:
        while await self._renewal.wait():
            self._renewal.clear()
            log.info("rolling restart: begins")
            began = time.monotonic()
            for slot in self._slots:
                async with slot.turn:
                    if not await self._fill(slot):
                        log.error(
                            "rolling restart: given up, the workers that are left serve on",
                            extra={"worker": slot.number},
                        )
                        break
            else:
                log.info("rolling restart: done", extra={"seconds": round(time.monotonic() - began, 3)})

    async def _announce(self, on_ready: Callable[[], None]) -> None:
        await self._complete.wait()
        on_ready()

    def _tell_workers(self) -> None:
        """Let all workers know how many of them are ready."""
        ready = sum(slot.living is not None for slot in self._slots)
        for child in self._children:
            child.say(say="workers", wanted=len(self._slots), ready=ready)

    def _tell_whole(self, asking: Child) -> None:
        """Tell a worker the metrics of all. Who asks while they are asked for gets the same."""
        if self._counting is None or self._counting.done():
            self._counting = asyncio.create_task(self._count())
        counting = self._counting

        async def tell() -> None:
            asking.say(say="whole", families=await counting)

        telling = asyncio.create_task(tell())
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)

    async def _count(self) -> list[Family]:
        living = [slot.living for slot in self._slots]
        await asyncio.gather(*(child.count() for child in self._children if child.alive and child.is_ready))
        up = [float(child is not None and child.answers) for child in living]
        return [*self._totals.whole(), *_own(self._slots, up)]


def _own(slots: Sequence[_Slot], up: Sequence[float]) -> list[Family]:
    labels = [{"worker": str(slot.number)} for slot in slots]
    starts = [float(slot.starts) for slot in slots]
    name = "tsunagu_worker_starts"
    return [
        Family(
            "tsunagu_worker_up",
            "gauge",
            "Whether the slot has a worker that answers.",
            _samples("tsunagu_worker_up", labels, up),
        ),
        Family(name, "counter", "Processes started in the slot.", _samples(f"{name}_total", labels, starts)),
    ]


def _samples(
    name: str, labels: Sequence[dict[str, str]], values: Sequence[float]
) -> list[tuple[str, dict[str, str], float]]:
    return [(name, label, value) for label, value in zip(labels, values, strict=True)]
