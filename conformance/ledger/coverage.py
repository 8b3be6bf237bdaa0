"""What the suite's tests assert of the ledger: found by collecting them, so that it cannot be out of date."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from conformance.clauses import Reference
from conformance.ledger.rows import Requirement, Row


@dataclass(frozen=True, slots=True)
class RowCoverage:
    """A row with the tests of each of its requirements; requirement 0 is the clause as a whole."""

    row: Row
    tests: Mapping[int, tuple[str, ...]]

    @property
    def all_tests(self) -> tuple[str, ...]:
        """Every test of the clause, once."""
        return tuple(dict.fromkeys(name for names in self.tests.values() for name in names))

    @property
    def unasserted(self) -> tuple[Requirement, ...]:
        """What a single broker has to do and no test asserts."""
        if self.row.kind == "distributed":
            return ()
        return tuple(
            each
            for each in self.row.requirements.values()
            if each.scope == "single" and not self.tests.get(each.number)
        )

    @property
    def unread(self) -> bool:
        """Whether a normative clause says *shall* and the ledger does not say what."""
        return self.row.kind == "normative" and self.row.shalls > 0 and not self.row.requirements


@dataclass(frozen=True, slots=True)
class Totals:
    """How many *shall* a single broker can be held to from outside, how many tests assert, and what is not implemented."""

    assertable: int
    asserted: int
    distributed: int
    internal: int
    unimplemented: tuple[str, ...]

    @property
    def unasserted_share(self) -> float:
        """The part that no test asserts, from 0 to 1."""
        return 0.0 if self.assertable == 0 else 1 - self.asserted / self.assertable


def cover(ledger: Mapping[str, Row], tests: Mapping[str, Iterable[Reference]]) -> list[RowCoverage]:
    """The ledger with its tests, by the name of the test and what that refers to."""
    found: dict[Reference, list[str]] = defaultdict(list)
    for name, references in tests.items():
        for reference in references:
            found[reference].append(name)
    return [
        RowCoverage(
            row,
            {
                number: tuple(found[Reference(row.clause, number)])
                for number in (0, *row.requirements)
                if Reference(row.clause, number) in found
            },
        )
        for row in ledger.values()
    ]


def unknown_references(ledger: Mapping[str, Row], references: Iterable[Reference]) -> list[Reference]:
    """The references that no row answers to."""
    return sorted(
        {
            each
            for each in references
            if each.clause not in ledger
            or (each.requirement != 0 and each.requirement not in ledger[each.clause].requirements)
        }
    )


def totals(covered: Iterable[RowCoverage]) -> Totals:
    """The sum over rows. A clause whose requirements nobody has written down counts as not asserted."""
    assertable = asserted = distributed = internal = 0
    unimplemented = []
    for each in covered:
        row = each.row
        if row.kind == "distributed" and not row.requirements:
            distributed += row.shalls
        elif each.unread:
            assertable += row.shalls
        for requirement in row.requirements.values():
            if requirement.scope == "distributed" or row.kind == "distributed":
                distributed += requirement.shalls
            elif requirement.scope == "internal":
                internal += requirement.shalls
            else:
                assertable += requirement.shalls
                asserted += requirement.shalls if each.tests.get(requirement.number) else 0
        if row.kind == "normative" and row.shalls > 0 and not row.where:
            unimplemented.append(row.clause)
    return Totals(assertable, asserted, distributed, internal, tuple(unimplemented))
