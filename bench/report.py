"""What a benchmark found: one row for each operation, as tables for readers and as JSON for programs.

A row whose answers were not all right has no figures, whatever was measured: its time says nothing.
"""

import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import ceil
from pathlib import Path
from typing import Any, Final, NoReturn

import psutil
import typer

from bench.limits import WORDS, Verdict, judged
from bench.processes import MIB

QUANTITIES: Final[dict[str, tuple[str, str]]] = {
    "rate": ("a second", ",.0f"),
    "p50": ("p50 ms", ",.1f"),
    "p95": ("p95 ms", ",.1f"),
    "p99": ("p99 ms", ",.1f"),
    "most": ("most ms", ",.1f"),
    "broker": ("broker CPU us", ",.0f"),
    "store": ("store CPU us", ",.0f"),
    "cpu": ("sum", ",.0f"),
    "floor": ("floor CPU us", ",.0f"),
    "ratio": ("times the floor", ",.2f"),
    "share": ("of the other's rate", ",.2f"),
    "times": ("times the early page", ",.2f"),
    "memory": ("broker MiB", ",.0f"),
    "growth": ("MiB more at most", ",.0f"),
    "seconds": ("seconds", ",.2f"),
}
"""What is measured, in the order of the columns: its heading, and how it is written."""
STORES: Final = {"sqlite": "SQLite", "mongo": "MongoDB"}


@dataclass(frozen=True, slots=True)
class Row:
    """One operation on one store. `key` is how limits find it, `values` are by name of QUANTITIES, `wrong` says what was."""

    key: str
    name: str
    store: str
    entities: int
    answers: int
    values: Mapping[str, float]
    wrong: Sequence[str] = ()

    @property
    def figures(self) -> Mapping[str, float]:
        """What may be told: nothing, where something was wrong or there was no answer."""
        return {} if self.wrong or not self.answers else self.values

    def verdicts(self) -> list[Verdict]:
        """What the limits say to it."""
        return judged(self.key, self.store, self.entities, self.figures)


@dataclass(slots=True)
class Section:
    """Rows that are read together. `facts` are its other figures, by name."""

    title: str
    rows: list[Row] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    """What was wrong besides answers."""

    def faults(self) -> list[str]:
        """All that was wrong."""
        return self.wrong + [f"{row.name}: {each}" for row in self.rows for each in row.wrong]

    def markdown(self) -> str:
        """The section as it stands in docs/performance.md."""
        lines = [f"### {self.title}", ""]
        lines += [f"* {name}: {value}" for name, value in self.facts.items()]
        names = [each for each in QUANTITIES if any(each in row.figures for row in self.rows)]
        if all(row.figures.get("cpu") == row.figures.get("broker") for row in self.rows):
            names = [each for each in names if each != "cpu"]  # a store inside of the broker has none of its own
        if self.rows:
            lines += [""] if self.facts else []
            lines.append("| operation | answers | " + " | ".join(QUANTITIES[each][0] for each in names) + " |")
            lines.append("|---|--:|" + "--:|" * len(names))
            for row in self.rows:
                figures = row.figures
                cells = [format(figures[each], QUANTITIES[each][1]) if each in figures else "" for each in names]
                lines.append(f"| {row.name} | {row.answers:,} | " + " | ".join(cells) + " |")
        lines += [f"\nWRONG, so without figures: {each}" for each in self.faults()]
        return "\n".join(lines)


@dataclass(slots=True)
class Report:
    """Everything that one run measured."""

    title: str
    sections: list[Section] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)

    def rows(self) -> Iterable[Row]:
        """The rows of all sections."""
        return (row for section in self.sections for row in section.rows)

    def faults(self) -> list[str]:
        """All that was wrong."""
        return [each for section in self.sections for each in section.faults()]

    def tell(self, output: Path | None = None) -> NoReturn:
        """Print the report, write it as JSON, and end: with status 1 where something was wrong, not where a limit is missed."""
        print(self.markdown())
        if output is not None:
            write_json(output, self.content())
        raise typer.Exit(1 if self.faults() else 0)

    def limits(self) -> str:
        """The limits that something in this run has, as a table: what was found, and whether it is within."""
        found = [(row, verdict) for row in self.rows() for verdict in row.verdicts()]
        if not found:
            return ""
        lines = [
            "### Limits",
            "",
            "| operation | entities | store | what | limit | found | |",
            "|---|--:|---|---|--:|--:|---|",
        ]
        for row, (limit, found_value, met) in found:
            form = QUANTITIES[limit.quantity][1]
            bound = limit.of(row.store)
            allowed = ("at least " if limit.least else "") + f"{bound:,g}"
            value = "no figure" if found_value is None else format(found_value, form)
            word = "met" if met else "**missed**"
            cells = (row.name, f"{row.entities:,}", STORES[row.store], WORDS[limit.quantity], allowed, value, word)
            lines.append(f"| {' | '.join(cells)} |")
        missed = sum(not verdict.met for _, verdict in found)
        return "\n".join([*lines, "", f"Limits met: {len(found) - missed} of {len(found)}."])

    def markdown(self) -> str:
        """The whole report."""
        facts = "\n".join(f"* {name}: {value}" for name, value in (machine() | self.facts).items())
        parts = [f"## {self.title}", facts, self.limits(), *(section.markdown() for section in self.sections)]
        return "\n\n".join(part for part in parts if part) + "\n"

    def content(self) -> dict[str, Any]:
        """The whole report, for programs."""
        return {
            "title": self.title,
            "facts": machine() | self.facts,
            "sections": [
                {
                    "title": section.title,
                    "facts": section.facts,
                    "wrong": section.faults(),
                    "rows": [
                        {
                            "key": row.key,
                            "name": row.name,
                            "store": row.store,
                            "entities": row.entities,
                            "answers": row.answers,
                            "figures": dict(row.figures),
                            "wrong": list(row.wrong),
                            "limits": [
                                {
                                    "quantity": limit.quantity,
                                    "limit": limit.of(row.store),
                                    "least": limit.least,
                                    "found": found,
                                    "met": met,
                                }
                                for limit, found, met in row.verdicts()
                            ],
                        }
                        for row in section.rows
                    ],
                }
                for section in self.sections
            ],
        }


def put_into(document: Path, name: str, text: str) -> None:
    """Replace what a document has between `<!-- bench NAME -->` and `<!-- end NAME -->`. Raises ValueError where it has not."""
    content = document.read_text("utf-8")
    begin, end = f"<!-- bench {name} -->", f"<!-- end {name} -->"
    if content.count(begin) != 1 or content.count(end) != 1:
        raise ValueError(f"{document} needs the lines {begin} and {end}")
    before, _, rest = content.partition(begin)
    document.write_text(f"{before}{begin}\n\n{text.strip()}\n\n{end}{rest.partition(end)[2]}", "utf-8")


def quantile(values: Sequence[float], share: float) -> float:
    """The value that this share of them does not exceed; 0 of none."""
    ordered = sorted(values)
    return ordered[ceil(share * len(ordered)) - 1] if ordered else 0.0


def write_json(path: Path, content: object) -> None:
    """Figures for programs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")


def machine() -> dict[str, str]:
    """Where and when the figures were made, and how busy the machine was then."""
    memory = psutil.virtual_memory().total // (1024 * MIB)
    return {
        "machine": f"{os.cpu_count()} cores, {memory} GiB, {platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "load average": " ".join(f"{each:.1f}" for each in os.getloadavg()),
    }
