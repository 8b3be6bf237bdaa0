"""Where entities say that they come from: the feed's source, provider and licence, on every entity that does not say itself."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from adapters.contract import Entity, Origin

PROVENANCE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "source": "https://smartdatamodels.org/source",
        "dataProvider": "https://smartdatamodels.org/dataProvider",
        "license": "http://purl.org/dc/terms/license",
    }
)
"""The attributes that any entity may have for it, with their IRIs."""


def with_provenance(entity: Entity, origin: Origin) -> Entity:
    """The entity with the origin's source, provider and licence, as far as it does not say and the origin does."""
    known = {"source": origin.source, "dataProvider": origin.provider, "license": origin.licence}
    added = {
        name: {"type": "Property", "value": value} for name, value in known.items() if value and name not in entity
    }
    return {**entity, **added} if added else entity


def public_source(address: str) -> str:
    """An address without what may be secret in it: user, password and query of a URL. A path is its file's name."""
    parts = urlsplit(address)
    if not parts.scheme or not parts.netloc:
        return address.rpartition("/")[2] or address
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
