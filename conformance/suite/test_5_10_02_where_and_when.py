"""5.10.2 Query Context Source Registrations by place and time: what geoqueries and temporal queries find."""

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique
from conformance.suite.registrations import about, found, registration

SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]]}
INSIDE = {"geometry": "Point", "coordinates": "[1,1]"}
OUTSIDE = {"geometry": "Point", "coordinates": "[8,8]"}
YEAR = {"startAt": "2020-01-01T00:00:00Z", "endAt": "2021-01-01T00:00:00Z"}
AFTER = {"timerel": "after", "timeAt": "2020-06-01T00:00:00Z"}


# --- space


@clause("5.10.2.4", 7)
@clause("6.8.3.2", 2, 3)
@pytest.mark.parametrize(
    ("georel", "place", "expected"),
    [
        ("intersects", INSIDE, True),
        ("intersects", OUTSIDE, False),
        ("contains", INSIDE, True),
        ("contains", OUTSIDE, False),
        ("near;maxDistance==1000", INSIDE, True),
        ("near;maxDistance==1000", OUTSIDE, False),
        ("near;minDistance==100000", INSIDE, True),
        ("within", {"geometry": "Polygon", "coordinates": "[[[-1,-1],[3,-1],[3,3],[-1,3],[-1,-1]]]"}, True),
        ("within", {"geometry": "Polygon", "coordinates": "[[[1,1],[9,1],[9,9],[1,9],[1,1]]]"}, True),
        ("within", {"geometry": "Polygon", "coordinates": "[[[8,8],[9,8],[9,9],[8,9],[8,8]]]"}, False),
        ("disjoint", {"geometry": "Polygon", "coordinates": "[[[8,8],[9,8],[9,9],[8,9],[8,8]]]"}, True),
        ("equals", INSIDE, True),
        ("equals", OUTSIDE, False),
    ],
)
def test_a_geoquery_finds_what_is_or_may_be_there(
    broker: BrokerClient, unique: Unique, georel: str, place: dict[str, str], expected: bool
) -> None:
    here = registration(unique.id("Registration"), about(unique.type()), location=SQUARE)
    nowhere = registration(unique.id("Registration"), about(unique.type()))
    for each in (here, nowhere):
        broker.post("/csourceRegistrations", each).expect(201)
    answer = broker.get("/csourceRegistrations", {"type": unique.type(), "georel": georel, **place})
    assert found(answer, here, nowhere) == [expected, False]


@clause("5.10.2.4", 1, 7)
@clause("6.8.3.2", 3)
def test_a_geoquery_alone_is_enough(broker: BrokerClient, unique: Unique) -> None:
    given = registration(unique.id("Registration"), about(unique.type()), location=SQUARE)
    broker.post("/csourceRegistrations", given).expect(201)
    query = {"georel": "intersects", "limit": 1000}
    assert found(broker.get("/csourceRegistrations", {**query, **INSIDE}), given) == [True]
    assert found(broker.get("/csourceRegistrations", {**query, **OUTSIDE}), given) == [False]


@clause("5.10.2.4", 8)
@clause("6.8.3.2", 7)
@pytest.mark.parametrize("name", ["observationSpace", "operationSpace"])
def test_a_geoquery_about_another_space_is_held_against_it(broker: BrokerClient, unique: Unique, name: str) -> None:
    given = registration(unique.id("Registration"), about(unique.type()), **{name: SQUARE})
    broker.post("/csourceRegistrations", given).expect(201)
    query = {"type": unique.type(), "georel": "intersects", **INSIDE}
    assert found(broker.get("/csourceRegistrations", {**query, "geoproperty": name}), given) == [True]
    assert found(broker.get("/csourceRegistrations", query), given) == [False]


@clause("6.8.3.2", 7, 10)
def test_geoproperty_and_timeproperty_alone_are_ignored(broker: BrokerClient, unique: Unique) -> None:
    given = registration(unique.id("Registration"), about(unique.type(), propertyNames=["speed"]))
    broker.post("/csourceRegistrations", given).expect(201)
    for query in ({"geoproperty": "operationSpace"}, {"timeproperty": "modifiedAt"}):
        answer = broker.get("/csourceRegistrations", {"type": unique.type(), **query})
        assert found(answer, given) == [True]


# --- time


@clause("5.10.2.4", 9)
@pytest.mark.parametrize("member", ["observationInterval", "managementInterval"])
def test_sources_of_the_past_are_found_by_temporal_queries_only(
    broker: BrokerClient, unique: Unique, member: str
) -> None:
    latest = registration(unique.id("Registration"), about(unique.type()))
    past = registration(unique.id("Registration"), about(unique.type()), **{member: YEAR})
    for each in (latest, past):
        broker.post("/csourceRegistrations", each).expect(201)
    assert found(broker.get("/csourceRegistrations", {"type": unique.type()}), latest, past) == [True, False]
    timeproperty = "observedAt" if member == "observationInterval" else "createdAt"
    query = {"type": unique.type(), **AFTER, "timeproperty": timeproperty}
    assert found(broker.get("/csourceRegistrations", query), latest, past) == [False, True]


@clause("5.10.2.4", 10)
@clause("6.8.3.2", 2)
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"timerel": "before", "timeAt": "2020-06-01T00:00:00Z"}, [True, False]),
        ({"timerel": "before", "timeAt": "2019-06-01T00:00:00Z"}, [False, False]),
        ({"timerel": "before", "timeAt": "2030-01-01T00:00:00Z"}, [True, True]),
        ({"timerel": "after", "timeAt": "2020-06-01T00:00:00Z"}, [True, True]),
        ({"timerel": "after", "timeAt": "2021-06-01T00:00:00Z"}, [False, True]),
        ({"timerel": "between", "timeAt": "2019-01-01T00:00:00Z", "endTimeAt": "2020-02-01T00:00:00Z"}, [True, False]),
        ({"timerel": "between", "timeAt": "2022-01-01T00:00:00Z", "endTimeAt": "2023-02-01T00:00:00Z"}, [False, True]),
        ({"timerel": "between", "timeAt": "2018-01-01T00:00:00Z", "endTimeAt": "2019-01-01T00:00:00Z"}, [False, False]),
    ],
)
def test_a_temporal_query_finds_the_intervals_that_it_overlaps(
    broker: BrokerClient, unique: Unique, query: dict[str, str], expected: list[bool]
) -> None:
    closed = registration(unique.id("Registration"), about(unique.type()), observationInterval=YEAR)
    still_open = {"startAt": "2021-03-01T00:00:00Z"}
    unending = registration(unique.id("Registration"), about(unique.type()), observationInterval=still_open)
    for each in (closed, unending):
        broker.post("/csourceRegistrations", each).expect(201)
    answer = broker.get("/csourceRegistrations", {"type": unique.type(), **query})
    assert found(answer, closed, unending) == expected


@clause("5.10.2.4", 11)
@pytest.mark.parametrize("timeproperty", ["createdAt", "modifiedAt", "deletedAt"])
def test_system_times_are_held_against_the_management_interval(
    broker: BrokerClient, unique: Unique, timeproperty: str
) -> None:
    managed = registration(unique.id("Registration"), about(unique.type()), managementInterval=YEAR)
    observed = registration(unique.id("Registration"), about(unique.type()), observationInterval=YEAR)
    for each in (managed, observed):
        broker.post("/csourceRegistrations", each).expect(201)
    query = {"type": unique.type(), **AFTER}
    answer = broker.get("/csourceRegistrations", {**query, "timeproperty": timeproperty})
    assert found(answer, managed, observed) == [True, False]
    assert found(broker.get("/csourceRegistrations", query), managed, observed) == [False, True]
