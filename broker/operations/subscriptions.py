"""Context information subscription (5.8.1 to 5.8.5): create, update, retrieve, query and delete subscriptions."""

import asyncio
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

from broker.delivery.document import check_whole, parse_members, refuse_null, show_document
from broker.delivery.subscription import bind_terms, compile_subscription, status_at
from broker.delivery.tally import Tally
from broker.errors import AlreadyExists, BadRequestData, ResourceNotFound
from broker.model.dataspace import origin_of
from broker.model.entity import JsonObject, Names
from broker.model.naming import check_uri
from broker.model.terms import NGSI_LD_NULL
from broker.operations.broker import Broker

if TYPE_CHECKING:
    from broker.contexts.resolved import ResolvedContext

KIND = "subscription"
"""The kind of the stored documents (broker.delivery.document says what they look like)."""


async def create_subscription(broker: Broker, tenant: str, given: JsonObject, context: "ResolvedContext") -> str:
    """5.8.1 Create Subscription: the id of the new subscription, generated where none is given.

    Raises BadRequestData, AlreadyExists, LdContextNotAvailable for the `jsonldContext`.
    """
    now = broker.now()
    refuse_null(given, "subscription")
    document = parse_members(given, context.names, now) | _local_scope(tenant)
    document.setdefault("id", f"urn:ngsi-ld:Subscription:{uuid.uuid4()}")
    check_whole(document)
    document |= {"createdAt": now, "modifiedAt": now, "since": 0}
    document = bind_terms(document, context.names)
    document["jsonldContext"] = await notification_context(broker, tenant, document, context)
    compile_subscription(tenant, document)
    await broker.tenants.ensure(tenant, now)
    async with broker.dispatcher.changing(tenant, document["id"]):
        document["since"] = await broker.store.head()
        beside = broker.documents(document["id"])
        if not await broker.store.put_document(KIND, tenant, document["id"], document, create=True, documents=beside):
            raise AlreadyExists(f"there is a subscription {document['id']} already", instance=document["id"])
        broker.dispatcher.put(tenant, document)
    return str(document["id"])


async def update_subscription(
    broker: Broker, tenant: str, subscription_id: str, given: JsonObject, context: "ResolvedContext"
) -> None:
    """5.8.2 Update Subscription: each member of the fragment replaces the stored one, an NGSI-LD Null removes it (5.5.8).

    The status follows from `isActive` and `expiresAt`. A subscription that becomes active again is not told of what happened
    while it was not. Raises BadRequestData, ResourceNotFound, LdContextNotAvailable.
    """
    check_uri(subscription_id, "subscriptionId")
    replaced = False
    while not replaced:  # somebody else may change it meanwhile
        stored = await stored_subscription(broker, tenant, subscription_id)
        document = await _updated(broker, tenant, stored, given, context, broker.now())
        await broker.dispatcher.catch_up(tenant, subscription_id)
        # Not before: an @context may be long in coming, and what other processes change waits for this lock.
        async with broker.dispatcher.changing(tenant, subscription_id):
            replaced = await broker.store.replace_document(
                KIND, tenant, subscription_id, stored, document, documents=broker.documents()
            )
            if replaced:
                broker.dispatcher.put(tenant, document)
    await broker.errands.heed(tenant, subscription_id)


async def _updated(
    broker: Broker, tenant: str, stored: JsonObject, given: JsonObject, context: "ResolvedContext", now: str
) -> JsonObject:
    """The stored document after 5.8.2."""
    document, changed = apply_fragment(stored, given, lambda members: parse_members(members, context.names, now))
    document |= {"modifiedAt": now, **_local_scope(tenant)}
    check_whole(document)
    document = bind_terms(document, context.names)
    if "jsonldContext" in changed:
        document["jsonldContext"] = await notification_context(broker, tenant, document, context)
    before, after = compile_subscription(tenant, stored), compile_subscription(tenant, document)
    if before.status(now) != "active" or (before.interval is not None and after.interval is None):
        document["since"] = await broker.store.head()
    return document


def _local_scope(tenant: str) -> JsonObject:
    """What a subscription to a snapshot has whether it says so or not: it is always local (5.2.12)."""
    return {} if origin_of(tenant).snapshot is None else {"localOnly": True}


def apply_fragment(
    stored: JsonObject, given: JsonObject, parse: Callable[[JsonObject], JsonObject]
) -> tuple[JsonObject, set[str]]:
    """A stored subscription with the members of a fragment, read by `parse`, and the names of those that changed (5.5.8).

    Also for subscriptions to registrations (5.11.3). Raises BadRequestData.
    """
    removed = {member for member, value in given.items() if value == NGSI_LD_NULL}
    if mandatory := removed & {"id", "type", "notification"}:
        raise BadRequestData(f"{', '.join(sorted(mandatory))}: a subscription cannot do without (5.2.12)")
    empty = sorted(member for member, value in given.items() if value is None)
    if empty:
        raise BadRequestData(f"{', '.join(empty)}: null is no value here; {NGSI_LD_NULL!r} removes a member (5.2.1)")
    if given.get("id", stored["id"]) != stored["id"]:
        raise BadRequestData("id: the id of a subscription cannot be changed (5.2.12)", instance=stored["id"])
    members = parse({member: value for member, value in given.items() if member not in removed})
    changed = members.keys() | removed
    document = {member: value for member, value in stored.items() if member not in removed} | members
    document["terms"] = {member: pairs for member, pairs in stored.get("terms", {}).items() if member not in changed}
    return document, changed


async def retrieve_subscription(
    broker: Broker, tenant: str, subscription_id: str, names: Names, *, sys_attrs: bool
) -> JsonObject:
    """5.8.3 Retrieve Subscription, with names compacted by `names`. Raises BadRequestData, ResourceNotFound."""
    document = await stored_subscription(broker, tenant, subscription_id)
    tally = await broker.dispatcher.tally(tenant, subscription_id, document["createdAt"])
    return render_subscription(document, tally, names, broker.now(), sys_attrs=sys_attrs)


async def query_subscriptions(
    broker: Broker, tenant: str, names: Names, *, limit: int, offset: int, sys_attrs: bool
) -> tuple[list[JsonObject], int]:
    """5.8.4 Query Subscriptions: one page of them in order of creation, and how many there are altogether."""
    documents = await broker.store.list_documents(KIND, tenant)
    now = broker.now()
    chosen = [document for _, _, document in documents[offset : offset + limit]]
    tallies = await asyncio.gather(
        *(broker.dispatcher.tally(tenant, document["id"], document["createdAt"]) for document in chosen)
    )
    page = [
        render_subscription(document, tally, names, now, sys_attrs=sys_attrs)
        for document, tally in zip(chosen, tallies, strict=True)
    ]
    return page, len(documents)


async def delete_subscription(broker: Broker, tenant: str, subscription_id: str) -> None:
    """5.8.5 Delete Subscription: deliveries and retries end at once. Raises BadRequestData, ResourceNotFound."""
    check_uri(subscription_id, "subscriptionId")
    async with broker.dispatcher.changing(tenant, subscription_id):
        if not await broker.store.delete_document(KIND, tenant, subscription_id):
            raise _unknown(subscription_id)
        await broker.dispatcher.remove(tenant, subscription_id)
    await broker.errands.heed(tenant, subscription_id)


def render_subscription(document: JsonObject, tally: Tally, names: Names, now: str, *, sys_attrs: bool) -> JsonObject:
    """A stored subscription as 5.2.12 and 5.2.14.2 show it: with its status at `now` and what became of its notifications."""
    shown = show_document(document, names, sys_attrs=sys_attrs)
    shown["status"] = status_at(now, document.get("expiresAt"), document.get("isActive", True))
    shown["notification"] |= tally.members()
    return shown


async def notification_context(broker: Broker, tenant: str, document: JsonObject, context: "ResolvedContext") -> str:
    """The URL of the @context for notifications: the `jsonldContext`, which must be there and valid, or the request's own.

    A request's @context that is not just one URL becomes an implicitly created one (5.8.1).
    """
    url = document.get("jsonldContext")
    if url is None:
        return await broker.contexts.link_for(context, tenant, lasting=True)
    await broker.contexts.resolve(url)
    return str(url)


async def stored_subscription(broker: Broker, tenant: str, subscription_id: str) -> JsonObject:
    """A subscription's stored document. Raises BadRequestData, ResourceNotFound."""
    check_uri(subscription_id, "subscriptionId")
    document = await broker.store.get_document(KIND, tenant, subscription_id)
    if document is None:
        raise _unknown(subscription_id)
    return document


def _unknown(subscription_id: str) -> ResourceNotFound:
    return ResourceNotFound(f"there is no subscription {subscription_id}", instance=subscription_id)
