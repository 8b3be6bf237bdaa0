"""From change to receiver: how long a notification takes at half of what the broker sustains, and beside receivers that fail.

Windows with one receiver that is ill and windows without take turns in one run, so that whatever else the machine does falls
on both alike. Where nobody is ill, the subscriptions to that receiver are paused: it is not there.
"""

import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Final, Literal

import typer

from bench.asking import Asker
from bench.city import City
from bench.load import Load, loaded
from bench.report import machine, quantile, write_json

ILL: Final = 7
"""The host that falls ill."""


class Illness(StrEnum):
    """What may befall a receiver."""

    HANG = "hang"
    DRIP = "drip"
    FAIL = "fail"


ILLNESSES: Final = {
    Illness.HANG: "hangs",
    Illness.DRIP: "drips a byte a second",
    Illness.FAIL: "answers 500",
}
EVERY: Final = list(Illness)
STEP_SECONDS: Final = 6.0
PATIENCE: Final = 2_000
"""Milliseconds that the broker waits for a receiver: few, so that one that hangs is tried often."""
BAR_MS: Final = 100.0
RATIO: Final = 1.2


def main(
    store: Annotated[Literal["sqlite", "mongo"], typer.Option(help="Which store.")] = "sqlite",
    subscriptions: Annotated[int, typer.Option(min=100, help="How many subscriptions.")] = 10_000,
    stations: Annotated[int, typer.Option(min=100, help="How many entities.")] = 10_000,
    rate: Annotated[float, typer.Option(help="Writes a second that the broker sustains; 0 finds out.")] = 0.0,
    window: Annotated[float, typer.Option(help="Seconds of one window.")] = 6.0,
    rounds: Annotated[int, typer.Option(min=1, help="How often each illness has its window.")] = 6,
    illness: Annotated[list[Illness], typer.Option(help="What befalls one of the receivers.")] = EVERY,
    cache_gb: Annotated[float, typer.Option(help="Size of MongoDB's cache.")] = 1.0,
    folder: Annotated[
        Path | None, typer.Option(help="Where the store's files go; they are removed at the end.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--json", help="Where to write the figures as JSON.")] = None,
) -> None:
    """Change to receiver at half of the sustained load, with and without a receiver that is ill."""
    files = Path(tempfile.mkdtemp(prefix="tsunagu-bench-", dir=folder))
    try:
        with loaded(
            store, files, City(stations=stations, subscriptions=subscriptions, patience=PATIENCE), cache_gb
        ) as load:
            sustained = rate or load.sustained(STEP_SECONDS)
            findings = measure(load, sustained, window, rounds, illness)
    finally:
        shutil.rmtree(files, ignore_errors=True)
    print(findings.table(f"Change to receiver on {'SQLite' if store == 'sqlite' else 'MongoDB'}"))
    if output is not None:
        write_json(output, findings.content())
    for fault in findings.wrong:
        print(f"\nWRONG: {fault}")
    raise typer.Exit(1 if findings.wrong else 0)


@dataclass(slots=True)
class Windows:
    """All windows of one kind: the delays of notifications to hosts that are well, in seconds, and what they cost."""

    name: str
    delays: list[float] = field(default_factory=list)
    p99s: list[float] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    """Of each window's p99 to that of the window without before it."""
    writes: int = 0
    cpu: float = 0.0

    @property
    def ratio(self) -> float:
        """The median: what else the machine does for a moment falls on one window of a pair only."""
        return median(self.ratios) if self.ratios else 1.0

    def row(self) -> str:
        """A line of the table."""
        quantiles = " | ".join(f"{1000 * quantile(self.delays, share):.0f}" for share in (0.5, 0.95, 0.99, 1.0))
        p99 = 1000 * median(self.p99s)
        ratio = f"{self.ratio:.2f}" if self.ratios else ""
        return (
            f"| {self.name} | {self.writes:,} | {len(self.delays):,} | {quantiles} | {p99:.0f} | {ratio} |"
            f" {1e6 * self.cpu / max(self.writes, 1):.0f} |"
        )


@dataclass(slots=True)
class Findings:
    """What was found. `bars` are the ones that were met and missed: figures, not faults."""

    facts: dict[str, str]
    windows: list[Windows]
    wrong: list[str]

    def table(self, title: str) -> str:
        """For people, in Markdown."""
        lines = [f"### {title}", ""]
        lines += [f"* {name}: {value}" for name, value in (machine() | self.facts).items()]
        lines += ["", "| one of the hosts | writes | notifications to others | p50 ms | p95 | p99 | most |"]
        lines[-1] += " p99 of the middle window | to that without | broker CPU us a write |"
        lines.append("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
        return "\n".join(lines + [each.row() for each in self.windows])

    def content(self) -> dict[str, Any]:
        """For programs."""
        return {
            "facts": machine() | self.facts,
            "windows": [
                {
                    "name": each.name,
                    "writes": each.writes,
                    "notifications": len(each.delays),
                    "p50": quantile(each.delays, 0.5),
                    "p95": quantile(each.delays, 0.95),
                    "p99": quantile(each.delays, 0.99),
                    "p99s": each.p99s,
                    "ratios": each.ratios,
                }
                for each in self.windows
            ],
            "wrong": self.wrong,
        }


def measure(load: Load, sustained: float, window: float, rounds: int, illnesses: Sequence[Illness]) -> Findings:
    """All windows in turn."""
    without = Windows("is not there")
    ill = {mood: Windows(ILLNESSES[mood]) for mood in illnesses}
    load.books.excuse(set(_of_the_ill(load.city)))
    _pause(load, True)
    load.step(sustained / 2, min(window, STEP_SECONDS))  # warms what is cold
    for _ in range(rounds):
        for mood, windows in ill.items():
            _take(load, without, sustained / 2, window)
            load.receiver.put(ILL, mood)
            _pause(load, False)
            _take(load, windows, sustained / 2, window)
            windows.ratios.append(windows.p99s[-1] / max(without.p99s[-1], 1e-9))
            _pause(load, True)
            load.receiver.put(ILL, "well")
    wrong = load.books.faults()
    p99 = 1000 * median(without.p99s)
    ratios = {windows.name: windows.ratio for windows in ill.values()}
    facts = {
        "subscriptions": f"{load.city.subscriptions:,}, to {load.city.hosts} hosts",
        "load": f"{sustained / 2:,.0f} writes/s, half of the {sustained:,.0f} sustained",
        "order": f"{rounds} rounds of windows of {window:.0f} s, one without before each with",
        f"p99 at or under {BAR_MS:.0f} ms": f"{p99:.0f} ms: {'met' if p99 <= BAR_MS else 'missed'}",
        f"others' p99 within {RATIO} times": ", ".join(
            f"{name}: {ratio:.2f}, {'met' if ratio <= RATIO else 'missed'}" for name, ratio in ratios.items()
        ),
    }
    return Findings(facts, [without, *ill.values()], wrong)


def _take(load: Load, windows: Windows, rate: float, seconds: float) -> None:
    """One window."""
    first, cpu = load.serial, load.broker.meter.cpu()
    offered = load.offer(rate, seconds).wait()
    cpu = load.broker.meter.cpu() - cpu
    load.books.enter(offered)
    load.books.settle(load.receiver, 60.0)
    delays = load.books.delays(first, load.serial)
    windows.delays += delays
    windows.p99s.append(quantile(delays, 0.99))
    windows.writes += len(offered)
    windows.cpu += cpu
    print(f"{windows.name}: p99 {1000 * windows.p99s[-1]:.0f} ms", file=sys.stderr)


def _pause(load: Load, paused: bool) -> None:
    """Pause the subscriptions of the host that falls ill, or let them go on."""
    asker = Asker(load.broker, None)
    for number in _of_the_ill(load.city):
        asker.expect(204, "PATCH", f"/subscriptions/{load.city.subscription_id(number)}", {"isActive": not paused})
    asker.close()
    time.sleep(0.5)


def _of_the_ill(city: City) -> list[int]:
    return [number for number in range(city.subscriptions) if city.host_of(number) == ILL]
