"""Followers of documents: each hears of everything that it wants to, in order, and again where the store was away."""

import asyncio
from collections.abc import AsyncGenerator, Collection

import pytest

from broker.errors import StoreUnavailable
from broker.sharing import following as following_module
from broker.sharing.following import Following
from broker.store.protocol import DocumentEvent, Store


class Told:
    """A store that tells what it is told to; all that a following asks of one."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[DocumentEvent | None] = asyncio.Queue()

    async def follow_documents(self, kinds: Collection[str]) -> AsyncGenerator[DocumentEvent | None]:
        assert kinds == {"a", "b"}
        while True:
            yield await self.events.get()


class Follower:
    def __init__(self) -> None:
        self.heard: list[DocumentEvent | None] = []
        self.errors: list[Exception] = []
        self.blocked = asyncio.Event()
        self.blocked.set()

    async def changed(self, event: DocumentEvent | None) -> None:
        await self.blocked.wait()
        if self.errors:
            raise self.errors.pop(0)
        self.heard.append(event)

    async def everything(self) -> None:
        await self.changed(None)

    async def until(self, *events: DocumentEvent | None) -> None:
        async with asyncio.timeout(10):
            while self.heard != list(events):  # noqa: ASYNC110
                await asyncio.sleep(0.01)


def event(kind: str, number: int) -> DocumentEvent:
    return DocumentEvent(kind, "", f"urn:x:{number}")


@pytest.fixture
async def two():
    """A store, and two followers of what it tells."""
    told, of_a, of_both = Told(), Follower(), Follower()
    following = Following(told)
    following.add({"a"}, of_a.changed, of_a.everything)
    following.add({"a", "b"}, of_both.changed, of_both.everything)
    following.start()
    yield told, of_a, of_both
    await following.stop()


async def test_each_hears_of_its_kinds_in_order(two):
    told, of_a, of_both = two
    events = [None, event("a", 1), event("b", 1), event("a", 2)]
    for each in events:
        told.events.put_nowait(each)
    await of_both.until(*events)
    await of_a.until(None, event("a", 1), event("a", 2))


async def test_what_cannot_be_done_now_is_done_later_and_holds_up_nobody_else(two):
    told, of_a, of_both = two
    of_a.errors = [StoreUnavailable("away"), StoreUnavailable("away")]
    of_both.errors = [ValueError("a document that nobody understands")]
    for each in (event("a", 1), event("a", 2)):
        told.events.put_nowait(each)
    await of_both.until(event("a", 2))
    async with asyncio.timeout(10):
        while set(of_a.heard) != {event("a", 1), event("a", 2)}:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_follower_that_is_slow_looks_once_at_what_changed_often_and_at_everything_if_that_is_too_much(
    two, monkeypatch
):
    monkeypatch.setattr(following_module, "MOST_WAITING", 5)
    told, of_a, of_both = two
    of_a.blocked.clear()
    for number in (1, *[2] * 100, 3):
        told.events.put_nowait(event("a", number))
    async with asyncio.timeout(10):
        while len(of_both.heard) < 3 or told.events.qsize():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    of_a.blocked.set()
    await of_a.until(event("a", 1), event("a", 2), event("a", 3))
    of_a.blocked.clear()
    for number in range(4, 20):
        told.events.put_nowait(event("a", number))
    async with asyncio.timeout(10):
        while of_both.heard[-1] != event("a", 19) and of_both.heard[-1] is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    of_a.blocked.set()
    async with asyncio.timeout(10):
        while None not in of_a.heard:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_everything_is_looked_at_when_following_begins(store: Store) -> None:
    follower = Follower()
    following = Following(store)
    following.add({"a"}, follower.changed, follower.everything)
    following.start()
    await follower.until(None)
    await following.stop()
