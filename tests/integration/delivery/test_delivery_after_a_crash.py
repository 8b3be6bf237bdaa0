"""At least once: whatever moment a process dies at, what was acknowledged is notified (design §7)."""

import asyncio
import random
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from delivery_desk import Desk, Receiver, eventually, opened_desk

from broker.store.sqlite.store import SqliteStore

CHILD = Path(__file__).parent / "delivery_child.py"
LEVEL = {"type": "Property", "value": 1}


async def start_child(folder: Path, endpoint: str, number: int) -> asyncio.subprocess.Process:
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(CHILD), str(folder), endpoint, str(number), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    assert await child.stdout.readline() == b"ready\n"
    return child


async def kill(child: asyncio.subprocess.Process) -> None:
    child.kill()
    await child.wait()


async def has_received(receiver: Receiver, ids: Iterable[str]) -> bool:
    return {entity_id for one in receiver.received for entity_id in one.entity_ids}.issuperset(ids)


@pytest.mark.fault
async def test_what_a_hanging_receiver_had_not_taken_arrives_after_a_kill(tmp_path: Path, receiver: Receiver) -> None:
    receiver.hold.add("/hang")
    child = await start_child(tmp_path / "killed", f"{receiver.url}/hang", 700)
    assert child.stdout is not None
    acknowledged = [(await child.stdout.readline()).decode().strip() for _ in range(700)]
    await asyncio.sleep(0.3)
    await kill(child)
    receiver.received.clear()
    receiver.hold.clear()
    async with opened_desk(tmp_path / "killed"):
        await eventually(lambda: has_received(receiver, acknowledged), seconds=20)
    receiver.release.set()


@pytest.mark.fault
@pytest.mark.parametrize("seed", range(3))
async def test_what_was_acknowledged_arrives_whenever_the_process_is_killed(
    tmp_path: Path, receiver: Receiver, seed: int
) -> None:
    child = await start_child(tmp_path / "killed", f"{receiver.url}/", 100_000)
    assert child.stdout is not None
    moment = random.Random(seed).uniform(0.05, 0.8)
    acknowledged = set()
    try:
        async with asyncio.timeout(moment):
            while True:
                acknowledged.add((await child.stdout.readline()).decode().strip())
    except TimeoutError:
        await kill(child)
    while line := await child.stdout.readline():
        acknowledged.add(line.decode().strip())
    async with opened_desk(tmp_path / "killed"):
        await eventually(lambda: has_received(receiver, acknowledged), seconds=20)
    assert acknowledged


async def test_after_an_orderly_stop_nothing_is_sent_twice_and_nothing_is_lost(
    tmp_path: Path, receiver: Receiver
) -> None:
    async with opened_desk(tmp_path / "one") as desk:
        subscription = await desk.subscribe(f"{receiver.url}/")
        await desk.create("urn:ngsi-ld:Device:1", level=LEVEL)
        await receiver.wait(1)
    async with opened_desk(tmp_path / "one") as desk:
        await desk.create("urn:ngsi-ld:Device:2", level=LEVEL)
        await receiver.wait(2)
        await receiver.silence()
        await asyncio.sleep(0.05)
        assert (await desk.look(subscription))["notification"]["timesSent"] == 2
    assert [one.entity_ids for one in receiver.received] == [["urn:ngsi-ld:Device:1"], ["urn:ngsi-ld:Device:2"]]


async def test_what_was_owed_at_an_orderly_stop_is_sent_after_it(tmp_path: Path, receiver: Receiver) -> None:
    receiver.status["/bad"] = 500
    async with opened_desk(tmp_path / "one") as desk:
        await desk.subscribe(f"{receiver.url}/bad")
        await desk.subscribe(f"{receiver.url}/good")
        await desk.create("urn:ngsi-ld:Device:1", level=LEVEL)
        await receiver.wait(2)
    receiver.received.clear()
    receiver.status.clear()
    async with opened_desk(tmp_path / "one"):
        (got,) = await receiver.wait(1)
        assert got.path == "/bad"
        await receiver.silence()


async def test_deleted_and_paused_subscriptions_are_owed_nothing_after_a_restart(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.status.update({"/deleted": 500, "/paused": 500})
    async with opened_desk(tmp_path / "one") as desk:
        deleted = await desk.subscribe(f"{receiver.url}/deleted")
        paused = await desk.subscribe(f"{receiver.url}/paused")
        await desk.create("urn:ngsi-ld:Device:1", level=LEVEL)
        await receiver.wait(2)
        await desk.unsubscribe(deleted)
        await desk.change(paused, {"isActive": False})
    receiver.received.clear()
    receiver.status.clear()
    async with opened_desk(tmp_path / "one") as desk:
        await desk.change(paused, {"isActive": True})
        await receiver.silence()
        assert not any(name.startswith("delivery/") for name in await desk.broker.store.cursors())


async def test_a_subscription_that_fell_far_behind_reads_the_log_again_and_misses_nothing(
    desk: Desk, receiver: Receiver
) -> None:
    receiver.hold.add("/slow")
    subscription = await desk.subscribe(f"{receiver.url}/slow")
    ids = [f"urn:ngsi-ld:Device:{number:04}" for number in range(900)]
    await asyncio.gather(*(desk.create(one, level=LEVEL) for one in ids))

    async def has_fallen_behind() -> bool:
        return desk.broker.dispatcher.owed("", subscription)[1] is not None

    await eventually(has_fallen_behind)
    assert desk.broker.dispatcher.owed("", subscription)[0] <= 256
    receiver.hold.clear()
    receiver.release.set()
    got = await receiver.wait(900, seconds=20)
    assert sorted(one.entity_ids[0] for one in got) == ids
    await asyncio.sleep(0.1)
    assert desk.broker.dispatcher.owed("", subscription) == (0, None)
    await desk.create("urn:ngsi-ld:Device:after", level=LEVEL)
    assert (await receiver.wait(901))[-1].entity_ids == ["urn:ngsi-ld:Device:after"]


async def test_the_log_is_guarded_for_a_subscription_that_is_owed_something(desk: Desk, receiver: Receiver) -> None:
    receiver.status["/"] = 500
    subscription = await desk.subscribe(f"{receiver.url}/")
    await desk.create("urn:ngsi-ld:Device:1", level=LEVEL)

    async def guard() -> int | None:
        return (await desk.broker.store.cursors()).get(f"delivery//{subscription}")

    assert await eventually(lambda: _not_none(guard)) == (0,)
    receiver.status.clear()
    await receiver.wait(2)

    async def is_gone() -> bool:
        return await guard() is None

    await eventually(is_gone)
    assert (await desk.broker.store.cursors())["delivery"] == await desk.broker.store.head()


async def test_a_change_that_was_trimmed_before_it_could_be_delivered_is_counted_as_failed(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.status["/"] = 500
    async with opened_desk(tmp_path / "two") as desk:
        subscription = await desk.subscribe(f"{receiver.url}/")
        await desk.create("urn:ngsi-ld:Device:1", level=LEVEL)
        await receiver.wait(1)
    receiver.status.clear()
    store = SqliteStore(str(tmp_path / "two"))
    await store.open()
    await store.trim(await store.head())
    await store.close()
    async with opened_desk(tmp_path / "two") as desk:

        async def is_told() -> bool:
            return "trimmed" in ((await desk.broker.dispatcher.tally("", subscription)).reason or "")

        await eventually(is_told)
        assert desk.broker.dispatcher.owed("", subscription) == (0, None)


async def _not_none(look: object) -> tuple[int] | None:
    value = await look()  # type: ignore[operator]
    return None if value is None else (value,)
