"""5.10 Context Source Discovery, 6.8.3.2 GET /csourceRegistrations, 6.9.3.1 GET /csourceRegistrations/{registrationId}."""

import pytest

from conformance.broker_client import JSON, JSON_LD, BrokerClient
from conformance.clauses import clause
from conformance.samples import DEFAULT_CONTEXT, Document, Unique
from conformance.servers import DocumentServer
from conformance.suite.registrations import about, found, registration

SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [2, 0], [2, 2], [0, 2], [0, 0]]]}
INSIDE = {"geometry": "Point", "coordinates": "[1,1]"}
OUTSIDE = {"geometry": "Point", "coordinates": "[8,8]"}
AFTER = {"timerel": "after", "timeAt": "2020-06-01T00:00:00Z"}


# --- 5.10.1 Retrieve


@clause("5.10.1.4", 4)
@clause("6.9.3.1", 1)
def test_a_registration_is_retrieved_with_all_of_its_members(broker: BrokerClient, unique: Unique) -> None:
    given = registration(
        unique.id("Registration"),
        about(unique.type(), propertyNames=["speed"], relationshipNames=["drivenBy"]),
        about(unique.type("Bus"), idPattern="^urn:.*"),
        mode="redirect",
        operations=["redirectionOps"],
        scope=["/a", "/b"],
        location=SQUARE,
        description="all of it",
    )
    broker.post("/csourceRegistrations", given).expect(201)
    shown = broker.get(f"/csourceRegistrations/{given['id']}").expect(200)
    assert {member: shown.json[member] for member in given} == given
    assert shown.media_type == JSON


@clause("5.10.1.4", 3)
def test_names_are_shown_as_the_reader_has_them(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    car, speed = f"https://example.org/{unique.type()}", f"https://example.org/{unique.name('speed')}"
    given = registration(unique.id("Registration"), about(car, propertyNames=[speed]))
    broker.post("/csourceRegistrations", given).expect(201)
    path = f"/csourceRegistrations/{given['id']}"
    assert broker.get(path).expect(200).json["information"] == given["information"]
    link = documents.publish_context(Car=car, pace=speed)
    assert broker.get(path, link=link).expect(200).json["information"] == [about("Car", propertyNames=["pace"])]


@clause("5.10.1.4", 4)
def test_as_json_ld_a_registration_brings_its_context(broker: BrokerClient, unique: Unique) -> None:
    given = registration(unique.id("Registration"), about(unique.type()))
    broker.post("/csourceRegistrations", given).expect(201)
    shown = broker.get(f"/csourceRegistrations/{given['id']}", accept=JSON_LD).expect(200)
    assert shown.media_type == JSON_LD
    assert "@context" in shown.json


@clause("5.10.1.4", 1)
@clause("6.9.3.1", 1)
def test_the_id_of_what_is_retrieved_is_a_uri(broker: BrokerClient) -> None:
    broker.get("/csourceRegistrations/no-uri").expect_problem("BadRequestData")


@clause("5.10.1.4", 2)
@clause("6.9.3.1", 1)
def test_what_is_not_known_is_not_found(broker: BrokerClient, unique: Unique) -> None:
    broker.get(f"/csourceRegistrations/{unique.id('Registration')}").expect_problem("ResourceNotFound")


@clause("5.2.9", 8)
def test_system_times_are_shown_where_they_are_asked_for(broker: BrokerClient, unique: Unique) -> None:
    given = registration(unique.id("Registration"), about(unique.type()))
    broker.post("/csourceRegistrations", given).expect(201)
    path = f"/csourceRegistrations/{given['id']}"
    assert not {"createdAt", "modifiedAt"} & broker.get(path).expect(200).json.keys()
    assert {"createdAt", "modifiedAt"} <= broker.get(path, {"options": "sysAttrs"}).expect(200).json.keys()


# --- 5.10.2 Query: what is refused


@clause("5.10.2.4", 1)
@clause("6.8.3.2", 1, 3)
@clause("5.12", 1)
@pytest.mark.parametrize(
    "query",
    [
        {},
        {"id": "urn:ngsi-ld:Vehicle:1"},
        {"idPattern": ".*"},
        {"csf": "description"},
        {"scopeQ": "/a"},
        {"id": "urn:ngsi-ld:Vehicle:1", "idPattern": ".*", "scopeQ": "/a", **AFTER},
    ],
)
def test_a_query_that_is_too_wide_is_refused(broker: BrokerClient, query: dict[str, str]) -> None:
    broker.get("/csourceRegistrations", query).expect_problem("BadRequestData")


@clause("5.10.2.4", 3)
@clause("6.8.3.2", 1, 4, 5, 6, 8)
@pytest.mark.parametrize(
    "query",
    [
        {"id": "no-uri"},
        {"id": "urn:ngsi-ld:Vehicle:1,no-uri"},
        {"idPattern": "("},
        {"type": "(Vehicle"},
        {"q": "speed>"},
        {"csf": "description=="},
        {"scopeQ": "/1a"},
        {"georel": "near;maxDistance==5"},
        {"georel": "within", "geometry": "Polygon"},
        {"georel": "within", "coordinates": "[1,2]"},
        {"geometry": "Point", "coordinates": "[1,2]"},
        {"georel": "beside", **INSIDE},
        {"georel": "within", "geometry": "Point", "coordinates": "here"},
        {"timerel": "after"},
        {"timerel": "around", "timeAt": "2020-01-01T00:00:00Z"},
        {"timerel": "after", "timeAt": "2020"},
        {"timerel": "between", "timeAt": "2020-01-01T00:00:00Z"},
        {"timerel": "between", "timeAt": "2020-01-01T00:00:00Z", "endTimeAt": "soon"},
        {"timerel": "after", "timeAt": "2020-01-01T00:00:00Z", "timeproperty": "soldAt"},
        {"limit": "-1"},
        {"limit": "many"},
        {"limit": "0"},
    ],
)
def test_a_query_that_is_not_well_formed_is_refused(
    broker: BrokerClient, unique: Unique, query: dict[str, str]
) -> None:
    broker.get("/csourceRegistrations", {"type": unique.type(), **query}).expect_problem("BadRequestData")


# --- what is found


@clause("5.10.2.4", 5)
@clause("6.8.3.2", 1)
def test_registrations_are_found_whole_or_with_what_matches(broker: BrokerClient, unique: Unique) -> None:
    given = registration(unique.id("Registration"), about(unique.type()), about(unique.type("Bus")), scope="/a")
    broker.post("/csourceRegistrations", given).expect(201)
    answer = broker.get("/csourceRegistrations", {"type": unique.type()}).expect(200)
    [shown] = [each for each in answer.json if each["id"] == given["id"]]
    assert shown["information"] in (given["information"], [about(unique.type())])
    assert (shown["endpoint"], shown["scope"]) == (given["endpoint"], "/a")


@clause("5.10.2.4", 4)
def test_names_in_a_query_are_expanded(broker: BrokerClient, unique: Unique, documents: DocumentServer) -> None:
    car, speed = f"https://example.org/{unique.type()}", f"https://example.org/{unique.name('speed')}"
    given = registration(unique.id("Registration"), about(car, propertyNames=[speed]))
    broker.post("/csourceRegistrations", given).expect(201)
    link = documents.publish_context(Car=car, pace=speed)
    query = {"type": "Car", "attrs": "pace"}
    assert found(broker.get("/csourceRegistrations", query, link=link), given) == [True]
    assert found(broker.get("/csourceRegistrations", query), given) == [False]
    assert found(broker.get("/csourceRegistrations", {"type": car, "attrs": speed}), given) == [True]


@clause("5.10.2.4", 2, 5)
@clause("6.8.3.2", 2)
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"q": "{speed}>5"}, [True, False, True]),
        ({"q": "{speed}"}, [True, False, True]),
        ({"q": "{speed}|{brand}"}, [True, True, True]),
        ({"attrs": "{speed}"}, [True, False, True]),
        ({"attrs": "{speed},{brand}"}, [True, True, True]),
        ({"pick": "id,{brand}"}, [False, True, True]),
        ({"q": "{other}==1"}, [False, False, True]),
    ],
)
def test_attributes_that_are_asked_about_select(
    broker: BrokerClient, unique: Unique, query: dict[str, str], expected: list[bool]
) -> None:
    names = {name: unique.name(name) for name in ("speed", "brand", "other")}
    given = [
        registration(unique.id("Registration"), about(unique.type(), propertyNames=[names["speed"]])),
        registration(unique.id("Registration"), about(unique.type(), relationshipNames=[names["brand"]])),
        registration(unique.id("Registration"), about(unique.type())),
    ]
    for each in given:
        broker.post("/csourceRegistrations", each).expect(201)
    query = {"type": unique.type()} | {name: text.format(**names) for name, text in query.items()}
    assert found(broker.get("/csourceRegistrations", query), *given) == expected


@clause("5.10.2.4", 2)
@clause("6.8.3.2", 3)
def test_q_alone_is_enough(broker: BrokerClient, unique: Unique) -> None:
    with_name, with_other = (
        registration(unique.id("Registration"), about(unique.type(), propertyNames=[unique.name(stem)]))
        for stem in ("speed", "brand")
    )
    for each in (with_name, with_other):
        broker.post("/csourceRegistrations", each).expect(201)
    query = {"q": f"{unique.name('speed')}>5"}
    assert found(broker.get("/csourceRegistrations", query), with_name, with_other) == [True, False]


@clause("5.10.2.4", 2)
def test_the_geoproperty_of_a_geoquery_selects_as_an_attribute_does(broker: BrokerClient, unique: Unique) -> None:
    inner = {"observationSpace": SQUARE}
    with_name = registration(
        unique.id("Registration"), about(unique.type(), propertyNames=["observationSpace"]), **inner
    )
    with_other = registration(unique.id("Registration"), about(unique.type(), propertyNames=["speed"]), **inner)
    for each in (with_name, with_other):
        broker.post("/csourceRegistrations", each).expect(201)
    query = {"type": unique.type(), "georel": "intersects", "geoproperty": "observationSpace", **INSIDE}
    assert found(broker.get("/csourceRegistrations", query), with_name, with_other) == [True, False]


# --- the registration itself


@clause("5.10.2.4", 12)
@clause("6.8.3.2", 2)
@pytest.mark.parametrize(
    ("csf", "expected"),
    [
        ('{owner}=="city"', True),
        ('{owner}=="state"', False),
        ('{owner}!="state"', True),
        ('{owner}~="^ci"', True),
        ("{floors}>2", True),
        ("{floors}>3", False),
        ("{public}==true", True),
        ('{address}[town]=="Ichikawa"', True),
        ('{address}[town]=="Yaizu"', False),
        ('{tags}=="b"', True),
        ("{owner}", True),
        ("{missing}", False),
        ('{owner}=="city";{floors}==4', False),
        ('{owner}=="city"|{floors}==4', True),
    ],
)
def test_a_context_source_filter_is_about_the_properties_of_the_source(
    broker: BrokerClient, unique: Unique, csf: str, expected: bool
) -> None:
    names = {name: unique.name(name) for name in ("owner", "floors", "public", "address", "tags", "missing")}
    described = {
        names["owner"]: "city",
        names["floors"]: 3,
        names["public"]: True,
        names["address"]: {"town": "Ichikawa"},
        names["tags"]: ["a", "b"],
    }
    given = registration(unique.id("Registration"), about(unique.type()), **described)
    plain = registration(unique.id("Registration"), about(unique.type()))
    for each in (given, plain):
        broker.post("/csourceRegistrations", each).expect(201)
    query = {"type": unique.type(), "csf": csf.format(**names)}
    assert found(broker.get("/csourceRegistrations", query), given, plain) == [expected, False]


@clause("5.10.2.4", 12)
@pytest.mark.parametrize(
    ("csf", "expected"),
    [
        ('registrationName=="Parking"', [True, False]),
        ('registrationName~="^P"', [True, True]),
        ("description", [False, True]),
        ('tenant=="city"', [True, False]),
    ],
)
def test_a_context_source_filter_is_about_the_members_of_the_table(
    broker: BrokerClient, unique: Unique, csf: str, expected: list[bool]
) -> None:
    given = [
        registration(unique.id("Registration"), about(unique.type()), registrationName="Parking", tenant="city"),
        registration(unique.id("Registration"), about(unique.type()), registrationName="Playing", description="x"),
    ]
    for each in given:
        broker.post("/csourceRegistrations", each).expect(201)
    assert found(broker.get("/csourceRegistrations", {"type": unique.type(), "csf": csf}), *given) == expected


@clause("5.10.2.4", 4, 12)
def test_names_in_a_context_source_filter_are_expanded(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    given = registration(unique.id("Registration"), about(unique.type()), **{"https://example.org/owner": "city"})
    broker.post("/csourceRegistrations", given).expect(201)
    link = documents.publish_context(keeper="https://example.org/owner")
    query = {"type": f"{DEFAULT_CONTEXT}{unique.type()}", "csf": 'keeper=="city"'}
    assert found(broker.get("/csourceRegistrations", query, link=link), given) == [True]
    assert found(broker.get("/csourceRegistrations", query), given) == [False]


@clause("5.10.2.4", 13)
@clause("6.8.3.2", 2)
@pytest.mark.parametrize(
    ("scope_q", "expected"),
    [
        ("/Madrid/Gardens", [True, False, False]),
        ("/Madrid/#", [True, False, False]),
        ("/Paris", [True, True, False]),
        ("/+", [True, True, False]),
        ("/Rome", [False, False, False]),
    ],
)
def test_a_scope_query_is_held_against_the_scopes(
    broker: BrokerClient, unique: Unique, scope_q: str, expected: list[bool]
) -> None:
    given: list[Document] = [
        registration(unique.id("Registration"), about(unique.type()), scope=["/Madrid/Gardens", "/Paris"]),
        registration(unique.id("Registration"), about(unique.type()), scope="/Paris"),
        registration(unique.id("Registration"), about(unique.type())),
    ]
    for each in given:
        broker.post("/csourceRegistrations", each).expect(201)
    answer = broker.get("/csourceRegistrations", {"type": unique.type(), "scopeQ": scope_q})
    assert found(answer, *given) == expected


@clause("5.10.2.4", 5)
def test_all_conditions_have_to_be_met(broker: BrokerClient, unique: Unique) -> None:
    members = {"scope": "/a", "location": SQUARE, unique.name("owner"): "city"}
    given = registration(unique.id("Registration"), about(unique.type(), propertyNames=["speed"]), **members)
    broker.post("/csourceRegistrations", given).expect(201)
    met = {"type": unique.type(), "attrs": "speed", "scopeQ": "/a", "georel": "intersects", **INSIDE}
    met["csf"] = f'{unique.name("owner")}=="city"'
    assert found(broker.get("/csourceRegistrations", met), given) == [True]
    for missed in (
        {"type": unique.type("Bus")},
        {"attrs": "brand"},
        {"scopeQ": "/b"},
        OUTSIDE,
        {"csf": f'{unique.name("owner")}=="state"'},
    ):
        assert found(broker.get("/csourceRegistrations", {**met, **missed}), given) == [False]


# --- pages


@clause("5.10.2.4", 6)
def test_pages_lead_through_all_that_matches(broker: BrokerClient, unique: Unique) -> None:
    given = [registration(unique.id("Registration"), about(unique.type())) for _ in range(5)]
    for each in given:
        broker.post("/csourceRegistrations", each).expect(201)
    page = broker.get("/csourceRegistrations", {"type": unique.type(), "limit": 2}).expect(200)
    seen = [each["id"] for each in page.json]
    while (following := page.link("next")) is not None:
        page = broker.get(following).expect(200)
        assert len(page.json) <= 2
        assert page.link("prev") is not None
        seen += [each["id"] for each in page.json]
    assert {each["id"] for each in given} <= set(seen)
    assert len(seen) == len(set(seen))


@clause("5.10.2.4", 6)
def test_the_number_of_results_is_told(broker: BrokerClient, unique: Unique) -> None:
    for _ in range(3):
        given = registration(unique.id("Registration"), about(unique.type()))
        broker.post("/csourceRegistrations", given).expect(201)
    answer = broker.get("/csourceRegistrations", {"type": unique.type(), "limit": 1, "count": True}).expect(200)
    assert int(answer.header("NGSILD-Results-Count")) >= 3
    assert len(answer.json) == 1


@clause("6.8.3.2", 2)
@pytest.mark.parametrize("query", [{"lang": "en"}, {"geometryProperty": "location"}, {"omit": "brand"}])
def test_parameters_about_the_representation_of_entities_are_understood(
    broker: BrokerClient, unique: Unique, query: dict[str, str]
) -> None:
    given = registration(unique.id("Registration"), about(unique.type()))
    broker.post("/csourceRegistrations", given).expect(201)
    assert found(broker.get("/csourceRegistrations", {"type": unique.type(), **query}), given) == [True]
