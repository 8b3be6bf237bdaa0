"""Disjunctions of conjunctions, the shape that type selection (4.17) and scope queries (4.19) share.

    selection   = alternative ( ( "|" | "," ) alternative )*
    alternative = "(" conjunction ")" | conjunction
    conjunction = element ( ";" element )*

The clauses want a conjunction in parentheses; a bare one is taken as well, as in `q` and binds like there.
"""

import re
from typing import Final

from broker.errors import TooComplexQuery
from broker.query.scanner import Scanner

MAX_ELEMENTS: Final = 1000

_ELEMENT: Final = re.compile(r"[^;|,()\s]+")


def read_alternatives(text: str, subject: str) -> tuple[tuple[str, ...], ...]:
    """The elements, as they are written. Raises BadRequestData with the position, TooComplexQuery beyond MAX_ELEMENTS."""
    scanner = Scanner(text, subject)
    alternatives = [_alternative(scanner)]
    while scanner.take("|") or scanner.take(","):
        alternatives.append(_alternative(scanner))
    if not scanner.at_end():
        raise scanner.error("expected '|', ',' or the end")
    if sum(map(len, alternatives)) > MAX_ELEMENTS:
        raise TooComplexQuery(f"{subject}: more than {MAX_ELEMENTS} elements")
    return tuple(alternatives)


def _alternative(scanner: Scanner) -> tuple[str, ...]:
    scanner.skip_space()
    grouped = scanner.take("(")
    elements = [_element(scanner)]
    while scanner.take(";"):
        elements.append(_element(scanner))
    if grouped:
        scanner.expect(")")
    scanner.skip_space()
    return tuple(elements)


def _element(scanner: Scanner) -> str:
    scanner.skip_space()
    element = scanner.match(_ELEMENT)
    if element is None:
        raise scanner.error("expected a name")
    scanner.skip_space()
    return element
