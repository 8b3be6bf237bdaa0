"""A library of @contexts on a real store, and a web for it to fetch from."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from context_web import ContextWeb, context_web

from broker.contexts.library import ContextLibrary
from broker.egress.http import OutboundHttp
from broker.egress.policy import EgressPolicy
from broker.model.instants import canonical
from broker.store.sqlite.store import SqliteStore

PUBLIC = "http://broker.example:9090"


@dataclass
class Clock:
    seconds: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds

    def instant(self) -> str:
        return canonical(datetime.fromtimestamp(self.seconds, UTC))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def outbound() -> AsyncIterator[OutboundHttp]:
    http = OutboundHttp(EgressPolicy.parse("default"))
    yield http
    await http.close()


@pytest.fixture
async def documents() -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(":memory:")
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def there() -> AsyncIterator[ContextWeb]:
    async with context_web() as web_of_contexts:
        yield web_of_contexts


@pytest.fixture
def make_library(documents: SqliteStore, outbound: OutboundHttp, clock: Clock) -> Callable[..., ContextLibrary]:
    """Libraries of several brokers, or of one before and after a restart, on one store."""

    def make(public_url: str | None = PUBLIC, default_context: object = None) -> ContextLibrary:
        return ContextLibrary(documents, outbound, clock.instant, public_url, default_context, clock=clock)

    return make


@pytest.fixture
async def library(make_library: Callable[..., ContextLibrary]) -> ContextLibrary:
    made = make_library()
    await made.open()
    return made
