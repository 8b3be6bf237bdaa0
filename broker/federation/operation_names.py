"""Names of distributed operations and of groups of them (4.20), as registrations list them in `operations`."""

from collections.abc import Iterable, Mapping
from typing import Final

_CONSUMPTION_OF_TYPES: Final = frozenset(
    {
        "retrieveEntityTypes",
        "retrieveEntityTypeDetails",
        "retrieveEntityTypeInfo",
        "retrieveAttrTypes",
        "retrieveAttrTypeDetails",
        "retrieveAttrTypeInfo",
    }
)
_SUBSCRIPTIONS: Final = frozenset(
    {"createSubscription", "updateSubscription", "retrieveSubscription", "querySubscription", "deleteSubscription"}
)
_ENTITY_MAPS: Final = frozenset(
    {"retrieveEntityMap", "updateEntityMap", "deleteEntityMap", "createEntityMapQueryEntity"}
)
_IDENTITY: Final = frozenset({"retrieveContextSourceIdentity"})
_RETRIEVAL: Final = frozenset({"retrieveEntity", "queryEntity"})
_UPDATES: Final = frozenset({"updateEntity", "updateAttrs", "replaceEntity", "replaceAttrs"})

OPERATIONS: Final = (
    _CONSUMPTION_OF_TYPES
    | _SUBSCRIPTIONS
    | _ENTITY_MAPS
    | _IDENTITY
    | _RETRIEVAL
    | _UPDATES
    | {
        "createEntity",
        "appendAttrs",
        "deleteAttrs",
        "deleteEntity",
        "createBatch",
        "upsertBatch",
        "updateBatch",
        "deleteBatch",
        "mergeBatch",
        "mergeEntity",
        "purgeEntity",
        "upsertTemporal",
        "appendAttrsTemporal",
        "deleteAttrsTemporal",
        "updateAttrInstanceTemporal",
        "deleteAttrInstanceTemporal",
        "deleteTemporal",
        "queryBatch",
        "retrieveTemporal",
        "queryTemporal",
        "createEntityMapQueryTemporal",
    }
)
"""Every operation name of table 4.20-1."""

_ASSOCIATION: Final = _RETRIEVAL | {"queryBatch"} | _CONSUMPTION_OF_TYPES | _SUBSCRIPTIONS | _IDENTITY

GROUPS: Final[Mapping[str, frozenset[str]]] = {
    "federationOps": _ASSOCIATION | _ENTITY_MAPS,
    "associationOps": _ASSOCIATION,
    "updateOps": _UPDATES,
    "retrieveOps": _RETRIEVAL,
    "redirectionOps": _RETRIEVAL
    | _UPDATES
    | _CONSUMPTION_OF_TYPES
    | _ENTITY_MAPS
    | _IDENTITY
    | {"createEntity", "appendAttrs", "deleteAttrs", "deleteEntity", "mergeEntity", "purgeEntity"},
}
"""The groups of table 4.20-2."""

DEFAULT: Final = ("federationOps",)
"""What a registration supports that lists nothing."""

AUXILIARY: Final = frozenset({"retrieveOps", *_RETRIEVAL})
"""All that an auxiliary registration may list (5.9.2.4)."""


def supported_operations(listed: Iterable[str]) -> frozenset[str]:
    """The operations that these names of operations and groups stand for."""
    return frozenset().union(*(GROUPS.get(name, {name}) for name in listed))
