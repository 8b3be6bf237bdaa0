"""The NGSI-LD core @contexts (4.4, Annex B) that this broker carries with it, so that none is ever fetched.

`core/ngsi-ld-core-context-v1.9.jsonld` is Annex B of GS CIM 009 V1.9.1, term for term, and it alone decides what a
core term means here, whatever version a client names. The older documents exist so that a client's @context may name
them: they are v1.9 without the terms that Annex I (change history) and the clauses show to be newer:

    v1.4   natural languages (LanguageProperty, languageMap, lang) and temporal aggregation (avg, max, aggrMethods, ...)
    v1.5   scope, scopeQ, attrs, receiverInfo, notifierInfo, key
    v1.6   distributed operations (mode, operations, management, ...), deletions (deletedAt, previousValue, ...), tenant
    v1.7   VocabProperty
    v1.8   linked entities (join, entity, containedBy, ...), pick and omit, JsonProperty, ListProperty, ListRelationship,
           datasets, context source identity, entity maps; and from here on the terms are protected (@protected)
    v1.9   ngsildproof, valueType, ordering, snapshots, expandValues, jsonKeys, lastUsedAt

Not certain, because the standard's history does not say it term by term: the version in which the members of API data
types came in (aggrParams, entityCount, notUpdated, problemDetails, ...), and whether an older document spelled a
definition differently. Neither changes the meaning of a name in this broker, since v1.9 is applied last.
"""

from functools import cache
from importlib import resources
from typing import Any, Final, TypeAlias

import orjson

JsonObject: TypeAlias = dict[str, Any]

_BASE: Final = "https://uri.etsi.org/ngsi-ld/v1/"

CORE_URL: Final = f"{_BASE}ngsi-ld-core-context-v1.9.jsonld"
"""The core @context of the standard's version that this broker implements (4.4)."""

CORE_FILES: Final = {
    f"{_BASE}ngsi-ld-core-context.jsonld": "ngsi-ld-core-context-v1.9.jsonld",
    **{f"{_BASE}{name}": name for name in (f"ngsi-ld-core-context-v1.{minor}.jsonld" for minor in range(3, 10))},
}
"""The files of this package by the exact URLs that they stand for, the one without a version included."""


def core_document(url: str) -> JsonObject | None:
    """The core @context document that this exact URL names, None for any other URL. It is shared: do not change it."""
    name = CORE_FILES.get(url)
    return None if name is None else _document(name)


def core_context(url: str) -> JsonObject | None:
    """The same without what has no effect on names: protection, and scoped contexts (which would need the network).

    Protection is kept by `broker.jsonld.terms` itself, which applies the core after and over everything else.
    """
    name = CORE_FILES.get(url)
    return None if name is None else _context(name)


@cache
def _document(name: str) -> JsonObject:
    document: JsonObject = orjson.loads((resources.files(__package__) / "core" / name).read_bytes())
    return document


@cache
def _context(name: str) -> JsonObject:
    return {
        term: {key: value for key, value in definition.items() if key != "@context"}
        if isinstance(definition, dict)
        else definition
        for term, definition in _document(name)["@context"].items()
        if term != "@protected"
    }


DEFAULT_VOCAB: Final[str] = _context(CORE_FILES[CORE_URL])["@vocab"]
"""Where names fall that no @context maps (4.4)."""
