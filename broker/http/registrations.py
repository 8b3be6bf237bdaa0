"""Resources csourceRegistrations/ (6.8, 6.9)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from broker.http.exchange import API_ROOT, Exchange, created, no_content
from broker.http.message import Response
from broker.http.paging import Paging, add_page_headers, page_links, requested_page
from broker.http.parameters import Parameters
from broker.http.queries import query_members
from broker.model.language import parse_language_filter
from broker.model.naming import check_uri
from broker.operations import registrations

if TYPE_CHECKING:
    from broker.contexts.resolved import ResolvedContext

_TEMPORAL: Final = ("timerel", "timeAt", "endTimeAt")


async def register(exchange: Exchange) -> Response:
    """POST /csourceRegistrations: Register Context Source (6.8.3.1)."""
    document, context = await exchange.document()
    answer = exchange.answers(_created)
    registration_id = await registrations.register_context_source(
        exchange.broker, exchange.tenant, document, context.names
    )
    return answer(registration_id)


def _created(registration_id: str) -> Response:
    return created(f"{API_ROOT}/csourceRegistrations/{quote(registration_id, safe=':')}")


async def query(exchange: Exchange) -> Response:
    """GET /csourceRegistrations: Query Context Source Registrations (6.8.3.2)."""
    media_type, context = exchange.accepted(), await exchange.context()
    parameters = exchange.parameters
    options = parameters.options(frozenset({"sysAttrs"}))
    compiled = registrations.compile_discovery(_members(parameters), context.names, exchange.broker.now())
    sizes = exchange.page_sizes
    paging = requested_page(parameters, default=sizes.default, maximum=sizes.maximum)
    found, total = await registrations.query_registrations(
        exchange.broker,
        exchange.tenant,
        compiled,
        context.names,
        limit=paging.limit,
        offset=paging.offset,
        sys_attrs="sysAttrs" in options,
    )
    return await answer_page(exchange, found, total, paging, context, media_type)


async def retrieve(exchange: Exchange) -> Response:
    """GET /csourceRegistrations/{registrationId}: Retrieve Context Source Registration (6.9.3.1)."""
    media_type, context = exchange.accepted(), await exchange.context()
    options = exchange.parameters.options(frozenset({"sysAttrs"}))
    payload = await registrations.retrieve_registration(
        exchange.broker, exchange.tenant, _id(exchange), context.names, sys_attrs="sysAttrs" in options
    )
    return await exchange.answer(payload, context, media_type)


async def update(exchange: Exchange) -> Response:
    """PATCH /csourceRegistrations/{registrationId}: Update Context Source Registration (6.9.3.2)."""
    registration_id = _id(exchange)
    document, context = await exchange.document()
    exchange.answers(lambda _: no_content())
    await registrations.update_registration(exchange.broker, exchange.tenant, registration_id, document, context.names)
    return no_content()


async def delete(exchange: Exchange) -> Response:
    """DELETE /csourceRegistrations/{registrationId}: Delete Context Source Registration (6.9.3.3)."""
    await registrations.delete_registration(exchange.broker, exchange.tenant, _id(exchange))
    return no_content()


async def answer_page(
    exchange: Exchange,
    found: Sequence[Mapping[str, Any]],
    total: int,
    paging: Paging,
    context: "ResolvedContext",
    media_type: str,
) -> Response:
    """One page of a list, with links to its neighbours and the count where it was asked for (6.3.10, 6.3.13)."""
    response = await exchange.answer(list(found), context, media_type)
    more = paging.offset + len(found) < total
    links = page_links(exchange.request.path, exchange.request.query, paging, more=more, media_type=media_type)
    add_page_headers(response.headers, links, total if paging.count else None)
    return response


def _id(exchange: Exchange) -> str:
    return check_uri(exchange.variable("registrationId"), "registrationId")


def _members(parameters: Parameters) -> dict[str, Any]:
    """The URL parameters of table 6.8.3.2-1 as members of a Query (5.2.23)."""
    query = query_members(parameters)
    for name in ("attrs", "pick", "omit", "datasetId"):
        if listed := parameters.names(name):
            query[name] = listed
    if (lang := parameters.text("lang")) is not None:
        parse_language_filter(lang)
    temporal = {name: text for name in _TEMPORAL if (text := parameters.text(name)) is not None}
    if temporal:  # timeproperty alone is ignored
        timeproperty = parameters.text("timeproperty")
        query["temporalQ"] = temporal if timeproperty is None else {**temporal, "timeproperty": timeproperty}
    return query
