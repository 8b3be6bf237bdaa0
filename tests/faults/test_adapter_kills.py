"""The runner is killed (SIGKILL) at random moments of an import, again and again: the state is that of an import left in peace.

TSUNAGU_ADAPTER_KILLS says how many kills there are, and makes it the import of 50,000 rows (or of TSUNAGU_ADAPTER_ROWS). Each
life decodes its file anew, so the rows come in several files. A tenth of them is there before and says something else, so that
some effects are updates: those can happen twice without a trace in the state, but not in the change log.
"""

import asyncio
import csv
import json
import os
import random
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest
from broker_process import Process
from mongod import die_with_parent

from broker.app import make_store
from broker.settings import parse_store

KILLS = int(os.environ.get("TSUNAGU_ADAPTER_KILLS", "3"))
ROWS = int(os.environ.get("TSUNAGU_ADAPTER_ROWS", "50000" if "TSUNAGU_ADAPTER_KILLS" in os.environ else "3000"))
FILES = max(2, ROWS // 5000)
FORMER = 10
"""Every so many rows there is one whose entity is there before, on another floor."""
SITE = "https://datamodels.jp/ns/disaster/EvacuationSite"
SITES = Path(__file__).parents[2] / "examples" / "evacuation_sites" / "recommended.utf8-bom.csv"

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300 + 30 * KILLS)]


def make_table(path: Path, rows: range, floor: str) -> None:
    """A table of evacuation sites, a few of them impossible."""
    with SITES.open(encoding="utf-8-sig", newline="") as source:
        headers, first, *_ = csv.reader(source)
    with path.open("w", encoding="utf-8", newline="") as target:
        writer = csv.DictWriter(target, headers)
        writer.writeheader()
        for number in rows:
            record = dict(zip(headers, first, strict=True))
            record |= {"NO": str(number), "名称": f"避難場所{number}", "住所": f"港町{number}番地", "方書": floor}
            if number % 500 == 7:
                record["緯度"] = "348800.0"
            writer.writerow(record)


class Runner:
    """A `tsunagu adapters run` that can be killed."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TSUNAGU_")}
        command = (sys.executable, "-m", "broker.cli", "adapters", "run", str(self.file), "--log-level", "warning")
        with (self.file.parent / "runner.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *command, stdout=asyncio.subprocess.DEVNULL, stderr=log, preexec_fn=die_with_parent, env=clean
            )

    async def end(self, number: int) -> None:
        assert self.process is not None
        assert self.process.returncode is None, (self.file.parent / "runner.log").read_text()[-3000:]
        self.process.send_signal(number)
        assert await self.process.wait() == (0 if number == signal.SIGTERM else -number)


async def sites(session: aiohttp.ClientSession, url: str, tenant: str) -> dict[str, object]:
    """All sites of a tenant, by id."""
    found: dict[str, object] = {}
    target = f"{url}/ngsi-ld/v1/entities?type={SITE}&limit=1000"
    while True:
        async with session.get(target, headers={"NGSILD-Tenant": tenant}) as answer:
            if answer.status == 404:
                return found
            assert answer.status == 200, await answer.text()
            found.update((each["id"], each) for each in await answer.json())
            if "next" not in answer.links:
                return found
            target = str(answer.links["next"]["url"])


async def writes(store_url: str, tenant: str) -> Counter[int]:
    """How many sites of a tenant were written how often, as the change log has it."""
    store = make_store(parse_store(store_url))
    await store.open()
    try:
        found: Counter[str] = Counter()
        after = 0
        while changes := await store.changes(after, 1000):
            after = changes[-1].sequence
            found.update(
                each.entity_id for each in changes if each.tenant == tenant and "AdapterRun" not in each.entity_id
            )
        return Counter(found.values())
    finally:
        await store.close()


class Desk:
    """A tenant's inbox, feed and runner."""

    def __init__(self, folder: Path, url: str, tenant: str) -> None:
        self.inbox = folder / f"in-{tenant}"
        self.state = folder / f"state-{tenant}"
        self.inbox.mkdir()
        file = folder / f"{tenant}.toml"
        file.write_text(
            f'[runner]\nbroker = "{url}"\nstate = "{self.state.name}"\n[feeds.sites]\nadapter = "table"\n'
            f'tenant = "{tenant}"\nfiles = {{path = "{self.inbox.name}/*.csv", every = 0.1, settle = 0.0}}\n'
        )
        self.runner = Runner(file)

    def bring(self, name: str, rows: range, floor: str) -> None:
        make_table(self.inbox / f"{name}.part", rows, floor)
        (self.inbox / f"{name}.part").rename(self.inbox / f"{name}.csv")

    def position(self) -> tuple[int, int]:
        """How many inputs are done, and how many entities of the one that is claimed, as the journal has it."""
        try:
            with closing(sqlite3.connect(f"file:{self.state / 'journal.sqlite'}?mode=ro", uri=True)) as journal:
                (inputs,) = journal.execute("SELECT count(*) FROM input WHERE status = 2").fetchone()
                (entities,) = journal.execute("SELECT coalesce(sum(progress), 0) FROM feed").fetchone()
                return inputs, entities
        except sqlite3.OperationalError:
            return 0, 0

    def counts(self) -> tuple[int, Counter[str]]:
        """How many runs there were, and what all came to."""
        with closing(sqlite3.connect(self.state / "journal.sqlite")) as journal:
            runs = [json.loads(counts) for (counts,) in journal.execute("SELECT counts FROM run")]
        total: Counter[str] = Counter()
        for counts in runs:
            total.update(counts)
        return len(runs), total

    async def all_done(self, inputs: int) -> None:
        """Wait until so many inputs are done."""
        for _ in range(12_000):
            if self.position()[0] == inputs:
                return
            await asyncio.sleep(0.05)
        raise AssertionError((self.runner.file.parent / "runner.log").read_text()[-3000:])

    async def begin(self) -> None:
        """Bring what is there before, and then put all rows into the inbox."""
        self.bring("former", range(0, ROWS, FORMER), "1階")
        await self.runner.start()
        await self.all_done(1)
        await self.runner.end(signal.SIGTERM)
        for number in range(FILES):
            self.bring(f"sites{number}", range(number * ROWS // FILES, (number + 1) * ROWS // FILES), "2階")


async def test_an_import_that_is_killed_again_and_again_ends_like_one_left_in_peace(tmp_path: Path) -> None:
    broker = Process(f"sqlite:{tmp_path / 'store'}")
    chance = random.Random(20260630)
    clock = asyncio.get_running_loop().time
    try:
        async with aiohttp.ClientSession() as session:
            await broker.start(session)
            peaceful, killed = (Desk(tmp_path, broker.url, tenant) for tenant in ("peace", "war"))
            await peaceful.begin()
            await peaceful.runner.start()
            await peaceful.all_done(1 + FILES)
            await peaceful.runner.end(signal.SIGTERM)
            await killed.begin()
            await kill_again_and_again(killed, chance, clock)
            await killed.runner.start()
            await killed.all_done(1 + FILES)
            await killed.runner.end(signal.SIGKILL)
            peace, war = await sites(session, broker.url, "peace"), await sites(session, broker.url, "war")
            impossible = [number for number in range(ROWS) if number % 500 == 7]
            assert len(peace) == ROWS - len(impossible)
            assert war == peace
            runs, total = killed.counts()
            assert (runs, total["records"], total["quarantined"]) == (1 + FILES, ROWS + ROWS // FORMER, len(impossible))
            assert not total["failed"]
            assert total["created"] + total["updated"] + total["unchanged"] == total["entities"]
            assert await broker.end(signal.SIGTERM) == 0
        before = len([number for number in range(0, ROWS, FORMER) if number % 500 != 7])
        assert await writes(broker.store, "war") == {1: len(peace) - before, 2: before}, "nothing twice"
    finally:
        if not broker.has_ended:
            await broker.end(signal.SIGKILL)


async def kill_again_and_again(desk: Desk, chance: random.Random, clock: Callable[[], float]) -> None:
    """Kill the runner KILLS times, so that all of the import is under fire.

    A life may go on until it has done its share of the rows, and dies a moment later, in the middle of what comes next; what
    does more than its share makes the next lives end before they have done anything, some before they are at work.
    """
    kinds: Counter[str] = Counter()
    until_effect = 3.0
    for number in range(KILLS):
        start, began = desk.position(), clock()
        share = (number + 1) / (KILLS + 1) * ROWS
        await desk.runner.start()
        ahead = _rows(start) > share
        goal = _rows(start) + 1 if ahead else chance.uniform(_rows(start), share)
        patience = chance.uniform(0.0, until_effect) if ahead else 120.0
        while (at := _rows(desk.position())) == _rows(start) or at < goal:
            if clock() > began + patience:
                assert ahead, "the runner does nothing"
                break
            await asyncio.sleep(0.005)
        else:
            until_effect = 0.7 * until_effect + 0.3 * (clock() - began)
            await asyncio.sleep(chance.choice((0.0, chance.uniform(0.0, 0.1))))
        if number % 2:
            next(desk.inbox.glob("*.csv")).touch()
        await desk.runner.end(signal.SIGKILL)
        inputs, entities = desk.position()
        kinds["after all"] += inputs == 1 + FILES
        kinds["with a group half done"] += entities > 0
        kinds["before it had done anything"] += (inputs, entities) == start
    print(f"{KILLS} kills: {dict(kinds)}")
    assert kinds["after all"] < KILLS, "some kills come in time"
    if KILLS >= 10:
        assert kinds["after all"] * 10 <= KILLS
        assert kinds["with a group half done"] * 4 >= KILLS
        assert kinds["before it had done anything"] * 10 >= KILLS


def _rows(position: tuple[int, int]) -> int:
    """The rows that a position in the import means; the first input is what was there before."""
    inputs, entities = position
    return max(inputs - 1, 0) * (ROWS // FILES) + entities
