"""The resources of table 6.2-1, and this broker's own: which verb on which path is which handler, with the query parameters that
it takes."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias
from urllib.parse import unquote

from broker.errors import BadRequestData, ResourceNotFound
from broker.http import (
    batches,
    deliveries,
    discovery,
    entities,
    entity_maps,
    identity,
    indexes,
    jsonld_contexts,
    queries,
    registration_subscriptions,
    registrations,
    snapshots,
    streams,
    subscriptions,
    temporal,
    validation,
)
from broker.http.exchange import API_ROOT, OWN_ROOT, Exchange
from broker.http.message import Response
from broker.http.paging import PAGING_PARAMETERS, PLACE
from broker.http.problem import MethodNotAllowed

Handler: TypeAlias = Callable[[Exchange], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation: its name (as in metrics), handler, declared parameters, whether its tenant has to exist
    already (5.5.10), whether it keeps conditions on the entity's tag, what effect it has (one commit of entities or of a
    document, another one, none), and whether pages of the other origins that are allowed may read its answers."""

    name: str
    handler: Handler
    parameters: frozenset[str]
    needs_tenant: bool = True
    conditional: bool = False
    effect: Literal["one commit", "other", "none"] = "other"
    cross_origin: bool = False


_LOCAL: Final = frozenset({"local"})
_GEO: Final = frozenset({"georel", "geometry", "coordinates", "geoproperty", "geometryProperty"})
_SELECTION: Final = frozenset({"id", "idPattern", "type", "q", "scopeQ", "csf", "expandValues", "jsonKeys"}) | _GEO
_PROJECTION: Final = frozenset(
    {"attrs", "pick", "omit", "datasetId", "lang", "join", "joinLevel", "containedBy", "format", "options"}
)
_ENTITY_MAP: Final = frozenset({"entityMap", "entityMapLifetime"})
_ORDERING: Final = frozenset({"orderBy", "collation", "orderFrom", "orderGeometry"})
_TEMPORAL: Final = frozenset({"timerel", "timeAt", "endTimeAt", "timeproperty"})
_EVOLUTION: Final = (
    _TEMPORAL
    | _LOCAL
    | {"lastN", "aggrMethods", "aggrPeriodDuration", "attrs", "pick", "omit", "datasetId", "lang", "format", "options"}
)
_TYPE: Final = frozenset({"type"})
_OPTIONS: Final = frozenset({"options"})


ENDPOINTS: Final[Mapping[str, Mapping[str, Endpoint]]] = {
    "entities": {
        "POST": Endpoint(
            "create_entity", entities.create, _LOCAL, needs_tenant=False, conditional=True, effect="one commit"
        ),
        "GET": Endpoint(
            "query_entities",
            queries.query,
            _SELECTION
            | _PROJECTION
            | _ORDERING
            | PAGING_PARAMETERS
            | _LOCAL
            | _ENTITY_MAP
            | {"after", PLACE, "splitEntities"},
        ),
        "DELETE": Endpoint("purge_entities", queries.purge, _SELECTION | {"attrs", "drop", "keep"} | _LOCAL),
    },
    "entities/{entityId}": {
        "GET": Endpoint(
            "retrieve_entity",
            entities.retrieve,
            _PROJECTION | _TYPE | _LOCAL | _ENTITY_MAP | {"geometryProperty"},
            conditional=True,
        ),
        "DELETE": Endpoint("delete_entity", entities.delete, _TYPE | _LOCAL, conditional=True),
        "PUT": Endpoint("replace_entity", entities.replace, _TYPE | _LOCAL, conditional=True),
        "PATCH": Endpoint(
            "merge_entity",
            entities.merge,
            _TYPE | _LOCAL | _OPTIONS | {"format", "lang", "observedAt"},
            conditional=True,
            effect="one commit",
        ),
    },
    "entities/{entityId}/attrs": {
        "POST": Endpoint(
            "append_attributes",
            entities.append_attributes,
            _TYPE | _LOCAL | _OPTIONS,
            conditional=True,
            effect="one commit",
        ),
        "PATCH": Endpoint(
            "update_attributes", entities.update_attributes, _TYPE | _LOCAL, conditional=True, effect="one commit"
        ),
    },
    "entities/{entityId}/attrs/{attrId}": {
        "PATCH": Endpoint(
            "update_attribute", entities.update_attribute, _TYPE | _LOCAL, conditional=True, effect="one commit"
        ),
        "PUT": Endpoint("replace_attribute", entities.replace_attribute, _TYPE | _LOCAL, conditional=True),
        "DELETE": Endpoint(
            "delete_attribute", entities.delete_attribute, _TYPE | _LOCAL | {"datasetId", "deleteAll"}, conditional=True
        ),
    },
    "entityOperations/create": {
        "POST": Endpoint("batch_create", batches.create, _LOCAL, needs_tenant=False, effect="one commit"),
    },
    "entityOperations/upsert": {
        "POST": Endpoint("batch_upsert", batches.upsert, _LOCAL | _OPTIONS, needs_tenant=False, effect="one commit"),
    },
    "entityOperations/update": {
        "POST": Endpoint("batch_update", batches.update, _LOCAL | _OPTIONS, effect="one commit")
    },
    "entityOperations/merge": {"POST": Endpoint("batch_merge", batches.merge, _LOCAL, effect="one commit")},
    "entityOperations/delete": {"POST": Endpoint("batch_delete", batches.delete, _LOCAL, effect="one commit")},
    "entityOperations/query": {
        "POST": Endpoint(
            "query_entities_by_post",
            queries.query_by_post,
            PAGING_PARAMETERS | _LOCAL | _OPTIONS | {"format", "after", PLACE, "geometryProperty", "splitEntities"},
            effect="none",
        )
    },
    "types": {"GET": Endpoint("list_types", discovery.list_types, _LOCAL | {"details"})},
    "types/{type}": {"GET": Endpoint("retrieve_type", discovery.retrieve_type, _LOCAL)},
    "attributes": {"GET": Endpoint("list_attributes", discovery.list_attributes, _LOCAL | {"details"})},
    "attributes/{attrId}": {"GET": Endpoint("retrieve_attribute", discovery.retrieve_attribute, _LOCAL)},
    "subscriptions": {
        "POST": Endpoint(
            "create_subscription", subscriptions.create, frozenset(), needs_tenant=False, effect="one commit"
        ),
        "GET": Endpoint("query_subscriptions", subscriptions.query, PAGING_PARAMETERS | _OPTIONS),
    },
    "subscriptions/{subscriptionId}": {
        "GET": Endpoint("retrieve_subscription", subscriptions.retrieve, _OPTIONS),
        "PATCH": Endpoint("update_subscription", subscriptions.update, frozenset(), effect="one commit"),
        "DELETE": Endpoint("delete_subscription", subscriptions.delete, frozenset()),
    },
    "csourceRegistrations": {
        "POST": Endpoint(
            "register_context_source", registrations.register, frozenset(), needs_tenant=False, effect="one commit"
        ),
        "GET": Endpoint(
            "query_registrations",
            registrations.query,
            _SELECTION | _TEMPORAL | PAGING_PARAMETERS | _OPTIONS | {"attrs", "pick", "omit", "datasetId", "lang"},
        ),
    },
    "csourceRegistrations/{registrationId}": {
        "GET": Endpoint("retrieve_registration", registrations.retrieve, _OPTIONS),
        "PATCH": Endpoint("update_registration", registrations.update, frozenset(), effect="one commit"),
        "DELETE": Endpoint("delete_registration", registrations.delete, frozenset()),
    },
    "csourceSubscriptions": {
        "POST": Endpoint(
            "create_registration_subscription",
            registration_subscriptions.create,
            frozenset(),
            needs_tenant=False,
            effect="one commit",
        ),
        "GET": Endpoint(
            "query_registration_subscriptions", registration_subscriptions.query, PAGING_PARAMETERS | _OPTIONS
        ),
    },
    "csourceSubscriptions/{subscriptionId}": {
        "GET": Endpoint("retrieve_registration_subscription", registration_subscriptions.retrieve, _OPTIONS),
        "PATCH": Endpoint(
            "update_registration_subscription", registration_subscriptions.update, frozenset(), effect="one commit"
        ),
        "DELETE": Endpoint("delete_registration_subscription", registration_subscriptions.delete, frozenset()),
    },
    "info/sourceIdentity": {
        "GET": Endpoint("retrieve_source_identity", identity.retrieve, frozenset(), needs_tenant=False)
    },
    "temporal/entities": {
        "POST": Endpoint("create_or_update_evolution", temporal.create, _LOCAL, needs_tenant=False),
        "GET": Endpoint(
            "query_evolutions",
            temporal.query,
            _SELECTION
            | _EVOLUTION
            | PAGING_PARAMETERS
            | _ENTITY_MAP
            | {"orderBy", "collation", PLACE, "splitEntities"},
        ),
    },
    "temporal/entities/{entityId}": {
        "GET": Endpoint("retrieve_evolution", temporal.retrieve, _EVOLUTION | _ENTITY_MAP),
        "DELETE": Endpoint("delete_evolution", temporal.delete, _LOCAL),
    },
    "temporal/entities/{entityId}/attrs": {
        "POST": Endpoint("add_attributes_to_evolution", temporal.add_attributes, _LOCAL),
    },
    "temporal/entities/{entityId}/attrs/{attrId}": {
        "DELETE": Endpoint(
            "delete_attribute_of_evolution", temporal.delete_attribute, _LOCAL | {"datasetId", "deleteAll"}
        ),
    },
    "temporal/entities/{entityId}/attrs/{attrId}/{instanceId}": {
        "PATCH": Endpoint("modify_attribute_instance", temporal.modify_instance, _LOCAL),
        "DELETE": Endpoint("delete_attribute_instance", temporal.delete_instance, _LOCAL),
    },
    "temporal/entityOperations/query": {
        "POST": Endpoint(
            "query_evolutions_by_post",
            temporal.query_by_post,
            PAGING_PARAMETERS | _LOCAL | _OPTIONS | {"format", PLACE, "splitEntities"},
            effect="none",
        )
    },
    "temporal/entityMaps": {
        "GET": Endpoint(
            "create_entity_map_of_evolutions",
            entity_maps.create_temporal,
            _SELECTION | _EVOLUTION | PAGING_PARAMETERS | _ENTITY_MAP | {"orderBy", "collation", "splitEntities"},
        ),
        "POST": Endpoint(
            "create_entity_map_of_evolutions_by_post",
            entity_maps.create_temporal_by_post,
            PAGING_PARAMETERS | _LOCAL | _OPTIONS | {"format", "splitEntities"},
        ),
    },
    "entityMaps": {
        "GET": Endpoint(
            "create_entity_map",
            entity_maps.create,
            _SELECTION | _PROJECTION | _ORDERING | PAGING_PARAMETERS | _LOCAL | _ENTITY_MAP | {"splitEntities"},
        ),
        "POST": Endpoint(
            "create_entity_map_by_post",
            entity_maps.create_by_post,
            PAGING_PARAMETERS | _LOCAL | _OPTIONS | {"format", "geometryProperty", "splitEntities"},
        ),
    },
    "entityMaps/{entityMapId}": {
        "GET": Endpoint("retrieve_entity_map", entity_maps.retrieve, frozenset()),
        "PATCH": Endpoint("update_entity_map", entity_maps.update, frozenset()),
        "DELETE": Endpoint("delete_entity_map", entity_maps.delete, frozenset()),
    },
    "snapshots": {
        "POST": Endpoint("create_snapshot", snapshots.create, frozenset(), needs_tenant=False),
        "DELETE": Endpoint("purge_snapshots", snapshots.purge, frozenset({"q"})),
    },
    "snapshots/{snapshotId}": {
        "GET": Endpoint("retrieve_snapshot", snapshots.retrieve, frozenset()),
        "PATCH": Endpoint("update_snapshot", snapshots.update, frozenset()),
        "DELETE": Endpoint("delete_snapshot", snapshots.delete, frozenset()),
    },
    "snapshots/{snapshotId}/clone": {
        "POST": Endpoint("clone_snapshot", snapshots.clone, frozenset()),
    },
    "jsonldContexts": {
        "POST": Endpoint("add_context", jsonld_contexts.add, frozenset(), needs_tenant=False),
        "GET": Endpoint("list_contexts", jsonld_contexts.list_all, frozenset({"details", "kind"}), needs_tenant=False),
    },
    "jsonldContexts/{contextId}": {
        "GET": Endpoint("serve_context", jsonld_contexts.serve, frozenset({"details"}), needs_tenant=False),
        "DELETE": Endpoint("delete_context", jsonld_contexts.delete, frozenset({"reload"}), needs_tenant=False),
    },
}
"""Endpoints by path template (below the API root) and verb."""

OWN_ENDPOINTS: Final[Mapping[str, Mapping[str, Endpoint]]] = {
    "indexes": {"GET": Endpoint("retrieve_indexes", indexes.retrieve, frozenset())},
    "validation": {"GET": Endpoint("retrieve_validation", validation.retrieve, frozenset(), needs_tenant=False)},
    "subscriptions/{subscriptionId}/deliveries": {
        "GET": Endpoint("query_deliveries", deliveries.query, PAGING_PARAMETERS | {"state"}),
    },
    "subscriptions/{subscriptionId}/deliveries/replay": {
        "POST": Endpoint("replay_deliveries", deliveries.replay, frozenset()),
    },
    "subscriptions/{subscriptionId}/deliveries/explain": {
        "POST": Endpoint("explain_delivery", deliveries.explain, frozenset()),
    },
    "subscriptions/{subscriptionId}/deliveries/{notificationId}": {
        "GET": Endpoint("retrieve_delivery", deliveries.retrieve, frozenset()),
        "DELETE": Endpoint("discard_delivery", deliveries.discard, frozenset()),
    },
    "stream": {
        "GET": Endpoint("follow_stream", streams.follow, streams.PARAMETERS, needs_tenant=False, cross_origin=True),
        "OPTIONS": Endpoint(
            "preflight_stream", streams.preflight, streams.PARAMETERS, needs_tenant=False, cross_origin=True
        ),
    },
}
"""The same below the root of this broker's own resources."""

_ON_SNAPSHOTS: Final = frozenset(
    {"entities", "entityOperations", "entityMaps", "types", "attributes", "subscriptions", "temporal"}
)
SNAPSHOT_OPERATIONS: Final = frozenset(
    endpoint.name
    for template, verbs in (*ENDPOINTS.items(), *OWN_ENDPOINTS.items())
    if template.partition("/")[0] in _ON_SNAPSHOTS
    for endpoint in verbs.values()
)
"""The operations that can be applied to a snapshot: those of the Core API and of the Temporal API (5.5.15, table 4.3.5-1), and
those on the EntityMaps that its queries make (5.7.2.4), which are nowhere but in it. With subscriptions come the ledgers of
their deliveries."""

_API: Final = API_ROOT + "/"
_OWN: Final = OWN_ROOT + "/"
_BEGIN: Final = 3
"""Where the table's own segments begin in a path that is cut at its slashes: an empty one and the two of the root come before."""


@dataclass(frozen=True, slots=True)
class _Resource:
    """One row of the table: where its path has which fixed segments, and where which variables."""

    fixed: tuple[tuple[int, str], ...]
    variables: tuple[tuple[int, str], ...]
    verbs: Mapping[str, Endpoint]


class Routes:
    """Finds the endpoint of a request: by the fixed segments of its path, with variables where the table has them.

    Where two templates fit, the one that comes first in the table is meant.
    """

    def __init__(self) -> None:
        self._table: dict[tuple[int, str, str], list[_Resource]] = {}
        for root, endpoints in ((API_ROOT, ENDPOINTS), (OWN_ROOT, OWN_ENDPOINTS)):
            for template, verbs in endpoints.items():
                segments = f"{root}/{template}".split("/")
                places = range(_BEGIN, len(segments))
                resource = _Resource(
                    tuple((place, segments[place]) for place in places if segments[place][0] != "{"),
                    tuple((place, segments[place][1:-1]) for place in places if segments[place][0] == "{"),
                    verbs,
                )
                self._table.setdefault((len(segments), root, segments[_BEGIN]), []).append(resource)

    def find(self, method: str, raw_path: str) -> tuple[Endpoint, dict[str, str]]:
        """The endpoint and the path's variables, percent-decoded. Raises ResourceNotFound, MethodNotAllowed."""
        root = API_ROOT if raw_path.startswith(_API) else OWN_ROOT if raw_path.startswith(_OWN) else None
        if root is None:
            raise ResourceNotFound(f"there is no resource {raw_path}; the API starts at {API_ROOT}/")
        segments = raw_path.rstrip("/").split("/")
        for resource in self._resources(root, segments):
            for place, name in resource.fixed:
                if segments[place] != name:
                    break
            else:
                break
        else:
            raise ResourceNotFound(f"there is no resource {raw_path}")
        endpoint = resource.verbs.get(method)
        if endpoint is None:
            self._check_id(method, root, segments, raw_path)
            raise MethodNotAllowed(method, raw_path, sorted(resource.verbs))
        return endpoint, {name: _decoded(segments[place]) for place, name in resource.variables}

    def _resources(self, root: str, segments: Sequence[str], more: int = 0) -> Sequence[_Resource]:
        length = len(segments)
        return () if length <= _BEGIN else self._table.get((length + more, root, segments[_BEGIN]), ())

    def _check_id(self, method: str, root: str, segments: Sequence[str], raw_path: str) -> None:
        """`PATCH /entities/` means an entity whose id is missing, not the collection (5.6.17.4, 5.6.18.4)."""
        if not raw_path.endswith("/") or segments[_BEGIN:] != ["entities"]:
            return
        for resource in self._resources(root, segments, more=1):
            if method in resource.verbs:
                raise BadRequestData(f"{resource.variables[-1][1]}: is missing in {raw_path}")


def _decoded(segment: str) -> str:
    if "%" not in segment:
        return segment
    try:
        return unquote(segment, errors="strict")
    except UnicodeDecodeError:
        raise BadRequestData(f"the path is not percent-encoded UTF-8: {segment}") from None
