"""Validating files of entities: JSON (one entity or a list of them) or JSON Lines, in any of three representations."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datamodels.code_lists import code_lists
from datamodels.model import models
from datamodels.representations import Reading, Representation, read_entity
from datamodels.validation import Checks, ModelCheck, Violation


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found about one entity of a file. `place`: "line 3" or "entity 3"; `models`: those that it was held against.

    `violations` make it invalid; `notes` are worth a look.
    """

    place: str
    id: str
    types: tuple[str, ...]
    representation: Representation | None
    models: tuple[str, ...]
    violations: tuple[Violation, ...]
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with it."""
        return not self.violations

    def as_json(self) -> dict[str, Any]:
        """The verdict for scripts."""
        return {
            "place": self.place,
            "id": self.id,
            "type": list(self.types),
            "representation": self.representation,
            "models": list(self.models),
            "violations": [violation._asdict() for violation in self.violations],
            "notes": list(self.notes),
        }


def validate_file(
    path: Path, checks: Checks, *, representation: Representation | None = None, entity_type: str | None = None
) -> Iterator[Verdict]:
    """The verdicts on the entities of a file, one by one. Raises OSError where the file cannot be read.

    `entity_type`: hold every entity against this model, whatever type it says.
    """
    wanted_context = path.suffix == ".jsonld"
    for place, document in _documents(path):
        if isinstance(document, Violation):
            yield Verdict(place, "", (), None, (), (document,))
            continue
        verdict = validate(document, checks, place, representation=representation, entity_type=entity_type)
        if wanted_context and isinstance(document, dict) and "@context" not in document:
            missing = Violation("@context", "required", "is missing in a file of JSON-LD")
            verdict = Verdict(
                place, verdict.id, verdict.types, verdict.representation, verdict.models,
                (missing, *verdict.violations), verdict.notes,
            )  # fmt: skip
        yield verdict


def validate(
    document: object,
    checks: Checks,
    place: str = "",
    *,
    representation: Representation | None = None,
    entity_type: str | None = None,
) -> Verdict:
    """The verdict on one entity: what is wrong with it as NGSI-LD, or else what is wrong with it under its models."""
    try:
        return _validate(document, checks, place, representation, entity_type)
    except (ValueError, RecursionError) as error:  # nested too deeply, or half of a surrogate pair
        return Verdict(place, "", (), None, (), (Violation(None, "json", f"cannot be checked: {error}"),))


def _validate(
    document: object, checks: Checks, place: str, representation: Representation | None, entity_type: str | None
) -> Verdict:
    reading = read_entity(document, representation)
    names = reading.types if entity_type is None else (entity_type,)
    iris = dict.fromkeys(iri for name in names if (iri := checks.find(_local(name))) is not None)
    found = [check for iri in iris if (check := checks.of(iri)) is not None]
    violations = list(reading.faults)
    notes: list[str] = []
    if not violations:
        for check in found:
            subject = {"id": reading.id, **reading.subject(check)}
            violations += check.violations(subject, values_only=reading.representation == "keyValues")
            if isinstance(check, ModelCheck):
                notes += _unlisted(check, reading)
    if not found:
        notes.append(f"there is no model of {', '.join(names) or 'it'}")
    return Verdict(
        place,
        reading.id,
        reading.types,
        reading.representation,
        tuple(check.name for check in found),
        tuple(dict.fromkeys(violations)),
        tuple(notes),
    )


def _documents(path: Path) -> Iterator[tuple[str, Any]]:
    """The entities of a file with their places; a Violation in the place of what is no JSON."""
    text = path.read_text("utf-8-sig", errors="replace")
    if path.suffix in (".jsonl", ".ndjson"):
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                yield f"line {number}", _parsed(line)
        return
    document = _parsed(text)
    if isinstance(document, list):
        for number, each in enumerate(document, 1):
            yield f"entity {number}", each
        return
    yield "entity 1", document


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        return Violation(None, "json", f"is no JSON: {error}")


def _local(name: str) -> str:
    """A type's name without one of our prefixes in front, as JSON-LD allows it."""
    prefix, separator, rest = name.partition(":")
    return rest if separator and prefix == "tsunagu" and rest in models() else name


def _unlisted(check: ModelCheck, reading: Reading) -> Sequence[str]:
    """Codes of local governments that are none today: merged municipalities, or made up ones."""
    listed = code_lists()["local_governments"]
    notes = []
    for attribute in models()[check.name].attributes.values():
        if attribute.codes == "local_governments":
            for instance in reading.attributes.get(attribute.name, ()):
                value = instance.get("value")
                if isinstance(value, str) and value not in listed:
                    notes.append(f"{attribute.name}: {value} is no local government today")
    return notes
