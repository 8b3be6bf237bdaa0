"""5.5.7 Term to URI expansion or compaction, 5.5.5 Default @context assignment, 5.5.1 comparing URIs."""

from typing import Any
from urllib.parse import quote

import pytest

from conformance.broker_client import JSON_LD, BrokerClient
from conformance.clauses import clause
from conformance.samples import DEFAULT_CONTEXT, Unique, entity, geo, json_prop, prop, rel, vocab
from conformance.servers import DocumentServer

SPEED = "https://example.org/speed"
CORE = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.9.jsonld"
TERMS: list[tuple[Any, str, str]] = [
    ({"tempo": SPEED}, "tempo", SPEED),
    ({"tempo": {"@id": SPEED}}, "tempo", SPEED),
    ({"ex": "https://example.org/"}, "ex:speed", SPEED),
    ({"ex": "https://example.org/", "tempo": "ex:speed"}, "tempo", SPEED),
    ({"ex": "https://example.org/", "tempo": {"@id": "ex:speed"}}, "tempo", SPEED),
    ([{"tempo": "https://example.org/pace"}, {"tempo": SPEED}], "tempo", SPEED),
    ([{"ex": "https://example.org/"}, {"tempo": "ex:speed"}], "tempo", SPEED),
    ({"speed": SPEED}, SPEED, SPEED),
    ({}, "tempo", f"{DEFAULT_CONTEXT}tempo"),
    ({"other": SPEED}, "tempo", f"{DEFAULT_CONTEXT}tempo"),
    ({}, "urn:example:speed", "urn:example:speed"),
]
"""An @context, a name under it, and the full name."""
CORE_TERMS = [
    "id",
    "type",
    "value",
    "object",
    "observedAt",
    "unitCode",
    "createdAt",
    "location",
    "Property",
    "Relationship",
]
SCOPED = [
    {"speed": {"@id": SPEED, "@context": {"unit": "https://example.org/unit"}}},
    {"Car": {"@id": "https://example.org/Car", "@context": {"speed": SPEED}}},
    [{"a": "https://example.org/a"}, {"speed": {"@id": SPEED, "@context": {}}}],
]


@clause("5.5.7", 1, 3)
@pytest.mark.parametrize(("context", "name", "full"), TERMS)
def test_what_is_written_is_kept_under_its_full_name(
    broker: BrokerClient, unique: Unique, context: Any, name: str, full: str
) -> None:
    one = entity(unique.id(), unique.type(), **{name: prop(1)})
    broker.post("/entities", {**one, "@context": context}).expect(201)
    empty = {"@context": {"unheardOf": "https://example.org/unheardOf"}}
    query = {"type": "Query", "entities": [{"type": unique.type()}], **empty, "attrs": [full]}
    (shown,) = broker.post("/entityOperations/query", query).expect(200).json
    assert shown[full.removeprefix(DEFAULT_CONTEXT)] == prop(1)


@clause("5.5.7", 2, 3)
@pytest.mark.parametrize(("context", "name", "full"), TERMS)
def test_what_is_read_is_shown_in_the_terms_of_the_context(
    broker: BrokerClient, unique: Unique, documents: DocumentServer, context: Any, name: str, full: str
) -> None:
    one = entity(unique.id(), unique.type(), **{full: prop(1)})
    broker.post("/entities", one).expect(201)
    link = documents.publish({"@context": context})
    shown = broker.get(f"/entities/{one['id']}", link=link).expect(200).json
    written = "speed" if name == SPEED else name
    assert shown == entity(one["id"], unique.type(), **{written: prop(1)})


@clause("5.5.7", 1, 2)
def test_types_relations_and_words_have_full_names_too(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    here, there = (
        documents.publish_context(**dict(zip(names, targets, strict=True)))
        for targets in [
            [f"https://example.org/{unique.type()}", "https://example.org/owner", "https://example.org/red"]
        ]
        for names in (("Car", "owner", "red"), ("Auto", "besitzer", "rot"))
    )
    one = entity(unique.id(), "Car", owner=rel("urn:ngsi-ld:Person:1"), paint=vocab("red"))
    broker.post("/entities", one, link=here).expect(201)
    expected = entity(one["id"], "Auto", besitzer=rel("urn:ngsi-ld:Person:1"), paint=vocab("rot"))
    broker.get(f"/entities/{one['id']}", link=there).expect(200).expect_json(expected)
    query = {"type": "Auto", "q": 'besitzer=="urn:ngsi-ld:Person:1"'}
    broker.get("/entities", query, link=there).expect(200).expect_json([expected])


@clause("5.5.7", 5)
def test_a_query_matches_where_its_context_gives_the_same_full_name(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    mine = documents.publish_context(Vehicle=f"https://example.org/{unique.type()}")
    other = documents.publish_context(Vehicle=f"https://example.com/{unique.type()}")
    one = entity(unique.id(), "Vehicle", speed=prop(1))
    broker.post("/entities", one, link=mine).expect(201)
    broker.get("/entities", {"type": "Vehicle"}, link=mine).expect(200).expect_json([one])
    broker.get("/entities", {"type": "Vehicle"}, link=other).expect(200).expect_json([])
    found = broker.get("/entities", {"type": f"https://example.org/{unique.type()}"}).expect(200).json
    assert [each["id"] for each in found] == [one["id"]]


@clause("5.5.7", 5)
@clause("5.5.5", 1)
def test_the_context_of_an_earlier_call_does_not_count(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), tempo=prop(1))
    broker.post("/entities", {**one, "@context": {"tempo": SPEED}}).expect(201)
    broker.post(f"/entities/{one['id']}/attrs", {"tempo": prop(2)}).expect(204)
    shown = broker.get(f"/entities/{one['id']}").expect(200).json
    assert (shown[SPEED], shown["tempo"]) == (prop(1), prop(2))
    broker.patch(f"/entities/{one['id']}/attrs", {"tempo": prop(3), "@context": {"tempo": SPEED}}).expect(204)
    shown = broker.get(f"/entities/{one['id']}").expect(200).json
    assert (shown[SPEED], shown["tempo"]) == (prop(3), prop(2))


@clause("5.5.5", 1)
@clause("5.5.7", 4)
def test_without_a_context_the_core_one_gives_names(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1), location=geo("Point", [8, 40]))
    broker.post("/entities", one).expect(201)
    full = {f"{DEFAULT_CONTEXT}speed": prop(1), "https://uri.etsi.org/ngsi-ld/location": geo("Point", [8, 40])}
    other = entity(unique.id(), DEFAULT_CONTEXT + unique.type(), **full)
    broker.post("/entities", other).expect(201)
    found = broker.get("/entities", {"type": unique.type()}, accept=JSON_LD).expect(200).json
    for shown, entity_id in zip(sorted(found, key=lambda each: str(each["id"])), (one["id"], other["id"]), strict=True):
        assert {**shown, "@context": CORE} == {**one, "id": entity_id, "@context": CORE}
        assert shown["@context"].startswith("https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context")


@clause("5.5.7", 8)
@pytest.mark.parametrize("context", [None, {"tempo": "https://example.org/pace"}, {"ex": "https://example.com/"}])
def test_a_name_without_a_term_is_shown_in_full(
    broker: BrokerClient, unique: Unique, documents: DocumentServer, context: Any
) -> None:
    full_type = f"https://example.org/{unique.type()}"
    one = entity(unique.id(), full_type, **{SPEED: prop(1, **{"https://example.org/unit": prop("m")})})
    broker.post("/entities", one).expect(201)
    link = None if context is None else documents.publish({"@context": context})
    broker.get(f"/entities/{one['id']}", link=link).expect(200).expect_json(one)
    broker.get("/entities", {"type": full_type}, link=link).expect(200).expect_json([one])


@clause("5.5.7", 8)
def test_a_name_is_not_shown_by_a_term_that_means_something_else(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", one).expect(201)
    link = documents.publish_context(speed=SPEED)
    shown = broker.get(f"/entities/{one['id']}", link=link).expect(200).json
    # The core @context has a prefix for this name, with which JSON-LD compacts it.
    (name,) = shown.keys() - {"id", "type"}
    assert name in (f"{DEFAULT_CONTEXT}speed", "ngsi-ld:default-context/speed")
    assert shown[name] == prop(1)


@clause("5.5.7", 6)
@pytest.mark.parametrize("context", SCOPED, ids=["of a property", "of a type", "in an array"])
def test_a_scoped_context_is_refused(
    broker: BrokerClient, unique: Unique, documents: DocumentServer, context: Any
) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1))
    broker.post("/entities", {**one, "@context": context}).expect_problem("BadRequestData")
    link = documents.publish({"@context": context})
    broker.post("/entities", one, link=link).expect_problem("BadRequestData")
    broker.get("/entities", {"type": unique.type()}, link=link).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@clause("5.5.7", 6)
@pytest.mark.parametrize(
    "attribute",
    [
        prop(1, **{"@context": {"unit": "https://example.org/unit"}}),
        prop(1, unit=prop("m", **{"@context": {}})),
        rel("urn:ngsi-ld:Person:1", **{"@context": CORE}),
        [prop(1, datasetId="urn:d:1", **{"@context": {}})],
    ],
    ids=["property", "sub-attribute", "relationship", "instance"],
)
@pytest.mark.parametrize("outside", [{"@context": CORE}, {}], ids=["JSON-LD", "JSON"])
def test_a_context_inside_an_attribute_is_refused(
    broker: BrokerClient, unique: Unique, attribute: Any, outside: dict[str, Any]
) -> None:
    one = entity(unique.id(), unique.type(), speed=attribute)
    broker.post("/entities", {**one, **outside}).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@clause("5.5.5", 2)
@clause("5.5.7", 7)
@pytest.mark.parametrize("place", ["before", "behind", "alone"])
@pytest.mark.parametrize("term", CORE_TERMS)
def test_no_context_changes_what_a_core_term_means(broker: BrokerClient, unique: Unique, term: str, place: str) -> None:
    mine = {term: f"https://example.org/{term}"}
    context = {"before": [mine, CORE], "behind": [CORE, mine], "alone": mine}[place]
    one = entity(
        unique.id(),
        unique.type(),
        speed=prop(1, unitCode="MTR", observedAt="2026-01-01T00:00:00Z"),
        owner=rel("urn:ngsi-ld:Person:1"),
        location=geo("Point", [8, 40]),
    )
    answer = broker.post("/entities", {**one, "@context": context})
    # A broker may also refuse an @context that redefines what is protected (JSON-LD 1.1, 4.1.11).
    if answer.status != 201:
        answer.expect_problem("BadRequestData")
        return
    broker.get(f"/entities/{one['id']}").expect(200).expect_json(one)


@clause("5.5.7", 9)
def test_the_keys_of_a_json_property_are_left_alone(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    link = documents.publish_context(tempo=SPEED, record="https://example.org/record")
    value = {"tempo": 1, SPEED: 2, "@id": "x", "deep": [{"tempo": None}]}
    one = entity(unique.id(), unique.type(), record=json_prop(value))
    broker.post("/entities", one, link=link).expect(201)
    shown = broker.get(f"/entities/{one['id']}").expect(200).json
    assert shown["https://example.org/record"] == json_prop(value)
    query = {"type": unique.type(), "q": "record[tempo]==1"}
    broker.get("/entities", query, link=link).expect(200).expect_json([one])


@clause("5.5.1", 1)
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("urn:x:{}:a", "urn:x:{}:A"),
        ("http://example.org/{}/a", "http://example.org/{}/a/"),
        ("http://example.org/{}/a", "https://example.org/{}/a"),
        ("http://example.org/{}?a=1", "http://example.org/{}?a=2"),
        ("http://example.org/{}#a", "http://example.org/{}"),
    ],
)
def test_uris_that_differ_are_two(broker: BrokerClient, unique: Unique, first: str, second: str) -> None:
    ids = [uri.format(unique.name("x")) for uri in (first, second)]
    for number, entity_id in enumerate(ids):
        broker.post("/entities", entity(entity_id, unique.type(), speed=prop(number))).expect(201)
    for number, entity_id in enumerate(ids):
        shown = broker.get(f"/entities/{quote(entity_id, safe='')}").expect(200).json
        assert (shown["id"], shown["speed"]) == (entity_id, prop(number))
        query = {"type": unique.type(), "id": entity_id}
        assert [each["id"] for each in broker.get("/entities", query).expect(200).json] == [entity_id]


@clause("5.5.1", 1)
@pytest.mark.parametrize(
    "written", ["urn:ngsi-ld:Car:{}", "urn%3Angsi-ld%3ACar%3A{}", "urn%3angsi-ld%3aCar%3a{}", "%75rn:ngsi-ld:Car:{}"]
)
def test_an_id_is_the_same_however_a_path_encodes_it(broker: BrokerClient, unique: Unique, written: str) -> None:
    one = entity(f"urn:ngsi-ld:Car:{unique.name('x')}", unique.type(), speed=prop(1))
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{written.format(unique.name('x'))}").expect(200).expect_json(one)
    broker.post("/entities", one).expect_problem("AlreadyExists")
