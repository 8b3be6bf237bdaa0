"""The ledger is what it says: its modules and tests exist, it leaves out no clause, and little is unasserted."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from conformance.clauses import Reference, clause_key
from conformance.ledger.coverage import cover, totals, unknown_references
from conformance.ledger.rows import LedgerError, load_ledger, missing_modules, the_ledger

ROOT = Path(__file__).parents[2]
STANDARD = ROOT.parent / "shared" / "spec"
MOST_UNASSERTED = 0.05


def as_json(*options: str) -> list[dict[str, object]]:
    command = [sys.executable, "-m", "broker.cli", "conformance", "ledger", "--json", *options]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    rows: list[dict[str, object]] = json.loads(run.stdout)
    return rows


@pytest.fixture(scope="module")
def tests_of_the_suite() -> dict[str, tuple[Reference, ...]]:
    found: dict[str, list[Reference]] = {}
    for row in as_json():
        for requirement in row["requirements"]:  # type: ignore[attr-defined]
            for test in requirement["tests"]:
                found.setdefault(test, []).append(Reference(str(row["clause"]), requirement["number"]))
    return {name: tuple(references) for name, references in found.items()}


def test_every_module_that_a_row_names_exists() -> None:
    assert missing_modules(the_ledger().values(), ROOT) == []


def test_every_normative_clause_for_a_single_broker_names_its_implementation() -> None:
    assert totals(cover(the_ledger(), {})).unimplemented == ()


def test_no_normative_clause_is_unread() -> None:
    assert [each.row.clause for each in cover(the_ledger(), {}) if each.unread] == []


def test_at_most_a_twentieth_of_what_a_single_broker_shall_do_is_unasserted(
    tests_of_the_suite: dict[str, tuple[Reference, ...]],
) -> None:
    sums = totals(cover(the_ledger(), tests_of_the_suite))
    assert sums.asserted > 0
    assert sums.unasserted_share <= MOST_UNASSERTED, sums


def test_a_test_that_refers_to_no_row_is_found() -> None:
    known, unknown = Reference("5.6.1.4", 1), Reference("5.6.1.4", 99)
    assert unknown_references(the_ledger(), [known, unknown, Reference("9.9")]) == [unknown, Reference("9.9")]


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("clause: 5.10\n  kind: normative", "in quotes"),
        ('clause: "5.1"\n  kind: perhaps', "kind"),
        ('clause: "5.1"\n  kind: normative\n  shalls: 2\n  requirements: {1: One thing.}', "stand for 1 shall"),
        ('clause: "5.1"\n  kind: normative\n  shalls: 1\n  requirements: {2: One thing.}', "without gaps"),
        ('clause: "5.1"\n  kind: normative\n  shalls: 1\n  requirements: {1: {says: So., scope: internal}}', "why"),
        ('clause: "5.1"\n  kind: normative\n  colour: red', "colour"),
        (
            'clause: "5.1"\n  kind: normative\n  shalls: 1\n  requirements:\n    1: One thing.\n    1: Another.',
            "comes twice",
        ),
    ],
)
def test_a_row_that_cannot_be_is_refused(row: str, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "5.1.yaml").write_text(f"- {row}\n")
    with pytest.raises(LedgerError, match=complaint):
        load_ledger(tmp_path)


@pytest.mark.real_data
def test_the_ledger_has_a_row_for_each_clause_of_chapters_4_to_7() -> None:
    if not STANDARD.is_dir():
        pytest.skip(f"the text of the standard is not at {STANDARD}")
    listed = re.findall(r"^- \[([4-7](?:\.\d+)*) ", (STANDARD / "INDEX.md").read_text(), re.MULTILINE)
    assert sorted(the_ledger(), key=clause_key) == sorted(listed, key=clause_key)


@pytest.mark.real_data
def test_the_ledger_counts_each_shall_of_the_standard() -> None:
    if not STANDARD.is_dir():
        pytest.skip(f"the text of the standard is not at {STANDARD}")
    counted = {
        clause: len(re.findall(r"\bshall\b", path.read_text()))
        for clause in the_ledger()
        if (path := STANDARD / clause.split(".")[0] / f"{clause}.md").exists()
    }
    differing = {
        clause: (row.shalls + row.stray, counted[clause])
        for clause, row in the_ledger().items()
        if clause in counted and row.shalls + row.stray != counted[clause]
    }
    assert differing == {}
