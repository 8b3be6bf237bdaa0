"""Transforms of opening hours: days of the week and times of the day."""

import re
import unicodedata
from typing import Final

from adapters.transforms.reading import Fix, Reading, Severity, Unreadable
from adapters.transforms.text import SPACE

DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
HOLIDAYS: Final = "PublicHolidays"
_LETTERS: Final = "月火水木金土日"
_GROUPS: Final = {"毎日": DAYS, "全日": DAYS, "平日": DAYS[:5], "土日": DAYS[5:], "週末": DAYS[5:]}
_TOKEN: Final = re.compile(
    rf"毎日|全日|平日|週末|祝祭日|祝日|祝|[{_LETTERS}](?:曜日|曜)?\s*[~〜～\-ー−–から]+\s*[{_LETTERS}](?:曜日|曜)?|[{_LETTERS}](?:曜日|曜)?"
)
_BETWEEN: Final = re.compile(f"[{SPACE}・、,，;；/と及びおよび]+")
_NOTE: Final = re.compile(r"[(（].*[)）]$")

_CLOCK: Final = re.compile(r"(\d{1,2})(?::(\d{1,2})(?::(\d{2})(?:\.0+)?)?|時(?:(\d{1,2})分|(半))?)")
_FRACTION: Final = re.compile(r"0?\.\d{1,17}|[01]\.0+")
_LINKDATA: Final = re.compile(r"1899-12-3[01]T(\d\d:\d\d):\d\d(?:\.0+)?Z?")


def weekdays(text: str) -> Reading:
    """Days of the week as schema.org names them, from 月火水木金, 月〜金, 平日, 土日祝 or 毎日.

    Holidays (祝) are PublicHolidays. A note in parentheses is taken off and reported; days are never taken out of prose.
    """
    narrow = unicodedata.normalize("NFKC", text)
    fixes = []
    if note := _NOTE.search(narrow):
        narrow = narrow[: note.start()]
        fixes.append(Fix("note-in-cell", Severity.WARNING))
    found: set[str] = set()
    rest = narrow
    while rest := _BETWEEN.sub("", rest, count=1) if _BETWEEN.match(rest) else rest:
        match = _TOKEN.match(rest)
        if match is None:
            raise Unreadable("not-weekdays", f"{text!r} are no days of the week")
        found |= set(_days(match[0]))
        rest = rest[match.end() :]
    if not found:
        raise Unreadable("not-weekdays", f"{text!r} are no days of the week")
    if not re.fullmatch(f"[{_LETTERS}]+祝?", text):
        fixes.insert(0, Fix("weekday-form"))
    return Reading([day for day in (*DAYS, HOLIDAYS) if day in found], tuple(fixes))


def clock(text: str) -> Reading:
    """A time of the day as HH:MM, 00:00 to 23:59, from 9:00, 22：00, 9時30分 or a spreadsheet's fraction of the day.

    What stands behind a time in another line is a note: taken off and reported.
    """
    return _clock(text, end=False)


def closing_time(text: str) -> Reading:
    """A time of the day as `clock` reads it, that may be 24:00 as the end of a day."""
    return _clock(text, end=True)


def _clock(text: str, *, end: bool) -> Reading:
    narrow = unicodedata.normalize("NFKC", text).strip()
    fixes = []
    first, _, note = narrow.partition("\n")
    if note:
        narrow = first.strip()
        fixes.append(Fix("note-in-cell", Severity.WARNING))
    if match := _LINKDATA.fullmatch(narrow):
        return Reading(match[1], (Fix("spreadsheet-time"), *fixes))
    if _FRACTION.fullmatch(narrow):
        minutes = round(float(narrow) * 1440)
        fixes.append(Fix("spreadsheet-time", Severity.WARNING))
    elif match := _CLOCK.fullmatch(narrow):
        minutes = int(match[1]) * 60 + (30 if match[5] else int(match[2] or match[4] or 0))
        if int(match[2] or match[4] or 0) > 59 or int(match[3] or 0) > 59:
            raise Unreadable("not-a-time", f"{text!r} is no time of the day")
    else:
        raise Unreadable("not-a-time", f"{text!r} is no time of the day")
    if minutes > 1440 or (minutes == 1440 and not end):
        raise Unreadable("not-a-time", f"{text!r} is no time of the day" + ("" if end else " at which a day can begin"))
    value = f"{minutes // 60:02d}:{minutes % 60:02d}"
    if not fixes and value != text:
        fixes.append(Fix("time-form"))
    return Reading(value, tuple(fixes))


def _days(token: str) -> tuple[str, ...]:
    if token in _GROUPS:
        return tuple(_GROUPS[token])
    if token.startswith("祝"):
        return (HOLIDAYS,)
    letters = [letter for letter in re.sub("曜日|曜", "", token) if letter in _LETTERS]
    first, last = _LETTERS.index(letters[0]), _LETTERS.index(letters[-1])
    return DAYS[first : last + 1] if first <= last else DAYS[first:] + DAYS[: last + 1]
