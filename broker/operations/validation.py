"""Whether what is written fits its data model: by tenant and type off, warn or enforce. An extension (docs/validation.md).

A write is judged by the state that it leaves, inside the decision that makes it (broker.store.writer), so that it is all the
same by which operation it came and what was written meanwhile. `enforce` raises ModelViolation instead of the change; `warn`
lets it through, and the request says so afterwards. The models are given at start (`broker.app`): the broker has none.
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final, Protocol
from urllib.parse import quote

from broker import metrics
from broker.errors import ModelViolation
from broker.model.change import Change
from broker.model.dataspace import origin_of
from broker.model.entity import Entity, Instance
from broker.model.members import is_null_value
from broker.model.terms import KINDS
from broker.operations.validation_rules import Mode, Rule
from broker.store.plan import Decision

HEADER: Final = "Tsunagu-Validation"
MOST_TOLD: Final = 20
"""Violations in an answer."""
LONGEST_TOLD: Final = 300
"""Characters of an id in a header."""
LOG_PAUSE_SECONDS: Final = 1.0
"""How long after a line about a model the next one follows at the earliest; those in between are counted."""

logger: Final = logging.getLogger(__name__)


class Violation(Protocol):
    """A rule that an entity breaks."""

    @property
    def attribute(self) -> str | None:
        """The attribute's short name, None for the entity itself."""
        ...

    @property
    def rule(self) -> str:
        """The rule, as JSON Schema calls it."""
        ...

    @property
    def detail(self) -> str:
        """What is wrong."""
        ...


class ModelCheck(Protocol):
    """The compiled rules of one entity type."""

    @property
    def name(self) -> str:
        """The type's short name."""
        ...

    def violations(self, entity: Entity) -> Sequence[Violation]:
        """What is wrong with an entity."""
        ...

    def instance_violations(self, attribute: str, instance: Instance) -> Sequence[Violation]:
        """What is wrong with one instance of an attribute alone."""
        ...


class ModelChecks(Protocol):
    """The models that there are."""

    @property
    def types(self) -> Mapping[str, str]:
        """Short names of types by IRI."""
        ...

    def find(self, name: str) -> str | None:
        """The IRI of a type, given that or its short name."""
        ...

    def of(self, iri: str) -> ModelCheck | None:
        """The check of a type."""
        ...


@dataclass(slots=True)
class Notes:
    """What a request wrote though it does not fit: for each entity, its model's name and violations.

    A decision may be made again, so that what is noted of an entity last is what counts.
    """

    entities: dict[tuple[str, str], Sequence[Violation]] = field(default_factory=dict)

    def header(self) -> str:
        """The value of the header: a structured list (RFC 9651) of attributes, each with rule and entity."""
        told = [
            f'"{_quoted(violation.attribute or "")}";rule={violation.rule};entity="{_quoted(entity_id)}"'
            for (entity_id, _), violations in self.entities.items()
            for violation in violations[:MOST_TOLD]
        ]
        more = sum(map(len, self.entities.values())) - MOST_TOLD
        return ", ".join(told if more <= 0 else [*told[:MOST_TOLD], f"more;count={more}"])


_notes: Final[ContextVar[Notes | None]] = ContextVar("validation_notes", default=None)


@contextmanager
def noted() -> Iterator[Notes]:
    """Collect what is written within, and does not fit, where that is only warned of."""
    notes = Notes()
    token = _notes.set(notes)
    try:
        yield notes
    finally:
        _notes.reset(token)


class Validation:
    """Judges writes. Where several rules concern a type in a tenant, the one that names the tenant counts before the one that
    does not, then the one that names the type, then the later one."""

    def __init__(self, models: ModelChecks, rules: Sequence[Rule]) -> None:
        """Raises ValueError for a rule about a type of which there is no model."""
        self._models = models
        self._rules = [rule._replace(type=self._iri(rule.type)) for rule in rules]
        self._everyone = self._active(None)
        self._tenants = {rule.tenant: self._active(rule.tenant) for rule in self._rules if rule.tenant is not None}
        self._logged: dict[str, tuple[float, int]] = {}

    @property
    def idle(self) -> bool:
        """Whether nothing is ever judged."""
        return not self._everyone and not any(self._tenants.values())

    def modes(self, tenant: str) -> dict[str, Mode]:
        """The mode of each type of which there is a model, by IRI, in a tenant."""
        active = self._of(tenant)
        return {iri: active.get(iri, "off") for iri in self._models.types}

    def name(self, iri: str) -> str:
        """The short name of a type."""
        return self._models.types[iri]

    def judged(self, space: str, decide: Decision) -> Decision:
        """The same decision, whose outcome is judged. That of a tenant without rules is the decision itself."""
        active = self._of(space)
        if not active:
            return decide
        notes = _notes.get()

        def judged_decision(current: Entity | None) -> Change | None:
            change = decide(current)
            if change is not None and change.after is not None and change.kind != "entityLoaded":
                self._judge(active, change.after, notes)
            return change

        return judged_decision

    def concerns(self, space: str) -> bool:
        """Whether anything is judged in a tenant."""
        return bool(self._of(space))

    def judge_instances(
        self, space: str, entity_id: str, types: Sequence[str], attributes: Mapping[str, Sequence[Instance]]
    ) -> None:
        """Judge instances that a client writes into the history, each for itself. Raises ModelViolation.

        What an entity must have is no question here, and what says that an attribute was deleted has no value to look at.
        """
        active = self._of(space)
        for iri in types:
            if (mode := active.get(iri)) is None:
                continue
            check = self._check(iri)
            found = [
                violation
                for attribute, instances in attributes.items()
                for instance in instances
                if not _is_deletion(instance)
                for violation in check.instance_violations(attribute, instance)
            ]
            self._found(mode, check, entity_id, found, _notes.get())

    def report(self, tenant: str, notes: Notes) -> None:
        """Count and log what was let through."""
        for (entity_id, model), violations in notes.entities.items():
            metrics.model_violations.labels(model, "warn").inc()
            last, suppressed = self._logged.get(model, (float("-inf"), 0))
            now = time.monotonic()
            if now - last < LOG_PAUSE_SECONDS:
                self._logged[model] = (last, suppressed + 1)
                continue
            self._logged[model] = (now, 0)
            logger.warning(
                "an entity does not fit its model",
                extra={
                    "tenant": tenant,
                    "entity": entity_id,
                    "model": model,
                    "violations": "; ".join(map(_words, violations[:MOST_TOLD])),
                    "others_before": suppressed,
                },
            )

    def _judge(self, active: Mapping[str, Mode], entity: Entity, notes: Notes | None) -> None:
        for iri in entity["type"]:
            if (mode := active.get(iri)) is not None:
                check = self._check(iri)
                self._found(mode, check, entity["id"], check.violations(entity), notes)

    def _found(
        self, mode: Mode, check: ModelCheck, entity_id: str, violations: Sequence[Violation], notes: Notes | None
    ) -> None:
        if mode == "enforce" and violations:
            metrics.model_violations.labels(check.name, "enforce").inc()
            raise _refusal(check.name, entity_id, violations)
        if notes is not None:
            if violations:
                notes.entities[entity_id, check.name] = violations
            else:
                notes.entities.pop((entity_id, check.name), None)

    def _of(self, space: str) -> Mapping[str, Mode]:
        """The types that are judged in a tenant or in a snapshot of it, each with its mode."""
        return self._tenants.get(origin_of(space).tenant, self._everyone) if self._tenants else self._everyone

    def _active(self, tenant: str | None) -> dict[str, Mode]:
        active: dict[str, Mode] = {}
        for iri in self._models.types:
            fitting = [rule for rule in self._rules if rule.tenant in (None, tenant) and rule.type in (None, iri)]
            if fitting:
                mode = max(enumerate(fitting), key=_precedence)[1].mode
                if mode != "off":
                    active[iri] = mode
        return active

    def _check(self, iri: str) -> ModelCheck:
        check = self._models.of(iri)
        assert check is not None  # its type is among those of the models
        return check

    def _iri(self, name: str | None) -> str | None:
        if name is None:
            return None
        iri = self._models.find(name)
        if iri is None:
            raise ValueError(f"there is no model of the type {name}; `tsunagu models list` shows those that there are")
        return iri


def _precedence(place_and_rule: tuple[int, Rule]) -> tuple[bool, bool, int]:
    place, rule = place_and_rule
    return rule.tenant is not None, rule.type is not None, place


def _refusal(model: str, entity_id: str, violations: Sequence[Violation]) -> ModelViolation:
    first, more = violations[0], len(violations) - 1
    return ModelViolation(
        f"{_words(first)} (model {model}, rule {first.rule}" + (f"; and {more} more)" if more else ")"),
        instance=entity_id,
        violations=[
            {"attribute": each.attribute, "rule": each.rule, "detail": each.detail} for each in violations[:MOST_TOLD]
        ],
    )


def _words(violation: Violation) -> str:
    return violation.detail if violation.attribute is None else f"{violation.attribute}: {violation.detail}"


def _is_deletion(instance: Instance) -> bool:
    member = KINDS[instance["type"]].value
    return is_null_value(member, instance[member])


def _quoted(text: str) -> str:
    """Text as it may stand between quotes in a header; the beginning of one that is very long."""
    return quote(text[:LONGEST_TOLD], safe=" !#$&'()*+,/:;<=>?@[]^`{|}", errors="replace")
