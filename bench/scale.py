"""Queries of a hundred thousand or a million entities: whether they cost what they cost in a few, and how fast these come in."""

import sys
import time
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from bench.asking import Asker, counted
from bench.cost import Cost, settle, take
from bench.crowd import Errand
from bench.processes import Broker
from bench.report import STORES, Report, Row, Section
from bench.stage import Stage, scratch, stage

ASKED: Final = (
    "type", "second", "last", "q", "range", "both", "town", "count", "count equal", "order", "get", "patch",
)  # fmt: skip
LEARN_SECONDS: Final = 600.0
PAGES: Final = ("second", "last")
TURNS: Final = 3
"""They take turns, and the best of each counts: one turn alone tells more of what else the machine does."""


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
    with scratch(folder) as files, stage(store, files, entities, cache_gb) as where:
        section = measure(where, clients, seconds)
    Report("Many entities", [section]).tell(output)


def measure(where: Stage, clients: int, seconds: float) -> Section:
    """Each query for so many seconds, once the store has learned what leads to it."""
    stock, kind = where.stock, where.kind
    section = Section(f"{stock.entities:,} entities of one type, {STORES[kind]}")
    section.facts["clients"] = f"{clients}, closed"
    section.rows.append(
        Row("load", "POST /entityOperations/create", kind, stock.entities, stock.entities, {"rate": where.rate})
    )
    section.facts["index of values in use after"] = f"{_learn(where.broker):.0f} s"

    def ask(key: str, cost: Cost) -> Cost:
        errand = Errand(where.server.port, key, cost.next, seconds, clients, stock.entities)
        take(where.server, errand, cost, where.place if stock.operations[key].changes else None)
        return cost

    found = {key: Cost() for key in ASKED}
    for key in ASKED:
        ask(key, found[key])
        print(f"{kind}, {stock.entities:,} entities, {key}: {found[key].cpu_us:,.0f} us", file=sys.stderr)
    turns = [{key: ask(key, Cost()) for key in PAGES} for _ in range(TURNS)]
    early, last = (min(turn[key].cpu_us for turn in turns) for key in PAGES)
    for key, cost in found.items():
        values = {"times": last / max(early, 1e-9)} if key == "last" else {}
        if any(turn[key].faults() for turn in turns if key in turn):
            cost.right -= 1
        section.rows.append(cost.row(f"large {key}", stock.operations[key].name, kind, stock.entities, **values))
    section.facts["memory of the broker at most"] = f"{where.broker.meter.peak()} MiB"
    if where.place.server is not None:
        section.facts["memory of mongod now"] = f"{where.place.server.resident():,} MiB"
    section.facts["on disk"] = f"{where.place.size():,} MiB"
    return section


def _learn(broker: Broker) -> float:
    """Ask until the store has learned to answer by an index; how many seconds that took."""
    start = time.monotonic()
    asker = Asker(broker, None)
    while time.monotonic() < start + LEARN_SECONDS:
        if counted(broker, 'tsunagu_value_indexes{state="ready"}') >= 1:
            settle(broker)
            asker.close()
            return time.monotonic() - start
        if not counted(broker, 'tsunagu_value_indexes{state="building"}'):
            asker.request("GET", "/entities?type=Station&limit=100&q=level==1")
        time.sleep(0.2)
    raise RuntimeError(f"no index of values in {LEARN_SECONDS:.0f} s")
