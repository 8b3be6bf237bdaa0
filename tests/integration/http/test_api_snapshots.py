"""Snapshots over HTTP: created, retrieved, updated, cloned, deleted, purged (5.16, 6.36 to 6.38)."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from api import Api, running_api
from snapshot_receiver import inside, of_type, ready, snapshot_of, vehicle

from broker.model.instants import parse_instant
from broker.store.protocol import Store


async def created(api: Api, *entities: dict[str, Any]) -> None:
    answer = await api.post("entityOperations/create", list(entities))
    assert answer.status == 201, answer.body


async def ids(api: Api, snapshot: dict[str, Any], query: str = "type=Vehicle") -> list[str]:
    answer = await inside(api, snapshot, "GET", f"entities?{query}&format=simplified&limit=1000")
    assert answer.status == 200, answer.body
    return [entity["id"].rpartition(":")[2] for entity in answer.json]


async def test_5_16_1_a_snapshot_is_created_and_has_what_its_query_found(api: Api) -> None:
    await created(api, vehicle("fast", 80), vehicle("slow", 30))
    before = (await api.get("entities/urn:ngsi-ld:Vehicle:fast?options=sysAttrs")).json
    answer = await api.post("snapshots", {"type": "Snapshot", "snapshotQueries": [of_type("Vehicle", q="speed>50")]})
    assert answer.status == 201
    assert answer.body == b""
    snapshot = await ready(api, answer.headers["Location"])
    assert answer.headers["Location"] == f"/ngsi-ld/v1/snapshots/{snapshot['id']}"
    assert snapshot["type"] == "Snapshot"
    assert snapshot["snapshotStatus"] == "success"
    assert snapshot["snapshotQueriesDetails"] == [{"resultStatus": "success"}]
    assert snapshot["snapshotPriority"] == 5
    assert snapshot["snapshotQueries"] == [of_type("Vehicle", q="speed>50")]
    assert snapshot["createdAt"] == snapshot["lastUsedAt"] <= snapshot["modifiedAt"]
    assert await ids(api, snapshot) == ["fast"]
    copy = await inside(api, snapshot, "GET", "entities/urn:ngsi-ld:Vehicle:fast?options=sysAttrs")
    assert copy.json == before


async def test_4_3_7_what_changes_outside_does_not_change_a_snapshot_nor_the_other_way_round(api: Api) -> None:
    await created(api, vehicle(1, 80))
    snapshot = await snapshot_of(api)
    path = "entities/urn:ngsi-ld:Vehicle:1"
    assert (await api.patch(f"{path}/attrs", {"speed": {"type": "Property", "value": 10}})).status == 204
    await created(api, vehicle(2))
    assert (await inside(api, snapshot, "GET", f"{path}?format=simplified")).json["speed"] == 80
    assert await ids(api, snapshot) == ["1"]
    assert (await inside(api, snapshot, "POST", "entities", vehicle(3))).status == 201
    assert (await inside(api, snapshot, "PATCH", f"{path}/attrs", {"speed": 99})).status == 204
    assert (await inside(api, snapshot, "GET", f"{path}?format=simplified")).json["speed"] == 99
    assert (await api.get(f"{path}?format=simplified")).json["speed"] == 10
    assert (await api.get("entities/urn:ngsi-ld:Vehicle:3")).status == 404
    assert (await inside(api, snapshot, "DELETE", path)).status == 204
    assert (await api.get(path)).status == 200


async def test_5_16_1_results_of_many_pages_are_complete(api: Api) -> None:
    entities = [vehicle(f"{number:04}") for number in range(1050)]
    for place in range(0, len(entities), 500):
        await created(api, *entities[place : place + 500])
    snapshot = await snapshot_of(api)
    answer = await inside(api, snapshot, "GET", "entities?type=Vehicle&limit=1&count=true")
    assert answer.headers["NGSILD-Results-Count"] == "1050"


@pytest.mark.parametrize(
    ("queries", "status", "results"),
    [
        ([of_type("Vehicle"), of_type("Vehicle", q="speed>50")], "success", ["success", "success"]),
        ([of_type("Vehicle"), of_type("Boat")], "partial", ["success", "empty"]),
        ([of_type("Vehicle"), {"type": "Query"}], "partial", ["success", "failure"]),
        ([of_type("Boat"), {"type": "Query"}], "empty", ["empty", "failure"]),
        ([{"type": "Query"}], "failure", ["failure"]),
    ],
)
async def test_5_16_1_the_status_follows_from_the_results(
    api: Api, queries: list[dict[str, Any]], status: str, results: list[str]
) -> None:
    await created(api, vehicle(1, 80))
    snapshot = await snapshot_of(api, *queries)
    assert snapshot["snapshotStatus"] == status
    assert [details["resultStatus"] for details in snapshot["snapshotQueriesDetails"]] == results
    for details in snapshot["snapshotQueriesDetails"]:
        assert ("problemDetails" in details) == (details["resultStatus"] == "failure")
    if "failure" in results:
        problem = snapshot["snapshotQueriesDetails"][-1]["problemDetails"]
        assert problem["type"].endswith("BadRequestData")
        assert "too wide" in problem["detail"]
    assert await ids(api, snapshot) == (["1"] if "success" in results else [])


async def test_5_16_1_projections_datasets_and_joins_say_what_is_stored(api: Api) -> None:
    speeds = [{"type": "Property", "value": 1}, {"type": "Property", "value": 2, "datasetId": "urn:d:2"}]
    await created(
        api,
        {"id": "urn:ngsi-ld:Owner:1", "type": "Owner", "name": "Ann"},
        vehicle(1, 1, owner={"type": "Relationship", "object": "urn:ngsi-ld:Owner:1"}, colour="red", scope="/a"),
        vehicle(2, 1),
    )
    await api.patch("entities/urn:ngsi-ld:Vehicle:1/attrs", {"speed": speeds})
    pick = of_type("Vehicle", pick=["id", "type", "speed", "owner"], join="inline", datasetId=["urn:d:2", "@none"])
    snapshot = await snapshot_of(api, {**pick, "q": "speed==2"})
    one = (await inside(api, snapshot, "GET", "entities/urn:ngsi-ld:Vehicle:1?format=simplified")).json
    assert one.keys() == {"id", "type", "speed", "owner"}
    assert await ids(api, snapshot, "type=Vehicle") == ["1"]
    assert await ids(api, snapshot, "type=Owner") == ["1"]
    only = await snapshot_of(api, of_type("Vehicle", datasetId=["urn:d:2"], attrs=["speed"]))
    copy = (await inside(api, only, "GET", "entities/urn:ngsi-ld:Vehicle:1")).json
    assert copy == {
        "id": "urn:ngsi-ld:Vehicle:1",
        "type": "Vehicle",
        "scope": "/a",
        "speed": {"type": "Property", "value": 2, "datasetId": "urn:d:2"},
    }


async def test_5_16_1_an_entity_of_several_queries_has_what_all_of_them_found(api: Api) -> None:
    await created(api, vehicle(1, 1, colour="red", wheels=4))
    snapshot = await snapshot_of(
        api,
        of_type("Vehicle", pick=["id", "type", "speed"]),
        of_type("Vehicle", pick=["id", "type", "colour"]),
        of_type("Vehicle", pick=["id", "type", "speed"]),
    )
    assert snapshot["snapshotStatus"] == "success"
    one = (await inside(api, snapshot, "GET", "entities/urn:ngsi-ld:Vehicle:1?format=simplified")).json
    assert one == {"id": "urn:ngsi-ld:Vehicle:1", "type": "Vehicle", "speed": 1, "colour": "red"}


async def test_5_16_1_the_history_has_what_the_temporal_queries_found_and_nothing_else(api: Api) -> None:
    for second, value in enumerate((10, 20, 30)):
        observed = {"type": "Property", "value": value, "observedAt": f"2026-01-01T00:00:0{second}Z"}
        document = {"id": "urn:ngsi-ld:Vehicle:1", "type": "Vehicle", "speed": observed, "colour": "red"}
        assert (await api.post("temporal/entities", document)).status in (201, 204)
    await created(api, vehicle(2))
    between = {"timerel": "between", "timeAt": "2026-01-01T00:00:01Z", "endTimeAt": "2026-01-02T00:00:00Z"}
    query = of_type("Vehicle", temporalQ=between, pick=["id", "type", "speed"])
    snapshot = await snapshot_of(api, of_type("Vehicle"), snapshotTemporalQueries=[query])
    assert snapshot["snapshotStatus"] == "success"
    assert snapshot["snapshotTemporalQueriesDetails"] == [{"resultStatus": "success"}]
    evolution = await inside(api, snapshot, "GET", "temporal/entities/urn:ngsi-ld:Vehicle:1")
    assert evolution.status == 200, evolution.body
    assert [instance["value"] for instance in evolution.json["speed"]] == [20, 30]
    assert "colour" not in evolution.json
    original = (await api.get("temporal/entities/urn:ngsi-ld:Vehicle:1")).json
    assert [each["instanceId"] for each in evolution.json["speed"]] == [
        each["instanceId"] for each in original["speed"][1:]
    ]
    # The entity that only the query on current states found was not observed in the snapshot: it has no evolution there.
    await inside(api, snapshot, "POST", "entities", vehicle(9))
    assert (await inside(api, snapshot, "GET", "temporal/entities/urn:ngsi-ld:Vehicle:9")).status == 200
    assert (await inside(api, snapshot, "GET", "temporal/entities/urn:ngsi-ld:Vehicle:2")).status == 404
    assert (await api.get("temporal/entities/urn:ngsi-ld:Vehicle:9")).status == 404


async def test_5_16_1_a_temporal_query_alone_makes_no_current_entities(api: Api) -> None:
    await created(api, vehicle(1, {"type": "Property", "value": 1, "observedAt": "2026-01-01T00:00:00Z"}))
    last = {"timerel": "before", "timeAt": "2030-01-01T00:00:00Z", "lastN": 1}
    query = of_type("Vehicle", temporalQ=last)
    answer = await api.post("snapshots", {"type": "Snapshot", "snapshotTemporalQueries": [query]})
    snapshot = await ready(api, answer.headers["Location"])
    assert snapshot["snapshotStatus"] == "success"
    assert "snapshotQueriesDetails" not in snapshot
    assert await ids(api, snapshot) == []
    found = await inside(api, snapshot, "GET", "temporal/entities?timerel=before&timeAt=2030-01-01T00:00:00Z")
    assert [each["id"] for each in found.json] == ["urn:ngsi-ld:Vehicle:1"]


@pytest.mark.parametrize(
    ("given", "member"),
    [
        ({"type": "Snapshot"}, "snapshotQueries"),
        ({"snapshotQueries": [of_type("V")]}, "type"),
        ({"type": "Snap", "snapshotQueries": [of_type("V")]}, "type"),
        ({"type": "Snapshot", "snapshotQueries": []}, "snapshotQueries"),
        ({"type": "Snapshot", "snapshotQueries": {}}, "snapshotQueries"),
        ({"type": "Snapshot", "snapshotQueries": [of_type("V")] * 101}, "snapshotQueries"),
        ({"type": "Snapshot", "snapshotQueries": [{"type": "Q"}]}, "snapshotQueries[0]: type"),
        ({"type": "Snapshot", "snapshotQueries": [of_type("V"), of_type("V", q="a=")]}, "snapshotQueries[1]: q"),
        ({"type": "Snapshot", "snapshotQueries": [of_type("V", temporalQ={"timerel": "after"})]}, "temporalQ"),
        ({"type": "Snapshot", "snapshotTemporalQueries": [of_type("V")]}, "temporalQ"),
        ({"type": "Snapshot", "snapshotTemporalQueries": [of_type("V", temporalQ={"timerel": "x"})]}, "timerel"),
        ({"type": "Snapshot", "snapshotQueries": [of_type("V")], "id": "no uri"}, "id"),
        ({"type": "Snapshot", "snapshotQueries": [of_type("V")], "snapshotPriority": 0}, "snapshotPriority"),
        ({"type": "Snapshot", "snapshotQueries": [of_type("V")], "snapshotPriority": 11}, "snapshotPriority"),
        ({"type": "Snapshot", "snapshotQueries": [of_type("V")], "snapshotPriority": True}, "snapshotPriority"),
        ({"type": "Snapshot", "snapshotQueries": [of_type("V")], "snapshotPriority": 1e308}, "snapshotPriority"),
        ({"type": "Snapshot", "snapshotQueries": [of_type("V")], "snapshotLifetime": "1 day"}, "snapshotLifetime"),
        ({"type": "Snapshot", "snapshotQueries": [of_type("V")], "snapshotLifetime": "PT0S"}, "snapshotLifetime"),
        ({"type": "Snapshot", "snapshotQueries": [of_type("V")], "snapshotLifetime": 5}, "snapshotLifetime"),
        ({"type": "Snapshot", "snapshotQueries": [of_type("V")], "endpoint": 5}, "endpoint"),
        ({"type": "Snapshot", "snapshotQueries": [of_type("V")], "endpoint": "ftp://a/"}, "endpoint"),
        (
            {
                "type": "Snapshot",
                "snapshotQueries": [of_type("V")],
                "endpoint": "http://a/",
                "receiverInfo": [{"key": "Host", "value": "b"}],
            },
            "receiverInfo",
        ),
        ({"type": "Snapshot", "snapshotQueries": [of_type("V")], "receiverInfo": {}}, "receiverInfo"),
    ],
)
async def test_5_2_41_what_is_no_snapshot_is_refused(api: Api, given: dict[str, Any], member: str) -> None:
    answer = await api.post("snapshots", given)
    assert answer.status == 400
    assert answer.json["type"].endswith("BadRequestData")
    assert answer.json["detail"].startswith(member) or member in answer.json["detail"].split(":")[1]


async def test_5_2_41_output_only_and_unknown_members_are_ignored(api: Api) -> None:
    await created(api, vehicle(1))
    snapshot = await snapshot_of(
        api,
        snapshotStatus="failure",
        snapshotQueriesDetails=[],
        createdAt="2000-01-01T00:00:00Z",
        expiresAt="2000-01-01T00:00:00Z",
        lastUsedAt="2000-01-01T00:00:00Z",
        space="mine",
        nonsense=1,
    )
    assert snapshot["snapshotStatus"] == "success"
    assert "2000" not in str(snapshot)
    assert "nonsense" not in snapshot
    assert "space" not in snapshot


async def test_5_16_1_an_id_is_taken_once_in_each_tenant(api: Api) -> None:
    await created(api, vehicle(1))
    snapshot = await snapshot_of(api, id="urn:ngsi-ld:Snapshot:one")
    assert snapshot["id"] == "urn:ngsi-ld:Snapshot:one"
    again = await api.post("snapshots", {"type": "Snapshot", "id": snapshot["id"], "snapshotQueries": [of_type("V")]})
    assert again.status == 409
    assert again.json["type"].endswith("AlreadyExists")
    other = await snapshot_of(api, id=snapshot["id"], tenant="north")
    assert other["snapshotStatus"] == "empty"


async def test_5_16_1_names_keep_the_meaning_of_their_context(api: Api) -> None:
    link = (
        '<https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.8.jsonld>; rel="http://www.w3.org/ns/json-ld#context"'
    )
    mine = {"@context": {"Car": "https://example.org/Car", "pace": "https://example.org/pace"}}
    entity = {"id": "urn:ngsi-ld:Car:1", "type": "Car", "pace": {"type": "Property", "value": 5}, **mine}
    assert (await api.post("entities", entity, Content_Type="application/ld+json")).status == 201
    query = of_type("Car", q="pace>4", pick=["id", "type", "pace"])
    answer = await api.post(
        "snapshots",
        {"type": "Snapshot", "snapshotQueries": [query], **mine},
        Content_Type="application/ld+json",
    )
    snapshot = await ready(api, answer.headers["Location"])
    assert snapshot["snapshotStatus"] == "success"
    other = (await api.get(f"snapshots/{snapshot['id']}", Link=link)).json["snapshotQueries"][0]
    assert other["entities"] == [{"type": "https://example.org/Car"}]
    assert other["pick"] == ["id", "type", "https://example.org/pace"]
    as_json_ld = (await api.get(f"snapshots/{snapshot['id']}", Accept="application/ld+json")).json
    assert "@context" in as_json_ld


async def test_5_16_1_the_lifetime_is_given_defaulted_and_capped(store: Store) -> None:
    async with running_api(store, snapshot_lifetime=600.0, max_snapshot_lifetime=3600.0) as api:
        for lifetime, seconds in ((None, 600), ("PT30M", 1800), ("P1D", 3600), ("P9999Y", 3600)):
            snapshot = await snapshot_of(api, snapshotLifetime=lifetime)
            lasts = parse_instant(snapshot["expiresAt"]) - parse_instant(snapshot["createdAt"])
            assert abs(lasts - timedelta(seconds=seconds)) < timedelta(seconds=1)


async def test_5_16_1_an_expired_snapshot_is_gone_and_its_id_is_free(api: Api) -> None:
    await created(api, vehicle(1))
    given = {"type": "Snapshot", "id": "urn:s:1", "snapshotQueries": [of_type("Vehicle")], "snapshotLifetime": "PT0.3S"}
    assert (await api.post("snapshots", given)).status == 201
    await asyncio.sleep(0.4)
    assert (await api.get("snapshots/urn:s:1")).status == 404
    within = await inside(api, {"id": "urn:s:1"}, "GET", "entities?type=Vehicle")
    assert within.status == 404
    assert "urn:s:1" in within.json["detail"]
    assert (await snapshot_of(api, id="urn:s:1"))["snapshotStatus"] == "success"


async def test_5_5_15_a_tenant_has_a_bounded_number_of_snapshots(store: Store) -> None:
    async with running_api(store, max_snapshots=2) as api:
        first = await snapshot_of(api)
        await snapshot_of(api)
        answer = await api.post("snapshots", {"type": "Snapshot", "snapshotQueries": [of_type("V")]})
        assert answer.status == 409
        assert answer.json["type"].endswith("Conflict")
        assert (await api.post(f"snapshots/{first['id']}/clone", {"type": "Snapshot"})).status == 409
        await snapshot_of(api, tenant="north")
        assert (await api.delete(f"snapshots/{first['id']}")).status == 204
        await snapshot_of(api)


async def test_5_16_3_what_is_unknown_or_no_uri_is_refused(api: Api) -> None:
    for method, path, payload in (
        ("GET", "snapshots/{}", None),
        ("PATCH", "snapshots/{}", {"snapshotPriority": 1}),
        ("DELETE", "snapshots/{}", None),
        ("POST", "snapshots/{}/clone", {"type": "Snapshot"}),
    ):
        unknown = await api.request(method, path.format("urn:ngsi-ld:Snapshot:none"), payload)
        assert unknown.status == 404
        assert unknown.json["type"].endswith("ResourceNotFound")
        assert unknown.json["instance"] == "urn:ngsi-ld:Snapshot:none"
        assert (await api.request(method, path.format("no-uri"), payload)).status == 400
    assert (await api.get("snapshots")).status == 405


async def test_5_16_4_an_update_changes_what_may_change_and_answers_with_it(api: Api) -> None:
    snapshot = await snapshot_of(api, snapshotLifetime="PT1H")
    path = f"snapshots/{snapshot['id']}"
    fragment = {
        "id": snapshot["id"],
        "type": "Snapshot",
        "snapshotPriority": 2,
        "snapshotLifetime": "PT2H",
        "endpoint": "http://127.0.0.1:9/",
        "receiverInfo": [{"key": "X-Key", "value": "1"}],
        "snapshotStatus": "failure",
        "createdAt": "2000-01-01T00:00:00Z",
    }
    answer = await api.patch(path, fragment)
    assert answer.status == 200
    changed = answer.json
    assert changed == (await api.get(path)).json
    assert (changed["snapshotPriority"], changed["snapshotLifetime"]) == (2, "PT2H")
    assert changed["receiverInfo"] == fragment["receiverInfo"]
    assert changed["snapshotStatus"] == snapshot["snapshotStatus"]
    assert changed["createdAt"] == snapshot["createdAt"]
    assert changed["modifiedAt"] > snapshot["modifiedAt"]
    later = parse_instant(changed["expiresAt"]) - parse_instant(snapshot["expiresAt"])
    assert timedelta(minutes=59) < later < timedelta(minutes=61)
    null = "urn:ngsi-ld:null"
    bare = (await api.patch(path, dict.fromkeys(("endpoint", "receiverInfo", "snapshotPriority"), null))).json
    assert "endpoint" not in bare
    assert "receiverInfo" not in bare
    assert bare["snapshotPriority"] == 5
    assert bare["expiresAt"] == changed["expiresAt"]


@pytest.mark.parametrize(
    "fragment",
    [
        {"snapshotQueries": []},
        {"snapshotQueries": [of_type("V")]},
        {"snapshotTemporalQueries": None},
        {"snapshotQueries": "urn:ngsi-ld:null"},
        {"id": "urn:ngsi-ld:Snapshot:other"},
        {"type": "urn:ngsi-ld:null"},
        {"type": "Subscription"},
        {"snapshotPriority": 0},
        {"endpoint": "nowhere"},
        {"snapshotLifetime": "soon"},
        {"receiverInfo": [7]},
        {"receiverInfo": [{"key": "X-Key", "value": 7}]},
    ],
)
async def test_5_16_4_what_may_not_change_is_refused(api: Api, fragment: dict[str, Any]) -> None:
    snapshot = await snapshot_of(api)
    answer = await api.patch(f"snapshots/{snapshot['id']}", fragment)
    assert answer.status == 400
    assert answer.json["type"].endswith("BadRequestData")
    assert next(iter(fragment)) in answer.json["detail"]
    assert (await api.get(f"snapshots/{snapshot['id']}")).json == snapshot


async def test_5_16_4_an_update_that_ends_a_snapshot_is_answered_with_it(api: Api) -> None:
    snapshot = await snapshot_of(api)
    answer = await api.patch(f"snapshots/{snapshot['id']}", {"snapshotLifetime": "PT0.000001S"})
    assert answer.status == 200
    assert answer.json["snapshotLifetime"] == "PT0.000001S"
    assert (await api.get(f"snapshots/{snapshot['id']}")).status == 404


async def test_5_16_2_a_clone_is_a_copy_that_outlives_the_original(api: Api) -> None:
    await created(api, vehicle(1, 80), vehicle(2, 30))
    last = {"timerel": "before", "timeAt": "2030-01-01T00:00:00Z", "timeproperty": "createdAt"}
    snapshot = await snapshot_of(api, snapshotTemporalQueries=[of_type("Vehicle", temporalQ=last)], snapshotPriority=3)
    assert snapshot["snapshotStatus"] == "success"
    await inside(api, snapshot, "POST", "entities", vehicle(3))
    await inside(api, snapshot, "PATCH", "entities/urn:ngsi-ld:Vehicle:1/attrs", {"speed": 81})
    await inside(api, snapshot, "DELETE", "entities/urn:ngsi-ld:Vehicle:2")
    subscription = {"type": "Subscription", "notification": {"endpoint": {"uri": "http://127.0.0.1:9/"}}}
    assert (await inside(api, snapshot, "POST", "subscriptions", subscription)).status == 201
    answer = await api.post(
        f"snapshots/{snapshot['id']}/clone", {"type": "Snapshot", "id": "urn:ngsi-ld:Snapshot:clone"}
    )
    assert answer.status == 201
    assert answer.headers["Location"] == "/ngsi-ld/v1/snapshots/urn:ngsi-ld:Snapshot:clone"
    clone = await ready(api, answer.headers["Location"])
    assert clone["snapshotStatus"] == "success"
    assert clone["snapshotPriority"] == 5
    assert "snapshotQueries" not in clone
    assert clone["createdAt"] > snapshot["createdAt"]
    for path in (
        "entities?type=Vehicle&options=sysAttrs",
        "temporal/entities/urn:ngsi-ld:Vehicle:1?options=sysAttrs",
        "temporal/entities/urn:ngsi-ld:Vehicle:2?options=sysAttrs",
        "temporal/entities/urn:ngsi-ld:Vehicle:3?options=sysAttrs",
    ):
        original, copy = await inside(api, snapshot, "GET", path), await inside(api, clone, "GET", path)
        assert original.status == 200, original.body
        assert copy.json == original.json
    assert (await inside(api, clone, "GET", "subscriptions")).json == []
    assert (await api.delete(f"snapshots/{snapshot['id']}")).status == 204
    assert await ids(api, clone) == ["1", "3"]


async def test_5_16_2_a_clone_brings_no_queries_and_takes_no_id_of_another(api: Api) -> None:
    snapshot = await snapshot_of(api)
    path = f"snapshots/{snapshot['id']}/clone"
    for name, query in (("snapshotQueries", of_type("V")), ("snapshotTemporalQueries", of_type("V", temporalQ={}))):
        answer = await api.post(path, {"type": "Snapshot", name: [query]})
        assert answer.status == 400
        assert name in answer.json["detail"]
    assert (await api.post(path, {})).status == 400
    assert (await api.post(path, {"type": "Snapshot", "id": snapshot["id"]})).status == 409


async def test_5_16_5_a_deleted_snapshot_is_gone_and_may_be_made_anew(api: Api) -> None:
    await created(api, vehicle(1), vehicle(2))
    snapshot = await snapshot_of(api, id="urn:s:1")
    await inside(api, snapshot, "POST", "entities", vehicle(3))
    assert (await api.delete("snapshots/urn:s:1")).status == 204
    assert (await api.get("snapshots/urn:s:1")).status == 404
    assert (await api.delete("snapshots/urn:s:1")).status == 404
    assert (await inside(api, snapshot, "GET", "entities?type=Vehicle")).status == 404
    again = await snapshot_of(api, of_type("Vehicle", q="speed<0"), id="urn:s:1")
    assert again["snapshotStatus"] == "empty"
    assert await ids(api, again) == []
    assert (await inside(api, again, "GET", "temporal/entities/urn:ngsi-ld:Vehicle:3")).status == 404


@pytest.mark.parametrize(
    ("q", "purged"),
    [
        ("snapshotPriority<5", ["low"]),
        ("snapshotPriority>=5", ["high"]),
        ('id=="urn:s:low"|snapshotPriority==9', ["low", "high"]),
        ('snapshotStatus=="success"', ["high"]),
        ('snapshotStatus=="empty"', ["low"]),
        ("endpoint", ["high"]),
        ("expiresAt<2100-01-01T00:00:00Z", ["low", "high"]),
        ("lastUsedAt>2020-01-01T00:00:00Z;createdAt>2020-01-01T00:00:00Z", ["low", "high"]),
        ("snapshotTemporalQueries", []),
        ("snapshotPriority>100", []),
    ],
)
async def test_5_16_7_purge_deletes_what_the_query_selects(api: Api, q: str, purged: list[str]) -> None:
    await created(api, vehicle(1))
    await snapshot_of(api, of_type("Boat"), id="urn:s:low", snapshotPriority=2)
    await snapshot_of(api, id="urn:s:high", snapshotPriority=9, endpoint="http://127.0.0.1:9/")
    await snapshot_of(api, id="urn:s:low", snapshotPriority=2, tenant="north")
    answer = await api.session.delete(f"{api.url}/ngsi-ld/v1/snapshots", params={"q": q})
    assert answer.status == (204 if purged else 404), await answer.text()
    for name in ("low", "high"):
        assert (await api.get(f"snapshots/urn:s:{name}")).status == (404 if name in purged else 200)
    assert (await api.get("snapshots/urn:s:low", NGSILD_Tenant="north")).status == 200


@pytest.mark.parametrize(
    "q", [None, "", "speed>50", "snapshotPriority>", "scope", "deletedAt", "endpoint{Vehicle:speed}", "location"]
)
async def test_5_16_7_a_purge_is_about_members_of_snapshot_only(api: Api, q: str | None) -> None:
    snapshot = await snapshot_of(api)
    answer = await api.session.delete(f"{api.url}/ngsi-ld/v1/snapshots", params={} if q is None else {"q": q})
    assert answer.status == 400, await answer.text()
    problem = await answer.json()
    assert problem["type"].endswith("BadRequestData")
    assert "q" in problem["detail"]
    assert (await api.get(f"snapshots/{snapshot['id']}")).status == 200
