"""Transforms of numbers: metres, square metres, people."""

import re
import unicodedata
from decimal import Decimal
from typing import Final

from adapters.transforms.reading import Fix, Reading, Severity, Unreadable

_NUMBER: Final = re.compile(r"([+-]?)(\d{1,12}|\d{1,3}(?:,\d{3}){1,3})(\.\d{1,15})?")
_MINUS: Final = str.maketrans("−―‐–—ー", "------")


def number(
    text: str, *, units: tuple[str, ...] | list[str] = (), zero_is_missing: bool = False, whole: bool = False
) -> Reading:
    """A decimal number, an int where it has no fraction.

    Full-width digits, thousands separators and a unit out of `units` are mended. `zero_is_missing` is for columns
    whose source writes 0 where it knows nothing. `whole` refuses negative numbers and fractions (numbers of people).
    """
    narrow = unicodedata.normalize("NFKC", text).translate(_MINUS).strip()
    fixes = [Fix("full-width-characters")] if narrow != text else []
    for unit in units:
        if narrow.endswith(unit):
            narrow = narrow.removesuffix(unit).rstrip()
            fixes.append(Fix("unit-in-cell"))
            break
    match = _NUMBER.fullmatch(narrow)
    if match is None:
        raise Unreadable("not-a-number", f"{text!r} is not a number")
    if "," in narrow:
        narrow = narrow.replace(",", "")
        fixes.append(Fix("thousands-separator"))
    exact = Decimal(narrow)
    value: int | float = int(exact) if exact == exact.to_integral_value() else float(exact)
    if whole and (value < 0 or not isinstance(value, int)):
        raise Unreadable("not-a-count", f"{text!r} is not a number of people or things")
    if whole and match[3]:
        fixes.append(Fix("decimal-in-count"))
    if value == 0 and zero_is_missing:
        return Reading(None, (*fixes, Fix("zero-is-missing", Severity.WARNING)))
    return Reading(value, tuple(fixes))


def count(text: str, *, zero_is_missing: bool = False) -> Reading:
    """A number of people: a whole number, `人` and `名` taken off."""
    return number(text, units=("人", "名"), zero_is_missing=zero_is_missing, whole=True)


def diameter(text: str) -> Reading:
    """A diameter in millimetres; one that is no number (75×150, 65/75) is kept as published."""
    try:
        reading = number(text, units=("mm", "ミリ", "φ"))
    except Unreadable:
        return Reading(text)
    if reading.value <= 0:
        raise Unreadable("not-a-diameter", f"{text!r} is no diameter")
    return reading


def indoor_capacity(text: str) -> Reading:
    """The people that a shelter holds indoors, from 屋内480人／屋外3,350人(面積の1/2): where people stay is indoors.

    That is an inference, so it is a warning, and the text is kept as published.
    """
    narrow = unicodedata.normalize("NFKC", text)
    match = re.match(r"屋内([\d,]+)人", narrow)
    if match is None:
        return count(text)
    return Reading(number(match[1], whole=True).value, (Fix("indoor-capacity", Severity.WARNING),))
