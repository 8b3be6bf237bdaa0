"""Telling the broker what becomes of commands: `{command}_status` and `{command}_info`, each event once, in order, for certain.

What is to be told is on disk with the event itself, and goes from there when the broker has it. The attributes of the state of
things, and the command's own, are never written here.
"""

import asyncio
import json
import logging
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from adapters.actuation import record
from adapters.actuation.book import Book
from adapters.actuation.record import Event, State, status_of
from adapters.contract import Entity
from adapters.errors import AdapterError, BrokerRefused
from adapters.ngsild_client import NgsiLdClient
from adapters.wire import to_wire
from adapters.working import Clients
from datamodels import models

MOST: Final = 100
AGAIN_SECONDS: Final = 2.0
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
        except AdapterError as error:
            _LOG.warning("the broker cannot be told of commands: %s", error)
            await asyncio.sleep(AGAIN_SECONDS)
            continue
        await book.news.wait()


async def tell_some(book: Book, clients: Clients) -> int:
    """Tell the broker of the oldest events it does not know; how many. Raises BrokerUnreachable, JournalFailed."""
    events = await book.journal.perform(lambda connection: record.untold(connection, MOST))
    for group in rounds(events):
        client = await clients.of(group[0].entry.command.target.tenant or None)
        await _told(client, book.journal.identity, group)

        def done(connection: sqlite3.Connection, numbers: Sequence[int] = tuple(each.number for each in group)) -> None:
            record.told(connection, numbers)

        await book.journal.transact(done)
    return len(events)


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


async def _told(client: NgsiLdClient, identity: str, group: Sequence[Event]) -> None:
    key = f"{identity}/commands/{group[0].number}-{group[-1].number}"
    refused = await _upserted(client, [status_entity(each) for each in group], key)
    for event in group:
        if (reason := refused.get(event.entry.command.target.entity_id)) is None:
            continue
        plain = status_entity(event, plain=True)
        again = await _upserted(client, [plain], f"{key}/{event.number}/plain")
        _LOG.error("the broker would not have what became of command %s: %s", event.entry.command.id, reason)
        if again:
            _LOG.error("the broker does not know the status of command %s: %s", event.entry.command.id, again)


async def _upserted(client: NgsiLdClient, entities: Sequence[Entity], key: str) -> dict[str, str]:
    try:
        return await client.upsert(entities, key=key)
    except BrokerRefused as refusal:
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
