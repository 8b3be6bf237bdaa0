"""Work that is done from time to time for as long as the process runs: what has expired, or is too much, is removed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from broker.errors import StoreUnavailable
from broker.store.cancellation import check_cancelled


async def sweep_regularly(
    sweep: Callable[[], Awaitable[object]],
    interval: float,
    log: logging.Logger,
    complaint: str,
    wake: asyncio.Event | None = None,
) -> None:
    """Sweep every `interval` seconds, and when `wake` is set, until cancelled.

    Whatever goes wrong is logged as the `complaint` and tried again next time: what should go must not stay for ever.
    """
    wake = asyncio.Event() if wake is None else wake
    while True:
        wake.clear()
        try:
            await sweep()
        except StoreUnavailable as error:
            log.warning("%s now", complaint, extra={"detail": error.detail})
        except Exception:
            log.exception(complaint)
        check_cancelled()
        with suppress(TimeoutError):
            async with asyncio.timeout(interval):
                await wake.wait()
