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
from faults.evidence import gather, read_states
from faults.fault import kinds
from faults.ordeal import undergo
from faults.report import report
from faults.stage import Stage, StoreKind
from faults.tempo import Tempo, brisk
from faults.writer import Writers

FAULTS = int(os.environ.get("TSUNAGU_TEST_FAULTS", "0"))
SEED = int(os.environ.get("TSUNAGU_TEST_SEED", "20211"))

pytestmark = [pytest.mark.fault, pytest.mark.timeout(600 + 15 * FAULTS)]


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("mongo", marks=pytest.mark.mongo)])
async def test_whatever_fails_no_write_and_no_notification_is_lost(
    kind: StoreKind, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(SEED)
    stage = Stage(kind, tmp_path, chance)
    try:
        await stage.set_up()
        began = time.monotonic()
        writers = Writers([f"http://127.0.0.1:{wire.port}" for wire in stage.client_wires], chance)
        await writers.start()
        try:
            tempo = Tempo(chance) if FAULTS else brisk(chance)
            faults = await undergo(stage, writers, FAULTS or len(kinds(stage)), tempo)
        finally:
            await writers.stop()
        set_aside = await stage.be_quiet()
        states = await read_states(stage.brokers[0].url)
        for broker in stage.brokers:
            assert await broker.end(signal.SIGTERM) == 0
        evidence = await gather(stage.store_url, states, stage.receipts())
        found = report(
            kind, time.monotonic() - began, faults, writers.writes, writers.strange, evidence, stage.watches, set_aside
        )
    finally:
        await stage.clear()
    with capsys.disabled():
        print(found.table())
    assert found.is_clean
