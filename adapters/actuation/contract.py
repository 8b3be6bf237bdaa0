"""The contract between commands and those who carry them to devices: IoT Agent protocols, LoRaWAN, and whoever else.

    protocol ── announce(targets) ─▶ Actuation        which entities can be commanded, and who carries it
    Actuation ── carry(command) ───▶ Carrier          one command, now
    protocol ── waiting(…) ────────▶ Actuation        a device polls: what is there for it?
    protocol ── delivered(…), answered(…) ▶ Actuation what the device, or the network before it, said

Who may command what, how long a command is good for, in which order and how often it is carried, and what the broker is told of
it, is Actuation's business. A carrier knows how to say a command to a device, and nothing else.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Protocol, runtime_checkable

from adapters.errors import AdapterError


class Undeliverable(AdapterError):
    """The command has not reached the device, and will not: the message is what the command's `_info` says of it.

    A carrier raises it only where it knows that nothing was sent, or that the device refused. Anything else that it raises
    (a timeout behind a request that was written) means that nobody knows, and the command ends as "outcome unknown".
    """


class TryLater(AdapterError):
    """Nothing was sent, and another attempt may do better: the device or its network is away. Tried again until it expires."""


@dataclass(frozen=True, slots=True)
class CommandTarget:
    """A device that can be commanded through an entity.

    `tenant` is "" for the default one. `entity_type` and `commands` are names as in the adapters' models, or IRIs. `device_id` is
    unique among the tenant's devices. `group` is what permissions are given for. `carrier` is the name of who carries, and
    `address` that carrier's own: a JSON object, kept on disk, so secrets do not belong there.
    """

    tenant: str
    entity_id: str
    entity_type: str
    device_id: str
    group: str
    commands: tuple[str, ...]
    carrier: str
    address: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Command:
    """One command. `id` is a UUID that no other command has; `key` is what the client calls it (its commandId), or the id.

    `value` is a JSON value. Instants are UTC, `2026-06-30T05:20:00.000Z`. After `expires_at` it must not reach the device:
    a carrier that hands it to somebody who could keep it (an MQTT broker, a network server) passes the limit on.
    """

    id: str
    key: str
    target: CommandTarget
    name: str
    value: Any
    issued_at: str
    expires_at: str


class Outcome(StrEnum):
    """What `carry` came to."""

    DELIVERED = "delivered"
    """It is on its way to the device, or there; an answer is awaited."""
    WAITING = "waiting"
    """The device polls: it is for `Actuation.waiting` to hand it over."""
    ANSWERED = "answered"
    """The device has done it and said so at once; `Carried.result` is what it said."""
    DONE = "done"
    """The device has it, and devices of this kind say nothing more."""
    SENT = "sent"
    """The network has it and tells later whether it went out (`delivered`) or failed: it is not said to be delivered yet."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What became of a command that was carried."""

    outcome: Outcome
    result: Any = None


class Carrier(Protocol):
    """Who carries commands to devices of one kind. Called for one command of a device at a time."""

    async def carry(self, command: Command) -> Carried:
        """Say a command to its device, once. Raises Undeliverable, TryLater; anything else counts as "nobody knows"."""
        ...


@runtime_checkable
class Recalling(Protocol):
    """A carrier whose network keeps commands until it can deliver them, and can be told to drop one."""

    async def recall(self, command: Command) -> bool:
        """Take back a command that was SENT; whether it is sure not to be delivered any more."""
        ...


class Actuation(Protocol):
    """What protocols call. Instants default to now; all that is told is on disk when a call returns."""

    def carriers(self, carriers: Mapping[str, Carrier]) -> None:
        """Make carriers known, by the names that targets use. Their commands wait until then."""
        ...

    async def announce(self, targets: Sequence[CommandTarget]) -> None:
        """These devices can be commanded; what was announced of them before is replaced. Idempotent, kept over restarts.

        Raises InvalidTarget for one whose entity and command another device has already.
        """
        ...

    async def announce_all(self, carrier: str, targets: Sequence[CommandTarget]) -> None:
        """The same for all that there is for one carrier: its other devices are withdrawn."""
        ...

    async def withdraw(self, tenant: str, device_ids: Collection[str]) -> None:
        """These devices are no more: their registrations go, and their commands end as ERROR."""
        ...

    async def waiting(self, tenant: str, device_id: str, most: int = 10) -> tuple[Command, ...]:
        """The commands that a polling device is to be told now, oldest first. They count as delivered when this returns, and
        are not handed out again."""
        ...

    async def delivered(self, tenant: str, device_id: str, command_id: str, at: str = "") -> None:
        """The network says that a command went out to the device. `command_id` is `Command.id`."""
        ...

    async def answered(
        self,
        tenant: str,
        device_id: str,
        command_name: str,
        result: Any,
        at: str = "",
        command_id: str | None = None,
        *,
        error: bool = False,
    ) -> bool:
        """The device, or the network before it, said what became of a command: done, or with `error` not.

        Without `command_id` (`Command.id`), it is the oldest one of that name that was carried and has no answer, before those
        of which nobody knows whether they arrived. False where there is none: the answer came too late, twice, or to no
        question.
        """
        ...


class InvalidTarget(AdapterError):
    """A device cannot be announced like this; the message says why."""
