"""The run: everything is started, a city's files and messages come in, and what became of them is asked of the broker."""

import asyncio
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import aiomqtt

from adapters.contract import Origin
from adapters.errors import AdapterError, Undecodable
from adapters.feeds import Feed, Feeds, Files, Mqtt, read_feeds
from adapters.journal import Journal
from adapters.ngsild_client import NgsiLdClient
from adapters.quarantine import held
from adapters.status import status
from adapters.wire import from_wire
from datamodels import CONTEXT_URL, model_of
from examples.one_city.expected import reached_in, rows_in
from examples.one_city.files import HERE, CityFiles, put
from examples.one_city.gauges import Message, alerts_expected, counted, gauges_of, messages_of, send
from examples.one_city.mosquitto import HOST, MosquittoMissing, free_port, mosquitto
from examples.one_city.receiver import Receiver
from examples.one_city.summary import RunOf, Summary
from examples.one_city.weather import served
from examples.river_level.broker import own_broker

LINK = f'<{CONTEXT_URL}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"'
_RUN = model_of("AdapterRun")
PATIENCE = 60.0
"""How long nothing may happen, in seconds, until what is missing counts as missing."""
_LOOK = 0.25
_QUIET = 1.0


class NotEmpty(Exception):
    """The store holds something already, so that nothing could be counted."""


@dataclass
class City:
    """A city at work: its broker, its folder with the file of feeds, and what is expected of each feed."""

    url: str
    session: aiohttp.ClientSession
    journal: Journal
    feeds: Feeds
    folder: Path
    file: str
    environment: str
    receiver: Receiver
    expected: dict[str, int] = field(default_factory=dict)

    async def get(self, path: str, **parameters: str) -> Any:
        """The JSON of a GET, names by our vocabulary."""
        async with self.session.get(
            f"{self.url}/ngsi-ld/v1{path}", params=parameters, headers={"Link": LINK}
        ) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def count(self, kind: str) -> int:
        """How many entities of a type the broker has."""
        parameters = {"type": kind, "limit": "0", "count": "true"}
        async with self.session.get(
            f"{self.url}/ngsi-ld/v1/entities", params=parameters, headers={"Link": LINK}
        ) as answer:
            answer.raise_for_status()
            return int(answer.headers["NGSILD-Results-Count"])

    async def runs(self) -> list[dict[str, Any]]:
        """The values of the runs that the broker has been told of, oldest first."""
        async with NgsiLdClient(self.url, attempts=3, timeout=20) as client:
            found = [from_wire(each, _RUN) async for each in client.entities_of_type(_RUN.iri)]
        found.sort(key=lambda run: int(run["id"].rpartition(":")[2]))
        return [{name: run[name]["value"] for name in run.keys() - {"id", "type"}} for run in found]

    async def take_up(self, name: str) -> None:
        """Wait until a feed is listening. Raises RuntimeError."""
        for _ in range(int(PATIENCE / 0.1)):
            (feed,) = [each for each in await status(self.feeds, self.journal) if each.feed == name]
            if feed.checked_at is not None and not feed.trouble:
                return
            await asyncio.sleep(0.1)
        raise RuntimeError(f"The feed {name} does not listen to the MQTT broker. {feed.trouble}")

    async def settled(self) -> list[str]:
        """Wait until what is expected of each feed is done, or nothing happens any more; what is then missing."""
        before, since = None, time.monotonic()
        while True:
            done = dict.fromkeys(self.expected, 0)
            for run in await self.runs():
                lasting = self.feeds.named(run["adapter"]).lasting
                if run["adapter"] in done and (lasting or run["runStatus"] != "running"):
                    done[run["adapter"]] += run["records"]["read"] if lasting else 1
            missing = [name for name, count in self.expected.items() if done[name] < count]
            if not missing:
                return []
            if done != before:
                before, since = done, time.monotonic()
            if time.monotonic() - since > PATIENCE:
                return [f"{name}: {done[name]} of {self.expected[name]} came through." for name in missing]
            await asyncio.sleep(_LOOK)


async def run(
    files: CityFiles,
    store: str,
    say: Callable[[str], None],
    stay: Callable[[City, Summary], Awaitable[None]] | None = None,
) -> Summary:
    """Run a city once. With `stay`, everything goes on until what it gives has been awaited.

    Raises NotEmpty, RuntimeError where the broker does not start, AdapterError for a file of feeds at fault.
    """
    started = time.monotonic()
    summary = Summary()
    _check(store)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="tsunagu-one-city-")))
        lists = _laid_out(files, folder)
        environ = {"AMEDAS_URL": await stack.enter_async_context(served(files.stations, files.observations))}
        environ |= {"MQTT_HOST": HOST, "MQTT_PORT": str(free_port())}
        try:
            environ["MQTT_PORT"] = str(await stack.enter_async_context(mosquitto(folder)))
        except MosquittoMissing as missing:
            summary.left_out.append(f"the gauges are left out: {missing}")
        receiver = await stack.enter_async_context(Receiver())
        feeds = read_feeds(folder / files.feeds.name, {**os.environ, **environ})
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)))
        options = ("--adapters", str(folder / files.feeds.name), "--validation", "enforce", "--egress", "127.0.0.1/32")
        log = folder / "broker.log"
        try:
            url = await stack.enter_async_context(own_broker(*options, store=store, environ=environ, log=log))
        except RuntimeError as error:
            raise RuntimeError("\n".join([str(error), *_tail(log)])) from None
        journal = await stack.enter_async_context(await Journal.open(feeds.state_folder))
        environment = " ".join(f"{name}={value}" for name, value in environ.items())
        city = City(url, session, journal, feeds, folder, files.feeds.name, environment, receiver)
        say(f"The broker is on {url}; the city's files are in {folder}/in.")
        try:
            await _bring(city, files, lists, summary, say)
            await _ask(city, files, lists, summary)
        except (aiohttp.ClientError, aiomqtt.MqttError, AdapterError, TimeoutError) as error:
            raise RuntimeError("\n".join([str(error) or type(error).__name__, *_tail(log)])) from error
        summary.seconds = time.monotonic() - started
        summary.log = _tail(log)
        if stay is not None:
            await stay(city, summary)
    return summary


def _check(store: str) -> None:
    """Raises NotEmpty."""
    if store.startswith("sqlite:") and Path(store.removeprefix("sqlite:")).exists():
        raise NotEmpty(f"{store} is there already: everything is counted, so the example wants a store of its own.")


def _laid_out(files: CityFiles, folder: Path) -> dict[str, Path]:
    """The city's folder: the file of feeds, its profiles, and the files that are there from the start; these by name."""
    folder.chmod(0o755)  # mosquitto, started by root, reads its file as another user
    shutil.copyfile(files.feeds, folder / files.feeds.name)
    shutil.copytree(HERE / "profiles", folder / "profiles")
    there = {}
    for name, paths in files.lists.items():
        for path in paths:
            put(path, folder / "in" / name)
            there[path.name] = path
    for path in files.masters:
        put(path, folder / "in" / "river")
        there[path.name] = path
    return there


async def _bring(
    city: City, files: CityFiles, lists: Mapping[str, Path], summary: Summary, say: Callable[[str], None]
) -> None:
    """First what a city knows, then subscriptions, then what happens in a day."""
    say(f"{len(lists)} files and AMeDAS come in ...")
    city.expected.update(Counter(feed.name for feed in city.feeds.feeds for _ in _taken(feed)))
    taken = {path.name for feed in city.feeds.feeds for path in _taken(feed)}
    summary.missing += [f"{name}: no feed of {files.feeds.name} reads it." for name in lists if name not in taken]
    city.expected[_of("jma-amedas", city.feeds).name] = 2
    summary.missing += await city.settled()
    gauges = gauges_of(city.folder / files.feeds.name)
    river = _of("river-level", city.feeds)
    hold: int = river.options.hold  # type: ignore[attr-defined]
    try:
        expected = {"river": reached_in(files.day, files.masters[0], hold)}
    except KeyError as column:
        raise RuntimeError(f"{files.day.name} or {files.masters[0].name} has no column {column}.") from None
    messages: list[Message] = []
    if not summary.left_out:
        messages = messages_of(gauges)
        expected["gauges"] = alerts_expected(gauges)
    for name in expected:
        await _subscribe(city, name)
    say(
        f"{len(expected)} subscriptions; the levels of {files.day.stem} and {len(messages)} messages of gauges come in ..."
    )
    put(files.day, city.folder / "in" / "river")
    city.expected[river.name] += 1
    for name, count in counted(messages):
        await city.take_up(name)
        city.expected[name] = count
    if messages:
        match city.feeds.named(messages[0].feed).transport:
            case Mqtt(host=host, port=port):
                await send(host, port or 1883, messages)
    summary.missing += await city.settled()
    for _ in range(int(PATIENCE / _LOOK)):
        if all(city.receiver.alerts[name] >= count for name, count in expected.items()):
            break
        await asyncio.sleep(_LOOK)
    await asyncio.sleep(_QUIET)  # for any that are too many
    summary.alerts = {name: (count, city.receiver.alerts[name]) for name, count in expected.items()}


async def _subscribe(city: City, name: str) -> None:
    subscription = json.loads((HERE / "subscriptions" / f"{name}.json").read_text("utf-8"))
    subscription["notification"]["endpoint"]["uri"] = f"{city.receiver.url}/{name}"
    async with city.session.post(
        f"{city.url}/ngsi-ld/v1/subscriptions",
        data=json.dumps(subscription),
        headers={"Content-Type": "application/ld+json"},
    ) as answer:
        if answer.status != 201:
            raise RuntimeError(f"The broker does not take the subscription {name}: {await answer.text()}")


async def _ask(city: City, files: CityFiles, lists: Mapping[str, Path], summary: Summary) -> None:
    """Ask for everything that the summary tells."""
    sources = {**lists, files.day.name: files.day, "amedastable.json": files.stations}
    sources[f"{files.observations.stem.removeprefix('map_')}.json"] = files.observations
    for run in await city.runs():
        source = run["source"].rpartition("/")[2] if "amedas" in run["source"] else run["source"]
        records, entities = run["records"], run["entityCounts"]
        summary.runs.append(
            RunOf(
                feed=run["adapter"],
                source=source,
                status=run["runStatus"],
                read=records["read"],
                accepted=records["accepted"],
                repaired=records["repaired"],
                quarantined=records["quarantined"],
                created=entities["created"],
                updated=entities["updated"],
                refused=entities["refused"],
                failure=run.get("failure", ""),
                counted=rows_in(sources[source]) if source in sources else None,
            )
        )
    summary.quarantine = [each.as_json() for each in await held(city.journal, most=1_000_000)]
    for name in (await city.get("/types"))["typeList"]:
        if name != "AdapterRun":
            summary.entities[name] = await city.count(name)
    for feed in city.feeds.feeds:
        for path in _taken(feed) if feed.adapter.name == "table" else ():
            origin = Origin(path.name, "", str(path))
            try:
                decoded = await asyncio.to_thread(feed.adapter.decode, path.read_bytes(), origin, feed.options, None)
            except Undecodable:
                continue  # its run says so
            summary.mended.update(repair.rule for repair in decoded.repairs)


def _of(adapter: str, feeds: Feeds) -> Feed:
    """The feed with that adapter. Raises RuntimeError."""
    for feed in feeds.feeds:
        if feed.adapter.name == adapter:
            return feed
    raise RuntimeError(f"The file of feeds has none of the adapter {adapter}.")


def _taken(feed: Feed) -> list[Path]:
    """The files that a feed reads."""
    match feed.transport:
        case Files(path=path):
            return sorted(Path(path).parent.glob(Path(path).name))
    return []


def _tail(log: Path) -> list[str]:
    return log.read_text("utf-8", "replace").strip().splitlines()[-10:] if log.exists() else []
