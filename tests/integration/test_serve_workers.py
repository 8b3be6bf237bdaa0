"""`tsunagu serve --workers N`: one port, one service; whatever happens to a worker, somebody answers."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import psutil
import pytest
from mongod import die_with_parent

Found = TypeVar("Found")

WAIT_SECONDS = 60.0
"""How long what happens within a second or two may take on a machine that has other things to do."""


class Service:
    """A supervisor and its workers, with the log of all of them."""

    def __init__(self, directory: Path, *options: str) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TSUNAGU_")}
        self.log = directory / "log"
        self.output = directory / "output"
        with self.log.open("w") as log, self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "broker.cli", "serve", "--port", "0", "--log-format", "json", *options],
                cwd=directory,
                env=clean,
                stdout=output,
                stderr=log,
                preexec_fn=die_with_parent,
            )

    @property
    def url(self) -> str:
        """Where it serves; known once all workers are ready."""
        return until(lambda: re.search(r" on (http://\S+) ", self.output.read_text()))[1]

    @property
    def workers(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()

    def events(self, text: str) -> list[dict[str, object]]:
        """The lines of the log so far whose event begins with a text."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines(keepends=True) if line.endswith("\n")]
        return [line for line in lines if line["event"].startswith(text)]

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(self.url + path, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def samples(self, name: str) -> dict[str, float]:
        """The values of a metric by worker, added up over its other labels."""
        found: dict[str, float] = {}
        for line in self.get("/metrics")[1].splitlines():
            if match := re.fullmatch(name + r'\{.*?worker="(\d+)"\} (\S+)', line):
                found[match[1]] = found.get(match[1], 0.0) + float(match[2])
        return found

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self) -> int:
        return self.process.wait(WAIT_SECONDS)


def until(condition: Callable[[], Found]) -> Found:
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
    return found


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    started: list[Service] = []

    def start(*options: str) -> Service:
        started.append(Service(tmp_path, *options))
        return started[-1]

    yield start
    for service in started:
        if service.process.poll() is None:
            left = service.workers
            service.process.kill()
            service.process.wait()
            for each in left:
                each.kill()


@pytest.fixture
def mongo(mongodb_uri: str, mongo_database: str) -> str:
    base, _, options = mongodb_uri.partition("?")
    return f"{base.rstrip('/')}/{mongo_database}?{options}"


@pytest.mark.mongo
def test_workers_serve_one_port_are_replaced_renewed_and_end_together(
    serve: Callable[..., Service], mongo: str
) -> None:
    """One service for all of it, because each start costs seconds."""
    service = serve("--workers", "2", "--store", mongo)
    url = service.url
    assert not url.endswith(":0")
    assert len(service.workers) == 2
    assert json.loads(service.get("/health/ready")[1])["workers"] == {"wanted": 2, "ready": 2}

    # All work, and whichever is asked shows the numbers of all.
    with ThreadPoolExecutor(8) as clients:
        assert {status for status, _ in clients.map(service.get, ["/ngsi-ld/v1/types"] * 40)} == {200}
    asked = service.samples("tsunagu_http_request_seconds_count")
    assert set(asked) == {"1", "2"}
    assert sum(asked.values()) >= 40
    assert service.samples("tsunagu_worker_up") == {"1": 1.0, "2": 1.0}

    # One is killed: the service answers on, a new one takes its place, and no number falls.
    before = {each.pid for each in service.workers}
    victim = service.workers[0]
    victim.kill()
    (died,) = until(lambda: service.events("a worker died"))
    assert (died["pid"], died["exit"]) == (victim.pid, -signal.SIGKILL)
    assert service.get("/health/live")[0] == 200
    until(lambda: len(service.events("a worker is ready")) == 3)
    after_kill = service.samples("tsunagu_http_request_seconds_count")
    assert all(after_kill[worker] >= asked[worker] for worker in asked)
    assert sum(service.samples("tsunagu_worker_starts_total").values()) == 3

    # A rolling restart: all are new, the port is the same, and again no number falls.
    service.signal(signal.SIGHUP)
    until(lambda: service.events("rolling restart: done"))
    until(lambda: len(service.workers) == 2)
    assert not before & {each.pid for each in service.workers}
    after_restart = service.samples("tsunagu_http_request_seconds_count")
    assert all(after_restart[worker] >= after_kill[worker] for worker in asked)
    assert {line["worker"] for line in service.events("stopping: finishing")} == {1, 2}, "the log says who speaks"

    service.signal(signal.SIGTERM)
    assert service.wait() == 0
    assert "Traceback" not in service.log.read_text()


@pytest.mark.mongo
def test_workers_end_with_a_supervisor_that_is_killed(serve: Callable[..., Service], mongo: str) -> None:
    service = serve("--workers", "2", "--store", mongo)
    assert service.url
    workers = service.workers
    service.signal(signal.SIGKILL)
    service.wait()
    gone, alive = psutil.wait_procs(workers, WAIT_SECONDS)
    assert not alive
    assert len(gone) == 2
    assert len(service.events("the supervisor is gone")) == 2


def test_workers_on_sqlite_are_refused(serve: Callable[..., Service]) -> None:
    service = serve("--workers", "2")
    assert service.wait() == 2
    said = service.log.read_text()
    assert "--workers: 2 workers cannot share sqlite:./tsunagu-data" in said
    assert "use MongoDB" in said


def test_a_taken_port_is_told_by_the_supervisor(serve: Callable[..., Service]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        service = serve("--workers", "2", "--store", "mongodb://127.0.0.1:1/x", "--port", port)
        assert service.wait() == 1
    assert service.events(f"cannot listen on 127.0.0.1 port {port}")
