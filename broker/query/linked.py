"""Terms of `q` about linked entities (4.9, examples 13 and 14; 4.5.23), and how they are resolved.

Whoever runs a query goes from the inside out, as only they can read other entities:

    while terms := linked_terms(condition):
        ready = [term for term in terms if linked_depth(term) == 1]
        condition = replace_linked(condition, {term: LinkedIn(term.path, ids found for term.condition) for term in ready})
"""

from collections.abc import Iterator, Mapping

from broker.query.ast import And, Comparison, Condition, Exists, Linked, LinkedIn, Or


def linked_terms(condition: Condition) -> list[Linked]:
    """The distinct Linked terms of a condition, innermost first, so each comes after those it contains."""
    return list(dict.fromkeys(_linked(condition)))


def _linked(condition: Condition) -> Iterator[Linked]:
    match condition:
        case And(terms) | Or(terms):
            for term in terms:
                yield from _linked(term)
        case Linked(_, _, inner):
            yield from _linked(inner)
            yield condition
        case _:
            return


def replace_linked(condition: Condition, mapping: Mapping[Linked, LinkedIn]) -> Condition:
    """The condition with each Linked that the mapping has replaced, at any depth; without one it comes back as it is."""
    match condition:
        case And(terms):
            return And(tuple(replace_linked(term, mapping) for term in terms))
        case Or(terms):
            return Or(tuple(replace_linked(term, mapping) for term in terms))
        case Linked(path, types, inner):
            return mapping.get(condition) or Linked(path, types, replace_linked(inner, mapping))
        case _:
            return condition


def linked_depth(condition: Condition) -> int:
    """How many relationships have to be followed one after the other (to hold against joinLevel, 5.7.2.4); 0 for none."""
    match condition:
        case And(terms) | Or(terms):
            return max(map(linked_depth, terms))
        case Linked(_, _, inner):
            return 1 + linked_depth(inner)
        case _:
            return 0


def attributes_of(condition: Condition) -> frozenset[str]:
    """The attributes of the entity itself that a condition looks at, as IRIs; without system members such as `createdAt`.

    A query with none of them is too wide on its own (5.7.2.4).
    """
    match condition:
        case And(terms) | Or(terms):
            return frozenset().union(*map(attributes_of, terms))
        case Exists(path) | Comparison(path, _, _) | Linked(path, _, _) | LinkedIn(path, _):
            return frozenset(name for name in path.names[:1] if ":" in name)
