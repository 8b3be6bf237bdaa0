"""The worker of a feed: takes up what has come in, decodes it, brings the broker to what it says, and puts all of it on record.

One group of inputs after the other: a large one alone, small ones that wait together. A broker that is away is waited for; what
it refuses, and what cannot be decoded, goes into the quarantine and keeps nothing else from going on.
"""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from adapters import metrics
from adapters.applying import Applied, Batch, Parts, apply, batches, delete, parts_of
from adapters.contract import Decoded, Entity, Origin, Quarantined, State
from adapters.door import Door, now
from adapters.errors import BrokerUnreachable, Undecodable
from adapters.feeds import Feed
from adapters.journal import Group, Input, Journal
from adapters.ngsild_client import NgsiLdClient
from adapters.provenance import with_provenance
from adapters.quarantine import REFUSED, REPLAY_OF, REPLAYED, WHOLE, settle

MOST_TOGETHER: Final = 200
MOST_BYTES_TOGETHER: Final = 1 << 20
"""Inputs, and bytes of them, that are worked on together."""

IN_A_THREAD: Final = 32 * 1024
"""An input of more bytes is decoded in a thread, so that the loop goes on."""

LONGEST_PAUSE: Final = 30.0
_SHOWN: Final = 64 * 1024
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Result:
    """What one input came to: the decoder's answer, or the reason why there is none."""

    input: Input
    decoded: Decoded
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done for the inputs of a group, by tenant: parts of entities, and ids of entities that are no more."""

    parts: Mapping[str | None, Parts]
    deleted: Mapping[str | None, Sequence[str]]
    withheld: int


class Worker:
    """Works on one feed's inputs. `clients` gives the client of a tenant."""

    def __init__(self, feed: Feed, journal: Journal, door: Door, clients: "Clients") -> None:
        self.feed = feed
        self._journal = journal
        self._door = door
        self._clients = clients

    async def run(self) -> None:
        """Work, for ever."""
        pause = 0.5
        self._door.rung.set()  # begun again after a failure, it goes on with what it left
        while True:
            await self._door.rung.wait()
            self._door.rung.clear()
            try:
                # What comes in from now on rings again.
                while await self.work() and self._door.waiting:
                    pause = 0.5
            except BrokerUnreachable as error:
                metrics.failures.labels(self.feed.name, "unreachable").inc()
                _LOG.warning("feed %s: %s; tried again in %.0f s", self.feed.name, error, pause)
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(pause * 2, LONGEST_PAUSE)
                self._door.rung.set()

    async def work(self) -> bool:
        """Work on the next group; whether there was one. Raises BrokerUnreachable: the group is then taken up again."""
        feed = self.feed
        group = await self._journal.claim(
            feed.name,
            now(),
            most=MOST_TOGETHER if feed.lasting else 1,
            most_bytes=MOST_BYTES_TOGETHER,
            lasting=feed.lasting,
        )
        if group is None:
            return False
        started = time.monotonic()
        results = await self._decode(group)
        work = await asyncio.to_thread(work_of, feed, results) if _is_large(group) else work_of(feed, results)
        applied = await self._apply(group, work)
        counts = counts_of(results) + applied.counts + Counter(withheld=work.withheld)
        message = "; ".join(dict.fromkeys(result.failure for result in results if result.failure))
        await self._settle_replays(results)
        left = await self._journal.finish(
            feed.name,
            group,
            now(),
            results[-1].decoded.state if feed.adapter.stateful else None,
            counts,
            [*held_back(results), *refused(group.inputs[-1], applied)],
            lasting=feed.lasting,
            message=message,
        )
        self._door.left(*left)
        self._tell(group, counts, message, time.monotonic() - started)
        return True

    async def _decode(self, group: Group) -> list[Result]:
        results: list[Result] = []
        state: State = group.state
        for each in group.inputs:
            if len(each.data) > IN_A_THREAD:
                result = await asyncio.to_thread(decode_input, self.feed, each, state)
            else:
                result = decode_input(self.feed, each, state)
            state = result.decoded.state
            results.append(result)
        return results

    async def _apply(self, group: Group, work: Work) -> Applied:
        """Do all of it, what was done before a crash left out. Raises BrokerUnreachable."""
        total = Applied(Counter[str](group.partial.get("counts", {})), dict(group.partial.get("failed", {})))
        first = 0
        for number, tenant in enumerate(sorted({*work.parts, *work.deleted}, key=str)):
            client = await self._clients.of(tenant)
            parts, offset = work.parts.get(tenant, ()), first
            todo = (
                await asyncio.to_thread(batches, parts, in_turn=self.feed.in_turn)
                if _is_large(group)
                else batches(parts, in_turn=self.feed.in_turn)
            )

            async def on_progress(
                done: int, sofar: Applied, todo: Sequence[Batch] = todo, offset: int = offset
            ) -> None:
                partial = {"counts": dict(sofar.counts), "failed": sofar.failed}
                await self._journal.advance(self.feed.name, offset + (todo[done - 1].end if done else 0), partial)

            done = sum(each.end <= group.progress - offset for each in todo)
            watched = on_progress if len(todo) > 1 else _unwatched
            total = await apply(client, todo, f"{group.key}/{number}", done, total, watched)
            total.add(await delete(client, work.deleted.get(tenant, ()), f"{group.key}/{number}"))
            first += todo[-1].end if todo else 0
        return total

    async def _settle_replays(self, results: Sequence[Result]) -> None:
        """What was replayed is out of the quarantine, unless `finish` puts the same record into it again."""
        through = [
            int(result.input.parameters[REPLAY_OF]) for result in results if REPLAY_OF in result.input.parameters
        ]
        if through:
            await settle(self._journal, through, REPLAYED)

    def _tell(self, group: Group, counts: Mapping[str, int], message: str, seconds: float) -> None:
        name = self.feed.name
        for outcome in metrics.RECORDS:
            metrics.records.labels(name, outcome).inc(counts.get(outcome, 0))
        for outcome in metrics.ENTITIES:
            metrics.entities.labels(name, outcome).inc(counts.get(outcome, 0))
        metrics.inputs.labels(name).inc(len(group.inputs))
        metrics.input_bytes.labels(name).inc(sum(len(each.data) for each in group.inputs))
        metrics.group_seconds.labels(name).observe(seconds)
        metrics.last_success.labels(name).set_to_current_time()
        metrics.waiting.labels(name).set(self._door.waiting)
        if message:
            metrics.failures.labels(name, "undecodable").inc()
        level = (
            logging.WARNING if message or counts.get("failed") else logging.DEBUG if self.feed.lasting else logging.INFO
        )
        said = " ".join(f"{key}={value}" for key, value in counts.items() if value)
        _LOG.log(
            level,
            "feed %s: run=%d %s seconds=%.2f%s",
            name,
            group.run,
            said,
            seconds,
            f" ({message})" if message else "",
        )


class Clients:
    """The clients of a runner, one for each tenant."""

    def __init__(self, broker_url: str) -> None:
        self._broker_url = broker_url
        self._clients: dict[str | None, NgsiLdClient] = {}

    async def of(self, tenant: str | None) -> NgsiLdClient:
        """The tenant's client, opened."""
        if tenant not in self._clients:
            client = NgsiLdClient(self._broker_url, tenant=tenant)
            await client.__aenter__()
            self._clients[tenant] = client
        return self._clients[tenant]

    async def close(self) -> None:
        """Close all."""
        for client in self._clients.values():
            await client.__aexit__(None, None, None)
        self._clients.clear()


def decode_input(feed: Feed, each: Input, state: State) -> Result:
    """What a feed's adapter makes of an input. Whatever it raises is a failure of this input alone."""
    origin = Origin(
        feed.source_of(each.address),
        each.received_at,
        each.address,
        each.content_type,
        each.parameters,
        feed.provider,
        feed.licence,
    )
    try:
        decoded = feed.adapter.decode(each.data, origin, feed.options, state)
    except Undecodable as refusal:
        return _undecoded(each, state, str(refusal))
    except Exception as error:  # noqa: BLE001 - somebody else's code; the input goes into the quarantine
        _LOG.exception("feed %s: the adapter %s fails on input %d", feed.name, feed.adapter.name, each.id)
        return _undecoded(each, state, f"The adapter {feed.adapter.name} fails: {type(error).__name__}: {error}")
    entities = tuple(with_provenance(entity, origin) for entity in decoded.entities)
    return Result(each, replace(decoded, entities=entities))


def work_of(feed: Feed, results: Sequence[Result]) -> Work:
    """What the inputs of a group are to do, by tenant. What comes on a channel without tenant is withheld."""
    parts: dict[str | None, list[tuple[Entity, frozenset[str]]]] = {}
    deleted: dict[str | None, list[str]] = {}
    withheld = 0
    for result in results:
        decoded = result.decoded
        if decoded.channel and decoded.channel not in feed.channels:
            withheld += len(decoded.entities) + len(decoded.deleted)
            continue
        tenant = feed.tenant_of(decoded.channel) if decoded.channel or decoded.tenant is None else decoded.tenant
        parts.setdefault(tenant, []).extend(parts_of(decoded.entities, decoded.owned))
        if decoded.deleted:
            deleted.setdefault(tenant, []).extend(decoded.deleted)
    return Work(parts, deleted, withheld)


def counts_of(results: Sequence[Result]) -> Counter[str]:
    """The counts of records, and of entities, that a group has."""
    counts: Counter[str] = Counter(inputs=len(results))
    for result in results:
        decoded = result.decoded
        counts.update(
            records=decoded.records,
            accepted=decoded.accepted,
            repaired=decoded.repaired,
            quarantined=decoded.quarantined,
            repairs=len(decoded.repairs),
            entities=len(decoded.entities),
        )
        counts["undecodable"] += bool(result.failure)
    return counts


def held_back(results: Sequence[Result]) -> list[tuple[int, Quarantined]]:
    """The records of a group that go into the quarantine, with the ids of their inputs."""
    return [(result.input.id, each) for result in results for each in result.decoded.quarantine]


def refused(last: Input, applied: Applied) -> list[tuple[int, Quarantined]]:
    """The entities that the broker would not have, as records of the quarantine."""
    return [
        (last.id, Quarantined(0, entity_id, REFUSED, reason, {"id": entity_id}))
        for entity_id, reason in applied.failed.items()
    ]


def _is_large(group: Group) -> bool:
    return sum(len(each.data) for each in group.inputs) > IN_A_THREAD


def _undecoded(each: Input, state: State, reason: str) -> Result:
    record: dict[str, Any] = {"address": each.address, "sha256": each.sha256, "size": len(each.data)}
    if len(each.data) <= _SHOWN:
        record["text"] = each.data.decode("utf-8", "replace")
    quarantined = Quarantined(0, "", WHOLE, reason, record)
    return Result(each, Decoded(1, quarantine=(quarantined,), state=state), reason)


async def _unwatched(done: int, sofar: Applied) -> None:
    """One batch needs no progress on record: the group is repeated as a whole."""
