"""The parts that every operation works with, put together once at start (`broker.app`)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from broker.operations.tenants import Tenants
from broker.store.protocol import Document, Store

if TYPE_CHECKING:
    from broker.contexts.library import ContextLibrary
    from broker.delivery.dispatcher import Dispatcher
    from broker.delivery.streams import Streams
    from broker.federation.entity_maps import EntityMaps
    from broker.federation.identity import SourceIdentity
    from broker.federation.registry import ContextRegistry
    from broker.operations.archive import SnapshotArchive
    from broker.operations.errands import Errands
    from broker.operations.receipts import Receipt, Receipts
    from broker.operations.sources import Sources
    from broker.operations.validation import Validation
    from broker.store.plan import Outcome, Record
    from broker.store.writer import EntityWriter
    from broker.temporal.recorder import Recorder


@dataclass(slots=True)
class Broker:
    """`now` gives the canonical instant of the moment (broker.model.instants). `archive`, `errands` and `sources` work with the
    others, so that they are put in their places after them. `streams` only where there are clients to follow them. `receipt` is
    that of the one request that this broker is for, where it has an idempotency key. `validation` only where something is held
    against data models.
    """

    store: Store
    writer: "EntityWriter"
    contexts: "ContextLibrary"
    dispatcher: "Dispatcher"
    tenants: Tenants
    now: Callable[[], str]
    registry: "ContextRegistry"
    identity: "SourceIdentity"
    recorder: "Recorder"
    entity_maps: "EntityMaps"
    receipts: "Receipts"
    receipt: "Receipt | None" = None
    validation: "Validation | None" = None
    archive: "SnapshotArchive" = field(init=False)
    streams: "Streams" = field(init=False)
    errands: "Errands" = field(init=False)
    sources: "Sources" = field(init=False)

    def record(self, result: "Callable[[Sequence[Outcome]], Any]") -> "Record | None":
        """What the writer is to put on record of a write: `result` makes the operation's result of the write's outcomes."""
        return None if self.receipt is None else self.receipt.of(result)

    def documents(self, result: object = None) -> "Sequence[Document]":
        """What is to be stored with the document that an operation stores: the receipt of its result, where it has one."""
        made = None if self.receipt is None else self.receipt.document(result)
        return () if made is None else (made,)
