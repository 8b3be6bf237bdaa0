"""How a snapshot gets its content (5.16.1.4, 5.16.2.4): results of queries, or another snapshot, copied into a space of its own.

Everything is read and written page by page, so that a snapshot may be larger than memory. Entities go through the writer, as they
were: with their createdAt and modifiedAt, as changes of the kind `entityLoaded`, of which nobody is notified and which are not
recorded. The history has what the temporal queries bring and nothing else. All of it may be done twice: where the store fails
in the middle, a query is executed again from its beginning.

Decisions where the standard leaves room:

* `pick`, `omit`, `attrs` and `datasetId` say what of an entity is part of the result, so the rest is not stored. `join` brings
  the linked entities, stored as the entities that they are. `lang`, `ordering` and aggregation only shape an answer: no effect.
* An entity that several queries find has the attributes of all their results; where two have the same instance, the later one
  counts.
* An entity or an attribute that expires (4.22) does so in a snapshot, too.
* What a query had brought before it failed stays, if another query has a result; else the space is left empty.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final

from broker.delivery.course import pause_after
from broker.errors import InternalError, NgsiLdError, StoreUnavailable
from broker.model.change import Change
from broker.model.entity import Entity, Instance, JsonObject, dataset_of
from broker.model.representation import View, flatten
from broker.model.snapshot import result_details, status_of
from broker.model.terms import NONE_DATASET
from broker.operations.broker import Broker
from broker.operations.evolutions import matching_instances
from broker.operations.snapshot_queries import SnapshotQuery, entity_queries, temporal_queries
from broker.operations.temporal import history_caught_up
from broker.operations.temporal_request import TemporalRequest
from broker.query.ast import EntityQuery
from broker.store.linked import linked_entities, resolve_linked
from broker.store.protocol import Evolution, HistoryEntry, HistoryQuery, Page, Span
from broker.temporal.pages import instance_pages

STRIDE: Final = 200
"""Entities, or evolutions, that are copied at a time: other writers get their turn in between."""
LONGEST_PAUSE: Final = 10.0
"""Seconds between two attempts while the store is not available."""

_LOG: Final = logging.getLogger(__name__)


class Superseded(Exception):
    """The snapshot is gone, or its preparation was taken up by somebody else: there is no use in going on."""


class Filling:
    """The filling of one space. `check` is called before each page and raises Superseded where there is no use in it."""

    def __init__(self, broker: Broker, space: str, check: Callable[[], Awaitable[None]]) -> None:
        self._broker = broker
        self._space = space
        self._check = check

    async def from_queries(self, tenant: str, document: JsonObject) -> JsonObject:
        """Execute the queries of a stored snapshot one after the other; its status and details (5.16.1.4)."""
        now = self._broker.now()
        entities = [
            await self._executed(lambda ready=ready: self._entities(tenant, ready()))  # type: ignore[misc]
            for ready in entity_queries(document, now)
        ]
        evolutions = [
            await self._executed(lambda ready=ready: self._evolutions(tenant, ready()))  # type: ignore[misc]
            for ready in temporal_queries(document, now)
        ]
        outcome: JsonObject = {"snapshotStatus": status_of([*entities, *evolutions])}
        for member, details in (("snapshotQueriesDetails", entities), ("snapshotTemporalQueriesDetails", evolutions)):
            if details:
                outcome[member] = details
        return outcome

    async def from_space(self, source: str, check_source: Callable[[], Awaitable[None]]) -> JsonObject:
        """Copy all entities and evolutions of another snapshot's space; the status (5.16.2.4).

        `check_source` is called at the end and raises where the other snapshot is gone, so that not all of it may be here.
        """

        async def copied() -> bool:
            everything = SnapshotQuery(EntityQuery(now=self._broker.now()), View(), ())
            await self._entities(source, everything)
            await self._whole_history(source)
            await check_source()
            return True

        return {"snapshotStatus": (await self._executed(copied))["resultStatus"]}

    async def _executed(self, query: Callable[[], Awaitable[bool]]) -> JsonObject:
        """Execute a query, again while the store is not available; the details of its result (5.2.42)."""
        failures = 0
        while True:
            try:
                return result_details("success" if await query() else "empty")
            except StoreUnavailable as error:
                failures += 1
                _LOG.warning("the content of a snapshot waits for the store", extra={"detail": error.detail})
                await asyncio.sleep(min(pause_after(failures), LONGEST_PAUSE))
            except NgsiLdError as error:
                return result_details("failure", error)
            except Superseded:
                raise
            except Exception:  # noqa: BLE001 - whatever it is, it is the result of this query only
                _LOG.exception("a query of a snapshot failed")
                fault = InternalError("the query failed unexpectedly; the broker's log says why")
                return result_details("failure", fault)

    # --- entities

    async def _entities(self, tenant: str, wanted: SnapshotQuery) -> bool:
        """Copy what a query finds; whether it found anything."""
        store, view = self._broker.store, wanted.view
        query = replace(await resolve_linked(store, tenant, wanted.query), ordering=None)
        after: str | None = None
        while True:
            await self._check()
            window = await store.query(tenant, query, Page(STRIDE, after=after))
            parts = [(entity, view) for entity in window.entities]
            if view.join is not None and window.entities:
                now = self._broker.now()
                linked = await linked_entities(store, tenant, window.entities, view, now, wanted.contained_by)
                parts = flatten(window.entities, view, linked)
            for place in range(0, len(parts), STRIDE):
                await self._load([projected(*part) for part in parts[place : place + STRIDE]])
            if window.entities:
                after = window.entities[-1]["id"]
            if not window.more:
                return after is not None

    async def _load(self, states: Sequence[Entity]) -> None:
        now = self._broker.now()
        requests = [(state["id"], loading(self._space, state, now)) for state in states]
        for outcome in await self._broker.writer.write_many(self._space, requests):
            if isinstance(outcome, NgsiLdError):
                raise outcome

    # --- history

    async def _evolutions(self, tenant: str, request: TemporalRequest) -> bool:
        """Copy the instances that a temporal query finds; whether it found any."""
        found = False
        async for evolution, entries in matching_instances(self._broker, tenant, request):
            await self._record(evolution, entries)
            found = True
        return found

    async def _whole_history(self, source: str) -> None:
        store = self._broker.store
        await history_caught_up(self._broker)
        after: str | None = None
        while evolutions := await store.evolutions(source, (), STRIDE, after=after):
            for evolution in evolutions:
                await self._record(evolution, ())
                query = HistoryQuery((Span(evolution.entity_id),))
                async for entries in instance_pages(store, source, query):
                    await self._record(evolution, entries)
            after = evolutions[-1].entity_id

    async def _record(self, evolution: Evolution, entries: Sequence[HistoryEntry]) -> None:
        await self._check()
        copies = [entry._replace(tenant=self._space) for entry in entries]
        await self._broker.store.append_history(copies, None, [replace(evolution, tenant=self._space)])


def projected(entity: Entity, view: View) -> Entity:
    """What of an entity a query asks for (4.21, 4.5.5): all of it, or some of its attributes and instances."""
    projection, datasets = view.projection, view.dataset_ids
    if projection is None and datasets is None:
        return entity
    attrs: dict[str, list[Instance]] = {}
    for iri, instances in entity["attrs"].items():
        if projection is not None and not projection.keeps(iri):
            continue
        kept = [each for each in instances if datasets is None or each.get("datasetId", NONE_DATASET) in datasets]
        if kept:
            attrs[iri] = kept
    part: Entity = {**entity, "attrs": attrs}
    if projection is not None and not projection.keeps_member("scope"):
        part.pop("scope", None)
    return part


def loading(space: str, state: Entity, now: str) -> Callable[[Entity | None], Change | None]:
    """The decision to put a state in place, together with what another query has brought of the same entity."""

    def decide(current: Entity | None) -> Change | None:
        after: Entity = {**state, "version": 1}
        if current is not None:
            after = {**_joined(current, state), "version": current["version"]}
            if after == current:
                return None
            after["version"] += 1
        return Change(space, state["id"], "entityLoaded", now, (), None, after)

    return decide


def _joined(current: Entity, newer: Entity) -> Entity:
    attrs = dict(current["attrs"])
    for iri, instances in newer["attrs"].items():
        known = {dataset_of(instance): instance for instance in attrs.get(iri, ())}
        attrs[iri] = list((known | {dataset_of(instance): instance for instance in instances}).values())
    joined: Entity = {**current, **newer, "attrs": attrs}
    joined["modifiedAt"] = max(current["modifiedAt"], newer["modifiedAt"])
    return joined
