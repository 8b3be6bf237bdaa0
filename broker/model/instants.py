"""Points in time: the DateTime of clause 4.6.3, and the one canonical form that the broker generates and compares.

Canonical: `2026-11-22T21:34:08.123456Z`, always six digits, so that canonical strings order like the instants they name.
"""

import re
from datetime import UTC, datetime
from typing import Final

_DATE_TIME: Final = re.compile(r"(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2}:\d{2})(?:[.,](\d{1,6}))?Z")


def canonical(moment: datetime) -> str:
    """The canonical string of an aware datetime."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_instant(text: str) -> datetime:
    """The aware datetime that a DateTime string (4.6.3: UTC, `Z`, fraction after `.` or `,`) names.

    Raises ValueError for anything else.
    """
    match = _DATE_TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"not a DateTime (YYYY-MM-DDThh:mm:ss[.ffffff]Z): {text!r}")
    day, clock, fraction = match.groups()
    moment = datetime.fromisoformat(f"{day}T{clock}+00:00")
    return moment.replace(microsecond=int(fraction.ljust(6, "0"))) if fraction else moment


def is_instant(value: object) -> bool:
    """Whether a value is a DateTime string."""
    if not isinstance(value, str):
        return False
    try:
        parse_instant(value)
    except ValueError:
        return False
    return True


def normalise_instant(text: str) -> str:
    """A DateTime string as the broker writes it back: as given, with the decimal point that 4.6.3 prescribes for output."""
    return text.replace(",", ".")


def is_past(instant: str, now: str) -> bool:
    """Whether a DateTime string lies at or before `now` (a DateTime string too)."""
    return parse_instant(instant) <= parse_instant(now)
