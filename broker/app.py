"""Puts the floors together and runs them: everything that lives as long as the process is made, started and ended here.

Shutdown (SIGTERM, SIGINT), in this order: stop listening and let requests in flight finish (a worker also answers those
that come on connections it has, for a moment, and closes these: its successor is there already); end the duties; commit what
the writer still holds; let the consumers of the log save where they are; give up the leases, so that other processes go on at
once; close the store. The process then exits 0. Whatever a crash interrupts instead, the next start takes up from the log, or
another process does within seconds.
"""

import asyncio
import gc
import logging
import resource
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import uvloop

import datamodels
from adapters.errors import AdapterError
from broker import metrics
from broker.contexts.library import ContextLibrary
from broker.contexts.record import DOCUMENT_KIND as CONTEXTS
from broker.contexts.trimming import ContextTrimming
from broker.delivery.background import watched
from broker.delivery.dispatcher import Dispatcher
from broker.delivery.mqtt import MqttPublisher
from broker.delivery.streams import StreamLimits, Streams
from broker.egress.http import OutboundHttp
from broker.egress.tls import TlsContexts, check_files
from broker.errors import StoreUnavailable
from broker.federation.entity_maps import EntityMaps
from broker.federation.identity import SourceIdentity
from broker.federation.registry import FOLLOWED as REGISTRY_DOCUMENTS
from broker.federation.registry import ContextRegistry
from broker.http.admission import Admission, Limits
from broker.http.binding import Binding
from broker.http.exchange import PageSizes
from broker.http.health import health_door
from broker.http.origins import Origins
from broker.http.server import SHED, HttpServer
from broker.logs import RequestLog, start_logging
from broker.memory import Memory, container_limit
from broker.model.instants import canonical_time
from broker.operations.archive import FOLLOWED as SNAPSHOT_DOCUMENTS
from broker.operations.archive import SnapshotArchive, SnapshotLimits
from broker.operations.broker import Broker
from broker.operations.contexts import referenced_contexts
from broker.operations.deliveries import DEEDS
from broker.operations.erasure import forget_subscriptions
from broker.operations.errands import Errands
from broker.operations.expiry import Sweeper
from broker.operations.receipts import Receipts
from broker.operations.sources import Sources, keeping_out
from broker.operations.tenants import Tenants
from broker.operations.validation import Validation
from broker.settings import Settings, SettingsError, StoreAddress
from broker.sharing.duties import Duties, Work
from broker.sharing.following import Following
from broker.sharing.leases import Leases
from broker.sharing.members import Membership
from broker.sharing.turns import Turns
from broker.store.protocol import Lease, Store
from broker.store.retention import Retention
from broker.store.writer import EntityWriter
from broker.temporal.recorder import Recorder
from broker.workers.lifeline import Lifeline
from broker.workers.slot import Slot

FAREWELL_SECONDS: Final = 1.0
"""How long a worker that ends waits for the next requests on its connections, to say `Connection: close` in the answers."""

logger: Final = logging.getLogger(__name__)


def now() -> str:
    """The canonical instant of this moment."""
    return canonical_time(time.time_ns())


def make_store(address: StoreAddress, value_indexes: int = 256) -> Store:
    """The store of an address, not opened yet, with so many indexes of values. Only the driver that is needed is imported."""
    if address.kind == "mongodb":
        from broker.store.mongo.store import MongoStore

        return MongoStore(address.url, address.database, most_indexes=value_indexes)
    from broker.store.sqlite.store import SqliteStore

    return SqliteStore(address.path, most_indexes=value_indexes)


def make_validation(settings: Settings) -> Validation | None:
    """What holds writes against data models, None where nothing is to be: then nothing of it is loaded. Raises SettingsError."""
    rules = settings.validation_rules
    if not settings.models and all(rule.mode == "off" for rule in rules):
        return None
    from datamodels.bundle import as_checks, load_bundle
    from datamodels.errors import InvalidBundle
    from datamodels.validation import Checks

    try:
        bundle = load_bundle(Path(settings.models)) if settings.models else {}
        validation = Validation(Checks(as_checks(bundle)), rules)
    except InvalidBundle as error:
        raise SettingsError(f"models: {error}") from None
    except ValueError as error:
        raise SettingsError(f"validation: {error}") from None
    return None if validation.idle else validation


def run(settings: Settings, on_ready: Callable[[str], None], slot: Slot | None = None) -> int:
    """Serve until a signal ends it; the process's exit code. `on_ready` is told the base URL once requests are answered.

    With a `slot` it is one of several workers on a port: it listens on the slot's sockets, and tells its supervisor.
    """
    stop_logging = start_logging(settings.log_format, settings.log_level, worker=slot.number if slot else None)
    _open_as_many_files_as_allowed()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(settings, on_ready, slot))
    finally:
        stop_logging()


def _open_as_many_files_as_allowed() -> None:
    """Raise the soft limit on open files, often 1024 for historical reasons, to the hard one: each connection is a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(ValueError, OSError):  # some systems allow less than they say
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _serve(settings: Settings, on_ready: Callable[[str], None], slot: Slot | None) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    for host in settings.tls_hosts:
        if (fault := check_files(host)) is not None:
            logger.error("the TLS files of %s cannot be used: %s", host.name, fault)
            return 1
    if slot is None:
        return await _serve_until(stopping, settings, on_ready)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a terminal that closes sends it to all; it is for the supervisor
    lifeline = await Lifeline.of(slot, metrics.families, stopping.set)
    settings = replace(settings, port=lifeline.sockets[0].getsockname()[1])
    try:
        return await _serve_until(stopping, settings, lambda _: lifeline.ready(), lifeline)
    finally:
        await lifeline.close()


async def _serve_until(
    stopping: asyncio.Event, settings: Settings, on_ready: Callable[[str], None], lifeline: Lifeline | None = None
) -> int:
    store = make_store(settings.store_address, settings.value_indexes)
    memory = Memory(settings.memory_limit or container_limit() // settings.workers)
    admission = Admission(Limits(settings.max_requests_in_flight, settings.max_bytes_in_flight), memory)
    try:
        async with store_opened(store), open_broker(store, settings) as broker:
            _show(admission, broker.writer, memory)
            server = HttpServer(
                make_binding(broker, settings),
                health_door(broker.store, lambda: _exposition(lifeline), lifeline.workers if lifeline else {}),
                _observer(settings),
                max_body_bytes=settings.max_body_bytes,
                admission=admission,
            )
            try:
                port = await server.start(settings.host, settings.port, lifeline.sockets if lifeline else ())
            except OSError as error:
                logger.error("cannot listen on %s port %s: %s", settings.host, settings.port, error.strerror or error)
                return 1
            # Everything made until now lives as long as the process: the collector need not look at it again.
            gc.collect()
            gc.freeze()
            gc.set_threshold(5_000, 200, 100)  # a look at 20,000 new objects holds everybody up for 10 to 25 ms
            watching = watched(memory.run(), "watch over memory")
            async with _adapters_running(settings, port):
                on_ready(replace(settings, port=port).base_url)
                await stopping.wait()
                logger.info("stopping: finishing what is in flight")
            await server.stop(FAREWELL_SECONDS if lifeline else 0.0)
            watching.cancel()
    except StoreUnavailable as error:
        logger.error("the store cannot be opened: %s", error.detail)
        return 1
    except AdapterError as error:
        logger.error("the adapters cannot run: %s", error)
        return 1
    except SettingsError as error:
        logger.error("a setting is wrong: %s", error)
        return 1
    return 0


@asynccontextmanager
async def _adapters_running(settings: Settings, port: int) -> AsyncIterator[None]:
    """The adapters of the settings, if there are any, at work on this broker, over its API like any client."""
    if not settings.adapters:
        yield
        return
    from adapters import metrics as adapter_metrics
    from adapters.feeds import read_feeds
    from adapters.runner import standing_by

    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(settings.host, settings.host)
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    metrics.REGISTRY.register(adapter_metrics.REGISTRY)
    try:
        async with standing_by(read_feeds(Path(settings.adapters)), url):
            yield
    finally:
        metrics.REGISTRY.unregister(adapter_metrics.REGISTRY)


def make_binding(broker: Broker, settings: Settings) -> Binding:
    """The HTTP binding of a broker, with what the settings say of it."""
    sizes = PageSizes(settings.default_page_size, settings.max_page_size, settings.temporal_page_size)
    return Binding(broker, sizes, Origins(settings.allowed_origins, settings.base_url))


@asynccontextmanager
async def store_opened(store: Store) -> AsyncIterator[Store]:
    """A store, opened; closed on leaving."""
    await store.open()
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def open_broker(store: Store, settings: Settings) -> AsyncIterator[Broker]:
    """A broker on an open store, its consumers of the log at work, without HTTP server; all ended on leaving."""
    validation = make_validation(settings)
    tls = TlsContexts(settings.tls_hosts)
    http = OutboundHttp(settings.egress_policy, tls)
    mqtt = MqttPublisher(settings.egress_policy, tls)
    contexts = ContextLibrary(store, http, now, settings.base_url, built_in=datamodels.contexts())
    membership = Membership(store)
    leases = Leases(store, membership.name)
    turns = Turns(store, membership.name)
    following = Following(store)
    dispatcher = Dispatcher(store, contexts, http, mqtt, now, leases, membership, following)
    registry = ContextRegistry(store, contexts, http, mqtt, now, turns)
    judge = keeping_out(registry, None if validation is None else validation.judged)
    writer = EntityWriter(store, now, max_waiting=settings.max_waiting_writes, judge=judge)
    recorder = Recorder(store)
    retention = Retention(store, tell=dispatcher.overtaken)
    sweeper = Sweeper(store, writer, now)
    entity_maps = EntityMaps(store, now)
    receipts = Receipts(store, now)
    trimming = ContextTrimming(contexts, lambda: referenced_contexts(store), time.time)
    await contexts.open()
    await forget_subscriptions(store, now())
    await registry.look()
    identity = SourceIdentity(settings.via_alias)
    broker = Broker(
        store, writer, contexts, dispatcher, Tenants(store), now, registry, identity, recorder, entity_maps, receipts
    )
    broker.validation = validation
    broker.sources = Sources(registry, http, contexts, identity, writer.read)
    broker.streams = Streams(store, contexts, now, StreamLimits(settings.max_streams, settings.max_tenant_streams))
    limits = SnapshotLimits(settings.snapshot_lifetime, settings.max_snapshot_lifetime, settings.max_snapshots)
    broker.archive = SnapshotArchive(broker, http, mqtt, turns, limits)
    broker.errands = Errands(broker, DEEDS)
    broker.errands.follow(following)
    following.add({CONTEXTS}, contexts.heard, contexts.look)
    following.add(REGISTRY_DOCUMENTS, registry.heard, registry.look)
    following.add(SNAPSHOT_DOCUMENTS, broker.archive.heard, broker.archive.look)
    # What takes work off the store is done by one process together, what may take long apart from it.
    duties = Duties(leases)
    duties.add("duty/history", "history recorder", recorder.run)
    duties.add("duty/registrations", "notices of registrations", registry.serve)
    duties.add("duty/snapshots", "preparation and removal of snapshots", broker.archive.serve)
    for what, sweep in (
        ("log retention", retention.run),
        ("removal of what has expired", sweeper.run),
        ("removal of expired EntityMaps", entity_maps.run),
        ("removal of old receipts", receipts.run),
        ("bound on stored @contexts", trimming.run),
    ):
        duties.add("duty/upkeep", what, _without_lease(sweep))
    watching = watched(retention.watch(), "watch over the log")
    try:
        await membership.start()  # only now: others make room for this process as soon as they hear of it
        following.start()
        duties.start()
        dispatcher.start()
        await leases.start()
        await dispatcher.settled()
        yield broker
    finally:
        await broker.streams.stop()
        await duties.stop()
        await following.stop()
        watching.cancel()
        await writer.close()
        await broker.errands.stop()
        await dispatcher.stop()
        await leases.stop()
        await membership.stop()
        await mqtt.close()
        await http.close()


def _without_lease(sweep: Callable[[], Coroutine[Any, Any, None]]) -> Work:
    """A duty that need not know its lease: it only removes what is to be removed whoever does it."""

    async def work(_: Lease) -> None:
        await sweep()

    return work


def _observer(settings: Settings) -> Callable[[str, str, str, int, float], None]:
    log = RequestLog(settings.slow_request)

    def observe(operation: str, method: str, target: str, status: int, seconds: float) -> None:
        metrics.requests.observe(operation, status, seconds)
        if operation != SHED:  # a line for each would be work that is saved by refusing it
            log.record(method, target, status, seconds, operation)

    return observe


def _show(admission: Admission, writer: EntityWriter, memory: Memory) -> None:
    """Have the metrics look at what changes with every request only when somebody asks."""
    metrics.requests_in_flight.set_function(lambda: admission.requests)
    metrics.body_bytes_in_flight.set_function(lambda: admission.body_bytes)
    metrics.writes_waiting.set_function(lambda: writer.waiting)
    metrics.memory_limit.set(memory.limit)


async def _exposition(lifeline: Lifeline | None) -> tuple[bytes, str]:
    """The metrics of the whole service, whichever of its workers is asked."""
    return metrics.exposition() if lifeline is None else metrics.exposition(of=await lifeline.whole())
