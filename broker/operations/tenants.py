"""Tenants (4.14, 5.5.10): isolated spaces that come into being with the first thing created in them."""

from broker.errors import NonexistentTenant
from broker.model.dataspace import origin_of
from broker.store.protocol import Store

DEFAULT_TENANT = ""


class Tenants:
    """The tenants that exist. A tenant is never removed, so one that was seen needs no second look into the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known = {DEFAULT_TENANT}

    async def require(self, tenant: str) -> None:
        """Raises NonexistentTenant for a tenant in which nothing was ever created."""
        if tenant in self._known:
            return
        if await self._store.get_document("tenant", "", tenant) is None:
            raise NonexistentTenant(f"there is no tenant {tenant!r}", instance=tenant)
        self._known.add(tenant)

    async def ensure(self, tenant: str, now: str) -> None:
        """Create the tenant implicitly, where it does not exist yet. The tenant of a snapshot's space is there already."""
        if tenant in self._known or origin_of(tenant).snapshot is not None:
            return
        await self._store.put_document("tenant", "", tenant, {"createdAt": now}, create=True)
        self._known.add(tenant)
