"""What an import did, for people (`render`) and for scripts (`as_json`)."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from adapters.applying import Applied
from adapters.contract import Entity, Quarantined, Repair
from adapters.decoding import DecodedTable
from adapters.transforms.text import INVISIBLE
from datamodels import CONTEXT_URL

_SHOWN_AT_MOST: Final = 20

COUNTS: Final = (
    "rows",
    "accepted",
    "repaired",
    "quarantined",
    "repairs",
    "entities",
    "created",
    "updated",
    "unchanged",
    "failed",
)
"""The counts of a file and of a run. rows = accepted + repaired + quarantined (rows); `repairs` counts cells;
entities = created + updated + unchanged + failed, unless it was a dry run."""


@dataclass(slots=True)
class FileReport:
    """What became of one file: `error` where it could not be read at all, else what it holds and what the broker did."""

    path: str
    size: int = 0
    sha256: str = ""
    decoded: DecodedTable | None = None
    outcome: Applied | None = None
    error: str | None = None

    @property
    def counts(self) -> dict[str, int]:
        """The counts by name, see COUNTS."""
        decoded, outcome = self.decoded, self.outcome or Applied()
        if decoded is None:
            return dict.fromkeys(COUNTS, 0)
        return {
            "rows": decoded.rows,
            "accepted": decoded.accepted,
            "repaired": decoded.repaired,
            "quarantined": len(decoded.quarantine),
            "repairs": len(decoded.repairs),
            "entities": len(decoded.entities),
            **{name: outcome.counts[name] for name in ("created", "updated", "unchanged")},
            "failed": len(outcome.failed),
        }

    @property
    def repairs(self) -> tuple[Repair, ...]:
        """The repair report, by row."""
        return self.decoded.repairs if self.decoded else ()

    @property
    def quarantine(self) -> tuple[Quarantined, ...]:
        """The rows that were not loaded."""
        return self.decoded.quarantine if self.decoded else ()

    @property
    def entities(self) -> tuple[Entity, ...]:
        """The entities, with the short names of the model's @context."""
        return self.decoded.entities if self.decoded else ()

    def as_json(self, *, with_entities: bool = False) -> dict[str, Any]:
        """The report as JSON values."""
        report: dict[str, Any] = {"path": self.path, "bytes": self.size, "sha256": self.sha256}
        if self.error is not None:
            report["error"] = self.error
        if self.decoded is not None:
            report |= {
                "profile": self.decoded.profile.name,
                "datasetKey": self.decoded.dataset_key,
                "encoding": self.decoded.encoding,
                "unknownColumns": list(self.decoded.unknown_columns),
                "missingColumns": list(self.decoded.missing_columns),
                "notes": list(self.decoded.notes),
            }
        report["counts"] = self.counts
        report["repairs"] = [repair._asdict() for repair in self.repairs]
        report["quarantine"] = [{**row._asdict(), "record": dict(row.record)} for row in self.quarantine]
        report["failures"] = dict(self.outcome.failed) if self.outcome else {}
        if with_entities:
            report["entities"] = [{**entity, "@context": CONTEXT_URL} for entity in self.entities]
        return report


@dataclass(slots=True)
class ImportReport:
    """What became of a run: its files, the broker it went to, and when it was (UTC instants)."""

    broker_url: str
    dry_run: bool
    started_at: str
    finished_at: str = ""
    files: list[FileReport] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """The counts over all files, see COUNTS."""
        total: Counter[str] = Counter()
        for file in self.files:
            total.update(file.counts)
        return {name: total[name] for name in COUNTS}

    @property
    def ok(self) -> bool:
        """Whether every file was read and every entity taken; quarantined rows are no failure of the run."""
        return not any(file.error or (file.outcome and file.outcome.failed) for file in self.files)

    def as_json(self) -> dict[str, Any]:
        """The report as JSON values; a dry run carries the entities, too."""
        return {
            "broker": self.broker_url,
            "dryRun": self.dry_run,
            "startedAt": self.started_at,
            "finishedAt": self.finished_at,
            "ok": self.ok,
            "counts": self.counts,
            "files": [file.as_json(with_entities=self.dry_run) for file in self.files],
        }

    def render(self, console: Console) -> None:
        """Write the report for people: repairs by rule, a line a file with its troubles below, one sentence at the end."""
        if repairs := [repair for file in self.files for repair in file.repairs]:
            console.print(_repairs_table(repairs))
        for file in self.files:
            _render_file(console, file, self.dry_run)
        console.print(self.summary(), highlight=False, soft_wrap=True)

    def summary(self) -> str:
        """The run in one sentence."""
        sentence = _sentence(self.counts, self.dry_run)
        return f"Dry run, nothing sent. {sentence}" if self.dry_run else sentence


def _sentence(counts: Mapping[str, int], dry_run: bool) -> str:
    rows = (
        f"{counts['rows']} rows: {counts['accepted']} as they are, {counts['repaired']} repaired, "
        f"{counts['quarantined']} quarantined; {counts['entities']} entities"
    )
    if dry_run:
        return f"{rows}."
    return (
        f"{rows}: {counts['created']} created, {counts['updated']} updated, {counts['unchanged']} unchanged, "
        f"{counts['failed']} failed."
    )


def _repairs_table(repairs: Iterable[Repair]) -> RichTable:
    table = RichTable("rule", "severity", "column", "cells", "for example", title="Repairs", title_justify="left")
    groups: dict[tuple[str, str, str], list[Repair]] = {}
    for repair in repairs:
        groups.setdefault((repair.rule, repair.severity.value, repair.column), []).append(repair)
    for (rule, severity, column), found in sorted(groups.items(), key=lambda group: group[0][1], reverse=True):
        first = found[0]
        example = f"row {first.row}: {first.before!r} → {first.after!r}"
        style = "yellow" if severity == "warning" else ""
        table.add_row(rule, severity, escape(column), str(len(found)), escape(example), style=style)
    return table


def _render_file(console: Console, file: FileReport, dry_run: bool) -> None:
    def line(text: str, style: str = "") -> None:
        console.print(escape(INVISIBLE.sub("\ufffd", text)), style=style, highlight=False, soft_wrap=True)

    if file.decoded is None:
        line(f"{file.path}: {file.error}", "red")
        return
    line(f"{file.path} ({file.decoded.profile.name}, {file.decoded.encoding}): {_sentence(file.counts, dry_run)}")
    for note in file.decoded.notes:
        line(f"  {note}", "yellow")
    if file.decoded.unknown_columns:
        line(f"  unknown columns, kept in sourceRecord: {'、'.join(file.decoded.unknown_columns)}", "yellow")
    for quarantined in file.quarantine[:_SHOWN_AT_MOST]:
        line(f"  row {quarantined.row} is quarantined ({quarantined.rule}): {quarantined.reason}", "yellow")
    if len(file.quarantine) > _SHOWN_AT_MOST:
        line(f"  {len(file.quarantine) - _SHOWN_AT_MOST} more rows are quarantined", "yellow")
    failed = list(file.outcome.failed.items()) if file.outcome else []
    for entity_id, reason in failed[:_SHOWN_AT_MOST]:
        line(f"  {entity_id} was refused by the broker: {reason}", "red")
    if len(failed) > _SHOWN_AT_MOST:
        line(f"  {len(failed) - _SHOWN_AT_MOST} more entities were refused by the broker", "red")
