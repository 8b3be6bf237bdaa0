"""A cancellation that a driver swallowed is still a cancellation.

`asyncio.wait_for` of Python 3.11 drops one that arrives in the moment its future completes (fixed in 3.12), and drivers
use it: a task that was cancelled then simply goes on. Loops that run until cancelled look here once a turn.
"""

import asyncio


def check_cancelled() -> None:
    """Raise CancelledError if somebody has asked for the end of the current task. Not for use within asyncio.timeout."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
