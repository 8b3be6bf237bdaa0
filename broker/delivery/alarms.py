"""What happens to subscriptions because time passes: they expire, and their periods end."""

import asyncio
from collections.abc import Callable
from typing import Final

from broker.delivery.subscription import SubscriptionKey

LONGEST_TIMER: Final = 86_400.0
"""Seconds that one timer of the event loop runs at most; a later alarm takes several."""


class Alarms:
    """At most one expiry and one period for each subscription. Times are seconds; calls come in the event loop."""

    def __init__(self) -> None:
        self._timers: dict[tuple[str, SubscriptionKey], asyncio.TimerHandle] = {}

    def expire(self, key: SubscriptionKey, left: float, call: Callable[[], None]) -> None:
        """Call once, `left` seconds from now."""
        loop = asyncio.get_running_loop()
        self._at("expiry", key, loop.time() + max(left, 0.0), call)

    def repeat(self, key: SubscriptionKey, first: float, interval: float, call: Callable[[], None]) -> None:
        """Call in `first` seconds and from then on every `interval` seconds; periods that were missed are not made up for."""
        loop = asyncio.get_running_loop()
        due = loop.time() + first

        def tick() -> None:
            nonlocal due
            due = max(due + interval, loop.time())
            self._at("period", key, due, tick)
            call()

        self._at("period", key, due, tick)

    def cancel(self, key: SubscriptionKey) -> None:
        """Forget a subscription's alarms."""
        for kind in ("expiry", "period"):
            timer = self._timers.pop((kind, key), None)
            if timer is not None:
                timer.cancel()

    def close(self) -> None:
        """Forget all alarms."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _at(self, kind: str, key: SubscriptionKey, moment: float, call: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()

        def ring() -> None:
            del self._timers[kind, key]
            if loop.time() + 0.001 < moment:
                self._at(kind, key, moment, call)
            else:
                call()

        known = self._timers.pop((kind, key), None)
        if known is not None:
            known.cancel()
        self._timers[kind, key] = loop.call_at(min(moment, loop.time() + LONGEST_TIMER), ring)
