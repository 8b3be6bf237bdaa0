"""Municipal open data out of a broker: the entities of a dataset as a CSV file in a layout of the standard.

The file is UTF-8 with byte order mark, its header is the layout's in its order. Reading it again gives the same entities.
"""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from adapters.columns import Column
from adapters.contract import Entity
from adapters.errors import AdapterError
from adapters.headers import normalise
from adapters.layouts import profiles
from adapters.ngsild_client import NgsiLdClient
from adapters.profile import Profile
from adapters.transforms import DERIVATIONS
from adapters.whereabouts import name_of
from adapters.wire import from_wire
from adapters.writing import cell
from datamodels import datasets, model_of
from datamodels.model import VALUE_MEMBER

LAYOUTS: Final = ("standard", "recommended", "linkdata")
_CODE: Final = "localGovernmentCode"


@dataclass(frozen=True, slots=True)
class Exported:
    """A file of `rows` rows. `left_out` counts the attributes (and columns of a source) that the layout has no column for."""

    data: bytes
    rows: int
    left_out: Mapping[str, int]


async def export_dataset(
    broker_url: str,
    dataset: str,
    *,
    layout: str = "standard",
    municipality: str | None = None,
    tenant: str | None = None,
) -> Exported:
    """The entities of a dataset that a broker has, in a layout; of one municipality only, where its code is given.

    A key that is none of the standard's is that of a list of the city's own, in the layout of public facilities.
    Raises AdapterError, BrokerUnreachable, BrokerRefused.
    """
    profile = profile_for(dataset, layout)
    found: list[Entity] = []
    async with NgsiLdClient(broker_url, tenant=tenant) as client:
        for entity_type in profile.owned():
            model = model_of(entity_type)
            found += [from_wire(entity, model) async for entity in client.entities_of_type(model.iri)]
    key = "" if dataset in datasets() else dataset
    wanted = [
        entity
        for entity in found
        if (municipality is None or _value(entity, _CODE) == municipality)
        and (_value(entity, "datasetKey") or "") == (key if entity["type"] == "PublicFacility" else "")
    ]
    return table_of(profile, wanted)


def profile_for(dataset: str, layout: str) -> Profile:
    """The profile that a dataset is written by. Raises AdapterError."""
    key = dataset if dataset in datasets() else "public_facility"
    for profile in profiles():
        if profile.name == f"{key}/{layout}":
            return profile
    known = ", ".join(name for name in LAYOUTS if name in datasets()[key].layouts)
    raise AdapterError(f"The dataset {key} has no layout {layout!r}; it has {known}.")


def table_of(profile: Profile, entities: Sequence[Entity]) -> Exported:
    """The file of a dataset's entities, in the order of the publisher's IDs."""
    dataset, _, layout = profile.name.partition("/")
    headers = datasets()[dataset].layouts[layout]
    things = sorted(
        (e for e in entities if e["type"] == profile.model.type), key=lambda entity: _order(profile, entity)
    )
    parts = {entity["id"]: entity for entity in entities if entity["type"] != profile.model.type}
    left_out: Counter[str] = Counter()
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(headers)
    rows = 0
    for thing in things:
        left_out.update(_left_out(profile, thing))
        for part in _parts_of(profile, thing, parts):
            rows += 1
            writer.writerow(_row(profile, headers, rows, thing, part))
    return Exported(("\ufeff" + text.getvalue()).encode(), rows, left_out)


def _parts_of(profile: Profile, thing: Entity, parts: Mapping[str, Entity]) -> list[Entity | None]:
    if profile.part is None or profile.part.among not in thing:
        return [None]
    objects = thing[profile.part.among]["object"]
    found = [parts[each] for each in ([objects] if isinstance(objects, str) else objects) if each in parts]
    return [*found] or [None]


def _row(profile: Profile, headers: Iterable[str], number: int, thing: Entity, part: Entity | None) -> list[str]:
    cells = []
    places: Counter[str] = Counter()
    record = _value(thing, "sourceRecord") or {}
    second = profile.part.columns if profile.part else {}
    for header in headers:
        name = normalise(header)
        text = ""
        if name in profile.ignore:
            text = str(number) if header in ("NO", "#property") else str(_value(thing, _CODE) or "")
        elif (column := profile.columns.get(name)) is not None:
            text = cell(
                column, _value(thing, column.attribute), place=places[column.to], published=record.get(column.name, "")
            )
            places[column.to] += 1
        if not text and part is not None and name in second:
            text = cell(second[name], _value(part, second[name].attribute), published=record.get(second[name].name, ""))
        cells.append(text)
    return cells


def _left_out(profile: Profile, thing: Entity) -> Iterable[str]:
    """What an entity has that no column of the layout can say."""
    dataset, _, layout = profile.name.partition("/")
    columns: list[Column] = [
        profile.columns[normalise(header)]
        for header in datasets()[dataset].layouts[layout]
        if normalise(header) in profile.columns
    ]
    said = {column.attribute for column in columns} | {"sourceRecord", "id", "type", "source", "license", "datasetKey"}
    if profile.part is not None:
        said.add(profile.part.among)
    said |= {name for name, attribute in profile.model.attributes.items() if attribute.computed}
    said |= {name for rule in profile.derive for name in DERIVATIONS[rule].attributes}
    said |= {"dataProvider"} if _value(thing, "dataProvider") == name_of(str(_value(thing, _CODE))) else set()
    yield from (name for name in thing if name not in said)
    known = {column.name for column in columns}
    yield from (f"sourceRecord.{header}" for header in _value(thing, "sourceRecord") or {} if header not in known)
    if len(_value(thing, "openingHoursSpecification") or ()) > 1:
        yield "openingHoursSpecification"


def _value(entity: Entity, name: str) -> Any:
    instance = entity.get(name)
    return None if instance is None else instance.get(VALUE_MEMBER[instance["type"]])


def _order(profile: Profile, entity: Entity) -> tuple[str, int, str, str]:
    own_id = str(_value(entity, profile.own_id) or "") if profile.own_id else ""
    return str(_value(entity, _CODE) or ""), len(own_id), own_id, entity["id"]
