"""Disjunctions of conjunctions, the shape that type selection (4.17) and scope queries (4.19) share.

    selection   = conjunction ( ( "|" | "," ) conjunction )*
    conjunction = factor ( ";" factor )*
    factor      = "(" selection ")" | element

The clauses have parentheses around a conjunction of elements only. A bare conjunction is taken as well, and binds as in
`q`; so are parentheses around a disjunction, which is multiplied out.
"""

import re
from typing import Final

from broker.errors import TooComplexQuery
from broker.query.scanner import Scanner

MAX_ELEMENTS: Final = 1000
MAX_DEPTH: Final = 20

_ELEMENT: Final = re.compile(r"[^;|,()\s]+")


def read_alternatives(text: str, subject: str) -> tuple[tuple[str, ...], ...]:
    """The elements, as they are written. Raises BadRequestData with the position, TooComplexQuery beyond MAX_ELEMENTS."""
    scanner = Scanner(text, subject)
    alternatives = _selection(scanner, subject, 0)
    if not scanner.at_end():
        raise scanner.error("expected '|', ',' or the end")
    return alternatives


def _selection(scanner: Scanner, subject: str, depth: int) -> tuple[tuple[str, ...], ...]:
    if depth > MAX_DEPTH:
        raise TooComplexQuery(f"{subject}: parentheses nested deeper than {MAX_DEPTH}")
    alternatives = _conjunction(scanner, subject, depth)
    while scanner.take("|") or scanner.take(","):
        alternatives += _conjunction(scanner, subject, depth)
        _check_size(alternatives, subject)
    return alternatives


def _conjunction(scanner: Scanner, subject: str, depth: int) -> tuple[tuple[str, ...], ...]:
    alternatives = _factor(scanner, subject, depth)
    while scanner.take(";"):
        right = _factor(scanner, subject, depth)
        alternatives = tuple((*one, *other) for one in alternatives for other in right)
        _check_size(alternatives, subject)
    return alternatives


def _factor(scanner: Scanner, subject: str, depth: int) -> tuple[tuple[str, ...], ...]:
    scanner.skip_space()
    if not scanner.take("("):
        return ((_element(scanner),),)
    alternatives = _selection(scanner, subject, depth + 1)
    scanner.expect(")")
    scanner.skip_space()
    return alternatives


def _check_size(alternatives: tuple[tuple[str, ...], ...], subject: str) -> None:
    if sum(map(len, alternatives)) > MAX_ELEMENTS:
        raise TooComplexQuery(f"{subject}: more than {MAX_ELEMENTS} elements")


def _element(scanner: Scanner) -> str:
    scanner.skip_space()
    element = scanner.match(_ELEMENT)
    if element is None:
        raise scanner.error("expected a name")
    scanner.skip_space()
    return element
