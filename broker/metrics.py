"""What the broker counts, all in one place, in the Prometheus text format on `/metrics`.

The registry is the process's own, as the counts are: two brokers in one process share it. Labels are bounded:
operations and statuses come from tables of the code, hosts of endpoints are capped (`BoundedLabels`), ids and tenants
are never labels.

What happens once a request is counted with plain numbers, because a labelled prometheus-client histogram costs 1.5 us
an observation and this 0.3 us; what happens once a commit or a notification uses prometheus-client's own classes.
All is meant to be called in the event loop's thread.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from broker import __version__

REQUEST_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds of the request histogram's buckets."""

HOST_LABELS: Final = 200
"""How many endpoint hosts get a label of their own; all later ones share `other`."""


class RequestMeter(Collector):
    """Requests by operation and status, with their durations. `observe` is on the path of every request."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, int], list[float]] = {}

    def observe(self, operation: str, status: int, seconds: float) -> None:
        """Count one answered request. `operation` is a name from the route table, never a path that a client chose."""
        row = self._rows.get((operation, status))
        if row is None:
            row = self._rows[operation, status] = [0] * (len(REQUEST_BOUNDS) + 1) + [0.0]
        row[bisect_left(REQUEST_BOUNDS, seconds)] += 1
        row[-1] += seconds

    def count(self, operation: str, status: int) -> int:
        """How many requests have been counted for an operation and a status."""
        row = self._rows.get((operation, status))
        return 0 if row is None else int(sum(row[:-1]))

    def collect(self) -> Iterable[Metric]:
        """The histogram, made when somebody asks for it."""
        family = HistogramMetricFamily(
            "tsunagu_http_request_seconds", "Answered requests by operation and status.", labels=("operation", "status")
        )
        for (operation, status), row in sorted(self._rows.items()):
            family.add_metric((operation, str(status)), list(_cumulative(row[:-1])), sum_value=row[-1])
        yield family


def _cumulative(counts: list[float]) -> Iterator[tuple[str, float]]:
    total = 0.0
    for bound, count in zip((*map(str, REQUEST_BOUNDS), "+Inf"), counts, strict=True):
        total += count
        yield bound, total


class ContextMeter(Collector):
    """How @context references were resolved: from memory (`hits`), by fetching (`misses`), not at all (`failures`)."""

    def __init__(self) -> None:
        self.hits = 0
        self.misses = 0
        self.failures = 0

    def collect(self) -> Iterable[Metric]:
        """The counter, made when somebody asks for it."""
        family = CounterMetricFamily(
            "tsunagu_context_lookups", "@context references resolved, by where they came from.", labels=("result",)
        )
        for result, count in (("hit", self.hits), ("miss", self.misses), ("failure", self.failures)):
            family.add_metric((result,), count)
        yield family


class BoundedLabels:
    """Label values that come from users, such as hosts: the first `limit` are kept, all others are called `other`."""

    def __init__(self, limit: int = HOST_LABELS) -> None:
        self._limit = limit
        self._known: set[str] = set()

    def label(self, value: str) -> str:
        """The label to use for a value."""
        if value in self._known:
            return value
        if len(self._known) >= self._limit:
            return "other"
        self._known.add(value)
        return value


disable_created_metrics()  # type: ignore[no-untyped-call] # a second sample for each counter that nothing reads

REGISTRY: Final = CollectorRegistry()
"""The process's registry; `exposition` writes it."""

requests: Final = RequestMeter()
contexts: Final = ContextMeter()
REGISTRY.register(requests)
REGISTRY.register(contexts)
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)
Info("tsunagu_build", "The running version.", registry=REGISTRY).info({"version": __version__})

requests_shed: Final = Counter(
    "tsunagu_requests_shed",
    "Requests answered by 503: too many requests, bytes of bodies, waiting writes or streams, memory, or a store that is away.",
    ("reason",),
    registry=REGISTRY,
)
requests_in_flight: Final = Gauge("tsunagu_requests_in_flight", "Requests that are worked on.", registry=REGISTRY)
body_bytes_in_flight: Final = Gauge(
    "tsunagu_body_bytes_in_flight", "Bytes of request bodies that are held.", registry=REGISTRY
)
writes_waiting: Final = Gauge(
    "tsunagu_writes_waiting", "Entity writes that wait for the commit before theirs.", registry=REGISTRY
)
memory_limit: Final = Gauge(
    "tsunagu_memory_limit_bytes", "Resident memory that the process may use, 0 without a limit.", registry=REGISTRY
)
commit_seconds: Final = Histogram(
    "tsunagu_commit_seconds",
    "Time of one group commit in the store.",
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0),
    registry=REGISTRY,
)
commit_mutations: Final = Histogram(
    "tsunagu_commit_mutations",
    "Entity writes in one group commit.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
    registry=REGISTRY,
)
commit_conflicts: Final = Counter(
    "tsunagu_commit_conflicts", "Commits that found another writer's change and were built again.", registry=REGISTRY
)
commit_collisions: Final = Counter(
    "tsunagu_commit_collisions", "Times that a commit met another process's and waited for its turn.", registry=REGISTRY
)
commit_waiting_seconds: Final = Counter(
    "tsunagu_commit_waiting_seconds", "Time that commits waited for their turn.", registry=REGISTRY
)
following_restarts: Final = Counter(
    "tsunagu_following_restarts",
    "Times that documents were followed afresh, and all looked at again, because an error did not pass.",
    registry=REGISTRY,
)
query_scans: Final = Counter(
    "tsunagu_query_scans",
    "Queries that looked at 1,000 entities or more in vain, as no index led past them.",
    registry=REGISTRY,
)
query_entities_in_vain: Final = Counter(
    "tsunagu_query_entities_in_vain", "Entities that these queries looked at in vain.", registry=REGISTRY
)
value_indexes: Final = Gauge(
    "tsunagu_value_indexes",
    "Indexes of values, learned by the store, by state (ready, building).",
    ("state",),
    registry=REGISTRY,
)
log_head: Final = Gauge("tsunagu_change_log_head", "Sequence of the newest change in the log.", registry=REGISTRY)
log_tail: Final = Gauge("tsunagu_change_log_tail", "Sequence up to which the log has been trimmed.", registry=REGISTRY)
consumer_lag: Final = Gauge(
    "tsunagu_consumer_lag_changes",
    "Changes between the log's head and the slowest cursor of a kind of consumer (history, delivery).",
    ("consumer",),
    registry=REGISTRY,
)
consumer_cursor: Final = Gauge(
    "tsunagu_consumer_cursor",
    "Sequence that the slowest cursor of a kind of consumer (history, delivery) has reached.",
    ("consumer",),
    registry=REGISTRY,
)
consumer_lag_seconds: Final = Gauge(
    "tsunagu_consumer_lag_seconds",
    "Age of the oldest change in the log that the slowest cursor of a kind of consumer has not passed, 0 where there is none.",
    ("consumer",),
    registry=REGISTRY,
)
notification_attempts: Final = Counter(
    "tsunagu_notification_attempts",
    "Attempts to deliver a notification, by endpoint host and outcome (delivered, failed).",
    ("host", "outcome"),
    registry=REGISTRY,
)
notification_seconds: Final = Histogram(
    "tsunagu_notification_seconds",
    "Time of one attempt to deliver a notification.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
    registry=REGISTRY,
)
notifications_waiting: Final = Gauge(
    "tsunagu_notifications_waiting", "Notifications made and not delivered yet.", registry=REGISTRY
)
notifications_set_aside: Final = Counter(
    "tsunagu_notifications_set_aside",
    "Notifications that were set aside after too many failed attempts.",
    registry=REGISTRY,
)
notifications_undelivered: Final = Gauge(
    "tsunagu_notifications_undelivered", "Notifications that are set aside now and can be replayed.", registry=REGISTRY
)
notifications_dropped: Final = Counter(
    "tsunagu_notifications_dropped",
    "Notifications that were set aside and had to make room for later ones: they are lost.",
    registry=REGISTRY,
)
changes_missed: Final = Counter(
    "tsunagu_changes_missed",
    "Changes that were trimmed from the log before a subscription was done with them, counted for each subscription.",
    registry=REGISTRY,
)
delivery_lag_seconds: Final = Gauge(
    "tsunagu_delivery_lag_seconds", "Age of the oldest change that a notification is still owed of.", registry=REGISTRY
)
duty: Final = Gauge(
    "tsunagu_duty",
    "1 where this process does what is done by one for all on its store, else 0.",
    ("duty",),
    registry=REGISTRY,
)
processes: Final = Gauge(
    "tsunagu_processes", "Processes that live on the store of this one, itself included.", registry=REGISTRY
)
model_violations: Final = Counter(
    "tsunagu_model_violations",
    "Entities that do not fit their data model, by model and mode: let through (warn) or refused (enforce).",
    ("model", "mode"),
    registry=REGISTRY,
)
streams: Final = Gauge("tsunagu_streams", "Clients that follow the change log.", registry=REGISTRY)
stream_events: Final = Counter(
    "tsunagu_stream_events", "Events told on streams, by kind (notification, gap, fault).", ("kind",), registry=REGISTRY
)
_hosts: Final = BoundedLabels()
_attempts: Final[dict[tuple[str, bool], Counter]] = {}
"""The counters of attempts, by host and whether they delivered: looking one up by its labels takes longer than counting."""


def committed(mutations: int, seconds: float) -> None:
    """Count one group commit."""
    commit_mutations.observe(mutations)
    commit_seconds.observe(seconds)


def notified(host: str, delivered: bool, seconds: float) -> None:
    """Count one attempt to deliver a notification to an endpoint's host."""
    key = _hosts.label(host), delivered
    counter = _attempts.get(key)
    if counter is None:
        outcome = "delivered" if delivered else "failed"
        counter = _attempts[key] = notification_attempts.labels(key[0], outcome)
    counter.inc()
    notification_seconds.observe(seconds)


class Family(NamedTuple):
    """The samples of one metric as plain data: its `kind` is Prometheus's, a sample has a name, labels and a value."""

    name: str
    kind: str
    about: str
    samples: list[tuple[str, dict[str, str], float]]


def families() -> list[Family]:
    """All metrics of this process."""
    return [
        Family(each.name, each.type, each.documentation, [(it.name, it.labels, it.value) for it in each.samples])
        for each in REGISTRY.collect()
    ]


def exposition(accept: str = "", of: Iterable[Family] | None = None) -> tuple[bytes, str]:
    """Metrics as text, all of this process or those given, and the text's media type, by the scraper's Accept header."""
    encoder, media_type = choose_encoder(accept)
    if of is None:
        return encoder(REGISTRY), media_type
    given = CollectorRegistry(auto_describe=False)
    given.register(_Given(of))
    return encoder(given), media_type


class _Given(Collector):
    """Metrics that were counted elsewhere."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """The metrics, as they are."""
        for each in self._families:
            metric = Metric(each.name, each.about, each.kind)
            for name, labels, value in each.samples:
                metric.add_sample(name, labels, value)
            yield metric
