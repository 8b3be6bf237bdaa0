"""What tests of snapshots begin with: the documents of 5.2.41, and the wait until a snapshot is ready (5.16.1.4)."""

from typing import Any

from conformance.broker_client import BrokerClient
from conformance.samples import Document
from conformance.servers import eventually

ALWAYS = {"timerel": "before", "timeAt": "2100-01-01T00:00:00Z"}
"""A temporalQ (5.2.21) that all there is fulfils."""


def of_type(entity_type: str, **members: Any) -> Document:
    """A Query (5.2.23) for the entities of a type, with more members."""
    return {"type": "Query", "entities": [{"type": entity_type}], **members}


def snapshot(*queries: Document, **members: Any) -> Document:
    """A Snapshot (5.2.41) of the results of these queries, with more members."""
    return {"type": "Snapshot", **({"snapshotQueries": list(queries)} if queries else {}), **members}


def ready(broker: BrokerClient, location: str, tenant: str | None = None) -> Document:
    """The snapshot at this location, as soon as it is not prepared any more. Raises ConformanceFailure."""

    def prepared() -> Document | None:
        shown: Document = broker.get(location, tenant=tenant).expect(200).json
        return None if shown["snapshotStatus"] == "preparing" else shown

    found: Document = eventually(prepared)
    return found


def taken(broker: BrokerClient, document: Document, tenant: str | None = None) -> Document:
    """A snapshot that was created from a document and is ready. Raises ConformanceFailure."""
    return ready(broker, broker.post("/snapshots", document, tenant=tenant).expect(201).header("Location"), tenant)
