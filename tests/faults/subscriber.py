"""A receiver of notifications over MQTT 3.1.1: one client with a session that is kept, in a thread of its own.

It speaks the protocol itself, because it has to read what is left in the connection of an MQTT broker that was killed, whatever
becomes of its own acknowledgements: what that broker has passed on before it acknowledged it must be counted as received.
"""

import socket
import struct
import threading
import time
from contextlib import suppress
from typing import Final

import orjson
from faults.receipt import Receipt, receipt_of

CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK, PINGREQ = 1, 2, 3, 4, 8, 9, 12
KEEP_ALIVE: Final = 60
PAUSE_SECONDS: Final = 0.05


class Subscriber:
    """Follows `faults/+` of the MQTT broker at a port, and comes back whenever it is there.

    The end of a message's topic names the subscription.
    """

    def __init__(self, port: int) -> None:
        self.receipts: list[Receipt] = []
        self.connected = threading.Event()
        self.connections = 0
        self._port = port
        self._stopped = threading.Event()
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="MQTT subscriber", daemon=True)

    def start(self) -> None:
        """Connect, and wait until the subscription is accepted."""
        self._thread.start()
        assert self.connected.wait(20), "the MQTT broker does not accept a subscription"

    def stop(self) -> None:
        """End the connection and the thread."""
        self._stopped.set()
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)

    def _run(self) -> None:
        while not self._stopped.is_set():
            with suppress(OSError, EOFError):
                self._follow()
            self.connected.clear()
            self._stopped.wait(PAUSE_SECONDS)

    def _follow(self) -> None:
        with socket.create_connection(("127.0.0.1", self._port), timeout=10) as opened:
            self._socket = opened
            opened.settimeout(KEEP_ALIVE / 2)
            opened.sendall(
                _packet(CONNECT, _text("MQTT") + bytes([4, 0]) + struct.pack("!H", KEEP_ALIVE) + _text("faults"))
            )
            while True:
                try:
                    first, content = _read(opened)
                except TimeoutError:
                    opened.sendall(_packet(PINGREQ, b""))
                    continue
                match first >> 4:
                    case 2:  # CONNACK
                        if content[1]:
                            raise EOFError
                        opened.sendall(
                            bytes([0x82]) + _packet(SUBSCRIBE, struct.pack("!H", 1) + _text("faults/+") + b"\x01")[1:]
                        )
                    case 9:  # SUBACK
                        self.connections += 1
                        self.connected.set()
                    case 3:  # PUBLISH
                        self._take(opened, first, content)

    def _take(self, opened: socket.socket, first: int, content: bytes) -> None:
        (length,) = struct.unpack_from("!H", content)
        topic = content[2 : 2 + length].decode()
        rest = content[2 + length :]
        quality = first >> 1 & 3
        if quality:
            identifier, rest = rest[:2], rest[2:]
            with suppress(OSError):  # it is gone: what it has sent before is read all the same
                opened.sendall(_packet(PUBACK, identifier))
        self.receipts.append(receipt_of(time.monotonic(), topic.rpartition("/")[2], orjson.loads(rest)["body"]))


def _packet(kind: int, content: bytes) -> bytes:
    length, digits = len(content), b""
    while True:
        length, digit = length >> 7, length & 127
        digits += bytes([digit | (128 if length else 0)])
        if not length:
            return bytes([kind << 4]) + digits + content


def _text(text: str) -> bytes:
    return struct.pack("!H", len(text.encode())) + text.encode()


def _read(opened: socket.socket) -> tuple[int, bytes]:
    """One packet: its first byte, and its content. A time-out in the middle of one is an end, too."""
    first = opened.recv(1)
    if not first:
        raise EOFError
    length = shift = 0
    try:
        while True:
            digit = _exactly(opened, 1)[0]
            length |= (digit & 127) << shift
            shift += 7
            if not digit & 128:
                return first[0], _exactly(opened, length)
    except TimeoutError:
        raise EOFError from None


def _exactly(opened: socket.socket, number: int) -> bytes:
    parts = bytearray()
    while len(parts) < number:
        part = opened.recv(number - len(parts))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)
