"""From a value to an attribute of a model: its kind, the member that the kind has, and the model's unit."""

from typing import Any

from datamodels.model import VALUE_MEMBER, Attribute


def attribute_of(known: Attribute, value: Any, observed_at: str | None = None) -> dict[str, Any]:
    """A value as an instance of an attribute that a model knows, with the instant at which it was observed, if it has one."""
    instance: dict[str, Any] = {"type": known.kind, VALUE_MEMBER[known.kind]: value}
    if known.unit is not None:
        instance["unitCode"] = known.unit
    if observed_at is not None:
        instance["observedAt"] = observed_at
    return instance
