"""5.16.1.4 and 5.2.42: what the queries of a snapshot bring into it, and how their results are told."""

from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, geo, instant, json_prop, lang, list_prop, prop, rel, vocab
from conformance.snapshots import ALWAYS, of_type, snapshot, taken

TOO_WIDE = {"type": "Query"}
"""A valid Query (5.2.23) that is refused when it is executed (5.7.2.4)."""


@clause("5.16.1.4", 6, 10, 12)
@clause("4.3.7", 1)
@pytest.mark.parametrize(
    "attribute",
    [
        prop(1, unitCode="MTR", observedAt="2026-01-01T00:00:00Z"),
        prop({"deep": [1, {"a": [True, "b"]}]}),
        prop(1, accuracy=prop(0.5)),
        rel("urn:ngsi-ld:Room:1"),
        rel(["urn:ngsi-ld:Room:1", "urn:ngsi-ld:Room:2"]),
        geo("Point", [139.7, 35.6]),
        lang({"en": "Oak", "ja": "ナラ"}),
        vocab("oak"),
        json_prop({"@type": "left alone"}),
        list_prop([1, "two"]),
    ],
)
def test_an_entity_is_stored_as_it_is(broker: BrokerClient, unique: Unique, attribute: Any) -> None:
    one = entity(unique.id(), unique.type(), told=attribute, scope="/Tokyo")
    broker.post("/entities", one).expect(201)
    shown = taken(broker, snapshot(of_type(unique.type())))
    assert shown["snapshotStatus"] == "success"
    broker.get(f"/entities/{one['id']}", snapshot=shown["id"]).expect(200).expect_json(one)


@clause("5.16.1.4", 10)
def test_an_entity_is_stored_with_its_times(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=prop(1))
    broker.post("/entities", one).expect(201)
    outside = broker.get(f"/entities/{one['id']}", {"options": "sysAttrs"}).expect(200).json
    shown = taken(broker, snapshot(of_type(unique.type())))
    inside = broker.get(f"/entities/{one['id']}", {"options": "sysAttrs"}, snapshot=shown["id"]).expect(200).json
    assert instant(inside["modifiedAt"]) == instant(outside["modifiedAt"])
    assert instant(inside["level"]["createdAt"]) == instant(outside["level"]["createdAt"])


@clause("5.16.1.4", 6, 10)
@pytest.mark.parametrize(
    ("members", "found"),
    [
        ({"q": "level>15"}, [20, 30]),
        ({"q": "level==10,30"}, [10, 30]),
        ({"q": "nothing"}, []),
        ({"scopeQ": "/Tokyo/#"}, [20, 30]),
        ({"geoQ": {"georel": "near;maxDistance==1000", "geometry": "Point", "coordinates": [139.20, 35.0]}}, [20]),
        ({"attrs": ["level"]}, [10, 20, 30]),
        ({"pick": ["id", "type", "level"]}, [10, 20, 30]),
        ({"omit": ["scope"]}, [10, 20, 30]),
    ],
)
def test_what_the_query_selects_is_stored(
    broker: BrokerClient, unique: Unique, members: dict[str, Any], found: list[int]
) -> None:
    for number in (1, 2, 3):
        one = entity(
            unique.id(), unique.type(), level=prop(number * 10), location=geo("Point", [139 + number / 10, 35])
        )
        broker.post("/entities", one | {"scope": "/Tokyo/Ueno" if number > 1 else "/Kyoto"}).expect(201)
    shown = taken(broker, snapshot(of_type(unique.type(), **members)))
    inside = broker.get("/entities", {"type": unique.type(), "format": "simplified"}, snapshot=shown["id"]).expect(200)
    assert sorted(each["level"] for each in inside.json) == found


@clause("5.16.1.4", 6)
def test_all_pages_of_a_result_are_stored(broker: BrokerClient, unique: Unique) -> None:
    entities = [entity(unique.id(), unique.type(), level=prop(number)) for number in range(1200)]
    for place in range(0, 1200, 400):
        broker.post("/entityOperations/create", entities[place : place + 400]).expect(201)
    shown = taken(broker, snapshot(of_type(unique.type())))
    counted = broker.get("/entities", {"type": unique.type(), "limit": 1, "count": True}, snapshot=shown["id"])
    assert counted.expect(200).header("NGSILD-Results-Count") == "1200"


@clause("5.16.1.4", 7, 12)
@clause("5.2.41", 9)
@clause("5.2.42", 1, 2)
@pytest.mark.parametrize(
    ("kinds", "status"),
    [
        ("F", "success"),
        ("FF", "success"),
        ("FE", "partial"),
        ("EF", "partial"),
        ("FX", "partial"),
        ("XEF", "partial"),
    ],
)
def test_the_status_where_something_was_found(broker: BrokerClient, unique: Unique, kinds: str, status: str) -> None:
    broker.post("/entities", entity(unique.id(), unique.type(), level=prop(1))).expect(201)
    queries = {"F": of_type(unique.type()), "E": of_type(unique.type("Empty")), "X": TOO_WIDE}
    shown = taken(broker, snapshot(*(queries[kind] for kind in kinds)))
    assert shown["snapshotStatus"] == status
    results = {"F": "success", "E": "empty", "X": "failure"}
    assert [each["resultStatus"] for each in shown["snapshotQueriesDetails"]] == [results[kind] for kind in kinds]


@clause("5.16.1.4", 7, 13)
@clause("5.2.41", 9)
@clause("5.2.42", 1, 2)
@pytest.mark.parametrize(
    ("kinds", "status"), [("E", "empty"), ("EE", "empty"), ("EX", "empty"), ("XE", "empty"), ("X", "failure")]
)
def test_the_status_where_nothing_was_found(broker: BrokerClient, unique: Unique, kinds: str, status: str) -> None:
    queries = {"E": of_type(unique.type()), "X": TOO_WIDE}
    shown = taken(broker, snapshot(*(queries[kind] for kind in kinds)))
    assert shown["snapshotStatus"] == status
    results = {"E": "empty", "X": "failure"}
    assert [each["resultStatus"] for each in shown["snapshotQueriesDetails"]] == [results[kind] for kind in kinds]


@clause("5.2.42", 1)
@clause("5.16.1.4", 7)
def test_a_failure_is_explained(broker: BrokerClient) -> None:
    (details,) = taken(broker, snapshot(TOO_WIDE))["snapshotQueriesDetails"]
    assert details["resultStatus"] == "failure"
    assert details["problemDetails"]["type"] == "https://uri.etsi.org/ngsi-ld/errors/BadRequestData"
    assert details["problemDetails"]["title"]


@clause("5.16.1.4", 10)
def test_an_entity_has_what_several_queries_found_of_it(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=prop(1), name=prop("a"), other=prop("b"))
    broker.post("/entities", one).expect(201)
    level = of_type(unique.type(), pick=["id", "type", "level"])
    name = of_type(unique.type(), pick=["id", "type", "name"])
    shown = taken(broker, snapshot(level, name))
    expected = entity(one["id"], one["type"], level=prop(1), name=prop("a"))
    broker.get(f"/entities/{one['id']}", snapshot=shown["id"]).expect(200).expect_json(expected)


@clause("5.16.1.4", 8, 10)
@clause("5.2.41", 11)
@pytest.mark.parametrize(
    ("temporal_q", "values"),
    [
        ({"timerel": "after", "timeAt": "2026-01-01T00:00:00.5Z"}, [1, 2]),
        ({"timerel": "before", "timeAt": "2026-01-01T00:00:01.5Z"}, [0, 1]),
        (
            {"timerel": "between", "timeAt": "2026-01-01T00:00:00.5Z", "endTimeAt": "2026-01-01T00:00:01.5Z"},
            [1],
        ),
        (ALWAYS, [0, 1, 2]),
    ],
)
def test_a_temporal_query_brings_the_instances_that_it_finds(
    broker: BrokerClient, unique: Unique, temporal_q: dict[str, Any], values: list[int]
) -> None:
    levels = [prop(second, observedAt=f"2026-01-01T00:00:0{second}Z") for second in range(3)]
    one = entity(unique.id(), unique.type(), level=levels)
    broker.post("/temporal/entities", one).expect(201)
    shown = taken(broker, snapshot(snapshotTemporalQueries=[of_type(unique.type(), temporalQ=temporal_q)]))
    assert shown["snapshotStatus"] == "success"
    inside = broker.get(f"/temporal/entities/{one['id']}", snapshot=shown["id"]).expect(200).json["level"]
    listed = inside if isinstance(inside, list) else [inside]
    assert sorted(each["value"] for each in listed) == values


@clause("5.16.1.4", 8)
def test_all_pages_of_a_temporal_result_are_stored(broker: BrokerClient, unique: Unique) -> None:
    levels = [prop(each, observedAt=f"2026-01-01T00:{each // 60:02}:{each % 60:02}Z") for each in range(1500)]
    one = entity(unique.id(), unique.type(), level=levels)
    broker.post("/temporal/entities", one).expect(201)
    for _ in range(60):
        broker.post("/temporal/entities", entity(unique.id(), unique.type(), level=levels[0])).expect(201)
    shown = taken(broker, snapshot(snapshotTemporalQueries=[of_type(unique.type(), temporalQ=ALWAYS)]))
    query = {"type": unique.type(), "limit": 100, "lastN": 1, **ALWAYS}
    assert len(broker.get("/temporal/entities", query, snapshot=shown["id"]).expect(200, 206).json) == 61
    late = {"timerel": "after", "timeAt": "2026-01-01T00:24:54.5Z"}
    tail = broker.get(f"/temporal/entities/{one['id']}", late, snapshot=shown["id"]).expect(200).json["level"]
    assert sorted(each["value"] for each in tail) == [1495, 1496, 1497, 1498, 1499]


@clause("5.16.1.4", 9, 12, 13)
@clause("5.2.42", 2)
@pytest.mark.parametrize(
    ("kinds", "status"),
    [("F", "success"), ("FE", "partial"), ("EF", "partial"), ("E", "empty"), ("XE", "empty"), ("X", "failure")],
)
def test_results_of_temporal_queries_are_told_in_their_order(
    broker: BrokerClient, unique: Unique, kinds: str, status: str
) -> None:
    level = prop(1, observedAt="2026-01-01T00:00:00Z")
    broker.post("/temporal/entities", entity(unique.id(), unique.type(), level=[level])).expect(201)
    found, empty = (of_type(unique.type(name), temporalQ=ALWAYS) for name in ("Building", "Empty"))
    queries = {"F": found, "E": empty, "X": {"type": "Query", "temporalQ": ALWAYS}}
    shown = taken(broker, snapshot(snapshotTemporalQueries=[queries[kind] for kind in kinds]))
    results = {"F": "success", "E": "empty", "X": "failure"}
    told = [each["resultStatus"] for each in shown["snapshotTemporalQueriesDetails"]]
    assert (told, shown["snapshotStatus"]) == ([results[kind] for kind in kinds], status)
    assert "snapshotQueriesDetails" not in shown


@clause("5.16.1.4", 12)
@clause("5.2.41", 3)
def test_both_kinds_of_queries_count_for_the_status(broker: BrokerClient, unique: Unique) -> None:
    broker.post("/entities", entity(unique.id(), unique.type(), level=prop(1))).expect(201)
    empty = of_type(unique.type("Empty"), temporalQ=ALWAYS)
    shown = taken(broker, snapshot(of_type(unique.type()), snapshotTemporalQueries=[empty]))
    assert shown["snapshotStatus"] == "partial"
    assert [each["resultStatus"] for each in shown["snapshotQueriesDetails"]] == ["success"]
    assert [each["resultStatus"] for each in shown["snapshotTemporalQueriesDetails"]] == ["empty"]
