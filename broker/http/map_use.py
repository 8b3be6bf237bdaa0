"""What requests say about EntityMaps, and what their answers do (6.4.3.2, 6.4.3.3, 6.5.3.1, 6.18.3.2, 6.23, 6.24)."""

from dataclasses import replace
from typing import Any, Final, TypeVar
from urllib.parse import quote, unquote, urlsplit

from broker.errors import BadRequestData
from broker.federation.entity_map import Mark, Place, lifetime, read_mark
from broker.http.exchange import API_ROOT, Exchange
from broker.http.message import Response
from broker.http.paging import PLACE, Paging, add_page_headers, mapped_links
from broker.http.parameters import Parameters
from broker.model.naming import check_uri
from broker.operations.entity_maps import MappedPage, MapUse, map_of_one

T = TypeVar("T")

ENTITY_MAP_HEADER: Final = "NGSILD-EntityMap"
_RESOURCE: Final = "/entityMaps/"


def map_members(parameters: Parameters) -> dict[str, Any]:
    """`entityMap` and `entityMapLifetime` as members of a Query (5.2.23)."""
    members: dict[str, Any] = {}
    if (wanted := parameters.flag("entityMap")) is not None:
        members["entityMap"] = wanted
    if (suggested := parameters.text("entityMapLifetime")) is not None:
        members["entityMapLifetime"] = suggested
    return members


def requested_map(exchange: Exchange, query: dict[str, Any]) -> MapUse | None:
    """What a request wants with a map; None for nothing. Raises BadRequestData.

    The header counts more than the link to a page that was followed. A lifetime is only for a map that is created.
    """
    seconds = lifetime(query.get("entityMapLifetime"))
    named = named_map(exchange)
    mark = _mark(exchange.parameters)
    if named is None and mark is None and not query.get("entityMap"):
        return None
    return MapUse(named or (None if mark is None else mark.map_id), mark, seconds)


def named_map(exchange: Exchange) -> str | None:
    """The id of the map that the header refers to: by its path, as answers do, by a URL, or by the id itself."""
    value = exchange.request.headers.get(ENTITY_MAP_HEADER.lower())
    if value is None:
        return None
    reference = value.strip()
    try:
        path = urlsplit(reference).path
    except ValueError:
        path = ""
    _, found, segment = path.rpartition(_RESOURCE)
    return check_uri(unquote(segment) if found else reference, ENTITY_MAP_HEADER)


def _mark(parameters: Parameters) -> Mark | None:
    text = parameters.text(PLACE)
    if text is None:
        return None
    mark = read_mark(text)
    if mark is None:
        raise BadRequestData(f"{PLACE}: {text!r} is not from a link to a page of an EntityMap")
    check_uri(mark.map_id, PLACE)
    return mark


def splits_entities(parameters: Parameters, query: dict[str, Any]) -> bool:
    """Whether entities are to be expected whose parts are with different sources; never within the local scope (6.3.18)."""
    split = parameters.flag("splitEntities")
    local = parameters.flag("local") or any(entry.get("type") == "*" for entry in query.get("entities", ()))
    return bool(query.get("splitEntities") if split is None else split) and not local


def with_map(
    exchange: Exchange, response: Response, mapped: MappedPage[T], paging: Paging, media_type: str
) -> Response:
    """The answer to a query with the map that it used, and with links to the pages around. 201 where the map is new."""
    page, map_id = mapped.page, mapped.entity_map.id
    links = mapped_links(
        exchange.request.path,
        exchange.request.query,
        replace(paging, offset=page.offset),
        before=_link_place(map_id, page.before, ahead=False),
        behind=_link_place(map_id, page.behind, ahead=True),
        media_type=media_type,
    )
    add_page_headers(response.headers, links, mapped.total)
    if mapped.created and response.status == 200:
        response.status = 201
    return with_map_header(response, map_id)


async def with_map_of(exchange: Exchange, response: Response, use: MapUse | None, entity_id: str) -> Response:
    """The answer to the retrieval of an entity with the map that it used. Its tables know of no 201 (6.5.3.1, 6.19.3.1)."""
    if use is None:
        return response
    return with_map_header(response, (await map_of_one(exchange.broker, exchange.tenant, use, entity_id)).id)


def with_map_header(response: Response, map_id: str) -> Response:
    """The answer with the location of a map."""
    response.headers[ENTITY_MAP_HEADER] = f"{API_ROOT}{_RESOURCE}{quote(map_id, safe=':')}"
    return response


def _link_place(map_id: str, place: Place | None, *, ahead: bool) -> str | None:
    return None if place is None else Mark(map_id, ahead, place).text()
