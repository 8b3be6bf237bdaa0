"""How tests look at a multi-attribute: its instances by datasetId, whatever order a broker gives them (4.5.5)."""

from typing import Any

from conformance.samples import Document

DEFAULT_INSTANCE = "@none"


def by_dataset(attribute: Any) -> dict[str, Document]:
    """The instances of an attribute in normalized representation, by datasetId; the default one is `@none`."""
    instances = attribute if isinstance(attribute, list) else [attribute]
    return {instance.get("datasetId", DEFAULT_INSTANCE): instance for instance in instances}
