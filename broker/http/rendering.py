"""Entities as payloads: linked entities fetched, each represented in the request's @context, GeoJSON where it is accepted."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from broker.http.exchange import Exchange
from broker.http.negotiation import GEO_JSON
from broker.model.entity import Entity
from broker.model.geojson import feature_collection, geojson_feature
from broker.model.representation import NO_ENTITIES, View, flatten, represent
from broker.model.terms import LOCATION
from broker.store.linked import linked_entities

if TYPE_CHECKING:
    from broker.contexts.resolved import ResolvedContext


async def render_entity(
    exchange: Exchange,
    entity: Entity,
    context: "ResolvedContext",
    view: View,
    media_type: str,
    contained_by: Sequence[str] = (),
) -> dict[str, Any]:
    """One entity as a JSON object or as a GeoJSON Feature, with its linked entities inline where the view joins them."""
    linked = await _linked(exchange, [entity], view, contained_by)
    if media_type == GEO_JSON:
        return geojson_feature(entity, context.names, view, geometry_property(exchange, context), linked)
    return represent(entity, context.names, view, linked)


async def render_entities(
    exchange: Exchange,
    entities: Sequence[Entity],
    context: "ResolvedContext",
    view: View,
    media_type: str,
    contained_by: Sequence[str] = (),
) -> Any:
    """Entities as a JSON array or a FeatureCollection; with join=flat the linked entities follow them (4.5.23.3)."""
    linked = await _linked(exchange, entities, view, contained_by)
    if view.join == "flat":
        shown, inline = flatten(entities, view, linked), NO_ENTITIES
    else:
        shown, inline = [(entity, view) for entity in entities], linked
    if media_type == GEO_JSON:
        geometry = geometry_property(exchange, context)
        return feature_collection(
            [geojson_feature(entity, context.names, seen_as, geometry, inline) for entity, seen_as in shown]
        )
    return [represent(entity, context.names, seen_as, inline) for entity, seen_as in shown]


def geometry_property(exchange: Exchange, context: "ResolvedContext") -> str:
    """The GeoProperty that becomes the geometry of a Feature (4.5.16.1)."""
    name = exchange.parameters.text("geometryProperty") if "geometryProperty" in exchange.parameters else None
    return LOCATION if name is None else context.names.expand(name)


async def _linked(
    exchange: Exchange, entities: Sequence[Entity], view: View, contained_by: Sequence[str]
) -> Mapping[str, Entity]:
    if view.join is None:
        return NO_ENTITIES
    broker = exchange.broker
    return await linked_entities(broker.store, exchange.tenant, entities, view, broker.now(), contained_by)
