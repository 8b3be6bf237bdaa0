"""The benchmarks run, and believe no answer that they have not checked."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

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
    assert len(found["measurements"]) > 10
    assert all(each["answers"] == len(each["walls"]) > 0 for each in found["measurements"])
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


@pytest.mark.slow
def test_the_benchmark_of_operations_compares_with_the_raw_floor(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    options = ["--seconds", "0.2", "--rounds", "1", "--folder", str(tmp_path), "--json", str(figures)]
    ended = subprocess.run(
        [sys.executable, "-m", "bench", "operations", *options], cwd=ROOT, capture_output=True, text=True, timeout=110
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads(figures.read_text("utf-8"))
    assert found["wrong"] == []
    assert len(found["operations"]) == 12
    assert all(each["answers"] > 0 and each["cpu"] > 0 for each in found["operations"].values())
    assert list(tmp_path.iterdir()) == [figures]
