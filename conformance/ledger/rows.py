"""The rows of the ledger, read from the YAML files beside this module: one file for each clause of the second level.

A row has the clause's number and title, the number of times that its text says *shall*, its kind, the modules that
implement it, and its requirements, numbered, each with the sentence in our own words that a failing test prints:

    - clause: "5.6.1.4"
      title: Behaviour
      kind: normative
      shalls: 7
      where: [broker/operations/entities.py]
      requirements:
        1: An entity whose id is known already is refused as AlreadyExists.
        2: {says: Parts that registrations answer for are forwarded., scope: distributed, shalls: 3}

`stray` is how many more *shall* stand in the text that was extracted for the clause but belong to another one on the same page.
`shalls` of a requirement is how many of the clause's *shall* it stands for (1, where it is not given); they add up to the
row's. `scope: distributed` needs other brokers, `scope: internal` cannot be seen from outside (`why` says more); neither is
counted among what the suite can assert of a single broker.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import yaml

from conformance.clauses import clause_key

FOLDER: Final = Path(__file__).parent
KINDS: Final = ("normative", "distributed", "informative")
SCOPES: Final = ("single", "distributed", "internal")
_ROW_MEMBERS: Final = frozenset({"clause", "title", "kind", "shalls", "stray", "where", "requirements"})
_REQUIREMENT_MEMBERS: Final = frozenset({"says", "scope", "shalls", "why"})


class LedgerError(Exception):
    """A file of the ledger cannot be what it should be; the message names file, clause and member."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """One thing that a clause demands, in our own words."""

    number: int
    says: str
    scope: str = "single"
    shalls: int = 1
    why: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One clause. `shalls` counts the word in the standard's text, `stray` those beside it that are not the clause's."""

    clause: str
    title: str
    kind: str
    shalls: int
    where: tuple[str, ...]
    requirements: Mapping[int, Requirement]
    stray: int = 0


def load_ledger(folder: Path = FOLDER) -> dict[str, Row]:
    """All rows by clause, in order of clauses. Raises LedgerError."""
    rows: dict[str, Row] = {}
    for path in sorted(folder.glob("*.yaml")):
        for entry in _entries(path):
            row = _row(path, entry)
            if row.clause in rows:
                raise LedgerError(f"{path.name}: {row.clause} has a row already")
            rows[row.clause] = row
    return dict(sorted(rows.items(), key=lambda item: clause_key(item[0])))


@cache
def the_ledger() -> Mapping[str, Row]:
    """The ledger of this package, read once."""
    return MappingProxyType(load_ledger())


def missing_modules(rows: Iterable[Row], root: Path) -> list[str]:
    """Where a row names a file that does not exist below `root`: "clause: path"."""
    return [f"{row.clause}: {path}" for row in rows for path in row.where if not (root / path).is_file()]


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """A safe loader that refuses what YAML lets pass: two requirements with one number, of which the first would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping of a node. Raises YAMLError where a key comes twice."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise yaml.YAMLError(f"line {node.start_mark.line + 1}: {twice[0]!r} comes twice")
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return mapping


def _entries(path: Path) -> list[Any]:
    try:
        entries = yaml.load(path.read_text("utf-8"), _Loader)
    except yaml.YAMLError as error:
        raise LedgerError(f"{path.name}: {error}") from None
    if not isinstance(entries, list):
        raise LedgerError(f"{path.name}: a list of rows is expected")
    return entries


def _row(path: Path, entry: Any) -> Row:
    if not isinstance(entry, dict) or not isinstance(entry.get("clause"), str):
        raise LedgerError(f"{path.name}: each row has a clause, as a string in quotes: {entry!r:.80}")
    number = entry["clause"]
    place = f"{path.name}: {number}"
    if unknown := entry.keys() - _ROW_MEMBERS:
        raise LedgerError(f"{place}: {', '.join(sorted(unknown))} is not a member of a row")
    if entry.get("kind") not in KINDS:
        raise LedgerError(f"{place}: kind is not one of {', '.join(KINDS)}")
    requirements = {
        key: _requirement(f"{place} ({key})", key, value) for key, value in (entry.get("requirements") or {}).items()
    }
    if sorted(requirements) != list(range(1, len(requirements) + 1)):
        raise LedgerError(f"{place}: requirements are numbered from 1 on without gaps")
    shalls = entry.get("shalls", 0)
    counted = sum(each.shalls for each in requirements.values())
    if requirements and counted != shalls:
        raise LedgerError(f"{place}: its requirements stand for {counted} shall, the clause has {shalls}")
    where = entry.get("where") or []
    if not isinstance(where, list) or not all(isinstance(name, str) for name in where):
        raise LedgerError(f"{place}: where is a list of paths")
    title, stray = str(entry.get("title", "")), entry.get("stray", 0)
    return Row(number, title, entry["kind"], shalls, tuple(where), requirements, stray)


def _requirement(place: str, number: Any, value: Any) -> Requirement:
    if not isinstance(number, int):
        raise LedgerError(f"{place}: requirements are numbered")
    members = {"says": value} if isinstance(value, str) else value
    if not isinstance(members, dict) or not isinstance(members.get("says"), str):
        raise LedgerError(f"{place}: a requirement says something")
    if unknown := members.keys() - _REQUIREMENT_MEMBERS:
        raise LedgerError(f"{place}: {', '.join(map(str, sorted(unknown)))} is not a member of a requirement")
    requirement = Requirement(number, **members)
    if requirement.scope not in SCOPES:
        raise LedgerError(f"{place}: scope is not one of {', '.join(SCOPES)}")
    if requirement.scope == "internal" and not requirement.why:
        raise LedgerError(f"{place}: why can it not be seen from outside?")
    return requirement
