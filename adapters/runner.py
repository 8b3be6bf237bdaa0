"""The runner: every feed's transport and worker, the door for pushes, and the telling of runs, for as long as it is let.

It speaks to the broker over its API only, so it runs inside `tsunagu serve` as it runs alone. What it knows is in its
journal; one runner at a time has that, which a lock on its folder ensures.
"""

import asyncio
import fcntl
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from aiohttp import web

from adapters import metrics
from adapters.actuation.opening import Commands, commands_at_work
from adapters.door import Door, now
from adapters.errors import AdapterError, BrokerRefused, BrokerUnreachable, InvalidFeeds
from adapters.feeds import Feed, Feeds, Files, Mqtt, Poll, Push
from adapters.iot.carrier import endpoint_session
from adapters.iot.endpoints import EndpointPolicy
from adapters.iot.serving import Devices, open_devices
from adapters.iot.settings import Iot
from adapters.journal import Intake, Journal
from adapters.runs import forget, publish
from adapters.transports.files import watch
from adapters.transports.mqtt import listen
from adapters.transports.poll import Fetcher, fetching_session, poll
from adapters.transports.push import Receiver, push_application
from adapters.web_log import WEB_LOG
from adapters.working import Clients, Worker

TELL_SECONDS: Final = 2.0
"""How often the broker is told of runs at most."""
RUN_LASTS: Final = timedelta(hours=1)
LOOK_SECONDS: Final = 1.0
"""How often the journal is looked at for what others put into it: replays."""
AGAIN_SECONDS: Final = 5.0
STAND_BY_SECONDS: Final = 2.0
"""How often a runner that stands by looks whether the other one is still there."""

_LOG: Final = logging.getLogger(__name__)


class RunnerBusy(AdapterError):
    """Another runner has the journal."""


@dataclass(frozen=True, slots=True)
class Runner:
    """A runner at work: its feeds' doors, and where pushes go; see `running`."""

    feeds: Feeds
    journal: Journal
    doors: Mapping[str, Door]
    push_url: str
    commands: Commands | None = None
    """What protocols that carry commands announce their devices to (`commands.desk`), where there is a table [commands]."""
    devices: Devices | None = None

    async def submit(self, feed: str, intake: Intake) -> bool:
        """Put an input in front of a feed, as a transport does; whether it was new. On disk when this returns."""
        return await self.doors[feed].take([intake]) > 0


def user_agent(contact: str) -> str:
    """How the runner names itself to those that it asks."""
    try:
        number = version("tsunagu")
    except PackageNotFoundError:
        number = "0"
    return f"Tsunagu/{number} (NGSI-LD adapters{f'; {contact}' if contact else ''})"


@asynccontextmanager
async def running(feeds: Feeds, broker_url: str) -> AsyncIterator[Runner]:
    """A runner at work on all feeds; on leaving, it ends where it is, and the next one goes on from there.

    Raises RunnerBusy, JournalFailed, InvalidFeeds where the port for pushes is taken.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(_locked(feeds.state_folder))
        journal = await stack.enter_async_context(await Journal.open(feeds.state_folder))
        clients = Clients(broker_url)
        stack.push_async_callback(clients.close)
        session = await stack.enter_async_context(fetching_session(user_agent(feeds.runner.contact)))
        fetcher = Fetcher(session)
        doors = {feed.name: Door(feed.name, journal) for feed in feeds.feeds}
        for door in doors.values():
            await door.open()
        push_url = await _push_door(feeds, doors, stack)
        endpoints = None
        if feeds.iot is not None:  # before the commands, which let those end that are under way to endpoints
            policy = EndpointPolicy.parse(feeds.iot.endpoints)
            endpoints = await stack.enter_async_context(endpoint_session(policy, user_agent(feeds.runner.contact)))
        commands = None
        if feeds.commands is not None:
            commands = await stack.enter_async_context(
                commands_at_work(journal, feeds.commands, feeds.fleets, broker_url, clients, serve_web, _endless)
            )
        devices = None
        if feeds.iot is not None and endpoints is not None:
            desk = None if commands is None else commands.desk
            devices = await open_devices(feeds.iot, feeds.iot_mqtt, journal, doors, user_agent(""), endpoints, desk)
            await _device_doors(feeds.iot, devices, stack)
        tasks = [_endless("telling of runs", lambda: _tell(feeds, journal, clients))]
        tasks.append(_endless("looking for replays", lambda: _look(journal, doors)))
        for feed in feeds.feeds:
            door = doors[feed.name]
            worker = Worker(feed, journal, door, clients)
            tasks.append(_endless(f"worker of feed {feed.name}", worker.run))
            if (transport := _transport(feed, door, fetcher, journal.identity)) is not None:
                tasks.append(_endless(f"transport of feed {feed.name}", transport))
        if devices is not None and devices.session is not None:
            tasks.append(_endless("session with the devices' MQTT broker", devices.session.run))
        try:
            yield Runner(feeds, journal, doors, push_url, commands, devices)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _transport(feed: Feed, door: Door, fetcher: Fetcher, identity: str) -> Callable[[], Awaitable[None]] | None:
    transport = feed.transport
    match transport:
        case Files():
            return lambda: watch(transport, door)
        case Poll():
            return lambda: poll(transport, feed.adapter, feed.options, door, fetcher)
        case Mqtt():
            return lambda: listen(transport, door, identity)
        case Push() | Iot():
            return None


async def _push_door(feeds: Feeds, doors: Mapping[str, Door], stack: AsyncExitStack) -> str:
    """Open the door for pushes, if a feed has them; its URL."""
    receivers = {
        feed.name: Receiver(feed.transport, doors[feed.name])
        for feed in feeds.feeds
        if isinstance(feed.transport, Push)
    }
    if not receivers:
        return ""
    return await serve_web(push_application(receivers), feeds.runner.push_host, feeds.runner.push_port, stack)


async def _device_doors(iot: Iot, devices: Devices, stack: AsyncExitStack) -> None:
    """Open the ways in for devices and for those who provision them. Raises InvalidFeeds where a port is taken."""
    devices.north_url = await serve_web(devices.north, iot.north_host, iot.north_port, stack)
    devices.south_url = await serve_web(devices.south, iot.host, iot.port, stack)


async def serve_web(application: web.Application, host: str, port: int, stack: AsyncExitStack) -> str:
    """Serve a web application until the stack is left; its URL. Raises InvalidFeeds where the port is taken."""
    runner = web.AppRunner(application, access_log=None, logger=WEB_LOG)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        raise InvalidFeeds(f"[runner]: cannot listen on {host} port {port}: {error.strerror or error}.") from error
    bound = runner.addresses[0]
    return f"http://{bound[0]}:{bound[1]}"


async def _tell(feeds: Feeds, journal: Journal, clients: Clients) -> None:
    """Tell the broker of runs, and forget old ones, for ever."""
    by_name = {feed.name: feed for feed in feeds.feeds}
    while True:
        started_before = (datetime.now(UTC) - RUN_LASTS).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for feed in feeds.feeds:
            await journal.close_run(feed.name, now(), started_before=started_before if feed.lasting else "")
        try:
            for run in await journal.unpublished():
                if (of := by_name.get(run.feed)) is not None:
                    client = await clients.of(of.tenant)
                    if trouble := await publish(client, journal.identity, of, [run]):
                        _LOG.warning("feed %s: the broker would not have run %d: %s", of.name, run.id, trouble)
                await journal.published([run])
            for feed in feeds.feeds:
                keep = feeds.runner
                old = await journal.trim(feed.name, keep_runs=keep.keep_runs, keep_inputs=keep.keep_inputs)
                if old:
                    await forget(await clients.of(feed.tenant), journal.identity, feed, old)
        except (BrokerUnreachable, BrokerRefused) as error:
            _LOG.debug("runs cannot be told: %s", error)
        await asyncio.sleep(TELL_SECONDS)


async def _look(journal: Journal, doors: Mapping[str, Door]) -> None:
    """Ring where somebody else put something into the journal, for ever."""
    known = None
    while True:
        seen = await journal.perform(lambda connection: connection.execute("PRAGMA data_version").fetchone()[0])
        for name, door in doors.items():
            metrics.waiting.labels(name).set(door.waiting)
        if seen != known:
            known = seen
            for door in doors.values():
                await door.recount()
                if door.waiting:
                    door.rung.set()
        await asyncio.sleep(LOOK_SECONDS)


def _endless(name: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
    """A task that is begun again if it fails, a little later: no feed's failure may end it for good, or another's."""

    async def again() -> None:
        while True:
            try:
                await work()
            except AdapterError as error:
                _LOG.error("the %s failed: %s", name, error)
            except Exception:  # noqa: BLE001 - whatever it is, it is told, and the others go on
                _LOG.exception("the %s failed", name)
            await asyncio.sleep(AGAIN_SECONDS)

    return asyncio.create_task(again(), name=name)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The folder for this process alone. Raises RunnerBusy. A process that dies leaves no lock behind."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise RunnerBusy(f"The state in {folder} cannot be used: {error.strerror or error}.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RunnerBusy(f"Another runner is at work on {folder}.") from None
        yield


@asynccontextmanager
async def standing_by(feeds: Feeds, broker_url: str) -> AsyncIterator[None]:
    """A runner at work as soon as no other one is: of several processes on one state, one works and the others are its heirs.

    Raises what `running` does, but for RunnerBusy.
    """
    begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def work() -> None:
        while True:
            try:
                async with running(feeds, broker_url):
                    _LOG.info("adapters: %d feeds at work", len(feeds.feeds))
                    if not begun.done():
                        begun.set_result(None)
                    await asyncio.Event().wait()
            except RunnerBusy as busy:
                if not begun.done():
                    _LOG.info("adapters: standing by: %s", busy)
                    begun.set_result(None)
                await asyncio.sleep(STAND_BY_SECONDS)

    task = asyncio.create_task(work(), name="adapters")
    await asyncio.wait({task, begun}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def serve_alone(feeds: Feeds, stopping: asyncio.Event, on_ready: Callable[[Runner], None]) -> None:
    """A runner that is alone, with /metrics and /health if it has a port, until `stopping`. Raises what `running` does."""
    if not feeds.runner.broker:
        raise InvalidFeeds("[runner]: broker must be given, the URL of an NGSI-LD broker.")
    async with AsyncExitStack() as stack:
        runner = await stack.enter_async_context(running(feeds, feeds.runner.broker))
        if feeds.runner.metrics_port:
            await serve_web(_metrics_application(), "0.0.0.0", feeds.runner.metrics_port, stack)
        on_ready(runner)
        await stopping.wait()


def _metrics_application() -> web.Application:
    async def exposed(request: web.Request) -> web.Response:
        body, media_type = metrics.exposition(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": media_type})

    async def healthy(request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    application = web.Application()
    application.router.add_get("/metrics", exposed)
    application.router.add_get("/health", healthy)
    return application
