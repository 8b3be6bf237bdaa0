"""The NGSI-LD Entity Type Selection Language (4.17)."""

from typing import Final

from broker.model.entity import Names
from broker.model.naming import check_name
from broker.query.alternatives import read_alternatives
from broker.query.ast import TypeSelection

ANY_TYPE: Final = TypeSelection(((),))
"""What `*` (5.2.33, implies local scope) selects: every entity, as an empty conjunction holds for all of them."""


def parse_type_selection(text: str, names: Names) -> TypeSelection:
    """The types that a selection string asks for, expanded (5.5.7); ANY_TYPE for `*`. Raises BadRequestData."""
    if text.strip() == "*":
        return ANY_TYPE
    alternatives = read_alternatives(text, "type")
    return TypeSelection(
        tuple(tuple(names.expand(check_name(name)) for name in conjunction) for conjunction in alternatives)
    )
