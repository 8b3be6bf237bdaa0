"""What becomes of connections while the processes behind a port are replaced, by the way in which they share it.

Three ways: each process binds a socket of its own; all inherit one; each inherits its slot's, which outlives it. Behind them
is no broker but the least server that keeps a processor busy for half a millisecond a request.
"""

import asyncio
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable
from typing import Annotated, Final

import typer
import uvloop

PROCESSES: Final = 3
CONNECTIONS: Final = 64
CLIENTS: Final = 32
BUSY_SECONDS: Final = 0.0005
ANSWER: Final = 8
FAREWELL_SECONDS: Final = 1.0

WAYS: Final = {
    "own": "each process binds one",
    "shared": "all inherit one",
    "slot": "each inherits its slot's",
}


class _Answering(asyncio.Protocol):
    """Answers by the process's number; closes after that, once the process ends."""

    ending = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # a TCP connection's
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        until = time.perf_counter() + BUSY_SECONDS
        while time.perf_counter() < until:
            pass
        self._transport.write(f"{os.getpid():{ANSWER}}".encode())
        if self.ending:
            self._transport.close()


async def _serve(listener: socket.socket, ready: int) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    server = await loop.create_server(_Answering, sock=listener, backlog=1024)
    os.write(ready, b".")
    await stopping.wait()
    _Answering.ending = True
    server.close()
    await asyncio.sleep(FAREWELL_SECONDS)


class _Pool:
    """The processes on a port."""

    def __init__(self, way: str) -> None:
        self._anchor = _bound(0)
        self.port = int(self._anchor.getsockname()[1])
        slots = [_bound(self.port) for _ in range(PROCESSES)] if way == "slot" else []
        ways: dict[str, Callable[[int], socket.socket]] = {
            "own": lambda _: _bound(self.port),
            "shared": lambda _: self._anchor,
            "slot": lambda place: slots[place],
        }
        self._socket = ways[way]
        self._processes = [self._start(place) for place in range(PROCESSES)]

    def _start(self, place: int) -> int:
        """Start a process and wait until it listens."""
        reading, writing = os.pipe()
        process = os.fork()
        if not process:
            uvloop.run(_serve(self._socket(place), writing))
            os._exit(0)
        os.close(writing)
        os.read(reading, 1)
        os.close(reading)
        return process

    def replace(self, place: int) -> None:
        """Start a successor, and when it listens end its predecessor."""
        predecessor, self._processes[place] = self._processes[place], self._start(place)
        os.kill(predecessor, signal.SIGTERM)
        os.waitpid(predecessor, 0)

    def end(self) -> None:
        for process in self._processes:
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind(("127.0.0.1", port))
    return bound


async def _ask(port: int, *, keep: bool = False) -> tuple[int, asyncio.StreamWriter]:
    """Connect, ask, and say which process answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"?")
        return int(await reader.readexactly(ANSWER)), writer
    finally:
        if not keep:
            writer.close()


async def _spread(port: int) -> list[int]:
    """How many of many connections that come at once, and stay, each process has."""
    held = await asyncio.gather(*(_ask(port, keep=True) for _ in range(CONNECTIONS)))
    for _, writer in held:
        writer.close()
    counts = Counter(process for process, _ in held)
    return sorted([*counts.values(), *[0] * (PROCESSES - len(counts))], reverse=True)


async def _measure(way: str, rounds: int) -> str:
    pool = _Pool(way)
    spreads = [await _spread(pool.port) for _ in range(5)]
    outcomes: Counter[str] = Counter()
    stopping = asyncio.Event()

    async def client() -> None:
        while not stopping.is_set():
            try:
                await _ask(pool.port)
                outcomes["answered"] += 1
            except (OSError, asyncio.IncompleteReadError):
                outcomes["lost"] += 1

    clients = [asyncio.create_task(client()) for _ in range(CLIENTS)]
    for _ in range(rounds):
        for place in range(PROCESSES):
            await asyncio.to_thread(pool.replace, place)
    stopping.set()
    await asyncio.gather(*clients)
    pool.end()
    fullest = max(spread[0] for spread in spreads)
    return (
        f"{WAYS[way]}: of {CONNECTIONS} connections at once, the fullest process had up to {fullest}; "
        f"while {rounds * PROCESSES} processes were replaced {outcomes['lost']} connections of {outcomes.total()} were lost"
    )


def main(rounds: Annotated[int, typer.Option(help="How often all processes are replaced.")] = 4) -> None:
    """Lost connections and their spread, by the way in which processes share a port: a minute."""
    for way in WAYS:
        typer.echo(asyncio.run(_measure(way, rounds)))
