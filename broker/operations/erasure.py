"""The end of a snapshot's space (5.16.5): its subscriptions, entities and history are removed, some at a time.

A space that is to be erased is on record as a document of kind FORMER until nothing of it can be there any more. It is erased at
once, and again after GRACE_SECONDS: requests that had entered it before it was given up have ended by then, and the recorder has
written what they changed. What a kill interrupts goes on from the record.
"""

from typing import TYPE_CHECKING, Final

from broker.model.dataspace import snapshot_space
from broker.model.snapshot import is_expired
from broker.store.protocol import Store

if TYPE_CHECKING:
    from broker.operations.broker import Broker

KIND: Final = "snapshot"
"""The kind of the documents of snapshots (broker.model.snapshot says what they look like)."""
FORMER: Final = "formerSnapshot"
"""The kind of the documents of spaces that are to be erased, by the generation of the space. `snapshot`: the snapshot's id. `at`:
when the space was given up. `notice`: the snapshot's own document, where its endpoint is still to be told that it is gone."""
SUBSCRIPTIONS: Final = "subscription"
GRACE_SECONDS: Final = 120.0
"""Longer than any request goes on once it has entered a space: its queries, commits and downloads are all bounded in time."""
STRIDE: Final = 250
"""Rows removed in one step: few enough that no write waits long for it."""


async def forget_subscriptions(store: Store, now: str) -> None:
    """Before anything is notified after a start: drop subscriptions of snapshots that were deleted, or have expired meanwhile."""
    spaces = [
        snapshot_space(tenant, former["snapshot"], generation)
        for tenant, generation, former in await store.list_documents(FORMER)
    ]
    spaces += [
        snapshot_space(tenant, snapshot_id, document["space"])
        for tenant, snapshot_id, document in await store.list_documents(KIND)
        if is_expired(document, now)
    ]
    for space in spaces:
        for _, subscription_id, _ in await store.list_documents(SUBSCRIPTIONS, space):
            await store.delete_document(SUBSCRIPTIONS, space, subscription_id)


async def end_subscriptions(broker: "Broker", space: str) -> None:
    """Delete the subscriptions of a space: nothing more is sent under them."""
    for _, subscription_id, _ in await broker.store.list_documents(SUBSCRIPTIONS, space):
        async with broker.dispatcher.changing(space, subscription_id):
            await broker.store.delete_document(SUBSCRIPTIONS, space, subscription_id)
            await broker.dispatcher.remove(space, subscription_id)


async def erase_space(broker: "Broker", space: str) -> int:
    """Remove all that is in a space now; how much it was."""
    await end_subscriptions(broker, space)
    total = 0
    while True:
        removed = await broker.store.erase(space, STRIDE)
        total += removed
        if removed < STRIDE:
            return total
