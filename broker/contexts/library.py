"""The broker's library of @contexts: resolving those that requests name (5.5.5 to 5.5.7), and storing them (5.13).

A context that was used before costs one look into a dictionary. Otherwise its documents are collected (built in, from
the store, or from their sources, each at most once at a time), compiled, and remembered until the first of them is due to
be looked at again. Everything in memory is bounded, and is a copy of what the store has: several brokers may share one.
"""

import asyncio
import hashlib
import logging
import time
import uuid
from collections.abc import Callable, Coroutine, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeVar

import orjson

from broker.contexts.download import MAX_BYTES, download
from broker.contexts.recent import Recent
from broker.contexts.record import StoredContext
from broker.contexts.resolved import CORE_ONLY, ResolvedContext, link_of, payload_of
from broker.contexts.storage import ContextStorage, cached_id
from broker.contexts.uses import ContextUses, Use
from broker.egress.http import OutboundHttp
from broker.errors import BadRequestData, LdContextNotAvailable, StoreUnavailable
from broker.jsonld.compilation import MAX_DEPTH, compile_context, document_context, includes_core, referenced_urls
from broker.jsonld.core import core_document
from broker.model.dataspace import origin_of
from broker.model.entity import JsonObject
from broker.store.protocol import DocumentEvent, Store

logger = logging.getLogger(__name__)

RESOLUTION_SECONDS: Final = 10.0
"""For all documents of one @context together."""

REVALIDATION_SECONDS: Final = 3.0
"""How long a source may take to answer where an expired copy of its document is there to be used instead."""

RETRY_SECONDS: Final = 30.0
"""How long an expired copy is used before a source that failed is asked again."""

FAILURE_SECONDS: Final = 2.0
"""How long a source that failed is not asked again where there is no copy."""

RECHECK_SECONDS: Final = 60.0
"""How long a document is used from memory before the store is asked whether another broker changed it."""

MAX_DOCUMENTS: Final = 32
"""How many documents one @context may refer to, in all."""

_THREAD_BYTES: Final = 64 * 1024
"""Contexts with more text than this are compiled beside the event loop."""

_Result = TypeVar("_Result")


class _Copy(NamedTuple):
    """A document in memory, its size in bytes, until when (seconds since 1970) it needs no second look, and the local id of the
    entry that it is a copy of."""

    document: JsonObject
    size: int
    fresh_until: float
    entry: str | None = None


class ContextLibrary:
    """See the module. `storage` has what is stored, `uses` when that was used.

    `now` gives canonical instants, `clock` seconds since 1970. `public_url` is under which others reach this broker,
    `default_context` the user @context of requests that have none (5.5.5). `built_in` are documents by URL that need no
    network, beside the core's.
    """

    def __init__(
        self,
        store: Store,
        http: OutboundHttp,
        now: Callable[[], str],
        public_url: str | None = None,
        default_context: Any = None,
        *,
        built_in: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.storage = ContextStorage(store, public_url, now())
        self.uses = ContextUses(store, clock)
        self._http = http
        self._now = now
        self._clock = clock
        self._default = default_context
        self._built_in = built_in
        self._resolved: Recent[str | bytes, ResolvedContext] = Recent(512, 64 * MAX_BYTES)
        self._documents: Recent[str, _Copy] = Recent(1024, 64 * MAX_BYTES)
        self._failures: Recent[str, tuple[float, str]] = Recent(1024, 1024)
        self._links: Recent[tuple[str, bytes], tuple[float, str, str]] = Recent(4096, 4096)
        self._resolving: dict[str | bytes, asyncio.Task[ResolvedContext]] = {}
        self._fetching: dict[str, asyncio.Task[_Copy]] = {}
        self._generation = 0

    async def open(self) -> None:
        """Check the configured default @context, as far as that needs no network. Raises BadRequestData."""
        if self._default is not None:
            check_context(self._default)

    # --- resolving

    async def resolve(self, context: Any) -> ResolvedContext:
        """An @context ready for use: None for the default one, a URL, an object, or an array of both.

        Raises LdContextNotAvailable where a document it refers to cannot be had, BadRequestData where it is invalid.
        """
        if context is None:
            if self._default is None:
                return CORE_ONLY
            context = self._default
        key = context if isinstance(context, str) else _content_key(context)[0]
        resolved = self._resolved.get(key)
        if resolved is not None and self._clock() < resolved.fresh_until:
            return resolved
        return await _once(self._resolving, key, lambda: self._resolve(key, context))

    async def link_for(self, resolved: ResolvedContext, tenant: str = "", *, lasting: bool = False) -> str:
        """The URL for the Link header of a JSON answer; an @context that has none is hosted for the purpose (5.13.1).

        `lasting` is for a URL that something stored will refer to: the entry is there when this returns, and stays.
        """
        if resolved.link is not None:
            return resolved.link
        return await self.implicit(resolved.payload, tenant, lasting=lasting)

    async def implicit(self, context: Any, tenant: str = "", *, lasting: bool = False) -> str:
        """The URL of an ImplicitlyCreated copy of this @context (5.13.1): the same one each time. Raises BadRequestData.

        It is the tenant's, also where it comes of a request to a snapshot: @contexts are no part of these (5.5.15).
        """
        tenant = origin_of(tenant).tenant
        key, size = _content_key(context)
        known = self._links.get((tenant, key))
        if known is not None and self._clock() < known[0] and not lasting:
            return known[2]
        check_context(context)
        name = uuid.uuid5(uuid.NAMESPACE_OID, f"{tenant}\n{key.hex()}")
        record = StoredContext(name.urn, "ImplicitlyCreated", self._now(), {"@context": context}, tenant)
        await self.uses.note(record.id, size, surely=True)
        await self.storage.keep(record, create=True)
        url = self.storage.url_of(record)
        self._links.put((tenant, key), (self._clock() + RECHECK_SECONDS, record.id, url), 1)
        return url

    # --- storing

    async def host(self, context: Any, tenant: str = "") -> StoredContext:
        """Store a client's @context as Hosted (5.13.2). Raises BadRequestData where it is invalid."""
        check_context(context)
        record = StoredContext(uuid.uuid4().urn, "Hosted", self._now(), {"@context": context}, tenant)
        await self.storage.keep(record)
        return record

    async def remove(self, record: StoredContext) -> bool:
        """Delete an entry, not those it refers to (5.13.5); whether it was still there."""
        removed = await self.storage.remove(record.id)
        await self.uses.forget(record.id)
        self._forget()
        return removed

    async def heard(self, event: DocumentEvent) -> None:
        """An entry was written or deleted, perhaps by this process: forget the copies that differ. Raises StoreUnavailable."""
        context_id = event.id
        for url in [url for url in self._failures if self._is_of(url, context_id)]:
            self._failures.drop(url)
        under_way = [url for url in self._fetching if self._is_of(url, context_id)]
        copies = [url for url, copy in self._documents.items() if copy.entry == context_id]
        links = [link for link, (_, entry, _) in self._links.items() if entry == context_id]
        if not (under_way or copies or links):
            return
        if under_way:  # what is read just now may be what was there before
            self._generation += 1
            self._resolving.clear()
            for url in under_way:
                self._fetching.pop(url, None)
        record = await self.storage.read(context_id)
        if record is None:
            for link in links:
                self._links.drop(link)
        for url in copies:
            copy = self._documents.get(url)
            if copy is not None and (record is None or copy.document != record.document):
                self._documents.drop(url)
                for key in [key for key, known in self._resolved.items() if url in known.documents]:
                    self._resolved.drop(key)

    def _is_of(self, url: str, context_id: str) -> bool:
        """Whether an entry is what is to be had at a URL."""
        return context_id in (self.storage.own_id(url)[0], cached_id(url))

    async def look(self) -> None:
        """Any entry may have changed."""
        self._forget()

    async def evict(self, context_id: str, use: Use) -> bool:
        """Delete an entry that was last used then; whether it is gone. One that is used again meanwhile is put back."""
        record = await self.storage.read(context_id)
        if await self.uses.last(context_id) != use:
            return False
        await self.storage.remove(context_id)
        if record is not None and await self.uses.last(context_id) != use:
            await self.storage.keep(record, create=True)
            return False
        await self.uses.forget(context_id)
        self._links.clear()
        return True

    async def reload(self, record: StoredContext) -> None:
        """Replace a Cached entry by what its source says now (5.13.5.4). A core @context is as good as reloaded.

        Raises LdContextNotAvailable where it cannot be had or is invalid; the entry stays as it was.
        """
        url = record.url
        assert url is not None
        if core_document(url) is not None:
            return
        try:
            got = await download(self._http, url, timeout=RESOLUTION_SECONDS, now=self._clock())
            check_context(got.document["@context"])
        except BadRequestData as error:
            raise LdContextNotAvailable(f"@context {url} is invalid now: {error.detail}", instance=url) from error
        fresh = StoredContext(
            record.id, "Cached", self._now(), got.document, "", url, got.expires_at, got.etag, got.last_modified
        )
        await self.uses.note(fresh.id, len(orjson.dumps(fresh.document)), surely=True)
        await self.storage.keep(fresh)
        self._forget()

    # --- within

    async def _resolve(self, key: str | bytes, context: Any) -> ResolvedContext:
        generation = self._generation
        own_size = len(context) if isinstance(context, str) else _content_key(context)[1]
        if own_size > MAX_BYTES:
            raise BadRequestData(f"@context: larger than {MAX_BYTES} bytes")
        copies = await self._collect(context)
        documents = {url: copy.document for url, copy in copies.items()}
        size = own_size + sum(copy.size for copy in copies.values())
        former = self._resolved.get(key)
        if former is not None and former.documents == documents:
            names = former.names
        elif size > _THREAD_BYTES:
            names = await asyncio.to_thread(compile_context, context, documents)
        else:
            names = compile_context(context, documents)
        public = self._public(context)
        fresh_until = min((copy.fresh_until for copy in copies.values()), default=float("inf"))
        payload = payload_of(public, includes_core(context, documents))
        resolved = ResolvedContext(names, payload, link_of(public), fresh_until, documents)
        if generation == self._generation:
            self._resolved.put(key, resolved, size)
        return resolved

    async def _collect(self, context: Any) -> dict[str, _Copy]:
        """All documents that an @context refers to, directly or not, by the references as compile_context looks them up."""
        copies: dict[str, _Copy] = {}
        waiting = referenced_urls(context)
        try:
            async with asyncio.timeout(RESOLUTION_SECONDS):
                for _ in range(MAX_DEPTH + 1):
                    if not waiting:
                        return copies
                    if len(copies) + len(waiting) > MAX_DOCUMENTS:
                        raise BadRequestData(f"@context: refers to more than {MAX_DOCUMENTS} documents")
                    urls = sorted(waiting)
                    copies.update(zip(urls, await asyncio.gather(*map(self._copy, urls)), strict=True))
                    found = (referenced_urls(document_context(copies[url].document, url), url) for url in urls)
                    waiting = set().union(*found) - copies.keys()
        except TimeoutError as error:
            late = ", ".join(sorted(waiting))
            raise LdContextNotAvailable(f"@context {late}: not retrieved within {RESOLUTION_SECONDS:g} s") from error
        raise BadRequestData(f"@context: references nested more than {MAX_DEPTH} deep, at {min(waiting)}")

    async def _copy(self, url: str) -> _Copy:
        """A document that may be used now. Raises LdContextNotAvailable, BadRequestData."""
        copy = self._documents.get(url)
        if copy is not None and self._clock() < copy.fresh_until:
            return copy
        failure = self._failures.get(url)
        if failure is not None and self._clock() < failure[0]:
            raise LdContextNotAvailable(failure[1], instance=url)
        return await _once(self._fetching, url, lambda: self._fetch(url))

    async def _fetch(self, url: str) -> _Copy:
        generation = self._generation
        if (document := self._built_in.get(url)) is not None:
            return _Copy(dict(document), 0, float("inf"))
        own, certainly = self.storage.own_id(url)
        record = await self.storage.read(own) if own is not None else None
        if record is None and certainly:
            raise LdContextNotAvailable(
                f"@context {url} cannot be retrieved: this broker has no such @context", instance=url
            )
        if record is None and not url.lower().startswith(("http://", "https://")):
            raise BadRequestData(f"@context: {url!r} is not an absolute http or https URL")
        if record is None:
            record, fresh_until = await self._cached(url)
        else:
            fresh_until = float("inf")
        fresh_until = min(fresh_until, self._clock() + RECHECK_SECONDS)
        copy = _Copy(record.document, len(orjson.dumps(record.document)), fresh_until, record.id)
        if record.kind != "Hosted":
            await self._used(record.id, copy.size)
        if generation == self._generation:
            self._documents.put(url, copy, copy.size)
        return copy

    async def _cached(self, url: str) -> tuple[StoredContext, float]:
        """The Cached entry of a URL, downloaded or revalidated where that is due, and until when it is to be used."""
        record = await self.storage.read(cached_id(url))
        now = self._clock()
        if record is not None and record.expires_at is not None and now < record.expires_at:
            return record, record.expires_at
        timeout = RESOLUTION_SECONDS if record is None else REVALIDATION_SECONDS
        try:
            got = await download(self._http, url, timeout=timeout, now=now, previous=record)
        except (LdContextNotAvailable, BadRequestData) as error:
            if record is not None:
                logger.warning("using the expired copy of an @context: %s", error.detail)
                return record, now + RETRY_SECONDS
            if isinstance(error, LdContextNotAvailable):
                self._failures.put(url, (self._clock() + FAILURE_SECONDS, error.detail), 1)
            raise
        record = StoredContext(
            cached_id(url), "Cached", self._now(), got.document, "", url, got.expires_at, got.etag, got.last_modified
        )
        try:
            await self.uses.note(record.id, len(orjson.dumps(record.document)), surely=True)
            await self.storage.keep(record)
        except StoreUnavailable as error:
            # The copy is only a convenience: the request that brought it here need not fail with it.
            logger.warning("the @context %s is not kept: %s", url, error.detail)
        return record, got.expires_at

    async def _used(self, context_id: str, size: int) -> None:
        """Note a use; the request that it is for need not fail where that cannot be written down."""
        try:
            await self.uses.note(context_id, size)
        except StoreUnavailable as error:
            logger.warning("the use of the @context %s is not noted: %s", context_id, error.detail)

    def _public(self, context: Any) -> Any:
        """The context with this broker's own relative references made absolute."""
        if isinstance(context, list):
            return [self._public(element) for element in context]
        return self.storage.absolute(context) if isinstance(context, str) else context

    def _forget(self) -> None:
        """Start over from the store: an entry was deleted or replaced. What is under way ends for those who wait for it."""
        self._generation += 1
        self._resolving.clear()
        self._fetching.clear()
        self._resolved.clear()
        self._documents.clear()
        self._failures.clear()
        self._links.clear()


def check_context(context: Any) -> None:
    """Refuse an invalid @context as far as that can be told without fetching anything. Raises BadRequestData (5.5.4)."""
    if context is None:
        raise BadRequestData("@context: null is no JSON-LD @context")
    if _content_key(context)[1] > MAX_BYTES:
        raise BadRequestData(f"@context: larger than {MAX_BYTES} bytes")
    if not referenced_urls(context):
        compile_context(context, {})


async def _once(
    pending: dict[Any, asyncio.Task[_Result]], key: str | bytes, make: Callable[[], Coroutine[Any, Any, _Result]]
) -> _Result:
    """The result of the work that is pending under a key, or of new work; a caller that goes away does not stop it."""
    task = pending.get(key)
    if task is None:
        task = asyncio.create_task(make())
        pending[key] = task

        def done(finished: asyncio.Task[_Result]) -> None:
            if pending.get(key) is finished:
                del pending[key]
            if not finished.cancelled():
                finished.exception()  # Every caller may have gone away: then nobody else asks.

        task.add_done_callback(done)
    return await asyncio.shield(task)


def _content_key(context: Any) -> tuple[bytes, int]:
    """A key for an @context by its content, and the length of its text in bytes. Raises BadRequestData."""
    try:
        text = orjson.dumps(context, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        raise BadRequestData(f"@context: not a JSON value ({error})") from error
    return hashlib.blake2b(text, digest_size=20).digest(), len(text)
