"""Types and attributes in use (5.7.5 to 5.7.10), counted from the shapes: no entity is read but those with something expired."""

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable

import orjson

from broker.model.entity import Entity
from broker.store.protocol import AttributeCensus, TypeCensus
from broker.store.sqlite.catalogue import canonical_instant

Attributes = Iterable[tuple[str, Iterable[str]]]
"""(attribute, its kinds) of one entity or of all entities of one shape."""


class _Tally:
    """Adds up entities by type, and their attributes by kind."""

    def __init__(self) -> None:
        self.types: Counter[str] = Counter()
        self.attributes: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.kinds: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)

    def add(self, types: Iterable[str], attributes: Attributes, entities: int) -> None:
        attributes = list(attributes)
        for name in types:
            self.types[name] += entities
            for attribute, kinds in attributes:
                self.attributes[name][attribute] += entities
                for kind in kinds:
                    self.kinds[name, attribute][kind] += entities

    def result(self, entity_type: str | None) -> list[TypeCensus]:
        return [
            TypeCensus(name, count, tuple(self._attributes(name)))
            for name, count in sorted(self.types.items())
            if count > 0 and entity_type in (None, name)
        ]

    def _attributes(self, name: str) -> Iterable[AttributeCensus]:
        for attribute, count in sorted(self.attributes[name].items()):
            if count > 0:
                kinds = {kind: number for kind, number in sorted(self.kinds[name, attribute].items()) if number > 0}
                yield AttributeCensus(attribute, kinds, count)


def take(connection: sqlite3.Connection, tenant: str, entity_type: str | None, now: str | None) -> list[TypeCensus]:
    """The types in use, ordered by IRI, as of `now` (None: whatever is stored)."""
    tally = _Tally()
    described: dict[int, tuple[list[str], list[tuple[str, list[str]]]]] = {}
    sets = (
        ""
        if entity_type is None
        else " AND t.no IN (SELECT type_set FROM type_set_members WHERE tenant = ?2 AND type = ?3)"
    )
    for shape, types, attributes, entities in connection.execute(
        "SELECT s.no, t.types, s.attributes, s.entities FROM type_sets t JOIN shapes s ON s.type_set = t.no"
        f" WHERE t.tenant = ?1 AND s.entities > 0{sets}",
        (tenant,) if entity_type is None else (tenant, tenant, entity_type),
    ):
        described[shape] = orjson.loads(types), orjson.loads(attributes)
        tally.add(*described[shape], entities)
    if now is not None:
        now = canonical_instant(now)
        for shape, body in connection.execute(
            "SELECT shape, body FROM entities WHERE tenant = ?1 AND expires_at <= ?2"
            " UNION SELECT shape, body FROM entities WHERE tenant = ?1 AND fades_at <= ?2",
            (tenant, now),
        ):
            if shape in described:
                tally.add(*described[shape], -1)
                entity: Entity = orjson.loads(body)
                if not _expired(entity.get("expiresAt"), now):
                    tally.add(set(entity["type"]), _alive(entity, now), 1)
    return tally.result(entity_type)


def _alive(entity: Entity, now: str) -> Attributes:
    for attribute, instances in entity["attrs"].items():
        kinds = {instance["type"] for instance in instances if not _expired(instance.get("expiresAt"), now)}
        if kinds:
            yield attribute, kinds


def _expired(instant: str | None, now: str) -> bool:
    return instant is not None and canonical_instant(instant) <= now
