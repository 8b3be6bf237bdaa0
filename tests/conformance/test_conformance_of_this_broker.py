"""The conformance suite, run as its users run it, against this broker: everything passes.

On MongoDB only the model-based tests are run: they go through every operation, and the whole suite takes minutes of journal
writes there. `tsunagu conformance run --store mongodb://...` is the whole one.
"""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from mongod import die_with_parent

SEQUENCES = int(os.environ.get("CONFORMANCE_SEQUENCES", "200"))
"""Random sequences of the model-based tests on each store; 2,000 in CI."""
FEWEST_TESTS = 900
MINUTES = 15


class Run:
    """One run of the suite, under way; `report` is there when it has ended."""

    def __init__(self, store: str, folder: Path, *options: str) -> None:
        self.report = folder / "report.json"
        self.output = folder / "output.txt"
        command = [sys.executable, "-m", "broker.cli", "conformance", "run", "--store", store]
        command += ["--sequences", str(SEQUENCES), "--same-sequences", "--report", f"json:{self.report}", *options]
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, preexec_fn=die_with_parent
            )

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Run]]:
    """The runs on all stores that are asked for, side by side: each waits most of its time for answers."""
    asked = {
        item.callspec.params["kind"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and "runs" in item.fixturenames
    }
    with ExitStack() as stack:
        started = {}
        if "mongo" in asked:
            client, name = request.getfixturevalue("mongo_client"), f"tsunagu_test_{uuid.uuid4().hex[:16]}"
            stack.callback(client.drop_database, name)
            uri, _, options = request.getfixturevalue("mongodb_uri").partition("?")
            store = f"{uri.rstrip('/')}/{name}?{options}"
            started["mongo"] = Run(store, tmp_path_factory.mktemp("mongo"), "-k", "test_model")
        if "sqlite" in asked:
            started["sqlite"] = Run("sqlite::memory:", tmp_path_factory.mktemp("sqlite"))
        for run in started.values():
            stack.callback(run.end)
        yield started


def ended(run: Run) -> dict[str, Any]:
    """The report of a run that passed."""
    code = run.process.wait(MINUTES * 60)
    output = run.output.read_text(errors="replace")
    assert code == 0, output[-25_000:]
    report: dict[str, Any] = json.loads(run.report.read_text())
    assert report["failed"] == 0
    return report


@pytest.mark.slow
@pytest.mark.timeout(MINUTES * 60)
@pytest.mark.parametrize("kind", ["sqlite"])
def test_every_test_of_the_suite_passes(kind: str, runs: dict[str, Run]) -> None:
    report = ended(runs[kind])
    assert report["passed"] >= FEWEST_TESTS
    skipped = {test["test"] for test in report["tests"] if test["outcome"] == "skipped"}
    assert all("mqtt" in test for test in skipped), skipped


@pytest.mark.slow
@pytest.mark.mongo
@pytest.mark.timeout(MINUTES * 60)
@pytest.mark.parametrize("kind", ["mongo"])
def test_random_sequences_on_mongodb_agree_with_the_models(kind: str, runs: dict[str, Run]) -> None:
    report = ended(runs[kind])
    assert report["passed"] == len(report["tests"]) == 3
