"""The data spaces of a tenant (4.14, 4.3.7): its own, and one for the content of each of its snapshots.

All that the broker keeps is kept by tenant. The entities, the history and the subscriptions of a snapshot are kept in the
same way, in a space of their own, whose key stands where otherwise a tenant's name does. So everything below the HTTP binding
works on a snapshot as it works on a tenant, and neither can ever see into the other. This module alone knows what such a key
looks like.

A key has a `generation` besides the tenant and the snapshot's id: a snapshot whose preparation begins anew, or one that takes the
id of a deleted one, gets an empty space, whatever is still to be removed from the one before it.
"""

from typing import Final, NamedTuple

_SEPARATOR: Final = "\x1f"
"""It is not printable, and neither a tenant's name (6.3.14) nor a URI may hold it: no client can name such a space."""


class Origin(NamedTuple):
    """Whose a space is: the tenant's, and, where it is that of a snapshot, the snapshot's id."""

    tenant: str
    snapshot: str | None


def snapshot_space(tenant: str, snapshot_id: str, generation: str) -> str:
    """The key of the space of a snapshot."""
    return _SEPARATOR.join((tenant, snapshot_id, generation))


def origin_of(space: str) -> Origin:
    """Whose the space with this key is; a tenant's name is the key of its own space."""
    if _SEPARATOR not in space:
        return Origin(space, None)
    tenant, snapshot_id, _ = space.split(_SEPARATOR)
    return Origin(tenant, snapshot_id)
