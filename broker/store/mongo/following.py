"""Following documents: what other processes write to them, heard of by a change stream within milliseconds.

The stream is taken up again where it was lost, with the server's own mark of the place. Where that is too old for the
server's log, or the collection was dropped, or the server refuses it again and again, the stream begins afresh, and whoever
follows is told that anything may have changed.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeAlias

import pymongo
from pymongo.asynchronous.change_stream import AsyncChangeStream
from pymongo.errors import OperationFailure, PyMongoError

from broker import metrics
from broker.errors import InternalError, StoreUnavailable
from broker.store.cancellation import check_cancelled
from broker.store.mongo.connection import Connection, Document
from broker.store.mongo.documents import parse
from broker.store.mongo.encoding import AFTER_SEPARATOR, SEPARATOR
from broker.store.protocol import DocumentEvent

Stream: TypeAlias = AsyncChangeStream[Document]

AWAIT_MS: Final = 500
"""How long the server may keep a question for news before it answers that there is none."""
SHORTEST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 1.0
"""Seconds between attempts to take the stream up again: pauses grow from one to the other."""
MOST_ATTEMPTS: Final = 5
"""How often a place is gone on from while the server refuses that for a reason that is not known to pass."""
CLOSE_SECONDS: Final = 0.5
_WRITES: Final = ("insert", "update", "replace", "delete")
_LOST: Final = frozenset({136, 260, 280, 286})
"""Codes of errors by which a place in the stream cannot be found again: position lost, bad token, fatal, history lost."""

log = logging.getLogger(__name__)


async def follow(connection: Connection, kinds: Collection[str]) -> AsyncGenerator[DocumentEvent | None]:
    """What is written to documents of these kinds, without end; None at first and where anything may have changed."""
    place: Any = None
    pause, refusals = SHORTEST_PAUSE, 0
    while True:
        try:
            async with _opened(connection, kinds, place) as stream:
                if place is None:
                    yield None
                while stream.alive:
                    async with connection.translated("following documents"):
                        event = await stream.try_next()
                    place = stream.resume_token
                    pause, refusals = SHORTEST_PAUSE, 0
                    if event is not None and event["operationType"] in _WRITES:
                        yield DocumentEvent(*parse(event["documentKey"]["_id"]))
            place = None  # the collection was dropped or renamed
        except (StoreUnavailable, InternalError) as error:
            cause = error.__cause__
            if isinstance(cause, OperationFailure) and cause.code in _LOST:
                log.warning("the place in the stream of documents is lost", extra={"detail": error.detail})
                place = None
            elif isinstance(error, InternalError) and not isinstance(error, StoreUnavailable):
                refusals += 1
                log.error("documents cannot be followed for an unknown reason", extra={"detail": error.detail})
                if place is not None and refusals >= MOST_ATTEMPTS:
                    log.error("documents are followed afresh, and all are looked at again")
                    metrics.following_restarts.inc()
                    place = None
            elif pause == SHORTEST_PAUSE:  # said once, not with each attempt
                log.warning("documents cannot be followed now", extra={"detail": error.detail})
        check_cancelled()
        await asyncio.sleep(pause)
        pause = min(LONGEST_PAUSE, pause * 2)


@asynccontextmanager
async def _opened(connection: Connection, kinds: Collection[str], place: Any) -> AsyncIterator[Stream]:
    """A change stream behind a place, or from now on."""
    of_kinds = [{"documentKey._id": {"$gte": kind + SEPARATOR, "$lt": kind + AFTER_SEPARATOR}} for kind in kinds]
    stages: list[Document] = [
        {"$match": {"$or": [*of_kinds, {"operationType": {"$nin": list(_WRITES)}}]}},
        {"$project": {"operationType": 1, "documentKey": 1}},
    ]
    async with connection.translated("following documents"):
        stream = await connection.collection("documents", settled=True).watch(
            stages, resume_after=place, max_await_time_ms=AWAIT_MS
        )
    try:
        yield stream
    finally:
        with suppress(PyMongoError, TimeoutError), pymongo.timeout(CLOSE_SECONDS):
            await stream.close()
