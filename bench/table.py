"""The import of a table: what a row costs the runner of adapters and the broker, new, unchanged, and changed."""

from pathlib import Path

from bench.adapters import import_figures
from bench.processes import running_broker, store_place
from bench.report import STORES, Row, Section


def measure(kind: str, files: Path, rows: int) -> list[Section]:
    """One import of each sort. Raises RuntimeError where not all rows arrive."""
    with store_place(kind, files / "store", 1.0) as place, running_broker(place.store) as broker:
        found = import_figures(broker, files, rows)
        memory = broker.meter.resident()
    section = Section(f"Import of {rows:,} rows of a table, {STORES[kind]}")
    section.facts["CPU"] = "of the broker, and in the sum that of the runner too"
    for sort in ("new", "unchanged", "one column changed"):
        broker_us, runner_us = (found[f"import, {sort}: {who} CPU us/row"] for who in ("broker", "runner"))
        values = {
            "rate": found[f"import, {sort}: rows/s"],
            "broker": broker_us,
            "cpu": broker_us + runner_us,
            "memory": memory,
        }
        section.rows.append(Row(f"import {sort}", f"a row, {sort}", kind, rows, rows, values))
    return [section]
