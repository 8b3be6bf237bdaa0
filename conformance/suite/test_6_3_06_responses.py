"""6.3.6 HTTP response common requirements, 6.3.7 and 6.3.15 the representations of entities, 6.3.21 the profile of a version."""

import http.client
import re
from typing import Any
from urllib.parse import urlsplit

import pytest

from conformance.broker_client import GEO_JSON, JSON, JSON_LD, BrokerClient
from conformance.clauses import clause
from conformance.samples import Document, Unique, entity, geo, json_prop, lang, list_prop, prop, rel, vocab
from conformance.servers import DocumentServer

CONTEXT_RELATION = "http://www.w3.org/ns/json-ld#context"
CORE = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context"
PLACES = ["/entities/{id}", "/entities?type={type}"]
POINT = {"type": "Point", "coordinates": [8, 40]}
NORMALIZED = {
    "speed": prop(1, unitCode="KMH"),
    "owner": rel("urn:ngsi-ld:Person:1"),
    "name": lang({"fr": "rouge"}),
    "kind": vocab("car"),
    "location": geo("Point", [8, 40]),
}
CONCISE = {
    "speed": {"value": 1, "unitCode": "KMH"},
    "owner": {"object": "urn:ngsi-ld:Person:1"},
    "name": {"languageMap": {"fr": "rouge"}},
    "kind": {"vocab": "car"},
    "location": POINT,
}
SIMPLIFIED = {
    "speed": 1,
    "owner": "urn:ngsi-ld:Person:1",
    "name": {"languageMap": {"fr": "rouge"}},
    "kind": {"vocab": "car"},
    "location": POINT,
}
REPRESENTATIONS = [
    pytest.param({"format": "normalized"}, NORMALIZED, marks=pytest.mark.clause("6.3.7", 1, 4)),
    pytest.param({"format": "concise"}, CONCISE, marks=pytest.mark.clause("6.3.7", 1, 5)),
    pytest.param({"format": "simplified"}, SIMPLIFIED, marks=pytest.mark.clause("6.3.7", 1, 6)),
    pytest.param({"format": "keyValues"}, SIMPLIFIED, marks=pytest.mark.clause("6.3.7", 1, 6)),
    pytest.param({"options": "normalized"}, NORMALIZED, marks=pytest.mark.clause("6.3.7", 1, 7)),
    pytest.param({"options": "concise"}, CONCISE, marks=pytest.mark.clause("6.3.7", 1, 8)),
    pytest.param({"options": "simplified"}, SIMPLIFIED, marks=pytest.mark.clause("6.3.7", 1, 9)),
    pytest.param({"options": "keyValues"}, SIMPLIFIED, marks=pytest.mark.clause("6.3.7", 1, 9)),
    pytest.param({}, NORMALIZED, marks=pytest.mark.clause("6.3.7", 2)),
]


def created(broker: BrokerClient, unique: Unique) -> Document:
    """An entity with attributes of several kinds."""
    one = entity(unique.id(), unique.type(), **NORMALIZED)
    broker.post("/entities", one).expect(201)
    return one


def at(place: str, one: Document) -> str:
    return place.format(id=one["id"], type=one["type"])


@clause("6.3.6", 2)
@pytest.mark.parametrize("path", [*PLACES, "/types", "/attributes", "/subscriptions", "/types/{type}"])
def test_json_names_the_context_of_the_request_in_a_link(
    broker: BrokerClient, unique: Unique, documents: DocumentServer, path: str
) -> None:
    one = created(broker, unique)
    context = documents.publish_context(pace="https://example.org/pace")
    answer = broker.get(at(path, one), link=context).expect(200)
    assert answer.media_type == JSON
    assert answer.link(CONTEXT_RELATION) == context
    (link,) = [each for each in answer.links() if CONTEXT_RELATION in each]
    assert 'type="application/ld+json"' in link
    assert "@context" not in str(answer.json)


@clause("6.3.6", 2)
@pytest.mark.parametrize("path", [*PLACES, "/types", "/subscriptions"])
def test_json_names_the_core_context_where_there_is_no_other(broker: BrokerClient, unique: Unique, path: str) -> None:
    link = broker.get(at(path, created(broker, unique))).expect(200).link(CONTEXT_RELATION)
    assert str(link).startswith(CORE)


@clause("6.3.6", 2)
def test_the_link_of_a_query_with_its_context_in_the_body_leads_to_that_context(
    broker: BrokerClient, unique: Unique
) -> None:
    one = entity(unique.id(), unique.type(), **{"https://example.org/speed": prop(1)})
    broker.post("/entities", one).expect(201)
    query = {"type": "Query", "entities": [{"type": unique.type()}], "@context": {"tempo": "https://example.org/speed"}}
    answer = broker.post("/entityOperations/query", query).expect(200)
    answer.expect_json([entity(one["id"], unique.type(), tempo=prop(1))])
    again = broker.get(f"/entities/{one['id']}", link=answer.link(CONTEXT_RELATION)).expect(200)
    again.expect_json(entity(one["id"], unique.type(), tempo=prop(1)))


@clause("6.3.6", 4)
@pytest.mark.parametrize("path", [*PLACES, "/types", "/attributes", "/types/{type}"])
def test_json_ld_has_the_context_in_the_body(
    broker: BrokerClient, unique: Unique, documents: DocumentServer, path: str
) -> None:
    one = created(broker, unique)
    context = documents.publish_context(pace="https://example.org/pace")
    answer = broker.get(at(path, one), accept=JSON_LD, link=context).expect(200)
    assert answer.media_type == JSON_LD
    body = answer.json[0] if isinstance(answer.json, list) else answer.json
    assert context in body["@context"]
    assert answer.link(CONTEXT_RELATION) is None


@clause("6.3.6", 5)
@clause("6.3.15", 1)
@pytest.mark.parametrize("prefer", [None, "body=ld+json"])
@pytest.mark.parametrize("path", PLACES)
def test_geojson_has_the_context_in_the_body(
    broker: BrokerClient, unique: Unique, documents: DocumentServer, path: str, prefer: str | None
) -> None:
    one = created(broker, unique)
    context = documents.publish_context(pace="https://example.org/pace")
    headers = {} if prefer is None else {"Prefer": prefer}
    answer = broker.get(at(path, one), accept=GEO_JSON, link=context, headers=headers).expect(200)
    assert answer.media_type == GEO_JSON
    assert answer.json["type"] == ("Feature" if "{id}" in path else "FeatureCollection")
    assert context in answer.json["@context"]
    assert answer.link(CONTEXT_RELATION) is None


@clause("6.3.6", 6)
@clause("6.3.15", 1)
@pytest.mark.parametrize("path", PLACES)
def test_geojson_with_a_plain_body_names_the_context_in_a_link(
    broker: BrokerClient, unique: Unique, documents: DocumentServer, path: str
) -> None:
    one = created(broker, unique)
    context = documents.publish_context(pace="https://example.org/pace")
    answer = broker.get(at(path, one), accept=GEO_JSON, link=context, headers={"Prefer": "body=json"}).expect(200)
    assert answer.media_type == GEO_JSON
    assert answer.json["type"] == ("Feature" if "{id}" in path else "FeatureCollection")
    assert "@context" not in str(answer.json)
    assert answer.link(CONTEXT_RELATION) == context


@clause("6.3.15", 1)
def test_a_query_by_post_is_answered_in_geojson(broker: BrokerClient, unique: Unique) -> None:
    one = created(broker, unique)
    query = {"type": "Query", "entities": [{"type": unique.type()}]}
    shown = broker.post("/entityOperations/query", query, accept=GEO_JSON).expect(200).json
    assert shown["type"] == "FeatureCollection"
    assert [(each["id"], each["geometry"]) for each in shown["features"]] == [(one["id"], POINT)]


@clause("6.3.15", 2)
@pytest.mark.parametrize(
    ("chosen", "geometry"),
    [(None, POINT), ("location", POINT), ("site", {"type": "Point", "coordinates": [1, 2]}), ("unheardOf", None)],
)
@pytest.mark.parametrize("path", PLACES)
def test_the_geometry_is_that_of_the_property_that_was_chosen(
    broker: BrokerClient, unique: Unique, path: str, chosen: str | None, geometry: Any
) -> None:
    one = entity(unique.id(), unique.type(), location=geo("Point", [8, 40]), site=geo("Point", [1, 2]))
    broker.post("/entities", one).expect(201)
    shown = broker.get(at(path, one), {"geometryProperty": chosen}, accept=GEO_JSON).expect(200).json
    feature = shown if "{id}" in path else shown["features"][0]
    assert feature["geometry"] == geometry


@pytest.mark.parametrize("path", PLACES)
@pytest.mark.parametrize(("parameters", "expected"), REPRESENTATIONS)
def test_entities_come_in_the_representation_that_is_asked_for(
    broker: BrokerClient, unique: Unique, path: str, parameters: dict[str, str], expected: Document
) -> None:
    one = created(broker, unique)
    shown = broker.get(at(path, one), parameters).expect(200).json
    assert (shown if "{id}" in path else shown[0]) == entity(one["id"], one["type"], **expected)


@pytest.mark.parametrize(("parameters", "expected"), REPRESENTATIONS)
def test_a_query_by_post_comes_in_the_representation_that_is_asked_for(
    broker: BrokerClient, unique: Unique, parameters: dict[str, str], expected: Document
) -> None:
    one = created(broker, unique)
    query = {"type": "Query", "entities": [{"type": unique.type()}]}
    target = "/entityOperations/query" + "".join(f"?{name}={value}" for name, value in parameters.items())
    broker.post(target, query).expect(200).expect_json([entity(one["id"], one["type"], **expected)])


@clause("6.3.7", 6, 9)
@pytest.mark.parametrize("parameters", [{"format": "simplified"}, {"options": "keyValues"}])
def test_geojson_has_a_simplified_form(broker: BrokerClient, unique: Unique, parameters: dict[str, str]) -> None:
    one = created(broker, unique)
    shown = broker.get(f"/entities/{one['id']}", parameters, accept=GEO_JSON).expect(200).json
    assert shown["properties"] == {"type": one["type"], **SIMPLIFIED}


@clause("6.3.7", 4)
@pytest.mark.parametrize(
    "parameters", [{"format": "unheardOf"}, {"format": ""}, {"format": "simplified,concise"}], ids=str
)
def test_a_representation_that_there_is_not_is_refused(
    broker: BrokerClient, unique: Unique, parameters: dict[str, str]
) -> None:
    one = created(broker, unique)
    for place in PLACES:
        broker.get(at(place, one), parameters).expect_problem("InvalidRequest", "BadRequestData")


@clause("6.3.6", 3)
@clause("5.7.1.4", 12)
@clause("5.7.2.4", 23)
@clause("6.4.3.2", 16)
@clause("6.5.3.1", 9)
@pytest.mark.parametrize("accept", [JSON, JSON_LD])
@pytest.mark.parametrize("path", PLACES)
@pytest.mark.parametrize("version", ["1.3", "1.5", "1.7", "1.8", "1.9"])
def test_an_answer_says_which_version_it_conforms_to(
    broker: BrokerClient, unique: Unique, accept: str, path: str, version: str
) -> None:
    one = entity(unique.id(), unique.type(), note=json_prop({"a": 1}), sizes=list_prop([1, 2]))
    broker.post("/entities", one).expect(201)
    answer = broker.get(at(path, one), accept=accept, headers={"Prefer": f"ngsi-ld={version}"}).expect(200, 203)
    applied = re.fullmatch(r"ngsi-ld=(\d+)\.(\d+)", answer.header("Preference-Applied"))
    assert applied is not None
    shown = answer.json if "{id}" in path else answer.json[0]
    before_1_8 = (int(applied[1]), int(applied[2])) < (1, 8)
    assert shown["note"]["type"] == ("Property" if before_1_8 else "JsonProperty")
    assert shown["sizes"]["type"] == ("Property" if before_1_8 else "ListProperty")


@clause("6.3.6", 3)
@clause("6.23.3.1", 3)
@pytest.mark.parametrize("accept", [JSON, JSON_LD])
def test_the_answer_to_a_query_by_post_says_which_version_it_conforms_to(
    broker: BrokerClient, unique: Unique, accept: str
) -> None:
    created(broker, unique)
    query = {"type": "Query", "entities": [{"type": unique.type()}]}
    answer = broker.post("/entityOperations/query", query, accept=accept, headers={"Prefer": "ngsi-ld=1.5"})
    assert re.fullmatch(r"ngsi-ld=\d+\.\d+", answer.expect(200, 203).header("Preference-Applied"))


@clause("6.18.3.2", 21)
@clause("6.19.3.1", 11)
@pytest.mark.parametrize("path", ["/temporal/entities/{id}", "/temporal/entities?type={type}"])
def test_evolutions_come_in_the_version_that_is_preferred(broker: BrokerClient, unique: Unique, path: str) -> None:
    one = entity(unique.id(), unique.type(), note=[json_prop({"a": 1}, observedAt="2026-01-01T00:00:00Z")])
    broker.post("/temporal/entities", one).expect(201)
    interval = {"timerel": "before", "timeAt": "2026-02-01T00:00:00Z"}
    answer = broker.get(at(path, one), interval, headers={"Prefer": "ngsi-ld=1.7"}).expect(203)
    assert answer.header("Preference-Applied") == "ngsi-ld=1.7"
    (shown,) = answer.json if isinstance(answer.json, list) else [answer.json]
    note = shown["note"][0] if isinstance(shown["note"], list) else shown["note"]
    assert note["type"] == "Property"


@clause("6.34.3.1", 4)
def test_an_entity_map_is_made_for_who_prefers_a_version(broker: BrokerClient, unique: Unique) -> None:
    one = created(broker, unique)
    answer = broker.get("/entityMaps", {"type": unique.type()}, headers={"Prefer": "ngsi-ld=1.8"}).expect(201, 203)
    assert re.fullmatch(r"ngsi-ld=\d+\.\d+", answer.header("Preference-Applied"))
    assert list(answer.json["entityMap"]) == [one["id"]]


@clause("6.3.6", 3)
def test_who_prefers_no_version_is_told_of_none(broker: BrokerClient, unique: Unique) -> None:
    answer = broker.get(f"/entities/{created(broker, unique)['id']}").expect(200)
    assert "Preference-Applied" not in answer.headers


@clause("6.3.6", 9, 10)
@pytest.mark.parametrize(
    ("method", "path", "document"),
    [
        ("PATCH", "/entities/{id}/attrs", b'{"speed": 2}'),
        ("PATCH", "/entities/{id}", b'{"speed": 2}'),
        ("PUT", "/entities/{id}", b'{"type": "Vehicle", "speed": 2}'),
        ("PUT", "/entities/{id}/attrs/speed", b'{"value": 2}'),
        ("DELETE", "/entities/{id}/attrs/speed", None),
        ("DELETE", "/entities/{id}", None),
        ("POST", "/entityOperations/delete", b'["{id}"]'),
    ],
)
def test_an_answer_of_204_has_no_content_length(
    broker: BrokerClient, unique: Unique, method: str, path: str, document: bytes | None
) -> None:
    one = created(broker, unique)
    parts = urlsplit(broker.origin)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(str(parts.hostname), parts.port, timeout=20)
    body = None if document is None else document.replace(b"{id}", one["id"].encode())
    headers = {"Content-Type": JSON} if body else {}
    connection.request(method, broker.root + path.format(id=one["id"]), body, headers)
    response = connection.getresponse()
    assert (response.status, response.headers["Content-Length"], response.read()) == (204, None, b"")
    assert (response.headers["Link"], response.headers["Transfer-Encoding"]) == (None, None)
    connection.close()


@clause("6.3.6", 10)
def test_what_is_created_is_answered_without_a_link(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    context = documents.publish_context(speed="https://example.org/speed")
    one = entity(unique.id(), unique.type(), speed=prop(1))
    answer = broker.post("/entities", one, link=context, accept=JSON_LD).expect(201)
    assert (answer.headers["Link"], answer.body) == (None, b"")


@clause("6.3.21", 1)
@pytest.mark.parametrize("rel", ['rel="profile"', 'rel="http://www.w3.org/ns/json-ld#frame"; profile="1.5"'])
def test_the_profile_of_a_version_is_no_context(
    broker: BrokerClient, unique: Unique, documents: DocumentServer, rel: str
) -> None:
    profile = f"<https://uri.etsi.org/ngsi-ld/profile/version>; {rel}"
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", one, headers={"Link": profile}).expect(201)
    context = documents.publish_context(tempo="https://uri.etsi.org/ngsi-ld/default-context/speed")
    both = f'{profile}, <{context}>; rel="{CONTEXT_RELATION}"; type="{JSON_LD}"'
    shown = broker.get(f"/entities/{one['id']}", headers={"Link": both}).expect(200)
    shown.expect_json(entity(one["id"], unique.type(), tempo=prop(1)))
