"""Updates of single entities on their way to where the attributes are held: here, or at registered sources (4.3.6, 6.6, 6.7)."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

from broker.http.conditions import with_tag
from broker.http.exchange import Exchange, json_answer, no_content
from broker.http.message import Response
from broker.model.entity import Names
from broker.model.parsing import parse_attribute_fragment, parse_fragment
from broker.model.patches import Patched
from broker.model.preconditions import Precondition
from broker.operations.entities import existing
from broker.operations.sources import Told, Update, distribute
from broker.query.ast import TypeSelection
from broker.query.selection import parse_type_selection

Locally: TypeAlias = Callable[[Mapping[str, Any]], Awaitable[Patched]]
"""Carries out the part of an update that is about the broker's own attributes."""

_NOT_ATTRIBUTES: Final = frozenset({"id", "@id", "type", "@type", "scope", "expiresAt", "@context"})
_NOT_PASSED_ON: Final = frozenset({"type", "local", "splitEntities"})


def type_parameter(exchange: Exchange, names: Any) -> TypeSelection | None:
    """The selection of entity types that the target must meet (4.17)."""
    text = exchange.parameters.text("type")
    return None if text is None else parse_type_selection(text, names)


def requested_update(
    exchange: Exchange,
    operation: str,
    entity_id: str,
    document: Mapping[str, Any],
    names: Names,
    *,
    attribute: str | None = None,
    simplified: bool = False,
) -> Update:
    """An update as it was asked for; `operation` is its name in table 4.20-1."""
    request = exchange.request
    return Update(
        operation=operation,
        method=request.method,
        entity_id=entity_id,
        types=type_parameter(exchange, names),
        document=document,
        names=names,
        headers=request.headers,
        parameters=[(name, value) for name, value in request.query if name not in _NOT_PASSED_ON],
        attribute=None if attribute is None else names.expand(attribute),
        simplified=simplified,
    )


async def distributed(
    exchange: Exchange, update: Update, condition: Precondition, locally: Locally, *, local_only: bool
) -> Response:
    """Carry out an update, and answer: 204, or 207 with what was left undone and why (5.2.18)."""
    broker, told = exchange.broker, Told()
    if update.attribute is not None:
        attributes = [update.attribute]
    else:
        attributes = [update.names.expand(name) for name in update.document if name not in _NOT_ATTRIBUTES]
    concerned = [] if local_only else await broker.sources.concerned(exchange.tenant, update, attributes)
    if concerned:
        await _check(exchange, update, condition)
    respond = exchange.answers(lambda patched: update_result(patched, told))

    async def own_part(part: Mapping[str, Any], so_far: Told) -> Patched:
        nonlocal told
        told = so_far  # before the commit, which may keep the answer
        return await locally(part)

    patched, told = await distribute(broker.sources, exchange.tenant, update, attributes, concerned, own_part)
    return respond(patched)


async def _check(exchange: Exchange, update: Update, condition: Precondition) -> None:
    """What a source need not be asked for: the document is sound, and the condition holds for what is here."""
    if update.attribute is not None:
        parse_attribute_fragment(
            dict(update.document), update.names, update.attribute, partial=update.operation == "updateAttrs"
        )
    elif not update.simplified:
        nulls = update.operation != "appendAttrs"
        parse_fragment(dict(update.document), update.names, entity_id=update.entity_id, allow_null=nulls)
    if condition.if_match is not None or condition.if_none_match is not None:
        current = await exchange.broker.writer.read(exchange.tenant, update.entity_id)
        condition.check(update.entity_id, existing(current, update.entity_id, update.types))


def updated(patched: Patched) -> Response:
    """204, with the tag of the state that an update left."""
    return with_tag(no_content(), patched.entity)


def update_result(patched: Patched, told: Told | None = None) -> Response:
    """204, or 207 with an UpdateResult (5.2.18) in fully qualified names where something was left as it was."""
    told = told or Told()
    if not patched.not_updated and not told.failed:
        return updated(patched)
    left: list[dict[str, str]] = [
        {"attributeName": attribute, "reason": reason} for attribute, reason in patched.not_updated
    ]
    for attribute, (error, registration) in told.failed.items():
        about = {"registrationId": registration} if registration else {}
        left.append({"attributeName": attribute, "reason": error.detail, **about})
    result = {"updated": [*patched.updated, *told.updated], "notUpdated": left}
    return with_tag(json_answer(result, status=207), patched.entity)
