"""The quadtree finds every geometry whose box meets a search box (4.10)."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from broker.store.mongo.cells import DEPTH, QUERY_CELLS, covering, searched

LONGITUDE = st.floats(-190, 190, allow_nan=False)
LATITUDE = st.floats(-95, 95, allow_nan=False)


@st.composite
def boxes(draw):
    west, south = draw(LONGITUDE), draw(LATITUDE)
    width, height = (draw(st.sampled_from([0.0, 1e-9, 1e-5, 0.01, 1.0, 50.0, 360.0])) for _ in range(2))
    return west, south, west + width, south + height


def found(data, search):
    around, ranges = searched(search)
    return any(cell in around or any(low <= cell < high for low, high in ranges) for cell in covering(data))


@given(boxes(), st.floats(0, 1), st.floats(0, 1), st.floats(0, 2), st.floats(0, 2))
@example((0.0, 0.0, 0.0, 0.0), 0, 0, 0, 0)
def test_4_10_what_meets_a_search_box_is_found(data, across, up, width, height):
    west, south, east, north = data
    x, y = west + across * (east - west), south + up * (north - south)  # a position that both share
    assert found(data, (x - width, y - height, x, y))
    assert found(data, (x, y, x + width, y + height))
    assert found(data, data)


@given(boxes(), boxes())
def test_4_10_overlapping_boxes_find_each_other(one, other):
    meet = one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]
    if meet:
        assert found(one, other)
        assert found(other, one)


@given(boxes())
def test_few_cells_are_stored_and_searched(box):
    assert 1 <= len(covering(box)) <= 4
    around, ranges = searched(box)
    assert len(ranges) <= QUERY_CELLS
    assert len(around) <= QUERY_CELLS * DEPTH


def test_a_point_is_one_smallest_cell():
    (cell,) = covering((139.767, 35.681, 139.767, 35.681))
    assert len(cell) == DEPTH


@pytest.mark.parametrize("far", [(140.8, 35.681), (139.767, 36.7), (-139.767, 35.681), (139.767, -35.681)])
def test_what_is_far_away_is_not_found(far):
    assert not found((*far, *far), (139.7, 35.6, 139.8, 35.7))
