"""Sessions with MQTT brokers (clause 7) that restart, are killed, hang, or break off in the middle of an exchange."""

import asyncio
import re

import orjson
import pytest
from delivery_desk import Desk, Receiver, eventually
from mosquitto import MqttBroker, find_mosquitto, running_mqtt_broker
from mqtt_listener import ack, connack, info, keeping, told

from broker.delivery import mqtt_link
from broker.delivery.endpoint import MqttAddress
from broker.delivery.mqtt import MqttPublisher
from broker.delivery.mqtt_link import MqttError
from broker.delivery.mqtt_packets import Packet
from broker.egress.error import EgressError
from broker.egress.policy import EgressPolicy

pytestmark = pytest.mark.mqtt

LEVEL = {"type": "Property", "value": 1}
needs_mosquitto = pytest.mark.skipif(find_mosquitto() is None, reason="amqtt keeps no sessions through a restart")


def _devices(numbers: range) -> list[str]:
    return [f"urn:ngsi-ld:Device:{number:03}" for number in numbers]


async def _create(desk: Desk, ids: list[str]) -> None:
    for one in ids:
        await desk.create(one, level=LEVEL)
        await asyncio.sleep(0.005)


@needs_mosquitto
@pytest.mark.parametrize(("version", "qos"), [("mqtt5.0", 1), ("mqtt3.1.1", 2), ("mqtt5.0", 2)])
async def test_an_mqtt_broker_that_restarts_in_the_middle_loses_nothing(desk: Desk, version: str, qos: int) -> None:
    with running_mqtt_broker(persistent=True) as broker:
        async with keeping(broker, "flood") as keeper:
            subscription = await desk.subscribe(f"{broker.uri}/flood", endpoint=info(qos, version))
            ids = _devices(range(60))
            writing = asyncio.create_task(_create(desk, ids))
            await keeper.wait(set(ids[:10]))
            await asyncio.to_thread(broker.stop)
            await asyncio.to_thread(broker.start)
            await writing
            await keeper.wait(set(ids))
        if qos == 2:
            assert sorted(keeper.ids) == ids
        assert (await desk.look(subscription))["notification"]["timesSent"] >= len(ids)


@needs_mosquitto
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_an_mqtt_broker_that_is_killed_gets_what_it_had_not_acknowledged(desk: Desk, qos: int) -> None:
    """It forgets all sessions. What it acknowledged before it was killed is its own affair, also towards its subscribers."""
    with running_mqtt_broker() as broker:
        ids = _devices(range(40))
        async with keeping(broker, "flood") as keeper:
            subscription = await desk.subscribe(f"{broker.uri}/flood", endpoint=info(qos))
            await _create(desk, ids[:10])
            await keeper.wait(set(ids[:10]))
            await asyncio.to_thread(broker.kill)
            await _create(desk, ids[10:20])
            keeper.listens.clear()
            await asyncio.to_thread(broker.start)
            await keeper.listens.wait()
            await _create(desk, ids[20:])
            await keeper.wait(set(ids[20:]))
            await eventually(lambda: _nothing_waits(desk, subscription))
    assert set(keeper.ids) >= set(ids[:10] + ids[20:])


async def _nothing_waits(desk: Desk, subscription: str) -> bool:
    return desk.broker.dispatcher.owed("", subscription)[0] == 0


@needs_mosquitto
async def test_an_mqtt_broker_that_hangs_times_out_hurts_no_other_endpoint_and_gets_each_notification_once(
    desk: Desk, receiver: Receiver, mqtt_broker: MqttBroker
) -> None:
    with running_mqtt_broker() as stuck:
        async with keeping(stuck, "stuck") as keeper, keeping(mqtt_broker, "well") as well:
            hung = await desk.subscribe(f"{stuck.uri}/stuck", endpoint={**info(2), "timeout": 200})
            await desk.subscribe(f"{mqtt_broker.uri}/well", endpoint=info(1))
            await desk.subscribe(receiver.url)
            await _create(desk, (before := _devices(range(1))))
            await keeper.wait(set(before))
            stuck.freeze()
            await _create(desk, (ids := _devices(range(1, 30))))
            await receiver.wait(30)
            await well.wait(set(ids))
            await eventually(lambda: _has_failed(desk, hung, "timeout"))
            assert set(keeper.ids) == set(before)
            stuck.thaw()
            await keeper.wait(set(ids))
            await eventually(lambda: _nothing_waits(desk, hung))
        assert sorted(keeper.ids) == before + ids


async def _has_failed(desk: Desk, subscription: str, kind: str) -> bool:
    course = desk.broker.dispatcher.course("", subscription)
    return course is not None and course.stop.last is not None and course.stop.last.kind == kind


@needs_mosquitto
@pytest.mark.parametrize("version", ["mqtt3.1.1", "mqtt5.0"])
async def test_processes_have_sessions_of_their_own_which_end_with_them(version: str) -> None:
    with running_mqtt_broker(persistent=True) as broker:
        async with keeping(broker, "both") as keeper:
            publishers = [MqttPublisher(EgressPolicy.parse("any")) for _ in range(2)]
            address = _address(broker.port, 1, version)
            for number in range(6):
                payload = orjson.dumps({"body": {"id": "n", "data": [{"id": str(number)}]}})
                await publishers[number % 2].publish(address, payload, f"n{number}", 5)
            for one in publishers:
                await one.close()
            await keeper.wait(set("012345"))
        ids = re.findall(r"as (tsunagu\w{16}) ", broker.log)
        assert len(set(ids)) == 2
        assert "already connected" not in broker.log
        if version == "mqtt3.1.1":
            assert sorted(ids) == sorted([*set(ids), *set(ids)])  # each comes once more, to end its session


def _address(port: int, qos: int, version: str = "mqtt3.1.1") -> MqttAddress:
    return MqttAddress("127.0.0.1", port, False, "both", version=version, qos=qos)  # type: ignore[arg-type]


async def _published(port: int, qos: int, *, seconds: float = 5.0) -> None:
    publisher = MqttPublisher(EgressPolicy.parse("any"))
    try:
        await publisher.publish(_address(port, qos), b"payload", "name", seconds)
    finally:
        await publisher.close()


async def test_a_publish_without_acknowledgement_is_repeated_under_its_number_where_the_session_is_there() -> None:
    async with told([connack(), b""], [connack(session_present=True), ack(Packet.PUBACK, 1), b"", b""]) as broker:
        await _published(broker.port, 1)
    first, second = broker.got[0][1], broker.got[1][1]
    assert (first[0], first[1] & 8) == (Packet.PUBLISH, 0)
    assert (second[0], second[1] & 8) == (Packet.PUBLISH, 8)
    assert first[2] == second[2]


async def test_a_connection_on_which_an_answer_is_overdue_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_link, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(mqtt_link, "LOOK_SECONDS", 0.05)
    again = [connack(session_present=True), ack(Packet.PUBACK, 1), b""]
    async with told([connack(), b"", b""], again) as broker:
        await _published(broker.port, 1)
    assert [packet[0] for packet in broker.got[0]] == [Packet.CONNECT, Packet.PUBLISH]
    assert [packet[0] for packet in broker.got[1][:2]] == [Packet.CONNECT, Packet.PUBLISH]


async def test_quality_2_is_completed_where_the_session_is_there_and_begun_anew_where_it_is_lost() -> None:
    begun = [connack(), ack(Packet.PUBREC, 1), b""]
    there = [connack(session_present=True), ack(Packet.PUBCOMP, 1), b""]
    async with told(begun, there) as broker:
        await _published(broker.port, 2)
    assert [packet[0] for packet in broker.got[0]] == [Packet.CONNECT, Packet.PUBLISH, Packet.PUBREL]
    assert [packet[0] for packet in broker.got[1][:2]] == [Packet.CONNECT, Packet.PUBREL]
    lost = [connack(), ack(Packet.PUBREC, 1), ack(Packet.PUBCOMP, 1), b""]
    async with told(begun, lost) as broker:
        await _published(broker.port, 2)
    assert [packet[0] for packet in broker.got[1][:3]] == [Packet.CONNECT, Packet.PUBLISH, Packet.PUBREL]
    assert not broker.got[1][1][1] & 8  # to this MQTT broker it is a new message


async def test_a_pubrec_that_comes_again_and_again_is_answered_once() -> None:
    many = ack(Packet.PUBREC, 1) * 100
    async with told([connack(), many, ack(Packet.PUBCOMP, 1), b""]) as broker:
        await _published(broker.port, 2)
    assert [packet[0] for packet in broker.got[0]].count(Packet.PUBREL) == 1


async def test_quality_0_is_delivered_when_the_mqtt_broker_has_read_it() -> None:
    read = [connack(), b"", b"\xd0\x00"]
    async with told([*read, b"", b""], [*read, b""]) as broker:
        publisher = MqttPublisher(EgressPolicy.parse("any"))
        await publisher.publish(_address(broker.port, 0), b"payload", "name", 5)
        # The connection is cut before this one is read, which shows by the answer to a ping: it goes out on another one.
        await publisher.publish(_address(broker.port, 0), b"other", "another", 5)
        await publisher.close()
    kinds = [[packet[0] for packet in packets] for packets in broker.got]
    assert kinds[0] == [Packet.CONNECT, Packet.PUBLISH, Packet.PINGREQ, Packet.PUBLISH, Packet.PINGREQ]
    assert kinds[1][:3] == [Packet.CONNECT, Packet.PUBLISH, Packet.PINGREQ]
    assert broker.got[1][1][2].endswith(b"other")


async def test_an_attempt_after_a_time_out_joins_the_message_that_is_in_flight() -> None:
    async with told([connack(), b"", b""]) as broker:
        publisher = MqttPublisher(EgressPolicy.parse("any"))
        address = _address(broker.port, 2)
        for _ in range(3):
            with pytest.raises(EgressError) as caught:
                await publisher.publish(address, b"payload", "name", 0.1)
            assert caught.value.reason == "timeout"
        with pytest.raises(EgressError):
            await publisher.publish(address, b"payload", "another", 0.1)
        await publisher.close()
    assert [packet[0] for packet in broker.got[0]] == [Packet.CONNECT, Packet.PUBLISH, Packet.PUBLISH]
    assert b"\x00\x02" in broker.got[0][2][2]


async def test_one_that_arrived_after_its_time_is_not_sent_again() -> None:
    async with told([connack(), b"", ack(Packet.PUBACK, 1), b""]) as broker:
        publisher = MqttPublisher(EgressPolicy.parse("any"))
        with pytest.raises(EgressError):
            await publisher.publish(_address(broker.port, 1), b"payload", "name", 0.1)
        with pytest.raises(EgressError):  # what makes the script go on
            await publisher.publish(_address(broker.port, 1), b"payload", "another", 0.2)
        await publisher.publish(_address(broker.port, 1), b"payload", "name", 1)
        with pytest.raises(EgressError):  # but a replay of it later is
            await publisher.publish(_address(broker.port, 1), b"payload", "name", 0.2)
        await publisher.close()
    assert [packet[0] for packet in broker.got[0]] == [Packet.CONNECT, *3 * [Packet.PUBLISH]]


async def test_an_mqtt_broker_that_says_no_is_told_apart_from_one_that_is_not_there() -> None:
    async with told([bytes((Packet.CONNACK << 4, 2, 0, 5))]) as broker:
        with pytest.raises(MqttError, match="not authorized"):
            await _published(broker.port, 1)
    with pytest.raises(EgressError) as caught:
        await _published(broker.port, 1)
    assert caught.value.reason == "refused"
    async with told([b"HTTP/1.1 400 Bad Request\r\n\r\n"]) as broker:
        with pytest.raises((MqttError, EgressError)):
            await _published(broker.port, 1, seconds=0.3)
