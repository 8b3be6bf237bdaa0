"""Equal reads at the same time, done once: a dashboard that many people look at asks the same thing many times a second.

Nobody is shown a state that is older than their own request: a read is joined by those who ask before it begins. While one is
under way, all that ask are together the next one, which begins when it has ended. So an answer never waits for more than one
other read, and there is nothing to keep, to bound or to invalidate. Where that one finds that the store is away, nobody waits
for a second one to find the same.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from broker.errors import StoreUnavailable

T = TypeVar("T")


class JointReads(Generic[T]):
    """Reads that are under way, by what they read. Of one event loop."""

    def __init__(self) -> None:
        self._reading: dict[Hashable, asyncio.Future[T]] = {}
        self._waiting: dict[Hashable, asyncio.Future[T]] = {}

    async def get(self, key: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """What `read` gives, or that of somebody else with this key which begins after this call. Raises what the read raises."""
        while (joined := self._waiting.get(key)) is not None:
            try:
                return await asyncio.shield(joined)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if not joined.cancelled() or (task is not None and task.cancelling()):
                    raise
        return await self._lead(key, read)

    async def _lead(self, key: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """Read for all that join until it begins. Where this one is given up, the first of the others takes its place."""
        mine: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        try:
            if (before := self._reading.get(key)) is not None:
                self._waiting[key] = mine
                try:
                    await asyncio.wait((before,))
                finally:
                    del self._waiting[key]
                if not before.cancelled() and isinstance(failure := before.exception(), StoreUnavailable):
                    raise failure
            self._reading[key] = mine
            result = await read()
        except asyncio.CancelledError:
            mine.cancel()
            raise
        except BaseException as error:
            mine.set_exception(error)
            mine.exception()  # nobody has to have joined
            raise
        finally:
            if self._reading.get(key) is mine:
                del self._reading[key]
        mine.set_result(result)
        return result
