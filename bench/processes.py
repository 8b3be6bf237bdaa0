"""The processes that are measured: a broker, and the MongoDB behind it; their CPU time and their memory."""

import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from tests.mongod import Mongod, die_with_parent, free_port

START_SECONDS: Final = 60.0
SAMPLE_SECONDS: Final = 0.02
MIB: Final = 1024 * 1024


class Meter:
    """CPU time and resident memory of a process and of its workers. The peak is that of samples, 50 a second."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._workers: list[psutil.Process] = []
        self._peak = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def cpu(self) -> float:
        """Seconds of CPU time, of all threads, since the processes started."""
        times = [each.cpu_times() for each in (self._process, *self._workers)]
        return float(sum(each.user + each.system for each in times))

    def resident(self) -> int:
        """MiB in memory now."""
        return int(sum(each.memory_info().rss for each in (self._process, *self._workers)) // MIB)

    def include_workers(self) -> None:
        """From now on count the processes that it has started as well."""
        self._workers = self._process.children(recursive=True)

    def peak(self) -> int:
        """The most MiB in memory since the last time this was asked."""
        peak, self._peak = max(self._peak, self.resident()), 0
        return peak

    def _sample(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            try:
                self._peak = max(self._peak, self.resident())
            except psutil.NoSuchProcess:
                return

    def close(self) -> None:
        """Stop sampling."""
        self._ended.set()
        self._thread.join()


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker process that answers."""

    url: str
    meter: Meter


@contextmanager
def running_broker(store: str, *options: str) -> Iterator[Broker]:
    """`tsunagu serve` on this store for as long as the block runs."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TSUNAGU_")}
    command = [sys.executable, "-m", "broker.cli", "serve", "--port", str(port), "--store", store]
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [*command, "--log-level", "warning", "--slow-request", "60", *options],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_parent,
        )
        try:
            if not _answers(url, process):
                output.seek(0)
                raise RuntimeError(f"the broker does not start: {output.read()[-2000:].decode(errors='replace')}")
            meter = Meter(process.pid)
            if "--workers" in options:
                meter.include_workers()
            try:
                yield Broker(url, meter)
            finally:
                meter.close()
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answers(url: str, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health/ready", timeout=5):
                return True
        except (OSError, urllib.error.URLError):
            time.sleep(0.02)
    return False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a broker keeps its state: the store's address, the meter of its server (None: embedded), and its files."""

    store: str
    server: Meter | None
    folder: Path

    def size(self) -> int:
        """MiB on disk."""
        return sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file()) // MIB


@contextmanager
def store_place(kind: str, folder: Path, cache_gb: float) -> Iterator[Place]:
    """An empty store below `folder`: a directory for SQLite, or the wheel's mongod with a cache of this size."""
    if kind == "sqlite":
        yield Place(f"sqlite:{folder}", None, folder)
        return
    mongod = Mongod(folder, cache_gb=cache_gb)
    mongod.start()
    assert mongod.process is not None
    meter = Meter(mongod.process.pid)
    try:
        yield Place(mongod.uri.replace("/?", "/tsunagu_bench?"), meter, folder)
    finally:
        meter.close()
        mongod.stop()
