"""5.13.1, 5.13.4, 5.13.5 and 6.3.16: @contexts that the broker fetched and keeps for a time."""

from collections.abc import Mapping
from email.utils import formatdate
from time import time
from urllib.parse import quote

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Document, Unique, entity, prop
from conformance.servers import DocumentServer, eventually

OLD, NEW = "https://example.org/old", "https://example.org/new"


@clause("5.13.1", 6)
@clause("5.13.3.1", 1)
@clause("5.13.4.4", 4)
@clause("6.29.3.2", 1)
def test_a_context_that_a_request_names_is_cached(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    url = documents.publish_context(level=OLD)
    _used(broker, unique, url)
    assert url in broker.get("/jsonldContexts", {"kind": "Cached"}).expect(200).json
    details = _details(broker, url)
    assert (details["kind"], details["URL"]) == ("Cached", url)
    assert details["localId"]
    assert details["createdAt"].endswith("Z")


@clause("5.13.1", 6)
def test_a_context_that_a_body_names_is_cached(broker: BrokerClient, unique: Unique, documents: DocumentServer) -> None:
    inner, outer = documents.publish_context(level=OLD), documents.publish_context(name=NEW)
    one = entity(unique.id(), unique.type(), level=prop(1))
    broker.post("/entities", one | {"@context": [inner, outer]}).expect(201)
    assert {inner, outer} <= set(broker.get("/jsonldContexts", {"kind": "Cached"}).expect(200).json)


@clause("5.13.1", 3)
@clause("5.13.4.4", 2, 4)
@clause("6.30.3.1", 1, 2)
def test_a_cached_context_is_not_served_but_described(
    broker: BrokerClient, unique: Unique, documents: DocumentServer
) -> None:
    url = documents.publish_context(level=OLD)
    _used(broker, unique, url)
    for identifier in (_details(broker, url)["localId"], quote(url, safe="")):
        broker.get(f"/jsonldContexts/{identifier}").expect_problem("OperationNotSupported")
        details = broker.get(f"/jsonldContexts/{identifier}", {"details": True}).expect(200).json
        assert (details["kind"], details["URL"]) == ("Cached", url)


@clause("6.3.16", 1)
@pytest.mark.parametrize(
    "headers",
    [
        {"Cache-Control": "max-age=3600"},
        {"Cache-Control": "public, s-maxage=3600, max-age=1"},
        {"Expires": "Sun, 01 Jan 2090 00:00:00 GMT"},
    ],
)
def test_a_context_that_is_fresh_is_not_fetched_again(
    broker: BrokerClient, unique: Unique, documents: DocumentServer, headers: Mapping[str, str]
) -> None:
    url = documents.publish({"@context": {"level": OLD}}, headers=headers)
    for _ in range(3):
        _used(broker, unique, url)
    assert documents.times_asked(url) == 1


@clause("5.13.1", 1, 2)
@clause("6.3.16", 1, 2)
@pytest.mark.parametrize("header", ["max-age", "s-maxage", "Expires"])
def test_a_context_is_fetched_again_when_its_source_says_that_it_is_over(
    broker: BrokerClient, unique: Unique, documents: DocumentServer, header: str
) -> None:
    one, two = {"@context": {"level": OLD}}, {"@context": {"level": NEW}}
    lifetimes = {
        "max-age": {"Cache-Control": "max-age=1"},
        "s-maxage": {"Cache-Control": "max-age=3600, s-maxage=1"},
        "Expires": {"Expires": formatdate(time() + 2, usegmt=True)},
    }
    url = documents.publish(one, headers=lifetimes[header])
    assert _used(broker, unique, url) == OLD
    documents.replace(url, two, headers=lifetimes[header])
    eventually(lambda: _used(broker, unique, url) == NEW, pause=0.3)


@clause("5.13.5.1", 1)
@clause("5.13.5.4", 7, 8)
@clause("6.30.3.2", 1)
@pytest.mark.parametrize("by_url", [True, False])
def test_a_cached_context_is_deleted_and_fetched_again_for_its_next_use(
    broker: BrokerClient, unique: Unique, documents: DocumentServer, by_url: bool
) -> None:
    url = documents.publish_context(level=OLD)
    _used(broker, unique, url)
    documents.replace(url, {"@context": {"level": NEW}})
    identifier = quote(url, safe="") if by_url else _details(broker, url)["localId"]
    broker.delete(f"/jsonldContexts/{identifier}").expect(204)
    assert url not in broker.get("/jsonldContexts").expect(200).json
    broker.delete(f"/jsonldContexts/{identifier}").expect_problem("ResourceNotFound")
    assert _used(broker, unique, url) == NEW
    assert documents.times_asked(url) == 2


@clause("5.13.5.3", 1)
@clause("5.13.5.4", 3)
@clause("6.30.3.2", 1, 2)
@pytest.mark.parametrize("by_url", [True, False])
def test_a_reloaded_context_is_what_its_source_says_now(
    broker: BrokerClient, unique: Unique, documents: DocumentServer, by_url: bool
) -> None:
    url = documents.publish_context(level=OLD)
    _used(broker, unique, url)
    documents.replace(url, {"@context": {"level": NEW}})
    identifier = quote(url, safe="") if by_url else _details(broker, url)["localId"]
    assert broker.delete(f"/jsonldContexts/{identifier}", {"reload": True}).expect(204).body == b""
    assert documents.times_asked(url) == 2
    assert url in broker.get("/jsonldContexts", {"kind": "Cached"}).expect(200).json
    assert _used(broker, unique, url) == NEW
    assert documents.times_asked(url) == 2


@clause("5.13.5.4", 4, 5)
@clause("6.30.3.2", 1)
@pytest.mark.parametrize(
    "now", [None, b"not JSON", {"no": "context"}, {"@context": {"level": 7}}, {"@context": None}, [1]]
)
def test_a_reload_that_fails_leaves_what_was_there(
    broker: BrokerClient, unique: Unique, documents: DocumentServer, now: object
) -> None:
    url = documents.publish_context(level=OLD)
    _used(broker, unique, url)
    before = _details(broker, url)
    if now is None:
        documents.withdraw(url)
    else:
        documents.replace(url, now)
    broker.delete(f"/jsonldContexts/{before['localId']}", {"reload": True}).expect_problem("LdContextNotAvailable")
    assert documents.times_asked(url) == 2
    after = _details(broker, url)
    assert (after["localId"], after["createdAt"]) == (before["localId"], before["createdAt"])
    assert _used(broker, unique, url) == OLD


def _used(broker: BrokerClient, unique: Unique, url: str) -> str:
    """What the broker takes the name `level` for in this @context: the name of an entity's only attribute."""
    one = entity(unique.id(), unique.type(), level=prop(1))
    broker.post("/entities", one, link=url).expect(201)
    (name,) = broker.get(f"/entities/{one['id']}").expect(200).json.keys() - {"id", "type"}
    return str(name)


def _details(broker: BrokerClient, url: str) -> Document:
    """The metadata of the Cached @context that came from a URL."""
    listed = broker.get("/jsonldContexts", {"details": True}).expect(200).json
    (details,) = [each for each in listed if each["URL"] == url]
    return dict(details)
