"""What is asked of temporal evolutions (5.7.3, 5.7.4): the members of a Query (5.2.23), compiled once for all that is found."""

from dataclasses import dataclass, replace
from typing import Final, cast

from broker.errors import BadRequestData
from broker.model.entity import JsonObject, Names
from broker.model.evolution import SCOPE
from broker.model.terms import SYSTEM_TIMES
from broker.model.versions import Version
from broker.operations.queries import check_linked_depth, compile_query, compile_view
from broker.query.ast import EntityQuery
from broker.query.q import parse_q
from broker.query.temporal import TemporalQuery, parse_temporal_query
from broker.temporal.aggregation import parse_aggregation
from broker.temporal.representation import TemporalFormat, TemporalView

SYSTEM_MEMBERS: Final = frozenset({*SYSTEM_TIMES, "expiresAt"})
"""Members of an entity's evolution that are no attributes."""
_TEMPORAL_MEMBERS: Final = frozenset(
    {"timerel", "timeAt", "endTimeAt", "timeproperty", "lastN", "aggrMethods", "aggrPeriodDuration"}
)
_AGGREGATION_MEMBERS: Final = frozenset({"aggrMethods", "aggrPeriodDuration"})


@dataclass(frozen=True, slots=True)
class TemporalRequest:
    """What is asked for. `attributes` and `without` narrow what is shown, None and empty for everything."""

    query: EntityQuery
    temporal: TemporalQuery
    view: TemporalView
    attributes: frozenset[str] | None
    without: frozenset[str]
    datasets: frozenset[str | None] | None
    descending: bool = False


def compile_retrieval(
    query: JsonObject, names: Names, representation: str | None, *, sys_attrs: bool, version: Version | None = None
) -> TemporalRequest:
    """The request of 5.7.3, from the members of a Query (5.2.23) that apply to it; `version` is an earlier one of NGSI-LD to
    conform to (4.3.6.8). Raises BadRequestData."""
    return _compile(query, names, EntityQuery(), representation, sys_attrs=sys_attrs, version=version)


def compile_temporal_query(
    query: JsonObject,
    names: Names,
    now: str,
    representation: str | None,
    *,
    sys_attrs: bool,
    local: bool,
    version: Version | None = None,
) -> TemporalRequest:
    """The request of 5.7.4 from a Query (5.2.23), `version` as in compile_retrieval. Raises BadRequestData."""
    view = compile_view(query, names, representation="normalized", sys_attrs=sys_attrs)
    picked = frozenset() if view.projection is None else view.projection.picked
    # System attributes narrow nothing (5.7.4.4 b), and no instance is one of them.
    attrs = [name for name in query.get("attrs", []) if name not in SYSTEM_MEMBERS]
    narrowing = {member: value for member, value in query.items() if member != "attrs"} | (
        {"attrs": attrs} if attrs else {}
    )
    compiled = compile_query(narrowing, names, now, local=local, picked=picked)
    check_linked_depth(compiled, view)
    if (filter_ := query.get("csf")) is not None:
        parse_q(filter_, names)
    descending = False
    if compiled.ordering is not None:
        for term in compiled.ordering.terms:
            if term.path.names != ("id",) or term.path.trailing is not None:
                raise BadRequestData("orderBy: temporal evolutions can only be ordered by id (5.7.4.4)")
        descending = compiled.ordering.terms[0].descending
    compiled = replace(compiled, ordering=None)
    request = _compile(query, names, compiled, representation, sys_attrs=sys_attrs, version=version)
    if request.temporal.relation is None:
        raise BadRequestData(
            "timerel, timeAt: are missing; a query of temporal evolutions has a temporal query (5.7.4.4)"
        )
    return replace(request, descending=descending)


def _compile(
    query: JsonObject,
    names: Names,
    compiled: EntityQuery,
    representation: str | None,
    *,
    sys_attrs: bool,
    version: Version | None,
) -> TemporalRequest:
    view = compile_view(query, names, representation="normalized", sys_attrs=sys_attrs)
    given = _members(query, "temporalQ", _TEMPORAL_MEMBERS)
    aggregating = given | _members(query, "aggrParams", _AGGREGATION_MEMBERS)
    temporal = parse_temporal_query(
        given.get("timerel"),
        given.get("timeAt"),
        given.get("endTimeAt"),
        given.get("timeproperty"),
        given.get("lastN"),
    )
    aggregation = None
    if representation == "aggregatedValues" or not _AGGREGATION_MEMBERS.isdisjoint(aggregating):
        aggregation = parse_aggregation(aggregating.get("aggrMethods"), aggregating.get("aggrPeriodDuration"))
    projection = view.projection
    shown = TemporalView(
        format=cast(TemporalFormat, representation or "normalized"),
        sys_attrs=sys_attrs,
        lang=view.lang,
        projection=projection,
        time=temporal.time,
        aggregation=aggregation if representation == "aggregatedValues" else None,
        version=version,
    )
    attributes = None
    if projection is not None and projection.pick is not None:
        attributes = projection.pick.attributes | ({SCOPE} if shown.keeps(SCOPE) else set())
    hidden = frozenset() if projection is None or projection.omit is None else projection.omit.attributes
    datasets = query.get("datasetId")
    return TemporalRequest(
        query=compiled,
        temporal=temporal,
        view=shown,
        attributes=attributes,
        without=hidden if shown.keeps(SCOPE) else hidden | {SCOPE},
        datasets=None if datasets is None else frozenset(None if each == "@none" else each for each in datasets),
    )


def _members(query: JsonObject, member: str, allowed: frozenset[str]) -> JsonObject:
    given: JsonObject = query.get(member, {})
    if unknown := given.keys() - allowed:
        raise BadRequestData(f"{member}: {', '.join(sorted(unknown))} is not a member of it (5.2.21, 5.2.44)")
    return given
