"""Where the rows of a file are: which municipality's they are, and which positions cannot be in it."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any, Final

from datamodels.local_government import local_governments, of_address

_ROWS_AT_LEAST: Final = 20
_FAR_AT_LEAST: Final = 0.25
_SPREADS: Final = 4.0
"""How far from the middle is far: in degrees, and in times of what half of the positions keep within."""
_NEIGHBOURHOOD: Final = 0.1
_SHARE_AT_MOST: Final = 0.05


def municipality_of(rows: Iterable[Mapping[str, Any]]) -> str | None:
    """The municipality that more than half of the addresses begin with, if it is only one.

    A single address proves nothing: 昭和町 is a town in 山梨県 and a part of many cities.
    """
    counts: Counter[str] = Counter()
    total = 0
    for values in rows:
        total += 1
        found = of_address(full_address(values.get("address", {})))
        if len(found) == 1:
            counts[found[0].code] += 1
    code, most = max(counts.items(), key=lambda item: item[1], default=("", 0))
    return code if most * 2 > total else None


def full_address(address: Mapping[str, Any]) -> str:
    """The whole address, or what its parts make."""
    text = address.get("addressText", "")
    parts = (address.get(part, "") for part in ("addressRegion", "addressLocality", "machiaza", "banchi"))
    return str(text) or "".join(map(str, parts))


def name_of(code: str) -> str | None:
    """The name of the local government of that code."""
    government = local_governments().get(code)
    return government.name if government else None


def outliers(points: Sequence[tuple[float, float]]) -> dict[int, float]:
    """Those of a file's positions (latitude, longitude) that are far from all others: how far in degrees, by place in the list.

    Such a position is far from the middle, compared with most, and has no neighbour either, as a remote part of a large
    municipality would have. Where more than a few are like that, the file is of several places, and none of them counts.
    """
    if len(points) < _ROWS_AT_LEAST:
        return {}
    middle = median(point[0] for point in points), median(point[1] for point in points)
    distances = [math.dist(point, middle) for point in points]
    limit = max(_FAR_AT_LEAST, _SPREADS * median(distances))
    far = [place for place, distance in enumerate(distances) if distance > limit]
    if len(far) > max(1.0, _SHARE_AT_MOST * len(points)):
        return {}
    return {place: distances[place] for place in far if _alone(place, points)}


def _alone(place: int, points: Sequence[tuple[float, float]]) -> bool:
    return all(other == place or math.dist(points[place], point) > _NEIGHBOURHOOD for other, point in enumerate(points))


def elsewhere(values: Mapping[str, Any], code: str | None) -> bool:
    """Whether the address of a row names another municipality than the file's, so that it may well be far."""
    found = of_address(full_address(values.get("address", {})))
    return bool(found) and code is not None and code not in {government.code for government in found}
