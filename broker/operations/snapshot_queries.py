"""The queries of a snapshot (5.2.41): checked when it is created, kept with the meaning of their names, shown, compiled again.

What 5.2.23 forbids is refused at once. What 5.7.2.4 and 5.7.4.4 demand of a query beyond that, such as that it is not too wide,
is a matter of its execution, and a failure of it is a result of the snapshot (5.16.1.4).
"""

from collections.abc import Callable
from dataclasses import dataclass

from broker.delivery.document import WrittenTerms, rename_terms
from broker.errors import BadRequestData
from broker.model.entity import JsonObject, Names
from broker.model.representation import View
from broker.model.snapshot import QUERIES
from broker.operations.queries import check_linked_depth, check_query, compile_query, compile_view
from broker.operations.temporal_request import TemporalRequest, compile_temporal_query
from broker.query.ast import EntityQuery

TEMPORAL = "snapshotTemporalQueries"


@dataclass(frozen=True, slots=True)
class SnapshotQuery:
    """A query on entities, ready to be executed: which, and how much of them."""

    query: EntityQuery
    view: View
    contained_by: tuple[str, ...]


def bind_queries(members: JsonObject, names: Names, now: str) -> JsonObject:
    """The `terms` of a new snapshot's queries. Raises BadRequestData for the first query that is not valid, naming it."""
    terms: JsonObject = {}
    for member in QUERIES:
        for position, query in enumerate(members.get(member, ())):
            table = WrittenTerms({}, names)
            try:
                _check(member, query, table, now)
            except BadRequestData as error:
                raise BadRequestData(f"{member}[{position}]: {error.detail}") from error
            terms.setdefault(member, []).append([list(pair) for pair in sorted(table.terms.items())])
    return terms


def _check(member: str, query: JsonObject, names: Names, now: str) -> None:
    check_query(query)
    if member == TEMPORAL:
        if "temporalQ" not in query:
            raise BadRequestData("temporalQ: is missing (5.2.41)")
        compile_temporal_query(query, names, now, None, sys_attrs=True, local=True)
        return
    for other in ("temporalQ", "aggrParams"):
        if other in query:
            raise BadRequestData(f"{other}: not allowed here, but in {TEMPORAL} (5.2.41)")
    _compiled(query, names, now, local=True)


def entity_queries(document: JsonObject, now: str) -> list[Callable[[], SnapshotQuery]]:
    """The `snapshotQueries` of a stored snapshot, to be compiled one by one. Each may raise what 5.7.2.4 raises."""

    def ready(query: JsonObject, names: Names) -> SnapshotQuery:
        compiled, view = _compiled(query, names, now, local=False)
        check_linked_depth(compiled, view)
        return SnapshotQuery(compiled, view, tuple(query.get("containedBy", ())))

    return [
        lambda query=query, names=names: ready(query, names)  # type: ignore[misc]
        for query, names in _with_names(document, QUERIES[0])
    ]


def temporal_queries(document: JsonObject, now: str) -> list[Callable[[], TemporalRequest]]:
    """The `snapshotTemporalQueries` of a stored snapshot in the same way. Each may raise what 5.7.4.4 raises."""
    return [
        lambda query=query, names=names: compile_temporal_query(  # type: ignore[misc]
            query, names, now, None, sys_attrs=True, local=False
        )
        for query, names in _with_names(document, TEMPORAL)
    ]


def show_queries(document: JsonObject, names: Names) -> dict[str, list[JsonObject]]:
    """The queries of a stored snapshot with their names compacted in the reader's @context (5.5.7); q stays as it was written."""
    return {
        member: [_shown(query, table, names) for query, table in _with_names(document, member)]
        for member in QUERIES
        if member in document
    }


def _compiled(query: JsonObject, names: Names, now: str, *, local: bool) -> tuple[EntityQuery, View]:
    view = compile_view(query, names, representation="normalized", sys_attrs=True)
    picked = frozenset() if view.projection is None else view.projection.picked
    return compile_query(query, names, now, local=local, picked=picked), view


def _with_names(document: JsonObject, member: str) -> list[tuple[JsonObject, WrittenTerms]]:
    tables = document.get("terms", {}).get(member, ())
    return [(query, WrittenTerms(dict(pairs))) for query, pairs in zip(document.get(member, ()), tables, strict=True)]


def _shown(query: JsonObject, table: WrittenTerms, names: Names) -> JsonObject:
    shown = dict(query)
    if "entities" in shown:
        shown["entities"] = [
            {**selector, "type": rename_terms(selector["type"], table.terms, names)} if "type" in selector else selector
            for selector in shown["entities"]
        ]
    for member in ("attrs", "pick", "omit"):
        if member in shown:
            shown[member] = [rename_terms(text, table.terms, names) for text in shown[member]]
    if "geoproperty" in shown.get("geoQ", {}):
        shown["geoQ"] = {**shown["geoQ"], "geoproperty": names.compact(table.expand(shown["geoQ"]["geoproperty"]))}
    return shown
