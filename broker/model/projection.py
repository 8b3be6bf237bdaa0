"""The attribute projection language (4.21): which members of an entity, and of entities linked to it, are shown.

terms = term *(("," / "|") term)
term  = name ["{" terms "}"]
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from broker.errors import BadRequestData
from broker.model.attributes import attribute_iri
from broker.model.entity import Names
from broker.model.terms import SYSTEM_TIMES

ENTITY_MEMBERS: Final = frozenset({"id", "type", "scope"})
"""Members of an entity that pick and omit may name besides attributes."""

SYSTEM_MEMBERS: Final = frozenset({*SYSTEM_TIMES, "expiresAt"})
"""Members of an entity that are shown only where system attributes are asked for (6.3.11)."""

_MAX_DEPTH: Final = 32
_TOKEN: Final = re.compile(r"[{},|]|[^{},|]+")


@dataclass(frozen=True, slots=True)
class Selection:
    """One list of names: entity members, attributes (IRIs), and for those with braces the list for their linked entities."""

    members: frozenset[str]
    attributes: frozenset[str]
    nested: Mapping[str, "Selection"] = field(default_factory=dict, hash=False)

    @property
    def depth(self) -> int:
        """How many links deep the selection reaches: 0 without braces."""
        return max((1 + selection.depth for selection in self.nested.values()), default=0)


@dataclass(frozen=True, slots=True)
class Projection:
    """pick, omit and the deprecated attrs of one request. `attrs` keeps id, type and scope besides what it lists.

    Without any braces a projection applies to all entities in the payload, linked ones too (5.7.1.5); with braces, each
    linked entity has exactly what its braces say.
    """

    pick: Selection | None = None
    omit: Selection | None = None
    attrs: bool = False
    everywhere: bool = False

    @property
    def depth(self) -> int:
        """How many links deep it reaches, to be held against joinLevel (5.7.1.4)."""
        return max(0 if one is None else one.depth for one in (self.pick, self.omit))

    @property
    def picked(self) -> frozenset[str]:
        """The attributes of which a query's entities must have one (5.7.2.4): those picked, unless id, type or scope are too."""
        return frozenset() if self.pick is None or self.pick.members else self.pick.attributes

    def keeps(self, attribute: str) -> bool:
        """Whether an attribute (IRI) is shown."""
        if self.pick is not None and attribute not in self.pick.attributes:
            return False
        return self.omit is None or attribute not in self.omit.attributes or attribute in self.omit.nested

    def keeps_member(self, member: str) -> bool:
        """Whether `id`, `type` or `scope` is shown; timestamps are, where asked for, unless they are omitted."""
        if self.omit is not None and member in self.omit.members:
            return False
        return self.pick is None or self.attrs or member in self.pick.members or member in SYSTEM_MEMBERS

    def linked(self, attribute: str) -> "Projection | None":
        """The projection of the entities that a relationship links to, None if they are shown whole."""
        if self.everywhere:
            return self
        pick = None if self.pick is None else self.pick.nested.get(attribute)
        omit = None if self.omit is None else self.omit.nested.get(attribute)
        return None if pick is None and omit is None else Projection(pick, omit, self.attrs)


def parse_projection(
    names: Names,
    *,
    pick: Sequence[str] | None = None,
    omit: Sequence[str] | None = None,
    attrs: Sequence[str] | None = None,
) -> Projection:
    """The projection of a request; each parameter as one or more strings of terms.

    Raises BadRequestData for bad syntax, an entity member in attrs, attrs beside pick or omit, or the same name in pick and omit.
    """
    if attrs is not None and (pick is not None or omit is not None):
        raise BadRequestData("attrs: cannot be combined with pick or omit (4.21)")
    picked = _parse(names, "pick", pick)
    if attrs is not None:
        picked = _parse(names, "attrs", attrs)
        if picked is not None and (wrong := picked.members & ENTITY_MEMBERS):
            raise BadRequestData(f"attrs: {', '.join(sorted(wrong))} is not an attribute (6.5.3.1)")
    omitted = _parse(names, "omit", omit)
    if picked is not None and omitted is not None:
        _check_disjoint(picked, omitted)
    projection = Projection(picked, omitted, attrs is not None)
    return Projection(picked, omitted, attrs is not None, everywhere=projection.depth == 0)


def _check_disjoint(pick: Selection, omit: Selection) -> None:
    both = pick.members & omit.members | {
        name for name in pick.attributes & omit.attributes if name not in pick.nested and name not in omit.nested
    }
    if both:
        raise BadRequestData(f"pick and omit: both name {', '.join(sorted(both))}")
    for name in pick.nested.keys() & omit.nested.keys():
        _check_disjoint(pick.nested[name], omit.nested[name])


def _parse(names: Names, parameter: str, terms: Sequence[str] | None) -> Selection | None:
    if terms is None:
        return None
    # Strings may be whole terms or, cut at the commas, pieces of one.
    tokens = _tokens(",".join(terms))
    selection, end = _terms(names, parameter, tokens, 0)
    if end is not None:
        raise BadRequestData(f"{parameter}: unexpected {end!r} (4.21)")
    return selection


def _tokens(text: str) -> Iterator[str]:
    for match in _TOKEN.finditer(text):
        token = match.group().strip()
        if token:
            yield token


def _terms(names: Names, parameter: str, tokens: Iterator[str], depth: int) -> tuple[Selection, str | None]:
    """One list of terms, and the token that ended it: a closing brace, or None for the end of the text."""
    if depth > _MAX_DEPTH:
        raise BadRequestData(f"{parameter}: nested too deeply")
    members: set[str] = set()
    attributes: set[str] = set()
    nested: dict[str, Selection] = {}
    while True:
        name = next(tokens, None)
        if name is None or name in "{},|":
            raise BadRequestData(f"{parameter}: a name is expected before {name or 'the end'!r} (4.21)")
        token = next(tokens, None)
        if name in ENTITY_MEMBERS or name in SYSTEM_MEMBERS:
            members.add(name)
        else:
            iri = attribute_iri(name, names)
            attributes.add(iri)
            if token == "{":
                nested[iri], closing = _terms(names, parameter, tokens, depth + 1)
                if closing != "}":
                    raise BadRequestData(f"{parameter}: a brace is not closed (4.21)")
                token = next(tokens, None)
        if token is None or token == "}":
            return Selection(frozenset(members), frozenset(attributes), nested), token
        if token not in ",|":
            raise BadRequestData(f"{parameter}: unexpected {token!r} after {name} (4.21)")
