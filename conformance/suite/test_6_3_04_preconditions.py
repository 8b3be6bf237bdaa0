"""6.3.4 HTTP request preconditions: Content-Type and Accept."""

from typing import Any

import pytest

from conformance.broker_client import GEO_JSON, JSON, JSON_LD, BrokerClient
from conformance.clauses import clause
from conformance.samples import Document, Unique, entity, geo, prop
from conformance.servers import DocumentServer

MERGE_PATCH = "application/merge-patch+json"
WRITES: list[tuple[str, str, Any]] = [
    ("POST", "/entities", b'{"id": "urn:ngsi-ld:Vehicle:415", "type": "Vehicle"}'),
    ("PATCH", "/entities/{id}", {"speed": prop(2)}),
    ("PUT", "/entities/{id}", {"type": "Vehicle", "speed": prop(2)}),
    ("POST", "/entities/{id}/attrs", {"speed": prop(2)}),
    ("PATCH", "/entities/{id}/attrs", {"speed": prop(2)}),
    ("PATCH", "/entities/{id}/attrs/speed", prop(2)),
    ("PUT", "/entities/{id}/attrs/speed", prop(2)),
    ("POST", "/entityOperations/delete", b'["{id}"]'),
    ("POST", "/entityOperations/query", {"type": "Query", "entities": [{"type": "Vehicle"}]}),
    ("POST", "/subscriptions", {"type": "Subscription"}),
    ("PATCH", "/subscriptions/{id}", {"description": "text"}),
    ("POST", "/csourceRegistrations", {"type": "ContextSourceRegistration"}),
    ("PATCH", "/csourceRegistrations/{id}", {"description": "text"}),
    ("POST", "/csourceSubscriptions", {"type": "Subscription"}),
    ("POST", "/temporal/entities", b'{"id": "{id}", "type": "Vehicle"}'),
    ("POST", "/temporal/entities/{id}/attrs", {"speed": [prop(2)]}),
    ("POST", "/temporal/entityOperations/query", {"type": "Query", "entities": [{"type": "Vehicle"}]}),
    ("POST", "/jsonldContexts", {"@context": {}}),
]
ACCEPTED = [
    (None, JSON),
    ("*/*", JSON),
    ("application/*", JSON),
    (JSON, JSON),
    (JSON_LD, JSON_LD),
    ("Application/LD+JSON", JSON_LD),
    (f"{JSON_LD}, {JSON}", JSON),
    (f"{JSON_LD},*/*", JSON),
    (f"{JSON};q=0.5, {JSON_LD}", JSON_LD),
    (f"{JSON};q=0.5,{JSON_LD};q=0.8,*/*;q=0.1", JSON_LD),
    (f"{JSON};q=0.8,{JSON_LD};q=0.5", JSON),
    (f"{JSON};q=0, application/*", JSON_LD),
    (f"{JSON_LD}, */*;q=0.9", JSON_LD),
    (f"text/html, {JSON_LD}", JSON_LD),
    ("text/html, */*;q=0.1", JSON),
    (f"image/*;q=0.2, text/*, {JSON};q=0.01", JSON),
]
"""What Accept says, and the media type that it means for what is JSON or JSON-LD."""
ACCEPTED_OF_ENTITIES = [
    (GEO_JSON, GEO_JSON),
    (f"{GEO_JSON}, {JSON_LD}", JSON_LD),
    (f"{GEO_JSON}, {JSON_LD}, {JSON}", JSON),
    (f"{GEO_JSON}, application/*;q=0.5", GEO_JSON),
    (f"{JSON};q=0.1, {JSON_LD};q=0.5, {GEO_JSON};q=0.9", GEO_JSON),
    (f"text/html, {GEO_JSON};q=0.3", GEO_JSON),
    (f"{GEO_JSON}, */*", JSON),
    (f"{JSON};q=0, {JSON_LD};q=0, */*", GEO_JSON),
]
NOT_ACCEPTABLE = ["text/html", "application/xml", "image/*", f"{JSON};q=0", "text/html, application/json-seq;q=0.5"]


def created(broker: BrokerClient, unique: Unique) -> Document:
    """An entity with a location."""
    one = entity(unique.id(), unique.type(), speed=prop(1), location=geo("Point", [8, 40]))
    broker.post("/entities", one).expect(201)
    return one


@clause("6.3.2", 2, 7)
@clause("6.3.4", 1, 9)
@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/xml", GEO_JSON, "application/x-www-form-urlencoded"]
)
@pytest.mark.parametrize(("method", "path", "document"), WRITES)
def test_another_media_type_is_a_bare_415_and_nothing_is_done(
    broker: BrokerClient, unique: Unique, method: str, path: str, document: Any, content_type: str
) -> None:
    one = created(broker, unique)
    body = document.replace(b"{id}", one["id"].encode()) if isinstance(document, bytes) else document
    answer = broker.request(method, path.format(id=one["id"]), body, content_type=content_type)
    assert answer.expect(415).body == b""
    broker.get(f"/entities/{one['id']}").expect(200).expect_json(one)


@clause("6.3.4", 3, 9)
@pytest.mark.parametrize(("method", "path", "document"), [write for write in WRITES if write[0] != "PATCH"])
def test_a_merge_patch_is_for_patch_alone(
    broker: BrokerClient, unique: Unique, method: str, path: str, document: Any
) -> None:
    one = created(broker, unique)
    body = document.replace(b"{id}", one["id"].encode()) if isinstance(document, bytes) else document
    answer = broker.request(method, path.format(id=one["id"]), body, content_type=MERGE_PATCH)
    assert answer.expect(415).body == b""
    broker.get(f"/entities/{one['id']}").expect(200).expect_json(one)


@clause("6.3.4", 3)
@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("/entities/{id}", {"https://example.org/speed": prop(2)}),
        ("/entities/{id}", {"speed": prop(2)}),
        ("/entities/{id}/attrs", {"speed": prop(2)}),
        ("/entities/{id}/attrs/speed", prop(2)),
    ],
)
def test_a_merge_patch_is_read_like_json_with_the_context_of_the_link(
    broker: BrokerClient, unique: Unique, documents: DocumentServer, path: str, document: Any
) -> None:
    context = documents.publish_context(speed="https://example.org/speed")
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", one, link=context).expect(201)
    broker.patch(path.format(id=one["id"]), document, content_type=MERGE_PATCH, link=context).expect(204)
    shown = broker.get(f"/entities/{one['id']}", link=context).expect(200)
    shown.expect_json({**one, "speed": prop(2)})


@clause("6.3.4", 3)
@clause("6.3.5", 6)
def test_a_merge_patch_brings_no_context(broker: BrokerClient, unique: Unique) -> None:
    one = created(broker, unique)
    fragment = {"speed": prop(2), "@context": {"speed": "https://example.org/speed"}}
    broker.patch(f"/entities/{one['id']}", fragment, content_type=MERGE_PATCH).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect(200).expect_json(one)


@clause("6.3.4", 1)
@pytest.mark.parametrize(
    "content_type",
    [
        JSON,
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "Application/JSON",
        "application/json ;a=b",
    ],
)
def test_json_may_have_parameters_and_be_written_in_any_case(
    broker: BrokerClient, unique: Unique, content_type: str
) -> None:
    one = entity(unique.id(), unique.type(), name=prop("東京"))
    broker.post("/entities", one, content_type=content_type).expect(201)
    broker.get(f"/entities/{one['id']}").expect(200).expect_json(one)


@clause("6.3.4", 1)
@pytest.mark.parametrize(
    "content_type",
    [JSON_LD, "application/ld+json; charset=utf-8", 'application/ld+json;profile="http://example.org/p"'],
)
def test_json_ld_may_have_parameters(broker: BrokerClient, unique: Unique, content_type: str) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    context = {"speed": "https://example.org/speed"}
    broker.post("/entities", {**one, "@context": context}, content_type=content_type).expect(201)
    assert broker.get(f"/entities/{one['id']}").expect(200).json["https://example.org/speed"] == prop(1)


@clause("6.3.4", 1, 7)
@pytest.mark.parametrize("content_type", ["", "json", "/", "application/", "*/*"])
def test_what_is_no_media_type_is_refused(broker: BrokerClient, unique: Unique, content_type: str) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    headers = {"Content-Type": content_type}
    broker.post("/entities", one, headers=headers).expect(400, 415)
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@clause("6.3.4", 4, 5, 6)
@clause("6.3.6", 1)
@pytest.mark.parametrize(("accept", "media_type"), [*ACCEPTED, *ACCEPTED_OF_ENTITIES])
def test_accept_says_how_entities_come(
    broker: BrokerClient, unique: Unique, accept: str | None, media_type: str
) -> None:
    one = created(broker, unique)
    assert broker.get(f"/entities/{one['id']}", accept=accept).expect(200).media_type == media_type
    assert broker.get("/entities", {"type": unique.type()}, accept=accept).expect(200).media_type == media_type
    query = {"type": "Query", "entities": [{"type": unique.type()}]}
    answer = broker.post("/entityOperations/query", query, accept=accept).expect(200)
    assert answer.media_type == media_type
    body = answer.json
    shown = body["features"][0]["properties"] if media_type == GEO_JSON else body[0]
    assert shown["speed"] == prop(1)


@clause("6.3.4", 4, 5, 6)
@clause("6.3.6", 1)
@pytest.mark.parametrize(("accept", "media_type"), ACCEPTED)
@pytest.mark.parametrize("path", ["/types", "/attributes", "/subscriptions"])
def test_accept_says_how_other_resources_come(
    broker: BrokerClient, accept: str | None, media_type: str, path: str
) -> None:
    assert broker.get(path, accept=accept).expect(200).media_type == media_type


@clause("6.3.2", 2, 8)
@clause("6.3.4", 10)
@pytest.mark.parametrize("accept", NOT_ACCEPTABLE)
@pytest.mark.parametrize(
    "path", ["/entities/{id}", "/entities?type=Vehicle", "/types", "/attributes", "/subscriptions"]
)
def test_nothing_acceptable_is_406_with_the_types_that_there_are(
    broker: BrokerClient, unique: Unique, accept: str, path: str
) -> None:
    one = created(broker, unique)
    answer = broker.get(path.format(id=one["id"]), accept=accept).expect(406)
    assert JSON in answer.body.decode()
    assert JSON_LD in answer.body.decode()
    assert (GEO_JSON in answer.body.decode()) == path.startswith("/entities")


@clause("6.3.2", 8)
@clause("6.3.4", 10)
@pytest.mark.parametrize("accept", NOT_ACCEPTABLE)
def test_nothing_acceptable_is_406_for_a_query_by_post(broker: BrokerClient, unique: Unique, accept: str) -> None:
    query = {"type": "Query", "entities": [{"type": unique.type()}]}
    answer = broker.post("/entityOperations/query", query, accept=accept).expect(406)
    assert all(media_type in answer.body.decode() for media_type in (JSON, JSON_LD, GEO_JSON))


@clause("6.3.2", 8)
@clause("6.3.4", 11)
@pytest.mark.parametrize(
    "path",
    [
        "/types",
        "/types/Vehicle",
        "/attributes",
        "/attributes/speed",
        "/subscriptions",
        "/csourceRegistrations?type=Vehicle",
        "/csourceSubscriptions",
        "/temporal/entities?type=Vehicle&timerel=before&timeAt=2026-01-01T00:00:00Z",
        "/jsonldContexts",
    ],
)
def test_geojson_is_for_entities_alone(broker: BrokerClient, unique: Unique, path: str) -> None:
    broker.post("/entities", entity(unique.id(), "Vehicle", speed=prop(1))).expect(201)
    answer = broker.get(path, accept=GEO_JSON).expect(406)
    assert JSON in answer.body.decode()
    assert GEO_JSON not in answer.json.get("available", [])


@clause("6.3.4", 11)
def test_geojson_is_not_for_a_subscription(broker: BrokerClient, unique: Unique) -> None:
    given = {"type": "Subscription", "entities": [{"type": unique.type()}]}
    notification = {"endpoint": {"uri": "http://127.0.0.1:9/"}}
    location = broker.post("/subscriptions", {**given, "notification": notification}).expect(201).header("Location")
    assert JSON in broker.get(location, accept=GEO_JSON).expect(406).body.decode()


@clause("6.3.4", 4)
@pytest.mark.parametrize("accept", ["text/html", GEO_JSON])
def test_what_has_no_answer_to_represent_is_done_whatever_accept_says(
    broker: BrokerClient, unique: Unique, accept: str
) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", one, accept=accept).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs", {"speed": prop(2)}, accept=accept).expect(204)
    broker.delete(f"/entities/{one['id']}", accept=accept).expect(204)


@clause("6.3.4", 7)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/entities"), ("POST", "/entityOperations/query"), ("PATCH", "/entities/{id}/attrs")]
)
@pytest.mark.parametrize("body", [b"", b" ", b"{", b"\xff"], ids=["empty", "blank", "half", "not UTF-8"])
def test_a_body_that_cannot_be_read_is_an_invalid_request(
    broker: BrokerClient, unique: Unique, method: str, path: str, body: bytes
) -> None:
    one = created(broker, unique)
    broker.request(method, path.format(id=one["id"]), body, content_type=JSON).expect_problem("InvalidRequest")
    broker.get(f"/entities/{one['id']}").expect(200).expect_json(one)
