"""The clock by which a process measures how long ago something was, also where it slept meanwhile."""

import time


def elapsed() -> float:
    """Seconds since some moment in the past. They go on while the machine is suspended, where the system can tell."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
