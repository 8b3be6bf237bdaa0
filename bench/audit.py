"""Holds what was delivered against what was acknowledged: every notification that is owed, once, and in order."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from bench.city import Audience
from bench.offering import UNKNOWN, UNSENT, Offer
from bench.receiver import Receipt, Receiver, receipts

_POLL_SECONDS: Final = 0.3


@dataclass(slots=True)
class Books:
    """Writes and notifications, entered as they become known.

    `owed` are (subscription, serial) of acknowledged writes that have not arrived, `arrived` when those did that have.
    `repeated`, `disordered` and `strange` count notifications: a second time, after a later one of the same entity and
    subscription, and to somebody who did not want them. Those of writes whose outcome is not known are `surplus`.
    """

    audience: Audience
    offers: dict[int, Offer] = field(default_factory=dict)
    owed: set[tuple[int, int]] = field(default_factory=set)
    arrived: dict[tuple[int, int], float] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    repeated: int = 0
    disordered: int = 0
    strange: int = 0
    surplus: int = 0
    refused: int = 0
    _read: int = 0
    _excused: set[int] = field(default_factory=set)
    _early: list[Receipt] = field(default_factory=list)
    _latest: dict[tuple[int, int], int] = field(default_factory=dict)

    def enter(self, offered: Iterable[Offer]) -> None:
        """Enter writes that are all answered."""
        for offer in offered:
            self.statuses[offer.status] += 1
            self.offers[offer.serial] = offer
            if is_acknowledged(offer):
                heard = self.audience.of(offer.station, offer.serial)
                self.owed.update((each, offer.serial) for each in heard if each not in self._excused)
        early, self._early = self._early, []
        self._take(early)

    def read(self, receiver: Receiver) -> None:
        """Enter what has been received since the last time. What is not of a known write yet is kept for later."""
        receiver.received()
        found = receipts(receiver.file, self._read)
        self._read += len(found)
        self._take(found)

    def settle(self, receiver: Receiver, seconds: float) -> bool:
        """Read until nothing is owed any more, for so many seconds at most; whether nothing is."""
        deadline = time.monotonic() + seconds
        while True:
            self.read(receiver)
            if not self.owed:
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)

    def excuse(self, subscriptions: set[int]) -> None:
        """From now on owe nothing to these, and count nothing that goes to them."""
        self._excused |= subscriptions

    def _take(self, found: Sequence[Receipt]) -> None:
        for receipt in found:
            offer = self.offers.get(receipt.serial)
            pair = receipt.subscription, receipt.serial
            if not receipt.well:
                self.refused += 1
            elif receipt.subscription in self._excused:
                continue
            elif offer is None:
                self._early.append(receipt)
            elif pair in self.owed:
                self.owed.discard(pair)
                self.arrived[pair] = receipt.at
                self._order(receipt, offer)
            elif pair in self.arrived:
                self.repeated += 1
            elif offer.status in (UNKNOWN, UNSENT):
                self.surplus += 1
            else:
                self.strange += 1

    def _order(self, receipt: Receipt, offer: Offer) -> None:
        """Serial numbers of one station grow with its changes."""
        place = receipt.subscription, offer.station
        latest = self._latest.get(place, -1)
        if receipt.serial < latest:
            self.disordered += 1
        self._latest[place] = max(latest, receipt.serial)

    @property
    def acknowledged(self) -> int:
        """Writes that were."""
        return sum(count for status, count in self.statuses.items() if 200 <= status < 300)

    @property
    def shed(self) -> int:
        """Writes that the broker refused because it had too much to do."""
        return self.statuses[503] + self.statuses[429]

    def faults(self) -> list[str]:
        """What must not be, in words."""
        found = {
            "owed notifications did not arrive": len(self.owed),
            "notifications came in the wrong order": self.disordered,
            "notifications went to somebody who did not ask for them": self.strange,
            "writes were answered by another status": sum(
                count
                for status, count in self.statuses.items()
                if status not in (UNKNOWN, UNSENT, 429, 503) and not 200 <= status < 300
            ),
        }
        return [f"{count:,} {what}" for what, count in found.items() if count]

    def delays(self, first: int = 0, end: int | None = None) -> list[float]:
        """Seconds from the moment a write was due to the arrival of each of its notifications, for a range of serials."""
        return [
            at - self.offers[serial].due
            for (_, serial), at in self.arrived.items()
            if first <= serial and (end is None or serial < end)
        ]

    def lags(self) -> list[tuple[float, float]]:
        """When each notification arrived, and how many seconds that was after its write was acknowledged."""
        return sorted((at, max(at - self.offers[serial].answered, 0.0)) for (_, serial), at in self.arrived.items())


def is_acknowledged(offer: Offer) -> bool:
    """Whether a write was answered by success."""
    return 200 <= offer.status < 300
