"""Transient entities and attributes end in the store, too (4.22): by a change in the log, on every store."""

from store_samples import BASE, LEVEL, T0, T1, T2, creation, entity, instance

from broker.operations.expiry import Sweeper
from broker.store.protocol import Mutation, Store
from broker.store.writer import EntityWriter

RAIN = BASE + "rain"


async def test_4_22_an_expired_entity_and_an_expired_instance_are_removed_and_nothing_else(store: Store) -> None:
    gone = entity(1, expiresAt=T1)
    fading = entity(
        2, attrs={LEVEL: [instance(1)], RAIN: [instance(2), instance(3, expiresAt=T1, datasetId="urn:d:1")]}
    )
    staying = entity(3, expiresAt="2027-01-01T00:00:00Z")
    await store.commit([Mutation(creation(state, tenant="city"), 0) for state in (gone, fading, staying)])
    writer = EntityWriter(store, lambda: T2)

    assert await Sweeper(store, writer, lambda: T0).sweep() == 0
    assert await Sweeper(store, writer, lambda: T2).sweep() == 2

    keys = [("city", state["id"]) for state in (gone, fading, staying)]
    left = await store.read(keys)
    assert set(left) == set(keys[1:])
    assert left[keys[1]]["attrs"] == {LEVEL: [instance(1)], RAIN: [instance(2)]}
    assert left[keys[1]]["version"] == 2
    assert left[keys[2]] == staying
    removals = (await store.changes(3, 10))[::1]
    assert {(change.kind, change.entity_id) for change in removals} == {
        ("entityDeleted", gone["id"]),
        ("entityUpdated", fading["id"]),
    }
    (trimmed,) = [change for change in removals if change.kind == "entityUpdated"]
    assert [tuple(touch) for touch in trimmed.touched] == [(RAIN, "urn:d:1", "attributeDeleted")]
    assert await Sweeper(store, writer, lambda: T2).sweep() == 0
    await writer.close()
