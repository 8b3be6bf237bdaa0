"""The named transforms that a profile's columns can use: pure functions from a cell to a value."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from adapters.transforms import codes, flags, hazards, numbers, places, text, times
from adapters.transforms.reading import Transform

TRANSFORMS: Final[Mapping[str, Transform]] = MappingProxyType(
    {
        "address": text.address,
        "count": numbers.count,
        "day": times.day,
        "degrees": places.degrees,
        "earthquake_resistance": flags.earthquake_resistance,
        "flag": flags.flag,
        "geo3x3": places.geo3x3,
        "hazard_names": hazards.hazard_names,
        "identifier": codes.identifier,
        "instant": times.instant,
        "katakana": text.katakana,
        "link": text.link,
        "local_government_code": codes.local_government_code,
        "machiaza_id": codes.machiaza_id,
        "municipality_name": codes.municipality_name,
        "number": numbers.number,
        "postal_code": codes.postal_code,
        "site_kinds": hazards.site_kinds,
        "stars": hazards.stars,
        "suitability": flags.suitability,
        "telephone": codes.telephone,
        "text": text.text,
        "text_list": text.text_list,
    }
)
"""Transforms by the name that a column's `as` gives."""


class Derivation(NamedTuple):
    """From a row's values to further values; `attributes` are the ones it can give."""

    derive: Callable[[Mapping[str, Any]], dict[str, Any]]
    attributes: frozenset[str]


DERIVATIONS: Final[Mapping[str, Derivation]] = MappingProxyType(
    {
        "hazards_by_suitability": Derivation(
            hazards.hazards_by_suitability, frozenset(["hazardTypes", "conditionalHazardTypes"])
        ),
        "shelter_flags": Derivation(hazards.shelter_flags, frozenset(["alsoDesignatedShelter", "alsoWelfareShelter"])),
    }
)
"""Derivations by the name that a profile's `derive` gives."""
