"""The broker's only way out over HTTP: fetching documents and posting to endpoints, within an `EgressPolicy`.

The policy is applied where names become addresses, inside the connection pool's resolver, so that a name which
resolves differently a moment later gains nothing; addresses written into a URL, and every redirect, are checked too.
"""

import asyncio
import io
import logging
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from broker.egress.answer import NotHttp
from broker.egress.error import EgressError
from broker.egress.plain import NoAnswer, NoConnection, PlainHttp
from broker.egress.policy import EgressPolicy
from broker.egress.tls import TlsContexts, fault_of

logger = logging.getLogger(__name__)

MAX_REDIRECTS: Final = 5
CONNECTIONS_PER_ENDPOINT: Final = 16
KEEP_ALIVE_SECONDS: Final = 30.0
CONNECT_SECONDS: Final = 10.0
DNS_CACHE_SECONDS: Final = 30
MOST_RESOLVED: Final = 10_000
MOST_TARGETS: Final = 10_000
"""Hosts whose addresses, and URLs whose parts, are remembered: of more, all are forgotten."""
ANSWER_LIMIT: Final = 64 * 1024
_PRIVATE_HEADERS: Final = frozenset({"authorization", "cookie", "proxy-authorization"})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_AFTER_HANDSHAKE: Final = "(after the TLS handshake; the server may want another client certificate)"
_ENCODED: Final = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+")
"""A URL that is percent-encoded already (RFC 3986), and so goes out as it was given."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """The final answer to a fetch. `url` is where it came from after redirects; `headers` is case-insensitive."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


@dataclass(slots=True)
class Answer:
    """An endpoint's answer to a post. `body` holds at most ANSWER_LIMIT bytes of it, none if it did not come in time."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _PolicyResolver(AbstractResolver):
    """Resolves like aiohttp does, and passes on only the addresses that the policy allows."""

    def __init__(self, policy: EgressPolicy) -> None:
        self._policy = policy
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        allowed = [result for result in found if self._policy.allows(result["host"], host, port)]
        if found and not allowed:
            # The addresses are for the operator's eyes: a client may have asked in order to learn them.
            logger.info("egress to %s:%s is forbidden: it resolves to %s", host, port, {each["host"] for each in found})
            raise EgressError("forbidden", host, "the egress policy does not allow its address")
        return allowed

    async def close(self) -> None:
        await self._resolver.close()


class OutboundHttp:
    """Fetches and posts. To be created and closed inside the running event loop."""

    def __init__(self, policy: EgressPolicy, tls: TlsContexts | None = None, *, user_agent: str = "tsunagu") -> None:
        """Pools at most CONNECTIONS_PER_ENDPOINT connections to each host and port.

        `tls` knows the certificates for https; without it the system's authorities are trusted.
        """
        self._policy = policy
        self._tls = tls or TlsContexts()
        trace = aiohttp.TraceConfig()
        trace.on_connection_reuseconn.append(_mark_reused)
        headers = {"User-Agent": user_agent}
        self._session = _session(policy, headers, trace)
        # For the second try of a post whose pooled connection turned out to be closed: never pooled itself.
        self._fresh = _session(policy, headers, trace, pooled=False)
        self._resolver = _PolicyResolver(policy)
        self._targets: dict[str, URL] = {}
        self._resolved: dict[tuple[str, int], tuple[float, list[str]]] = {}
        self._plain = PlainHttp(self._addresses, user_agent, ANSWER_LIMIT)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()
        await self._fresh.close()
        await self._plain.close()
        await self._resolver.close()

    async def fetch(self, url: str, *, headers: Mapping[str, str], timeout: float, max_bytes: int) -> Fetched:
        """GET, following up to MAX_REDIRECTS redirects, in at most `timeout` seconds altogether.

        Raises EgressError; any HTTP status is an answer.
        """
        try:
            async with asyncio.timeout(timeout):
                return await self._follow(url, headers, max_bytes)
        except TimeoutError as error:
            raise EgressError("timeout", url, f"no complete answer within {timeout:g} s") from error

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Answer:
        """POST with Content-Length and the header names as spelled here; redirects are answers like any other.

        The answer is there with its status: a body that breaks off, or drips on beyond `timeout`, takes nothing from it.

        A pooled connection that the peer had closed before answering anything is replaced once by a new one.
        Raises EgressError.
        """
        target = self._checked(url)
        deadline = asyncio.get_running_loop().time() + timeout
        if target.scheme == "http" and target.raw_user is None and target.raw_password is None:
            return await self._post_plainly(url, target, body, headers, timeout, deadline)
        secure = self._secured(target)
        try:
            context = SimpleNamespace(reused=False)
            try:
                return await _post(self._session, target, body, headers, context, deadline, secure)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                if not context.reused or not _nothing_received(error):
                    raise
                return await _post(self._fresh, target, body, headers, context, deadline, secure)
        except TimeoutError as error:
            raise EgressError("timeout", url, f"no answer within {timeout:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            failure = _failure(url, error)
            if (
                secure is not True
                and failure.reason == "refused"
                and not isinstance(error, aiohttp.ClientConnectorError)
            ):
                # With TLS 1.3 a server looks at the client's certificate when the client believes to be connected already.
                raise EgressError("refused", url, f"{failure.message} {_AFTER_HANDSHAKE}") from error
            raise failure from error

    async def send(self, method: str, url: str, body: bytes, headers: Mapping[str, str], timeout: float) -> Answer:
        """One request with a body, made once: over a connection of its own, so that none which the peer is just closing can
        leave it open whether the request was taken. Redirects are answers like any other. Raises EgressError.
        """
        target = self._checked(url)
        try:
            async with (
                asyncio.timeout(timeout),
                self._fresh.request(
                    method,
                    target,
                    data=body,
                    headers=_as_spelled(headers),
                    allow_redirects=False,
                    trace_request_ctx=SimpleNamespace(reused=False),
                    ssl=self._secured(target),
                ) as response,
            ):
                content = await _read(response, ANSWER_LIMIT, cut=True)
                return Answer(response.status, response.headers, content or b"")
        except TimeoutError as error:
            raise EgressError("timeout", url, f"no answer within {timeout:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _failure(url, error) from error

    async def _post_plainly(
        self, url: str, target: URL, body: bytes, headers: Mapping[str, str], timeout: float, deadline: float
    ) -> Answer:
        try:
            reply = await self._plain.post(target, body, headers, deadline)
        except TimeoutError as error:
            raise EgressError("timeout", url, f"no answer within {timeout:g} s") from error
        except NoConnection as error:
            raise EgressError("refused", url, f"no connection: {error}") from error
        except NoAnswer as error:
            raise EgressError("refused", url, str(error)) from error
        except (NotHttp, ValueError) as error:
            raise EgressError("protocol", url, str(error)) from error
        return Answer(reply.status, reply.headers, reply.body)

    async def _addresses(self, host: str, port: int) -> list[str]:
        """The addresses of a host that the policy allows. Raises EgressError."""
        if _is_literal(host):
            return [host]
        now = asyncio.get_running_loop().time()
        known = self._resolved.get((host, port))
        if known is not None and known[0] > now:
            return known[1]
        try:
            found = await self._resolver.resolve(host, port)
        except OSError as error:
            raise EgressError("dns", host, f"the host does not resolve: {error.strerror or error}") from error
        if len(self._resolved) >= MOST_RESOLVED:
            self._resolved.clear()
        addresses = [each["host"] for each in found]
        self._resolved[host, port] = now + DNS_CACHE_SECONDS, addresses
        return addresses

    async def _follow(self, url: str, headers: Mapping[str, str], max_bytes: int) -> Fetched:
        target = self._checked(url)
        for _ in range(MAX_REDIRECTS + 1):
            try:
                async with self._session.get(
                    target,
                    headers=headers,
                    allow_redirects=False,
                    trace_request_ctx=SimpleNamespace(reused=False),
                    ssl=self._secured(target),
                ) as response:
                    location = response.headers.get("Location")
                    if response.status not in _REDIRECTS or not location:
                        body = await _read(response, max_bytes)
                        if body is None:
                            raise EgressError("too large", url, f"the answer exceeds {max_bytes} bytes")
                        return Fetched(response.status, response.headers, body, str(target))
            except TimeoutError:
                raise
            except (aiohttp.ClientError, OSError, ValueError) as error:
                raise _failure(str(target), error) from error
            onward = self._checked(location, target)
            if onward.origin() != target.origin():
                headers = {name: value for name, value in headers.items() if name.lower() not in _PRIVATE_HEADERS}
            target = onward
        raise EgressError("protocol", url, f"more than {MAX_REDIRECTS} redirects")

    def _secured(self, target: URL) -> ssl.SSLContext | bool:
        """How a connection to a URL is secured. True is aiohttp's way to say that nothing special is wanted."""
        return self._tls.for_host(target.host or "", target.port) if target.scheme == "https" else True

    def _checked(self, url: str, base: URL | None = None) -> URL:
        """The URL, if it is one for HTTP and an address written into it is allowed."""
        if base is None and (known := self._targets.get(url)) is not None:
            return known
        try:
            target = _as_given(url) if base is None else base.join(URL(url))
            host, port = target.host, target.port
        except ValueError as error:
            raise EgressError("protocol", url, f"not a URL: {error}") from error
        if target.scheme not in ("http", "https") or not host:
            raise EgressError("protocol", url, "not an http or https URL")
        if _is_literal(host) and not self._policy.allows(host, host, port):
            raise EgressError("forbidden", str(target), f"the egress policy does not allow {host}")
        if base is None:
            if len(self._targets) >= MOST_TARGETS:
                self._targets.clear()
            self._targets[url] = target
        return target


def _as_given(url: str) -> URL:
    """The URL with path and query as they are written: `%2F` and `/` need not mean the same to who answers there.

    Raises ValueError.
    """
    target = URL(url)
    if target.host is None or not _ENCODED.fullmatch(url):
        return target
    parts = urlsplit(url)
    return URL.build(
        scheme=target.scheme,
        authority=target.raw_authority,
        path=parts.path or "/",
        query_string=parts.query,
        encoded=True,
    )


def _session(
    policy: EgressPolicy, headers: Mapping[str, str], trace: aiohttp.TraceConfig, *, pooled: bool = True
) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        resolver=_PolicyResolver(policy),
        limit=0,
        limit_per_host=CONNECTIONS_PER_ENDPOINT,
        ttl_dns_cache=DNS_CACHE_SECONDS,
        **({"keepalive_timeout": KEEP_ALIVE_SECONDS} if pooled else {"force_close": True}),
    )
    return aiohttp.ClientSession(
        connector=connector,
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        trace_configs=[trace],
        trust_env=False,
    )


async def _mark_reused(session: aiohttp.ClientSession, context: SimpleNamespace, parameters: Any) -> None:
    context.trace_request_ctx.reused = True


async def _post(
    session: aiohttp.ClientSession,
    url: URL,
    body: bytes,
    headers: Mapping[str, str],
    context: SimpleNamespace,
    deadline: float,
    secure: ssl.SSLContext | bool,
) -> Answer:
    async with asyncio.timeout_at(deadline):
        # A file object: aiohttp sends its size as Content-Length, and large ones in pieces.
        response = await session.post(
            url,
            data=io.BytesIO(body),
            headers=_as_spelled(headers),
            allow_redirects=False,
            trace_request_ctx=context,
            ssl=secure,
        )
    async with response:
        content: bytes | None = None
        try:
            async with asyncio.timeout_at(deadline):
                content = await _read(response, ANSWER_LIMIT, cut=True)
        except (TimeoutError, aiohttp.ClientError, OSError):
            response.close()
        return Answer(response.status, response.headers, content or b"")


def _as_spelled(headers: Mapping[str, str]) -> CIMultiDictProxy[str]:
    """The headers for aiohttp, which keeps their spelling, with a content type where there is none."""
    spelled = CIMultiDict(headers)
    spelled.setdefault("Content-Type", "application/json")
    return CIMultiDictProxy(spelled)


async def _read(response: aiohttp.ClientResponse, limit: int, *, cut: bool = False) -> bytes | None:
    """The (decoded) body; beyond the limit its beginning with `cut`, else None. What is left unread is not waited for."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        chunks.append(chunk)
        size += len(chunk)
        if size > limit:
            response.close()
            return b"".join(chunks)[:limit] if cut else None
    return b"".join(chunks)


def _nothing_received(error: Exception) -> bool:
    """Whether the connection ended before any part of an answer came."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return False
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return not hasattr(error.message, "code")
    return True


def _is_literal(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


def _tls_fault(error: Exception) -> str | None:
    """What a fault of TLS says, None for any other: aiohttp's own exceptions, and what an alert after the handshake becomes."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return fault_of(error.certificate_error)
    if isinstance(error, aiohttp.ClientSSLError):
        return fault_of(error.os_error)
    for inner in (error, error.__cause__):
        if isinstance(inner, ssl.SSLError):
            return fault_of(inner)
    return None


def _failure(url: str, error: Exception) -> EgressError:
    """The EgressError that says what aiohttp's exception means."""
    if (fault := _tls_fault(error)) is not None:
        return EgressError("tls", url, f"TLS failed: {fault}")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return EgressError("dns", url, f"the host does not resolve: {error.os_error.strerror or error.os_error}")
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return EgressError("refused", url, "the connection was closed without an answer")
    if isinstance(error, aiohttp.ClientConnectorError):
        return EgressError("refused", url, f"no connection: {error.os_error.strerror or error.os_error}")
    if isinstance(error, OSError):
        return EgressError("refused", url, f"the connection broke: {error.strerror or error}")
    return EgressError("protocol", url, f"{type(error).__name__}: {error}")
