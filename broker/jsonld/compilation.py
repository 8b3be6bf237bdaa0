"""A client's @context and the documents it refers to, made into one `TermTable` (4.4, 5.5.7).

Fetching is somebody else's: ask `referenced_urls` what is needed, get it, then `compile_context`. A reference is a key of
`documents` as written, or, inside a document that was itself fetched, resolved against that document's URL.
References to the core @contexts need no document.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urljoin

from broker.errors import BadRequestData
from broker.jsonld.core import JsonObject, core_context
from broker.jsonld.definitions import define
from broker.jsonld.terms import CORE, TermTable

MAX_DEPTH: Final = 8
"""How deep documents may refer to documents."""

MAX_PARTS: Final = 100
"""How many context objects one @context may consist of, with every repetition that references make."""

MAX_TERMS: Final = 10_000
"""How many term definitions one @context may hold, counted likewise."""

_REFERENCE: Final = re.compile(r"[^\x00-\x20\x7f-\xa0<>\"\\^`{|}\ud800-\udfff]{1,8192}")


def referenced_urls(context: Any, base: str | None = None) -> set[str]:
    """What an @context value refers to directly, without the core @contexts. `base`: the URL it was fetched from.

    Raises BadRequestData where the value is no @context (JSON-LD 1.1, 9.15), or one of its objects has a scoped context.
    """
    return {url for url in _references(context, base) if core_context(url) is None}


def includes_core(context: Any, documents: Mapping[str, Any]) -> bool:
    """Whether an @context contains a core @context, itself or through the documents it refers to (4.4)."""
    seen: set[str] = set()
    waiting = list(_references(context, None))
    while waiting:
        url = waiting.pop()
        if core_context(url) is not None:
            return True
        if url not in seen and url in documents:
            seen.add(url)
            waiting.extend(_references(document_context(documents[url], url), url))
    return False


def compile_context(context: Any, documents: Mapping[str, Any]) -> TermTable:
    """The table of an @context (a URL, an object, or an array of both), the core included.

    Raises BadRequestData where it is invalid, has a scoped context (5.5.7), refers to itself, or is beyond the limits
    above; KeyError where a document it refers to is missing.
    """
    parts: list[JsonObject | None] = []
    terms = 0
    for part in _parts(context, documents, None, ()):
        parts.append(part)
        terms += len(part) if part else 0
        if len(parts) > MAX_PARTS:
            raise BadRequestData(f"@context: more than {MAX_PARTS} parts")
        if terms > MAX_TERMS:
            raise BadRequestData(f"@context: more than {MAX_TERMS} terms")
    table = TermTable(define(parts))
    return table if table.size else CORE


def document_context(document: Any, url: str) -> Any:
    """The @context value of a fetched document. Raises BadRequestData where there is none (5.5.6)."""
    if not isinstance(document, dict) or "@context" not in document:
        raise BadRequestData(f"@context: {url} is no JSON-LD context: no JSON object with a member @context")
    return document["@context"]


def _references(context: Any, base: str | None) -> Iterator[str]:
    for element in _elements(context):
        if isinstance(element, str):
            yield _absolute(element, base)
        elif element is not None and "@import" in element:
            yield _absolute(_import(element), base)


def _parts(
    context: Any, documents: Mapping[str, Any], base: str | None, trail: tuple[str, ...]
) -> Iterator[JsonObject | None]:
    """The context objects of an @context in order, references and imports followed. `trail`: the documents around it."""
    for element in _elements(context):
        if element is None:
            yield None
        elif isinstance(element, str):
            url = _absolute(element, base)
            core = core_context(url)
            if core is not None:
                yield core
            else:
                yield from _parts(_document(url, documents, trail), documents, url, (*trail, url))
        else:
            if "@import" in element:
                url = _absolute(_import(element), base)
                element = {**_imported(url, documents, trail), **element}
                del element["@import"]
            # @propagate matters to nested contexts only, of which there are none; @base counts only in the request itself.
            dropped = ("@propagate",) if base is None else ("@propagate", "@base")
            yield {term: definition for term, definition in element.items() if term not in dropped}


def _document(url: str, documents: Mapping[str, Any], trail: tuple[str, ...]) -> Any:
    if url in trail:
        raise BadRequestData(f"@context: {url} refers to itself")
    if len(trail) >= MAX_DEPTH:
        raise BadRequestData(f"@context: references nested more than {MAX_DEPTH} deep, at {url}")
    return document_context(documents[url], url)


def _imported(url: str, documents: Mapping[str, Any], trail: tuple[str, ...]) -> JsonObject:
    core = core_context(url)
    imported = core if core is not None else _document(url, documents, trail)
    if not isinstance(imported, dict):
        raise BadRequestData(f"@context: @import of {url}, which is not a single context object")
    if "@import" in imported:
        raise BadRequestData(f"@context: @import of {url}, which has an @import itself")
    _check(imported)
    return imported


def _import(context: JsonObject) -> str:
    url = context["@import"]
    if not isinstance(url, str):
        raise BadRequestData("@context: @import must be a URL")
    _check_reference(url)
    return url


def _absolute(reference: str, base: str | None) -> str:
    if base is None:
        return reference
    try:
        return urljoin(base, reference)
    except ValueError as error:
        raise BadRequestData(f"@context: {reference!r} is no URL") from error


def _check_reference(url: str) -> None:
    """Refuse what no URL may hold (RFC 3986): such a reference could not be repeated in a Link header either."""
    if _REFERENCE.fullmatch(url) is None:
        raise BadRequestData(f"@context: {url[:200]!r} is no URL" if url else "@context: an empty string is no URL")


def _elements(context: Any) -> list[str | JsonObject | None]:
    """The elements of an @context value, each checked for its form."""
    elements = context if isinstance(context, list) else [context]
    if len(elements) > MAX_PARTS:
        raise BadRequestData(f"@context: an array of more than {MAX_PARTS} elements")
    for element in elements:
        if isinstance(element, dict):
            _check(element)
        elif isinstance(element, str):
            _check_reference(element)
        elif element is not None:
            raise BadRequestData(f"@context: must be a URL, an object or an array of them, not {_kind(element)}")
    return elements


def _check(context: JsonObject) -> None:
    """Refuse scoped contexts (5.5.7), and values nested deeper than a term definition can be."""
    if len(context) > MAX_TERMS:
        raise BadRequestData(f"@context: more than {MAX_TERMS} terms")
    if "@context" in context:
        raise BadRequestData("@context: a member @context inside an @context")
    for term, definition in context.items():
        if isinstance(definition, list):
            raise BadRequestData(
                f"@context: the definition of {term!r} must be a string, an object or null, not an array"
            )
        if not isinstance(definition, dict):
            continue
        if "@context" in definition:
            raise BadRequestData(
                f"@context: the term {term!r} has a scoped context, which a user @context shall not contain"
            )
        for key, value in definition.items():
            if isinstance(value, dict) or (isinstance(value, list) and not _is_container(key, value)):
                raise BadRequestData(f"@context: {key} in the definition of {term!r} may not be {_kind(value)}")


def _is_container(key: str, value: list[Any]) -> bool:
    return key == "@container" and len(value) <= 3 and all(isinstance(element, str) for element in value)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    return "an array" if isinstance(value, list) else "an object"
