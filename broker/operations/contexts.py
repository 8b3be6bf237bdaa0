"""Storing, managing and serving @contexts (5.13)."""

from broker.contexts.record import KINDS, Kind, StoredContext
from broker.errors import BadRequestData, InvalidRequest, OperationNotSupported, ResourceNotFound
from broker.federation.notifier import SUBSCRIPTIONS as REGISTRATION_SUBSCRIPTIONS
from broker.federation.registry import KIND as REGISTRATIONS
from broker.jsonld.core import core_document
from broker.model.entity import JsonObject
from broker.operations.broker import Broker
from broker.operations.subscriptions import KIND as SUBSCRIPTIONS
from broker.store.protocol import Store


async def add_context(broker: Broker, document: JsonObject, *, tenant: str = "") -> str:
    """5.13.2 Add @context: store the document's member @context as Hosted, and give its local id.

    Raises InvalidRequest without that member, BadRequestData where it is no valid @context.
    """
    if "@context" not in document:
        raise InvalidRequest("@context: the body must be a JSON object with this member")
    record = await broker.contexts.host(document["@context"], tenant)
    return record.id


async def list_contexts(
    broker: Broker, *, kind: Kind | str | None = None, details: bool = False, tenant: str = ""
) -> list[str] | list[JsonObject]:
    """5.13.3 List @contexts: their URLs, or with `details` their metadata, of all kinds or one. Raises BadRequestData."""
    wanted = None if kind is None else next((known for known in KINDS if known == kind), None)
    if kind is not None and wanted is None:
        raise BadRequestData(f"kind: {kind!r} is not one of {', '.join(KINDS)}")
    storage = broker.contexts.storage
    records = await storage.listing(wanted, tenant)
    if details:
        return [record.metadata(storage.url_of(record)) for record in records]
    return [storage.url_of(record) for record in records]


async def describe_context(broker: Broker, context_id: str, *, tenant: str = "") -> JsonObject:
    """5.13.4 Serve @context with details: its metadata. `context_id` may be the URL that a Cached one came from.

    Raises ResourceNotFound.
    """
    record = await _existing(broker, context_id, tenant)
    return record.metadata(broker.contexts.storage.url_of(record))


async def serve_context(broker: Broker, context_id: str, *, tenant: str = "") -> JsonObject:
    """5.13.4 Serve @context: the document, `{"@context": ...}`.

    Raises ResourceNotFound, and OperationNotSupported for a Cached one, which is only for the broker's own use.
    """
    record = await _existing(broker, context_id, tenant)
    if record.kind == "Cached":
        raise OperationNotSupported(
            f"{context_id} is a Cached @context, which is not served: get it from {record.url}", instance=context_id
        )
    return record.document


async def delete_context(broker: Broker, context_id: str, *, reload: bool = False, tenant: str = "") -> None:
    """5.13.5 Delete and Reload @context: with `reload`, a Cached one is replaced by what its source says now.

    Raises BadRequestData without an id, for reloading what is not Cached and for deleting a core @context;
    ResourceNotFound; LdContextNotAvailable where reloading fails, and then the entry stays.
    """
    if not context_id:
        raise BadRequestData("contextId: is missing")
    record = await _existing(broker, context_id, tenant)
    if reload:
        if record.kind != "Cached":
            raise BadRequestData(f"reload: {context_id} is {record.kind}, and only a Cached @context has a source")
        await broker.contexts.reload(record)
        return
    if record.url is not None and core_document(record.url) is not None:
        raise BadRequestData(f"{context_id} is a core @context, which cannot be deleted", instance=context_id)
    if not await broker.contexts.remove(record):
        raise _missing(context_id)


async def referenced_contexts(store: Store) -> set[str]:
    """The URLs of @contexts that subscriptions and registrations, of all tenants, refer to."""
    urls: set[str] = set()
    for kind in (SUBSCRIPTIONS, REGISTRATION_SUBSCRIPTIONS):
        urls.update(document["jsonldContext"] for _, _, document in await store.list_documents(kind))
    for _, _, document in await store.list_documents(REGISTRATIONS):
        pairs = document.get("contextSourceInfo", ())
        urls.update(pair["value"] for pair in pairs if pair["key"] == "jsonldContext")
    return urls


async def _existing(broker: Broker, context_id: str, tenant: str) -> StoredContext:
    record = await broker.contexts.storage.find(context_id, tenant)
    if record is None:
        raise _missing(context_id)
    return record


def _missing(context_id: str) -> ResourceNotFound:
    return ResourceNotFound(f"there is no @context {context_id}", instance=context_id)
