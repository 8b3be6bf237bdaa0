"""When the @contexts that requests make the broker keep were last used, durably, but without a write for each use.

Each Cached and each ImplicitlyCreated entry has a small document beside it. It is written before the entry and deleted after
it, so that no entry can be left without one.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from broker.contexts.recent import Recent
from broker.store.protocol import Store

USE_KIND: Final = "contextUse"
"""The kind of document under which the store keeps these."""

NOTE_SECONDS: Final = 600.0
"""For how long one note of a process counts: so far the order of uses may be wrong."""


class Use(NamedTuple):
    """When an entry was last used, in seconds since 1970, and its size in bytes."""

    at: float
    size: int


class ContextUses:
    """Uses by local id of the entry. `clock` gives seconds since 1970; `on_new` is called for each entry that this process has
    not met before or has forgotten."""

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._noted: Recent[str, float] = Recent(8192, 8192)
        self.on_new: Callable[[], None] = lambda: None

    async def note(self, context_id: str, size: int, *, surely: bool = False) -> None:
        """An entry is used now, or is about to be stored (`surely`: then it is written down in any case).

        Raises StoreUnavailable.
        """
        now = self._clock()
        noted = self._noted.get(context_id)
        if not surely and noted is not None and now - noted < NOTE_SECONDS:
            return
        await self._store.put_document(USE_KIND, "", context_id, Use(now, size)._asdict())
        self._noted.put(context_id, now, 1)
        if noted is None:
            self.on_new()

    async def all(self) -> dict[str, Use]:
        """The uses of all entries, of all brokers on this store."""
        found = await self._store.list_documents(USE_KIND, "")
        return {context_id: Use(**body) for _, context_id, body in found}

    async def last(self, context_id: str) -> Use | None:
        """The last use of an entry."""
        body = await self._store.get_document(USE_KIND, "", context_id)
        return None if body is None else Use(**body)

    async def forget(self, context_id: str) -> None:
        """An entry has been deleted."""
        await self._store.delete_document(USE_KIND, "", context_id)
        self._noted.drop(context_id)
