"""The book of commands: what deciding, carrying and answering write to, and how long each may take."""

import asyncio
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any

from adapters.actuation import record
from adapters.actuation.asking import later
from adapters.actuation.contract import Command
from adapters.actuation.policy import Policy, Terms
from adapters.actuation.record import State
from adapters.actuation.targets import Targets
from adapters.door import now
from adapters.journal import Journal


class Book:
    """`news` is set where there is something to tell the broker, `changed` where a command's time may be up sooner."""

    def __init__(self, journal: Journal, policy: Policy, clock: Callable[[], str] = now) -> None:
        self.journal = journal
        self.policy = policy
        self.targets = Targets()
        self.now = clock
        self.news = asyncio.Event()
        self.changed = asyncio.Event()

    def terms(self, command: Command) -> Terms:
        """What holds for a command."""
        return self.policy.terms(command.target.group, command.name)

    def answer_by(self, command: Command, at: str) -> str:
        """Until when a device that has a command at an instant may answer."""
        return later(at, self.terms(command).answer_within)

    async def step(
        self,
        command_id: str,
        allowed: Collection[State],
        state: State,
        *,
        deadline: str | None = None,
        info: Any = None,
        tell: bool = True,
    ) -> bool:
        """Bring a command a step on, if it still is where it may be made. Raises JournalFailed."""
        at = self.now()
        done = await self.journal.transact(
            lambda connection: record.step(
                connection, command_id, allowed, state, at, deadline=deadline, info=info, tell=tell
            )
        )
        self.written()
        return done

    def written(self) -> None:
        """Something was written."""
        self.news.set()
        self.changed.set()


def seconds_between(start: str, end: str) -> float:
    """Seconds from one instant to another."""
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
