"""What a transform makes of one cell: a value, and what had to be mended to get it."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, NamedTuple, TypeAlias


class Severity(StrEnum):
    """How much a mended cell should worry its owner."""

    INFO = "info"
    """Another spelling of the same thing: nothing is lost and nothing was guessed."""
    WARNING = "warning"
    """The meaning was inferred, or the value was left out."""


class Fix(NamedTuple):
    """One rule that was applied to a cell."""

    rule: str
    severity: Severity = Severity.INFO


class Reading(NamedTuple):
    """The value of a cell (None: the cell says that there is none) and the rules that were applied."""

    value: Any
    fixes: tuple[Fix, ...] = ()


class Unreadable(ValueError):
    """A transform cannot say what a cell means: `rule` is for machines, the message for people."""

    def __init__(self, rule: str, reason: str) -> None:
        super().__init__(reason)
        self.rule = rule
        self.reason = reason


Transform: TypeAlias = Callable[..., Reading]
"""A pure function from the trimmed, non-empty text of a cell to a Reading, with the options of the profile's `with` as
keywords; raises Unreadable."""
