"""Leases, duties and members as processes keep them: two on one store, with times a third of the real ones."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest

from broker.errors import StoreUnavailable
from broker.sharing import duties as duties_module
from broker.sharing import leases as leases_module
from broker.sharing import members as members_module
from broker.sharing.duties import Duties
from broker.sharing.leases import Leases
from broker.sharing.members import Membership
from broker.sharing.turns import Turns
from broker.store.mongo.store import MongoStore
from broker.store.protocol import Lease, Store
from broker.store.sqlite.store import SqliteStore


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"LEASE_SECONDS": 1.0, "RENEWAL_SECONDS": 0.3, "MARGIN_SECONDS": 0.25}.items():
        monkeypatch.setattr(leases_module, name, value)
    monkeypatch.setattr(members_module, "LEASE_SECONDS", 1.0)
    monkeypatch.setattr(members_module, "RENEWAL_SECONDS", 0.3)
    monkeypatch.setattr(duties_module, "AGAIN_SECONDS", 0.1)


@pytest.fixture(params=["sqlite", pytest.param("mongo", marks=pytest.mark.mongo)])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """An opened, empty store of either kind: where SQLite keeps its data makes no difference here."""
    if request.param == "mongo":
        uri, database = (request.getfixturevalue(name) for name in ("mongodb_uri", "empty_mongo_database"))
    opened = SqliteStore(":memory:") if request.param == "sqlite" else MongoStore(uri, database)
    await opened.open()
    yield opened
    await opened.close()


class Work:
    """Work that notes who does it, and whether two ever do it at the same time."""

    def __init__(self) -> None:
        self.done_by: list[str] = []
        self.now: list[str] = []
        self.overlaps = 0

    def of(self, name: str) -> duties_module.Work:
        async def work(_: Lease) -> None:
            with self._noted(name):
                await asyncio.Event().wait()

        return work

    @contextmanager
    def _noted(self, name: str) -> Iterator[None]:
        self.overlaps += bool(self.now)
        self.now.append(name)
        self.done_by.append(name)
        try:
            yield
        finally:
            self.now.remove(name)

    async def until(self, *names: str) -> None:
        async with asyncio.timeout(20):
            while tuple(self.now) != names:  # noqa: ASYNC110 - looked at from outside
                await asyncio.sleep(0.01)


class Colleague:
    """A process that is willing to do the work."""

    def __init__(self, store: Store, work: Work, name: str) -> None:
        self.leases = Leases(store, name)
        self.duties = Duties(self.leases)
        self.duties.add("work", "work", work.of(name))

    async def start(self) -> None:
        self.duties.start()
        await self.leases.start()

    async def stop(self) -> None:
        await self.duties.stop()
        await self.leases.stop()

    async def die(self) -> None:
        """Stop without a word to anybody, as a kill does it."""
        for post in self.duties._posts.values():
            await post.stop()
        assert self.leases._task is not None
        self.leases._task.cancel()
        await asyncio.gather(self.leases._task, return_exceptions=True)


@asynccontextmanager
async def colleagues(store: Store, work: Work) -> AsyncIterator[tuple[Colleague, Colleague]]:
    one, two = Colleague(store, work, "one"), Colleague(store, work, "two")
    await one.start()
    await work.until("one")
    await two.start()
    try:
        yield one, two
    finally:
        await one.stop()
        await two.stop()


async def test_a_process_that_is_alone_begins_at_once(store: Store) -> None:
    work = Work()
    alone = Colleague(store, work, "one")
    await alone.start()
    assert alone.leases.held("work") is not None
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert work.now == ["one"]
    await alone.stop()
    assert work.now == []


async def test_one_does_the_work_and_the_other_goes_on_when_it_ends(store: Store) -> None:
    work = Work()
    async with colleagues(store, work) as (one, two):
        await asyncio.sleep(0.4)
        assert work.now == ["one"]
        assert two.leases.held("work") is None
        await one.stop()
        begun = time.monotonic()
        await work.until("two")
        assert time.monotonic() - begun < 3, "who ends in order makes nobody wait for its lease to run out"
    assert (work.done_by, work.overlaps) == (["one", "two"], 0)


async def test_who_ends_lets_others_go_on_before_it_has_done_all_that_it_still_has_to_do(store: Store) -> None:
    work = Work()
    async with colleagues(store, work) as (one, two):
        await one.duties.stop()
        await work.until("two")
        assert one.leases.held("work") is None
        assert one.leases._task is not None
        assert not one.leases._task.done(), "it goes on with what its other leases are for"
        assert two.leases.held("work") is not None


@pytest.mark.mongo
async def test_another_takes_over_from_one_that_died(mongo_store: Store) -> None:
    work = Work()
    async with colleagues(mongo_store, work) as (one, _):
        await one.die()
        await work.until("two")
    assert (work.done_by, work.overlaps) == (["one", "two"], 0)


@pytest.mark.mongo
async def test_who_hears_nothing_from_the_store_stops_before_another_begins(
    mongo_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, cut_off = Work(), True
    take = mongo_store.take_leases

    async def take_unless_cut_off(names: list[str], holder: str, seconds: float) -> dict[str, Lease]:
        if holder == "one" and cut_off:
            raise StoreUnavailable("out of reach")
        return await take(names, holder, seconds)

    async with colleagues(mongo_store, work) as (one, two):
        monkeypatch.setattr(mongo_store, "take_leases", take_unless_cut_off)
        await work.until("two")
        assert one.leases.held("work") is None
        cut_off = False
        await asyncio.sleep(0.5)
        assert work.now == ["two"]
        await two.stop()
        await work.until("one")
    assert (work.done_by, work.overlaps) == (["one", "two", "one"], 0)


@pytest.mark.mongo
async def test_who_was_frozen_knows_at_once_that_its_lease_is_not_certain_any_more(mongo_store: Store) -> None:
    """Before any timer or task has had its turn, as a process has it that goes on after SIGSTOP, or on a machine that slept."""
    now = 100.0
    leases = Leases(mongo_store, "one", clock=lambda: now)
    heard: list[str] = []
    leases.want("work", lambda lease: heard.append("taken"), lambda lease: heard.append("lost"))
    await leases.start()
    held = leases.held("work")
    assert held is not None
    now += 0.76
    assert leases.held("work") is None
    async with asyncio.timeout(10):  # nobody else has had it, so it is the same lease, but counts as another one
        while heard != ["taken", "lost", "taken"]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert leases.held("work") == held
    await leases.stop()


async def test_a_process_that_has_its_store_for_itself_loses_nothing_however_long_it_stood_still() -> None:
    now = 100.0
    alone = SqliteStore(":memory:")
    await alone.open()
    leases = Leases(alone, "one", clock=lambda: now)
    heard: list[str] = []
    leases.want("work", lambda lease: heard.append("taken"), lambda lease: heard.append("lost"))
    await leases.start()
    now += 3600.0
    assert leases.held("work") is not None
    await asyncio.sleep(0.5)
    assert heard == ["taken"]
    await leases.stop()
    await alone.close()


@pytest.mark.mongo
async def test_work_that_was_lost_and_won_again_is_begun_again(mongo_store: Store) -> None:
    work = Work()
    one = Colleague(mongo_store, work, "one")
    await one.start()
    await work.until("one")
    one.leases._wishes["work"].until = 0.0
    one.leases._look_at_clock()
    async with asyncio.timeout(10):
        while work.done_by != ["one", "one"]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    await work.until("one")
    await one.stop()
    assert work.overlaps == 0


async def test_work_that_fails_is_begun_again_and_leaves_others_alone(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    attempts, errors = 0, [ValueError("a fault"), StoreUnavailable("away")]
    enough = asyncio.Event()

    async def failing(_: Lease) -> None:
        nonlocal attempts
        attempts += 1
        if errors:
            raise errors.pop(0)
        enough.set()

    work = Work()
    one = Colleague(store, work, "one")
    one.duties.add("work", "failing work", failing)
    await one.start()
    await asyncio.wait_for(enough.wait(), 10)
    await work.until("one")
    assert work.done_by == ["one"]
    await one.stop()
    assert [record.levelname for record in caplog.records if "failing work" in record.message] == [
        "CRITICAL",
        "WARNING",
    ]


async def test_members_know_of_each_other(store: Store) -> None:
    one, two = Membership(store), Membership(store)
    await one.start()
    assert one.alive == {one.name}
    await two.start()
    assert two.alive == {one.name, two.name}
    async with asyncio.timeout(10):
        while two.name not in one.alive:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        await two.stop()
        while two.name in one.alive:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    await one.stop()


async def test_turns_of_all_processes_come_one_after_the_other(store: Store) -> None:
    under_way = most = 0

    async def take(turns: Turns) -> None:
        nonlocal under_way, most
        async with turns.turn("register"):
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0.005)
            under_way -= 1

    one, two = Turns(store, "one"), Turns(store, "two")
    async with one.turn("another"):
        await asyncio.gather(*(take(turns) for turns in (one, two, one, two, two)))
    assert most == 1


async def test_a_turn_that_does_not_come_is_given_up(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.sharing.turns.WAIT_SECONDS", 0.2)
    async with Turns(store, "one").turn("register"):
        with pytest.raises(StoreUnavailable):
            async with Turns(store, "two").turn("register"):
                raise AssertionError("it had its turn")
