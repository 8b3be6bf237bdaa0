"""What is on record about deliveries while they go on: enough to lose nothing, and so close behind that little is repeated."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import delivery_desk
import pytest
from aiohttp import web
from delivery_desk import Desk, OpenDesk, Receiver, eventually, opened_desk

from broker.delivery import books, courses, handover, matcher
from broker.delivery.course import SIDE_BY_SIDE
from broker.errors import InternalError, StoreUnavailable
from broker.model.instants import canonical

HOT = "urn:ngsi-ld:Device:hot"
LEVEL = {"type": "Property", "value": 1}


class Picky(Receiver):
    """A receiver that never answers notifications of the hot entity."""

    async def _handle(self, request: web.Request) -> web.Response:
        if HOT.encode() in await request.read():
            await self.release.wait()
        return await super()._handle(request)


@pytest.fixture
async def picky() -> Any:
    one = Picky()
    await one.start()
    yield one
    await one.stop()


async def create_many(desk: Desk, first: int, number: int) -> list[str]:
    ids = [f"urn:ngsi-ld:Device:{one:05}" for one in range(first, first + number)]
    await asyncio.gather(*(desk.create(one, level=LEVEL) for one in ids))
    return ids


async def lag_of(desk: Desk, subscription: str) -> dict[str, Any]:
    document = await desk.broker.store.get_document("delivery", "", subscription)
    return {} if document is None else document.get("lag", {})


async def test_one_notification_that_hangs_does_not_make_a_crash_repeat_the_others(desk: Desk, picky: Picky) -> None:
    subscription = await desk.subscribe(f"{picky.url}/")
    await desk.create(HOT, level=LEVEL)
    await create_many(desk, 0, 100)
    await picky.wait(100)

    async def is_on_record() -> bool:
        store = desk.broker.store
        watermark = (await store.cursors()).get("delivery")
        pending = (await lag_of(desk, subscription)).get("pending", [])
        return watermark == await store.head() and [entity for _, entity in pending] == [HOT]

    await eventually(is_on_record, seconds=1)


async def test_an_orderly_stop_repeats_nothing_even_where_something_hangs(
    tmp_path: Path, picky: Picky, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handover, "GRACE_SECONDS", 0.05)
    async with opened_desk(tmp_path / "one") as desk:
        await desk.subscribe(f"{picky.url}/")
        await desk.create(HOT, level=LEVEL)
        await create_many(desk, 0, 20)
        await picky.wait(20)
    picky.received.clear()
    picky.release.set()
    async with opened_desk(tmp_path / "one"):
        await picky.wait(1)
        await asyncio.sleep(0.3)
    assert [one.entity_ids for one in picky.received if one.entity_ids != [HOT]] == []


async def test_the_record_of_a_receiver_that_does_not_answer_stays_small_and_loses_nothing(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handover, "GRACE_SECONDS", 0.05)
    receiver.hold.add("/")
    async with opened_desk(tmp_path / "one") as desk:
        subscription = await desk.subscribe(f"{receiver.url}/")
        ids = await create_many(desk, 0, 50)

        async def is_on_record() -> bool:
            return bool(await lag_of(desk, subscription))

        await eventually(is_on_record)
        await asyncio.sleep(0.3)
        before = await lag_of(desk, subscription)
        assert len(before["pending"]) == SIDE_BY_SIDE
        ids += await create_many(desk, 50, 100)
        await asyncio.sleep(0.3)
        assert await lag_of(desk, subscription) == before
    receiver.release.set()
    async with opened_desk(tmp_path / "one"):
        await receiver.wait(150 + SIDE_BY_SIDE)  # those that hung came to an end here, too
        await receiver.silence()
    assert sorted({entity for one in receiver.received for entity in one.entity_ids}) == ids
    assert len(receiver.received) == 150 + SIDE_BY_SIDE


async def test_5_2_12_throttling_holds_across_a_restart_and_a_pause(tmp_path: Path, receiver: Receiver) -> None:
    async with opened_desk(tmp_path / "one") as desk:
        subscription = await desk.subscribe(f"{receiver.url}/", throttling=2)
        await desk.create("urn:ngsi-ld:Device:1", level=LEVEL)
        await receiver.wait(1)
        first = asyncio.get_running_loop().time()
    async with opened_desk(tmp_path / "one") as desk:
        for value in range(3):
            await desk.change(subscription, {"type": "Subscription", "isActive": False})
            await desk.change(subscription, {"type": "Subscription", "isActive": True})
            await desk.update("urn:ngsi-ld:Device:1", level={"type": "Property", "value": 10 + value})
        assert len(receiver.received) == 1
        await receiver.wait(2)
    assert asyncio.get_running_loop().time() - first >= 1.9


async def test_a_receiver_that_was_away_for_a_moment_need_not_wait_long(desk: Desk, receiver: Receiver) -> None:
    await receiver.stop()
    subscription = await desk.subscribe(f"{receiver.url}/")
    await create_many(desk, 0, 30)

    async def has_failed() -> bool:
        return (await desk.look(subscription))["notification"].get("timesFailed", 0) >= SIDE_BY_SIDE

    await eventually(has_failed)
    receiver.release.clear()
    await receiver.start()
    await receiver.wait(30, seconds=4)


async def test_a_store_that_fails_at_the_end_does_not_keep_deliveries_from_ending(
    open_desk: OpenDesk, receiver: Receiver
) -> None:
    desk = await open_desk()
    await desk.subscribe(f"{receiver.url}/")
    await desk.create("urn:ngsi-ld:Device:1", level=LEVEL)
    await receiver.wait(1)
    await desk.broker.store.close()
    with pytest.raises(StoreUnavailable):
        await desk.broker.store.head()
    await desk.broker.dispatcher.stop()


async def test_a_share_that_cannot_be_saved_as_it_is_given_back_is_not_left_half_given_back(
    desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be here and send nothing, until somebody starts the broker anew."""
    await desk.subscribe(f"{receiver.url}/")
    save_under = desk.broker.store.save_under

    async def refused(*_: Any, **__: Any) -> bool:
        raise InternalError("MongoDB refused saving under a lease")

    monkeypatch.setattr(desk.broker.store, "save_under", refused)
    shares = desk.broker.dispatcher._handover
    (number,) = shares.numbers
    await shares.give_back([number])
    assert not shares.numbers
    monkeypatch.setattr(desk.broker.store, "save_under", save_under)
    await desk.create("urn:ngsi-ld:Device:1", level=LEVEL)
    await receiver.wait(1)  # its lease is held, so it is taken over again


async def test_a_save_that_waits_while_its_share_is_given_back_undoes_nothing(
    desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease is held for a moment still, and the courses owe nothing any more: that was written over what they had owed."""
    monkeypatch.setattr(handover, "GRACE_SECONDS", 0.05)
    receiver.hold.add("/")
    subscription = await desk.subscribe(f"{receiver.url}/")
    dispatcher, save_under = desk.broker.dispatcher, desk.broker.store.save_under
    (number,) = dispatcher._handover.numbers
    share = dispatcher._books.shares[number]
    ids = await create_many(desk, 0, 4)

    async def is_on_record() -> bool:
        return len((await lag_of(desk, subscription)).get("pending", [])) == len(ids)

    await eventually(is_on_record)
    waiting: list[asyncio.Task[bool]] = []

    async def slow(*arguments: Any, **more: Any) -> bool:
        if share.ends is not None and not waiting:
            books = dispatcher._books
            works = books.save(share), books._save_together([share], counts=True, final=False)
            waiting.extend(map(asyncio.create_task, works))
            await asyncio.sleep(0.05)
        return await save_under(*arguments, **more)

    monkeypatch.setattr(desk.broker.store, "save_under", slow)
    await dispatcher._tenure.stop()  # which would take it over again
    assert dispatcher._saving is not None
    dispatcher._saving.cancel()  # the saves are those of this test
    course = dispatcher.course("", subscription)
    assert course is not None
    dispatcher._books.attempted(course)  # so that there is something to save
    await dispatcher._handover.give_back([number])
    ended = await asyncio.gather(*waiting)
    assert await is_on_record()
    assert ended == [False, True]


async def test_an_unexpected_fault_does_not_end_deliveries(
    desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(matcher, "LONGEST_WAIT", 0.05)
    await desk.subscribe(f"{receiver.url}/")
    store = desk.broker.store
    real = store.next_changes
    faults = [ValueError("a row that cannot be read")]

    async def changes(after: int, limit: int) -> Any:
        if faults:
            raise faults.pop()
        return await real(after, limit)

    monkeypatch.setattr(store, "next_changes", changes)
    await desk.create("urn:ngsi-ld:Device:1", level=LEVEL)
    await receiver.wait(1)
    assert "the change log cannot be worked off" in caplog.text


async def test_5_8_1_a_subscription_expires_although_the_clock_was_set_forward(
    open_desk: OpenDesk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = timedelta(0)
    monkeypatch.setattr(delivery_desk, "now", lambda: canonical(datetime.now(UTC) + ahead))
    monkeypatch.setattr(courses, "CLOCK_SECONDS", 0.1)
    desk = await open_desk()
    in_an_hour = canonical(datetime.now(UTC) + timedelta(hours=1))
    subscription = await desk.subscribe(f"{receiver.url}/", expiresAt=in_an_hour)
    await desk.create("urn:ngsi-ld:Device:1", level=LEVEL)
    await receiver.wait(1)
    ahead = timedelta(hours=2)
    await asyncio.sleep(0.3)
    await desk.create("urn:ngsi-ld:Device:2", level=LEVEL)
    await receiver.silence(0.2)
    assert (await desk.look(subscription))["status"] == "expired"


async def test_a_failure_goes_on_record_at_once_and_does_not_wait_for_the_turn_of_what_was_delivered(
    desk: Desk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(books, "PROGRESS_SECONDS", 60.0)
    receiver.status["/down"] = 500
    subscription = await desk.subscribe(f"{receiver.url}/down")
    await desk.create(HOT, level=LEVEL)
    await receiver.wait(1)

    async def is_on_record() -> bool:
        return [entity for _, entity in (await lag_of(desk, subscription)).get("pending", [])] == [HOT]

    await eventually(is_on_record)
