"""The runner is killed (SIGKILL) at random moments of an import, again and again: the state is that of an import left in peace.

TSUNAGU_ADAPTER_KILLS says how many kills there are, and makes it the import of 50,000 rows (or of TSUNAGU_ADAPTER_ROWS).
"""

import asyncio
import csv
import os
import random
import signal
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest
from broker_process import Process
from mongod import die_with_parent

KILLS = int(os.environ.get("TSUNAGU_ADAPTER_KILLS", "3"))
ROWS = int(os.environ.get("TSUNAGU_ADAPTER_ROWS", "50000" if "TSUNAGU_ADAPTER_KILLS" in os.environ else "1200"))
SITE = "https://datamodels.jp/ns/disaster/EvacuationSite"
SITES = Path(__file__).parents[2] / "examples" / "evacuation_sites" / "recommended.utf8-bom.csv"

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300 + KILLS * ROWS // 500)]


def make_table(path: Path, rows: int, floor: str) -> None:
    """A table of evacuation sites, a few of them impossible."""
    with SITES.open(encoding="utf-8-sig", newline="") as source:
        headers, first, *_ = csv.reader(source)
    with path.open("w", encoding="utf-8", newline="") as target:
        writer = csv.DictWriter(target, headers)
        writer.writeheader()
        for number in range(rows):
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

    async def start(self, *, at_work: bool = True) -> None:
        """Start it; `at_work`: and wait until it says that it is."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TSUNAGU_")}
        command = (sys.executable, "-m", "broker.cli", "adapters", "run", str(self.file), "--log-level", "warning")
        with (self.file.parent / "runner.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *command, stdout=asyncio.subprocess.PIPE, stderr=log, preexec_fn=die_with_parent, env=clean
            )
        if at_work:
            assert self.process.stdout is not None
            line = await asyncio.wait_for(self.process.stdout.readline(), 60)
            assert line.startswith(b"Tsunagu runs"), (self.file.parent / "runner.log").read_text()

    async def end(self, number: int) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return await self.process.wait()


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


async def versions(session: aiohttp.ClientSession, url: str, tenant: str, entity_id: str) -> int:
    """How often an entity's name was written, as its history has it."""
    target = f"{url}/ngsi-ld/v1/temporal/entities/{entity_id}?attrs=https://uri.etsi.org/ngsi-ld/name"
    async with session.get(target, headers={"NGSILD-Tenant": tenant}) as answer:
        assert answer.status == 200, await answer.text()
        document = await answer.json()
        name = document.get("name", document.get("https://uri.etsi.org/ngsi-ld/name"))
        return len(name) if isinstance(name, list) else 1


def batches_done(state: Path) -> int:
    """How many batches of the group that is claimed are done, as the journal has it; -1 where a run has ended."""
    if not (state / "journal.sqlite").exists():
        return 0
    with closing(sqlite3.connect(state / "journal.sqlite", timeout=30)) as journal:
        tables = journal.execute("SELECT count(*) FROM sqlite_master WHERE name = 'feed'").fetchone()[0]
        if not tables:
            return 0
        if journal.execute("SELECT count(*) FROM run WHERE status <> 'running'").fetchone()[0]:
            return -1
        found = journal.execute("SELECT progress FROM feed").fetchone()
    return found[0] if found else 0


async def first_effect(state: Path) -> float:
    """Seconds from now until the first batch is done, or a run has ended."""
    started = asyncio.get_running_loop().time()
    for _ in range(6000):
        if batches_done(state):
            break
        await asyncio.sleep(0.02)
    return asyncio.get_running_loop().time() - started


def feeds(folder: Path, url: str, tenant: str) -> Path:
    file = folder / f"{tenant}.toml"
    file.write_text(
        f'[runner]\nbroker = "{url}"\nstate = "state-{tenant}"\n'
        f'[feeds.sites]\nadapter = "table"\ntenant = "{tenant}"\nfiles = {{path = "in/*.csv", every = 0.1, settle = 0.0}}\n'
    )
    return file


async def done(file: Path, url: str, session: aiohttp.ClientSession, tenant: str, wanted: int) -> None:
    """Wait until a run of that many rows has finished."""
    target = (
        f"{url}/ngsi-ld/v1/entities?type=AdapterRun,https://w3id.org/tsunagu/ns/AdapterRun&format=simplified&limit=100"
    )
    for _ in range(3000):
        async with session.get(target, headers={"NGSILD-Tenant": tenant}) as answer:
            runs = await answer.json() if answer.status == 200 else []
        for run in runs:
            told = {name.rpartition("/")[2]: value for name, value in run.items()}
            if told["runStatus"] in ("partial", "succeeded") and told["records"]["read"] == wanted:
                return
        await asyncio.sleep(0.1)
    raise AssertionError((file.parent / "runner.log").read_text()[-3000:])


async def test_an_import_that_is_killed_again_and_again_ends_like_one_left_in_peace(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    make_table(tmp_path / "in" / "sites.csv", ROWS, "2階")
    broker = Process(f"sqlite:{tmp_path / 'store'}")
    chance = random.Random(20260630)
    try:
        async with aiohttp.ClientSession() as session:
            await broker.start(session)
            peaceful = Runner(feeds(tmp_path, broker.url, "peace"))
            started = asyncio.get_running_loop().time()
            await peaceful.start()
            first = await first_effect(tmp_path / "state-peace")
            await done(peaceful.file, broker.url, session, "peace", ROWS)
            span = asyncio.get_running_loop().time() - started
            assert await peaceful.end(signal.SIGTERM) == 0
            killed = Runner(feeds(tmp_path, broker.url, "war"))
            # A life ends before it comes to anything, or with some more of the rows brought in: all together most of them.
            progress = set()
            for number in range(KILLS):
                await killed.start(at_work=number % 3 != 2)
                await asyncio.sleep(chance.uniform(0.0, 2 * first + 2 * (span - first) / KILLS))
                if number % 2:
                    (tmp_path / "in" / "sites.csv").touch()
                assert await killed.end(signal.SIGKILL) == -signal.SIGKILL
                progress.add(batches_done(tmp_path / "state-war"))
            print(f"{KILLS} kills; batches done at them: {sorted(progress)}")
            await killed.start()
            await done(killed.file, broker.url, session, "war", ROWS)
            assert await killed.end(signal.SIGTERM) == 0
            peace, war = await sites(session, broker.url, "peace"), await sites(session, broker.url, "war")
            assert len(peace) == ROWS - len(range(7, ROWS, 500))
            assert war == peace
            for entity_id in chance.sample(sorted(war), 200):
                assert await versions(session, broker.url, "war", entity_id) == 1, "nothing was written twice"
    finally:
        await broker.end(signal.SIGKILL)
