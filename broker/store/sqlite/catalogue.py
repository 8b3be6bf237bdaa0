"""What many entities share, kept once: type sets, shapes (type set + attributes in use), scope sets, geometry layers."""

import sqlite3
from collections.abc import Callable
from typing import Final, NamedTuple

import orjson

from broker.model.entity import Entity
from broker.model.instants import canonical, parse_instant
from broker.query.targets import Target, compile_targets
from broker.store.demand import path_of

CACHE_LIMIT: Final = 50_000


class Traits(NamedTuple):
    """What an entity's row says about it besides its body. `fades_at`: when the first of its instances expires."""

    type_set: int
    shape: int
    scope_set: int | None
    expires_at: str | None
    fades_at: str | None


def canonical_instant(text: str) -> str:
    """A DateTime in the form that orders as text."""
    return canonical(parse_instant(text))


class Indexed(NamedTuple):
    """An index of values: its number, and what it has of an entity."""

    number: int
    targets: Callable[[Entity], list[Target]]


class Catalogue:
    """Finds, or adds, the numbers of these sets, for the writer's connection; remembers them between commits.

    After a rollback `forget` must be called: numbers given in it do not exist.
    """

    def __init__(self) -> None:
        self._traits: dict[tuple[object, ...], tuple[int, int]] = {}
        self._scope_sets: dict[tuple[str, str], int] = {}
        self._layers: dict[tuple[str, str], int] = {}
        self._indexed: dict[tuple[str, str], list[Indexed]] | None = None

    def forget(self) -> None:
        """Forget everything remembered; the database is asked again."""
        self._traits.clear()
        self._scope_sets.clear()
        self._layers.clear()
        self._indexed = None

    def traits(self, connection: sqlite3.Connection, tenant: str, entity: Entity) -> Traits:
        """The traits of an entity's state."""
        signature: list[object] = [tenant, *entity["type"]]
        fading: list[str] = []
        for attribute, instances in entity["attrs"].items():
            signature.append(attribute)
            for instance in instances:
                signature.append(instance["type"])
                if "expiresAt" in instance:
                    fading.append(canonical_instant(instance["expiresAt"]))
        key = tuple(signature)
        known = self._traits.get(key)
        if known is None:
            type_set = self._type_set(connection, tenant, entity["type"])
            known = type_set, self._shape(connection, tenant, type_set, entity)
            if len(self._traits) >= CACHE_LIMIT:
                self._traits.clear()
            self._traits[key] = known
        scopes = entity.get("scope")
        scope_set = self._scope_set(connection, tenant, scopes) if scopes else None
        expires_at = canonical_instant(entity["expiresAt"]) if "expiresAt" in entity else None
        return Traits(*known, scope_set, expires_at, min(fading, default=None))

    def prune(self, connection: sqlite3.Connection) -> None:
        """Drop what no entity has any more, so that names in use once do not stay for ever."""
        connection.execute("DELETE FROM shape_attributes WHERE shape IN (SELECT no FROM shapes WHERE entities = 0)")
        connection.execute("DELETE FROM shapes WHERE entities = 0")
        connection.execute("DELETE FROM type_set_members WHERE type_set NOT IN (SELECT type_set FROM shapes)")
        connection.execute("DELETE FROM type_sets WHERE no NOT IN (SELECT type_set FROM shapes)")
        connection.execute(
            "DELETE FROM scope_sets WHERE NOT EXISTS (SELECT 1 FROM entities WHERE scope_set = scope_sets.no)"
        )
        self.forget()

    def indexed(self, connection: sqlite3.Connection, tenant: str, entity_type: str) -> list[Indexed]:
        """The indexes of values of a tenant's entities of one type ("": those over every type)."""
        if self._indexed is None:
            self._indexed = {}
            for number, owner, of_type, path in connection.execute(
                "SELECT no, tenant, type, path FROM value_indexes WHERE state <> 'going'"
            ):
                self._indexed.setdefault((owner, of_type), []).append(Indexed(number, compile_targets(path_of(path))))
        return self._indexed.get((tenant, entity_type), [])

    def forget_indexed(self) -> None:
        """To be called when there are other indexes of values than before."""
        self._indexed = None

    def layer(self, connection: sqlite3.Connection, tenant: str, attribute: str) -> int:
        """The number of the layer that holds the boxes of one GeoProperty of one tenant."""
        number = self._layers.get((tenant, attribute))
        if number is None:
            number, _ = _number(connection, "layers", ("tenant", "attribute"), (tenant, attribute))
            self._layers[tenant, attribute] = number
        return number

    def _type_set(self, connection: sqlite3.Connection, tenant: str, types: list[str]) -> int:
        members = sorted(set(types))
        number, new = _number(connection, "type_sets", ("tenant", "types"), (tenant, orjson.dumps(members).decode()))
        if new:
            connection.executemany(
                "INSERT INTO type_set_members (tenant, type, type_set) VALUES (?, ?, ?)",
                [(tenant, member, number) for member in members],
            )
        return number

    def _shape(self, connection: sqlite3.Connection, tenant: str, type_set: int, entity: Entity) -> int:
        attributes = sorted(
            (attribute, sorted({instance["type"] for instance in instances}))
            for attribute, instances in entity["attrs"].items()
        )
        number, new = _number(
            connection, "shapes", ("type_set", "attributes"), (type_set, orjson.dumps(attributes).decode())
        )
        if new:
            connection.executemany(
                "INSERT INTO shape_attributes (tenant, attribute, shape) VALUES (?, ?, ?)",
                [(tenant, attribute, number) for attribute, _ in attributes],
            )
        return number

    def _scope_set(self, connection: sqlite3.Connection, tenant: str, scopes: list[str]) -> int:
        members = orjson.dumps(sorted(set(scopes))).decode()
        number = self._scope_sets.get((tenant, members))
        if number is None:
            number, _ = _number(connection, "scope_sets", ("tenant", "scopes"), (tenant, members))
            if len(self._scope_sets) >= CACHE_LIMIT:
                self._scope_sets.clear()
            self._scope_sets[tenant, members] = number
        return number


def _number(
    connection: sqlite3.Connection, table: str, columns: tuple[str, str], values: tuple[str | int, str]
) -> tuple[int, bool]:
    """The number of the row of `table` with these values, and whether it was added just now."""
    first, second = columns
    row = connection.execute(f"SELECT no FROM {table} WHERE {first} = ? AND {second} = ?", values).fetchone()
    if row is not None:
        return int(row[0]), False
    cursor = connection.execute(f"INSERT INTO {table} ({first}, {second}) VALUES (?, ?)", values)
    assert cursor.lastrowid is not None
    return cursor.lastrowid, True
