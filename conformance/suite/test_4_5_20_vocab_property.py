"""4.5.20 NGSI-LD VocabProperty Representations, 5.2.35 VocabProperty."""

from typing import Any

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import DEFAULT_CONTEXT, Unique, entity, prop, rel, vocab
from conformance.servers import DocumentServer


@clause("4.5.20.1", 1, 2)
@clause("4.5.20.2", 1)
def test_a_vocab_property_is_normalized_unless_something_else_is_asked_for(
    broker: BrokerClient, unique: Unique
) -> None:
    one = entity(unique.id(), unique.type(), gender=vocab("male", by=rel("urn:a:1"), source=prop("letter")))
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}").expect_json(one)


@pytest.mark.parametrize("terms", ["male", ["male", "other"]], ids=str)
@clause("4.5.20.1", 1)
@clause("4.5.20.2", 2)
@clause("5.2.35", 3)
def test_terms_are_coerced_to_uris_by_the_context_of_each_request(
    broker: BrokerClient, unique: Unique, documents: DocumentServer, terms: Any
) -> None:
    base = f"https://example.org/{unique.name('v')}/"
    context = documents.publish_context(male=base + "male", other=base + "other")
    one = entity(unique.id(), unique.type(), gender=vocab(terms))
    broker.post("/entities", one, link=context).expect(201)
    shown = broker.get(f"/entities/{one['id']}", link=context).expect(200).json["gender"]["vocab"]
    assert (sorted(shown) if isinstance(shown, list) else shown) == terms
    expanded = broker.get(f"/entities/{one['id']}").expect(200).json["gender"]["vocab"]
    assert (sorted(expanded) if isinstance(expanded, list) else [expanded]) == [
        base + term for term in ([terms] if isinstance(terms, str) else terms)
    ]


@pytest.mark.parametrize("iri", ["https://example.org/male", "urn:gender:male", DEFAULT_CONTEXT + "male"])
@clause("4.5.20.2", 2)
@clause("5.2.35", 3)
def test_a_uri_stays_what_it_is_and_is_shown_as_its_term(broker: BrokerClient, unique: Unique, iri: str) -> None:
    one = entity(unique.id(), unique.type(), gender=vocab(iri))
    broker.post("/entities", one).expect(201)
    assert broker.get(f"/entities/{one['id']}").json["gender"]["vocab"] == iri.removeprefix(DEFAULT_CONTEXT)


@pytest.mark.parametrize("bad", [5, True, "", {}, {"a": "b"}, [5], ["male", 5], [["male"]], ["male", ""]], ids=repr)
@clause("4.5.20.2", 2)
@clause("4.5.20.3", 2)
@clause("5.2.35", 1)
def test_what_is_no_term_is_refused(broker: BrokerClient, unique: Unique, bad: Any) -> None:
    one = entity(unique.id(), unique.type(), gender=vocab(bad))
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.post("/entities", {**one, "gender": {"vocab": bad}}).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@pytest.mark.parametrize("concise", [False, True], ids=["normalized", "concise"])
@pytest.mark.parametrize(
    ("member", "value"),
    [("unitCode", "KMH"), ("value", "male"), ("previousValue", "male"), ("object", "urn:a:1"), ("json", {})],
)
@clause("4.5.20.2", 3)
@clause("4.5.20.3", 3)
def test_a_vocab_property_has_neither_unit_nor_value(
    broker: BrokerClient, unique: Unique, member: str, value: Any, concise: bool
) -> None:
    told = {"vocab": "male"} if concise else vocab("male")
    one = entity(unique.id(), unique.type(), gender={**told, member: value})
    broker.post("/entities", one).expect_problem("BadRequestData")
    broker.get(f"/entities/{one['id']}").expect_problem("ResourceNotFound")


@pytest.mark.parametrize(
    ("concise", "normalized"),
    [
        ({"vocab": "male"}, vocab("male")),
        ({"vocab": ["male", "other"]}, vocab(["male", "other"])),
        ({"vocab": "male", "source": "letter"}, vocab("male", source=prop("letter"))),
        ({"vocab": "male", "datasetId": "urn:a:1"}, vocab("male", datasetId="urn:a:1")),
        ({"vocab": "male", "of": {"vocab": "past"}}, vocab("male", of=vocab("past"))),
    ],
    ids=str,
)
@clause("4.5.20.1", 2)
@clause("4.5.20.3", 1, 4)
@clause("5.2.35", 1)
def test_a_concise_vocab_property_goes_without_its_type(
    broker: BrokerClient, unique: Unique, concise: Any, normalized: Any
) -> None:
    one = entity(unique.id(), unique.type(), gender=concise)
    broker.post("/entities", one).expect(201)
    broker.get(f"/entities/{one['id']}").expect_json({**one, "gender": normalized})
    broker.get(f"/entities/{one['id']}", {"format": "concise"}).expect_json(one)
