"""Bytes of entities as they were shown before: what was rendered once is not rendered again while it is asked for.

The key is the stored body itself, under an @context's names and a view. What an entity is shown as depends on nothing else, so
that nothing here can be out of date, and nothing has to be told of writes.
"""

from sys import getsizeof
from typing import Final, TypeAlias

import orjson

from broker.jsonld.terms import TermTable
from broker.model.representation import View, represent
from broker.store.protocol import Sheet

MOST_BYTES: Final = 32 * 1024 * 1024
"""Of bodies and what they are shown as; half of it is what was asked for lately."""
LARGEST: Final = 64 * 1024
"""Longer bodies are not remembered."""
OVERHEAD: Final = 200
"""Bytes that an entry takes besides."""
MOST_KINDS: Final = 256
"""Pairs of an @context and a view."""
KIND_BYTES: Final = 16 * 1024
TERM_BYTES: Final = 300
"""What an @context takes, and each of its terms, where nobody else remembers it any more."""

Shown: TypeAlias = dict[str | bytes, bytes]


class Renderings:
    """See the module. Safe to share between requests of one event loop; bounded by bytes."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._half = most_bytes // 2
        self._size = 0
        self._young: dict[tuple[TermTable, View], Shown] = {}
        self._old: dict[tuple[TermTable, View], Shown] = {}
        self._tables: set[TermTable] = set()

    def array(self, sheet: Sheet, names: TermTable, view: View) -> bytes:
        """The entities of a sheet as a JSON array. The view joins nothing and is of no earlier version."""
        if not sheet.bodies:
            return b"[]"
        young, old = self._kind(names, view)
        shown = []
        for body in sheet.bodies:
            found = young.get(body)
            if found is None:
                found = old.get(body) or orjson.dumps(represent(sheet.decode(body), names, view))
                if len(body) <= LARGEST:
                    young[body] = found
                    self._size += getsizeof(body) + len(found) + OVERHEAD  # a text may take four bytes a character
            shown.append(found)
        if self._size > self._half:
            self._grow_old()
        return b"[" + b",".join(shown) + b"]"

    def _kind(self, names: TermTable, view: View) -> tuple[Shown, Shown]:
        """What was shown so lately, and before. Both count what they keep alive: a view may be as long as a request."""
        key = names, view
        young = self._young.get(key)
        if young is None:
            if len(self._young) >= MOST_KINDS:
                self._grow_old()
            young = self._young[key] = {}
            self._size += OVERHEAD + len(repr(view))
            if names not in self._tables:
                self._tables.add(names)
                self._size += KIND_BYTES + TERM_BYTES * names.size
        return young, self._old.get(key, {})

    def _grow_old(self) -> None:
        self._old, self._young, self._size = self._young, {}, 0
        self._tables.clear()


renderings: Final = Renderings()
"""Those of this process."""
