"""5.8.6 Notification behaviour and 5.2.12: q, geoQ and scopeQ decide whether a change notifies."""

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Document, Unique, entity, geo, json_prop, prop, rel, subscription, vocab
from conformance.servers import DocumentServer, Receiver

TOKYO, OSAKA = [139.69, 35.68], [135.5, 34.7]
SQUARE = [[[139, 35], [140, 35], [140, 36], [139, 36], [139, 35]]]


@clause("5.2.12", 8)
@clause("5.8.6", 7)
@pytest.mark.parametrize(
    ("q", "no", "yes"),
    [
        ("level>10", {"level": prop(10)}, {"level": prop(11)}),
        ("level>10;name", {"level": prop(11), "depth": prop(1)}, {"level": prop(11), "name": prop("a")}),
        ("level>10|name", {"level": prop(1), "depth": prop(1)}, {"level": prop(1), "name": prop("a")}),
        ('name=="Oak"', {"name": prop("Elm")}, {"name": prop("Oak")}),
        ('name~="^O"', {"name": prop("Elm")}, {"name": prop("Oak")}),
        ("level.accuracy<2", {"level": prop(1, accuracy=prop(2))}, {"level": prop(1, accuracy=prop(1))}),
        ("size[height]==5", {"size": prop({"height": 4})}, {"size": prop({"height": 5})}),
        ('by=="urn:ngsi-ld:A:1"', {"by": rel("urn:ngsi-ld:A:2")}, {"by": rel("urn:ngsi-ld:A:1")}),
    ],
)
def test_q_decides(
    broker: BrokerClient, unique: Unique, receiver: Receiver, q: str, no: Document, yes: Document
) -> None:
    broker.post("/subscriptions", subscription(receiver.url, entities=[{"type": unique.type()}], q=q)).expect(201)
    one = entity(unique.id(), unique.type(), **no)
    broker.post("/entities", one).expect(201)
    broker.post(f"/entities/{one['id']}/attrs", yes).expect(204)
    assert receiver.next_json()["data"] == [one | yes]


@clause("5.2.12", 8)
@clause("5.8.6", 7)
def test_q_is_about_the_whole_entity_not_only_what_changed(
    broker: BrokerClient, unique: Unique, receiver: Receiver
) -> None:
    watched = {"entities": [{"type": unique.type()}], "watchedAttributes": ["level"], "q": 'name=="Oak"'}
    broker.post("/subscriptions", subscription(receiver.url, **watched)).expect(201)
    one = entity(unique.id(), unique.type(), level=prop(1), name=prop("Elm"))
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs", {"name": prop("Oak")}).expect(204)
    broker.patch(f"/entities/{one['id']}/attrs", {"level": prop(2)}).expect(204)
    assert receiver.next_json()["data"] == [one | {"name": prop("Oak"), "level": prop(2)}]


@clause("5.2.12", 9)
@clause("5.8.6", 7)
@pytest.mark.parametrize(
    "geo_query",
    [
        {"georel": "near;maxDistance==2000", "geometry": "Point", "coordinates": TOKYO},
        {"georel": "near;minDistance==200000", "geometry": "Point", "coordinates": OSAKA},
        {"georel": "within", "geometry": "Polygon", "coordinates": SQUARE},
        {"georel": "within", "geometry": "Polygon", "coordinates": str(SQUARE)},
        {"georel": "intersects", "geometry": "Polygon", "coordinates": SQUARE},
        {"georel": "disjoint", "geometry": "Point", "coordinates": OSAKA},
        {"georel": "equals", "geometry": "Point", "coordinates": TOKYO},
    ],
)
def test_a_geoquery_decides(broker: BrokerClient, unique: Unique, receiver: Receiver, geo_query: Document) -> None:
    given = subscription(receiver.url, entities=[{"type": unique.type()}], geoQ=geo_query)
    broker.post("/subscriptions", given).expect(201)
    one = entity(unique.id(), unique.type(), location=geo("Point", OSAKA))
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs", {"location": geo("Point", TOKYO)}).expect(204)
    assert receiver.next_json()["data"] == [one | {"location": geo("Point", TOKYO)}]


@clause("5.2.12", 9)
def test_a_geoquery_may_be_about_another_geoproperty(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    query = {"georel": "within", "geometry": "Polygon", "coordinates": SQUARE, "geoproperty": "origin"}
    broker.post("/subscriptions", subscription(receiver.url, entities=[{"type": unique.type()}], geoQ=query)).expect(
        201
    )
    one = entity(unique.id(), unique.type(), location=geo("Point", TOKYO), origin=geo("Point", OSAKA))
    broker.post("/entities", one).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs", {"origin": geo("Point", TOKYO)}).expect(204)
    assert receiver.next_json()["data"] == [one | {"origin": geo("Point", TOKYO)}]


@clause("5.8.6", 10)
def test_one_instance_that_meets_the_geoquery_is_enough(
    broker: BrokerClient, unique: Unique, receiver: Receiver
) -> None:
    query = {"georel": "within", "geometry": "Polygon", "coordinates": SQUARE}
    broker.post("/subscriptions", subscription(receiver.url, entities=[{"type": unique.type()}], geoQ=query)).expect(
        201
    )
    outside, inside = geo("Point", OSAKA), geo("Point", TOKYO, datasetId="urn:ngsi-ld:Dataset:gps")
    one = entity(unique.id(), unique.type(), location=outside)
    broker.post("/entities", one).expect(201)
    broker.post(f"/entities/{one['id']}/attrs", {"location": inside}).expect(204)
    location = receiver.next_json()["data"][0]["location"]
    assert sorted(location, key=len) == [outside, inside]


@clause("5.2.12", 10)
@clause("5.8.6", 7)
@pytest.mark.parametrize(
    ("query", "no", "yes"),
    [
        ("/Tokyo", "/Osaka", "/Tokyo"),
        ("/Tokyo/+", "/Tokyo", "/Tokyo/Shibuya"),
        ("/Tokyo/#", "/Osaka/Kita", "/Tokyo/Shibuya/Ebisu"),
        ("/Tokyo,/Kyoto", "/Osaka", "/Kyoto"),
        ("/Tokyo;/Parks", ["/Tokyo"], ["/Tokyo", "/Parks"]),
    ],
)
def test_a_scope_query_decides(
    broker: BrokerClient, unique: Unique, receiver: Receiver, query: str, no: object, yes: object
) -> None:
    given = subscription(receiver.url, entities=[{"type": unique.type()}], scopeQ=query)
    broker.post("/subscriptions", given).expect(201)
    broker.post("/entities", entity(unique.id(), unique.type(), scope=no, level=prop(1))).expect(201)
    one = entity(unique.id(), unique.type(), scope=yes, level=prop(1))
    broker.post("/entities", one).expect(201)
    assert receiver.next_json()["data"][0]["id"] == one["id"]


@clause("5.8.6", 7)
def test_all_conditions_have_to_be_met_together(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    query = {"georel": "within", "geometry": "Polygon", "coordinates": SQUARE}
    given = subscription(receiver.url, entities=[{"type": unique.type()}], q="level>10", geoQ=query, scopeQ="/Tokyo")
    broker.post("/subscriptions", given).expect(201)
    whole = {"level": prop(11), "location": geo("Point", TOKYO), "scope": "/Tokyo"}
    for part in ({"level": prop(9)}, {"location": geo("Point", OSAKA)}, {"scope": "/Osaka"}):
        broker.post("/entities", entity(unique.id(), unique.type(), **(whole | part))).expect(201)
    one = entity(unique.id(), unique.type(), **whole)
    broker.post("/entities", one).expect(201)
    assert receiver.next_json()["data"] == [one]


@clause("5.2.12", 21)
def test_values_of_attributes_in_expand_values_are_expanded(
    broker: BrokerClient, unique: Unique, receiver: Receiver, documents: DocumentServer
) -> None:
    context = documents.publish_context(Oak="https://example.org/Oak", kind="https://example.org/kind")
    given = subscription(receiver.url, entities=[{"type": unique.type()}], q='kind=="Oak"', expandValues="kind")
    broker.post("/subscriptions", given, link=context).expect(201)
    one = entity(unique.id(), unique.type(), kind=prop("Oak"))
    broker.post("/entities", one, link=context).expect(201)
    broker.post(f"/entities/{one['id']}/attrs", {"kind": vocab("Oak")}, link=context).expect(204)
    assert receiver.next_json()["data"][0]["kind"] == vocab("Oak")


@clause("5.2.12", 21)
def test_keys_within_attributes_in_json_keys_are_not_expanded(
    broker: BrokerClient, unique: Unique, receiver: Receiver, documents: DocumentServer
) -> None:
    context = documents.publish_context(height="https://example.org/height", raw="https://example.org/raw")
    given = subscription(receiver.url, entities=[{"type": unique.type()}], q="raw[height]>10", jsonKeys="raw")
    broker.post("/subscriptions", given, link=context).expect(201)
    one = entity(unique.id(), unique.type(), raw=json_prop({"height": 9}))
    broker.post("/entities", one, link=context).expect(201)
    broker.patch(f"/entities/{one['id']}/attrs", {"raw": json_prop({"height": 11})}, link=context).expect(204)
    assert receiver.next_json()["data"][0]["raw"] == json_prop({"height": 11})
