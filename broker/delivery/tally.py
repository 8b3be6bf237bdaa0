"""What a subscriber can read about the delivery of a subscription: the output only members of 5.2.14.2."""

from dataclasses import dataclass, field
from typing import Literal

from broker.delivery.gap import Gap, with_gap
from broker.model.entity import JsonObject


@dataclass(slots=True)
class Tally:
    """Counts and instants of the attempts to notify. `reason` says why the last attempt failed, None after a success.

    `dropped` counts notifications that were set aside and then lost, because there was no room for all of them; `missed` are
    the stretches of the log that were trimmed too early.
    """

    times_sent: int = 0
    times_failed: int = 0
    last_notification: str | None = None
    last_success: str | None = None
    last_failure: str | None = None
    status: Literal["ok", "failed"] | None = None
    reason: str | None = None
    dropped: int = 0
    missed: list[Gap] = field(default_factory=list)

    def sent(self, now: str) -> None:
        """An attempt begins (5.8.6: timesSent and lastNotification count whatever comes of it)."""
        self.times_sent += 1
        self.last_notification = now

    def succeeded(self, now: str) -> None:
        """The receiver took the notification."""
        self.last_success = now
        self.status = "ok"
        self.reason = None

    def failed(self, now: str, reason: str) -> None:
        """The receiver did not take the notification, or was not reached."""
        self.times_failed += 1
        self.last_failure = now
        self.status = "failed"
        self.reason = reason

    def miss(self, gap: Gap) -> None:
        """A stretch of the log is gone before it was done with."""
        self.missed = with_gap(self.missed, gap)

    def members(self) -> JsonObject:
        """The members that a retrieved subscription's `notification` shows; those that have no value yet are left out."""
        shown: JsonObject = {
            "status": self.status,
            "timesSent": self.times_sent or None,
            "timesFailed": self.times_failed or None,
            "lastNotification": self.last_notification,
            "lastSuccess": self.last_success,
            "lastFailure": self.last_failure,
        }
        return {member: value for member, value in shown.items() if value is not None}

    def stored(self) -> JsonObject:
        """All of it, for the store."""
        return {
            **self.members(),
            "reason": self.reason,
            "dropped": self.dropped,
            "missed": [gap.shown() for gap in self.missed],
        }

    @classmethod
    def restored(cls, document: JsonObject) -> "Tally":
        """What `stored` gave."""
        return cls(
            times_sent=document.get("timesSent", 0),
            times_failed=document.get("timesFailed", 0),
            last_notification=document.get("lastNotification"),
            last_success=document.get("lastSuccess"),
            last_failure=document.get("lastFailure"),
            status=document.get("status"),
            reason=document.get("reason"),
            dropped=document.get("dropped", 0),
            missed=[Gap.restored(gap) for gap in document.get("missed", ())],
        )
