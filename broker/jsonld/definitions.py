"""From local contexts to term definitions: PyLD's context processing, kept from the network and from surprises.

PyLD decides what a context means (JSON-LD 1.1, section 4.1 of the API recommendation). What reaches it here is a flat
list of context objects without URLs, imports or scoped contexts, so that it has nothing to load.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from pyld import jsonld
from pyld.resolved_context import ResolvedContext

from broker.errors import BadRequestData
from broker.jsonld.core import JsonObject

_KEYWORD_LIKE: Final = re.compile(r"@[a-zA-Z]+")
_KEYWORDS: Final = frozenset(jsonld.KEYWORDS)
_SETTINGS: Final = ("@vocab", "@language", "@direction")


class Term(NamedTuple):
    """What a context says of one term.

    `iri` is None where the term names nothing that an entity could have: mapped to null, an alias of a keyword, or a
    reverse property. `prefix`: it may begin a compact IRI. `coercion` is the IRI or keyword of its `@type`.
    `container` is its container mapping, sorted and joined, "@none" where there is none.
    """

    iri: str | None
    prefix: bool = False
    coercion: str | None = None
    container: str = "@none"


class _Resolver:
    """Stands in for PyLD's ContextResolver: every context is local and already resolved."""

    def resolve(self, active: Any, context: Any, base: str, cycles: Any = None) -> list[ResolvedContext]:
        return [ResolvedContext(context)]


def define(contexts: Iterable[JsonObject | None]) -> dict[str, Term]:
    """The terms that these context objects define together, each building on those before it; None forgets them.

    Raises BadRequestData with PyLD's reason where one is invalid.
    """
    processor = jsonld.JsonLdProcessor()
    options = {"processingMode": "json-ld-1.1", "contextResolver": _Resolver(), "base": "", "documentLoader": _refuse}
    initial = processor.process_context({}, None, options)
    active: Mapping[str, Any] = initial
    for context in contexts:
        if context is None:
            if any(mapping and mapping["protected"] for mapping in active["mappings"].values()):
                raise BadRequestData("@context: null after protected terms (JSON-LD: invalid context nullification)")
            active = initial
            continue
        try:
            active = processor.process_context(active, _processable(context, active), options)
        except jsonld.JsonLdError as error:
            raise BadRequestData(f"@context: {_reason(error)}") from error
        except RecursionError as error:
            raise BadRequestData("@context: term definitions that lean on one another in too long a chain") from error
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            # PyLD trips over some invalid combinations (a compact IRI whose prefix is null) instead of naming them.
            raise BadRequestData(f"@context: a term definition cannot be processed ({error})") from error
        if ":" not in active.get("@vocab", ":"):
            raise BadRequestData("@context: @vocab is not an absolute IRI")
    return {term: _term(mapping) for term, mapping in active["mappings"].items()}


def _term(mapping: Mapping[str, Any] | None) -> Term:
    if mapping is None or not mapping["@id"] or mapping["reverse"] or mapping["@id"] in _KEYWORDS:
        return Term(None)
    container = "".join(sorted(mapping.get("@container") or ["@none"]))
    return Term(mapping["@id"], mapping["_prefix"], mapping.get("@type"), container)


def _processable(context: JsonObject, active: Mapping[str, Any]) -> JsonObject:
    """A context object without what JSON-LD says is to be ignored, and without null settings that nothing set before.

    Terms and values that look like keywords but are none (`@foo`) are reserved and ignored (JSON-LD 1.1, 4.2.1).
    """
    kept: JsonObject = {}
    for term, definition in context.items():
        if term in _SETTINGS and definition is None and term not in active:
            continue
        if _reserved(term) or _reserved(definition):
            continue
        if isinstance(definition, dict) and (_reserved(definition.get("@id")) or _reserved(definition.get("@reverse"))):
            continue
        kept[term] = definition
    vocab = kept.get("@vocab")
    if isinstance(vocab, str) and ":" not in vocab and not _resolvable(vocab, kept, active):
        raise BadRequestData(f"@context: @vocab {vocab!r} is relative and there is nothing to resolve it against")
    return kept


def _resolvable(vocab: str, context: JsonObject, active: Mapping[str, Any]) -> bool:
    base = context.get("@base") or active.get("@base") or ""
    return vocab in active["mappings"] or "@vocab" in active or (isinstance(base, str) and ":" in base)


def _reserved(value: Any) -> bool:
    return isinstance(value, str) and value not in _KEYWORDS and _KEYWORD_LIKE.fullmatch(value) is not None


def _reason(error: jsonld.JsonLdError) -> str:
    text = str(error.args[0]).removeprefix("Invalid JSON-LD syntax; ").rstrip(".")
    details = error.details if isinstance(error.details, dict) else {}
    subject = next((str(details[key]) for key in ("term", "iri") if details.get(key)), None)
    return f"{text} ({error.code}{f': {subject!r}' if subject else ''})"


def _refuse(url: str, options: Any) -> Any:
    raise LookupError(f"{url} is not to be loaded here")
