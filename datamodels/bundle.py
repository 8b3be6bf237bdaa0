"""A bundle: a folder of Smart Data Models, with which entities are checked beside our own models.

    common-schema.json                     what all subjects share
    Weather/context.jsonld                 the @context of a subject
    Weather/weather-schema.json            what the types of a subject share
    Weather/WeatherObserved/schema.json    the JSON Schema of a type, of its key-values representation

References between the schemas are resolved within the folder, under the addresses of both places where they are published;
nothing is ever fetched.
"""

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import jsonschema_rs

from datamodels.errors import InvalidBundle
from datamodels.model import CORE_TERMS
from datamodels.representations import KINDS
from datamodels.validation import MOST_VIOLATIONS, Check, Subject, Violation, compiled, words_of

DEFAULT_VOCABULARY: Final = "https://uri.etsi.org/ngsi-ld/default-context/"
"""Where NGSI-LD puts names that no @context defines (4.4)."""

_CORE: Final = "https://uri.etsi.org/ngsi-ld/"
_CORE_TERMS: Final = {
    **CORE_TERMS,
    "observationSpace": _CORE + "observationSpace",
    "operationSpace": _CORE + "operationSpace",
}
"""Names of attributes that mean the same in every @context."""
_PUBLISHED: Final = (
    "https://smart-data-models.github.io/{repository}/{file}",
    "https://raw.githubusercontent.com/smart-data-models/{repository}/master/{file}",
    "https://raw.githubusercontent.com/smart-data-models/{repository}/main/{file}",
)

_LAX_FORMATS: Final[Mapping[str, Callable[[str], bool]]] = {"date-time": lambda text: True}
"""Smart Data Models say date-time also of what has no zone, or is a duration; their own examples would not pass."""


class BundleCheck:
    """The rules of one type of a bundle. They are for key-values, so that is what an entity is brought to."""

    def __init__(
        self,
        subject: str,
        name: str,
        schema: Mapping[str, Any],
        terms: Mapping[str, str],
        registry: jsonschema_rs.Registry,
    ) -> None:
        self.subject = subject
        self.name = name
        self.iri = terms.get(name, f"https://smartdatamodels.org/dataModel.{subject}/{name}")
        self.schema = schema
        self._terms = terms
        self._registry = registry

    @functools.cached_property
    def _short(self) -> Mapping[str, str]:
        return {self.expand(name): name for name in (*self._terms, *_CORE_TERMS)}

    @functools.cached_property
    def _validator(self) -> jsonschema_rs.Validator:
        return compiled(self.schema, self._registry, _LAX_FORMATS)

    def expand(self, name: str) -> str:
        """The IRI of an attribute, given its short name (or that)."""
        iri = _CORE_TERMS.get(name) or self._terms.get(name)
        return iri or (name if ":" in name else DEFAULT_VOCABULARY + name)

    def kind(self, attribute: str) -> str | None:
        """The schemas of a bundle do not say it so that one could rely on it."""
        return None

    def violations(self, entity: Subject, *, values_only: bool = False) -> list[Violation]:
        """What is wrong with an entity of that type; nothing mostly."""
        document = {"id": entity.get("id", "urn:ngsi-ld:x:y"), "type": self.name}
        for attribute, instances in entity["attrs"].items():
            document[self._name(attribute)] = _value(instances)
        if self._validator.is_valid(document):
            return []
        found = []
        for error in self._validator.iter_errors(document):
            found.append(_violation(error))
            if len(found) == MOST_VIOLATIONS:
                break
        return list(dict.fromkeys(found))

    def instance_violations(self, attribute: str, instance: Mapping[str, Any]) -> list[Violation]:
        """What is wrong with one instance of an attribute (by IRI) alone."""
        name = self._name(attribute)
        found = self.violations({"attrs": {attribute: [instance]}})
        return [each for each in found if each.attribute == name and each.rule != "required"]

    def _name(self, attribute: str) -> str:
        return self._short.get(attribute, attribute.removeprefix(DEFAULT_VOCABULARY))


def load_bundle(folder: Path) -> dict[str, BundleCheck]:
    """The checks of a bundle's types by type IRI. Raises InvalidBundle, also where a reference leads out of the bundle."""
    if not folder.is_dir():
        raise InvalidBundle(f"{folder} is no folder.")
    resources: list[tuple[str, Any]] = []
    types: list[tuple[str, str, Mapping[str, Any]]] = []
    for path in sorted(folder.rglob("*.json")):
        parts = path.relative_to(folder).parts
        if path.name == "schema.json" and len(parts) >= 2:
            types.append((parts[0] if len(parts) > 2 else folder.name, parts[-2], _json(path)))
        elif path.name.endswith("schema.json"):
            repository = "data-models" if len(parts) == 1 else f"dataModel.{parts[0]}"
            resources += [
                (address.format(repository=repository, file=path.name), _json(path)) for address in _PUBLISHED
            ]
    if not types:
        raise InvalidBundle(f"{folder} has no SUBJECT/TYPE/schema.json in it.")
    registry = jsonschema_rs.Registry(resources, draft=jsonschema_rs.Draft202012, retriever=_not_here)
    contexts = {subject: _terms(folder / subject / "context.jsonld") for subject in {each[0] for each in types}}
    found: dict[str, BundleCheck] = {}
    for subject, name, schema in types:
        check = BundleCheck(subject, name, schema, contexts[subject], registry)
        try:
            check.violations({"attrs": {}})
        except (ValueError, jsonschema_rs.ReferencingError) as error:
            raise InvalidBundle(f"{subject}/{name}/schema.json: {error}") from error
        found[check.iri] = check
    return found


def _not_here(uri: str) -> Any:
    raise InvalidBundle(f"{uri} is referred to and not in the bundle.")


def _terms(path: Path) -> Mapping[str, str]:
    """The terms of a subject's @context. Those of Smart Data Models are flat: names and IRIs, and prefixes of these."""
    if not path.is_file():
        return {}
    contexts = _json(path).get("@context", {})
    terms: dict[str, str] = {}
    for context in contexts if isinstance(contexts, list) else [contexts]:
        if isinstance(context, dict):
            for name, definition in context.items():
                iri = definition.get("@id") if isinstance(definition, dict) else definition
                if isinstance(iri, str):
                    terms[name] = iri
    prefixes = {"ngsi-ld": _CORE, **{name: iri for name, iri in terms.items() if iri.endswith(("/", "#"))}}
    return {name: _expanded(iri, prefixes) for name, iri in terms.items()}


def _expanded(iri: str, prefixes: Mapping[str, str]) -> str:
    prefix, separator, rest = iri.partition(":")
    return prefixes[prefix] + rest if separator and not rest.startswith("//") and prefix in prefixes else iri


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise InvalidBundle(f"{path}: {error}") from error


def _value(instances: list[Mapping[str, Any]]) -> Any:
    """The value of an attribute as key-values have it: that of the default instance, or of the first one."""
    instance = next((each for each in instances if "datasetId" not in each), instances[0])
    value = instance[KINDS[instance["type"]]]
    return value["@value"] if isinstance(value, dict) and value.keys() == {"@type", "@value"} else value


def _violation(error: jsonschema_rs.ValidationError) -> Violation:
    path = list(error.instance_path)
    if path:
        where = ".".join(str(step) for step in path[1:])
        return Violation(str(path[0]), error.kind.name, (f"{where}: " if where else "") + words_of(error))
    if error.kind.name == "required":
        missing = str(error.kind.as_dict()["property"])
        return Violation(missing, "required", "is missing, and the model requires it")
    return Violation(None, error.kind.name, words_of(error))


def as_checks(bundle: Mapping[str, BundleCheck]) -> Mapping[str, Check]:
    """A bundle's checks as what `Checks` takes beside our own."""
    return dict(bundle)
