"""Equal reads at the same time are done once, and nobody gets one that began before they asked (broker.http.joint)."""

import asyncio

import pytest

from broker.errors import StoreUnavailable
from broker.http.joint import JointReads


class Source:
    """Reads that end when they are told to; each gives the number of reads that had begun by then."""

    def __init__(self) -> None:
        self.begun = 0
        self.go_on = asyncio.Event()

    async def read(self) -> int:
        self.begun += 1
        number = self.begun
        await self.go_on.wait()
        return number


async def _turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_who_asks_while_a_read_is_under_way_shares_the_next_one_with_all_that_do() -> None:
    joint, source = JointReads[int](), Source()
    first = asyncio.create_task(joint.get("page", source.read))
    await _turns()
    others = [asyncio.create_task(joint.get("page", source.read)) for _ in range(5)]
    elsewhere = asyncio.create_task(joint.get("another page", source.read))
    await _turns()
    assert source.begun == 2
    source.go_on.set()
    assert await first == 1
    assert await elsewhere == 2
    assert await asyncio.gather(*others) == [3] * 5
    assert not joint._reading
    assert not joint._waiting


async def test_a_failure_reaches_all_that_share_it_and_nobody_after_them() -> None:
    joint, source = JointReads[int](), Source()

    async def fail() -> int:
        await source.read()
        raise ValueError("no")

    first = asyncio.create_task(joint.get("page", source.read))
    await _turns()
    others = [asyncio.create_task(joint.get("page", fail)) for _ in range(2)]
    await _turns()
    source.go_on.set()
    assert await first == 1
    assert [type(each) for each in await asyncio.gather(*others, return_exceptions=True)] == [ValueError] * 2
    assert await joint.get("page", source.read) == 3


async def test_who_waits_for_a_read_that_finds_the_store_away_does_not_wait_for_another() -> None:
    joint, source = JointReads[int](), Source()

    async def fail() -> int:
        await source.read()
        raise StoreUnavailable("it did not answer in time")

    tasks = [asyncio.create_task(joint.get("page", fail)) for _ in range(3)]
    await _turns()
    source.go_on.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in found] == [StoreUnavailable] * 3
    assert source.begun == 1
    assert await joint.get("page", source.read) == 2


@pytest.mark.parametrize("waiting", [True, False])
async def test_where_the_one_that_reads_is_given_up_another_reads_for_the_rest(waiting: bool) -> None:
    joint, source = JointReads[int](), Source()
    tasks = [asyncio.create_task(joint.get("page", source.read)) for _ in range(4)]
    await _turns()  # 0 reads, 1 is to read next, for itself, 2 and 3
    if waiting:
        tasks[1].cancel()
        await _turns()
        source.go_on.set()
    else:
        tasks[0].cancel()
        await _turns()
        assert source.begun == 2
        tasks[1].cancel()
        await _turns()
        source.go_on.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(found[1], asyncio.CancelledError)
    assert found[2:] == ([2, 2] if waiting else [3, 4])
    assert not joint._reading
    assert not joint._waiting


async def test_who_shares_a_read_and_is_given_up_leaves_it_to_the_others() -> None:
    joint, source = JointReads[int](), Source()
    tasks = [asyncio.create_task(joint.get("page", source.read)) for _ in range(4)]
    await _turns()
    tasks[2].cancel()
    await _turns()
    source.go_on.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(found[2], asyncio.CancelledError)
    assert [found[0], found[1], found[3]] == [1, 2, 2]
