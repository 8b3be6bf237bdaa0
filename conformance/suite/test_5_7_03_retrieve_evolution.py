"""5.7.3 Retrieve Temporal Evolution of an Entity, 6.19.3.1 GET /temporal/entities/{entityId}."""

from typing import Any

import pytest

from conformance.broker_client import GEO_JSON, JSON_LD, BrokerClient
from conformance.clauses import clause
from conformance.samples import DEFAULT_CONTEXT, Unique, entity, lang, prop
from conformance.series import ALWAYS, at, listed, series, values_of
from conformance.servers import DocumentServer, eventually

SINCE_1 = {"timerel": "after", "timeAt": at(1)}


@clause("5.7.3.5", 1)
@clause("6.19.3.1", 1, 4)
def test_one_evolution_is_retrieved_whole(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=series(1, 2), name=series("a"), scope=[prop("/A", observedAt=at(0))])
    broker.post("/temporal/entities", one).expect(201)
    shown = broker.get(f"/temporal/entities/{one['id']}").expect(200).json
    assert shown.keys() == one.keys()
    assert [values_of(shown[name]) for name in ("level", "name", "scope")] == [[1, 2], ["a"], ["/A"]]


@clause("5.7.3.4", 1)
@clause("6.19.3.1", 1)
@pytest.mark.parametrize("entity_id", ["not-a-uri", "12345", "%20", "a%20b"])
def test_an_id_that_is_no_uri_is_refused(broker: BrokerClient, entity_id: str) -> None:
    broker.get(f"/temporal/entities/{entity_id}").expect_problem("BadRequestData")


@clause("5.7.3.4", 3)
@clause("6.19.3.1", 1)
@pytest.mark.parametrize("query", [{}, ALWAYS, {"pick": "level"}, {"local": "true"}])
def test_an_unknown_evolution_is_not_found(broker: BrokerClient, unique: Unique, query: dict[str, str]) -> None:
    broker.get(f"/temporal/entities/{unique.id()}", query).expect_problem("ResourceNotFound")


@clause("5.7.3.4", 6)
@pytest.mark.parametrize(
    "query",
    [
        {"timerel": "before", "timeAt": at(0)},
        {"timerel": "after", "timeAt": at(30)},
        {"timerel": "between", "timeAt": at(10), "endTimeAt": at(11)},
        {**ALWAYS, "timeproperty": "deletedAt"},
    ],
)
def test_an_evolution_with_nothing_in_the_interval_is_not_found(
    broker: BrokerClient, unique: Unique, query: dict[str, str]
) -> None:
    one = entity(unique.id(), unique.type(), level=series(1, 2))
    broker.post("/temporal/entities", one).expect(201)
    broker.get(f"/temporal/entities/{one['id']}", query).expect_problem("ResourceNotFound")


@clause("5.7.3.4", 6)
def test_attributes_with_nothing_in_the_interval_are_left_out(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=series(1, 2), name=series("a"))
    broker.post("/temporal/entities", one).expect(201)
    shown = broker.get(f"/temporal/entities/{one['id']}", SINCE_1).expect(200).json
    assert (shown.keys(), values_of(shown["level"])) == ({"id", "type", "level"}, [2])


@clause("5.7.3.4", 6)
def test_what_is_asked_for_has_to_be_in_the_interval(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=series(1, 2), name=series("a"))
    broker.post("/temporal/entities", one).expect(201)
    query = {**SINCE_1, "attrs": "name"}
    broker.get(f"/temporal/entities/{one['id']}", query).expect_problem("ResourceNotFound")


@clause("5.7.3.4", 2)
@pytest.mark.parametrize("query", [{"pick": "owner{name}"}, {"omit": "owner{name}"}, {"pick": "id,owner{name{a}}"}])
def test_a_projection_into_linked_entities_is_refused(
    broker: BrokerClient, unique: Unique, query: dict[str, str]
) -> None:
    one = entity(unique.id(), unique.type(), level=series(1))
    broker.post("/temporal/entities", one).expect(201)
    broker.get(f"/temporal/entities/{one['id']}", query).expect_problem("BadRequestData")


@clause("5.7.3.4", 4)
def test_names_are_expanded_with_the_context_of_the_request(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    context = documents.publish_context(niveau=DEFAULT_CONTEXT + "level", level="https://example.org/other")
    one = entity(unique.id(), unique.type(), level=series(1), name=series("a"))
    broker.post("/temporal/entities", one).expect(201)
    path = f"/temporal/entities/{one['id']}"
    shown = broker.get(path, {"pick": "niveau"}, link=context).expect(200).json
    assert (shown.keys(), values_of(shown["niveau"])) == ({"niveau"}, [1])
    shown = broker.get(path, {"attrs": "niveau"}, link=context).expect(200).json
    assert shown.keys() == {"id", "type", "niveau"}
    broker.get(path, {"attrs": "level"}, link=context).expect_problem("ResourceNotFound")


@clause("5.7.3.4", 5)
def test_last_n_counts_backwards_by_the_temporal_property(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=series(5, start=50))
    broker.post("/temporal/entities", one).expect(201)
    path = f"/temporal/entities/{one['id']}"
    (first,) = listed(broker.get(path, {"options": "sysAttrs"}).expect(200).json["level"])
    number = iter(range(50))

    def added_later() -> bool:
        broker.post(f"{path}/attrs", {"level": series(1, start=next(number))}).expect(204)
        shown = broker.get(path, {"options": "sysAttrs"}).expect(200).json["level"]
        return bool(max(each["createdAt"] for each in shown) > first["createdAt"])

    eventually(added_later)  # timestamps may have no fraction of a second
    by_observation = broker.get(path, {**ALWAYS, "lastN": 1}).expect(200).json["level"]
    by_creation = broker.get(path, {**ALWAYS, "lastN": 1, "timeproperty": "createdAt"}).expect(200).json["level"]
    assert (values_of(by_observation), values_of(by_creation)) == ([5], [1])


@clause("5.7.3.4", 5)
def test_last_n_needs_no_temporal_query(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=series(1, 2, 3))
    broker.post("/temporal/entities", one).expect(201)
    shown = broker.get(f"/temporal/entities/{one['id']}", {"lastN": 2}).expect(200).json
    assert values_of(shown["level"]) == [2, 3]


@clause("5.7.3.5", 2, 3)
@pytest.mark.parametrize(
    ("query", "members"),
    [
        ({"pick": "level"}, {"level"}),
        ({"pick": "id,level"}, {"id", "level"}),
        ({"pick": "type,scope"}, {"type", "scope"}),
        ({"pick": "id,type,level,name"}, {"id", "type", "level", "name"}),
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
        shown = broker.get(f"/temporal/entities/{one['id']}", {**query, "format": form}).expect(200).json
        assert shown.keys() == members


@clause("6.19.3.1", 4)
def test_attrs_are_the_only_attributes(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=series(1), name=series("a"), depth=series(2))
    broker.post("/temporal/entities", one).expect(201)
    shown = broker.get(f"/temporal/entities/{one['id']}", {"attrs": "level,depth"}).expect(200).json
    assert shown.keys() == {"id", "type", "level", "depth"}


@clause("5.7.3.4", 12)
@pytest.mark.parametrize(
    ("datasets", "level", "name"),
    [
        ("urn:d:1", [3], []),
        ("urn:d:2", [4], ["b"]),
        ("urn:d:1,urn:d:2", [3, 4], ["b"]),
        ("@none", [1, 2], ["a"]),
        ("@none,urn:d:1", [1, 2, 3], ["a"]),
        ("urn:d:9", [], []),
    ],
)
def test_only_the_datasets_asked_for_are_shown(
    broker: BrokerClient, unique: Unique, datasets: str, level: list[int], name: list[str]
) -> None:
    told = [*series(1, 2), *series(3, datasetId="urn:d:1", start=3), *series(4, datasetId="urn:d:2", start=4)]
    names = [*series("a"), *series("b", datasetId="urn:d:2", start=1)]
    one = entity(unique.id(), unique.type(), level=told, name=names)
    broker.post("/temporal/entities", one).expect(201)
    shown = broker.get(f"/temporal/entities/{one['id']}", {"datasetId": datasets}).expect(200).json
    assert (values_of(shown.get("level", [])), values_of(shown.get("name", []))) == (level, name)
    assert ("level" in shown, "name" in shown) == (bool(level), bool(name))


@clause("6.19.3.1", 1)
@pytest.mark.parametrize(
    "query",
    [
        {"datasetId": "no uri"},
        {"lang": ""},
        {"pick": "id,,level"},
        {"pick": "le vel"},
        {"attrs": "le vel"},
        {"local": "perhaps"},
        {"entityMap": "perhaps"},
        {"unknown": "1"},
        {"q": "level>1"},
    ],
)
def test_a_parameter_that_is_wrong_is_refused(broker: BrokerClient, unique: Unique, query: dict[str, str]) -> None:
    one = entity(unique.id(), unique.type(), level=series(1))
    broker.post("/temporal/entities", one).expect(201)
    path = f"/temporal/entities/{one['id']}"
    broker.get(path, query).expect_problem("BadRequestData", "InvalidRequest")


@clause("6.19.3.1", 2)
@pytest.mark.parametrize(
    "query",
    [
        {"attrs": "level"},
        {"pick": "level"},
        {"omit": "name"},
        {"datasetId": "@none"},
        {"lang": "en"},
        {"lastN": 1},
        ALWAYS,
        {"timerel": "between", "timeAt": at(0), "endTimeAt": at(9), "timeproperty": "observedAt"},
        {**ALWAYS, "format": "aggregatedValues", "aggrMethods": "max", "aggrPeriodDuration": "PT1H"},
        {"options": "sysAttrs"},
        {"local": "true"},
    ],
)
def test_all_parameters_are_taken(broker: BrokerClient, unique: Unique, query: dict[str, Any]) -> None:
    one = entity(unique.id(), unique.type(), level=series(1), name=series("a"))
    broker.post("/temporal/entities", one).expect(201)
    assert "level" in broker.get(f"/temporal/entities/{one['id']}", query).expect(200).json


@clause("6.19.3.1", 13)
@pytest.mark.parametrize("form", [None, "temporalValues"])
def test_a_language_is_chosen(broker: BrokerClient, unique: Unique, form: str | None) -> None:
    says = [lang({"en": "yes", "fr": "oui"}, observedAt=at(0)), lang({"en": "no", "fr": "non"}, observedAt=at(1))]
    one = entity(unique.id(), unique.type(), says=says)
    broker.post("/temporal/entities", one).expect(201)
    shown = broker.get(f"/temporal/entities/{one['id']}", {"lang": "fr", "format": form}).expect(200).json["says"]
    if form is None:
        assert values_of(shown) == ["oui", "non"]
        assert {(each["type"], each["lang"]) for each in shown} == {("Property", "fr")}
    else:
        assert sorted(value for value, _ in shown["values"]) == ["non", "oui"]


@clause("6.19.3.1", 1)
def test_the_media_type_is_the_one_asked_for(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=series(1))
    broker.post("/temporal/entities", one).expect(201)
    path = f"/temporal/entities/{one['id']}"
    answer = broker.get(path, accept=JSON_LD).expect(200)
    assert (answer.media_type, "@context" in answer.json) == (JSON_LD, True)
    answer = broker.get(path, accept="application/json").expect(200)
    assert (answer.media_type, "@context" in answer.json) == ("application/json", False)
    assert answer.link("http://www.w3.org/ns/json-ld#context") is not None
    broker.get(path, accept=GEO_JSON).expect(406)


# --- with an EntityMap


@clause("5.7.3.4", 10)
def test_an_entity_map_is_made_where_one_is_asked_for(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=series(1))
    broker.post("/temporal/entities", one).expect(201)
    answer = broker.get(f"/temporal/entities/{one['id']}", {"entityMap": "true"}).expect(200, 201)
    location = answer.header("NGSILD-EntityMap")
    assert one["id"] in broker.get(location).expect(200).json["entityMap"]
    assert values_of(answer.json["level"]) == [1]
    broker.delete(location).expect(204)


@clause("5.7.3.4", 7)
def test_an_entity_map_that_the_request_names_is_used(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=series(1))
    broker.post("/temporal/entities", one).expect(201)
    path = f"/temporal/entities/{one['id']}"
    location = broker.get(path, {"entityMap": "true"}).expect(200, 201).header("NGSILD-EntityMap")
    again = broker.get(path, headers={"NGSILD-EntityMap": location}).expect(200)
    assert again.header("NGSILD-EntityMap") == location
    broker.delete(location).expect(204)


@clause("5.7.3.4", 8)
def test_an_entity_map_that_has_gone_is_made_anew(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=series(1))
    broker.post("/temporal/entities", one).expect(201)
    path = f"/temporal/entities/{one['id']}"
    gone = broker.get(path, {"entityMap": "true"}).expect(200, 201).header("NGSILD-EntityMap")
    broker.delete(gone).expect(204)
    again = broker.get(path, headers={"NGSILD-EntityMap": gone}).expect(200, 201).header("NGSILD-EntityMap")
    assert again != gone
    assert one["id"] in broker.get(again).expect(200).json["entityMap"]
    broker.delete(again).expect(204)
