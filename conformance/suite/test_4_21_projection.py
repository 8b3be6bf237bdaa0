"""4.21 NGSI-LD Attribute Projection Language: pick and omit."""

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, prop, rel
from conformance.servers import DocumentServer

MEMBERS = {"id", "type", "scope", "temperature", "humidity", "name"}


@pytest.mark.parametrize(
    ("projection", "expected"),
    [
        pytest.param(*row, id=str(row[0]), marks=pytest.mark.clause("4.21", requirement))
        for requirement, *row in (
            (1, {"pick": "temperature"}, {"temperature"}),
            (1, {"pick": "id"}, {"id"}),
            (1, {"pick": "id,type,scope"}, {"id", "type", "scope"}),
            (1, {"pick": "id,temperature,unheardOf"}, {"id", "temperature"}),
            (1, {"omit": "temperature"}, MEMBERS - {"temperature"}),
            (1, {"omit": "id,type,scope"}, {"temperature", "humidity", "name"}),
            (1, {"omit": "unheardOf"}, MEMBERS),
            (1, {"pick": "id,temperature,humidity", "omit": "name"}, {"id", "temperature", "humidity"}),
            (2, {"pick": "temperature,humidity"}, {"temperature", "humidity"}),
            (2, {"pick": "temperature|humidity"}, {"temperature", "humidity"}),
            (2, {"pick": "id|temperature,humidity"}, {"id", "temperature", "humidity"}),
            (2, {"omit": "temperature|humidity,scope"}, {"id", "type", "name"}),
        )
    ],
)
@clause("5.7.1.5", 10)
@clause("5.7.2.5", 12)
@clause("6.4.3.2", 2)
@clause("6.5.3.1", 2)
def test_a_projection_chooses_among_the_members(
    broker: BrokerClient, unique: Unique, projection: dict[str, str], expected: set[str]
) -> None:
    one = entity(
        unique.id(), unique.type(), scope="/Madrid", temperature=prop(20), humidity=prop(40), name=prop("North")
    )
    broker.post("/entities", one).expect(201)
    whole = broker.get(f"/entities/{one['id']}").expect(200).json
    shown = {member: value for member, value in whole.items() if member in expected}
    broker.get(f"/entities/{one['id']}", projection).expect(200).expect_json(shown)
    broker.get("/entities", {"type": unique.type(), **projection}).expect(200).expect_json([shown])


@clause("4.21", 1)
@clause("5.7.1.4", 9)
@clause("5.7.2.4", 10)
def test_names_in_a_projection_are_expanded_with_the_context_of_the_request(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    speed = f"https://example.org/{unique.name('speed')}"
    one = entity(unique.id(), unique.type(), **{speed: prop(80)}, tempo=prop(3))
    broker.post("/entities", one).expect(201)
    context = documents.publish_context(tempo=speed)
    broker.get(f"/entities/{one['id']}", {"pick": "tempo"}, link=context).expect(200).expect_json({"tempo": prop(80)})
    query = {"type": unique.type(), "pick": "tempo"}
    broker.get("/entities", query, link=context).expect(200).expect_json([{"tempo": prop(80)}])
    broker.get("/entities", query).expect(200).expect_json([{"tempo": prop(3)}])


@clause("4.21", 3)
@pytest.mark.parametrize(
    ("projection", "expected"),
    [
        ({"pick": "id,sensor{temperature,humidity}"}, {"temperature", "humidity"}),
        ({"pick": "id,sensor{id|humidity}"}, {"id", "humidity"}),
        ({"omit": "name,sensor{id,type,humidity}"}, {"temperature", "name"}),
    ],
    ids=str,
)
def test_braces_choose_among_the_members_of_the_linked_entity(
    broker: BrokerClient, unique: Unique, projection: dict[str, str], expected: set[str]
) -> None:
    device = entity(
        unique.id("Device"), unique.type("Device"), temperature=prop(20), humidity=prop(40), name=prop("Device")
    )
    station = entity(unique.id(), unique.type(), name=prop("Station"), sensor=rel(device["id"]))
    broker.post("/entityOperations/create", [device, station]).expect(201)
    query = {"join": "inline", **projection}
    shown = broker.get(f"/entities/{station['id']}", query).expect(200).json
    assert "name" not in shown
    assert set(shown["sensor"]["entity"]) == expected
    (found,) = broker.get("/entities", {"type": unique.type(), **query}).expect(200).json
    assert set(found["sensor"]["entity"]) == expected


@clause("5.7.1.5", 11)
@pytest.mark.parametrize(
    ("projection", "expected"),
    [({"pick": "id,name,sensor"}, {"id", "name"}), ({"omit": "name"}, {"id", "type", "humidity"})],
    ids=str,
)
def test_without_braces_linked_entities_are_projected_alike(
    broker: BrokerClient, unique: Unique, projection: dict[str, str], expected: set[str]
) -> None:
    device = entity(unique.id("Device"), unique.type("Device"), humidity=prop(40), name=prop("Device"))
    station = entity(unique.id(), unique.type(), name=prop("Station"), sensor=rel(device["id"]))
    broker.post("/entityOperations/create", [device, station]).expect(201)
    inline = broker.get(f"/entities/{station['id']}", {"join": "inline", **projection}).expect(200).json
    assert set(inline["sensor"]["entity"]) == expected
    flat = broker.get(f"/entities/{station['id']}", {"join": "flat", **projection}).expect(200).json
    assert set(flat[1]) == expected


@clause("4.21", 4)
@pytest.mark.parametrize("parameter", ["pick", "omit"])
@pytest.mark.parametrize("text", [",", "a,,b", "a,", ",a", "a||b", "a{", "a{b", "a{}", "a{b}}", "{b}", "a}", "a{b}c"])
def test_what_is_no_projection_is_refused(broker: BrokerClient, unique: Unique, parameter: str, text: str) -> None:
    one = entity(unique.id(), unique.type(), a=prop(1))
    broker.post("/entities", one).expect(201)
    query = {parameter: text, "join": "inline"}
    broker.get(f"/entities/{one['id']}", query).expect_problem("BadRequestData")
    broker.get("/entities", {"type": unique.type(), **query}).expect_problem("BadRequestData")


@clause("5.7.1.4", 3)
@clause("5.7.2.4", 3)
@pytest.mark.parametrize(
    "query",
    [
        {"pick": "sensor{humidity}"},
        {"omit": "sensor{humidity}"},
        {"pick": "sensor{humidity}", "join": "@none"},
        {"pick": "sensor{maker{name}}", "join": "inline"},
        {"omit": "sensor{maker{name}}", "join": "flat", "joinLevel": 1},
    ],
    ids=str,
)
def test_a_projection_reaches_no_deeper_than_entities_are_joined(
    broker: BrokerClient, unique: Unique, query: dict[str, object]
) -> None:
    one = entity(unique.id(), unique.type(), sensor=rel("urn:device:1"))
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}", query).expect_problem("BadRequestData")
    broker.get("/entities", {"type": unique.type(), **query}).expect_problem("BadRequestData")
