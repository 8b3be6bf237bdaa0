"""The recorder on every store: history follows the log, across restarts and failures (design §4)."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from held_leases import lease_of
from store_samples import LEVEL, deletion, entity, put, update

from broker.errors import StoreUnavailable
from broker.store.protocol import Evolution, HistoryEntry, Lease, Mutation, Store
from broker.temporal.recorder import CURSOR, Recorder

ID = "urn:ngsi-ld:Thing:1"


@asynccontextmanager
async def running(store: Store, batch: int = 500) -> AsyncIterator[Recorder]:
    recorder = Recorder(store, batch=batch)
    task = asyncio.create_task(recorder.run(await lease_of(store)))
    try:
        yield recorder
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def levels(store: Store) -> list[object]:
    return [None if each.deleted else each.instance["value"] for each in await store.history("", ID)]


async def test_what_was_committed_is_in_the_history_once_caught_up(store: Store) -> None:
    one, two = entity(1, 1), entity(1, 2, version=2)
    async with running(store) as recorder:
        await put(store, [one])
        await store.commit([Mutation(update(one, two), 1)])
        (last,) = await store.commit([Mutation(deletion(two), 2)])
        await recorder.caught_up(last.sequence)
        assert await levels(store) == [1, 2, None]
        assert (await store.cursors())[CURSOR] == last.sequence


async def test_a_recorder_goes_on_where_the_last_one_was(store: Store) -> None:
    await put(store, [entity(1)])
    async with running(store) as recorder:
        await recorder.caught_up(await store.head())
    before = await store.history("", ID)
    await store.commit([Mutation(update(entity(1), entity(1, 5, version=2)), 1)])
    async with running(store) as recorder:
        await recorder.caught_up(await store.head())
    after = await store.history("", ID)
    assert after[: len(before)] == before
    assert await levels(store) == [1, 5]


async def test_a_replay_of_the_log_changes_nothing(store: Store) -> None:
    await put(store, [entity(1), entity(2)])
    async with running(store, batch=1) as recorder:
        await recorder.caught_up(await store.head())
    recorded = await store.history("", ID)
    await store.save_cursors({CURSOR: 0})
    async with running(store) as recorder:
        await recorder.caught_up(await store.head())
    assert await store.history("", ID) == recorded
    assert [each.attribute for each in recorded] == [LEVEL]


async def test_a_barrier_that_is_not_reached_in_time_says_so(store: Store) -> None:
    (change,) = await put(store, [entity(1)])
    with pytest.raises(StoreUnavailable, match="behind"):
        await Recorder(store).caught_up(change.sequence, timeout=0.05)


async def test_what_was_trimmed_unrecorded_is_told_loudly(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    first, second = await put(store, [entity(1), entity(2)])
    await store.save_cursors({CURSOR: 0})
    await store.trim(first.sequence)
    async with running(store) as recorder:
        await recorder.caught_up(second.sequence)
    assert "trimmed" in caplog.text
    assert await levels(store) == []
    assert len(await store.history("", "urn:ngsi-ld:Thing:2")) == 1


async def test_a_store_that_comes_back_finds_the_recorder_waiting(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, failures = store.append_history, 2

    async def failing(
        entries: Sequence[HistoryEntry],
        cursor: tuple[str, int],
        evolutions: Sequence[Evolution] = (),
        *,
        under: Lease | None = None,
    ) -> bool:
        nonlocal failures
        if failures:
            failures -= 1
            raise StoreUnavailable("out of order")
        return await append(entries, cursor, evolutions, under=under)

    monkeypatch.setattr(store, "append_history", failing)
    await put(store, [entity(1)])
    async with running(store) as recorder:
        await recorder.caught_up(await store.head())
    assert await levels(store) == [1]


async def test_a_process_that_does_not_record_knows_how_far_the_one_is_that_does(store: Store) -> None:
    other = Recorder(store)
    async with running(store, batch=1) as recorder:
        changes = await put(store, [entity(number) for number in range(1, 6)])
        await asyncio.gather(*(other.caught_up(change.sequence) for change in changes))
        assert len(await store.history("", "urn:ngsi-ld:Thing:5")) == 1
        await recorder.caught_up(changes[-1].sequence)
    await other.caught_up(changes[-1].sequence, timeout=0.01)


async def test_a_process_hears_of_changes_that_were_trimmed_before_another_recorded_them(store: Store) -> None:
    (first,) = await put(store, [entity(1)])
    await store.save_cursors({CURSOR: 0})
    await store.trim(first.sequence)
    async with running(store):
        await Recorder(store).caught_up(first.sequence)


async def test_a_recorder_that_lost_its_lease_writes_nothing_more_and_ends(store: Store) -> None:
    """As a process does that was frozen for a while: history as others have changed it meanwhile stays as it is."""
    lost = await lease_of(store, "history", "frozen")
    await store.release_leases([lost])
    (change,) = await put(store, [entity(1)])
    successor = Recorder(store)
    task = asyncio.create_task(successor.run(await lease_of(store, "history", "successor")))
    await successor.caught_up(change.sequence)
    assert await store.delete_history("", ID)
    await store.save_cursors({CURSOR: 0})  # so that the one that was frozen has something to write
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.wait_for(Recorder(store).run(lost), 10)
    assert await store.history("", ID) == []
    assert await store.cursor(CURSOR) == 0
