"""Batch provision (5.6.7 to 5.6.10, 5.6.20): many entities in one request, each with its own outcome (5.5.11).

All writes of a batch go to the writer together and in order, so that they share one commit and so that several
instances of one entity build on each other.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, cast

from broker.errors import BadRequestData, Conflict, InternalError, NgsiLdError
from broker.model.change import Change
from broker.model.entity import Entity, Names
from broker.model.naming import check_uri
from broker.model.parsing import parse_entity, parse_fragment
from broker.model.patches import append_attributes, merge_entity, replace_entity, update_attributes
from broker.operations.broker import Broker
from broker.operations.entities import change_of, creation, deletion, existing
from broker.store.plan import Outcome

Decision: TypeAlias = Callable[[Entity | None], Change | None]
Element: TypeAlias = tuple[dict[str, Any], Names] | NgsiLdError
"""One element of the input: its document and the names of its @context, or why there are none."""

MOST_IN_ONE_COMMIT: Final = 1000
"""Elements of a batch with an idempotency key: as many as the writer takes together by itself. A transaction of MongoDB
does not bear any number."""

NOTHING_SHORT: Final[Mapping[Decision, NgsiLdError]] = {}


@dataclass(slots=True)
class BatchResult:
    """The outcome of a batch (5.2.16): ids in order of processing; `created` is the part of `success` that is new."""

    success: list[str] = field(default_factory=list)
    created: list[str] = field(default_factory=list)
    errors: list[tuple[str, NgsiLdError]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The BatchOperationResult of this outcome."""
        return {
            "success": list(dict.fromkeys(self.success)),
            "errors": [{"entityId": entity_id, "error": error.problem()} for entity_id, error in self.errors],
        }


async def create(broker: Broker, tenant: str, elements: Sequence[tuple[Any, Element]]) -> BatchResult:
    """5.6.7 Batch Entity Creation."""
    now = broker.now()

    def decide(document: dict[str, Any], names: Names) -> Decision:
        return creation(tenant, parse_entity(document, names, now), now)

    return await _run(broker, tenant, elements, decide, before_write=lambda: broker.tenants.ensure(tenant, now))


async def upsert(broker: Broker, tenant: str, elements: Sequence[tuple[Any, Element]], *, update: bool) -> BatchResult:
    """5.6.8 Batch Entity Creation or Update: existing entities are replaced, or with `update` their attributes updated."""
    now = broker.now()

    def decide(document: dict[str, Any], names: Names) -> Decision:
        fragment = parse_fragment(document, names, allow_null=True) if update else None
        # What would create the entity need not be valid to update it: an update may delete by NGSI-LD Null.
        whole = None if update else parse_entity(document, names, now)

        def decision(current: Entity | None) -> Change | None:
            if current is None:
                return creation(tenant, whole or parse_entity(document, names, now), now)(None)
            if fragment is not None:
                return change_of(tenant, current, update_attributes(current, fragment, now), now)
            assert whole is not None
            return change_of(tenant, current, replace_entity(current, whole, now), now)

        return decision

    return await _run(broker, tenant, elements, decide, before_write=lambda: broker.tenants.ensure(tenant, now))


async def update(
    broker: Broker, tenant: str, elements: Sequence[tuple[Any, Element]], *, overwrite: bool
) -> BatchResult:
    """5.6.9 Batch Entity Update: attributes appended to existing entities, overwriting what is there or not.

    An element of which something was not appended because it exists is in error, though the rest was (5.6.3.5); others of
    the same entity have outcomes of their own (5.5.11).
    """
    now = broker.now()
    refused: dict[Decision, NgsiLdError] = {}

    def decide(document: dict[str, Any], names: Names) -> Decision:
        fragment = parse_fragment(document, names, allow_null=False)

        def decision(current: Entity | None) -> Change | None:
            present = existing(current, document_id(document), None)
            patched = append_attributes(present, fragment, now, overwrite=overwrite)
            refused.pop(decision, None)  # a decision is made again where another writer was faster
            if patched.not_updated:
                names_refused = ", ".join(attribute for attribute, _ in patched.not_updated)
                detail = f"not appended because they exist already: {names_refused}"
                refused[decision] = BadRequestData(detail, instance=present["id"])
            return change_of(tenant, present, patched, now)

        return decision

    return await _run(broker, tenant, elements, decide, shortfalls=refused)


async def merge(broker: Broker, tenant: str, elements: Sequence[tuple[Any, Element]]) -> BatchResult:
    """5.6.20 Batch Entity Merge."""
    now = broker.now()

    def decide(document: dict[str, Any], names: Names) -> Decision:
        fragment = parse_fragment(document, names, allow_null=True)

        def decision(current: Entity | None) -> Change | None:
            present = existing(current, document_id(document), None)
            return change_of(tenant, present, merge_entity(present, fragment, now), now)

        return decision

    return await _run(broker, tenant, elements, decide)


async def delete(broker: Broker, tenant: str, ids: Sequence[Any]) -> BatchResult:
    """5.6.10 Batch Entity Delete."""
    _check_number(broker, ids)
    now = broker.now()
    result = BatchResult()
    requests: list[tuple[str, Decision]] = []
    for entity_id in ids:
        try:
            requests.append((check_uri(entity_id, "entity id"), deletion(tenant, entity_id, None, now)))
        except NgsiLdError as error:
            result.errors.append((_given_id({"id": entity_id}), error))
    return await _write(broker, tenant, result, requests)


async def _run(
    broker: Broker,
    tenant: str,
    elements: Sequence[tuple[Any, Element]],
    decide: Callable[[dict[str, Any], Names], Decision],
    before_write: Callable[[], Awaitable[None]] | None = None,
    shortfalls: Mapping[Decision, NgsiLdError] = NOTHING_SHORT,
) -> BatchResult:
    _check_number(broker, elements)
    result = BatchResult()
    requests: list[tuple[str, Decision]] = []
    for raw, element in elements:
        try:
            if isinstance(element, NgsiLdError):
                raise element
            document, names = element
            entity_id = document_id(document)
            requests.append((entity_id, decide(document, names)))
        except NgsiLdError as error:
            result.errors.append((_given_id(raw), error))
    if requests and before_write is not None:
        await before_write()
    return await _write(broker, tenant, result, requests, shortfalls)


def _check_number(broker: Broker, elements: Sequence[Any]) -> None:
    """Refuse a batch that must be one commit and is too large for that. Raises BadRequestData."""
    if broker.receipt is not None and len(elements) > MOST_IN_ONE_COMMIT:
        raise BadRequestData(
            f"Idempotency-Key: a batch with a key is one commit, of at most {MOST_IN_ONE_COMMIT} elements; "
            f"this one has {len(elements)}: divide it, and give each part a key"
        )


async def _write(
    broker: Broker,
    tenant: str,
    refused: BatchResult,
    requests: Sequence[tuple[str, Decision]],
    shortfalls: Mapping[Decision, NgsiLdError] = NOTHING_SHORT,
) -> BatchResult:
    """The result of a batch of which some elements were refused before.

    One that is to be recorded is committed as a whole: where the store fails it, all of it failed, and that is raised.
    """

    def result(outcomes: Sequence[Outcome]) -> BatchResult:
        made = BatchResult(errors=list(refused.errors))
        record_outcomes(made, requests, cast("Sequence[Change | NgsiLdError | None]", outcomes), shortfalls)
        return made

    outcomes = await broker.writer.write_many(tenant, requests, record=broker.record(result))
    if broker.receipt is not None:
        for outcome in outcomes:
            if isinstance(outcome, InternalError | Conflict):
                raise outcome
    return result(outcomes)


def record_outcomes(
    result: BatchResult,
    requests: Sequence[tuple[str, Decision]],
    outcomes: Sequence[Change | NgsiLdError | None],
    shortfalls: Mapping[Decision, NgsiLdError] = NOTHING_SHORT,
) -> None:
    """Add what became of each request to the result; `shortfalls` has the decisions that did only a part of it, and why."""
    for (entity_id, decision), outcome in zip(requests, outcomes, strict=True):
        if isinstance(outcome, NgsiLdError):
            result.errors.append((entity_id, outcome))
            continue
        if decision in shortfalls:
            result.errors.append((entity_id, shortfalls[decision]))
            continue
        result.success.append(entity_id)
        if outcome is not None and outcome.kind == "entityCreated":
            result.created.append(entity_id)


def document_id(document: dict[str, Any]) -> str:
    """The id of an entity document. Raises BadRequestData."""
    return check_uri(document.get("id", document.get("@id")), "id")


def _given_id(raw: Any) -> str:
    """What a client sees as the id of an element that is in error: its own, where it has one."""
    given = raw.get("id", raw.get("@id")) if isinstance(raw, dict) else None
    return given if isinstance(given, str) else "urn:ngsi-ld:unknown"


def store_failure(result: BatchResult) -> InternalError | None:
    """The failure of the store, if it is what hit every element: then the whole request failed, not its elements."""
    if result.success or not result.errors:
        return None
    errors = [error for _, error in result.errors if isinstance(error, InternalError)]
    return errors[0] if len(errors) == len(result.errors) else None
