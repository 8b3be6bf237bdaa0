"""The @contexts that the store keeps (5.13): finding, listing, adding and deleting entries, and the URLs they go by."""

import uuid
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from broker.contexts.record import DOCUMENT_KIND, Kind, StoredContext
from broker.jsonld.core import CORE_FILES, CORE_URL, core_document
from broker.store.protocol import Store

CONTEXTS_PATH: Final = "/ngsi-ld/v1/jsonldContexts/"


class ContextStorage:
    """Entries by local id, in a store that several brokers may share.

    Managing an entry is a tenant's own affair (5.5.10); whoever knows its URL may use it, as with any @context on the web.
    `public_url` is under which others reach this broker; without it the URLs of hosted contexts are paths. `since` is the
    instant that the built-in core @contexts show as theirs.
    """

    def __init__(self, store: Store, public_url: str | None, since: str) -> None:
        self.public_url = (public_url or "").rstrip("/")
        self._store = store
        self._since = since

    async def read(self, context_id: str) -> StoredContext | None:
        """The entry with this local id."""
        body = await self._store.get_document(DOCUMENT_KIND, "", context_id)
        return None if body is None else StoredContext.read(context_id, body)

    async def keep(self, record: StoredContext, *, create: bool = False) -> None:
        """Add or replace an entry; with `create`, one that is there stays as it is."""
        await self._store.put_document(DOCUMENT_KIND, "", record.id, record.body(), create=create)

    async def remove(self, context_id: str) -> bool:
        """Delete an entry; whether it was there."""
        return await self._store.delete_document(DOCUMENT_KIND, "", context_id)

    async def find(self, identifier: str, tenant: str = "") -> StoredContext | None:
        """The entry with this local id, at this broker's own URL, or cached from this URL; core @contexts count as Cached.

        Hosted and ImplicitlyCreated entries are found by their own tenant only (5.5.10).
        """
        core_url = identifier if identifier in CORE_FILES else _CORE_IDS.get(identifier)
        if core_url is not None:
            return self._core(core_url)
        own, _ = self.own_id(identifier)
        for context_id in (own, cached_id(identifier), identifier):
            if context_id is not None:
                record = await self.read(context_id)
                if record is not None and (record.kind == "Cached" or record.tenant == tenant):
                    return record
        return None

    async def listing(self, kind: Kind | None = None, tenant: str = "") -> list[StoredContext]:
        """All entries of a tenant, or those of one kind; the core @context in force is the first of the Cached ones."""
        found = await self._store.list_documents(DOCUMENT_KIND, "")
        records = [self._core(CORE_URL), *(StoredContext.read(context_id, body) for _, context_id, body in found)]
        return [
            record
            for record in records
            if (record.kind == "Cached" or record.tenant == tenant) and kind in (None, record.kind)
        ]

    def url_of(self, record: StoredContext) -> str:
        """Where an entry can be downloaded: its source for a Cached one, else this broker (5.13.3.1)."""
        return record.url or f"{self.public_url}{CONTEXTS_PATH}{quote(record.id, safe=':')}"

    def own_id(self, url: str) -> tuple[str | None, bool]:
        """The local id in a URL of this API, and whether that is certainly this broker's.

        Ids are unique across brokers, so a URL with another name of this broker's host is known by its id alone.
        """
        try:
            parts = urlsplit(url)
        except ValueError:
            return None, False
        head, found, context_id = parts.path.rpartition(CONTEXTS_PATH)
        if not found or not context_id or "/" in context_id:
            return None, False
        relative = not parts.scheme and not parts.netloc and not head
        return unquote(context_id), relative or url.startswith(self.public_url + CONTEXTS_PATH)

    def absolute(self, reference: str) -> str:
        """A reference with this broker's URL before it, where it is a path of this API."""
        return self.public_url + reference if reference.startswith(CONTEXTS_PATH) else reference

    def _core(self, url: str) -> StoredContext:
        document = core_document(url)
        assert document is not None
        return StoredContext(cached_id(url), "Cached", self._since, document, "", url)


def cached_id(url: str) -> str:
    """The local id of the Cached entry of a URL: the same in every broker and after every restart."""
    return uuid.uuid5(uuid.NAMESPACE_URL, url).urn


_CORE_IDS: Final = {cached_id(url): url for url in CORE_FILES}
