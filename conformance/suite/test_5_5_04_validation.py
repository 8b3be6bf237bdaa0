"""5.5.4 General NGSI-LD validation, over all operations that take a document about entities."""

from typing import Any, Final

import pytest

from conformance.broker_client import JSON, JSON_LD, BrokerClient
from conformance.clauses import clause
from conformance.exchanges import ERRORS
from conformance.samples import Document, Unique, entity, geo, lang, list_prop, list_rel, prop, rel

NULL: Final = "urn:ngsi-ld:null"

OPERATIONS: Final = [
    ("POST", "/entities"),
    ("PUT", "/entities/{id}"),
    ("PATCH", "/entities/{id}"),
    ("POST", "/entities/{id}/attrs"),
    ("PATCH", "/entities/{id}/attrs"),
    ("PATCH", "/entities/{id}/attrs/speed"),
    ("PUT", "/entities/{id}/attrs/speed"),
    ("POST", "/entityOperations/create"),
    ("POST", "/entityOperations/upsert"),
    ("POST", "/entityOperations/update"),
    ("POST", "/entityOperations/merge"),
    ("POST", "/entityOperations/delete"),
]


@clause("5.5.4", 1, 2)
@pytest.mark.parametrize("body", [b'{"speed": ', b"speed", b"\xff\xfe", b"[{}", b"{'speed': 1}"], ids=str)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_a_body_that_is_not_json_is_an_invalid_request(
    broker: BrokerClient, unique: Unique, method: str, path: str, body: bytes
) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", one).expect(201)
    target = path.format(id=one["id"])
    broker.request(method, target, body, content_type=JSON).expect_problem("InvalidRequest")
    broker.request(method, target, body, content_type=JSON_LD).expect_problem("InvalidRequest")
    broker.get(f"/entities/{one['id']}").expect_json(one)


@clause("5.5.4", 1, 3)
@pytest.mark.parametrize("document", [[], "speed", 5, True], ids=str)
@pytest.mark.parametrize(("method", "path"), OPERATIONS[:7])
def test_a_document_that_is_no_object_is_refused(
    broker: BrokerClient, unique: Unique, method: str, path: str, document: Any
) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", one).expect(201)
    answer = broker.request(method, path.format(id=one["id"]), document)
    answer.expect_problem("BadRequestData", "InvalidRequest")
    broker.get(f"/entities/{one['id']}").expect_json(one)


WHOLE_ENTITY: Final = [("POST", "/entities"), ("PUT", "/entities/{id}"), ("POST", "/entities/{id}/attrs")]


@clause("5.5.4", 1, 4)
@pytest.mark.parametrize("member", ["speed", "scope", "expiresAt"])
@pytest.mark.parametrize(("method", "path"), WHOLE_ENTITY)
def test_a_member_of_a_whole_entity_is_no_null(
    broker: BrokerClient, unique: Unique, method: str, path: str, member: str
) -> None:
    one = entity(unique.id(), unique.type(), fuel=prop(7))
    broker.post("/entities", one).expect(201)
    document = {**one, "fuel": prop(8), member: NULL}
    broker.request(method, path.format(id=one["id"]), document).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_json(one)


VALUES: dict[str, Document] = {
    "value": prop(NULL),
    "object": rel(NULL),
    "languageMap": lang({"@none": NULL}),
    "geometry": {"type": "GeoProperty", "value": NULL},
    "valueList": list_prop([NULL]),
    "objectList": list_rel([NULL]),
    "instance": prop(NULL, datasetId="urn:ngsi-ld:Dataset:gps"),
    "sub-attribute": prop(1, accuracy=prop(NULL)),
}


@clause("5.5.4", 1, 5)
@pytest.mark.parametrize("attribute", VALUES.values(), ids=VALUES.keys())
@pytest.mark.parametrize(("method", "path"), WHOLE_ENTITY)
def test_the_value_of_an_attribute_of_a_whole_entity_is_no_null(
    broker: BrokerClient, unique: Unique, method: str, path: str, attribute: Document
) -> None:
    one = entity(unique.id(), unique.type(), fuel=prop(7))
    broker.post("/entities", one).expect(201)
    document = {**one, "fuel": prop(8), "reading": attribute}
    broker.request(method, path.format(id=one["id"]), document).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_json(one)


@clause("5.5.4", 1, 4, 5)
@pytest.mark.parametrize("attribute", [NULL, *VALUES.values()], ids=["concise", *VALUES])
@pytest.mark.parametrize(("operation", "left"), [("create", []), ("upsert", [])])
def test_an_entity_of_a_batch_brings_no_null(
    broker: BrokerClient, unique: Unique, operation: str, left: list[Document], attribute: Any
) -> None:
    batch = [entity(unique.id(), unique.type(), reading=attribute)]
    result = broker.post(f"/entityOperations/{operation}", batch).expect(207).json
    assert [each["error"]["type"] for each in result["errors"]] == [ERRORS + "BadRequestData"]
    broker.get("/entities", {"type": unique.type()}).expect(200).expect_json(left)


NESTED: dict[str, Any] = {
    "member": {"now": 1, "limit": NULL},
    "deep": {"now": {"limit": {"legal": NULL}}},
    "only member": {"limit": NULL},
}


@clause("5.5.4", 1, 6)
@pytest.mark.parametrize("value", NESTED.values(), ids=NESTED.keys())
@pytest.mark.parametrize(("method", "path"), [*WHOLE_ENTITY, ("PATCH", "/entities/{id}/attrs")])
def test_a_member_of_a_value_is_no_null_but_in_merges(
    broker: BrokerClient, unique: Unique, method: str, path: str, value: Any
) -> None:
    one = entity(unique.id(), unique.type(), speed=prop({"now": 1, "limit": 50}), fuel=prop(7))
    broker.post("/entities", one).expect(201)
    document = {**one, "fuel": prop(8), "speed": prop(value)}
    broker.request(method, path.format(id=one["id"]), document).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_json(one)


@clause("5.5.4", 1, 6)
@pytest.mark.parametrize("value", NESTED.values(), ids=NESTED.keys())
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_member_of_the_value_of_an_attribute_fragment_is_no_null(
    broker: BrokerClient, unique: Unique, method: str, value: Any
) -> None:
    one = entity(unique.id(), unique.type(), speed=prop({"now": 1, "limit": 50}))
    broker.post("/entities", one).expect(201)
    broker.request(method, f"/entities/{one['id']}/attrs/speed", prop(value)).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_json(one)


CONTEXTS: dict[str, Any] = {
    "a number": 5,
    "an object with a term that is a number": {"speed": 5},
    "a term that is no IRI": {"speed": "no IRI"},
    "null": None,
}


@clause("5.5.4", 1, 3)
@pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS.keys())
def test_a_context_that_is_none_is_bad_request_data(broker: BrokerClient, unique: Unique, context: Any) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1), **{"@context": context})
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


DATA: dict[str, Any] = {
    "a core term as an attribute": {"unitCode": prop(1)},
    "an attribute in an attribute of no such kind": {"speed": prop(1, valueList=[1])},
    "a sub-attribute without a value": {"speed": prop(1, accuracy={"type": "Property"})},
    "a relationship to a number": {"owner": rel(5)},  # type: ignore[arg-type]
    "a text in no language": {"label": lang({"not a language tag!": "gauge"})},
    "a ring that is not closed": {"place": geo("Polygon", [[[0, 0], [0, 1], [1, 1]]])},
    "a type that is a number": {"type": 5},
    "a scope that is a number": {"scope": 5},
}


@clause("5.5.4", 1, 3)
@pytest.mark.parametrize("members", DATA.values(), ids=DATA.keys())
@pytest.mark.parametrize(
    ("method", "path"), [*WHOLE_ENTITY, ("PATCH", "/entities/{id}/attrs"), ("PATCH", "/entities/{id}")]
)
def test_what_the_data_types_do_not_admit_is_bad_request_data(
    broker: BrokerClient, unique: Unique, method: str, path: str, members: dict[str, Any]
) -> None:
    one = entity(unique.id(), unique.type(), fuel=prop(7))
    broker.post("/entities", one).expect(201)
    document = {**one, "fuel": prop(8), **members}
    broker.request(method, path.format(id=one["id"]), document).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_json(one)
