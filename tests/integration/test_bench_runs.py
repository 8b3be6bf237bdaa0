"""The benchmarks run, and believe no answer that they have not checked."""

import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bench import hot
from bench.cost import Cost, take
from bench.crowd import Errand
from bench.stage import Stage, stage

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_temporal_benchmark_measures_right_answers_only(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    options = ["--large", "0", "--instances", "1000", "--folder", str(tmp_path), "--json", str(figures)]
    ended = subprocess.run(
        [sys.executable, "-m", "bench", "temporal", *options], cwd=ROOT, capture_output=True, text=True, timeout=110
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads(figures.read_text("utf-8"))
    (section,) = found["sections"]
    assert len(section["rows"]) > 10
    assert all(row["answers"] > 0 and row["figures"]["p95"] > 0 for row in section["rows"])
    assert "WRONG" not in ended.stdout
    assert list(tmp_path.iterdir()) == [figures]


def run_bench(name: str, figures: Path, *options: str) -> dict[str, Any]:
    """A tiny run of a benchmark of delivery, and what it found."""
    small = ["--subscriptions", "200", "--stations", "200", "--rate", "80", "--folder", str(figures.parent)]
    ended = subprocess.run(
        [sys.executable, "-m", "bench", name, *small, "--json", str(figures), *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "WRONG" not in ended.stdout
    assert list(figures.parent.iterdir()) == [figures]
    found: dict[str, Any] = json.loads(figures.read_text("utf-8"))
    assert found["wrong"] == []
    return found


@pytest.mark.slow
def test_the_overload_benchmark_finds_every_notification_that_is_owed(tmp_path: Path) -> None:
    found = run_bench("overload", tmp_path / "figures.json", "--seconds", "2")
    assert found["facts"]["notifications lost"] == "0"
    assert int(found["facts"]["notifications owed"].replace(",", "")) > 100
    assert found["lag"]
    assert found["memory"]


@pytest.mark.slow
def test_the_latency_benchmark_measures_with_and_without_a_receiver_that_is_ill(tmp_path: Path) -> None:
    found = run_bench("latency", tmp_path / "figures.json", "--window", "1", "--rounds", "1", "--illness", "hang")
    assert len(found["windows"]) == 2
    assert all(each["notifications"] > 0 for each in found["windows"])


def test_the_benchmark_of_validation_runs() -> None:
    options = ["--entities", "20", "--rounds", "1"]
    ended = subprocess.run(
        [sys.executable, "-m", "bench", "validation", *options], cwd=ROOT, capture_output=True, text=True, timeout=110
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "RiverGauge" in ended.stdout
    assert "enforce" in ended.stdout


def figures_of(*command: str) -> dict[str, Any]:
    """A tiny run of a benchmark that reports rows, and what it found."""
    figures = Path(command[-1])
    ended = subprocess.run(
        [sys.executable, "-m", "bench", *command], cwd=ROOT, capture_output=True, text=True, timeout=110
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found: dict[str, Any] = json.loads(figures.read_text("utf-8"))
    assert all(section["wrong"] == [] for section in found["sections"])
    return found


@pytest.mark.slow
def test_the_benchmark_of_operations_compares_with_the_raw_floor(tmp_path: Path) -> None:
    options = ["--seconds", "0.1", "--rounds", "1", "--entities", "1000", "--clients", "4", "--folder", str(tmp_path)]
    figures = tmp_path / "figures.json"
    (section,) = figures_of("operations", *options, "--json", str(figures))["sections"]
    rows = {row["key"]: row for row in section["rows"]}
    assert len(rows) == 8
    assert all(row["answers"] > 0 and row["figures"]["cpu"] > 0 for row in rows.values())
    assert all(rows[key]["figures"]["ratio"] > 0 for key in ("get", "patch", "post", "type", "q", "batch"))
    assert {limit["quantity"] for limit in rows["get"]["limits"]} == {"cpu", "ratio"}
    assert list(tmp_path.iterdir()) == [figures]


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A broker with 100 entities."""
    with stage("sqlite", tmp_path_factory.mktemp("stage"), 100, 0.25) as made:
        yield made


def crowd(where: Stage, cost: Cost, seconds: float = 0.2, clients: int = 1) -> None:
    """Clients that create entities, from the cost's next number on."""
    take(where.server, Errand(where.server.port, "post", cost.next, seconds, clients, 100), cost, where.place)


def test_the_benchmark_of_one_entity_finds_each_write_in_the_history(where: Stage) -> None:
    section = hot.measure(where, 0.2, 1)
    assert section.faults() == []
    assert "each once in the change log and once in the history" in section.facts["no write lost"]
    assert [row.key for row in section.rows if row.figures["rate"] > 0] == ["hot", "many"]


def test_an_answer_with_another_status_is_wrong(where: Stage) -> None:
    """A crowd that creates what is there already gets 409, and its figures are not told."""
    first, again = Cost(next=10**5), Cost(next=10**5)
    crowd(where, first)
    assert first.row("post", "POST", "sqlite", 100).figures["rate"] > 0
    crowd(where, again)
    assert again.right < again.answers
    assert again.row("post", "POST", "sqlite", 100).figures == {}


def test_a_write_that_the_store_does_not_show_is_found(where: Stage) -> None:
    """Somebody removes an entity behind the broker's back meanwhile: the counts no longer agree."""
    cost = Cost(next=2 * 10**5)
    gone = threading.Timer(0.6, delete_one, [where.place.folder / "tsunagu.db"])
    gone.start()
    crowd(where, cost, 1.2)
    gone.join()
    assert cost.right == cost.answers > 0
    assert cost.lost == 1
    assert cost.row("post", "POST", "sqlite", 100).figures == {}


def delete_one(file: Path) -> None:
    with closing(sqlite3.connect(file, timeout=10, isolation_level=None)) as database:
        database.execute("DELETE FROM entities WHERE id = 'urn:ngsi-ld:Station:0000001'")
