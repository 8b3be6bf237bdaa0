"""What the group committer makes of a store that fails, on a real store whose faults a test decides."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
from store_samples import LEVEL, T1, creation, entity, instance, update

from broker.errors import AlreadyExists, BadRequestData, Conflict, NgsiLdError, StoreUnavailable
from broker.model.change import Change
from broker.model.entity import Entity
from broker.store import writer as writer_module
from broker.store.plan import Decision
from broker.store.protocol import Document, EntityKey, Mutation, OutcomeUnknown, VersionConflict
from broker.store.sqlite.store import SqliteStore
from broker.store.writer import EntityWriter

ID = "urn:ngsi-ld:Thing:1"


class FaultyStore(SqliteStore):
    """A store in memory that does what its list of `faults` says, one for each commit, and then works."""

    def __init__(self, *faults: str) -> None:
        super().__init__(":memory:")
        self.faults = list(faults)
        self.commits = 0
        self.late: list[tuple[Sequence[Mutation], Sequence[Document]]] = []

    async def commit(self, mutations: Sequence[Mutation], documents: Sequence[Document] = ()) -> list[Change]:
        self.commits += 1
        fault = self.faults.pop(0) if self.faults else ""
        match fault:
            case "unavailable":
                raise StoreUnavailable("out of order")
            case "lost before":
                raise OutcomeUnknown("lost")
            case "lost after":
                await super().commit(mutations, documents)
                raise OutcomeUnknown("lost")
            case "lost and late":
                self.late.append((mutations, documents))
                raise OutcomeUnknown("lost")
            case "conflict":
                raise VersionConflict([("", ID)])
        if self.late:
            await super().commit(*self.late.pop())
        if any(mutation.change.entity_id.endswith("poison") for mutation in mutations):
            raise BadRequestData("poison")
        return await super().commit(mutations, documents)


async def opened(store: FaultyStore) -> tuple[FaultyStore, EntityWriter]:
    await store.open()
    return store, EntityWriter(store, lambda: T1)


def create(number: int | str) -> Decision:
    def decide(current: Entity | None) -> Change:
        if current is not None:
            raise AlreadyExists("there is one")
        return creation(entity(number))

    return decide


@pytest.fixture(autouse=True)
async def nothing_left_running() -> AsyncIterator[None]:
    yield
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


async def test_an_unavailable_store_is_told_to_all_callers_of_the_batch() -> None:
    store, writer = await opened(FaultyStore("unavailable"))
    outcomes = await writer.write_many("", [(entity(number)["id"], create(number)) for number in (1, 2, 1)])
    assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)
    assert await store.changes(0, 10) == []
    assert isinstance(await writer.write("", ID, create(1)), Change)
    await store.close()


@pytest.mark.parametrize("fault", ["lost before", "lost after"])
async def test_a_lost_connection_writes_once_and_tells_the_truth(fault: str) -> None:
    store, writer = await opened(FaultyStore("", fault))
    await writer.write("", "urn:ngsi-ld:Thing:0", create(0))
    ids = [(entity(number)["id"], create(number)) for number in (1, 2, 1)]
    first, second, third = await writer.write_many("", ids)
    assert isinstance(first, Change)
    assert isinstance(second, Change)
    assert isinstance(third, AlreadyExists)
    assert await store.changes(1, 10) == [first, second]
    assert store.commits == (2 if fault == "lost after" else 3)
    await store.close()


async def test_a_commit_that_arrives_late_is_found_and_not_repeated() -> None:
    store, writer = await opened(FaultyStore("", "lost and late"))
    await writer.write("", "urn:ngsi-ld:Thing:0", create(0))
    change = await writer.write("", ID, create(1))
    assert isinstance(change, Change)
    assert await store.changes(1, 10) == [change]
    await store.close()


async def test_several_losses_in_a_row_still_end_in_one_write() -> None:
    store, writer = await opened(FaultyStore("lost before", "unavailable", "lost before", "conflict", "lost after"))
    change = await writer.write("", ID, create(1))
    assert isinstance(change, Change)
    assert await store.changes(0, 10) == [change]
    await store.close()


async def test_what_another_wrote_meanwhile_is_not_taken_for_ones_own() -> None:
    store, writer = await opened(FaultyStore("lost before"))

    async def other() -> None:
        change = replace(creation(entity(1, "other")), at="2026-01-05T00:00:00.000000Z")
        await SqliteStore.commit(store, [Mutation(change, 0)])

    original = store.read

    async def read(keys: Sequence[EntityKey]) -> dict[EntityKey, Entity]:
        if store.commits:
            store.read = original  # type: ignore[method-assign]
            await other()
        return await original(keys)

    store.read = read  # type: ignore[method-assign]
    with pytest.raises(AlreadyExists):
        await writer.write("", ID, create(1))
    assert len(await store.changes(0, 10)) == 1
    await store.close()


async def test_a_doubt_that_nothing_resolves_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "DOUBT_SECONDS", 0.1)
    store, writer = await opened(FaultyStore(*["lost before"] * 50))
    with pytest.raises(OutcomeUnknown):
        await writer.write("", ID, create(1))
    await store.close()


async def test_a_conflict_is_tried_again_and_given_up_in_the_end() -> None:
    store, writer = await opened(FaultyStore("conflict", "conflict"))
    assert isinstance(await writer.write("", ID, create(1)), Change)
    store.faults = ["conflict"] * 100
    with pytest.raises(Conflict):
        await writer.write("", "urn:ngsi-ld:Thing:2", create(2))
    assert store.faults
    await store.close()


async def test_what_cannot_be_committed_spoils_nothing_else() -> None:
    store, writer = await opened(FaultyStore())
    numbers: list[int | str] = [*range(10), "poison", *range(10, 20), 3]
    outcomes = await writer.write_many("", [(entity(number)["id"], create(number)) for number in numbers])
    wrong = {
        numbers[place]: type(outcome) for place, outcome in enumerate(outcomes) if isinstance(outcome, NgsiLdError)
    }
    assert wrong == {"poison": BadRequestData, 3: AlreadyExists}
    assert len(await store.changes(0, 100)) == 20
    await store.close()


async def test_a_state_that_is_no_json_fails_alone() -> None:
    store, writer = await opened(FaultyStore())

    def broken(_: Entity | None) -> Change:
        return creation(entity("bad", {"set": {1, 2}}))

    good, bad = await asyncio.gather(
        writer.write("", ID, create(1)), writer.write("", "urn:ngsi-ld:Thing:bad", broken), return_exceptions=True
    )
    assert isinstance(good, Change)
    assert isinstance(bad, TypeError)
    await store.close()


async def test_the_writer_numbers_versions_itself() -> None:
    store, writer = await opened(FaultyStore())
    await writer.write("", ID, create(1))

    def careless(current: Entity | None) -> Change:
        assert current is not None
        return update(current, {**current, "attrs": {LEVEL: [instance(9)]}, "version": 77})

    change = await writer.write("", ID, careless)
    assert change is not None
    assert change.after is not None
    assert change.after["version"] == 2
    await store.close()


async def test_the_end_of_the_event_loop_leaves_nobody_waiting() -> None:
    store, writer = await opened(FaultyStore())
    waiting = asyncio.create_task(writer.write("", ID, create(1)))
    await asyncio.sleep(0)
    (committing,) = (task for task in asyncio.all_tasks() if task not in (waiting, asyncio.current_task()))
    committing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await store.close()


async def test_a_failing_read_is_told_to_its_callers_and_the_next_one_works() -> None:
    store, writer = await opened(FaultyStore())
    await store.close()
    with pytest.raises(StoreUnavailable):
        await writer.read("", ID)
    await store.open()
    assert await writer.read("", ID) is None
    await store.close()


@pytest.mark.parametrize("fault", ["lost before", "lost after", "lost and late", "conflict"])
async def test_a_record_is_written_once_with_its_changes_whatever_becomes_of_the_connection(fault: str) -> None:
    store, writer = await opened(FaultyStore("", fault))
    await writer.write("", "urn:ngsi-ld:Thing:0", create(0))
    document = Document("receipt", "", "a", {})
    requests = [(entity(number)["id"], create(number)) for number in (1, 2, 1)]
    first, second, third = await writer.write_many("", requests, record=lambda outcomes: document)
    assert isinstance(first, Change)
    assert isinstance(second, Change)
    assert isinstance(third, AlreadyExists)
    assert await store.changes(1, 10) == [first, second]
    assert await store.list_documents("receipt") == [("", "a", {})]
    await store.close()


async def test_what_cannot_be_committed_takes_all_of_its_record_with_it_and_nothing_else() -> None:
    store, writer = await opened(FaultyStore())
    together = [(entity(each)["id"], create(each)) for each in (1, "poison", 2)]
    batch, alone = await asyncio.gather(
        writer.write_many("", together, record=lambda outcomes: Document("receipt", "", "a", {})),
        writer.write("", entity(3)["id"], create(3)),
    )
    assert [type(outcome) for outcome in batch] == [BadRequestData] * 3
    assert await store.changes(0, 10) == [alone]
    assert await store.list_documents("receipt") == []
    await store.close()


async def test_writes_behind_a_commit_that_hangs_are_refused_soon_and_later_ones_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(writer_module, "OVERDUE_SECONDS", 0.05)
    store, writer = await opened(FaultyStore())
    commit, answered = store.commit, asyncio.Event()

    async def hang(mutations: Sequence[Mutation], documents: Sequence[Document] = ()) -> list[Change]:
        await answered.wait()
        return await commit(mutations, documents)

    monkeypatch.setattr(store, "commit", hang)
    under_way = asyncio.create_task(writer.write("", entity(1)["id"], create(1)))
    await asyncio.sleep(0.01)
    waiting = [asyncio.create_task(writer.write("", entity(number)["id"], create(number))) for number in (2, 3)]
    async with asyncio.timeout(1):
        for each in waiting:
            with pytest.raises(StoreUnavailable, match="nothing was written"):
                await each
    with pytest.raises(StoreUnavailable, match="nothing was written"):
        await writer.write("", entity(4)["id"], create(4))
    answered.set()
    assert isinstance(await under_way, Change)
    assert isinstance(await writer.write("", entity(5)["id"], create(5)), Change)
    assert [change.entity_id for change in await store.changes(0, 10)] == [entity(1)["id"], entity(5)["id"]]
    await store.close()
