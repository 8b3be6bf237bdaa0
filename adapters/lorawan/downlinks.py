"""Commands to LoRaWAN devices: downlinks through ChirpStack v4 and The Things Stack v3, and what the network says of them.

A downlink waits in the network server's queue until the device can hear it. It carries the command's id, and the network's events
do, too: what was transmitted is delivered, and what the device confirmed is done. A downlink that nobody confirms is done when
it was transmitted: more is not to be known of it.

Only one downlink of a device is in the queue at a time, so that the order is kept and one that expires can be taken back:
ChirpStack is told when it expires; at The Things Stack the queue is emptied.
"""

import asyncio
import base64
import json
import logging
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from adapters.actuation.asking import later
from adapters.actuation.book import seconds_between
from adapters.actuation.contract import Actuation, Carried, Command, Outcome, TryLater, Undeliverable
from adapters.document import read_json
from adapters.door import now
from adapters.errors import UnreadableFile
from adapters.lorawan.encoder import encode
from adapters.lorawan.events import utc
from adapters.lorawan.fleet import Fleet
from adapters.transports.mqtt import LONGEST_PAUSE, Arrived, Subscriber, make_client, tls_context

MOST_BYTES: Final = 1 << 20
PUBLISH_SECONDS: Final = 10.0
_NOTHING: Final[Mapping[str, Any]] = {"downlinks": []}
_EMPTY_SECONDS: Final = 60.0
_TAG: Final = "tsunagu:"
"""Before the id of a command, among the correlation ids of The Things Stack."""

_LOG: Final = logging.getLogger(__name__)


class Said(Enum):
    """What the network says of a downlink."""

    SENT = auto()
    DONE = auto()
    FAILED = auto()
    NOT_CONFIRMED = auto()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the network says of one downlink: the device, the command's id, why, and when."""

    said: Said
    device: str
    command_id: str
    reason: str = ""
    at: str = ""


class DownlinkCarrier:
    """Carries commands of one fleet, and listens to what becomes of them (`run`)."""

    def __init__(self, fleet: Fleet, identity: str) -> None:
        self._fleet = fleet
        self._identity = identity
        self._client: Subscriber | None = None
        self._queued: dict[str, Command] = {}
        self._to_empty: dict[str, Command] = {}
        """Devices whose queue could not be emptied when their command expired: it is done before anything else."""
        self.listening = asyncio.Event()

    def expect(self, commands: Iterable[Command]) -> None:
        """These are in the network server's queue since before the runner was started."""
        self._queued.update((command.target.device_id, command) for command in commands)

    async def carry(self, command: Command) -> Carried:
        """Put a downlink into the network server's queue. Raises Undeliverable, TryLater."""
        encoding = self._fleet.encodings.get(command.name)
        if encoding is None:
            raise Undeliverable(f"There is no encoding of {command.name}.")
        data = encode(encoding, command.value)
        device = command.target.device_id
        before = self._queued.get(device)
        if before is not None and before.id != command.id and now() < before.expires_at:
            raise TryLater("The network server has not sent the command before this one yet.")
        document = downlink(self._fleet, command, data)
        # What is there is not good any more, or is this very command: it takes its place.
        stale = before is not None or device in self._to_empty
        verb = "replace" if stale and self._fleet.options.server != "chirpstack" else "push"
        self._queued[device] = command
        try:
            await self._publish(_down_topic(self._fleet, command, verb), document, command.expires_at)
        except TryLater:
            if before is None:
                del self._queued[device]
            else:
                self._queued[device] = before
            raise
        self._to_empty.pop(device, None)
        return Carried(Outcome.SENT)

    async def recall(self, command: Command) -> bool:
        """Take a downlink back that has expired; whether the network server is sure to drop it.

        Where it cannot be told now, it is told before anything else when it can.
        """
        device = command.target.device_id
        known = self._queued.get(device)
        self._settled(device, command.id)
        if self._fleet.options.server == "chirpstack":
            return self._fleet.options.network_expiry  # it was told when it put the downlink into its queue
        if known is not None and known.id != command.id:
            return True  # a later one has taken its place there
        self._to_empty[device] = command
        await self._publish(_down_topic(self._fleet, command, "replace"), _NOTHING, later(now(), _EMPTY_SECONDS))
        self._to_empty.pop(device, None)
        return True

    async def _empty(self, client: Subscriber) -> None:
        """Empty the queues that could not be emptied when it was time to."""
        for device, command in list(self._to_empty.items()):
            await self._send(
                client, _down_topic(self._fleet, command, "replace"), _NOTHING, later(now(), _EMPTY_SECONDS)
            )
            self._to_empty.pop(device, None)
            _LOG.info("command %s: the network server has been told to drop it", command.id)

    async def run(self, actuation: Actuation) -> None:
        """Listen to what the network says, for ever."""
        pause = 1.0
        while True:
            try:
                context = await asyncio.to_thread(tls_context, self._fleet.mqtt)
                name = f"commands-{self._fleet.name}"
                async with make_client(self._fleet.mqtt, name, self._identity, context) as client:
                    await client.subscribe([(topic, self._fleet.mqtt.qos) for topic in event_topics(self._fleet)])
                    await self._empty(client)
                    self._client = client
                    self.listening.set()
                    pause = 1.0
                    while True:
                        for message in await client.some():
                            await self._hear(actuation, message)
                            client.acknowledge([message])
            except (aiomqtt.MqttError, OSError, ValueError) as error:
                _LOG.warning("commands of %s: the MQTT broker cannot be heard: %s", self._fleet.name, error)
            finally:
                self._client = None
                self.listening.clear()
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _hear(self, actuation: Actuation, message: Arrived) -> None:
        verdict = read_verdict(self._fleet, message.topic, message.payload)
        if verdict is None:
            return
        tenant, device = self._fleet.options.tenant, verdict.device
        known = self._queued.get(device)
        command = known if known is not None and known.id == verdict.command_id else None
        name = "" if command is None else command.name
        if verdict.said is Said.SENT:
            if self._is_confirmed(name):
                await actuation.delivered(tenant, device, verdict.command_id, verdict.at)
                return
            # There is room in the queue before anybody hears of it.
            self._settled(device, verdict.command_id)
            await actuation.delivered(tenant, device, verdict.command_id, verdict.at)
            said = "transmitted; the device does not confirm"
            await actuation.answered(tenant, device, name, said, verdict.at, verdict.command_id)
            return
        if verdict.said is Said.NOT_CONFIRMED and command is not None and self._fleet.options.server != "chirpstack":
            await self.recall(command)  # The Things Stack would send it again
        self._settled(device, verdict.command_id)
        done = verdict.said is Said.DONE
        reason = "confirmed by the device" if done else verdict.reason or "the device did not confirm it"
        await actuation.answered(tenant, device, name, reason, verdict.at, verdict.command_id, error=not done)

    def _is_confirmed(self, name: str) -> bool:
        """Whether a command's downlink is confirmed; where it is not known which one it was, whether all are."""
        encodings = self._fleet.encodings
        return encodings[name].confirmed if name in encodings else all(each.confirmed for each in encodings.values())

    def _settled(self, device: str, command_id: str) -> None:
        known = self._queued.get(device)
        if known is not None and known.id == command_id:
            del self._queued[device]

    async def _publish(self, topic: str, document: Mapping[str, Any], expires_at: str) -> None:
        """Raises TryLater where nothing was sent."""
        if self._client is None:
            raise TryLater("The MQTT broker of the network server is not connected.")
        await self._send(self._client, topic, document, expires_at)

    async def _send(self, client: Subscriber, topic: str, document: Mapping[str, Any], expires_at: str) -> None:
        mqtt = self._fleet.mqtt
        properties = None
        if mqtt.version == "5":
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.MessageExpiryInterval = max(int(seconds_between(now(), expires_at)), 1)
        body = json.dumps(document).encode()
        try:
            await client.publish(
                topic, body, qos=mqtt.qos, retain=False, properties=properties, timeout=PUBLISH_SECONDS
            )
        except (
            aiomqtt.MqttCodeError
        ) as error:  # before anything was written; the client of this connection ends with it
            raise TryLater(f"The MQTT broker of the network server is away: {error}.") from error


def downlink(fleet: Fleet, command: Command, data: bytes) -> dict[str, Any]:
    """The message that puts a command into the network server's queue."""
    encoding = fleet.encodings[command.name]
    payload = base64.b64encode(data).decode()
    if fleet.options.server == "chirpstack":
        return {
            "id": command.id,
            "devEui": command.target.device_id,
            "confirmed": encoding.confirmed,
            "fPort": encoding.port,
            "data": payload,
            **({"expiresAt": command.expires_at} if fleet.options.network_expiry else {}),
        }
    item = {
        "f_port": encoding.port,
        "frm_payload": payload,
        "confirmed": encoding.confirmed,
        "priority": "NORMAL",
        "correlation_ids": [_TAG + command.id],
    }
    return {"downlinks": [item]}


def _down_topic(fleet: Fleet, command: Command, verb: str) -> str:
    if fleet.options.server == "chirpstack":
        return f"application/{fleet.options.application}/device/{command.target.device_id}/command/down"
    return f"v3/{fleet.options.application}/devices/{command.target.address['device']}/down/{verb}"


def event_topics(fleet: Fleet) -> tuple[str, ...]:
    """The topics on which the network says what becomes of downlinks."""
    application = fleet.options.application
    if fleet.options.server == "chirpstack":
        return tuple(f"application/{application}/device/+/event/{kind}" for kind in ("txack", "ack", "log"))
    return tuple(f"v3/{application}/devices/+/down/{kind}" for kind in ("sent", "ack", "nack", "failed"))


def read_verdict(fleet: Fleet, topic: str, payload: bytes) -> Verdict | None:
    """What an event says of a downlink of ours; None where it says nothing of one."""
    try:
        document = read_json(payload, MOST_BYTES)
    except UnreadableFile as error:
        _LOG.warning("commands of %s: an event cannot be read: %s", fleet.name, error)
        return None
    if not isinstance(document, dict):
        return None
    kind = topic.rpartition("/")[2]
    return _chirpstack(kind, document) if fleet.options.server == "chirpstack" else _things_stack(kind, document)


def _chirpstack(kind: str, document: Mapping[str, Any]) -> Verdict | None:
    device = _text(_member(document, "deviceInfo"), "devEui").lower()
    item, at = _text(document, "queueItemId"), utc(document.get("time"))
    if kind == "log":
        item = _text(_member(document, "context"), "queue_item_id")
        if not item or _text(document, "level") != "ERROR":
            return None
        reason = f"{_text(document, 'code')}: {_text(document, 'description')}"
        return Verdict(Said.FAILED, device, item, reason, at)
    if not item or not device:
        return None
    if kind == "txack":
        return Verdict(Said.SENT, device, item, at=at)
    said = Said.DONE if document.get("acknowledged") is True else Said.NOT_CONFIRMED
    return Verdict(said, device, item, at=at) if kind == "ack" else None


def _things_stack(kind: str, document: Mapping[str, Any]) -> Verdict | None:
    device = _text(_member(document, "end_device_ids"), "dev_eui").lower()
    about = _member(document, f"downlink_{kind}")
    inner = _member(about, "downlink") if kind == "failed" else about
    tags = [*_texts(document.get("correlation_ids")), *_texts(inner.get("correlation_ids"))]
    ours = next((tag.removeprefix(_TAG) for tag in tags if tag.startswith(_TAG)), "")
    if not ours or not device:
        return None
    at = utc(document.get("received_at"))
    match kind:
        case "sent":
            return Verdict(Said.SENT, device, ours, at=at)
        case "ack":
            return Verdict(Said.DONE, device, ours, at=at)
        case "nack":
            return Verdict(Said.NOT_CONFIRMED, device, ours, at=at)
        case "failed":
            error = _member(about, "error")
            reason = _text(error, "message_format") or _text(error, "name") or "the network server cannot send it"
            return Verdict(Said.FAILED, device, ours, reason, at)
    return None


def _member(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = document.get(name)
    return found if isinstance(found, dict) else {}


def _text(document: Mapping[str, Any], name: str) -> str:
    found = document.get(name)
    return found if isinstance(found, str) else ""


def _texts(values: Any) -> list[str]:
    return [each for each in values if isinstance(each, str)] if isinstance(values, list) else []
