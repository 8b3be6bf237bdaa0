"""The API of a whole broker, over HTTP, on a store of each kind."""

from collections.abc import AsyncIterator

import pytest
from api import Api, running_api

from broker.store.protocol import Store


@pytest.fixture
async def api(store: Store) -> AsyncIterator[Api]:
    async with running_api(store) as running:
        yield running
