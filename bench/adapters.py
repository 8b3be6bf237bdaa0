"""Adapters: how many rows of a table a second come to rest in a broker, and how soon an MQTT message is visible to a query."""

import asyncio
import csv
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from pathlib import Path
from typing import Annotated, Final

import aiohttp
import aiomqtt
import typer

from adapters.feeds import read_feeds
from adapters.journal import Journal
from adapters.status import status
from bench.asking import await_history
from bench.processes import Broker, Meter, running_broker, store_place
from bench.report import machine
from tests.mongod import die_with_parent, free_port

RUN_SECONDS: Final = 600.0
HEADERS: Final = (
    *(
        "NO",
        "名称",
        "名称_カナ",
        "住所",
        "緯度",
        "経度",
        "標高",
        "電話番号",
        "市区町村コード",
        "都道府県名",
        "市区町村名",
    ),
    *("災害種別_洪水", "災害種別_崖崩れ、土石流及び地滑り", "災害種別_高潮", "災害種別_地震", "災害種別_津波"),
    *("災害種別_大規模な火事", "災害種別_内水氾濫", "災害種別_火山現象", "指定避難所との重複", "想定収容人数"),
)


def main(
    rows: Annotated[int, typer.Option(min=100, help="Rows of the table that is imported.")] = 50_000,
    rate: Annotated[int, typer.Option(min=1, help="MQTT messages a second.")] = 500,
    seconds: Annotated[float, typer.Option(min=1, help="Seconds of MQTT messages.")] = 30.0,
    store: Annotated[str, typer.Option(help="sqlite or mongo.")] = "sqlite",
    output: Annotated[Path | None, typer.Option("--json", help="Where to write the figures as JSON.")] = None,
) -> None:
    """Import a table, import it again, and watch MQTT messages arrive."""
    folder = Path(tempfile.mkdtemp(prefix="tsunagu-bench-"))
    figures: dict[str, float] = {}
    try:
        with store_place(store, folder / "store", 1.0) as place, running_broker(place.store) as broker:
            figures |= import_figures(broker, folder, rows)
        with (
            store_place(store, folder / "store2", 1.0) as place,
            running_broker(place.store) as broker,
            running_mosquitto(folder) as mqtt,
        ):
            figures |= asyncio.run(mqtt_figures(broker, mqtt, folder, rate, seconds))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"### Adapters, {store}\n")
    for name, value in machine().items():
        print(f"* {name}: {value}")
    print("\n| figure | value |\n|---|--:|")
    for name, each in figures.items():
        print(f"| {name} | {each:,.1f} |")
    if output is not None:
        output.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")


def import_figures(broker: Broker, folder: Path, rows: int) -> dict[str, float]:
    """Rows a second of an import into an empty broker, and of the same table with one column changed, and unchanged."""
    inbox = folder / "in"
    inbox.mkdir()
    feeds = folder / "import.toml"
    feeds.write_text(
        f'[runner]\nbroker = "{broker.url}"\nstate = "import-state"\n'
        '[feeds.sites]\nadapter = "table"\nfiles = {path = "in/*.csv", every = 0.2, settle = 0.0}\n'
    )
    figures = {}
    cases = (("new", "a", 0), ("unchanged", "b", 0), ("one column changed", "c", 1))
    with running(["-m", "broker.cli", "adapters", "run", str(feeds), "--log-level", "warning"], folder) as runner:
        for number, (name, file, capacity) in enumerate(cases, start=1):
            write_table(inbox / f"{file}.part", rows, capacity)
            (inbox / f"{file}.part").rename(inbox / f"{file}.csv")
            before = runner.cpu(), broker.meter.cpu()
            run = finished_run(feeds, number)
            span = seconds_of(run)
            if run["counts"]["entities"] != rows or run["counts"].get("failed"):
                raise RuntimeError(f"not all rows arrived: {run}")
            figures[f"import, {name}: rows/s"] = rows / span
            await_history(broker.url)
            costs = runner.cpu() - before[0], broker.meter.cpu() - before[1]
            figures |= {
                f"import, {name}: {who} CPU us/row": 1e6 * cost / rows
                for who, cost in zip(("runner", "broker"), costs, strict=True)
            }
            # What a quiet core for each would give: decoding comes before the broker's part, the rest is at the same time.
            figures[f"import, {name}: rows/s by CPU, nothing overlapping"] = rows / sum(costs)
            figures[f"import, {name}: rows/s by CPU, all overlapping"] = rows / max(costs)
    return figures


def write_table(path: Path, rows: int, capacity: int) -> None:
    """A table of evacuation sites in the recommended layout; with other capacities, all rows are others."""
    with path.open("w", encoding="utf-8-sig", newline="") as target:
        writer = csv.DictWriter(target, HEADERS, restval="")
        writer.writeheader()
        for number in range(rows):
            writer.writerow(
                {
                    "NO": number + 1,
                    "名称": f"避難場所{number}",
                    "名称_カナ": "ヒナンバショ",
                    "住所": f"架空県つなぐ市港町{number}番地",
                    "緯度": f"{34.5 + number % 1000 / 1000:.4f}",
                    "経度": f"{138 + number // 1000 / 100:.4f}",
                    "市区町村コード": "999997",
                    "市区町村名": "つなぐ市",
                    "災害種別_地震": "1",
                    "想定収容人数": 100 + number % 50 + capacity,
                }
            )


def finished_run(feeds: Path, number: int) -> dict[str, "dict[str, int]"]:
    """The run of that number, once it has finished, as the runner's own status tells it."""

    async def look() -> dict[str, "dict[str, int]"]:
        known = read_feeds(feeds)
        async with await Journal.open(known.state_folder) as journal:
            deadline = time.monotonic() + RUN_SECONDS
            while time.monotonic() < deadline:
                (feed,) = await status(known, journal)
                if feed.run is not None and feed.run["id"] >= number and feed.run["status"] != "running":
                    return feed.run
                await asyncio.sleep(0.2)
            raise RuntimeError(f"the import does not end: {feed}")

    return asyncio.run(look())


def seconds_of(run: "dict[str, dict[str, int]]") -> float:
    """How long a run took."""
    first, last = (datetime.fromisoformat(str(run[name])) for name in ("started_at", "finished_at"))
    return (last - first).total_seconds()


async def mqtt_figures(broker: Broker, mqtt: int, folder: Path, rate: int, seconds: float) -> dict[str, float]:
    """How soon a message is visible to a query, in milliseconds, while others come at this rate."""
    command = ["-m", "bench.readings", broker.url, "127.0.0.1", str(mqtt), str(folder / "mqtt-state")]
    with running(command, folder) as runner:
        async with aiohttp.ClientSession() as session, aiomqtt.Client("127.0.0.1", mqtt) as client:
            watch = Watch(session, client, broker.url)
            await watch.ready()
            sent = asyncio.create_task(publish(client, rate, seconds + 2))
            await asyncio.sleep(2)
            before, start = (runner.cpu(), broker.meter.cpu()), time.monotonic()
            latencies: list[float] = []
            while time.monotonic() < start + seconds:
                latencies.append(await watch.seen(len(latencies), patience=60.0))
                await asyncio.sleep(random.uniform(0, 0.02))
            costs = runner.cpu() - before[0], broker.meter.cpu() - before[1]
            span = time.monotonic() - start
            count = await sent
    ordered = sorted(latencies)
    figures = {
        f"MQTT to query, p{share}: ms": ordered[ceil(share / 100 * len(ordered)) - 1] * 1000 for share in (50, 95, 99)
    }
    return figures | {
        "MQTT to query, max: ms": ordered[-1] * 1000,
        "MQTT to query, probes": len(ordered),
        "MQTT messages/s sent": count / (seconds + 2),
        "MQTT: runner CPU us/message": 1e6 * costs[0] / span / (count / (seconds + 2)),
        "MQTT: broker CPU us/message, with what the probes ask": 1e6 * costs[1] / span / (count / (seconds + 2)),
    }


async def publish(client: aiomqtt.Client, rate: int, seconds: float) -> int:
    """Publish readings of 1,000 gauges at this rate, in small portions; how many that were."""
    start, sent = time.monotonic(), 0
    while (passed := time.monotonic() - start) < seconds:
        portion = int(passed * rate) - sent
        for number in range(sent, sent + portion):
            await client.publish(f"bench/gauge{number % 1000}", f"{number}", qos=1)
        sent += portion
        await asyncio.sleep(0.005)
    return sent


@dataclass(slots=True)
class Watch:
    """Publishes a probe and asks the broker until a query shows it."""

    session: aiohttp.ClientSession
    client: aiomqtt.Client
    url: str

    async def ready(self) -> None:
        """Wait until messages arrive at all: the runner needs a moment before it listens."""
        for _ in range(60):
            try:
                await self.seen(-1, patience=1.0)
            except RuntimeError:
                continue
            return
        raise RuntimeError("no message arrives")

    async def seen(self, number: int, patience: float) -> float:
        """Seconds from publishing probe `number` to the first answer that shows it."""
        start = time.monotonic()
        await self.client.publish("bench/probe", f"{number}", qos=1)
        target = f"{self.url}/ngsi-ld/v1/entities?type=Gauge&id=urn:ngsi-ld:Gauge:probe&format=simplified"
        while time.monotonic() < start + patience:
            async with self.session.get(target) as answer:
                found = await answer.json()
            if found and found[0]["level"] == number:
                return time.monotonic() - start
            await asyncio.sleep(0.003)
        raise RuntimeError(f"probe {number} did not arrive within {patience} s")


@contextmanager
def running(command: list[str], folder: Path) -> Iterator[Meter]:
    """A Python process for as long as the block runs; what it says goes to a log in the folder, and here if it fails."""
    log = folder / "runner.log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TSUNAGU_")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *command], env=environment, stdout=output, stderr=output, preexec_fn=die_with_parent
        )
    meter = Meter(process.pid)
    try:
        yield meter
        if process.poll() is not None:
            raise RuntimeError(f"the runner has ended: {log.read_text(errors='replace')[-2000:]}")
    finally:
        meter.close()
        process.terminate()
        process.wait(30)


@contextmanager
def running_mosquitto(folder: Path) -> Iterator[int]:
    """mosquitto for as long as the block runs; its port."""
    command = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if command is None:
        raise RuntimeError("mosquitto is not installed")
    port = free_port()
    settings = folder / "mosquitto.conf"
    settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 100000\n")
    process = subprocess.Popen([command, "-c", str(settings)], stderr=subprocess.DEVNULL, preexec_fn=die_with_parent)
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with closing(socket.socket()) as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait(10)
