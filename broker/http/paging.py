"""Pages of a result and the links between them (5.5.9, 6.3.10, 6.3.13).

Links are relative references that repeat the request's parameters, in alphabetical order, with `limit` and `offset`
of the page that they lead to. A `next` link also carries `after`, the id of the entity before the next page: the store
then seeks instead of skipping, so that the last page costs what the first one does, and so that no entity is left out or
shown twice while others are created and deleted. Only links into the first few elements do without it: they show what
5.5.9.2 offers to clients that want to page by themselves. Within an EntityMap every page carries `entityMapPlace` instead:
the map and the place in it, so that a link leads to the same page whatever is removed from the map.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from broker.errors import BadRequestData
from broker.http.parameters import Parameters

PAGING_PARAMETERS: Final = frozenset({"limit", "offset", "count"})
COUNT_HEADER: Final = "NGSILD-Results-Count"
TRANSPARENT: Final = 10
"""From this offset on a `next` link seeks by key."""

MAX_BODY_BYTES: Final = 16 * 1024 * 1024
"""A page of more bytes is cut short, down to one element if need be (5.5.9.1)."""

PLACE: Final = "entityMapPlace"
"""The parameter that says where in which EntityMap a page is."""
_POSITION: Final = frozenset({"limit", "offset", "after", PLACE})
PAGE_PARAMETERS: Final = _POSITION | PAGING_PARAMETERS
"""Those that say which page of a result is shown, and not which result."""
_KEPT: Final = "!$'()*,:@/?~-._="


@dataclass(frozen=True, slots=True)
class Paging:
    """What a client asked for: `limit` elements from `offset` (or behind the id `after`), and whether to count all."""

    limit: int
    offset: int
    count: bool
    after: str | None = None


def requested_page(parameters: Parameters, *, default: int, maximum: int) -> Paging:
    """The paging parameters of a request; a larger limit than `maximum` is lowered to it. Raises BadRequestData."""
    count = parameters.flag("count") or False
    limit = parameters.number("limit", minimum=0)
    offset = parameters.number("offset", minimum=0)
    if limit == 0 and not count:
        raise BadRequestData("limit=0 is only allowed together with count=true")
    after = parameters.text("after") if "after" in parameters else None
    return Paging(default if limit is None else min(limit, maximum), offset or 0, count, after)


def page_links(
    path: str,
    query: Iterable[tuple[str, str]],
    paging: Paging,
    *,
    more: bool,
    media_type: str,
    shown: int | None = None,
    last_id: str | None = None,
) -> list[str]:
    """The `prev` and `next` link values of a page that shows so many elements (a full page, where it is not said).

    `last_id` is the id of the page's last entity, in the default order.
    """
    if paging.limit == 0:
        return []
    links = []
    kept = _kept(query)
    if paging.offset > 0:
        offset = max(0, paging.offset - paging.limit)
        links.append(_link(path, [*kept, *_position(paging.limit, offset)], "prev", media_type))
    if more:
        offset = paging.offset + (paging.limit if shown is None else shown)
        position = _position(paging.limit, offset)
        if last_id is not None and offset >= TRANSPARENT:
            position.append(("after", last_id))
        links.append(_link(path, [*kept, *position], "next", media_type))
    return links


def mapped_links(
    path: str,
    query: Iterable[tuple[str, str]],
    paging: Paging,
    *,
    before: str | None,
    behind: str | None,
    media_type: str,
) -> list[str]:
    """The same for a page from an EntityMap: `before` and `behind` are the places of its neighbours, as far as there are any."""
    kept = _kept(query)
    links = []
    for relation, place, offset in (
        ("prev", before, max(0, paging.offset - paging.limit)),
        ("next", behind, paging.offset + paging.limit),
    ):
        if place is not None:
            links.append(_link(path, [*kept, *_position(paging.limit, offset), (PLACE, place)], relation, media_type))
    return links


def fewer(elements: int, size: int) -> int:
    """How many of so many elements are to be shown where their page has this size in bytes: all of them if it is small."""
    return elements if size <= MAX_BODY_BYTES else max(1, elements * MAX_BODY_BYTES // size)


def add_page_headers(headers: dict[str, str], links: list[str], total: int | None) -> None:
    """Write the links of a page beside the one to the @context, and the number of all elements where it was counted."""
    if links:
        headers["Link"] = ", ".join([*filter(None, [headers.get("Link")]), *links])
    if total is not None:
        headers[COUNT_HEADER] = str(total)


def _kept(query: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in query if name not in _POSITION]


def _position(limit: int, offset: int) -> list[tuple[str, str]]:
    return [("limit", str(limit)), ("offset", str(offset))]


def _link(path: str, query: list[tuple[str, str]], relation: str, media_type: str) -> str:
    text = "&".join([(_short_pair if len(value) <= 256 else _pair)(name, value) for name, value in sorted(query)])
    return f'<{path.rstrip("/")}?{text}>; rel="{relation}"; type="{media_type}"'


def _pair(name: str, value: str) -> str:
    return f"{quote(name, safe='')}={quote(value, safe=_KEPT)}"


_short_pair: Final = lru_cache(maxsize=1024)(_pair)
