"""Conditions of `q` (4.9) -> MongoDB filters on the fields of attribute values (`broker.store.mongo.search`)."""

from typing import Any, Final, NamedTuple

from broker.model.terms import is_attribute_name
from broker.query.ast import And, Comparison, Condition, Exists, Linked, LinkedIn, Or, Path, Range, Value, ValueList
from broker.query.patterns import literal_prefix
from broker.store.mongo.encoding import escape_name, starting_with
from broker.store.mongo.parts import Filter, Part, every, some
from broker.store.mongo.search import INT64, instant_of, observed_field

_COMPARISONS: Final = {">": "$gt", ">=": "$gte", "<": "$lt", "<=": "$lte"}
_TEMPORAL: Final = ("dateTime", "date", "time")


class Field(NamedTuple):
    """A field of attribute values; some have instants only."""

    name: str
    has_values: bool = True


def compile_condition(condition: Condition) -> Part:
    """The filter for a condition, doubtful entities included."""
    part = _condition(condition)
    if part.filter is None or not part.fields:
        return part
    return Part({"$or": [part.filter, {"doubtful": {"$in": sorted(part.fields)}}]}, part.exact, part.fields)


def _condition(condition: Condition) -> Part:
    match condition:
        case And(terms):
            return every([_condition(term) for term in terms])
        case Or(terms):
            return some([_condition(term) for term in terms])
        case Exists(path):
            field = field_of(path)
            exists = _existence(path)
            if exists is None or field is None or len(path.names) > 1:
                return Part(exists, False)
            return Part(exists, True, frozenset({field.name}))
        case LinkedIn(path, ids):
            field = field_of(path)
            compiled = None if field is None else _among(field, sorted(ids), exact=False)
            return compiled or Part(_existence(path), False)
        case Linked(path):
            return Part(_existence(path), False)
        case Comparison(path):
            field = field_of(path)
            compiled = None if field is None else _comparison(field, condition)
            return compiled or Part(_existence(path), False)


def _existence(path: Path) -> Filter | None:
    """Every condition on a path presumes that its first attribute is there."""
    return {"names": path.names[0]} if is_attribute_name(path.names[0]) else None


def field_of(path: Path) -> Field | None:
    """The field that has all of the target values at this path, if one has."""
    name = path.names[0]
    if path.trailing is not None:
        return None
    if len(path.names) == 1 and name in ("createdAt", "modifiedAt"):
        return Field(name, has_values=False)
    if not is_attribute_name(name):
        return None
    if len(path.names) == 1:
        return Field(escape_name(name))
    return Field(observed_field(escape_name(name)), has_values=False) if path.names[1:] == ("observedAt",) else None


def _comparison(field: Field, comparison: Comparison) -> Part | None:
    operator, operand = comparison.operator, comparison.operand
    if operator == "==" and isinstance(operand, Range):
        if operand.low.kind != operand.high.kind:
            return None
        return _bounds(field, operand.low.kind, {"$gte": operand.low.value, "$lte": operand.high.value})
    if operator == "==":
        return _equality(field, operand.values if isinstance(operand, ValueList) else (operand,))  # type: ignore[arg-type]
    if not isinstance(operand, Value):
        return None
    if operator in _COMPARISONS:
        return _bounds(field, operand.kind, {_COMPARISONS[operator]: operand.value})
    prefix = literal_prefix(str(operand.value)) if operator == "~=" else ""
    if not prefix or not field.has_values:
        return None
    within = _between(f"values.{field.name}", starting_with(prefix))
    return Part(within, False, frozenset({field.name}))


def _equality(field: Field, values: tuple[Value, ...]) -> Part | None:
    instants = [instant_of(str(value.value)) for value in values if value.kind in _TEMPORAL]
    scalars = [value.value for value in values if value.kind not in _TEMPORAL]
    if None in instants or any(isinstance(each, int) and each not in INT64 for each in scalars):
        return None
    parts = [_instants(field, instants)] if instants else []
    if scalars:
        among = _among(field, scalars)
        if among is None:
            return None
        parts.append(among)
    return some(parts)


def _among(field: Field, scalars: list[Any], *, exact: bool = True) -> Part | None:
    if not field.has_values:
        return None
    wanted = scalars[0] if len(scalars) == 1 else {"$in": scalars}
    found = [{f"values.{field.name}": wanted}, {f"elements.{field.name}": wanted}]
    return Part({"$or": found}, exact, frozenset({field.name}))


def _instants(field: Field, instants: list[Any]) -> Part:
    wanted = instants[0] if len(instants) == 1 else {"$in": instants}
    return Part({f"instants.{field.name}": wanted}, True, frozenset({field.name}))


def _bounds(field: Field, kind: str, bounds: dict[str, Any]) -> Part | None:
    """Values of one kind between bounds. MongoDB compares within a BSON type only, as the kinds do not mix."""
    if kind not in _TEMPORAL:
        too_large = any(isinstance(value, int) and value not in INT64 for value in bounds.values())
        if kind == "boolean" or too_large or not field.has_values:
            return None
        return Part(_between(f"values.{field.name}", bounds), True, frozenset({field.name}))
    instants = {operator: instant_of(str(value)) for operator, value in bounds.items()}
    if None in instants.values():
        return None
    if kind != "dateTime":  # Date and Time share a BSON type, so that the range ends where the kind does
        if not instants.keys() & {"$gt", "$gte"}:
            instants["$gte"] = f"{kind} "
        if not instants.keys() & {"$lt", "$lte"}:
            instants["$lt"] = f"{kind}!"  # "!" is the character behind the space
    return Part(_between(f"instants.{field.name}", instants), True, frozenset({field.name}))


def _between(path: str, bounds: dict[str, Any]) -> Filter:
    """A scalar, or one and the same element of a list, within one or two bounds."""
    if len(bounds) == 1:
        return {path: bounds}
    single = {"$or": [{path: {"$not": {"$type": "array"}}}, {path: {"$elemMatch": bounds}}]}
    return {"$and": [{path: bounds}, single]}
