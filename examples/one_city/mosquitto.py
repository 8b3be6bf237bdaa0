"""An MQTT broker for the gauges: mosquitto on a free port of 127.0.0.1, which lets everybody in and keeps nothing."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from examples.children import child

HOST = "127.0.0.1"
_PATIENCE = 20.0


class MosquittoMissing(Exception):
    """There is no mosquitto, or it does not start; the message says what to do."""


@asynccontextmanager
async def mosquitto(folder: Path) -> AsyncIterator[int]:
    """Start mosquitto, give its port when it listens, stop it at the end. Raises MosquittoMissing."""
    program = shutil.which("mosquitto") or shutil.which(
        "mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin"
    )
    if program is None:
        raise MosquittoMissing("mosquitto is not installed (apt-get install mosquitto, or brew install mosquitto)")
    port = free_port()
    configuration, log = folder / "mosquitto.conf", folder / "mosquitto.log"
    configuration.write_text(
        f"listener {port} {HOST}\nallow_anonymous true\npersistence false\nmax_queued_messages 100000\n"
    )
    with log.open("wb") as output:
        async with child(program, "-c", str(configuration), output=output, errors=output) as process:
            if not await _listens(port, process):
                said = log.read_text(errors="replace").strip().splitlines()
                raise MosquittoMissing(f"mosquitto does not start: {said[-1] if said else 'it says nothing'}")
            yield port


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


async def _listens(port: int, process: asyncio.subprocess.Process) -> bool:
    for _ in range(int(_PATIENCE / 0.05)):
        if process.returncode is not None:
            return False
        try:
            _, writer = await asyncio.open_connection(HOST, port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return True
    return False
