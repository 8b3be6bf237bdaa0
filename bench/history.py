"""Made-up histories: gauges that report a level in even steps. Any instance can be computed, so any answer be checked.

Ten million instances come into a store through its own interface, as the recorder writes them, but without the API and
the change log in front of it, which would make hours of it.
"""

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from broker.store.protocol import Evolution, HistoryEntry, Store

VOCABULARY: Final = "https://uri.etsi.org/ngsi-ld/default-context/"
TYPES: Final = ("RiverGauge", "RainGauge")
LONG_TYPE: Final = "TideGauge"
LEVEL: Final = "waterLevel"
START: Final = datetime(2020, 1, 1, tzinfo=UTC)
EACH: Final = 1000
"""Instances of each of the many gauges."""
BATCH: Final = 2_000
"""Entries in one commit while loading."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """One entity: `count` instances, one every `step` seconds from START on. Values lie from 0 to 99.9."""

    name: str
    type: str
    count: int
    step: int
    seed: int = 0

    @property
    def id(self) -> str:
        """The entity's id."""
        return f"urn:ngsi-ld:{self.type}:{self.name}"

    def value(self, place: int) -> float:
        """Each of 1,000 consecutive instances has another value."""
        return ((place * 7919 + self.seed * 31) % 1000) / 10

    def moment(self, place: int) -> str:
        """The observedAt of an instance."""
        return (START + timedelta(seconds=self.step * place)).strftime("%Y-%m-%dT%H:%M:%SZ")

    def instance_id(self, place: int) -> str:
        """The instanceId of an instance that was loaded."""
        return uuid.UUID(int=(self.seed << 64) | place).urn

    def instances(self, first: int = 0, end: int | None = None) -> list[dict[str, object]]:
        """Instances as a client sends them."""
        return [
            {"type": "Property", "value": self.value(place), "observedAt": self.moment(place), "unitCode": "CMT"}
            for place in range(first, self.count if end is None else end)
        ]


@dataclass(frozen=True, slots=True)
class Town:
    """Many gauges with few instances, and one with an eighth of all."""

    total: int

    @property
    def long(self) -> Gauge:
        """The one gauge."""
        return Gauge("long", LONG_TYPE, self.total // 8, 10)

    @property
    def many(self) -> int:
        """How many others there are, of two types in turn."""
        return (self.total - self.long.count) // EACH

    def gauge(self, number: int) -> Gauge:
        """One of the others."""
        return Gauge(f"{number:06}", TYPES[number % len(TYPES)], EACH, 60, number)

    def gauges(self) -> Iterator[Gauge]:
        """The long one, then the others."""
        yield self.long
        yield from map(self.gauge, range(self.many))


@dataclass(frozen=True, slots=True)
class Loaded:
    """What has come into the store, and how long it took."""

    town: Town
    entries: int
    seconds: float
    cpu_seconds: float


async def load(store: Store, total: int, seconds: float) -> Loaded:
    """Write a town into an open store, gauge by gauge; after this many seconds, end with what there is by then."""
    start, cpu = time.perf_counter(), time.process_time()
    town = Town(total)
    written = 0
    batch: list[HistoryEntry] = []
    for gauge in town.gauges():
        if time.perf_counter() - start > seconds:
            break
        for place in range(gauge.count):
            batch.append(_entry(gauge, place))
            if len(batch) == BATCH:
                await _append(store, batch)
                written += len(batch)
                batch = []
    if batch:
        await _append(store, batch)
        written += len(batch)
    return Loaded(town, written, time.perf_counter() - start, time.process_time() - cpu)


async def _append(store: Store, entries: list[HistoryEntry]) -> None:
    news = {
        entry.entity_id: Evolution("", entry.entity_id, entry.types, entry.recorded_at, entry.recorded_at)
        for entry in entries
    }
    await store.append_history(entries, None, list(news.values()))


def _entry(gauge: Gauge, place: int) -> HistoryEntry:
    moment = gauge.moment(place)
    recorded = moment.replace("Z", ".250000Z")
    return HistoryEntry(
        tenant="",
        entity_id=gauge.id,
        types=(VOCABULARY + gauge.type,),
        attribute=VOCABULARY + LEVEL,
        dataset_id=None,
        instance_id=gauge.instance_id(place),
        sequence=0,
        recorded_at=recorded,
        deleted=False,
        instance={
            "type": "Property",
            "value": gauge.value(place),
            "observedAt": moment,
            "unitCode": "CMT",
            "createdAt": recorded,
            "modifiedAt": recorded,
        },
    )
