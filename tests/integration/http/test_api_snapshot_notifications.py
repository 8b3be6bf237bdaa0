"""SnapshotNotifications (5.16.6, 5.3.4): who is told what of a snapshot, and that nothing of it is lost."""

import asyncio
from typing import Any

import pytest
from api import Api, running_api
from mosquitto import MqttBroker
from snapshot_receiver import Notified, inside, of_type, receiving, snapshot_of, vehicle

from broker.store.protocol import Store


@pytest.fixture
async def vehicles(api: Api) -> Api:
    await api.post("entityOperations/create", [vehicle(1), vehicle(2)])
    await api.post("entities", vehicle(1), NGSILD_Tenant="north")
    return api


def told(notified: Notified) -> dict[str, Any]:
    return {name: value for name, value in notified.body.items() if name not in ("id", "notifiedAt", "expiresAt")}


async def test_5_16_6_the_endpoint_is_told_when_a_snapshot_is_ready(vehicles: Api) -> None:
    async with receiving() as receiver:
        given: dict[str, Any] = {
            "endpoint": receiver.url,
            "receiverInfo": [{"key": "Authorization", "value": "Bearer 1"}, {"key": "X-Key", "value": "2"}],
            "snapshotPriority": 7,
        }
        last = {"timerel": "before", "timeAt": "2030-01-01T00:00:00Z"}
        temporal = [of_type("Vehicle", temporalQ=last)]
        snapshot = await snapshot_of(vehicles, tenant="north", snapshotTemporalQueries=temporal, **given)
        (notified,) = await receiver.wait(1)
        assert told(notified) == {
            "type": "SnapshotNotification",
            "snapshotId": snapshot["id"],
            "snapshotPriority": 7,
            "snapshotStatus": "partial",
            "snapshotQueriesDetails": [{"resultStatus": "success"}],
            "temporalSnapshotQueriesDetails": [{"resultStatus": "empty"}],
        }
        assert notified.body["expiresAt"] == snapshot["expiresAt"] > notified.body["notifiedAt"]
        assert notified.body["id"].startswith("urn:ngsi-ld:SnapshotNotification:")
        assert notified.headers["Content-Type"] == "application/json"
        assert notified.headers["Authorization"] == "Bearer 1"
        assert notified.headers["X-Key"] == "2"
        assert notified.headers["NGSILD-Tenant"] == "north"


async def test_5_16_6_the_endpoint_is_told_of_each_update_and_of_the_end(vehicles: Api) -> None:
    async with receiving() as receiver, receiving() as other:
        snapshot = await snapshot_of(vehicles, endpoint=receiver.url)
        path = f"snapshots/{snapshot['id']}"
        await receiver.wait(1)
        updated = (await vehicles.patch(path, {"snapshotLifetime": "PT1H", "snapshotPriority": 1})).json
        second = (await receiver.wait(2))[1].body
        assert (second["snapshotPriority"], second["expiresAt"]) == (1, updated["expiresAt"])
        assert second["id"] != receiver.received[0].body["id"]
        await vehicles.patch(path, {"endpoint": other.url})
        await other.wait(1)
        assert (await vehicles.delete(path)).status == 204
        last = (await other.wait(2))[1].body
        assert last["expiresAt"] < last["notifiedAt"]
        assert (last["snapshotId"], last["snapshotStatus"]) == (snapshot["id"], "success")
        assert len(receiver.received) == 2


async def test_5_16_6_the_endpoint_is_told_of_expiry_and_of_purges(vehicles: Api) -> None:
    async with receiving() as receiver:
        await snapshot_of(vehicles, endpoint=receiver.url, snapshotLifetime="PT0.8S", id="urn:s:1")
        await receiver.wait(1)
        # A look every few seconds would find it; another snapshot that goes lets the archive look at once.
        await asyncio.sleep(0.9)
        await snapshot_of(vehicles, endpoint=receiver.url, id="urn:s:2", snapshotPriority=1)
        await vehicles.session.delete(f"{vehicles.url}/ngsi-ld/v1/snapshots", params={"q": "snapshotPriority<2"})
        ends = [each.body for each in await receiver.wait(4)][1:]
        gone = {each["snapshotId"] for each in ends if each["expiresAt"] < each["notifiedAt"]}
        assert gone == {"urn:s:1", "urn:s:2"}


async def test_5_16_6_without_endpoint_nobody_is_told(vehicles: Api) -> None:
    async with receiving() as receiver:
        snapshot = await snapshot_of(vehicles, endpoint=receiver.url)
        await receiver.wait(1)
        await vehicles.patch(f"snapshots/{snapshot['id']}", {"endpoint": "urn:ngsi-ld:null"})
        await vehicles.delete(f"snapshots/{snapshot['id']}")
        await asyncio.sleep(0.3)
        assert len(receiver.received) == 1


async def test_5_16_6_a_receiver_that_was_away_is_told_of_how_things_are(vehicles: Api) -> None:
    async with receiving() as receiver:
        receiver.status = 503
        snapshot = await snapshot_of(vehicles, endpoint=receiver.url)
        await receiver.wait(1)
        await vehicles.patch(f"snapshots/{snapshot['id']}", {"snapshotPriority": 8})
        await receiver.wait(2)
        receiver.status = 200
        last = (await receiver.wait(3))[2].body
        assert last["snapshotPriority"] == 8
        await asyncio.sleep(1.2)
        assert len(receiver.received) == 3
        assert receiver.received[2].body["id"] == receiver.received[1].body["id"] != receiver.received[0].body["id"]


async def test_5_16_6_what_is_owed_is_told_after_a_restart(store: Store) -> None:
    async with receiving() as receiver:
        receiver.status = 503
        async with running_api(store) as api:
            await api.post("entities", vehicle(1))
            kept = await snapshot_of(api, endpoint=receiver.url, id="urn:s:kept")
            await snapshot_of(api, endpoint=receiver.url, id="urn:s:gone")
            assert (await api.delete("snapshots/urn:s:gone")).status == 204
            await receiver.wait(3)
        receiver.received.clear()
        receiver.status = 200
        async with running_api(store) as api:
            bodies = {each.body["snapshotId"]: each.body for each in await receiver.wait(2)}
            assert bodies.keys() == {"urn:s:kept", "urn:s:gone"}
            assert bodies["urn:s:gone"]["expiresAt"] < bodies["urn:s:gone"]["notifiedAt"]
            assert bodies["urn:s:kept"]["expiresAt"] == kept["expiresAt"]
            assert (await inside(api, kept, "GET", "entities?type=Vehicle")).status == 200
            await asyncio.sleep(0.3)
        async with running_api(store):
            await asyncio.sleep(0.3)
        assert len(receiver.received) == 2


@pytest.mark.mqtt
async def test_5_16_6_an_mqtt_endpoint_is_told_too(vehicles: Api, mqtt_broker: MqttBroker) -> None:
    import aiomqtt
    import orjson

    async with aiomqtt.Client(mqtt_broker.host, mqtt_broker.port) as client:
        await client.subscribe("snapshots/#")
        endpoint = f"mqtt://{mqtt_broker.host}:{mqtt_broker.port}/snapshots/one"
        snapshot = await snapshot_of(vehicles, endpoint=endpoint, receiverInfo=[{"key": "X-Key", "value": "2"}])
        message = await asyncio.wait_for(anext(aiter(client.messages)), 10)
        assert isinstance(message.payload, bytes)
        sent = orjson.loads(message.payload)
        assert sent["body"]["snapshotId"] == snapshot["id"]
        assert sent["metadata"]["X-Key"] == "2"
