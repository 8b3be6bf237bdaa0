"""From the models to the files made of them: the @context and the JSON Schemas, as plain data and as text."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from datamodels.code_lists import FORMAT_OF_LIST
from datamodels.errors import InvalidModel
from datamodels.model import CORE_TERMS, NAMESPACE, SUB_ATTRIBUTES, VALUE_MEMBER, Attribute, Model

SCHEMA_BASE: Final = "https://w3id.org/tsunagu/schema/"

_PREFIXES: Final = {
    "tsunagu": NAMESPACE,
    "disaster": "https://datamodels.jp/ns/disaster/",
    "common": "https://datamodels.jp/ns/common/",
    "schema": "https://schema.org/",
    "sdm": "https://smartdatamodels.org/",
}

_NESTED: Final = {
    "Point": 0, "MultiPoint": 1, "LineString": 1, "MultiLineString": 2, "Polygon": 2, "MultiPolygon": 3,
}  # fmt: skip
"""How deep the arrays of positions of each geometry are nested."""


def context_of(models: Iterable[Model]) -> dict[str, Any]:
    """The @context of some models: every type and attribute name once, and the prefixes of their vocabularies.

    Terms of the core @context are left out, as the core cannot be overridden (4.4). Raises InvalidModel where two models
    give one name two meanings.
    """
    terms: dict[str, str] = dict(SUB_ATTRIBUTES)
    for model in models:
        for name, iri in (
            (model.type, model.iri),
            *model.also.items(),
            *((attribute.name, attribute.iri) for attribute in model.attributes.values()),
        ):
            if CORE_TERMS.get(name, iri) != iri or terms.get(name, iri) != iri:
                raise InvalidModel(f"Model {model.type}: {name} is {iri}, and elsewhere something else.")
            if name not in CORE_TERMS:
                terms[name] = iri
    return {"@context": {**_PREFIXES, **{name: _compact(terms[name]) for name in sorted(terms)}}}


def schema_of(model: Model) -> dict[str, Any]:
    """The JSON Schema (2020-12) of an entity of that type in normalized representation (4.5.1).

    An attribute is one instance or, with datasetIds, a list of them (4.5.5).
    """
    attributes = model.attributes.values()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{SCHEMA_BASE}{model.type}/v{model.version}.json",
        "title": model.type,
        "description": model.description["en"],
        "type": "object",
        "properties": {
            "id": {"type": "string", "format": "uri"},
            "type": {
                "if": {"type": "array"},
                "then": {"contains": {"const": model.type}},
                "else": {"const": model.type},
            },
            **{
                attribute.name: {
                    "description": f"{attribute.description['ja']} / {attribute.description['en']}",
                    "if": {"type": "array"},
                    "then": {"items": {"$ref": f"#/$defs/{attribute.name}"}},
                    "else": {"$ref": f"#/$defs/{attribute.name}"},
                }
                for attribute in attributes
            },
        },
        "required": ["id", "type", *(attribute.name for attribute in attributes if attribute.required)],
        "$defs": {attribute.name: instance_schema(attribute) for attribute in attributes},
    }


def instance_schema(attribute: Attribute) -> dict[str, Any]:
    """The JSON Schema of one instance of an attribute: kind, value, unit, time."""
    member = VALUE_MEMBER[attribute.kind]
    members: dict[str, Any] = {"type": {"const": attribute.kind}, member: value_schema(attribute)}
    required = ["type", member]
    if attribute.unit is not None:
        members["unitCode"] = {"const": attribute.unit}
        required.append("unitCode")
    if attribute.observed:
        members["observedAt"] = {"type": "string", "format": "date-time"}
        required.append("observedAt")
    return {"type": "object", "properties": members, "required": required}


def value_schema(attribute: Attribute) -> dict[str, Any]:
    """The JSON Schema of an attribute's value. A date or time may also be a typed value, {"@type": ..., "@value": ...}."""
    if attribute.kind == "GeoProperty":
        return _geometry_schema(attribute.geometry)
    schema = dict(attribute.schema)
    if attribute.codes is not None and attribute.codes in FORMAT_OF_LIST:
        schema = _with_format(schema, FORMAT_OF_LIST[attribute.codes])
    if "date" in json.dumps(schema.get("anyOf", schema.get("format", ""))):
        typed = {"properties": {"@value": schema}, "required": ["@value"]}
        return {"if": {"type": "object"}, "then": typed, "else": schema}
    return schema


def as_text(document: Mapping[str, Any]) -> str:
    """How a made file is written: UTF-8, two spaces, a newline at the end."""
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _with_format(schema: dict[str, Any], name: str) -> dict[str, Any]:
    if schema.get("type") == "array":
        return {**schema, "items": {**schema["items"], "format": name}}
    return {**schema, "format": name}


def _geometry_schema(kinds: tuple[str, ...]) -> dict[str, Any]:
    position: dict[str, Any] = {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 3}
    coordinates: dict[str, Any] = {"type": "array"}
    if len(kinds) == 1:
        coordinates = position
        for _ in range(_NESTED[kinds[0]]):
            coordinates = {"type": "array", "items": coordinates}
    return {
        "type": "object",
        "properties": {
            "type": {"const": kinds[0]} if len(kinds) == 1 else {"enum": list(kinds)},
            "coordinates": coordinates,
        },
        "required": ["type", "coordinates"],
    }


def _compact(iri: str) -> str:
    for prefix, namespace in _PREFIXES.items():
        if iri.startswith(namespace):
            return f"{prefix}:{iri.removeprefix(namespace)}"
    return iri
