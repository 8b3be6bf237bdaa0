"""Context source registration subscriptions (5.11.2 to 5.11.6): create, update, retrieve, query and delete."""

import uuid
from typing import TYPE_CHECKING

from broker.delivery.document import refuse_null
from broker.delivery.subscription import bind_terms
from broker.errors import AlreadyExists, ResourceNotFound
from broker.federation.notifier import SUBSCRIPTIONS
from broker.federation.subscription import check_whole, compile_registration_subscription, parse_members
from broker.model.entity import JsonObject, Names
from broker.model.naming import check_uri
from broker.operations.broker import Broker
from broker.operations.subscriptions import apply_fragment, notification_context, render_subscription

if TYPE_CHECKING:
    from broker.contexts.resolved import ResolvedContext


async def create_subscription(broker: Broker, tenant: str, given: JsonObject, context: "ResolvedContext") -> str:
    """5.11.2 Create Context Source Registration Subscription: its id, generated where none is given.

    All that matches is notified at once. Raises BadRequestData, AlreadyExists, LdContextNotAvailable.
    """
    now = broker.now()
    refuse_null(given, "subscription")
    document = parse_members(given, context.names, now)
    document.setdefault("id", f"urn:ngsi-ld:Subscription:{uuid.uuid4()}")
    check_whole(document)
    document |= {"createdAt": now, "modifiedAt": now, "since": 0}
    document = bind_terms(document, context.names)
    document["jsonldContext"] = await notification_context(broker, tenant, document, context)
    compile_registration_subscription(tenant, document)
    await broker.tenants.ensure(tenant, now)
    subscription_id: str = document["id"]
    async with broker.registry.notifier.changing(tenant, subscription_id):
        beside = broker.documents(subscription_id)
        if not await broker.store.put_document(
            SUBSCRIPTIONS, tenant, subscription_id, document, create=True, documents=beside
        ):
            raise AlreadyExists(f"there is a subscription {subscription_id} already", instance=subscription_id)
        await broker.registry.notifier.put(tenant, document)
    return subscription_id


async def update_subscription(
    broker: Broker, tenant: str, subscription_id: str, given: JsonObject, context: "ResolvedContext"
) -> None:
    """5.11.3 Update Context Source Registration Subscription: each member of the fragment replaces the stored one, an NGSI-LD
    Null removes it (5.5.8). All that matches then is notified. Raises BadRequestData, ResourceNotFound, LdContextNotAvailable.
    """
    check_uri(subscription_id, "subscriptionId")
    replaced = False
    while not replaced:  # somebody else may change it meanwhile
        stored = await _stored(broker, tenant, subscription_id)
        document = await _updated(broker, tenant, stored, given, context)
        compile_registration_subscription(tenant, document)
        # Not before: an @context may be long in coming, and what other processes change waits for this lock.
        async with broker.registry.notifier.changing(tenant, subscription_id):
            replaced = await broker.store.replace_document(
                SUBSCRIPTIONS, tenant, subscription_id, stored, document, documents=broker.documents()
            )
            if replaced:
                await broker.registry.notifier.put(tenant, document)


async def _updated(
    broker: Broker, tenant: str, stored: JsonObject, given: JsonObject, context: "ResolvedContext"
) -> JsonObject:
    """The stored document after 5.5.8."""
    now = broker.now()
    document, changed = apply_fragment(stored, given, lambda members: parse_members(members, context.names, now))
    document |= {"createdAt": stored["createdAt"], "modifiedAt": now, "since": 0}
    check_whole(document)
    document = bind_terms(document, context.names)
    if "jsonldContext" in changed:
        document["jsonldContext"] = await notification_context(broker, tenant, document, context)
    return document


async def retrieve_subscription(
    broker: Broker, tenant: str, subscription_id: str, names: Names, *, sys_attrs: bool
) -> JsonObject:
    """5.11.4 Retrieve Context Source Registration Subscription. Raises BadRequestData, ResourceNotFound."""
    return await _shown(broker, tenant, await _stored(broker, tenant, subscription_id), names, sys_attrs=sys_attrs)


async def query_subscriptions(
    broker: Broker, tenant: str, names: Names, *, limit: int, offset: int, sys_attrs: bool
) -> tuple[list[JsonObject], int]:
    """5.11.5 Query Context Source Registration Subscriptions: one page in order of creation, and how many there are."""
    documents = await broker.store.list_documents(SUBSCRIPTIONS, tenant)
    page = [
        await _shown(broker, tenant, document, names, sys_attrs=sys_attrs)
        for _, _, document in documents[offset : offset + limit]
    ]
    return page, len(documents)


async def delete_subscription(broker: Broker, tenant: str, subscription_id: str) -> None:
    """5.11.6 Delete Context Source Registration Subscription: notifications end at once. Raises as 5.11.4 does."""
    check_uri(subscription_id, "subscriptionId")
    async with broker.registry.notifier.changing(tenant, subscription_id):
        if not await broker.store.delete_document(SUBSCRIPTIONS, tenant, subscription_id):
            raise _unknown(subscription_id)
        await broker.registry.notifier.remove(tenant, subscription_id)


async def _shown(broker: Broker, tenant: str, document: JsonObject, names: Names, *, sys_attrs: bool) -> JsonObject:
    """A stored subscription as 5.2.12 shows it. Triggers are about entities, so there is no default to be shown."""
    tally = await broker.registry.notifier.tally(tenant, document["id"])
    shown = render_subscription(document, tally, names, broker.now(), sys_attrs=sys_attrs)
    if "notificationTrigger" not in document:
        del shown["notificationTrigger"]
    return shown


async def _stored(broker: Broker, tenant: str, subscription_id: str) -> JsonObject:
    check_uri(subscription_id, "subscriptionId")
    document = await broker.store.get_document(SUBSCRIPTIONS, tenant, subscription_id)
    if document is None:
        raise _unknown(subscription_id)
    return document


def _unknown(subscription_id: str) -> ResourceNotFound:
    return ResourceNotFound(
        f"there is no context source registration subscription {subscription_id}", instance=subscription_id
    )
