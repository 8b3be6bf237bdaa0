"""How a river stands against the thresholds of its gauge, computed from its level: up at once, down with patience.

A level at a threshold reaches it with the first reading; it is below it again only after `hold` readings in a row were below.
So a level that trembles about a threshold gives one crossing and not twenty. A flood that has happened (status 5) is a
report and is never computed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from adapters.contract import Entity

THRESHOLDS: Final = MappingProxyType(
    {
        "standby": "水防団待機水位",
        "caution": "はん濫注意水位",
        "evacuation": "避難判断水位",
        "danger": "はん濫危険水位",
    }
)
"""The thresholds of a gauge in rising order, status 1 to 4, with what they are called."""


class LevelReading(NamedTuple):
    """One reading: UTC instant, number of the gauge, metres above the gauge's zero."""

    observed_at: str
    gauge: str
    level: float


@dataclass(frozen=True, slots=True)
class Standing:
    """How a gauge stood at its last reading: that reading's instant, and what was reached, with the readings below since."""

    at: str
    reached: Mapping[str, bool]
    below: Mapping[str, int]

    @property
    def status(self) -> int | None:
        """0 to 4: the highest threshold that is reached; None for a gauge without thresholds."""
        if not self.reached:
            return None
        return max((rank for rank, name in enumerate(THRESHOLDS, 1) if self.reached.get(name)), default=0)

    def stored(self) -> dict[str, Any]:
        """As a JSON value."""
        return {"at": self.at, "reached": dict(self.reached), "below": dict(self.below)}

    @classmethod
    def restored(cls, stored: Mapping[str, Any]) -> "Standing":
        """What `stored` gave."""
        return cls(stored["at"], stored["reached"], stored["below"])


def stand(
    thresholds: Mapping[str, float], reading: LevelReading, before: Standing | None = None, hold: int = 1
) -> Standing:
    """How a gauge stands with a reading. `before` is how it stood before it; the thresholds may have changed since."""
    reached, below = {}, {}
    for name, threshold in thresholds.items():
        was = before is not None and before.reached.get(name, False)
        count = 0 if reading.level >= threshold else (0 if before is None else before.below.get(name, 0)) + 1
        reached[name] = count == 0 or (was and count < hold)
        below[name] = min(count, hold)
    return Standing(reading.observed_at, reached, below)


def computed(now: Standing, before: Standing | None = None, level: str = "waterLevel") -> Entity:
    """The computed attributes of a gauge that change with a reading: status and what is reached. All, without `before`.

    Their `observedAt` is the time since which they have held, so that they change only when their value does. `level` is the
    attribute with the level that they are computed from.
    """
    changed = {
        f"{name}LevelReached": _computed(reached, now.at, [level, f"{name}Level"])
        for name, reached in now.reached.items()
        if before is None or before.reached.get(name) is not reached
    }
    if now.status is not None and (before is None or now.status != before.status):
        changed["levelStatus"] = _computed(now.status, now.at, [level, *(f"{name}Level" for name in now.reached)])
    return changed


def metres(value: float) -> dict[str, Any]:
    """A length as an attribute."""
    return {"type": "Property", "value": value, "unitCode": "MTR"}


def _computed(value: bool | int, since: str, of: list[str]) -> dict[str, Any]:
    computed_from = {"type": "Property", "value": of}
    return {"type": "Property", "value": value, "observedAt": since, "computedFrom": computed_from}
