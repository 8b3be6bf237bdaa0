"""The NGSI-LD Scope Query Language (4.19), and the levels of a Scope (4.18)."""

import re
from typing import Final

from broker.errors import BadRequestData
from broker.query.alternatives import read_alternatives
from broker.query.ast import ScopePattern, ScopeQuery

_LEVEL: Final = re.compile(r"[^\W\d_]\w*|\+")


def scope_levels(scope: str) -> tuple[str, ...]:
    """The levels of a Scope; its leading slash is optional (4.18)."""
    return tuple(scope.removeprefix("/").split("/"))


def parse_scope_query(text: str) -> ScopeQuery:
    """The scopes that a query string asks for. The leading slash may be missing, as in example 5. Raises BadRequestData."""
    return ScopeQuery(
        tuple(tuple(_pattern(scope) for scope in conjunction) for conjunction in read_alternatives(text, "scopeQ"))
    )


def _pattern(scope: str) -> ScopePattern:
    *levels, last = scope_levels(scope)
    subtree = last == "#"
    if not subtree:
        levels.append(last)
    for level in levels:
        if _LEVEL.fullmatch(level) is None:
            raise BadRequestData(f"scopeQ: {level!r} is no level of a scope in {scope!r}")
    return ScopePattern(tuple(levels), subtree)
