"""Getting an @context from its source (5.5.6; JSON-LD 1.1 API, section 9.4: remote document and context retrieval)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin

import orjson

from broker.contexts.freshness import lifetime
from broker.contexts.record import StoredContext
from broker.egress.error import EgressError
from broker.egress.http import Fetched, OutboundHttp
from broker.errors import BadRequestData, LdContextNotAvailable
from broker.jsonld.compilation import document_context, referenced_urls
from broker.model.entity import JsonObject

MAX_BYTES: Final = 1024 * 1024
_ACCEPT: Final = (
    'application/ld+json;profile="http://www.w3.org/ns/json-ld#context", application/ld+json, application/json;q=0.9'
)
_LINK: Final = re.compile(r"<([^>]*)>([^,<]*)")


@dataclass(frozen=True, slots=True)
class Download:
    """A valid document, reduced to its @context, and until when (seconds since 1970) it is fresh."""

    document: JsonObject
    expires_at: float
    etag: str | None
    last_modified: str | None


async def download(
    http: OutboundHttp, url: str, *, timeout: float, now: float, previous: StoredContext | None = None
) -> Download:
    """The @context document at a URL, or the `previous` one where the source says that it has not changed.

    Raises LdContextNotAvailable (no answer, or one that is no document) and BadRequestData (not an @context), naming the URL.
    """
    headers = {"Accept": _ACCEPT}
    if previous is not None and previous.etag:
        headers["If-None-Match"] = previous.etag
    if previous is not None and previous.last_modified:
        headers["If-Modified-Since"] = previous.last_modified
    answer = await _get(http, url, headers, timeout)
    alternate = _alternate(answer)
    if alternate is not None:
        answer = await _get(http, alternate, headers, timeout)
    if answer.status == 304 and previous is not None:
        document = previous.document
    elif answer.status == 200:
        document = _document(answer.body, url)
    else:
        raise LdContextNotAvailable(
            f"@context {url} cannot be retrieved: its server answers {answer.status}", instance=url
        )
    return Download(
        document, now + lifetime(answer.headers, now), answer.headers.get("ETag"), answer.headers.get("Last-Modified")
    )


async def _get(http: OutboundHttp, url: str, headers: Mapping[str, str], timeout: float) -> Fetched:
    try:
        return await http.fetch(url, headers=headers, timeout=timeout, max_bytes=MAX_BYTES)
    except EgressError as error:
        raise LdContextNotAvailable(f"@context {url} cannot be retrieved: {error.message}", instance=url) from error


def _alternate(answer: Fetched) -> str | None:
    """Where an answer that is not JSON says that its JSON-LD form is, in a Link header."""
    if answer.status != 200 or "json" in answer.headers.get("Content-Type", "").lower():
        return None
    for target, parameters in _LINK.findall(answer.headers.get("Link", "")):
        given = parameters.lower().replace('"', "").replace(" ", "").split(";")
        if "rel=alternate" in given and "type=application/ld+json" in given:
            return urljoin(answer.url, str(target))
    return None


def _document(body: bytes, url: str) -> JsonObject:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequestData(f"@context: the document at {url} is not JSON ({error})") from error
    context = document_context(document, url)
    referenced_urls(context, url)  # refuses any value that is no @context, whatever its depth
    return {"@context": context}
