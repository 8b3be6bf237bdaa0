"""The temporal query language (4.11, 5.2.21)."""

import pytest

from broker.errors import BadRequestData
from broker.query.temporal import parse_temporal_query

T = "2026-01-01T00:00:00Z"
CANONICAL = "2026-01-01T00:00:00.000000Z"


@pytest.mark.parametrize(
    ("members", "start", "end"),
    [
        ({"timerel": "after", "time_at": T}, CANONICAL, None),
        ({"timerel": "before", "time_at": T}, None, CANONICAL),
        (
            {"timerel": "between", "time_at": T, "end_time_at": "2026-01-02T00:00:00,5Z"},
            CANONICAL,
            "2026-01-02T00:00:00.500000Z",
        ),
        ({}, None, None),
    ],
)
def test_4_11_relations_are_stretches_of_time(members, start, end):
    query = parse_temporal_query(**members)
    assert (query.start, query.end) == (start, end)
    assert query.restricts == bool(members)


def test_4_11_a_time_property_alone_restricts():
    assert parse_temporal_query(timeproperty="deletedAt").restricts


@pytest.mark.parametrize(
    ("members", "fault"),
    [
        ({"timerel": "during", "time_at": T}, "timerel"),
        ({"timerel": ["after"], "time_at": T}, "timerel"),
        ({"timerel": "after"}, "timeAt"),
        ({"time_at": T}, "timerel"),
        ({"timerel": "between", "time_at": T}, "endTimeAt"),
        ({"timerel": "after", "time_at": T, "end_time_at": T}, "endTimeAt"),
        ({"timerel": "after", "time_at": "2026-01-01"}, "timeAt"),
        ({"timerel": "after", "time_at": 5}, "timeAt"),
        ({"timerel": "between", "time_at": T, "end_time_at": "soon"}, "endTimeAt"),
        ({"timeproperty": "expiresAt"}, "timeproperty"),
        ({"timeproperty": {}}, "timeproperty"),
        ({"last_n": 0}, "lastN"),
        ({"last_n": 1.5}, "lastN"),
        ({"last_n": True}, "lastN"),
        ({"last_n": "5"}, "lastN"),
    ],
)
def test_5_2_21_members_at_fault_are_named(members, fault):
    with pytest.raises(BadRequestData, match=f"^{fault}"):
        parse_temporal_query(**members)
