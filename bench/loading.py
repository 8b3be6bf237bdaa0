"""Bringing entities into a broker through its API, as fast as it takes them."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from bench.asking import Asker
from bench.processes import Broker

AT_ONCE: Final = 500
CLIENTS: Final = 4


def load(broker: Broker, entity: Callable[[int], dict[str, Any]], entities: int) -> float:
    """Create so many entities in batches (5.6.7); how many a second. Raises WrongAnswer."""
    start = time.monotonic()

    def client(first: int) -> None:
        asker = Asker(broker, None)
        for number in range(first * AT_ONCE, entities, CLIENTS * AT_ONCE):
            batch = [entity(each) for each in range(number, min(number + AT_ONCE, entities))]
            asker.expect(201, "POST", "/entityOperations/create", batch)
        asker.close()

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(client, range(CLIENTS)))
    return entities / (time.monotonic() - start)
