"""Long pages: what a broker has in memory while it answers with a thousand entities, to one client and to sixteen."""

from bench.cost import Cost, take
from bench.crowd import Errand
from bench.report import STORES, Section
from bench.stage import Stage


def measure(where: Stage, seconds: float) -> Section:
    """The same page for one client, then for many."""
    meter, stock = where.broker.meter, where.stock
    section = Section(f"Pages of 1,000 entities, {STORES[where.kind]}")
    for clients in (1, 16):
        meter.peak()
        before, cost = meter.resident(), Cost()
        take(where.server, Errand(where.server.port, "long page", 0, seconds, clients, stock.entities), cost)
        peak = max(before, meter.peak())
        name = f"{stock.operations['long page'].name}, {clients} client{'s' * (clients > 1)}"
        row = cost.row("long page", name, where.kind, stock.entities, growth=peak - before)
        section.rows.append(row)
    return section
