"""5.15.1 Retrieve Context Source Identity Information, 5.2.40, 6.33.3.1 GET /info/sourceIdentity."""

import re

import pytest

from conformance.broker_client import JSON, JSON_LD, BrokerClient
from conformance.clauses import clause
from conformance.samples import Document, Unique, entity, instant, prop

DURATION = re.compile(r"P(?=.)(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+([.,]\d+)?S)?)?")
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d([.,]\d{1,6})?Z")


@pytest.fixture
def identity(broker: BrokerClient) -> Document:
    """What the broker says of itself; a source may also be unable to."""
    answer = broker.get("/info/sourceIdentity")
    if answer.status == 501:
        answer.expect_problem("NotImplemented")
        pytest.skip("this source cannot identify itself, and says so (5.15.1.4)")
    return dict(answer.expect(200).json)


@clause("5.15.1.4", 1)
@clause("6.33.3.1", 1)
@clause("5.2.40", 1, 2)
def test_a_source_identifies_itself(identity: Document) -> None:
    assert re.match(r"[A-Za-z][A-Za-z0-9+.-]*:.", identity["id"])
    assert identity["type"] == "ContextSourceIdentity"
    assert TOKEN.fullmatch(identity["contextSourceAlias"])
    assert DURATION.fullmatch(identity["contextSourceUptime"])
    assert INSTANT.fullmatch(identity["contextSourceTimeAt"])
    known = {"id", "type", "contextSourceAlias", "contextSourceUptime", "contextSourceTimeAt", "contextSourceExtras"}
    assert identity.keys() <= known


@clause("5.2.40", 1)
def test_time_goes_on_and_the_identity_stays(broker: BrokerClient, identity: Document) -> None:
    later = broker.get("/info/sourceIdentity").expect(200).json
    first, second = (instant(each["contextSourceTimeAt"]) for each in (identity, later))
    assert second >= first
    assert (later["id"], later["contextSourceAlias"]) == (identity["id"], identity["contextSourceAlias"])


@clause("5.2.40", 3)
def test_each_tenant_has_an_alias_of_its_own(broker: BrokerClient, unique: Unique, identity: Document) -> None:
    aliases = [identity["contextSourceAlias"]]
    for tenant in (unique.name("east"), unique.name("west")):
        created = broker.post("/entities", entity(unique.id(), unique.type(), level=prop(1)), tenant=tenant)
        if created.status == 501:
            pytest.skip("this source has no tenants")
        created.expect(201)
        first, second = (broker.get("/info/sourceIdentity", tenant=tenant).expect(200).json for _ in range(2))
        assert TOKEN.fullmatch(first["contextSourceAlias"])
        assert first["contextSourceAlias"] == second["contextSourceAlias"]
        aliases.append(first["contextSourceAlias"])
    assert len(set(aliases)) == 3


@clause("6.33.3.1", 1)
def test_the_identity_is_json_or_json_ld(broker: BrokerClient, identity: Document) -> None:
    plain = broker.get("/info/sourceIdentity", accept=JSON).expect(200)
    assert plain.media_type == JSON
    assert plain.link("http://www.w3.org/ns/json-ld#context") is not None
    assert "@context" not in plain.json
    linked = broker.get("/info/sourceIdentity", accept=JSON_LD).expect(200)
    assert linked.media_type == JSON_LD
    assert "@context" in linked.json
    assert linked.json["contextSourceAlias"] == identity["contextSourceAlias"]
