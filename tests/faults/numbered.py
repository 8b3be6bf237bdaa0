"""Writes with numbers of their own, and who must hear of them: what tests of lost writes have in common.

Each entity's `number` is that of the last write. A number that was acknowledged must be in the change log and in the history
once, in the same order, and must have reached every subscriber.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager

import orjson
from aiohttp import web

from broker.store.protocol import Store

JSON = {"Content-Type": "application/json"}
HOT = 4
"""Entities that many writes share; the others are written once."""
VALUE = "https://uri.etsi.org/ngsi-ld/default-context/number"


def entity_of(kind: str, number: int) -> tuple[str, bool]:
    """The entity that a write is for, and whether that is one of those which are there from the start."""
    hot = number % 3 == 0
    return f"urn:ngsi-ld:{kind}:hot{number % HOT}" if hot else f"urn:ngsi-ld:{kind}:{number}", hot


def attribute(number: int) -> dict[str, object]:
    """What a write says."""
    return {"number": {"type": "Property", "value": number}}


def first_entities(kind: str) -> list[dict[str, object]]:
    """The entities that are there from the start."""
    return [{"id": f"urn:ngsi-ld:{kind}:hot{hot}", "type": kind, **attribute(0)} for hot in range(HOT)]


def subscription(kind: str, endpoint: str) -> dict[str, object]:
    """A subscription to all numbers."""
    return {
        "type": "Subscription",
        "entities": [{"type": kind}],
        "watchedAttributes": ["number"],
        "notification": {"format": "simplified", "endpoint": {"uri": endpoint}},
    }


class Receiver:
    """Subscribers that remember the numbers they were notified of, by entity, in the order in which each came first."""

    def __init__(self) -> None:
        self.seen: dict[tuple[str, str], dict[int, None]] = defaultdict(dict)
        self.received = 0
        self.repeated = 0
        self.url = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen at `url`/SUBSCRIBER."""
        application = web.Application()
        application.router.add_post("/{subscriber}", self._receive)
        runner = web.AppRunner(application)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield
        finally:
            await runner.cleanup()

    async def _receive(self, request: web.Request) -> web.Response:
        for entity in orjson.loads(await request.read())["data"]:
            numbers = self.seen[request.match_info["subscriber"], entity["id"]]
            self.received += 1
            self.repeated += entity["number"] in numbers
            numbers.setdefault(entity["number"])
        return web.Response(status=200)

    async def has_all(self, acknowledged: Mapping[str, Iterable[int]], subscribers: Sequence[str]) -> None:
        """Wait until every subscriber has every number that was acknowledged."""
        missing: dict[tuple[str, str], set[int]] = {}
        for _ in range(600):
            missing = {
                (subscriber, entity_id): lost
                for subscriber in subscribers
                for entity_id, numbers in acknowledged.items()
                if (lost := set(numbers) - self.seen[subscriber, entity_id].keys())
            }
            if not missing:
                return
            await asyncio.sleep(0.1)
        shown = list(missing.items())[:5]
        raise AssertionError(f"acknowledged writes that were never notified: {len(missing)}, such as {shown}")


async def log_of(store: Store, acknowledged: Mapping[str, Iterable[int]]) -> dict[str, list[int]]:
    """The numbers of each entity in the change log: those that were acknowledged, none twice, and the history has the same."""
    logged: dict[str, list[int]] = defaultdict(list)
    after = 0
    while changes := await store.changes(after, 1000):
        after = changes[-1].sequence
        for change in changes:
            assert change.after is not None
            logged[change.entity_id].append(change.after["attrs"][VALUE][0]["value"])
    for entity_id, numbers in acknowledged.items():
        assert set(numbers) <= set(logged[entity_id]), f"{entity_id}: no change record for some numbers"
        assert len(logged[entity_id]) == len(set(logged[entity_id])), f"{entity_id}: a write was applied twice"
        history = await store.history("", entity_id)
        assert [entry.instance["value"] for entry in history] == logged[entity_id]
    return logged
