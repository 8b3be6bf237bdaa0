"""What has to come out, worked out from the files alone with nothing but the standard library: rows, and crossings of thresholds.

Nobody here looks at what the adapters say, and they do not look here.
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path

CAUTION = "はん濫注意水位"


def rows_in(path: Path) -> int | None:
    """The rows of a table without its header, or the members of a JSON object; None for a workbook."""
    if path.suffix == ".json":
        return len(json.loads(path.read_text("utf-8")))
    if path.suffix != ".csv":
        return None
    rows = [row for row in csv.reader(io.StringIO(_text(path.read_bytes()), newline="")) if any(map(str.strip, row))]
    marked = [place for place, row in enumerate(rows) if row[0].startswith("#property")]
    header = marked[0] if marked else 0
    return sum(not (marked and row[0].startswith("#")) for row in rows[header + 1 :])


def reached_in(day: Path, master: Path, hold: int) -> int:
    """How often gauges reach their caution level in a day's table; one that begins above it reaches it with its first reading.

    Raises KeyError for a column that is not there.
    """
    thresholds = {row["id"]: _number(row[CAUTION]) for row in _table(master)}
    rows = sorted(_table(day), key=lambda row: row["日時"])
    levels: dict[str, list[float]] = {}
    for row in rows:
        if (level := _number(row["河川水位"])) is not None:
            levels.setdefault(row["id"], []).append(level)
    found = 0
    for number, readings in levels.items():
        if (threshold := thresholds.get(number)) is not None:
            states = [False, *reached(readings, threshold, hold)]
            found += sum(now and not before for before, now in pairwise(states))
    return found


def alerts_of(levels: Iterable[float], thresholds: Mapping[str, float], hold: int) -> int:
    """How often a gauge's status becomes another one that is caution or more."""
    levels = list(levels)
    ranks = {"standby": 1, "caution": 2, "evacuation": 3, "danger": 4}
    by_rank = {ranks[name]: reached(levels, value, hold) for name, value in thresholds.items()}
    statuses = [0] + [
        max((rank for rank, states in by_rank.items() if states[place]), default=0) for place in range(len(levels))
    ]
    return sum(now != before and now >= 2 for before, now in pairwise(statuses))


def reached(levels: Iterable[float], threshold: float, hold: int) -> list[bool]:
    """For each level, whether the threshold counts as reached: at once, and no longer after `hold` levels below it."""
    states, now, below = [], False, 0
    for level in levels:
        below = 0 if level >= threshold else below + 1
        now = below == 0 or (now and below < hold)
        states.append(now)
    return states


def _table(path: Path) -> "csv.DictReader[str]":
    return csv.DictReader(io.StringIO(_text(path.read_bytes()), newline=""))


def _text(data: bytes) -> str:
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            return data.decode(encoding)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp932")


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
