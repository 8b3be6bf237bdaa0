"""Telling the broker what becomes of commands: `{command}_status` and `{command}_info`, each event once, in order, for certain.

What is to be told is on disk with the event itself, and goes from there when the broker has it. What the broker refuses, because
a token has run out or a model has no such attribute, is told again in growing pauses until it takes it: the outcome of a
command is never lost. The attributes of the state of things, and the command's own, are never written here.
"""

import asyncio
import json
import logging
import sqlite3
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from adapters import metrics
from adapters.actuation import outbox
from adapters.actuation.book import Book, seconds_between
from adapters.actuation.outbox import place_of_event
from adapters.actuation.record import Event, State, status_of
from adapters.actuation.targets import Place
from adapters.contract import Entity
from adapters.errors import AdapterError, BrokerRefused
from adapters.ngsild_client import NgsiLdClient
from adapters.wire import to_wire
from adapters.working import Clients
from datamodels import models

MOST: Final = 100
AGAIN_SECONDS: Final = 2.0
SHORTEST: Final = 0.05
LONGEST_INFO: Final = 16 * 1024
"""Characters of a result that the broker is told."""

_WORDS: Final = {State.QUEUED: "accepted", State.OK: "done", State.DELIVERED: "delivered"}
_LOG: Final = logging.getLogger(__name__)


async def tell(book: Book, clients: Clients) -> None:
    """Tell the broker, for ever. A broker that is away is told later."""
    while True:
        book.news.clear()
        try:
            while await tell_some(book, clients):
                pass
            again_at = await book.journal.perform(outbox.next_attempt)
        except AdapterError as error:
            _LOG.warning("the broker cannot be told of commands: %s", error)
            await asyncio.sleep(AGAIN_SECONDS)
            continue
        try:
            async with asyncio.timeout(None if again_at is None else pause_until(again_at, book.now())):
                await book.news.wait()
        except TimeoutError:
            continue


def pause_until(again_at: str, now: str) -> float:
    """Seconds to an instant: some, and not for ever where a clock was set back."""
    return min(max(seconds_between(now, again_at), SHORTEST), outbox.LONGEST_PAUSE)


async def tell_some(book: Book, clients: Clients) -> int:
    """Tell the broker of the oldest events it does not know; how many, those that it refused among them.

    Raises BrokerUnreachable, JournalFailed.
    """
    at = book.now()

    def look(connection: sqlite3.Connection) -> tuple[list[Event], dict[Place, int]]:
        found = outbox.untold(connection, MOST, at)
        return found, outbox.attempts(connection, found)

    events, attempts = await book.journal.perform(look)
    held: set[Place] = set()
    for group in rounds(events):
        # What comes after what was refused waits, too.
        group = [each for each in group if place_of_event(each) not in held]
        if not group:
            continue
        client = await clients.of(group[0].entry.command.target.tenant or None)
        # The same again after a crash, and another request after a refusal: a broker may have kept that under its key.
        attempt = max(attempts.get(place_of_event(each), 0) for each in group)
        key = f"{book.journal.identity}/commands/{group[0].number}-{group[-1].number}/{attempt}"
        reasons = await _told(client, key, group)
        held |= reasons.keys()
        refused = await book.journal.transact(partial(_note, group=group, reasons=reasons, at=book.now()))
        metrics.commands_refused_by_broker.set(refused)
    return len(events)


def _note(connection: sqlite3.Connection, *, group: Sequence[Event], reasons: Mapping[Place, str], at: str) -> int:
    """Put on record what became of it; how many entities the broker refuses now."""
    outbox.told(connection, [each for each in group if place_of_event(each) not in reasons])
    for (tenant, entity_id), reason in reasons.items():
        made = outbox.refused(connection, tenant, entity_id, reason, at)
        _LOG.log(
            logging.ERROR if made.attempts == 1 else logging.INFO,
            "the broker would not be told what became of a command of %s (attempt %d, again at %s): %s",
            *(entity_id, made.attempts, made.again_at, reason),
        )
    return outbox.count_refusals(connection)


def rounds(events: Sequence[Event]) -> list[list[Event]]:
    """The events in groups that can be told at once: of one tenant, and of each entity one, so that none hides another."""
    groups: list[list[Event]] = []
    place: dict[tuple[str, str], int] = {}
    open_of: dict[str, list[int]] = {}
    for event in events:
        target = event.entry.command.target
        after = place.get((target.tenant, target.entity_id), -1)
        number = next((each for each in open_of.setdefault(target.tenant, []) if each > after), None)
        if number is None:
            groups.append([])
            number = len(groups) - 1
            open_of[target.tenant].append(number)
        groups[number].append(event)
        place[target.tenant, target.entity_id] = number
    return groups


async def _told(client: NgsiLdClient, key: str, group: Sequence[Event]) -> dict[Place, str]:
    """Why the broker would not be told, by the entities of which it would not."""
    try:
        refused = await _upserted(client, [status_entity(each) for each in group], key)
    except BrokerRefused as refusal:  # whoever asks: the same for all, and for a plainer form of it
        return {place_of_event(event): str(refusal) for event in group}
    reasons: dict[Place, str] = {}
    for event in group:
        if (reason := refused.get(event.entry.command.target.entity_id)) is None:
            continue
        try:
            again = await _upserted(client, [status_entity(event, plain=True)], f"{key}/{event.number}/plain")
        except BrokerRefused as refusal:
            again = {event.entry.command.target.entity_id: str(refusal)}
        if again:
            reasons[place_of_event(event)] = next(iter(again.values()))
        else:
            _LOG.error("the broker would not have what a device said of command %s: %s", event.entry.command.id, reason)
    return reasons


async def _upserted(client: NgsiLdClient, entities: Sequence[Entity], key: str) -> dict[str, str]:
    """Why the broker would not have some of them, by id. Raises BrokerRefused where it is not for what they say."""
    try:
        return await client.upsert(entities, key=key)
    except BrokerRefused as refusal:
        if not refusal.of_body:
            raise
        if len(entities) == 1:
            return {entities[0]["id"]: str(refusal)}
    refused: dict[str, str] = {}
    for number, entity in enumerate(entities):
        refused |= await _upserted(client, [entity], f"{key}/{number}")
    return refused


def status_entity(event: Event, *, plain: bool = False) -> Entity:
    """The part of an entity that says what became of a command. `plain`: without the device's own words."""
    command = event.entry.command
    target = command.target
    about = {"commandId": {"type": "Property", "value": command.key}}
    words = _WORDS.get(event.state, str(event.state))
    info = words if plain or event.info is None else _bounded(event.info)
    entity = {
        "id": target.entity_id,
        "type": target.entity_type,
        f"{command.name}_status": {
            "type": "Property", "value": status_of(event.state), "observedAt": event.at, **about,
        },
        f"{command.name}_info": {"type": "Property", "value": info, "observedAt": event.at, **about},
    }  # fmt: skip
    return to_wire(entity, models().get(target.entity_type))


def _bounded(info: Any) -> Any:
    text = json.dumps(info, ensure_ascii=False)
    return info if len(text) <= LONGEST_INFO else text[:LONGEST_INFO]
