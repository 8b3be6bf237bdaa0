"""What tests of the runner share: a broker in the test's process, an adapter of lines of JSON, and feeds made by hand."""

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path

from api import running_api

from adapters.contract import Adapter, Decoded, Quarantined
from adapters.errors import Undecodable
from adapters.feeds import Feed, Feeds, RunnerSettings
from adapters.options import NoOptions
from broker.store.sqlite.store import SqliteStore


def lines(data, origin, options, state):
    """A line of JSON a reading: {"id", "level", "at"}; a line with "all" owns `level` and `name`."""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise Undecodable("The input is not UTF-8.") from error
    entities, quarantine = [], []
    for row, line in enumerate(text.splitlines(), start=1):
        try:
            record = json.loads(line)
            level = {"type": "Property", "value": record["level"], "unitCode": "MTR"}
            if "at" in record:
                level["observedAt"] = record["at"]
            entities.append({"id": f"urn:ngsi-ld:Gauge:{record['id']}", "type": "Gauge", "level": level})
        except (ValueError, KeyError, TypeError):
            quarantine.append(Quarantined(row, "", "no-reading", "The line is no reading.", {"line": line}))
    count = len(entities) + len(quarantine)
    channel = origin.parameters.get("channel", "")
    return Decoded(count, tuple(entities), quarantine=tuple(quarantine), state=(state or 0) + count, channel=channel)


LINES = Adapter("lines", "", lines, stateful=True, excerpt=lambda data, record: record["line"].encode())


def a_feed(name, transport, **members):
    return Feed(name, members.pop("adapter", LINES), members.pop("options", NoOptions()), transport, **members)


def some_feeds(folder: Path, *feeds, **settings):
    return Feeds(RunnerSettings(push_port=0, **settings), feeds, folder)


def line(number, level, at=None):
    return json.dumps({"id": number, "level": level} | ({} if at is None else {"at": at}))


@asynccontextmanager
async def a_broker():
    store = SqliteStore(":memory:")
    await store.open()
    try:
        async with running_api(store) as api:
            yield api
    finally:
        await store.close()


async def until(condition, patience=20.0):
    """Wait until a condition holds; its last value."""
    for _ in range(int(patience / 0.05)):
        if found := await condition():
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("it did not come to pass")


async def gauges(api, tenant=None):
    """The levels by the gauge's number."""
    headers = {} if tenant is None else {"NGSILD_Tenant": tenant}
    answer = await api.get("entities?type=Gauge&limit=1000", **headers)
    if answer.status == 404:
        return {}
    return {each["id"].rpartition(":")[2]: each["level"]["value"] for each in answer.json}


async def told(api, number):
    """The readings of a gauge in the broker's history: (observedAt, value), oldest first."""
    answer = await api.get(f"temporal/entities/urn:ngsi-ld:Gauge:{number}")
    if answer.status == 404:
        return []
    level = answer.json["level"]
    return sorted((each.get("observedAt"), each["value"]) for each in (level if isinstance(level, list) else [level]))
