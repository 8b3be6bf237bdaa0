"""6.3.5 JSON-LD @context resolution: where the @context of a request stands."""

from typing import Any

import orjson
import pytest

from conformance.broker_client import JSON, JSON_LD, BrokerClient, context_link
from conformance.clauses import clause
from conformance.samples import DEFAULT_CONTEXT, Document, Unique, entity, prop, subscription
from conformance.servers import DocumentServer

SPEED = "https://example.org/speed"
CAR = "https://example.org/Car"
CONTEXT = {"tempo": SPEED, "Auto": CAR}
CORE = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.9.jsonld"
NO_CONTEXTS = [
    '<{url}>; rel="describedby"; type="application/ld+json"',
    '<{url}>; rel="next"',
    '<{url}>; rel="http://www.w3.org/ns/json-ld#frame"; type="application/ld+json"',
]
CONTEXT_LINKS = [
    '<{url}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"',
    '<{url}>;rel="http://www.w3.org/ns/json-ld#context";type="application/ld+json"',
    '<{url}>; type="application/ld+json"; rel="http://www.w3.org/ns/json-ld#context"',
    '<{url}>; rel="http://www.w3.org/ns/json-ld#context"',
    '<https://example.org/a,b>; rel="next", <{url}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"',
]
INSTANT = "2026-01-01T00:00:00Z"
REGISTRATION = {
    "type": "ContextSourceRegistration",
    "endpoint": "http://127.0.0.1:9",
    "information": [{"entities": [{"type": "Auto"}]}],
}
TEMPORAL_QUERY = {
    "type": "Query",
    "entities": [{"type": "Auto"}],
    "temporalQ": {"timerel": "after", "timeAt": INSTANT},
}
BODIES: list[tuple[str, str, Document]] = [
    ("POST", "/entities", {"id": "{new}", "type": "Auto", "tempo": prop(2)}),
    ("PATCH", "/entities/{id}", {"tempo": prop(2)}),
    ("PUT", "/entities/{id}", {"type": "Auto", "tempo": prop(2)}),
    ("POST", "/entities/{id}/attrs", {"tempo": prop(2)}),
    ("PATCH", "/entities/{id}/attrs", {"tempo": prop(2)}),
    ("PATCH", "/entities/{id}/attrs/tempo", prop(2)),
    ("PUT", "/entities/{id}/attrs/tempo", prop(2)),
    ("POST", "/entityOperations/query", {"type": "Query", "entities": [{"type": "Auto", "id": "{id}"}]}),
    ("POST", "/subscriptions", subscription("http://127.0.0.1:9/", entities=[{"type": "Auto"}])),
    ("POST", "/csourceSubscriptions", subscription("http://127.0.0.1:9/", entities=[{"type": "Auto"}])),
    ("POST", "/csourceRegistrations", REGISTRATION),
    ("POST", "/temporal/entities", {"id": "{new}", "type": "Auto", "tempo": [prop(2, observedAt=INSTANT)]}),
    ("POST", "/temporal/entityOperations/query", TEMPORAL_QUERY),
]
FRAGMENTS = [each for each in BODIES if "{id}" in each[1]]


def auto(broker: BrokerClient, unique: Unique) -> str:
    """The id of an entity with a speed, written with full names."""
    one = entity(unique.id("Auto"), CAR, **{SPEED: prop(1)})
    broker.post("/entities", one).expect(201)
    return str(one["id"])


def filled(document: Document, entity_id: str, unique: Unique) -> Document:
    """The document with ids in place of {id} and {new}."""
    text = orjson.dumps(document).replace(b"{id}", entity_id.encode()).replace(b"{new}", unique.id("Auto").encode())
    written: Document = orjson.loads(text)
    return written


def speed_of(broker: BrokerClient, entity_id: str) -> Any:
    return broker.get(f"/entities/{entity_id}", {"format": "simplified"}).expect(200).json[SPEED]


@clause("6.3.5", 1, 2)
@pytest.mark.parametrize("link", CONTEXT_LINKS)
def test_get_is_read_and_answered_with_the_context_of_the_link(
    broker: BrokerClient, unique: Unique, documents: DocumentServer, link: str
) -> None:
    entity_id = auto(broker, unique)
    headers = {"Link": link.format(url=documents.publish_context(**CONTEXT))}
    shown = broker.get(f"/entities/{entity_id}", {"pick": "id,type,tempo"}, headers=headers).expect(200).json
    assert shown == entity(entity_id, "Auto", tempo=prop(1))
    query = {"type": "Auto", "id": entity_id, "q": "tempo==1"}
    assert broker.get("/entities", query, headers=headers).expect(200).json == [shown]


@clause("6.3.5", 2)
def test_delete_is_read_with_the_context_of_the_link(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    entity_id = auto(broker, unique)
    context = documents.publish_context(**CONTEXT)
    broker.delete(f"/entities/{entity_id}/attrs/tempo", link=context).expect(204)
    assert SPEED not in broker.get(f"/entities/{entity_id}").expect(200).json


@clause("6.3.5", 2)
def test_a_purge_is_read_with_the_context_of_the_link(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    one = entity(unique.id(), f"https://example.org/{unique.type()}", speed=prop(1))
    broker.post("/entities", one).expect(201)
    context = documents.publish_context(Auto=one["type"])
    broker.delete("/entities", {"type": unique.type("Other")}, link=context).expect(204)
    broker.get(f"/entities/{one['id']}").expect(200)
    broker.delete("/entities", {"type": "Auto"}, link=context).expect(204)
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@clause("6.3.5", 3)
@clause("5.5.5", 1)
def test_get_and_delete_without_a_link_have_the_default_context(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), **{f"{DEFAULT_CONTEXT}tempo": prop(1), SPEED: prop(2)})
    broker.post("/entities", one).expect(201)
    expected = entity(one["id"], unique.type(), **{"tempo": prop(1), SPEED: prop(2)})
    broker.get(f"/entities/{one['id']}").expect(200).expect_json(expected)
    broker.delete(f"/entities/{one['id']}/attrs/speed").expect_problem("ResourceNotFound")
    broker.delete(f"/entities/{one['id']}/attrs/tempo").expect(204)


@clause("6.3.5", 2, 3)
@pytest.mark.parametrize("link", NO_CONTEXTS)
def test_a_link_of_another_relation_is_no_context(
    broker: BrokerClient, unique: Unique, documents: DocumentServer, link: str
) -> None:
    entity_id = auto(broker, unique)
    url = documents.publish_context(**CONTEXT)
    shown = broker.get(f"/entities/{entity_id}", headers={"Link": link.format(url=url)}).expect(200).json
    assert shown == entity(entity_id, CAR, **{SPEED: prop(1)})
    assert documents.times_asked(url) == 0


@clause("6.3.5", 1)
def test_two_contexts_in_links_are_refused(broker: BrokerClient, unique: Unique, documents: DocumentServer) -> None:
    entity_id = auto(broker, unique)
    both = f"{context_link(documents.publish_context(**CONTEXT))}, {context_link(documents.publish_context())}"
    broker.get(f"/entities/{entity_id}", headers={"Link": both}).expect_problem("BadRequestData", "InvalidRequest")


@clause("6.3.5", 4)
@pytest.mark.parametrize(("method", "path", "document"), FRAGMENTS)
def test_json_is_read_with_the_context_of_the_link(
    broker: BrokerClient, unique: Unique, documents: DocumentServer, method: str, path: str, document: Document
) -> None:
    entity_id = auto(broker, unique)
    context = documents.publish_context(**CONTEXT)
    broker.request(method, path.format(id=entity_id), document, link=context).expect(204)
    assert speed_of(broker, entity_id) == 2


@clause("6.3.5", 7)
@pytest.mark.parametrize(("method", "path", "document"), FRAGMENTS)
def test_json_ld_is_read_with_the_context_in_the_body(
    broker: BrokerClient, unique: Unique, method: str, path: str, document: Document
) -> None:
    entity_id = auto(broker, unique)
    broker.request(method, path.format(id=entity_id), {**document, "@context": CONTEXT}).expect(204)
    assert speed_of(broker, entity_id) == 2


@clause("6.3.5", 5)
@clause("5.5.5", 1)
@pytest.mark.parametrize("path", ["/entities/{id}", "/entities/{id}/attrs"])
def test_json_without_a_link_has_the_default_context(broker: BrokerClient, unique: Unique, path: str) -> None:
    entity_id = auto(broker, unique)
    broker.post(f"/entities/{entity_id}/attrs", {"tempo": prop(2)}).expect(204)
    broker.patch(path.format(id=entity_id), {"tempo": prop(3)}).expect(204)
    shown = broker.get(f"/entities/{entity_id}", {"format": "simplified"}).expect(200).json
    assert (shown["tempo"], shown[SPEED]) == (3, 1)
    full = {"pick": f"{DEFAULT_CONTEXT}tempo", "format": "simplified"}
    broker.get(f"/entities/{entity_id}", full).expect(200).expect_json({"tempo": 3})


@clause("6.3.5", 6)
@pytest.mark.parametrize("context", [CONTEXT, CORE, [CORE], []], ids=["object", "core", "array", "empty"])
@pytest.mark.parametrize(("method", "path", "document"), BODIES)
def test_json_with_a_context_in_it_is_refused(
    broker: BrokerClient, unique: Unique, method: str, path: str, document: Document, context: Any
) -> None:
    entity_id = auto(broker, unique)
    given = {**filled(document, entity_id, unique), "@context": context}
    answer = broker.request(method, path.format(id=entity_id), given, content_type=JSON)
    answer.expect_problem("BadRequestData")
    assert speed_of(broker, entity_id) == 1


@clause("6.3.5", 6)
def test_json_with_a_context_in_it_is_refused_with_a_link_too(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    one = {**entity(unique.id(), "Auto", tempo=prop(1)), "@context": CONTEXT}
    link = documents.publish_context(**CONTEXT)
    broker.post("/entities", one, content_type=JSON, link=link).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@clause("6.3.5", 8)
@pytest.mark.parametrize(("method", "path", "document"), BODIES)
def test_json_ld_without_a_context_is_refused(
    broker: BrokerClient, unique: Unique, method: str, path: str, document: Document
) -> None:
    entity_id = auto(broker, unique)
    given = filled(document, entity_id, unique)
    answer = broker.request(method, path.format(id=entity_id), given, content_type=JSON_LD)
    answer.expect_problem("BadRequestData")
    assert speed_of(broker, entity_id) == 1


@clause("6.3.5", 9)
@pytest.mark.parametrize("with_context", [True, False], ids=["context too", "link only"])
@pytest.mark.parametrize(("method", "path", "document"), BODIES)
def test_json_ld_with_a_link_to_a_context_is_refused(
    broker: BrokerClient,
    unique: Unique,
    documents: DocumentServer,
    method: str,
    path: str,
    document: Document,
    with_context: bool,
) -> None:
    entity_id = auto(broker, unique)
    given = filled(document, entity_id, unique) | ({"@context": CONTEXT} if with_context else {})
    link = documents.publish_context(**CONTEXT)
    answer = broker.request(method, path.format(id=entity_id), given, content_type=JSON_LD, link=link)
    answer.expect_problem("BadRequestData")
    assert speed_of(broker, entity_id) == 1


@clause("6.3.5", 9)
@pytest.mark.parametrize("link", NO_CONTEXTS)
def test_json_ld_may_have_links_of_other_relations(broker: BrokerClient, unique: Unique, link: str) -> None:
    one = {**entity(unique.id("Auto"), "Auto", tempo=prop(2)), "@context": CONTEXT}
    broker.post("/entities", one, headers={"Link": link.format(url="https://example.org/x")}).expect(201)
    assert speed_of(broker, one["id"]) == 2


@clause("6.3.5", 7)
def test_each_element_of_a_batch_has_its_own_context(broker: BrokerClient, unique: Unique) -> None:
    first, second = (entity(unique.id("Auto"), "Auto", tempo=prop(number)) for number in (1, 2))
    batch = [{**first, "@context": CONTEXT}, {**second, "@context": {"tempo": "https://example.org/pace"}}]
    broker.post("/entityOperations/create", batch).expect(201)
    assert speed_of(broker, first["id"]) == 1
    shown = broker.get(f"/entities/{second['id']}", {"format": "simplified"}).expect(200).json
    assert shown["https://example.org/pace"] == 2


@clause("6.3.5", 6, 8)
@pytest.mark.parametrize(("content_type", "inside"), [(JSON, CONTEXT), (JSON_LD, None)], ids=["json", "json-ld"])
def test_an_element_of_a_batch_with_its_context_in_the_wrong_place_is_in_error(
    broker: BrokerClient, unique: Unique, content_type: str, inside: Any
) -> None:
    one = entity(unique.id("Auto"), "Auto", tempo=prop(1))
    batch = [{**one, **({"@context": inside} if inside else {})}]
    answer = broker.post("/entityOperations/create", batch, content_type=content_type).expect(207, 400)
    assert "BadRequestData" in answer.body.decode()
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@clause("6.3.5", 4, 7)
def test_a_query_by_post_is_answered_in_its_own_context(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    entity_id = auto(broker, unique)
    query = {"type": "Query", "entities": [{"type": "Auto", "id": entity_id}], "q": "tempo==1"}
    expected = [entity(entity_id, "Auto", tempo=prop(1))]
    link = documents.publish_context(**CONTEXT)
    broker.post("/entityOperations/query", query, link=link).expect(200).expect_json(expected)
    answer = broker.post("/entityOperations/query", {**query, "@context": CONTEXT}).expect(200)
    answer.expect_json(expected)


@clause("6.3.5", 9)
@pytest.mark.parametrize("name", ["create", "upsert", "update", "merge"])
def test_a_batch_in_json_ld_with_a_link_to_a_context_is_refused(
    broker: BrokerClient, unique: Unique, documents: DocumentServer, name: str
) -> None:
    entity_id = auto(broker, unique)
    batch = [{**entity(entity_id, "Auto", tempo=prop(2)), "@context": CONTEXT}]
    answer = broker.post(f"/entityOperations/{name}", batch, link=documents.publish_context(**CONTEXT))
    assert "BadRequestData" in answer.expect(207, 400).body.decode()
    assert speed_of(broker, entity_id) == 1


@clause("6.3.5", 2, 3)
def test_subscriptions_are_shown_in_the_context_of_the_request(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    given = subscription("http://127.0.0.1:9/", entities=[{"type": CAR}], watchedAttributes=[SPEED])
    location = broker.post("/subscriptions", given).expect(201).header("Location")
    for link, type_, name in ((documents.publish_context(**CONTEXT), "Auto", "tempo"), (None, CAR, SPEED)):
        shown = broker.get(location, link=link).expect(200).json
        assert (shown["entities"], shown["watchedAttributes"]) == ([{"type": type_}], [name])
