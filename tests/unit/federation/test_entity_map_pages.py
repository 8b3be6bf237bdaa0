"""Paging through an EntityMap while entities stop fitting (5.5.9.3): nothing is skipped, nothing comes twice, pages are full."""

import asyncio
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import TooComplexQuery
from broker.federation.entity_map import START, Place
from broker.federation.map_pages import Checked, Inquiry, MapReader


class World:
    """Entities 0, 1, ..., those of them that fit a query, those that a request asks for, and a map of all."""

    def __init__(self, sizes, wanted=None):
        numbers = iter(range(sum(sizes)))
        self.parts = [[[str(next(numbers)), ["@none"]] for _ in range(size)] for size in sizes]
        self.total = sum(sizes)
        self.fitting = set(range(self.total))
        self.wanted = wanted or (lambda number: True)
        self.hidden: set[int] = set()
        self.checked = 0

    def reader(self, **options):
        async def read(number):
            return list(self.parts[number])

        async def check(ids):
            self.checked += len(ids)
            fitting = {each for each in ids if int(each) in self.fitting}
            return Checked(fitting, {each: int(each) for each in fitting if int(each) not in self.hidden})

        return MapReader(read, len(self.parts), Inquiry(lambda each: self.wanted(int(each)), check), **options)

    def run(self, ask, *, trim=True):
        """What a client gets that asks like this; then what did not fit is gone from the map."""
        reader = self.reader()
        result = asyncio.run(ask(reader))
        if trim:
            self.trim(reader.gone)
        return result

    def trim(self, gone):
        for number, ids in gone.items():
            self.parts[number] = [None if slot and slot[0] in ids else slot for slot in self.parts[number]]

    def expected(self):
        return [number for number in range(self.total) if number in self.fitting and self.wanted(number)]


sizes = st.lists(st.integers(0, 7), max_size=5)
departures = st.lists(st.sets(st.integers(0, 34), max_size=6), max_size=12)


@given(sizes, st.integers(1, 9), departures, st.booleans())
def test_5_5_9_3_following_next_meets_what_stays_exactly_once(sizes, limit, departures, trim):
    world = World(sizes)
    leaving = iter(departures)
    seen = []
    page = world.run(lambda reader: reader.page_at(0, limit), trim=trim)
    while True:
        seen += page.found
        assert len(page.found) == limit or page.behind is None
        if page.behind is None:
            break
        place = page.behind
        world.fitting -= next(leaving, set())
        page = world.run(lambda reader, place=place: reader.page_from(place, limit, 0), trim=trim)
    assert seen == sorted(set(seen))
    assert world.fitting <= set(seen)


@given(sizes, st.integers(1, 9), departures)
def test_5_5_9_3_following_prev_meets_what_stays_exactly_once_and_only_the_first_page_is_short(
    sizes, limit, departures
):
    world = World(sizes)
    leaving = iter(departures)
    end = Place(len(world.parts), 0)
    seen = []
    place = end
    while place is not None:
        page = world.run(lambda reader, place=place: reader.page_before(place, limit, 0))
        seen = page.found + seen
        assert len(page.found) == limit or page.before is None
        place = page.before
        world.fitting -= next(leaving, set())
    assert seen == sorted(set(seen))
    assert world.fitting <= set(seen)


@given(sizes, st.integers(1, 5), st.sets(st.integers(0, 34)), st.data())
def test_5_5_9_3_prev_and_next_lead_to_the_same_pages_while_nothing_changes(sizes, limit, gone, data):
    world = World(sizes)
    world.fitting -= gone
    pages = [world.run(lambda reader: reader.page_at(0, limit))]
    while (place := pages[-1].behind) is not None:
        pages.append(world.run(lambda reader, place=place: reader.page_from(place, limit, 0)))
    assert [each for page in pages for each in page.found] == world.expected()
    assert pages[0].before is None
    for earlier, later in pairwise(pages):
        assert later.before is not None
        back = world.run(lambda reader, place=later.before: reader.page_before(place, limit, 7))
        assert back.found == earlier.found
        assert back.offset == (7 if back.before else 0), "the first page is at offset 0, whatever its link said"
        assert (back.before is None) == (earlier.before is None)
        assert back.behind is not None
        again = world.run(lambda reader, place=back.behind: reader.page_from(place, limit, 0))
        assert again.found == later.found


@given(sizes, st.integers(1, 9), st.integers(0, 40), st.sets(st.integers(0, 34)), st.booleans())
def test_6_3_10_an_offset_counts_what_is_left_and_behind_the_end_it_means_the_last_entity(
    sizes, limit, offset, gone, odd
):
    world = World(sizes, wanted=(lambda number: number % 2 == 1) if odd else None)
    world.fitting -= gone
    assert world.run(lambda reader: reader.count()) == len(world.expected())
    expected = world.expected()
    page = world.run(lambda reader: reader.page_at(offset, limit))
    if offset < len(expected):
        assert page.found == expected[offset : offset + limit]
        assert page.offset == offset
        assert (page.before is not None) == (offset > 0)
        assert (page.behind is not None) == (offset + limit < len(expected))
    else:
        assert page.found == expected[-1:]
        assert page.offset == max(0, len(expected) - 1)
        assert page.behind is None


@given(sizes, st.sets(st.integers(0, 34)))
def test_5_5_9_3_what_does_not_fit_is_removed_and_only_that(sizes, gone):
    world = World(sizes)
    world.fitting -= gone
    world.run(lambda reader: reader.count())
    left = {int(slot[0]) for part in world.parts for slot in part if slot is not None}
    assert left == world.fitting
    assert [len(part) for part in world.parts] == sizes


def test_5_5_14_what_is_not_asked_for_is_neither_looked_at_nor_removed():
    world = World([50], wanted=lambda number: number == 20)
    world.fitting -= {3, 21}
    page = world.run(lambda reader: reader.page_at(0, 5))
    assert page.found == [20]
    assert world.checked == 1
    assert all(world.parts[0])


def test_5_5_14_what_fits_but_is_not_asked_for_after_all_stays_in_the_map():
    world = World([6])
    world.fitting -= {4}
    world.hidden = {0, 2}
    assert world.run(lambda reader: reader.page_at(0, 2)).found == [1, 3]
    assert world.run(lambda reader: reader.count()) == 3
    assert [slot is None for slot in world.parts[0]] == [False, False, False, False, True, False]


def test_what_came_back_after_it_was_removed_stays_away():
    world = World([6])
    world.fitting -= {1, 2}
    assert world.run(lambda reader: reader.page_at(0, 3)).found == [0, 3, 4]
    world.fitting |= {1, 2}
    assert world.run(lambda reader: reader.page_at(0, 3)).found == [0, 3, 4]


def test_two_clients_that_trim_one_map_do_not_disturb_each_other():
    world = World([6])
    world.fitting -= {0, 4}
    first, second = world.reader(), world.reader()

    async def both():
        return await asyncio.gather(first.page_at(0, 2), second.page_before(Place(1, 0), 2, 0))

    one, other = asyncio.run(both())
    assert (one.found, other.found) == ([1, 2], [3, 5])
    world.trim(second.gone)
    world.trim(first.gone)
    assert [slot is None for slot in world.parts[0]] == [True, False, False, False, True, False]
    behind = world.run(lambda reader: reader.page_from(one.behind, 2, 2))
    assert behind.found == [3, 5]


def test_a_page_deep_in_a_large_map_costs_what_the_first_one_does():
    world = World([1000] * 30)
    world.run(lambda reader: reader.page_from(Place(29, 0), 20, 29_000))
    assert world.checked == 22


def test_a_map_that_takes_too_long_is_given_up():
    world = World([1000] * 3)
    world.fitting = set()
    reader = world.reader(deadline=time.monotonic() - 1)
    with pytest.raises(TooComplexQuery):
        asyncio.run(reader.page_at(0, 10))
    with pytest.raises(TooComplexQuery):
        asyncio.run(world.reader(deadline=time.monotonic() - 1).count())


def test_an_empty_map_has_one_empty_page():
    page = World([]).run(lambda reader: reader.page_at(7, 10))
    assert (page.found, page.before, page.behind, page.offset) == ([], None, None, 0)
    assert World([]).run(lambda reader: reader.page_before(START, 3, 0)).found == []
