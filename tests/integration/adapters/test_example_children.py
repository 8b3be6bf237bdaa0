"""examples/children.py: no process of an example outlives it, also where it is killed."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from examples.children import child

ROOT = Path(__file__).parents[3]
SLEEP = "import time; print('there', flush=True); time.sleep(120)"
PARENT = f"""
import asyncio, sys
from examples.children import child

async def main():
    async with child(sys.executable, "-c", {SLEEP!r}, output=None, kernel=sys.argv[1] == "kernel") as process:
        print(process.pid, flush=True)
        await asyncio.sleep(120)

asyncio.run(main())
"""
WAYS = [pytest.param("kernel", marks=pytest.mark.skipif(sys.platform != "linux", reason="of Linux")), "watcher"]


@pytest.mark.parametrize("way", WAYS)
def test_a_child_dies_with_a_parent_that_is_killed(way):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, way],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        lines = sorted([parent.stdout.readline().strip(), parent.stdout.readline().strip()])
        assert lines[1] == "there"
        theirs = psutil.Process(parent.pid).children(recursive=True)
        assert int(lines[0]) in {each.pid for each in theirs}
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        _, left = psutil.wait_procs(theirs, timeout=10)
        assert [each for each in left if each.status() != psutil.STATUS_ZOMBIE] == []
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()


@pytest.mark.parametrize("kernel", [sys.platform == "linux", False])
async def test_a_child_ends_with_its_block_and_leaves_nobody_behind(kernel):
    before = set(psutil.Process().children())
    async with child(sys.executable, "-c", "import time; time.sleep(120)", kernel=kernel) as process:
        assert process.returncode is None
    assert process.returncode == -signal.SIGTERM
    await asyncio.sleep(0)
    assert set(psutil.Process().children()) <= before
