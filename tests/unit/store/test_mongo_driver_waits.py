"""The driver's waits give its locks back, however often they are cancelled."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pymongo.asynchronous.pool
import pymongo.asynchronous.topology
import pytest
from pymongo.errors import _OperationCancelled
from pymongo.lock import _async_create_condition, _async_create_lock

import broker.store.mongo.connection  # noqa: F401 # mends the driver
from broker.store.mongo import driver


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


def silent(timeout: float | None) -> Any:
    """A connection of the driver's to a server that says nothing."""

    async def read(request_id: int | None, max_message_size: int) -> tuple[bytes, int]:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    protocol = SimpleNamespace(read=read)
    return SimpleNamespace(
        conn=SimpleNamespace(gettimeout=timeout, get_conn=protocol), cancel_context=SimpleNamespace(cancelled=False)
    )


async def test_who_waits_for_an_answer_waits_no_longer_than_its_time() -> None:
    with pytest.raises(TimeoutError):
        await driver.receive(silent(0.02), 1, 1000)


async def test_who_waits_on_a_connection_that_is_given_up_hears_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "LOOK_SECONDS", 0.01)
    connection = silent(None)
    asyncio.get_running_loop().call_later(0.03, setattr, connection.cancel_context, "cancelled", True)
    async with asyncio.timeout(5):
        with pytest.raises(_OperationCancelled):
            await driver.receive(connection, 1, 1000)


async def test_who_is_cancelled_while_it_waits_is_gone_at_once_and_leaves_no_task_behind() -> None:
    before = asyncio.all_tasks()
    waiting = asyncio.create_task(driver.receive(silent(None), 1, 1000))
    await asyncio.sleep(0)
    assert asyncio.all_tasks() - before == {waiting}
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert asyncio.all_tasks() == before
