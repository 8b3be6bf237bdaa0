"""The desk: what protocols call (`contract.Actuation`), and the clock that ends each command in time, whatever happens."""

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from adapters import metrics
from adapters.actuation import outbox, record
from adapters.actuation.book import Book, seconds_between
from adapters.actuation.carrying import Carrying, Leave
from adapters.actuation.contract import Carrier, Command, CommandTarget
from adapters.actuation.deciding import Deciding
from adapters.actuation.interlock import Interlocks
from adapters.actuation.policy import Policy
from adapters.actuation.record import ANSWERABLE, UNSENT, Entry, State
from adapters.actuation.schema import SCHEMA
from adapters.actuation.targets import Place, place_of
from adapters.door import now
from adapters.journal import Journal

LOOK_SECONDS: Final = 5.0
LEAST_PAUSE: Final = 0.02

_UNKNOWN: Final = "outcome unknown: it may have reached the device, and there was no answer"
_TAKEN_BACK: Final = "not delivered in time, and taken back from the network"
_NOT_TAKEN_BACK: Final = "the network did not say in time that it was delivered, and may deliver it still"
_WHAT_IS_LEFT: Final = "the network has been told to drop it"
_WHAT_MAY_COME: Final = "the network may deliver it still"
_GAUGES: Final = (metrics.commands_open, metrics.commands_untold, metrics.commands_refused_by_broker)
_LOG: Final = logging.getLogger(__name__)


class Desk:
    """`book` has the commands, `deciding` takes them. `targets_changed` is set where registrations are to follow, those of
    `changed_places`, and `registered` while they have."""

    def __init__(
        self, journal: Journal, policy: Policy, interlocks: Interlocks, clock: Callable[[], str] = now
    ) -> None:
        self.book = Book(journal, policy, clock)
        self.carrying = Carrying(self.book, interlocks)
        self.deciding = Deciding(self.book, self.carrying, interlocks)
        self.targets_changed = asyncio.Event()
        self.changed_places: set[Place] = set()
        self.registered = asyncio.Event()

    async def open(self, keeping: Collection[str] = ()) -> None:
        """Find everything as it was left, and settle what was being carried when the last process ended.

        `keeping`: the carriers whose networks keep what they are given until they are told to drop it.
        """
        self.carrying.keeping = frozenset(keeping)

        def work(connection: sqlite3.Connection) -> list[tuple[CommandTarget, bool]]:
            for entry in record.in_state(connection, State.CARRYING):
                self.carrying.settle_doubt(connection, entry, "the process ended while it was carried")
            return record.all_targets(connection)

        await self.book.journal.perform(lambda connection: connection.executescript(SCHEMA))
        for target, wanted in await self.book.journal.transact(work, durable=True):
            if wanted:
                self.book.targets.put(target)
        self.book.written()

    async def close(self) -> None:
        """Stop carrying. What was under way then is settled by the next `open`."""
        await self.carrying.close()

    def carriers(self, carriers: Mapping[str, Carrier]) -> None:
        """See `contract.Actuation`."""
        self.carrying.add(carriers)

    async def announce(self, targets: Sequence[CommandTarget]) -> None:
        """See `contract.Actuation`."""
        known = self.book.targets
        changed = [each for each in targets if known.at(place_of(each)) != each]
        known.check(changed)
        if not changed:
            return

        def work(connection: sqlite3.Connection) -> None:
            for target in changed:
                record.put_target(connection, target)

        await self.book.journal.transact(work, durable=True)
        for target in changed:
            known.put(target)
            self.carrying.kick(place_of(target))
        self._targets_changed(map(place_of, changed))

    async def announce_all(self, carrier: str, targets: Sequence[CommandTarget]) -> None:
        """See `contract.Actuation`."""
        kept = {place_of(target) for target in targets}
        for tenant, device_id in self.book.targets.of_carrier(carrier):
            if (tenant, device_id) not in kept:
                await self.withdraw(tenant, [device_id])
        await self.announce(targets)

    async def withdraw(self, tenant: str, device_ids: Collection[str]) -> None:
        """See `contract.Actuation`."""
        at = self.book.now()

        def work(connection: sqlite3.Connection) -> list[Entry]:
            ended: list[Entry] = []
            for device_id in device_ids:
                record.unwant_target(connection, tenant, device_id)
                for entry in record.open_of_device(connection, tenant, device_id):
                    said = "the device was withdrawn"
                    record.step(connection, entry.command.id, {entry.state}, State.ERROR, at, info=said)
                    ended.append(entry)
            return ended

        ended = await self.book.journal.transact(work, durable=True)
        for device_id in device_ids:
            self.book.targets.drop((tenant, device_id))
        self._targets_changed((tenant, device_id) for device_id in device_ids)
        self.book.written()
        # What has left may be in a network's hands still.
        left = [entry.command for entry in ended if entry.state not in UNSENT]
        await asyncio.gather(*(self.carrying.recall(command) for command in left))

    async def waiting(self, tenant: str, device_id: str, most: int = 10) -> tuple[Command, ...]:
        """See `contract.Actuation`."""
        book = self.book
        held = await book.journal.perform(
            lambda connection: record.open_of_device(connection, tenant, device_id, {State.WAITING})
        )
        ready = []
        for entry in held[:most]:
            leave = await self.carrying.may_leave(entry)
            if leave is Leave.NOT_YET:
                break  # the order is kept: what may not leave yet holds up what came after it
            if leave is Leave.NOW:
                ready.append(entry.command)

        def work(connection: sqlite3.Connection) -> tuple[Command, ...]:
            at = book.now()
            return tuple(
                command
                for command in ready
                if command.expires_at > at
                and record.step(
                    connection, command.id, {State.WAITING}, State.DELIVERED, at, deadline=book.answer_by(command, at)
                )
            )

        handed = await book.journal.transact(work, durable=True) if ready else ()
        book.written()
        return handed

    async def delivered(self, tenant: str, device_id: str, command_id: str, at: str = "") -> None:
        """See `contract.Actuation`."""
        moment = self._moment(at)

        def work(connection: sqlite3.Connection) -> None:
            entry = record.find(connection, command_id)
            if entry is None or place_of(entry.command.target) != (tenant, device_id):
                return
            allowed = {State.CARRYING, State.SENT, State.UNSURE}
            answer_by = self.book.answer_by(entry.command, self.book.now())
            record.step(connection, command_id, allowed, State.DELIVERED, moment, deadline=answer_by)

        await self.book.journal.transact(work, durable=True)
        self.book.written()
        self.carrying.kick((tenant, device_id))

    async def answered(
        self,
        tenant: str,
        device_id: str,
        command_name: str,
        result: Any,
        at: str = "",
        command_id: str | None = None,
        *,
        error: bool = False,
    ) -> bool:
        """See `contract.Actuation`."""
        state = State.ERROR if error else State.OK
        moment = self._moment(at)

        def work(connection: sqlite3.Connection) -> bool:
            if command_id is None:
                held = record.open_of_device(connection, tenant, device_id, ANSWERABLE)
                # One that may never have arrived is the last to be told to be done.
                held.sort(key=lambda entry: entry.state is State.UNSURE)
                found = next((entry for entry in held if entry.command.name == command_name), None)
            else:
                found = record.find(connection, command_id)
            if found is None or place_of(found.command.target) != (tenant, device_id):
                return False
            if record.step(connection, found.command.id, ANSWERABLE, state, moment, who=device_id, info=result):
                return True
            record.note(connection, found.command.id, moment, found.state, device_id, {"late answer": result})
            return False

        awaited = await self.book.journal.transact(work, durable=True)
        if not awaited:
            _LOG.info("device %s: an answer about %s that is not waited for", device_id, command_name)
        self.book.written()
        self.carrying.kick((tenant, device_id))
        return awaited

    async def watch_the_clock(self) -> None:
        """End what has come to its time, for ever."""
        book = self.book
        while True:
            book.changed.clear()
            # Together: what a network is to drop takes its time, and the others do not wait for it.
            await asyncio.gather(*(self._expire(entry) for entry in await self._overdue()))
            deadline = await book.journal.perform(record.next_deadline)
            counted = await book.journal.perform(lambda c: (*record.counts(c), outbox.count_refusals(c)))
            for gauge, count in zip(_GAUGES, counted, strict=True):
                gauge.set(count)
            pause = (
                LOOK_SECONDS if deadline is None else min(seconds_between(book.now(), deadline) + 0.002, LOOK_SECONDS)
            )
            try:
                async with asyncio.timeout(max(pause, LEAST_PAUSE)):
                    await book.changed.wait()
            except TimeoutError:
                continue

    async def _overdue(self) -> list[Entry]:
        at = self.book.now()
        return await self.book.journal.perform(lambda connection: record.overdue(connection, at))

    async def _expire(self, entry: Entry) -> None:
        state, said = State.EXPIRED, _UNKNOWN
        match entry.state:
            case State.AWAITING:
                said = "nobody approved it in time"
            case State.QUEUED | State.WAITING:
                said = "not delivered in time, and not delivered any more"
                if self.book.terms(entry.command).repeatable:
                    await self.carrying.recall(entry.command)  # an attempt before this one may have left it there
            case State.SENT:
                recalled = await self.carrying.recall(entry.command)
                said = _TAKEN_BACK if recalled else _NOT_TAKEN_BACK
            case State.DELIVERED:
                said = "delivered, but there was no answer in time"
                await self.carrying.recall(entry.command)  # what nobody confirms may be sent again
            case _:
                state = State.ERROR
                recalled = await self.carrying.recall(entry.command)
                if recalled is not None:
                    said += f"; {_WHAT_IS_LEFT if recalled else _WHAT_MAY_COME}"
        await self.book.step(entry.command.id, {entry.state}, state, info=said)

    def _targets_changed(self, places: Iterable[Place]) -> None:
        self.changed_places.update(places)
        self.registered.clear()
        self.targets_changed.set()

    def _moment(self, at: str) -> str:
        """When something happened as others say, or now, where that cannot be."""
        here = self.book.now()
        return at if len(at) == len(here) and at.endswith("Z") and at <= here else here
