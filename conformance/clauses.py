"""How a test says which clause, and which of its requirements in the ledger, it asserts."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar, cast

import pytest

MARK: Final = "clause"

_Test = TypeVar("_Test", bound=Callable[..., object])


@dataclass(frozen=True, order=True, slots=True)
class Reference:
    """One requirement of one clause; requirement 0 is the clause as a whole."""

    clause: str
    requirement: int = 0

    def __str__(self) -> str:
        return self.clause if self.requirement == 0 else f"{self.clause} ({self.requirement})"


def clause(number: str, *requirements: int) -> Callable[[_Test], _Test]:
    """Mark a test: it asserts these requirements of the clause with this number, as the ledger counts them."""

    def marked(test: _Test) -> _Test:
        # pytest gives back the function that it marked.
        return cast(_Test, pytest.mark.clause(number, *requirements)(test))

    return marked


def references(item: pytest.Item) -> tuple[Reference, ...]:
    """What a test says that it asserts, in order of clauses."""
    return tuple(sorted(set(_references(item)), key=lambda each: (clause_key(each.clause), each.requirement)))


def _references(item: pytest.Item) -> Iterator[Reference]:
    for mark in item.iter_markers(MARK):
        number, *requirements = mark.args
        for requirement in requirements or (0,):
            yield Reference(number, requirement)


def clause_key(number: str) -> tuple[int, ...]:
    """What clauses are sorted by: 5.10 comes after 5.9."""
    return tuple(int(part) for part in number.split("."))


def within(number: str, whole: str) -> bool:
    """Whether a clause is, or is part of, another one."""
    return number == whole or number.startswith(whole + ".")
