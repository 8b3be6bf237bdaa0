"""The files made from the models as they come with the package: @contexts by URL, JSON Schemas by type.

The @context is versioned. A version that was released stays as it is for ever, since what clients wrote under it must keep its
meaning: `released.json` has the hash of each. The models are then in the next version.
"""

import functools
import hashlib
import json
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType
from typing import Any, Final

from datamodels.errors import InvalidModel
from datamodels.generate import as_text, context_of, schema_of
from datamodels.model import model_of, models

CONTEXT_VERSION: Final = 3
"""The version of the @context that is made from the models. Raise it when they change after its release."""


def context_url(version: int) -> str:
    """Where a version of the @context is; the files come with the package, so no network is needed."""
    return f"https://w3id.org/tsunagu/context/v{version}.jsonld"


CONTEXT_URL: Final = context_url(CONTEXT_VERSION)


def made_files() -> dict[tuple[str, str], str]:
    """What the made files must say, by package and file name: the freshness test holds the tree against this.

    Raises InvalidModel where the models would change a released @context.
    """
    context = as_text(context_of(models().values()))
    released = released_contexts().get(f"v{CONTEXT_VERSION}")
    if released is not None and released != digest(context):
        raise InvalidModel(f"@context v{CONTEXT_VERSION} is released and would change: raise CONTEXT_VERSION.")
    files = {("datamodels.made", f"tsunagu-v{CONTEXT_VERSION}.jsonld"): context}
    for model in models().values():
        files["datamodels.made", f"{model.type}.schema.json"] = as_text(schema_of(model))
    return files


@functools.cache
def contexts() -> Mapping[str, Mapping[str, Any]]:
    """All versions of the @context by URL, so that a broker can serve and resolve them without the network."""
    return MappingProxyType(
        {context_url(version): json.loads(context_text(version)) for version in range(1, CONTEXT_VERSION + 1)}
    )


def context_text(version: int) -> str:
    """A version of the @context as it is in its file."""
    return (resources.files("datamodels.made") / f"tsunagu-v{version}.jsonld").read_text("utf-8")


@functools.cache
def released_contexts() -> Mapping[str, str]:
    """The released versions of the @context, each with the hash of its file."""
    hashes: dict[str, str] = json.loads((resources.files("datamodels.made") / "released.json").read_text("utf-8"))
    return MappingProxyType(hashes)


def digest(text: str) -> str:
    """The hash of a file's text as `released.json` has it."""
    return "sha256:" + hashlib.sha256(text.encode("utf-8")).hexdigest()


@functools.cache
def schema(entity_type: str) -> Mapping[str, Any]:
    """The JSON Schema of an entity type. Raises InvalidModel when there is no such model."""
    name = f"{model_of(entity_type).type}.schema.json"
    document: dict[str, Any] = json.loads((resources.files("datamodels.made") / name).read_text("utf-8"))
    return MappingProxyType(document)
