"""How long commands stay on record (docs/commands.md): within days and bytes, and never a step less than it must."""

import sqlite3
from dataclasses import replace

import pytest

from adapters.actuation import outbox, record
from adapters.actuation.contract import Command, CommandTarget
from adapters.actuation.keeping import drop, size
from adapters.actuation.record import Entry, State
from adapters.actuation.schema import SCHEMA

TARGET = CommandTarget("", "urn:ngsi-ld:SluiceGate:1", "SluiceGate", "gate1", "gates", ("open",), "fake")
OLD, RECENT = "2026-06-01T00:00:00.000Z", "2026-06-30T04:20:00.000Z"
PLENTY = 10**9


@pytest.fixture
def journal():
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.executescript(SCHEMA)
    connection.executescript(SCHEMA)  # as every start does
    yield connection
    connection.close()


def given(connection, number, at, state=State.OK, *, tell=False, value="x"):
    """A command that came to a state at an instant; `tell`: the broker does not know of it yet."""
    command = Command(f"c{number}", f"k{number}", TARGET, "open", value, at, "2027-01-01T00:00:00.000Z")
    if state is State.REFUSED:
        record.add(connection, Entry(command, "office", at, state, at, None), "no")
        return
    record.add(connection, Entry(command, "office", at, State.QUEUED, at, command.expires_at), "accepted")
    if state is not State.QUEUED:
        record.step(connection, command.id, {State.QUEUED}, state, at, deadline=command.expires_at, info="said")
    if not tell:
        outbox.told(connection, outbox.untold(connection, 1000, at))


def on_record(connection):
    return {entry.command.id for entry in record.last(connection, 10_000)}


def test_what_ended_before_its_days_goes_with_its_whole_trail(journal):
    given(journal, 1, "2026-05-01T00:00:00.000Z")
    given(journal, 2, "2026-05-02T00:00:00.000Z", State.REFUSED)
    given(journal, 3, "2026-06-02T00:00:00.000Z")
    assert drop(journal, OLD, RECENT, PLENTY).by_age == 2
    assert on_record(journal) == {"c3"}
    assert journal.execute("SELECT DISTINCT command FROM command_event").fetchall() == [("c3",)]
    assert drop(journal, OLD, RECENT, PLENTY).by_age == 0


def test_what_has_no_end_or_is_not_told_never_goes(journal):
    long_ago = "2020-01-01T00:00:00.000Z"
    given(journal, 1, long_ago, State.QUEUED)
    given(journal, 2, long_ago, State.UNSURE)
    given(journal, 3, long_ago, State.OK, tell=True)
    kept = drop(journal, OLD, RECENT, 0)
    assert (kept.by_age, kept.by_size) == (0, 0)
    assert on_record(journal) == {"c1", "c2", "c3"}
    for command in ("c1", "c2", "c3"):
        with pytest.raises(sqlite3.IntegrityError, match="is kept"):
            journal.execute("DELETE FROM command WHERE id = ?", (command,))
        with pytest.raises(sqlite3.IntegrityError, match="not shortened"):
            journal.execute("DELETE FROM command_event WHERE command = ?", (command,))
    with pytest.raises(sqlite3.IntegrityError, match="not changed"):
        journal.execute("UPDATE command_event SET who = 'x'")


def test_where_bytes_are_short_refusals_go_first_and_what_is_of_the_last_hour_stays(journal):
    for number in range(10):
        given(journal, number, f"2026-06-29T00:00:{number:02}.000Z")
    for number in range(10, 20):
        given(journal, number, f"2026-06-30T05:00:{number:02}.000Z", State.REFUSED)
    for number in range(20, 25):
        given(journal, number, f"2026-06-30T05:00:{number:02}.000Z")
    all_of_it = size(journal)
    assert drop(journal, OLD, RECENT, all_of_it).by_size == 0
    assert drop(journal, OLD, RECENT, all_of_it - 1).by_size == 1
    assert "c10" not in on_record(journal)
    drop(journal, OLD, RECENT, all_of_it // 2)
    assert size(journal) <= all_of_it // 2
    assert not on_record(journal) & {f"c{number}" for number in range(10, 20)}
    assert "c9" in on_record(journal)
    drop(journal, OLD, RECENT, 0)
    assert on_record(journal) == {f"c{number}" for number in range(20, 25)}


def test_bytes_are_counted_as_they_come_and_go(journal):
    assert size(journal) == 0
    given(journal, 1, "2026-05-01T00:00:00.000Z", value="x" * 10_000)
    given(journal, 2, "2026-05-01T00:00:00.000Z", value="y")  # has the one before it as the previous value
    counted = size(journal)
    assert 20_000 < counted < 25_000
    journal.execute("DROP TABLE command_size")
    journal.executescript(SCHEMA)  # a journal of before there was such a table
    assert size(journal) == counted
    drop(journal, OLD, RECENT, PLENTY)
    assert (size(journal), on_record(journal)) == (0, set())


def test_a_journal_whose_trail_could_not_go_at_all_is_taken_over(journal):
    journal.executescript(
        "DROP TRIGGER command_event_goes_last; CREATE TRIGGER command_event_is_kept BEFORE DELETE ON command_event"
        " BEGIN SELECT RAISE(ABORT, 'the audit trail is not shortened'); END;"
    )
    given(journal, 1, "2026-05-01T00:00:00.000Z")
    journal.executescript(SCHEMA)
    assert drop(journal, OLD, RECENT, PLENTY).by_age == 1


def test_a_portion_at_a_time_goes_until_nothing_is_too_much(journal):
    for number in range(450):
        given(journal, number, "2026-05-01T00:00:00.000Z", State.REFUSED)
    assert [drop(journal, OLD, RECENT, PLENTY).by_age for _ in range(4)] == [200, 200, 50, 0]
    assert replace(drop(journal, OLD, RECENT, 0), left=0).by_size == 0
