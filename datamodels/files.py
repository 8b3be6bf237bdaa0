"""The files made from the models as they come with the package: @contexts by URL, JSON Schemas by type."""

import functools
import json
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType
from typing import Any, Final

from datamodels.generate import as_text, context_of, schema_of
from datamodels.model import CONTEXT_URL, model_of, models

_CONTEXT_FILE: Final = "tsunagu-v1.jsonld"


def made_files() -> dict[tuple[str, str], str]:
    """What the made files must say, by package and file name: the freshness test holds the tree against this."""
    files = {("datamodels.made", _CONTEXT_FILE): as_text(context_of(models().values()))}
    for model in models().values():
        files["datamodels.made", f"{model.type}.schema.json"] = as_text(schema_of(model))
    return files


@functools.cache
def contexts() -> Mapping[str, Mapping[str, Any]]:
    """The @contexts by URL, so that a broker can serve and resolve them without the network."""
    text = (resources.files("datamodels.made") / _CONTEXT_FILE).read_text("utf-8")
    return MappingProxyType({CONTEXT_URL: json.loads(text)})


@functools.cache
def schema(entity_type: str) -> Mapping[str, Any]:
    """The JSON Schema of an entity type. Raises InvalidModel when there is no such model."""
    name = f"{model_of(entity_type).type}.schema.json"
    document: dict[str, Any] = json.loads((resources.files("datamodels.made") / name).read_text("utf-8"))
    return MappingProxyType(document)
