"""Resources snapshots/ (6.36, 6.37, 6.38)."""

from urllib.parse import quote

from broker.errors import BadRequestData, ResourceNotFound
from broker.http.exchange import API_ROOT, Exchange, created, json_answer, no_content
from broker.http.message import Response
from broker.model.naming import check_uri
from broker.operations import snapshots
from broker.operations.batches import store_failure


async def create(exchange: Exchange) -> Response:
    """POST /snapshots: Create Snapshot (6.36.3.1)."""
    document, context = await exchange.document()
    return _created(await snapshots.create_snapshot(exchange.broker, exchange.tenant, document, context.names))


async def purge(exchange: Exchange) -> Response:
    """DELETE /snapshots: Purge Snapshots (6.36.3.2)."""
    q = exchange.parameters.text("q")
    if q is None:
        raise BadRequestData("q: is missing; it says which snapshots to purge (5.16.7)")
    result = await snapshots.purge_snapshots(exchange.broker, exchange.tenant, q)
    if (failure := store_failure(result)) is not None:
        raise failure
    if result.errors:
        return json_answer(result.as_json(), status=207)
    if not result.success:
        raise ResourceNotFound(f"q: no snapshot fulfils {q} (6.36.3.2)")
    return no_content()


async def retrieve(exchange: Exchange) -> Response:
    """GET /snapshots/{snapshotId}: Retrieve Snapshot Status (6.37.3.1)."""
    media_type, context = exchange.accepted(), await exchange.context()
    payload = await snapshots.retrieve_snapshot(exchange.broker, exchange.tenant, _id(exchange), context.names)
    return await exchange.answer(payload, context, media_type)


async def update(exchange: Exchange) -> Response:
    """PATCH /snapshots/{snapshotId}: Update Snapshot Status (6.37.3.2)."""
    media_type = exchange.accepted()
    document, context = await exchange.document()
    payload = await snapshots.update_snapshot(exchange.broker, exchange.tenant, _id(exchange), document, context.names)
    return await exchange.answer(payload, context, media_type)


async def delete(exchange: Exchange) -> Response:
    """DELETE /snapshots/{snapshotId}: Delete Snapshot (6.37.3.3)."""
    await snapshots.delete_snapshot(exchange.broker, exchange.tenant, _id(exchange))
    return no_content()


async def clone(exchange: Exchange) -> Response:
    """POST /snapshots/{snapshotId}/clone: Clone Snapshot (6.38.3.1)."""
    document, _ = await exchange.document()
    return _created(await snapshots.clone_snapshot(exchange.broker, exchange.tenant, _id(exchange), document))


def _created(snapshot_id: str) -> Response:
    return created(f"{API_ROOT}/snapshots/{quote(snapshot_id, safe=':')}")


def _id(exchange: Exchange) -> str:
    return check_uri(exchange.variable("snapshotId"), "snapshotId")
