"""Carrying: the commands of each device, one after the other, each once, and none that is not good any more.

That a command is being carried is on disk before it is. Whoever finds it so later cannot know whether it reached the device: it
is not carried again, unless its rule says that it is repeatable. An answer still tells; without one it ends as an error.
"""

import asyncio
import logging
import random
import sqlite3
from collections.abc import Mapping
from dataclasses import replace
from enum import Enum, auto
from typing import Final

from adapters.actuation import record
from adapters.actuation.asking import later
from adapters.actuation.book import Book, seconds_between
from adapters.actuation.contract import (
    Carried,
    Carrier,
    Command,
    CommandTarget,
    Outcome,
    Recalling,
    TryLater,
    Undeliverable,
)
from adapters.actuation.interlock import Interlocks
from adapters.actuation.record import Entry, State
from adapters.actuation.targets import Place, place_of
from adapters.journal import JournalFailed

CARRY_SECONDS: Final = 30.0
"""How long a carrier may take."""
CLOSE_SECONDS: Final = 3.0
"""How long what is being carried when the runner ends may take still."""
FRESH_SECONDS: Final = 1.0
"""For how long a decision about an interlock is good without a second look."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0

_NO_MORE: Final = "the device has no such command any more"
_LOG: Final = logging.getLogger(__name__)


class Leave(Enum):
    """Whether a command may go to its device."""

    NOW = auto()
    NOT_YET = auto()
    NEVER = auto()


class Carrying:
    """Carries what is queued."""

    def __init__(self, book: Book, interlocks: Interlocks) -> None:
        self._book = book
        self._interlocks = interlocks
        self._carriers: dict[str, Carrier] = {}
        self._tasks: dict[Place, asyncio.Task[None]] = {}
        self._again: set[Place] = set()
        self._nudges: dict[Place, asyncio.Event] = {}
        self._closing = False
        self.keeping: frozenset[str] = frozenset()
        """Carriers, also before they are known, whose networks keep what they are given."""

    async def close(self) -> None:
        """Begin nothing more, and let what is under way end. What takes too long is in doubt, and `settle_doubt` has it."""
        self._closing = True
        for nudge in self._nudges.values():
            nudge.set()
        tasks = list(self._tasks.values())
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def add(self, carriers: Mapping[str, Carrier]) -> None:
        """Make carriers known; what waited for them is carried."""
        self._carriers.update(carriers)
        for carrier in carriers:
            for place in self._book.targets.of_carrier(carrier):
                self.kick(place)

    def kick(self, place: Place) -> None:
        """See to it that what is queued for a device is carried, now, if it waits for another attempt."""
        self._again.add(place)
        if (nudge := self._nudges.get(place)) is not None:
            nudge.set()
        if place not in self._tasks:
            self._tasks[place] = asyncio.create_task(self._carry_all(place), name=f"commands of {place[1]}")

    async def may_leave(self, entry: Entry) -> Leave:
        """Whether a command may go to its device now: permissions and interlocks may not be what they were when it was taken."""
        command, book = entry.command, self._book
        target, at = command.target, book.now()
        if self._target(command) is None:
            await book.step(command.id, {entry.state}, State.ERROR, info=_NO_MORE)
            return Leave.NEVER
        if at < later(entry.decided_at, -FRESH_SECONDS):
            said = "the clock went back, so that nobody knows whether it is good still"
            await book.step(command.id, {entry.state}, State.EXPIRED, info=said)
            return Leave.NEVER
        if not book.policy.permits(entry.principal, target.tenant, target.group, command.name):
            said = f"{entry.principal} has no permission any more"
            await book.step(command.id, {entry.state}, State.ERROR, info=said)
            return Leave.NEVER
        if book.terms(command).critical:
            trail = await book.journal.perform(lambda connection: record.trail(connection, command.id))
            if not any(event.state is State.AWAITING for event in trail):
                said = "it is critical by now, and nobody has approved it"
                await book.step(command.id, {entry.state}, State.ERROR, info=said)
                return Leave.NEVER
        if entry.decided_at <= at < later(entry.decided_at, FRESH_SECONDS):  # a clock may be set back
            return Leave.NOW
        trouble = await self._interlocks.violated(target, book.terms(command).interlocks)
        if trouble is None:
            return Leave.NOW
        if not trouble.certain:
            return Leave.NOT_YET
        await book.step(command.id, {entry.state}, State.ERROR, info=trouble.detail)
        return Leave.NEVER

    def _target(self, command: Command) -> CommandTarget | None:
        """The device as it is now, which may have moved since the command was given; None where it is not the same device to
        those who may command: another entity's, or of another group, whose rules nobody has looked at."""
        given, found = command.target, self._book.targets.at(place_of(command.target))
        if found is None or command.name not in found.commands:
            return None
        return found if (found.entity_id, found.group) == (given.entity_id, given.group) else None

    def settle_doubt(self, connection: sqlite3.Connection, entry: Entry, reason: str) -> None:
        """Nobody knows whether a command reached its device: an answer may tell; what is repeatable is carried again."""
        command, at = entry.command, self._book.now()
        if self._book.terms(command).repeatable and at < command.expires_at:
            info = f"carried again: {reason}"
            record.step(
                connection, command.id, {State.CARRYING}, State.QUEUED, at, deadline=command.expires_at, info=info
            )
            return
        info = f"outcome unknown ({reason}); an answer is waited for"
        deadline = self._book.answer_by(command, at)
        if command.target.carrier in self.keeping:
            deadline = min(deadline, command.expires_at)  # then it must be taken back
        record.step(connection, command.id, {State.CARRYING}, State.UNSURE, at, deadline=deadline, info=info)

    async def recall(self, command: Command) -> bool | None:
        """Take a command back from a network that keeps it; whether it is sure not to deliver it, None where none keeps any."""
        carrier: object = self._carriers.get(command.target.carrier)
        if not isinstance(carrier, Recalling):
            return False if command.target.carrier in self.keeping else None
        try:
            async with asyncio.timeout(CARRY_SECONDS):
                return await carrier.recall(command)
        except Exception as error:  # noqa: BLE001 - somebody else's code; the command ends all the same
            _LOG.warning("command %s cannot be taken back: %s", command.id, error)
            return False

    async def _carry_all(self, place: Place) -> None:
        pause = FIRST_PAUSE
        try:
            while place in self._again:
                self._again.discard(place)
                while (entry := await self._next(place)) is not None:
                    try:
                        settled = await self._carry(entry)
                    except JournalFailed as error:
                        _LOG.error("commands of %s: %s", place[1], error)
                        settled = False
                    except Exception:  # noqa: BLE001 - told, and the device's commands do not stand still for it
                        _LOG.exception("commands of %s", place[1])
                        settled = False
                    if settled:
                        pause = FIRST_PAUSE
                        continue
                    await self._wait(place, pause * random.uniform(0.5, 1.0))
                    pause = min(pause * 2, LONGEST_PAUSE)
        finally:
            self._tasks.pop(place, None)

    async def _wait(self, place: Place, seconds: float) -> None:
        """Wait before another attempt, unless there is news of the device."""
        nudge = self._nudges[place] = asyncio.Event()
        try:
            async with asyncio.timeout(seconds):
                await nudge.wait()
        except TimeoutError:
            pass
        finally:
            del self._nudges[place]

    async def _next(self, place: Place) -> Entry | None:
        target = self._book.targets.at(place)
        if target is None or target.carrier not in self._carriers or self._closing:
            return None
        try:
            held = await self._book.journal.perform(
                lambda connection: record.open_of_device(connection, *place, {State.QUEUED})
            )
        except JournalFailed as error:
            _LOG.error("commands of %s: %s", place[1], error)
            return None
        at = self._book.now()
        return next((entry for entry in held if entry.command.expires_at > at), None)

    async def _carry(self, entry: Entry) -> bool:
        """Carry one command; whether the next one may follow at once."""
        leave = await self.may_leave(entry)
        if leave is not Leave.NOW:
            return leave is Leave.NEVER
        command, book = entry.command, self._book
        target = self._target(command)
        if target is None:  # the interlocks took their time
            return await book.step(command.id, {State.QUEUED}, State.ERROR, info=_NO_MORE)
        carrier = self._carriers.get(target.carrier)
        if carrier is None:
            return False

        def begin(connection: sqlite3.Connection) -> bool:
            moment = book.now()
            deadline = book.answer_by(command, command.expires_at)
            return moment < command.expires_at and record.step(
                connection, command.id, {State.QUEUED}, State.CARRYING, moment, deadline=deadline, tell=False
            )

        if not await book.journal.transact(begin, durable=True):
            return True
        limit = min(CARRY_SECONDS, max(seconds_between(book.now(), command.expires_at), 0.001))
        try:
            async with asyncio.timeout(limit):
                carried = await carrier.carry(replace(command, target=target))
        except Undeliverable as error:
            await book.step(command.id, {State.CARRYING}, State.ERROR, info=str(error))
            return True
        except TryLater as error:
            _LOG.info("command %s of %s waits: %s", command.name, command.target.entity_id, error)
            await self._kept(command, State.QUEUED)
            return False
        except Exception as error:  # noqa: BLE001 - somebody else's code: nobody knows what it came to
            said = "it took too long" if isinstance(error, TimeoutError) else f"{type(error).__name__}: {error}"
            _LOG.warning("command %s of %s: outcome unknown: %s", command.name, command.target.entity_id, said)
            await book.journal.transact(lambda connection: self.settle_doubt(connection, entry, said))
            book.written()
            return not book.terms(command).repeatable
        await self._carried(command, carried)
        return True

    async def _carried(self, command: Command, carried: Carried) -> None:
        book, carrying = self._book, {State.CARRYING}
        match carried.outcome:
            case Outcome.ANSWERED | Outcome.DONE:
                await book.step(command.id, carrying, State.OK, info=carried.result)
            case Outcome.DELIVERED:
                answer_by = book.answer_by(command, book.now())
                await book.step(command.id, carrying, State.DELIVERED, deadline=answer_by, info=carried.result)
            case Outcome.SENT:
                await book.step(command.id, carrying, State.SENT, deadline=command.expires_at, tell=False)
            case Outcome.WAITING:
                await self._kept(command, State.WAITING)

    async def _kept(self, command: Command, state: State) -> None:
        """A command that did not leave is kept, unless a later one has taken its place meanwhile."""
        book, at = self._book, self._book.now()

        def work(connection: sqlite3.Connection) -> None:
            later_one = record.later_of_name(connection, command) if book.terms(command).supersedes else None
            if later_one is None:
                record.step(
                    connection, command.id, {State.CARRYING}, state, at, deadline=command.expires_at, tell=False
                )
            else:
                said = f"superseded by {later_one}"
                record.step(connection, command.id, {State.CARRYING}, State.ERROR, at, info=said)

        await book.journal.transact(work)
        book.written()
