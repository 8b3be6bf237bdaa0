"""What an operation costs: CPU time of broker and store, beside the raw floor of the same run."""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

import typer

from bench.asking import Asker
from bench.audit import quantile
from bench.crowd import Errand, send
from bench.load import counted, write_json
from bench.processes import Broker, Meter, running_broker, store_place
from bench.report import machine
from bench.stock import ENTITIES, OPERATIONS, entity
from tests.mongod import die_with_parent

LOADED_AT_ONCE: Final = 500
SETTLE_SECONDS: Final = 60.0


def main(
    store: Annotated[Literal["sqlite", "mongo"], typer.Option(help="Which store.")] = "sqlite",
    clients: Annotated[int, typer.Option(min=1, help="Clients at once.")] = 32,
    seconds: Annotated[float, typer.Option(help="How long each operation is asked for in a round.")] = 3.0,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; broker and floor take turns.")] = 3,
    cache_gb: Annotated[float, typer.Option(help="Size of MongoDB's cache.")] = 1.0,
    folder: Annotated[
        Path | None, typer.Option(help="Where the store's files go; they are removed at the end.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--json", help="Where to write the figures as JSON.")] = None,
) -> None:
    """CPU time an operation, of broker and store apart, and the ratio to aiohttp with the bare driver call."""
    files = Path(tempfile.mkdtemp(prefix="tsunagu-bench-", dir=folder))
    try:
        found = _measure(store, files, clients, seconds, rounds, cache_gb)
    finally:
        shutil.rmtree(files, ignore_errors=True)
    print(_table(store, clients, found))
    wrong = [f"{name}: {each.wrong:,} answers were wrong" for name, each in found.items() if each.wrong]
    if output is not None:
        figures = {name: asdict(each) | {"walls": []} for name, each in found.items()}
        write_json(output, {"facts": machine(), "operations": figures, "wrong": wrong})
    for each in wrong:
        print(f"\nWRONG: {each}")
    raise typer.Exit(1 if wrong else 0)


@dataclass(slots=True)
class Cost:
    """What answers of one server cost: CPU seconds of it and of its store, milliseconds of waiting."""

    answers: int = 0
    wrong: int = 0
    cpu: float = 0.0
    server_cpu: float = 0.0
    seconds: float = 0.0
    walls: tuple[float, ...] = ()

    @property
    def each(self) -> tuple[float, float]:
        """Microseconds an answer: of the server, of the store."""
        return 1e6 * self.cpu / max(self.answers, 1), 1e6 * self.server_cpu / max(self.answers, 1)


@dataclass(frozen=True, slots=True)
class _Server:
    name: str
    port: int
    meter: Meter
    store: Meter | None


def _measure(kind: str, files: Path, clients: int, seconds: float, rounds: int, cache_gb: float) -> dict[str, Cost]:
    found: dict[str, Cost] = {}
    with (
        store_place(kind, files / "store", cache_gb) as place,
        running_broker(place.store) as broker,
        _running_floor(place.store if place.server else f"sqlite:{files}/floor") as (floor_port, floor_meter),
    ):
        asker = Asker(broker, place.server)
        for first in range(0, ENTITIES, LOADED_AT_ONCE):
            asker.expect(
                201, "POST", "/entityOperations/create", [entity(each) for each in range(first, first + LOADED_AT_ONCE)]
            )
        asker.close()
        port = urlsplit(broker.url).port
        assert port is not None
        servers = (
            _Server("broker", port, broker.meter, place.server),
            _Server("floor", floor_port, floor_meter, place.server),
        )
        numbers = {(operation, server.name): 0 for operation in OPERATIONS for server in servers}
        for operation in OPERATIONS:
            for turn in range(rounds + 1):
                for server in servers:
                    cost = found.setdefault(f"{operation} {server.name}", Cost())
                    number = numbers[operation, server.name]
                    errand = Errand(server.port, operation, number, seconds if turn else min(1.0, seconds), clients)
                    numbers[operation, server.name] = _take(server, errand, cost if turn else Cost())
                if not turn and server.name == "broker":
                    _settle(broker)
        asker = Asker(broker, None)
        count = asker.expect(200, "GET", "/entities?type=Station&limit=0&count=true").headers["ngsild-results-count"]
        if int(count) != ENTITIES + numbers["post", "broker"]:
            found["post broker"].wrong += 1
        asker.close()
    return found


def _settle(broker: Broker) -> None:
    """Wait until indexes that the broker learned of what it was asked are built: from then on it works as it always will."""
    deadline = time.monotonic() + SETTLE_SECONDS
    time.sleep(0.2)
    while counted(broker, 'tsunagu_value_indexes{state="building"}') and time.monotonic() < deadline:
        time.sleep(0.1)


def _take(server: _Server, errand: Errand, cost: Cost) -> int:
    """One turn; the number to go on with."""
    cpu, store = server.meter.cpu(), server.store.cpu() if server.store else 0.0
    result = send(errand)
    cost.cpu += server.meter.cpu() - cpu
    cost.server_cpu += server.store.cpu() - store if server.store else 0.0
    cost.answers += result["answers"]
    cost.wrong += result["answers"] - result["right"]
    cost.seconds += errand.seconds
    cost.walls += tuple(result["walls"])
    return int(result["next"])


@contextmanager
def _running_floor(store: str) -> Iterator[tuple[int, Meter]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.floor", store], stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent
    )
    assert process.stdout is not None
    meter: Meter | None = None
    try:
        port = int(process.stdout.readline())
        meter = Meter(process.pid)
        yield port, meter
    finally:
        if meter is not None:
            meter.close()
        process.kill()
        process.wait()


def _table(store: str, clients: int, found: dict[str, Cost]) -> str:
    mongo = store == "mongo"
    lines = [f"### Operations on {'MongoDB' if mongo else 'SQLite'}", ""]
    lines += [f"* {name}: {value}" for name, value in machine().items()]
    lines.append(
        f"* {clients} clients, {ENTITIES:,} entities of {len(json.dumps(entity(0), separators=(',', ':')))} bytes"
    )
    lines += [
        "",
        "| operation | answers/s | p50 / p99 ms | CPU us: broker + store = sum | at most | floor's sum | ratio |",
    ]
    lines.append("|---|--:|--:|--:|--:|--:|--:|")
    for key, operation in OPERATIONS.items():
        ours, floor = found[f"{key} broker"], found[f"{key} floor"]
        (broker, behind), floor_sum = ours.each, sum(floor.each)
        rate = ours.answers / max(ours.seconds, 0.001)
        walls = f"{quantile(ours.walls, 0.5):.1f} / {quantile(ours.walls, 0.99):.1f}"
        most = operation.most[0 if mongo else 1]
        cost = f"{broker:,.0f} + {behind:,.0f} = {broker + behind:,.0f}"
        ratio = (broker + behind) / max(floor_sum, 1e-9)
        lines.append(
            f"| {operation.name} | {rate:,.0f} | {walls} | {cost} | {most:,} | {floor_sum:,.0f} | {ratio:.2f} |"
        )
    return "\n".join(lines)
