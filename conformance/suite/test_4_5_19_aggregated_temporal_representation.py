"""4.5.19: the aggregated temporal representation, with 5.2.21 and 5.2.44: how its methods and periods are asked for."""

from typing import Any

import pytest

from conformance.broker_client import JSON_LD, BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, geo, json_prop, list_rel, prop, rel, vocab
from conformance.series import ALWAYS, at, listed, moment, periods, series

HOUR = {"timerel": "between", "timeAt": at(0), "endTimeAt": at(60), "format": "aggregatedValues"}


def aggregated(broker: BrokerClient, unique: Unique, told: list[Any], methods: str, period: str | None = None) -> Any:
    """The attribute `told` in aggregated form, after these instances were stored."""
    one = entity(unique.id(), unique.type(), told=told)
    broker.post("/temporal/entities", one).expect(201)
    query = {**HOUR, "aggrMethods": methods, "aggrPeriodDuration": period}
    return broker.get(f"/temporal/entities/{one['id']}", query).expect(200).json["told"]


@clause("4.5.19.0", 1, 2, 3, 4)
def test_an_aggregated_property_has_its_methods(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), told=series(1, 2))
    broker.post("/temporal/entities", one).expect(201)
    query = {**HOUR, "aggrMethods": "max,avg"}
    shown = broker.get(f"/temporal/entities/{one['id']}", query).expect(200).json
    assert shown.keys() == {"id", "type", "told"}
    assert (shown["id"], shown["type"]) == (one["id"], one["type"])
    assert shown["told"].keys() == {"type", "max", "avg"}
    assert shown["told"]["type"] == "Property"


@clause("4.5.19.0", 2)
def test_an_aggregated_entity_has_a_context_where_json_ld_is_asked_for(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), told=series(1))
    broker.post("/temporal/entities", one).expect(201)
    query = {**HOUR, "aggrMethods": "max"}
    answer = broker.get(f"/temporal/entities/{one['id']}", query, accept=JSON_LD).expect(200)
    assert "@context" in answer.json


@clause("4.5.19.0", 5, 6)
def test_a_property_has_a_triple_for_each_period(broker: BrokerClient, unique: Unique) -> None:
    shown = aggregated(broker, unique, series(120, 80, 100, start=3), "max,avg", "PT4M")
    assert periods(shown["max"]) == [[120, at(0), at(4)], [100, at(4), at(8)]]
    assert periods(shown["avg"]) == [[120, at(0), at(4)], [90, at(4), at(8)]]


@clause("4.5.19.0", 7, 8, 9, 10)
def test_a_relationship_has_a_triple_for_each_period(broker: BrokerClient, unique: Unique) -> None:
    owners = [rel(f"urn:a:{number}", observedAt=at(minute)) for minute, number in enumerate((1, 1, 2, 3))]
    shown = aggregated(broker, unique, owners, "totalCount,distinctCount", "PT2M")
    assert shown.keys() == {"type", "totalCount", "distinctCount"}
    assert shown["type"] == "Relationship"
    assert periods(shown["totalCount"]) == [[2, at(0), at(2)], [2, at(2), at(4)]]
    assert periods(shown["distinctCount"]) == [[1, at(0), at(2)], [2, at(2), at(4)]]


@clause("4.5.19.0", 5, 6)
def test_a_period_has_its_start_and_not_its_end(broker: BrokerClient, unique: Unique) -> None:
    shown = aggregated(broker, unique, series(1, 2, 3, 4, 5), "sum", "PT2M")
    assert periods(shown["sum"]) == [[3, at(0), at(2)], [7, at(2), at(4)], [5, at(4), at(6)]]


@clause("4.5.19.1", 2)
@clause("5.2.21", 7)
@pytest.mark.parametrize("period", ["PT0S", "P0D", None])
def test_no_duration_is_the_whole_time_range(broker: BrokerClient, unique: Unique, period: str | None) -> None:
    shown = aggregated(broker, unique, series(1, 2, 3), "sum", period)
    assert periods(shown["sum"]) == [[6, at(0), at(60)]]


@clause("4.5.19.1", 1)
@pytest.mark.parametrize(
    ("period", "end"),
    [
        ("PT90S", "2024-05-01T10:01:30Z"),
        ("PT1H30M", "2024-05-01T11:30:00Z"),
        ("P1D", "2024-05-02T10:00:00Z"),
        ("P1DT2H", "2024-05-02T12:00:00Z"),
        ("P2W", "2024-05-15T10:00:00Z"),
        ("P1M", "2024-06-01T10:00:00Z"),
        ("P1Y", "2025-05-01T10:00:00Z"),
        ("P0Y1M0DT0H", "2024-06-01T10:00:00Z"),
    ],
)
def test_the_length_of_a_period_is_an_iso_8601_duration(
    broker: BrokerClient, unique: Unique, period: str, end: str
) -> None:
    one = entity(unique.id(), unique.type(), told=series(1))
    broker.post("/temporal/entities", one).expect(201)
    interval = {**HOUR, "endTimeAt": "2027-01-01T00:00:00Z"}
    query = {**interval, "aggrMethods": "sum", "aggrPeriodDuration": period}
    shown = broker.get(f"/temporal/entities/{one['id']}", query).expect(200).json["told"]
    assert periods(shown["sum"]) == [[1, at(0), end]]


@clause("4.5.19.1", 1)
@clause("5.2.21", 1)
@pytest.mark.parametrize("period", ["1H", "P", "PT", "P1H", "PT1D", "P-1D", "P0001-00-00T01:00:00", "PT1H1H", "hour"])
def test_another_length_of_a_period_is_refused(broker: BrokerClient, unique: Unique, period: str) -> None:
    one = entity(unique.id(), unique.type(), told=series(1))
    broker.post("/temporal/entities", one).expect(201)
    query = {**HOUR, "aggrMethods": "sum", "aggrPeriodDuration": period}
    broker.get(f"/temporal/entities/{one['id']}", query).expect_problem("BadRequestData")


@clause("4.5.19.1", 3)
@pytest.mark.parametrize(
    ("method", "value"), [("avg", 5), ("max", 9), ("min", 2), ("stddev", 2), ("sum", 40), ("sumsq", 232)]
)
def test_numbers_are_aggregated(broker: BrokerClient, unique: Unique, method: str, value: float) -> None:
    shown = aggregated(broker, unique, series(2, 4, 4, 4, 5, 5, 7, 9), method)
    # The standard does not say whether stddev is that of the population or of a sample of it.
    expected = {value, round((32 / 7) ** 0.5, 6)} if method == "stddev" else {value}
    assert round(shown[method][0][0], 6) in expected


@clause("4.5.19.1", 3)
def test_numbers_with_fractions_and_signs_are_aggregated(broker: BrokerClient, unique: Unique) -> None:
    shown = aggregated(broker, unique, series(-1.5, 2.25, 0), "min,max,sum,avg,sumsq")
    found = {method: shown[method][0][0] for method in ("min", "max", "sum", "avg", "sumsq")}
    assert found == pytest.approx({"min": -1.5, "max": 2.25, "sum": 0.75, "avg": 0.25, "sumsq": 7.3125})


@clause("4.5.19.1", 4)
def test_strings_have_a_first_and_a_last_one(broker: BrokerClient, unique: Unique) -> None:
    shown = aggregated(broker, unique, series("pear", "apple", "zebra"), "min,max")
    assert (shown["min"][0][0], shown["max"][0][0]) == ("apple", "zebra")


@clause("4.5.19.1", 5)
@pytest.mark.parametrize(
    ("method", "value"), [("avg", 0.75), ("max", 1), ("min", 0), ("sum", 3), ("sumsq", 3), ("totalCount", 4)]
)
def test_booleans_are_ones_and_zeros(broker: BrokerClient, unique: Unique, method: str, value: float) -> None:
    shown = aggregated(broker, unique, series(True, False, True, True), method)
    assert shown[method][0][0] == value
    assert not isinstance(shown[method][0][0], bool)


@clause("4.5.19.1", 6)
@pytest.mark.parametrize(("method", "value"), [("avg", 2), ("max", 3), ("min", 1), ("sum", 6), ("totalCount", 3)])
def test_of_arrays_the_sizes_are_aggregated(broker: BrokerClient, unique: Unique, method: str, value: float) -> None:
    told = series([1, 2], ["a", "b", "c"], [7, 7], start=0)[:2] + series(["x"], start=2)
    assert aggregated(broker, unique, told, method)[method][0][0] == value


@clause("4.5.19.1", 7)
@pytest.mark.parametrize(
    ("first", "last"), [("2019-12-31T23:59:59Z", "2020-01-01T00:00:00Z"), ("2019-12-31", "2020-01-01")]
)
def test_dates_have_an_earliest_and_a_latest_one(broker: BrokerClient, unique: Unique, first: str, last: str) -> None:
    kind = "DateTime" if "T" in first else "Date"
    told = series(*({"@type": kind, "@value": each} for each in (last, first)))
    shown = aggregated(broker, unique, told, "min,max")
    found = [shown[method][0][0] for method in ("min", "max")]
    assert [each["@value"] if isinstance(each, dict) else each for each in found] == [first, last]


@clause("4.5.19.1", 8)
def test_times_of_day_have_an_average(broker: BrokerClient, unique: Unique) -> None:
    told = series(*({"@type": "Time", "@value": each} for each in ("08:00:00Z", "09:00:00Z", "10:30:00Z")))
    shown = aggregated(broker, unique, told, "min,max,avg")
    found = [shown[method][0][0] for method in ("min", "max", "avg")]
    plain = [each["@value"] if isinstance(each, dict) else each for each in found]
    assert plain == ["08:00:00Z", "10:30:00Z", "09:10:00Z"]


@clause("4.5.19.1", 9)
@pytest.mark.parametrize(
    ("instances", "kind"),
    [
        ([prop({"a": 1}), prop({"a": 1}), prop({"a": 2})], "Property"),
        ([prop(1), prop(1), prop(2)], "Property"),
        ([prop("a"), prop("a"), prop("b")], "Property"),
        ([prop([1]), prop([1]), prop([1, 2])], "Property"),
        ([geo("Point", [8, 40]), geo("Point", [8, 40]), geo("Point", [9, 40])], "GeoProperty"),
        ([vocab("Male"), vocab("Male"), vocab("Female")], "VocabProperty"),
        ([json_prop({"a": 1}), json_prop({"a": 1}), json_prop([5])], "JsonProperty"),
        ([rel("urn:a:1"), rel("urn:a:1"), rel("urn:a:2")], "Relationship"),
        ([list_rel(["urn:a:1"]), list_rel(["urn:a:1"]), list_rel([])], "ListRelationship"),
    ],
)
def test_anything_can_be_counted(broker: BrokerClient, unique: Unique, instances: list[Any], kind: str) -> None:
    told = [{**each, "observedAt": at(minute)} for minute, each in enumerate(instances)]
    shown = aggregated(broker, unique, told, "totalCount,distinctCount")
    assert shown["type"] == kind
    assert (shown["totalCount"][0][0], shown["distinctCount"][0][0]) == (3, 2)


@clause("4.5.19.1", 10)
@clause("5.2.21", 1)
@pytest.mark.parametrize("methods", ["median", "max,median", "MAX", "max,,min"])
def test_another_method_is_refused(broker: BrokerClient, unique: Unique, methods: str) -> None:
    query = {**HOUR, "type": unique.type(), "aggrMethods": methods}
    broker.get("/temporal/entities", query).expect_problem("BadRequestData")


@clause("4.5.19.1", 11)
@pytest.mark.parametrize(
    ("told", "method"),
    [
        (series("a"), "avg"),
        (series("a"), "sum"),
        (series({"a": 1}), "max"),
        (series([1]), "stddev"),
        (series({"@type": "DateTime", "@value": at(0)}), "avg"),
        ([rel("urn:a:1", observedAt=at(0))], "max"),
        ([geo("Point", [8, 40], observedAt=at(0))], "min"),
    ],
)
def test_a_method_that_does_not_fit_has_no_result(
    broker: BrokerClient, unique: Unique, told: list[Any], method: str
) -> None:
    one = entity(unique.id(), unique.type(), told=told, level=series(5))
    broker.post("/temporal/entities", one).expect(201)
    query = {**HOUR, "aggrMethods": f"{method},totalCount"}
    shown = broker.get(f"/temporal/entities/{one['id']}", query).expect(200).json
    assert not shown["told"].get(method)
    assert shown["told"]["totalCount"][0][0] == 1
    assert shown["level"][method][0][0] in (5, 0)


@clause("4.5.19.0", 5, 6)
@pytest.mark.parametrize("lower", [True, False])
def test_an_open_interval_has_its_instances_in_one_period(broker: BrokerClient, unique: Unique, lower: bool) -> None:
    one = entity(unique.id(), unique.type(), told=series(1, 2, 3, start=10))
    broker.post("/temporal/entities", one).expect(201)
    interval = {"timerel": "after", "timeAt": at(0)} if lower else {"timerel": "before", "timeAt": at(60)}
    query = {**interval, "format": "aggregatedValues", "aggrMethods": "sum"}
    ((value, start, end),) = broker.get(f"/temporal/entities/{one['id']}", query).expect(200).json["told"]["sum"]
    assert value == 6
    assert moment(start) <= at(10)
    assert moment(end) >= at(12)


@clause("4.5.19.0", 4)
def test_datasets_are_aggregated_by_themselves(broker: BrokerClient, unique: Unique) -> None:
    told = [*series(1, 2), *series(10, 20, datasetId="urn:d:1")]
    shown = aggregated(broker, unique, told, "sum")
    sums = {each.get("datasetId"): each["sum"][0][0] for each in listed(shown)}
    assert sums == {None: 3, "urn:d:1": 30}


@clause("5.2.21", 3)
@clause("6.18.3.2", 3)
@clause("6.19.3.1", 3)
@pytest.mark.parametrize("query", [{"format": "aggregatedValues"}, {"options": "aggregatedValues"}])
def test_aggregated_values_need_methods(broker: BrokerClient, unique: Unique, query: dict[str, str]) -> None:
    one = entity(unique.id(), unique.type(), told=series(1))
    broker.post("/temporal/entities", one).expect(201)
    path = f"/temporal/entities/{one['id']}"
    broker.get(path, {**ALWAYS, **query}).expect_problem("BadRequestData", "InvalidRequest")
    query = {"type": one["type"], **ALWAYS, **query}
    broker.get("/temporal/entities", query).expect_problem("BadRequestData", "InvalidRequest")


@clause("5.2.44", 1, 2)
def test_a_body_has_aggregation_parameters(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), told=series(1, 2, 3))
    broker.post("/temporal/entities", one).expect(201)
    interval = {"timerel": "between", "timeAt": at(0), "endTimeAt": at(60)}
    body = {"type": "Query", "entities": [{"type": one["type"]}], "temporalQ": interval}
    path = "/temporal/entityOperations/query?format=aggregatedValues"
    parameters: dict[str, Any] = {"aggrMethods": ["max"], "aggrPeriodDuration": "PT2M"}
    (shown,) = broker.post(path, {**body, "aggrParams": parameters}).expect(200).json
    assert periods(shown["told"]["max"]) == [[2, at(0), at(2)], [3, at(2), at(4)]]
    (shown,) = broker.post(path, {**body, "aggrParams": {"aggrMethods": ["max"]}}).expect(200).json
    assert periods(shown["told"]["max"]) == [[3, at(0), at(60)]]


@clause("5.2.44", 1)
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"aggrMethods": []},
        {"aggrMethods": ["median"]},
        {"aggrMethods": [5]},
        {"aggrMethods": ["max"], "aggrPeriodDuration": "1 hour"},
        {"aggrMethods": ["max"], "aggrPeriodDuration": 5},
        {"aggrMethods": ["max"], "unknown": 1},
    ],
)
def test_aggregation_parameters_that_are_wrong_are_refused(
    broker: BrokerClient, unique: Unique, parameters: dict[str, Any]
) -> None:
    body = {"type": "Query", "entities": [{"type": unique.type()}], "temporalQ": ALWAYS, "aggrParams": parameters}
    path = "/temporal/entityOperations/query?format=aggregatedValues"
    broker.post(path, body).expect_problem("BadRequestData", "InvalidRequest")
