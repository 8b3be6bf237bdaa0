"""The columns of a profile: where each goes, and by which transform it is read unless the profile says otherwise.

Most of that is in the vocabulary already: a data model says which column of which layout fills which attribute, and the
schema of the attribute says what it wants to hold.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from datamodels import Attribute, Model, Target

LOCATION_PARTS: Final = ("location.latitude", "location.longitude")
OBSERVED_AT: Final = "observedAt"
"""What a column goes to that says when all of the row was observed."""


@dataclass(frozen=True, slots=True)
class Column:
    """How one column is read: target (attribute, or attribute.member), transform and its options.

    `item`: a true flag adds this item to the target list. `empty`: the value of an empty cell. `fatal`: a row whose cell
    cannot be read is quarantined. `raw`: a cell that had to be mended is kept as published, too. `negated`: the flag says the
    opposite of the attribute.
    """

    name: str
    to: str
    transform: str
    options: Mapping[str, Any] = field(default_factory=dict)
    item: str | None = None
    empty: Any = None
    fatal: bool = False
    raw: bool = False
    negated: bool = False

    attribute: str = field(init=False)
    member: str | None = field(init=False)
    """The attribute that the column is read into, and the member of its value, where the column fills only that."""

    def __post_init__(self) -> None:
        attribute, _, member = self.to.partition(".")
        object.__setattr__(self, "attribute", attribute)
        object.__setattr__(self, "member", member or None)


class Way(NamedTuple):
    """How a target is read: the transform, its options, and what a column says besides."""

    transform: str
    options: Mapping[str, Any] = MappingProxyType({})
    fatal: bool = False
    raw: bool = False


_YES_NO: Final = MappingProxyType({"defined": ("1", "有", "無", "可", "不可")})
_SERIAL: Final = MappingProxyType({"serial": True})
_METRES: Final = MappingProxyType({"units": ("m", "メートル")})

_WAYS: Final[Mapping[str, Way]] = MappingProxyType(
    {
        "acceptedAge": Way("age"),
        "acceptedAge.text": Way("age"),
        "address.abrMachiazaId": Way("machiaza_id"),
        "address.addressText": Way("address"),
        "address.banchi": Way("address"),
        "address.localGovernmentCode": Way("local_government_code"),
        "address.machiaza": Way("address"),
        "address.postalCode": Way("postal_code"),
        "ageDistribution": Way("count"),
        "areaCode": Way("identifier"),
        "childcareHours.closes": Way("closing_time"),
        "childcareHours.opens": Way("clock"),
        "corporateNumber": Way("corporate_number"),
        "diameter": Way("diameter"),
        "elevation": Way("number", _METRES),
        "externalShelterId": Way("identifier"),
        "externalSiteId": Way("identifier"),
        "faxNumber": Way("telephone"),
        "identifier": Way("identifier"),
        "institutionCode": Way("institution_code"),
        "localGovernmentCode": Way("local_government_code", fatal=True),
        "location": Way("geo3x3"),
        "location.latitude": Way("degrees", fatal=True),
        "location.longitude": Way("degrees", fatal=True),
        "location.point": Way("latitude_longitude", fatal=True),
        "maxCapacity": Way("count"),
        "nameKana": Way("katakana"),
        OBSERVED_AT: Way("instant"),
        "officeNumber": Way("office_number"),
        "openingHoursSpecification.closes": Way("closing_time"),
        "openingHoursSpecification.dayOfWeek": Way("weekdays", raw=True),
        "openingHoursSpecification.opens": Way("clock"),
        "poiCode": Way("poi_codes"),
        "quantity.count": Way("number"),
        "stalls": Way("count"),
        "targetAreas": Way("text_list"),
        "telephone": Way("telephone"),
    }
)
"""Targets that their schema alone does not say how to read; an entry for the attribute counts for all of its members."""

_BY_MEMBER: Final[Mapping[str, Way]] = MappingProxyType({"date": Way("day", _SERIAL), "time": Way("closing_time")})
"""The two halves of a date and time, whatever the attribute: 24:00 is the end of its day."""

_WEEKDAY_HOURS: Final[Mapping[str, Way]] = MappingProxyType({"opens": Way("clock"), "closes": Way("closing_time")})


def way_of(model: Model, to: str, *, item: str | None = None) -> Way:
    """How a column is read that goes to `attribute` or `attribute.member`, by the vocabulary."""
    attribute, _, member = to.partition(".")
    if item is not None:
        return Way("flag", _YES_NO)
    if (found := _WAYS.get(to)) is not None:
        return found
    if attribute == "openingHoursSpecification" and member.rpartition(".")[2] in _WEEKDAY_HOURS:
        return _WEEKDAY_HOURS[member.rpartition(".")[2]]
    if member in _BY_MEMBER and attribute in model.attributes:
        return _BY_MEMBER[member]
    if attribute in _WAYS:
        return _WAYS[attribute]
    if member or attribute not in model.attributes:
        return Way("text")
    return _by_schema(model.attributes[attribute])


def column_of(model: Model, name: str, target: Target, changes: Mapping[str, Any]) -> Column:
    """The column as the vocabulary has it (`target`), changed as a profile says."""
    to = target.attribute if target.member is None else f"{target.attribute}.{target.member}"
    to = changes.get("to", to)
    item = changes.get("item", target.item)
    way = way_of(model, to, item=item)
    return Column(
        name=name,
        to=to,
        transform=changes.get("as", way.transform),
        options=MappingProxyType(dict(changes.get("with", way.options if "as" not in changes else {}))),
        item=item,
        empty=changes.get("empty"),
        fatal=changes.get("fatal", way.fatal),
        raw=changes.get("raw", way.raw),
        negated=changes.get("negated", False),
    )


def _by_schema(attribute: Attribute) -> Way:
    """How to read what the attribute's schema wants to hold."""
    schema = attribute.schema
    kind = schema.get("type")
    formats = {schema.get("format"), *(each.get("format") for each in schema.get("anyOf", ()))}
    if kind == "boolean":
        return Way("flag", _YES_NO)
    if kind == "integer":
        return Way("count")
    if kind == "number":
        return Way("number")
    if kind == "array":
        item_format = schema.get("items", {}).get("format")
        return Way("links") if item_format == "uri" else Way("text_list")
    if "date" in formats:
        return Way("day", _SERIAL)
    if "uri" in formats:
        return Way("link")
    return Way("text")
