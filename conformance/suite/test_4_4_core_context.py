"""4.4 Core and user NGSI-LD @context, 5.2.3 @context."""

from typing import Any

import pytest

from conformance.broker_client import JSON_LD, BrokerClient
from conformance.clauses import clause
from conformance.samples import DEFAULT_CONTEXT, Unique, entity, geo, prop, rel, vocab
from conformance.servers import DocumentServer

_NGSI_LD = "https://uri.etsi.org/ngsi-ld/"
_CORE = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context"


@clause("4.4", 1, 10)
def test_requests_may_say_at_id_and_at_type_and_responses_say_id_and_type(broker: BrokerClient, unique: Unique) -> None:
    one, kind = unique.id(), unique.type()
    sub = {"@type": "Property", "value": 2}
    broker.post("/entities", {"@id": one, "@type": kind, "speed": {"@type": "Property", "value": 5, "a": sub}}).expect(
        201
    )
    broker.get(f"/entities/{one}").expect_json(entity(one, kind, speed=prop(5, a=prop(2))))


@pytest.mark.parametrize("format_", ["normalized", "concise", "simplified"])
@clause("4.4", 1)
def test_no_representation_says_at_id_or_at_type(broker: BrokerClient, unique: Unique, format_: str) -> None:
    one = entity(unique.id(), unique.type(), driver=rel("urn:ngsi-ld:Person:1", since=prop(2020)))
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}", {"format": format_}).expect(200)
    assert b'"@id"' not in shown.body
    assert b'"@type"' not in shown.body


@clause("4.4", 3, 11)
def test_without_any_context_names_fall_to_the_default_context_of_the_core(
    broker: BrokerClient, unique: Unique
) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(5))
    broker.post("/entities", one).expect(201)
    found = broker.get("/entities", {"type": DEFAULT_CONTEXT + unique.type(), "pick": DEFAULT_CONTEXT + "speed"})
    found.expect(200).expect_json([{"speed": prop(5)}])


@clause("4.4", 3)
@clause("4.5.1", 2)
def test_a_user_context_expands_names_on_the_way_in_and_compacts_them_on_the_way_out(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    base = f"https://example.org/{unique.name('v')}/"
    one = unique.id()
    context = documents.publish_context(Car=base + "Car", velocity=base + "speed", driver=base + "driver")
    written = entity(one, "Car", velocity=prop(5, driver=rel("urn:ngsi-ld:Person:1")))
    broker.post("/entities", written, link=context).expect(201)
    broker.get(f"/entities/{one}", link=context).expect_json(written)
    expected = entity(one, base + "Car", **{base + "speed": prop(5, **{base + "driver": rel("urn:ngsi-ld:Person:1")})})
    broker.get(f"/entities/{one}").expect_json(expected)


@clause("4.4", 3, 12)
def test_the_context_may_stand_in_the_body_or_in_the_link_header(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    terms = {"Car": f"https://example.org/{unique.name('Car')}"}
    inside, linked = entity(unique.id(), "Car"), entity(unique.id(), "Car")
    context = documents.publish_context(**terms)
    broker.post("/entities", {"@context": [terms, _CORE + "-v1.9.jsonld"], **inside}).expect(201)
    broker.post("/entities", linked, link=context).expect(201)
    found = broker.get("/entities", {"type": "Car"}, link=context).expect(200).json
    assert sorted(each["id"] for each in found) == [inside["id"], linked["id"]]


@pytest.mark.parametrize("core_first", [True, False], ids=["core first", "core last"])
@clause("4.4", 4, 5)
@clause("4.2.3", 2)
def test_core_terms_mean_the_same_wherever_the_core_context_stands(
    broker: BrokerClient, unique: Unique, core_first: bool
) -> None:
    mine = {"location": "https://example.org/elsewhere", "speed": f"https://example.org/{unique.name('speed')}"}
    core = _CORE + "-v1.9.jsonld"
    place = geo("Point", [135.75, 35.0])
    one = entity(unique.id(), unique.type(), location=place, speed=prop(5))
    broker.post("/entities", {"@context": [core, mine] if core_first else [mine, core], **one}).expect(201)
    shown = broker.get(f"/entities/{one['id']}").expect(200).json
    assert shown["location"] == place
    assert shown[mine["speed"]] == prop(5)


@clause("4.4", 4, 5)
def test_a_user_context_cannot_turn_core_members_into_something_else(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    hostile = documents.publish_context(
        value="https://example.org/v", Property="https://example.org/P", observedAt="https://example.org/o"
    )
    one = entity(unique.id(), unique.type(), speed=prop(5, observedAt="2026-01-01T00:00:00Z"))
    broker.post("/entities", one, link=hostile).expect(201)
    broker.get(f"/entities/{one['id']}").expect_json(one)
    broker.get(f"/entities/{one['id']}", link=hostile).expect_json(one)


@clause("4.4", 6)
@clause("5.2.3", 1)
def test_json_ld_answers_have_the_core_context_last(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    context = documents.publish_context(speed=f"https://example.org/{unique.name('speed')}")
    one = entity(unique.id(), unique.type(), speed=prop(5))
    broker.post("/entities", one, link=context).expect(201)
    shown = broker.get(f"/entities/{one['id']}", link=context, accept=JSON_LD).expect(200).json["@context"]
    assert context in shown
    assert shown[-1].startswith(_CORE)


@clause("4.4", 6)
@clause("5.2.3", 1)
def test_json_ld_answers_without_a_user_context_have_the_core_context(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(5))
    broker.post("/entities", one).expect(201)
    shown = broker.get(f"/entities/{one['id']}", accept=JSON_LD).expect(200).json["@context"]
    assert (shown if isinstance(shown, str) else shown[-1]).startswith(_CORE)


@clause("5.2.3", 1)
def test_each_entity_of_a_json_ld_list_has_its_context(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    context = documents.publish_context(Car=f"https://example.org/{unique.name('Car')}")
    for _ in range(2):
        broker.post("/entities", entity(unique.id(), "Car"), link=context).expect(201)
    shown = broker.get("/entities", {"type": "Car"}, link=context, accept=JSON_LD).expect(200).json
    assert len(shown) == 2
    assert all(context in each["@context"] for each in shown)
    assert all(each["@context"][-1].startswith(_CORE) for each in shown)


@clause("5.2.3", 1)
def test_a_subscription_in_json_ld_has_its_context(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    context = documents.publish_context(Car=f"https://example.org/{unique.name('Car')}")
    subscription = {
        "type": "Subscription",
        "entities": [{"type": "Car"}],
        "notification": {"endpoint": {"uri": "http://127.0.0.1:9/"}},
    }
    made = broker.post("/subscriptions", subscription, link=context).expect(201).header("Location")
    shown = broker.get(made, link=context, accept=JSON_LD).expect(200).json
    assert shown["entities"] == [{"type": "Car"}]
    assert context in shown["@context"]
    assert shown["@context"][-1].startswith(_CORE)


@clause("5.2.3", 1)
def test_the_context_may_be_one_url_or_an_array_or_an_object(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    speed = f"https://example.org/{unique.name('speed')}"
    context = documents.publish_context(speed=speed)
    for given in (context, [context], {"speed": speed}, [{"speed": speed}, _CORE + ".jsonld"]):
        one = entity(unique.id(), unique.type(), speed=prop(5))
        broker.post("/entities", {"@context": given, **one}).expect(201)
        broker.get(f"/entities/{one['id']}").expect_json(entity(one["id"], one["type"], **{speed: prop(5)}))


@pytest.mark.parametrize("context", [_CORE + "-v1.9.jsonld", [_CORE + ".jsonld"], {}, []], ids=str)
@clause("5.2.3", 1)
@clause("4.4", 2)
def test_the_context_may_be_the_core_context_alone(broker: BrokerClient, unique: Unique, context: Any) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(5))
    broker.post("/entities", {"@context": context, **one}).expect(201)
    broker.get(f"/entities/{one['id']}").expect_json(one)


@pytest.mark.parametrize("context", [5, True, [5], "not a url", {"speed": 5}], ids=str)
@clause("5.2.3", 1)
def test_what_is_no_context_is_refused(broker: BrokerClient, unique: Unique, context: Any) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(5))
    broker.post("/entities", {"@context": context, **one}).expect_problem(
        "BadRequestData", "InvalidRequest", "LdContextNotAvailable"
    )
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@pytest.mark.parametrize(
    ("iri", "term"),
    [
        *((_NGSI_LD + term, term) for term in ("location", "observationSpace", "operationSpace")),
        *((_NGSI_LD + term, term) for term in ("Property", "Subscription", "Snapshot", "DateTime", "EntityTypeList")),
        *((_NGSI_LD + term, term) for term in ("watchedAttributes", "notification", "endpoint", "timeInterval")),
        *((_NGSI_LD + term, term) for term in ("contextSourceInfo", "entityCount", "scope", "unitCode", "observedAt")),
        *((_NGSI_LD + term, term) for term in ("instanceId", "ngsildproof", "orderBy", "aggrMethods", "idPattern")),
        (_NGSI_LD + "hasValue", "value"),
        (_NGSI_LD + "hasObject", "object"),
        ("http://purl.org/dc/terms/description", "description"),
        ("http://purl.org/dc/terms/title", "title"),
        ("https://purl.org/geojson/vocab#MultiPolygon", "MultiPolygon"),
        ("https://purl.org/geojson/vocab#Feature", "Feature"),
    ],
)
@clause("4.4", 2, 7)
@clause("5.2.1", 2)
def test_the_terms_of_annex_b_stand_for_their_uris(broker: BrokerClient, unique: Unique, iri: str, term: str) -> None:
    one = entity(unique.id(), unique.type(), meaning=vocab(iri))
    broker.post("/entities", one).expect(201)
    assert broker.get(f"/entities/{one['id']}").expect(200).json["meaning"] == vocab(term)


@pytest.mark.parametrize("coercion", ["http://www.w3.org/2001/XMLSchema#date", f"{_NGSI_LD}DateTime", "@id"])
@clause("4.4", 8)
def test_a_user_context_may_say_the_type_of_a_term(
    broker: BrokerClient, unique: Unique, documents: DocumentServer, coercion: str
) -> None:
    iri = f"https://example.org/{unique.name('tested')}"
    context = documents.publish_context(tested={"@id": iri, "@type": coercion})
    one = entity(unique.id(), unique.type(), tested=prop("2018-12-04"))
    broker.post("/entities", one, link=context).expect(201)
    assert broker.get(f"/entities/{one['id']}").expect(200).json[iri] == prop("2018-12-04")


@clause("4.4", 9)
def test_a_user_context_with_a_scoped_context_is_refused(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    scoped = {"@id": "https://example.org/speed", "@context": {"value": "https://example.org/v"}}
    one = entity(unique.id(), unique.type(), speed=prop(5))
    broker.post("/entities", {"@context": {"speed": scoped}, **one}).expect_problem("BadRequestData")
    context = documents.publish_context(speed=scoped)
    broker.post("/entities", one, link=context).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")
