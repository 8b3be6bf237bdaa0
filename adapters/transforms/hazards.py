"""Transforms and derivations of evacuation sites: hazards, kinds of site, safety levels."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from adapters.transforms.reading import Fix, Reading, Severity, Unreadable
from adapters.transforms.text import SPACE

HAZARDS: Final = MappingProxyType(
    {
        "洪水": "flood",
        "崖崩れ、土石流及び地滑り": "landslide",
        "崖崩れ・土石流及び地滑り": "landslide",
        "高潮": "stormSurge",
        "地震": "earthquake",
        "津波": "tsunami",
        "大規模な火事": "greatFire",
        "内水氾濫": "inlandFlood",
        "火山現象": "eruption",
    }
)
"""The eight hazards that a site is designated for, by their names in the Basic Act on Disaster Management."""

HAZARD_ORDER: Final = tuple(dict.fromkeys(HAZARDS.values()))

_SITE_KINDS: Final = MappingProxyType(
    {
        "避難場所": ("evacuationSite",),
        "広域避難場所": ("evacuationSite", "wideAreaEvacuationSite"),
        "避難所を兼ねる避難場所": ("evacuationSite", "designatedShelter"),
        "避難所": ("designatedShelter",),
        "福祉避難所": ("welfareShelter",),
    }
)


def hazard_names(text: str) -> Reading:
    """A list of hazards by name, separated by spaces (U+3000 included), in the order of the Act."""
    names = [name for name in re.split(f"[{SPACE}]+", text) if name]
    unknown = [name for name in names if name not in HAZARDS]
    if unknown:
        raise Unreadable("unknown-hazard", f"{'、'.join(unknown)} is none of the eight hazards")
    return Reading(in_order({HAZARDS[name] for name in names}) or None)


def site_kinds(text: str) -> Reading:
    """避難種別: what a row of a list of evacuation places is."""
    try:
        return Reading(list(_SITE_KINDS[text]))
    except KeyError:
        raise Unreadable("unknown-site-kind", f"{text!r} is no known kind of site") from None


def stars(text: str) -> Reading:
    """☆, ☆☆ or ☆☆☆: a level from 1 to 3, no flag. A note such as （注） is taken off and reported."""
    match = re.fullmatch(f"([☆★]{{1,3}})[{SPACE}]*((?:[（(].*[）)])?)", text)
    if match is None:
        raise Unreadable("not-a-star-level", f"{text!r} is not one to three stars")
    return Reading(len(match[1]), (Fix("note-in-cell", Severity.WARNING),) if match[2] else ())


def hazards_by_suitability(values: Mapping[str, Any]) -> dict[str, Any]:
    """From hazardSuitability to hazardTypes (usable at every scale) and conditionalHazardTypes (usable under conditions).

    A flood that a site stands at one scale only is a condition too.
    """
    marks: dict[str, list[str]] = {}
    for name, mark in values.get("hazardSuitability", {}).items():
        marks.setdefault("flood" if name in ("floodPlanned", "floodMaximum") else name, []).append(mark)
    usable = {hazard for hazard, found in marks.items() if set(found) == {"usable"}}
    conditional = {hazard for hazard, found in marks.items() if set(found) & {"usable", "conditional"}} - usable
    derived = {"hazardTypes": in_order(usable), "conditionalHazardTypes": in_order(conditional)}
    return {name: hazards for name, hazards in derived.items() if hazards}


def shelter_flags(values: Mapping[str, Any]) -> dict[str, Any]:
    """From siteKinds to alsoDesignatedShelter and alsoWelfareShelter."""
    if "siteKinds" not in values:
        return {}
    return {
        "alsoDesignatedShelter": "designatedShelter" in values["siteKinds"],
        "alsoWelfareShelter": "welfareShelter" in values["siteKinds"],
    }


def in_order(hazards: set[str]) -> list[str]:
    """Hazards in the order of the Act, so that the same set is always the same list."""
    return [hazard for hazard in HAZARD_ORDER if hazard in hazards]
