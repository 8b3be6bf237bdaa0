"""Overload: writes are offered faster than the broker can bear for a while. It may refuse some, and deliver late; lose, never."""

import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from bench.asking import counted
from bench.city import City
from bench.load import Load, loaded
from bench.report import machine, quantile, write_json

SAMPLE_SECONDS: Final = 0.25
MEMORY_LIMIT: Final = 512
"""MiB that the broker may have in memory."""
DRAIN_SECONDS: Final = 900.0
STEP_SECONDS: Final = 6.0


def main(
    store: Annotated[Literal["sqlite", "mongo"], typer.Option(help="Which store.")] = "sqlite",
    subscriptions: Annotated[int, typer.Option(min=100, help="How many subscriptions.")] = 10_000,
    stations: Annotated[int, typer.Option(min=100, help="How many entities.")] = 10_000,
    times: Annotated[float, typer.Option(help="How many times what the broker sustains is offered.")] = 2.5,
    seconds: Annotated[float, typer.Option(help="For how long.")] = 60.0,
    rate: Annotated[float, typer.Option(help="Writes a second that it sustains; 0 finds out.")] = 0.0,
    cache_gb: Annotated[float, typer.Option(help="Size of MongoDB's cache.")] = 1.0,
    folder: Annotated[
        Path | None, typer.Option(help="Where the store's files go; they are removed at the end.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Where to draw the course of it (.svg or .png).")] = None,
    output: Annotated[Path | None, typer.Option("--json", help="Where to write the figures as JSON.")] = None,
) -> None:
    """Offer 2.5 times what the broker sustains, and hold what arrives against what was acknowledged."""
    files = Path(tempfile.mkdtemp(prefix="tsunagu-bench-", dir=folder))
    city = City(stations=stations, subscriptions=subscriptions)
    try:
        with loaded(store, files, city, cache_gb) as load:
            sustained = rate or load.sustained(STEP_SECONDS)
            course = overload(load, sustained, times, seconds)
    finally:
        shutil.rmtree(files, ignore_errors=True)
    print(course.table(f"Overload on {'SQLite' if store == 'sqlite' else 'MongoDB'}"))
    if output is not None:
        write_json(output, course.content())
    if plot is not None:
        from bench.plot import draw_overload  # a library that is only there where it is wanted

        draw_overload(course, plot)
    faults = course.faults()
    for fault in faults:
        print(f"\nWRONG: {fault}")
    raise typer.Exit(1 if faults else 0)


@dataclass(frozen=True, slots=True)
class Sample:
    """The process at a moment of the monotonic clock: MiB in memory, and CPU seconds so far."""

    at: float
    memory: int
    cpu: float


@dataclass(slots=True)
class Course:
    """All that happened. Times are seconds since the first write was due."""

    facts: dict[str, Any]
    wrong: list[str]
    end: float
    """When no more writes were offered."""
    drained: float
    """When nothing was owed any more."""
    samples: list[Sample]
    lags: list[tuple[float, float]]
    """When a notification arrived, and how long after its write was acknowledged."""
    offered: list[float]
    acknowledged: list[float]
    shed: list[float]
    waits: list[float] = field(default_factory=list)
    """Seconds from when each acknowledged write was due to its acknowledgement."""

    def faults(self) -> list[str]:
        """What must not be, in words."""
        return self.wrong

    def lag_by_second(self) -> Iterator[tuple[int, float, float, float]]:
        """For each second in which notifications arrived: p50, p99 and most of their lags."""
        by_second: dict[int, list[float]] = {}
        for at, lag in self.lags:
            by_second.setdefault(int(at), []).append(lag)
        for second, lags in sorted(by_second.items()):
            yield second, quantile(lags, 0.5), quantile(lags, 0.99), max(lags)

    def table(self, title: str) -> str:
        """For people, in Markdown."""
        lines = [f"### {title}", "", "| | |", "|---|--:|"]
        lines += [f"| {name} | {value} |" for name, value in (machine() | self.facts).items()]
        return "\n".join(lines)

    def content(self) -> dict[str, Any]:
        """For programs."""
        return {
            "facts": machine() | self.facts,
            "wrong": self.wrong,
            "lag": list(self.lag_by_second()),
            "memory": [(round(each.at, 2), each.memory) for each in self.samples],
        }


def overload(load: Load, sustained: float, times: float, seconds: float) -> Course:
    """Offer too much, then nothing, until all is delivered."""
    books, meter = load.books, load.broker.meter
    meter.peak()
    refused = counted(load.broker, "tsunagu_requests_shed_total")
    first, already = load.serial, len(books.arrived)
    statuses = books.statuses.copy()
    with sampling(load) as samples:
        offered = load.offer(sustained * times, seconds).wait()
        start = min(offer.due for offer in offered)
        books.enter(offered)
        settled = books.settle(load.receiver, DRAIN_SECONDS)
        drained = max(books.arrived.values(), default=start) - start
        time.sleep(2 * SAMPLE_SECONDS)
    refused = counted(load.broker, "tsunagu_requests_shed_total") - refused
    wrong = books.faults()
    peak = meter.peak()
    if peak > MEMORY_LIMIT:
        wrong.append(f"{peak} MiB were in memory")
    acknowledged = [offer for offer in offered if 200 <= offer.status < 300]
    lags = [
        (at - start, max(at - books.offers[serial].answered, 0.0))
        for (_, serial), at in books.arrived.items()
        if serial >= first
    ]
    waits = [offer.answered - offer.due for offer in acknowledged]
    seen = books.statuses - statuses
    last = max(offer.answered for offer in offered) - start
    facts = {
        "subscriptions": f"{load.city.subscriptions:,}, to {load.city.hosts} hosts",
        "sustained": f"{sustained:,.0f} writes/s",
        "offered": f"{sustained * times:,.0f} writes/s for {seconds:.0f} s: {len(offered):,}",
        "acknowledged": f"{len(acknowledged):,}, {len(acknowledged) / max(last, 0.001):,.0f}/s",
        "refused by 503": f"{seen[503]:,} (the broker counted {refused:,.0f})",
        "not answered, not sent": f"{seen[0]:,}, {seen[-1]:,}",
        "write acknowledged after, p50 / p99": f"{quantile(waits, 0.5):.2f} / {quantile(waits, 0.99):.2f} s",
        "notifications owed": f"{len(books.arrived) - already + len(books.owed):,}",
        "notifications lost": f"{len(books.owed):,}",
        "repeated": f"{books.repeated:,}",
        "in the wrong order": f"{books.disordered:,}",
        "of writes whose answer was lost": f"{books.surplus:,}",
        "lag behind the acknowledgement, p50 / p99 / most": " / ".join(
            f"{quantile([lag for _, lag in lags], share):.1f}" for share in (0.5, 0.99, 1.0)
        )
        + " s",
        "all delivered": f"{drained - last:.1f} s after the last write was answered" if settled else "not in time",
        "broker memory before / most / after": f"{samples[0].memory} / {peak} / {samples[-1].memory} MiB",
        "broker CPU": f"{100 * (samples[-1].cpu - samples[0].cpu) / (samples[-1].at - samples[0].at):.0f} % of a core",
    }
    return Course(
        facts=facts,
        wrong=wrong,
        end=seconds,
        drained=drained,
        samples=[Sample(each.at - start, each.memory, each.cpu) for each in samples],
        lags=sorted(lags),
        offered=[offer.due - start for offer in offered],
        acknowledged=[offer.answered - start for offer in acknowledged],
        shed=[offer.answered - start for offer in offered if offer.status in (429, 503)],
        waits=waits,
    )


@contextmanager
def sampling(load: Load) -> Iterator[list[Sample]]:
    """Look at the broker's memory and CPU time now and then, as long as the block runs."""
    samples: list[Sample] = []
    ended = threading.Event()
    meter = load.broker.meter

    def look() -> None:
        while True:
            samples.append(Sample(time.monotonic(), meter.resident(), meter.cpu()))
            if ended.wait(SAMPLE_SECONDS):
                return

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        ended.set()
        thread.join()
