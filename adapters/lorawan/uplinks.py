"""The adapter for LoRaWAN: what a device measured, by its declared codec, and how the device itself is.

A reading goes to the device, and where the device watches a level (`reference_level`), also to what it watches: an ultrasonic
sensor measures how far the water is below it, so the level is the height of the sensor less that, and computed. With the
thresholds of the place, so is the status of the level (`adapters.river.standing`), which changes only when one is crossed.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from adapters.attributes import attribute_of
from adapters.contract import Adapter, Decoded, Entity, Origin, Quarantined, Repair, State
from adapters.document import is_number
from adapters.errors import InvalidOptions
from adapters.lorawan.codec import Codec, Target, attribute_values, built_in_codecs, parse_codec, read_payload
from adapters.lorawan.events import UPLINK, Event, parse_event
from adapters.options import Options, option
from adapters.river.standing import THRESHOLDS, LevelReading, Standing, computed, metres, stand
from adapters.transforms.reading import Severity
from datamodels import model_of

MOST_DEVICES: Final = 10_000
"""Devices whose last uplink is remembered, so that it is not taken twice; those not heard of for longest are forgotten."""

_SETTINGS: Final = frozenset(["reference_level", "thresholds", "monitors", "name", "location"])
_DEVICE: Final = model_of("Device")
_MONITORING: Final = model_of("FloodMonitoring")


@dataclass(frozen=True, slots=True)
class LorawanOptions(Options):
    """What a feed may say of its devices."""

    model: str = option("the devices' model, whose codec comes with the package", "")
    codec: Mapping[str, Any] = option("the devices' codec, where none comes with the package", MappingProxyType({}))
    devices: Mapping[str, Any] = option(
        "by EUI: reference_level (height of the sensor in metres, above what levels are counted from), thresholds (standby, "
        "caution, evacuation, danger: levels in metres), monitors (id of the FloodMonitoring), name and location "
        "([longitude, latitude]) of the place",
        MappingProxyType({}),
    )
    hold: int = option("readings in a row below a threshold until it counts as no longer reached", 3)

    def __post_init__(self) -> None:
        """Raises InvalidOptions for a codec that is none, and for a device that is not described as it must be."""
        targets = _codec(self).attributes
        for name, target in targets.items():
            if target.to not in _DEVICE.attributes and target.to not in _MONITORING.attributes:
                raise InvalidOptions(f"codec, {name}: neither a Device nor a FloodMonitoring has {target.to!r}")
        devices = {eui.lower(): _checked(eui, settings) for eui, settings in self.devices.items()}
        for eui, settings in devices.items():
            if settings.get("thresholds") and "reference_level" not in settings and not _gives_level(targets.values()):
                raise InvalidOptions(
                    f"devices, {eui}: thresholds need reference_level, as the codec gives no currentLevel"
                )
        object.__setattr__(self, "devices", MappingProxyType(devices))


def decode_event(data: bytes, origin: Origin, options: LorawanOptions, state: State) -> Decoded:
    """The device of an event, and what it watches. Raises UnreadableFile."""
    event = parse_event(data, origin.parameters.get("topic", ""))
    codec = _codec(options)
    told: dict[str, Any] = dict(state or {})
    notes = {"event": event.kind, "device": event.device}
    if not event.device or not event.at:
        reason = "The message names no device by its EUI, or no time."
        return Decoded(1, quarantine=(_refused("no-device-or-time", reason, event),), state=told, notes=notes)
    known = told.get(event.device, [])
    if event.kind == "join":
        told.pop(event.device, None)  # frames are counted anew
        if known[2:]:
            told[event.device] = ["", None, *known[2:]]
        return Decoded(1, state=told, notes=notes)
    if event.kind != UPLINK:
        return Decoded(1, tuple(_status(event)), state=told, notes=notes)
    identity = [event.identity, event.counter]
    if known[:2] == identity:
        repair = Repair(1, "deduplicationId", event.identity, "", "uplink-told-twice", Severity.INFO)
        return Decoded(1, repairs=(repair,), state=told, notes=notes)
    values, repairs = _values(event, codec)
    if not values:
        reason = "Nothing in the payload is known to the codec."
        return Decoded(1, quarantine=(_refused("unknown-payload", reason, event),), state=told, notes=notes)
    before = Standing.restored(known[2]) if known[2:] else None
    entities, now = _entities(event, values, options, before)
    told.pop(event.device, None)
    told[event.device] = identity if now is None else [*identity, now.stored()]
    while len(told) > MOST_DEVICES:
        del told[next(iter(told))]
    return Decoded(1, tuple(entities), tuple(repairs), state=told, notes=notes)


def _codec(options: LorawanOptions) -> Codec:
    if options.codec:
        return parse_codec(options.codec)
    known = built_in_codecs()
    if options.model and options.model not in known:
        raise InvalidOptions(
            f"no codec of the model {options.model!r} comes with the package; there are {', '.join(known)}"
        )
    return known[options.model] if options.model else Codec("tagged", (), MappingProxyType({}))


def _values(event: Event, codec: Codec) -> tuple[dict[str, Any], list[Repair]]:
    """The values by attribute: the server's readings if it has decoded the payload, else what the codec reads."""
    if event.readings is not None:
        values: dict[str, Any] = attribute_values(codec, event.readings)
        rest = {name: value for name, value in event.readings.items() if name not in codec.attributes and _says(value)}
        return values | ({"measurement": rest} if rest else {}), []
    if not event.data:
        return {}, []
    payload = read_payload(codec, event.data)
    repairs = []
    if payload.rest and payload.readings:
        shown = payload.rest.hex(" ")
        repairs.append(Repair(1, "data", shown, "", "unknown-bytes", Severity.WARNING))
    return dict(attribute_values(codec, payload.readings)), repairs


def _entities(
    event: Event, values: Mapping[str, Any], options: LorawanOptions, before: Standing | None
) -> tuple[list[Entity], Standing | None]:
    """The device and what it watches, and how that stands now; `before` is how it stood."""
    settings: Mapping[str, Any] = options.devices.get(event.device, {})
    own = {name: value for name, value in values.items() if name in _DEVICE.attributes}
    device = _device(event, {**own, "rssi": event.rssi, "snr": event.snr, "frameCounter": event.counter})
    if "location" in settings:
        device["location"] = {
            "type": "GeoProperty",
            "value": {"type": "Point", "coordinates": list(settings["location"])},
        }
    watched = {name: value for name, value in values.items() if name in _MONITORING.attributes and name != "location"}
    if not watched or not (
        settings.keys() & {"reference_level", "thresholds", "monitors"} or "currentLevel" in watched
    ):
        return [device], before
    monitoring: Entity = {
        "id": settings.get("monitors", f"urn:ngsi-ld:FloodMonitoring:lorawan:{event.device}"),
        "type": _MONITORING.type,
        **_observed(_MONITORING.type, watched, event.at),
        "refDevice": {"type": "Relationship", "object": device["id"]},
    }
    height = settings.get("reference_level")
    if height is not None:
        monitoring["referenceLevel"] = metres(height)
        if "measuredDistance" in watched and "currentLevel" not in watched:
            level = _observed(
                _MONITORING.type, {"currentLevel": round(height - watched["measuredDistance"], 6)}, event.at
            )
            computed_from = {"type": "Property", "value": ["referenceLevel", "measuredDistance"]}
            monitoring["currentLevel"] = {**level["currentLevel"], "computedFrom": computed_from}
    if "location" in device:
        monitoring["location"] = device["location"]
    if "name" in settings:
        monitoring["name"] = {"type": "Property", "value": settings["name"]}
    thresholds: Mapping[str, float] = settings.get("thresholds", {})
    monitoring |= {f"{name}Level": metres(value) for name, value in thresholds.items()}
    now = before
    if thresholds and "currentLevel" in monitoring and (before is None or before.at < event.at):
        reading = LevelReading(event.at, event.device, monitoring["currentLevel"]["value"])
        now = stand(thresholds, reading, before, options.hold)
        status = computed(now, before, "currentLevel")
        monitoring |= {name: value for name, value in status.items() if name in _MONITORING.attributes}
    return [device, monitoring], now


def _gives_level(targets: Iterable[Target]) -> bool:
    return any(target.to == "currentLevel" for target in targets)


def _checked(eui: str, settings: Any) -> Mapping[str, Any]:
    """What is set of a device. Raises InvalidOptions, which names the device."""
    where = f"devices, {eui}"
    if not re.fullmatch("[0-9a-f]{16}", eui.lower()):
        raise InvalidOptions(f"{where}: an EUI has 16 hexadecimal digits")
    if not isinstance(settings, Mapping):
        raise InvalidOptions(f"{where}: must be a table")
    if unknown := settings.keys() - _SETTINGS:
        raise InvalidOptions(f"{where}: there is no {min(unknown)!r}; there are {', '.join(sorted(_SETTINGS))}")
    thresholds, location = settings.get("thresholds", {}), settings.get("location", [0, 0])
    if not isinstance(thresholds, Mapping) or (thresholds.keys() - THRESHOLDS.keys()):
        raise InvalidOptions(f"{where}: thresholds is a table of {', '.join(THRESHOLDS)}")
    for name, value in {"reference_level": settings.get("reference_level", 0), **thresholds}.items():
        if not is_number(value):
            raise InvalidOptions(f"{where}: {name} must be a number, in metres, and is {value!r}")
    if not isinstance(location, list | tuple) or len(location) != 2 or not all(map(_is_angle, location, (180, 90))):
        raise InvalidOptions(f"{where}: location must be [longitude, latitude], and is {location!r}")
    for name in ("monitors", "name"):
        if not isinstance(settings.get(name, "-"), str) or not settings.get(name, "-"):
            raise InvalidOptions(f"{where}: {name} must be a text")
    return settings


def _is_angle(value: Any, most: int) -> bool:
    return is_number(value) and abs(value) <= most


def _status(event: Event) -> list[Entity]:
    """What an event that is no uplink says of its device: its battery, or nothing."""
    return [] if event.battery is None else [_device(event, {"batteryLevel": event.battery})]


def _device(event: Event, values: Mapping[str, Any]) -> Entity:
    device: Entity = {
        "id": f"urn:ngsi-ld:Device:lorawan:{event.device}",
        "type": _DEVICE.type,
        "serialNumber": {"type": "Property", "value": event.device},
        "supportedProtocol": {"type": "Property", "value": ["lorawan"]},
        "dateLastValueReported": {"type": "Property", "value": event.at},
        **_observed(_DEVICE.type, values, event.at),
    }
    if event.name:
        device["name"] = {"type": "Property", "value": event.name}
    return device


def _observed(model: str, values: Mapping[str, Any], at: str) -> Entity:
    """Values as attributes of a model, with its units and the instant."""
    known = model_of(model).attributes
    return {name: attribute_of(known[name], value, at) for name, value in values.items() if value is not None}


def _says(value: Any) -> bool:
    """Whether a reading of a server says something that an entity can carry."""
    if isinstance(value, dict):
        return bool(value) and all(map(_says, value.values()))
    if isinstance(value, list):
        return bool(value) and all(map(_says, value))
    return value is not None and value != ""


def _refused(rule: str, reason: str, event: Event) -> Quarantined:
    record: dict[str, Any] = {"event": event.kind, "device": event.device, "time": event.at, "fPort": event.port}
    record |= {"data": "" if event.data is None else event.data.hex(" "), "object": dict(event.readings or {})}
    return Quarantined(1, "data", rule, reason, record)


LORAWAN: Final = Adapter(
    "lorawan",
    "LoRaWAN devices through ChirpStack v4 or The Things Stack v3",
    decode_event,
    LorawanOptions,
    stateful=True,
)
