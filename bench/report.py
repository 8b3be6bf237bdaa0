"""What a benchmark found: one line for each operation, as a table for readers and as JSON for programs."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from math import ceil
from pathlib import Path

import psutil

from bench.processes import MIB


@dataclass(frozen=True, slots=True)
class Measurement:
    """One operation: how many answers were asked for and found right, and what they took.

    Times are milliseconds of wall clock an answer, `cpu` and `server_cpu` of CPU time an answer; memory is MiB.
    """

    operation: str
    answers: int
    walls: Sequence[float]
    cpu: float
    server_cpu: float | None
    before: int
    peak: int
    after: int

    def quantile(self, share: float) -> float:
        """The wall time that this share of the answers did not exceed."""
        ordered = sorted(self.walls)
        return ordered[ceil(share * len(ordered)) - 1]


@dataclass(slots=True)
class Report:
    """Everything that one run measured. `facts` are its other figures, by name."""

    title: str
    facts: dict[str, str] = field(default_factory=dict)
    measurements: list[Measurement] = field(default_factory=list)

    def table(self) -> str:
        """The report in Markdown."""
        lines = [f"### {self.title}", ""]
        lines += [f"* {name}: {value}" for name, value in (machine() | self.facts).items()]
        lines += ["", "| operation | answers | p50 ms | p95 ms | max ms | broker CPU ms | mongod CPU ms | broker MiB |"]
        lines += ["|---|--:|--:|--:|--:|--:|--:|--:|"]
        for each in self.measurements:
            walls = " | ".join(f"{each.quantile(share):.0f}" for share in (0.5, 0.95, 1.0))
            server = "-" if each.server_cpu is None else f"{each.server_cpu:.0f}"
            memory = f"{each.before} / {each.peak} / {each.after}"
            lines.append(f"| {each.operation} | {each.answers} | {walls} | {each.cpu:.0f} | {server} | {memory} |")
        return "\n".join(lines)

    def write(self, path: Path) -> None:
        """The same as JSON."""
        measured = [asdict(each) for each in self.measurements]
        content = {"title": self.title, "facts": machine() | self.facts, "measurements": measured}
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False), "utf-8")


def machine() -> dict[str, str]:
    """Where and when the figures were made."""
    memory = psutil.virtual_memory().total // (1024 * MIB)
    return {
        "machine": f"{os.cpu_count()} cores, {memory} GiB, {platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }
