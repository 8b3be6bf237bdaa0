"""The named transforms that a profile's columns can use: pure functions from a cell to a value."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from adapters.transforms import ages, codes, derived, flags, hazards, hours, numbers, places, text, times
from adapters.transforms.reading import Transform

TRANSFORMS: Final[Mapping[str, Transform]] = MappingProxyType(
    {
        "address": text.address,
        "age": ages.age,
        "clock": hours.clock,
        "closing_time": hours.closing_time,
        "corporate_number": codes.corporate_number,
        "count": numbers.count,
        "day": times.day,
        "degrees": places.degrees,
        "diameter": numbers.diameter,
        "earthquake_resistance": flags.earthquake_resistance,
        "flag": flags.flag,
        "geo3x3": places.geo3x3,
        "hazard_names": hazards.hazard_names,
        "identifier": codes.identifier,
        "indoor_capacity": numbers.indoor_capacity,
        "instant": times.instant,
        "institution_code": codes.institution_code,
        "katakana": text.katakana,
        "latitude_longitude": places.latitude_longitude,
        "link": text.link,
        "links": text.links,
        "local_government_code": codes.local_government_code,
        "machiaza_id": codes.machiaza_id,
        "municipality_name": codes.municipality_name,
        "number": numbers.number,
        "office_number": codes.office_number,
        "poi_codes": codes.poi_codes,
        "postal_code": codes.postal_code,
        "site_kinds": hazards.site_kinds,
        "stars": hazards.stars,
        "suitability": flags.suitability,
        "telephone": codes.telephone,
        "text": text.text,
        "text_list": text.text_list,
        "weekdays": hours.weekdays,
    }
)
"""Transforms by the name that a column's `as` gives."""


class Derivation(NamedTuple):
    """From a row's values to further values; `attributes` are the ones it can give."""

    derive: Callable[[Mapping[str, Any]], dict[str, Any]]
    attributes: frozenset[str]


DERIVATIONS: Final[Mapping[str, Derivation]] = MappingProxyType(
    {
        "free_of_charge": Derivation(derived.free_of_charge, frozenset(["isAccessibleForFree", "eventPriceFrom"])),
        "national_shelter_id": Derivation(derived.national_shelter_id, frozenset(["nationalShelterId"])),
        "registered_shelter": Derivation(derived.registered_shelter, frozenset(["shelter"])),
        "hazards_by_suitability": Derivation(
            hazards.hazards_by_suitability, frozenset(["hazardTypes", "conditionalHazardTypes"])
        ),
        "shelter_flags": Derivation(hazards.shelter_flags, frozenset(["alsoDesignatedShelter", "alsoWelfareShelter"])),
    }
)
"""Derivations by the name that a profile's `derive` gives."""
