"""Devices behind a LoRaWAN network server that take commands: a table [lorawan.NAME] of the file of feeds.

[lorawan.gates]
server = "chirpstack"                       # or "things-stack"
application = "5f0b…"                       # its id; for The Things Stack as in its topics, app1@ttn
entity_type = "SluiceGate"
group = "sluice-gates"
mqtt = {host = "localhost"}

[lorawan.gates.commands.open]
port = 10
parts = [{bytes = "ff 0b"}, {from = "position", write = "uint8", least = 0, most = 100}]

[lorawan.gates.devices.24e124713b100000]    # DevEUI
entity = "urn:ngsi-ld:SluiceGate:1"
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from adapters.actuation.contract import CommandTarget
from adapters.errors import InvalidFeeds, InvalidOptions
from adapters.lorawan.encoder import Encoding, parse_encoding
from adapters.options import Options, option, read_options

if TYPE_CHECKING:
    from adapters.feeds import Mqtt

CARRIER: Final = "lorawan:"
_EUI: Final = re.compile("[0-9a-f]{16}")
_TOPIC_LEVEL: Final = re.compile(r"[^/+#\x00-\x1f\s]{1,200}")


@dataclass(frozen=True, slots=True)
class FleetOptions(Options):
    """The members of a fleet's table that are no tables themselves."""

    server: Literal["chirpstack", "things-stack"] = option("the network server")
    application: str = option("id of the application, as in the topics")
    entity_type: str = option("type of the entities that are commanded")
    group: str = option("group of devices that permissions are given for; a device may have its own", "")
    tenant: str = option("tenant of the entities", "")
    network_expiry: bool = option(
        "whether the network server is told when a command expires; ChirpStack can since 4.11, and takes no downlink otherwise",
        True,
    )


@dataclass(frozen=True, slots=True)
class _DeviceOptions(Options):
    entity: str = option("id of the entity")
    group: str = option("group; else the fleet's", "")
    device: str = option("The Things Stack: the end device's id; else eui- and the DevEUI", "")
    commands: tuple[str, ...] = option("its commands; else all of the fleet's", ())


@dataclass(frozen=True, slots=True)
class Fleet:
    """Devices, their commands' encodings, and the MQTT broker of the network server."""

    name: str
    options: FleetOptions
    mqtt: "Mqtt"
    encodings: Mapping[str, Encoding]
    targets: tuple[CommandTarget, ...]

    @property
    def carrier(self) -> str:
        """The name of who carries to these devices."""
        return CARRIER + self.name


def parse_fleet(name: str, table: Mapping[str, Any], mqtt: "Mqtt", where: str) -> Fleet:
    """The fleet that a table declares. Raises InvalidFeeds, whose message names the place."""
    try:
        tables = {"mqtt", "commands", "devices"}
        options = read_options(FleetOptions, {key: each for key, each in table.items() if key not in tables})
        if _TOPIC_LEVEL.fullmatch(options.application) is None:
            raise InvalidOptions(f"{options.application!r} is no application as in a topic")
        encodings = {command: parse_encoding(each) for command, each in _table(table, "commands").items()}
        if not encodings:
            raise InvalidOptions("there is no command; each has a table commands.NAME")
        targets = tuple(
            _target(name, options, encodings, str(eui).lower(), each) for eui, each in _table(table, "devices").items()
        )
    except InvalidOptions as error:
        raise InvalidFeeds(f"{where}: {error}.") from None
    return Fleet(name, options, mqtt, encodings, targets)


def _target(
    fleet: str, options: FleetOptions, encodings: Mapping[str, Encoding], eui: str, table: Any
) -> CommandTarget:
    if _EUI.fullmatch(eui) is None:
        raise InvalidOptions(f"{eui!r} is no DevEUI of 16 hexadecimal digits")
    if not isinstance(table, Mapping):
        raise InvalidOptions(f"the device {eui} must be a table")
    device = read_options(_DeviceOptions, table)
    group = device.group or options.group
    if not group:
        raise InvalidOptions(f"the device {eui} has no group, nor has the fleet")
    commands = device.commands or tuple(encodings)
    if unknown := [name for name in commands if name not in encodings]:
        raise InvalidOptions(f"the device {eui} has a command {unknown[0]!r} that has no encoding")
    known_as = device.device or f"eui-{eui}"
    if _TOPIC_LEVEL.fullmatch(known_as) is None:
        raise InvalidOptions(f"{known_as!r} is no device as in a topic")
    return CommandTarget(
        options.tenant, device.entity, options.entity_type, eui, group, commands, CARRIER + fleet, {"device": known_as}
    )


def _table(table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = table.get(name, {})
    if not isinstance(found, Mapping):
        raise InvalidOptions(f"{name} must be a table")
    return found
