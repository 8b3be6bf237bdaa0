"""A notification that is refused for ever is set aside, durably, and the others go on (design §7)."""

import asyncio
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pytest
from delivery_desk import Desk, Receiver, Refusing, eventually, opened_desk

from broker.delivery import course as courses
from broker.delivery import undelivered as bounds
from broker.delivery.failure import Failure
from broker.delivery.undelivered import UNDELIVERED, Undelivered, UndeliveredStore, read_undelivered
from broker.errors import StoreUnavailable
from broker.model.change import Change, Touch
from broker.store.protocol import Document, DocumentKey, Lease, Store
from broker.store.sqlite.store import SqliteStore

CHILD = Path(__file__).parent / "undelivered_child.py"
BAD = "urn:ngsi-ld:Device:bad"
LEVEL = {"type": "Property", "value": 1}
AT = "2026-01-01T00:00:00.000000Z"


@pytest.fixture(autouse=True)
def no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courses, "FIRST_PAUSE", 0.005)
    monkeypatch.setattr(courses, "LONGEST_PAUSE", 0.05)


async def aside(desk: Desk) -> list[str]:
    """The entities of all that is set aside, as the store has it."""
    found = await desk.broker.store.list_documents(UNDELIVERED)
    return [entity for _, _, document in found for entity in document["entities"]]


def value(number: int) -> dict[str, object]:
    return {"type": "Property", "value": number}


async def test_an_entity_that_is_refused_for_ever_does_not_hold_up_the_others(desk: Desk, refusing: Refusing) -> None:
    refusing.refused.add(BAD)
    subscription = await desk.subscribe(f"{refusing.url}/")
    await desk.create(BAD, level=LEVEL)
    for number in range(300):
        await desk.update(BAD, level=value(number + 2))
    await asyncio.gather(*(desk.create(f"urn:ngsi-ld:Device:{number}", level=LEVEL) for number in range(300)))
    got = await refusing.wait(300, seconds=20)
    assert {one.entity_ids[0] for one in got} == {f"urn:ngsi-ld:Device:{number}" for number in range(300)}

    async def all_are_aside() -> bool:
        return await aside(desk) == [BAD] * 301

    await eventually(all_are_aside, seconds=20)
    await asyncio.sleep(0.2)
    assert desk.broker.dispatcher.owed("", subscription) == (0, None)
    seen = (await desk.look(subscription))["notification"]
    assert seen["timesFailed"] == refusing.refusals
    assert not any(name.startswith("delivery/") for name in await desk.broker.store.cursors())


async def test_later_notifications_of_an_entity_go_out_after_one_was_set_aside(desk: Desk, refusing: Refusing) -> None:
    refusing.refused.add(BAD)
    await desk.subscribe(f"{refusing.url}/")
    await desk.create(BAD, level=LEVEL)

    async def is_aside() -> bool:
        return await aside(desk) == [BAD]

    await eventually(is_aside)
    refusing.refused.clear()
    await desk.update(BAD, level=value(2))
    (got,) = await refusing.wait(1)
    assert got.data[0]["level"]["value"] == 2
    assert await aside(desk) == [BAD]


async def test_what_is_set_aside_tells_why_and_has_the_change(desk: Desk, refusing: Refusing) -> None:
    refusing.refused.add(BAD)
    refusing.answer = 422
    subscription = await desk.subscribe(f"{refusing.url}/")
    await desk.create(BAD, level=LEVEL)

    async def is_aside() -> bool:
        return await aside(desk) == [BAD]

    await eventually(is_aside)
    ((tenant, _, document),) = await desk.broker.store.list_documents(UNDELIVERED)
    assert (tenant, document["subscription"]) == ("", subscription)
    assert document["attempts"] == 10
    assert document["first"]["at"] < document["last"]["at"]
    assert (document["last"]["kind"], document["last"]["status"]) == ("status", 422)


async def test_a_receiver_that_answers_nobody_has_nothing_set_aside(desk: Desk, receiver: Receiver) -> None:
    await receiver.stop()
    subscription = await desk.subscribe(f"{receiver.url}/")
    await asyncio.gather(*(desk.create(f"urn:ngsi-ld:Device:{number}", level=LEVEL) for number in range(20)))

    async def has_failed_often() -> bool:
        return (await desk.look(subscription))["notification"].get("timesFailed", 0) >= 30

    await eventually(has_failed_often, seconds=20)
    assert await aside(desk) == []
    receiver.release.clear()
    await receiver.start()
    await receiver.wait(20, seconds=10)


async def test_a_receiver_that_fails_for_everybody_has_nothing_set_aside(desk: Desk, receiver: Receiver) -> None:
    for status, path in ((500, "/500"), (503, "/503"), (404, "/404")):
        receiver.status[path] = status
        await desk.subscribe(f"{receiver.url}{path}")
    await asyncio.gather(*(desk.create(f"urn:ngsi-ld:Device:{number}", level=LEVEL) for number in range(10)))
    await receiver.wait(200, seconds=20)
    assert await aside(desk) == []
    receiver.status.clear()
    receiver.received.clear()

    async def all_came() -> bool:
        return len({(one.path, one.entity_ids[0]) for one in receiver.received}) == 30

    await eventually(all_came, seconds=10)


async def test_a_deleted_subscription_leaves_nothing_set_aside(tmp_path: Path, refusing: Refusing) -> None:
    refusing.refused.add(BAD)
    async with opened_desk(tmp_path / "one") as desk:
        first = await desk.subscribe(f"{refusing.url}/")
        second = await desk.subscribe(f"{refusing.url}/")
        await desk.create(BAD, level=LEVEL)

        async def both_are_aside() -> bool:
            return await aside(desk) == [BAD, BAD]

        await eventually(both_are_aside)
        await desk.unsubscribe(first)
        assert await aside(desk) == [BAD]
        # As a kill between the two steps of a deletion leaves it:
        await desk.broker.store.delete_document("subscription", "", second)
    async with opened_desk(tmp_path / "one") as desk:
        assert await aside(desk) == []


async def test_a_store_that_fails_for_a_while_delays_setting_aside_and_loses_nothing(
    desk: Desk, refusing: Refusing, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, faults = desk.broker.store, 3
    write = store.save_under

    async def save_under(lease: Lease, **what: Any) -> bool:
        nonlocal faults
        if faults and any(put.kind == UNDELIVERED for put in what["puts"]):
            faults -= 1
            raise StoreUnavailable("away")
        return await write(lease, **what)

    monkeypatch.setattr(store, "save_under", save_under)
    refusing.refused.add(BAD)
    await desk.subscribe(f"{refusing.url}/")
    await desk.create(BAD, level=LEVEL)

    async def is_aside() -> bool:
        return await aside(desk) == [BAD]

    await eventually(is_aside)
    assert faults == 0


async def test_what_does_not_fit_any_more_is_dropped_oldest_first_and_counted(
    desk: Desk, refusing: Refusing, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bounds, "MOST", 3)
    refusing.refused |= {BAD, *(f"urn:ngsi-ld:Device:{number}" for number in range(6))}
    subscription = await desk.subscribe(f"{refusing.url}/")
    for number in range(5):
        await desk.create(f"urn:ngsi-ld:Device:{number}", level=LEVEL)

        async def is_aside(number: int = number) -> bool:
            return (await aside(desk))[-1:] == [f"urn:ngsi-ld:Device:{number}"]

        await eventually(is_aside)

    async def only_the_last_are_left() -> bool:
        return await aside(desk) == [f"urn:ngsi-ld:Device:{number}" for number in (2, 3, 4)]

    await eventually(only_the_last_are_left)
    await desk.update("urn:ngsi-ld:Device:3", level=value(2))

    async def it_took_the_place_of_its_own_entity() -> bool:
        return await aside(desk) == [f"urn:ngsi-ld:Device:{number}" for number in (2, 4, 3)]

    await eventually(it_took_the_place_of_its_own_entity)
    assert (await desk.broker.dispatcher.tally("", subscription)).dropped == 3
    assert caplog.text.count("an undelivered notification is lost") == 3


def sample(number: int, subscription: str = "urn:s", size: int = 10) -> tuple[Undelivered, Change]:
    failure = Failure(AT, "status", "status 400", 400)
    one = Undelivered("", subscription, f"urn:n:{number}", (number,), (f"urn:{number}",), AT, 3, failure, failure, AT)
    entity = {"id": f"urn:{number}", "type": ["x" * size], "attrs": {}, "createdAt": AT, "modifiedAt": AT, "version": 1}
    touched = (Touch("name", None, "attributeCreated"), Touch("name", "urn:dataset", "attributeDeleted"))
    return one, Change("", f"urn:{number}", "entityUpdated", AT, touched, None, entity, number)  # type: ignore[arg-type]


async def kept_in(store: Store, dropped: list[str]) -> UndeliveredStore:
    """What is set aside in a store, written under a lease."""
    lease = (await store.take_leases(["delivery"], "test", 60))["delivery"]

    async def write(
        _: tuple[str, str], *, puts: Sequence[Document] = (), deletes: Collection[DocumentKey] = ()
    ) -> None:
        assert await store.save_under(lease, puts=puts, deletes=deletes)

    return UndeliveredStore(store, write, lambda one: dropped.append(one.notification_id))


async def test_records_survive_a_restart_in_every_store(store: Store) -> None:
    kept = await kept_in(store, [])
    one, change = sample(1)
    other, other_change = sample(2, "urn:gone")
    await kept.keep(one, [change])
    await kept.keep(other, [other_change])
    other_kept = kept.find(("", "urn:gone"), "urn:n:2")
    again = await kept_in(store, [])
    again.take_in(await read_undelivered(store))
    assert again.find(("", "urn:gone"), "urn:n:2") == other_kept
    again.forget(("", "urn:gone"))
    (found,) = again.of(("", "urn:s"))
    assert found == kept.find(("", "urn:s"), "urn:n:1")
    assert await again.changes(found) == [change]
    assert again.of(("", "urn:gone")) == []
    assert len(await store.list_documents(UNDELIVERED)) == 2
    await kept.erase(("", "urn:gone"))
    assert await again.discard(("", "urn:s"), "urn:n:1")
    assert not await again.discard(("", "urn:s"), "urn:n:1")
    assert await store.list_documents(UNDELIVERED) == []


async def test_bytes_are_bounded_for_one_subscription_and_for_all(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "MOST_BYTES", 4_000)
    monkeypatch.setattr(bounds, "MOST_BYTES_OF_ALL", 6_500)
    dropped: list[str] = []
    kept = await kept_in(store, dropped)
    for number in range(1, 6):
        one, change = sample(number, size=1_000)
        await kept.keep(one, [change])
    assert dropped == ["urn:n:1", "urn:n:2"]
    for number in range(6, 9):
        one, change = sample(number, "urn:other", size=1_000)
        await kept.keep(one, [change])
    assert dropped == ["urn:n:1", "urn:n:2", "urn:n:3"]
    huge, change = sample(9, size=5_000)
    await kept.keep(huge, [change])
    assert dropped[-1] == "urn:n:9"
    assert len(kept.of(("", "urn:other"))) == 3
    monkeypatch.setattr(bounds, "MOST", 1)
    again = await kept_in(store, dropped)
    again.take_in(await read_undelivered(store))
    await again.make_room()
    assert [one.notification_id for one in again.of(("", "urn:s"))] == ["urn:n:5"]
    assert [name for _, name, _ in await store.list_documents(UNDELIVERED)] == ["urn:n:5", "urn:n:8"]


@pytest.mark.fault
@pytest.mark.parametrize(("moment", "number"), [("before", 1), ("after", 1), ("before", 3), ("after", 3)])
async def test_a_kill_while_a_notification_is_set_aside_loses_nothing(
    tmp_path: Path, refusing: Refusing, moment: str, number: int
) -> None:
    refusing.refused |= {f"urn:ngsi-ld:Device:{one:05}" for one in range(0, 100_000, 7)}
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        str(CHILD),
        str(tmp_path / "killed"),
        f"{refusing.url}/",
        moment,
        str(number),
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdout is not None
    acknowledged = {line.decode().strip() async for line in child.stdout}
    assert await child.wait() == -9
    acknowledged = {one for one in acknowledged if len(one) == len("urn:ngsi-ld:Device:00000")}
    async with opened_desk(tmp_path / "killed") as desk:

        async def all_arrived_or_are_aside() -> bool:
            arrived = {entity for one in refusing.received for entity in one.entity_ids}
            return acknowledged <= arrived | set(await aside(desk))

        await eventually(all_arrived_or_are_aside, seconds=30)
        documents = await desk.broker.store.list_documents(UNDELIVERED)
        assert len({document["positions"][0] for _, _, document in documents}) == len(documents)
    assert acknowledged


async def test_what_arrives_after_all_is_no_longer_set_aside(tmp_path: Path, refusing: Refusing) -> None:
    """A kill between the record and the acknowledgement: the notification is tried again, and now it is taken."""
    refusing.refused.add(BAD)
    async with opened_desk(tmp_path / "one") as desk:
        await desk.subscribe(f"{refusing.url}/")
        cursors = await desk.broker.store.cursors()
        await desk.create(BAD, level=LEVEL)

        async def is_aside() -> bool:
            return await aside(desk) == [BAD]

        await eventually(is_aside)
    refusing.refused.clear()
    store = SqliteStore(str(tmp_path / "one"))
    await store.open()
    await store.save_cursors({"delivery": cursors.get("delivery", 0)})
    await store.close()
    async with opened_desk(tmp_path / "one") as desk:
        await refusing.wait(1)

        async def is_taken_back() -> bool:
            return await aside(desk) == []

        await eventually(is_taken_back)
