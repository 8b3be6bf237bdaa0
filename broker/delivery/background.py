"""Work in the background that must not come to a silent stop."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final

from broker.errors import StoreUnavailable

_LOG: Final = logging.getLogger(__name__)


def report(what: str, error: Exception) -> None:
    """Log what went wrong: a store that is not available in a line, anything else, which should not be, in full."""
    if isinstance(error, StoreUnavailable):
        _LOG.warning(what, extra={"detail": error.detail})
    else:
        _LOG.error(what, exc_info=error)


def watched(work: Coroutine[Any, Any, None], what: str = "work on deliveries") -> asyncio.Task[None]:
    """A background task whose failure, which should not be, is logged at once, not when it is collected."""
    task = asyncio.create_task(work, name=what)

    def told(done: asyncio.Task[None]) -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            _LOG.critical("the %s came to a stop", what, exc_info=error)

    task.add_done_callback(told)
    return task
