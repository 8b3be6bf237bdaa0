"""4.23 Entity Ordering: orderBy, collation, orderFrom and orderGeometry."""

from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, geo, prop, rel


@pytest.mark.parametrize(
    ("order_by", "values", "expected"),
    [
        pytest.param(*row, id=f"{row[0]} {row[1]}", marks=pytest.mark.clause(number, requirement))
        for number, requirement, *row in (
            ("4.23.1", 1, "reading", [3, 10, -1, 2.5], [-1, 2.5, 3, 10]),
            ("4.23.1", 1, "reading;asc", [3, 10, -1, 2.5], [-1, 2.5, 3, 10]),
            ("4.23.1", 1, "reading;desc", [3, 10, -1, 2.5], [10, 3, 2.5, -1]),
            ("4.23.3", 2, "reading", ["b", "a", "c"], ["a", "b", "c"]),
            (
                "4.23.1",
                1,
                "reading",
                ["2020-01-02T00:00:00Z", "2020-01-01T23:59:59.5Z", "2020-01-01T23:59:59Z"],
                ["2020-01-01T23:59:59Z", "2020-01-01T23:59:59.5Z", "2020-01-02T00:00:00Z"],
            ),
            ("4.23.1", 2, "reading", ["b", "A", "a", "B", "\u00e4"], ["a", "A", "\u00e4", "b", "B"]),
            ("4.23.1", 2, "reading;desc", ["b", "A", "a", "B"], ["B", "b", "A", "a"]),
            ("4.23.1", 2, "reading", ["z", "\u00e9", "e", "f"], ["e", "\u00e9", "f", "z"]),
            ("4.23.2", 1, "reading", ["a", True, 5, [1], {"a": 1}], [5, "a", {"a": 1}, [1], True]),
            (
                "4.23.2",
                1,
                "reading",
                ["2020-01-01T00:00:00Z", "2020-01-01", "10:00:00Z", True, "text", 1],
                [1, "text", True, "10:00:00Z", "2020-01-01", "2020-01-01T00:00:00Z"],
            ),
            ("4.23.2", 1, "reading", [False, 9, True], [9, False, True]),
        )
    ],
)
@clause("5.7.2.5", 1)
@clause("6.4.3.2", 12)
def test_entities_come_in_the_order_of_a_property(
    broker: BrokerClient, unique: Unique, order_by: str, values: list[Any], expected: list[Any]
) -> None:
    broker.post(
        "/entityOperations/create", [entity(unique.id(), unique.type(), reading=prop(value)) for value in values]
    ).expect(201)
    answer = broker.get("/entities", {"type": unique.type(), "local": True, "orderBy": order_by}).expect(200)
    assert [each["reading"]["value"] for each in answer.json] == expected


@clause("4.23.2", 1)
def test_entities_without_the_attribute_come_last(broker: BrokerClient, unique: Unique) -> None:
    values = [None, "a", None, 5, True]
    documents = [
        entity(unique.id(), unique.type(), **({} if value is None else {"reading": prop(value)})) for value in values
    ]
    broker.post("/entityOperations/create", documents).expect(201)
    answer = broker.get("/entities", {"type": unique.type(), "local": True, "orderBy": "reading"}).expect(200)
    assert [each.get("reading", {}).get("value") for each in answer.json] == [5, "a", True, None, None]


@pytest.mark.parametrize(
    ("order_by", "expected"),
    [
        pytest.param(*row, id=str(row[0]), marks=pytest.mark.clause(number, requirement))
        for number, requirement, *row in (
            ("4.23.3", 3, "name,age", [0, 1, 2, 3]),
            ("4.23.3", 4, "name,age;desc", [1, 0, 3, 2]),
            ("4.23.3", 4, "name;desc,age", [2, 3, 0, 1]),
            ("4.23.3", 4, "age;desc,name;asc", [1, 3, 0, 2]),
            ("4.23.3", 1, "id;desc", [3, 2, 1, 0]),
            ("4.23.3", 1, "id", [0, 1, 2, 3]),
            ("4.23.3", 1, "type,id", [0, 1, 2, 3]),
            ("4.23.3", 1, "scope;desc,age;desc", [3, 2, 1, 0]),
            ("4.23.3", 8, "address[city]", [3, 2, 1, 0]),
            ("4.23.3", 8, "address[geo.lat];desc", [1, 0, 3, 2]),
            ("4.23.3", 8, "age.observedAt", [2, 0, 3, 1]),
            ("4.23.3", 8, "age.accuracy;desc", [0, 3, 1, 2]),
            ("4.23.1", 5, "ownedBy", [1, 3, 0, 2]),
        )
    ],
)
def test_terms_of_an_ordering(broker: BrokerClient, unique: Unique, order_by: str, expected: list[int]) -> None:
    rows = [
        # name, age, city, latitude, observedAt, accuracy, owner, scope
        ("Ann", 20, "Delft", 2, "2020-02-01T00:00:00Z", 9, "urn:p:3", "/A"),
        ("Ann", 30, "Cork", 3, "2020-04-01T00:00:00Z", 3, "urn:p:1", "/B"),
        ("Bob", 20, "Bonn", 0, "2020-01-01T00:00:00Z", 1, "urn:p:4", "/C"),
        ("Bob", 30, "Athens", 1, "2020-03-01T00:00:00Z", 5, "urn:p:2", "/D"),
    ]
    ids = [unique.id() for _ in rows]
    documents = [
        entity(
            entity_id,
            unique.type(),
            scope=scope,
            name=prop(name),
            age=prop(age, observedAt=at, accuracy=prop(accuracy)),
            address=prop({"city": city, "geo": {"lat": latitude}}),
            ownedBy=rel(owner),
        )
        for entity_id, (name, age, city, latitude, at, accuracy, owner, scope) in zip(ids, rows, strict=True)
    ]
    broker.post("/entityOperations/create", [documents[place] for place in (2, 0, 3, 1)]).expect(201)
    answer = broker.get("/entities", {"type": unique.type(), "local": True, "orderBy": order_by}).expect(200)
    assert [ids.index(each["id"]) for each in answer.json] == expected


@clause("4.23.3", 1)
def test_entities_come_in_the_order_of_their_creation(broker: BrokerClient, unique: Unique) -> None:
    ids = [unique.id() for _ in range(3)]
    for entity_id in (ids[1], ids[0], ids[2]):
        broker.post("/entities", entity(entity_id, unique.type())).expect(201)
    query = {"type": unique.type(), "local": True, "orderBy": "createdAt;desc"}
    answer = broker.get("/entities", query).expect(200)
    assert [each["id"] for each in answer.json] == [ids[2], ids[0], ids[1]]


@clause("4.23.3", 5)
@clause("6.4.3.2", 5)
@pytest.mark.parametrize(
    ("collation", "values", "expected"),
    [
        ("und-x-icu", ["b", "A", "a"], ["a", "A", "b"]),
        ("de-u-co-phonebk", ["af", "\u00e4", "ad", "az"], ["ad", "\u00e4", "af", "az"]),
        ("sv", ["z", "\u00e4", "a"], ["a", "z", "\u00e4"]),
        ("und-u-kf-upper", ["a", "A", "b", "B"], ["A", "a", "B", "b"]),
        ("und-u-kn-true", ["a10", "a9", "a1"], ["a1", "a9", "a10"]),
    ],
)
def test_collation_orders_strings(
    broker: BrokerClient, unique: Unique, collation: str, values: list[str], expected: list[str]
) -> None:
    broker.post(
        "/entityOperations/create", [entity(unique.id(), unique.type(), name=prop(value)) for value in values]
    ).expect(201)
    query = {"type": unique.type(), "local": True, "orderBy": "name", "collation": collation}
    assert [each["name"]["value"] for each in broker.get("/entities", query).expect(200).json] == expected


PLACES = [
    geo("Point", [0.0, 60.0]),
    geo("Point", [1.0, 60.0]),  # some 56 km away
    geo("Point", [0.0, 60.8]),  # some 89 km, though fewer degrees than the one above
    geo("Point", [-3.0, 60.0]),
    geo("LineString", [[9.0, 60.0], [9.0, 61.0]]),
]


@clause("4.23.1", 4)
@clause("4.23.3", 6)
@pytest.mark.parametrize(("order_by", "turned"), [("location;dist-asc", False), ("location;dist-desc", True)])
def test_entities_come_in_the_order_of_their_distance(
    broker: BrokerClient, unique: Unique, order_by: str, turned: bool
) -> None:
    ids = [unique.id() for _ in PLACES]
    documents = [entity(each, unique.type(), location=place) for each, place in zip(ids, PLACES, strict=True)]
    broker.post("/entityOperations/create", [documents[at] for at in (3, 0, 4, 2, 1)]).expect(201)
    query = {"type": unique.type(), "local": True, "orderBy": order_by, "orderFrom": "[0,60]"}
    answer = broker.get("/entities", query).expect(200)
    assert [each["id"] for each in answer.json] == (ids[::-1] if turned else ids)


@clause("4.23.3", 7)
@pytest.mark.parametrize(
    ("coordinates", "geometry", "expected"),
    [
        ("[2,0]", None, [2, 1, 0]),
        ("[2,0]", "Point", [2, 1, 0]),
        ("[[-1,-2],[-1,2]]", "LineString", [0, 1, 2]),
        ("[[[1.5,-1],[3,-1],[3,1],[1.5,1],[1.5,-1]]]", "Polygon", [2, 1, 0]),
        ("[[1,0],[0.9,0]]", "MultiPoint", [1, 0, 2]),
    ],
)
def test_distances_are_measured_from_any_geometry(
    broker: BrokerClient, unique: Unique, coordinates: str, geometry: str | None, expected: list[int]
) -> None:
    ids = [unique.id() for _ in range(3)]
    documents = [
        entity(each, unique.type(), location=geo("Point", place))
        for each, place in zip(ids, ([0.1, 0], [1, 0], [2, 0]), strict=True)
    ]
    broker.post("/entityOperations/create", documents).expect(201)
    query = {"type": unique.type(), "local": True, "orderBy": "location;dist-asc"}
    answer = broker.get("/entities", {**query, "orderFrom": coordinates, "orderGeometry": geometry}).expect(200)
    assert [ids.index(each["id"]) for each in answer.json] == expected


@clause("4.23.1", 3)
@clause("4.23.2", 2)
@pytest.mark.parametrize("direction", ["dist-asc", "dist-desc"])
def test_what_is_no_geo_property_comes_behind_all_distances(
    broker: BrokerClient, unique: Unique, direction: str
) -> None:
    near, far = geo("Point", [8, 40]), geo("Point", [80, 40])
    attributes = {"far": far, "text": prop("here"), "near": near, "number": prop(1), "missing": None}
    ids = {unique.id(): name for name in attributes}
    documents = [
        entity(each, unique.type(), **({"place": attribute} if (attribute := attributes[name]) else {}))
        for each, name in ids.items()
    ]
    broker.post("/entityOperations/create", documents).expect(201)
    query = {"type": unique.type(), "local": True, "orderBy": f"place;{direction}", "orderFrom": "[8,40]"}
    found = [ids[each["id"]] for each in broker.get("/entities", query).expect(200).json]
    assert found[:2] == (["near", "far"] if direction == "dist-asc" else ["far", "near"])
    assert set(found[2:]) == {"text", "number", "missing"}
    if direction == "dist-asc":
        assert found[2:] == ["number", "text", "missing"]


@clause("4.23.3", 1)
@pytest.mark.parametrize(
    "order_by",
    ["reading;up", "reading;", "reading;asc;desc", "reading,", ",reading", "reading,,name", ";asc", "reading[", "a{b}"],
)
def test_what_is_no_ordering_is_refused(broker: BrokerClient, unique: Unique, order_by: str) -> None:
    query = {"type": unique.type(), "local": True, "orderBy": order_by}
    broker.get("/entities", query).expect_problem("BadRequestData")


@pytest.mark.parametrize(
    "ordering",
    [
        pytest.param({"orderBy": "location;dist-asc"}, marks=pytest.mark.clause("5.7.2.4", 7)),
        pytest.param({"orderBy": "name,location;dist-desc"}, marks=pytest.mark.clause("6.4.3.2", 13)),
        *(
            pytest.param({"orderBy": "name", "collation": collation}, marks=pytest.mark.clause("5.7.2.4", 8))
            for collation in ("not a collation", "de-u-co-nonsense", "!!nope", "xyzzy")
        ),
        *(
            pytest.param(
                {"orderBy": "location;dist-asc", "orderFrom": place, "orderGeometry": geometry},
                marks=pytest.mark.clause("5.7.2.4", 9),
            )
            for place, geometry in (
                ("here", None),
                ("8,40", None),
                ("[8]", None),
                ("[[8,40],[9,41]]", None),
                ("[8,40]", "LineString"),
                ("[8,40]", "Circle"),
                ("[]", "GeometryCollection"),
            )
        ),
    ],
    ids=str,
)
def test_an_ordering_that_cannot_be_meant_is_refused(
    broker: BrokerClient, unique: Unique, ordering: dict[str, str]
) -> None:
    query = {"type": unique.type(), "local": True, **ordering}
    broker.get("/entities", query).expect_problem("BadRequestData")


@clause("4.23.1", 1)
@clause("5.7.2.5", 1)
def test_an_ordering_goes_on_from_page_to_page(broker: BrokerClient, unique: Unique) -> None:
    values = [5, 3, 9, 1, 7, 2, 8]
    broker.post(
        "/entityOperations/create", [entity(unique.id(), unique.type(), reading=prop(value)) for value in values]
    ).expect(201)
    query = {"type": unique.type(), "local": True, "orderBy": "reading;desc", "limit": 3}
    answer, found = broker.get("/entities", query).expect(200), []
    while True:
        found += [each["reading"]["value"] for each in answer.json]
        if (link := answer.link("next")) is None:
            break
        answer = broker.get(link).expect(200)
    assert found == sorted(values, reverse=True)


@clause("5.7.2.5", 1)
def test_a_feature_collection_is_ordered_too(broker: BrokerClient, unique: Unique) -> None:
    values = [5, 3, 9]
    broker.post(
        "/entityOperations/create",
        [entity(unique.id(), unique.type(), reading=prop(value), location=geo("Point", [8, 40])) for value in values],
    ).expect(201)
    query = {"type": unique.type(), "local": True, "orderBy": "reading", "format": "simplified"}
    answer = broker.get("/entities", query, accept="application/geo+json").expect(200)
    assert [each["properties"]["reading"] for each in answer.json["features"]] == [3, 5, 9]
