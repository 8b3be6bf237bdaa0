"""A subscriber to registrations: what its receiver was told, and what it has to be told next. Pure state, no clock, no I/O.

`told` maps each registration that was part of a notification to its version at that time. That is all that has to be remembered:
what is owed is the difference between it and the registrations that match now (5.3.3). A registration that matches and was not
told of is newly matching; one that was told of in another version is updated; one that was told of and does not match, or is
gone, is no longer matching. Changes while a receiver cannot be reached so become one notification, and no crash loses any.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from broker.delivery.tally import Tally
from broker.federation.matching import matching_information
from broker.federation.notice import Notice, TriggerReason
from broker.federation.registration import Registration
from broker.federation.subscription import RegistrationSubscription
from broker.model.entity import JsonObject

MOST_TOLD: Final = 500
"""Registrations in one notification."""


@dataclass(slots=True, eq=False)
class Subscriber:
    """See the module. `owed` keeps the order in which things happened; `due`: the period of a periodic subscription is over.
    `ready_at`: the time of the event loop before which nothing is sent. `flying`: registrations that are being told right now."""

    subscription: RegistrationSubscription
    tally: Tally = field(default_factory=Tally)
    told: dict[str, str] = field(default_factory=dict)
    owed: dict[str, TriggerReason] = field(default_factory=dict)
    due: bool = False
    failures: int = 0
    ready_at: float = 0.0
    flying: frozenset[str] = frozenset()

    @property
    def is_periodic(self) -> bool:
        """Whether it is told of everything in regular intervals, not of changes (5.11.7)."""
        return self.subscription.subscription.interval is not None

    @property
    def is_outstanding(self) -> bool:
        """Whether there is something to send."""
        return self.due if self.is_periodic else bool(self.owed)

    def concerns(self, registration_id: str) -> bool:
        """Whether the receiver knows of a registration, or is about to."""
        return registration_id in self.told or registration_id in self.owed or registration_id in self.flying

    def matches(self, registration: Registration) -> bool:
        """Whether the subscription is about this registration."""
        return bool(matching_information(self.subscription.query, registration))

    def look(self, registration_id: str, registration: Registration | None) -> None:
        """Compare one registration, None where it is gone, with what was told of it."""
        if self.is_periodic:
            return
        known = self.told.get(registration_id)
        reason: TriggerReason | None
        if registration is not None and self.matches(registration):
            reason = "newlyMatching" if known is None else "updated" if known != registration.version else None
        else:
            reason = None if known is None else "noLongerMatching"
        if self.owed.get(registration_id) != reason:
            self.owed.pop(registration_id, None)
        if reason is not None:
            self.owed.setdefault(registration_id, reason)

    def next_told(self) -> tuple[TriggerReason, list[str]] | None:
        """What the next notification of changes is about: the oldest thing owed, and others with the same reason."""
        reason = next(iter(self.owed.values()), None)
        if reason is None:
            return None
        return reason, [each for each, why in self.owed.items() if why == reason][:MOST_TOLD]

    def delivered(self, notice: Notice) -> None:
        """The receiver took a notification of changes."""
        for registration in notice.registrations:
            if notice.reason == "noLongerMatching":
                self.told.pop(registration.id, None)
            else:
                self.told[registration.id] = registration.version

    def forget(self, registration_id: str) -> None:
        """There is nothing left to be told of a registration."""
        self.told.pop(registration_id, None)
        self.owed.pop(registration_id, None)

    def begin_again(self, subscription: RegistrationSubscription, registrations: Iterable[Registration]) -> None:
        """Go on under a changed subscription: everything that matches now is told anew (5.11.3.4)."""
        self.subscription = subscription
        self.failures = 0
        self.ready_at = 0.0
        self.told.clear()
        self.owed.clear()
        for registration in registrations:
            self.look(registration.id, registration)

    def stored(self) -> JsonObject:
        """What has to outlive the process."""
        return {**self.tally.stored(), "told": self.told, "subscriptionVersion": self.subscription.version}

    @classmethod
    def restored(
        cls, subscription: RegistrationSubscription, state: JsonObject, registrations: Iterable[Registration]
    ) -> "Subscriber":
        """A subscriber as it was stored; what was told under an earlier version of the subscription counts for nothing."""
        current = state.get("subscriptionVersion") == subscription.version
        subscriber = cls(subscription, Tally.restored(state), dict(state.get("told", {})) if current else {})
        present = {registration.id: registration for registration in registrations}
        for registration_id in dict.fromkeys((*subscriber.told, *present)):
            subscriber.look(registration_id, present.get(registration_id))
        return subscriber
