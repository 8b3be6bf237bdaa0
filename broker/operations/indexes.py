"""Which indexes of values a tenant's queries are led by (docs/queries.md): an operation of this broker's own."""

from collections.abc import Iterable

from broker.model.entity import JsonObject
from broker.operations.broker import Broker
from broker.query.paths import shown_path
from broker.store.protocol import ValueIndex


async def list_indexes(broker: Broker, tenant: str) -> list[JsonObject]:
    """Those of a tenant. MongoDB's are shared by all."""
    found = await broker.store.value_indexes()
    return index_listing([each for each in found if each.tenant == tenant or broker.store.is_shared])


def index_listing(indexes: Iterable[ValueIndex]) -> list[JsonObject]:
    """Each as a JSON object, with names as IRIs."""
    return [
        {
            "type": each.type or None,
            "path": shown_path(each.path),
            "state": "ready" if each.ready else "building",
            "uses": each.uses,
            "entries": each.entries,
            "bytes": each.bytes,
        }
        for each in indexes
    ]
