"""4.9 NGSI-LD Query Language: which element of an entity an attribute path leads to."""

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Document, Unique, entity, json_prop, lang, prop, rel, vocab
from conformance.servers import DocumentServer

MALE = "https://example.org/Male"


@clause("4.9", 17)
@pytest.mark.parametrize(
    "attribute",
    [
        prop(20),
        prop(False),
        prop(""),
        rel("urn:other:1"),
        lang({"en": "red"}),
        vocab("Male"),
        json_prop({"a": 1}),
        {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [8, 40]}},
    ],
    ids=lambda attribute: str(attribute),
)
def test_a_path_alone_selects_what_has_the_attribute(broker: BrokerClient, unique: Unique, attribute: Document) -> None:
    having = entity(unique.id(), unique.type(), reading=attribute)
    lacking = entity(unique.id(), unique.type(), other=attribute)
    broker.post("/entityOperations/create", [having, lacking]).expect(201)
    answer = broker.get("/entities", {"type": unique.type(), "q": "reading"}).expect(200)
    assert [each["id"] for each in answer.json] == [having["id"]]


@clause("4.9", 14, 41)
def test_the_first_name_is_an_attribute_of_the_entity_and_the_next_ones_lie_below_it(
    broker: BrokerClient, unique: Unique
) -> None:
    deep = entity(unique.id(), unique.type(), sensor=prop(1, maker=prop("Acme", country=prop("NL"))))
    flat = entity(unique.id(), unique.type(), sensor=prop(1), maker=prop("Acme"), country=prop("NL"))
    broker.post("/entityOperations/create", [deep, flat]).expect(201)

    def found(q: str) -> list[str]:
        return [each["id"] for each in broker.get("/entities", {"type": unique.type(), "q": q}).expect(200).json]

    assert found('maker=="Acme"') == [flat["id"]]
    assert found('sensor.maker=="Acme"') == [deep["id"]]
    assert found('sensor.maker.country=="NL"') == [deep["id"]]
    assert found("sensor.country") == []


@clause("4.9", 41)
@pytest.mark.parametrize(
    "q",
    [
        "reading.observedAt>=2017-12-24T12:00:00Z",
        "reading.observedAt==2018-01-01T00:00:00Z",
        'reading.unitCode=="CEL"',
        "reading.accuracy<1",
        'reading.measuredBy=="urn:sensor:1"',
    ],
)
def test_a_path_leads_to_sub_attributes_and_members(broker: BrokerClient, unique: Unique, q: str) -> None:
    full = prop(
        20, observedAt="2018-01-01T00:00:00Z", unitCode="CEL", accuracy=prop(0.5), measuredBy=rel("urn:sensor:1")
    )
    other = prop(
        20, observedAt="2016-01-01T00:00:00Z", unitCode="FAH", accuracy=prop(2), measuredBy=rel("urn:sensor:2")
    )
    one = entity(unique.id(), unique.type(), reading=full)
    broker.post(
        "/entityOperations/create",
        [one, *(entity(unique.id(), unique.type(), reading=each) for each in (other, prop(20)))],
    ).expect(201)
    answer = broker.get("/entities", {"type": unique.type(), "q": q}).expect(200)
    assert [each["id"] for each in answer.json] == [one["id"]]


@clause("4.9", 15)
@pytest.mark.parametrize(
    ("q", "attribute"),
    [
        ("reading==30", prop(30)),
        ("reading>25", prop(30)),
        ("reading~=^hot$", prop("hot")),
        ('reading=="urn:b:2"', rel("urn:b:2")),
    ],
)
def test_one_of_several_instances_is_enough(broker: BrokerClient, unique: Unique, q: str, attribute: Document) -> None:
    first = prop(10) if attribute["type"] == "Property" else rel("urn:b:1")
    second = {**attribute, "datasetId": "urn:dataset:2"}
    one = entity(unique.id(), unique.type(), reading=[first, second])
    broker.post("/entities", one).expect(201)
    broker.post("/entities", entity(unique.id(), unique.type(), reading=first)).expect(201)
    answer = broker.get("/entities", {"type": unique.type(), "q": q}).expect(200)
    assert [each["id"] for each in answer.json] == [one["id"]]


@clause("4.9", 15, 41)
def test_a_path_goes_on_below_every_instance(broker: BrokerClient, unique: Unique) -> None:
    first = prop(10, maker=prop("Acme"))
    second = prop(20, maker=prop("Bolt"), observedAt="2020-01-01T00:00:00Z", datasetId="urn:dataset:2")
    one = entity(unique.id(), unique.type(), reading=[first, second])
    broker.post("/entityOperations/create", [one, entity(unique.id(), unique.type(), reading=first)]).expect(201)
    query = {"type": unique.type(), "q": 'reading.maker=="Bolt";reading.observedAt<2021-01-01T00:00:00Z'}
    assert [each["id"] for each in broker.get("/entities", query).expect(200).json] == [one["id"]]


@clause("4.9", 18)
@pytest.mark.parametrize(
    "q",
    [
        'address[city]=="Berlin"',
        "address[geo.lat]>52",
        "address[lines]==2",
        "address[city]",
        "address[city]~=^Ber",
        'address.checked[by.name]=="Ann"',
    ],
)
def test_square_brackets_lead_into_a_compound_value(broker: BrokerClient, unique: Unique, q: str) -> None:
    value = {"city": "Berlin", "geo": {"lat": 52.5}, "lines": [1, 2]}
    one = entity(unique.id(), unique.type(), address=prop(value, checked=prop({"by": {"name": "Ann"}})))
    other = entity(unique.id(), unique.type(), address=prop({"town": "Bonn", "geo": {"lat": 50.7}, "lines": [3]}))
    broker.post("/entityOperations/create", [one, other]).expect(201)
    answer = broker.get("/entities", {"type": unique.type(), "q": q}).expect(200)
    assert [each["id"] for each in answer.json] == [one["id"]]


@clause("4.9", 19)
@pytest.mark.parametrize(
    "q",
    [
        "address[zip]",
        'address[zip]=="1"',
        'address[zip]!="1"',
        "address[zip]<1",
        "address[zip]!~=^1",
        'address[city.name]!="1"',
    ],
)
def test_what_the_value_does_not_hold_does_not_exist(broker: BrokerClient, unique: Unique, q: str) -> None:
    broker.post("/entities", entity(unique.id(), unique.type(), address=prop({"city": "Berlin"}))).expect(201)
    broker.get("/entities", {"type": unique.type(), "q": q}).expect(200).expect_json([])


@clause("4.9", 10)
def test_the_names_of_a_path_are_expanded_with_the_context_of_the_request(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    speed, unit = f"https://example.org/{unique.name('speed')}", f"https://example.org/{unique.name('unit')}"
    one = entity(unique.id(), unique.type(), **{speed: prop(80, **{unit: prop("kmh")})})
    broker.post("/entities", one).expect(201)
    query = {"type": unique.type(), "q": 'tempo==80;tempo.mass=="kmh"'}
    german = documents.publish_context(tempo=speed, mass=unit)
    other = documents.publish_context(tempo=unit, mass=speed)
    assert [each["id"] for each in broker.get("/entities", query, link=german).expect(200).json] == [one["id"]]
    broker.get("/entities", query, link=other).expect(200).expect_json([])
    broker.get("/entities", query).expect(200).expect_json([])


@clause("4.9", 16)
def test_a_vocab_property_is_compared_as_the_uri_it_expands_to(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    context = documents.publish_context(Male=MALE)
    one = entity(unique.id(), unique.type(), gender=vocab("Male"))
    broker.post("/entities", one, link=context).expect(201)
    broker.post("/entities", entity(unique.id(), unique.type(), gender=vocab("Female")), link=context).expect(201)
    answer = broker.get("/entities", {"type": unique.type(), "q": f'gender=="{MALE}"'}, link=context).expect(200)
    assert [each["id"] for each in answer.json] == [one["id"]]


@clause("4.9", 38)
@clause("5.7.2.3", 2)
@clause("5.7.2.4", 11)
@clause("6.4.3.2", 8)
@pytest.mark.parametrize("q", ["gender==Male", 'gender=="Male"', 'gender=="Male","Other"', 'gender!="Female"'])
def test_values_of_the_attributes_in_expand_values_are_expanded(
    broker: BrokerClient, unique: Unique, documents: DocumentServer, q: str
) -> None:
    context = documents.publish_context(Male=MALE, Female="https://example.org/Female")
    one = entity(unique.id(), unique.type(), gender=vocab("Male"))
    broker.post("/entities", one, link=context).expect(201)
    broker.post("/entities", entity(unique.id(), unique.type(), gender=vocab("Female")), link=context).expect(201)
    query = {"type": unique.type(), "q": q, "expandValues": "gender"}
    assert [each["id"] for each in broker.get("/entities", query, link=context).expect(200).json] == [one["id"]]


@clause("4.9", 38)
@clause("5.7.2.4", 11)
def test_without_expand_values_a_term_is_just_a_string(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    context = documents.publish_context(Male=MALE)
    broker.post("/entities", entity(unique.id(), unique.type(), gender=vocab("Male")), link=context).expect(201)
    query = {"type": unique.type(), "q": 'gender=="Male"'}
    broker.get("/entities", query, link=context).expect(200).expect_json([])


@clause("4.9", 39)
@pytest.mark.parametrize("q", ['tickets[value]=="Overstay 60 minutes"', 'tickets[id]=="85a6"', "tickets[more.type]==1"])
def test_inside_a_json_property_names_are_those_of_the_json(broker: BrokerClient, unique: Unique, q: str) -> None:
    value = {"id": "85a6", "value": "Overstay 60 minutes", "more": {"type": 1}}
    one = entity(unique.id(), unique.type(), tickets=json_prop(value))
    other = entity(unique.id(), unique.type(), tickets=json_prop({"id": "9", "value": "None", "more": {"type": 2}}))
    broker.post("/entityOperations/create", [one, other]).expect(201)
    answer = broker.get("/entities", {"type": unique.type(), "q": q, "jsonKeys": "tickets"}).expect(200)
    assert [each["id"] for each in answer.json] == [one["id"]]


@clause("4.9", 37)
@pytest.mark.parametrize("hint", ["", "{device}:", "{other},{device}:"])
@pytest.mark.parametrize("join", ["inline", "flat"])
def test_braces_carry_a_term_over_to_the_linked_entity(
    broker: BrokerClient, unique: Unique, hint: str, join: str
) -> None:
    device, station = unique.type("Device"), unique.type("Station")
    humid = entity(unique.id("Device"), device, humidity=prop(40))
    dry = entity(unique.id("Device"), device, humidity=prop(10))
    wanted = entity(unique.id("Station"), station, sensor=rel(humid["id"], objectType=device))
    unwanted = entity(unique.id("Station"), station, sensor=rel(dry["id"], objectType=device), humidity=prop(40))
    broker.post("/entityOperations/create", [humid, dry, wanted, unwanted]).expect(201)
    types = hint.format(device=device, other=unique.type("Other"))
    query = {"type": station, "q": f"sensor{{{types}humidity}}==40", "join": join}
    answer = broker.get("/entities", query).expect(200)
    assert {each["id"] for each in answer.json} - {humid["id"]} == {wanted["id"]}


@clause("4.9", 37)
def test_the_hint_leaves_out_linked_entities_of_other_types(broker: BrokerClient, unique: Unique) -> None:
    device = entity(unique.id("Device"), unique.type("Device"), humidity=prop(40))
    one = entity(unique.id(), unique.type(), sensor=rel(device["id"], objectType=unique.type("Device")))
    broker.post("/entityOperations/create", [device, one]).expect(201)
    query = {"type": unique.type(), "q": f"sensor{{{unique.type('Other')}:humidity}}==40", "join": "inline"}
    broker.get("/entities", query).expect(200).expect_json([])


@clause("4.9", 37)
def test_braces_nest_as_deep_as_entities_are_joined(broker: BrokerClient, unique: Unique) -> None:
    city = entity(unique.id("City"), unique.type("City"), name=prop("Delft"))
    street = entity(unique.id("Street"), unique.type("Street"), lies=rel(city["id"], objectType=unique.type("City")))
    one = entity(unique.id(), unique.type(), stands=rel(street["id"], objectType=unique.type("Street")))
    other = entity(unique.id(), unique.type(), stands=rel("urn:nowhere:1"))
    broker.post("/entityOperations/create", [city, street, one, other]).expect(201)
    query = {"type": unique.type(), "q": 'stands{lies{name}}=="Delft"', "join": "inline", "joinLevel": 2}
    assert [each["id"] for each in broker.get("/entities", query).expect(200).json] == [one["id"]]
