"""What the agency's kinds of warnings are about and how grave they are, in the words of the shared vocabulary.

Kinds are told apart by their names: the codes mean different things in different telegrams, and the names of 2026 (Ｒ０６), with
the alert level in front, end in the old ones. Where the agency says an alert level (1 to 5), that alone decides how grave it is.
"""

import unicodedata
from typing import Final

SUB_CATEGORIES: Final = (
    ("土砂", "landslide"),
    ("高潮", "stormSurge"),
    ("波浪", "badSeaState"),
    ("津波", "tsunami"),
    ("融雪", "snowmelt"),
    ("着氷", "ice"),
    ("着雪", "snow/ice"),
    ("なだれ", "avalancheRisk"),
    ("雪", "snow"),
    ("風", "wind"),
    ("大雨", "rainfall"),
    ("洪水", "flood"),
    ("氾濫", "flood"),
    ("竜巻", "tornado"),
    ("雷", "thunderstorms"),
    ("濃霧", "fog"),
    ("乾燥", "lowHumidity"),
    ("低温", "lowTemperature"),
    ("霜", "frost"),
    ("震", "earthquake"),
)
"""The hazard by what is in a kind's name; the first one that is counts (大雪, 暴風雪 and 風雪 are snow, 竜巻 before 雷)."""

SEVERITY_OF_LEVEL: Final = {5: "critical", 4: "high", 3: "medium", 2: "low", 1: "informational"}
"""Severity, in the words of Smart Data Models, by alert level."""

_SEVERITY_OF_NAME: Final = (
    ("特別警報", "critical"),
    ("氾濫発生", "critical"),
    ("危険", "high"),
    ("土砂災害警戒", "high"),
    ("記録的短時間大雨", "high"),
    ("警報", "medium"),
    ("警戒", "medium"),
    ("注意", "low"),
)


def sub_category(name: str) -> str:
    """The hazard that a kind of warning is about; `other` for one that is not in the table."""
    return next((hazard for part, hazard in SUB_CATEGORIES if part in name), "other")


def severity(name: str, level: int | None) -> str:
    """How grave a kind of warning is: by its alert level if there is one, else by its name."""
    if level is not None:
        return SEVERITY_OF_LEVEL[level]
    return next((grave for part, grave in _SEVERITY_OF_NAME if part in name), "informational")


def severity_of_intensity(intensity: str) -> str:
    """How grave an earthquake is where its seismic intensity is 震度1 to 7, with 5-, 5+, 6- and 6+ (５弱, ５強, …)."""
    digit = unicodedata.normalize("NFKC", intensity)[:1]
    return {"7": "critical", "6": "critical", "5": "high", "4": "medium", "3": "low"}.get(digit, "informational")
