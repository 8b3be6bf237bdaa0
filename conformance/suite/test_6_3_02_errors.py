"""6.3.2 Error Types, 6.3.3 Reporting errors, and the errors of 5.5.2, 5.5.3 and 5.5.6."""

import http.client
from typing import Any
from urllib.parse import urlsplit

import pytest

from conformance.broker_client import GEO_JSON, JSON, JSON_LD, BrokerClient
from conformance.clauses import clause
from conformance.exchanges import ERRORS
from conformance.samples import Unique, entity, prop, subscription
from conformance.servers import DocumentServer

NOWHERE = "http://127.0.0.1:9/context.jsonld"
ERRORS_OF_REQUESTS: list[tuple[str, str, Any, str]] = [
    ("GET", "/entities/{unknown}", None, "ResourceNotFound"),
    ("DELETE", "/entities/{unknown}", None, "ResourceNotFound"),
    ("PATCH", "/entities/{unknown}/attrs", {"speed": prop(2)}, "ResourceNotFound"),
    ("PATCH", "/entities/{id}/attrs/unheardOf", prop(2), "ResourceNotFound"),
    ("GET", "/subscriptions/{unknown}", None, "ResourceNotFound"),
    ("GET", "/types/UnheardOf", None, "ResourceNotFound"),
    ("GET", "/attributes/unheardOf", None, "ResourceNotFound"),
    ("POST", "/entities", {"id": "{id}", "type": "Vehicle"}, "AlreadyExists"),
    ("POST", "/entities", {"id": "no URI", "type": "Vehicle"}, "BadRequestData"),
    ("POST", "/entities", {"type": "Vehicle", "speed": {"type": "Property"}}, "BadRequestData"),
    ("PUT", "/entities/{id}/attrs/speed", {"type": "Property"}, "BadRequestData"),
    ("POST", "/entityOperations/create", [], "BadRequestData"),
    ("POST", "/subscriptions", {"type": "Subscription"}, "BadRequestData"),
    ("GET", "/entities?q=speed%3D%3D", None, "BadRequestData"),
    ("GET", "/entities", None, "BadRequestData"),
    ("POST", "/entities", b'{"id": "urn:x:1", ', "InvalidRequest"),
    ("PATCH", "/entities/{id}/attrs", b"speed", "InvalidRequest"),
    ("GET", "/entities/{id}?unheardOf=1", None, "InvalidRequest"),
]


def completed(document: Any, entity_id: str) -> Any:
    """The document about the test's entity."""
    return {**document, "id": entity_id} if isinstance(document, dict) and document.get("id") == "{id}" else document


@clause("5.5.2", 1)
@clause("5.5.3", 1, 2, 3)
@clause("6.3.1", 1)
@clause("6.3.2", 1)
@clause("6.3.3", 1)
@pytest.mark.parametrize(("method", "path", "document", "error"), ERRORS_OF_REQUESTS)
def test_an_error_has_the_type_of_the_table_and_the_status_of_the_type(
    broker: BrokerClient, unique: Unique, method: str, path: str, document: Any, error: str
) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", one).expect(201)
    target = path.format(id=one["id"], unknown=unique.id("Nothing"))
    answer = broker.request(method, target, completed(document, one["id"]), content_type=JSON)
    problem = answer.expect_problem(error)
    assert answer.media_type == JSON
    assert len(problem["title"]) < 100
    assert "\n" not in problem["title"]
    assert problem.get("status", answer.status) == answer.status
    broker.get(f"/entities/{one['id']}").expect(200).expect_json(one)


@clause("5.5.3", 3)
@clause("6.3.6", 7, 10)
@pytest.mark.parametrize("accept", [JSON_LD, GEO_JSON, f"{JSON_LD}, {JSON};q=0.1", "*/*"])
@pytest.mark.parametrize("path", ["/entities/{unknown}", "/entities?q=(", "/entities/no%20URI"])
def test_an_error_is_json_whatever_is_accepted(
    broker: BrokerClient, unique: Unique, accept: str, path: str, documents: DocumentServer
) -> None:
    context = documents.publish_context(speed="https://example.org/speed")
    answer = broker.get(path.format(unknown=unique.id()), accept=accept, link=context)
    assert answer.expect(400, 404).media_type == JSON
    assert answer.json["type"].startswith(ERRORS)
    assert "@context" not in answer.json
    assert "Link" not in answer.headers


@clause("5.5.3", 2)
def test_errors_of_one_kind_have_one_title(broker: BrokerClient, unique: Unique) -> None:
    first, second = (broker.get(f"/entities/{unique.id()}").expect_problem("ResourceNotFound") for _ in range(2))
    assert first["title"] == second["title"]


@clause("5.5.3", 4)
def test_the_detail_of_an_error_tells_what_it_is_about(broker: BrokerClient, unique: Unique) -> None:
    unknown, name = unique.id(), unique.name("speed")
    problem = broker.get(f"/entities/{unknown}").expect_problem("ResourceNotFound")
    assert unknown in problem["detail"]
    one = entity(unique.id(), unique.type(), **{name: {"type": "Property"}})
    assert name in broker.post("/entities", one).expect_problem("BadRequestData")["detail"]
    problem = broker.get("/entities", {"type": unique.type(), name: 1}).expect_problem("InvalidRequest")
    assert name in problem["detail"]


@clause("5.5.3", 1)
@clause("6.3.6", 7, 8)
@pytest.mark.parametrize("accept", [None, JSON_LD, GEO_JSON])
def test_a_partial_success_of_a_batch_is_json_with_a_problem_of_each_error(
    broker: BrokerClient, unique: Unique, accept: str | None
) -> None:
    one, unknown = entity(unique.id(), unique.type(), speed=prop(1)), unique.id()
    broker.post("/entities", one).expect(201)
    answer = broker.post("/entityOperations/delete", [one["id"], unknown], accept=accept).expect(207)
    assert answer.media_type == JSON
    assert answer.json["success"] == [one["id"]]
    (error,) = answer.json["errors"]
    assert error["entityId"] == unknown
    assert error["error"]["type"] == f"{ERRORS}ResourceNotFound"
    assert error["error"]["title"]


@clause("6.3.6", 7, 8, 10)
@pytest.mark.parametrize("accept", [None, JSON_LD])
def test_a_partial_success_names_attributes_in_full(
    broker: BrokerClient, unique: Unique, accept: str | None, documents: DocumentServer
) -> None:
    context = documents.publish_context(speed="https://example.org/speed", age="https://example.org/age")
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", one, link=context).expect(201)
    fragment = {"speed": prop(2), "age": prop(3)}
    path = f"/entities/{one['id']}/attrs?options=noOverwrite"
    answer = broker.post(path, fragment, link=context, accept=accept).expect(207)
    assert answer.media_type == JSON
    assert answer.json["updated"] == ["https://example.org/age"]
    assert [each["attributeName"] for each in answer.json["notUpdated"]] == ["https://example.org/speed"]
    assert "Link" not in answer.headers


@clause("5.5.6", 5)
@clause("6.3.2", 1)
@pytest.mark.parametrize("verb", ["POST", "GET", "PATCH", "DELETE"])
def test_a_context_that_cannot_be_fetched_is_not_available(broker: BrokerClient, unique: Unique, verb: str) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", one).expect(201)
    path, document = {
        "POST": ("/entities", entity(unique.id(), unique.type(), speed=prop(1))),
        "GET": (f"/entities/{one['id']}", None),
        "PATCH": (f"/entities/{one['id']}/attrs", {"speed": prop(2)}),
        "DELETE": (f"/entities/{one['id']}/attrs/speed", None),
    }[verb]
    broker.request(verb, path, document, link=NOWHERE).expect_problem("LdContextNotAvailable")
    broker.get("/entities", {"type": unique.type()}).expect(200).expect_json([one])


@clause("5.5.6", 5)
@pytest.mark.parametrize("status", [404, 403, 500])
def test_a_context_whose_server_refuses_it_is_not_available(
    broker: BrokerClient, unique: Unique, documents: DocumentServer, status: int
) -> None:
    context = documents.publish({"@context": {}}, status=status)
    one = {**entity(unique.id(), unique.type(), speed=prop(1)), "@context": context}
    broker.post("/entities", one).expect_problem("LdContextNotAvailable")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@clause("5.5.6", 6)
@pytest.mark.parametrize(
    "document",
    [b"<html></html>", b"", [1], {"no": "context"}, {"@context": 7}, {"@context": {"speed": 7}}],
    ids=["html", "empty", "array", "no context", "number", "term that is a number"],
)
def test_a_document_that_is_no_context_is_bad_request_data(
    broker: BrokerClient, unique: Unique, documents: DocumentServer, document: Any
) -> None:
    context = documents.publish(document)
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", one, link=context).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@clause("5.5.6", 3)
@pytest.mark.parametrize("depth", [50, 3000, 100_000])
def test_a_query_is_answered_or_too_complex(broker: BrokerClient, unique: Unique, depth: int) -> None:
    broker.post("/entities", entity(unique.id(), unique.type(), speed=prop(1))).expect(201)
    query = {"type": "Query", "entities": [{"type": unique.type()}], "q": "(" * depth + "speed==1" + ")" * depth}
    answer = broker.post("/entityOperations/query", query)
    if answer.status != 200:
        answer.expect_problem("TooComplexQuery")
    else:
        assert len(answer.json) == 1


@clause("5.5.6", 2)
@clause("6.3.2", 1)
def test_an_operation_that_cannot_be_executed_is_not_supported(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    context = documents.publish_context(speed="https://example.org/speed")
    broker.get("/entities", {"type": unique.type()}, link=context).expect(200)
    (known,) = [
        each for each in broker.get("/jsonldContexts", {"details": True}).expect(200).json if each["URL"] == context
    ]
    broker.get(f"/jsonldContexts/{known['localId']}").expect_problem("OperationNotSupported")


def raw(broker: BrokerClient, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> tuple[int, bytes]:
    """The status and the body that come for a request with these headers and no others but Host."""
    parts = urlsplit(broker.origin)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(str(parts.hostname), parts.port, timeout=20)
    connection.putrequest(method, broker.root + path, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders(body or None)
    response = connection.getresponse()
    status, content = response.status, response.read()
    connection.close()
    return status, content


@clause("6.3.2", 2, 6)
@clause("6.3.4", 8)
@pytest.mark.parametrize("coding", [None, "chunked"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/entities"),
        ("POST", "/entityOperations/query"),
        ("POST", "/subscriptions"),
        ("PATCH", "/entities/urn:x:1/attrs"),
        ("PUT", "/entities/urn:x:1"),
    ],
)
def test_a_body_without_a_declared_length_is_a_bare_411(
    broker: BrokerClient, method: str, path: str, coding: str | None
) -> None:
    headers = {"Content-Type": JSON} | ({"Transfer-Encoding": coding} if coding else {})
    body = b"2\r\n{}\r\n0\r\n\r\n" if coding else b""
    assert raw(broker, method, path, headers, body) == (411, b"")


@clause("6.3.2", 2, 5)
@pytest.mark.parametrize(("method", "path"), [("POST", "/entities"), ("PATCH", "/entities/urn:x:1/attrs")])
def test_a_body_of_too_many_bytes_is_413(broker: BrokerClient, method: str, path: str) -> None:
    status, _ = raw(broker, method, path, {"Content-Type": JSON, "Content-Length": "1000000000000"})
    assert status == 413


@clause("6.3.4", 2, 7)
@pytest.mark.parametrize("length", [0, 5])
def test_a_body_that_is_longer_than_declared_is_not_what_was_meant(
    broker: BrokerClient, unique: Unique, length: int
) -> None:
    one = b'{"id": "%s", "type": "Vehicle"}' % unique.id().encode()
    status, _ = raw(broker, "POST", "/entities", {"Content-Type": JSON, "Content-Length": str(length)}, one)
    assert status == 400


@clause("6.3.3", 1)
def test_errors_of_subscriptions_are_reported_alike(broker: BrokerClient, unique: Unique) -> None:
    given = subscription("http://127.0.0.1:9/", id=unique.id("Subscription"), entities=[{"type": unique.type()}])
    broker.post("/subscriptions", given).expect(201)
    assert broker.post("/subscriptions", given).expect_problem("AlreadyExists")["detail"]
    broker.patch(f"/subscriptions/{given['id']}", {"entities": "all"}).expect_problem("BadRequestData")
    broker.get(f"/subscriptions/{given['id']}/more").expect(400, 404)
