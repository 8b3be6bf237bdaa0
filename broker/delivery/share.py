"""Shares: the subscriptions of a store are divided among them, and they among the processes on the store.

A share is a lease: who has it delivers what its subscriptions are owed, and nobody else does. In a database that one process has
to itself there is one share. A share's lease and the cursor that is its watermark (broker.delivery.ledger) have one name.
"""

import asyncio
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from broker.delivery.subscription import SubscriptionKey
from broker.errors import StoreUnavailable
from broker.store.protocol import Lease

if TYPE_CHECKING:
    from broker.delivery.ledger import Ledger

WATERMARK: Final = "delivery"
SHARES: Final = 16
"""Shares of a store that several processes may have open. Changing it needs all processes stopped, and their cursors moved."""


class ShareLost(StoreUnavailable):
    """Nothing was written, because the share has gone to another process meanwhile."""


@dataclass(slots=True, eq=False)
class Share:
    """A share that this process has. `floor`: all up to this position was matched with its subscriptions before. `since`: the
    canonical instant from which on it is here. `ends`: where it is about to be given back, the last position that it is matched
    with here."""

    number: int
    lease: Lease
    ledger: "Ledger"
    floor: int
    since: str
    ends: int | None = None
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def leaving(self) -> bool:
        """Whether it is about to be given back."""
        return self.ends is not None


def share_of(key: SubscriptionKey, shares: int) -> int:
    """The share of so many that a subscription belongs to: the same in every process, for ever."""
    if shares == 1:
        return 0
    return int.from_bytes(blake2b("\x1f".join(key).encode(), digest_size=4).digest()) % shares


def share_name(number: int, shares: int) -> str:
    """The name of a share's lease and of its watermark."""
    return WATERMARK if shares == 1 else f"{WATERMARK}/{number}"


def guard_name(key: SubscriptionKey) -> str:
    """The cursor that keeps the log from being trimmed under a subscription."""
    return f"{WATERMARK}/{key[0]}/{key[1]}"


def guarded(name: str) -> SubscriptionKey | None:
    """The subscription whose cursor has this name, None if it is another kind of cursor."""
    parts = name.split("/", 2)
    return (parts[1], parts[2]) if len(parts) == 3 and parts[0] == WATERMARK else None
