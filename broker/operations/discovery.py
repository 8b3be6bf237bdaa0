"""Discovery of the entity types and attributes in use (5.7.5 to 5.7.10), as the data types 5.2.24 to 5.2.28."""

from collections import Counter
from collections.abc import Sequence
from uuid import NAMESPACE_URL, uuid5

from broker.errors import ResourceNotFound
from broker.model.entity import JsonObject, Names
from broker.model.naming import check_name
from broker.operations.broker import Broker
from broker.query.ast import EntityQuery
from broker.store.protocol import TypeCensus


async def type_list(broker: Broker, tenant: str, names: Names) -> JsonObject:
    """5.7.5 Retrieve Available Entity Types."""
    census = await broker.store.census(tenant, now=broker.now())
    return {
        "id": _list_id("EntityTypeList", tenant),
        "type": "EntityTypeList",
        "typeList": [names.compact(entry.type) for entry in census],
    }


async def type_details(broker: Broker, tenant: str, names: Names) -> list[JsonObject]:
    """5.7.6 Retrieve Details of Available Entity Types."""
    census = await broker.store.census(tenant, now=broker.now())
    return [
        {
            "id": entry.type,
            "type": "EntityType",
            "typeName": names.compact(entry.type),
            "attributeNames": [names.compact(used.attribute) for used in entry.attributes],
        }
        for entry in census
    ]


async def type_information(broker: Broker, tenant: str, type_name: str, names: Names) -> JsonObject:
    """5.7.7 Retrieve Available Entity Type Information. Raises BadRequestData, ResourceNotFound."""
    iri = names.expand(check_name(type_name))
    census = await broker.store.census(tenant, iri, broker.now())
    if not census:
        raise ResourceNotFound(f"no entity has the type {type_name} ({iri})", instance=iri)
    entry = census[0]
    return {
        "id": iri,
        "type": "EntityTypeInfo",
        "typeName": names.compact(iri),
        "entityCount": entry.count,
        "attributeDetails": [
            {
                "id": used.attribute,
                "type": "Attribute",
                "attributeName": names.compact(used.attribute),
                "attributeTypes": sorted(used.kinds),
            }
            for used in entry.attributes
        ],
    }


async def attribute_list(broker: Broker, tenant: str, names: Names) -> JsonObject:
    """5.7.8 Retrieve Available Attributes."""
    census = await broker.store.census(tenant, now=broker.now())
    return {
        "id": _list_id("AttributeList", tenant),
        "type": "AttributeList",
        "attributeList": [names.compact(attribute) for attribute in _types_by_attribute(census)],
    }


async def attribute_details(broker: Broker, tenant: str, names: Names) -> list[JsonObject]:
    """5.7.9 Retrieve Details of Available Attributes."""
    census = await broker.store.census(tenant, now=broker.now())
    return [
        {
            "id": attribute,
            "type": "Attribute",
            "attributeName": names.compact(attribute),
            "typeNames": [names.compact(type_iri) for type_iri in types],
        }
        for attribute, types in _types_by_attribute(census).items()
    ]


async def attribute_information(broker: Broker, tenant: str, attribute_name: str, names: Names) -> JsonObject:
    """5.7.10 Retrieve Available Attribute Information. Raises BadRequestData, ResourceNotFound."""
    iri = names.expand(check_name(attribute_name))
    now = broker.now()
    census = await broker.store.census(tenant, now=now)
    kinds: Counter[str] = Counter()
    types = []
    for entry in census:
        for used in entry.attributes:
            if used.attribute == iri:
                kinds.update(used.kinds)
                types.append(names.compact(entry.type))
    if not types:
        raise ResourceNotFound(f"no entity has the attribute {attribute_name} ({iri})", instance=iri)
    return {
        "id": iri,
        "type": "Attribute",
        "attributeName": names.compact(iri),
        "attributeTypes": sorted(kinds),
        "typeNames": types,
        # Counted apart: an entity of two types appears twice in the census.
        "attributeCount": await broker.store.count(tenant, EntityQuery(attrs=frozenset((iri,)), now=now)),
    }


def _types_by_attribute(census: Sequence[TypeCensus]) -> dict[str, list[str]]:
    types: dict[str, list[str]] = {}
    for entry in census:
        for used in entry.attributes:
            types.setdefault(used.attribute, []).append(entry.type)
    return dict(sorted(types.items()))


def _list_id(kind: str, tenant: str) -> str:
    """A URI that is unique within the system and stable (5.2.24, 5.2.27)."""
    return f"urn:ngsi-ld:{kind}:{uuid5(NAMESPACE_URL, f'{kind}/{tenant}')}"
