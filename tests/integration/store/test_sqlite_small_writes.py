"""Small writes of the embedded store share transactions; each of them is told its own outcome."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from broker.errors import StoreUnavailable
from broker.store.sqlite.database import Database


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    one = Database(str(tmp_path))
    await one.open()
    await one.write(lambda c: c.execute("CREATE TABLE notes (text TEXT PRIMARY KEY)"), "preparing")
    yield one
    await one.close()


def note(text: str) -> object:
    def job(connection: sqlite3.Connection) -> str:
        connection.execute("INSERT INTO notes VALUES (?)", (text,))
        return text

    return job


async def notes(database: Database) -> list[str]:
    return await database.read(
        lambda c: [text for (text,) in c.execute("SELECT text FROM notes ORDER BY 1")], "looking"
    )


async def test_what_waits_for_the_thread_is_committed_together(database: Database) -> None:
    commits: list[str] = []
    await database.write(lambda c: c.set_trace_callback(commits.append), "watching")
    texts = [f"{number:03}" for number in range(200)]
    answers = await asyncio.gather(*(database.write_together(note(text), "noting") for text in texts))
    assert answers == texts
    assert await notes(database) == texts
    assert commits.count("COMMIT") < 20


async def test_one_that_fails_spoils_nothing_for_the_others(database: Database) -> None:
    def broken(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO notes VALUES ('half')")
        raise ValueError("no")

    outcomes = await asyncio.gather(
        database.write_together(note("a"), "noting"),
        database.write_together(broken, "noting"),
        database.write_together(note("a"), "noting"),
        database.write_together(note("b"), "noting"),
        return_exceptions=True,
    )
    assert outcomes[0] == "a"
    assert isinstance(outcomes[1], ValueError)
    assert isinstance(outcomes[2], StoreUnavailable)
    assert outcomes[3] == "b"
    assert await notes(database) == ["a", "b"]


async def test_one_whose_caller_has_gone_before_its_turn_is_not_written(database: Database) -> None:
    held = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hold(connection: sqlite3.Connection) -> None:
        asyncio.run_coroutine_threadsafe(held.wait(), loop).result(5)

    holding = asyncio.create_task(database.write(hold, "holding"))
    await asyncio.sleep(0.05)
    gone = asyncio.create_task(database.write_together(note("gone"), "noting"))
    await asyncio.sleep(0.05)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    held.set()
    await holding
    await database.write_together(note("here"), "noting")
    assert await notes(database) == ["here"]
