"""Snapshot functionality (5.16): create, clone, retrieve, update, delete and purge snapshots."""

import uuid

from broker.errors import BadRequestData, NgsiLdError
from broker.model.entity import JsonObject, Names
from broker.model.naming import check_uri
from broker.model.snapshot import (
    DEFAULT_PRIORITY,
    OWN,
    PREPARING,
    MemberNames,
    as_entity,
    check_new,
    parse_members,
    show,
    updated,
)
from broker.model.terms import NGSI_LD
from broker.operations.batches import BatchResult
from broker.operations.broker import Broker
from broker.operations.snapshot_notifier import snapshot_endpoint
from broker.operations.snapshot_queries import bind_queries, show_queries
from broker.query.ast import And, Condition, Linked, LinkedIn, Or
from broker.query.evaluate import compile_condition
from broker.query.q import parse_q


async def create_snapshot(broker: Broker, tenant: str, given: JsonObject, names: Names) -> str:
    """5.16.1 Create Snapshot: the id of the new snapshot, generated where none is given. Its content follows in the background.

    Raises BadRequestData, AlreadyExists, and Conflict where the tenant has as many as it may have.
    """
    members = parse_members(given)
    check_new(members, clone=False)
    terms = bind_queries(members, names, broker.now())
    return await _add(broker, tenant, {**members, "terms": terms})


async def clone_snapshot(broker: Broker, tenant: str, source_id: str, given: JsonObject) -> str:
    """5.16.2 Clone Snapshot: the id of the copy. Subscriptions are not copied: these are no entities and no evolutions.

    Raises BadRequestData, ResourceNotFound, AlreadyExists, and Conflict where the other one is still prepared.
    """
    check_uri(source_id, "snapshotId")
    members = parse_members(given)
    check_new(members, clone=True)
    await broker.archive.enter(tenant, source_id)
    source = await broker.archive.find(tenant, source_id)
    return await _add(broker, tenant, {**members, "source": {"id": source_id, "space": source["space"]}})


async def _add(broker: Broker, tenant: str, members: JsonObject) -> str:
    now = broker.now()
    document: JsonObject = {
        "id": f"urn:ngsi-ld:Snapshot:{uuid.uuid4()}",
        "snapshotPriority": DEFAULT_PRIORITY,
        **members,
        "snapshotStatus": PREPARING,
        "createdAt": now,
        "modifiedAt": now,
        "expiresAt": broker.archive.expiry(members.get("snapshotLifetime")),
        "space": uuid.uuid4().hex,
        "revision": 0,
        "told": 0,
    }
    snapshot_endpoint(document)
    await broker.tenants.ensure(tenant, now)
    await broker.archive.add(tenant, document)
    return str(document["id"])


async def retrieve_snapshot(broker: Broker, tenant: str, snapshot_id: str, names: Names) -> JsonObject:
    """5.16.3 Retrieve Snapshot Status, with names compacted by `names`. Raises BadRequestData, ResourceNotFound."""
    document = await broker.archive.find(tenant, check_uri(snapshot_id, "snapshotId"))
    return await _shown(broker, tenant, document, names)


async def _shown(broker: Broker, tenant: str, document: JsonObject, names: Names) -> JsonObject:
    return show(document, show_queries(document, names), await broker.archive.last_used(tenant, document))


async def update_snapshot(broker: Broker, tenant: str, snapshot_id: str, given: JsonObject, names: Names) -> JsonObject:
    """5.16.4 Update Snapshot Status: lifetime, priority, endpoint and receiverInfo; the snapshot after it.

    A new lifetime counts from now on. Raises BadRequestData, ResourceNotFound.
    """
    check_uri(snapshot_id, "snapshotId")
    replaced = False
    while not replaced:  # another process may change it meanwhile
        stored = await broker.archive.find(tenant, snapshot_id)
        document = {"snapshotPriority": DEFAULT_PRIORITY, **updated(stored, given), "modifiedAt": broker.now()}
        if "snapshotLifetime" in given:
            document["expiresAt"] = broker.archive.expiry(document.get("snapshotLifetime"))
        snapshot_endpoint(document)
        if document["snapshotStatus"] != PREPARING:
            document["revision"] = stored["revision"] + 1
        async with broker.archive.changing(tenant, snapshot_id):
            replaced = await broker.archive.replace(tenant, stored, document)
    # Not read again: with a short lifetime it may be gone by now, and the update has succeeded.
    return await _shown(broker, tenant, document, names)


async def delete_snapshot(broker: Broker, tenant: str, snapshot_id: str) -> None:
    """5.16.5 Delete Snapshot: it is gone at once, with all that is in it. Raises BadRequestData, ResourceNotFound."""
    await broker.archive.remove(tenant, check_uri(snapshot_id, "snapshotId"))


async def purge_snapshots(broker: Broker, tenant: str, q: str) -> BatchResult:
    """5.16.7 Purge Snapshots: delete those whose members fulfil `q`; an empty result where there are none.

    Raises BadRequestData for a query that is not valid, or not about members of Snapshot.
    """
    condition = parse_q(q, MemberNames())
    _check_members(condition)
    matches = compile_condition(condition)
    result = BatchResult()
    for document in await broker.archive.all_of(tenant):
        if not matches(as_entity(document, await broker.archive.last_used(tenant, document))):
            continue
        try:
            await broker.archive.remove(tenant, document["id"])
        except NgsiLdError as error:
            result.errors.append((document["id"], error))
        else:
            result.success.append(document["id"])
    return result


def _check_members(condition: Condition) -> None:
    """BadRequestData where a query is about what a Snapshot does not have: links, or an entity's own members."""
    if isinstance(condition, And | Or):
        for term in condition.terms:
            _check_members(term)
        return
    if isinstance(condition, Linked | LinkedIn):
        raise BadRequestData("q: members of snapshots link to no entities (5.16.7)")
    name = condition.path.names[0]
    if not name.startswith(NGSI_LD) and name not in OWN:
        raise BadRequestData(f"q: {name} is not a member of Snapshot (5.16.7)")
