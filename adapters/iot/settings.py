"""What the table [iot] says: where devices send, where they are provisioned, and what they may."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from adapters.errors import InvalidFeeds
from adapters.iot.endpoints import EndpointPolicy
from adapters.options import Options, option

IOT_FEEDS: Final = ("iot-ultralight", "iot-json")
"""The names of the devices' feeds, and of their adapters."""
IOT_TOPICS: Final = tuple(
    f"{slash}{protocol}+/+/{last}"
    for slash in ("/", "")
    for protocol in ("ul/", "json/", "")
    for last in ("attrs", "attrs/+", "cmdexe")
)


@dataclass(frozen=True, slots=True)
class Iot(Options):
    """Devices of FIWARE estates: where they send, where they are provisioned, and what they may; the table [iot]."""

    keys: tuple[str, ...] = option("keys, one of which those must give who provision devices")
    north_host: str = option("address of the provisioning API", "127.0.0.1")
    north_port: int = option("port of the provisioning API; 0 takes a free one", 4041)
    host: str = option("address on which devices send measures over HTTP", "127.0.0.1")
    port: int = option("port on which devices send measures over HTTP; 0 takes a free one", 7896)
    mqtt: Mapping[str, Any] = option(
        "the MQTT broker of the devices, as in a feed but for the topics", MappingProxyType({})
    )
    auto_provision: bool = option("whether a device that nobody has provisioned is, by what its group says", False)
    endpoints: tuple[str, ...] = option(
        "hosts, host:port and networks to which commands may be posted; else all but those that are never a device", ()
    )
    patience: float = option("seconds that a device has to answer a command that is posted to it", 10.0)
    provider: str = option("who provides the data", "")
    licence: str = option("under which licence", "")


def check_iot(iot: Iot, where: str) -> None:
    """Raises InvalidFeeds, whose message names the member at fault."""
    if not iot.keys or any(len(key) < 8 for key in iot.keys):
        raise InvalidFeeds(f"{where}: keys must have at least one key, and each at least 8 characters.")
    if not 0 < iot.patience <= 25:
        raise InvalidFeeds(f"{where}: patience must be more than 0 and at most 25 seconds.")
    if "topics" in iot.mqtt:
        raise InvalidFeeds(f"{where}.mqtt: there is no option 'topics': the devices' protocols have their own.")
    try:
        EndpointPolicy.parse(iot.endpoints)
    except ValueError as error:
        raise InvalidFeeds(f"{where}: endpoints: {error}.") from None
