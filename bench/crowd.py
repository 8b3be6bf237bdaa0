"""A process of many clients, each asking again as soon as it is answered: `python -m bench.crowd` with an errand on stdin."""

import asyncio
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any, cast

import uvloop

from bench.answer import first_answer
from bench.expanse import operations
from bench.stock import OPERATIONS, Operation
from tests.mongod import die_with_parent


@dataclass(frozen=True, slots=True)
class Errand:
    """Ask for one operation, from number `first` on, for so many `seconds`; with `entities`, for one of `bench.expanse`."""

    port: int
    operation: str
    first: int
    seconds: float
    clients: int
    entities: int = 0


def send(errand: Errand) -> dict[str, Any]:
    """What a crowd found: `answers`, how many of them were `right`, `next` number, and `walls`, milliseconds each."""
    ended = subprocess.run(
        [sys.executable, "-m", "bench.crowd"],
        input=json.dumps(asdict(errand)).encode(),
        stdout=subprocess.PIPE,
        check=True,
        preexec_fn=die_with_parent,
    )
    return cast(dict[str, Any], json.loads(ended.stdout))


class _Crowd:
    def __init__(self, errand: Errand) -> None:
        known = operations(errand.entities) if errand.entities else OPERATIONS
        self.operation: Operation = known[errand.operation]
        self.number = errand.first
        self.deadline = time.monotonic() + errand.seconds
        self.walls: list[float] = []
        self.right = 0


class _Client(asyncio.Protocol):
    def __init__(self, crowd: _Crowd) -> None:
        self._crowd = crowd
        self._buffer = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._ask()

    def _ask(self) -> None:
        crowd = self._crowd
        if time.monotonic() >= crowd.deadline:
            self._transport.close()
            return
        number, crowd.number = crowd.number, crowd.number + 1
        request = crowd.operation.request(number)
        self._asked = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        answer = first_answer(self._buffer)
        if answer is None:
            return
        crowd = self._crowd
        crowd.walls.append(1000 * (time.perf_counter() - self._asked))
        self._buffer = answer.rest
        right = answer.status == crowd.operation.status
        crowd.right += right and (not crowd.operation.found or answer.body.count(b'"id":') == crowd.operation.found)
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        self.done.set_result(None)


async def _go(errand: Errand) -> None:
    crowd = _Crowd(errand)
    loop = asyncio.get_running_loop()
    clients = [
        (await loop.create_connection(lambda: _Client(crowd), "127.0.0.1", errand.port))[1]
        for _ in range(errand.clients)
    ]
    await asyncio.gather(*(client.done for client in clients))
    print(json.dumps({"answers": len(crowd.walls), "right": crowd.right, "next": crowd.number, "walls": crowd.walls}))


if __name__ == "__main__":
    uvloop.run(_go(Errand(**json.load(sys.stdin))))
