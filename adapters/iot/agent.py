"""What the ways in have in common: whose a message is, the way of measures to their feed, and of answers to their commands."""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from adapters import metrics
from adapters.actuation.contract import Actuation, Command, InvalidTarget
from adapters.door import Door, now
from adapters.errors import Undecodable
from adapters.iot import documents, json_payload, ultralight
from adapters.iot.device import Device, Sender
from adapters.iot.measures import ATTRIBUTE, DEVICE, PATH, PROVISION, TENANT, TIME
from adapters.iot.payload import CommandAnswer, MalformedPayload
from adapters.iot.registry import Duplicate, Full, Registry
from adapters.iot.targets import CARRIER, target_of
from adapters.iot.together import Together
from adapters.journal import Intake

FEEDS: Final[Mapping[documents.Protocol, str]] = {"ultralight": "iot-ultralight", "json": "iot-json"}
REMEMBERED: Final = 100_000
"""Among how many inputs a name that a sender gives is looked for, as far as they are kept."""
MOST_UNKNOWN: Final = 10_000
"""Measures of devices that nobody has provisioned, in the quarantine at the same time."""
_COUNT_SECONDS: Final = 10.0
_SAY_SECONDS: Final = 60.0
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Message:
    """A message as a way in hands it over. `time` and `attribute` are what came beside it; `name` what tells a repetition."""

    data: bytes
    content_type: str = ""
    time: str = ""
    attribute: str = ""
    name: str | None = None
    unless_among: int = 0


class Agent:
    """The devices' side of the runner. `actuation` is None where there are no commands."""

    def __init__(
        self,
        registry: Registry,
        doors: Mapping[str, Door],
        actuation: Actuation | None = None,
        *,
        auto_provision: bool = False,
    ) -> None:
        self.registry = registry
        self.actuation = actuation
        self._doors = {name: Together(doors[name]) for name in FEEDS.values() if name in doors}
        self._auto_provision = auto_provision
        self._said: dict[str, float] = {}
        self._unknown = 0
        self._count_again = 0.0
        self.turn = asyncio.Lock()
        """Held by those who change what is provisioned and announce it, so that the last change is the last word."""

    async def sender(self, key: str, device_id: str, protocol: documents.Protocol | None) -> Sender | None:
        """Who sent a message; None where the key is nobody's. A device that nobody has provisioned is, where that is wanted.

        Raises JournalFailed.
        """
        try:
            found = await self.registry.sender(key, device_id, protocol)
        except documents.InvalidDocument as fault:
            self._say(
                "document", f"what is provisioned of the device {device_id[:80]!r} is not valid any more: {fault}"
            )
            return None
        if found is None:
            metrics.failures.labels("iot", "unknown-key").inc()
            self._say("unknown-key", f"a message of the device {device_id[:80]!r} has a key of no group or device")
            return None
        if found.device is not None or found.group is None or not self._may_provision(found):
            return found
        if device_id.lower().startswith("urn:"):
            # It would be the id of its entity, and that may be anything's, such as a gate's that an interlock looks at.
            self._say("auto-provision", f"the device {device_id[:80]!r} is not provisioned by its group: it is a URN")
            return found
        try:
            document = {"device_id": device_id, "apikey": key, "transport": found.group.transport}
            async with self.turn:
                await self.announce(await self.registry.add_devices(found.owner, [document]))
        except (documents.InvalidDocument, Full, InvalidTarget) as refusal:
            self._say("auto-provision", f"the device {device_id[:80]!r} is not provisioned by its group: {refusal}")
            return found
        except Duplicate:
            pass  # another message of it was faster
        return await self.registry.sender(key, device_id, protocol)

    def has_room(self, protocol: documents.Protocol) -> bool:
        """Whether more measures may come in now."""
        return self._doors[FEEDS[protocol]].door.has_room

    async def has_room_for(self, sender: Sender, protocol: documents.Protocol) -> bool:
        """Whether a measure may come in: those of devices that nobody has provisioned only up to a bound, as they stay in the
        quarantine, on disk, until somebody looks. Raises JournalFailed."""
        if sender.device is not None:
            return True
        moment = time.monotonic()
        if moment >= self._count_again:
            self._unknown = await self.registry.unknown()
            self._count_again = moment + _COUNT_SECONDS
        if self._unknown < MOST_UNKNOWN:
            self._unknown += 1
            return True
        metrics.failures.labels(FEEDS[protocol], "too-many-unknown").inc()
        self._say(
            "unknown",
            f"the quarantine has {MOST_UNKNOWN:,} measures of devices that nobody has provisioned; no more are kept",
        )
        return False

    async def take(self, protocol: documents.Protocol, messages: list[tuple[Sender, str, Message]]) -> None:
        """Put measures, each with its sender and the device's id, on disk. Raises JournalFailed."""
        at = now()
        await self._doors[FEEDS[protocol]].take([_intake(*each, at) for each in messages])

    async def checked(self, trouble: str) -> None:
        """Note that the devices' MQTT broker was looked at, and what was wrong with it. Raises JournalFailed."""
        if trouble:
            _LOG.warning("iot: %s", trouble)
        for together in self._doors.values():
            await together.door.checked(trouble)

    async def answer(self, sender: Sender, answer: CommandAnswer) -> bool:
        """Hand a device's answer to a command on; whether there was a command that it answers."""
        device = sender.device
        if device is None or self.actuation is None or (answer.device and answer.device != device.id):
            return False
        return await self.actuation.answered(device.owner.tenant, device.number, answer.command, answer.result)

    async def polled(self, device: Device) -> bytes:
        """What is there for a device that polls, in its protocol; empty where there is nothing."""
        if self.actuation is None or not device.commands:
            return b""
        commands = await self.actuation.waiting(device.owner.tenant, device.number)
        last = {each.name: each.id for each in commands}
        told: list[Command] = []
        for each in commands:
            try:
                if last[each.name] != each.id:
                    raise MalformedPayload("A later command of this name has taken its place.")
                command_bytes(device, each)
                told.append(each)
            except MalformedPayload as fault:
                await self.actuation.answered(
                    device.owner.tenant, device.number, each.name, str(fault), command_id=each.id, error=True
                )
        if device.protocol == "json":
            return json_payload.commands_document([(each.name, each.value) for each in told])
        return b"#".join(command_bytes(device, each) for each in told)

    async def announce(self, devices: list[Device]) -> None:
        """These devices are as given now: those with commands can be commanded, the others cannot any more."""
        if self.actuation is None:
            return
        await self.actuation.announce([target_of(each) for each in devices if each.commands])
        await self.withdraw([each for each in devices if not each.commands])

    async def announce_all(self) -> None:
        """All devices are as they are provisioned now. One that cannot be announced keeps no other from it."""
        if self.actuation is None:
            return
        targets = [target_of(each) for each in await self.registry.commanded()]
        try:
            await self.actuation.announce_all(CARRIER, targets)
        except InvalidTarget as fault:
            _LOG.error("iot: %s", fault)
            for target in targets:
                try:
                    await self.actuation.announce([target])
                except InvalidTarget as its_own:
                    _LOG.error("iot: the device %s cannot be commanded: %s", target.device_id, its_own)

    async def withdraw(self, devices: list[Device]) -> None:
        """These devices are no more."""
        if self.actuation is not None:
            for tenant in {each.owner.tenant for each in devices}:
                await self.actuation.withdraw(tenant, [each.number for each in devices if each.owner.tenant == tenant])

    def _may_provision(self, sender: Sender) -> bool:
        wanted = None if sender.group is None else sender.group.autoprovision
        return self._auto_provision and wanted is not False

    def _say(self, what: str, message: str) -> None:
        """Log something that may come with every message, once a minute."""
        moment = time.monotonic()
        if moment - self._said.get(what, -_SAY_SECONDS) >= _SAY_SECONDS:
            self._said[what] = moment
            _LOG.warning("iot: %s", message)


def protocol_of(sender: Sender, data: bytes) -> documents.Protocol:
    """What a message is in whose address does not say it: what the device or its group is provisioned with, else how it looks."""
    known = sender.device.protocol if sender.device is not None else None
    known = known or (sender.group.protocol if sender.group is not None else None)
    return known or ("json" if data.lstrip()[:1] in (b"{", b"[") else "ultralight")


def command_bytes(device: Device, command: Command) -> bytes:
    """A command as the device reads it. Raises MalformedPayload where its value has no form in the device's protocol."""
    if device.protocol == "json":
        return json_payload.command_document(command.name, command.value)
    return ultralight.command_text(device.id, command.name, command.value).encode()


def answers_in(protocol: documents.Protocol, data: bytes) -> list[CommandAnswer]:
    """The answers to commands that a message has. Raises MalformedPayload."""
    return json_payload.parse_answers(data) if protocol == "json" else [ultralight.parse_answer(data)]


def fault_of(protocol: documents.Protocol, data: bytes, attribute: str = "") -> str:
    """Why a message holds nothing at all that could be taken; empty where it does."""
    parse: Any = json_payload.parse_measures if protocol == "json" else ultralight.parse_measures
    try:
        measures = parse(data, attribute)
    except Undecodable as refusal:
        return str(refusal)
    return "" if any(not each.fault for each in measures) else measures[0].fault


def _intake(sender: Sender, device_id: str, message: Message, at: str) -> Intake:
    """The message on its way to disk, with what is provisioned of its device, and without the key that it came with."""
    owner, device = sender.owner, sender.device
    parameters = {
        TENANT: owner.tenant,
        PATH: owner.path,
        DEVICE: device_id,
        **({} if device is None else {PROVISION: device.provision.as_text()}),
        **({TIME: message.time} if message.time else {}),
        **({ATTRIBUTE: message.attribute} if message.attribute else {}),
    }
    address = f"iot:{owner.tenant}{owner.path.rstrip('/')}/{device_id}"
    return Intake(
        message.data,
        address,
        at,
        message.content_type,
        parameters,
        name=message.name,
        unless_among=message.unless_among,
    )
