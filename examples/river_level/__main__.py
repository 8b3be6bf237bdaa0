"""`python -m examples.river_level`: replay a day of river levels and see every crossing of a gauge's own thresholds.

The last line says how many crossings were expected (counted from the CSV) and how many were seen (notified); the exit code is 0
when they are the same crossings.
"""

import argparse
import asyncio
import sys
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

from adapters.errors import AdapterError
from adapters.ngsild_client import NgsiLdClient
from adapters.river.prefecture import FUKUI, decode_gauges, decode_levels
from adapters.river.standing import THRESHOLDS
from examples.river_level.broker import own_broker
from examples.river_level.expected import crossings
from examples.river_level.receiver import Receiver
from examples.river_level.replay import bring_gauges, replay, subscribed

MADE_UP = Path(__file__).parent / "data" / "2026-06-30.csv"
MADE_UP_AUTHORITY = "999997"
_PATIENCE = 30.0
_QUIET = 1.0


def main(arguments: list[str] | None = None) -> int:
    """Run the example; the exit code is 0 when the seen crossings are the expected ones."""
    parser = argparse.ArgumentParser(prog="python -m examples.river_level", description=__doc__)
    parser.add_argument(
        "--data", type=Path, default=MADE_UP, help="a day's levels (日時, 河川水位, id); default: made-up ones"
    )
    parser.add_argument("--gauges", type=Path, help="the master of the gauges; default: sensors.csv beside the data")
    parser.add_argument("--broker", help="URL of a running broker; default: one of its own, started and stopped here")
    parser.add_argument("--threshold", choices=[*THRESHOLDS, "all"], default="all", help="which threshold to watch")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long the day takes (default: 10)")
    options = parser.parse_args(arguments)
    try:
        return asyncio.run(_run(options))
    except OSError as error:
        print(f"{error.filename}: {error.strerror}.", file=sys.stderr)
    except (AdapterError, RuntimeError) as error:
        print(error, file=sys.stderr)
    return 1


async def _run(options: argparse.Namespace) -> int:
    master = options.gauges or options.data.parent / "sensors.csv"
    authority = MADE_UP_AUTHORITY if options.data == MADE_UP else FUKUI
    gauges = decode_gauges(master.read_bytes(), authority=authority)
    levels = decode_levels(options.data.read_bytes())
    names = list(THRESHOLDS) if options.threshold == "all" else [options.threshold]
    expected = Counter(crossings(options.data, master, names))
    async with AsyncExitStack() as stack:
        broker = options.broker or await stack.enter_async_context(own_broker())
        receiver = await stack.enter_async_context(Receiver())
        client = await stack.enter_async_context(NgsiLdClient(broker))
        first = await bring_gauges(client, gauges, levels)
        watched = [gauges[number] for number in first]
        subscriptions = await stack.enter_async_context(subscribed(client, watched, names, receiver.url))
        print(f"{len(first)} gauges and {subscriptions} subscriptions in {broker}", flush=True)
        print(f"{len(levels.missing)} readings are missing in the table and stay missing", flush=True)
        sent = await replay(client, gauges, levels, first, options.seconds)
        await _settled(receiver, expected.total())
    seen = Counter(receiver.crossings)
    for crossing in (expected - seen).elements():
        print(f"not seen: {crossing}")
    for crossing in (seen - expected).elements():
        print(f"not expected: {crossing}")
    print(f"{sent + len(first)} readings replayed. Crossings: {expected.total()} expected, {seen.total()} seen.")
    return 0 if seen == expected else 1


async def _settled(receiver: Receiver, expected: int) -> None:
    """Wait for the expected number of crossings, and a moment longer for any that are too many."""
    for _ in range(int(_PATIENCE / 0.1)):
        if len(receiver.crossings) >= expected:
            break
        await asyncio.sleep(0.1)
    await asyncio.sleep(_QUIET)


if __name__ == "__main__":
    sys.exit(main())
