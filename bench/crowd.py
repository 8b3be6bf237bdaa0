"""A process of many clients, each asking again as soon as it is answered: `python -m bench.crowd` with an errand on stdin."""

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from typing import cast

import uvloop

from bench.answer import first_answer
from bench.stock import ENTITIES, Operation, Stock


@dataclass(frozen=True, slots=True)
class Errand:
    """Ask for one operation on so many `entities`, from number `first` on, for so many `seconds`."""

    port: int
    operation: str
    first: int
    seconds: float
    clients: int
    entities: int = ENTITIES


class _Crowd:
    def __init__(self, errand: Errand) -> None:
        self.operation: Operation = Stock(errand.entities).operations[errand.operation]
        self.number = errand.first
        self.deadline = 0.0
        self.walls: list[float] = []
        self.right = 0


class _Client(asyncio.Protocol):
    def __init__(self, crowd: _Crowd) -> None:
        self._crowd = crowd
        self._buffer = b""
        self._waits = False
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def ask(self) -> None:
        crowd = self._crowd
        if time.monotonic() >= crowd.deadline:
            self._transport.close()
            return
        number, crowd.number = crowd.number, crowd.number + 1
        request = crowd.operation.request(number)
        self._asked = time.perf_counter()
        self._waits = True
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        answer = first_answer(self._buffer)
        if answer is None:
            return
        crowd = self._crowd
        crowd.walls.append(1000 * (time.perf_counter() - self._asked))
        self._buffer = answer.rest
        self._waits = False
        right = answer.status == crowd.operation.status
        crowd.right += right and (not crowd.operation.found or answer.body.count(b'"id":') == crowd.operation.found)
        self.ask()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waits:
            self._crowd.walls.append(1000 * (time.perf_counter() - self._asked))
        self.done.set_result(None)


async def _go(errand: Errand) -> None:
    crowd = _Crowd(errand)
    loop = asyncio.get_running_loop()
    clients = [
        (await loop.create_connection(lambda: _Client(crowd), "127.0.0.1", errand.port))[1]
        for _ in range(errand.clients)
    ]
    print("begin", flush=True)
    start = time.monotonic()
    crowd.deadline = start + errand.seconds
    for client in clients:
        client.ask()
    await asyncio.gather(*(client.done for client in clients))
    seconds = time.monotonic() - start
    print("end", flush=True)
    found = {"answers": len(crowd.walls), "right": crowd.right, "next": crowd.number, "walls": crowd.walls}
    print(json.dumps(found | {"seconds": seconds}))


if __name__ == "__main__":
    uvloop.run(_go(Errand(**json.load(sys.stdin))))
