"""A context source registration as matching needs it: compiled from its stored document (broker.federation.document)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

from broker.federation.document import DEFAULT_MODE, MEMBERS, attributes_of, context_source_properties
from broker.federation.intervals import Stretch, interval_stretch
from broker.federation.operation_names import DEFAULT, supported_operations
from broker.jsonld.terms import CORE
from broker.model.entity import Entity, Instance, JsonObject
from broker.model.instants import is_past
from broker.model.terms import LOCATION, OBSERVATION_SPACE, OPERATION_SPACE
from broker.query.patterns import pattern_test

_SPACES: Final = {
    "location": LOCATION,
    "observationSpace": OBSERVATION_SPACE,
    "operationSpace": OPERATION_SPACE,
}
_OWN_MEMBERS: Final = frozenset({"id", "type", "scope", "expiresAt"})


@dataclass(frozen=True, slots=True)
class EntityInfo:
    """Which entities a source may have (5.2.8): of all these types, and by id or by pattern, where there is one."""

    types: frozenset[str]
    id: str | None = None
    id_pattern: str | None = None

    def may_be(self, entity_id: str) -> bool:
        """Whether an entity with this id can be among them; `id` takes precedence over `id_pattern`."""
        if self.id is not None:
            return self.id == entity_id
        return self.id_pattern is None or pattern_test(self.id_pattern)(entity_id)


@dataclass(frozen=True, slots=True)
class RegistrationInfo:
    """What a source may provide (5.2.10). No `entities`: any entity; no `attributes`: all attributes."""

    entities: tuple[EntityInfo, ...]
    attributes: frozenset[str]


@dataclass(frozen=True, slots=True, eq=False)
class Registration:
    """A compiled CSourceRegistration (5.2.9). `spaces` are geometries by the IRI of their GeoProperty; `operations` has the
    groups of 4.20 replaced by their members; `document` is what it was compiled from."""

    tenant: str
    document: JsonObject = field(repr=False)
    information: tuple[RegistrationInfo, ...]
    mode: str
    operations: frozenset[str]
    dataset_ids: frozenset[str] | None
    scopes: tuple[str, ...]
    spaces: Mapping[str, JsonObject]
    observed: Stretch | None
    managed: Stretch | None

    @property
    def id(self) -> str:
        """Its id."""
        return cast(str, self.document["id"])

    @property
    def version(self) -> str:
        """What differs after every change of the registration."""
        return cast(str, self.document["modifiedAt"])

    @property
    def alias(self) -> str | None:
        """The pseudonym of the source in Via headers, where it was given."""
        return self.document.get("contextSourceAlias")

    def is_expired(self, now: str) -> bool:
        """Whether it is to be gone at this instant (5.9.2.4)."""
        return "expiresAt" in self.document and is_past(self.document["expiresAt"], now)

    def as_entity(self) -> Entity:
        """The members, Context Source Properties among them, as Properties of an entity: the targets of a context source
        filter (4.9)."""
        document = {"mode": DEFAULT_MODE, "operations": list(DEFAULT), **self.document}
        attrs = {
            CORE.expand(member): [_property(document[member])]
            for member in MEMBERS
            if member in document and member not in _OWN_MEMBERS
        }
        described = context_source_properties(document)
        attrs |= {iri: [{"type": "Property", "value": value}] for iri, value in described.items()}
        own = {member: document[member] for member in _OWN_MEMBERS if member in document}
        times = {member: document[member] for member in ("createdAt", "modifiedAt")}
        return cast(Entity, {**own, **times, "type": [document["type"]], "attrs": attrs, "version": 1})


def compile_registration(tenant: str, document: JsonObject) -> Registration:
    """A stored document compiled."""
    datasets = document.get("datasetId")
    observed, managed = document.get("observationInterval"), document.get("managementInterval")
    return Registration(
        tenant=tenant,
        document=document,
        information=tuple(_info(info) for info in document["information"]),
        mode=document.get("mode", DEFAULT_MODE),
        operations=supported_operations(document.get("operations", DEFAULT)),
        dataset_ids=None if datasets is None else frozenset(datasets),
        scopes=tuple(document.get("scope", ())),
        spaces={iri: document[member] for member, iri in _SPACES.items() if member in document},
        observed=None if observed is None else interval_stretch(observed),
        managed=None if managed is None else interval_stretch(managed),
    )


def _info(info: JsonObject) -> RegistrationInfo:
    return RegistrationInfo(
        entities=tuple(
            EntityInfo(
                types=frozenset(entity["type"]),
                id=entity.get("id"),
                id_pattern=entity.get("idPattern") if "id" not in entity else None,
            )
            for entity in info.get("entities", ())
        ),
        attributes=attributes_of(info),
    )


def _property(value: Any) -> Instance:
    instance: Instance = {"type": "Property", "value": value}
    if isinstance(value, dict):
        instance.update({CORE.expand(member): [_property(item)] for member, item in value.items()})
    return instance
