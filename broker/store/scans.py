"""Scans: queries that looked at many entities in vain, as no index led past them. They are counted, and told in the log."""

import logging
import time
from typing import Final

from broker import metrics
from broker.query.ast import EntityQuery, TypeSelection
from broker.store.demand import Effort

SCAN: Final = 1_000
"""Entities looked at in vain that make a query a scan."""
MOST_NAMED: Final = 8
LONGEST_NAME: Final = 200
"""Types and paths that a line in the log names, and characters of each: clients choose them."""
QUIET_SECONDS: Final = 10.0
"""After a line in the log about one, the next ones are only counted for so long."""

_LOG: Final = logging.getLogger(__name__)


class Scans:
    """Tells of scans, at most one line in QUIET_SECONDS."""

    def __init__(self) -> None:
        self._told = -QUIET_SECONDS
        self._untold = 0

    def note(self, tenant: str, query: EntityQuery, effort: Effort) -> None:
        """Count a query if it was a scan."""
        if effort.wasted < SCAN:
            return
        metrics.query_scans.inc()
        metrics.query_entities_in_vain.inc(effort.wasted)
        now = time.monotonic()
        if now < self._told + QUIET_SECONDS:
            self._untold += 1
            return
        asked = {
            "tenant": tenant,
            "types": _named(sorted({name for each in query.selectors for name in _types(each.types)})),
            "missing": _named([".".join(path.names) for _, path in effort.missing]),
        }
        _LOG.warning(
            "a query looked at %d entities in vain, and %d others like it since the last such line",
            effort.wasted,
            self._untold,
            extra=asked,
        )
        self._told, self._untold = now, 0


def _types(selection: TypeSelection | None) -> list[str]:
    return [] if selection is None else [name for conjunction in selection.alternatives for name in conjunction]


def _named(names: list[str]) -> list[str]:
    return [name[:LONGEST_NAME] for name in names[:MOST_NAMED]]
