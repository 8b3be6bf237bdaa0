"""What is provisioned: groups and devices, on disk beside the journal's inputs before the API answers.

A key belongs to one tenant and service path, so that a message says by its key whose it is. A device is known within those by
its id. Documents are kept as they were given, checked when they came, and read again here.
"""

import asyncio
import json
import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Self, TypeVar

from adapters.errors import AdapterError
from adapters.iot.device import Device, Owner, Sender, merged
from adapters.iot.documents import GroupDocument, InvalidDocument, Protocol, kept, read_device, read_group
from adapters.iot.measures import UNKNOWN
from adapters.iot.snapshot import Provision
from adapters.journal import Journal

MOST_DEVICES: Final = 100_000
"""Devices of one tenant, those that provisioned themselves among them."""

_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS iot_group (id INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL, path TEXT NOT NULL,"
    " resource TEXT NOT NULL, apikey TEXT NOT NULL, document TEXT NOT NULL, UNIQUE (tenant, path, resource, apikey))",
    "CREATE INDEX IF NOT EXISTS iot_group_key ON iot_group (apikey)",
    "CREATE TABLE IF NOT EXISTS iot_device (id INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL, path TEXT NOT NULL,"
    " device TEXT NOT NULL, apikey TEXT NOT NULL, document TEXT NOT NULL, UNIQUE (tenant, path, device))",
    "CREATE INDEX IF NOT EXISTS iot_device_key ON iot_device (apikey)",
    "CREATE TABLE IF NOT EXISTS iot_answer (number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE)",
)

MOST_ANSWERS: Final = 1000
"""Answers that may come again: more than an MQTT broker may have sent without our acknowledgement."""

T = TypeVar("T")

_LOG: Final = logging.getLogger(__name__)


class Duplicate(AdapterError):
    """There is such a group or device already."""


class NotProvisioned(AdapterError):
    """There is no such group or device."""


class Full(AdapterError):
    """The tenant has as many devices as it may."""


@dataclass(frozen=True, slots=True)
class Listed:
    """Documents of a page, and how many there are in all."""

    count: int
    documents: Sequence[Mapping[str, Any]]


class Registry:
    """The groups and devices in a journal's file."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._senders: dict[tuple[str, str, Protocol | None], Sender] = {}

    @classmethod
    async def open(cls, journal: Journal) -> Self:
        """The registry of a journal; its tables are made if there are none. Raises JournalFailed."""
        await journal.transact(lambda connection: [connection.execute(each) for each in _SCHEMA], durable=True)
        return cls(journal)

    async def sender(self, key: str, device_id: str, protocol: Protocol | None) -> Sender | None:
        """Who a key and an id mean; None where the key is nobody's, or another device's.

        Raises JournalFailed, and InvalidDocument for one that an earlier version took and this one does not.
        """
        known = self._senders.get((key, device_id, protocol))
        if known is None:
            known = await self._journal.perform(lambda connection: _sender(connection, key, device_id, protocol))
            if known is not None and known.device is not None:
                if len(self._senders) >= 10_000:
                    self._senders.clear()
                self._senders[key, device_id, protocol] = known
        return known

    async def device(self, owner: Owner, device_id: str) -> Device | None:
        """A device by its id. Raises JournalFailed."""
        return await self._journal.perform(lambda connection: _device(connection, owner, device_id))

    async def add_groups(self, owner: Owner, documents: Sequence[Mapping[str, Any]]) -> None:
        """Add all of these groups, or none. Raises InvalidDocument, Duplicate, JournalFailed."""
        read = await asyncio.to_thread(
            lambda: [
                (read_group(each, where := f"services[{place}]"), kept(each, where))
                for place, each in enumerate(documents)
            ]
        )

        def work(connection: sqlite3.Connection) -> None:
            for group, text in read:
                _key_is_free(connection, owner, group.apikey)
                _insert(
                    connection,
                    "INSERT INTO iot_group (tenant, path, resource, apikey, document) VALUES (?, ?, ?, ?, ?)",
                    (owner.tenant, owner.path, group.resource, group.apikey, text),
                    f"There is a group with the resource {group.resource!r} and this apikey already.",
                )

        await self._change(work)

    async def add_devices(self, owner: Owner, documents: Sequence[Mapping[str, Any]]) -> list[Device]:
        """Add all of these devices, or none; how they are. Raises InvalidDocument, Duplicate, Full, JournalFailed."""
        read = await asyncio.to_thread(
            lambda: [
                (read_device(each, where := f"devices[{place}]"), kept(each, where))
                for place, each in enumerate(documents)
            ]
        )

        def work(connection: sqlite3.Connection) -> list[Device]:
            for device, text in read:
                if device.apikey:
                    _key_is_free(connection, owner, device.apikey)
                _insert(
                    connection,
                    "INSERT INTO iot_device (tenant, path, device, apikey, document) VALUES (?, ?, ?, ?, ?)",
                    (owner.tenant, owner.path, device.device_id, device.apikey, text),
                    f"There is a device {device.device_id!r} already.",
                )
            (count,) = connection.execute(
                "SELECT count(*) FROM iot_device WHERE tenant = ?", (owner.tenant,)
            ).fetchone()
            if count > MOST_DEVICES:
                raise Full(f"The tenant would have more than {MOST_DEVICES:,} devices.")
            return [_known_device(connection, owner, device.device_id) for device, _ in read]

        return await self._change(work)

    async def change_group(self, owner: Owner, resource: str, key: str, change: Mapping[str, Any]) -> None:
        """Set members of a group. Raises NotProvisioned, InvalidDocument, Duplicate, JournalFailed."""

        def work(connection: sqlite3.Connection) -> None:
            row = connection.execute(
                "SELECT id, document FROM iot_group WHERE tenant = ? AND path = ? AND resource = ? AND apikey = ?",
                (owner.tenant, owner.path, resource, key),
            ).fetchone()
            if row is None:
                raise NotProvisioned("There is no group with this resource and apikey.")
            document = {**json.loads(row[1]), **change}
            group = read_group(document, "service")
            if group.apikey != key:
                _key_is_free(connection, owner, group.apikey)
            _insert(
                connection,
                "UPDATE iot_group SET resource = ?, apikey = ?, document = ? WHERE id = ?",
                (group.resource, group.apikey, kept(document, "service"), row[0]),
                "There is a group with that resource and apikey already.",
            )

        await self._change(work)

    async def change_device(self, owner: Owner, device_id: str, change: Mapping[str, Any]) -> Device:
        """Set members of a device; how it is then. Raises NotProvisioned, InvalidDocument, Duplicate, JournalFailed."""

        def work(connection: sqlite3.Connection) -> Device:
            row = connection.execute(
                "SELECT id, document FROM iot_device WHERE tenant = ? AND path = ? AND device = ?",
                (owner.tenant, owner.path, device_id),
            ).fetchone()
            if row is None:
                raise NotProvisioned(f"There is no device {device_id!r}.")
            document = {**json.loads(row[1]), **change}
            device = read_device(document, "device")
            if device.device_id != device_id:
                raise InvalidDocument("device.device_id cannot be changed.")
            if device.apikey:
                _key_is_free(connection, owner, device.apikey)
            connection.execute(
                "UPDATE iot_device SET apikey = ?, document = ? WHERE id = ?",
                (device.apikey, kept(document, "device"), row[0]),
            )
            return _known_device(connection, owner, device_id)

        return await self._change(work)

    async def remove_group(self, owner: Owner, resource: str, key: str) -> None:
        """Remove a group. Raises NotProvisioned, JournalFailed."""

        def work(connection: sqlite3.Connection) -> None:
            gone = connection.execute(
                "DELETE FROM iot_group WHERE tenant = ? AND path = ? AND resource = ? AND apikey = ?",
                (owner.tenant, owner.path, resource, key),
            )
            if not gone.rowcount:
                raise NotProvisioned("There is no group with this resource and apikey.")

        await self._change(work)

    async def remove_device(self, owner: Owner, device_id: str) -> None:
        """Remove a device. Raises NotProvisioned, JournalFailed."""

        def work(connection: sqlite3.Connection) -> None:
            gone = connection.execute(
                "DELETE FROM iot_device WHERE tenant = ? AND path = ? AND device = ?",
                (owner.tenant, owner.path, device_id),
            )
            if not gone.rowcount:
                raise NotProvisioned(f"There is no device {device_id!r}.")

        await self._change(work)

    async def groups(self, owner: Owner, resource: str | None, key: str | None, limit: int, offset: int) -> Listed:
        """Groups, oldest first; None: of any resource or key; the path `/*`: of any path. Raises JournalFailed."""
        condition = (
            "tenant = ?1 AND (?2 = '/*' OR path = ?2) AND (?3 IS NULL OR resource = ?3) AND (?4 IS NULL OR apikey = ?4)"
        )
        return await self._listed("iot_group", condition, (owner.tenant, owner.path, resource, key), limit, offset)

    async def devices(self, owner: Owner, limit: int, offset: int) -> Listed:
        """Devices, oldest first; the path `/*`: of any path. Raises JournalFailed."""
        condition = "tenant = ?1 AND (?2 = '/*' OR path = ?2)"
        return await self._listed("iot_device", condition, (owner.tenant, owner.path), limit, offset)

    async def device_document(self, owner: Owner, device_id: str) -> Mapping[str, Any]:
        """A device as it was given. Raises NotProvisioned, JournalFailed."""
        condition = "tenant = ?1 AND path = ?2 AND device = ?3"
        found = await self._listed("iot_device", condition, (owner.tenant, owner.path, device_id), 1, 0)
        if not found.documents:
            raise NotProvisioned(f"There is no device {device_id!r}.")
        return found.documents[0]

    async def commanded(self) -> list[Device]:
        """All devices that have commands. Raises JournalFailed."""
        found: list[Device] = []
        last = 0
        while True:
            last, some = await self._journal.perform(partial(_commanded, after=last))
            found += some
            if not last:
                return found

    async def unknown(self) -> int:
        """How many measures of unknown devices are in the quarantine. Raises JournalFailed."""
        (count,) = await self._journal.perform(
            lambda connection: connection.execute(
                "SELECT count(*) FROM quarantine WHERE status = 'open' AND rule = ?", (UNKNOWN,)
            ).fetchone()
        )
        return int(count)

    async def is_new(self, name: str, *, again: bool) -> bool:
        """Whether an answer to a command is to be handed on: one that comes again is not, if it is on record here already.

        It is before it is handed on: one that is lost with a kill is an answer that did not come, one that is handed on twice
        would be taken for that to the next command of its name. Raises JournalFailed.
        """

        def work(connection: sqlite3.Connection) -> bool:
            if again and connection.execute("SELECT 1 FROM iot_answer WHERE name = ?", (name,)).fetchone():
                return False
            made = connection.execute("INSERT OR REPLACE INTO iot_answer (name) VALUES (?)", (name,))
            connection.execute("DELETE FROM iot_answer WHERE number <= ?", ((made.lastrowid or 0) - MOST_ANSWERS,))
            return True

        return await self._journal.transact(work)

    async def _change(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._journal.transact(work, durable=True)
        finally:
            self._senders.clear()

    async def _listed(self, table: str, condition: str, values: Sequence[Any], limit: int, offset: int) -> Listed:
        def work(connection: sqlite3.Connection) -> Listed:
            (count,) = connection.execute(f"SELECT count(*) FROM {table} WHERE {condition}", values).fetchone()
            rows = connection.execute(
                f"SELECT tenant, path, document FROM {table} WHERE {condition} ORDER BY id LIMIT {limit:d} OFFSET {offset:d}",
                values,
            )
            return Listed(
                count,
                [
                    {
                        "service": tenant,
                        "subservice" if table == "iot_group" else "service_path": path,
                        **json.loads(document),
                    }
                    for tenant, path, document in rows
                ],
            )

        return await self._journal.perform(work)


def _commanded(connection: sqlite3.Connection, after: int) -> tuple[int, list[Device]]:
    """Devices with commands among the next few, so that the journal is free in between; 0 where there are no more."""
    rows = connection.execute(
        "SELECT id, tenant, path, device FROM iot_device WHERE id > ? ORDER BY id LIMIT 200", (after,)
    ).fetchall()
    found = []
    for _, tenant, path, device_id in rows:
        try:
            device = _known_device(connection, Owner(tenant, path), device_id)
        except InvalidDocument as fault:  # an earlier version took it, and this one does not: no other waits for it
            _LOG.error("iot: the device %s cannot be commanded: %s", device_id, fault)
            continue
        if device.commands:
            found.append(device)
    return rows[-1][0] if rows else 0, found


def provision_of(connection: sqlite3.Connection, tenant: str, path: str, device_id: str) -> Provision | None:
    """How a device's messages are read today; None where it is not provisioned."""
    found = _device(connection, Owner(tenant, path), device_id)
    return None if found is None else found.provision


def _sender(connection: sqlite3.Connection, key: str, device_id: str, protocol: Protocol | None) -> Sender | None:
    owner = _owner_of(connection, key)
    if owner is None:
        return None
    group = _group(connection, owner, key, protocol)
    row = connection.execute(
        "SELECT apikey, document FROM iot_device WHERE tenant = ? AND path = ? AND device = ?",
        (owner.tenant, owner.path, device_id),
    ).fetchone()
    if row is None:
        # A key that only other devices have says nothing of this one.
        return Sender(owner, None, group) if group is not None else None
    if row[0] not in ("", key) or (not row[0] and group is None):
        return None
    return Sender(owner, merged(owner, read_device(json.loads(row[1]), "device"), group, protocol), group)


def _device(connection: sqlite3.Connection, owner: Owner, device_id: str) -> Device | None:
    row = connection.execute(
        "SELECT apikey, document FROM iot_device WHERE tenant = ? AND path = ? AND device = ?",
        (owner.tenant, owner.path, device_id),
    ).fetchone()
    if row is None:
        return None
    device = read_device(json.loads(row[1]), "device")
    return merged(owner, device, _group(connection, owner, row[0], device.protocol))


def _known_device(connection: sqlite3.Connection, owner: Owner, device_id: str) -> Device:
    found = _device(connection, owner, device_id)
    if found is None:
        raise NotProvisioned(f"There is no device {device_id!r}.")
    return found


def _group(connection: sqlite3.Connection, owner: Owner, key: str, protocol: Protocol | None) -> GroupDocument | None:
    """The group of a key, else, without one, the first of the owner: that of the protocol before others."""
    rows = connection.execute(
        "SELECT document FROM iot_group WHERE tenant = ?1 AND path = ?2 AND (?3 = '' OR apikey = ?3) ORDER BY id",
        (owner.tenant, owner.path, key),
    ).fetchall()
    groups = [read_group(json.loads(document), "service") for (document,) in rows]
    return next((each for each in groups if protocol and each.protocol == protocol), groups[0] if groups else None)


def _owner_of(connection: sqlite3.Connection, key: str) -> Owner | None:
    row = connection.execute(
        "SELECT tenant, path FROM iot_group WHERE apikey = ?1 UNION SELECT tenant, path FROM iot_device WHERE apikey = ?1",
        (key,),
    ).fetchone()
    return None if row is None or not key else Owner(row[0], row[1])


def _key_is_free(connection: sqlite3.Connection, owner: Owner, key: str) -> None:
    """Raises Duplicate where a key is another tenant's or path's: a message would not say whose it is."""
    found = _owner_of(connection, key)
    if found is not None and found != owner:
        raise Duplicate("The apikey is in use under another fiware-service or fiware-servicepath.")


def _insert(connection: sqlite3.Connection, statement: str, values: Sequence[Any], reason: str) -> None:
    try:
        connection.execute(statement, values)
    except sqlite3.IntegrityError:
        raise Duplicate(reason) from None
