"""6.3.14 Tenant specification, 4.14 and 5.5.10: what is in a tenant stays there."""

from typing import Any

import pytest

from conformance.broker_client import JSON, JSON_LD, BrokerClient
from conformance.clauses import clause
from conformance.samples import Document, Unique, entity, prop, subscription
from conformance.servers import Receiver

TENANT = "NGSILD-Tenant"
CREATIONS = [
    "/entities",
    "/entityOperations/create",
    "/temporal/entities",
    "/subscriptions",
    "/csourceRegistrations",
    "/csourceSubscriptions",
]
ON_AN_ENTITY: list[tuple[str, str, Any]] = [
    ("GET", "/entities/{id}", None),
    ("PATCH", "/entities/{id}/attrs", {"speed": prop(2)}),
    ("POST", "/entities/{id}/attrs", {"age": prop(2)}),
    ("PATCH", "/entities/{id}/attrs/speed", prop(2)),
    ("PUT", "/entities/{id}/attrs/speed", prop(2)),
    ("DELETE", "/entities/{id}/attrs/speed", None),
    ("PATCH", "/entities/{id}", {"speed": prop(2)}),
    ("PUT", "/entities/{id}", {"type": "Vehicle", "speed": prop(2)}),
    ("DELETE", "/entities/{id}", None),
    ("GET", "/types/{type}", None),
    ("GET", "/attributes/{attribute}", None),
    ("GET", "/temporal/entities/{id}", None),
    ("DELETE", "/temporal/entities/{id}", None),
]
ON_A_TENANT: list[tuple[str, str, Any]] = [
    *ON_AN_ENTITY,
    ("GET", "/entities?type={type}", None),
    ("DELETE", "/entities?type={type}", None),
    ("GET", "/types", None),
    ("GET", "/attributes", None),
    ("GET", "/subscriptions", None),
    ("GET", "/csourceRegistrations?type={type}", None),
    ("GET", "/csourceSubscriptions", None),
    ("POST", "/entityOperations/query", {"type": "Query", "entities": [{"type": "Vehicle"}]}),
    ("POST", "/entityOperations/update", [entity("urn:ngsi-ld:Vehicle:1", "Vehicle", speed=prop(2))]),
    ("POST", "/entityOperations/delete", ["urn:ngsi-ld:Vehicle:1"]),
]


def element(path: str, unique: Unique) -> Any:
    """A document that can be created at this resource."""
    about = [{"type": unique.type()}]
    registration = {"id": unique.id(), "type": "ContextSourceRegistration", "endpoint": "http://127.0.0.1:9"}
    evolution = entity(unique.id(), unique.type(), speed=[prop(1, observedAt="2026-01-01T00:00:00Z")])
    return {
        "/entities": entity(unique.id(), unique.type(), speed=prop(1)),
        "/entityOperations/create": [entity(unique.id(), unique.type(), speed=prop(1))],
        "/temporal/entities": evolution,
        "/subscriptions": subscription("http://127.0.0.1:9/", id=unique.id(), entities=about),
        "/csourceRegistrations": {**registration, "information": [{"entities": about}]},
        "/csourceSubscriptions": subscription("http://127.0.0.1:9/", id=unique.id(), entities=about),
    }[path]


@pytest.fixture
def one(unique: Unique) -> Document:
    """An entity whose attribute has a name of the test's own."""
    return entity(unique.id(), unique.type(), speed=prop(1), **{unique.name("note"): prop("x")})


@pytest.fixture
def tenant(broker: BrokerClient, unique: Unique, one: Document) -> str:
    """A tenant that has the entity `one` in it; the test is skipped where tenants are not supported, or not made like this."""
    name = unique.name("city")
    answer = broker.post("/entities", one, tenant=name)
    if answer.status != 201:
        answer.expect_problem("NoMultiTenantSupport", "NonexistentTenant")
        pytest.skip("tenants are optional, and so is that they come into being by themselves")
    return name


def spot(path: str, one: Document, unique: Unique) -> str:
    return path.format(id=one["id"], type=one["type"], attribute=unique.name("note"))


@clause("4.14", 1)
@clause("5.5.10", 1, 2)
@pytest.mark.parametrize(("method", "path", "document"), ON_AN_ENTITY)
def test_an_entity_is_neither_seen_nor_changed_without_its_tenant(
    broker: BrokerClient, unique: Unique, tenant: str, one: Document, method: str, path: str, document: Any
) -> None:
    broker.request(method, spot(path, one, unique), document).expect_problem("ResourceNotFound")
    broker.get(f"/entities/{one['id']}", tenant=tenant).expect(200).expect_json(one)


@clause("4.14", 1)
@clause("5.5.10", 1)
@pytest.mark.parametrize(("method", "path", "document"), ON_AN_ENTITY)
def test_an_entity_is_neither_seen_nor_changed_from_another_tenant(
    broker: BrokerClient, unique: Unique, tenant: str, one: Document, method: str, path: str, document: Any
) -> None:
    other = unique.name("village")
    broker.post("/entities", entity(unique.id(), unique.type("Other"), age=prop(1)), tenant=other).expect(201)
    broker.request(method, spot(path, one, unique), document, tenant=other).expect_problem("ResourceNotFound")
    broker.get(f"/entities/{one['id']}", tenant=tenant).expect(200).expect_json(one)


@clause("4.14", 1, 2)
@clause("5.5.10", 1, 2)
def test_one_id_is_another_entity_in_another_tenant(
    broker: BrokerClient, unique: Unique, tenant: str, one: Document
) -> None:
    here = entity(one["id"], unique.type(), speed=prop(9))
    broker.post("/entities", here).expect(201)
    broker.post("/entities", here, tenant=tenant).expect_problem("AlreadyExists")
    broker.get(f"/entities/{one['id']}").expect(200).expect_json(here)
    broker.get(f"/entities/{one['id']}", tenant=tenant).expect(200).expect_json(one)
    broker.delete(f"/entities/{one['id']}", tenant=tenant).expect(204)
    broker.get(f"/entities/{one['id']}").expect(200).expect_json(here)


@clause("4.14", 1)
@clause("5.5.10", 1, 2)
def test_a_query_finds_the_entities_of_its_tenant(
    broker: BrokerClient, unique: Unique, tenant: str, one: Document
) -> None:
    here = entity(unique.id(), unique.type(), speed=prop(9))
    broker.post("/entities", here).expect(201)
    for name, expected in ((None, here), (tenant, one)):
        answer = broker.get("/entities", {"type": unique.type(), "count": True}, tenant=name).expect(200)
        answer.expect_json([expected])
        assert answer.header("NGSILD-Results-Count") == "1"
        query = {"type": "Query", "entities": [{"type": unique.type()}]}
        broker.post("/entityOperations/query", query, tenant=name).expect(200).expect_json([expected])


@clause("4.14", 1)
@clause("5.5.10", 1)
def test_a_page_of_a_tenant_leads_to_pages_of_that_tenant(
    broker: BrokerClient, unique: Unique, tenant: str, one: Document
) -> None:
    another = entity(unique.id(), unique.type(), speed=prop(2))
    broker.post("/entities", another, tenant=tenant).expect(201)
    broker.post("/entities", entity(unique.id(), unique.type(), speed=prop(3))).expect(201)
    answer = broker.get("/entities", {"type": unique.type(), "limit": 1}, tenant=tenant).expect(200)
    following = broker.get(str(answer.link("next")), tenant=tenant).expect(200)
    assert sorted(each["id"] for each in answer.json + following.json) == [one["id"], another["id"]]
    assert following.link("next") is None


@clause("5.5.10", 1)
def test_a_purge_leaves_other_tenants_alone(broker: BrokerClient, unique: Unique, tenant: str, one: Document) -> None:
    here = entity(unique.id(), unique.type(), speed=prop(9))
    broker.post("/entities", here).expect(201)
    broker.delete("/entities", {"type": unique.type()}).expect(204)
    broker.get(f"/entities/{one['id']}", tenant=tenant).expect(200).expect_json(one)
    broker.get(f"/entities/{here['id']}").expect_problem("ResourceNotFound")


@clause("5.5.10", 1)
@pytest.mark.parametrize("name", ["delete", "update", "merge"])
def test_a_batch_leaves_other_tenants_alone(
    broker: BrokerClient, unique: Unique, tenant: str, one: Document, name: str
) -> None:
    document = [one["id"]] if name == "delete" else [entity(one["id"], unique.type(), speed=prop(2))]
    answer = broker.post(f"/entityOperations/{name}", document)
    assert "ResourceNotFound" in answer.expect(207, 400, 404).body.decode()
    broker.get(f"/entities/{one['id']}", tenant=tenant).expect(200).expect_json(one)


@clause("4.14", 1)
@clause("5.5.10", 1)
def test_types_and_attributes_are_those_of_the_tenant(broker: BrokerClient, unique: Unique, tenant: str) -> None:
    assert unique.type() in broker.get("/types", tenant=tenant).expect(200).json["typeList"]
    assert unique.type() not in broker.get("/types").expect(200).json["typeList"]
    assert unique.name("note") in broker.get("/attributes", tenant=tenant).expect(200).json["attributeList"]
    assert unique.name("note") not in broker.get("/attributes").expect(200).json["attributeList"]


@clause("4.14", 1)
@clause("5.5.10", 1)
@pytest.mark.parametrize(
    "path", ["/subscriptions", "/csourceRegistrations", "/csourceSubscriptions", "/temporal/entities"]
)
def test_other_elements_are_those_of_the_tenant(broker: BrokerClient, unique: Unique, tenant: str, path: str) -> None:
    given = element(path, unique)
    broker.post(path, given, tenant=tenant).expect(201)
    broker.get(f"{path}/{given['id']}").expect_problem("ResourceNotFound")
    broker.delete(f"{path}/{given['id']}").expect_problem("ResourceNotFound")
    assert broker.get(f"{path}/{given['id']}", tenant=tenant).expect(200).json["id"] == given["id"]


@clause("4.14", 1)
@clause("5.5.10", 1, 3)
@clause("6.3.14", 1)
def test_a_subscription_hears_of_its_own_tenant_and_names_it(
    broker: BrokerClient, unique: Unique, tenant: str, receiver: Receiver
) -> None:
    given = subscription(receiver.url, entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given, tenant=tenant).expect(201)
    broker.post("/entities", entity(unique.id(), unique.type(), speed=prop(1))).expect(201)
    receiver.expect_silence()
    heard_of = entity(unique.id(), unique.type(), speed=prop(2))
    broker.post("/entities", heard_of, tenant=tenant).expect(201)
    notified = receiver.next()
    assert notified.headers[TENANT] == tenant
    assert notified.json["data"] == [heard_of]


@clause("5.5.10", 2)
@clause("6.3.14", 2)
def test_a_subscription_without_a_tenant_hears_of_the_default_one(
    broker: BrokerClient, unique: Unique, tenant: str, receiver: Receiver
) -> None:
    broker.post("/subscriptions", subscription(receiver.url, entities=[{"type": unique.type()}])).expect(201)
    broker.post("/entities", entity(unique.id(), unique.type(), speed=prop(1)), tenant=tenant).expect(201)
    receiver.expect_silence()
    broker.post("/entities", entity(unique.id(), unique.type(), speed=prop(2))).expect(201)
    assert receiver.next().headers.get(TENANT) is None


@clause("5.5.10", 3)
@clause("6.3.14", 1)
@pytest.mark.parametrize(
    ("method", "path", "document", "headers", "status"),
    [
        ("GET", "/entities/{id}", None, {}, 200),
        ("GET", "/entities?type={type}", None, {}, 200),
        ("GET", "/types", None, {}, 200),
        ("GET", "/subscriptions", None, {"Accept": JSON_LD}, 200),
        ("POST", "/entities/{id}/attrs", {"age": prop(2)}, {}, 204),
        ("PATCH", "/entities/{id}/attrs", {"speed": prop(2)}, {}, 204),
        ("DELETE", "/entities/{id}/attrs/speed", None, {}, 204),
        ("DELETE", "/entities/{id}", None, {}, 204),
        ("POST", "/entities/{id}/attrs?options=noOverwrite", {"speed": prop(2), "age": prop(2)}, {}, 207),
        ("PATCH", "/entities/{id}/attrs", b"{", {"Content-Type": JSON}, 400),
        ("GET", "/entities/urn:ngsi-ld:Nothing", None, {}, 404),
        ("PUT", "/entities", {}, {}, 405),
        ("GET", "/entities/{id}", None, {"Accept": "text/html"}, 406),
        ("PATCH", "/entities/{id}/attrs", b"{}", {"Content-Type": "text/plain"}, 415),
    ],
)
def test_every_answer_names_the_tenant(
    broker: BrokerClient,
    unique: Unique,
    tenant: str,
    one: Document,
    method: str,
    path: str,
    document: Any,
    headers: dict[str, str],
    status: int,
) -> None:
    answer = broker.request(method, spot(path, one, unique), document, tenant=tenant, headers=headers)
    assert answer.expect(status).headers.get_all(TENANT) == [tenant]


@clause("6.3.14", 1)
def test_the_answer_to_a_creation_names_the_tenant(broker: BrokerClient, unique: Unique, tenant: str) -> None:
    another = entity(unique.id(), unique.type(), speed=prop(1))
    assert broker.post("/entities", another, tenant=tenant).expect(201).header(TENANT) == tenant
    assert broker.post("/entities", another, tenant=tenant).expect(409).header(TENANT) == tenant


@clause("6.3.14", 2)
@clause("4.14", 2)
def test_the_default_tenant_has_no_name(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    assert TENANT not in broker.post("/entities", one).expect(201).headers
    assert TENANT not in broker.get(f"/entities/{one['id']}").expect(200).headers
    assert TENANT not in broker.get(f"/entities/{unique.id()}").expect(404).headers


@clause("5.5.10", 5)
@pytest.mark.parametrize(("method", "path", "document"), ON_A_TENANT)
def test_an_operation_on_a_tenant_that_is_not_there_is_told_so(
    broker: BrokerClient, unique: Unique, tenant: str, one: Document, method: str, path: str, document: Any
) -> None:
    unknown = unique.name("nowhere")
    answer = broker.request(method, spot(path, one, unique), document, tenant=unknown)
    answer.expect_problem("NonexistentTenant")
    assert answer.header(TENANT) == unknown


@clause("5.5.10", 5)
def test_an_operation_on_a_tenant_that_is_not_there_does_not_make_it(
    broker: BrokerClient, unique: Unique, tenant: str
) -> None:
    unknown = unique.name("nowhere")
    invalid = entity("no URI", unique.type(), speed=prop(1))
    broker.post("/entities", invalid, tenant=unknown).expect_problem("BadRequestData")
    broker.get("/entities", {"type": unique.type()}, tenant=unknown).expect_problem("NonexistentTenant")


@clause("5.5.10", 4)
@pytest.mark.parametrize("path", CREATIONS)
def test_a_tenant_comes_into_being_with_what_is_created_in_it(
    broker: BrokerClient, unique: Unique, tenant: str, path: str
) -> None:
    new = unique.name("village")
    broker.get("/types", tenant=new).expect_problem("NonexistentTenant")
    broker.post(path, element(path, unique), tenant=new).expect(201)
    broker.get("/types", tenant=new).expect(200)


@clause("5.5.10", 1)
def test_names_of_tenants_that_differ_in_case_are_two_tenants(
    broker: BrokerClient, unique: Unique, tenant: str, one: Document
) -> None:
    answer = broker.get(f"/entities/{one['id']}", tenant=tenant.upper())
    answer.expect_problem("NonexistentTenant")


@clause("5.5.10", 1, 3)
@clause("6.3.14", 1)
@pytest.mark.parametrize("form", ["{} b", "a/{}?c#d%20", "urn:ngsi-ld:Tenant:{}", '"{}"', "{}," * 2 + "x"])
def test_the_name_of_a_tenant_is_any_string(
    broker: BrokerClient, unique: Unique, tenant: str, receiver: Receiver, form: str
) -> None:
    name = form.format(unique.name("city"), unique.name("city"))
    another = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/subscriptions", subscription(receiver.url, entities=[{"type": unique.type()}]), tenant=name).expect(
        201
    )
    assert broker.post("/entities", another, tenant=name).expect(201).header(TENANT) == name
    assert receiver.next().headers[TENANT] == name
    broker.get(f"/entities/{another['id']}", tenant=name).expect(200).expect_json(another)
    broker.get(f"/entities/{another['id']}", tenant=tenant).expect_problem("ResourceNotFound")
