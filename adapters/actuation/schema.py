"""The tables of commands, in the runner's journal, and what SQLite itself refuses to do to them.

What is on record of a command is only added to. A command goes from the record as a whole, with all that is on record of it, and
only when it has its end and the broker knows of it (`keeping.py`): no statement of ours, and none typed by hand, does otherwise.
`command_size` counts the bytes, so that nobody has to add them up.
"""

from typing import Final

_OF_COMMAND: Final = " + ".join(
    [*(f"length({{0}}.{name})" for name in ("value", "target", "key", "entity_id", "principal")),
     "coalesce(length({0}.previous), 0)", "300"]
)  # fmt: skip
"""Bytes of a command in the file, indexes included, more or less. Values are JSON in ASCII."""
_OF_EVENT: Final = "length({0}.info) + length({0}.who) + 150"

SCHEMA: Final = f"""
CREATE TABLE IF NOT EXISTS command_target (
  tenant TEXT NOT NULL, device_id TEXT NOT NULL, entity_id TEXT NOT NULL, entity_type TEXT NOT NULL, groups TEXT NOT NULL,
  commands TEXT NOT NULL, carrier TEXT NOT NULL, address TEXT NOT NULL, wanted INTEGER NOT NULL DEFAULT 1,
  PRIMARY KEY (tenant, device_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS command (
  number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, key TEXT NOT NULL, tenant TEXT NOT NULL,
  device_id TEXT NOT NULL, target TEXT NOT NULL, entity_id TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
  previous TEXT, principal TEXT NOT NULL, issued_at TEXT NOT NULL, expires_at TEXT NOT NULL, good_for REAL,
  decided_at TEXT NOT NULL, state TEXT NOT NULL, state_at TEXT NOT NULL, deadline TEXT
);
CREATE UNIQUE INDEX IF NOT EXISTS command_key ON command (tenant, entity_id, name, key) WHERE state <> 'refused';
CREATE INDEX IF NOT EXISTS command_deadline ON command (deadline) WHERE deadline IS NOT NULL;
CREATE INDEX IF NOT EXISTS command_open ON command (tenant, device_id, number) WHERE deadline IS NOT NULL;
CREATE INDEX IF NOT EXISTS command_last ON command (tenant, entity_id, name, number) WHERE state <> 'refused';
CREATE INDEX IF NOT EXISTS command_ended ON command (state_at) WHERE deadline IS NULL;
CREATE INDEX IF NOT EXISTS command_refused ON command (state_at) WHERE state = 'refused';
CREATE TABLE IF NOT EXISTS command_event (
  number INTEGER PRIMARY KEY AUTOINCREMENT, command TEXT NOT NULL, at TEXT NOT NULL, state TEXT NOT NULL, who TEXT NOT NULL,
  info TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS command_event_of ON command_event (command, number);
CREATE TABLE IF NOT EXISTS command_untold (event INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS command_refusal (
  tenant TEXT NOT NULL, entity_id TEXT NOT NULL, attempts INTEGER NOT NULL, since TEXT NOT NULL, again_at TEXT NOT NULL,
  reason TEXT NOT NULL, PRIMARY KEY (tenant, entity_id)
) WITHOUT ROWID;

CREATE TRIGGER IF NOT EXISTS command_event_stays BEFORE UPDATE ON command_event
  BEGIN SELECT RAISE(ABORT, 'the audit trail is not changed'); END;
DROP TRIGGER IF EXISTS command_event_is_kept;
CREATE TRIGGER IF NOT EXISTS command_event_goes_last BEFORE DELETE ON command_event
  WHEN EXISTS (SELECT 1 FROM command WHERE id = OLD.command)
  BEGIN SELECT RAISE(ABORT, 'the audit trail is not shortened'); END;
CREATE TRIGGER IF NOT EXISTS command_is_kept BEFORE DELETE ON command
  WHEN OLD.deadline IS NOT NULL
  OR EXISTS (SELECT 1 FROM command_event e JOIN command_untold u ON u.event = e.number WHERE e.command = OLD.id)
  BEGIN SELECT RAISE(ABORT, 'a command that has no end yet, or of which the broker does not know, is kept'); END;

CREATE TABLE IF NOT EXISTS command_size (one INTEGER PRIMARY KEY CHECK (one = 1), bytes INTEGER NOT NULL);
INSERT INTO command_size
  SELECT 1, coalesce((SELECT sum({_OF_COMMAND.format("c")}) FROM command c), 0)
    + coalesce((SELECT sum({_OF_EVENT.format("e")}) FROM command_event e), 0)
  WHERE NOT EXISTS (SELECT 1 FROM command_size);
CREATE TRIGGER IF NOT EXISTS command_counted AFTER INSERT ON command
  BEGIN UPDATE command_size SET bytes = bytes + {_OF_COMMAND.format("NEW")}; END;
CREATE TRIGGER IF NOT EXISTS command_discounted AFTER DELETE ON command
  BEGIN UPDATE command_size SET bytes = bytes - ({_OF_COMMAND.format("OLD")}); END;
CREATE TRIGGER IF NOT EXISTS command_event_counted AFTER INSERT ON command_event
  BEGIN UPDATE command_size SET bytes = bytes + {_OF_EVENT.format("NEW")}; END;
CREATE TRIGGER IF NOT EXISTS command_event_discounted AFTER DELETE ON command_event
  BEGIN UPDATE command_size SET bytes = bytes - ({_OF_EVENT.format("OLD")}); END;
"""
