"""Resources jsonldContexts/ (6.29, 6.30): the broker's library of @contexts."""

from urllib.parse import quote

from broker.http.documents import json_object
from broker.http.exchange import API_ROOT, Exchange, created, json_answer, no_content
from broker.http.message import Response, json_body
from broker.operations import contexts


async def add(exchange: Exchange) -> Response:
    """POST /jsonldContexts: Add @context (6.29.3.1)."""
    value, _ = exchange.json()
    context_id = await contexts.add_context(exchange.broker, json_object(value), tenant=exchange.tenant)
    return created(f"{API_ROOT}/jsonldContexts/{quote(context_id, safe=':')}")


async def list_all(exchange: Exchange) -> Response:
    """GET /jsonldContexts: List @contexts (6.29.3.2). The list is plain JSON, whichever acceptable type is preferred."""
    exchange.accepted()
    kind = exchange.parameters.text("kind")
    details = exchange.parameters.flag("details") or False
    found = await contexts.list_contexts(exchange.broker, kind=kind, details=details, tenant=exchange.tenant)
    return json_answer(found)


async def serve(exchange: Exchange) -> Response:
    """GET /jsonldContexts/{contextId}: Serve @context (6.30.3.1)."""
    context_id = exchange.variable("contextId")
    media_type = exchange.accepted()
    if exchange.parameters.flag("details"):
        return json_answer(await contexts.describe_context(exchange.broker, context_id, tenant=exchange.tenant))
    document = await contexts.serve_context(exchange.broker, context_id, tenant=exchange.tenant)
    return Response(200, {"Content-Type": media_type}, json_body(document))


async def delete(exchange: Exchange) -> Response:
    """DELETE /jsonldContexts/{contextId}: Delete and Reload @context (6.30.3.2)."""
    context_id = exchange.variable("contextId")
    reload = exchange.parameters.flag("reload") or False
    await contexts.delete_context(exchange.broker, context_id, reload=reload, tenant=exchange.tenant)
    return no_content()
