"""Leases for parts of a broker that a test runs by themselves."""

from broker.store.protocol import Lease, Store


async def lease_of(store: Store, name: str = "of the test", holder: str = "test") -> Lease:
    """A lease that is this holder's for longer than any test takes."""
    return (await store.take_leases([name], holder, 3600.0))[name]
