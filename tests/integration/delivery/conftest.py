"""What every test of delivery may ask for: a broker's delivery side on a real store, and real HTTP receivers."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from delivery_desk import Desk, OpenDesk, Receiver, Refusing, opened_desk


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    one = Receiver()
    await one.start()
    yield one
    await one.stop()


@pytest.fixture
async def other_receiver() -> AsyncIterator[Receiver]:
    one = Receiver()
    await one.start()
    yield one
    await one.stop()


@pytest.fixture
async def refusing() -> AsyncIterator[Refusing]:
    one = Refusing()
    await one.start()
    yield one
    await one.stop()


@pytest.fixture
async def open_desk(tmp_path: Path) -> AsyncIterator[OpenDesk]:
    """Opens brokers, each on a store of its own name; all are stopped in the end."""
    async with AsyncExitStack() as stack:

        async def make(name: str = "one", **options: Any) -> Desk:
            return await stack.enter_async_context(opened_desk(tmp_path / name, **options))

        yield make


@pytest.fixture
async def desk(open_desk: OpenDesk) -> Desk:
    return await open_desk()
