"""The suite's HTTP client: one broker under test, spoken to over one connection, with a record of what was said.

It adds nothing on its own: no header that a test did not ask for but Host, Content-Length and Content-Type, no retry of
what has side effects, no redirect.
"""

import http.client
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import orjson

from conformance.exchanges import Answer, SentRequest

JSON: Final = "application/json"
JSON_LD: Final = "application/ld+json"
GEO_JSON: Final = "application/geo+json"
API: Final = "/ngsi-ld/v1"
_SAFE: Final = "!$'()*,:@/?~-._"
_REMEMBERED: Final = 12


@dataclass
class Traces:
    """What a test leaves behind: its last exchanges, for its report, and the resources to delete after it."""

    exchanges: list[Answer] = field(default_factory=list)
    created: list[tuple[str, str | None]] = field(default_factory=list)


class BrokerClient:
    """Requests to the broker whose API root is `url` (with or without /ngsi-ld/v1).

    Paths are relative to the API root; a path that begins with it, like those in Location and Link headers, is taken as it is.
    In `query`, None leaves a parameter out, and a sequence becomes a list with commas.
    """

    def __init__(self, url: str, traces: Traces | None = None, *, timeout: float = 30.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or parts.hostname is None:
            raise ValueError(f"not the URL of a broker: {url}")
        path = parts.path.rstrip("/")
        self.url = url
        self.root = path if path.endswith(API) else path + API
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self.traces = Traces() if traces is None else traces
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname, parts.port, timeout=timeout)
        self._timeout = timeout

    def another(self) -> "BrokerClient":
        """A second client with a connection of its own, for another thread; what it leaves behind is this one's."""
        return BrokerClient(self.url, self.traces, timeout=self._timeout)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    # --- the verbs

    def get(self, path: str, query: Mapping[str, Any] | None = None, **options: Any) -> Answer:
        """GET; `options` are those of `request`."""
        return self.request("GET", path, query=query, **options)

    def post(self, path: str, document: Any = None, **options: Any) -> Answer:
        """POST a document."""
        return self.request("POST", path, document, **options)

    def patch(self, path: str, document: Any = None, **options: Any) -> Answer:
        """PATCH with a document."""
        return self.request("PATCH", path, document, **options)

    def put(self, path: str, document: Any = None, **options: Any) -> Answer:
        """PUT a document."""
        return self.request("PUT", path, document, **options)

    def delete(self, path: str, query: Mapping[str, Any] | None = None, **options: Any) -> Answer:
        """DELETE."""
        return self.request("DELETE", path, query=query, **options)

    def request(
        self,
        method: str,
        path: str,
        document: Any = None,
        *,
        query: Mapping[str, Any] | None = None,
        link: str | None = None,
        accept: str | None = None,
        tenant: str | None = None,
        snapshot: str | None = None,
        content_type: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request.

        A document is sent as JSON-LD where it (or its first element) has an @context, else as JSON, unless `content_type`
        says otherwise; bytes are sent as they are. `link` is the URL of the @context for the Link header (6.3.5).
        """
        sent: dict[str, str] = {}
        body = None
        if document is not None:
            body = document if isinstance(document, bytes) else orjson.dumps(document)
            sent["Content-Type"] = content_type or (JSON_LD if _has_context(document) else JSON)
        elif content_type is not None:
            sent["Content-Type"] = content_type
        if link is not None:
            sent["Link"] = context_link(link)
        named = {"Accept": accept, "NGSILD-Tenant": tenant, "NGSILD-Snapshot": snapshot}
        sent |= {name: value for name, value in named.items() if value is not None}
        sent |= headers or {}
        request = SentRequest(method, self._target(path, query), sent, body)
        answer = self._exchange(request)
        self._remember(answer, tenant)
        return answer

    # --- what it leaves behind

    def clean_up(self) -> None:
        """Delete what was created through this client, last things first; what is gone already is no matter."""
        created, self.traces.created = self.traces.created, []
        exchanges = list(self.traces.exchanges)
        for location, tenant in reversed(created):
            with suppress(OSError, http.client.HTTPException):
                self.delete(location, tenant=tenant)
        self.traces.exchanges[:] = exchanges

    def _remember(self, answer: Answer, tenant: str | None) -> None:
        self.traces.exchanges.append(answer)
        del self.traces.exchanges[:-_REMEMBERED]
        if answer.status not in (201, 207) or answer.request.method not in ("POST", "GET"):
            return
        location = answer.headers.get("Location")
        if location is not None:
            self.traces.created.append((location, tenant))
        elif "/entityOperations/" in answer.request.target:
            with suppress(orjson.JSONDecodeError, TypeError, KeyError):
                result = orjson.loads(answer.body)
                for entity_id in result["success"] if answer.status == 207 else result:
                    self.traces.created.append((f"/entities/{quote(entity_id, safe=':')}", tenant))

    def _target(self, path: str, query: Mapping[str, Any] | None) -> str:
        path = path.removeprefix(self.origin)
        target = path if path.startswith(self.root) else f"{self.root}/{path.lstrip('/')}"
        given = [(name, _parameter(value)) for name, value in (query or {}).items() if value is not None]
        if not given:
            return target
        return f"{target}{'&' if '?' in target else '?'}{urlencode(given, quote_via=quote, safe=_SAFE)}"

    def _exchange(self, request: SentRequest) -> Answer:
        reused = self._connection.sock is not None
        try:
            return self._sent(request)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            # A server may close a connection that idles; it has not seen a request that met the closed end.
            self._connection.close()
            if not reused:
                raise
            return self._sent(request)

    def _sent(self, request: SentRequest) -> Answer:
        self._connection.putrequest(request.method, request.target, skip_accept_encoding=True)
        if request.body is not None:
            self._connection.putheader("Content-Length", str(len(request.body)))
        elif request.method in ("POST", "PUT", "PATCH"):
            self._connection.putheader("Content-Length", "0")
        for name, value in request.headers.items():
            self._connection.putheader(name, value.encode("latin-1") if value.isascii() else value.encode())
        self._connection.endheaders(request.body)
        response = self._connection.getresponse()
        return Answer(request, response.status, response.reason, response.msg, response.read())


def context_link(url: str) -> str:
    """The Link header value that names an @context (JSON-LD 1.1, section 6.2)."""
    return f'<{url}>; rel="http://www.w3.org/ns/json-ld#context"; type="{JSON_LD}"'


def _has_context(document: Any) -> bool:
    first = document[0] if isinstance(document, list) and document else document
    return isinstance(first, dict) and "@context" in first


def _parameter(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(map(_parameter, value))
    return str(value)
