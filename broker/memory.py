"""The memory that the process has in use, against what it may use: looked at often, because a look costs microseconds."""

import asyncio
import ctypes
import gc
import logging
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

LOOK_SECONDS: Final = 0.5
TIGHT: Final = 0.85
"""Share of the limit from which on memory is given back, and nothing is taken on that makes the state grow."""
EXHAUSTED: Final = 0.95
"""Share of the limit from which on nothing at all is taken on."""
GIVE_BACK_SECONDS: Final = 5.0
"""How long at least between two attempts to give memory back: one may take a tenth of a second."""

_STATM: Final = Path("/proc/self/statm")
_CONTAINER: Final = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_UNLIMITED: Final = 1 << 60
"""What counts as no limit: version 1 of control groups writes a number near the largest of 64 bits."""

log = logging.getLogger(__name__)


def resident_bytes() -> int:
    """The process's resident memory, 0 where the system does not tell (it is no Linux)."""
    try:
        return int(_STATM.read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def container_limit() -> int:
    """The bytes that the process's container may use before the kernel kills in it, 0 where there is no limit."""
    for path in _CONTAINER:
        with suppress(OSError, ValueError):  # no such file, or "max"
            limit = int(path.read_text("ascii"))
            return limit if limit < _UNLIMITED else 0
    return 0


def give_back() -> None:
    """Return to the system what is not in use any more."""
    gc.collect()
    with suppress(OSError, AttributeError):  # only the GNU C library can be asked to
        ctypes.CDLL(None).malloc_trim(0)


class Memory:
    """How near the process is to `limit` bytes, as of the last look; without a limit (0), always far away.

    Looks as long as `run` runs.
    """

    def __init__(self, limit: int, resident: Callable[[], int] = resident_bytes) -> None:
        self.limit = limit
        self.share = 0.0
        self._resident = resident
        self._gave_back = 0.0

    async def run(self) -> None:
        """Look every LOOK_SECONDS until cancelled, and give memory back where it is tight."""
        while self.limit:
            self.look()
            await asyncio.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """Look now."""
        share = self._resident() / self.limit
        if share >= TIGHT and time.monotonic() >= self._gave_back + GIVE_BACK_SECONDS:
            give_back()
            self._gave_back = time.monotonic()
            share = self._resident() / self.limit
        if share >= TIGHT > self.share:
            log.warning("memory is tight: writes are refused", extra={"share": round(share, 3), "limit": self.limit})
        self.share = share

    @property
    def tight(self) -> bool:
        """Whether nothing should be taken on that makes the state grow."""
        return self.share >= TIGHT

    @property
    def exhausted(self) -> bool:
        """Whether nothing at all should be taken on."""
        return self.share >= EXHAUSTED
