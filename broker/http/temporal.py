"""Resources temporal/entities and below (6.18 to 6.22), and temporal/entityOperations/query (6.24)."""

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from broker.errors import BadRequestData, InvalidRequest
from broker.http.entities import attribute_variable
from broker.http.exchange import API_ROOT, Exchange, Rendered, created, local_scope, no_content
from broker.http.map_use import map_members, requested_map, splits_entities, with_map, with_map_of
from broker.http.message import Response
from broker.http.paging import add_page_headers, page_links, requested_page
from broker.http.parameters import Parameters
from broker.http.queries import query_members
from broker.model.entity import Names
from broker.model.evolution import SCOPE
from broker.model.naming import check_uri
from broker.operations import temporal
from broker.operations.evolutions import (
    TemporalPage,
    query_evolutions,
    query_with_map,
    retrieve_evolution,
)
from broker.operations.queries import check_every_type, check_query
from broker.operations.temporal_request import TemporalRequest, compile_retrieval, compile_temporal_query

if TYPE_CHECKING:
    from broker.contexts.resolved import ResolvedContext

FORMATS: Final = ("temporalValues", "aggregatedValues")
"""Temporal representations besides the normalized one (6.3.12)."""
_OPTIONS: Final = frozenset({"sysAttrs", "count", *FORMATS})


async def create(exchange: Exchange) -> Response:
    """POST /temporal/entities: Create or Update Temporal Evolution of an Entity (6.18.3.1)."""
    local_scope(exchange.parameters)
    document, context = await exchange.document()
    entity_id, is_new = await temporal.create_or_update_evolution(
        exchange.broker, exchange.tenant, document, context.names
    )
    return created(f"{API_ROOT}/temporal/entities/{quote(entity_id, safe=':')}") if is_new else no_content()


async def query(exchange: Exchange) -> Response:
    """GET /temporal/entities: Query Temporal Evolution of Entities (6.18.3.2)."""
    return await _queried(exchange, *await request_of(exchange))


async def query_by_post(exchange: Exchange) -> Response:
    """POST /temporal/entityOperations/query (6.24.3.1)."""
    return await _queried(exchange, *await posted_request(exchange))


async def retrieve(exchange: Exchange) -> Response:
    """GET /temporal/entities/{entityId}: Retrieve Temporal Evolution of an Entity (6.19.3.1)."""
    media_type = exchange.accepted()
    context = await exchange.context()
    entity_id = check_uri(exchange.variable("entityId"), "entityId")
    local_scope(exchange.parameters)
    representation, sys_attrs = _representation(exchange.parameters)
    request = compile_retrieval(
        _shaping(exchange.parameters), context.names, representation, sys_attrs=sys_attrs, version=exchange.version()
    )
    use = requested_map(exchange, map_members(exchange.parameters))
    page = await retrieve_evolution(
        exchange.broker, exchange.tenant, entity_id, request, context.names, exchange.page_sizes.temporal
    )
    response = await _answer(exchange, page, page.documents[0], context, media_type)
    return await with_map_of(exchange, response, use, entity_id)


async def delete(exchange: Exchange) -> Response:
    """DELETE /temporal/entities/{entityId}: Delete Temporal Evolution of an Entity (6.19.3.2)."""
    local_scope(exchange.parameters)
    await temporal.delete_evolution(exchange.broker, exchange.tenant, exchange.variable("entityId"))
    return no_content()


async def add_attributes(exchange: Exchange) -> Response:
    """POST /temporal/entities/{entityId}/attrs: Add Attributes to Temporal Evolution of an Entity (6.20.3.1)."""
    local_scope(exchange.parameters)
    entity_id = check_uri(exchange.variable("entityId"), "entityId")
    document, context = await exchange.document()
    await temporal.add_attributes(exchange.broker, exchange.tenant, entity_id, document, context.names)
    return no_content()


async def delete_attribute(exchange: Exchange) -> Response:
    """DELETE /temporal/entities/{entityId}/attrs/{attrId} (6.21.3.1)."""
    parameters = exchange.parameters
    local_scope(parameters)
    entity_id = check_uri(exchange.variable("entityId"), "entityId")
    attribute = _attribute(exchange, (await exchange.context()).names)
    dataset_id = parameters.text("datasetId")
    if dataset_id == "@none":
        dataset_id = None
    elif dataset_id is not None:
        check_uri(dataset_id, "datasetId")
    await temporal.delete_attribute(
        exchange.broker,
        exchange.tenant,
        entity_id,
        attribute,
        dataset_id=dataset_id,
        delete_all=parameters.flag("deleteAll") or False,
    )
    return no_content()


async def modify_instance(exchange: Exchange) -> Response:
    """PATCH /temporal/entities/{entityId}/attrs/{attrId}/{instanceId}: Modify Attribute Instance (6.22.3.1)."""
    local_scope(exchange.parameters)
    entity_id, instance_id = _instance(exchange)
    document, context = await exchange.document()
    attribute = _attribute(exchange, context.names)
    await temporal.modify_instance(
        exchange.broker, exchange.tenant, entity_id, attribute, instance_id, document, context.names
    )
    return no_content()


async def delete_instance(exchange: Exchange) -> Response:
    """DELETE /temporal/entities/{entityId}/attrs/{attrId}/{instanceId}: Delete Attribute Instance (6.22.3.2)."""
    local_scope(exchange.parameters)
    entity_id, instance_id = _instance(exchange)
    attribute = _attribute(exchange, (await exchange.context()).names)
    await temporal.delete_instance(exchange.broker, exchange.tenant, entity_id, attribute, instance_id)
    return no_content()


def _attribute(exchange: Exchange, names: Names) -> str:
    """The attribute of the path, expanded; the scope is one here (4.5.6)."""
    name = attribute_variable(exchange)
    return SCOPE if name == SCOPE else names.expand(name)


def _instance(exchange: Exchange) -> tuple[str, str]:
    """The entity id and the instance id of the path."""
    entity_id = check_uri(exchange.variable("entityId"), "entityId")
    return entity_id, check_uri(exchange.variable("instanceId"), "instanceId")


def _shaping(parameters: Parameters) -> dict[str, Any]:
    """The parameters that say what is shown of entities, and of which time, as members of a Query (5.2.23)."""
    members: dict[str, Any] = {}
    for name in ("pick", "omit"):
        if (text := parameters.text(name)) is not None:
            members[name] = [text]
    for name in ("attrs", "datasetId"):
        if elements := parameters.names(name):
            members[name] = elements
    if (lang := parameters.text("lang")) is not None:
        members["lang"] = lang
    temporal_query: dict[str, Any] = {
        name: text
        for name in ("timerel", "timeAt", "endTimeAt", "timeproperty", "aggrPeriodDuration")
        if (text := parameters.text(name)) is not None
    }
    if methods := parameters.names("aggrMethods"):
        temporal_query["aggrMethods"] = methods
    if (last_n := parameters.number("lastN", minimum=1)) is not None:
        temporal_query["lastN"] = last_n
    return members | ({"temporalQ": temporal_query} if temporal_query else {})


def _representation(parameters: Parameters) -> tuple[str | None, bool]:
    """The temporal representation that `format`, or else `options`, asks for, and whether with system attributes."""
    options = parameters.options(_OPTIONS)
    wanted = parameters.text("format")
    if wanted is not None and wanted not in FORMATS:
        raise InvalidRequest(f"format={wanted} is not one of {', '.join(FORMATS)}")
    if options.issuperset(FORMATS):
        raise InvalidRequest(f"options: only one of {', '.join(FORMATS)} at a time (6.3.12)")
    return wanted or next((each for each in FORMATS if each in options), None), "sysAttrs" in options


async def request_of(exchange: Exchange) -> "tuple[dict[str, Any], ResolvedContext]":
    """The Query (5.2.23) that the parameters of a GET request make, and its @context."""
    parameters = exchange.parameters
    context = await exchange.context()
    return {**query_members(parameters), **_shaping(parameters), **map_members(parameters)}, context


async def posted_request(exchange: Exchange) -> "tuple[dict[str, Any], ResolvedContext]":
    """The Query in the body of a POST request, and its @context."""
    document, context = await exchange.document()
    check_query(document)
    for member in ("join", "joinLevel", "containedBy"):
        if document.get(member, "@none") != "@none":
            raise BadRequestData(f"{member}: only for the current state of entities (5.2.23)")
    return document, context


def compiled_request(exchange: Exchange, query: dict[str, Any], context: "ResolvedContext") -> TemporalRequest:
    """What a Query asks for. Raises BadRequestData, InvalidRequest."""
    check_every_type(query, exchange.parameters.flag("local"))
    representation, sys_attrs = _representation(exchange.parameters)
    if exchange.request.method == "POST" and representation is None and _aggregates(query):
        representation = "aggregatedValues"  # a body that brings aggregation methods has no other use for them
    return compile_temporal_query(
        query,
        context.names,
        exchange.broker.now(),
        representation,
        sys_attrs=sys_attrs,
        local=local_scope(exchange.parameters),
        version=exchange.version(),
    )


async def _queried(exchange: Exchange, query: dict[str, Any], context: "ResolvedContext") -> Response:
    broker, tenant, parameters = exchange.broker, exchange.tenant, exchange.parameters
    media_type = exchange.accepted()
    request = compiled_request(exchange, query, context)
    sizes = exchange.page_sizes
    paging = requested_page(parameters, default=sizes.default, maximum=sizes.maximum)
    use = requested_map(exchange, query)
    if use is not None:
        page, mapped = await query_with_map(
            broker,
            tenant,
            request,
            context.names,
            sizes.temporal,
            use,
            split=splits_entities(parameters, query),
            limit=paging.limit,
            offset=paging.offset,
            count=paging.count,
        )
        response = await _answer(exchange, page, page.documents, context, media_type)
        return with_map(exchange, response, mapped, paging, media_type)
    page = await query_evolutions(
        broker,
        tenant,
        request,
        context.names,
        sizes.temporal,
        limit=paging.limit,
        offset=paging.offset,
        count=paging.count,
    )
    response = await _answer(exchange, page, page.documents, context, media_type)
    links = page_links(exchange.request.path, exchange.request.query, paging, more=page.more, media_type=media_type)
    add_page_headers(response.headers, links, page.total)
    return response


def _aggregates(query: dict[str, Any]) -> bool:
    return "aggrParams" in query or "aggrMethods" in query.get("temporalQ", {})


async def _answer(
    exchange: Exchange, page: TemporalPage, payload: Any, context: "ResolvedContext", media_type: str
) -> Response:
    """200, 203 where it is amended for an earlier version, or 206 with the Content-Range of what is shown (6.3.10)."""
    shown = Rendered(payload, page.version, page.altered)
    if page.content_range is None:
        return await exchange.answer_entities(shown, context, media_type)
    response = await exchange.answer_entities(shown, context, media_type, status=206)
    response.headers["Content-Range"] = page.content_range
    return response
