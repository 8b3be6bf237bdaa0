"""A fault of the driver on Python 3.11, mended where it is.

The driver waits on its conditions by `asyncio.wait_for`, which on Python 3.11 makes a task of its own for that. If the caller is
cancelled, and once more before that task has the condition's lock again, the caller goes on and leaves the task behind. That
takes the lock, and nobody ever gives it back: every call of the process waits for it from then on, without end. Here two
cancellations at once are nothing rare: calls have limits of time, and are given up when the server is away, while a lease is
lost or the process stops. Python 3.12 waits in the caller's own task; so does this.
"""

import asyncio
import sys
from typing import Protocol

import pymongo.asynchronous.pool
import pymongo.asynchronous.topology
import pymongo.lock


class _Condition(Protocol):
    async def wait(self) -> bool: ...


async def wait_on(condition: _Condition, timeout: float | None) -> bool:
    """Wait on a condition whose lock the caller has, which it has again afterwards; whether it was told in time."""
    try:
        async with asyncio.timeout(timeout):
            return await condition.wait()
    except TimeoutError:
        return False


def mend() -> None:
    """Let the driver wait like this, on the Python that needs it."""
    if sys.version_info < (3, 12):
        for module in (pymongo.lock, pymongo.asynchronous.pool, pymongo.asynchronous.topology):
            if not hasattr(module, "_async_cond_wait"):
                raise RuntimeError(f"{module.__name__} waits in another way: look whether it still needs mending")
            module._async_cond_wait = wait_on  # type: ignore[attr-defined]
