"""Resources entities/{entityId} and below (6.4.3.1, 6.5, 6.6, 6.7): single entities and their attributes."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from broker.errors import BadRequestData, InvalidRequest, ResourceNotFound
from broker.http.conditions import not_modified, tag_shown, with_tag
from broker.http.distribution import distributed, requested_update, type_parameter, updated
from broker.http.exchange import (
    API_ROOT,
    ENTITY_TYPES,
    Exchange,
    check_join_parameters,
    created,
    local_scope,
    no_content,
)
from broker.http.map_use import map_members, requested_map, with_map_of
from broker.http.message import Response
from broker.http.negotiation import GEO_JSON
from broker.http.rendering import render_entities, render_entity
from broker.model.attributes import is_language_tag
from broker.model.entity import Entity, JsonObject, Names
from broker.model.members import RESERVED
from broker.model.naming import check_instant, check_name, check_uri
from broker.model.patches import Patched
from broker.model.preconditions import Precondition
from broker.model.representation import View
from broker.operations import entities
from broker.operations.queries import compile_view

AttributeOperation: TypeAlias = Callable[..., Awaitable[Patched]]
"""An operation on one attribute with a document: see `broker.operations.entities`."""

SIMPLIFIED: Final = frozenset({"keyValues", "simplified"})
NO_WISHES: Final[JsonObject] = {}
NORMALIZED: Final = View()
"""How an entity is shown to a client that asks for nothing."""
REPRESENTATIONS: Final = frozenset({"normalized", "concise", "keyValues", "simplified", "sysAttrs"})


async def create(exchange: Exchange) -> Response:
    """POST /entities: Create Entity (6.4.3.1)."""
    local_scope(exchange.parameters)
    condition = exchange.precondition()
    document, context = await exchange.document()
    answer = exchange.answers(_created)
    return answer(await entities.create_entity(exchange.broker, exchange.tenant, document, context.names, condition))


async def retrieve(exchange: Exchange) -> Response:
    """GET /entities/{entityId}: Retrieve Entity (6.5.3.1)."""
    parameters = exchange.parameters
    media_type = exchange.accepted(ENTITY_TYPES)
    context = await exchange.context()
    entity_id = check_uri(exchange.variable("entityId"), "entityId")
    if parameters or "prefer" in exchange.request.headers:
        query, view = _wishes(exchange, media_type, context.names)
    else:
        query, view = NO_WISHES, NORMALIZED
    use = requested_map(exchange, map_members(parameters))
    condition = exchange.precondition()
    types = type_parameter(exchange, context.names)
    entity, settled = await entities.retrieve(exchange.broker, exchange.tenant, entity_id, types)
    if "attrs" in parameters:
        wanted = {context.names.expand(name) for name in parameters.names("attrs")}
        if wanted.isdisjoint(entity["attrs"]):
            raise ResourceNotFound(f"{entity_id} has none of the attributes asked for", instance=entity_id)
    contained_by = query.get("containedBy", [])
    if view.join == "flat":
        shown = await render_entities(exchange, [entity], context, view, media_type, contained_by)
    else:
        shown = await render_entity(exchange, entity, context, view, media_type, contained_by)
    if not shown.payload:
        raise ResourceNotFound(f"{entity_id} has nothing of what pick and omit leave (5.7.1)", instance=entity_id)
    response = await exchange.answer_entities(shown, context, media_type)
    if settled:
        if condition.if_match is not None:
            Precondition(condition.if_match).check(entity_id, entity)
        response.headers["ETag"] = tag = tag_shown(entity, response)
        if condition.if_none_match is not None and not_modified(condition.if_none_match, tag):
            response = Response(304, {"ETag": tag})
    return await with_map_of(exchange, response, use, entity_id)


def _wishes(exchange: Exchange, media_type: str, names: Names) -> tuple[JsonObject, View]:
    """What a retrieval says of the form of its answer, as members of a Query (5.2.23), and the view that they make."""
    parameters = exchange.parameters
    local_scope(parameters)
    if "geometryProperty" in parameters and media_type != GEO_JSON:
        raise BadRequestData("geometryProperty needs Accept: application/geo+json")
    query = projection_members(exchange)
    options = parameters.options(REPRESENTATIONS)
    view = compile_view(
        query,
        names,
        representation=parameters.representation(options),
        sys_attrs="sysAttrs" in options,
        version=exchange.version(),
    )
    return query, view


async def delete(exchange: Exchange) -> Response:
    """DELETE /entities/{entityId}: Delete Entity (6.5.3.2)."""
    local_scope(exchange.parameters)
    condition = exchange.precondition()
    types = type_parameter(exchange, (await exchange.context()).names)
    await entities.delete(exchange.broker, exchange.tenant, exchange.variable("entityId"), types, condition)
    return no_content()


async def replace(exchange: Exchange) -> Response:
    """PUT /entities/{entityId}: Replace Entity (6.5.3.3)."""
    local_scope(exchange.parameters)
    entity_id = check_uri(exchange.variable("entityId"), "entityId")
    condition = exchange.precondition()
    document, context = await exchange.document()
    types = type_parameter(exchange, context.names)
    await entities.replace(exchange.broker, exchange.tenant, entity_id, document, context.names, types, condition)
    return no_content()


async def merge(exchange: Exchange) -> Response:
    """PATCH /entities/{entityId}: Merge Entity (6.5.3.4)."""
    parameters = exchange.parameters
    local_only = local_scope(parameters)
    entity_id = check_uri(exchange.variable("entityId"), "entityId")
    observed_at, lang = parameters.text("observedAt"), parameters.text("lang")
    if observed_at is not None:
        observed_at = check_instant(observed_at, "observedAt")
    if lang is not None and not is_language_tag(lang):
        raise BadRequestData(f"lang: not a language tag: {lang!r} (6.5.3.4)")
    representation = parameters.representation(parameters.options(SIMPLIFIED))
    if "format" in parameters and representation != "simplified":
        raise InvalidRequest("format: only simplified (or keyValues) changes how a merge reads its body (6.5.3.4)")
    condition = exchange.precondition()
    document, context = await exchange.document()
    simplified = representation == "simplified"

    async def locally(part: Mapping[str, Any]) -> Patched:
        return await entities.merge(
            exchange.broker,
            exchange.tenant,
            entity_id,
            dict(part),
            context.names,
            type_parameter(exchange, context.names),
            condition,
            simplified=simplified,
            observed_at=observed_at,
            lang=lang,
        )

    update = requested_update(exchange, "mergeEntity", entity_id, document, context.names, simplified=simplified)
    return await distributed(exchange, update, condition, locally, local_only=local_only)


async def append_attributes(exchange: Exchange) -> Response:
    """POST /entities/{entityId}/attrs: Append Attributes (6.6.3.1)."""
    local_only = local_scope(exchange.parameters)
    options = exchange.parameters.options(frozenset({"noOverwrite"}))
    entity_id = check_uri(exchange.variable("entityId"), "entityId")
    condition = exchange.precondition()
    document, context = await exchange.document()

    async def locally(part: Mapping[str, Any]) -> Patched:
        return await entities.append(
            exchange.broker,
            exchange.tenant,
            entity_id,
            dict(part),
            context.names,
            type_parameter(exchange, context.names),
            condition,
            overwrite="noOverwrite" not in options,
        )

    update = requested_update(exchange, "appendAttrs", entity_id, document, context.names)
    return await distributed(exchange, update, condition, locally, local_only=local_only)


async def update_attributes(exchange: Exchange) -> Response:
    """PATCH /entities/{entityId}/attrs: Update Attributes (6.6.3.2)."""
    local_only = local_scope(exchange.parameters)
    entity_id = check_uri(exchange.variable("entityId"), "entityId")
    condition = exchange.precondition()
    document, context = await exchange.document()
    types = type_parameter(exchange, context.names)

    async def locally(part: Mapping[str, Any]) -> Patched:
        return await entities.update(
            exchange.broker, exchange.tenant, entity_id, dict(part), context.names, types, condition
        )

    update = requested_update(exchange, "updateEntity", entity_id, document, context.names)
    return await distributed(exchange, update, condition, locally, local_only=local_only)


async def update_attribute(exchange: Exchange) -> Response:
    """PATCH /entities/{entityId}/attrs/{attrId}: Partial Attribute Update (6.7.3.1)."""
    return await _with_attribute_document(exchange, "updateAttrs", entities.update_attribute)


async def replace_attribute(exchange: Exchange) -> Response:
    """PUT /entities/{entityId}/attrs/{attrId}: Replace Attribute (6.7.3.3)."""
    response = await _with_attribute_document(exchange, "replaceAttrs", entities.replace_one_attribute)
    return response if response.status == 207 else no_content()


async def _with_attribute_document(exchange: Exchange, name: str, operation: AttributeOperation) -> Response:
    local_only = local_scope(exchange.parameters)
    entity_id = check_uri(exchange.variable("entityId"), "entityId")
    attribute = attribute_variable(exchange)
    if attribute == "scope":
        raise BadRequestData("scope is not an attribute that can be updated by itself (5.6.4, 5.6.19)")
    condition = exchange.precondition()
    document, context = await exchange.document()
    types = type_parameter(exchange, context.names)

    async def locally(part: Mapping[str, Any]) -> Patched:
        return await operation(
            exchange.broker, exchange.tenant, entity_id, attribute, dict(part), context.names, types, condition
        )

    update = requested_update(exchange, name, entity_id, document, context.names, attribute=attribute)
    return await distributed(exchange, update, condition, locally, local_only=local_only)


async def delete_attribute(exchange: Exchange) -> Response:
    """DELETE /entities/{entityId}/attrs/{attrId}: Delete Attribute (6.7.3.2)."""
    parameters = exchange.parameters
    local_scope(parameters)
    entity_id = check_uri(exchange.variable("entityId"), "entityId")
    attribute = attribute_variable(exchange)
    condition = exchange.precondition()
    names = (await exchange.context()).names
    dataset_id = parameters.text("datasetId")
    if dataset_id == "@none":
        dataset_id = None
    elif dataset_id is not None:
        check_uri(dataset_id, "datasetId")
    patched = await entities.remove_attribute(
        exchange.broker,
        exchange.tenant,
        entity_id,
        attribute if attribute == "scope" else names.expand(attribute),
        type_parameter(exchange, names),
        condition,
        dataset_id=dataset_id,
        delete_all=parameters.flag("deleteAll") or False,
    )
    return updated(patched)


def _created(entity: Entity) -> Response:
    return with_tag(created(f"{API_ROOT}/entities/{quote(entity['id'], safe=':')}"), entity)


def attribute_variable(exchange: Exchange) -> str:
    """The attribute name in the path: a name (4.6.2) or an IRI, or `scope`. Raises BadRequestData."""
    name = check_name(exchange.variable("attrId"))
    if name in RESERVED and name != "scope":
        raise BadRequestData(f"{name}: a term of the core @context is not an attribute name here (4.5.1)")
    return name


def projection_members(exchange: Exchange) -> dict[str, Any]:
    """The parameters of a request that shape the entities it shows, as members of a Query (5.2.23)."""
    parameters = exchange.parameters
    query: dict[str, Any] = {}
    for name in ("pick", "omit"):
        if (text := parameters.text(name)) is not None:
            query[name] = [text]  # braces may hold commas: the projection's own parser splits it (4.21)
    for name in ("attrs", "datasetId", "containedBy"):
        if elements := parameters.names(name):
            query[name] = elements
    if (lang := parameters.text("lang")) is not None:
        query["lang"] = lang
    join, level = check_join_parameters(parameters)
    if join is not None:
        query["join"], query["joinLevel"] = join, level
    return query
