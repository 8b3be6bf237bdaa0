"""Which registrations a request concerns (5.12), with the conditions of discovery (5.10.2.4) and of subscriptions (5.11.2.4).

Decisions where the standard leaves room:

* A request that gives neither ids nor an id pattern is about entities with any id, so an EntityInfo with an id or a
  pattern matches it ("if present").
* A registration "possibly contains" matching locations where some place within its own geometry can stand in the relationship
  asked for. Without the GeoProperty in question it does not match.
* A temporal query matches an interval that the period asked for overlaps, end points included.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from broker.errors import BadRequestData
from broker.federation.intervals import Period
from broker.federation.registration import EntityInfo, Registration, RegistrationInfo
from broker.model.entity import JsonObject, Names
from broker.query.ast import Condition, EntitySelector, GeoQuery, ScopeQuery
from broker.query.evaluate import matches_scope, matches_types, satisfies
from broker.query.geometry import bounding_box, relates
from broker.query.linked import linked_depth
from broker.query.patterns import pattern_test
from broker.query.q import parse_q


@dataclass(frozen=True, slots=True)
class RegistrationQuery:
    """What is asked of registrations; every part that is given must match.

    `selectors`: entities, of which one must match, empty for any. `attributes`: IRIs, empty for all. `csf` is about the members
    of the registration itself. Without `temporal`, only sources of latest information match. `encountered`: aliases of the
    sources that a distributed operation has been at already.
    """

    selectors: tuple[EntitySelector, ...] = ()
    attributes: frozenset[str] = frozenset()
    dataset_ids: frozenset[str] | None = None
    geo: GeoQuery | None = None
    scope: ScopeQuery | None = None
    csf: Condition | None = None
    temporal: Period | None = None
    encountered: frozenset[str] = frozenset()


def matching_information(query: RegistrationQuery, registration: Registration) -> tuple[int, ...]:
    """The positions of the RegistrationInfo elements that match; none where the registration does not match."""
    if not _suits(query, registration):
        return ()
    return tuple(
        position
        for position, info in enumerate(registration.information)
        if matches_entities(query.selectors, info) and matches_attributes(query.attributes, info)
    )


def _suits(query: RegistrationQuery, registration: Registration) -> bool:
    """The conditions on the registration as a whole."""
    return (
        registration.alias not in query.encountered
        and _matches_time(query.temporal, registration)
        and _matches_datasets(query.dataset_ids, registration.dataset_ids)
        and (query.scope is None or matches_scope(query.scope, registration.scopes))
        and (query.geo is None or _matches_space(query.geo, registration))
        and (query.csf is None or satisfies(query.csf, registration.as_entity()))
    )


def matches_entities(selectors: Sequence[EntitySelector], info: RegistrationInfo) -> bool:
    """Whether one of the selectors matches one EntityInfo; all do where there is none."""
    if not selectors or not info.entities:
        return True
    return any(matches_entity(selector, entity) for selector in selectors for entity in info.entities)


def matches_entity(selector: EntitySelector, info: EntityInfo) -> bool:
    """Whether entities selected and entities registered can be the same ones (5.12)."""
    if selector.types is not None and not matches_types(selector.types, info.types):
        return False
    if selector.ids is not None:
        return any(map(info.may_be, selector.ids))
    if selector.id_pattern is None or info.id is None:
        return True  # two patterns: no telling whether an id exists that both match
    return pattern_test(selector.id_pattern)(info.id)


def matches_attributes(attributes: frozenset[str], info: RegistrationInfo) -> bool:
    """Whether one of the attributes is registered; no attributes at all stand for all of them, on either side."""
    return not attributes or not info.attributes or not attributes.isdisjoint(info.attributes)


def _matches_time(temporal: Period | None, registration: Registration) -> bool:
    if temporal is None:
        return registration.observed is None and registration.managed is None
    interval = registration.observed if temporal.observed else registration.managed
    return interval is not None and interval.overlaps(temporal.stretch)


def _matches_datasets(asked: frozenset[str] | None, registered: frozenset[str] | None) -> bool:
    return asked is None or registered is None or not asked.isdisjoint(registered)


def _matches_space(query: GeoQuery, registration: Registration) -> bool:
    geometry = registration.spaces.get(query.geoproperty)
    return geometry is not None and may_contain(query, geometry)


def may_contain(query: GeoQuery, space: JsonObject) -> bool:
    """Whether a place somewhere in `space` can stand in the query's relationship to its reference geometry."""
    if relates(query, space):
        return True
    match query.relation:
        case "within" | "overlaps" | "intersects":
            return relates(replace(query, relation="intersects"), space)
        case "equals":
            return relates(replace(query, relation="contains"), space)
        case "disjoint":
            return not relates(replace(query, relation="within"), space)
        case "near":
            # No place in it is farther than the corners of the box around it.
            return query.min_distance is not None and any(relates(query, corner) for corner in _corners(space))
        case "contains":
            return False


def _corners(space: JsonObject) -> list[JsonObject]:
    west, south, east, north = bounding_box(space)
    return [{"type": "Point", "coordinates": [x, y]} for x in (west, east) for y in (south, north)]


def parse_csf(text: str, names: Names) -> Condition:
    """A context source filter (4.9): a query on the members of registrations. Raises BadRequestData."""
    try:
        condition = parse_q(text, names)
    except BadRequestData as error:
        raise BadRequestData(f"csf: not a valid query: {error.detail}") from error
    if linked_depth(condition) > 0:
        raise BadRequestData("csf: members of registrations link to no entities (4.9)")
    return condition
