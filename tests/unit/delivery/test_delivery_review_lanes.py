"""However many receivers there are, deliveries under way stay within what the process can hold, and every lane has its turn."""

import asyncio

from delivery_samples import subscription

from broker.delivery.course import Course
from broker.delivery.lane import SLOTS, Lane, Traffic
from broker.delivery.tally import Tally


class Road:
    """Lanes that share a traffic; deliveries take as long as `seconds` says for their lane."""

    def __init__(self, most: int) -> None:
        self.traffic = Traffic(most)
        self.under_way = 0
        self.densest = 0
        self.delivered: list[str] = []
        self.lanes: list[Lane] = []

    def add(self, name: str, number: int, seconds: float) -> None:
        course = Course(subscription(name), Tally(), 0)
        for position in range(1, number + 1):
            course.push(position, f"urn:d:{position}")

        async def carry(one: Course, positions: tuple[int, ...]) -> None:
            self.under_way += 1
            self.densest = max(self.densest, self.under_way)
            await asyncio.sleep(seconds)
            self.under_way -= 1
            one.delivered(positions)
            self.delivered.append(name)

        lane = Lane(carry, self.traffic)
        self.lanes.append(lane)
        lane.join(course)

    async def wait(self, number: int) -> None:
        async with asyncio.timeout(5):
            while len(self.delivered) < number:  # noqa: ASYNC110 - a look now and then is enough here
                await asyncio.sleep(0.005)


async def test_all_lanes_together_stay_within_the_traffic_and_all_is_delivered() -> None:
    road = Road(most=6)
    for number in range(20):
        road.add(f"urn:s:{number}", 5, 0.005)
    await road.wait(100)
    await asyncio.sleep(0)
    assert road.densest <= 6
    assert road.traffic.under_way == 0
    assert not road.traffic.waiting


async def test_where_traffic_is_dense_a_lane_gets_one_delivery_at_a_time() -> None:
    road = Road(most=40)
    road.add("urn:s:slow", SLOTS, 0.1)
    road.add("urn:s:slower", SLOTS, 0.1)
    road.add("urn:s:slowest", SLOTS, 0.1)
    before = len(road.lanes[2].under_way), road.traffic.under_way
    road.add("urn:s:quick", 3, 0.001)
    assert len(road.lanes[3].under_way) == 1
    assert before[0] <= SLOTS
    assert before[1] >= 20
    await road.wait(3)
    assert "urn:s:quick" in road.delivered[:3]


async def test_a_lane_that_ends_does_not_wait_any_more() -> None:
    road = Road(most=1)
    road.add("urn:s:1", 1, 0.01)
    road.add("urn:s:2", 1, 0.01)
    assert list(road.traffic.waiting) == [road.lanes[1]]
    road.lanes[1].halt()
    assert not road.traffic.waiting
    await road.wait(1)
    assert road.delivered == ["urn:s:1"]


async def test_a_delivery_that_is_broken_off_before_its_first_step_is_owed_again() -> None:
    road = Road(most=10)
    road.add("urn:s:1", 3, 0.001)
    lane = road.lanes[0]
    (course,) = lane.courses
    lane.leave(course, break_off=True)  # in the same moment: no delivery has had a turn yet
    await asyncio.sleep(0.01)
    assert road.delivered == []
    assert len(course.pending) == 3
    assert not course.flying
    lane.join(course)
    await road.wait(3)
