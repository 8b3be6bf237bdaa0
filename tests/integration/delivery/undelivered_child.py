"""A broker's delivery side as a process that kills itself while it sets a notification aside. It subscribes and creates entities,
prints each id that was acknowledged, and dies before or after the document of the `number`-th one that is set aside is written.
Arguments: folder of the store, endpoint, `before` or `after`, number."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from delivery_desk import opened_desk

from broker.delivery import course
from broker.delivery.undelivered import UNDELIVERED
from broker.store.protocol import Lease
from broker.store.sqlite.store import SqliteStore


async def main(folder: str, endpoint: str, moment: str, number: int) -> None:
    course.FIRST_PAUSE, course.LONGEST_PAUSE = 0.01, 0.02  # type: ignore[misc]
    write = SqliteStore.save_under
    left = number

    async def save_under(store: SqliteStore, lease: Lease, **what: Any) -> bool:
        nonlocal left
        left -= any(put.kind == UNDELIVERED for put in what["puts"])
        if left == 0 and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        written = await write(store, lease, **what)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return written

    SqliteStore.save_under = save_under  # type: ignore[method-assign]
    async with opened_desk(Path(folder)) as desk:
        await desk.subscribe(endpoint)
        for first in range(0, 100_000, 4):
            ids = [f"urn:ngsi-ld:Device:{one:05}" for one in range(first, first + 4)]
            await asyncio.gather(*(desk.create(one, level={"type": "Property", "value": 1}) for one in ids))
            print(*ids, sep="\n", flush=True)
            await asyncio.sleep(0.005)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
