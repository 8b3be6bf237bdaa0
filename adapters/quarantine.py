"""The quarantine: records that were not loaded, to be listed, mended and tried again, or dropped.

A record in it is `open` until a later try of it goes through (`replayed`) or somebody says that it is of no use (`dropped`);
a dropped one stays dropped when the same record comes again. A replay puts an input of that record alone in front of the
decoder, so what was mended is checked like everything else.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from adapters.contract import Adapter
from adapters.errors import AdapterError
from adapters.journal import Input, Intake, Journal

OPEN, REPLAYED, DROPPED = "open", "replayed", "dropped"
REPLAY_OF: Final = "replayOf"
"""The parameter of an input that is a replay: the number of the record in the quarantine."""

WHOLE: Final = "undecodable"
"""The rule under which an input is in the quarantine as a whole, as record 0."""

REFUSED: Final = "refused-by-the-broker"
"""The rule under which entities are in the quarantine that the broker would not have."""

_COLUMNS: Final = (
    "id, feed, input, status, at, place, field, rule, reason, record, mended,"
    " coalesce((SELECT address FROM input WHERE input.id = quarantine.input), '')"
)


@dataclass(frozen=True, slots=True)
class Held:
    """One record in the quarantine: of which input, where in it, why, as published, and as somebody has mended it.

    `address` is where the input is from: a file, a URL or a topic; "" where it is no longer kept.
    """

    id: int
    feed: str
    input: int
    status: str
    at: str
    row: int
    column: str
    rule: str
    reason: str
    record: Mapping[str, Any]
    mended: Mapping[str, Any] | None
    address: str = ""

    def as_json(self) -> dict[str, Any]:
        """The record as JSON values."""
        return {
            "id": self.id,
            "feed": self.feed,
            "input": self.input,
            "address": self.address,
            "status": self.status,
            "at": self.at,
            "row": self.row,
            "column": self.column,
            "rule": self.rule,
            "reason": self.reason,
            "record": dict(self.record),
            "mended": None if self.mended is None else dict(self.mended),
        }


async def held(journal: Journal, feed: str | None = None, *, status: str | None = OPEN, most: int = 1000) -> list[Held]:
    """What is in the quarantine, oldest first; None: of any feed, in any status."""

    def work(connection: sqlite3.Connection) -> list[Held]:
        rows = connection.execute(
            f"SELECT {_COLUMNS} FROM quarantine WHERE (?1 IS NULL OR feed = ?1) AND (?2 IS NULL OR status = ?2)"
            " ORDER BY id LIMIT ?3",
            (feed, status, most),
        )
        return [_held(row) for row in rows]

    return await journal.perform(work)


async def held_record(journal: Journal, number: int) -> Held:
    """The record of this number. Raises AdapterError."""
    row = await journal.perform(
        lambda c: c.execute(f"SELECT {_COLUMNS} FROM quarantine WHERE id = ?", (number,)).fetchone()
    )
    if row is None:
        raise AdapterError(f"There is no record {number} in the quarantine.")
    return _held(row)


async def mend(journal: Journal, number: int, record: Mapping[str, Any]) -> None:
    """Keep a mended form of a record, for its replay; the published one stays. Raises AdapterError."""
    await held_record(journal, number)
    text = json.dumps(dict(record), ensure_ascii=False)
    await journal.transact(lambda c: c.execute("UPDATE quarantine SET mended = ? WHERE id = ?", (text, number)))


async def drop(journal: Journal, numbers: Sequence[int]) -> None:
    """Give records up: they are out of the list, and stay out when they come again. Raises AdapterError."""
    for number in numbers:
        await held_record(journal, number)
    await settle(journal, numbers, DROPPED)


async def settle(journal: Journal, numbers: Sequence[int], status: str) -> None:
    """Set the status of records."""
    await journal.transact(
        lambda c: c.executemany("UPDATE quarantine SET status = ? WHERE id = ?", [(status, each) for each in numbers])
    )


async def original(journal: Journal, number: int) -> Input:
    """The input of this number. Raises AdapterError where it is no longer kept."""
    row = await journal.perform(
        lambda c: c.execute(
            "SELECT id, address, received_at, content_type, parameters, sha256, data FROM input WHERE id = ?", (number,)
        ).fetchone()
    )
    if row is None:
        raise AdapterError(f"The input {number} is no longer kept.")
    return Input(row[0], row[1], row[2], row[3], json.loads(row[4]), row[5], row[6])


async def replay(journal: Journal, adapter: Adapter[Any], number: int) -> None:
    """Put a record, as mended or else as published, in front of its feed again. Raises AdapterError.

    It is an input like any other: a runner takes it up at once, or when the next one starts.
    """
    record = await held_record(journal, number)
    whole = await original(journal, record.input)
    if record.rule == REFUSED:
        data = whole.data
    elif record.rule == WHOLE or adapter.excerpt is None:
        mended = (record.mended or {}).get("text")
        data = whole.data if mended is None else str(mended).encode()
    else:
        data = adapter.excerpt(whole.data, record.record if record.mended is None else record.mended)
    parameters = whole.parameters
    if (afresh := adapter.afresh) is not None:
        parameters = await journal.perform(lambda connection: afresh(connection, whole.parameters))
    intake = Intake(
        data,
        whole.address,
        whole.received_at,
        whole.content_type,
        {**parameters, REPLAY_OF: str(number)},
    )
    await journal.take_in(record.feed, [intake])


def _held(row: Sequence[Any]) -> Held:
    number, feed, source, status, at, place, column, rule, reason, record, mended, address = row
    return Held(
        number,
        feed,
        source,
        status,
        at,
        place,
        column,
        rule,
        reason,
        json.loads(record),
        None if mended is None else json.loads(mended),
        address,
    )
