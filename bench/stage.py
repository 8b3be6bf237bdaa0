"""A broker with entities in it, and the raw floor with the same beside it: where operations are measured."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.cost import Server
from bench.counts import counted_in
from bench.loading import load
from bench.processes import Broker, Meter, Place, running_broker, store_place
from bench.stock import Stock
from tests.mongod import die_with_parent


@dataclass(frozen=True, slots=True)
class Stage:
    """`kind` is the store's, `rate` how many entities a second came in; `floor` is there where it was asked for."""

    kind: str
    stock: Stock
    place: Place
    broker: Broker
    rate: float
    floor: Server | None

    @property
    def server(self) -> Server:
        """The broker, as one of those that are asked."""
        return Server.of(self.broker, self.place)


@contextmanager
def scratch(folder: Path | None = None) -> Iterator[Path]:
    """A folder for as long as the block runs."""
    files = Path(tempfile.mkdtemp(prefix="tsunagu-bench-", dir=folder))
    try:
        yield files
    finally:
        shutil.rmtree(files, ignore_errors=True)


@contextmanager
def stage(
    kind: str, files: Path, entities: int, cache_gb: float, *options: str, with_floor: bool = False
) -> Iterator[Stage]:
    """A broker on an empty store below `files`, with so many entities. Raises RuntimeError where they are not all there."""
    stock = Stock(entities)
    with (
        store_place(kind, files / f"store-{entities}", cache_gb) as place,
        running_broker(place.store, *options) as broker,
    ):
        rate = load(broker, stock.entity, entities)
        if (found := counted_in(place).entities) != entities:
            raise RuntimeError(f"{found:,} of {entities:,} entities are in the store")
        if not with_floor:
            yield Stage(kind, stock, place, broker, rate, None)
            return
        with _running_floor(place, files, entities) as floor:
            yield Stage(kind, stock, place, broker, rate, floor)


@contextmanager
def _running_floor(place: Place, files: Path, entities: int) -> Iterator[Server]:
    store = place.store if place.server else f"sqlite:{files}/floor"
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.floor", store, str(entities)],
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=die_with_parent,
    )
    assert process.stdout is not None
    meter: Meter | None = None
    try:
        port = int(process.stdout.readline())
        meter = Meter(process.pid)
        yield Server(port, meter, place.server)
    finally:
        if meter is not None:
            meter.close()
        process.kill()
        process.wait()
