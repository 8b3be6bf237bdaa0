"""Transforms of ages: whom a facility for children takes, as a range in months."""

import re
import unicodedata
from typing import Final

from adapters.transforms.reading import Fix, Reading

_AGE: Final = r"(?:満|生後)?(?:(\d{1,2})歳)?(?:(\d{1,3})(?:か月|ヶ月|ヵ月|カ月|ケ月|箇月|月))?(?:児)?"
_FROM: Final = re.compile(f"{_AGE}(?:から|以上|~|〜|-)")
_RANGE: Final = re.compile(f"{_AGE}(?:から|以上|~|〜|-|、)+{_AGE}(?:まで|以下)?(?:児)?")


def age(text: str) -> Reading:
    """The ages that 4歳から or 6か月～5歳 say, in months and as published; 5歳 as an end is all of that year.

    An age that is said in another way is kept as published only, and reported.
    """
    narrow = re.sub(r"\s", "", unicodedata.normalize("NFKC", text))
    value: dict[str, object] = {"text": text}
    if (match := _FROM.fullmatch(narrow)) and _said(match[1], match[2]):
        value["fromMonths"] = _months(match[1], match[2])
    elif (match := _RANGE.fullmatch(narrow)) and _said(match[1], match[2]) and _said(match[3], match[4]):
        first, last = _months(match[1], match[2]), _months(match[3], match[4])
        last += 11 if match[4] is None else 0
        if first > last:
            return Reading(value, (Fix("age-not-understood"),))
        value |= {"fromMonths": first, "toMonths": last}
    else:
        return Reading(value, (Fix("age-not-understood"),))
    return Reading(value)


def _said(years: str | None, months: str | None) -> bool:
    return years is not None or months is not None


def _months(years: str | None, months: str | None) -> int:
    return int(years or 0) * 12 + int(months or 0)
