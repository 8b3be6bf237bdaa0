"""Commands at work: the desk, its door, the broker's registrations and what it is told, for as long as a runner is let."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from aiohttp import web

from adapters.actuation import record
from adapters.actuation.contract import InvalidTarget
from adapters.actuation.desk import Desk
from adapters.actuation.interlock import Interlocks
from adapters.actuation.keeping import keep
from adapters.actuation.origin import Origin
from adapters.actuation.policy import Policy
from adapters.actuation.reception import reception
from adapters.actuation.record import Entry, State
from adapters.actuation.registering import Registering
from adapters.actuation.telling import tell
from adapters.errors import InvalidFeeds
from adapters.journal import Journal
from adapters.lorawan.downlinks import DownlinkCarrier
from adapters.lorawan.fleet import CARRIER, Fleet
from adapters.working import Clients

ServeWeb = Callable[[web.Application, str, int, AsyncExitStack], Awaitable[str]]
Endless = Callable[[str, Callable[[], Awaitable[None]]], "asyncio.Task[None]"]


class Commands:
    """All of it, and the URL of the door."""

    def __init__(self, desk: Desk, registering: Registering, origin: Origin, url: str) -> None:
        self.desk = desk
        self.registering = registering
        self.origin = origin
        self.url = url


@asynccontextmanager
async def commands_at_work(
    journal: Journal,
    policy: Policy,
    fleets: Sequence[Fleet],
    broker_url: str,
    clients: Clients,
    serve_web: ServeWeb,
    endless: Endless,
) -> AsyncIterator[Commands]:
    """Take commands and carry them, until left. Raises InvalidFeeds where the port is taken, JournalFailed."""
    async with AsyncExitStack() as stack:
        interlocks = Interlocks(broker_url, policy.settings.context)
        stack.push_async_callback(interlocks.close)
        desk = Desk(journal, policy, interlocks)
        await desk.open([fleet.carrier for fleet in fleets])
        stack.push_async_callback(desk.close)
        origin = Origin(broker_url, policy.settings.own_hops)
        bound = await serve_web(reception(desk, origin), policy.settings.host, policy.settings.port, stack)
        url = policy.settings.url.rstrip("/") or bound
        registering = Registering(desk, clients, url)
        tasks = [
            endless("clock of commands", desk.watch_the_clock),
            endless("telling of commands", lambda: tell(desk.book, clients)),
            endless("registrations of commands", registering.follow),
            endless("record of commands", lambda: keep(desk.book)),
        ]
        sent = await journal.perform(_may_be_queued)
        for fleet in fleets:
            carrier = DownlinkCarrier(fleet, journal.identity)
            carrier.expect(each.command for each in sent if each.command.target.carrier == fleet.carrier)
            desk.carriers({fleet.carrier: carrier})
            tasks.append(endless(f"downlinks of {fleet.name}", partial(carrier.run, desk)))
        try:
            await _announce(desk, fleets)
            yield Commands(desk, registering, origin, url)
        finally:
            await desk.close()  # first: who carries still can
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _may_be_queued(connection: sqlite3.Connection) -> list[Entry]:
    """The commands that a network may keep for their devices, in the order in which they were given."""
    found = [
        each for state in (State.SENT, State.DELIVERED, State.UNSURE) for each in record.in_state(connection, state)
    ]
    return sorted(found, key=lambda each: each.command.issued_at)


async def _announce(desk: Desk, fleets: Sequence[Fleet]) -> None:
    """Announce the devices of fleets, and withdraw those that are no longer in the file. Raises InvalidFeeds."""
    named = {fleet.carrier for fleet in fleets}
    gone = {target.carrier for target in desk.book.targets.all() if target.carrier.startswith(CARRIER)} - named
    for carrier in gone:
        await desk.announce_all(carrier, ())
    for fleet in fleets:
        try:
            await desk.announce_all(fleet.carrier, fleet.targets)
        except InvalidTarget as error:
            raise InvalidFeeds(f"[lorawan.{fleet.name}]: {error}") from error
