"""4.18 NGSI-LD Scopes and 4.19 NGSI-LD Scope Query Language."""

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, prop

SCOPES = {
    "madrid": "/Madrid",
    "gardens": "/Madrid/Gardens",
    "norte": "/Madrid/Gardens/ParqueNorte",
    "parterre": "/Madrid/Gardens/ParqueNorte/Parterre1",
    "sights": "/Madrid/Sights/ParqueNorte",
    "company": ["/CompanyA", "/Madrid/Districts"],
    "bare": "CompanyB",
    "none": None,
}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param(*row, id=str(row[0]), marks=pytest.mark.clause("4.19", requirement))
        for requirement, *row in (
            (1, "/Madrid", {"madrid"}),
            (1, "/Madrid/Gardens", {"gardens"}),
            (1, "/CompanyA", {"company"}),
            (1, "/Madr", set()),
            (1, "/Gardens", set()),
            (1, "/CompanyB", {"bare"}),
            (2, "/Madrid/+", {"gardens", "company"}),
            (2, "/Madrid/+/ParqueNorte", {"norte", "sights"}),
            (2, "/+", {"madrid", "company", "bare"}),
            (2, "/+/Gardens", {"gardens"}),
            (3, "/Madrid/Gardens/#", {"gardens", "norte", "parterre"}),
            (3, "/Madrid/+/ParqueNorte/#", {"norte", "parterre", "sights"}),
            (3, "/CompanyA/#", {"company"}),
            (4, "/#", set(SCOPES) - {"none"}),
            (5, "/CompanyA,/Madrid", {"company", "madrid"}),
            (5, "/CompanyA|/Madrid", {"company", "madrid"}),
            (5, "(/Madrid/Districts;/CompanyA)", {"company"}),
            (5, "(/Madrid;/CompanyA)", set()),
            (5, "(/Madrid/Districts;/CompanyA)|/Madrid", {"company", "madrid"}),
            (5, "(/Madrid/Districts;/CompanyA),/Madrid", {"company", "madrid"}),
            (5, "(/Madrid/+;/CompanyA)|/Madrid/Sights/#", {"company", "sights"}),
        )
    ],
)
@clause("5.7.2.4", 14)
def test_a_scope_query_selects_entities(broker: BrokerClient, unique: Unique, query: str, expected: set[str]) -> None:
    ids = {unique.id(): name for name in SCOPES}
    broker.post(
        "/entityOperations/create",
        [
            entity(each, unique.type(), size=prop(1), **({"scope": scope} if (scope := SCOPES[name]) else {}))
            for each, name in ids.items()
        ],
    ).expect(201)
    answer = broker.get("/entities", {"type": unique.type(), "scopeQ": query}).expect(200)
    assert {ids[each["id"]] for each in answer.json} == expected


@clause("4.19", 6)
@pytest.mark.parametrize(
    "query",
    [
        "/",
        "//",
        "/Madrid/",
        "/Madrid//Gardens",
        "/Madrid#",
        "/#/Madrid",
        "/Madrid/Gar+",
        "/1st",
        "/a-b",
        "(/Madrid",
        "/Madrid)",
        "/Madrid,,/CompanyA",
        "(/Madrid;)",
        "/Madrid|",
    ],
)
def test_what_is_no_scope_query_is_refused(broker: BrokerClient, unique: Unique, query: str) -> None:
    broker.get("/entities", {"type": unique.type(), "scopeQ": query}).expect_problem("BadRequestData")


@clause("4.18", 1, 2)
@pytest.mark.parametrize(
    "scope", ["/Madrid", "/Madrid/Gardens_2/Parque1", ["/CompanyA", "/Madrid/Districts"], "/\u6771\u4eac/\u65b0\u5bbf"]
)
def test_an_entity_is_in_the_scopes_that_it_was_given(
    broker: BrokerClient, unique: Unique, scope: str | list[str]
) -> None:
    one = entity(unique.id(), unique.type(), scope=scope)
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}").expect(200).json["scope"]
    assert shown == scope if isinstance(scope, str) else sorted(shown) == sorted(scope)
    for each in [scope] if isinstance(scope, str) else scope:
        answer = broker.get("/entities", {"type": unique.type(), "scopeQ": each}).expect(200)
        assert [found["id"] for found in answer.json] == [one["id"]]


@clause("4.18", 1)
def test_a_new_scope_takes_the_place_of_the_old_one(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), scope="/Madrid")
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs", {"scope": ["/CompanyA", "/CompanyB"]}).expect(204)
    assert sorted(broker.get(f"/entities/{one['id']}").expect(200).json["scope"]) == ["/CompanyA", "/CompanyB"]
    broker.get("/entities", {"type": unique.type(), "scopeQ": "/Madrid"}).expect(200).expect_json([])


@clause("4.18", 2)
@pytest.mark.parametrize(
    "scope",
    ["", "/", "//Madrid", "/Madrid/", "/Madrid//Gardens", "/1st", "/_a", "/a-b", "/a b", "/+", "/#", 5, ["/A", 5]],
)
def test_what_is_no_scope_is_refused(broker: BrokerClient, unique: Unique, scope: object) -> None:
    one = entity(unique.id(), unique.type(), scope=scope)
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@clause("4.18", 3)
@pytest.mark.parametrize("scope", ["urn:ngsi-ld:null", ["/Madrid", "urn:ngsi-ld:null"]])
def test_no_entity_is_created_in_the_null_scope(broker: BrokerClient, unique: Unique, scope: object) -> None:
    one = entity(unique.id(), unique.type(), scope=scope)
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@clause("4.18", 3)
def test_the_null_deletes_the_scope(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), scope="/Madrid", size=prop(1))
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}", {"scope": "urn:ngsi-ld:null"}).expect(204)
    assert "scope" not in broker.get(f"/entities/{one['id']}").expect(200).json
