"""An @context at work: names to IRIs and back (4.4, 5.5.7), by dictionary.

A user's terms lie under the core's: a core term means what Annex B says in any position of any @context, and names
that neither defines fall to the default vocabulary. The answers are those of JSON-LD expansion and compaction with the
@context `[user, core]`, with these differences, each of which keeps a name from being lost or misread:

* A name that JSON-LD would drop, because a context maps it to null, to a keyword or to a reverse property, falls to the
  default vocabulary like an unknown one. (The entity's own `id` and `type` are no names in this sense: the model reads them.)
* An IRI with a core term compacts to the core term even where a user's alias of it is shorter.
* A term is chosen for an IRI also where its type coercion or container would, in JSON-LD, be meant for other values:
  in NGSI-LD the coercion describes the Property's value, which lies one level deeper than the name (4.4).
* `compact` returns only what `expand` takes back to the same IRI, if there is such a name at all.
"""

import re
from collections.abc import Mapping
from typing import Final

from broker.jsonld.core import CORE_URL, DEFAULT_VOCAB, core_context
from broker.jsonld.definitions import Term, define

LEARNED_LIMIT: Final = 2048
"""How many answers each direction of a table remembers, besides its terms."""

LEARNED_LENGTH: Final = 512
"""Longer names are not remembered."""

_ABSOLUTE_IRI: Final = re.compile(r"([A-Za-z][A-Za-z0-9+\-.]*|_):\S*")
_CONTAINERS: Final = ("@set", "@none", "@id", "@id@set", "@type", "@set@type", "@index", "@index@set")
_COERCIONS: Final = ("@id", None, "@none")


class TermTable:
    """One compiled @context. It has the methods of the model's `Names`; safe to share, bounded in memory."""

    __slots__ = ("_compacted", "_expanded", "_prefixes", "_short", "_terms", "size")

    def __init__(self, user: Mapping[str, Term]) -> None:
        """The core terms over the user's."""
        visible = {name: term for name, term in user.items() if name not in CORE_TERMS}
        self._terms = {**visible, **CORE_TERMS}
        self._short = {**_shortest(visible), **_CORE_NAMES}
        self._prefixes = tuple(
            (name, term.iri) for name, term in self._terms.items() if term.prefix and term.iri and ":" not in name
        )
        self._expanded: dict[str, str] = {}
        self._compacted: dict[str, str] = {}
        self.size = len(visible)
        """How many terms the user's part defines."""

    def expand(self, name: str) -> str:
        """The IRI of a name (5.5.7), always with a colon in it; an absolute IRI comes back as it is."""
        try:
            return self._expanded[name]
        except KeyError:
            return _learn(self._expanded, name, self._expand(name))

    def compact(self, iri: str) -> str:
        """The name of an IRI: a term, a name in the default vocabulary, a compact IRI, or the IRI itself (5.5.7)."""
        try:
            return self._compacted[iri]
        except KeyError:
            return _learn(self._compacted, iri, self._compact(iri))

    def coercion(self, name: str) -> str | None:
        """The type that values under this term are coerced to: an IRI, `@id`, `@vocab`, `@json`, ... or None."""
        term = self._terms.get(name)
        return term.coercion if term else None

    def _expand(self, name: str) -> str:
        term = self._terms.get(name)
        if term is not None:
            return term.iri or DEFAULT_VOCAB + name
        prefix, colon, suffix = name.partition(":")
        if colon and prefix:
            if prefix == "_" or suffix.startswith("//"):
                return name
            term = self._terms.get(prefix)
            if term is not None and term.prefix and term.iri:
                return term.iri + suffix
            if _ABSOLUTE_IRI.fullmatch(name):
                return name
        return DEFAULT_VOCAB + name

    def _compact(self, iri: str) -> str:
        name = self._short.get(iri)
        if name is not None:
            return name
        if iri.startswith(DEFAULT_VOCAB):
            name = iri[len(DEFAULT_VOCAB) :]
            if name and name[0] != "@" and name not in self._terms and self._expand(name) == iri:
                return name
        candidates = [f"{prefix}:{iri[len(start) :]}" for prefix, start in self._prefixes if iri.startswith(start)]
        usable = [name for name in candidates if name not in self._terms and self._expand(name) == iri]
        return min(usable, key=_by_length, default=iri)


def _learn(memory: dict[str, str], key: str, value: str) -> str:
    if len(key) <= LEARNED_LENGTH:
        if len(memory) >= LEARNED_LIMIT:
            memory.clear()
        memory[key] = value
    return value


def _by_length(name: str) -> tuple[int, str]:
    return len(name), name


def _shortest(terms: Mapping[str, Term]) -> dict[str, str]:
    """The term for each IRI: first those that JSON-LD selects for a node, then the shortest, then by code point."""
    chosen: dict[str, str] = {}
    for name in sorted(terms, key=lambda name: (*_selection(terms[name]), len(name), name)):
        iri = terms[name].iri
        if iri is not None:
            chosen.setdefault(iri, name)
    return chosen


def _selection(term: Term) -> tuple[int, int]:
    if term.coercion not in _COERCIONS:
        return len(_CONTAINERS), len(_COERCIONS)
    container = _CONTAINERS.index(term.container) if term.container in _CONTAINERS else len(_CONTAINERS)
    return container, _COERCIONS.index(term.coercion)


CORE_TERMS: Final[Mapping[str, Term]] = define([core_context(CORE_URL)])
_CORE_NAMES: Final[Mapping[str, str]] = _shortest(CORE_TERMS)
CORE: Final = TermTable({})
"""The core @context alone (5.5.5)."""
