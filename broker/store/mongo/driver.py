"""What the driver does on asyncio, mended where it is: a fault on Python 3.11, and tasks that nobody needs.

The fault: the driver waits on its conditions by `asyncio.wait_for`, which on Python 3.11 makes a task of its own for that. If the
caller is cancelled, and once more before that task has the condition's lock again, the caller goes on and leaves the task behind.
That takes the lock, and nobody ever gives it back: every call of the process waits for it from then on, without end. Here two
cancellations at once are nothing rare: calls have limits of time, and are given up when the server is away, while a lease is
lost or the process stops. Python 3.12 waits in the caller's own task; so does this.

The tasks: for each command the driver makes one to send it (on Python 3.11), one to wait for the answer, and one that looks
whether the connection has been given up meanwhile. They are a quarter of what a command costs. Here the caller waits itself,
with the same limits of time, and a timer looks as often as that task did.
"""

import asyncio
import sys
import time
from typing import Final, Protocol

import pymongo.asynchronous.pool
import pymongo.asynchronous.topology
import pymongo.lock
from pymongo import _csot
from pymongo.asynchronous.pool import AsyncConnection
from pymongo.common import MAX_MESSAGE_SIZE
from pymongo.errors import ProtocolError, _OperationCancelled
from pymongo.message import _UNPACK_REPLY, _OpMsg
from pymongo.network_layer import PyMongoProtocol

LOOK_SECONDS: Final = 0.5
"""How often somebody who waits for an answer looks whether the connection has been given up: as often as the driver does."""


class _Condition(Protocol):
    async def wait(self) -> bool: ...


async def wait_on(condition: _Condition, timeout: float | None) -> bool:
    """Wait on a condition whose lock the caller has, which it has again afterwards; whether it was told in time."""
    try:
        async with asyncio.timeout(timeout):
            return await condition.wait()
    except TimeoutError:
        return False


async def send(conn: PyMongoProtocol, buf: bytes) -> None:
    """Send a message. Raises TimeoutError, OSError."""
    try:
        async with asyncio.timeout(conn.gettimeout):
            await conn.write(buf)
    except TimeoutError:
        raise TimeoutError("timed out") from None


async def receive(conn: AsyncConnection, request_id: int | None, max_message_size: int = MAX_MESSAGE_SIZE) -> _OpMsg:
    """The answer to a request, None: the next message. Raises TimeoutError, and what the driver raises."""
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle
    timeout = conn.conn.gettimeout
    if _csot.get_timeout():
        timeout = max(_csot.get_deadline() - time.monotonic(), 0)

    def look() -> None:
        nonlocal timer
        if conn.cancel_context.cancelled:
            limit.reschedule(loop.time())
        else:
            timer = loop.call_later(LOOK_SECONDS, look)

    timer = loop.call_later(LOOK_SECONDS, look)
    try:
        async with asyncio.timeout(timeout) as limit:
            data, code = await conn.conn.get_conn.read(request_id, max_message_size)
    except TimeoutError:
        if conn.cancel_context.cancelled:
            raise _OperationCancelled("operation cancelled") from None
        raise TimeoutError("timed out") from None
    finally:
        timer.cancel()
    try:
        unpack = _UNPACK_REPLY[code]
    except KeyError:
        raise ProtocolError(f"the server answered with the operation {code!r}, which is none") from None
    return unpack(data)


def mend() -> None:
    """Let the driver send, receive and, on the Python that needs it, wait like this."""
    pool = pymongo.asynchronous.pool
    for name in ("async_sendall", "async_receive_message"):
        if not hasattr(pool, name):
            raise RuntimeError(f"{pool.__name__} talks to the server in another way: look how it does")
    pool.async_sendall = send  # type: ignore[attr-defined]
    pool.async_receive_message = receive  # type: ignore[attr-defined]
    if sys.version_info < (3, 12):
        for module in (pymongo.lock, pymongo.asynchronous.pool, pymongo.asynchronous.topology):
            if not hasattr(module, "_async_cond_wait"):
                raise RuntimeError(f"{module.__name__} waits in another way: look whether it still needs mending")
            module._async_cond_wait = wait_on  # type: ignore[attr-defined]
