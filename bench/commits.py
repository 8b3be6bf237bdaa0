"""Commits of several processes on one MongoDB, against those of one alone: how many, and how evenly they have their turns."""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, TypedDict

import typer

from bench.processes import store_place
from broker import metrics
from broker.app import make_store, now
from broker.model.change import Change
from broker.model.entity import Entity
from broker.settings import parse_store
from broker.store.writer import EntityWriter

START_SECONDS: Final = 4.0
"""How long the processes may take to start, before all begin at once."""
TYPE: Final = "urn:ngsi-ld:type:Counter"


class Tally(TypedDict):
    """What one process has done: a second, or in milliseconds."""

    writes: float
    commits: float
    collisions: float
    median: float
    p99: float


def main(
    processes: Annotated[int, typer.Option(min=2, help="How many, against one alone.")] = 3,
    callers: Annotated[int, typer.Option(min=1, help="Writers in each, each with an entity of its own.")] = 24,
    rounds: Annotated[int, typer.Option(min=1, help="How often one and many have their turn.")] = 5,
    seconds: Annotated[float, typer.Option(help="How long each time.")] = 4.0,
) -> None:
    """Commits of several processes on one MongoDB, against those of one alone, in turns."""
    shares: list[float] = []
    with store_place("mongo", Path(tempfile.mkdtemp(prefix="tsunagu-bench-")), 0.5) as place:
        for number in range(rounds):
            one = _run(place.store, 1, callers, seconds)
            many = _run(place.store, processes, callers, seconds)
            shares.append(sum(each["commits"] for each in many) / one[0]["commits"])
            for each in (one, many):
                print(_line(f"round {number + 1}, {len(each)} processes", each), flush=True)
    print(
        f"commits of {processes} against one: {statistics.median(shares):.2f} ({min(shares):.2f} to {max(shares):.2f})"
    )


def _line(what: str, tallies: list[Tally]) -> str:
    slowest, fastest = (choose(each["p99"] for each in tallies) for choose in (max, min))
    return (
        f"{what}: {sum(each['writes'] for each in tallies):,.0f} writes/s"
        f" in {sum(each['commits'] for each in tallies):,.0f} commits/s,"
        f" {sum(each['collisions'] for each in tallies) / sum(each['commits'] for each in tallies):.2f} collisions each,"
        f" median {statistics.median(each['median'] for each in tallies):.0f} ms, p99 {fastest:.0f} to {slowest:.0f} ms"
    )


def _run(store: str, processes: int, callers: int, seconds: float) -> list[Tally]:
    begin = time.time() + START_SECONDS
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "bench.commits", store, str(number), str(callers), str(seconds), str(begin)],
            stdout=subprocess.PIPE,
        )
        for number in range(processes)
    ]
    return [json.loads(each.communicate()[0]) for each in started]


async def _commit(store_url: str, name: str, callers: int, seconds: float, begin: float) -> Tally:
    """What one process does: each of its callers writes, waits for the answer, and writes again."""
    store = make_store(parse_store(store_url))
    await store.open()
    await store.enlist(name, 10 * seconds)
    writer, commits, took = EntityWriter(store, now), 0, list[float]()

    def committed(_: list[Change]) -> None:
        nonlocal commits
        commits += 1

    writer.on_commit.append(committed)
    await asyncio.sleep(max(0.0, begin - time.time()))
    ends = time.monotonic() + seconds

    async def keep_writing(entity_id: str) -> None:
        while (started := time.monotonic()) < ends:
            await writer.write("", entity_id, _counted(entity_id))
            took.append(time.monotonic() - started)

    await asyncio.gather(*(keep_writing(f"urn:ngsi-ld:Counter:{name}:{number}") for number in range(callers)))
    await writer.close()
    await store.close()
    ordered = sorted(took)
    return {
        "writes": len(took) / seconds,
        "commits": commits / seconds,
        "collisions": (metrics.REGISTRY.get_sample_value("tsunagu_commit_collisions_total") or 0.0) / seconds,
        "median": 1000 * statistics.median(ordered),
        "p99": 1000 * ordered[int(0.99 * (len(ordered) - 1))],
    }


def _counted(entity_id: str) -> Callable[[Entity | None], Change]:
    def decide(before: Entity | None) -> Change:
        version = 1 if before is None else before["version"] + 1
        at = now()
        made = at if before is None else before["createdAt"]
        after: Entity = {
            "id": entity_id,
            "type": [TYPE],
            "createdAt": made,
            "modifiedAt": at,
            "version": version,
            "attrs": {},
        }
        return Change("", entity_id, "entityCreated" if before is None else "entityUpdated", at, (), before, after)

    return decide


if __name__ == "__main__":
    url, number, count, duration, start = sys.argv[1:]
    print(json.dumps(asyncio.run(_commit(url, number, int(count), float(duration), float(start)))))
