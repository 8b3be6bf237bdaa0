"""Queries by GET that were compiled before: a dashboard asks the same thing again and again, only at another time."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeAlias

from broker.jsonld.terms import TermTable
from broker.model.representation import View
from broker.query.ast import EntityQuery

MOST: Final = 256
LONGEST: Final = 4096
"""Characters of parameters; what has more is compiled each time."""
MOST_TERMS: Final = 100_000
"""Terms of all @contexts that are remembered with queries: nobody else may remember them any more."""

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
        self._tables: set[TermTable] = set()
        self._terms = 0

    def get(self, key: Key, prepare: Callable[[], Prepared]) -> Prepared:
        """A query as it was compiled before, or is now."""
        found = self._known.pop(key, None)
        if found is None:
            found = prepare()
            if len(key[2] or "") + sum(len(name) + len(value) for name, value in key[3]) > LONGEST:
                return found
            if len(self._known) >= self._most:
                del self._known[next(iter(self._known))]
            self._count(key[0])
        self._known[key] = found
        return found

    def _count(self, names: TermTable) -> None:
        """Count what an @context takes, at least until all is forgotten."""
        if names in self._tables:
            return
        if self._terms + names.size > MOST_TERMS or len(self._tables) >= self._most:
            self._known.clear()
            self._tables.clear()
            self._terms = 0
        self._tables.add(names)
        self._terms += names.size


preparations: Final = Preparations()
"""Those of this process."""
