"""Whether MongoDB answers: found out early, remembered while it does not, noticed as soon as it does again.

The driver is patient: it waits for a primary, then for an answer, then tries once more. A client of the broker should not
have to be. So a call that takes longer than usual makes a watcher feel the pulse of the server, by a client of its own in a
thread of its own: it queues behind no other call, and a busy event loop is not taken for a dead server. No pulse twice: all
calls under way are given up, and new ones fail at once. From then on the watcher alone asks, until a primary answers; a
server in trouble gets no more than that from a process. A call that is merely slow is left alone, because the pulse is
there.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import pymongo
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from broker.errors import StoreUnavailable
from broker.store.protocol import OutcomeUnknown

Client: TypeAlias = MongoClient[dict[str, Any]]

WATCH_SECONDS: Final = 0.2
"""How often the watcher looks for calls that take long."""
LONG_SECONDS: Final = 1.0
"""How long a call may take before its server's pulse is felt."""
PULSE_SECONDS: Final = 1.5
"""How long one pulse may take."""
PULSES: Final = 2
"""How many pulses in a row have to fail: one may be the fault of a connection that was lost."""
PROBE_SECONDS: Final = 0.25
"""How long the watcher waits between two probes of a server that is away."""

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Call:
    """One call to the server. `committing`: from here on, giving it up leaves its outcome unknown."""

    limit: asyncio.Timeout
    since: float
    committing: bool = False
    given_up: bool = False


class Reach:
    """What is known of one server or cluster between `start` and `stop`; before and after, every call is let through."""

    def __init__(self) -> None:
        self.away = False
        self._calls: dict[asyncio.Task[Any], Call] = {}
        self._client: Client | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._watching: asyncio.Task[None] | None = None

    async def start(self, client: Client) -> None:
        """Watch from now on; the pulse is felt with `client`, which belongs to this object until `stop` closes it.

        Raises PyMongoError where the server does not answer now.
        """
        self._client = client
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mongo-pulse")
        # Its connection is made here, where nobody is in a hurry.
        await asyncio.get_running_loop().run_in_executor(self._thread, client.admin.command, "hello")
        self._watching = asyncio.create_task(self._watch(), name="watch over MongoDB")

    async def stop(self) -> None:
        """Watch no longer."""
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.wait([watching])
        client, self._client, thread, self._thread = self._client, None, self._thread, None
        if client is not None and thread is not None:
            await asyncio.get_running_loop().run_in_executor(thread, client.close)
            thread.shutdown()
        self.away = False

    @asynccontextmanager
    async def call(self, doing: str) -> AsyncIterator[Call]:
        """Make a call in this block, which may have further ones in it.

        Raises StoreUnavailable at once while the server is away, and when it goes away before the block has ended;
        OutcomeUnknown where that happens while a commit is under way.
        """
        task = asyncio.current_task()
        assert task is not None
        outer = self._calls.get(task)
        if outer is not None:
            yield outer
            return
        if self.away:
            raise StoreUnavailable(f"MongoDB has no primary that answers: {doing} was not tried")
        try:
            async with asyncio.timeout(None) as limit:
                call = self._calls[task] = Call(limit, time.monotonic())
                try:
                    yield call
                finally:
                    del self._calls[task]
        except TimeoutError as error:
            if not call.given_up:
                raise
            if call.committing:
                raise OutcomeUnknown(f"MongoDB went away before it said whether it finished {doing}") from error
            raise StoreUnavailable(f"MongoDB has no primary that answers: {doing} was given up") from error

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            # Calls are kept in the order in which they began.
            oldest = next(iter(self._calls.values()), None)
            if oldest is None or time.monotonic() - oldest.since < LONG_SECONDS:
                continue
            for _ in range(PULSES):
                if await self._pulse():
                    break
            else:
                await self._sit_out()

    async def _sit_out(self) -> None:
        """Let no call through until a primary answers."""
        self.away = True
        began = time.monotonic()
        log.error("MongoDB has no primary that answers: requests are refused until there is one")
        now = asyncio.get_running_loop().time()
        for call in self._calls.values():
            if not call.given_up:
                call.given_up = True
                call.limit.reschedule(now)
        while not await self._pulse():  # noqa: ASYNC110 - nothing tells but the server itself
            await asyncio.sleep(PROBE_SECONDS)
        self.away = False
        log.warning("MongoDB answers again", extra={"seconds": round(time.monotonic() - began, 3)})

    async def _pulse(self) -> bool:
        """Whether there is a primary that answers now."""
        assert self._client is not None
        return await asyncio.get_running_loop().run_in_executor(self._thread, _has_primary, self._client)


def _has_primary(client: Client) -> bool:
    try:
        with pymongo.timeout(PULSE_SECONDS):
            hello = client.admin.command("hello")
    except PyMongoError:
        return False
    return bool(hello.get("isWritablePrimary"))
