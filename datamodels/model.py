"""A data model: one entity type with its attributes, read from its YAML file in `datamodels/definitions/`.

Attributes that several models have are written once, in `_shared.yaml`; a model takes one by naming it and may change members
of it. `docs/models/README.md` says what each member of these files means.
"""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from datamodels.dataset import datasets
from datamodels.definition_files import parse_yaml, yaml_files
from datamodels.errors import InvalidModel

NAMESPACE: Final = "https://w3id.org/tsunagu/ns/"
"""Where the terms live that no published vocabulary has; `tsunagu:` in the YAML files."""

CORE_TERMS: Final = MappingProxyType(
    {
        "location": "https://uri.etsi.org/ngsi-ld/location",
        "description": "http://purl.org/dc/terms/description",
        "title": "http://purl.org/dc/terms/title",
        "format": "https://uri.etsi.org/ngsi-ld/format",
    }
)
"""Terms of ours that the core @context defines too (Annex B): on the wire they stay short in every @context."""

SUB_ATTRIBUTES: Final = MappingProxyType(
    {name: NAMESPACE + name for name in ("computedFrom", "qualityCode", "qualityFlag")}
)
"""Sub-attributes that any attribute may carry. `computedFrom`: an adapter worked the value out of these attributes;
`qualityCode` and `qualityFlag`: how good the source says the value is, as its code and as its flag."""

VALUE_MEMBER: Final = MappingProxyType(
    {
        "Property": "value",
        "GeoProperty": "value",
        "JsonProperty": "json",
        "LanguageProperty": "languageMap",
        "Relationship": "object",
    }
)
"""The member that holds an attribute's value, by kind (4.5.2, 4.5.3, 4.5.18, 4.5.24)."""

GEOMETRIES: Final = ("Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon")


class Target(NamedTuple):
    """Where a column goes: an attribute, and where it is only part of the value, the member or the item of a list of terms."""

    attribute: str
    member: str | None = None
    item: str | None = None


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a model: its IRI, kind, UN/CEFACT unit code, JSON Schema of the value and two descriptions.

    `columns` maps a layout's name to the columns it is read from, `parts` those of them that are a member of the value (or an
    item of a list of terms) to that. `observed` attributes carry `observedAt`, `computed` ones are worked out by an
    adapter and never reported by a source, `personal` ones may name or point to a person. `codes` is the code list that the
    value is from; `gif`, `imi` and `sdm` are the paths of the same thing in GIF (or the attribute of EEI), in the IMI core
    vocabulary and in Smart Data Models. `formerly` is the name that earlier versions of the @context have for the same IRI.
    """

    name: str
    iri: str
    kind: str
    description: Mapping[str, str]
    schema: Mapping[str, Any] = field(default_factory=dict)
    unit: str | None = None
    required: bool = False
    observed: bool = False
    computed: bool = False
    personal: bool = False
    codes: str | None = None
    geometry: tuple[str, ...] = ("Point",)
    gif: str | None = None
    imi: str | None = None
    sdm: str | None = None
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    parts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    example: Any = None
    formerly: str | None = None

    @property
    def wire_name(self) -> str:
        """The name that means this attribute in any broker without an @context: a core term, or the IRI."""
        return self.name if CORE_TERMS.get(self.name) == self.iri else self.iri

    @property
    def is_list_of_terms(self) -> bool:
        """Whether the value is a list of terms of a fixed set, so that a column can stand for one of them."""
        return self.schema.get("type") == "array" and "enum" in self.schema.get("items", {})

    def target(self, layout: str, column: str) -> Target:
        """What a column of a layout is for this attribute."""
        part = self.parts.get(layout, {}).get(column)
        return Target(self.name, item=part) if self.is_list_of_terms else Target(self.name, member=part)


_MEMBERS: Final = frozenset(Attribute.__dataclass_fields__) - {"name", "parts"}
"""What an attribute may have in a file."""


@dataclass(frozen=True, slots=True)
class Model:
    """One entity type: its IRI, version, dataset key, titles and attributes in the order of the file.

    `also` are further types (name to IRI) that an entity of this type is too and may carry.
    """

    type: str
    iri: str
    version: str
    dataset: str
    title: Mapping[str, str]
    description: Mapping[str, str]
    attributes: Mapping[str, Attribute]
    also: Mapping[str, str] = field(default_factory=dict)

    def columns(self, layout: str) -> dict[str, str]:
        """The columns of a layout, each with the attribute it is read into."""
        return {column: target.attribute for column, target in self.targets(layout).items()}

    def targets(self, layout: str) -> dict[str, Target]:
        """The columns of a layout, each with where it goes, in the layout's order where that is known."""
        found = {
            column: attribute.target(layout, column)
            for attribute in self.attributes.values()
            for column in attribute.columns.get(layout, ())
        }
        order = datasets()[self.dataset].layouts.get(layout, ()) if self.dataset in datasets() else ()
        return {column: found[column] for column in (*order, *found) if column in found}

    def example(self) -> dict[str, Any]:
        """An entity in normalized representation, of the examples of those attributes that have one."""
        entity: dict[str, Any] = {"id": f"urn:ngsi-ld:{self.type}:222127:1", "type": self.type}
        for attribute in self.attributes.values():
            if attribute.example is not None:
                instance = {"type": attribute.kind, VALUE_MEMBER[attribute.kind]: attribute.example}
                if attribute.unit:
                    instance["unitCode"] = attribute.unit
                if attribute.observed:
                    instance["observedAt"] = "2026-06-30T05:20:00Z"
                entity[attribute.name] = instance
        return entity


def parse_model(text: str) -> Model:
    """The model written in one YAML document. Raises InvalidModel."""
    document = parse_yaml(text)
    if not isinstance(document, dict) or not isinstance(document.get("attributes"), dict):
        raise InvalidModel("A model file must be a mapping with `attributes`.")
    name = str(document.get("type"))
    try:
        model = Model(
            type=document["type"],
            iri=_absolute(document["iri"]),
            version=document["version"],
            dataset=document["dataset"],
            title=document["title"],
            description=document["description"],
            attributes=MappingProxyType(
                {
                    key: _attribute(name, key, _with_shared(key, value or {}, document["dataset"]))
                    for key, value in document["attributes"].items()
                }
            ),
            also=MappingProxyType({key: _absolute(iri) for key, iri in document.get("also", {}).items()}),
        )
    except KeyError as missing:
        raise InvalidModel(f"Model {name}: the member {missing} is missing.") from missing
    _check_columns(model)
    return model


@functools.cache
def models() -> Mapping[str, Model]:
    """All models that come with the package, by entity type."""
    found = {}
    for _, text in yaml_files("datamodels.definitions"):
        model = parse_model(text)
        found[model.type] = model
    return MappingProxyType(found)


def model_of(entity_type: str) -> Model:
    """The model of an entity type. Raises InvalidModel when the package has none of that name."""
    try:
        return models()[entity_type]
    except KeyError:
        raise InvalidModel(f"There is no model {entity_type}; there are {', '.join(models())}.") from None


def models_of_dataset(dataset: str) -> tuple[Model, ...]:
    """The models whose entities the rows of a dataset become: mostly one."""
    return tuple(model for model in models().values() if model.dataset == dataset)


def common_targets(model: Model, layout: str) -> dict[str, Target]:
    """Where columns go that other datasets in that layout have for attributes of the model, by `_shared.yaml`."""
    found: dict[str, Target] = {}
    for name, attribute in model.attributes.items():
        entry = _shared().get(name, {}).get("columns", {}).get(layout, ())
        if _shared().get(name, {}).get("iri") not in (None, attribute.iri):
            continue
        for column in entry:
            part = entry[column] if isinstance(entry, dict) else None
            found[column] = Target(name, item=part) if attribute.is_list_of_terms else Target(name, member=part)
    return found


@functools.cache
def _shared() -> Mapping[str, Mapping[str, Any]]:
    text = (resources.files("datamodels.definitions") / "_shared.yaml").read_text("utf-8")
    shared: dict[str, Mapping[str, Any]] = parse_yaml(text)["attributes"]
    return MappingProxyType(shared)


def _with_shared(name: str, own: Mapping[str, Any], dataset: str) -> Mapping[str, Any]:
    """An attribute as a model writes it, completed by what `_shared.yaml` says of that name.

    Of the shared columns only those are taken that the dataset's layouts have.
    """
    if "iri" in own or name not in _shared():
        return own
    shared = _shared()[name]
    layouts = datasets()[dataset].layouts if dataset in datasets() else {}
    columns: dict[str, Any] = {}
    for layout, entry in shared.get("columns", {}).items():
        known = [column for column in entry if column in layouts.get(layout, ())]
        if known:
            columns[layout] = {column: entry[column] for column in known} if isinstance(entry, dict) else known
    return {**shared, **own, "columns": {**columns, **own.get("columns", {})}}


def _attribute(model: str, name: str, document: Mapping[str, Any]) -> Attribute:
    if unknown := document.keys() - _MEMBERS:
        raise InvalidModel(f"Model {model}: {name} has the unknown member {min(unknown)}.")
    if document["kind"] not in VALUE_MEMBER:
        raise InvalidModel(f"Model {model}: {name} has the unknown kind {document['kind']!r}.")
    if set(document["description"]) != {"ja", "en"}:
        raise InvalidModel(f"Model {model}: {name} needs a description in ja and en.")
    if unknown := set(document.get("geometry", ())) - set(GEOMETRIES):
        raise InvalidModel(f"Model {model}: {name} has the unknown geometry {min(unknown)}.")
    columns = document.get("columns", {})
    return Attribute(
        name=name,
        iri=_absolute(document["iri"]),
        kind=document["kind"],
        description=MappingProxyType(document["description"]),
        schema=MappingProxyType(document.get("schema", {})),
        unit=document.get("unit"),
        required=document.get("required", False),
        observed=document.get("observed", False),
        computed=document.get("computed", False),
        personal=document.get("personal", False),
        codes=document.get("codes"),
        geometry=tuple(document.get("geometry", ("Point",))),
        gif=document.get("gif"),
        imi=document.get("imi"),
        sdm=document.get("sdm"),
        columns=MappingProxyType({layout: tuple(entry) for layout, entry in columns.items()}),
        parts=MappingProxyType(
            {layout: MappingProxyType(entry) for layout, entry in columns.items() if isinstance(entry, dict)}
        ),
        example=document.get("example"),
        formerly=document.get("formerly"),
    )


def _check_columns(model: Model) -> None:
    """A column is read into one attribute only, and where the layout is known, the layout has it. Raises InvalidModel."""
    layouts = datasets()[model.dataset].layouts if model.dataset in datasets() else {}
    for layout in {layout for attribute in model.attributes.values() for layout in attribute.columns}:
        owners: dict[str, str] = {}
        for attribute in model.attributes.values():
            for column in attribute.columns.get(layout, ()):
                if owners.setdefault(column, attribute.name) != attribute.name:
                    raise InvalidModel(f"Model {model.type}: {column} goes to {owners[column]} and {attribute.name}.")
        if unknown := _unknown(owners, layouts.get(layout)):
            raise InvalidModel(f"Model {model.type}: the layout {layout} has no column {unknown[0]}.")


def _unknown(columns: Iterable[str], layout: tuple[str, ...] | None) -> list[str]:
    return [] if layout is None else [column for column in columns if column not in layout]


def _absolute(iri: str) -> str:
    return NAMESPACE + iri.removeprefix("tsunagu:") if iri.startswith("tsunagu:") else iri
