"""What the web servers of a runner say in the log: not what a malformed request was, as it may have a key in its address."""

import logging
from typing import Final

from aiohttp.http_exceptions import HttpProcessingError


class _WithoutRequests(logging.Filter):
    """Leaves out requests that are no HTTP: their senders are told, and the exception has the line that they sent."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


WEB_LOG: Final = logging.getLogger("adapters.web")
WEB_LOG.addFilter(_WithoutRequests())
