"""A data model: one entity type with its attributes, read from its YAML file in `datamodels/definitions/`."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from types import MappingProxyType
from typing import Any, Final

import yaml

NAMESPACE: Final = "https://w3id.org/tsunagu/ns/"
"""Where the terms live that no published vocabulary has; `tsunagu:` in the YAML files."""

CONTEXT_URL: Final = "https://w3id.org/tsunagu/context/v1.jsonld"
"""The @context of all models. It is versioned and never changes its meaning; the file comes with the package."""

CORE_TERMS: Final = MappingProxyType(
    {
        "location": "https://uri.etsi.org/ngsi-ld/location",
        "description": "http://purl.org/dc/terms/description",
        "title": "http://purl.org/dc/terms/title",
    }
)
"""Terms of ours that the core @context defines too (Annex B): on the wire they stay short in every @context."""

SUB_ATTRIBUTES: Final = MappingProxyType({"computedFrom": NAMESPACE + "computedFrom"})
"""Sub-attributes that any attribute may carry. `computedFrom`: an adapter worked the value out of these attributes."""

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


class InvalidModel(ValueError):
    """A model file breaks a rule; the message names the model, the attribute and the rule."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a model: its IRI, kind, UN/CEFACT unit code, JSON Schema of the value and two descriptions.

    `columns` maps a layout's name to the columns it is read from. `observed` attributes carry `observedAt`,
    `computed` ones are worked out by an adapter and never reported by a source.
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
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def wire_name(self) -> str:
        """The name that means this attribute in any broker without an @context: a core term, or the IRI."""
        return self.name if CORE_TERMS.get(self.name) == self.iri else self.iri


@dataclass(frozen=True, slots=True)
class Model:
    """One entity type: its IRI, version, dataset key, titles and attributes in the order of the file."""

    type: str
    iri: str
    version: str
    dataset: str
    title: Mapping[str, str]
    description: Mapping[str, str]
    attributes: Mapping[str, Attribute]

    def columns(self, layout: str) -> dict[str, str]:
        """The columns of a layout, each with the attribute it is read into."""
        return {
            column: attribute.name
            for attribute in self.attributes.values()
            for column in attribute.columns.get(layout, ())
        }


def parse_model(text: str) -> Model:
    """The model written in one YAML document. Raises InvalidModel."""
    document = yaml.safe_load(text)
    if not isinstance(document, dict) or not isinstance(document.get("attributes"), dict):
        raise InvalidModel("A model file must be a mapping with `attributes`.")
    name = str(document.get("type"))
    try:
        attributes = {key: _attribute(name, key, value) for key, value in document["attributes"].items()}
        return Model(
            type=document["type"],
            iri=_absolute(document["iri"]),
            version=document["version"],
            dataset=document["dataset"],
            title=document["title"],
            description=document["description"],
            attributes=MappingProxyType(attributes),
        )
    except KeyError as missing:
        raise InvalidModel(f"Model {name}: the member {missing} is missing.") from missing


@functools.cache
def models() -> Mapping[str, Model]:
    """All models that come with the package, by entity type."""
    found = {}
    for file in sorted(resources.files("datamodels.definitions").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".yaml"):
            model = parse_model(file.read_text("utf-8"))
            found[model.type] = model
    return MappingProxyType(found)


def model_of(entity_type: str) -> Model:
    """The model of an entity type. Raises InvalidModel when the package has none of that name."""
    try:
        return models()[entity_type]
    except KeyError:
        raise InvalidModel(f"There is no model {entity_type}; there are {', '.join(models())}.") from None


def _attribute(model: str, name: str, document: Mapping[str, Any]) -> Attribute:
    if document["kind"] not in VALUE_MEMBER:
        raise InvalidModel(f"Model {model}: {name} has the unknown kind {document['kind']!r}.")
    if set(document["description"]) != {"ja", "en"}:
        raise InvalidModel(f"Model {model}: {name} needs a description in ja and en.")
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
        columns=MappingProxyType({layout: tuple(names) for layout, names in document.get("columns", {}).items()}),
    )


def _absolute(iri: str) -> str:
    return NAMESPACE + iri.removeprefix("tsunagu:") if iri.startswith("tsunagu:") else iri
