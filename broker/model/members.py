"""The core members that an attribute instance may, must not, or must have (4.5.2, 4.5.3, 4.5.18, 4.5.20 to 4.5.24, 5.2.5)."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from broker.model.geometry import is_geometry_shaped
from broker.model.terms import KINDS, LOCATION, NGSI_LD, NGSI_LD_NULL, OBSERVATION_SPACE, OPERATION_SPACE

PROOF: Final = "ngsildproof"
PROOF_IRI: Final = NGSI_LD + PROOF
"""A proof is a sub-attribute of what it seals (4.5.2.2), or among the attributes of an entity that it seals as a whole."""

GEO_PROPERTIES: Final = frozenset({LOCATION, OBSERVATION_SPACE, OPERATION_SPACE})
"""Attributes of an entity that are GeoProperties by definition (4.7.1)."""

VALUE_MEMBERS: Final = {kind.value: kind for kind in KINDS.values() if kind.name != "GeoProperty"}
"""The kind that concise input infers from its value member; from `value` it may also be a GeoProperty (4.5.2.3)."""

_COMMON: Final = frozenset({"type", "@type", "datasetId", "expiresAt", "observedAt"})
_ALSO: Final[Mapping[str, frozenset[str]]] = {
    "Property": frozenset({"unitCode", "valueType"}),
    "GeoProperty": frozenset({"unitCode", "valueType"}),
    "Relationship": frozenset({"objectType"}),
    "LanguageProperty": frozenset({"valueType"}),
    "VocabProperty": frozenset({"valueType"}),
    "ListProperty": frozenset({"unitCode", "valueType"}),
    "ListRelationship": frozenset({"objectType"}),
    "JsonProperty": frozenset({"valueType"}),
}

PERMITTED: Final = {name: _COMMON | {kind.value} | _ALSO[name] for name, kind in KINDS.items()}
"""By kind: the core members that it may have on input. Sub-attributes come on top."""

_OUTPUT_OF_ANY: Final = frozenset({"createdAt", "modifiedAt", "deletedAt", "instanceId", "lang"})
_OUTPUT_OF: Final[Mapping[str, frozenset[str]]] = {
    "Relationship": frozenset({"entity"}),
    "ListRelationship": frozenset({"entityList"}),
}


class Rules(NamedTuple):
    """What an instance of one kind is made of.

    `ignored` are members that only a broker generates, passed over where a client provides them (5.2.2, 5.2.5 to 5.2.8).
    `primitive`: a number or boolean needs no further look to be its value.
    """

    kind: str
    value: str | None
    permitted: frozenset[str]
    ignored: frozenset[str]
    primitive: bool


RULES: Final = {
    name: Rules(
        name,
        kind.value,
        PERMITTED[name],
        _OUTPUT_OF_ANY | {kind.previous} | _OUTPUT_OF.get(name, frozenset()),
        name == "Property",
    )
    for name, kind in KINDS.items()
}
"""By kind."""

ANY_KIND: Final = Rules(
    "",
    None,
    frozenset().union(*PERMITTED.values()) - VALUE_MEMBERS.keys(),
    frozenset().union(*(rules.ignored for rules in RULES.values())),
    False,
)
"""For a fragment whose kind only its target knows, since it has no value."""

SEALED: Final = frozenset({"entityIdSealed", "entityTypeSealed"})
"""Members of a proof only."""

RESERVED: Final = (
    ANY_KIND.permitted
    | VALUE_MEMBERS.keys()
    | ANY_KIND.ignored
    | SEALED
    | {"id", "@id", "scope", "@context", "@value", "@graph", "@language"}
)
"""Non-reified core terms: never the name of an attribute or sub-attribute (4.5.1)."""

RESERVED_IRIS: Final = frozenset(
    {NGSI_LD + member for member in RESERVED}
    | {NGSI_LD + "has" + kind.value[0].upper() + kind.value[1:] for kind in KINDS.values()}
    | {NGSI_LD + name for name in ("hasJSON", "hasValueType", "hasObjectType")}
)
"""The same terms as Annex B expands them, for clients that write them out."""

MARKS: Final = (ANY_KIND.permitted | VALUE_MEMBERS.keys() | ANY_KIND.ignored | SEALED | {PROOF}) - {"type", "@type"}
"""Members that only an attribute instance has: a JSON object with any of them is not read as a bare value."""


def reads_as_instance(value: Mapping[str, Any]) -> bool:
    """Whether concise input takes a JSON object for an attribute instance (4.5.2.3), not for the value of a Property.

    An object with a `type` is an instance, or a mistake, unless it is a GeoJSON geometry (4.7.3); a JSON-LD value object is a
    value.
    """
    if "type" in value:
        return not is_geometry_shaped(value)
    return not MARKS.isdisjoint(value) or ("@type" in value and "@value" not in value)


def reads_as_instances(values: list[Any]) -> bool:
    """Whether concise input takes an array for the instances of a multi-attribute (4.5.5), not for one array value."""
    for value in values:
        if type(value) is dict:
            kind = value.get("type", value.get("@type"))
            if (type(kind) is str and kind in KINDS) or not MARKS.isdisjoint(value):
                return True
    return False


def is_null_value(member: str, value: Any) -> bool:
    """Whether a value member holds the NGSI-LD Null in the encoding of its kind (4.5.0)."""
    if type(value) is str:
        return value == NGSI_LD_NULL
    if type(value) is list:
        return (member == "valueList" and value == [NGSI_LD_NULL]) or (
            member == "objectList" and value in ([NGSI_LD_NULL], [{"object": NGSI_LD_NULL}])
        )
    return member == "languageMap" and type(value) is dict and value == {"@none": NGSI_LD_NULL}
