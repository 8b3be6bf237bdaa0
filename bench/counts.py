"""What the store itself holds, asked past the broker: how many entities, and how far the change log has come."""

import sqlite3
from contextlib import closing
from typing import Any, Final, NamedTuple

from pymongo import MongoClient

from bench.processes import Place

ANSWER_SECONDS: Final = 60.0


class Counts(NamedTuple):
    """Entities of all tenants, and the log's head: one more for each change, whether the log still has it or not."""

    entities: int
    changes: int


def counted_in(place: Place) -> Counts:
    """What is in a store now."""
    if place.server is None:
        with closing(
            sqlite3.connect(f"file:{place.folder}/tsunagu.db?mode=ro", uri=True, timeout=ANSWER_SECONDS)
        ) as db:
            (entities,) = db.execute("SELECT count(*) FROM entities").fetchone()
            (head,) = db.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'changes'").fetchone()
        return Counts(entities, head)
    with MongoClient[dict[str, Any]](place.store) as client:
        database = client.get_default_database()
        log = database["meta"].find_one({"_id": "log"}) or {"head": 0}
        return Counts(database["entities"].count_documents({}, hint="_id_"), int(log["head"]))
