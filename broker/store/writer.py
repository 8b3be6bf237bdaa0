"""The group committer (design §4): all entity writes of this process go through one `EntityWriter`.

What arrives while a commit is under way is committed together next, without timers: one batch at a time, each one read
and one commit, however many callers it has. Under load, a batch also takes along what is on its way through the event loop:
clients that ask again as soon as they are answered would else make two batches that take turns, each half as large. A batch is
decided on the states in order of arrival, so several writes to one entity build on each other and never conflict with
themselves. Point reads are gathered in the same way.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Sequence, Sized
from typing import Final, TypeAlias, TypeVar, cast

from broker import metrics
from broker.errors import Conflict, NgsiLdError, StoreUnavailable, TooManyWrites
from broker.model.change import Change
from broker.model.entity import Entity
from broker.model.instants import is_past
from broker.store.plan import Decision, Outcome, Plan, Record, Request, decide_all, middle_of
from broker.store.protocol import (
    DocumentExists,
    EntityKey,
    OutcomeUnknown,
    Store,
    VersionConflict,
)

Judge: TypeAlias = Callable[[str, Decision], Decision]
"""Given a tenant and a decision of a caller, the decision that is to be made instead: one that also refuses some outcomes.
What expires by itself is not judged."""

T = TypeVar("T")
_Reads: TypeAlias = dict[EntityKey, list[asyncio.Future[Entity | None]]]

ATTEMPTS: Final = 8
"""How often a batch is tried while other processes write the same entities at the same time."""
LONGEST_PAUSE: Final = 0.05
"""Seconds between such attempts: pauses grow up to it and are jittered."""
DOUBT_SECONDS: Final = 30.0
"""How long a batch tries to find out whether a commit was written, once the store did not tell: time for a failover."""
OVERDUE_SECONDS: Final = 5.0
"""How long others wait for the batch under way before they are refused: it is the store that has a problem then."""
LOG_STRIDE: Final = 1_000
"""Changes that are read from the log at a time."""
QUIET_ROUNDS: Final = 4
"""Rounds of the event loop without a further request after which a batch waits for no more: it takes about three from the bytes
of a request to its place in the batch."""
MOST_ROUNDS: Final = 100
"""Rounds after which it goes whatever comes: some milliseconds."""


class EntityWriter:
    """Commits decisions on entities in groups. Works from its first use until `close`.

    `on_commit` are called with the changes of each commit, right after it is durable and before its callers go on.
    They must be quick.
    """

    def __init__(
        self,
        store: Store,
        now: Callable[[], str],
        *,
        max_batch: int = 1000,
        max_waiting: int = 10_000,
        judge: Judge | None = None,
    ) -> None:
        self.on_commit: list[Callable[[list[Change]], None]] = []
        self._store = store
        self._now = now
        self._judge = judge
        self._max_batch = max_batch
        self._max_waiting = max_waiting
        self._writes: deque[Request] = deque()
        self._under_way: list[Request] = []
        self._reads: _Reads = {}
        self._read_under_way: _Reads = {}
        self._writing: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._many_write = self._many_read = False
        """Whether the last batch had several requests: only then is it worth a look whether more are coming."""
        self._closed = False
        self._overdue = False
        self._seen: int | None = None

    async def write(
        self, tenant: str, entity_id: str, decide: Decision, *, record: Record | None = None
    ) -> Change | None:
        """Commit what `decide` decides on this entity; the change as it stands in the log, None if there was none.

        Raises what `decide` raises, StoreUnavailable (nothing was written), Conflict where other processes kept
        changing the entity, and DocumentExists where the document that `record` adds to the commit is there already.
        """
        (done,) = self._enqueue(tenant, [(entity_id, decide)], record=record)
        return await done

    async def write_many(
        self,
        tenant: str,
        requests: Sequence[tuple[str, Decision]],
        *,
        see_expired: bool = False,
        record: Record | None = None,
    ) -> list[Change | NgsiLdError | None]:
        """Commit many decisions, each for itself, in this order; an outcome or error for each.

        With `see_expired` the decisions are given what has expired, too. With `record` all are in one commit, together
        with its document. Raises DocumentExists.
        """
        queued = self._enqueue(tenant, requests, see_expired, record)
        outcomes = await asyncio.gather(*queued, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not isinstance(outcome, NgsiLdError):
                raise outcome
        return cast(list[Change | NgsiLdError | None], outcomes)

    async def read(self, tenant: str, entity_id: str) -> Entity | None:
        """An entity's state as of now or later, None if there is none or it has expired. Raises StoreUnavailable."""
        self._check_open()
        done: asyncio.Future[Entity | None] = asyncio.get_running_loop().create_future()
        self._reads.setdefault((tenant, entity_id), []).append(done)
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_batches())
            self._reading.add_done_callback(self._reads_ended)
        entity = await done
        return _alive(entity, self._now)

    @property
    def waiting(self) -> int:
        """How many decisions wait for the batch under way."""
        return len(self._writes)

    async def close(self) -> None:
        """Take no more, and finish what is queued."""
        self._closed = True
        under_way = [task for task in (self._writing, self._reading) if task is not None]
        if under_way:
            await asyncio.wait(under_way)

    # reading

    async def _read_batches(self) -> None:
        # A read joins only a batch that is not sent yet, so it sees every write acknowledged before it began.
        while self._reads:
            if self._many_read:
                await _while_more_come(self._reads, self._max_batch)
            batch, self._reads = self._reads, {}
            self._many_read = len(batch) > 1
            self._read_under_way = batch
            try:
                found = await self._store.read(list(batch))
            except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to the callers
                for waiting in batch.values():
                    for done in waiting:
                        _fail(done, error)
                continue
            for key, waiting in batch.items():
                entity = found.get(key)
                for done in waiting:
                    _resolve(done, entity)

    def _reads_ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            for waiting in (*self._read_under_way.values(), *self._reads.values()):
                for done in waiting:
                    done.cancel()
            self._reads.clear()

    # writing

    def _enqueue(
        self,
        tenant: str,
        requests: Sequence[tuple[str, Decision]],
        see_expired: bool = False,
        record: Record | None = None,
    ) -> list[asyncio.Future[Change | None]]:
        self._check_open()
        if self._overdue:
            raise _overdue()
        if self._writes and len(self._writes) + len(requests) > self._max_waiting:
            raise TooManyWrites(f"too much waiting: {len(self._writes)} writes are queued, try again later")
        if self._judge is not None and not see_expired:
            requests = [(entity_id, self._judge(tenant, decide)) for entity_id, decide in requests]
        loop = asyncio.get_running_loop()
        queued = [
            Request((tenant, entity_id), decide, loop.create_future(), see_expired, record)
            for entity_id, decide in requests
        ]
        self._writes.extend(queued)
        if queued and (self._writing is None or self._writing.done()):
            self._writing = asyncio.create_task(self._write_batches())
            self._writing.add_done_callback(self._writes_ended)
        return [request.done for request in queued]

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("the broker is shutting down")

    async def _write_batches(self) -> None:
        loop = asyncio.get_running_loop()
        while self._writes:
            if self._many_write:
                await _while_more_come(self._writes, self._max_batch)
            batch = self._under_way = self._take()
            self._many_write = len(batch) > 1
            patience = loop.call_later(OVERDUE_SECONDS, self._refuse_waiting)
            try:
                outcomes = await self._settle_all(batch)
            finally:
                patience.cancel()
                self._overdue = False
            for request, outcome in zip(batch, outcomes, strict=True):
                if isinstance(outcome, Exception):
                    _fail(request.done, outcome)
                else:
                    _resolve(request.done, outcome)

    def _refuse_waiting(self) -> None:
        """The batch under way takes too long: nothing was done about what waits behind it, and that can be said now."""
        self._overdue = True
        for request in self._writes:
            _fail(request.done, _overdue())
        self._writes.clear()

    def _writes_ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():  # the event loop ends: nobody may wait for ever
            for request in (*self._under_way, *self._writes):
                request.done.cancel()
            self._writes.clear()

    def _take(self) -> list[Request]:
        batch: list[Request] = []
        while self._writes and (len(batch) < self._max_batch or self._writes[0].belongs_to(batch[-1])):
            request = self._writes.popleft()
            if not request.done.done():  # else its caller has gone before anything was done about it
                batch.append(request)
        return batch

    async def _settle_all(self, batch: list[Request]) -> list[Outcome]:
        """An outcome for each request of a batch. One that cannot be committed with others does not spoil theirs."""
        try:
            return await self._settle(batch)
        except StoreUnavailable as error:
            return [error] * len(batch)
        except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to the callers
            middle = middle_of(batch)
            if middle is None:
                return [error] * len(batch)
            return [*await self._settle_all(batch[:middle]), *await self._settle_all(batch[middle:])]

    async def _settle(self, batch: list[Request]) -> list[Outcome]:
        """Decide and commit a batch; once more, on newer states, where another process was there first."""
        if self._seen is None:
            self._seen = await self._store.head()
        keys = list({request.key for request in batch})
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(random.uniform(0, min(LONGEST_PAUSE, 0.002 * 2**attempt)))
            plan = await self._decide(batch, keys)
            if not plan.mutations:
                return plan.outcomes
            try:
                return await self._commit(plan)
            except VersionConflict:
                metrics.commit_conflicts.inc()
            except OutcomeUnknown:
                return await self._settle_doubt(batch, keys, [plan])
        raise Conflict("other writers kept changing the same entities, nothing was written: try again")

    async def _decide(self, batch: list[Request], keys: list[EntityKey]) -> Plan:
        """What a batch comes to, on states that the store recalls, as far as it does: the commit proves that these are true, and
        with them all outcomes. What comes to no commit is decided on states that are read."""
        states, ground = self._store.recall(keys)
        if unknown := [key for key in keys if key not in states]:
            states |= await self._store.read(unknown)
        plan = decide_all(batch, states, self._now(), ground)
        if plan.mutations or len(unknown) == len(keys):
            return plan
        return decide_all(batch, await self._store.read(keys), self._now())

    async def _settle_doubt(self, batch: list[Request], keys: list[EntityKey], plans: list[Plan]) -> list[Outcome]:
        """Go on after commits of which it is not known whether they were written: only their changes in the log tell.

        Where the log has none of them, the batch is tried again. That is safe, because it expects the versions that
        an earlier attempt, if it was written after all, has changed: the store lets one of them through at most.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + DOUBT_SECONDS
        pause = 0.01
        while loop.time() < deadline:
            try:
                states = await self._store.read(keys)  # first, so that what it shows of our own commits is in the log
                if (outcomes := await self._find(plans)) is not None:
                    return outcomes
                plan = decide_all(batch, states, self._now())
                if not plan.mutations:
                    return plan.outcomes
                plans.append(plan)
                return await self._commit(plan)
            except DocumentExists:
                if (outcomes := await self._find(plans)) is not None:  # by an earlier attempt
                    return outcomes
                raise
            except (VersionConflict, StoreUnavailable):
                await asyncio.sleep(random.uniform(pause / 2, pause))
                pause = min(1.0, pause * 2)
        raise OutcomeUnknown("the connection to the store was lost: it is not known whether this was written")

    async def _find(self, plans: list[Plan]) -> list[Outcome] | None:
        """The outcome of that plan whose changes are in the log; a commit is atomic, so all of them are or none."""
        assert self._seen is not None
        after = self._seen
        found: list[list[Change]] = [[] for _ in plans]
        while changes := await self._store.changes(after, LOG_STRIDE):
            after = changes[-1].sequence
            for plan, written in zip(plans, found, strict=True):
                for change in changes:
                    if len(written) == len(plan.mutations):
                        return self._committed(plan, written)
                    if change.committed(0) == plan.mutations[len(written)].change:
                        written.append(change)
        for plan, written in zip(plans, found, strict=True):
            if len(written) == len(plan.mutations):
                return self._committed(plan, written)
        return None

    async def _commit(self, plan: Plan) -> list[Outcome]:
        started = time.perf_counter()
        changes = await self._store.commit(plan.mutations, plan.documents)
        metrics.committed(len(changes), time.perf_counter() - started)
        return self._committed(plan, changes)

    def _committed(self, plan: Plan, changes: list[Change]) -> list[Outcome]:
        self._seen = changes[-1].sequence
        loop = asyncio.get_running_loop()
        for listener in self.on_commit:
            loop.call_soon(listener, changes)  # runs before the callers do, and cannot spoil the batch
        for place, change in zip(plan.places, changes, strict=True):
            if place is not None:
                plan.outcomes[place] = change
        return plan.outcomes


async def _while_more_come(waiting: Sized, most: int) -> None:
    """Let in what has arrived already and is on its way through the event loop, so that it need not wait for the batch after."""
    quiet = 0
    for _ in range(MOST_ROUNDS):
        before = len(waiting)
        await asyncio.sleep(0)
        quiet = 0 if len(waiting) > before else quiet + 1
        if quiet == QUIET_ROUNDS or len(waiting) >= most:
            return


def _alive(entity: Entity | None, now: Callable[[], str]) -> Entity | None:
    """An entity, or None if it has expired (4.22)."""
    if entity is None or "expiresAt" not in entity:
        return entity
    return None if is_past(entity["expiresAt"], now()) else entity


def _overdue() -> StoreUnavailable:
    return StoreUnavailable(
        "the store has not answered the writes before this one: nothing was written, try again later"
    )


def _resolve(done: asyncio.Future[T], outcome: T) -> None:
    if not done.done():
        done.set_result(outcome)


def _fail(done: asyncio.Future[T], error: Exception) -> None:
    if not done.done():
        done.set_exception(error)
