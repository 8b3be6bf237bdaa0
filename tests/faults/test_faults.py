"""Nothing acknowledged is lost, whatever dies: faults at random while clients write numbers and receivers take notifications.

At the end everything that is there is held against what was acknowledged (audit.py), and the table is printed.
`TSUNAGU_TEST_FAULTS` says how many faults there are; without it, one of each kind. `TSUNAGU_TEST_SEED` repeats a plan of
faults, though never what comes of it.
"""

import os
import random
import signal
import time
from pathlib import Path

import pytest
from faults.evidence import gather, read_states, wait_for_history
from faults.fault import kinds
from faults.ordeal import undergo
from faults.report import report
from faults.stage import Stage, StoreKind
from faults.tempo import Tempo, brisk
from faults.writer import Writers

FAULTS = int(os.environ.get("TSUNAGU_TEST_FAULTS", "0"))
SEED = int(os.environ.get("TSUNAGU_TEST_SEED", "20211"))

in_make_faults = pytest.mark.skipif(not FAULTS, reason="TSUNAGU_TEST_FAULTS is not set: this takes long")

pytestmark = [pytest.mark.fault, pytest.mark.timeout(600 + 15 * FAULTS)]


@pytest.mark.parametrize(
    ("kind", "brokers"),
    [
        pytest.param("sqlite", 1, id="sqlite"),
        pytest.param("mongo", 1, id="mongo", marks=pytest.mark.mongo),
        pytest.param("mongo", 3, id="three-on-mongo", marks=[pytest.mark.mongo, in_make_faults]),
    ],
)
async def test_whatever_fails_no_write_and_no_notification_is_lost(
    kind: StoreKind, brokers: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(SEED)
    stage = Stage(kind, tmp_path, chance)
    try:
        await stage.set_up(brokers)
        began = time.monotonic()
        writers = Writers([f"http://127.0.0.1:{wire.port}" for wire in stage.client_wires], chance)
        await writers.start()
        try:
            possible = kinds(stage) if FAULTS else list(dict.fromkeys(kinds(stage)))
            tempo = Tempo(chance) if FAULTS else brisk(chance)
            faults = await undergo(stage, writers, possible, FAULTS or len(possible), tempo)
        finally:
            await writers.stop()
        set_aside = await stage.be_quiet()
        states = await read_states(stage.brokers[0].url)
        await wait_for_history(stage.brokers[0].url)
        for broker in stage.brokers:
            assert await broker.end(signal.SIGTERM) == 0
        evidence = await gather(stage.store_url, states, stage.receipts())
        found = report(
            f"{kind}, {brokers} broker{'s' * (brokers > 1)}",
            time.monotonic() - began,
            faults,
            writers.writes,
            writers.strange,
            evidence,
            stage.watches,
            set_aside,
        )
    finally:
        await stage.clear()
    with capsys.disabled():
        print(found.table())
    assert found.is_clean
