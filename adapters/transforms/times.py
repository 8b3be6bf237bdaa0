"""Transforms of dates and times: the spellings of Japanese tables to ISO 8601, with Japan's time zone where none is given."""

import re
import unicodedata
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final, NamedTuple

from adapters.transforms.reading import Fix, Reading, Severity, Unreadable

JST: Final = timezone(timedelta(hours=9), "JST")
_SERIAL_ORIGIN: Final = date(1899, 12, 30)


class Era(NamedTuple):
    """A Japanese era: how it is written, and its first and last day."""

    names: tuple[str, ...]
    first: date
    last: date


ERAS: Final = (
    Era(("明治", "明", "M"), date(1868, 10, 23), date(1912, 7, 29)),
    Era(("大正", "大", "T"), date(1912, 7, 30), date(1926, 12, 24)),
    Era(("昭和", "昭", "S"), date(1926, 12, 25), date(1989, 1, 7)),
    Era(("平成", "平", "H"), date(1989, 1, 8), date(2019, 4, 30)),
    Era(("令和", "令", "R"), date(2019, 5, 1), date.max),
)

_ERA_NAMES: Final = "|".join(name for era in ERAS for name in era.names)
_ERA_DATE: Final = re.compile(rf"({_ERA_NAMES})\.? *(元|\d{{1,2}}) *[年./-] *(\d{{1,2}}) *[月./-] *(\d{{1,2}})日?")
_YEAR_FIRST: Final = re.compile(r"(\d{4}) *[-/.年] *(\d{1,2}) *[-/.月] *(\d{1,2})日?")
_YEAR_LAST: Final = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})")
_WITH_WEEKDAY: Final = re.compile(r"([^()]*\S) *\(([月火水木金土日])(?:曜日?)?(?:[・,、 ]?祝日?)?\)")
_INSTANT: Final = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})[T ](\d{1,2}):(\d{2})(?::(\d{2}))?(Z|[+-]\d{2}:\d{2})?")

_SPOKEN: Final = re.compile(r"(.*\d日)(午前|午後)?(\d{1,2})時(?:(\d{1,2})分|(半))?(?:現在|時点)?")


def day(text: str, *, month_first: bool = False, serial: bool = False) -> Reading:
    """A date as YYYY-MM-DD, from 2023/4/1, 20150501, 令和5年4月1日, R5.4.1 or 昭32. 7. 1.

    8/1/2023 is read as a date only where the profile says that the month comes first, 45016 (a spreadsheet's serial number)
    only where it says that serials occur. The day of the week behind it, 2024/5/2(木),
    must be that of the date. A date outside its era, or one that no calendar has, is unreadable.
    """
    narrow = unicodedata.normalize("NFKC", text).strip()
    if match := _WITH_WEEKDAY.fullmatch(narrow):
        reading = day(match[1], month_first=month_first, serial=serial)
        if "月火水木金土日"[date.fromisoformat(reading.value).weekday()] != match[2]:
            raise Unreadable("another-weekday", f"{text!r} is a day of the calendar, but another one of the week")
        return Reading(reading.value, reading.fixes or (Fix("date-form"),))
    if match := _YEAR_FIRST.fullmatch(narrow):
        return _day(text, int(match[1]), int(match[2]), int(match[3]), "date-form")
    if match := re.fullmatch(r"(\d{4})(\d{2})(\d{2})", narrow):
        return _day(text, int(match[1]), int(match[2]), int(match[3]), "date-form")
    if match := _ERA_DATE.fullmatch(narrow):
        era = next(era for era in ERAS if match[1] in era.names)
        year = era.first.year - 1 + (1 if match[2] == "元" else int(match[2]))
        reading = _day(text, year, int(match[3]), int(match[4]), "japanese-era")
        if not era.first <= date.fromisoformat(reading.value) <= era.last:
            raise Unreadable("outside-its-era", f"{text!r} is outside the era {era.names[0]}")
        return reading
    if (match := _YEAR_LAST.fullmatch(narrow)) and month_first:
        return _day(text, int(match[3]), int(match[1]), int(match[2]), "month-first-date")
    if serial and re.fullmatch(r"\d{4,5}(\.0)?", narrow):
        found = _SERIAL_ORIGIN + timedelta(days=int(narrow.removesuffix(".0")))
        return Reading(found.isoformat(), (Fix("spreadsheet-serial", Severity.WARNING),))
    raise Unreadable("not-a-date", f"{text!r} is no date that the profile reads")


def instant(text: str) -> Reading:
    """A date and time as a UTC instant (…Z): without a zone it is Japan's time, and 24:00 is 00:00 of the next day."""
    narrow = unicodedata.normalize("NFKC", text).strip()
    if spoken := _SPOKEN.fullmatch(narrow):
        return _spoken_instant(text, spoken)
    match = _INSTANT.fullmatch(narrow)
    if match is None:
        raise Unreadable("not-an-instant", f"{text!r} is no date and time")
    hour, minute, second = int(match[4]), int(match[5]), int(match[6] or 0)
    if hour > 24 or minute > 59 or second > 59 or (hour == 24 and (minute or second)):
        raise Unreadable("not-an-instant", f"{text!r} is no time of a day")
    try:
        midnight = datetime(int(match[1]), int(match[2]), int(match[3]), tzinfo=_zone(match[7]))
        found = (midnight + timedelta(hours=hour, minutes=minute, seconds=second)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Unreadable("not-an-instant", f"{text!r} is no day of the calendar") from None
    return Reading(found.strftime("%Y-%m-%dT%H:%M:%SZ"), (Fix("hour-24"),) if hour == 24 else ())


def midnight(day_text: str) -> str:
    """The UTC instant at which a day (YYYY-MM-DD) begins in Japan."""
    begins = datetime.combine(date.fromisoformat(day_text), datetime.min.time(), JST)
    return begins.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _spoken_instant(text: str, match: re.Match[str]) -> Reading:
    """令和6年1月13日午前6時: the day by `day`, and an hour of half a day (午後) or of a whole one."""
    hour, minute = int(match[3]), 30 if match[5] else int(match[4] or 0)
    if hour > (12 if match[2] else 24) or minute > 59:
        raise Unreadable("not-an-instant", f"{text!r} is no time of a day")
    hour += 12 if match[2] == "午後" and hour < 12 else 0
    reading = day(match[1])
    begins = datetime.combine(date.fromisoformat(reading.value), datetime.min.time(), JST)
    found = (begins + timedelta(hours=hour, minutes=minute)).astimezone(UTC)
    return Reading(found.strftime("%Y-%m-%dT%H:%M:%SZ"), reading.fixes)


def _day(text: str, year: int, month: int, day_of_month: int, rule: str) -> Reading:
    try:
        value = date(year, month, day_of_month).isoformat()
    except ValueError:
        raise Unreadable("not-a-date", f"{text!r} is no day of the calendar") from None
    return Reading(value, () if value == text else (Fix(rule),))


def _zone(text: str | None) -> timezone:
    if text is None:
        return JST
    if text == "Z":
        return UTC
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[4:6]))
    return timezone(-offset if text[0] == "-" else offset)
