"""The benchmarks run, and believe no answer that they have not checked."""

import json
import subprocess
import sys
from pathlib import Path

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
