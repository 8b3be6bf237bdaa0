"""A broker's delivery side as a process of its own, to be killed: subscribes, then creates entities and prints each id that
was acknowledged. Arguments: folder of the store, endpoint, number of entities."""

import asyncio
import sys
from pathlib import Path

from delivery_desk import opened_desk


async def main(folder: str, endpoint: str, number: int) -> None:
    async with opened_desk(Path(folder)) as desk:
        await desk.subscribe(endpoint)
        print("ready", flush=True)
        for first in range(0, number, 8):
            ids = [f"urn:ngsi-ld:Device:{one:05}" for one in range(first, min(first + 8, number))]
            await asyncio.gather(*(desk.create(one, level={"type": "Property", "value": 1}) for one in ids))
            for one in ids:
                print(one, flush=True)
        await asyncio.sleep(3600)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
