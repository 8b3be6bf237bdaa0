"""A receiver of notifications over HTTP, as a process of its own: `receiver.py PORT JOURNAL`.

It keeps each notification in the journal before it answers, so that what it has answered by 200 outlasts its death. The last
part of the path says which subscription it is for. `PUT /mood` changes how it answers from then on:

* `fine`: 200, now and then after a little while, so that there is always something under way when the other side dies.
* `failing`: 500, and nothing is kept.
* `dripping`: 200, but a byte at a time.
"""

import asyncio
import json
import os
import random
import sys
import time
from typing import Final

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from faults.receipt import kept_line, receipt_of

MOODS: Final = ("fine", "failing", "dripping")
DRIP_SECONDS: Final = 0.25
SLOW: Final = 0.25
"""The part of the notifications that take their time."""
SLOW_SECONDS: Final = 0.08
"""How long that may be."""


class Receiver:
    """Answers requests, one after the other on each connection."""

    def __init__(self, journal: int) -> None:
        self.journal = journal
        self.mood = "fine"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
                body = await reader.readexactly(_length(head))
                if method == "POST" and random.random() < SLOW:
                    await asyncio.sleep(random.uniform(0, SLOW_SECONDS))
                status = self.take(method, path, body)
                answer = f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode()
                if self.mood == "dripping" and method == "POST":
                    for byte in answer:
                        writer.write(bytes([byte]))
                        await writer.drain()
                        await asyncio.sleep(DRIP_SECONDS)
                else:
                    writer.write(answer)
                    await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass  # whoever asked has gone
        finally:
            writer.close()

    def take(self, method: str, path: str, body: bytes) -> int:
        """The status for a request, after what has to be kept of it is kept."""
        if method == "PUT":
            self.mood = body.decode()
            return 204
        if self.mood == "failing":
            return 500
        os.write(self.journal, kept_line(receipt_of(time.monotonic(), path.rpartition("/")[2], json.loads(body))))
        return 200


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def main(port: int, journal: str) -> None:
    receiver = Receiver(os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT))
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
