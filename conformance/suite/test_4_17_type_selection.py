"""4.17 NGSI-LD Entity Type Selection Language."""

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import DEFAULT_CONTEXT, Unique, entity, prop
from conformance.servers import DocumentServer


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        pytest.param(*row, id=str(row[0]), marks=pytest.mark.clause("4.17", requirement))
        for requirement, *row in (
            (1, "{home}", {"home", "both"}),
            (1, "{motorhome}", {"motorhome"}),
            (1, "{unheard}", set()),
            (2, "{home}|{motorhome}", {"home", "both", "motorhome"}),
            (2, "{home},{motorhome}", {"home", "both", "motorhome"}),
            (2, "{home},{vehicle}|{motorhome}", {"home", "vehicle", "both", "motorhome"}),
            (2, "{unheard},{vehicle}", {"vehicle", "both"}),
            (3, "({home};{vehicle})", {"both"}),
            (3, "({home};{motorhome})", set()),
            (3, "({home})", {"home", "both"}),
            (4, "({home};{vehicle})|{motorhome}", {"both", "motorhome"}),
            (4, "({home};{vehicle}),{motorhome}", {"both", "motorhome"}),
            (4, "{motorhome}|({home};{vehicle})", {"both", "motorhome"}),
            (4, "({home};{vehicle})|({home};{motorhome})", {"both"}),
        )
    ],
)
@clause("5.7.2.4", 13)
def test_a_selection_of_types_selects_entities(
    broker: BrokerClient, unique: Unique, selection: str, expected: set[str]
) -> None:
    home, vehicle, motorhome = unique.type("Home"), unique.type("Vehicle"), unique.type("Motorhome")
    types: dict[str, str | list[str]] = {
        "home": home,
        "vehicle": vehicle,
        "both": [home, vehicle],
        "motorhome": motorhome,
    }
    ids = {unique.id(): name for name in types}
    broker.post(
        "/entityOperations/create", [entity(each, types[name], size=prop(1)) for each, name in ids.items()]
    ).expect(201)
    asked = selection.format(home=home, vehicle=vehicle, motorhome=motorhome, unheard=unique.type("Unheard"))
    answer = broker.get("/entities", {"type": asked}).expect(200)
    assert {ids[each["id"]] for each in answer.json} == expected


@clause("4.17", 1)
def test_an_entity_of_several_types_shows_all_of_them(broker: BrokerClient, unique: Unique) -> None:
    types = [unique.type("Home"), unique.type("Vehicle")]
    broker.post("/entities", entity(unique.id(), types)).expect(201)
    (found,) = broker.get("/entities", {"type": types[0]}).expect(200).json
    assert sorted(found["type"]) == sorted(types)


@clause("4.17", 5)
@clause("5.7.2.3", 3)
@clause("5.7.2.4", 10)
def test_types_are_names_in_the_context_of_the_request_or_uris(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    iri = f"https://example.org/types/{unique.type()}"
    one = entity(unique.id(), iri, size=prop(1))
    broker.post("/entities", one).expect(201)
    context = documents.publish_context(Haus=iri)
    assert [each["id"] for each in broker.get("/entities", {"type": "Haus"}, link=context).expect(200).json] == [
        one["id"]
    ]
    assert [each["id"] for each in broker.get("/entities", {"type": iri}).expect(200).json] == [one["id"]]
    assert [
        each["id"] for each in broker.get("/entities", {"type": f"{unique.type('Other')}|{iri}"}).expect(200).json
    ] == [one["id"]]
    other = documents.publish_context(Haus=iri + "2")
    broker.get("/entities", {"type": "Haus"}, link=other).expect(200).expect_json([])


@clause("4.17", 5)
def test_a_name_that_no_context_defines_lies_in_the_default_context(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), size=prop(1))
    broker.post("/entities", one).expect(201)
    answer = broker.get("/entities", {"type": DEFAULT_CONTEXT + unique.type()}).expect(200)
    assert [each["id"] for each in answer.json] == [one["id"]]


@clause("4.17", 6)
@pytest.mark.parametrize(
    "selection", ["(A;B", "A;B)", "A||B", "A,,B", "|A", "A|", "(A;)", "()", "A B", "A|(B", "(A)(B)"]
)
def test_what_is_no_selection_of_types_is_refused(broker: BrokerClient, selection: str) -> None:
    broker.get("/entities", {"type": selection}).expect_problem("BadRequestData")
