"""The notifications that arrived last, of each subscription: in memory only, so it begins anew with each start of the process.

What is durable about deliveries says what is still owed; what has arrived is counted (broker.delivery.tally), and remembered here
as far as it is cheap: the last ones of a subscription, and, where many are remembered, those of the subscriptions that
were served last.
"""

from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from broker.delivery.subscription import SubscriptionKey

LAST: Final = 100
"""How many are remembered of one subscription."""
LAST_OF_ALL: Final = 20_000
"""How many are remembered altogether."""
MOST_ENTITIES: Final = 10
"""Ids of entities that are remembered of one notification."""


@dataclass(slots=True)
class Delivered:
    """A notification that arrived `at` an instant. `positions` are empty for a periodic one; `count` entities it told of."""

    notification_id: str
    positions: tuple[int, ...]
    entities: tuple[str, ...]
    count: int
    at: str


class LastDelivered:
    """See the module."""

    def __init__(self) -> None:
        self._of: OrderedDict[SubscriptionKey, deque[Delivered]] = OrderedDict()
        self._number = 0

    def note(
        self, key: SubscriptionKey, notification_id: str, positions: tuple[int, ...], entities: Sequence[str], at: str
    ) -> None:
        """A notification arrived."""
        own = self._of.setdefault(key, deque())
        self._of.move_to_end(key)
        own.append(Delivered(notification_id, positions, tuple(entities[:MOST_ENTITIES]), len(entities), at))
        self._number += 1
        if len(own) > LAST:
            own.popleft()
            self._number -= 1
        while self._number > LAST_OF_ALL:
            _, forgotten = self._of.popitem(last=False)
            self._number -= len(forgotten)

    def of(self, key: SubscriptionKey) -> list[Delivered]:
        """Those of a subscription, the newest first."""
        return list(reversed(self._of.get(key, ())))

    def find(self, key: SubscriptionKey, notification_id: str) -> Delivered | None:
        """One of them."""
        return next((one for one in self.of(key) if one.notification_id == notification_id), None)

    def forget(self, key: SubscriptionKey) -> None:
        """The subscription is gone."""
        self._number -= len(self._of.pop(key, ()))
