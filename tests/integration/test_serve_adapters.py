"""`tsunagu serve --adapters FILE`: feeds at work inside the broker, seen in its metrics, ended with it."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
from broker_process import Process

SITES = Path(__file__).parents[2] / "examples" / "evacuation_sites" / "standard.cp932.csv"
SITE = "https://datamodels.jp/ns/disaster/EvacuationSite"


async def test_feeds_run_inside_the_broker_and_end_with_it(tmp_path):
    file = tmp_path / "adapters.toml"
    file.write_text('[feeds.sites]\nadapter = "table"\nfiles = {path = "sites.csv", every = 0.1, settle = 0.0}\n')
    (tmp_path / "sites.csv").write_bytes(SITES.read_bytes())
    broker = Process(f"sqlite:{tmp_path / 'store'}", "--adapters", str(file))
    async with aiohttp.ClientSession() as session:
        await broker.start(session)
        for _ in range(300):
            async with session.get(f"{broker.url}/ngsi-ld/v1/entities?type={SITE}") as answer:
                found = await answer.json()
            if len(found) == 2:
                break
            await asyncio.sleep(0.1)
        assert len(found) == 2
        for _ in range(100):  # the counts follow the entities
            async with session.get(f"{broker.url}/metrics") as answer:
                metrics = await answer.text()
            if 'tsunagu_adapter_records_total{feed="sites",outcome="quarantined"} 1.0' in metrics:
                break
            await asyncio.sleep(0.1)
        assert 'tsunagu_adapter_entities_total{feed="sites",outcome="created"} 2.0' in metrics
        assert "tsunagu_log_head" in metrics or "tsunagu_change_log_head" in metrics
        assert await broker.end(signal.SIGTERM) == 0


def test_a_file_of_feeds_at_fault_is_told_before_anything_starts(tmp_path):
    (tmp_path / "adapters.toml").write_text('[feeds.sites]\nadapter = "tabel"\nfiles = {path = "x"}\n')
    command = [sys.executable, "-m", "broker.cli", "serve", "--port", "0", "--adapters", "adapters.toml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "no adapter is called 'tabel'; do you mean table?" in done.stderr
