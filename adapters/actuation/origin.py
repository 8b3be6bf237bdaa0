"""Where a forwarded request comes from: this broker's own clients, or by way of another broker, as the Via header says (6.3.18).

The broker's own name there is asked of it (5.2.40). A name that is not known to be its own, or of a proxy before it, is another
broker's: also where the broker cannot be asked.
"""

import time
from collections.abc import Callable
from typing import Final

from adapters.actuation.asking import hops
from adapters.errors import BrokerRefused, BrokerUnreachable
from adapters.ngsild_client import NgsiLdClient

SECONDS: Final = 2.0
"""How long the broker may take to answer."""
MOST_NAMES: Final = 1000
AGAIN_SECONDS: Final = 10.0
"""How soon it is asked again, as its name can be changed."""


class Origin:
    """Knows one broker's names. `own_hops` are further names that are one's own."""

    def __init__(self, broker_url: str, own_hops: tuple[str, ...], clock: Callable[[], float] = time.monotonic) -> None:
        self._broker_url = broker_url
        self._own_hops = own_hops
        self._clock = clock
        self._names: dict[str, tuple[str, float]] = {}

    @property
    def known(self) -> int:
        """Of how many tenants the broker's name is remembered."""
        return len(self._names)

    async def foreign(self, tenant: str, via: str | None) -> tuple[str, ...]:
        """The names of other brokers by way of which a request to a tenant came."""
        found = hops(via, self._own_hops)
        if not found:
            return ()
        name, asked = self._names.get(tenant, ("", float("-inf")))
        if not all(hop == name for hop in found) and self._clock() - asked > AGAIN_SECONDS:
            name = await self._ask(tenant) or name
            if len(self._names) >= MOST_NAMES:
                self._names.clear()
            self._names[tenant] = name, self._clock()
        return tuple(hop for hop in found if hop != name)

    async def _ask(self, tenant: str) -> str:
        try:
            async with NgsiLdClient(self._broker_url, tenant=tenant or None, attempts=1, timeout=SECONDS) as client:
                return await client.alias()
        except (BrokerUnreachable, BrokerRefused):
            return ""
