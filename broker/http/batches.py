"""Resources entityOperations/* (6.14 to 6.17, 6.31): batches of entities."""

from typing import Any

from broker.errors import BadRequestData, NgsiLdError
from broker.http.documents import json_array, json_object
from broker.http.exchange import MIXED_CONTEXTS, Exchange, json_answer, local_scope, no_content
from broker.http.message import Response
from broker.http.negotiation import context_link
from broker.operations import batches
from broker.operations.batches import BatchResult, Element, store_failure


async def create(exchange: Exchange) -> Response:
    """POST entityOperations/create (6.14.3.1): 201 with all ids, or 207."""
    local_scope(exchange.parameters)
    answer = exchange.answers(lambda result: _partial(result) or json_answer(result.created, status=201))
    return answer(await batches.create(exchange.broker, exchange.tenant, await _elements(exchange)))


async def upsert(exchange: Exchange) -> Response:
    """POST entityOperations/upsert (6.15.3.1): 201 with the created ids, 204 if there are none, or 207."""
    local_scope(exchange.parameters)
    options = exchange.parameters.options(frozenset({"replace", "update"}))
    elements = await _elements(exchange)
    answer = exchange.answers(_upserted)
    return answer(await batches.upsert(exchange.broker, exchange.tenant, elements, update="update" in options))


async def update(exchange: Exchange) -> Response:
    """POST entityOperations/update (6.16.3.1)."""
    local_scope(exchange.parameters)
    options = exchange.parameters.options(frozenset({"noOverwrite"}))
    elements = await _elements(exchange)
    overwrite = "noOverwrite" not in options
    answer = exchange.answers(_nothing_or_partial)
    return answer(await batches.update(exchange.broker, exchange.tenant, elements, overwrite=overwrite))


async def merge(exchange: Exchange) -> Response:
    """POST entityOperations/merge (6.31.3.1)."""
    local_scope(exchange.parameters)
    elements = await _elements(exchange)
    answer = exchange.answers(_nothing_or_partial)
    return answer(await batches.merge(exchange.broker, exchange.tenant, elements))


async def delete(exchange: Exchange) -> Response:
    """POST entityOperations/delete (6.17.3.1)."""
    local_scope(exchange.parameters)
    value, _ = exchange.json()
    answer = exchange.answers(_nothing_or_partial)
    return answer(await batches.delete(exchange.broker, exchange.tenant, json_array(value)))


async def _elements(exchange: Exchange) -> list[tuple[Any, Element]]:
    """The entities of the body, each with the names of its own @context, or with the error that it has none."""
    value, is_json_ld = exchange.json()
    if is_json_ld and context_link(exchange.request.headers.get("link")) is not None:
        raise BadRequestData(MIXED_CONTEXTS)
    elements: list[tuple[Any, Element]] = []
    for raw in json_array(value):
        try:
            document, context = await exchange.document_of(json_object(raw, "an element of the array"), is_json_ld)
            elements.append((raw, (document, context.names)))
        except NgsiLdError as error:
            elements.append((raw, error))
    return elements


def _upserted(result: BatchResult) -> Response:
    return _partial(result) or (json_answer(result.created, status=201) if result.created else no_content())


def _nothing_or_partial(result: BatchResult) -> Response:
    return _partial(result) or no_content()


def _partial(result: BatchResult) -> Response | None:
    """207 with what went wrong, None where nothing did."""
    if not result.errors:
        return None
    if (failure := store_failure(result)) is not None:
        raise failure
    return json_answer(result.as_json(), status=207)
