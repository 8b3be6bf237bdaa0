"""Why a notification did not arrive, and how often one that keeps failing is tried before it is set aside.

A receiver that answers to nobody, because it is down or refuses everything, costs nothing but time: all waits, until the
retention of the log. A notification that fails for ever while others go through is different: it would take the room of the
others, so there is a bound on its attempts (`Patience`), behind which it is set aside (broker.delivery.undelivered).
"""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from broker.model.entity import JsonObject

Kind: TypeAlias = Literal[
    "status",
    "refused",
    "dns",
    "timeout",
    "tls",
    "forbidden",
    "too large",
    "protocol",
    "mqtt",
    "not composed",
    "unavailable",
]
"""`status`: the receiver answered, with a status other than 2xx. `mqtt`: an MQTT broker refused the client or the message. `not
composed`: a fault in this one, nothing was sent. `unavailable`: the @context or the store cannot be had now, nothing was sent.
The others are what went wrong with the connection, over HTTP and MQTT alike (broker.egress.error.EgressError)."""

OF_THE_MESSAGE: Final = frozenset({400, 409, 413, 422, 500})
"""Statuses that say something about the message, not about the endpoint: other entities need not wait."""
_OF_THE_MOMENT: Final = frozenset({408, 425, 429})
"""The 4xx that ask for another try later."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed attempt: when, of which kind, with which status (where there is an answer), and what there is to say."""

    at: str
    kind: Kind
    detail: str
    status: int | None = None

    def shown(self) -> JsonObject:
        """As a JSON object, for the store and for clients."""
        shown: JsonObject = {"at": self.at, "kind": self.kind, "detail": self.detail}
        return shown if self.status is None else {**shown, "status": self.status}

    @classmethod
    def restored(cls, stored: JsonObject) -> "Failure":
        """What `shown` gave."""
        return cls(stored["at"], stored["kind"], stored["detail"], stored.get("status"))


@dataclass(frozen=True, slots=True)
class Patience:
    """How many attempts a notification gets; None is for ever.

    `beside_others`: attempts between which other notifications of the subscription went through. `crowded`: the same where
    many of them fail, so that they leave no room for the others. `alone`: attempts, whatever becomes of others. `again`:
    whether one of an entity of which another one was set aside is given up at once even where no other went through since.
    """

    beside_others: int | None = None
    crowded: int | None = None
    alone: int | None = None
    again: bool = False


ENDLESS: Final = Patience()
MESSAGE_REFUSED: Final = Patience(beside_others=5, crowded=2, alone=10, again=True)
REFUSED: Final = Patience(beside_others=5, crowded=2)
TROUBLED: Final = Patience(beside_others=10, crowded=5)


def patience_with(failure: Failure | None) -> Patience:
    """The patience with a notification that failed like this.

    4xx say that another try will not help: few attempts, and those that are about the message do not need the comparison
    with others. All else may pass: more attempts, and never without others going through meanwhile.
    """
    if failure is None or failure.kind in ("forbidden", "unavailable"):
        return ENDLESS
    if failure.kind == "not composed":
        return MESSAGE_REFUSED
    status = failure.status
    if status is None or not 400 <= status < 500 or status in _OF_THE_MOMENT:
        return TROUBLED
    return MESSAGE_REFUSED if status in OF_THE_MESSAGE else REFUSED
