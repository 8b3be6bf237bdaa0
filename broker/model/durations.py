"""Durations as ISO 8601 spells them: `PT5M`, `P1DT12H`, `P0.5D`."""

import re
from typing import Final

_NUMBER: Final = r"(\d{1,9}(?:[.,]\d{1,9})?)"
_DURATION: Final = re.compile(
    rf"P(?!$)(?:{_NUMBER}Y)?(?:{_NUMBER}M)?(?:{_NUMBER}W)?(?:{_NUMBER}D)?"
    rf"(?:T(?!$)(?:{_NUMBER}H)?(?:{_NUMBER}M)?(?:{_NUMBER}S)?)?",
    re.ASCII,
)
_SECONDS: Final = (365 * 86_400, 30 * 86_400, 7 * 86_400, 86_400, 3_600, 60, 1)


def is_duration(text: str) -> bool:
    """Whether a text is a duration."""
    return _DURATION.fullmatch(text) is not None


def duration_seconds(text: str) -> float:
    """How long a duration is; a year has 365 days here, a month 30. Raises ValueError for what is no duration."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"not a duration such as PT5M or P1DT12H: {text!r}")
    numbers = (float((group or "0").replace(",", ".")) for group in match.groups())
    return sum(number * seconds for number, seconds in zip(numbers, _SECONDS, strict=True))
