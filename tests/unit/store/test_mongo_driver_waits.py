"""The driver's waits give its locks back, however often they are cancelled."""

import asyncio

import pymongo.asynchronous.pool
import pymongo.asynchronous.topology
import pytest
from pymongo.lock import _async_create_condition, _async_create_lock

import broker.store.mongo.connection  # noqa: F401 # mends the driver


@pytest.mark.parametrize("module", [pymongo.asynchronous.pool, pymongo.asynchronous.topology])
@pytest.mark.parametrize("cancellations", [1, 2, 3])
@pytest.mark.parametrize("turns", [1, 2, 3])
async def test_a_wait_that_is_cancelled_again_and_again_leaves_the_lock_free(
    module: object, cancellations: int, turns: int
) -> None:
    condition = _async_create_condition(_async_create_lock())

    async def call() -> None:
        async with condition:
            await module._async_cond_wait(condition, 10.0)  # type: ignore[attr-defined]

    calling = asyncio.create_task(call())
    await asyncio.sleep(0.01)
    async with condition:  # another call has the lock while the first one is given up
        for _ in range(cancellations):
            await asyncio.sleep(0.01)
            calling.cancel()
        for _ in range(turns):
            await asyncio.sleep(0)
    outcomes = await asyncio.wait_for(asyncio.gather(calling, return_exceptions=True), 10)
    assert isinstance(outcomes[0], asyncio.CancelledError)
    async with asyncio.timeout(10), condition:
        pass


@pytest.mark.parametrize("module", [pymongo.asynchronous.pool, pymongo.asynchronous.topology])
async def test_a_wait_ends_when_it_is_told_or_its_time_is_over(module: object) -> None:
    condition = _async_create_condition(_async_create_lock())

    async def call(timeout: float | None) -> bool:
        async with condition:
            told: bool = await module._async_cond_wait(condition, timeout)  # type: ignore[attr-defined]
            return told

    assert not await call(0.01)
    calling = asyncio.create_task(call(None))
    await asyncio.sleep(0.01)
    async with condition:
        condition.notify()
    assert await asyncio.wait_for(calling, 10)
