"""Streams without HTTP: one reader for all that have reached the head, catching up under load, and a store that fails."""

import asyncio
import random

import orjson
import pytest
from api import running_api

from broker.delivery import head as heading
from broker.delivery import stream as streaming
from broker.errors import StoreUnavailable
from broker.operations.streams import open_stream


@pytest.fixture
async def api(store):
    async with running_api(store) as running:
        yield running


async def following(api, position=None, **filters):
    context = await api.broker.contexts.resolve(None)
    given = {"entities": [{"type": "Device"}], "notification": {"format": "simplified"}, **filters}
    return await open_stream(api.broker, "", given, context, position)


async def at_the_head(stream):
    """Let a stream read until it follows."""
    while not stream._follows:
        assert await stream.next(0.01) is None


async def create(api, first, last, type_="Device"):
    entities = [
        {"id": f"urn:ngsi-ld:{type_}:{number}", "type": type_, "level": {"type": "Property", "value": number}}
        for number in range(first, last)
    ]
    answer = await api.post("entityOperations/create", entities)
    assert answer.status == 201, answer.body


async def take(stream, count, seconds=10.0):
    """The levels that so many notifications tell."""
    levels = []
    async with asyncio.timeout(seconds):
        while len(levels) < count:
            event = await stream.next(1.0)
            if event is not None:
                assert event.kind == "notification", event
                levels.append(orjson.loads(event.data)["data"][0]["level"])
    return levels


def counted(monkeypatch, store):
    """Positions from which the log is read, as a list that grows; what other consumers read is in it, too."""
    read, real = [], store.changes

    async def changes(after, limit):
        read.append(after)
        return await real(after, limit)

    monkeypatch.setattr(store, "changes", changes)
    return read


async def test_streams_at_the_head_share_one_reader(api, store, monkeypatch):
    streams = [await following(api, q=f"level>={bound}") for bound in range(30)]
    for stream in streams:
        await at_the_head(stream)
    read = counted(monkeypatch, store)
    await create(api, 0, 30)
    for bound, stream in enumerate(streams):
        assert await take(stream, 30 - bound) == list(range(bound, 30))
    assert len(read) < 30  # the recorder and the head read it, none of the thirty streams
    for stream in streams:
        api.broker.streams.close(stream)


async def test_a_change_is_shown_once_for_all_streams_with_the_same_filters(api, monkeypatch):
    shown, real = [], streaming.compose

    async def compose(*arguments, occasion, now):
        shown.append(occasion)
        return await real(*arguments, occasion=occasion, now=now)

    monkeypatch.setattr(streaming, "compose", compose)
    streams = [await following(api) for _ in range(10)]
    for stream in streams:
        await at_the_head(stream)
    await create(api, 0, 5)
    assert [await take(stream, 5) for stream in streams] == [list(range(5))] * 10
    assert len(shown) == 5
    for stream in streams:
        api.broker.streams.close(stream)


async def test_streams_that_fall_behind_and_catch_up_under_load_miss_nothing_and_repeat_nothing(api, monkeypatch):
    monkeypatch.setattr(streaming, "INBOX", 3)
    monkeypatch.setattr(heading, "BATCH", 7)
    chance = random.Random(7)

    async def follow(stream):
        levels = []
        while len(levels) < 300:
            levels += await take(stream, min(chance.randint(1, 20), 300 - len(levels)))
            await asyncio.sleep(chance.choice([0, 0, 0.001, 0.02]))
        return levels

    async def write():
        for first in range(0, 300, 5):
            await create(api, first, first + 5)
            await create(api, first, first + 2, "Other")

    streams = [await following(api) for _ in range(6)]
    *heard, _ = await asyncio.gather(*(follow(stream) for stream in streams), write())
    assert heard == [list(range(300))] * 6
    for stream in streams:
        api.broker.streams.close(stream)


async def test_a_stream_whose_changes_were_trimmed_under_the_head_tells_a_gap(api, store, monkeypatch):
    stream = await following(api)
    await at_the_head(stream)
    real = store.next_changes
    blocked = True

    async def changes(after, limit):
        if blocked:
            raise StoreUnavailable("not now")
        return await real(after, limit)

    monkeypatch.setattr(heading, "PAUSE", 0.05)
    monkeypatch.setattr(store, "next_changes", changes)
    await create(api, 0, 4)
    await store.trim(2)
    blocked = False
    async with asyncio.timeout(5):
        while (event := await stream.next(1.0)) is None:
            pass
    assert (event.kind, event.position, orjson.loads(event.data)) == ("gap", 2, {"from": 1, "to": 2})
    assert await take(stream, 2) == [2, 3]
    api.broker.streams.close(stream)


async def test_a_stream_outlasts_a_store_that_cannot_be_read_for_a_while(api, store, monkeypatch):
    await create(api, 0, 3)
    real, failures = store.changes, iter([True] * 4)

    async def changes(after, limit):
        if next(failures, False):
            raise StoreUnavailable("not now")
        return await real(after, limit)

    monkeypatch.setattr(streaming, "PAUSE", 0.01)
    monkeypatch.setattr(store, "changes", changes)
    stream = await following(api, 0)
    assert await take(stream, 3) == [0, 1, 2]
    api.broker.streams.close(stream)


async def test_a_change_that_cannot_be_shown_is_told_and_the_stream_goes_on(api, monkeypatch):
    real = streaming.compose

    async def compose(*arguments, occasion, now):
        if occasion == "2":
            raise ZeroDivisionError
        return await real(*arguments, occasion=occasion, now=now)

    monkeypatch.setattr(streaming, "compose", compose)
    await create(api, 0, 3)
    stream = await following(api, 0)
    assert await take(stream, 1) == [0]
    fault = await stream.next(1.0)
    assert (fault.kind, fault.position) == ("fault", 2)
    assert orjson.loads(fault.data)["instance"] == "urn:ngsi-ld:Device:1"
    assert await take(stream, 1) == [2]
    api.broker.streams.close(stream)


async def test_a_position_is_never_beyond_what_was_told(api):
    await create(api, 0, 40)
    stream = await following(api, 0)
    for number in range(40):
        assert stream.position <= number
        assert await take(stream, 1) == [number]
    await at_the_head(stream)
    assert stream.position == 40
    api.broker.streams.close(stream)
