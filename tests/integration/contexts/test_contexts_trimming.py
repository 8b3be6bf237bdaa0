"""The bound on @contexts that requests make the broker keep (broker.contexts.trimming)."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from api import running_api
from context_web import ContextWeb

from broker.contexts.library import ContextLibrary
from broker.contexts.storage import cached_id
from broker.contexts.trimming import GRACE_SECONDS, ContextTrimming
from broker.contexts.uses import NOTE_SECONDS, ContextUses, Use
from broker.errors import LdContextNotAvailable
from broker.operations.contexts import referenced_contexts
from broker.store.protocol import Store
from broker.store.sqlite.store import SqliteStore

EX = "https://example.org/"


def embedded(number: int) -> dict[str, str]:
    return {f"x{number}": f"{EX}{number}"}


def trimming(
    library: ContextLibrary, clock: Callable[[], float], *referenced: str, most: int = 10, most_bytes: int = 1_000_000
):
    async def references() -> set[str]:
        return set(referenced)

    return ContextTrimming(library, references, clock, most=most, most_bytes=most_bytes)


async def fill(library: ContextLibrary, clock: Any, numbers: range) -> list[str]:
    urls = []
    for number in numbers:
        clock.seconds += 1
        urls.append(await library.implicit(embedded(number)))
    clock.seconds += GRACE_SECONDS
    return urls


async def stored(library: ContextLibrary) -> set[str]:
    storage = library.storage
    return {storage.url_of(record) for record in await storage.listing() if record.kind != "Cached"}


async def test_those_that_were_not_used_for_longest_go_and_some_room_is_made(library, clock):
    urls = await fill(library, clock, range(15))
    assert await trimming(library, clock).trim() == 6
    assert await stored(library) == set(urls[6:])
    assert len(await library.uses.all()) == 9
    assert await trimming(library, clock).trim() == 0
    with pytest.raises(LdContextNotAvailable):
        await library.resolve(urls[0])
    assert await library.implicit(embedded(0)) == urls[0], "and it comes back as it was when it is needed"
    assert (await library.resolve(urls[0])).names.expand("x0") == EX + "0"


async def test_within_the_bound_nothing_goes(library, clock):
    urls = await fill(library, clock, range(10))
    assert await trimming(library, clock).trim() == 0
    assert await stored(library) == set(urls)


async def test_5_13_1_cached_contexts_count_and_are_fetched_again(library, clock, there: ContextWeb):
    old = there.put("old.jsonld", {"x": EX + "x"})
    await library.resolve(old)
    await fill(library, clock, range(12))
    assert await trimming(library, clock).trim() == 4
    assert await library.storage.read(cached_id(old)) is None
    clock.seconds += 100_000
    assert (await library.resolve(old)).names.expand("x") == EX + "x"
    assert there.hits["old.jsonld"] == 2


async def test_a_context_in_use_stays_however_old_it_is(library, clock, there: ContextWeb):
    cached = there.put("used.jsonld", {"x": EX + "x"})
    await library.resolve(cached)
    first = await library.implicit(embedded(0))
    clock.seconds += NOTE_SECONDS
    await fill(library, clock, range(1, 9))
    await library.resolve(cached)
    await library.resolve(first)
    await fill(library, clock, range(10, 16))
    assert await trimming(library, clock).trim() == 7
    assert await library.storage.read(cached_id(cached)) is not None
    assert first in await stored(library)


async def test_uses_survive_a_restart(make_library: Callable[..., ContextLibrary], clock):
    before = make_library()
    urls = await fill(before, clock, range(12))
    clock.seconds += NOTE_SECONDS
    after = make_library()
    await after.resolve(urls[0])
    clock.seconds += GRACE_SECONDS
    assert await trimming(after, clock).trim() == 3
    assert await stored(after) == {urls[0], *urls[4:]}


async def test_the_sizes_of_all_together_are_bounded(library, clock):
    large = {f"x{number}": EX + "x" * 1000 for number in range(10)}
    for number in range(5):
        clock.seconds += 1
        await library.implicit({**large, "own": f"{EX}{number}"})
    clock.seconds += GRACE_SECONDS
    assert await trimming(library, clock, most_bytes=35_000).trim() == 2
    assert len(await stored(library)) == 3


async def test_what_something_stored_refers_to_stays_with_all_that_it_refers_to(library, clock, there: ContextWeb):
    inner = there.put("inner.jsonld", {"x": EX + "x"})
    outer = there.put("outer.jsonld", [inner, {"y": EX + "y"}])
    await library.resolve(outer)
    subscribed = await library.implicit([outer, embedded(0)])
    await fill(library, clock, range(1, 30))
    assert await trimming(library, clock, subscribed, "urn:nothing", most=5).trim() == 25
    assert subscribed in await stored(library)
    assert await library.storage.read(cached_id(outer)) is not None
    assert await library.storage.read(cached_id(inner)) is not None


async def test_more_references_than_the_bound_do_no_harm(library, clock):
    urls = await fill(library, clock, range(20))
    assert await trimming(library, clock, *urls, most=5).trim() == 0
    assert await stored(library) == set(urls)


async def test_5_13_2_hosted_contexts_neither_count_nor_go(library, clock):
    for number in range(20):
        await library.host(embedded(number))
    await fill(library, clock, range(3))
    assert await trimming(library, clock, most=5).trim() == 0
    assert len(await stored(library)) == 23


async def test_what_is_about_to_be_stored_does_not_go(library, clock):
    for number in range(20):
        await library.implicit(embedded(number))
    assert await trimming(library, clock, most=5).trim() == 0
    clock.seconds += GRACE_SECONDS
    assert await trimming(library, clock, most=5).trim() == 16


async def test_one_that_is_used_while_it_goes_is_put_back(library, clock, documents: SqliteStore):
    (url,) = await fill(library, clock, range(1))
    ((context_id, use),) = (await library.uses.all()).items()
    remove = library.storage.remove

    async def used_meanwhile(entry: str) -> bool:
        clock.seconds += 1
        assert await library.implicit(embedded(0), lasting=True) == url
        return await remove(entry)

    library.storage.remove = used_meanwhile
    assert not await library.evict(context_id, use)
    assert await stored(library) == {url}
    assert await library.uses.last(context_id) == Use(clock.seconds, use.size)
    assert not await library.evict(context_id, use), "it is not the use that it was chosen for"


async def test_a_use_without_its_entry_is_cleared_away(library, clock, documents: SqliteStore):
    await library.uses.note("urn:uuid:lost", 100, surely=True)  # the process died before it could store the entry
    urls = await fill(library, clock, range(10))
    assert await trimming(library, clock).trim() == 2
    assert "urn:uuid:lost" not in await library.uses.all()
    assert await stored(library) == set(urls[1:])


async def test_deleting_an_entry_deletes_its_use(library, clock):
    (url,) = await fill(library, clock, range(1))
    record = await library.storage.find(url)
    assert record is not None
    assert await library.remove(record)
    assert await library.uses.all() == {}


async def test_a_use_is_written_down_once_in_a_while(documents: SqliteStore, clock):
    uses, news = ContextUses(documents, clock), []
    uses.on_new = lambda: news.append(1)
    await uses.note("urn:a", 5)
    clock.seconds += NOTE_SECONDS - 1
    await uses.note("urn:a", 5)
    assert await uses.last("urn:a") == Use(clock.seconds - NOTE_SECONDS + 1, 5)
    clock.seconds += 1
    await uses.note("urn:a", 5)
    assert await uses.last("urn:a") == Use(clock.seconds, 5)
    assert len(news) == 1


async def test_a_crowd_is_trimmed_at_once(library, clock):
    made = trimming(library, clock)
    task = asyncio.create_task(made.run())
    try:
        await asyncio.sleep(0)
        await fill(library, clock, range(150))
        async with asyncio.timeout(10):
            while len(await library.uses.all()) > 60:  # noqa: ASYNC110 - no event tells what the store has
                await asyncio.sleep(0.01)
    finally:
        task.cancel()


async def test_5_8_1_a_subscription_keeps_its_context_in_a_whole_broker(store: Store):
    async with running_api(store) as api:

        async def send(number: int, path: str, body: dict) -> None:
            body["@context"] = [embedded(number), "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.9.jsonld"]
            answer = await api.post(path, body, Content_Type="application/ld+json")
            assert answer.status == 201, answer.body

        await send(
            0,
            "subscriptions",
            {
                "type": "Subscription",
                "entities": [{"type": "T"}],
                "notification": {"endpoint": {"uri": "http://127.0.0.1:9/"}},
            },
        )
        await send(
            1,
            "csourceSubscriptions",
            {
                "type": "Subscription",
                "entities": [{"type": "T"}],
                "notification": {"endpoint": {"uri": "http://127.0.0.1:9/"}},
            },
        )
        source = await api.post("jsonldContexts", {"@context": embedded(2)})
        registration = {
            "type": "ContextSourceRegistration",
            "information": [{"entities": [{"type": "T"}]}],
            "endpoint": "http://127.0.0.1:9/",
            "contextSourceInfo": [{"key": "jsonldContext", "value": f"{api.url}{source.headers['Location']}"}],
        }
        assert (await api.post("csourceRegistrations", registration)).status == 201
        library = api.broker.contexts
        kept = await referenced_contexts(store)
        assert len(kept) == 3
        for number in range(3, 30):
            await library.implicit(embedded(number))
        later = max(use.at for use in (await library.uses.all()).values()) + GRACE_SECONDS
        made = ContextTrimming(library, lambda: referenced_contexts(store), lambda: later, most=5)
        assert await made.trim() == 23
        left = {record.id for record in await library.storage.listing()}
        assert {library.storage.own_id(url)[0] for url in kept} <= left
