"""Which registrations a request concerns (5.12, 5.10.2.4, 5.11.2.4)."""

from typing import Any

import pytest
from registration_samples import VEHICLE, about, iri, registration

from broker.errors import BadRequestData
from broker.federation.intervals import parse_period
from broker.federation.matching import RegistrationQuery, matching_information, may_contain, parse_csf
from broker.jsonld.terms import CORE
from broker.query.ast import EntitySelector
from broker.query.geo import parse_geo_query
from broker.query.scopes import parse_scope_query
from broker.query.selection import parse_type_selection


def select(types: str | None = None, ids: list[str] | None = None, pattern: str | None = None) -> EntitySelector:
    return EntitySelector(
        ids=None if ids is None else frozenset(ids),
        id_pattern=pattern,
        types=None if types is None else parse_type_selection(types, CORE),
    )


def matches(query: RegistrationQuery, **members: Any) -> bool:
    return bool(matching_information(query, registration(**members)))


@pytest.mark.parametrize(
    ("selector", "entity", "expected"),
    [
        (select("Vehicle"), {"type": "Vehicle"}, True),
        (select("Bus"), {"type": "Vehicle"}, False),
        (select("Bus,Vehicle"), {"type": "Vehicle"}, True),
        (select("(Bus;Vehicle)"), {"type": "Vehicle"}, False),
        (select("(Bus;Vehicle)"), {"type": ["Vehicle", "Bus", "Home"]}, True),
        (select("*"), {"type": "Vehicle"}, True),
        (select(), {"type": "Vehicle"}, True),
        (select("Vehicle"), {"type": "Vehicle", "id": VEHICLE}, True),
        (select("Vehicle"), {"type": "Vehicle", "idPattern": "^urn:other"}, True),
        (select("Vehicle", [VEHICLE]), {"type": "Vehicle"}, True),
        (select("Vehicle", ["urn:x:1", VEHICLE]), {"type": "Vehicle", "id": VEHICLE}, True),
        (select("Vehicle", ["urn:x:1"]), {"type": "Vehicle", "id": VEHICLE}, False),
        (select("Vehicle", ["urn:x:1", VEHICLE]), {"type": "Vehicle", "idPattern": "A456$"}, True),
        (select("Vehicle", ["urn:x:1"]), {"type": "Vehicle", "idPattern": "A456$"}, False),
        (select("Vehicle", pattern="A456$"), {"type": "Vehicle"}, True),
        (select("Vehicle", pattern="A456$"), {"type": "Vehicle", "id": VEHICLE}, True),
        (select("Vehicle", pattern="B$"), {"type": "Vehicle", "id": VEHICLE}, False),
        (select("Vehicle", pattern="B$"), {"type": "Vehicle", "idPattern": "A$"}, True),
        (select("Vehicle", ["urn:x:1"]), {"type": "Vehicle", "id": VEHICLE, "idPattern": ".*"}, False),
    ],
)
def test_5_12_an_entity_specification_matches_an_entity_info(
    selector: EntitySelector, entity: dict[str, Any], expected: bool
) -> None:
    assert matches(RegistrationQuery(selectors=(selector,)), information=about(entity)) is expected


@pytest.mark.parametrize(
    ("attributes", "names", "expected"),
    [
        ([], {"propertyNames": ["speed"]}, True),
        (["speed"], {}, True),
        (["speed", "other"], {"propertyNames": ["speed"]}, True),
        (["parkedAt"], {"propertyNames": ["speed"], "relationshipNames": ["parkedAt"]}, True),
        (["other"], {"propertyNames": ["speed"], "relationshipNames": ["parkedAt"]}, False),
    ],
)
def test_5_12_attribute_names_match_properties_and_relationships_together(
    attributes: list[str], names: dict[str, list[str]], expected: bool
) -> None:
    query = RegistrationQuery(attributes=frozenset(map(iri, attributes)))
    assert matches(query, information=about({"type": "Vehicle"}, **names)) is expected


def test_5_12_entities_and_attributes_must_match_in_one_element() -> None:
    information = [
        *about({"type": "Vehicle"}, propertyNames=["speed"]),
        *about({"type": "Bus"}, propertyNames=["line"]),
    ]
    query = RegistrationQuery(selectors=(select("Bus"),), attributes=frozenset({iri("line")}))
    assert matching_information(query, registration(information=information)) == (1,)
    query = RegistrationQuery(selectors=(select("Bus"),), attributes=frozenset({iri("speed")}))
    assert matching_information(query, registration(information=information)) == ()


def test_5_12_information_without_entities_matches_any_entity() -> None:
    assert matches(RegistrationQuery(selectors=(select("Bus"),)), information=about(propertyNames=["speed"]))


@pytest.mark.parametrize(
    ("asked", "registered", "expected"),
    [
        (None, ["urn:x:1"], True),
        (["urn:x:1"], ..., True),
        (["urn:x:1", "@none"], ["@none"], True),
        (["urn:x:1"], ["urn:x:2"], False),
    ],
)
def test_5_12_dataset_ids_need_one_in_common(asked: list[str] | None, registered: Any, expected: bool) -> None:
    query = RegistrationQuery(dataset_ids=None if asked is None else frozenset(asked))
    assert matches(query, datasetId=registered) is expected


def test_5_12_a_source_that_was_encountered_already_does_not_match() -> None:
    query = RegistrationQuery(encountered=frozenset({"loop"}))
    assert not matches(query, contextSourceAlias="loop")
    assert matches(query, contextSourceAlias="other")
    assert matches(query)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"timerel": "before", "timeAt": "2020-01-01T00:00:00Z"}, True),
        ({"timerel": "before", "timeAt": "2019-12-31T23:59:59Z"}, False),
        ({"timerel": "before", "timeAt": "2022-01-01T00:00:00Z"}, True),
        ({"timerel": "after", "timeAt": "2021-01-01T00:00:00Z"}, True),
        ({"timerel": "after", "timeAt": "2021-01-01T00:00:01Z"}, False),
        ({"timerel": "after", "timeAt": "2019-01-01T00:00:00Z"}, True),
        ({"timerel": "between", "timeAt": "2019-01-01T00:00:00Z", "endTimeAt": "2019-12-31T00:00:00Z"}, False),
        ({"timerel": "between", "timeAt": "2019-01-01T00:00:00Z", "endTimeAt": "2020-06-01T00:00:00Z"}, True),
        ({"timerel": "after", "timeAt": "2020-06-01T00:00:00Z", "timeproperty": "createdAt"}, False),
    ],
)
def test_5_10_2_4_a_temporal_query_is_held_against_the_interval(query: dict[str, str], expected: bool) -> None:
    asked = RegistrationQuery(temporal=parse_period(query))
    interval = {"startAt": "2020-01-01T00:00:00Z", "endAt": "2021-01-01T00:00:00Z"}
    assert matches(asked, observationInterval=interval) is expected


def test_5_10_2_4_created_modified_and_deleted_times_are_about_the_management_interval() -> None:
    open_ended = {"startAt": "2020-01-01T00:00:00Z"}
    for name in ("createdAt", "modifiedAt", "deletedAt"):
        query = {"timerel": "after", "timeAt": "2030-01-01T00:00:00Z", "timeproperty": name}
        asked = RegistrationQuery(temporal=parse_period(query))
        assert matches(asked, managementInterval=open_ended)
        assert not matches(asked, observationInterval=open_ended)


def test_5_9_1_sources_of_latest_and_of_temporal_information_are_kept_apart() -> None:
    latest = RegistrationQuery()
    temporal = RegistrationQuery(temporal=parse_period({"timerel": "after", "timeAt": "2020-01-01T00:00:00Z"}))
    assert matches(latest)
    assert not matches(temporal)
    assert not matches(latest, managementInterval={"startAt": "2020-01-01T00:00:00Z"})


@pytest.mark.parametrize(
    "query",
    [
        {"timerel": "around", "timeAt": "2020-01-01T00:00:00Z"},
        {"timerel": ["before"], "timeAt": "2020-01-01T00:00:00Z"},
        {"timerel": "before"},
        {"timerel": "before", "timeAt": "x"},
        {"timerel": "between", "timeAt": "2020-01-01T00:00:00Z"},
        {"timeproperty": "observedAt"},
        {"timerel": "before", "timeAt": "2020-01-01T00:00:00Z", "endTimeAt": "2021-01-01T00:00:00Z"},
        {"timerel": "before", "timeAt": "2020-01-01T00:00:00Z", "timeproperty": "speed"},
    ],
)
def test_4_11_a_temporal_query_that_is_none_is_refused(query: dict[str, Any]) -> None:
    with pytest.raises(BadRequestData, match=r"(?i)time"):
        parse_period(query)


SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]]]}


@pytest.mark.parametrize(
    ("georel", "geometry", "coordinates", "expected"),
    [
        ("near;maxDistance==1000", "Point", [2, 2], True),
        ("near;maxDistance==1000", "Point", [5, 5], False),
        ("near;minDistance==100000", "Point", [2, 2], True),
        ("near;minDistance==1000000", "Point", [2, 2], False),
        ("within", "Polygon", [[[3, 3], [9, 3], [9, 9], [3, 9], [3, 3]]], True),
        ("within", "Polygon", [[[5, 5], [9, 5], [9, 9], [5, 9], [5, 5]]], False),
        ("contains", "Point", [1, 1], True),
        ("contains", "Point", [5, 5], False),
        ("overlaps", "Polygon", [[[1, 1], [2, 1], [2, 2], [1, 2], [1, 1]]], True),
        ("intersects", "Point", [1, 1], True),
        ("intersects", "Point", [5, 1], False),
        ("equals", "Point", [1, 1], True),
        ("equals", "Point", [5, 1], False),
        ("disjoint", "Point", [1, 1], True),
        ("disjoint", "Polygon", [[[-1, -1], [9, -1], [9, 9], [-1, 9], [-1, -1]]], False),
    ],
)
def test_5_10_2_4_a_geoquery_matches_where_the_location_possibly_contains_a_match(
    georel: str, geometry: str, coordinates: list[Any], expected: bool
) -> None:
    assert may_contain(parse_geo_query(georel, geometry, coordinates, None, CORE), SQUARE) is expected


def test_5_10_2_4_a_geoquery_is_held_against_the_geoproperty_that_it_names() -> None:
    default = RegistrationQuery(geo=parse_geo_query("intersects", "Point", [1, 1], None, CORE))
    named = RegistrationQuery(geo=parse_geo_query("intersects", "Point", [1, 1], "operationSpace", CORE))
    assert matches(default, location=SQUARE)
    assert not matches(named, location=SQUARE)
    assert matches(named, operationSpace=SQUARE)
    assert not matches(default)


def test_5_10_2_4_a_scope_query_is_held_against_the_scope() -> None:
    query = RegistrationQuery(scope=parse_scope_query("/Madrid/#"))
    assert matches(query, scope=["/Paris", "/Madrid/Gardens"])
    assert not matches(query, scope="/Paris")
    assert not matches(query)


@pytest.mark.parametrize(
    ("csf", "expected"),
    [
        ('endpoint=="http://source.example:1026"', True),
        ('endpoint!="http://source.example:1026"', False),
        ('endpoint~="example"', True),
        ('mode=="inclusive"', True),
        ('operations=="federationOps"', True),
        ('operations=="updateOps"', False),
        ("management.timeout>400", True),
        ("management[timeout]>600", False),
        ('registrationName~="^Park";contextSourceAlias', True),
        ("refreshRate", False),
        ('id=="urn:ngsi-ld:ContextSourceRegistration:1"', True),
        ("expiresAt>2029-01-01T00:00:00Z", True),
        ("speed", False),
        ('owner[city]=="Ichikawa"', True),
        ('owner[city]=="Yaizu"', False),
        ("floors>2;public==true", True),
        ('tags=="b"', True),
        ("public==false", False),
    ],
)
def test_4_9_a_context_source_filter_is_about_the_members_of_the_registration(csf: str, expected: bool) -> None:
    query = RegistrationQuery(csf=parse_csf(csf, CORE))
    assert (
        matches(
            query,
            registrationName="Parking",
            contextSourceAlias="a",
            management={"timeout": 500},
            expiresAt="2030-01-01T00:00:00Z",
            owner={"city": "Ichikawa"},
            floors=3,
            public=True,
            tags=["a", "b"],
        )
        is expected
    )


@pytest.mark.parametrize("csf", ["endpoint==", "tenant{a:mode}", "a{b}"])
def test_4_9_a_context_source_filter_that_is_no_query_is_refused(csf: str) -> None:
    with pytest.raises(BadRequestData, match="csf"):
        parse_csf(csf, CORE)
