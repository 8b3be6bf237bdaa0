"""How many crossings a day's table holds, worked out from the CSV files alone, without broker, adapter or model.

A crossing: a gauge's reading at or above one of its own thresholds after a reading below it. Missing readings (`*`) count for
nothing, and a gauge that starts the day above a threshold has not crossed it.
"""

import csv
from pathlib import Path

COLUMNS = {
    "standby": "水防団待機水位",
    "caution": "はん濫注意水位",
    "evacuation": "避難判断水位",
    "danger": "はん濫危険水位",
}

Crossing = tuple[str, str, float]
"""Gauge number, threshold, level in metres."""


def crossings(levels: Path, master: Path, names: list[str]) -> list[Crossing]:
    """The crossings of the named thresholds, in the order of time."""
    with master.open(encoding="utf-8-sig", newline="") as file:
        gauges = {row["id"]: row for row in csv.DictReader(file)}
    with levels.open(encoding="utf-8-sig", newline="") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["日時"])
    found: list[Crossing] = []
    for number, gauge in gauges.items():
        for name in names:
            threshold = _metres(gauge[COLUMNS[name]])
            before = None
            for row in rows:
                level = _metres(row["河川水位"]) if row["id"] == number else None
                if threshold is None or level is None:
                    continue
                if before is not None and before < threshold <= level:
                    found.append((number, name, level))
                before = level
    return found


def _metres(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
