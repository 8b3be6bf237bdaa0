"""Attribute paths as `q` (4.9) and `orderBy` (4.23.3) write them: `a.b.c`, `a[b.c]`, `a[en]`, `a[*]`.

Names are expanded here (5.5.7); the entity's own members and the core members of an attribute stay short. The standard
wants short names. This reader takes full IRIs too, plain or percent-encoded once more: such a name reaches to the next
delimiter, except that its last segment (after `/` or `#`) ends at a dot, as names hold no dots (4.6.2).
"""

import re
from typing import Final
from urllib.parse import unquote

from broker.model.entity import Names
from broker.model.terms import KINDS, SYSTEM_TIMES
from broker.query.ast import Path
from broker.query.scanner import Scanner

ENTITY_MEMBERS: Final = frozenset({"id", "type", "scope", "expiresAt", *SYSTEM_TIMES})
"""First names that address the entity's own members."""

INSTANCE_MEMBERS: Final = frozenset(
    {"type", "observedAt", "unitCode", "datasetId", "valueType", "objectType", "expiresAt", *SYSTEM_TIMES}
    | {kind.value for kind in KINDS.values()}
)
"""Further names that address a core member of an attribute instance."""

_FULL_IRI: Final = re.compile(
    r"[A-Za-z][A-Za-z0-9+\-]*(?:://|%3A%2F%2F)"
    r"(?:(?:(?!\.[A-Za-z][A-Za-z0-9+\-]*(?:://|%3A%2F%2F))[^\s;|,()\[\]{}<>=!~\"])*(?:[/#]|%2F|%23))?"
    r"[^\s;|,()\[\]{}<>=!~\".]+",
    re.IGNORECASE,
)
_NAME: Final = re.compile(r"[^\W\d](?:[\w\-]|%[0-9A-Fa-f]{2})*(?::(?:[\w\-]|%[0-9A-Fa-f]{2})+)*")
_TRAILING: Final = re.compile(r"[^\[\]]*")


def read_path(scanner: Scanner, names: Names) -> Path:
    """The attribute path that starts here (DottedPath and, in one pair of square brackets, the trailing path)."""
    scanner.skip_space()
    expanded = [_read_name(scanner, names, ENTITY_MEMBERS)]
    while scanner.take("."):
        expanded.append(_read_name(scanner, names, INSTANCE_MEMBERS))
    trailing = _read_trailing(scanner) if scanner.take("[") else None
    return Path(tuple(expanded), trailing)


def shown_path(path: Path) -> str:
    """A path for people: names as they are in it, expanded, and the trailing path in brackets."""
    trailing = "" if path.trailing is None else f"[{'.'.join(path.trailing)}]"
    return ".".join(path.names) + trailing


def _read_name(scanner: Scanner, names: Names, own: frozenset[str]) -> str:
    given = scanner.match(_FULL_IRI) or scanner.match(_NAME)
    if given is None:
        raise scanner.error("expected an attribute name")
    name = unquote(given) if "%" in given else given
    return name if name in own else names.expand(name)


def _read_trailing(scanner: Scanner) -> tuple[str, ...]:
    start = scanner.at
    members = tuple((scanner.match(_TRAILING) or "").split("."))
    scanner.expect("]")
    if not all(members):
        raise scanner.error("expected names of JSON members between the square brackets, separated by dots", start)
    return members
