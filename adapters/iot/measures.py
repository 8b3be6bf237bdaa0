"""The decoders of what devices send: UltraLight 2.0 and IoT Agent JSON, the same rules for both.

A message comes with what is provisioned of its device as parameters (`adapters.iot.snapshot`). One group is one record; what
is no group, and all groups of a device that nobody has provisioned, go into the quarantine. A replay looks again at what is
provisioned.
"""

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import orjson

from adapters.contract import OWN_PARAMETERS, Adapter, Decoded, Entity, Origin, Quarantined, Repair, State
from adapters.iot import json_payload, ultralight
from adapters.iot.mapping import part_of
from adapters.iot.payload import Measure
from adapters.iot.snapshot import read_provision
from adapters.ngsiv2 import Refused, Translation
from adapters.options import NoOptions

TENANT: Final = f"{OWN_PARAMETERS}tenant"
PATH: Final = f"{OWN_PARAMETERS}path"
DEVICE: Final = f"{OWN_PARAMETERS}device"
PROVISION: Final = f"{OWN_PARAMETERS}provision"
TIME: Final = f"{OWN_PARAMETERS}time"
ATTRIBUTE: Final = f"{OWN_PARAMETERS}attribute"
"""The parameters of a message; without PROVISION its device is unknown. ATTRIBUTE is the name that a topic gives its value."""

UNKNOWN: Final = "unknown-device"

Parse: TypeAlias = Callable[[bytes, str], list[Measure]]


def decode_ultralight(data: bytes, origin: Origin, options: NoOptions, state: State) -> Decoded:
    """The entity of a device by a message of UltraLight. Raises MalformedPayload."""
    return _decode(ultralight.parse_measures, data, origin, texts=True)


def decode_json(data: bytes, origin: Origin, options: NoOptions, state: State) -> Decoded:
    """The entity of a device by a message of IoT Agent JSON. Raises MalformedPayload."""
    return _decode(json_payload.parse_measures, data, origin, texts=False)


def _decode(parse: Parse, data: bytes, origin: Origin, *, texts: bool) -> Decoded:
    parameters = origin.parameters
    device = parameters.get(DEVICE, "")
    provisioned = parameters.get(PROVISION, "")
    provision = read_provision(provisioned) if provisioned else None
    entities: list[Entity] = []
    repairs: list[Repair] = []
    quarantine: list[Quarantined] = []
    measures = parse(data, parameters.get(ATTRIBUTE, ""))
    for row, measure in enumerate(measures, 1):
        record = {"device": device, "measure": measure.shown}
        if measure.fault:
            quarantine.append(Quarantined(row, "measure", "no-measure", measure.fault, record))
        elif provision is None:
            reason = f"No device {device!r} is provisioned with the key that it sends."
            quarantine.append(Quarantined(row, "device", UNKNOWN, reason, record))
        else:
            translation = Translation(row)
            try:
                at = parameters.get(TIME, "")
                entities.append(part_of(measure, provision, translation, at, origin.received_at, texts=texts))
            except Refused as refusal:
                quarantine.append(Quarantined(row, refusal.member, refusal.rule, refusal.reason, record))
                continue
            repairs += translation.repairs
    return Decoded(
        len(measures),
        tuple(entities),
        tuple(repairs),
        tuple(quarantine),
        tenant=parameters.get(TENANT),
        notes={"device": device},
    )


def _excerpt_text(data: bytes, record: Mapping[str, Any]) -> bytes:
    return str(record.get("measure", "")).encode("utf-8", "replace")


def _excerpt_json(data: bytes, record: Mapping[str, Any]) -> bytes:
    return orjson.dumps(record.get("measure"))


def _afresh(connection: sqlite3.Connection, parameters: Mapping[str, str]) -> Mapping[str, str]:
    from adapters.iot.registry import provision_of  # what is provisioned knows of these adapters' parameters

    found = provision_of(connection, parameters.get(TENANT, ""), parameters.get(PATH, ""), parameters.get(DEVICE, ""))
    rest = {name: value for name, value in parameters.items() if name != PROVISION}
    return rest if found is None else {**rest, PROVISION: found.as_text()}


ULTRALIGHT: Final = Adapter(
    "iot-ultralight",
    "devices that speak UltraLight 2.0; needs the table [iot]",
    decode_ultralight,
    excerpt=_excerpt_text,
    afresh=_afresh,
)
IOT_JSON: Final = Adapter(
    "iot-json",
    "devices that speak IoT Agent JSON; needs the table [iot]",
    decode_json,
    excerpt=_excerpt_json,
    afresh=_afresh,
)
