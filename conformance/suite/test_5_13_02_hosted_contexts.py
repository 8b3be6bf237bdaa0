"""5.13.2 Add, 5.13.3 List, 5.13.4 Serve and 5.13.5 Delete @context, 6.29 and 6.30: @contexts that clients add."""

from typing import Any
from urllib.request import urlopen

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, prop, subscription
from conformance.servers import PATIENCE, DocumentServer


@clause("5.13.2.4", 1)
@clause("5.13.4.4", 1)
@clause("5.13.1", 4)
@clause("6.29.3.1", 1, 2)
@clause("6.30.3.1", 1)
@pytest.mark.parametrize(
    "context",
    [
        {"level": "https://example.org/level"},
        {"ex": "https://example.org/", "level": {"@id": "ex:level", "@type": "@vocab"}},
        [{"level": "https://example.org/level"}, {"name": "https://example.org/name"}],
        "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.8.jsonld",
        [{"level": "https://example.org/level"}, "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.8.jsonld"],
        {},
    ],
)
def test_an_added_context_is_served_as_it_was_given(broker: BrokerClient, context: Any) -> None:
    location = broker.post("/jsonldContexts", {"@context": context}).expect(201).header("Location")
    assert location.startswith("/ngsi-ld/v1/jsonldContexts/")
    broker.get(location).expect(200).expect_json({"@context": context})


@clause("5.13.2.4", 1)
@clause("6.29.3.1", 2)
def test_each_added_context_has_an_identifier_of_its_own(broker: BrokerClient) -> None:
    document = {"@context": {"level": "https://example.org/level"}}
    first, second = (broker.post("/jsonldContexts", document).expect(201).header("Location") for _ in range(2))
    assert first != second
    broker.delete(first).expect(204)
    broker.get(second).expect(200).expect_json(document)


@clause("5.13.2.3", 1)
def test_what_stands_beside_the_context_is_thrown_away(broker: BrokerClient) -> None:
    document = {"id": "urn:ngsi-ld:X:1", "@context": {"level": "https://example.org/level"}, "level": prop(1)}
    location = broker.post("/jsonldContexts", document).expect(201).header("Location")
    broker.get(location).expect(200).expect_json({"@context": document["@context"]})


@clause("5.13.2.4", 2)
@clause("6.29.3.1", 1)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        {},
        {"context": {}},
        {"@context": None},
        {"@context": 7},
        {"@context": True},
        {"@context": {"level": 7}},
        {"@context": {"level": {"@id": 7}}},
        {"@context": {"level": {"@id": "https://example.org/level", "@type": 7}}},
        {"@context": {"level": {"@id": "https://example.org/level", "@unknown": 1}}},
        {"@context": {"@vocab": 7}},
        {"@context": [{"level": "https://example.org/level"}, 7]},
        {"@context": {"a": "b:c", "b": "a:d"}},
    ],
)
def test_what_is_no_context_is_refused(broker: BrokerClient, body: Any) -> None:
    answer = broker.post("/jsonldContexts", body, content_type="application/ld+json")
    answer.expect_problem("BadRequestData", "InvalidRequest")


@clause("5.13.2.4", 1)
@clause("5.13.4.4", 4)
@clause("5.13.3.4", 2)
@clause("6.30.3.1", 2)
def test_the_details_of_a_hosted_context(broker: BrokerClient) -> None:
    document = {"@context": {"level": "https://example.org/level"}}
    location = broker.post("/jsonldContexts", document).expect(201).header("Location")
    details = broker.get(location, {"details": True}).expect(200).json
    assert details["kind"] == "Hosted"
    assert location.endswith(details["localId"])
    assert details["createdAt"].endswith("Z")
    with urlopen(details["URL"], timeout=PATIENCE) as served:
        assert served.status == 200
    listed = broker.get("/jsonldContexts", {"details": True, "kind": "Hosted"}).expect(200).json
    assert [each for each in listed if each["localId"] == details["localId"]] == [details]


@clause("5.13.4.4", 1)
@clause("6.30.3.1", 2)
def test_details_false_is_as_if_it_were_not_there(broker: BrokerClient) -> None:
    document = {"@context": {"level": "https://example.org/level"}}
    location = broker.post("/jsonldContexts", document).expect(201).header("Location")
    broker.get(location, {"details": False}).expect(200).expect_json(document)
    listed = broker.get("/jsonldContexts", {"details": False}).expect(200).json
    assert listed
    assert all(isinstance(each, str) for each in listed)


@clause("5.13.1", 4)
def test_a_hosted_context_can_be_used(broker: BrokerClient, unique: Unique) -> None:
    level = f"https://example.org/{unique.name('level')}"
    location = broker.post("/jsonldContexts", {"@context": {"pegel": level}}).expect(201).header("Location")
    url = broker.get(location, {"details": True}).expect(200).json["URL"]
    one = entity(unique.id(), unique.type(), pegel=prop(1))
    broker.post("/entities", one, link=url).expect(201)
    assert broker.get(f"/entities/{one['id']}").expect(200).json[level] == prop(1)
    assert broker.get(f"/entities/{one['id']}", link=url).expect(200).json["pegel"] == prop(1)


@clause("5.13.3.4", 1)
@clause("6.29.3.2", 1, 2)
def test_contexts_are_listed_by_kind(broker: BrokerClient, unique: Unique, documents: DocumentServer) -> None:
    document = {"@context": {"level": "https://example.org/level"}}
    location = broker.post("/jsonldContexts", document).expect(201).header("Location")
    hosted = broker.get(location, {"details": True}).expect(200).json["URL"]
    cached = documents.publish_context(level="https://example.org/level")
    broker.post("/entities", entity(unique.id(), unique.type(), level=prop(1)), link=cached).expect(201)
    everything = broker.get("/jsonldContexts").expect(200).json
    assert {hosted, cached} <= set(everything)
    of_kind = {
        kind: broker.get("/jsonldContexts", {"kind": kind}).expect(200).json
        for kind in ("Hosted", "Cached", "ImplicitlyCreated")
    }
    assert [kind for kind, listed in of_kind.items() if hosted in listed] == ["Hosted"]
    assert [kind for kind, listed in of_kind.items() if cached in listed] == ["Cached"]


@clause("5.13.3.4", 1, 2)
@clause("6.29.3.2", 2)
@pytest.mark.parametrize("kind", ["Hosted", "Cached", "ImplicitlyCreated"])
def test_listed_details_are_of_the_kind_that_is_asked_for(
    broker: BrokerClient, unique: Unique, documents: DocumentServer, kind: str
) -> None:
    term = {unique.name("level"): "https://example.org/level"}
    broker.post("/jsonldContexts", {"@context": term}).expect(201)
    given = subscription("http://127.0.0.1:9/notify", entities=[{"type": unique.type()}])
    broker.post("/subscriptions", {**given, "@context": [term, documents.publish_context(**term)]}).expect(201)
    listed = broker.get("/jsonldContexts", {"kind": kind, "details": True}).expect(200).json
    assert listed
    for details in listed:
        assert {"URL", "localId", "kind", "createdAt"} <= details.keys()
        assert details["kind"] == kind


@clause("6.29.3.2", 2)
@pytest.mark.parametrize("query", [{"kind": "hosted"}, {"kind": "Any"}, {"details": "yes"}, {"details": 1}])
def test_parameters_of_the_list_that_have_no_such_value_are_refused(
    broker: BrokerClient, query: dict[str, Any]
) -> None:
    broker.get("/jsonldContexts", query).expect_problem("BadRequestData", "InvalidRequest")


@clause("5.13.4.4", 1)
@clause("5.13.1", 5)
@clause("6.30.3.1", 1)
def test_an_implicitly_created_context_is_served(broker: BrokerClient, unique: Unique) -> None:
    term = {unique.name("level"): "https://example.org/level"}
    given = subscription("http://127.0.0.1:9/notify", entities=[{"type": unique.type()}])
    created = broker.post("/subscriptions", {**given, "@context": [term]}).expect(201)
    url = broker.get(created.header("Location")).expect(200).json["jsonldContext"]
    listed = broker.get("/jsonldContexts", {"kind": "ImplicitlyCreated", "details": True}).expect(200).json
    local_id = next(each["localId"] for each in listed if each["URL"] == url)
    assert term in broker.get(f"/jsonldContexts/{local_id}").expect(200).json["@context"]
    details = broker.get(f"/jsonldContexts/{local_id}", {"details": True}).expect(200).json
    assert details["kind"] == "ImplicitlyCreated"


@clause("5.13.4.4", 3, 5)
@clause("6.30.3.1", 1)
def test_an_unknown_context_is_not_found(broker: BrokerClient, unique: Unique) -> None:
    unknown = f"/jsonldContexts/{unique.id('Context')}"
    broker.get(unknown).expect_problem("ResourceNotFound")
    broker.get(unknown, {"details": True}).expect_problem("ResourceNotFound")


@clause("6.30.3.1", 2)
@pytest.mark.parametrize("details", ["yes", "1", "True!"])
def test_details_that_are_no_boolean_are_refused(broker: BrokerClient, details: str) -> None:
    location = broker.post("/jsonldContexts", {"@context": {}}).expect(201).header("Location")
    broker.get(location, {"details": details}).expect_problem("BadRequestData", "InvalidRequest")


@clause("5.13.5.1", 1)
@clause("5.13.5.4", 7, 8)
@clause("6.30.3.2", 1)
def test_a_deleted_context_is_gone(broker: BrokerClient) -> None:
    location = broker.post("/jsonldContexts", {"@context": {"a": "https://example.org/a"}}).header("Location")
    url = broker.get(location, {"details": True}).expect(200).json["URL"]
    assert broker.delete(location).expect(204).body == b""
    broker.get(location).expect_problem("ResourceNotFound")
    assert url not in broker.get("/jsonldContexts").expect(200).json
    broker.delete(location).expect_problem("ResourceNotFound")


@clause("5.13.5.1", 1)
def test_deleting_an_array_leaves_the_contexts_in_it(broker: BrokerClient) -> None:
    child = broker.post("/jsonldContexts", {"@context": {"a": "https://example.org/a"}}).expect(201).header("Location")
    url = broker.get(child, {"details": True}).expect(200).json["URL"]
    parent = broker.post("/jsonldContexts", {"@context": [url, {"b": "https://example.org/b"}]}).expect(201)
    broker.delete(parent.header("Location")).expect(204)
    broker.get(child).expect(200).expect_json({"@context": {"a": "https://example.org/a"}})


@clause("5.13.5.4", 2)
@clause("6.30.3.2", 1)
@pytest.mark.parametrize("query", [{}, {"reload": False}, {"reload": True}])
def test_an_unknown_context_cannot_be_deleted_or_reloaded(
    broker: BrokerClient, unique: Unique, query: dict[str, bool]
) -> None:
    broker.delete(f"/jsonldContexts/{unique.id('Context')}", query).expect_problem("ResourceNotFound")


@clause("5.13.5.4", 1)
def test_deleting_without_an_identifier_is_refused(broker: BrokerClient) -> None:
    answer = broker.delete("/jsonldContexts/").expect(400, 405)
    if answer.status == 400:  # otherwise the path is the collection's, which has no such method (6.3.2)
        answer.expect_problem("BadRequestData")


@clause("5.13.5.4", 6)
@clause("6.30.3.2", 1)
def test_a_hosted_context_cannot_be_reloaded(broker: BrokerClient) -> None:
    document = {"@context": {"a": "https://example.org/a"}}
    location = broker.post("/jsonldContexts", document).expect(201).header("Location")
    broker.delete(location, {"reload": True}).expect_problem("BadRequestData")
    broker.get(location).expect(200).expect_json(document)


@clause("6.30.3.2", 2)
@pytest.mark.parametrize("reload", ["yes", "1", "reload"])
def test_a_reload_that_is_no_boolean_is_refused(broker: BrokerClient, reload: str) -> None:
    location = broker.post("/jsonldContexts", {"@context": {}}).expect(201).header("Location")
    broker.delete(location, {"reload": reload}).expect_problem("BadRequestData", "InvalidRequest")
    broker.get(location).expect(200)
