"""Identifiers and names as clients may spell them: URIs and IRIs, names (4.6.2), scopes (4.18), DateTimes (4.6.3).

Each check returns the value in the form in which the broker keeps it and raises BadRequestData naming the member. They
are memoised: the same few names, types and instants come with nearly every request.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final

from broker.errors import BadRequestData
from broker.model.instants import normalise_instant, parse_instant
from broker.model.terms import NGSI_LD_NULL

_URI: Final = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*:"
    r"(?://(?:[\w.~!$&'()*+,;=:%-]*@)?\[[0-9A-Fa-f:.]+\])?"
    r"(?:[A-Za-z0-9._~:/?@!$&'()*+,;=-]|%[0-9A-Fa-f]{2}|[^\x00-\x7f])+"
    r"(?:#(?:[A-Za-z0-9._~:/?@!$&'()*+,;=-]|%[0-9A-Fa-f]{2}|[^\x00-\x7f])*)?",
    re.ASCII,
)
"""RFC 3986 with the characters of RFC 3987; which of the non-ASCII ones are admitted is `_is_iri_character`."""

MAX_LENGTH: Final = 4096
"""Characters of an identifier or a name: percent-encoded, any still fits into the URL of a request about it."""

_INVISIBLE_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zs", "Zl", "Zp"})
_BLANK_LETTERS: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters and marks that show as nothing: in an identifier they only serve to make two that look the same."""


def check_uri(value: object, member: str) -> str:
    """An absolute URI or IRI (5.2.1: URI includes IRI). Raises BadRequestData naming `member`."""
    if type(value) is str and _is_uri(value):
        return value
    if value == NGSI_LD_NULL:
        raise BadRequestData(f"{member}: the NGSI-LD Null is not allowed here")
    if type(value) is str and len(value) > MAX_LENGTH:
        raise BadRequestData(f"{member}: longer than {MAX_LENGTH} characters: {_shown(value)}")
    raise BadRequestData(f"{member}: not a valid URI: {_shown(value)}")


@lru_cache(maxsize=32768)
def _is_uri(value: str) -> bool:
    if len(value) > MAX_LENGTH or value == NGSI_LD_NULL or _URI.fullmatch(value) is None:
        return False
    return value.isascii() or all(character < "\x80" or _is_iri_character(character) for character in value)


def _is_iri_character(character: str) -> bool:
    """Whether a non-ASCII character may stand in an IRI: visible, no noncharacter, no variation selector."""
    code = ord(character)
    return not (
        unicodedata.category(character) in _INVISIBLE_CATEGORIES
        or character in _BLANK_LETTERS
        or 0xFDD0 <= code <= 0xFDEF
        or code & 0xFFFE == 0xFFFE
        or 0xFE00 <= code <= 0xFE0F
        or code >= 0xE0000
    )


def is_short_name(name: str) -> bool:
    """Whether a string matches the production `name` of 4.6.2 without a prefix: a letter, then letters, numbers or _."""
    return name[:1].isalpha() and name.replace("_", "").isalnum()


def check_name(name: str) -> str:
    """A name of an entity type or attribute (4.6.2): `name`, `prefix:name`, or an IRI. Raises BadRequestData."""
    if _is_name(name):
        return name
    if len(name) > MAX_LENGTH:
        raise BadRequestData(f"a name is longer than {MAX_LENGTH} characters: {_shown(name)}")
    raise BadRequestData(f"not a valid name: {_shown(name)} (4.6.2: letters, numbers and _, beginning with a letter)")


@lru_cache(maxsize=32768)
def _is_name(name: str) -> bool:
    if ":" not in name:
        return len(name) <= MAX_LENGTH and is_short_name(name)
    prefix, _, local = name.partition(":")
    return (len(name) <= MAX_LENGTH and is_short_name(prefix) and is_short_name(local)) or _is_uri(name)


def check_scope(value: object, member: str = "scope") -> str:
    """One Scope (4.18) with the leading slash that the grammar leaves optional. Raises BadRequestData."""
    if type(value) is not str:
        raise BadRequestData(f"{member}: a Scope is a string, not {_shown(value)}")
    path = value.removeprefix("/")
    if not all(map(is_short_name, path.split("/"))):
        raise BadRequestData(f"{member}: not a valid Scope: {_shown(value)} (4.18)")
    return "/" + path


def parse_scopes(value: object, member: str = "scope") -> list[str]:
    """One Scope or a non-empty array of Scopes (4.18), without duplicates. Raises BadRequestData."""
    if type(value) is not list:
        return [check_scope(value, member)]
    if not value:
        raise BadRequestData(f"{member}: an empty array is not allowed")
    return list(dict.fromkeys(check_scope(scope, member) for scope in value))


def check_instant(value: object, member: str, of: str | None = None) -> str:
    """A DateTime (4.6.3) as the broker writes it: with a decimal point. Raises BadRequestData naming `member` (`of` ...)."""
    if type(value) is str:
        instant = _normalised_instant(value)
        if instant is not None:
            return instant
    where = member if of is None else f"{of}.{member}"
    raise BadRequestData(f"{where}: not a DateTime such as 2026-11-22T21:34:08Z (4.6.3): {_shown(value)}")


@lru_cache(maxsize=8192)
def _normalised_instant(text: str) -> str | None:
    try:
        parse_instant(text)
    except ValueError:
        return None
    return normalise_instant(text)


def _shown(value: object) -> str:
    """A client's value as part of a message: never longer than a line."""
    text = repr(value)
    return text if len(text) <= 100 else text[:97] + "..."
