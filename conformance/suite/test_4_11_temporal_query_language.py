"""4.11: the temporal query language, and 5.2.21: the temporal query in a body."""

from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, geo, prop, rel
from conformance.series import ALWAYS, at, listed, moment, series, values_of


@clause("4.11", 1, 2, 3, 4)
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"timerel": "before", "timeAt": at(2)}, [0, 1]),
        ({"timerel": "before", "timeAt": "2024-05-01T10:02:00.000001Z"}, [0, 1, 2]),
        ({"timerel": "before", "timeAt": at(50)}, [0, 1, 2, 3, 4]),
        ({"timerel": "after", "timeAt": at(2)}, [2, 3, 4]),
        ({"timerel": "after", "timeAt": "2024-05-01T10:02:00.000001Z"}, [3, 4]),
        ({"timerel": "after", "timeAt": "2024-05-01T10:01:59,5Z"}, [2, 3, 4]),
        ({"timerel": "between", "timeAt": at(1), "endTimeAt": at(3)}, [1, 2]),
        ({"timerel": "between", "timeAt": at(1), "endTimeAt": "2024-05-01T10:03:00.5Z"}, [1, 2, 3]),
        ({"timerel": "between", "timeAt": at(4), "endTimeAt": at(5)}, [4]),
    ],
)
def test_the_relation_decides_about_instances(
    broker: BrokerClient, unique: Unique, query: dict[str, str], expected: list[int]
) -> None:
    one = entity(unique.id(), unique.type(), level=series(0, 1, 2, 3, 4))
    broker.post("/temporal/entities", one).expect(201)
    retrieved = broker.get(f"/temporal/entities/{one['id']}", query).expect(200).json
    assert values_of(retrieved["level"]) == expected
    (found,) = broker.get("/temporal/entities", {"type": one["type"], **query}).expect(200).json
    assert values_of(found["level"]) == expected


@clause("4.11", 2, 3, 4)
@pytest.mark.parametrize(
    "query",
    [
        {"timerel": "before", "timeAt": at(0)},
        {"timerel": "after", "timeAt": at(5)},
        {"timerel": "between", "timeAt": at(10), "endTimeAt": at(20)},
        {"timerel": "between", "timeAt": at(3), "endTimeAt": at(1)},
        {"timerel": "between", "timeAt": at(1), "endTimeAt": at(1)},
    ],
)
def test_where_nothing_is_in_the_interval_nothing_is_found(
    broker: BrokerClient, unique: Unique, query: dict[str, str]
) -> None:
    one = entity(unique.id(), unique.type(), level=series(0, 1, 2, 3, 4))
    broker.post("/temporal/entities", one).expect(201)
    broker.get("/temporal/entities", {"type": one["type"], **query}).expect(200).expect_json([])


@clause("4.11", 1)
def test_relationships_are_found_by_their_time_too(broker: BrokerClient, unique: Unique) -> None:
    owners = [rel(f"urn:a:{minute}", observedAt=at(minute)) for minute in range(3)]
    places = [geo("Point", [8, minute], observedAt=at(minute)) for minute in range(3)]
    one = entity(unique.id(), unique.type(), owner=owners, location=places)
    broker.post("/temporal/entities", one).expect(201)
    query = {"timerel": "after", "timeAt": at(1)}
    shown = broker.get(f"/temporal/entities/{one['id']}", query).expect(200).json
    assert values_of(shown["owner"], "object") == ["urn:a:1", "urn:a:2"]
    assert [each["coordinates"][1] for each in values_of(shown["location"])] == [1, 2]


@clause("4.11", 7, 8)
def test_what_was_never_observed_does_not_match(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=[prop(1)])
    broker.post("/temporal/entities", one).expect(201)
    broker.get("/temporal/entities", {"type": one["type"], **ALWAYS}).expect(200).expect_json([])
    found = broker.get("/temporal/entities", {"type": one["type"], **ALWAYS, "timeproperty": "modifiedAt"})
    assert [listed(each["level"])[0]["value"] for each in found.expect(200).json] == [1]


@clause("4.11", 7)
def test_attributes_without_the_temporal_property_are_left_out(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=series(1), name=[prop("never observed")])
    broker.post("/temporal/entities", one).expect(201)
    (shown,) = broker.get("/temporal/entities", {"type": one["type"], **ALWAYS}).expect(200).json
    assert shown.keys() == {"id", "type", "level"}


@clause("4.11", 8)
@pytest.mark.parametrize("time", ["createdAt", "modifiedAt"])
def test_another_temporal_property_may_count(broker: BrokerClient, unique: Unique, time: str) -> None:
    one = entity(unique.id(), unique.type(), level=series(1))
    broker.post("/temporal/entities", one).expect(201)
    path = f"/temporal/entities/{one['id']}"
    (shown,) = listed(broker.get(path, {"options": "sysAttrs"}).expect(200).json["level"])
    broker.post(f"{path}/attrs", {"level": series(2, start=1)}).expect(204)
    both = listed(broker.get(path, {"options": "sysAttrs"}).expect(200).json["level"])
    assert sorted(each["value"] for each in both) == [1, 2]
    later = next(each[time] for each in both if each["value"] == 2)
    assert moment(later) >= moment(shown[time])
    query = {"type": one["type"], "timeproperty": time}
    (found,) = broker.get("/temporal/entities", {**query, "timerel": "after", "timeAt": later}).expect(200).json
    assert 2 in values_of(found["level"])
    (found,) = broker.get("/temporal/entities", {**query, "timerel": "before", "timeAt": later}).expect(200).json
    assert values_of(found["level"]) == [1]
    query |= {"timerel": "before", "timeAt": "2000-01-01T00:00:00Z"}
    broker.get("/temporal/entities", query).expect(200).expect_json([])


@clause("4.11", 7, 8)
def test_only_what_was_deleted_has_deleted_at(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=prop(1), name=prop("a"))
    broker.post("/entities", one).expect(201)
    query = {"type": one["type"], **ALWAYS, "timeproperty": "deletedAt"}
    broker.get("/temporal/entities", query).expect(200).expect_json([])
    broker.delete(f"/entities/{one['id']}/attrs/level").expect(204)
    (found,) = broker.get("/temporal/entities", query).expect(200).json
    assert found.keys() == {"id", "type", "level"}
    broker.delete(f"/temporal/entities/{one['id']}")


def expect_refused(broker: BrokerClient, unique: Unique, query: dict[str, Any]) -> None:
    """Retrieval and both queries refuse a temporal query, also where there is something to find."""
    one = entity(unique.id(), unique.type(), level=series(1))
    broker.post("/temporal/entities", one).expect(201)
    path = f"/temporal/entities/{one['id']}"
    broker.get(path, query).expect_problem("BadRequestData", "InvalidRequest")
    broker.get("/temporal/entities", {"type": one["type"], **query}).expect_problem("BadRequestData", "InvalidRequest")
    body = {"type": "Query", "entities": [{"type": one["type"]}], "temporalQ": query}
    broker.post("/temporal/entityOperations/query", body).expect_problem("BadRequestData", "InvalidRequest")


@clause("4.11", 1)
@clause("5.2.21", 1)
@pytest.mark.parametrize("relation", ["during", "BEFORE", "before,after", "equals"])
def test_another_relation_is_refused(broker: BrokerClient, unique: Unique, relation: str) -> None:
    expect_refused(broker, unique, {"timerel": relation, "timeAt": at(0)})


NO_DATE_TIMES = [
    "2024-05-01",
    "10:00:00Z",
    "2024-05-01T10:00Z",
    "2024-05-01T10:00:00",
    "2024-05-01T10:00:00+02:00",
    "2024-02-30T10:00:00Z",
    "2024-05-01T24:00:01Z",
    "2024-05-01T10:00:00.1234567Z",
    "now",
]


@clause("4.11", 5)
@clause("5.2.21", 2)
@clause("6.18.3.2", 18)
@clause("6.19.3.1", 9)
@pytest.mark.parametrize("relation", ["before", "after"])
@pytest.mark.parametrize("time", NO_DATE_TIMES)
def test_a_time_at_that_is_no_date_time_is_refused(
    broker: BrokerClient, unique: Unique, relation: str, time: str
) -> None:
    expect_refused(broker, unique, {"timerel": relation, "timeAt": time})


@clause("4.11", 6)
@clause("5.2.21", 4)
@clause("6.18.3.2", 7)
@clause("6.19.3.1", 6)
@pytest.mark.parametrize("time", NO_DATE_TIMES)
def test_an_end_time_at_that_is_no_date_time_is_refused(broker: BrokerClient, unique: Unique, time: str) -> None:
    expect_refused(broker, unique, {"timerel": "between", "timeAt": at(0), "endTimeAt": time})


@clause("5.2.21", 5)
@clause("6.18.3.2", 8)
@clause("6.19.3.1", 5)
def test_between_needs_both_ends(broker: BrokerClient, unique: Unique) -> None:
    expect_refused(broker, unique, {"timerel": "between", "timeAt": at(0)})


@clause("5.2.21", 8)
@clause("6.19.3.1", 8)
@pytest.mark.parametrize("relation", ["before", "after"])
def test_a_relation_needs_its_time(broker: BrokerClient, unique: Unique, relation: str) -> None:
    expect_refused(broker, unique, {"timerel": relation})


@clause("5.2.21", 8)
@clause("6.19.3.1", 10)
def test_a_time_needs_its_relation(broker: BrokerClient, unique: Unique) -> None:
    expect_refused(broker, unique, {"timeAt": at(0)})


@clause("4.11", 8)
@clause("5.2.21", 1)
@pytest.mark.parametrize("time", ["expiresAt", "level", "observedat"])
def test_another_temporal_property_is_refused(broker: BrokerClient, unique: Unique, time: str) -> None:
    expect_refused(broker, unique, {**ALWAYS, "timeproperty": time})


@clause("5.2.21", 6)
@pytest.mark.parametrize("last", [0, -1, 1.5])
def test_a_last_n_that_is_no_positive_integer_is_refused(broker: BrokerClient, unique: Unique, last: float) -> None:
    expect_refused(broker, unique, {**ALWAYS, "lastN": last})


@clause("5.2.21", 1)
@pytest.mark.parametrize(
    "query",
    [
        {"timerel": 5, "timeAt": at(0)},
        {"timerel": "after", "timeAt": 5},
        {"timerel": "after", "timeAt": [at(0)]},
        {**ALWAYS, "timeproperty": 5},
        {**ALWAYS, "lastN": "two"},
        {**ALWAYS, "lastN": True},
        {**ALWAYS, "unknown": 1},
        [],
        "after",
    ],
)
def test_a_temporal_query_in_a_body_has_the_members_of_the_table(
    broker: BrokerClient, unique: Unique, query: Any
) -> None:
    body = {"type": "Query", "entities": [{"type": unique.type()}], "temporalQ": query}
    broker.post("/temporal/entityOperations/query", body).expect_problem("BadRequestData", "InvalidRequest")


@clause("5.2.21", 6)
@clause("5.7.3.3", 1)
@clause("5.7.4.3", 2)
@clause("6.18.3.2", 16)
@clause("6.19.3.1", 7)
@pytest.mark.parametrize(
    ("query", "level", "name"),
    [
        ({**ALWAYS, "lastN": 1}, [4], ["b"]),
        ({**ALWAYS, "lastN": 2}, [3, 4], ["a", "b"]),
        ({**ALWAYS, "lastN": 50}, [0, 1, 2, 3, 4], ["a", "b"]),
        ({"timerel": "before", "timeAt": at(3), "lastN": 2}, [1, 2], ["a", "b"]),
        ({"timerel": "between", "timeAt": at(0), "endTimeAt": at(1), "lastN": 2}, [0], ["a"]),
    ],
)
def test_last_n_leaves_the_last_instances_of_each_attribute(
    broker: BrokerClient, unique: Unique, query: dict[str, Any], level: list[int], name: list[str]
) -> None:
    ids = [unique.id(), unique.id()]
    for entity_id in ids:
        one = entity(entity_id, unique.type(), level=series(0, 1, 2, 3, 4), name=series("a", "b"))
        broker.post("/temporal/entities", one).expect(201)
    found = broker.get("/temporal/entities", {"type": unique.type(), **query}).expect(200).json
    shown = broker.get(f"/temporal/entities/{ids[0]}", query).expect(200).json
    body = {"type": "Query", "entities": [{"type": unique.type()}], "temporalQ": query}
    posted = broker.post("/temporal/entityOperations/query", body).expect(200).json
    assert sorted(each["id"] for each in found) == sorted(each["id"] for each in posted) == ids
    for each in [*found, shown, *posted]:
        assert (values_of(each["level"]), values_of(each["name"])) == (level, name)
