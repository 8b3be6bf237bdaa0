"""Reports of a run: JSON for machines, one HTML page for people. (JUnit's XML is pytest's own.)"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any, Final

import orjson

from conformance.clauses import clause_key
from conformance.ledger.rows import Row

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #1c2430 }
table { border-collapse: collapse; width: 100% }
td, th { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #dde3ea }
td.number { text-align: right; font-variant-numeric: tabular-nums } pre { background: #f4f6f8; padding: 1rem; overflow-x: auto }
.passed { color: #0a7d43 } .failed { color: #c02434; font-weight: 600 } .skipped { color: #76808c } summary { cursor: pointer }
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one test ended: `outcome` is passed, failed or skipped; `demands` are its requirements in the ledger's words."""

    test: str
    clauses: Sequence[str]
    demands: Sequence[str]
    outcome: str
    seconds: float
    message: str


@dataclass(frozen=True, slots=True)
class Report:
    """A run against one broker, begun at `started` (seconds since 1970)."""

    broker: str
    started: float
    outcomes: Sequence[Outcome]

    def as_json(self) -> dict[str, Any]:
        """Totals, then the tests in order of execution."""
        counts = Counter(each.outcome for each in self.outcomes)
        return {
            "broker": self.broker,
            "startedAt": self._start(),
            "standard": "ETSI GS CIM 009 V1.9.1",
            "passed": counts["passed"],
            "failed": counts["failed"],
            "skipped": counts["skipped"],
            "tests": [asdict(each) for each in self.outcomes],
        }

    def write_json(self, path: Path) -> None:
        """Write the report as JSON."""
        path.write_bytes(orjson.dumps(self.as_json(), option=orjson.OPT_INDENT_2) + b"\n")

    def write_html(self, path: Path, ledger: Mapping[str, Row]) -> None:
        """Write the report as a page that needs nothing else."""
        by_clause: dict[str, list[Outcome]] = defaultdict(list)
        for outcome in self.outcomes:
            for clause in dict.fromkeys(each.split(" ")[0] for each in outcome.clauses):
                by_clause[clause].append(outcome)
        counts = Counter(each.outcome for each in self.outcomes)
        rows = "\n".join(
            _clause_row(clause, ledger[clause].title, by_clause[clause]) for clause in sorted(by_clause, key=clause_key)
        )
        failures = "\n".join(_failure(each) for each in self.outcomes if each.outcome == "failed")
        path.write_text(
            f"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>NGSI-LD conformance of {escape(self.broker)}</title><style>{_STYLE}</style>
<h1>NGSI-LD conformance</h1>
<p>{escape(self.broker)}, {self._start()}, against ETSI GS CIM 009 V1.9.1:
<span class="passed">{counts["passed"]} passed</span>, <span class="failed">{counts["failed"]} failed</span>,
<span class="skipped">{counts["skipped"]} skipped</span>.</p>
{f"<h2>Failures</h2>{failures}" if failures else ""}
<h2>By clause</h2>
<table><tr><th>Clause</th><th>Title</th><th>Passed</th><th>Failed</th><th>Skipped</th></tr>
{rows}
</table></html>
""",
            "utf-8",
        )

    def _start(self) -> str:
        return datetime.fromtimestamp(self.started, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _clause_row(clause: str, title: str, outcomes: Sequence[Outcome]) -> str:
    counts = Counter(each.outcome for each in outcomes)
    cells = "".join(
        f'<td class="number {kind if counts[kind] else ""}">{counts[kind]}</td>'
        for kind in ("passed", "failed", "skipped")
    )
    return f"<tr><td>{clause}</td><td>{escape(title)}</td>{cells}</tr>"


def _failure(outcome: Outcome) -> str:
    demands = "".join(f"<li>{escape(each)}</li>" for each in outcome.demands)
    return (
        f'<details><summary class="failed">{escape(outcome.test)}</summary>'
        f"<ul>{demands}</ul><pre>{escape(outcome.message)}</pre></details>"
    )
