"""A device as it is provisioned, its group's document and its own put together; and who sent a message."""

from dataclasses import dataclass

from adapters.iot.documents import DeviceDocument, GroupDocument, Protocol
from adapters.iot.mapping import plain_type
from adapters.iot.snapshot import Provision


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose something is: a tenant and a service path within it."""

    tenant: str
    path: str


@dataclass(frozen=True, slots=True)
class Device:
    """A device with what its group says of it: how it is read (`provision`), and how it is commanded."""

    owner: Owner
    id: str
    key: str
    protocol: Protocol | None
    provision: Provision
    commands: tuple[str, ...]
    transport: str
    endpoint: str

    @property
    def number(self) -> str:
        """What it is called among all devices of its tenant. No id has a slash, and what other protocols call theirs does not
        begin with one: whoever provisions a device by the name of a gate behind LoRaWAN does not answer for that."""
        return f"{self.owner.path.rstrip('/')}/{self.id}"


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sent a message: whose key it is, and the device; None where it is not provisioned."""

    owner: Owner
    device: Device | None
    group: GroupDocument | None


def merged(
    owner: Owner, device: DeviceDocument, group: GroupDocument | None, protocol: Protocol | None = None
) -> Device:
    """A device with what its group says where it says nothing itself; of attributes, the device's own come before the group's."""
    own, common = device.shared, None if group is None else group.shared
    kind = plain_type(own.entity_type or (common.entity_type if common else "") or "Thing")
    mine = {each.object_id for each in own.attributes} | {each.name for each in own.attributes}
    attributes = [each for each in common.attributes if not {each.object_id, each.name} & mine] if common else []
    static = {each.name: each for each in (*(common.static_attributes if common else ()), *own.static_attributes)}
    timestamp = own.timestamp if own.timestamp is not None or common is None else common.timestamp
    explicit = own.explicit if own.explicit is not None or common is None else common.explicit
    provision = Provision(
        device.entity_name or device.device_id,
        kind,
        owner.path,
        {each.object_id: (each.name, each.type, each.metadata) for each in (*attributes, *own.attributes)},
        tuple((each.name, each.type, each.value, each.metadata) for each in static.values()),
        own.timezone or (common.timezone if common else ""),
        timestamp is not False,
        explicit is True,
    )
    return Device(
        owner,
        device.device_id,
        device.apikey or (group.apikey if group else ""),
        device.protocol or protocol or (group.protocol if group else None),
        provision,
        tuple(dict.fromkeys((*(common.commands if common else ()), *own.commands))),
        device.transport or (group.transport if group else ""),
        device.endpoint or (group.endpoint if group else ""),
    )
