"""An @context as the broker stores it (5.13.1): hosted for clients, created for a subscription, or cached from its source."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias

from broker.model.entity import JsonObject
from broker.model.instants import canonical

Kind: TypeAlias = Literal["Cached", "Hosted", "ImplicitlyCreated"]
KINDS: Final[tuple[Kind, ...]] = ("Cached", "Hosted", "ImplicitlyCreated")

DOCUMENT_KIND: Final = "context"
"""The kind of document under which the store keeps these. They are all in the default tenant's space; `tenant` says whose."""


@dataclass(frozen=True, slots=True)
class StoredContext:
    """One entry of the broker's @context storage.

    `document` is the JSON-LD document, reduced to its member @context (5.13.2.3). `url` is where a Cached one comes from.
    `expires_at` is in seconds since 1970; only Cached ones have it, and `etag` and `last_modified` as their source said.
    """

    id: str
    kind: Kind
    created_at: str
    document: JsonObject
    tenant: str = ""
    url: str | None = None
    expires_at: float | None = None
    etag: str | None = None
    last_modified: str | None = None

    def body(self) -> JsonObject:
        """The entry as a document of the store."""
        return {
            "kind": self.kind,
            "createdAt": self.created_at,
            "document": self.document,
            "tenant": self.tenant,
            "url": self.url,
            "expires": self.expires_at,
            "etag": self.etag,
            "lastModified": self.last_modified,
        }

    @classmethod
    def read(cls, context_id: str, body: JsonObject) -> "StoredContext":
        """The entry that `body` was made from."""
        return cls(
            context_id,
            body["kind"],
            body["createdAt"],
            body["document"],
            body["tenant"],
            body["url"],
            body["expires"],
            body["etag"],
            body["lastModified"],
        )

    def metadata(self, url: str) -> JsonObject:
        """What the details of this entry are (5.13.3.5); `url` is where it can be downloaded."""
        metadata = {"URL": url, "localId": self.id, "kind": self.kind, "createdAt": self.created_at}
        if self.expires_at is not None:
            metadata["expiresAt"] = canonical(datetime.fromtimestamp(self.expires_at, UTC))
        return metadata
