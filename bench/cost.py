"""What answers cost: a crowd of clients at one server, and the CPU time of that and of its store meanwhile."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, cast
from urllib.parse import urlsplit

from bench.asking import await_history, counted
from bench.counts import counted_in
from bench.crowd import Errand
from bench.processes import Broker, Meter, Place
from bench.report import Row, quantile
from bench.stock import Stock
from tests.mongod import die_with_parent

SETTLE_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Server:
    """What is asked, and what it rests on (None: an embedded store)."""

    port: int
    meter: Meter
    store: Meter | None

    @classmethod
    def of(cls, broker: Broker, place: Place) -> "Server":
        """A broker on a store."""
        port = urlsplit(broker.url).port
        assert port is not None
        return cls(port, broker.meter, place.server)


@dataclass(slots=True)
class Cost:
    """What the answers of one server cost so far: CPU seconds of it and of its store, milliseconds of waiting."""

    answers: int = 0
    right: int = 0
    cpu: float = 0.0
    server_cpu: float = 0.0
    seconds: float = 0.0
    walls: list[float] = field(default_factory=list)
    memory: int = 0
    next: int = 0
    """The number of the next request."""
    lost: int = 0
    """Acknowledged writes that the store's own count does not show."""

    @property
    def cpu_us(self) -> float:
        """CPU microseconds an answer, of server and store together."""
        return 1e6 * (self.cpu + self.server_cpu) / max(self.answers, 1)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answers / max(self.seconds, 1e-9)

    def warmed(self, first: "Cost") -> None:
        """A first round, which does not count but for what was wrong in it, has been; the next one goes on behind it."""
        self.next, self.lost, self.right = first.next, first.lost, first.right - first.answers

    def values(self) -> dict[str, float]:
        """The figures of a row."""
        broker, store = (1e6 * each / max(self.answers, 1) for each in (self.cpu, self.server_cpu))
        return {
            "rate": self.rate,
            "p50": quantile(self.walls, 0.5),
            "p95": quantile(self.walls, 0.95),
            "p99": quantile(self.walls, 0.99),
            "broker": broker,
            **({"store": store, "cpu": broker + store} if self.server_cpu else {"cpu": broker}),
            "memory": self.memory,
        }

    def faults(self) -> list[str]:
        """What was wrong."""
        wrong = [f"{self.answers - self.right:,} of {self.answers:,} answers"] if self.answers != self.right else []
        if self.lost:
            wrong.append(f"the store's own count is off by {self.lost:,} from what was acknowledged")
        return wrong if self.answers else ["no answers"]

    def row(self, key: str, name: str, store: str, entities: int, **values: float) -> Row:
        """A row of a report."""
        return Row(key, name, store, entities, self.answers, self.values() | values, self.faults())


def send(errand: Errand, mark: Callable[[], None]) -> dict[str, Any]:
    """What a crowd found: `answers`, how many of them were `right`, `next` number, `seconds`, and `walls`, milliseconds each.

    `mark` is called when the first request is about to go out, and when the last answer has come: what happens before and after
    is not the operation's. A connection that ends in the middle counts as an answer that is wrong.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "bench.crowd"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        preexec_fn=die_with_parent,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(asdict(errand)).encode())
        process.stdin.close()
        for line in (b"begin\n", b"end\n"):
            if process.stdout.readline() != line:
                raise RuntimeError("the crowd of clients has failed")
            mark()
        return cast(dict[str, Any], json.loads(process.stdout.read()))


def take(server: Server, errand: Errand, cost: Cost, place: Place | None = None) -> None:
    """One turn of a crowd at a server, added to what it cost so far.

    With `place`, what it wrote is looked for in the store, and costs until it is in the history as well.
    """
    before = counted_in(place) if place else None
    operation = Stock(errand.entities).operations[errand.operation]
    marks: list[tuple[float, float]] = []

    def mark() -> None:
        if marks and place is not None and operation.changes:
            await_history(f"http://127.0.0.1:{server.port}")
        marks.append((server.meter.cpu(), server.store.cpu() if server.store else 0.0))

    result = send(errand, mark)
    begin, end = marks
    cost.cpu += end[0] - begin[0]
    cost.server_cpu += end[1] - begin[1]
    cost.answers += result["answers"]
    cost.right += result["right"]
    cost.seconds += result["seconds"]
    cost.walls += result["walls"]
    cost.next = result["next"]
    cost.memory = max(cost.memory, server.meter.resident())
    if place is not None and before is not None:
        after = counted_in(place)
        changes = result["right"] * operation.changes
        created = result["right"] * operation.creates
        cost.lost += abs(after.changes - before.changes - changes) + abs(after.entities - before.entities - created)


def in_turns(
    servers: Mapping[str, Server],
    operation: str,
    seconds: float,
    rounds: int,
    clients: int,
    place: Place,
    broker: Broker,
    entities: int,
) -> dict[str, Cost]:
    """The same operation at several servers, one after the other and again: the busy machine falls on all alike.

    A first round warms what is cold and is not counted. What the one named `broker` writes is looked for in the store.
    """
    found = {name: Cost() for name in servers}
    for turn in range(rounds + 1):
        for name, server in servers.items():
            errand = Errand(
                server.port, operation, found[name].next, seconds if turn else min(1.0, seconds), clients, entities
            )
            cost = found[name] if turn else Cost()
            take(server, errand, cost, place if name == "broker" else None)
            if not turn:
                found[name].warmed(cost)
                if name == "broker":
                    settle(broker)
    return found


def settle(broker: Broker) -> None:
    """Wait until indexes that the broker learned of what it was asked are built: from then on it works as it always will."""
    deadline = time.monotonic() + SETTLE_SECONDS
    time.sleep(0.2)
    while counted(broker, 'tsunagu_value_indexes{state="building"}') and time.monotonic() < deadline:
        time.sleep(0.1)
