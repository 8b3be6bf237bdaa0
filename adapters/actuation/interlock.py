"""Interlocks: whether the city is in a state in which a command may be given, asked of the broker at that moment.

What cannot be read does not hold: a broker that is away, an entity that is not there, a query that it does not understand. Nor
does what is older than it may be (`freshness.py`).
"""

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

from adapters.actuation.contract import CommandTarget
from adapters.actuation.freshness import too_old
from adapters.actuation.policy import Interlock
from adapters.door import now
from adapters.errors import BrokerRefused, BrokerUnreachable
from adapters.ngsild_client import NgsiLdClient

SELF: Final = "self"
SECONDS: Final = 3.0
"""How long the broker may take to answer about all interlocks of a command."""


class Trouble(NamedTuple):
    """Why a command may not be given. `certain`: the interlock was read, and does not hold."""

    detail: str
    certain: bool


class Interlocks:
    """Asks one broker. `context` is the URL of the @context for the names in queries, or empty."""

    def __init__(self, broker_url: str, context: str) -> None:
        self._broker_url = broker_url
        self._context = context
        self._clients: dict[str, NgsiLdClient] = {}

    async def close(self) -> None:
        """Close all connections."""
        for client in self._clients.values():
            await client.__aexit__(None, None, None)
        self._clients.clear()

    async def violated(self, target: CommandTarget, interlocks: Sequence[Interlock]) -> Trouble | None:
        """Why a command to this device may not be given now; None where it may."""
        try:
            async with asyncio.timeout(SECONDS):
                return await self._violated(target, interlocks)
        except TimeoutError:
            return Trouble("the interlocks cannot be read: the broker takes too long", certain=False)

    async def _violated(self, target: CommandTarget, interlocks: Sequence[Interlock]) -> Trouble | None:
        for interlock in interlocks:
            entity_id = target.entity_id if interlock.entity == SELF else interlock.entity
            try:
                client = await self._client(target.tenant)
                found = await client.satisfying(entity_id, interlock.q, context=self._context)
            except (BrokerUnreachable, BrokerRefused) as error:
                return Trouble(f"the interlock {interlock.q!r} of {entity_id} cannot be read: {error}", certain=False)
            if found is None:
                return Trouble(f"the interlock {interlock.q!r} of {entity_id} does not hold", certain=True)
            if (age := too_old(found, interlock.q, interlock.max_age, now())) is not None:
                return Trouble(f"the interlock {interlock.q!r} of {entity_id} {age}", certain=False)
        return None

    async def _client(self, tenant: str) -> NgsiLdClient:
        if tenant not in self._clients:
            # In its place before it is opened: two that come at once share it.
            client = self._clients[tenant] = NgsiLdClient(
                self._broker_url, tenant=tenant or None, attempts=1, timeout=SECONDS
            )
            await client.__aenter__()
        return self._clients[tenant]
