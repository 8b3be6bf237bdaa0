"""Cells out of attributes: what the transforms read, written in the spelling that the standard defines."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from adapters.columns import Column
from adapters.transforms import TRANSFORMS
from adapters.transforms.hours import DAYS, HOLIDAYS
from adapters.transforms.reading import Unreadable

_LETTERS: Final = MappingProxyType({**dict(zip(DAYS, "月火水木金土日", strict=True)), HOLIDAYS: "祝"})
_MARKS: Final = MappingProxyType({"usable": "○", "conditional": "△", "unusable": "×"})


def cell(column: Column, value: Any, *, place: int = 0, published: str = "") -> str:
    """The text of a column's cell for the value of its attribute (None: it has none).

    `published` is the cell as it was once read, if that was kept: it is written again while it means what the attribute says.
    `place` is the column's among those of the same attribute.
    """
    part = _part(column, value, place)
    if published and (_empty(part) or _means(column, published, part)):
        return published
    if _empty(part):
        return ""
    return _WRITERS.get(column.transform, _text)(column, part)


def _part(column: Column, value: Any, place: int) -> Any:
    """What of the attribute's value is the column's."""
    if value is None:
        return None
    if column.item is not None:
        return column.item in value or None
    if column.to == "openingHoursSpecification" or column.attribute == "openingHoursSpecification":
        return value[0].get(column.member) if len(value) == 1 and column.member else None
    if column.attribute == "location":
        longitude, latitude = value["coordinates"][:2]
        return {"latitude": latitude, "longitude": longitude, "point": f"{latitude},{longitude}"}.get(
            column.member or ""
        )
    if column.member is None:
        if isinstance(value, list) and column.attribute in ("image", "imageLicense"):
            return value[place] if place < len(value) else None
        return value if place == 0 else None
    if column.attribute == "ageDistribution":
        span, _, sex = column.member.rpartition(".")
        first = int(span.partition("-")[0])
        return next((group.get(sex) for group in value if group["from"] == first), None)
    if isinstance(value, str):
        day, _, clock = value.partition("T")
        return day if column.member == "date" else clock[:5]
    for step in column.member.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _means(column: Column, published: str, part: Any) -> bool:
    """Whether a cell as it was published reads as what the attribute says now."""
    try:
        value = TRANSFORMS[column.transform](published, **column.options).value
    except Unreadable:
        return False
    if column.transform == "age":
        return True
    return bool(value == part)


def _empty(part: Any) -> bool:
    return part is None or part in ("", [], {})


def _flag(column: Column, value: Any) -> str:
    """1 and nothing where the layout defines that, 有 and 無 elsewhere."""
    if column.negated:
        return "0" if value else "1"
    if column.item is not None or tuple(column.options.get("defined", ("1",))) == ("1",):
        return "1" if value else ("" if column.empty is False else "0")
    return "有" if value else "無"


def _text(column: Column, value: Any) -> str:
    if isinstance(value, list):
        return ";".join(map(str, value))
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


_WRITERS: Final[Mapping[str, Callable[[Column, Any], str]]] = MappingProxyType(
    {
        "flag": _flag,
        "links": lambda column, value: " ".join(value),
        "suitability": lambda column, value: _MARKS[value],
        "telephone": lambda column, value: "0" + value.removeprefix("+81"),
        "weekdays": lambda column, value: "".join(_LETTERS[day] for day in value),
    }
)
"""Writers by the transform that reads the same; what has none is its text."""
