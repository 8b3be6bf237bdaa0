"""Requests to a broker, one after the other on one connection: timed, checked, and charged with the CPU time they took."""

import http.client
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

from bench.processes import Broker, Meter
from bench.report import Row, quantile
from bench.stock import ROOT

WAIT_SECONDS: Final = 300
HISTORY_SECONDS: Final = 600.0


class WrongAnswer(Exception):
    """An answer is not what was to be expected, so its time says nothing."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, and the milliseconds until all of it had come."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    wall: float

    def json(self) -> Any:
        """Its payload."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Question:
    """A GET request; `check` raises WrongAnswer. The first answer is checked too, but not counted: it warms caches."""

    name: str
    path: str
    check: Callable[[Answer], None]
    status: int = 200
    repeats: int = 20


@dataclass(frozen=True, slots=True)
class Measurement:
    """Answers that were right: milliseconds of each, CPU seconds of all, MiB of the broker before and at most."""

    operation: str
    walls: Sequence[float]
    cpu: float
    server_cpu: float
    before: int
    peak: int

    def row(self, key: str, store: str, entities: int) -> Row:
        """A row of a report."""
        count = len(self.walls)
        values = {
            "p50": quantile(self.walls, 0.5),
            "p95": quantile(self.walls, 0.95),
            "most": max(self.walls, default=0.0),
            "broker": 1e6 * self.cpu / max(count, 1),
            "store": 1e6 * self.server_cpu / max(count, 1),
            "memory": self.peak,
            "growth": self.peak - self.before,
        }
        if store == "sqlite":
            del values["store"]
        return Row(key, self.operation, store, entities, count, values)


class Asker:
    """A client of one broker."""

    def __init__(self, broker: Broker, server: Meter | None) -> None:
        self.broker = broker
        self._server = server
        self._connection = http.client.HTTPConnection(urlsplit(broker.url).netloc, timeout=WAIT_SECONDS)

    def request(self, method: str, path: str, payload: object = None) -> Answer:
        """One answer, whatever its status."""
        body = None if payload is None else json.dumps(payload)
        start = time.perf_counter()
        self._connection.request(method, ROOT + path, body, {"Content-Type": "application/json"} if body else {})
        response = self._connection.getresponse()
        content = response.read()
        wall = 1000 * (time.perf_counter() - start)
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, content, wall)

    def expect(self, status: int, method: str, path: str, payload: object = None) -> Answer:
        """One answer with this status. Raises WrongAnswer."""
        answer = self.request(method, path, payload)
        if answer.status != status:
            raise WrongAnswer(f"{method} {path}: {answer.status} {answer.body[:300].decode(errors='replace')}")
        return answer

    def ask(self, question: Question) -> Measurement:
        """The same question some times. Raises WrongAnswer."""
        question.check(self.expect(question.status, "GET", question.path))

        def answers() -> Iterable[Answer]:
            for _ in range(question.repeats):
                yield self.expect(question.status, "GET", question.path)

        return self.measure(question.name, answers(), question.check)

    def measure(self, name: str, answers: Iterable[Answer], check: Callable[[Answer], None]) -> Measurement:
        """Answers as they come, each checked when all are there, so that this is charged to nobody. Raises WrongAnswer."""
        meter, server = self.broker.meter, self._server
        meter.peak()
        before, cpu, server_cpu = meter.resident(), meter.cpu(), server.cpu() if server else 0.0
        found = list(answers)
        cpu, server_cpu = meter.cpu() - cpu, server.cpu() - server_cpu if server else 0.0
        peak = max(before, meter.peak())
        for answer in found:
            check(answer)
        return Measurement(name, [answer.wall for answer in found], cpu, server_cpu, before, peak)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def counted(broker: Broker, name: str) -> float:
    """A figure of the broker's `/metrics`, summed over its labels."""
    connection = http.client.HTTPConnection(urlsplit(broker.url).netloc, timeout=30)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    connection.close()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))


def await_history(url: str) -> None:
    """Wait until the broker's history has all that was written: it is a part of what a write costs, and comes a little later."""
    target = f"{url}{ROOT}/temporal/entities?type=Nothing&timerel=before&timeAt=1970-01-01T00:00:00Z"
    deadline = time.monotonic() + HISTORY_SECONDS
    while time.monotonic() < deadline:
        try:
            with urlopen(target) as answer:
                answer.read()
            return
        except HTTPError as error:
            if error.code != 503:
                raise
            time.sleep(0.2)
    raise RuntimeError("the history does not catch up")
