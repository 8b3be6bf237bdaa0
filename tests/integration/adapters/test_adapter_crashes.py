"""A runner that dies at any step of its work, before or after any request to the broker and any write to its journal: the next
one goes on, and at the end every effect is there once. With TSUNAGU_ADAPTER_KILLS every step is tried, else every third."""

import itertools
import json
import os

import pytest
from runner_desk import a_broker, a_feed, gauges, line, told

from adapters import working
from adapters.door import Door
from adapters.feeds import Push
from adapters.journal import Intake, Journal
from adapters.ngsild_client import BATCH, NgsiLdClient
from adapters.quarantine import held
from adapters.runs import publish
from adapters.working import Clients, Worker

STRIDE = 1 if os.environ.get("TSUNAGU_ADAPTER_KILLS") else 3
AT = "2026-06-30T01:00:00Z"


class Killed(BaseException):
    """The process ends here."""


class Fuse:
    """Lets a number of steps happen and then ends the process: before the next one, or right after it."""

    def __init__(self, steps, *, after):
        self.steps = steps
        self.after = after

    async def step(self, work):
        self.steps -= 1
        if self.steps < 0 and not self.after:
            raise Killed
        result = await work()
        if self.steps < 0:
            raise Killed
        return result


class MortalClient(NgsiLdClient):
    fuse: Fuse

    async def _once(self, *arguments):
        once = super()._once
        return await self.fuse.step(lambda: once(*arguments))


def inputs():
    """Readings of two gauges: new ones, one that is older, one that is the same again, one that is none."""
    return [
        f"{line(1, 1, '2026-06-30T00:10:00Z')}\n{line(2, 5, '2026-06-30T00:10:00Z')}\n",
        f"{line(1, 3, '2026-06-30T00:30:00Z')}\n{line(1, 4, '2026-06-30T00:40:00Z')}\nnonsense\n",
        f"{line(1, 2, '2026-06-30T00:20:00Z')}\n{line(2, 5, '2026-06-30T00:10:00Z')}\n",
    ]


async def life(folder, api, monkeypatch, fuse, feed):
    """One life of a runner's essential parts, in a row instead of at once: take in what is new, work, tell of the runs."""
    monkeypatch.setattr(working, "NgsiLdClient", MortalClient)
    monkeypatch.setattr(MortalClient, "fuse", fuse, raising=False)
    journal = await Journal.open(folder)
    clients = Clients(api.url)
    perform = journal.perform

    async def mortal(work):
        return await fuse.step(lambda: perform(work))

    try:
        mortal_journal = _Mortal(journal, mortal)
        door = Door(feed.name, mortal_journal)
        await door.open()
        taken = (await mortal_journal.marks(feed.name)).get("taken", 0)
        for number, text in enumerate(inputs()[taken:], start=taken + 1):
            await door.take([Intake(text.encode(), f"{number}", AT, marks={"taken": number})])
        worker = Worker(feed, mortal_journal, door, clients)
        while await worker.work():
            pass
        for run in await mortal_journal.unpublished():
            await publish(await clients.of(None), journal.identity, feed, [run])
            await mortal_journal.published([run])
    finally:
        await clients.close()
        await journal.close()


class _Mortal:
    """A journal whose every step may be the last."""

    def __init__(self, journal, perform):
        self._journal = journal
        self.perform = perform

    def __getattr__(self, name):
        return getattr(type(self._journal), name).__get__(self)

    @property
    def path(self):
        return self._journal.path

    @property
    def identity(self):
        return self._journal.identity


@pytest.mark.parametrize(("after", "lasting"), [(False, True), (True, False)])
async def test_a_runner_killed_at_any_step_loses_and_repeats_nothing(tmp_path, monkeypatch, after, lasting):
    feed = a_feed("levels", Push(("a-long-key",)), lasting=lasting, in_turn=lasting)
    lives = 0
    for steps in itertools.count(0, STRIDE):
        folder = tmp_path / f"{steps}"
        async with a_broker() as api:
            try:
                await life(folder, api, monkeypatch, Fuse(steps, after=after), feed)
                died = False
            except Killed:
                died = True
            except BaseExceptionGroup:
                died = True
            await life(folder, api, monkeypatch, Fuse(10**9, after=after), feed)
            assert await gauges(api) == {"1": 4, "2": 5}, steps
            assert await told(api, 1) == [(f"2026-06-30T00:{minute}0:00Z", minute) for minute in (1, 2, 3, 4)], steps
            assert await told(api, 2) == [("2026-06-30T00:10:00Z", 5)], steps
            async with await Journal.open(folder) as journal:
                assert len(await held(journal)) == 1
                counts, state, waiting = await journal.perform(_outcome)
                assert (sum(counts), state, waiting) == (7, "7", 0), steps
            lives += died
        if not died:
            break
    assert lives * STRIDE > 15


def _outcome(connection):
    runs = [json.loads(row[0]) for row in connection.execute("SELECT counts FROM run")]
    (state,) = connection.execute("SELECT state FROM feed").fetchone()
    (waiting,) = connection.execute("SELECT count(*) FROM input WHERE status < 2").fetchone()
    return [counts["records"] for counts in runs], state, waiting


async def test_batches_that_were_done_before_a_kill_are_not_looked_at_again(tmp_path, monkeypatch):
    feed = a_feed("levels", Push(("a-long-key",)), lasting=False, in_turn=False)
    text = "\n".join(line(number, 1) for number in range(4 * BATCH + 50)).encode()
    seen = []

    async def advance(journal, name, progress, partial, kept=Journal.advance):
        await kept(journal, name, progress, partial)
        seen.append(progress)
        if progress >= 3 * BATCH:
            raise Killed

    async def work(journal, api):
        clients = Clients(api.url)
        try:
            assert await Worker(feed, journal, Door("levels", journal), clients).work()
        finally:
            await clients.close()

    async with a_broker() as first, await Journal.open(tmp_path) as journal:
        await journal.take_in("levels", [Intake(text, "x", AT)])
        with monkeypatch.context() as patch:
            patch.setattr(Journal, "advance", advance)
            with pytest.raises(Killed):
                await work(journal, first)
    async with a_broker() as second, await Journal.open(tmp_path) as journal:
        await work(journal, second)
        # A batch beside the last one that was seen may have been put on record in the moment of the kill.
        left = {4 * BATCH + 50 - done for done in (max(seen), max(seen) + BATCH)}
        assert len(await gauges(second)) in left, "only what was not done yet went to this broker"
        assert (await journal.perform(_outcome))[0] == [4 * BATCH + 50]
