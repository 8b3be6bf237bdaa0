"""The servers that other tests rest on really are there, and are what they say."""

import ssl

import aiomqtt
import pytest
from mosquitto import MqttBroker
from pymongo import MongoClient
from pymongo.errors import ConnectionFailure


@pytest.mark.mongo
def test_mongodb_is_a_replica_set_that_takes_writes(mongo_client, mongo_database):
    assert "setName" in mongo_client.admin.command("hello")
    mongo_client[mongo_database].probe.insert_one({"_id": 1})
    with mongo_client.start_session() as session, session.start_transaction():
        mongo_client[mongo_database].probe.insert_one({"_id": 2}, session=session)
    assert mongo_client[mongo_database].probe.count_documents({}) == 2


@pytest.mark.mongo
def test_a_killed_mongod_comes_back_with_its_data(mongod):
    with MongoClient(mongod.uri) as client:
        client.probe.probe.insert_one({"_id": 1})
    mongod.kill()
    with MongoClient(mongod.uri, serverSelectionTimeoutMS=200) as client, pytest.raises(ConnectionFailure):
        client.admin.command("ping")
    mongod.start()
    with MongoClient(mongod.uri) as client:
        assert client.probe.probe.count_documents({}) == 1


async def _round_trip(broker: MqttBroker, **arguments: object) -> bytes:
    async with aiomqtt.Client(broker.host, broker.port, **arguments) as client:
        await client.subscribe("probe", qos=1)
        await client.publish("probe", b"hello", qos=1)
        async for message in client.messages:
            return bytes(message.payload)
    raise AssertionError("no message came")


@pytest.mark.mqtt
async def test_mqtt_broker_carries_a_message(mqtt_broker):
    assert await _round_trip(mqtt_broker) == b"hello"


@pytest.mark.mqtt
async def test_protected_mqtt_broker_asks_for_its_password(mqtt_broker_with_password):
    broker = mqtt_broker_with_password
    login = {"username": broker.credentials.username, "password": broker.credentials.password}
    assert await _round_trip(broker, **login) == b"hello"
    with pytest.raises(aiomqtt.MqttError):
        await _round_trip(broker, username="sensor", password="wrong")
    with pytest.raises(aiomqtt.MqttError):
        await _round_trip(broker)


@pytest.mark.mqtt
async def test_mqtt_broker_with_tls_is_trusted_through_its_authority_only(mqtt_broker_with_tls):
    broker = mqtt_broker_with_tls
    trusting = ssl.create_default_context(cafile=str(broker.certificates.authority))
    assert await _round_trip(broker, tls_context=trusting) == b"hello"
    with pytest.raises((aiomqtt.MqttError, ssl.SSLError)):
        await _round_trip(broker, tls_context=ssl.create_default_context())
