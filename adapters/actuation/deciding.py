"""Deciding: whether a command that somebody asks for is given. What is taken is on disk before its client hears of it.

In this order: who asks, whether the device has such a command, whether it is permitted, whether it came from another city,
whether it was taken before under the same key, whether its limit can be met, and whether its interlocks hold. Each refusal of
somebody known is on record, too.
"""

import json
import logging
import sqlite3
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from adapters import metrics
from adapters.actuation import record
from adapters.actuation.asking import Asked, later
from adapters.actuation.book import Book, seconds_between
from adapters.actuation.carrying import Carrying
from adapters.actuation.contract import Command, CommandTarget
from adapters.actuation.interlock import Interlocks
from adapters.actuation.policy import Terms
from adapters.actuation.problem import Refused
from adapters.actuation.record import UNSENT, Entry, State
from adapters.actuation.targets import place_of
from adapters.journal import JournalFailed

DECIDE_SECONDS: Final = 6.0
"""How long a decision may take: less than the broker waits for it, so that nobody is told of a failure that was none."""
MOST_OPEN: Final = 100
"""Commands of one device that may be under way."""

T = TypeVar("T")
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Submission:
    """A request as the broker forwarded it, from whom, and by way of which other brokers."""

    tenant: str
    entity_id: str
    asked: tuple[Asked, ...]
    authorization: str
    foreign: tuple[str, ...] = ()
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A command as it would be taken, and what holds for it."""

    entry: Entry
    terms: Terms


class Deciding:
    """Takes commands, or refuses them."""

    def __init__(self, book: Book, carrying: Carrying, interlocks: Interlocks) -> None:
        self._book = book
        self._carrying = carrying
        self._interlocks = interlocks

    async def submit(self, submission: Submission) -> tuple[Entry, ...]:
        """Take the commands of a request, all of them or none: they are on disk when this returns. Raises Refused."""
        principal = self.principal(submission.authorization)
        known = self._book.targets.commands(submission.tenant, submission.entity_id)
        drafts = []
        for asked in submission.asked:
            if asked.name not in known:
                raise Refused(404, f"{submission.entity_id} has no command {asked.name}")
            drafts.append(self._draft(submission, asked, *known[asked.name], principal))
        for draft in drafts:
            try:
                await self._check(submission, draft)
            except Refused as refusal:
                await self._refuse(draft.entry, refusal)
                raise
        try:
            return await self._take(drafts)
        except Refused as refusal:
            for draft in drafts:
                await self._refuse(draft.entry, refusal)
            raise

    async def approve(self, authorization: str, command_id: str, *, reject: bool = False) -> Entry:
        """A second person approves a critical command, or rejects it. Raises Refused."""
        book, principal = self._book, self.principal(authorization)
        entry = await self._performed(lambda connection: record.find(connection, command_id))
        if entry is None:
            raise Refused(403, f"{principal} may not approve commands like that")
        terms, target = book.terms(entry.command), entry.command.target
        if principal not in terms.approvers:
            await self._note(entry, principal, "an approval by somebody who may not approve")
            raise Refused(403, f"{principal} may not approve commands like that")
        if principal == entry.principal:
            await self._note(entry, principal, "an approval by the one who asked for it")
            raise Refused(403, "who asks for a command cannot approve it")
        if reject:
            return await self._settle(entry, State.ERROR, principal, f"rejected by {principal}", None)
        at = book.now()
        if (trouble := await self._interlocks.violated(target, terms.interlocks)) is not None:
            await self._note(entry, principal, f"approval refused: {trouble.detail}")
            raise Refused(409, trouble.detail)
        limit = entry.command.expires_at if entry.good_for is None else later(book.now(), entry.good_for)
        return await self._settle(entry, State.QUEUED, principal, f"approved by {principal}", limit, at)

    def principal(self, authorization: str) -> str:
        """Who has an Authorization header. Raises Refused where nobody has."""
        principal = self._book.policy.principal_of(authorization)
        if principal is None:
            metrics.commands_unauthorized.inc()
            _LOG.warning("a command or an approval without a token that anybody has")
            raise Refused(401, "commands need a bearer token of somebody who may give them")
        return principal

    def _draft(self, submission: Submission, asked: Asked, target: CommandTarget, name: str, principal: str) -> Draft:
        terms = self._book.policy.terms(target.group, name)
        at = self._book.now()
        identity = str(uuid.uuid4())
        limit = asked.expires_at or later(at, terms.expires)
        command = Command(identity, asked.key or submission.key or identity, target, name, asked.value, at, limit)
        if not terms.critical:
            return Draft(Entry(command, principal, at, State.QUEUED, at, limit), terms)
        approve_by = later(at, terms.approval_within)
        good_for = None if asked.expires_at else terms.expires
        deadline = approve_by if good_for is not None else min(approve_by, limit)
        return Draft(Entry(command, principal, at, State.AWAITING, at, deadline, good_for), terms)

    async def _check(self, submission: Submission, draft: Draft) -> None:
        """Raises Refused where a command may not be given now."""
        command, terms, principal = draft.entry.command, draft.terms, draft.entry.principal
        target = command.target
        if not self._book.policy.permits(principal, target.tenant, target.group, command.name):
            raise Refused(403, f"{principal} has no permission for {command.name} of {target.group}")
        if submission.foreign and not terms.shared:
            hops = ", ".join(submission.foreign)
            raise Refused(403, f"{command.name} is not shared with other brokers: it came by way of {hops}")
        if await self._performed(lambda connection: _former(connection, command)) is not None:
            return
        if command.expires_at <= command.issued_at:
            raise Refused(400, f"{command.name}.expiresAt: is past")
        if command.expires_at > later(command.issued_at, terms.longest):
            raise Refused(400, f"{command.name}.expiresAt: is more than {terms.longest:g} s ahead")
        if (trouble := await self._interlocks.violated(target, terms.interlocks)) is not None:
            raise Refused(409, trouble.detail)

    async def _take(self, drafts: Sequence[Draft]) -> tuple[Entry, ...]:
        at = self._book.now()

        def work(connection: sqlite3.Connection) -> list[Entry]:
            if seconds_between(drafts[0].entry.command.issued_at, self._book.now()) > DECIDE_SECONDS:
                raise Refused(503, "the decision took too long; nothing was done")
            return [_taken(connection, draft, at) for draft in drafts]

        try:
            entries = await self._book.journal.transact(work, durable=True)
        except JournalFailed as error:
            _LOG.error("commands cannot be put on disk: %s", error)
            raise Refused(503, "the command cannot be put on disk") from error
        for entry in entries:
            self._carrying.kick(place_of(entry.command.target))
        self._book.written()
        return tuple(entries)

    async def _refuse(self, entry: Entry, refusal: Refused) -> None:
        """Put a refusal on record. It is one also where that fails."""
        refused = replace(entry, state=State.REFUSED, deadline=None)
        command = entry.command
        said = {"status": refusal.status, "detail": refusal.detail}
        _LOG.warning(
            "command %s of %s by %s refused: %s",
            command.name,
            command.target.entity_id,
            entry.principal,
            refusal.detail,
        )
        try:
            await self._book.journal.transact(lambda connection: record.add(connection, refused, said), durable=True)
        except JournalFailed as error:
            _LOG.error("a refusal cannot be put on disk: %s", error)

    async def _note(self, entry: Entry, who: str, info: Any) -> None:
        at = self._book.now()
        await self._transacted(lambda connection: record.note(connection, entry.command.id, at, entry.state, who, info))

    async def _settle(
        self, entry: Entry, state: State, who: str, info: str, limit: str | None, decided_at: str | None = None
    ) -> Entry:
        """End the waiting of a command for its approval. `decided_at`: just before its interlocks were read.

        Raises Refused where it does not wait any more.
        """
        at = self._book.now()

        def work(connection: sqlite3.Connection) -> Entry | None:
            current = record.find(connection, entry.command.id)
            if current is None or (current.deadline or "") <= at:
                return None
            done = record.step(
                connection,
                entry.command.id,
                {State.AWAITING},
                state,
                at,
                who=who,
                info=info,
                expires_at=limit,
                deadline=limit,
                decided_at=decided_at,
            )
            return record.find(connection, entry.command.id) if done else None

        found = await self._transacted(work)
        if found is None:
            raise Refused(409, "the command does not wait for an approval, or not any more")
        self._carrying.kick(place_of(entry.command.target))
        self._book.written()
        return found

    async def _performed(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._book.journal.perform(work)
        except JournalFailed as error:
            raise Refused(503, "the record of commands cannot be read") from error

    async def _transacted(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._book.journal.transact(work, durable=True)
        except JournalFailed as error:
            raise Refused(503, "the record of commands cannot be written") from error


def _taken(connection: sqlite3.Connection, draft: Draft, at: str) -> Entry:
    """A command put on record, or the one that was taken under its key before."""
    command, target = draft.entry.command, draft.entry.command.target
    if (former := _former(connection, command)) is not None:
        return former
    others = record.open_of_device(connection, *place_of(target))
    if len(others) >= MOST_OPEN:
        raise Refused(429, f"{len(others)} commands of this device are under way")
    for other in others if draft.terms.supersedes else ():
        if other.command.name == command.name and other.command.target.entity_id == target.entity_id:
            record.step(connection, other.command.id, UNSENT, State.ERROR, at, info=f"superseded by {command.key}")
    info = "waits for approval" if draft.terms.critical else "accepted"
    return record.add(connection, draft.entry, info)


def _former(connection: sqlite3.Connection, command: Command) -> Entry | None:
    """The command that was taken under the same key. Raises Refused where it was another one."""
    target = command.target
    former = record.find_key(connection, target.tenant, target.entity_id, command.name, command.key)
    # As texts: to Python, true is 1.
    if former is not None and _text(former.command.value) != _text(command.value):
        raise Refused(409, f"{command.name}: {command.key!r} is the commandId of another command, with another value")
    return former


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
