"""Several workers on one MongoDB: what a second of all of them brings, and what an operation costs them together."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.cost import Cost, Server, settle, take
from bench.counts import counted_in
from bench.crowd import Errand
from bench.loading import load
from bench.processes import running_broker, store_place
from bench.report import Section
from bench.stock import Stock

OPERATIONS: Final = ("get", "type", "patch")
CLIENTS: Final = 64


def measure(files: Path, numbers: Sequence[int], seconds: float, cache_gb: float) -> list[Section]:
    """The same operations with each number of workers, on the same store."""
    stock = Stock()
    section = Section("Workers on one MongoDB")
    section.facts["clients"] = f"{CLIENTS}, closed, which share the machine's cores with workers and mongod"
    next_ = dict.fromkeys(OPERATIONS, 0)
    with store_place("mongo", files, cache_gb) as place:
        for number in numbers:
            with running_broker(place.store, "--workers", str(number)) as broker:
                if not counted_in(place).entities:
                    load(broker, stock.entity, stock.entities)
                for key in OPERATIONS:
                    cost = Cost(next=next_[key])
                    server = Server.of(broker, place)
                    take(server, Errand(server.port, key, cost.next, 1.0, CLIENTS), warm := Cost())
                    settle(broker)
                    cost.next = next_[key] + warm.next
                    take(server, Errand(server.port, key, cost.next, seconds, CLIENTS), cost, place)
                    next_[key] = cost.next
                    name = f"{stock.operations[key].name}, {number} worker{'s' * (number > 1)}"
                    section.rows.append(cost.row(f"workers {number} {key}", name, "mongo", stock.entities))
                    print(f"{number} workers, {key}: {cost.rate:,.0f}/s, {cost.cpu_us:,.0f} us", file=sys.stderr)
    return [section]
