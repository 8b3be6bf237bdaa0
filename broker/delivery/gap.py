"""What a subscription missed, because the log's retention ended before it could be matched or delivered (design §4)."""

from dataclasses import dataclass, replace
from typing import Final

from broker.model.entity import JsonObject

MOST_GAPS: Final = 20
"""Gaps that are remembered of one subscription; beyond that the oldest two are told as one."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of the log that was trimmed: positions above `after` up to `through`, changes made from `start` to `end`.

    `owed`: notifications among them that were known to be owed; `unread`: changes that were not matched with the
    subscription, so that nobody knows how many of them concerned it. `start` and `end` are None where the log was trimmed
    while nobody looked.
    """

    after: int
    through: int
    owed: int = 0
    unread: int = 0
    start: str | None = None
    end: str | None = None

    def shown(self) -> JsonObject:
        """As a JSON object, for the store and for clients."""
        shown = {
            "after": self.after,
            "through": self.through,
            "owedNotifications": self.owed,
            "unreadChanges": self.unread,
            "from": self.start,
            "to": self.end,
        }
        return {member: value for member, value in shown.items() if value is not None}

    @classmethod
    def restored(cls, stored: JsonObject) -> "Gap":
        """What `shown` gave."""
        return cls(
            stored["after"],
            stored["through"],
            stored["owedNotifications"],
            stored["unreadChanges"],
            stored.get("from"),
            stored.get("to"),
        )

    def with_later(self, later: "Gap") -> "Gap":
        """Both as one."""
        return replace(
            self,
            after=min(self.after, later.after),
            through=max(self.through, later.through),
            owed=self.owed + later.owed,
            unread=self.unread + later.unread,
            start=self.start or later.start,
            end=later.end or self.end,
        )


def with_gap(gaps: list[Gap], gap: Gap) -> list[Gap]:
    """The gaps of a subscription with one more. What was told before it happened is not told again when it is noticed; what
    follows the last gap continues it, and all that was noticed only afterwards is one."""
    if any(known.start is not None and known.after <= gap.after and gap.through <= known.through for known in gaps):
        return gaps
    last = gaps[-1] if gaps else None
    if last is not None and _belong_together(last, gap):
        return [*gaps[:-1], last.with_later(gap)]
    if len(gaps) >= MOST_GAPS:
        gaps = [gaps[0].with_later(gaps[1]), *gaps[2:]]
    return [*gaps, gap]


def _belong_together(last: Gap, gap: Gap) -> bool:
    if last.start is None or gap.start is None:
        return last.start is gap.start
    return last.after <= gap.after <= last.through
