"""An @context made ready for use: its names, and how answers refer to it (4.4, 5.2.3, 6.3.5, 6.3.6)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from broker.jsonld.core import CORE_URL, core_document
from broker.jsonld.terms import CORE, TermTable


@dataclass(frozen=True, slots=True)
class ResolvedContext:
    """What `ContextLibrary.resolve` gives.

    `payload` goes out as "@context" of a JSON-LD body: the user's @context as given, then the core unless the former
    contains it already; one element alone is not in an array (5.2.3). `link` is the URL for the Link header of a JSON
    answer, None where only a hosted copy would have one: ask `ContextLibrary.link_for`.
    """

    names: TermTable
    payload: Any
    link: str | None
    fresh_until: float = field(default=float("inf"), compare=False)
    documents: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)


CORE_ONLY = ResolvedContext(CORE, CORE_URL, CORE_URL)
"""The core @context, without a user's (5.5.5)."""


def payload_of(context: Any, has_core: bool) -> Any:
    """The @context member for bodies."""
    elements = [element for element in _elements(context) if element != {}]
    if not has_core:
        elements.append(CORE_URL)
    return elements[0] if len(elements) == 1 else elements


def link_of(context: Any) -> str | None:
    """The one URL that means the same as this @context, the core being implied, or None."""
    elements = [element for element in _elements(context) if element != {}]
    own = [element for element in elements if not isinstance(element, str) or core_document(element) is None]
    if not own:
        return elements[0] if len(elements) == 1 else CORE_URL
    return own[0] if len(own) == 1 and isinstance(own[0], str) else None


def _elements(context: Any) -> list[Any]:
    return context if isinstance(context, list) else [context]
