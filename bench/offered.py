"""Operations that are offered at a fixed rate, however the broker bears it: their time counts from when they were due."""

import sys
from collections.abc import Sequence
from typing import Final

from bench.asking import await_history
from bench.counts import counted_in
from bench.offering import Offering, Plan
from bench.report import STORES, Row, Section, quantile
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
        before, cpu = counted_in(where.place), where.broker.meter.cpu()
        store = where.place.server.cpu() if where.place.server else 0.0
        offers = Offering(plan).wait()
        if operation.changes:
            await_history(where.broker.url)
        cpu = 1e6 * (where.broker.meter.cpu() - cpu) / max(len(offers), 1)
        store = 1e6 * (where.place.server.cpu() - store) / max(len(offers), 1) if where.place.server else 0.0
        lost = counted_in(where.place).changes - before.changes - operation.changes * len(offers)
        wrong = sum(each.status != operation.status for each in offers)
        walls = [1000 * (each.answered - each.due) for each in offers]
        values = {"rate": plan.rate, "broker": cpu, "cpu": cpu + store, "memory": where.broker.meter.resident()}
        values |= {name: quantile(walls, share) for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))}
        if where.place.server:
            values["store"] = store
        faults = [f"{wrong:,} of {len(offers):,} answers"] if wrong else []
        faults += [f"the store's own count is off by {abs(lost):,}"] if lost else []
        section.rows.append(
            Row(f"offered {key}", operation.name, where.kind, where.stock.entities, len(offers), values, faults)
        )
        print(f"{where.kind}, {key} offered: p99 {values['p99']:,.0f} ms", file=sys.stderr)
    return section
