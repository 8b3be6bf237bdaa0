"""MQTT 3.1.1 and 5: topics of an MQTT broker, in a session that lasts, each message acknowledged when it is on disk.

While the runner is away the MQTT broker keeps messages of quality 1 for it, as many as its own settings allow; one that was
on its way when the runner died comes again, is known by its packet id, and counts once. Messages that wait together are put
on disk together. Quality 2 is not offered: its handshake ends before a message is on our disk, so a crash between would lose
it.
"""

import asyncio
import hashlib
import logging
import random
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiomqtt
from paho.mqtt.client import MQTTMessage
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from adapters.door import Door, now
from adapters.feeds import Mqtt
from adapters.journal import Intake

MOST_AT_ONCE: Final = 500
"""Messages that go to disk in one transaction."""
IN_FLIGHT: Final = 500
"""Messages that the MQTT broker may have sent without our acknowledgement (MQTT 5)."""
SESSION_SECONDS: Final = 7 * 24 * 3600
LONGEST_PAUSE: Final = 30.0
CONNECT_SECONDS: Final = 20.0
SILENT_MILLISECONDS: Final = 15_000
"""For how long what was sent may go without the other host's acknowledgement, before the connection counts as broken: a
command must not leave the system's buffers when a network is back after a quarter of an hour."""

_SOCKET_OPTIONS: Final = (
    [(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENT_MILLISECONDS)] if hasattr(socket, "TCP_USER_TIMEOUT") else []
)
_PUBACK: Final = bytes([0x40, 2])
"""Kind and length of an acknowledgement, which the packet id follows; in MQTT 5, one without more means success."""
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Arrived:
    """A message as it came: topic, payload, quality, packet id, and whether it may have come before."""

    topic: str
    payload: bytes
    qos: int
    packet: int
    again: bool
    retained: bool


class Subscriber(aiomqtt.Client):
    """A client that acknowledges a message when it is told to, not when it has arrived.

    aiomqtt has no way to say so; the client of paho that it is made of has.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.arrived: asyncio.Queue[Arrived] = asyncio.Queue()
        self._client.manual_ack_set(True)
        self._client.on_message = self._arrive

    def _arrive(self, client: Any, userdata: Any, message: MQTTMessage) -> None:
        self.arrived.put_nowait(
            Arrived(message.topic, bytes(message.payload), message.qos, message.mid, message.dup, message.retain)
        )

    def acknowledge(self, messages: Sequence[Arrived]) -> None:
        """Tell the MQTT broker that it may forget messages, in one write: each by itself costs several system calls."""
        packets = b"".join(_PUBACK + message.packet.to_bytes(2, "big") for message in messages if message.qos)
        if packets:
            self._client._packet_queue(_PUBACK[0], packets, 0, 1)

    async def some(self) -> list[Arrived]:
        """The messages that are there; waits for one. Raises MqttError when the connection ends."""
        first = asyncio.ensure_future(self.arrived.get())
        try:
            watched: set[asyncio.Future[Any]] = {first, self._disconnected}
            await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            first.cancel()
            raise
        if not first.done():
            first.cancel()
            raise aiomqtt.MqttError("the connection has ended") from self._disconnected.exception()
        found = [first.result()]
        while len(found) < MOST_AT_ONCE and not self.arrived.empty():
            found.append(self.arrived.get_nowait())
        return found


async def listen(mqtt: Mqtt, door: Door, identity: str) -> None:
    """Hand over the messages of the topics, for ever. `identity` is the runner's, from which a client id is made."""
    pause = 1.0
    while True:
        try:
            context = await asyncio.to_thread(tls_context, mqtt)
            async with make_client(mqtt, door.feed, identity, context) as client:
                await client.subscribe([(topic, mqtt.qos) for topic in mqtt.topics])
                _LOG.info("feed %s: listening to %s on %s", door.feed, ", ".join(mqtt.topics), mqtt.host)
                await door.checked()
                pause = 1.0
                while True:
                    await receive(client, await client.some(), door)
        except (aiomqtt.MqttError, OSError, ValueError) as error:
            trouble = f"the MQTT broker {mqtt.host} cannot be heard: {error or type(error).__name__}"
            _LOG.warning("feed %s: %s", door.feed, trouble)
            await door.checked(trouble)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, LONGEST_PAUSE)


async def receive(client: Subscriber, messages: list[Arrived], door: Door) -> None:
    """Put messages on disk, and acknowledge them."""
    at = now()
    await door.take([_intake(message, at) for message in messages])
    client.acknowledge(messages)


def make_client(
    mqtt: Mqtt, feed: str, identity: str, tls: ssl.SSLContext | None, logger: logging.Logger = _LOG
) -> Subscriber:
    """A client with a session that outlives its connections. `logger` gets what the library says, topics among it."""
    name = mqtt.client_id or f"tsunagu-{hashlib.sha256(f'{identity}/{feed}'.encode()).hexdigest()[:15]}"
    session: dict[str, Any]
    if mqtt.version == "5":
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = SESSION_SECONDS
        properties.ReceiveMaximum = IN_FLIGHT
        session = {"protocol": aiomqtt.ProtocolVersion.V5, "clean_start": False, "properties": properties}
    else:
        session = {"protocol": aiomqtt.ProtocolVersion.V311, "clean_session": False}
    return Subscriber(
        mqtt.host,
        mqtt.port or (8883 if mqtt.tls else 1883),
        identifier=name,
        username=mqtt.username,
        password=mqtt.password,
        tls_context=tls,
        logger=logger,
        timeout=CONNECT_SECONDS,
        socket_options=_SOCKET_OPTIONS,
        **session,
    )


def tls_context(mqtt: Mqtt) -> ssl.SSLContext | None:
    """How the connection is encrypted. Raises OSError where a file cannot be read."""
    if not mqtt.tls:
        return None
    context = ssl.create_default_context(cafile=mqtt.authority)
    if mqtt.certificate is not None:
        context.load_cert_chain(mqtt.certificate, mqtt.key)
    return context


def name_of(message: Arrived) -> str | None:
    """What tells a message that comes again: the packet id is its own until it is acknowledged; None with quality 0."""
    if not message.qos:
        return None
    return f"{message.packet}:{hashlib.sha256(message.topic.encode() + bytes(1) + message.payload).hexdigest()[:24]}"


def _intake(message: Arrived, at: str) -> Intake:
    parameters = {"topic": message.topic} | ({"retained": "true"} if message.retained else {})
    return Intake(
        message.payload,
        message.topic,
        at,
        parameters=parameters,
        name=name_of(message),
        unless_among=2 * IN_FLIGHT if message.again else 0,
    )
