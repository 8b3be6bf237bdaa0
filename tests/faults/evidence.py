"""Evidence: the log, the states and the history of all tenants, and all receipts, as plain data, once a run is over."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from faults.receipt import Receipt
from faults.write import EntityKey
from faults.writer import HOT, TYPE, hot_id

from broker.app import make_store
from broker.model.entity import Entity
from broker.settings import parse_store
from broker.store.protocol import Store

NUMBER: Final = "https://uri.etsi.org/ngsi-ld/default-context/number"
CATCH_UP_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Logged:
    """One change of the log: the number that the entity had before it and has after it, None where it was or is not there."""

    sequence: int
    entity: EntityKey
    before: int | None
    after: int | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """`history` has the numbers of each entity in order; `deleted` are those that the history knows as deleted."""

    log: list[Logged]
    states: dict[EntityKey, int]
    history: dict[EntityKey, list[int]]
    deleted: set[EntityKey]
    receipts: list[Receipt]


async def read_states(url: str) -> dict[EntityKey, int]:
    """The number of every entity, as a broker tells it."""
    states: dict[EntityKey, int] = {}
    async with aiohttp.ClientSession() as session:
        for tenant in HOT:
            address = f"{url}/ngsi-ld/v1/entities?type={TYPE}&limit=1000&format=simplified"
            while address:
                headers = {"NGSILD-Tenant": tenant} if tenant else {}
                async with session.get(address, headers=headers) as answer:
                    assert answer.status == 200, await answer.text()
                    found: list[dict[str, Any]] = await answer.json()
                    onward = answer.links.get("next")
                states.update(((tenant, entity["id"]), entity["number"]) for entity in found)
                address = str(onward["url"]) if onward is not None else ""
    return states


async def wait_for_history(url: str) -> None:
    """Return when the history has reached the log's head: a temporal request waits for that, or says that it takes longer."""
    deadline = time.monotonic() + CATCH_UP_SECONDS
    async with aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{url}/ngsi-ld/v1/temporal/entities/{hot_id(0)}?lastN=1") as answer:
                if answer.status == 200:
                    return
                assert time.monotonic() < deadline, await answer.text()
            await asyncio.sleep(0.5)


async def gather(store_url: str, states: dict[EntityKey, int], receipts: list[Receipt]) -> Evidence:
    """Read what no broker is at work on any more."""
    store = make_store(parse_store(store_url))
    await store.open()
    try:
        log = await _read_log(store)
        history: dict[EntityKey, list[int]] = defaultdict(list)
        deleted = set()
        for entity in dict.fromkeys(change.entity for change in log):
            for entry in await store.history(*entity):
                if entry.attribute != NUMBER:
                    continue
                if entry.deleted:
                    deleted.add(entity)
                else:
                    history[entity].append(entry.instance["value"])
        return Evidence(log, states, dict(history), deleted, receipts)
    finally:
        await store.close()


async def _read_log(store: Store) -> list[Logged]:
    log: list[Logged] = []
    after = await store.tail()
    while changes := await store.changes(after, 1000):
        after = changes[-1].sequence
        log += [
            Logged(each.sequence, (each.tenant, each.entity_id), _number(each.before), _number(each.after))
            for each in changes
        ]
    return log


def _number(state: Entity | None) -> int | None:
    instances: Sequence[Any] = [] if state is None else state["attrs"].get(NUMBER, [])
    return instances[0]["value"] if instances else None
