"""A broker that starts and then has nothing to do: how long until it answers, and what it has in memory."""

import time
from pathlib import Path
from statistics import median
from typing import Final

from bench.processes import running_broker, store_place
from bench.report import STORES, Row, Section

IDLE_SECONDS: Final = 3.0


def measure(kind: str, files: Path, times: int, cache_gb: float) -> list[Section]:
    """Some starts on a store that is there already, and one broker watched while it is idle."""
    seconds: list[float] = []
    with store_place(kind, files / "store", cache_gb) as place:
        with running_broker(place.store):  # makes the store
            pass
        for number in range(times):
            start = time.monotonic()
            with running_broker(place.store) as broker:
                seconds.append(time.monotonic() - start)
                if number == times - 1:
                    time.sleep(IDLE_SECONDS)
                    memory, cpu = broker.meter.resident(), broker.meter.cpu()
                    time.sleep(IDLE_SECONDS)
                    cpu = broker.meter.cpu() - cpu
    section = Section(f"Start and idleness, {STORES[kind]}")
    section.facts["CPU while idle"] = f"{100 * cpu / IDLE_SECONDS:.1f} % of a core"
    values = {"seconds": median(seconds), "memory": memory}
    section.rows.append(Row("idle", "start until ready, then idle", kind, 0, times, values))
    return [section]
