"""What every store promises to processes that share it: leases, members, saving under a lease, following documents."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from broker.store.mongo.store import MongoStore
from broker.store.protocol import Document, Lease, Store

SECONDS = 30.0
"""A lease that does not run out within a test."""


@pytest.fixture
async def other(store: Store) -> AsyncIterator[Store]:
    """The same store as another process sees it. SQLite has one process: there it is the same object."""
    if not isinstance(store, MongoStore):
        yield store
        return
    connection = store._connection
    second = MongoStore(connection.uri, connection.name)
    await second.open()
    try:
        yield second
    finally:
        await second.close()


async def taken(store: Store, name: str, holder: str, seconds: float = SECONDS) -> Lease | None:
    return (await store.take_leases([name], holder, seconds)).get(name)


async def took_over(store: Store, name: str, holder: str) -> Lease:
    async with asyncio.timeout(10):
        while True:
            lease = await taken(store, name, holder)
            if lease is not None:
                return lease
            await asyncio.sleep(0.05)


def document(document_id: str, number: int) -> Document:
    return Document("state", "city", document_id, {"n": number})


# leases


async def test_a_lease_has_one_holder(store: Store, other: Store) -> None:
    first = await taken(store, "work", "a")
    assert first == Lease("work", "a", 1)
    assert await taken(other, "work", "b") is None
    assert await taken(store, "work", "a") == first, "renewing changes nothing but the time"


async def test_of_many_leases_each_is_taken_for_itself(store: Store, other: Store) -> None:
    await store.take_leases(["one", "two"], "a", SECONDS)
    assert (await other.take_leases(["two", "three"], "b", SECONDS)).keys() == {"three"}
    assert (await store.take_leases(["one", "two", "three"], "a", SECONDS)).keys() == {"one", "two"}
    assert await store.take_leases([], "a", SECONDS) == {}


async def test_of_those_who_ask_at_the_same_time_one_gets_the_lease(store: Store, other: Store) -> None:
    names = [f"work/{number}" for number in range(8)]
    stores = [store, other, store, other, store, other]
    answers = await asyncio.gather(*(s.take_leases(names, f"h{n}", SECONDS) for n, s in enumerate(stores)))
    held = [lease for answer in answers for lease in answer.values()]
    assert sorted(lease.name for lease in held) == names
    assert {lease.epoch for lease in held} == {1}


async def test_a_lease_that_has_run_out_goes_to_who_asks_next_and_its_epoch_grows(store: Store, other: Store) -> None:
    first = await taken(store, "work", "a", 0.3)
    assert first is not None
    second = await took_over(other, "work", "b")
    assert (second.holder, second.epoch) == ("b", first.epoch + 1)
    assert await taken(store, "work", "a") is None
    await other.release_leases([second])
    third = await taken(store, "work", "a")
    assert third is not None
    assert third.epoch == second.epoch + 1


async def test_a_holder_that_is_late_keeps_a_lease_that_nobody_took(store: Store) -> None:
    first = await taken(store, "work", "a", 0.05)
    await asyncio.sleep(0.1)
    assert await taken(store, "work", "a") == first


async def test_a_lease_that_is_given_up_is_free_at_once_and_another_one_afterwards(store: Store, other: Store) -> None:
    first = await taken(store, "work", "a")
    assert first is not None
    await store.release_leases([first])
    assert not await store.save_under(first, puts=[document("x", 1)])
    second = await taken(other, "work", "b")
    assert second is not None
    await store.release_leases([first])
    assert await taken(store, "work", "a") is None, "who has lost a lease cannot give it up"
    await store.release_leases([])


# members


async def test_members_are_those_that_live(store: Store, other: Store) -> None:
    assert await store.enlist("a", SECONDS) == {"a"}
    assert await other.enlist("b", 0.3) == {"a", "b"}
    async with asyncio.timeout(10):
        while "b" in await store.enlist("a", SECONDS):  # noqa: ASYNC110 - nothing tells but the store itself
            await asyncio.sleep(0.05)
    assert await other.enlist("b", SECONDS) == {"a", "b"}
    assert await store.enlist("a", 0) == {"b"}
    assert await other.enlist("b", SECONDS) == {"b"}


# saving under a lease


async def test_what_is_saved_under_a_lease_is_written_as_one(store: Store, other: Store) -> None:
    await store.put_document("state", "city", "old", {"n": 0})
    await store.put_document("state", "city", "gone", {"n": 0})
    await store.save_cursors({"work/gone": 1})
    lease = await taken(store, "work", "a")
    assert lease is not None
    assert await store.save_under(
        lease,
        puts=[document("old", 1), document("new", 2), document("newer", 3)],
        deletes=[("state", "city", "gone"), ("state", "city", "never there")],
        cursors={"work/0": 7},
        drop_cursors=["work/gone", "never there"],
    )
    assert await other.list_documents("state", "city") == [
        ("city", "old", {"n": 1}),
        ("city", "new", {"n": 2}),
        ("city", "newer", {"n": 3}),
    ]
    assert await other.cursors() == {"work/0": 7}
    assert await taken(store, "work", "a") == lease
    assert await store.save_under(lease)


async def test_who_was_frozen_and_lost_its_lease_writes_nothing(store: Store, other: Store) -> None:
    lost = await taken(store, "work", "a", 0.2)
    assert lost is not None
    assert await store.save_under(lost, puts=[document("x", 1)], cursors={"work": 1})
    held = await took_over(other, "work", "b")
    assert await other.save_under(held, puts=[document("x", 9)], cursors={"work": 9})
    for _ in range(2):
        assert not await store.save_under(
            lost, puts=[document("x", 2), document("y", 2)], deletes=[("state", "city", "x")], cursors={"work": 2}
        )
    assert await store.list_documents("state") == [("city", "x", {"n": 9})]
    assert await store.cursors() == {"work": 9}


async def test_a_lease_that_was_lost_and_won_again_does_not_cover_what_was_meant_under_the_first_one(
    store: Store, other: Store
) -> None:
    first = await taken(store, "work", "a")
    assert first is not None
    await store.release_leases([first])
    between = await taken(other, "work", "b")
    assert between is not None
    await other.release_leases([between])
    again = await taken(store, "work", "a")
    assert again is not None
    assert not await store.save_under(first, puts=[document("x", 1)])
    assert await store.save_under(again, puts=[document("x", 2)])
    assert await store.get_document("state", "city", "x") == {"n": 2}


async def test_a_save_and_a_takeover_at_the_same_time_come_one_behind_the_other(store: Store, other: Store) -> None:
    """Whoever takes over finds everything that its predecessor was told it had saved."""
    for turn in range(15):
        held = await took_over(store, f"work/{turn}", "a")
        saving = asyncio.create_task(store.save_under(held, puts=[document("x", turn)]))
        await asyncio.sleep(0 if turn % 2 else 0.002)
        await store.release_leases([held])
        await took_over(other, f"work/{turn}", "b")
        found = await other.get_document("state", "city", "x")
        if await saving:
            assert found == {"n": turn}
        else:
            assert found != {"n": turn}
        assert await other.get_document("state", "city", "x") == found


# replacing documents


async def test_a_document_is_replaced_only_while_it_is_what_was_found(store: Store, other: Store) -> None:
    big = {"n": 2**62, "名": [1.5, None, {"a": "\u2028"}]}
    await store.put_document("state", "city", "x", big)
    assert not await store.replace_document("state", "city", "x", {"n": 0}, {"n": 1})
    assert not await store.replace_document("state", "city", "y", {"n": 0}, {"n": 1})
    receipt = Document("receipt", "city", "r", {"ok": True})
    assert await other.replace_document("state", "city", "x", big, {"n": 1}, documents=[receipt])
    assert not await store.replace_document("state", "city", "x", big, {"n": 2}, documents=[receipt])
    assert await store.get_document("state", "city", "x") == {"n": 1}
    assert await store.get_document("receipt", "city", "r") == {"ok": True}


async def test_of_those_who_replace_a_document_at_the_same_time_each_sees_the_one_before(
    store: Store, other: Store
) -> None:
    await store.put_document("state", "city", "x", {"n": 0})

    async def count(own: Store) -> None:
        for _ in range(5):
            while True:
                found = await own.get_document("state", "city", "x")
                assert found is not None
                if await own.replace_document("state", "city", "x", found, {"n": found["n"] + 1}):
                    break

    await asyncio.gather(count(store), count(other), count(other))
    assert await store.get_document("state", "city", "x") == {"n": 15}


async def test_a_document_is_deleted_only_while_it_is_what_was_found_and_others_take_its_place(
    store: Store, other: Store
) -> None:
    await store.put_document("state", "city", "x", {"n": 1})
    await store.put_document("former", "city", "x", {"n": 0})
    left = Document("former", "city", "x", {"n": 1})
    assert not await other.delete_document("state", "city", "x", found={"n": 0}, puts=[left])
    assert not await other.delete_document("state", "city", "never there", puts=[left])
    assert await store.get_document("state", "city", "x") == {"n": 1}
    assert await store.get_document("former", "city", "x") == {"n": 0}
    assert await other.delete_document("state", "city", "x", found={"n": 1}, puts=[left])
    assert not await store.delete_document("state", "city", "x", found={"n": 1}, puts=[left])
    assert await store.list_documents("state") == []
    assert await store.list_documents("former") == [("city", "x", {"n": 1})]


async def test_one_cursor_is_read_by_itself(store: Store) -> None:
    await store.save_cursors({"one": 1, "two": 2})
    assert [await store.cursor(name) for name in ("one", "two", "three")] == [1, 2, None]


# following documents


async def test_following_begins_with_a_look_at_everything(store: Store) -> None:
    following = store.follow_documents(["state"])
    assert await asyncio.wait_for(anext(following), 10) is None
    await following.aclose()


async def test_what_is_written_under_several_leases_is_written_if_all_are_held(store: Store) -> None:
    taken = await store.take_leases(["one", "two"], "a", 60)
    one, two = taken["one"], taken["two"]
    assert await store.save_under(one, puts=[document("x", 1)], cursors={"work": 1}, beside=[two])
    await store.release_leases([two])
    await store.take_leases(["two"], "b", 60)
    assert not await store.save_under(one, puts=[document("x", 2)], cursors={"work": 2}, beside=[two])
    assert await store.save_under(one, puts=[document("y", 1)])
    assert await store.list_documents("state", "city") == [("city", "x", {"n": 1}), ("city", "y", {"n": 1})]
    assert (await store.cursors())["work"] == 1
