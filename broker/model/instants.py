"""Points in time: the DateTime of clause 4.6.3, and the one canonical form that the broker generates and compares.

Canonical: `2026-11-22T21:34:08.123456Z`, always six digits, so that canonical strings order like the instants they name.
"""

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

# Digits are those of ASCII, and no day has an hour 24, which some versions of Python read as the next day.
_DATE_TIME: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})T((?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2})(?:[.,]([0-9]{1,6}))?Z"
)


def canonical(moment: datetime) -> str:
    """The canonical string of an aware datetime."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="microseconds")[:26] + "Z"


def canonical_time(nanoseconds: int) -> str:
    """The canonical string of a moment that a clock gives, in nanoseconds since 1970: cheap for moments of one second."""
    second, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{_text_of(second)}.{rest // 1000:06}Z"


@lru_cache(maxsize=8)
def _text_of(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat()[:19]


def canonical_text(text: str) -> str:
    """The canonical string of the instant that a DateTime string names, which is known to be one: thirty times as fast."""
    if len(text) == 27 and text[19] == ".":
        return text  # most are: the broker made them
    if len(text) == 20:
        return text[:19] + ".000000Z"
    return f"{text[:19]}.{text[20:-1]:0<6}Z"


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
