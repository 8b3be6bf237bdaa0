"""From the values of a row to entities: ids, defaults, and the attributes in the order of the model."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from adapters.attributes import attribute_of
from adapters.columns import OBSERVED_AT
from adapters.contract import Entity
from adapters.identity import hashed, identified
from adapters.profile import Part, Profile
from adapters.transforms import DERIVATIONS
from adapters.transforms.times import midnight
from adapters.whereabouts import full_address, name_of
from datamodels import Model

CODE: Final = "localGovernmentCode"


class RowRefused(Exception):
    """The row cannot become an entity."""

    def __init__(self, column: str, rule: str, reason: str) -> None:
        super().__init__(reason)
        self.column, self.rule, self.reason = column, rule, reason


def entities_of(profile: Profile, values: dict[str, Any], part_values: Mapping[str, Any], key: str) -> Iterator[Entity]:
    """The entities of a row: the thing itself, and what else the profile makes of the row. Raises RowRefused.

    `key` names the list that the row is from, where that is a list of the city's own, else "".
    """
    entity = _entity(profile, values, key)
    part = profile.part
    if part is not None and (second := _part_of(part, entity, values, part_values)) is not None:
        entity[part.among] = {"type": "Relationship", "object": second["id"]}
        yield entity
        yield second
    else:
        yield entity


def merged(first: Entity, second: Entity, among: str) -> Entity | None:
    """One entity of two rows that say the same of it and refer to different parts, None where they say different things."""
    if {**first, among: None} != {**second, among: None}:
        return None
    objects: list[str] = []
    for entity in (first, second):
        found = entity.get(among, {}).get("object", [])
        objects += [each for each in ([found] if isinstance(found, str) else found) if each not in objects]
    value = objects[0] if len(objects) == 1 else objects
    return {**first, among: {"type": "Relationship", "object": value}} if objects else first


def shown(value: Any) -> str:
    """A value as the report shows it."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _entity(profile: Profile, values: dict[str, Any], key: str) -> Entity:
    model = profile.model
    if key and "datasetKey" in model.attributes:
        values.setdefault("datasetKey", key)
    for name in profile.derive:
        found = DERIVATIONS[name].derive(values)
        values.update({each: value for each, value in found.items() if each in model.attributes})
    _check(profile, values)
    address = values.get("address", {})
    if "dataProvider" in model.attributes:
        values.setdefault("dataProvider", name_of(values[CODE]) or address.get("addressLocality", values[CODE]))
    if address:
        values["address"] = {"addressCountry": "JP", **address}
    return {"id": _id(profile, values), "type": model.type, **attributes_of(model, values)}


def _check(profile: Profile, values: Mapping[str, Any]) -> None:
    """What makes the thing must be there: the model's required attributes, and where it is. Raises RowRefused."""
    model = profile.model
    for name, attribute in model.attributes.items():
        if not attribute.required or name in values:
            continue
        if name == CODE:
            raise RowRefused(CODE, "no-municipality", "Nothing in the file says which municipality the row belongs to.")
        told = "The row has no name." if name == "name" else f"The row has no {name} ({attribute.description['ja']})."
        raise RowRefused(name, f"no-{name}", told)
    if profile.place_required and "location" not in values and not full_address(values.get("address", {})):
        raise RowRefused("address", "no-place", "The row has neither an address nor a position.")


def _id(profile: Profile, values: Mapping[str, Any]) -> str:
    """The URN of the publisher's own ID, else of a hash of what identifies the thing.

    In a list of the city's own, IDs and names are the list's: its key is part of the URN.
    """
    model = profile.model
    key = str(values.get("datasetKey", ""))
    own_id = values.get(profile.own_id) if profile.own_id else None
    if model.type == "PopulationObserved" and "areaCode" in values:
        return identified(model.type, values[CODE], f"{values['areaCode']}:{values['dateObserved']}")
    if own_id is None:
        return hashed(
            model.type, values[CODE], key or model.dataset, [_key_text(values.get(part)) for part in profile.key]
        )
    if key:
        return f"{identified(model.type, values[CODE], key)}:{quote(own_id, safe='')}"
    return identified(model.type, values[CODE], own_id)


def _part_of(part: Part, entity: Entity, values: Mapping[str, Any], part_values: Mapping[str, Any]) -> Entity | None:
    """The second entity of a row, None where no column but those of the first says anything of it."""
    if not part_values:
        return None
    whole = {**part_values, part.of: entity["id"], CODE: values[CODE], "dataProvider": values.get("dataProvider")}
    texts = [entity["id"], *(_key_text(part_values.get(name)) for name in part.key)]
    entity_id = hashed(part.model.type, values[CODE], part.model.dataset, texts)
    stated = {name: value for name, value in whole.items() if value is not None}
    return {"id": entity_id, "type": part.model.type, **attributes_of(part.model, stated)}


def attributes_of(model: Model, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values as NGSI-LD attributes, in the order of the model; observed ones carry the time of the row."""
    observed_at = values.get(OBSERVED_AT)
    if observed_at is None and isinstance(day := values.get("dateObserved"), str) and len(day) == 10:
        observed_at = midnight(day)
    return {
        name: attribute_of(attribute, values[name], observed_at if attribute.observed else None)
        for name, attribute in model.attributes.items()
        if name in values
    }


def _key_text(value: Any) -> str:
    if isinstance(value, dict):
        coordinates: Sequence[float] | None = value.get("coordinates")
        return ",".join(map(str, coordinates)) if coordinates else full_address(value)
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "" if value is None else str(value)
