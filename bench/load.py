"""A broker with a city in it, its receivers, and writes offered to it: what the benchmarks of delivery have in common."""

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bench.asking import Asker
from bench.audit import Books, is_acknowledged
from bench.city import City
from bench.loading import load
from bench.offering import Offer, Offering, Plan
from bench.processes import Broker, Place, running_broker, store_place
from bench.receiver import Receiver, running_receiver
from bench.report import quantile

BORNE_SECONDS: Final = 1.0
"""A rate is borne where 99 of 100 notifications arrive so soon after their write was due, and no write is refused."""
GROWTH: Final = 1.5
BISECTIONS: Final = 3
ATTEMPTS: Final = 2
MOST_SECONDS: Final = 900.0
"""How long the deliveries of a step may take before the benchmark gives up."""
CLIENTS: Final = 8


@dataclass(slots=True)
class Step:
    """One rate that was offered for a while: what came of it, and the CPU seconds it took of broker and store."""

    rate: float
    offered: list[Offer]
    delays: list[float]
    settled: bool
    seconds: float
    cpu: float
    server_cpu: float

    @property
    def acknowledged(self) -> int:
        """Writes that were."""
        return sum(map(is_acknowledged, self.offered))

    @property
    def is_borne(self) -> bool:
        """Whether the broker can go on like that for ever."""
        every = self.acknowledged == len(self.offered)
        return every and self.settled and quantile(self.delays, 0.99) <= BORNE_SECONDS

    def summary(self) -> str:
        """One line for people."""
        p50, p95, p99 = (1000 * quantile(self.delays, share) for share in (0.5, 0.95, 0.99))
        writes, notifications = max(self.acknowledged, 1), max(len(self.delays), 1)
        return (
            f"{self.rate:,.0f} writes/s offered, {self.acknowledged:,} of {len(self.offered):,} acknowledged,"
            f" {len(self.delays):,} notifications after {p50:.0f} / {p95:.0f} / {p99:.0f} ms (p50 / p95 / p99);"
            f" broker CPU {1e6 * self.cpu / writes:.0f} us a write with its {notifications / writes:.1f} notifications"
        )


@dataclass(slots=True)
class Load:
    """Everything that is there while a benchmark of delivery runs."""

    city: City
    place: Place
    broker: Broker
    receiver: Receiver
    books: Books
    folder: Path
    serial: int = 0
    steps: list[Step] = field(default_factory=list)

    def offer(self, rate: float, seconds: float) -> Offering:
        """Begin to offer writes."""
        port = urlsplit(self.broker.url).port
        assert port is not None
        plan = Plan(self.city, port, rate, seconds, self.serial, str(self.folder / f"offers-{self.serial}"))
        self.serial += int(rate * seconds)
        return Offering(plan)

    def step(self, rate: float, seconds: float) -> Step:
        """Offer writes for a while, and wait until all is delivered."""
        broker, server = self.broker.meter, self.place.server
        first, start, cpu = self.serial, time.monotonic(), broker.cpu()
        server_cpu = server.cpu() if server else 0.0
        offered = self.offer(rate, seconds).wait()
        self.books.enter(offered)
        settled = self.books.settle(self.receiver, MOST_SECONDS)
        step = Step(
            rate,
            offered,
            self.books.delays(first, self.serial),
            settled,
            time.monotonic() - start,
            broker.cpu() - cpu,
            server.cpu() - server_cpu if server else 0.0,
        )
        self.steps.append(step)
        print(step.summary(), file=sys.stderr)
        return step

    def sustained(self, seconds: float, start: float = 200.0) -> float:
        """The highest rate that is borne, found by growing steps and then by halving."""
        low, high = 0.0, start
        while self._bears(high, seconds):
            low, high = high, high * GROWTH
        while not low:
            high /= 2
            if self._bears(high, seconds):
                low, high = high, high * 2
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            if self._bears(middle, seconds):
                low = middle
            else:
                high = middle
        return low

    def _bears(self, rate: float, seconds: float) -> bool:
        """Whether a rate is borne; asked once more if not, because it may be the machine that was busy."""
        return any(self.step(rate, seconds).is_borne for _ in range(ATTEMPTS))


@contextmanager
def loaded(kind: str, folder: Path, city: City, cache_gb: float, *options: str) -> Iterator[Load]:
    """A broker on an empty store, with the city's stations and subscriptions in it, and receivers for these."""
    with (
        store_place(kind, folder / "store", cache_gb) as place,
        running_receiver(folder) as receiver,
        running_broker(place.store, "--egress", "any", *options) as broker,
    ):
        load(broker, city.entity, city.stations)
        _subscribe(city, broker, receiver.port)
        yield Load(city, place, broker, receiver, Books(city.audience()), folder)


def _subscribe(city: City, broker: Broker, port: int) -> None:
    """Make all subscriptions, by several clients."""
    start = time.monotonic()

    def client(first: int) -> None:
        asker = Asker(broker, None)
        for document in islice(city.documents(port), first, None, CLIENTS):
            asker.expect(201, "POST", "/subscriptions", document)
        asker.close()

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(client, range(CLIENTS)))
    print(f"{city.subscriptions:,} subscriptions made in {time.monotonic() - start:.0f} s", file=sys.stderr)
