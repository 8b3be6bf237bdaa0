"""What came out: the runs, the quarantine, the entities and the alerts, as tables, and what does not add up."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from adapters.quarantine import REFUSED

_QUARANTINE_SHOWN = 30
_COUNTS = ("read", "accepted", "repaired", "quarantined", "created", "updated")


@dataclass(frozen=True)
class RunOf:
    """What became of one input, or of the messages of a feed, as its AdapterRun says; `counted` is how many rows others count."""

    feed: str
    source: str
    status: str
    read: int
    accepted: int
    repaired: int
    quarantined: int
    created: int
    updated: int
    refused: int
    failure: str = ""
    counted: int | None = None


@dataclass
class Summary:
    """All of it. `alerts` has expected and seen by subscription, `mended` cells by rule."""

    runs: list[RunOf] = field(default_factory=list)
    quarantine: list[dict[str, Any]] = field(default_factory=list)
    mended: Counter[str] = field(default_factory=Counter)
    entities: dict[str, int] = field(default_factory=dict)
    alerts: dict[str, tuple[int, int]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def faults(self) -> Iterator[str]:
        """What is wrong, a sentence each."""
        yield from self.missing
        for run in self.runs:
            where = f"{run.feed}, {run.source}"
            if run.status == "failed" or run.failure:
                yield f"{where}: {run.failure or run.status}"
            if run.read != run.accepted + run.repaired + run.quarantined:
                yield f"{where}: {run.read} rows read are not the sum of what became of them."
            if run.counted is not None and run.counted != run.read:
                yield f"{where}: it has {run.counted} rows, and {run.read} were read."
            if run.refused:
                yield f"{where}: the broker refused {run.refused} entities."
        held = sum(each["rule"] != REFUSED for each in self.quarantine)  # what is refused is there once for an entity
        told = sum(run.quarantined for run in self.runs)
        if held != told:
            yield f"{told} records were quarantined, and {held} are in the quarantine."
        there, made = sum(self.entities.values()), sum(run.created for run in self.runs)
        if there != made:
            yield f"{made} entities were created, and the broker has {there}."
        for name, (expected, seen) in self.alerts.items():
            if expected != seen:
                yield f"{name}: {expected} alerts expected, {seen} seen."


def show(summary: Summary, console: Console) -> None:
    """Print the tables."""
    table = _table(
        "What came in", ("feed", "source"), ("rows", "accepted", "repaired", "quarantined", "created", "updated")
    )
    for run in summary.runs:
        counts = (run.read, run.accepted, run.repaired, run.quarantined, run.created, run.updated)
        table.add_row(run.feed, run.source, *map(str, counts))
    total = [sum(getattr(run, name) for run in summary.runs) for name in _COUNTS]
    table.add_section()
    table.add_row("", "all", *map(str, total))
    console.print(table)
    if summary.mended:
        table = _table("Repairs of open data", ("rule",), ("cells",))
        for rule, count in summary.mended.most_common():
            table.add_row(rule, str(count))
        console.print(table)
    if summary.quarantine:
        table = _table("Quarantine", ("no", "feed", "source", "row", "rule", "why"), ())
        for held in summary.quarantine[:_QUARANTINE_SHOWN]:
            table.add_row(
                str(held["id"]), held["feed"], _short(held["address"]), str(held["row"]), held["rule"], held["reason"]
            )
        if (more := len(summary.quarantine) - _QUARANTINE_SHOWN) > 0:
            table.add_row("", "", f"and {more} more", "", "", "")
        console.print(table)
    table = _table("Entities, each held against its model", ("type",), ("entities",))
    for kind, count in sorted(summary.entities.items()):
        table.add_row(kind, str(count))
    table.add_section()
    table.add_row("all", str(sum(summary.entities.values())))
    console.print(table)
    table = _table("Alerts", ("subscription",), ("expected", "notified"))
    for name, (expected, seen) in summary.alerts.items():
        table.add_row(name, str(expected), str(seen))
    console.print(table)


def _short(address: str) -> str:
    """A file or a resource without its folder, a topic from its device on."""
    _, device, event = address.partition("/device/")
    return event if device else address.rpartition("/")[2]


def _table(title: str, texts: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for name in texts:
        table.add_column(name, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right")
    return table
