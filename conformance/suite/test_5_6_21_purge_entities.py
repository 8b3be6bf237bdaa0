"""5.6.21 Purge Entities, 6.4.3.3 DELETE /entities."""

from typing import Any, Final

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, geo, prop, rel
from conformance.servers import DocumentServer

FUKUI: Final = [136.22, 36.06]
NEAR_FUKUI: Final = {"georel": "near;maxDistance==2000", "geometry": "Point", "coordinates": "[136.22,36.06]"}
ELSEWHERE: Final = geo("Point", [0, 0])


@clause("5.6.21.4", 1, 9)
@clause("6.4.3.3", 1, 2)
def test_all_entities_of_a_type_are_deleted_and_no_others(broker: BrokerClient, unique: Unique) -> None:
    doomed = [entity(unique.id(), unique.type("Sensor"), speed=prop(n)) for n in range(30)]
    other = entity(unique.id(), unique.type("Building"))
    broker.post("/entityOperations/create", [*doomed, other]).expect(201)
    assert broker.delete("/entities", {"type": unique.type("Sensor")}).expect(204).body == b""
    broker.get("/entities", {"type": unique.type("Sensor")}).expect(200).expect_json([])
    broker.get(f"/entities/{other['id']}").expect_json(other)


SELECTIONS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "q": ({"q": "speed>50"}, {"speed": prop(60)}, {"speed": prop(40)}),
    "q on existence": ({"q": "owner"}, {"owner": rel("urn:a:b")}, {"speed": prop(60)}),
    "geoquery": (NEAR_FUKUI, {"location": geo("Point", FUKUI)}, {"location": ELSEWHERE}),
    "geoquery, one of several": (
        NEAR_FUKUI,
        {"location": [ELSEWHERE, geo("Point", FUKUI, datasetId="urn:ngsi-ld:Dataset:gps")]},
        {"location": ELSEWHERE},
    ),
    "geoproperty": (
        {**NEAR_FUKUI, "geoproperty": "entrance"},
        {"entrance": geo("Point", FUKUI)},
        {"location": geo("Point", FUKUI), "entrance": ELSEWHERE},
    ),
    "scopeQ": ({"scopeQ": "/Fukui/#"}, {"scope": "/Fukui/Asuwa"}, {"scope": "/Toyama"}),
    "q and scopeQ": (
        {"q": "speed>50", "scopeQ": "/Fukui"},
        {"speed": prop(60), "scope": "/Fukui"},
        {"speed": prop(60), "scope": "/Toyama"},
    ),
}


@clause("5.6.21.4", 7, 8, 9)
@clause("6.4.3.3", 1, 2)
@pytest.mark.parametrize(("query", "selected", "spared"), SELECTIONS.values(), ids=SELECTIONS.keys())
def test_the_conditions_say_what_is_deleted(
    broker: BrokerClient, unique: Unique, query: dict[str, Any], selected: dict[str, Any], spared: dict[str, Any]
) -> None:
    doomed = entity(unique.id(), unique.type(), **selected)
    kept = entity(unique.id(), unique.type(), **spared)
    broker.post("/entityOperations/create", [doomed, kept]).expect(201)
    broker.delete("/entities", {"type": unique.type(), **query}).expect(204)
    broker.get("/entities", {"type": unique.type()}).expect(200).expect_json([kept])


@clause("5.6.21.4", 1, 7)
@pytest.mark.parametrize("narrowing", ["q", "geo", "drop"])
def test_a_query_a_geoquery_or_an_attribute_list_is_enough(
    broker: BrokerClient, unique: Unique, narrowing: str
) -> None:
    place, speed = unique.name("place"), unique.name("speed")
    one = entity(unique.id(), unique.type(), **{place: geo("Point", FUKUI), speed: prop(60)})
    broker.post("/entities", one).expect(201)
    queries = {"q": {"q": f"{speed}>50"}, "geo": {**NEAR_FUKUI, "geoproperty": place}, "drop": {"drop": speed}}
    broker.delete("/entities", queries[narrowing]).expect(204)
    found = broker.get("/entities", {"type": unique.type(), "q": speed}).expect(200)
    found.expect_json([])


@clause("5.6.21.4", 7)
@clause("6.4.3.3", 2, 8)
def test_ids_say_which_entities_of_a_type_are_deleted(broker: BrokerClient, unique: Unique) -> None:
    batch = [entity(unique.id(), unique.type()) for _ in range(3)]
    other = entity(unique.id(), unique.type("Other"))
    broker.post("/entityOperations/create", [*batch, other]).expect(201)
    ids = [batch[0]["id"], batch[2]["id"], other["id"]]
    broker.delete("/entities", {"type": unique.type(), "id": ids}).expect(204)
    broker.get("/entities", {"type": unique.type()}).expect_json([batch[1]])
    broker.get(f"/entities/{other['id']}").expect_json(other)


@clause("5.6.21.4", 7)
@clause("6.4.3.3", 9)
def test_an_id_pattern_says_which_entities_of_a_type_are_deleted(broker: BrokerClient, unique: Unique) -> None:
    doomed, kept = entity(unique.id("Gauge"), unique.type()), entity(unique.id("Lamp"), unique.type())
    broker.post("/entityOperations/create", [doomed, kept]).expect(201)
    broker.delete("/entities", {"type": unique.type(), "idPattern": "^urn:ngsi-ld:Gauge:.*"}).expect(204)
    broker.get("/entities", {"type": unique.type()}).expect_json([kept])


@clause("5.6.21.4", 7)
@pytest.mark.parametrize(
    ("selection", "left"), [("{a}|{b}", {"c"}), ("{a},{c}", {"b"}), ("({a};{b})", {"a", "b", "c"})]
)
def test_the_type_is_a_selection_of_types(broker: BrokerClient, unique: Unique, selection: str, left: set[str]) -> None:
    a, b, c = unique.type("A"), unique.type("B"), unique.type("C")
    types: dict[str, str | list[str]] = {"a": a, "b": b, "c": c, "ab": [a, b]}
    batch = {name: entity(unique.id(), entity_type) for name, entity_type in types.items()}
    broker.post("/entityOperations/create", list(batch.values())).expect(201)
    broker.delete("/entities", {"type": selection.format(a=a, b=b, c=c)}).expect(204)
    found = broker.get("/entities", {"type": f"{a},{b},{c}"}).expect(200).json
    assert {one["id"] for one in found} == {batch[name]["id"] for name in left}


@clause("5.6.21.4", 10)
@clause("6.4.3.3", 2)
def test_what_is_dropped_goes_and_the_entities_stay(broker: BrokerClient, unique: Unique) -> None:
    gps = prop(2, datasetId="urn:ngsi-ld:Dataset:gps")
    one = entity(unique.id(), unique.type(), speed=[prop(1), gps], fuel=prop(7), owner=rel("urn:a:b"))
    two = entity(unique.id(), unique.type(), owner=rel("urn:a:b"))
    broker.post("/entityOperations/create", [one, two]).expect(201)
    broker.delete("/entities", {"type": unique.type(), "drop": ["speed", "fuel"]}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json(entity(one["id"], one["type"], owner=rel("urn:a:b")))
    broker.get(f"/entities/{two['id']}").expect_json(two)


@clause("5.6.21.4", 11)
@clause("6.4.3.3", 2)
def test_all_but_what_is_kept_goes_and_the_entities_stay(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(1), fuel=prop(7), owner=rel("urn:a:b"))
    two = entity(unique.id(), unique.type(), owner=rel("urn:a:b"))
    broker.post("/entityOperations/create", [one, two]).expect(201)
    broker.delete("/entities", {"type": unique.type(), "keep": ["speed", "fuel"]}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_json(entity(one["id"], one["type"], speed=prop(1), fuel=prop(7)))
    broker.get(f"/entities/{two['id']}").expect_json(entity(two["id"], two["type"]))


@clause("5.6.21.4", 10)
def test_only_entities_that_match_lose_attributes(broker: BrokerClient, unique: Unique) -> None:
    fast = entity(unique.id(), unique.type(), speed=prop(60), fuel=prop(7))
    slow = entity(unique.id(), unique.type(), speed=prop(40), fuel=prop(7))
    broker.post("/entityOperations/create", [fast, slow]).expect(201)
    broker.delete("/entities", {"type": unique.type(), "q": "speed>50", "drop": "fuel"}).expect(204)
    broker.get(f"/entities/{fast['id']}").expect_json(entity(fast["id"], fast["type"], speed=prop(60)))
    broker.get(f"/entities/{slow['id']}").expect_json(slow)


@clause("5.6.21.4", 6)
def test_names_mean_what_the_context_of_the_request_says(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    terms = {"Voertuig": f"https://example.org/{unique.type()}", "snelheid": "https://example.org/terms/speed"}
    dutch = documents.publish_context(**terms)
    one = entity(unique.id(), "Voertuig", snelheid=prop(60), fuel=prop(7))
    broker.post("/entities", one, link=dutch).expect(201)
    broker.delete("/entities", {"type": "Voertuig", "q": "snelheid>50", "drop": "snelheid"}, link=dutch).expect(204)
    broker.get(f"/entities/{one['id']}", link=dutch).expect_json(entity(one["id"], "Voertuig", fuel=prop(7)))
    broker.delete("/entities", {"type": terms["Voertuig"]}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@clause("5.6.21.4", 2)
@clause("6.4.3.3", 5)
@pytest.mark.parametrize(
    "query", [{}, {"id": "urn:a:b"}, {"idPattern": ".*"}, {"scopeQ": "/#"}, {"local": False}], ids=str
)
def test_too_wide_a_purge_deletes_nothing(broker: BrokerClient, unique: Unique, query: dict[str, Any]) -> None:
    tenant = unique.name("tenant")  # where a broker gets this wrong, others should not lose their entities
    one = entity(unique.id(), unique.type(), scope="/Fukui")
    broker.post("/entities", one, tenant=tenant).expect(201)
    broker.delete("/entities", query, tenant=tenant).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}", tenant=tenant).expect_json(one)


@clause("5.6.21.4", 1)
@clause("6.4.3.3", 10)
def test_within_the_local_scope_an_id_is_enough(broker: BrokerClient, unique: Unique) -> None:
    doomed, kept = entity(unique.id(), unique.type()), entity(unique.id(), unique.type())
    broker.post("/entityOperations/create", [doomed, kept]).expect(201)
    broker.delete("/entities", {"id": doomed["id"], "local": True}).expect(204)
    broker.get("/entities", {"type": unique.type()}).expect_json([kept])


@clause("5.6.21.4", 1)
@clause("6.4.3.3", 10, 11)
@pytest.mark.parametrize("query", [{"local": True}, {"type": "*"}, {"type": "*", "local": True}], ids=str)
def test_all_that_is_local_can_be_deleted(broker: BrokerClient, unique: Unique, query: dict[str, Any]) -> None:
    tenant = unique.name("tenant")
    batch = [entity(unique.id(), unique.type(name)) for name in ("A", "B", "C")]
    broker.post("/entityOperations/create", batch, tenant=tenant).expect(201)
    broker.delete("/entities", query, tenant=tenant).expect(204)
    broker.get("/entities", {"local": True}, tenant=tenant).expect(200).expect_json([])


@clause("6.4.3.3", 11)
def test_every_type_cannot_be_outside_the_local_scope(broker: BrokerClient, unique: Unique) -> None:
    tenant = unique.name("tenant")
    one = entity(unique.id(), unique.type())
    broker.post("/entities", one, tenant=tenant).expect(201)
    answer = broker.delete("/entities", {"type": "*", "local": False}, tenant=tenant)
    answer.expect_problem("BadRequestData", "InvalidRequest")
    broker.get(f"/entities/{one['id']}", tenant=tenant).expect_json(one)


@clause("6.4.3.3", 6)
def test_a_geoproperty_without_a_geoquery_is_ignored(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type())
    broker.post("/entities", one).expect(201)
    broker.delete("/entities", {"type": unique.type(), "geoproperty": "entrance"}).expect(204)
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@clause("5.6.21.4", 3)
@clause("6.4.3.3", 4, 5, 7)
@pytest.mark.parametrize("missing", ["georel", "geometry", "coordinates"])
def test_a_geoquery_has_all_its_parts(broker: BrokerClient, unique: Unique, missing: str) -> None:
    one = entity(unique.id(), unique.type(), location=geo("Point", FUKUI))
    broker.post("/entities", one).expect(201)
    query = {name: value for name, value in NEAR_FUKUI.items() if name != missing}
    broker.delete("/entities", {"type": unique.type(), **query}).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_json(one)


INVALID: dict[str, dict[str, str]] = {
    "id": {"id": "no-URI"},
    "one of several ids": {"id": "urn:a:b,no-URI"},
    "q": {"q": "speed>"},
    "csf": {"csf": "((("},
    "georel": {**NEAR_FUKUI, "georel": "beside"},
    "geometry": {**NEAR_FUKUI, "geometry": "Circle"},
    "coordinates": {**NEAR_FUKUI, "coordinates": "[136.22"},
}


@clause("5.6.21.4", 3)
@clause("6.4.3.3", 8)
@pytest.mark.parametrize("query", INVALID.values(), ids=INVALID.keys())
def test_what_cannot_be_read_deletes_nothing(broker: BrokerClient, unique: Unique, query: dict[str, str]) -> None:
    one = entity(unique.id(), unique.type(), speed=prop(60), location=geo("Point", FUKUI))
    broker.post("/entities", one).expect(201)
    broker.delete("/entities", {"type": unique.type(), **query}).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_json(one)


@clause("5.6.21.4", 4)
@pytest.mark.parametrize("query", [{"drop": "owner{name}"}, {"keep": "owner{name}"}], ids=str)
def test_attribute_lists_do_not_reach_into_linked_entities(
    broker: BrokerClient, unique: Unique, query: dict[str, str]
) -> None:
    owner = entity(unique.id("Person"), unique.type("Person"), name=prop("Suzuki"))
    one = entity(unique.id(), unique.type(), owner=rel(owner["id"], objectType=owner["type"]), speed=prop(60))
    broker.post("/entityOperations/create", [owner, one]).expect(201)
    broker.delete("/entities", {"type": unique.type(), **query}).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_json(one)
    broker.get(f"/entities/{owner['id']}").expect_json(owner)


@clause("5.6.21.4", 5)
@pytest.mark.parametrize("path", ["owner{name}", "owner{Person:name}"])
def test_a_query_does_not_reach_into_linked_entities(
    broker: BrokerClient, unique: Unique, documents: DocumentServer, path: str
) -> None:
    context = documents.publish_context(Person=f"https://example.org/{unique.type('Person')}")
    owner = entity(unique.id("Person"), "Person", name=prop("Suzuki"))
    one = entity(unique.id(), unique.type(), owner=rel(owner["id"], objectType="Person"))
    broker.post("/entityOperations/create", [owner, one], link=context).expect(201)
    query = {"type": unique.type(), "q": f'{path}=="Suzuki"'}
    broker.delete("/entities", query, link=context).expect_problem("BadRequestData")
    assert broker.get(f"/entities/{one['id']}").expect(200).json["id"] == one["id"]


@clause("6.4.3.3", 3)
def test_an_entity_map_says_which_entities_are_purged(broker: BrokerClient, unique: Unique) -> None:
    first, later = (entity(unique.id(), unique.type(), speed=prop(60)) for _ in range(2))
    broker.post("/entities", first).expect(201)
    created = broker.get("/entityMaps", {"type": unique.type()}).expect(201)
    broker.post("/entities", later).expect(201)
    headers = {"NGSILD-EntityMap": created.header("NGSILD-EntityMap")}
    broker.delete("/entities", {"type": unique.type()}, headers=headers).expect(204)
    broker.get(f"/entities/{first['id']}").expect_problem("ResourceNotFound")
    broker.get(f"/entities/{later['id']}").expect_json(later)
