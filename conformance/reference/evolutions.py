"""What temporal provision (5.6.11 to 5.6.16) makes of evolutions, and what temporal queries (4.11, 5.7.3, 5.7.4) find in them.

No two instances of an attribute have the same observedAt here, since the standard does not say what becomes of those.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from conformance.reference.entities import Refused


@dataclass(frozen=True, slots=True)
class Instance:
    """One attribute instance at one time. Instants are text in one form, so that they compare as text."""

    dataset: str | None
    observed_at: str
    value: Any


@dataclass(frozen=True, slots=True)
class Interval:
    """A temporal query: from `start`, included, to `end`, excluded (4.11); `last` instances of each attribute."""

    start: str | None = None
    end: str | None = None
    last: int | None = None

    def of(self, instances: Iterable[Instance]) -> list[Instance]:
        """The instances within, in order of time."""
        found = sorted(
            (
                each
                for each in instances
                if (self.start is None or each.observed_at >= self.start)
                and (self.end is None or each.observed_at < self.end)
            ),
            key=lambda each: each.observed_at,
        )
        return found if self.last is None else found[-self.last :]


@dataclass
class Evolution:
    """The temporal evolution of one entity."""

    types: set[str]
    attributes: dict[str, list[Instance]] = field(default_factory=dict)


class Evolutions:
    """All evolutions by entity id, and the operations on them. Each raises Refused where the standard demands an error."""

    def __init__(self) -> None:
        self.by_id: dict[str, Evolution] = {}

    def create_or_update(self, entity_id: str, entity_type: str, added: Mapping[str, list[Instance]]) -> bool:
        """5.6.11: whether the evolution is new."""
        is_new = entity_id not in self.by_id
        evolution = self.by_id.setdefault(entity_id, Evolution(set()))
        evolution.types.add(entity_type)
        self.add(entity_id, added)
        return is_new

    def add(self, entity_id: str, added: Mapping[str, list[Instance]]) -> None:
        """5.6.12 Add Attributes."""
        evolution = self.find(entity_id)
        for name, instances in added.items():
            evolution.attributes.setdefault(name, []).extend(instances)

    def delete_attribute(self, entity_id: str, name: str, dataset: str | None, *, delete_all: bool) -> None:
        """5.6.13 Delete Attribute."""
        attributes = self.find(entity_id).attributes
        kept = [each for each in attributes.get(name, []) if not delete_all and each.dataset != dataset]
        if len(kept) == len(attributes.get(name, [])):
            raise Refused("ResourceNotFound")
        self._keep(entity_id, name, kept)

    def modify(self, entity_id: str, name: str, old: Instance, new: Instance) -> None:
        """5.6.14 Modify Attribute instance."""
        kept = [new if each == old else each for each in self.find(entity_id).attributes.get(name, [])]
        self._keep(entity_id, name, kept)

    def delete_instance(self, entity_id: str, name: str, instance: Instance) -> None:
        """5.6.15 Delete Attribute instance."""
        self._keep(entity_id, name, [each for each in self.find(entity_id).attributes[name] if each != instance])

    def delete(self, entity_id: str) -> None:
        """5.6.16 Delete Temporal Evolution."""
        self.find(entity_id)
        del self.by_id[entity_id]

    def find(self, entity_id: str) -> Evolution:
        """The evolution of an entity."""
        if entity_id not in self.by_id:
            raise Refused("ResourceNotFound")
        return self.by_id[entity_id]

    def within(self, entity_id: str, interval: Interval) -> dict[str, list[Instance]]:
        """The instances of each attribute that an interval has."""
        found = {name: interval.of(instances) for name, instances in self.find(entity_id).attributes.items()}
        return {name: instances for name, instances in found.items() if instances}

    def _keep(self, entity_id: str, name: str, instances: list[Instance]) -> None:
        attributes = self.by_id[entity_id].attributes
        if instances:
            attributes[name] = instances
        else:
            attributes.pop(name, None)
