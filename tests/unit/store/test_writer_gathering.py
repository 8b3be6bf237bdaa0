"""Which requests share a batch of the group committer: those of clients that ask again as soon as they are answered."""

import asyncio
from collections.abc import Sequence

from store_samples import T1, creation, entity

from broker.model.change import Change
from broker.model.entity import Entity
from broker.store.protocol import Document, EntityKey, Mutation
from broker.store.sqlite.store import SqliteStore
from broker.store.writer import EntityWriter

CLIENTS = 20
TURNS = 10


class CountingStore(SqliteStore):
    """A store in memory that counts its calls."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.sizes: list[int] = []
        self.reads = 0

    @property
    def commits(self) -> int:
        return len(self.sizes)

    async def commit(self, mutations: Sequence[Mutation], documents: Sequence[Document] = ()) -> list[Change]:
        self.sizes.append(len(mutations))
        return await super().commit(mutations, documents)

    async def read(self, keys: Sequence[EntityKey]) -> dict[EntityKey, Entity]:
        self.reads += 1
        return await super().read(keys)


async def test_clients_that_ask_again_at_once_are_all_in_one_batch_and_not_in_two_that_take_turns() -> None:
    store = CountingStore()
    await store.open()
    writer = EntityWriter(store, lambda: T1)

    async def client(client: int) -> None:
        for turn in range(TURNS):
            number = client * TURNS + turn
            if client % 2:
                await asyncio.sleep(0)  # two rounds of the event loop from the answer to the next request
                await asyncio.sleep(0)
            await writer.write("", f"urn:ngsi-ld:Thing:{number}", lambda _: creation(entity(number)))  # noqa: B023

    await asyncio.gather(*(client(number) for number in range(CLIENTS)))
    assert TURNS <= store.commits <= TURNS + 3
    store.reads = 0

    async def reader(client: int) -> None:
        for turn in range(TURNS):
            if client % 2:
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            assert await writer.read("", f"urn:ngsi-ld:Thing:{client * TURNS + turn}") is not None

    await asyncio.gather(*(reader(number) for number in range(CLIENTS)))
    assert TURNS <= store.reads <= TURNS + 3
    await writer.close()
    await store.close()


async def test_one_client_alone_waits_for_nobody() -> None:
    store = CountingStore()
    await store.open()
    writer = EntityWriter(store, lambda: T1)
    for number in range(TURNS):
        await writer.write("", f"urn:ngsi-ld:Thing:{number}", lambda _: creation(entity(number)))  # noqa: B023
    assert store.commits == TURNS
    await writer.close()
    await store.close()


async def test_a_batch_does_not_wait_for_ever_where_more_and_more_comes() -> None:
    store = CountingStore()
    await store.open()
    writer = EntityWriter(store, lambda: T1)
    writes: list[asyncio.Task[Change | None]] = []

    def write() -> None:
        number = len(writes)
        writes.append(
            asyncio.create_task(writer.write("", f"urn:ngsi-ld:Thing:{number}", lambda _: creation(entity(number))))
        )

    async def more_and_more() -> None:
        while True:
            write()
            await asyncio.sleep(0)

    write()
    write()
    await asyncio.gather(*writes)
    flood = asyncio.create_task(more_and_more())
    await asyncio.sleep(0)
    await writes[2]
    flood.cancel()
    await asyncio.gather(*writes)
    assert store.sizes[0] == 2
    assert 50 <= store.sizes[1] <= 300
    await writer.close()
    await store.close()
