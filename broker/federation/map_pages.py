"""Pages of a query whose entities an EntityMap fixes (5.5.9.3).

Candidates are taken in the order of the map and checked against what they are now; those that do not fit any more are to be
removed. A page begins at a place in the map, or ends before one, and not at a number of entities. Places never move: a client
that follows links meets each entity that stays exactly once, whatever is removed in between, and pages are full as long as
there are entities in that direction.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, NamedTuple, TypeVar

from broker.errors import TooComplexQuery
from broker.federation.entity_map import START, Place, Slot

T = TypeVar("T")

PAGE_SECONDS: Final = 20.0
LONGEST_STRETCH: Final = 1000
"""Candidates that are checked at once."""


class Checked(NamedTuple, Generic[T]):
    """What became of some candidates: `fitting` still belong into the map; `found` are those of them that were asked for."""

    fitting: set[str]
    found: dict[str, T]


@dataclass(frozen=True, slots=True)
class Inquiry(Generic[T]):
    """One request's side of it. `wanted`: whether an id is asked for, by itself; `check`: what candidates are now; `every_one`:
    whether as many as given fit and are all asked for, where that is cheaper to say (None where it is not)."""

    wanted: Callable[[str], bool]
    check: Callable[[Sequence[str]], Awaitable[Checked[T]]]
    every_one: Callable[[Sequence[str]], Awaitable[bool]] | None = None


@dataclass(frozen=True, slots=True)
class MapPage(Generic[T]):
    """A page: what is on it, and the places before which the previous page ends and at which the next one begins, if any."""

    found: list[T]
    before: Place | None
    behind: Place | None
    offset: int


@dataclass(slots=True)
class MapReader(Generic[T]):
    """Reads one map for one request. `read` gives a part by its number, below `parts`. `gone` are the ids to remove, by part."""

    read: Callable[[int], Awaitable[list[Slot]]]
    parts: int
    inquiry: Inquiry[T]
    gone: dict[int, set[str]] = field(default_factory=dict)
    deadline: float = field(default_factory=lambda: time.monotonic() + PAGE_SECONDS)
    _last: tuple[int, list[Slot]] | None = None

    async def page_from(self, place: Place, limit: int, offset: int) -> MapPage[T]:
        """The page that begins at a place; `offset` says which that is to the client."""
        ahead = await self._search(place, limit + 1, forward=True)
        start = ahead[0][0] if ahead else place
        return await self._page(ahead[:limit], start, more=len(ahead) > limit, offset=offset)

    async def page_before(self, place: Place, limit: int, offset: int) -> MapPage[T]:
        """The page that ends before a place."""
        behind = await self._search(place, limit + 1, forward=False)
        shown = behind[:limit][::-1]
        start = shown[0][0] if shown else START
        more = bool(await self._search(place, 1, forward=True))
        return await self._page(shown, start, more=more, offset=offset if len(behind) > limit else 0, end=place)

    async def page_at(self, offset: int, limit: int) -> MapPage[T]:
        """The page from an offset on, among the candidates that are left. Behind the end it is the last entity (6.3.10)."""
        end, skipped = Place(self.parts, 0), 0
        place = end
        async for candidate, _ in self._candidates(START, forward=True):
            if skipped == offset:
                place = candidate
                break
            skipped += 1
        page = await self.page_from(place, limit, offset)
        if page.found or not offset:
            return page
        last = await self._search(end, 1, forward=False)
        return await self._page(last, last[0][0] if last else START, more=False, offset=max(0, skipped - 1))

    async def count(self) -> int:
        """How many entities match now; the map is checked to its end."""
        total = 0
        for number in range(self.parts):
            ids = [slot[0] for slot in await self._slots(number) if slot is not None and self.inquiry.wanted(slot[0])]
            for begin in range(0, len(ids), LONGEST_STRETCH):
                stretch = ids[begin : begin + LONGEST_STRETCH]
                if self.inquiry.every_one is not None and await self.inquiry.every_one(stretch):
                    total += len(stretch)
                else:
                    total += len((await self._check([(Place(number, 0), each) for each in stretch])).found)
                self._check_time()
        return total

    async def _page(
        self, shown: list[tuple[Place, T]], start: Place, *, more: bool, offset: int, end: Place | None = None
    ) -> MapPage[T]:
        earlier = start > START and bool(await self._search(start, 1, forward=False))
        end = end or (_next(shown[-1][0]) if shown else start)
        return MapPage([found for _, found in shown], start if earlier else None, end if more else None, offset)

    async def _search(self, place: Place, limit: int, *, forward: bool) -> list[tuple[Place, T]]:
        """The first `limit` matches from a place on, or before it and backwards; what is met and does not fit is noted."""
        found: list[tuple[Place, T]] = []
        stretch: list[tuple[Place, str]] = []
        size = min(limit, LONGEST_STRETCH)
        candidates = self._candidates(place, forward=forward)
        exhausted = False
        while not exhausted and len(found) < limit:
            stretch = []
            while len(stretch) < size and not exhausted:
                candidate = await anext(candidates, None)
                exhausted = candidate is None
                if candidate is not None:
                    stretch.append(candidate)
            checked = await self._check(stretch)
            found += [(where, checked.found[entity_id]) for where, entity_id in stretch if entity_id in checked.found]
            size = min(2 * size, LONGEST_STRETCH)
            self._check_time()
        return found[:limit]

    async def _check(self, stretch: list[tuple[Place, str]]) -> Checked[T]:
        if not stretch:
            return Checked(set(), {})
        checked = await self.inquiry.check([entity_id for _, entity_id in stretch])
        for place, entity_id in stretch:
            if entity_id not in checked.fitting:
                self.gone.setdefault(place.part, set()).add(entity_id)
        return checked

    async def _candidates(self, place: Place, *, forward: bool) -> AsyncIterator[tuple[Place, str]]:
        """The entities that are asked for and still in the map, from a place on, or from before it on backwards."""
        numbers = range(place.part, self.parts) if forward else range(min(place.part, self.parts - 1), -1, -1)
        for number in numbers:
            slots = await self._slots(number)
            here = number == place.part
            within = (
                range(place.slot if here else 0, len(slots))
                if forward
                else range((min(place.slot, len(slots)) if here else len(slots)) - 1, -1, -1)
            )
            for index in within:
                slot = slots[index]
                if slot is not None and self.inquiry.wanted(slot[0]) and slot[0] not in self.gone.get(number, ()):
                    yield Place(number, index), slot[0]
            self._check_time()

    async def _slots(self, number: int) -> list[Slot]:
        if self._last is None or self._last[0] != number:
            self._last = number, await self.read(number)
        return self._last[1]

    def _check_time(self) -> None:
        if time.monotonic() > self.deadline:
            raise TooComplexQuery(f"the EntityMap could not be read within {PAGE_SECONDS:g} seconds: ask for fewer ids")


def _next(place: Place) -> Place:
    return Place(place.part, place.slot + 1)
