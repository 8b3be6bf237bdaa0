"""Where devices send over MQTT: measures and answers to commands on the topics of the agents of FIWARE, in one lasting session.

    /ul/KEY/DEVICE/attrs     /json/KEY/DEVICE/attrs     /KEY/DEVICE/attrs        a message of readings
    …/attrs/NAME                                                                  the value of one reading
    …/cmdexe                                                                      an answer to a command

The slash before a topic may be left out. A message is acknowledged when it is on disk. A retained one is a copy of what came
before, without the time at which it did, and is not taken.
"""

import asyncio
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from adapters import metrics
from adapters.feeds import Mqtt
from adapters.iot.agent import Agent, Message, answers_in, protocol_of
from adapters.iot.device import Sender
from adapters.iot.documents import Protocol
from adapters.iot.payload import MOST_BYTES, MalformedPayload
from adapters.transports.mqtt import IN_FLIGHT, LONGEST_PAUSE, Arrived, Subscriber, make_client, name_of, tls_context

CONFIRM_SECONDS: Final = 10.0
_PROTOCOLS: Final[dict[str, Protocol]] = {"ul": "ultralight", "json": "json"}
_LOG: Final = logging.getLogger(__name__)
_OF_THE_LIBRARY: Final = logging.getLogger(f"{__name__}.library")
_OF_THE_LIBRARY.setLevel(logging.WARNING)  # below that it tells topics, and keys are in them


@dataclass(frozen=True, slots=True)
class Topic:
    """What a topic says; `protocol` None where it does not say which. `answers` where it is for answers to commands."""

    protocol: Protocol | None
    key: str
    device: str
    attribute: str = ""
    answers: bool = False


class Session:
    """The session with the devices' MQTT broker: what comes goes to the agent; commands go out while it is connected."""

    def __init__(self, mqtt: Mqtt, agent: Agent, identity: str) -> None:
        self._mqtt = mqtt
        self._agent = agent
        self._identity = identity
        self._client: Subscriber | None = None

    @property
    def connected(self) -> bool:
        """Whether devices are heard now."""
        return self._client is not None

    async def run(self) -> None:
        """Listen, for ever."""
        mqtt, pause = self._mqtt, 1.0
        while True:
            try:
                context = await asyncio.to_thread(tls_context, mqtt)
                async with make_client(mqtt, "iot", self._identity, context, _OF_THE_LIBRARY) as client:
                    granted = await client.subscribe([(topic, mqtt.qos) for topic in mqtt.topics])
                    await self._agent.checked(_refused(mqtt.topics, granted))
                    _LOG.info("iot: listening to devices on %s", mqtt.host)
                    self._client, pause = client, 1.0
                    while True:
                        await self.receive(client, await client.some())
            except (aiomqtt.MqttError, OSError, ValueError) as error:
                await self._agent.checked(
                    f"the MQTT broker {mqtt.host} cannot be heard: {error or type(error).__name__}"
                )
            finally:
                self._client = None
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, LONGEST_PAUSE)

    async def receive(self, client: Subscriber, messages: list[Arrived]) -> None:
        """Put messages on disk, and acknowledge them."""
        measures: dict[Protocol, list[tuple[Sender, str, Message]]] = {}
        for each in messages:
            topic = parse_topic(each.topic)
            if topic is None or each.retained or len(each.payload) > MOST_BYTES:
                kind = "unknown-topic" if topic is None else "retained" if each.retained else "too-large"
                metrics.failures.labels("iot", kind).inc()
                continue
            sender = await self._agent.sender(topic.key, topic.device, topic.protocol)
            if sender is None:
                continue
            protocol = topic.protocol or protocol_of(sender, each.payload)
            if topic.answers:
                name = name_of(each)
                if name is None or await self._agent.registry.is_new(name, again=each.again):
                    await self._answer(sender, protocol, topic, each.payload)
                continue
            if not await self._agent.has_room_for(sender, protocol):
                continue
            message = Message(
                each.payload,
                attribute=topic.attribute,
                name=name_of(each),
                unless_among=2 * IN_FLIGHT if each.again else 0,
            )
            measures.setdefault(protocol, []).append((sender, topic.device, message))
        for protocol, some in measures.items():
            await self._agent.take(protocol, some)
        client.acknowledge(messages)

    async def publish(self, topic: str, payload: bytes, seconds: int) -> bool:
        """Send a command, which the MQTT broker keeps so many seconds at most for the device; False where it is not there.

        MQTT 3.1.1 has no such limit, so there it is sent with quality 0, which nobody keeps. Raises MqttError where the MQTT
        broker does not confirm it in time: it may have it.
        """
        client = self._client
        if client is None:
            return False
        if self._mqtt.version == "5":
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.MessageExpiryInterval = seconds
            await client.publish(topic, payload, qos=1, properties=properties, timeout=CONFIRM_SECONDS)
        else:
            await client.publish(topic, payload, qos=0, timeout=CONFIRM_SECONDS)
        return True

    async def _answer(self, sender: Sender, protocol: Protocol, topic: Topic, data: bytes) -> None:
        try:
            answers = answers_in(protocol, data)
        except MalformedPayload as fault:
            metrics.failures.labels("iot", "no-answer").inc()
            _LOG.warning("iot: the device %r answers a command with what is none: %s", topic.device[:80], fault)
            return
        for each in answers:
            if not await self._agent.answer(sender, each):
                _LOG.info(
                    "iot: an answer of the device %r to %r is to no open command", topic.device[:80], each.command[:80]
                )


def _refused(topics: Sequence[str], granted: Sequence[Any]) -> str:
    """What is wrong where the MQTT broker does not let one listen to all topics; empty where it does."""
    refused = [topic for topic, code in zip(topics, granted, strict=False) if int(getattr(code, "value", code)) >= 128]
    return f"the MQTT broker refuses the topics {', '.join(refused)}" if refused else ""


def parse_topic(text: str) -> Topic | None:
    """What a topic says; None where it is none of the devices'."""
    levels = text.removeprefix("/").split("/")
    protocol = None
    if levels[0] in _PROTOCOLS and len(levels) > 3 and levels[3] in ("attrs", "cmdexe"):
        protocol = _PROTOCOLS[levels.pop(0)]
    match levels:
        case [key, device, "attrs"] if key and device:
            return Topic(protocol, key, device)
        case [key, device, "attrs", attribute] if key and device and attribute:
            return Topic(protocol, key, device, attribute)
        case [key, device, "cmdexe"] if key and device:
            return Topic(protocol, key, device, answers=True)
    return None
