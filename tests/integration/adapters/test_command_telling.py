"""Telling the broker what became of commands where it refuses: nothing is lost, nothing overtakes, and it is seen."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from command_desk import a_policy, a_target

from adapters.actuation import outbox, record
from adapters.actuation.book import Book
from adapters.actuation.contract import Command
from adapters.actuation.record import Entry, State
from adapters.actuation.schema import SCHEMA
from adapters.actuation.telling import tell_some
from adapters.feeds import Feeds, RunnerSettings
from adapters.journal import Journal
from adapters.metrics import REGISTRY
from adapters.status import command_status
from adapters.working import Clients

UNTIL = "2030-01-01T00:00:00.000Z"


class Strict:
    """A broker that takes upserts, or refuses them: all by a status, or (in a 207) those of some entities."""

    def __init__(self):
        self.status = 204
        self.unwanted = set()
        self.told = []
        self.keys = []
        self.asked = 0

    @asynccontextmanager
    async def serving(self):
        application = web.Application()
        application.router.add_post("/ngsi-ld/v1/entityOperations/upsert", self._upsert)
        server = web.AppRunner(application)
        await server.setup()
        await web.TCPSite(server, "127.0.0.1", 0).start()
        clients = Clients(f"http://127.0.0.1:{server.addresses[0][1]}")
        try:
            yield clients
        finally:
            await clients.close()
            await server.cleanup()

    async def _upsert(self, request):
        self.asked += 1
        self.keys.append(request.headers["Idempotency-Key"])
        if self.status != 204:
            return web.json_response({"title": "Forbidden", "detail": "the token has run out"}, status=self.status)
        errors = []
        for entity in await request.json():
            if entity["id"] in self.unwanted:
                errors.append({"entityId": entity["id"], "error": {"detail": "no such attribute", "status": 403}})
            else:
                self.told.append((entity["id"][-1], entity["open_status"]["value"]))
        return web.json_response({"success": [], "errors": errors}, status=207) if errors else web.Response(status=204)


class Clock:
    def __init__(self):
        self.at = datetime(2026, 6, 30, 5, 20, tzinfo=UTC)

    def __call__(self):
        return self.at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{self.at.microsecond // 1000:03d}Z"

    def wait(self, seconds):
        self.at += timedelta(seconds=seconds)


@asynccontextmanager
async def a_book(folder, clock):
    async with await Journal.open(folder) as journal:
        await journal.perform(lambda connection: connection.executescript(SCHEMA))
        yield Book(journal, a_policy(), clock)


async def given(book, number, entity=1, *, end=State.OK):
    """A command and its end: two events."""
    at, target = book.now(), a_target(entity)
    command = Command(f"c{number}", f"k{number}", target, "open", number, at, UNTIL)

    def work(connection):
        record.add(connection, Entry(command, "office", at, State.QUEUED, at, UNTIL), "accepted")
        record.step(connection, command.id, {State.QUEUED}, end, at, info="said")

    await book.journal.transact(work)


async def tell_all(book, clients):
    while await tell_some(book, clients):
        pass


async def left(book):
    return (await book.journal.perform(record.counts))[1]


@pytest.mark.parametrize("status", [401, 403])
async def test_rule_7_what_a_broker_refuses_for_want_of_a_permission_is_told_in_growing_pauses(tmp_path, status):
    broker, clock = Strict(), Clock()
    async with broker.serving() as clients:
        async with a_book(tmp_path, clock) as book:
            for number in range(1, 4):
                await given(book, number, entity=number)
            broker.status = status
            await tell_all(book, clients)
            assert broker.asked == 1, "it is the same for all of them, and asked once"
            assert await left(book) == 6
            pauses = []
            for _ in range(12):
                again_at = await book.journal.perform(outbox.next_attempt)
                pauses.append((datetime.fromisoformat(again_at) - clock.at).total_seconds())
                asked = broker.asked
                await tell_all(book, clients)
                assert broker.asked == asked, "not before its time"
                clock.wait(pauses[-1])
                await tell_all(book, clients)
            assert pauses[:5] == [1, 2, 4, 8, 16]
            assert pauses[-1] == 300
            assert REGISTRY.get_sample_value("tsunagu_commands_refused_by_broker") == 3
            feeds = Feeds(RunnerSettings(push_port=0), (), tmp_path, book.policy)
            shown = await command_status(feeds, book.journal)
            assert (shown.open, shown.untold, shown.refused) == (0, 6, 3)
            assert (shown.refusals[0].attempts, "the token has run out" in shown.refusals[0].reason) == (13, True)
        assert len(set(broker.keys)) == len(broker.keys), "an answer kept under a key is none to another attempt"
        broker.status = 204
        async with a_book(tmp_path, clock) as book:  # another process
            clock.wait(300)
            await tell_all(book, clients)
            assert await left(book) == 0
            assert broker.told == [*((str(n), "PENDING") for n in (1, 2, 3)), *((str(n), "OK") for n in (1, 2, 3))]
            assert (await command_status(feeds, book.journal)).refused == 0
            assert REGISTRY.get_sample_value("tsunagu_commands_refused_by_broker") == 0


async def test_rule_7_an_entity_that_is_refused_holds_up_no_other_and_its_own_order_is_kept(tmp_path):
    broker, clock = Strict(), Clock()
    async with broker.serving() as clients, a_book(tmp_path, clock) as book:
        broker.unwanted = {a_target(1).entity_id}
        await given(book, 1, entity=1, end=State.ERROR)
        await given(book, 2, entity=2)
        await tell_all(book, clients)
        assert broker.told == [("2", "PENDING"), ("2", "OK")]
        broker.unwanted = set()
        await given(book, 3, entity=1)
        await given(book, 4, entity=2)
        await tell_all(book, clients)
        assert broker.told[2:] == [("2", "PENDING"), ("2", "OK")], "what comes later waits behind what was refused"
        clock.wait(-86_400)  # a clock that is set back makes nobody wait for a day
        await tell_all(book, clients)
        assert broker.told[4:] == [("1", "PENDING"), ("1", "ERROR"), ("1", "PENDING"), ("1", "OK")]
        assert await left(book) == 0


async def test_rule_7_what_a_device_said_is_left_out_where_only_that_is_refused(tmp_path):
    broker, clock = Strict(), Clock()

    async def picky(request):
        entity = (await request.json())[0]
        if entity["open_info"]["value"] == "said":
            return web.json_response({"detail": "too much"}, status=400)
        broker.told.append(entity["open_info"]["value"])
        return web.Response(status=204)

    broker._upsert = picky
    async with broker.serving() as clients, a_book(tmp_path, clock) as book:
        await given(book, 1)
        await tell_all(book, clients)
        assert broker.told == ["accepted", "done"]
        assert await left(book) == 0
