"""Whether an entity fits its model: JSON Schemas compiled once for each model, and what is wrong in words.

An entity is checked in one form, whatever representation it came in (`datamodels.representations` reads them):

    {"type": [...], "attrs": {IRI: [instance, ...]}}

which is also how a broker keeps it. Attributes that the model does not have, and sub-attributes, are nobody's business.
"""

import functools
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

import jsonschema_rs

from datamodels.code_lists import FORMATS
from datamodels.generate import instance_schema, value_schema
from datamodels.model import VALUE_MEMBER, Model, model_of, models

MOST_VIOLATIONS: Final = 50
"""So many violations of one entity are told; a hostile one could have millions."""
_LONGEST: Final = 200
_LONGEST_VALUE: Final = 80
_MASK: Final = "\x1a"
"""Stands for the value in messages: putting a value of 10 MB into each of them takes ten times as long as finding them."""

Subject: TypeAlias = Mapping[str, Any]
"""An entity in the form above."""


class Violation(NamedTuple):
    """One rule of a model that an entity breaks: attribute (None: the entity itself), rule as JSON Schema calls it, and words."""

    attribute: str | None
    rule: str
    detail: str

    def __str__(self) -> str:
        return self.detail if self.attribute is None else f"{self.attribute}: {self.detail}"


class Check(Protocol):
    """The compiled rules of one entity type."""

    @property
    def name(self) -> str:
        """The type's short name."""
        ...

    @property
    def iri(self) -> str:
        """The type's IRI."""
        ...

    def expand(self, name: str) -> str:
        """The IRI of an attribute, given its short name (or that)."""
        ...

    def kind(self, attribute: str) -> str | None:
        """The kind that the model wants of an attribute (by IRI); None where it says nothing."""
        ...

    def violations(self, entity: Subject, *, values_only: bool = False) -> list[Violation]:
        """What is wrong with an entity of that type; nothing mostly.

        `values_only`: it came as key-values, in which there are no units and times that could be missing.
        """
        ...

    def instance_violations(self, attribute: str, instance: Mapping[str, Any]) -> list[Violation]:
        """What is wrong with one instance of an attribute (by IRI) alone."""
        ...


class ModelCheck:
    """The rules of one of our models."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.name = model.type
        self.iri = model.iri
        self._names = {attribute.iri: attribute.name for attribute in model.attributes.values()}
        self._iris = {
            name: attribute.iri
            for attribute in model.attributes.values()
            for name in (attribute.formerly, attribute.name)
            if name is not None
        }
        instances = {attribute.iri: instance_schema(attribute) for attribute in model.attributes.values()}
        self._required = [attribute.iri for attribute in model.attributes.values() if attribute.required]
        attributes: dict[str, Any] = {
            "type": "object",
            "properties": {name: {"type": "array", "items": schema} for name, schema in instances.items()},
        }
        self._kinds = {attribute.iri: attribute.kind for attribute in model.attributes.values()}
        self._entity = compiled({"properties": {"attrs": {**attributes, "required": self._required}}})
        self._instances = compiled({"properties": {"attrs": attributes}})

    @functools.cached_property
    def _values(self) -> jsonschema_rs.Validator:
        """The rules of the values alone, for key-values."""
        schemas = {
            attribute.iri: {"items": {"properties": {VALUE_MEMBER[attribute.kind]: value_schema(attribute)}}}
            for attribute in self._model.attributes.values()
        }
        return compiled({"properties": {"attrs": {"properties": schemas, "required": self._required}}})

    def expand(self, name: str) -> str:
        """The IRI of an attribute, given its short name, its former one or the IRI itself."""
        return self._iris.get(name, name)

    def kind(self, attribute: str) -> str | None:
        """The kind that the model wants of an attribute (by IRI); None where it says nothing."""
        return self._kinds.get(attribute)

    def violations(self, entity: Subject, *, values_only: bool = False) -> list[Violation]:
        """What is wrong with an entity of that type; nothing mostly."""
        validator = self._values if values_only else self._entity
        return [] if validator.is_valid(entity) else self._told(validator, entity)

    def instance_violations(self, attribute: str, instance: Mapping[str, Any]) -> list[Violation]:
        """What is wrong with one instance of an attribute (by IRI) alone."""
        subject = {"attrs": {attribute: [instance]}}
        return [] if self._instances.is_valid(subject) else self._told(self._instances, subject)

    def _told(self, validator: jsonschema_rs.Validator, subject: Subject) -> list[Violation]:
        found = []
        for error in validator.iter_errors(subject):
            found.append(self._violation(error, subject))
            if len(found) == MOST_VIOLATIONS:
                break
        return found

    def _violation(self, error: jsonschema_rs.ValidationError, subject: Subject) -> Violation:
        path = list(error.instance_path)[1:]
        if not path:
            missing = error.kind.as_dict().get("property", "")
            return Violation(
                self._names.get(missing, missing), error.kind.name, "is missing, and the model requires it"
            )
        attribute, place, *inner = path
        where = ".".join(str(step) for step in inner)
        instance = subject["attrs"][attribute][place]
        dataset = instance.get("datasetId") if isinstance(instance, Mapping) else None
        detail = (f"{where}: " if where else "") + words_of(error) + (f" (datasetId {dataset})" if dataset else "")
        name = str(attribute)
        return Violation(self._names.get(name, name), error.kind.name, detail)


class Checks:
    """The checks of our models, and those of a bundle (by type IRI).

    Where both have a type, ours counts, or with `bundle_first` that of the bundle.
    """

    def __init__(self, bundle: Mapping[str, Check] | None = None, *, bundle_first: bool = False) -> None:
        ours = {model.iri: model.type for model in models().values()}
        theirs = {} if bundle is None else bundle
        self._bundle = {iri: check for iri, check in theirs.items() if bundle_first or iri not in ours}
        self._ours = {iri: name for iri, name in ours.items() if iri not in self._bundle}
        self._names = {check.name: iri for iri, check in self._bundle.items()}
        for iri, name in self._ours.items():
            if not (bundle_first and name in self._names):
                self._names[name] = iri

    @property
    def types(self) -> Mapping[str, str]:
        """All types: short name by IRI."""
        return {**self._ours, **{iri: check.name for iri, check in self._bundle.items()}}

    def find(self, name: str) -> str | None:
        """The IRI of a type, given that or its short name; None where there is no model of it."""
        return name if name in self._ours or name in self._bundle else self._names.get(name)

    def of(self, iri: str) -> Check | None:
        """The check of the type with this IRI."""
        name = self._ours.get(iri)
        return self._bundle.get(iri) if name is None else check_of(name)


@functools.cache
def check_of(entity_type: str) -> "ModelCheck":
    """The check of one of the package's models, compiled once in a process. Raises InvalidModel where there is none."""
    return ModelCheck(model_of(entity_type))


def compiled(
    schema: Mapping[str, Any],
    registry: jsonschema_rs.Registry | None = None,
    formats: Mapping[str, Callable[[str], bool]] = FORMATS,
) -> jsonschema_rs.Validator:
    """A validator of a schema (2020-12), formats included. What the registry lacks is never fetched: ReferencingError."""
    return jsonschema_rs.Draft202012Validator(
        dict(schema), validate_formats=True, formats=dict(formats), registry=registry, mask=_MASK, offline=True
    )


def words_of(error: jsonschema_rs.ValidationError) -> str:
    """What an error says, with the value at fault and, of alternatives, what each would have needed."""
    kind = error.kind
    if kind.name == "const":
        text = f"{_shown(kind.as_dict()['expected_value'])} is wanted, not {_shown(error.instance)}"
    elif kind.name == "required":
        text = f"{kind.as_dict()['property']} is missing"
    elif kind.name in ("anyOf", "oneOf") and (alternatives := kind.as_dict().get("context")):
        text = " and ".join(dict.fromkeys(_message(errors[0]) for errors in alternatives if errors))
    else:
        text = _message(error)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _message(error: jsonschema_rs.ValidationError) -> str:
    return error.message.replace(_MASK, _shown(error.instance))


def _shown(value: object) -> str:
    """A value in words that are short, however large it is."""
    if isinstance(value, list):
        return f"an array of {len(value)}"
    if isinstance(value, dict):
        return f"an object of {len(value)}"
    if isinstance(value, str) and len(value) > _LONGEST_VALUE:
        value = value[: _LONGEST_VALUE - 1] + "…"
    return json.dumps(value, ensure_ascii=False)
