"""The devices that can be commanded, at hand: by device, and by the attribute of an entity that is a command."""

from collections.abc import Sequence
from typing import TypeAlias

from adapters.actuation.contract import CommandTarget, InvalidTarget
from datamodels import models

Place: TypeAlias = tuple[str, str]
"""A device: its tenant and its id."""


class Targets:
    """What has been announced."""

    def __init__(self) -> None:
        self._by_place: dict[Place, CommandTarget] = {}
        self._by_entity: dict[tuple[str, str], dict[str, tuple[CommandTarget, str]]] = {}

    def at(self, place: Place) -> CommandTarget | None:
        """The device at a place."""
        return self._by_place.get(place)

    def all(self) -> list[CommandTarget]:
        """All of them."""
        return list(self._by_place.values())

    def of_carrier(self, carrier: str) -> list[Place]:
        """Those that a carrier has."""
        return [place for place, target in self._by_place.items() if target.carrier == carrier]

    def commands(self, tenant: str, entity_id: str) -> dict[str, tuple[CommandTarget, str]]:
        """The commands of an entity, by each name that a broker may call them: the device, and the command's own name."""
        return self._by_entity.get((tenant, entity_id), {})

    def check(self, targets: Sequence[CommandTarget]) -> None:
        """Raises InvalidTarget for one that cannot be beside the others."""
        taken: dict[tuple[str, str, str], Place] = {}
        for target in targets:
            place = (target.tenant, target.device_id)
            if not target.commands or not target.device_id or not target.group:
                raise InvalidTarget(f"{target.entity_id}: it needs a device, a group, and commands.")
            for name in target.commands:
                known = self.commands(target.tenant, target.entity_id).get(name)
                holder = taken.setdefault((target.tenant, target.entity_id, name), place)
                if holder != place or (known is not None and place_of(known[0]) != place):
                    raise InvalidTarget(f"{target.entity_id}: another device has the command {name}.")

    def put(self, target: CommandTarget) -> None:
        """A device, in place of what was known of it."""
        self.drop(place_of(target))
        self._by_place[place_of(target)] = target
        commands = self._by_entity.setdefault((target.tenant, target.entity_id), {})
        for name in target.commands:
            commands[wire_name(target.entity_type, name)] = (target, name)
            commands[name] = (target, name)

    def drop(self, place: Place) -> None:
        """A device that is no more."""
        target = self._by_place.pop(place, None)
        if target is None:
            return
        key = target.tenant, target.entity_id
        left = {name: each for name, each in self._by_entity[key].items() if place_of(each[0]) != place}
        if left:
            self._by_entity[key] = left
        else:
            del self._by_entity[key]


def place_of(target: CommandTarget) -> Place:
    """Where a device is."""
    return target.tenant, target.device_id


def wire_name(entity_type: str, name: str) -> str:
    """A command's attribute as brokers know it: the IRI that the type's model has for it, or the name."""
    model = models().get(entity_type)
    return model.attributes[name].wire_name if model is not None and name in model.attributes else name
