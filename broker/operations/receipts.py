"""Receipts: what the broker answered to requests with an idempotency key, kept for a day, so that a repetition has no effect.

A receipt is a document `{"request": fingerprint, "at": instant, "answer": {...}}`. Where an operation is one commit, of entities
or of a document, its receipt is in that commit (`Receipt.of`, `Receipt.document`), so that there is never one without the
other. Any other operation lays a claim first, a receipt without answer, and adds the answer when it is done: a claim that a
crash has left behind tells that nobody knows whether the operation was carried out, and keeps it from being carried out twice.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from broker.errors import NgsiLdError
from broker.model.change import Change
from broker.model.entity import JsonObject
from broker.model.instants import canonical, parse_instant
from broker.store.plan import Outcome
from broker.store.protocol import Document, Store
from broker.store.sweeping import sweep_regularly

KIND: Final = "receipt"
KEPT: Final = timedelta(hours=24)
MOST: Final = 100_000
MOST_BYTES: Final = 64 * 1024 * 1024
INTERVAL: Final = 60.0
"""Seconds between two sweeps, unless there is too much before."""
COUNT_AGAIN: Final = 10
"""Sweeps after which the store is asked what there is: other processes keep receipts there, too."""
OVERHEAD: Final = 200
"""Bytes that a receipt takes besides its answer, about."""

_LOG: Final = logging.getLogger(__name__)


@dataclass(slots=True)
class Receipt:
    """The receipt of one request under way.

    `answer` makes of an operation's result what the client will be told, as a JSON value. `planned` is what it made of the
    result that the last attempt to commit was to have, None where that attempt changes nothing.
    """

    tenant: str
    key: str
    request: str
    now: Callable[[], str]
    answer: Callable[[Any], JsonObject] | None = None
    planned: JsonObject | None = field(default=None, init=False)

    def of(self, result: Callable[[Sequence[Outcome]], Any]) -> Callable[[Sequence[Outcome]], Document | None]:
        """How the writer makes the document that goes into a commit, of the outcomes that its requests are about to have."""

        def record(outcomes: Sequence[Outcome]) -> Document | None:
            self.planned = None
            strange = any(isinstance(each, Exception) and not isinstance(each, NgsiLdError) for each in outcomes)
            if strange or not any(isinstance(each, Change) for each in outcomes):
                return None
            return self.document(result(outcomes))

        return record

    def document(self, result: Any) -> Document | None:
        """The document that goes into the commit of an operation with this result."""
        self.planned = None
        if self.answer is None:
            return None
        self.planned = self.answer(result)
        return Document(KIND, self.tenant, self.key, self.body(self.planned))

    def body(self, answer: JsonObject | None) -> JsonObject:
        """The document's body; without answer, that of a claim."""
        return {"request": self.request, "at": self.now(), "answer": answer}


class Receipts:
    """The receipts on record. `run` removes those that are a day old, and, as far as there are too many, the oldest.

    Of too many, those of the tenant that has most go first. One process does that; only that one counts.
    """

    def __init__(self, store: Store, now: Callable[[], str], *, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
        self._store = store
        self._now = now
        self._most = most
        self._most_bytes = most_bytes
        self._known: dict[str, OrderedDict[str, tuple[str, int]]] = {}
        self._count = 0
        self._bytes = 0
        self._turns = 0
        self._counting = False
        self._crowded = asyncio.Event()

    async def find(self, tenant: str, key: str) -> JsonObject | None:
        """The receipt with a key, None if there is none that is less than a day old."""
        body = await self._store.get_document(KIND, tenant, key)
        if body is not None and body["at"] <= self._oldest():
            await self.drop(tenant, key)
            return None
        return body

    async def claim(self, receipt: Receipt) -> bool:
        """Put on record that an operation begins; False if there is a receipt with its key."""
        return await self._put(receipt, None, create=True)

    async def keep(self, receipt: Receipt, answer: JsonObject, *, claimed: bool) -> bool:
        """Put the answer on record after the operation; False if somebody else's is there and no claim of one's own."""
        return await self._put(receipt, answer, create=not claimed)

    async def drop(self, tenant: str, key: str) -> None:
        """Forget a receipt."""
        await self._store.delete_document(KIND, tenant, key)
        self._forget(tenant, key)

    def note(self, receipt: Receipt, answer: JsonObject | None) -> None:
        """Count a receipt that is on record now."""
        if not self._counting:
            return
        self._remember(receipt.tenant, receipt.key, self._now(), _size(receipt.key, answer))
        if self._crowd():
            self._crowded.set()

    async def _put(self, receipt: Receipt, answer: JsonObject | None, *, create: bool) -> bool:
        written = await self._store.put_document(KIND, receipt.tenant, receipt.key, receipt.body(answer), create=create)
        if written:
            self.note(receipt, answer)
        return written

    # --- time passes

    async def run(self) -> None:
        """Sweep from time to time until cancelled; whatever goes wrong is tried again next time."""
        self._counting, self._turns = True, 0
        try:
            await sweep_regularly(self._turn, INTERVAL, _LOG, "old receipts cannot be removed", self._crowded)
        finally:
            self._counting = False
            self._known.clear()

    async def _turn(self) -> None:
        if self._turns % COUNT_AGAIN == 0:
            await self.count()
        await self.sweep()
        self._turns += 1

    async def count(self) -> None:
        """Look which receipts there are. Raises StoreUnavailable."""
        found = await self._store.list_documents(KIND)
        self._known.clear()
        self._count = self._bytes = 0
        for tenant, key, body in found:
            self._remember(tenant, key, body["at"], _size(key, body["answer"]))

    async def sweep(self) -> int:
        """Remove what is too old or too much; how many receipts. Raises StoreUnavailable."""
        oldest, removed = self._oldest(), 0
        for tenant, known in list(self._known.items()):
            while known:
                key, (at, _) = next(iter(known.items()))
                if at > oldest:
                    break
                body = await self._store.get_document(KIND, tenant, key)
                if body is not None and body["at"] > oldest:  # another process has used the key again
                    self._remember(tenant, key, body["at"], _size(key, body["answer"]))
                else:
                    await self.drop(tenant, key)
                    removed += 1
        evicted = 0
        while self._crowd():
            tenant = max(self._known, key=lambda each: len(self._known[each]))
            await self.drop(tenant, next(iter(self._known[tenant])))
            evicted += 1
        if evicted:
            _LOG.warning("%d receipts of idempotency keys went before their day was over: there were too many", evicted)
        return removed + evicted

    def _oldest(self) -> str:
        return canonical(parse_instant(self._now()) - KEPT)

    def _crowd(self) -> bool:
        return self._count > self._most or self._bytes > self._most_bytes

    def _remember(self, tenant: str, key: str, at: str, size: int) -> None:
        self._forget(tenant, key)
        self._known.setdefault(tenant, OrderedDict())[key] = (at, size)
        self._count += 1
        self._bytes += size

    def _forget(self, tenant: str, key: str) -> None:
        known = self._known.get(tenant)
        if known is None or key not in known:
            return
        self._bytes -= known.pop(key)[1]
        self._count -= 1
        if not known:
            del self._known[tenant]


def _size(key: str, answer: JsonObject | None) -> int:
    """What a receipt takes in the store, in bytes, about."""
    return OVERHEAD + len(key) + (0 if answer is None else len(answer["body"] or ""))
