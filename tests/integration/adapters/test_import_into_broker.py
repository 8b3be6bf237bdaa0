"""The import and the river example against `tsunagu serve`: created, unchanged, notified once, queried back."""

import asyncio
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from adapters.importing import import_files
from adapters.ngsild_client import NgsiLdClient
from adapters.wire import from_wire
from datamodels import model_of
from examples.river_level.broker import own_broker

ROOT = Path(__file__).parents[3]
SITES = ROOT / "examples" / "evacuation_sites"
FILES = sorted(SITES.glob("*.csv"))
DATA = Path(os.environ.get("TSUNAGU_SHARED_DATA") or ROOT.parent / "shared" / "data")
SITE = model_of("EvacuationSite")

CITIES = [
    ("municipal-yaizu/222127_evacuation_space.csv", 31),
    ("municipal-takamatsu/evacuation_space.0060.csv", 193),
    ("municipal-ichikawa/122033_103_evacuation_space.csv", 121),
    ("municipal-wakayama/hashimotoshi.csv", 57),
    ("municipal-wakayama/iwadeshi.csv", 54),
    ("municipal-wakayama/kinokawashi.csv", 87),
    ("municipal-wakayama/wakayamashi.csv", 332),
]


@asynccontextmanager
async def receiver():
    """The ids in each notification that arrives."""
    arrived = []

    async def receive(request):
        arrived.extend(entity["id"] for entity in (await request.json())["data"])
        return web.Response()

    app = web.Application()
    app.router.add_post("/", receive)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/", arrived
    finally:
        await runner.cleanup()


async def until(condition, patience=10.0):
    for _ in range(int(patience / 0.05)):
        if condition():
            return
        await asyncio.sleep(0.05)


async def count(url, **parameters):
    query = {"type": SITE.iri, "limit": "1", "count": "true", **parameters}
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{url}/ngsi-ld/v1/entities", params=query) as response,
    ):
        assert response.status == 200, await response.text()
        return int(response.headers["NGSILD-Results-Count"])


async def test_importing_again_changes_nothing_and_notifies_nobody():
    async with own_broker() as url, receiver() as (endpoint, arrived), NgsiLdClient(url) as client:
        await client.subscribe(
            {
                "id": "urn:ngsi-ld:Subscription:sites",
                "type": "Subscription",
                "entities": [{"type": SITE.iri}],
                "notification": {"endpoint": {"uri": endpoint, "accept": "application/json"}},
            }
        )
        first = await import_files(FILES, url)
        assert first.ok
        assert first.counts["created"] == first.counts["entities"] == 10
        await until(lambda: len(arrived) >= 10)
        assert sorted(arrived) == sorted(entity["id"] for file in first.files for entity in file.entities)
        second = await import_files(FILES, url)
        assert second.counts["unchanged"] == 10
        assert second.counts["created"] == second.counts["updated"] == 0
        await asyncio.sleep(1)
        assert len(arrived) == 10
        hazards = SITE.attributes["hazardTypes"].iri
        assert await count(url, q=f'{hazards}=="tsunami"') == 2
        assert await count(url, georel="near;maxDistance==500", geometry="Point", coordinates="[138.3271,34.8751]") == 1


async def test_a_changed_and_a_lost_cell_change_one_entity_of_one_tenant(tmp_path):
    file = tmp_path / "sites.csv"
    text = (SITES / "recommended.utf8-bom.csv").read_text("utf-8-sig")
    file.write_text(text, "utf-8")
    async with own_broker() as url:
        created = await import_files([file], url, tenant="tsunagucity")
        assert created.counts["created"] == 3
        file.write_text(text.replace("(099)900-0001", "").replace("34.8751", "34.8752"), "utf-8")
        updated = await import_files([file], url, tenant="tsunagucity")
        assert (updated.counts["updated"], updated.counts["unchanged"]) == (1, 2)
        tower = created.files[0].entities[0]["id"]
        async with NgsiLdClient(url, tenant="tsunagucity") as client:
            found = from_wire((await client.entities(SITE.iri, [tower]))[tower], SITE)
        assert found["location"]["value"]["coordinates"] == [138.3271, 34.8752]
        assert "telephone" not in found
        assert await count(url) == 0


@pytest.mark.real_data
async def test_the_files_of_four_cities_arrive_whole():
    for file, _ in CITIES:
        if not (DATA / file).exists():
            pytest.skip(f"the real file {file} is not present")
    paths = [DATA / file for file, _ in CITIES]
    async with own_broker() as url:
        first = await import_files(paths, url)
        assert first.ok
        assert [(file.counts["rows"], file.counts["created"]) for file in first.files] == [(n, n) for _, n in CITIES]
        assert await count(url) == 875
        assert (await import_files(paths, url)).counts["unchanged"] == 875
        hazards = SITE.attributes["hazardTypes"].iri
        code = SITE.attributes["localGovernmentCode"].iri
        assert await count(url, q=f'{code}=="122033";{hazards}=="flood"') == 102
        assert await count(url, q=f'{code}=="372013";{hazards}=="flood"') == 134


def run_example(*arguments):
    command = [sys.executable, "-m", "examples.river_level", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=100, check=False)


def test_the_river_example_sees_every_crossing():
    done = run_example("--seconds", "2")
    assert done.stdout.splitlines()[-1] == "572 readings replayed. Crossings: 9 expected, 9 seen.", (
        done.stdout + done.stderr
    )
    assert done.returncode == 0


@pytest.mark.real_data
@pytest.mark.slow
def test_the_river_example_sees_every_crossing_of_the_flood_of_august_2021():
    file = DATA / "river-fukui" / "2021-08-14.csv"
    if not file.exists():
        pytest.skip("the real file river-fukui/2021-08-14.csv is not present")
    done = run_example("--data", str(file), "--seconds", "5")
    assert done.stdout.splitlines()[-1] == "7180 readings replayed. Crossings: 17 expected, 17 seen.", (
        done.stdout + done.stderr
    )
    assert done.returncode == 0


def test_the_river_example_fails_with_one_sentence():
    done = run_example("--data", "nowhere.csv")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "sensors.csv: No such file or directory.\n"
