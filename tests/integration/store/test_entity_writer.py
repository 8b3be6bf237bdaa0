"""The group committer on every store (broker.store.writer)."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from store_samples import BASE, LEVEL, T1, creation, deletion, entity, instance, put, update

from broker.errors import AlreadyExists, Conflict, NgsiLdError, ResourceNotFound, StoreUnavailable
from broker.model.change import Change
from broker.model.entity import Entity
from broker.store.plan import Decision, Outcome, Record
from broker.store.protocol import Document, DocumentExists, Mutation, Store
from broker.store.writer import EntityWriter

ID = "urn:ngsi-ld:Thing:1"
RAIN = BASE + "rain"


@pytest.fixture
async def writer(store: Store) -> AsyncIterator[EntityWriter]:
    made = EntityWriter(store, lambda: T1)
    yield made
    await made.close()


def create(state: Entity) -> Decision:
    def decide(current: Entity | None) -> Change:
        if current is not None:
            raise AlreadyExists("there is one")
        return creation(state)

    return decide


def add_one(current: Entity | None) -> Change:
    if current is None:
        raise ResourceNotFound("there is none")
    level = current["attrs"][LEVEL][0]["value"] + 1
    return update(current, {**current, "attrs": {LEVEL: [instance(level)]}, "version": current["version"] + 1})


def delete(current: Entity | None) -> Change:
    if current is None:
        raise ResourceNotFound("there is none")
    return deletion(current)


async def test_a_write_is_in_the_store_and_in_the_log_when_it_returns(store: Store, writer: EntityWriter) -> None:
    change = await writer.write("", ID, create(entity(1)))
    assert change is not None
    assert await store.changes(0, 10) == [change]
    assert await writer.read("", ID) == entity(1)
    assert await writer.read("other", ID) is None


async def test_concurrent_writes_to_one_entity_build_on_each_other(store: Store, writer: EntityWriter) -> None:
    await writer.write("", ID, create(entity(1, 0)))
    changes = await asyncio.gather(*(writer.write("", ID, add_one) for _ in range(200)))
    state = await writer.read("", ID)
    assert state is not None
    assert (state["attrs"][LEVEL][0]["value"], state["version"]) == (200, 201)
    assert [change.after["version"] for change in changes if change and change.after] == list(range(2, 202))
    sequences = [change.sequence for change in changes if change]
    assert sequences == sorted(set(sequences))


async def test_what_arrives_during_a_commit_is_committed_together(writer: EntityWriter) -> None:
    commits: list[int] = []
    writer.on_commit.append(lambda changes: commits.append(len(changes)))
    await asyncio.gather(*(writer.write("", entity(number)["id"], create(entity(number))) for number in range(300)))
    assert sum(commits) == 300
    assert len(commits) <= 3


async def test_errors_reach_only_their_own_caller(writer: EntityWriter) -> None:
    outcomes = await asyncio.gather(
        writer.write("", ID, create(entity(1))),
        writer.write("", ID, create(entity(1))),
        writer.write("", ID, lambda _: None),
        writer.write("", ID, delete),
        writer.write("", ID, delete),
        writer.write("", ID, create(entity(1, 7))),
        return_exceptions=True,
    )
    kinds = [type(outcome) for outcome in outcomes]
    assert kinds == [Change, AlreadyExists, type(None), Change, ResourceNotFound, Change]
    state = await writer.read("", ID)
    assert state is not None
    assert state["attrs"][LEVEL][0]["value"] == 7


async def test_write_many_keeps_order_and_gives_an_outcome_for_each(store: Store, writer: EntityWriter) -> None:
    await put(store, [entity(1), entity(2)])
    ids = [entity(number)["id"] for number in (1, 2, 3, 1)]
    decisions: list[Decision] = [add_one, create(entity(2)), add_one, add_one]
    outcomes = await writer.write_many("", list(zip(ids, decisions, strict=True)))
    assert [type(outcome) for outcome in outcomes] == [Change, AlreadyExists, ResourceNotFound, Change]
    state = await writer.read("", ID)
    assert state is not None
    assert state["attrs"][LEVEL][0]["value"] == 3
    assert await writer.write_many("", []) == []


async def test_a_decision_that_breaks_raises_what_it_raised(writer: EntityWriter) -> None:
    def broken(_: Entity | None) -> Change:
        raise ZeroDivisionError

    good, bad = await asyncio.gather(
        writer.write("", ID, create(entity(1))), writer.write("", "urn:x:2", broken), return_exceptions=True
    )
    assert isinstance(good, Change)
    assert isinstance(bad, ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        await writer.write_many("", [("urn:x:3", broken)])


async def test_4_22_an_expired_entity_is_absent_and_removed_before_its_id_is_used_again(
    store: Store, writer: EntityWriter
) -> None:
    expired = entity(1, 1, version=1, expiresAt="2026-01-01T12:00:00Z")
    await put(store, [expired])
    assert await writer.read("", ID) is None
    with pytest.raises(ResourceNotFound):
        await writer.write("", ID, delete)
    assert len(await store.changes(0, 10)) == 1
    commits: list[list[Change]] = []
    writer.on_commit.append(commits.append)
    change = await writer.write("", ID, create(entity(1, 5)))
    assert change is not None
    assert change.before is None
    assert change.after == entity(1, 5)
    assert await store.read([("", ID)]) == {("", ID): entity(1, 5)}
    (changes,) = commits
    assert [each.kind for each in changes] == ["entityDeleted", "entityCreated"]
    assert (await store.changes(0, 10))[1:] == changes
    with pytest.raises(AlreadyExists):
        await writer.write("", ID, create(entity(1)))


async def test_4_22_what_expired_is_removed_before_a_decision_that_changes_nothing_but_not_before_one_that_fails(
    store: Store, writer: EntityWriter
) -> None:
    past = instance(1, expiresAt="2026-01-01T12:00:00Z")
    await put(store, [entity(1, attrs={LEVEL: [past], RAIN: [instance(2)]})])
    found: list[Entity | None] = []
    with pytest.raises(AlreadyExists):
        await writer.write("", ID, create(entity(1)))
    assert len(await store.changes(0, 10)) == 1
    assert await writer.write("", ID, found.append) is None
    assert found == [(await store.read([("", ID)]))[("", ID)]]
    assert len(await store.changes(0, 10)) == 2


async def test_4_22_an_expired_attribute_is_removed_before_a_write_that_does_not_see_it(
    store: Store, writer: EntityWriter
) -> None:
    past = instance(1, expiresAt="2026-01-01T12:00:00Z")
    await put(store, [entity(1, attrs={LEVEL: [past], RAIN: [instance(2)]})])

    def set_level(current: Entity | None) -> Change:
        assert current is not None
        assert LEVEL not in current["attrs"]
        return update(current, {**current, "attrs": {**current["attrs"], LEVEL: [instance(7)]}})

    outcomes = await writer.write_many("", [(ID, set_level), (ID, lambda current: None)])
    assert [type(outcome) for outcome in outcomes] == [Change, type(None)]
    _, removed, written = await store.changes(0, 10)
    assert [tuple(touch) for touch in removed.touched] == [(LEVEL, None, "attributeDeleted")]
    assert written == outcomes[0]
    assert written.after is not None
    assert (written.after["attrs"], written.after["version"]) == ({LEVEL: [instance(7)], RAIN: [instance(2)]}, 3)
    assert await writer.read("", ID) == written.after


async def test_two_writers_of_one_store_never_lose_an_update(store: Store, writer: EntityWriter) -> None:
    other = EntityWriter(store, lambda: T1)
    await put(store, [entity(1, 0)])
    both = [writer.write("", ID, add_one) for _ in range(40)] + [other.write("", ID, add_one) for _ in range(40)]
    outcomes = await asyncio.gather(*both, return_exceptions=True)
    done = sum(isinstance(outcome, Change) for outcome in outcomes)
    assert all(isinstance(outcome, Change | Conflict) for outcome in outcomes)
    state = await writer.read("", ID)
    assert state is not None
    assert state["attrs"][LEVEL][0]["value"] == done
    assert done >= 40
    await other.close()


async def test_a_caller_that_goes_away_does_not_disturb_the_others(store: Store, writer: EntityWriter) -> None:
    tasks = [
        asyncio.create_task(writer.write("", entity(number)["id"], create(entity(number)))) for number in range(20)
    ]
    await asyncio.sleep(0)
    for task in tasks[::2]:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(outcome, Change) for outcome in outcomes[1::2])
    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes[::2])
    assert isinstance(await writer.write("", "urn:ngsi-ld:Thing:100", create(entity(100))), Change)


async def test_close_finishes_what_is_queued_and_takes_no_more(store: Store) -> None:
    writer = EntityWriter(store, lambda: T1, max_batch=7)
    tasks = [
        asyncio.create_task(writer.write("", entity(number)["id"], create(entity(number)))) for number in range(50)
    ]
    await asyncio.sleep(0)
    await writer.close()
    assert all(isinstance(task.result(), Change) for task in tasks)
    assert len(await store.changes(0, 100)) == 50
    with pytest.raises(StoreUnavailable):
        await writer.write("", ID, delete)
    with pytest.raises(StoreUnavailable):
        await writer.read("", ID)


async def test_too_many_waiting_writes_are_refused_at_once(store: Store) -> None:
    writer = EntityWriter(store, lambda: T1, max_batch=5, max_waiting=20)
    outcomes = await asyncio.gather(
        *(writer.write("", entity(number)["id"], create(entity(number))) for number in range(60)),
        return_exceptions=True,
    )
    refused = [outcome for outcome in outcomes if isinstance(outcome, NgsiLdError)]
    assert refused
    assert all("too much waiting" in outcome.detail for outcome in refused)
    assert len(await store.changes(0, 100)) == 60 - len(refused)
    await writer.close()


async def test_a_read_sees_every_write_acknowledged_before_it(writer: EntityWriter) -> None:
    await writer.write("", ID, create(entity(1, 0)))

    async def client() -> None:
        for _ in range(20):
            change = await writer.write("", ID, add_one)
            assert change is not None
            assert change.after is not None
            state = await writer.read("", ID)
            assert state is not None
            assert state["version"] >= change.after["version"]

    await asyncio.gather(*(client() for _ in range(8)))


async def test_another_process_in_between_makes_the_batch_decide_again(store: Store, writer: EntityWriter) -> None:
    await put(store, [entity(1, 0)])
    interfered = False

    async def interfere() -> None:
        state = (await store.read([("", ID)]))[("", ID)]
        await store.commit([Mutation(add_one(state), state["version"])])

    def decide(current: Entity | None) -> Change:
        nonlocal interfered
        if not interfered:
            interfered = True
            meddling.append(asyncio.get_running_loop().create_task(interfere()))
        return add_one(current)

    meddling: list[asyncio.Task[None]] = []
    change, other = await asyncio.gather(
        writer.write("", ID, decide), writer.write("", "urn:ngsi-ld:Thing:2", create(entity(2)))
    )
    await asyncio.gather(*meddling, return_exceptions=True)
    assert isinstance(change, Change)
    assert isinstance(other, Change)


def receipt(key: str, seen: list[list[Outcome]] | None = None) -> Record:
    def record(outcomes: Sequence[Outcome]) -> Document:
        if seen is not None:
            seen.append(list(outcomes))
        return Document("receipt", "", key, {"done": sum(isinstance(outcome, Change) for outcome in outcomes)})

    return record


async def test_requests_with_a_record_are_one_commit_however_many_they_are(store: Store) -> None:
    writer = EntityWriter(store, lambda: T1, max_batch=3)
    commits: list[int] = []
    writer.on_commit.append(lambda changes: commits.append(len(changes)))
    many = [(entity(number)["id"], create(entity(number))) for number in range(8)]
    one = (entity("x")["id"], create(entity("x")))
    seen: list[list[Outcome]] = []
    await asyncio.gather(writer.write("", *one), writer.write_many("", [*many, one], record=receipt("a", seen)))
    assert sum(commits) == 9
    assert max(commits) >= 8
    assert isinstance(seen[-1][-1], AlreadyExists)
    assert await store.get_document("receipt", "", "a") == {"done": 8}
    await writer.close()


async def test_what_is_on_record_already_is_not_done_and_others_are(store: Store, writer: EntityWriter) -> None:
    await writer.write("", ID, create(entity(1, 0)), record=receipt("a"))
    again, other, last = await asyncio.gather(
        writer.write_many("", [(ID, add_one), (ID, add_one)], record=receipt("a")),
        writer.write("", ID, add_one),
        writer.write("", ID, add_one, record=receipt("b")),
        return_exceptions=True,
    )
    assert isinstance(again, DocumentExists)
    assert isinstance(other, Change)
    assert isinstance(last, Change)
    assert last.after is not None
    assert last.after["version"] == 3
    assert [key for _, key, _ in await store.list_documents("receipt")] == ["a", "b"]
