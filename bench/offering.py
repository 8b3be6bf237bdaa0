"""A process that offers writes at a fixed rate, however the broker bears it: `python -m bench.offering` with a plan on stdin.

An open model: each write is due at its time, and its time counts from there, so that what waits in a queue anywhere is seen to
wait. Each goes out on a connection that is free, or on a new one, up to a bound; beyond that it is late at its own expense. No
two writes of one station are under way at once, so their order is the order of their serial numbers. What is refused is counted
and not tried again. Each write becomes an `Offer` in the plan's file.
"""

import asyncio
import json
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, cast

import uvloop

from bench.answer import first_answer
from bench.city import City, patch
from bench.stock import Stock
from tests.mongod import die_with_parent

UNKNOWN: Final = 0
"""The status of a write that was never answered."""
UNSENT: Final = -1
"""The status of a write for which there was no connection."""
WRONG: Final = -2
"""The status of an answer by success whose content is wrong."""

_RECORD: Final = struct.Struct("<iiiddd")
_ANSWER_SECONDS: Final = 60.0
"""How long an answer is waited for after the last write."""
_GIVE_UP_SECONDS: Final = 10.0
"""A write that could not go out for so long is not sent any more."""


class Offer(NamedTuple):
    """One write: when it was due, sent and answered (monotonic clock of the machine), and the status of the answer."""

    station: int
    serial: int
    status: int
    due: float
    sent: float
    answered: float


class Source(NamedTuple):
    """How many may be under way, the request of a place among them and a serial number, and the entities in its answer."""

    places: int
    request: Callable[[int, int], bytes]
    found: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """`rate` writes a second for so many `seconds`, the first with this serial number, on at most so many connections.

    What is offered are writes of a city's stations, or else an operation of `bench.stock` on so many entities.
    """

    city: City | None
    port: int
    rate: float
    seconds: float
    first: int
    file: str
    connections: int = 2_000
    operation: str = ""
    entities: int = 0

    def source(self) -> Source:
        """Makes the requests."""
        city, host = self.city, f"127.0.0.1:{self.port}"
        if city is not None:
            return Source(city.stations, lambda station, serial: patch(city.station(station), serial, host), None)
        operation = Stock(self.entities).operations[self.operation]
        return Source(self.connections, lambda _, serial: operation.request(serial), operation.found)


class Offering:
    """An offering process, seen from the benchmark."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.offering"], stdin=subprocess.PIPE, preexec_fn=die_with_parent
        )
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(asdict(plan)).encode())
        self.process.stdin.close()

    def wait(self) -> list[Offer]:
        """What was offered, once all of it is answered."""
        if self.process.wait(self.plan.seconds + 2 * _ANSWER_SECONDS) != 0:
            raise RuntimeError("the writes could not be offered")
        return offers(Path(self.plan.file))


def offers(file: Path) -> list[Offer]:
    """The writes in a file."""
    return [Offer(*fields) for fields in _RECORD.iter_unpack(file.read_bytes())]


# --- in the process itself


class _Generator:
    """Sends what is due on connections that are free."""

    def __init__(self, plan: Plan, file: BinaryIO) -> None:
        self._plan = plan
        self._file = file
        self.source = plan.source()
        self._stations = deque(range(self.source.places))
        self._free: list[_Connection] = []
        self._opened = 0
        self._due: deque[tuple[int, float]] = deque()
        self._under_way = 0
        self._ended = asyncio.Event()

    async def run(self) -> None:
        plan = self._plan
        start, offered, total = time.monotonic() + 0.1, 0, int(plan.rate * plan.seconds)
        while offered < total:
            now = time.monotonic()
            while offered < total and (due := start + offered / plan.rate) <= now:
                self._due.append((plan.first + offered, due))
                offered += 1
            self._send(now)
            await asyncio.sleep(0.002)
        deadline = time.monotonic() + _ANSWER_SECONDS
        while (self._under_way or self._due) and time.monotonic() < deadline:
            self._send(time.monotonic())
            await asyncio.sleep(0.01)
        for serial, due in self._due:
            self._note(-1, serial, UNSENT, due, 0.0)

    def _send(self, now: float) -> None:
        while self._due and self._stations:
            serial, due = self._due[0]
            if now - due > _GIVE_UP_SECONDS:
                self._due.popleft()
                self._note(-1, serial, UNSENT, due, now)
                continue
            if not self._free:
                if self._opened < self._plan.connections:
                    self._opened += 1
                    asyncio.get_running_loop().create_task(self._open())
                return
            self._due.popleft()
            station = self._stations.popleft()
            self._under_way += 1
            self._free.pop().send(self.source.request(station, serial), (station, serial, due))

    async def _open(self) -> None:
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: _Connection(self), "127.0.0.1", self._plan.port
            )
        except OSError:
            self._opened -= 1
        else:
            self._free.append(connection)

    def answered(self, connection: "_Connection", write: tuple[int, int, float], status: int, sent: float) -> None:
        station, serial, due = write
        self._under_way -= 1
        self._note(station, serial, status, due, sent)
        if status != UNKNOWN:  # else it may still happen, and another write of this station could come before it
            self._stations.append(station)
        if connection.is_open:
            self._free.append(connection)
            if self._due:
                self._send(time.monotonic())

    def closed(self, connection: "_Connection") -> None:
        self._opened -= 1
        if connection in self._free:
            self._free.remove(connection)

    def _note(self, station: int, serial: int, status: int, due: float, sent: float) -> None:
        self._file.write(_RECORD.pack(station, serial, status, due, sent, time.monotonic()))


class _Connection(asyncio.Protocol):
    """One request after the other."""

    def __init__(self, generator: _Generator) -> None:
        self._generator = generator
        self._buffer = b""
        self._write: tuple[int, int, float] | None = None
        self._sent = 0.0
        self.is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self.is_open = True

    def send(self, request: bytes, write: tuple[int, int, float]) -> None:
        self._write, self._sent = write, time.monotonic()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        answer = first_answer(self._buffer)
        if answer is None:
            return
        self._buffer = answer.rest
        if b"connection: close" in answer.head:
            self.is_open = False
            self._transport.close()
        found = self._generator.source.found
        wrong = found and answer.body.count(b'"id":') != found
        self._settle(WRONG if wrong and answer.status == 200 else answer.status)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_open = False
        self._settle(UNKNOWN)
        self._generator.closed(self)

    def _settle(self, status: int) -> None:
        write, self._write = self._write, None
        if write is not None:
            self._generator.answered(self, write, status, self._sent)


def _offer() -> None:
    given = json.load(sys.stdin)
    city = given.pop("city")
    plan = Plan(City(**city) if city else None, **given)
    with Path(plan.file).open("wb") as file:
        uvloop.run(_Generator(plan, file).run())


if __name__ == "__main__":
    _offer()
