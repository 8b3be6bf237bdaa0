"""4.5 as properties of any entity: what is written in one representation is what the others say, and nothing is lost."""

from typing import Any

import pytest
from hypothesis import given, settings

from conformance.broker_client import GEO_JSON, BrokerClient
from conformance.clauses import clause
from conformance.random_entities import NAMES, bodies, canonical, feature, simplified
from conformance.samples import Unique
from conformance.servers import DocumentServer

_bounded = settings(max_examples=min(60, settings().max_examples))


@pytest.fixture(scope="session")
def vocabulary(documents: DocumentServer) -> str:
    """An @context that gives the names of random entities other URIs than the default ones."""
    return documents.publish_context(**{name: f"https://example.org/vocabulary#{name}" for name in NAMES})


@_bounded
@given(body=bodies())
@clause("4.5.2.1", 1)
@clause("4.5.3.1", 1)
@clause("4.5.18.1", 1)
@clause("4.5.20.1", 1)
@clause("4.5.21.1", 1)
@clause("4.5.22.1", 1)
@clause("4.5.24.1", 1)
@clause("4.6.4", 1)
def test_a_normalized_entity_reads_back_the_same(broker: BrokerClient, unique: Unique, body: dict[str, Any]) -> None:
    one = {"id": unique.id(), "type": unique.type(), **body}
    broker.post("/entities", one).expect(201)
    read = broker.get(f"/entities/{one['id']}").expect(200).json
    assert canonical(read) == canonical(one)
    queried = broker.get("/entities", {"type": unique.type(), "id": one["id"]}).expect(200).json
    assert [canonical(each) for each in queried] == [canonical(one)]


@_bounded
@given(body=bodies())
@clause("4.5.2.1", 1)
@clause("4.5.3.1", 1)
@clause("4.5.18.1", 2)
@clause("4.5.20.1", 2)
@clause("4.5.21.1", 2)
@clause("4.5.22.1", 2)
@clause("4.5.24.1", 2)
def test_a_concise_entity_that_is_written_again_is_the_same(
    broker: BrokerClient, unique: Unique, body: dict[str, Any]
) -> None:
    one, copy = {"id": unique.id(), "type": unique.type(), **body}, unique.id()
    broker.post("/entities", one).expect(201)
    concise = broker.get(f"/entities/{one['id']}", {"format": "concise"}).expect(200).json
    broker.post("/entities", {**concise, "id": copy}).expect(201)
    broker.get(f"/entities/{copy}", {"format": "concise"}).expect(200).expect_json({**concise, "id": copy})
    assert canonical(broker.get(f"/entities/{copy}").expect(200).json) == canonical({**one, "id": copy})
    broker.put(f"/entities/{one['id']}", concise).expect(204)
    assert canonical(broker.get(f"/entities/{one['id']}").expect(200).json) == canonical(one)


@_bounded
@given(body=bodies())
@clause("4.5.4", 2, 5, 6, 7, 9, 10, 11, 12, 13, 14)
def test_the_simplified_entity_is_what_the_normalized_one_says(
    broker: BrokerClient, unique: Unique, body: dict[str, Any]
) -> None:
    one = {"id": unique.id(), "type": unique.type(), **body}
    broker.post("/entities", one).expect(201)
    normalized = broker.get(f"/entities/{one['id']}").expect(200).json
    shown = broker.get(f"/entities/{one['id']}", {"format": "simplified"}).expect(200).json
    shown.pop("scope", None)
    assert shown == simplified(normalized)


@_bounded
@given(body=bodies())
@clause("4.5.16.1", 1, 3)
@clause("4.5.16.2", 1, 2)
@clause("4.5.17.1", 1, 2)
def test_the_feature_is_what_the_normalized_entity_says(
    broker: BrokerClient, unique: Unique, body: dict[str, Any]
) -> None:
    one = {"id": unique.id(), "type": unique.type(), **body}
    broker.post("/entities", one).expect(201)
    normalized = broker.get(f"/entities/{one['id']}").expect(200).json
    shown = broker.get(f"/entities/{one['id']}", accept=GEO_JSON, headers={"Prefer": "body=json"}).expect(200).json
    shown["properties"].pop("scope", None)
    assert shown == feature(normalized, normalized)
    query = {"format": "simplified"}
    shown = broker.get(f"/entities/{one['id']}", query, accept=GEO_JSON, headers={"Prefer": "body=json"}).json
    shown["properties"].pop("scope", None)
    assert shown == feature(normalized, simplified(normalized))


@_bounded
@given(body=bodies())
@clause("4.4", 3, 11)
@clause("4.5.20.2", 2)
def test_a_context_changes_the_names_and_nothing_else(
    broker: BrokerClient, unique: Unique, vocabulary: str, body: dict[str, Any]
) -> None:
    one, copy = {"id": unique.id(), "type": unique.type(), **body}, unique.id()
    broker.post("/entities", one, link=vocabulary).expect(201)
    assert canonical(broker.get(f"/entities/{one['id']}", link=vocabulary).expect(200).json) == canonical(one)
    expanded = broker.get(f"/entities/{one['id']}").expect(200).json
    assert not set(NAMES) & expanded.keys()
    broker.post("/entities", {**expanded, "id": copy}).expect(201)
    assert canonical(broker.get(f"/entities/{copy}", link=vocabulary).expect(200).json) == canonical(
        {**one, "id": copy}
    )
