"""Entities as payloads: linked entities fetched, each represented in the request's @context, GeoJSON where it is accepted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from broker.http.exchange import Exchange, Rendered
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
) -> Rendered:
    """One entity as a JSON object or as a GeoJSON Feature, with its linked entities inline where the view joins them."""
    linked = await _linked(exchange, [entity], view, contained_by)
    geometry = geometry_property(exchange, context) if media_type == GEO_JSON else None

    def seen(view: View) -> Any:
        if geometry is not None:
            return geojson_feature(entity, context.names, view, geometry, linked)
        return represent(entity, context.names, view, linked)

    return _in_version(view, seen)


async def render_entities(
    exchange: Exchange,
    entities: Sequence[Entity],
    context: "ResolvedContext",
    view: View,
    media_type: str,
    contained_by: Sequence[str] = (),
) -> Rendered:
    """Entities as a JSON array or a FeatureCollection; with join=flat the linked entities follow them (4.5.23.3)."""
    linked = await _linked(exchange, entities, view, contained_by)
    geometry = geometry_property(exchange, context) if media_type == GEO_JSON else None
    names = context.names

    def seen(view: View) -> Any:
        if view.join == "flat":
            shown, inline = flatten(entities, view, linked), NO_ENTITIES
        else:
            shown, inline = [(entity, view) for entity in entities], linked
        if geometry is not None:
            return feature_collection([geojson_feature(each, names, as_, geometry, inline) for each, as_ in shown])
        return [represent(each, names, as_, inline) for each, as_ in shown]

    return _in_version(view, seen)


def _in_version(view: View, seen: Callable[[View], Any]) -> Rendered:
    """What is seen under a view, and whether it would be something else in the newest version of NGSI-LD (4.3.6.8)."""
    payload = seen(view)
    altered = view.version is not None and payload != seen(replace(view, version=None))
    return Rendered(payload, view.version, altered)


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
