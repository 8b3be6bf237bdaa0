"""Processes that end with this one, however it ends: also where it is killed and can do nothing any more."""

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO, Final

PATIENCE: Final = 30.0
_PR_SET_PDEATHSIG: Final = 1
_WATCH: Final = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
while os.read(int(sys.argv[1]), 1):
    pass
try:
    os.kill(int(sys.argv[2]), signal.SIGKILL)
except ProcessLookupError:
    pass
"""
"""Waits for the end of a pipe that only the parent holds open, and kills the child then."""


@asynccontextmanager
async def child(
    *command: str | Path,
    output: int | IO[bytes] = asyncio.subprocess.DEVNULL,
    errors: int | IO[bytes] | None = None,
    env: Mapping[str, str] | None = None,
    kernel: bool = sys.platform == "linux",
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process for as long as the block lasts, and no longer than this process.

    `kernel`: Linux itself kills it when its parent dies. Elsewhere a second process waits for that.
    """
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        env=env,
        preexec_fn=_dying_with(os.getpid()) if kernel else None,
    )
    try:
        if kernel:
            yield process
        else:
            async with _watched(process):
                yield process
    finally:
        await ended(process)


async def ended(process: asyncio.subprocess.Process) -> None:
    """End a process, by force if it takes longer than it may."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.terminate()
    try:
        await asyncio.wait_for(process.wait(), PATIENCE)
    except TimeoutError:
        process.kill()
        await process.wait()


def _dying_with(parent: int) -> "_InChild":
    return _InChild(parent, ctypes.CDLL(None, use_errno=True))


class _InChild:
    """What a child does before it becomes another program. The library is loaded by then: a forked child should do little."""

    def __init__(self, parent: int, library: ctypes.CDLL) -> None:
        self._parent = parent
        self._library = library

    def __call__(self) -> None:
        self._library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self._parent:  # it died before the kernel was told
            os._exit(1)


@asynccontextmanager
async def _watched(process: asyncio.subprocess.Process) -> AsyncIterator[None]:
    there, here = os.pipe()  # the write end is inherited by nobody
    try:
        watcher = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-c", _WATCH, str(there), str(process.pid)),
            pass_fds=[there],
            start_new_session=True,  # Ctrl-C is for the others
        )
        os.close(there)
        try:
            yield
        finally:
            watcher.kill()  # before its pipe ends, and before the id of the child may be another's
            await watcher.wait()
    finally:
        os.close(here)
