"""Several brokers on one MongoDB, in the test's own process: each with a connection, leases and a membership of its own."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from typing import Any

from api import Api, running_api
from delivery_desk import Receiver, eventually

from broker.delivery.share import SHARES, share_of
from broker.store.mongo.store import MongoStore

LEVEL = "level"


class Brokers:
    """Brokers on one database, which can be opened and stopped one by one."""

    def __init__(self, uri: str, database: str) -> None:
        self.uri = uri
        self.database = database
        self._stacks: dict[int, tuple[Api, AsyncExitStack]] = {}
        self._stores: list[AsyncExitStack] = []

    async def open(self, **settings: Any) -> Api:
        stack = AsyncExitStack()
        store = MongoStore(self.uri, self.database)
        await store.open()
        stack.push_async_callback(store.close)
        api = await stack.enter_async_context(running_api(store, **settings))
        self._stacks[id(api)] = api, stack
        return api

    async def open_store(self) -> MongoStore:
        """The database without a broker."""
        stack = AsyncExitStack()
        store = MongoStore(self.uri, self.database)
        await store.open()
        stack.push_async_callback(store.close)
        self._stores.append(stack)
        return store

    async def stop(self, api: Api) -> None:
        """Stop one in order."""
        await self._stacks.pop(id(api))[1].aclose()

    async def stop_all(self) -> None:
        for api, _ in list(self._stacks.values()):
            await self.stop(api)
        for stack in self._stores:
            await stack.aclose()

    async def settled(self, *apis: Api) -> None:
        """Wait until all shares are in somebody's hands, and nobody has more than its part."""

        async def are_shared_out() -> bool:
            here = [len(shares_of(api)) for api in apis]
            return sum(here) == SHARES and max(here) <= -(-SHARES // len(apis))

        await eventually(are_shared_out, seconds=20)


@asynccontextmanager
async def opened_brokers(uri: str, database: str) -> AsyncIterator[Brokers]:
    brokers = Brokers(uri, database)
    try:
        yield brokers
    finally:
        await brokers.stop_all()


def shares_of(api: Api) -> set[int]:
    """The shares that a broker has."""
    return {number for number in range(SHARES) if api.broker.dispatcher.has("", subscription_in(number))}


@cache
def subscription_in(share: int, name: str = "s") -> str:
    """The id of a subscription that belongs to a share."""
    for number in range(10_000):
        subscription_id = f"urn:ngsi-ld:Subscription:{name}{number}"
        if share_of(("", subscription_id), SHARES) == share:
            return subscription_id
    raise AssertionError("no id found")


async def subscribe(api: Api, subscription_id: str, uri: str, **members: Any) -> None:
    document = {
        "id": subscription_id,
        "type": "Subscription",
        "entities": [{"type": "Device"}],
        "notification": {"format": "keyValues", "endpoint": {"uri": uri}},
        **members,
    }
    answer = await api.post("subscriptions", document)
    assert answer.status == 201, answer.body


async def create(api: Api, entity_id: str, level: int = 1) -> None:
    answer = await api.post("entities", {"id": entity_id, "type": "Device", LEVEL: prop(level)})
    assert answer.status == 201, answer.body


async def set_level(api: Api, entity_id: str, level: int) -> None:
    answer = await api.patch(f"entities/{entity_id}/attrs", {LEVEL: prop(level)})
    assert answer.status == 204, answer.body


def prop(value: object) -> dict[str, object]:
    return {"type": "Property", "value": value}


def told(receiver: Receiver) -> Counter[tuple[str, str, int]]:
    """How often the receiver was told which level of which entity, by subscription."""
    return Counter(
        (one.body["subscriptionId"], entity["id"], entity[LEVEL]) for one in receiver.received for entity in one.data
    )


async def writing(apis: Iterable[Api], entities: int, until: asyncio.Event) -> list[tuple[str, int]]:
    """Write ever new levels through all brokers in turn until told to stop; what was acknowledged."""
    clients = list(apis)
    done: list[tuple[str, int]] = []

    async def one(entity_id: str) -> None:
        level = 0
        while not until.is_set():
            level += 1
            api = clients[level % len(clients)]
            if level == 1:
                await create(api, entity_id, level)
            else:
                await set_level(api, entity_id, level)
            done.append((entity_id, level))
            await asyncio.sleep(0.02)

    await asyncio.gather(*(one(f"urn:ngsi-ld:Device:{number}") for number in range(entities)))
    return done


async def deliveries(api: Api, subscription_id: str) -> Any:
    """The ledger of a subscription, as a broker tells it."""
    answer = await api.request("GET", f"{api.url}/tsunagu/v1/subscriptions/{subscription_id}/deliveries")
    assert answer.status == 200, answer.body
    return answer.json
