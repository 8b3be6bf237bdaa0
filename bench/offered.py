"""Operations that are offered at a fixed rate, however the broker bears it: their time counts from when they were due."""

import sys
from collections.abc import Sequence
from typing import Final

from bench.asking import await_history
from bench.cost import Cost
from bench.counts import counted_in
from bench.offering import Offering, Plan
from bench.report import STORES, Section
from bench.stage import Stage

SHARE: Final = 0.5
"""Of the rate of a closed crowd that is offered."""
CONNECTIONS: Final = 1_000


def measure(where: Stage, rates: Sequence[tuple[str, float]], seconds: float, first: int) -> Section:
    """Each operation at half of the rate at which closed clients had their answers."""
    section = Section(f"Offered at half of what closed clients got, {STORES[where.kind]}")
    section.facts["offered"] = f"for {seconds:g} s each, on as many connections as it takes; a wait in a queue counts"
    for key, rate in rates:
        operation = where.stock.operations[key]
        file = where.place.folder.parent / f"offers-{key}"
        plan = Plan(
            city=None,
            port=where.server.port,
            rate=rate * SHARE,
            seconds=seconds,
            first=first,
            file=str(file),
            connections=CONNECTIONS,
            operation=key,
            entities=where.stock.entities,
        )
        before, cpu, store = counted_in(where.place), where.server.meter.cpu(), _store_cpu(where)
        offers = Offering(plan).wait()
        if operation.changes:
            await_history(where.broker.url)
        cost = Cost(
            answers=len(offers),
            right=sum(each.status == operation.status for each in offers),
            cpu=where.server.meter.cpu() - cpu,
            server_cpu=_store_cpu(where) - store,
            seconds=seconds,
            walls=[1000 * (each.answered - each.due) for each in offers],
            memory=where.server.meter.resident(),
            lost=abs(counted_in(where.place).changes - before.changes - operation.changes * len(offers)),
        )
        row = cost.row(f"offered {key}", operation.name, where.kind, where.stock.entities, rate=plan.rate)
        section.rows.append(row)
        print(f"{where.kind}, {key} offered: p99 {row.values['p99']:,.0f} ms", file=sys.stderr)
    return section


def _store_cpu(where: Stage) -> float:
    return where.place.server.cpu() if where.place.server else 0.0
