"""A Tsunagu broker and an MQTT broker for a run that names none: processes on free ports, gone when the run ends."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

START_SECONDS: Final = 30.0


class NotStarted(Exception):
    """A process does not do what it was started for; the message has its output."""


@contextmanager
def running_broker(store: str) -> Iterator[str]:
    """The URL of a Tsunagu broker on this store. Raises NotStarted."""
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    options = ["--port", str(port), "--store", store, "--egress", "any", "--log-level", "warning"]
    command = [sys.executable, "-m", "broker.cli", "serve", *options]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TSUNAGU_")}
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=clean
        )
        try:
            deadline = time.monotonic() + START_SECONDS
            while not _answers(f"{url}/health/ready"):
                if process.poll() is not None or time.monotonic() > deadline:
                    output.seek(0)
                    raise NotStarted(f"the broker does not start:\n{output.read().decode(errors='replace')}")
                time.sleep(0.05)
            yield url
        finally:
            _end(process)


@contextmanager
def running_mosquitto() -> Iterator[str | None]:
    """The address of a mosquitto without passwords, None where it is not installed. Raises NotStarted."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        yield None
        return
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="tsunagu-conformance-") as folder:
        Path(folder).chmod(0o755)  # started by root, mosquitto reads its files as another user
        configuration = Path(folder) / "mosquitto.conf"
        configuration.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
        process = subprocess.Popen(
            [program, "-c", str(configuration)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            deadline = time.monotonic() + START_SECONDS
            while not _listens(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise NotStarted("mosquitto does not start")
                time.sleep(0.02)
            yield f"mqtt://127.0.0.1:{port}"
        finally:
            _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


def _listens(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
