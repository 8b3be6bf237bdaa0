"""Commands at work: the desk, its door, the broker's registrations and what it is told, for as long as a runner is let."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import web

from adapters.actuation.desk import Desk
from adapters.actuation.interlock import Interlocks
from adapters.actuation.policy import Policy
from adapters.actuation.reception import reception
from adapters.actuation.registering import Registering
from adapters.actuation.telling import tell
from adapters.journal import Journal
from adapters.working import Clients

ServeWeb = Callable[[web.Application, str, int, AsyncExitStack], Awaitable[str]]
Endless = Callable[[str, Callable[[], Awaitable[None]]], "asyncio.Task[None]"]


class Commands:
    """All of it, and the URL of the door."""

    def __init__(self, desk: Desk, registering: Registering, url: str) -> None:
        self.desk = desk
        self.registering = registering
        self.url = url


@asynccontextmanager
async def commands_at_work(
    journal: Journal, policy: Policy, broker_url: str, clients: Clients, serve_web: ServeWeb, endless: Endless
) -> AsyncIterator[Commands]:
    """Take commands and carry them, until left. Raises InvalidFeeds where the port is taken, JournalFailed."""
    async with AsyncExitStack() as stack:
        interlocks = Interlocks(broker_url, policy.settings.context)
        stack.push_async_callback(interlocks.close)
        desk = Desk(journal, policy, interlocks)
        await desk.open()
        stack.push_async_callback(desk.close)
        bound = await serve_web(reception(desk), policy.settings.host, policy.settings.port, stack)
        url = policy.settings.url.rstrip("/") or bound
        registering = Registering(desk, clients, url)
        tasks = [
            endless("clock of commands", desk.watch_the_clock),
            endless("telling of commands", lambda: tell(desk.book, clients)),
            endless("registrations of commands", registering.follow),
        ]
        try:
            yield Commands(desk, registering, url)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
