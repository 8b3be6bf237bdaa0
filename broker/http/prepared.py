"""Queries by GET that were compiled before: a dashboard asks the same thing again and again, only at another time."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeAlias

from broker.jsonld.terms import TermTable
from broker.model.representation import View
from broker.query.ast import EntityQuery

MOST: Final = 256
LONGEST: Final = 4096
"""Characters of parameters; what has more is compiled each time."""

Key: TypeAlias = tuple[TermTable, str, str | None, tuple[tuple[str, str], ...]]
"""The names, the media type, what version is preferred, and the parameters but those that say which page."""


class Prepared(NamedTuple):
    """A Query (5.2.23) and what was made of it. Nobody changes any of it."""

    query: dict[str, Any]
    compiled: EntityQuery
    view: View


class Preparations:
    """The last ones that were asked for. What cannot be compiled is not remembered."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: dict[Key, Prepared] = {}

    def get(self, key: Key, prepare: Callable[[], Prepared]) -> Prepared:
        """A query as it was compiled before, or is now."""
        found = self._known.pop(key, None)
        if found is None:
            found = prepare()
            if sum(len(name) + len(value) for name, value in key[3]) > LONGEST:
                return found
            if len(self._known) >= self._most:
                del self._known[next(iter(self._known))]
        self._known[key] = found
        return found


preparations: Final = Preparations()
"""Those of this process."""
