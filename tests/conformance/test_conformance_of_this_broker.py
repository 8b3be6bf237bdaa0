"""The conformance suite, run as its users run it, against this broker on both stores: everything passes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SEQUENCES = int(os.environ.get("TSUNAGU_SEQUENCES", "200"))
"""Random sequences of the model-based tests on each store; 2,000 in CI."""
FEWEST_TESTS = 900
MINUTES = 15


@pytest.mark.slow
@pytest.mark.timeout(MINUTES * 60)
@pytest.mark.parametrize("kind", ["sqlite", pytest.param("mongo", marks=pytest.mark.mongo)])
def test_every_test_of_the_suite_passes(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    store = f"sqlite:{tmp_path / 'store'}"
    if kind == "mongo":
        uri, _, options = request.getfixturevalue("mongodb_uri").partition("?")
        store = f"{uri.rstrip('/')}/{request.getfixturevalue('mongo_database')}?{options}"
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "broker.cli", "conformance", "run", "--store", store]
    command += ["--sequences", str(SEQUENCES), "--same-sequences", "--report", f"json:{report}"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=MINUTES * 60, check=False)
    print(f"{kind}: {run.stdout.strip().splitlines()[-1]}")
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr[-5_000:]
    results = json.loads(report.read_text())
    assert results["failed"] == 0
    assert results["passed"] >= FEWEST_TESTS
    skipped = {test["test"] for test in results["tests"] if test["outcome"] == "skipped"}
    assert all("mqtt" in test for test in skipped), skipped
