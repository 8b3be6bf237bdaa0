"""The replay: gauges into the broker, one subscription a gauge and threshold, then the day's readings, faster than they came."""

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from adapters.ngsild_client import BATCH, NgsiLdClient
from adapters.river.prefecture import Gauge, Levels, observation
from adapters.river.standing import LevelReading, stand
from adapters.wire import to_wire
from datamodels import model_of

_GAUGE = model_of("RiverGauge")


def subscription(gauge: Gauge, threshold: str, receiver_url: str) -> dict[str, Any]:
    """A subscription that notifies each time the gauge's level reaches its own threshold, and only then.

    NGSI-LD's q compares an attribute with a literal, never with another attribute (4.9): so each gauge gets a subscription of its
    own, with its own threshold in it. What is watched is not the level, which changes all the time, but
    `…LevelReached`, which changes at the crossings alone; q lets the upward ones through.
    """
    water_level = _GAUGE.attributes["waterLevel"].iri
    return {
        "id": f"urn:ngsi-ld:Subscription:{uuid.uuid4()}",
        "type": "Subscription",
        "entities": [{"type": _GAUGE.iri, "id": gauge.id}],
        "watchedAttributes": [_GAUGE.attributes[f"{threshold}LevelReached"].iri],
        "q": f"{water_level}>={gauge.thresholds[threshold]}",
        "notification": {"endpoint": {"uri": f"{receiver_url}/crossings/{threshold}", "accept": "application/json"}},
    }


async def bring_gauges(client: NgsiLdClient, gauges: Mapping[str, Gauge], levels: Levels) -> dict[str, LevelReading]:
    """Bring the gauges with their first readings; the answer is the first reading by gauge."""
    first: dict[str, LevelReading] = {}
    for reading in levels.readings:
        if reading.gauge in gauges:
            first.setdefault(reading.gauge, reading)
    entities = []
    for number, reading in first.items():
        gauge = gauges[number]
        entities.append(gauge.entity | observation(gauge.id, reading, stand(gauge.thresholds, reading)))
    for start in range(0, len(entities), BATCH):
        await _send(client, entities[start : start + BATCH])
    return first


@asynccontextmanager
async def subscribed(
    client: NgsiLdClient, gauges: Iterable[Gauge], thresholds: list[str], receiver_url: str
) -> AsyncIterator[int]:
    """Subscribe to the thresholds that the gauges have, and take the subscriptions away at the end; gives their number.

    Done after `bring_gauges`, so that a gauge's first reading is the start and no crossing.
    """
    wanted = [
        subscription(gauge, threshold, receiver_url)
        for gauge in gauges
        for threshold in thresholds
        if threshold in gauge.thresholds
    ]
    try:
        for each in wanted:
            await client.subscribe(each)
        yield len(wanted)
    finally:
        for each in wanted:
            await client.unsubscribe(each["id"])


async def replay(
    client: NgsiLdClient, gauges: Mapping[str, Gauge], levels: Levels, first: Mapping[str, LevelReading], seconds: float
) -> int:
    """Send the readings in the order of time, the whole span within about `seconds`; the answer is how many were sent.

    One upsert carries the readings of one moment.
    """
    before = {number: stand(gauges[number].thresholds, reading) for number, reading in first.items()}
    readings = [r for r in levels.readings if r.gauge in gauges and r != first[r.gauge]]
    start = asyncio.get_running_loop().time()
    begin, span = _span(readings)
    for moment, group in itertools.groupby(readings, key=lambda reading: reading.observed_at):
        await asyncio.sleep(start + seconds * (_time(moment) - begin) / span - asyncio.get_running_loop().time())
        entities = []
        for reading in group:
            gauge, last = gauges[reading.gauge], before[reading.gauge]
            now = before[reading.gauge] = stand(gauge.thresholds, reading, last)
            entities.append(observation(gauge.id, reading, now, last))
        await _send(client, entities)
    return len(readings)


async def _send(client: NgsiLdClient, entities: list[dict[str, Any]]) -> None:
    failed = await client.upsert([to_wire(entity, _GAUGE) for entity in entities])
    if failed:
        raise RuntimeError(f"The broker did not take {len(failed)} readings: {next(iter(failed.items()))}")


def _span(readings: list[LevelReading]) -> tuple[float, float]:
    if not readings:
        return 0.0, 1.0
    begin, end = _time(readings[0].observed_at), _time(readings[-1].observed_at)
    return begin, max(end - begin, 1.0)


def _time(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
