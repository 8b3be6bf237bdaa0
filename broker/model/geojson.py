"""Entities as GeoJSON Features, normalized or simplified (4.5.16, 4.5.17)."""

from collections.abc import Mapping, Sequence

from broker.errors import BadRequestData
from broker.model.entity import Entity, Instance, JsonObject, Names
from broker.model.geometry import check_geometry
from broker.model.representation import NO_ENTITIES, View, represent
from broker.model.terms import NONE_DATASET


def geojson_feature(
    entity: Entity, names: Names, view: View, geometry_property: str, linked: Mapping[str, Entity] = NO_ENTITIES
) -> JsonObject:
    """One entity as a Feature whose geometry is that of `geometry_property` (an IRI), null if it has none."""
    properties = represent(entity, names, view, linked)
    properties.pop("id", None)
    return {
        "id": entity["id"],
        "type": "Feature",
        "geometry": feature_geometry(entity, geometry_property, view.dataset_ids),
        "properties": properties,
    }


def feature_collection(features: Sequence[JsonObject]) -> JsonObject:
    """Features as one FeatureCollection (4.5.16.3)."""
    return {"type": "FeatureCollection", "features": list(features)}


def feature_geometry(
    entity: Entity, geometry_property: str, dataset_ids: frozenset[str] | None = None
) -> JsonObject | None:
    """The geometry of a Feature (4.5.16.1): of the instance that was asked for, of the default one, or of the only one."""
    instance = _select(entity["attrs"].get(geometry_property, []), dataset_ids)
    if instance is None:
        return None
    try:
        return check_geometry(instance.get("value"), geometry_property)
    except BadRequestData:
        # The attribute may be of any type: what is no geometry leaves the Feature without one.
        return None


def _select(instances: Sequence[Instance], dataset_ids: frozenset[str] | None) -> Instance | None:
    if dataset_ids is not None:
        instances = [instance for instance in instances if instance.get("datasetId", NONE_DATASET) in dataset_ids]
    default = next((instance for instance in instances if "datasetId" not in instance), None)
    if default is None and (len(instances) == 1 or dataset_ids is not None):
        return next(iter(instances), None)
    return default
