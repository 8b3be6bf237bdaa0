"""Queries of a hundred thousand or a million entities: whether they cost what they cost in a few, and how fast these come in."""

import http.client
import json
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

import typer

from bench.audit import quantile
from bench.crowd import Errand, send
from bench.expanse import entity, operations
from bench.load import counted, write_json
from bench.processes import Broker, Meter, running_broker, store_place
from bench.report import machine
from bench.stock import ROOT

LOADED_AT_ONCE: Final = 500
LOADING: Final = 4
LEARN_SECONDS: Final = 600.0
MOST_MILLISECONDS: Final = {"equal": 50.0, "town": 80.0}
"""The p95 that a million entities may take, with 16 clients on two cores that have nothing else to do."""
MOST_LAST: Final = 1.2
"""How many times the CPU time of an early page the last one may take."""
PAGES: Final = ("second", "last")
TURNS: Final = 3
"""They take turns, and the best of each counts: one turn alone tells more of what else the machine does."""
LAST_RATIO: Final = "CPU time of the last page, in that of an early one"


def main(
    store: Annotated[Literal["sqlite", "mongo"], typer.Option(help="Which store.")] = "sqlite",
    entities: Annotated[int, typer.Option(min=10_000, help="How many entities.")] = 100_000,
    clients: Annotated[int, typer.Option(min=1, help="Clients at once.")] = 16,
    seconds: Annotated[float, typer.Option(help="How long each query is asked for.")] = 3.0,
    cache_gb: Annotated[float, typer.Option(help="Size of MongoDB's cache.")] = 2.0,
    folder: Annotated[
        Path | None, typer.Option(help="Where the store's files go; they are removed at the end.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--json", help="Where to write the figures as JSON.")] = None,
) -> None:
    """Load entities through the API, let the store learn its indexes, then ask: milliseconds, CPU time, memory."""
    files = Path(tempfile.mkdtemp(prefix="tsunagu-bench-", dir=folder))
    try:
        facts, found = _measure(store, files, entities, clients, seconds, cache_gb)
    finally:
        shutil.rmtree(files, ignore_errors=True)
    print(_table(facts, found, entities))
    wrong = [
        f"{name}: {each.answers - each.right:,} answers were wrong" for name, each in found.items() if not each.good
    ]
    if facts[LAST_RATIO] > MOST_LAST:
        wrong.append(f"the last page costs {facts[LAST_RATIO]} times an early one, {MOST_LAST} is allowed")
    if entities >= 1_000_000:
        wrong += [
            f"{name}: p95 {quantile(found[name].walls, 0.95):.0f} ms, {most:.0f} are allowed"
            for name, most in MOST_MILLISECONDS.items()
            if quantile(found[name].walls, 0.95) > most
        ]
    if output is not None:
        write_json(
            output,
            {"facts": facts, "queries": {k: asdict(v) | {"walls": []} for k, v in found.items()}, "wrong": wrong},
        )
    for each in wrong:
        print(f"\nWRONG: {each}")
    raise typer.Exit(1 if wrong else 0)


@dataclass(slots=True)
class Asked:
    """What one query took: CPU seconds of broker and of the store's server over all answers, milliseconds of each."""

    answers: int
    right: int
    cpu: float
    server_cpu: float
    seconds: float
    walls: tuple[float, ...]

    @property
    def good(self) -> bool:
        """Whether there were answers, and all were right."""
        return self.answers == self.right > 0

    @property
    def cpu_us(self) -> float:
        """Microseconds an answer, of broker and server together."""
        return 1e6 * (self.cpu + self.server_cpu) / max(self.answers, 1)


def _measure(
    kind: str, files: Path, entities: int, clients: int, seconds: float, cache_gb: float
) -> tuple[dict[str, Any], dict[str, Asked]]:
    facts: dict[str, Any] = dict(machine())
    found: dict[str, Asked] = {}
    with store_place(kind, files / "store", cache_gb) as place, running_broker(place.store) as broker:
        start = time.monotonic()
        _load(broker, entities)
        elapsed = time.monotonic() - start
        facts["loaded by POST /entityOperations/create"] = f"{entities / elapsed:,.0f} entities/s"
        print(f"{entities:,} entities loaded in {elapsed:.0f} s", file=sys.stderr)
        facts["index of values in use after"] = f"{_learn(broker, entities):.0f} s"
        port = urlsplit(broker.url).port
        assert port is not None
        for name in operations(entities):
            found[name] = _ask(Errand(port, name, 0, seconds, clients, entities), broker.meter, place.server)
            print(f"{name}: {len(found[name].walls):,} answers", file=sys.stderr)
        turns = [
            {
                name: _ask(Errand(port, name, 0, seconds, clients, entities), broker.meter, place.server)
                for name in PAGES
            }
            for _ in range(TURNS)
        ]
        early, last = (min(turn[name].cpu_us for turn in turns) for name in PAGES)
        facts[LAST_RATIO] = round(last / early, 2)
        facts["memory of the broker now / at most"] = f"{broker.meter.resident()} / {broker.meter.peak()} MiB"
        if place.server is not None:
            facts["memory of mongod now"] = f"{place.server.resident()} MiB"
        facts["on disk"] = f"{place.size():,} MiB"
    return facts, found


def _ask(errand: Errand, meter: Meter, server: Meter | None) -> Asked:
    cpu, server_cpu = meter.cpu(), server.cpu() if server else 0.0
    result = send(errand)
    return Asked(
        result["answers"],
        result["right"],
        meter.cpu() - cpu,
        (server.cpu() - server_cpu) if server else 0.0,
        errand.seconds,
        tuple(result["walls"]),
    )


def _load(broker: Broker, entities: int) -> None:
    def client(first: int) -> None:
        connection = http.client.HTTPConnection(urlsplit(broker.url).netloc, timeout=120)
        for start in range(first * LOADED_AT_ONCE, entities, LOADING * LOADED_AT_ONCE):
            batch = [entity(number, entities) for number in range(start, min(start + LOADED_AT_ONCE, entities))]
            body = json.dumps(batch, separators=(",", ":"))
            connection.request("POST", f"{ROOT}/entityOperations/create", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 201:
                raise RuntimeError(f"{answer.status} instead of 201: {content[:300]!r}")
        connection.close()

    with ThreadPoolExecutor(LOADING) as pool:
        list(pool.map(client, range(LOADING)))


def _learn(broker: Broker, entities: int) -> float:
    """Ask until the store has learned to answer by an index; how many seconds that took."""
    start = time.monotonic()
    connection = http.client.HTTPConnection(urlsplit(broker.url).netloc, timeout=120)
    while time.monotonic() < start + LEARN_SECONDS:
        if counted(broker, 'tsunagu_value_indexes{state="ready"}') >= 1:
            return time.monotonic() - start
        building = counted(broker, 'tsunagu_value_indexes{state="building"}') >= 1
        if not building:
            connection.request("GET", f"{ROOT}/entities?type=Station&limit=100&q=level==1")
            connection.getresponse().read()
        time.sleep(0.2)
    raise RuntimeError(f"no index of values in {LEARN_SECONDS:.0f} s")


def _table(facts: dict[str, Any], found: dict[str, Asked], entities: int) -> str:
    lines = [f"### {entities:,} entities of one type", ""]
    lines += [f"* {name}: {value}" for name, value in facts.items()]
    lines += ["", "| query | answers/s | p50 / p95 ms | CPU us: broker + store |", "|---|--:|--:|--:|"]
    for key, operation in operations(entities).items():
        each = found[key]
        walls = f"{quantile(each.walls, 0.5):.1f} / {quantile(each.walls, 0.95):.1f}"
        cpu = [1e6 * seconds / max(each.answers, 1) for seconds in (each.cpu, each.server_cpu)]
        lines.append(
            f"| {operation.name} | {each.answers / each.seconds:,.0f} | {walls} | {cpu[0]:,.0f} + {cpu[1]:,.0f} |"
        )
    return "\n".join(lines)
