"""A runner of one MQTT feed for the benchmark: `python -m bench.readings BROKER HOST PORT STATE`; a message is a number."""

import asyncio
import signal
import sys
from pathlib import Path

from adapters.contract import Adapter, Decoded, Origin, State
from adapters.feeds import Feed, Feeds, Mqtt, RunnerSettings
from adapters.options import NoOptions
from adapters.runner import running


def decode(data: bytes, origin: Origin, options: NoOptions, state: State) -> Decoded:
    """A level of the gauge that the topic names, observed when it came."""
    level = {"type": "Property", "value": int(data), "unitCode": "MTR", "observedAt": origin.received_at}
    name = origin.parameters["topic"].rpartition("/")[2]
    return Decoded(1, ({"id": f"urn:ngsi-ld:Gauge:{name}", "type": "Gauge", "level": level},))


async def main(broker: str, host: str, port: str, state: str) -> None:
    """Run until SIGTERM."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    feed = Feed(
        "gauges",
        Adapter("readings", "", decode),
        NoOptions(),
        Mqtt(host, ("bench/#",), port=int(port)),
        in_turn=True,
        lasting=True,
    )
    async with running(Feeds(RunnerSettings(), (feed,), Path(state)), broker):
        await stopping.wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
