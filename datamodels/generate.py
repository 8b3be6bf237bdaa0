"""From the models to the files made of them: the @context and the JSON Schemas, as plain data and as text."""

import json
from collections.abc import Iterable
from typing import Any

from datamodels.model import CORE_TERMS, NAMESPACE, SUB_ATTRIBUTES, VALUE_MEMBER, Attribute, InvalidModel, Model

_PREFIXES = {
    "tsunagu": NAMESPACE,
    "disaster": "https://datamodels.jp/ns/disaster/",
    "common": "https://datamodels.jp/ns/common/",
    "schema": "https://schema.org/",
}


def context_of(models: Iterable[Model]) -> dict[str, Any]:
    """The @context of some models: every type and attribute name once, and the prefixes of their vocabularies.

    Terms of the core @context are left out, as the core cannot be overridden (4.4). Raises InvalidModel where two models
    give one name two meanings.
    """
    terms: dict[str, str] = dict(SUB_ATTRIBUTES)
    for model in models:
        for name, iri in ((model.type, model.iri), *((a.name, a.iri) for a in model.attributes.values())):
            if CORE_TERMS.get(name, iri) != iri or terms.get(name, iri) != iri:
                raise InvalidModel(f"Model {model.type}: {name} is {iri}, and elsewhere something else.")
            if name not in CORE_TERMS:
                terms[name] = iri
    return {"@context": {**_PREFIXES, **{name: _compact(terms[name]) for name in sorted(terms)}}}


def schema_of(model: Model) -> dict[str, Any]:
    """The JSON Schema (2020-12) of an entity of that type in normalized representation (4.5.1)."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"https://w3id.org/tsunagu/schema/{model.type}/v{model.version}.json",
        "title": model.type,
        "description": model.description["en"],
        "type": "object",
        "properties": {
            "id": {"type": "string", "format": "uri"},
            "type": {"const": model.type},
            **{attribute.name: _attribute_schema(attribute) for attribute in model.attributes.values()},
        },
        "required": ["id", "type", *(a.name for a in model.attributes.values() if a.required)],
    }


def as_text(document: dict[str, Any]) -> str:
    """How a made file is written: UTF-8, two spaces, a newline at the end."""
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _attribute_schema(attribute: Attribute) -> dict[str, Any]:
    value = VALUE_MEMBER[attribute.kind]
    members: dict[str, Any] = {"type": {"const": attribute.kind}}
    if attribute.kind == "GeoProperty":
        members[value] = {
            "type": "object",
            "properties": {
                "type": {"const": "Point"},
                "coordinates": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 3},
            },
            "required": ["type", "coordinates"],
        }
    else:
        members[value] = dict(attribute.schema)
    required = ["type", value]
    if attribute.unit is not None:
        members["unitCode"] = {"const": attribute.unit}
        required.append("unitCode")
    if attribute.observed:
        members["observedAt"] = {"type": "string", "format": "date-time"}
        required.append("observedAt")
    description = f"{attribute.description['ja']} / {attribute.description['en']}"
    return {"description": description, "type": "object", "properties": members, "required": required}


def _compact(iri: str) -> str:
    for prefix, namespace in _PREFIXES.items():
        if iri.startswith(namespace):
            return f"{prefix}:{iri.removeprefix(namespace)}"
    return iri
