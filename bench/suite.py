"""All benchmarks in one run: a short one of some five minutes, a full one of an hour and a quarter on a quiet machine."""

import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

from bench import hot, notified, offered, operations, pages, scale, startup, table, temporal, workers
from bench.city import City
from bench.report import STORES, Report, Section, put_into, write_json
from bench.stage import scratch, stage
from bench.stock import ENTITIES

OFFERED: Final = ("get", "patch", "q")
FULL_SIZES: Final = [100_000, 1_000_000]
BOTH: Final = list(STORES)
LOAD_SECONDS: Final = 900.0
CACHE_GB: Final = 1.0
LARGE_CACHE_GB: Final = 2.0


@dataclass(frozen=True, slots=True)
class Files:
    """Where stores are made, and where the report goes: JSON, Markdown, a place in a document, a drawing."""

    folder: Path | None
    output: Path | None
    markdown: Path | None
    document: Path | None
    plot: Path | None


class Run:
    """A report that grows part by part, and is written after each. A part that fails is told, and the others go on."""

    def __init__(self, name: str, title: str, files: Files) -> None:
        self.name = name
        self.report = Report(title)
        self.files = files
        self._start = time.monotonic()

    def part(self, name: str, measure: Callable[[Path], Iterable[Section]]) -> None:
        """Measure one part in a folder of its own."""
        start = time.monotonic()
        print(f"--- {name}", file=sys.stderr)
        try:
            with scratch(self.files.folder) as files:
                for section in measure(files):
                    self.report.sections.append(section)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and the other parts do not depend on it
            traceback.print_exc()
            self.report.sections.append(Section(name, wrong=[f"not measured: {type(error).__name__}: {error}"]))
        print(f"--- {name}: {time.monotonic() - start:.0f} s", file=sys.stderr)
        self.report.facts["took"] = f"{(time.monotonic() - self._start) / 60:.1f} minutes"
        if self.files.markdown is not None:
            self.files.markdown.parent.mkdir(parents=True, exist_ok=True)
            self.files.markdown.write_text(self.report.markdown(), "utf-8")
        if self.files.output is not None:
            write_json(self.files.output, self.report.content())

    def end(self) -> NoReturn:
        """Print what was found, and end. The drawing comes last, so that nothing is lost where it cannot be made."""
        print(self.report.markdown())
        if self.files.document is not None:
            put_into(self.files.document, self.name, self.report.markdown())
        if (plot := self.files.plot) is not None:
            from bench.plot import draw_costs  # a library that is only there where it is wanted

            plot.parent.mkdir(parents=True, exist_ok=True)
            draw_costs(self.report, plot)
        raise typer.Exit(1 if self.report.faults() else 0)


def ten_thousand(kind: str, files: Path, seconds: float, rounds: int) -> Iterator[Section]:
    """What is measured at one broker with 10,000 entities."""
    with stage(kind, files, ENTITIES, CACHE_GB, with_floor=True) as where:
        costs = operations.measure(where, 32, seconds, rounds)
        rates = [(row.key, row.figures["rate"]) for row in costs.rows if row.key in OFFERED and row.figures]
        yield costs
        yield offered.measure(where, rates, 2 * seconds, 2 * 10**6)
        yield hot.measure(where, seconds, rounds)
        yield pages.measure(where, seconds)


def many(kind: str, files: Path, entities: int, seconds: float) -> Iterator[Section]:
    """Queries of many entities."""
    with stage(kind, files, entities, LARGE_CACHE_GB) as where:
        yield scale.measure(where, 16, seconds)


STORES_OF = Annotated[list[str], typer.Option("--store", help="Which stores: sqlite, mongo.")]
FOLDER = Annotated[Path | None, typer.Option(help="Where the stores' files go; they are removed at the end.")]
OUTPUT = Annotated[Path | None, typer.Option("--json", help="Where to write the figures as JSON.")]
MARKDOWN = Annotated[Path | None, typer.Option(help="Where to write what is printed.")]
DOCUMENT = Annotated[Path | None, typer.Option(help="A document in which it takes the place of an earlier run.")]
PLOT = Annotated[Path | None, typer.Option(help="Where to draw the costs (.svg or .png).")]


def short(
    store: STORES_OF = BOTH,
    seconds: Annotated[float, typer.Option(help="How long each operation is asked for in a round.")] = 1.0,
    folder: FOLDER = None,
    output: OUTPUT = None,
    markdown: MARKDOWN = None,
    document: DOCUMENT = None,
    plot: PLOT = None,
) -> None:
    """The short run, some five minutes: all limits but those of a million entities."""
    run = Run("short", "The short run", Files(folder, output, markdown, document, plot))
    followed = City(1_000, 1, 1_000, followed=True)
    for kind in store:
        name = STORES[kind]
        run.part(f"Start and idleness, {name}", partial(startup.measure, kind, times=3, cache_gb=CACHE_GB))
        run.part(f"Operations, {name}", partial(ten_thousand, kind, seconds=seconds, rounds=2))
        run.part(
            f"Notifications, {name}",
            partial(notified.measure, kind, city=followed, rate=200.0, seconds=3 * seconds, cache_gb=CACHE_GB),
        )
        run.part(f"Temporal API, {name}", partial(temporal.measure, kind, instances=2_000, repeats=5))
    run.part("Import", partial(table.measure, store[0], rows=3_000))
    if "mongo" in store:
        run.part("Workers", partial(workers.measure, numbers=(1, 2), seconds=seconds, cache_gb=CACHE_GB))
    run.end()


def full(
    store: STORES_OF = BOTH,
    seconds: Annotated[float, typer.Option(help="How long each operation is asked for in a round.")] = 3.0,
    entities: Annotated[list[int], typer.Option(help="How many entities besides 10,000.")] = FULL_SIZES,
    instances: Annotated[int, typer.Option(help="Instances in the large history.")] = 8_000_000,
    rows: Annotated[int, typer.Option(help="Rows of the table that is imported.")] = 50_000,
    subscriptions: Annotated[int, typer.Option(min=100, help="How many subscriptions.")] = 10_000,
    folder: FOLDER = None,
    output: OUTPUT = None,
    markdown: MARKDOWN = None,
    document: DOCUMENT = None,
    plot: PLOT = None,
) -> None:
    """The full run, an hour and a quarter and 10 GB: a million entities and ten thousand subscriptions as well."""
    run = Run("full", "The full run", Files(folder, output, markdown, document, plot))
    for kind in store:
        name = STORES[kind]
        run.part(f"Start and idleness, {name}", partial(startup.measure, kind, times=5, cache_gb=CACHE_GB))
        run.part(f"Operations, {name}", partial(ten_thousand, kind, seconds=seconds, rounds=3))
        for count in entities:
            run.part(f"{count:,} entities, {name}", partial(many, kind, entities=count, seconds=seconds))
        for city in (
            City(followed=True, stations=subscriptions, subscriptions=subscriptions),
            City(subscriptions=subscriptions),
        ):
            run.part(
                f"{city.subscriptions:,} subscriptions, {name}",
                partial(notified.measure, kind, city=city, rate=0.0, seconds=10.0, cache_gb=CACHE_GB),
            )
        history = partial(temporal.measure, kind, large=instances, load_seconds=LOAD_SECONDS, repeats=10)
        run.part(f"Temporal API, {name}", history)
        run.part(f"Import, {name}", partial(table.measure, kind, rows=rows))
    if "mongo" in store:
        run.part("Workers", partial(workers.measure, numbers=(1, 2, 4, 8), seconds=seconds, cache_gb=CACHE_GB))
    run.end()
