"""Operations on a snapshot over HTTP: which there are, that they are local, and that all of them stay inside (5.5.15, 6.3.22)."""

import asyncio
from typing import Any

import pytest
from api import Api
from snapshot_receiver import inside, of_type, receiving, snapshot_of, vehicle

from broker.model.dataspace import snapshot_space
from broker.store.protocol import Store

UNKNOWN = {"NGSILD-Snapshot": "urn:ngsi-ld:Snapshot:none"}


async def test_6_3_22_the_header_is_echoed_also_in_errors(api: Api) -> None:
    for method, path, headers, status in (
        ("GET", "entities?type=Vehicle", UNKNOWN, 404),
        ("GET", "nowhere", UNKNOWN, 404),
        ("PUT", "entities", UNKNOWN, 405),
        ("GET", "entities?nonsense=1", UNKNOWN, 400),
        ("GET", "entities?type=Vehicle", {"NGSILD-Snapshot": "no uri"}, 400),
        ("GET", "entities?type=Vehicle", {**UNKNOWN, "NGSILD-Tenant": "none"}, 404),
        ("POST", "entities", {**UNKNOWN, "Content-Encoding": "gzip"}, 415),
    ):
        answer = await api.request(method, path, {} if method == "POST" else None, headers=headers)
        assert answer.status == status, (method, path, answer.body)
        for name, value in headers.items():
            if name.startswith("NGSILD"):
                assert answer.headers[name] == value
    assert "NGSILD-Snapshot" not in (await api.get("entities?type=Vehicle")).headers


async def test_6_3_22_an_unknown_snapshot_is_a_resource_that_is_not_found(api: Api) -> None:
    for method, path, payload in (
        ("GET", "entities?type=Vehicle", None),
        ("POST", "entities", vehicle(1)),
        ("POST", "subscriptions", {"type": "Subscription"}),
        ("POST", "temporal/entities", vehicle(1)),
        ("GET", "types", None),
    ):
        answer = await api.request(method, path, payload, headers=UNKNOWN)
        assert answer.status == 404
        assert answer.json["type"].endswith("ResourceNotFound")
        assert UNKNOWN["NGSILD-Snapshot"] in answer.json["detail"]
    assert (await api.get("entities/urn:ngsi-ld:Vehicle:1")).status == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "csourceRegistrations?type=Vehicle"),
        ("POST", "csourceRegistrations"),
        ("GET", "csourceSubscriptions"),
        ("GET", "jsonldContexts"),
        ("GET", "info/sourceIdentity"),
        ("POST", "snapshots"),
        ("GET", "snapshots/{id}"),
        ("DELETE", "snapshots/{id}"),
        ("POST", "snapshots/{id}/clone"),
    ],
)
async def test_5_5_15_operations_of_other_apis_cannot_be_applied_to_a_snapshot(
    api: Api, method: str, path: str
) -> None:
    snapshot = await snapshot_of(api)
    answer = await inside(api, snapshot, method, path.format(**snapshot), {} if method == "POST" else None)
    assert answer.status == 422
    assert answer.json["type"].endswith("OperationNotSupported")
    assert "NGSILD-Snapshot" in answer.json["detail"]


async def test_5_5_15_operations_are_local_and_as_broad_as_local_ones_may_be(api: Api) -> None:
    await api.post("entityOperations/create", [vehicle(1), {"id": "urn:ngsi-ld:Boat:1", "type": "Boat"}])
    snapshot = await snapshot_of(api, of_type("*"))
    for path in ("entities", "entities?local=false", "entities?type=*&local=false", "entities?local=true&orderBy=id"):
        answer = await inside(api, snapshot, "GET", path)
        assert (answer.status, len(answer.json)) == (200, 2), answer.body
    query = {"type": "Query", "entities": [{"type": "*"}]}
    found = await inside(api, snapshot, "POST", "entityOperations/query?local=false", query)
    assert (found.status, len(found.json)) == (200, 2)
    assert (await api.get("entities")).status == 400
    assert (await inside(api, snapshot, "GET", "entities?local=perhaps")).status == 400
    span = "timerel=before&timeAt=2030-01-01T00:00:00Z&timeproperty=createdAt"
    assert (await inside(api, snapshot, "GET", f"temporal/entities?{span}")).status == 200
    assert (await api.get(f"temporal/entities?{span}")).status == 400
    assert (await inside(api, snapshot, "DELETE", "entities?local=false")).status == 204
    assert (await inside(api, snapshot, "GET", "entities")).json == []
    assert (await api.get("entities?local=true&count=true&limit=0")).headers["NGSILD-Results-Count"] == "2"


async def test_5_5_15_everything_of_the_core_api_works_on_a_snapshot(api: Api) -> None:
    await api.post("entityOperations/create", [vehicle(1), vehicle(2)])
    snapshot = await snapshot_of(api)
    one = "entities/urn:ngsi-ld:Vehicle:1"
    ngsi: list[tuple[str, str, Any, int]] = [
        ("POST", "entities", vehicle(3), 201),
        ("POST", "entities", vehicle(3), 409),
        ("PATCH", one, {"speed": 1}, 204),
        ("PUT", one, vehicle(1, 2), 204),
        ("POST", f"{one}/attrs", {"colour": "red"}, 204),
        ("PATCH", f"{one}/attrs", {"colour": "blue"}, 204),
        ("PATCH", f"{one}/attrs/colour", {"value": "green"}, 204),
        ("PUT", f"{one}/attrs/colour", {"type": "Property", "value": "pink"}, 204),
        ("DELETE", f"{one}/attrs/colour", None, 204),
        ("DELETE", "entities/urn:ngsi-ld:Vehicle:2", None, 204),
        ("POST", "entityOperations/create", [vehicle(4)], 201),
        ("POST", "entityOperations/upsert", [vehicle(5)], 201),
        ("POST", "entityOperations/update", [vehicle(5, 9)], 204),
        ("POST", "entityOperations/merge", [vehicle(5, 8)], 204),
        ("POST", "entityOperations/delete", ["urn:ngsi-ld:Vehicle:4"], 204),
        ("GET", "types", None, 200),
        ("GET", "types/Vehicle", None, 200),
        ("GET", "attributes", None, 200),
        ("GET", "attributes/speed", None, 200),
        ("DELETE", "entities?type=Vehicle", None, 204),
        ("GET", "types/Vehicle", None, 404),
        ("POST", "temporal/entities", vehicle(6), 201),
        ("POST", "temporal/entities/urn:ngsi-ld:Vehicle:6/attrs", {"colour": "red"}, 204),
        ("DELETE", "temporal/entities/urn:ngsi-ld:Vehicle:6/attrs/colour", None, 204),
        ("DELETE", "temporal/entities/urn:ngsi-ld:Vehicle:6", None, 204),
    ]
    for method, path, payload, status in ngsi:
        answer = await inside(api, snapshot, method, path, payload)
        assert answer.status == status, (method, path, answer.body)
    outside = (await api.get("entities?type=Vehicle&format=simplified")).json
    assert outside == [{**vehicle(n), "speed": 50} for n in (1, 2)]
    evolution = (await inside(api, snapshot, "GET", "temporal/entities/urn:ngsi-ld:Vehicle:1")).json
    assert [each["value"] for each in evolution["speed"] if each["value"] != "urn:ngsi-ld:null"] == [1, 2]
    assert (await api.get("temporal/entities/urn:ngsi-ld:Vehicle:6")).status == 404


async def test_5_5_15_an_entity_map_of_a_snapshot_is_in_the_snapshot(api: Api) -> None:
    await api.post("entityOperations/create", [vehicle(1), vehicle(2)])
    snapshot = await snapshot_of(api)
    made = await inside(api, snapshot, "GET", "entities?type=Vehicle&entityMap=true")
    path = made.headers["NGSILD-EntityMap"].removeprefix("/ngsi-ld/v1/")
    shown = await inside(api, snapshot, "GET", path)
    assert sorted(shown.json["entityMap"]) == ["urn:ngsi-ld:Vehicle:1", "urn:ngsi-ld:Vehicle:2"]
    assert (await api.get(path)).status == 404
    assert (await inside(api, snapshot, "DELETE", path)).status == 204
    assert (await inside(api, snapshot, "GET", path)).status == 404


async def test_5_5_15_a_snapshot_belongs_to_its_tenant(api: Api) -> None:
    await api.post("entities", vehicle("outside"))
    await api.post("entities", vehicle("inside"), NGSILD_Tenant="north")
    snapshot = await snapshot_of(api, tenant="north")
    assert (await api.get(f"snapshots/{snapshot['id']}")).status == 404
    assert (await inside(api, snapshot, "GET", "entities?type=Vehicle")).status == 404
    wrong = await inside(api, snapshot, "GET", "entities?type=Vehicle", **{"NGSILD-Tenant": "south"})
    assert wrong.json["type"].endswith("NonexistentTenant")
    found = await inside(api, snapshot, "GET", "entities?type=Vehicle", **{"NGSILD-Tenant": "north"})
    assert [each["id"] for each in found.json] == ["urn:ngsi-ld:Vehicle:inside"]
    assert found.headers["NGSILD-Tenant"] == "north"
    made = await inside(api, snapshot, "POST", "entities", vehicle("new"), **{"NGSILD-Tenant": "north"})
    assert made.status == 201
    assert (await api.get("entities/urn:ngsi-ld:Vehicle:new", NGSILD_Tenant="north")).status == 404


async def test_5_5_15_no_tenant_name_leads_into_a_snapshot(api: Api, store: Store) -> None:
    await api.post("entities", vehicle(1))
    snapshot = await snapshot_of(api)
    document = await store.get_document("snapshot", "", snapshot["id"])
    assert document is not None
    space = snapshot_space("", snapshot["id"], document["space"])
    assert (await api.get("entities?type=Vehicle", NGSILD_Tenant=space.replace("\x1f", ""))).status == 404
    for header in ("NGSILD-Tenant", "NGSILD-Snapshot"):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(api.url.rpartition(":")[2]))
        request = f"GET /ngsi-ld/v1/entities?type=Vehicle HTTP/1.1\r\nHost: a\r\n{header}: a{space}\r\n\r\n"
        writer.write(request.encode())
        assert (await reader.readline()).split()[1] == b"400"
        writer.close()


async def test_6_3_22_notifications_of_a_snapshot_name_it_and_its_tenant(api: Api) -> None:
    for tenant in (None, "north"):
        headers = {} if tenant is None else {"NGSILD-Tenant": tenant}
        await api.request("POST", "entities", vehicle(1), headers=headers)
        async with receiving() as receiver:
            outside = {"type": "Subscription", "entities": [{"type": "Vehicle"}]}
            outside["notification"] = {"endpoint": {"uri": receiver.url}, "format": "simplified"}  # type: ignore[assignment]
            created = ["entityCreated", "attributeUpdated"]
            await api.request("POST", "subscriptions", {**outside, "notificationTrigger": created}, headers=headers)
            snapshot = await snapshot_of(api, tenant=tenant)
            # Any entity: it is local, so that it need not say which (5.2.12).
            subscription = {"type": "Subscription", "notification": {"endpoint": {"uri": receiver.url}}}
            made = await inside(api, snapshot, "POST", "subscriptions", subscription, **headers)
            assert made.status == 201, made.body
            path = made.headers["Location"].removeprefix("/ngsi-ld/v1/")
            assert (await inside(api, snapshot, "PATCH", path, {"localOnly": False}, **headers)).status == 204
            assert (await inside(api, snapshot, "GET", path, **headers)).json["localOnly"] is True
            assert (await api.request("GET", path, headers=headers)).status == 404
            await asyncio.sleep(0.3)
            assert receiver.received == [], "loading a snapshot is no change of anything"
            attrs = "entities/urn:ngsi-ld:Vehicle:1/attrs"
            assert (await inside(api, snapshot, "PATCH", attrs, {"speed": 7}, **headers)).status == 204
            (told,) = await receiver.wait(1)
            assert told.body["data"][0]["speed"]["value"] == 7
            assert told.headers["NGSILD-Snapshot"] == snapshot["id"]
            assert told.headers.get("NGSILD-Tenant") == tenant
            assert (await api.request("PATCH", attrs, {"speed": 8}, headers=headers)).status == 204
            other = (await receiver.wait(2))[1]
            assert other.body["data"][0]["speed"] == 8
            assert "NGSILD-Snapshot" not in other.headers
            await asyncio.sleep(0.2)
            assert len(receiver.received) == 2


async def test_5_16_5_subscriptions_of_a_deleted_snapshot_end(api: Api, store: Store) -> None:
    await api.post("entities", vehicle(1))
    snapshot = await snapshot_of(api)
    async with receiving() as receiver:
        receiver.status = 503
        subscription = {"type": "Subscription", "notification": {"endpoint": {"uri": receiver.url}}}
        await inside(api, snapshot, "POST", "subscriptions", subscription)
        await inside(api, snapshot, "PATCH", "entities/urn:ngsi-ld:Vehicle:1/attrs", {"speed": 7})
        await receiver.wait(1)
        assert (await api.delete(f"snapshots/{snapshot['id']}")).status == 204
        receiver.status = 200
        tried = len(receiver.received)
        await asyncio.sleep(1.5)
        assert len(receiver.received) == tried
    assert await store.list_documents("subscription") == []
    assert not [name for name in await store.cursors() if name.startswith("delivery/") and name.count("/") > 1]


async def test_4_8_last_used_is_the_last_operation_on_a_snapshot(api: Api, store: Store) -> None:
    await api.post("entities", vehicle(1))
    snapshot = await snapshot_of(api)
    path = f"snapshots/{snapshot['id']}"
    assert (await api.get(path)).json["lastUsedAt"] == snapshot["createdAt"]
    await inside(api, snapshot, "GET", "entities?type=Vehicle")
    first = (await api.get(path)).json["lastUsedAt"]
    assert first > snapshot["createdAt"]
    recorded = await store.get_document("snapshotUse", "", snapshot["id"])
    await inside(api, snapshot, "GET", "entities?type=Vehicle")
    assert (await api.get(path)).json["lastUsedAt"] > first
    assert await store.get_document("snapshotUse", "", snapshot["id"]) == recorded, "not every request is a write"
    assert (await api.get(path)).json["modifiedAt"] == snapshot["modifiedAt"]


async def test_5_16_1_a_snapshot_that_is_still_prepared_answers_nothing_but_its_status(
    api: Api, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = await snapshot_of(api)
    # Who hears of it would prepare it.
    monkeypatch.setattr(api.broker.archive, "_attend", lambda *_: None)
    document = await store.get_document("snapshot", "", snapshot["id"])
    assert document is not None
    await store.put_document("snapshot", "", snapshot["id"], {**document, "snapshotStatus": "preparing"})
    for method, path, payload in (("GET", "entities?type=Vehicle", None), ("POST", "entities", vehicle(1))):
        answer = await inside(api, snapshot, method, path, payload)
        assert answer.status == 409
        assert answer.json["type"].endswith("Conflict")
        assert snapshot["id"] in answer.json["detail"]
    assert (await api.post(f"snapshots/{snapshot['id']}/clone", {"type": "Snapshot"})).status == 409
    assert (await api.get(f"snapshots/{snapshot['id']}")).json["snapshotStatus"] == "preparing"
    assert (await api.patch(f"snapshots/{snapshot['id']}", {"snapshotPriority": 7})).status == 200
    assert (await api.delete(f"snapshots/{snapshot['id']}")).status == 204
