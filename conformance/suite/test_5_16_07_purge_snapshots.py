"""5.16.7 Purge Snapshots and 6.36.3.2: all snapshots that a query selects are deleted.

Each test narrows its queries by an endpoint of its own, so that it purges nobody else's snapshots.
"""

import pytest

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.samples import Unique, entity, instant, prop, seconds_from_now
from conformance.servers import Receiver
from conformance.snapshots import ALWAYS, of_type, snapshot, taken


@clause("5.16.7.4", 2)
@clause("6.36.3.2", 1, 2)
@pytest.mark.parametrize(
    ("q", "purged"),
    [
        ("snapshotPriority==2", ["low"]),
        ("snapshotPriority!=2", ["empty", "high"]),
        ("snapshotPriority>5", ["high"]),
        ("snapshotPriority>=5", ["empty", "high"]),
        ("snapshotPriority<3", ["low"]),
        ("snapshotPriority==1..5", ["empty", "low"]),
        ("snapshotPriority==2,9", ["high", "low"]),
        ('snapshotStatus=="empty"', ["empty"]),
        ('snapshotStatus=="empty","success"', ["empty", "high", "low"]),
        ("snapshotStatus~=^succ", ["high", "low"]),
        ("snapshotLifetime", ["high"]),
        ('snapshotLifetime=="PT7H"', ["high"]),
        ("receiverInfo", ["low"]),
        ("snapshotTemporalQueries", ["empty"]),
        ("(snapshotPriority==2|snapshotPriority==9)", ["high", "low"]),
        ('snapshotPriority==2;snapshotStatus=="success"', ["low"]),
        ("createdAt>2001-01-01T00:00:00Z", ["empty", "high", "low"]),
        ("lastUsedAt>2001-01-01T00:00:00Z", ["empty", "high", "low"]),
        ("expiresAt>2001-01-01T00:00:00Z", ["empty", "high", "low"]),
        ("modifiedAt>2001-01-01T00:00:00Z;snapshotPriority==9", ["high"]),
    ],
)
def test_what_the_query_selects_is_deleted_and_nothing_else(
    broker: BrokerClient, unique: Unique, receiver: Receiver, q: str, purged: list[str]
) -> None:
    broker.post("/entities", entity(unique.id(), unique.type(), level=prop(1))).expect(201)
    found = of_type(unique.type())
    empty = of_type(unique.type("Empty"), temporalQ=ALWAYS)
    info = [{"key": "X-Key", "value": "1"}]
    known = {
        "low": taken(broker, snapshot(found, endpoint=receiver.url, snapshotPriority=2, receiverInfo=info)),
        "empty": taken(broker, snapshot(endpoint=receiver.url, snapshotTemporalQueries=[empty])),
        "high": taken(broker, snapshot(found, endpoint=receiver.url, snapshotPriority=9, snapshotLifetime="PT7H")),
    }
    answer = broker.delete("/snapshots", {"q": f'endpoint=="{receiver.url}";{q}'}).expect(204)
    assert answer.body == b""
    left = {name: broker.get(f"/snapshots/{each['id']}").expect(200, 404).status for name, each in known.items()}
    assert sorted(name for name, status in left.items() if status == 404) == purged


@clause("5.16.7.4", 2)
def test_a_snapshot_may_be_named_by_its_id(broker: BrokerClient, unique: Unique) -> None:
    first, second = (taken(broker, snapshot(of_type(unique.type()))) for _ in range(2))
    broker.delete("/snapshots", {"q": f'id=="{first["id"]}"'}).expect(204)
    broker.get(f"/snapshots/{first['id']}").expect_problem("ResourceNotFound")
    broker.get(f"/snapshots/{second['id']}").expect(200)


@clause("5.16.7.4", 2)
@clause("5.16.5.4", 3)
def test_a_purged_snapshot_is_gone_with_all_that_is_in_it(broker: BrokerClient, unique: Unique) -> None:
    one = entity(unique.id(), unique.type(), level=prop(1))
    broker.post("/entities", one).expect(201)
    known = taken(broker, snapshot(of_type(unique.type())))
    broker.delete("/snapshots", {"q": f'id=="{known["id"]}"'}).expect(204)
    broker.get(f"/entities/{one['id']}", snapshot=known["id"]).expect_problem("ResourceNotFound")
    broker.get(f"/entities/{one['id']}").expect(200).expect_json(one)


@clause("5.16.7.4", 2)
@clause("5.16.6", 5)
@clause("5.3.4", 6)
def test_endpoints_of_purged_snapshots_are_told(broker: BrokerClient, unique: Unique, receiver: Receiver) -> None:
    known = taken(broker, snapshot(of_type(unique.type()), endpoint=receiver.url))
    receiver.next()
    broker.delete("/snapshots", {"q": f'id=="{known["id"]}"'}).expect(204)
    told = receiver.next_json()
    assert told["snapshotId"] == known["id"]
    assert instant(told["expiresAt"]) < instant(told["notifiedAt"])


@clause("6.36.3.2", 1)
@pytest.mark.parametrize(
    "q",
    ['snapshotStatus=="preparing"', "snapshotPriority>100", f"createdAt>{seconds_from_now(86400)}", "snapshotQueries"],
)
def test_where_no_snapshot_fulfils_the_query_it_is_not_found(
    broker: BrokerClient, unique: Unique, receiver: Receiver, q: str
) -> None:
    temporal = of_type(unique.type(), temporalQ=ALWAYS)
    known = taken(broker, snapshot(endpoint=receiver.url, snapshotTemporalQueries=[temporal]))
    answer = broker.delete("/snapshots", {"q": f'endpoint=="{receiver.url}";{q}'})
    answer.expect_problem("ResourceNotFound")
    broker.get(f"/snapshots/{known['id']}").expect(200)


@clause("5.16.7.4", 1)
@clause("6.36.3.2", 1, 2)
@pytest.mark.parametrize(
    "q",
    [
        None,
        "",
        "level==1",
        "temperature",
        'endpoint=="%s";level==1',
        'endpoint=="%s"|level==1',
        "snapshotPriority==",
        "snapshotPriority=5",
        "(snapshotPriority==5",
        "snapshotPriority==5)",
        "snapshotPriority==5;",
        ";snapshotPriority==5",
        "snapshotPriority{level}==5",
        '"snapshotPriority"==5',
        "snapshotpriority==5",
        "observedAt>2001-01-01T00:00:00Z",
        "snapshotStatus~=[",
    ],
)
def test_a_query_that_is_none_on_snapshots_is_refused(
    broker: BrokerClient, unique: Unique, receiver: Receiver, q: str | None
) -> None:
    known = taken(broker, snapshot(of_type(unique.type()), endpoint=receiver.url))
    broker.delete("/snapshots", {"q": q and q.replace("%s", receiver.url)}).expect_problem("BadRequestData")
    broker.get(f"/snapshots/{known['id']}").expect(200)


@clause("5.16.7.4", 2)
@clause("5.5.15", 4)
def test_a_purge_is_of_one_tenant(broker: BrokerClient, unique: Unique) -> None:
    tenant, document = unique.name("north"), snapshot(of_type(unique.type()), id=unique.id("Snapshot"))
    taken(broker, document, tenant)
    taken(broker, document)
    broker.delete("/snapshots", {"q": f'id=="{document["id"]}"'}, tenant=tenant).expect(204)
    broker.get(f"/snapshots/{document['id']}", tenant=tenant).expect_problem("ResourceNotFound")
    broker.get(f"/snapshots/{document['id']}").expect(200)
