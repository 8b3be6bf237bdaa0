"""Small entities, changes and mutations for tests of stores and of what writes to them."""

from collections.abc import Iterable, Sequence
from typing import Any

from broker.model.change import Change, Touch
from broker.model.entity import Entity, Instance
from broker.store.protocol import Mutation, Store

BASE = "https://example.org/"
T0 = "2026-01-01T00:00:00.000000Z"
T1 = "2026-01-02T00:00:00.000000Z"
T2 = "2026-01-03T00:00:00.000000Z"
LEVEL = BASE + "level"
ROOM = BASE + "Room"


def instance(value: Any, **members: Any) -> Instance:
    return {"type": "Property", "value": value, "createdAt": T0, "modifiedAt": T0, **members}


def point(longitude: float, latitude: float) -> Instance:
    return instance({"type": "Point", "coordinates": [longitude, latitude]}) | {"type": "GeoProperty"}


def entity(
    number: int | str,
    level: Any = 1,
    *,
    version: int = 1,
    types: Sequence[str] = (ROOM,),
    attrs: dict[str, list[Instance]] | None = None,
    **members: Any,
) -> Entity:
    state: dict[str, Any] = {
        "id": f"urn:ngsi-ld:Thing:{number}",
        "type": list(types),
        "attrs": {LEVEL: [instance(level)]} if attrs is None else attrs,
        "createdAt": T0,
        "modifiedAt": T0,
        "version": version,
        **members,
    }
    return state  # type: ignore[return-value]


def creation(state: Entity, tenant: str = "", at: str = T0) -> Change:
    touched = tuple(
        Touch(name, each.get("datasetId"), "attributeCreated")
        for name, instances in state["attrs"].items()
        for each in instances
    )
    return Change(tenant, state["id"], "entityCreated", at, touched, None, state)


def update(before: Entity, after: Entity, tenant: str = "", at: str = T1) -> Change:
    """A change in which every attribute of either state is touched."""
    touched = tuple(Touch(name, None, "attributeUpdated") for name in after["attrs"])
    return Change(tenant, after["id"], "entityUpdated", at, touched, before, after)


def deletion(before: Entity, tenant: str = "", at: str = T2) -> Change:
    touched = tuple(Touch(name, None, "attributeDeleted") for name in before["attrs"])
    return Change(tenant, before["id"], "entityDeleted", at, touched, before, None)


async def put(store: Store, states: Iterable[Entity], tenant: str = "") -> list[Change]:
    """Create these entities, each with version 1, in one commit."""
    made: list[Entity] = [{**state, "version": 1} for state in states]
    return await store.commit([Mutation(creation(state, tenant), 0) for state in made])
