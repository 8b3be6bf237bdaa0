"""Where geometries lie, as quadtree cells: the spatial index of entities (4.7, 4.10).

MongoDB's 2dsphere index refuses a write whose polygon crosses itself or whose longitude is out of range, though both are
legal GeoJSON, and it knows spheres only, where 4.10 compares coordinates as they stand. So each GeoProperty is indexed
by the cells that cover its bounding box. A cell is the path to it in a quadtree over longitude and latitude, one digit
a level ("0" to "3"): a cell lies within another exactly if its path starts with the other's. Strings and a B-tree do
the rest, for points and areas alike.
"""

import math
from typing import Final

from broker.query.geometry import Box

DEPTH: Final = 26
"""Levels of the quadtree: the smallest cell is 0.6 m wide at the equator."""
QUERY_CELLS: Final = 32
"""At most how many cells a search asks for."""


def covering(box: Box) -> list[str]:
    """The cells that a geometry is indexed by: one for a point, up to four that cover the box otherwise."""
    return _cells(box, _level(box))


def searched(box: Box) -> tuple[list[str], list[tuple[str, str]]]:
    """What to look for to find every indexed geometry whose box meets this one.

    The exact paths of the larger cells around, and ranges of paths (first included, second excluded) of the cells in it.
    """
    level = _level(box)
    while level < DEPTH and _count(box, level + 1) <= QUERY_CELLS:
        level += 1
    cells = _cells(box, level)
    around = {cell[:length] for cell in cells for length in range(len(cell))}
    ranges: list[tuple[str, str]] = []
    for cell in sorted(cells):
        if ranges and ranges[-1][1] >= cell:  # right behind the last one, or within it
            ranges[-1] = (ranges[-1][0], max(ranges[-1][1], _end(cell)))
        else:
            ranges.append((cell, _end(cell)))
    return sorted(around), ranges


def _end(cell: str) -> str:
    """The first path behind all that start with `cell`."""
    return cell[:-1] + chr(ord(cell[-1]) + 1) if cell else "4"


def _level(box: Box) -> int:
    """The deepest level on which the box touches at most two columns and two rows of cells."""
    west, south, east, north = box
    extent = max((east - west) / 360, (north - south) / 180)
    return DEPTH if extent <= 2.0**-DEPTH else max(0, min(DEPTH, int(-math.log2(extent))))


def _cells(box: Box, level: int) -> list[str]:
    """Every cell of a level that the box touches. What lies off the map counts as on its edge."""
    columns, rows = _touched(box, level)
    return [_path(x, y, level) for y in rows for x in columns]


def _count(box: Box, level: int) -> int:
    columns, rows = _touched(box, level)
    return len(columns) * len(rows)


def _touched(box: Box, level: int) -> tuple[range, range]:
    """The columns and rows of a level that the box touches."""
    size = 1 << level
    west, south, east, north = box
    return (
        range(_place((west + 180) / 360, size), _place((east + 180) / 360, size) + 1),
        range(_place((south + 90) / 180, size), _place((north + 90) / 180, size) + 1),
    )


def _place(share: float, size: int) -> int:
    return max(0, min(size - 1, math.floor(max(-1.0, min(2.0, share)) * size)))


def _path(x: int, y: int, level: int) -> str:
    """Two bits a digit, from the largest cell to the smallest."""
    return "".join([_DIGITS[(y >> bit & 1) << 1 | (x >> bit & 1)] for bit in range(level - 1, -1, -1)])


_DIGITS: Final = "0123"
