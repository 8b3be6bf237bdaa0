"""Updates that somebody is notified of: a subscription for each entity, and ten thousand of all sorts (5.8.6)."""

from pathlib import Path
from typing import Final

from bench.city import City
from bench.load import Load, loaded
from bench.report import STORES, Row, Section, quantile

STEP_SECONDS: Final = 6.0


def measure(kind: str, files: Path, city: City, rate: float, seconds: float, cache_gb: float) -> list[Section]:
    """Updates offered at a rate, or (0) at half of what is found to be sustained; every notification is looked for."""
    sort = "one for each entity" if city.followed else "of all sorts"
    section = Section(f"{city.subscriptions:,} subscriptions, {sort}, {STORES[kind]}")
    with loaded(kind, files, city, cache_gb) as load:
        if not rate:
            sustained = load.sustained(STEP_SECONDS)
            section.facts["sustained"] = f"{sustained:,.0f} updates a second"
            rate = sustained / 2
        section.facts["offered"] = f"{rate:,.0f} updates a second for {seconds:g} s"
        section.rows.append(_step(kind, load, rate, seconds, section))
    return [section]


def _step(kind: str, load: Load, rate: float, seconds: float, section: Section) -> Row:
    load.step(rate, min(seconds, 2.0))  # warms what is cold
    step = load.step(rate, seconds)
    writes = max(step.acknowledged, 1)
    values = {"rate": step.acknowledged / seconds, "broker": 1e6 * step.cpu / writes}
    if load.place.server is not None:
        values["store"] = 1e6 * step.server_cpu / writes
    values["cpu"] = sum(values[each] for each in ("broker", "store") if each in values)
    delays = [1000 * each for each in step.delays]
    values |= {name: quantile(delays, share) for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))}
    values["memory"] = load.broker.meter.resident()
    refused = len(step.offered) - step.acknowledged
    wrong = [f"{refused:,} of {len(step.offered):,} updates were not acknowledged"] if refused else []
    wrong += load.books.faults()
    section.facts["notifications"] = f"{len(step.delays):,}, each owed one once and in order; milliseconds are theirs"
    name = f"update with {len(step.delays) / writes:.1f} notifications"
    key = "each" if load.city.followed else "notified"
    return Row(key, name, kind, load.city.stations, step.acknowledged, values, wrong)
