"""Commands on record: their states, an audit trail that is only ever added to, and what the broker is still to be told.

Tables of the runner's journal. Every function takes a connection inside a transaction (`Journal.transact`). A step is made with
the event that tells of it, in one transaction, and only from the states from which it may be made: whoever comes second finds
that it is done.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from adapters import metrics
from adapters.actuation.contract import Command, CommandTarget


class State(StrEnum):
    """Where a command is. What the broker is shown of it is `status_of`."""

    AWAITING = "awaiting-approval"
    QUEUED = "queued"
    CARRYING = "carrying"
    """It was on record that it would be carried now, before it was: from here on it may have reached the device."""
    WAITING = "waiting"
    """For the device to poll."""
    SENT = "sent"
    DELIVERED = "delivered"
    UNSURE = "unsure"
    """Carrying it broke off: an answer would tell."""
    OK = "ok"
    ERROR = "error"
    EXPIRED = "expired"
    REFUSED = "refused"


FINAL: Final = frozenset({State.OK, State.ERROR, State.EXPIRED, State.REFUSED})
OPEN: Final = frozenset(State) - FINAL
UNSENT: Final = frozenset({State.AWAITING, State.QUEUED, State.WAITING})
"""States in which a command cannot have reached its device."""
ANSWERABLE: Final = frozenset({State.CARRYING, State.SENT, State.DELIVERED, State.UNSURE})
_SHOWN: Final = {
    State.DELIVERED: "DELIVERED",
    State.OK: "OK",
    State.ERROR: "ERROR",
    State.EXPIRED: "EXPIRED",
}


def status_of(state: State) -> str:
    """The value of a command's `_status`."""
    return _SHOWN.get(state, "PENDING")


@dataclass(frozen=True, slots=True)
class Entry:
    """A command as it is on record. `good_for`: seconds for which it is good once it is approved; None: `expires_at` stands.
    `decided_at`: just before its interlocks were read."""

    command: Command
    principal: str
    decided_at: str
    state: State
    state_at: str
    deadline: str | None
    good_for: float | None = None
    previous: Any = None


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the audit trail, with what it is about."""

    number: int
    entry: Entry
    at: str
    state: State
    who: str
    info: Any


_COLUMNS: Final = (
    *(
        "id",
        "key",
        "target",
        "name",
        "value",
        "issued_at",
        "expires_at",
        "principal",
        "decided_at",
        "state",
        "state_at",
    ),
    *("deadline", "good_for", "previous"),
)


# --- targets

_TARGETS: Final = (
    "SELECT tenant, device_id, entity_id, entity_type, groups, commands, carrier, address, wanted FROM command_target"
)


def put_target(connection: sqlite3.Connection, target: CommandTarget) -> None:
    """A device that can be commanded, in place of what was known of it."""
    connection.execute(
        "INSERT OR REPLACE INTO command_target VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1)",
        (
            target.tenant,
            target.device_id,
            target.entity_id,
            target.entity_type,
            target.group,
            json.dumps(list(target.commands)),
            target.carrier,
            json.dumps(dict(target.address)),
        ),
    )


def unwant_target(connection: sqlite3.Connection, tenant: str, device_id: str) -> None:
    """The device is no more; what the broker knows of it is still to be taken back."""
    connection.execute("UPDATE command_target SET wanted = 0 WHERE tenant = ? AND device_id = ?", (tenant, device_id))


def drop_target(connection: sqlite3.Connection, tenant: str, device_id: str) -> None:
    """Forget a device that is no more, unless it has come back."""
    connection.execute(
        "DELETE FROM command_target WHERE tenant = ? AND device_id = ? AND wanted = 0", (tenant, device_id)
    )


def all_targets(connection: sqlite3.Connection) -> list[tuple[CommandTarget, bool]]:
    """All devices, and whether they are wanted still."""
    return [_announced(row) for row in connection.execute(_TARGETS)]


def targets_at(connection: sqlite3.Connection, places: Iterable[tuple[str, str]]) -> list[tuple[CommandTarget, bool]]:
    """Those of these places, by tenant and device, where there is one."""
    rows = (connection.execute(f"{_TARGETS} WHERE tenant = ? AND device_id = ?", place).fetchone() for place in places)
    return [_announced(row) for row in rows if row is not None]


def _announced(row: Sequence[Any]) -> tuple[CommandTarget, bool]:
    tenant, device_id, entity_id, entity_type, group, commands, carrier, address, wanted = row
    names, known = tuple(json.loads(commands)), json.loads(address)
    return CommandTarget(tenant, entity_id, entity_type, device_id, group, names, carrier, known), bool(wanted)


# --- commands


def find_key(connection: sqlite3.Connection, tenant: str, entity_id: str, name: str, key: str) -> Entry | None:
    """The command that a client has called so."""
    return _one(
        connection,
        "tenant = ? AND entity_id = ? AND name = ? AND key = ? AND state <> 'refused'",
        (tenant, entity_id, name, key),
    )


def find(connection: sqlite3.Connection, command_id: str) -> Entry | None:
    """A command by its id."""
    return _one(connection, "id = ?", (command_id,))


def open_of_device(
    connection: sqlite3.Connection, tenant: str, device_id: str, states: Iterable[State] = OPEN
) -> list[Entry]:
    """A device's commands that are in one of these states and have no end yet, oldest first."""
    rows = _select(
        connection,
        "tenant = ? AND device_id = ? AND deadline IS NOT NULL ORDER BY number",
        (tenant, device_id),
    )
    wanted = frozenset(states)
    return [entry for entry in rows if entry.state in wanted]


def later_of_name(connection: sqlite3.Connection, command: Command) -> str | None:
    """The key of a command of the same name that was taken after this one and has no end yet."""
    row = connection.execute(
        "SELECT key FROM command WHERE tenant = ?1 AND entity_id = ?2 AND name = ?3 AND deadline IS NOT NULL"
        " AND number > (SELECT number FROM command WHERE id = ?4) LIMIT 1",
        (command.target.tenant, command.target.entity_id, command.name, command.id),
    ).fetchone()
    return None if row is None else str(row[0])


def in_state(connection: sqlite3.Connection, state: State) -> list[Entry]:
    """The commands in a state that is no end."""
    return _select(connection, "deadline IS NOT NULL AND state = ? ORDER BY number", (state,))


def overdue(connection: sqlite3.Connection, now: str, most: int = 200) -> list[Entry]:
    """The commands whose time is up."""
    return _select(connection, "deadline <= ? ORDER BY deadline LIMIT ?", (now, most))


def next_deadline(connection: sqlite3.Connection) -> str | None:
    """When the time of one is up next."""
    (found,) = connection.execute("SELECT min(deadline) FROM command WHERE deadline IS NOT NULL").fetchone()
    return None if found is None else str(found)


def counts(connection: sqlite3.Connection) -> tuple[int, int]:
    """How many commands have no end yet, and of how many events the broker is to be told."""
    (open_ones,) = connection.execute("SELECT count(*) FROM command WHERE deadline IS NOT NULL").fetchone()
    (untold_ones,) = connection.execute("SELECT count(*) FROM command_untold").fetchone()
    return int(open_ones), int(untold_ones)


def add(connection: sqlite3.Connection, entry: Entry, info: Any) -> Entry:
    """Put a new command on record, accepted or refused; with the value that was commanded before."""
    command = entry.command
    row = connection.execute(
        "SELECT value FROM command WHERE tenant = ? AND entity_id = ? AND name = ? AND state <> 'refused'"
        " ORDER BY number DESC LIMIT 1",
        (command.target.tenant, command.target.entity_id, command.name),
    ).fetchone()
    previous = None if row is None else row[0]
    connection.execute(
        "INSERT INTO command (id, key, tenant, device_id, target, entity_id, name, value, previous, principal, issued_at,"
        " expires_at, good_for, decided_at, state, state_at, deadline)"
        f" VALUES ({', '.join('?' * 17)})",
        (
            command.id,
            command.key,
            command.target.tenant,
            command.target.device_id,
            _target_text(command.target),
            command.target.entity_id,
            command.name,
            json.dumps(command.value),
            previous,
            entry.principal,
            command.issued_at,
            command.expires_at,
            entry.good_for,
            entry.decided_at,
            entry.state,
            entry.state_at,
            entry.deadline,
        ),
    )
    made = replace(entry, previous=None if previous is None else json.loads(previous))
    _note(
        connection,
        command.id,
        entry.state_at,
        entry.state,
        entry.principal,
        info,
        tell=entry.state is not State.REFUSED,
    )
    return made


def step(
    connection: sqlite3.Connection,
    command_id: str,
    allowed: Iterable[State],
    state: State,
    at: str,
    *,
    deadline: str | None = None,
    who: str = "",
    info: Any = None,
    tell: bool = True,
    expires_at: str | None = None,
    decided_at: str | None = None,
) -> bool:
    """Bring a command from one of some states to another; whether it was in one of them. An end has no deadline."""
    entry = find(connection, command_id)
    if entry is None or entry.state not in frozenset(allowed):
        return False
    at = max(at, entry.state_at)  # the trail goes on in time, whatever a device's clock says
    connection.execute(
        "UPDATE command SET state = ?, state_at = ?, deadline = ?, expires_at = coalesce(?, expires_at),"
        " decided_at = coalesce(?, decided_at) WHERE id = ?",
        (state, at, None if state in FINAL else deadline, expires_at, decided_at, command_id),
    )
    _note(connection, command_id, at, state, who, info, tell=tell)
    return True


def note(connection: sqlite3.Connection, command_id: str, at: str, state: State, who: str, info: Any) -> None:
    """Add to the trail what changes nothing: an answer that came too late, an approval by somebody who may not."""
    _note(connection, command_id, at, state, who, info, tell=False)


def _note(
    connection: sqlite3.Connection, command_id: str, at: str, state: State, who: str, info: Any, *, tell: bool
) -> None:
    metrics.commands.labels(state.value).inc()
    made = connection.execute(
        "INSERT INTO command_event (command, at, state, who, info) VALUES (?, ?, ?, ?, ?)",
        (command_id, at, state, who, json.dumps(info)),
    )
    if tell:
        connection.execute("INSERT INTO command_untold VALUES (?)", (made.lastrowid,))


# --- what people ask


def trail(connection: sqlite3.Connection, command_id: str) -> list[Event]:
    """All that is on record of a command."""
    return events_where(connection, "WHERE e.command = ? ORDER BY e.number", (command_id,))


def last(connection: sqlite3.Connection, most: int, *, only_open: bool = False) -> list[Entry]:
    """The last commands, newest first."""
    condition = "deadline IS NOT NULL" if only_open else "1"
    return _select(connection, f"{condition} ORDER BY number DESC LIMIT ?", (most,))


def events_where(connection: sqlite3.Connection, rest: str, values: Sequence[object]) -> list[Event]:
    """The events `e` with their commands `c`, as the rest of a statement chooses them."""
    columns = ", ".join(f"c.{name}" for name in _COLUMNS)
    rows = connection.execute(
        f"SELECT e.number, e.at, e.state, e.who, e.info, {columns} FROM command_event e"
        f" JOIN command c ON c.id = e.command {rest}",
        values,
    )
    return [Event(row[0], _entry(row[5:]), row[1], State(row[2]), row[3], json.loads(row[4])) for row in rows]


def _one(connection: sqlite3.Connection, condition: str, values: Sequence[object]) -> Entry | None:
    found = _select(connection, condition, values)
    return found[0] if found else None


def _select(connection: sqlite3.Connection, rest: str, values: Sequence[object]) -> list[Entry]:
    return [
        _entry(row) for row in connection.execute(f"SELECT {', '.join(_COLUMNS)} FROM command WHERE {rest}", values)
    ]


def _entry(row: Sequence[Any]) -> Entry:
    (command_id, key, target, name, value, issued_at, expires_at, principal, decided_at, state, state_at, deadline, good_for,
     previous) = row  # fmt: skip
    return Entry(
        Command(command_id, key, _target(target), name, json.loads(value), issued_at, expires_at),
        principal,
        decided_at,
        State(state),
        state_at,
        deadline,
        good_for,
        None if previous is None else json.loads(previous),
    )


def _target_text(target: CommandTarget) -> str:
    return json.dumps(
        [
            target.tenant,
            target.entity_id,
            target.entity_type,
            target.device_id,
            target.group,
            list(target.commands),
            target.carrier,
            dict(target.address),
        ]
    )


def _target(text: str) -> CommandTarget:
    tenant, entity_id, entity_type, device_id, group, commands, carrier, address = json.loads(text)
    known: Mapping[str, Any] = address
    return CommandTarget(tenant, entity_id, entity_type, device_id, group, tuple(commands), carrier, known)
