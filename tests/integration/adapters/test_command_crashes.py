"""A runner that dies at any step of a command, before or after any write to its journal and any request to the broker: the next
one goes on, the command is carried at most once, and what its client was told comes true: it is carried, or its end is told.
With TSUNAGU_ADAPTER_KILLS every step is tried, else every third."""

import asyncio
import contextlib
import itertools
import os

import pytest
from command_desk import DEVICE, GATE, OFFICE, Device, a_policy, a_target
from runner_desk import a_broker

from adapters.actuation import record
from adapters.actuation.asking import Asked
from adapters.actuation.contract import Outcome, TryLater
from adapters.actuation.deciding import Submission
from adapters.actuation.desk import Desk
from adapters.actuation.interlock import Interlocks
from adapters.actuation.telling import tell_some
from adapters.journal import Journal
from adapters.ngsild_client import NgsiLdClient
from adapters.working import Clients

STRIDE = 1 if os.environ.get("TSUNAGU_ADAPTER_KILLS") else 3
ENDS = {"OK", "ERROR", "EXPIRED"}


class Killed(BaseException):
    """The process ends here."""


class Fuse:
    """Lets a number of steps happen and then ends the process: before the next one, or right after it. Then nothing is done."""

    def __init__(self, steps, *, after):
        self.steps = steps
        self.after = after

    async def step(self, work):
        self.steps -= 1
        if self.steps < -1 or (self.steps < 0 and not self.after):
            raise Killed
        result = await work()
        if self.steps < 0:
            raise Killed
        return result


class MortalJournal:
    """A journal each of whose uses is a step."""

    def __init__(self, journal, fuse):
        self.journal = journal
        self.identity = journal.identity
        self.fuse = fuse

    async def perform(self, work):
        return await self.fuse.step(lambda: self.journal.perform(work))

    transact = Journal.transact


class MortalClient(NgsiLdClient):
    fuse: Fuse

    async def _once(self, *arguments):
        once = super()._once
        return await self.fuse.step(lambda: once(*arguments))


async def life(folder, api, monkeypatch, fuse, device, key, *, value=40, repeatable=False):
    """One life: open, be asked for a command, carry it, hear its answer, tell the broker. Whether the client was told that it was
    taken."""
    from adapters import working

    monkeypatch.setattr(working, "NgsiLdClient", MortalClient)
    monkeypatch.setattr(MortalClient, "fuse", fuse, raising=False)
    journal = await Journal.open(folder)
    clients = Clients(api.url)
    policy = a_policy({"expires": 20.0, "answer_within": 0.2, "repeatable": repeatable})
    interlocks = Interlocks(api.url, "")
    desk = Desk(MortalJournal(journal, fuse), policy, interlocks)
    taken = False
    try:
        await desk.open()
        await desk.announce([a_target()])
        asked = Submission("", GATE, (Asked("open", value, key),), f"Bearer {OFFICE}")
        await desk.deciding.submit(asked)
        taken = True
        desk.carriers({"fake": device})
        tasks = list(desk.carrying._tasks.values())
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result
        for command in device.told[device.heard :]:
            await desk.answered("", DEVICE, "open", "done", command_id=command.id)
        device.heard = len(device.told)
        while await tell_some(desk.book, clients):
            pass
    finally:
        for task in desk.carrying._tasks.values():
            task.cancel()
        await clients.close()
        await interlocks.close()
        await journal.close()
    return taken


async def afterlife(folder, api, monkeypatch, device, *, repeatable=False):
    """The next process, which lives on until everything has its end; what is on record then."""
    from adapters import working

    monkeypatch.setattr(working, "NgsiLdClient", NgsiLdClient)
    policy = a_policy({"expires": 20.0, "answer_within": 0.2, "repeatable": repeatable})
    async with await Journal.open(folder) as journal:
        clients = Clients(api.url)
        desk = Desk(journal, policy, Interlocks(api.url, ""))
        await desk.open()
        await desk.announce([a_target()])
        clock = asyncio.create_task(desk.watch_the_clock())
        desk.carriers({"fake": device})
        for _ in range(100):
            entries = await journal.perform(lambda connection: record.last(connection, 100))
            if all(entry.deadline is None for entry in entries):
                break
            await asyncio.sleep(0.05)
        clock.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await clock
        await desk.close()
        while await tell_some(desk.book, clients):
            pass
        await clients.close()
        return await journal.perform(lambda connection: record.last(connection, 100))


def a_device(outcome=Outcome.DELIVERED, *, away=False):
    device = Device(outcome, "done" if outcome is Outcome.ANSWERED else None)
    device.heard = 0
    device.trouble = TryLater("away") if away else None
    return device


@pytest.mark.parametrize("outcome", [Outcome.ANSWERED, Outcome.DELIVERED])
@pytest.mark.parametrize("after", [False, True])
async def test_a_kill_at_any_step_loses_no_command_and_carries_none_twice(tmp_path, monkeypatch, after, outcome):
    async with a_broker() as api:
        number = 0
        for steps in itertools.count(1, STRIDE):
            number += 1
            folder, device = tmp_path / str(steps), a_device(outcome)
            taken, survived, key = False, False, f"c{steps}"
            try:
                taken = await life(folder, api, monkeypatch, Fuse(steps, after=after), device, key)
                survived = True
            except Killed:
                pass
            entries = await afterlife(folder, api, monkeypatch, device)
            assert len(device.told) <= 1, f"killed {'after' if after else 'before'} step {steps}"
            assert all(entry.deadline is None for entry in entries)
            assert entries or not taken
            if entries:
                shown = (await api.get(f"entities/{GATE}")).json
                assert shown["open_status"]["value"] in ENDS
                assert shown["open_status"]["commandId"]["value"] == key
                assert shown["open_info"]["value"]
                assert device.told or shown["open_status"]["value"] != "OK"
            if survived:
                break
        assert number > 3


async def test_a_kill_while_it_is_carried_ends_as_unknown_or_is_repeated_where_that_does_no_harm(tmp_path, monkeypatch):
    class Dying(Device):
        heard = 0

        async def carry(self, command):
            self.told.append(command)
            raise Killed

    async with a_broker() as api:
        for repeatable in (False, True):
            folder = tmp_path / str(repeatable)
            dying, living = Dying(), a_device(Outcome.ANSWERED)
            with pytest.raises(Killed):
                await life(folder, api, monkeypatch, Fuse(10**6, after=False), dying, "c1", repeatable=repeatable)
            await afterlife(folder, api, monkeypatch, living, repeatable=repeatable)
            assert len(living.told) == (1 if repeatable else 0)
            shown = (await api.get(f"entities/{GATE}")).json
            assert shown["open_status"]["value"] == ("OK" if repeatable else "ERROR")
            assert repeatable or "outcome unknown" in shown["open_info"]["value"]


async def test_a_client_that_repeats_after_a_crash_has_one_effect(tmp_path, monkeypatch):
    async with a_broker() as api:
        device = a_device(Outcome.ANSWERED)
        for steps in range(1, 40, 5):
            with contextlib.suppress(Killed):
                await life(tmp_path, api, monkeypatch, Fuse(steps, after=True), device, "the same")
        await life(tmp_path, api, monkeypatch, Fuse(10**6, after=True), device, "the same")
        await afterlife(tmp_path, api, monkeypatch, device)
        assert len(device.told) <= 1
