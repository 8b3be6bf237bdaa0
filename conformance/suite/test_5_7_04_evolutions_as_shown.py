"""5.7.4.4, 5.7.4.5 and 6.18.3.2: what a query of temporal evolutions shows, page by page, and with an EntityMap."""

from typing import Any

import pytest

from conformance.broker_client import GEO_JSON, JSON_LD, BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, lang, prop, rel
from conformance.series import ALWAYS, at, listed, periods, series, values_of
from conformance.servers import eventually

HEADER = "NGSILD-EntityMap"


@clause("5.7.4.4", 28)
@pytest.mark.parametrize(
    ("datasets", "shown"),
    [
        ("urn:d:1", {"one": {"level": [2]}, "two": {"level": [5], "name": ["a"]}}),
        ("urn:d:2", {"two": {"name": ["b"]}}),
        ("@none", {"one": {"level": [1]}}),
        ("@none,urn:d:2", {"one": {"level": [1]}, "two": {"name": ["b"]}}),
        ("urn:d:9", {}),
    ],
)
def test_only_the_datasets_asked_for_are_shown(
    broker: BrokerClient, unique: Unique, datasets: str, shown: dict[str, Any]
) -> None:
    names = [*series("a", datasetId="urn:d:1"), *series("b", datasetId="urn:d:2", start=1)]
    levels = [*series(1), *series(2, datasetId="urn:d:1", start=1), *series(9, datasetId="urn:d:2", start=40)]
    one = entity(unique.id(), unique.type(), level=levels)
    two = entity(unique.id(), unique.type(), level=series(5, datasetId="urn:d:1"), name=names)
    for each in (one, two):
        broker.post("/temporal/entities", each).expect(201)
    window = {"timerel": "before", "timeAt": at(10)}
    query = {"type": unique.type(), **window, "datasetId": datasets, "count": "true"}
    answer = broker.get("/temporal/entities", query).expect(200)
    called = {one["id"]: "one", two["id"]: "two"}
    assert {
        called[each.pop("id")]: {name: values_of(value) for name, value in each.items() if name != "type"}
        for each in answer.json
    } == shown
    assert answer.header("NGSILD-Results-Count") == str(len(shown))


@clause("5.7.4.5", 2, 3)
@pytest.mark.parametrize(
    ("query", "members"),
    [
        ({"pick": "level"}, {"level"}),
        ({"pick": "id,level"}, {"id", "level"}),
        ({"pick": "type,scope,name"}, {"type", "scope", "name"}),
        ({"omit": "level"}, {"id", "type", "name", "scope"}),
        ({"omit": "id,type,scope"}, {"level", "name"}),
    ],
)
def test_pick_and_omit_choose_members(
    broker: BrokerClient, unique: Unique, query: dict[str, str], members: set[str]
) -> None:
    scope = [prop("/A", observedAt=at(0))]
    one = entity(unique.id(), unique.type(), level=series(1), name=series("a"), scope=scope)
    broker.post("/temporal/entities", one).expect(201)
    for form in (None, "temporalValues"):
        asked = {"type": unique.type(), **ALWAYS, **query, "format": form}
        (shown,) = broker.get("/temporal/entities", asked).expect(200).json
        assert shown.keys() == members


@clause("5.7.4.4", 24)
@pytest.mark.parametrize(
    ("attribute", "method"),
    [("name", "avg"), ("name", "stddev"), ("owner", "max"), ("owner", "sum"), ("name", "max,sumsq")],
)
def test_a_method_that_is_not_for_an_attribute_is_an_invalid_request(
    broker: BrokerClient, unique: Unique, attribute: str, method: str
) -> None:
    owners = [rel("urn:a:1", observedAt=at(0))]
    one = entity(unique.id(), unique.type(), level=series(1), name=series("a"), owner=owners)
    broker.post("/temporal/entities", one).expect(201)
    aggregated = {**ALWAYS, "format": "aggregatedValues", "aggrMethods": method}
    query = {"type": one["type"], **aggregated, "attrs": f"level,{attribute}"}
    broker.get("/temporal/entities", query).expect_problem("InvalidRequest")


@clause("5.7.4.4", 29)
def test_aggregated_values_are_those_of_the_interval(broker: BrokerClient, unique: Unique) -> None:
    for values in ((1, 2, 3), (10, 20, 30)):
        broker.post("/temporal/entities", entity(unique.id(), unique.type(), level=series(*values))).expect(201)
    window = {"timerel": "between", "timeAt": at(1), "endTimeAt": at(3)}
    query = {"type": unique.type(), **window, "format": "aggregatedValues", "aggrMethods": "sum"}
    shown = broker.get("/temporal/entities", query).expect(200).json
    sums = sorted(periods(each["level"]["sum"]) for each in shown)
    assert sums == [[[5, at(1), at(3)]], [[50, at(1), at(3)]]]


@clause("6.18.3.2", 23)
@pytest.mark.parametrize("form", [None, "temporalValues"])
def test_a_language_is_chosen(broker: BrokerClient, unique: Unique, form: str | None) -> None:
    says = [lang({"en": "yes", "fr": "oui"}, observedAt=at(0))]
    broker.post("/temporal/entities", entity(unique.id(), unique.type(), says=says)).expect(201)
    query = {"type": unique.type(), **ALWAYS, "lang": "fr", "format": form}
    (shown,) = broker.get("/temporal/entities", query).expect(200).json
    assert (values_of(shown["says"]) if form is None else [shown["says"]["values"][0][0]]) == ["oui"]


@clause("6.18.3.2", 24)
@pytest.mark.parametrize("datasets", ["no uri", "urn:d:1,no uri", "none"])
def test_a_dataset_is_a_uri(broker: BrokerClient, unique: Unique, datasets: str) -> None:
    query = {"type": unique.type(), **ALWAYS, "datasetId": datasets}
    broker.get("/temporal/entities", query).expect_problem("BadRequestData")


@clause("6.18.3.2", 2)
@pytest.mark.parametrize(
    "query",
    [
        {"attrs": "level"},
        {"pick": "id,level"},
        {"omit": "name"},
        {"csf": 'endpoint=="http://a.b"'},
        {"datasetId": "@none"},
        {"expandValues": "gender", "q": "level"},
        {"jsonKeys": "level", "q": "level"},
        {"idPattern": "^urn:ngsi-ld:"},
        {"lang": "en"},
        {"lastN": 1},
        {"splitEntities": "false"},
        {"splitEntities": "true"},
        {"local": "true"},
        {"local": "true", "orderBy": "id", "collation": "en"},
        {"format": "aggregatedValues", "aggrMethods": "max", "aggrPeriodDuration": "PT1H"},
        {"limit": 5, "offset": 0, "count": "true"},
        {"options": "sysAttrs"},
    ],
)
def test_all_parameters_are_taken(broker: BrokerClient, unique: Unique, query: dict[str, Any]) -> None:
    one = entity(unique.id(), unique.type(), level=series(1), name=series("a"))
    broker.post("/temporal/entities", one).expect(201)
    (shown,) = broker.get("/temporal/entities", {"type": one["type"], **ALWAYS, **query}).expect(200).json
    assert (shown["id"], "level" in shown) == (one["id"], True)


@clause("6.18.3.2", 1)
@pytest.mark.parametrize(
    "query", [{"unknown": 1}, {"join": "flat"}, {"limit": -1}, {"limit": 0}, {"offset": "x"}, {"lang": ""}]
)
def test_a_parameter_that_is_wrong_is_refused(broker: BrokerClient, unique: Unique, query: dict[str, Any]) -> None:
    answer = broker.get("/temporal/entities", {"type": unique.type(), **ALWAYS, **query})
    answer.expect_problem("BadRequestData", "InvalidRequest")


@clause("6.18.3.2", 1)
def test_the_media_type_is_the_one_asked_for(broker: BrokerClient, unique: Unique) -> None:
    broker.post("/temporal/entities", entity(unique.id(), unique.type(), level=series(1))).expect(201)
    query = {"type": unique.type(), **ALWAYS}
    answer = broker.get("/temporal/entities", query, accept=JSON_LD).expect(200)
    assert (answer.media_type, "@context" in answer.json[0]) == (JSON_LD, True)
    answer = broker.get("/temporal/entities", query).expect(200)
    assert (answer.media_type, "@context" in answer.json[0]) == ("application/json", False)
    broker.get("/temporal/entities", query, accept=GEO_JSON).expect(406)


# --- pages of entities


@clause("5.7.4.4", 25)
@clause("6.18.3.2", 1)
def test_entities_come_in_pages_with_links(broker: BrokerClient, unique: Unique) -> None:
    ids = [unique.id() for _ in range(5)]
    for entity_id in ids:
        broker.post("/temporal/entities", entity(entity_id, unique.type(), level=series(1))).expect(201)
    query = {"type": unique.type(), **ALWAYS, "limit": 2, "count": "true"}
    seen, answer = [], broker.get("/temporal/entities", query).expect(200)
    assert answer.link("prev") is None
    while True:
        assert answer.header("NGSILD-Results-Count") == "5"
        seen.append([each["id"] for each in answer.json])
        onward = answer.link("next")
        if onward is None:
            break
        answer = broker.get(onward).expect(200)
    assert [len(page) for page in seen] == [2, 2, 1]
    assert sorted(entity_id for page in seen for entity_id in page) == ids
    back = answer.link("prev")
    assert back is not None
    assert sorted(each["id"] for each in broker.get(back).expect(200).json) == sorted(seen[1])


@clause("5.7.4.4", 25)
def test_a_count_needs_no_entities(broker: BrokerClient, unique: Unique) -> None:
    for _ in range(3):
        broker.post("/temporal/entities", entity(unique.id(), unique.type(), level=series(1))).expect(201)
    query = {"type": unique.type(), **ALWAYS, "limit": 0, "count": "true"}
    answer = broker.get("/temporal/entities", query).expect(200).expect_json([])
    assert answer.header("NGSILD-Results-Count") == "3"


# --- EntityMaps


@clause("5.7.4.4", 20)
@clause("6.18.3.2", 20)
def test_an_entity_map_is_made_where_one_is_asked_for(broker: BrokerClient, unique: Unique) -> None:
    ids = [unique.id() for _ in range(3)]
    for entity_id in ids:
        broker.post("/temporal/entities", entity(entity_id, unique.type(), level=series(1))).expect(201)
    query = {"type": unique.type(), **ALWAYS, "limit": 2, "entityMap": "true"}
    answer = broker.get("/temporal/entities", query).expect(201)
    assert len(answer.json) == 2
    assert sorted(broker.get(answer.header(HEADER)).expect(200).json["entityMap"]) == ids
    broker.delete(answer.header(HEADER)).expect(204)


@clause("6.18.3.2", 20)
@pytest.mark.parametrize("wish", [None, "false"])
def test_without_a_wish_for_an_entity_map_there_is_none(broker: BrokerClient, unique: Unique, wish: str | None) -> None:
    answer = broker.get("/temporal/entities", {"type": unique.type(), **ALWAYS, "entityMap": wish}).expect(200)
    assert HEADER not in answer.headers


@clause("5.7.4.4", 17)
@clause("6.18.3.2", 20)
def test_an_entity_map_that_the_request_names_is_used(broker: BrokerClient, unique: Unique) -> None:
    ids = [unique.id(), unique.id()]
    broker.post("/temporal/entities", entity(ids[0], unique.type(), level=series(1))).expect(201)
    query = {"type": unique.type(), **ALWAYS, "entityMap": "true"}
    location = broker.get("/temporal/entities", query).expect(201).header(HEADER)
    broker.post("/temporal/entities", entity(ids[1], unique.type(), level=series(1))).expect(201)
    again = broker.get("/temporal/entities", query, headers={HEADER: location}).expect(200)
    assert ([each["id"] for each in again.json], again.header(HEADER)) == ([ids[0]], location)
    broker.delete(location).expect(204)


@clause("5.7.4.4", 18)
def test_an_entity_map_that_has_gone_is_made_anew(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=series(1))
    broker.post("/temporal/entities", one).expect(201)
    query = {"type": unique.type(), **ALWAYS, "entityMap": "true"}
    gone = broker.get("/temporal/entities", query).expect(201).header(HEADER)
    broker.delete(gone).expect(204)
    again = broker.get("/temporal/entities", query, headers={HEADER: gone}).expect(201).header(HEADER)
    assert again != gone
    assert list(broker.get(again).expect(200).json["entityMap"]) == [one["id"]]
    broker.delete(again).expect(204)


@clause("5.7.4.4", 18)
@clause("6.18.3.2", 9)
def test_an_entity_map_that_has_expired_is_made_anew(broker: BrokerClient, unique: Unique) -> None:
    broker.post("/temporal/entities", entity(unique.id(), unique.type(), level=series(1))).expect(201)
    query = {"type": unique.type(), **ALWAYS, "entityMap": "true", "entityMapLifetime": "PT1S"}
    first = broker.get("/temporal/entities", query).expect(201).header(HEADER)
    assert "expiresAt" in broker.get(first).expect(200).json

    def another() -> str | None:
        named = broker.get("/temporal/entities", query, headers={HEADER: first}).expect(200, 201).header(HEADER)
        return named if named != first else None

    broker.get(eventually(another)).expect(200)
    broker.get(first).expect_problem("ResourceNotFound")


@clause("6.18.3.2", 9)
@pytest.mark.parametrize("lifetime", ["one hour", "1H", "PT"])
def test_a_lifetime_that_is_no_duration_is_refused(broker: BrokerClient, unique: Unique, lifetime: str) -> None:
    query = {"type": unique.type(), **ALWAYS, "entityMap": "true", "entityMapLifetime": lifetime}
    broker.get("/temporal/entities", query).expect_problem("BadRequestData", "InvalidRequest")


@clause("5.7.4.4", 17)
def test_the_instances_shown_are_those_of_the_present_interval(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=series(1, 2, 3))
    broker.post("/temporal/entities", one).expect(201)
    query = {"type": unique.type(), "entityMap": "true"}
    location = broker.get("/temporal/entities", {**query, **ALWAYS}).expect(201).header(HEADER)
    later = {**query, "timerel": "after", "timeAt": at(2)}
    (shown,) = broker.get("/temporal/entities", later, headers={HEADER: location}).expect(200).json
    assert [each["value"] for each in listed(shown["level"])] == [3]
    broker.delete(location).expect(204)
