"""Documents: subscriptions, @contexts, registrations and whatever else is kept whole, by kind, tenant and id."""

import sqlite3
from collections.abc import Callable, Collection, Sequence

import orjson

from broker.model.entity import JsonObject
from broker.store.protocol import Document, DocumentExists, DocumentKey


def put(
    connection: sqlite3.Connection, kind: str, tenant: str, document_id: str, body: JsonObject, *, create: bool
) -> bool:
    """Store a document; one that is there keeps its place in the order of creation, or (`create`) is left alone."""
    conflict = "DO NOTHING" if create else "DO UPDATE SET body = excluded.body"
    cursor = connection.execute(
        f"INSERT INTO documents (kind, tenant, id, body) VALUES (?, ?, ?, ?) ON CONFLICT (kind, tenant, id) {conflict}",
        (kind, tenant, document_id, orjson.dumps(body).decode()),
    )
    return cursor.rowcount == 1


def add(connection: sqlite3.Connection, made: Sequence[Document]) -> None:
    """Store new documents. To be called in a transaction. Raises DocumentExists."""
    for each in made:
        if not put(connection, each.kind, each.tenant, each.id, each.body, create=True):
            raise DocumentExists


def get(connection: sqlite3.Connection, kind: str, tenant: str, document_id: str) -> JsonObject | None:
    """A document's body."""
    row = connection.execute(
        "SELECT body FROM documents WHERE kind = ? AND tenant = ? AND id = ?", (kind, tenant, document_id)
    ).fetchone()
    if row is None:
        return None
    body: JsonObject = orjson.loads(row[0])
    return body


def change(
    connection: sqlite3.Connection,
    kind: str,
    tenant: str,
    document_id: str,
    changed: Callable[[JsonObject], JsonObject | None],
) -> JsonObject | None:
    """Replace a body by what `changed` makes of it; the new one, if any. To be called in a transaction."""
    body = get(connection, kind, tenant, document_id)
    replacement = None if body is None else changed(body)
    if replacement is not None:
        put(connection, kind, tenant, document_id, replacement, create=False)
    return replacement


def delete(connection: sqlite3.Connection, kind: str, tenant: str, document_id: str) -> bool:
    """Whether there was one to delete."""
    cursor = connection.execute(
        "DELETE FROM documents WHERE kind = ? AND tenant = ? AND id = ?", (kind, tenant, document_id)
    )
    return cursor.rowcount == 1


def replace(
    connection: sqlite3.Connection, key: DocumentKey, found: JsonObject, body: JsonObject, others: Sequence[Document]
) -> bool:
    """Replace a body that is still `found`, and store other new documents; whether it was. Raises DocumentExists."""
    if get(connection, *key) != found:
        return False
    put(connection, *key, body, create=False)
    add(connection, others)
    return True


def delete_with(
    connection: sqlite3.Connection, key: DocumentKey, found: JsonObject | None, puts: Sequence[Document]
) -> bool:
    """Delete a document, where given only one with the body `found`, and store others; whether it was there."""
    if (found is not None and get(connection, *key) != found) or not delete(connection, *key):
        return False
    write(connection, puts, ())
    return True


def write(connection: sqlite3.Connection, puts: Sequence[Document], deletes: Collection[DocumentKey]) -> None:
    """Store and delete documents; what is there is replaced. To be called in a transaction, as those above."""
    for each in puts:
        put(connection, each.kind, each.tenant, each.id, each.body, create=False)
    for key in deletes:
        delete(connection, *key)


def listing(connection: sqlite3.Connection, kind: str, tenant: str | None) -> list[tuple[str, str, JsonObject]]:
    """(tenant, id, body) of all documents of a kind, in order of creation."""
    condition, values = ("kind = ?", [kind]) if tenant is None else ("kind = ? AND tenant = ?", [kind, tenant])
    rows = connection.execute(f"SELECT tenant, id, body FROM documents WHERE {condition} ORDER BY no", values)
    return [(owner, document_id, orjson.loads(body)) for owner, document_id, body in rows]
