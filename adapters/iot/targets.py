"""A device as commands know it."""

from typing import Final

from adapters.actuation.contract import CommandTarget
from adapters.iot.device import Device
from adapters.iot.mapping import entity_id

CARRIER: Final = "iot"


def target_of(device: Device) -> CommandTarget:
    """What can be commanded of a device. Its group is its type; how it is reached is looked up when it is commanded, so that
    neither its key nor its endpoint is kept twice."""
    return CommandTarget(
        tenant=device.owner.tenant,
        entity_id=entity_id(device.provision),
        entity_type=device.provision.entity_type,
        device_id=device.number,
        group=device.provision.entity_type,
        commands=device.commands,
        carrier=CARRIER,
        address={"path": device.owner.path, "device": device.id},
    )
