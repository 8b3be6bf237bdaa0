"""The EntityMaps on record: made, read, trimmed and removed, in a store that several brokers may share.

The head of a map is written before its parts, and says only behind the last of them that the map is complete; it is also the
first to say that a map is gone. A kill between any two writes therefore leaves either a whole map or none, and a head by which
the sweep finds what is left over. Parts are numbered from 0 without a gap, and are removed from the last one down.
"""

import logging
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Final

from broker.errors import NgsiLdError, ResourceNotFound, StoreUnavailable, TooManyResults
from broker.federation.entity_map import MOST_IDS, EntityMap, Slot, expiry, full_parts, part_body, without
from broker.model.entity import JsonObject
from broker.store.protocol import Store
from broker.store.sweeping import sweep_regularly

HEADS: Final = "entityMap"
PARTS: Final = "entityMapPart"
"""Kinds of stored documents (broker.federation.entity_map says what they look like)."""

MAKING: Final = 300.0
"""Seconds after which a map that is still not complete never will be."""
INTERVAL: Final = 5.0
"""Seconds between two sweeps."""
MOST_MAPS_HELD: Final = 10_000
MOST_IDS_HELD: Final = 10 * MOST_IDS
"""In the maps of one tenant together. They are a cache: beyond this the next sweep removes those that would expire first."""

_LOG: Final = logging.getLogger(__name__)


class EntityMaps:
    """See the module. `now` gives the canonical instant of the moment."""

    def __init__(
        self,
        store: Store,
        now: Callable[[], str],
        *,
        interval: float = INTERVAL,
        most_maps: int = MOST_MAPS_HELD,
        most_ids: int = MOST_IDS_HELD,
    ) -> None:
        self._store = store
        self._now = now
        self._interval = interval
        self._most_maps = most_maps
        self._most_ids = most_ids

    # --- maps

    async def make(
        self, tenant: str, ids: AsyncIterator[list[str]], seconds: float, *, filters: str | None, window: str | None
    ) -> EntityMap:
        """A new map of these ids, for so many seconds from when it is complete. Raises TooManyResults, and what `ids` raises."""
        map_id = f"urn:ngsi-ld:EntityMap:{uuid.uuid4()}"
        head = EntityMap(map_id, expiry(self._now(), MAKING), filters, window)
        await self._store.put_document(HEADS, tenant, map_id, head.body(), create=True)
        pending: list[str] = []
        try:
            async for some in ids:
                pending += some
                head = await self._add_parts(tenant, head, pending, last=False)
            head = await self._add_parts(tenant, head, pending, last=True)
            head = replace(head, complete=True, expires_at=expiry(self._now(), seconds))
            if await self._store.change_document(HEADS, tenant, map_id, lambda _: head.body()) is None:
                raise StoreUnavailable("the making of an EntityMap took too long", instance=map_id)
        except NgsiLdError:
            with suppress(StoreUnavailable):  # what cannot be removed now, the sweep will remove
                await self._erase(tenant, head)
            raise
        return head

    async def _add_parts(self, tenant: str, head: EntityMap, pending: list[str], *, last: bool) -> EntityMap:
        for ids in full_parts(pending, last=last):
            if head.ids + len(ids) > MOST_IDS:
                raise TooManyResults(f"an EntityMap holds at most {MOST_IDS} entities: ask for fewer (5.14.4)")
            await self._store.put_document(PARTS, tenant, _part_id(head.id, head.parts), part_body(ids))
            head = replace(head, parts=head.parts + 1, ids=head.ids + len(ids))
        return head

    async def find(self, tenant: str, map_id: str) -> EntityMap | None:
        """A map that is there and has not expired."""
        body = await self._store.get_document(HEADS, tenant, map_id)
        if body is None:
            return None
        found = EntityMap.read(map_id, body)
        return found if found.usable(self._now()) else None

    async def slots(self, tenant: str, entity_map: EntityMap, number: int) -> list[Slot]:
        """One part of a map. Raises ResourceNotFound for a map that was removed meanwhile."""
        body = await self._store.get_document(PARTS, tenant, _part_id(entity_map.id, number))
        if body is None:
            raise ResourceNotFound(f"the EntityMap {entity_map.id} was removed meanwhile", instance=entity_map.id)
        slots: list[Slot] = body["entities"]
        return slots

    async def prolong(self, tenant: str, map_id: str, expires_at: str) -> bool:
        """Set when a map expires; False where there is none."""

        def change(body: JsonObject) -> JsonObject | None:
            usable = EntityMap.read(map_id, body).usable(self._now())
            return {**body, "expiresAt": expires_at} if usable else None

        return await self._store.change_document(HEADS, tenant, map_id, change) is not None

    async def trim(self, tenant: str, entity_map: EntityMap, gone: dict[int, set[str]]) -> None:
        """Remove entities, by part. Who is gone stays gone, whoever else trims the map at the same time."""
        for number, ids in gone.items():

            def change(body: JsonObject, ids: set[str] = ids) -> JsonObject | None:
                return without(body, ids)

            await self._store.change_document(PARTS, tenant, _part_id(entity_map.id, number), change)

    async def remove(self, tenant: str, map_id: str) -> bool:
        """Delete a map; whether there was one. From the first write on it is gone for everybody."""

        def change(body: JsonObject) -> JsonObject | None:
            found = EntityMap.read(map_id, body)
            closed = replace(found, complete=False, expires_at=self._now())
            return closed.body() if found.usable(self._now()) else None

        closed = await self._store.change_document(HEADS, tenant, map_id, change)
        if closed is None:
            return False
        await self._erase(tenant, EntityMap.read(map_id, closed))
        return True

    # --- time passes

    async def run(self) -> None:
        """Sweep from time to time until cancelled; whatever goes wrong is tried again next time."""
        await sweep_regularly(self.sweep, self._interval, _LOG, "expired EntityMaps cannot be removed")

    async def sweep(self) -> int:
        """Remove what has expired, what was never completed, and what is too much; how many maps. Raises StoreUnavailable."""
        now = self._now()
        doomed: list[tuple[str, EntityMap]] = []
        living: dict[str, list[EntityMap]] = defaultdict(list)
        for tenant, map_id, body in await self._store.list_documents(HEADS):
            head = EntityMap.read(map_id, body)
            if head.expires_at <= now:
                doomed.append((tenant, head))
            elif head.complete:
                living[tenant].append(head)
        doomed += [(tenant, head) for tenant, heads in living.items() for head in self._too_many(heads)]
        for tenant, head in doomed:
            if head.expires_at > now:
                await self.remove(tenant, head.id)
            else:
                await self._erase(tenant, head)
        return len(doomed)

    def _too_many(self, heads: list[EntityMap]) -> list[EntityMap]:
        """Those of a tenant's maps that go, so that the others are within bounds."""
        latest_first = sorted(heads, key=lambda head: head.expires_at, reverse=True)
        held = 0
        for kept, head in enumerate(latest_first):
            held += head.ids
            if kept == self._most_maps or held > self._most_ids:
                return latest_first[kept:]
        return []

    async def _erase(self, tenant: str, head: EntityMap) -> None:
        """Remove the parts of a map that nobody can read any more, the last one first, then the head."""
        count = head.parts
        while await self._store.get_document(PARTS, tenant, _part_id(head.id, count)) is not None:
            count += 1  # the head of a map that was never completed does not know of its parts
        for number in reversed(range(count)):
            await self._store.delete_document(PARTS, tenant, _part_id(head.id, number))
        await self._store.delete_document(HEADS, tenant, head.id)


def _part_id(map_id: str, number: int) -> str:
    return f"{map_id}/{number}"
