"""A process that receives notifications for many hosts: `python -m bench.receiver FILE`.

It listens on one port of all loopback addresses and prints the port. Each notification becomes a `Receipt` in FILE. Its hosts
are well, until a line on stdin says otherwise: `hang 7` (reads and never answers), `drip 7` (one byte of the answer a
second), `fail 7` (status 500), `well 7`. Each line is answered by one on stdout: how many notifications came so far.
"""

import asyncio
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, cast

import orjson
import uvloop

from bench.city import WATCHED, address, serial_of
from tests.mongod import die_with_parent

_RECORD: Final = struct.Struct("<iiid")
_ANSWER: Final = b"HTTP/1.1 204 No Content\r\n\r\n"
_FAILURE: Final = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
_FLUSH_SECONDS: Final = 0.2


class Receipt(NamedTuple):
    """One notification: which subscription's, of which write, when it came (monotonic clock of the machine).

    `well` is 1 if it was answered by success.
    """

    subscription: int
    serial: int
    well: int
    at: float


def receipts(file: Path, start: int = 0) -> list[Receipt]:
    """The notifications in a file, from number `start` on."""
    with file.open("rb") as stream:
        stream.seek(start * _RECORD.size)
        content = stream.read()
    whole = len(content) - len(content) % _RECORD.size
    return [Receipt(*fields) for fields in _RECORD.iter_unpack(content[:whole])]


class Receiver:
    """A receiver process, seen from the benchmark."""

    def __init__(self, process: subprocess.Popen[str], file: Path) -> None:
        assert process.stdout is not None
        self.process = process
        self.file = file
        self.port = int(process.stdout.readline())

    def received(self) -> int:
        """How many notifications have come."""
        return self._tell("")

    def put(self, host: int, mood: str) -> None:
        """Let one host be well, hang, drip or fail from now on."""
        self._tell(f"{mood} {host}")

    def _tell(self, line: str) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@contextmanager
def running_receiver(folder: Path) -> Iterator[Receiver]:
    """A receiver process for as long as the block runs."""
    file = folder / "receipts"
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.receiver", str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=die_with_parent,
    )
    try:
        yield Receiver(process, file)
    finally:
        process.kill()
        process.wait()


# --- in the process itself


class _Desk:
    """What all connections share."""

    def __init__(self, file: BinaryIO) -> None:
        self.moods: dict[str, str] = {}
        self.count = 0
        self._file = file

    def take(self, body: bytes, well: bool) -> None:
        now = time.monotonic()
        notification = orjson.loads(body)
        shown = notification["data"][0][WATCHED]
        level = shown["value"] if isinstance(shown, dict) else shown
        number = int(notification["subscriptionId"].rpartition(":")[2])
        self._file.write(_RECORD.pack(number, serial_of(level), well, now))
        self.count += 1

    async def flush(self) -> None:
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            self._file.flush()

    async def obey(self, lines: asyncio.StreamReader) -> None:
        while line := (await lines.readline()).decode():
            mood, _, host = line.strip().partition(" ")
            if host:
                self.moods[address(int(host))] = mood
            self._file.flush()
            print(self.count, flush=True)


class _Connection(asyncio.Protocol):
    """HTTP as far as the broker speaks it to receivers: POST with Content-Length, one after the other."""

    def __init__(self, desk: _Desk) -> None:
        self._desk = desk
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._host: str = transport.get_extra_info("sockname")[0]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            at = head.index(b"content-length:") + 15
            size = int(head[at:].split(b"\r\n", 1)[0])
            if len(self._buffer) < end + 4 + size:
                return
            body, self._buffer = self._buffer[end + 4 : end + 4 + size], self._buffer[end + 4 + size :]
            mood = self._desk.moods.get(self._host, "well")
            self._desk.take(body, mood == "well")
            if mood == "well":
                self._transport.write(_ANSWER)
            elif mood == "fail":
                self._transport.write(_FAILURE)
            elif mood == "drip":
                self._drip(_FAILURE)

    def _drip(self, left: bytes) -> None:
        if left and not self._transport.is_closing():
            self._transport.write(left[:1])
            asyncio.get_running_loop().call_later(1.0, self._drip, left[1:])


async def _serve(file: Path) -> None:
    loop = asyncio.get_running_loop()
    with file.open("wb") as stream:
        desk = _Desk(stream)
        server = await loop.create_server(lambda: _Connection(desk), "0.0.0.0", 0, backlog=1024)
        lines = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
        print(server.sockets[0].getsockname()[1], flush=True)
        flushing = loop.create_task(desk.flush())
        await desk.obey(lines)
        flushing.cancel()


if __name__ == "__main__":
    uvloop.run(_serve(Path(sys.argv[1])))
