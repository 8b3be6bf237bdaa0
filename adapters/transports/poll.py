"""HTTP polls: a resource is fetched again and again, as its owner would like it.

One request at a time to a host, never sooner than the feed's interval, with the validators of the last answer (ETag,
Last-Modified) and a User-Agent that says who is asking. Failures wait longer each time; Retry-After is obeyed. Where the
resource is an index, what it names is fetched once each. Links and redirects lead to the feed's own host or to those that it
names, and the feed's headers, which may hold a secret, go to its own host only.
"""

import asyncio
import logging
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import aiohttp

from adapters.contract import Adapter, Origin
from adapters.door import Door, now
from adapters.errors import AdapterError, Undecodable
from adapters.feeds import Poll
from adapters.journal import Intake
from adapters.options import Options

LONGEST_PAUSE: Final = 3600.0
FETCH_SECONDS: Final = 120.0
LINKS_AT_MOST: Final = 500
"""How many links of one index are followed in one round."""
REDIRECTS_AT_MOST: Final = 5

_VALIDATORS: Final = "validators"
_LINK: Final = "link:"
_REDIRECTS: Final = frozenset([301, 302, 303, 307, 308])
_PORTS: Final = {"http": 80, "https": 443}
_LOG: Final = logging.getLogger(__name__)


class FetchFailed(AdapterError):
    """A resource could not be fetched; `pause` is how long its owner wants to be left alone, in seconds."""

    def __init__(self, message: str, pause: float = 0.0) -> None:
        super().__init__(message)
        self.pause = pause


@dataclass(frozen=True, slots=True)
class Fetched:
    """A new answer: its body, its type, and the validators for the next time."""

    data: bytes
    content_type: str
    validators: Mapping[str, str]


class Fetcher:
    """Fetches for all feeds of a runner, one request at a time to each host."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._hosts: dict[str, asyncio.Lock] = {}

    async def fetch(self, poll: Poll, url: str, validators: Mapping[str, str]) -> Fetched | None:
        """A resource of a feed, None where it is what it was. Raises FetchFailed."""
        conditions = {
            header: validators[name]
            for name, header in (("etag", "If-None-Match"), ("last-modified", "If-Modified-Since"))
            if name in validators
        }
        for _ in range(REDIRECTS_AT_MOST + 1):
            found = await self._ask(poll, url, conditions)
            if not isinstance(found, str):
                return found
            url = found
        raise FetchFailed(f"{_shown(poll.url)} leads on for ever")

    async def _ask(self, poll: Poll, url: str, conditions: Mapping[str, str]) -> Fetched | str | None:
        """What one request comes to; where it leads to another URL, that. Raises FetchFailed."""
        sent = {**(poll.headers if _is_home(url, poll) else {}), **conditions}
        async with self._hosts.setdefault(urlsplit(url).netloc, asyncio.Lock()):
            try:
                async with self._session.get(url, headers=sent, allow_redirects=False) as response:
                    if response.status in _REDIRECTS and "Location" in response.headers:
                        return _next(url, response.headers["Location"], poll)
                    if response.status == 304:
                        return None
                    if response.status != 200:
                        pause = _retry_after(response.headers.get("Retry-After", ""))
                        raise FetchFailed(
                            f"{_shown(url)} answers {response.status} {response.reason or ''}".strip(), pause
                        )
                    data = await _body(response, poll.most_bytes, url)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise FetchFailed(f"{_shown(url)} cannot be fetched: {error or type(error).__name__}") from error
        known = {name: response.headers[name] for name in ("ETag", "Last-Modified") if name in response.headers}
        return Fetched(
            data, response.headers.get("Content-Type", ""), {key.lower(): each for key, each in known.items()}
        )


def fetching_session(user_agent: str) -> aiohttp.ClientSession:
    """The HTTP client of a Fetcher."""
    return aiohttp.ClientSession(
        headers={"User-Agent": user_agent}, timeout=aiohttp.ClientTimeout(total=FETCH_SECONDS, sock_connect=20)
    )


async def poll(poll: Poll, adapter: Adapter[Any], options: Options, door: Door, fetcher: Fetcher) -> None:
    """Hand over what is new, for ever."""
    failures = 0
    while True:
        pause = poll.every
        try:
            await round_of(poll, adapter, options, door, fetcher)
            failures = 0
            await door.checked()
        except FetchFailed as failure:
            failures += 1
            backed_off = min(poll.every * 2 ** min(failures - 1, 12), LONGEST_PAUSE)
            pause = max(poll.every, backed_off * random.uniform(0.75, 1.0), min(failure.pause, 24 * 3600.0))
            _LOG.warning("feed %s: %s; asked again in %.0f s", door.feed, failure, pause)
            await door.checked(str(failure))
        await asyncio.sleep(pause)


async def round_of(poll: Poll, adapter: Adapter[Any], options: Options, door: Door, fetcher: Fetcher) -> int:
    """Fetch once, and hand over what is new; how many inputs that were. Raises FetchFailed."""
    marks = await door.marks()
    validators = marks.get(_VALIDATORS, {})
    fetched = await fetcher.fetch(poll, poll.url, validators)
    if fetched is None:
        return 0
    digest = sha256(fetched.data).hexdigest()
    mark = {_VALIDATORS: {**fetched.validators, "sha256": digest}}
    if adapter.links is not None:
        return await _follow(poll, adapter, options, door, fetcher, fetched, mark)
    if validators.get("sha256") == digest:
        await door.set_marks(mark)
        return 0
    return await door.take([Intake(fetched.data, _shown(poll.url), now(), fetched.content_type, marks=mark)])


async def _follow(
    poll: Poll,
    adapter: Adapter[Any],
    options: Options,
    door: Door,
    fetcher: Fetcher,
    index: Fetched,
    mark: Mapping[str, Any],
) -> int:
    """Fetch what an index names and what was not fetched before. The index counts as seen when all of it was fetched."""
    if adapter.links is None:
        return 0
    try:
        links = adapter.links(index.data, Origin(poll.url, now(), poll.url, index.content_type), options)
    except Undecodable as refusal:
        raise FetchFailed(f"{_shown(poll.url)} is no index: {refusal}") from refusal
    taken = 0
    failure: FetchFailed | None = None
    found: dict[str, None] = {}
    for link in links:
        try:
            found[urljoin(poll.url, link)] = None
        except ValueError:
            failure = FetchFailed(f"the index names {link[:80]!r}, which is no URL")
    addresses = list(found)[:LINKS_AT_MOST]
    marks = await door.marks()
    for address in addresses:
        if _LINK + address in marks:
            continue
        if not _is_allowed(address, poll):
            failure = FetchFailed(f"the index names {_shown(address)}, whose host the feed does not allow (hosts)")
            continue
        await asyncio.sleep(poll.pause)
        try:
            fetched = await fetcher.fetch(poll, address, {})
        except FetchFailed as other:
            failure = other
            continue
        if fetched is not None:
            intake = Intake(fetched.data, _shown(address), now(), fetched.content_type, marks={_LINK + address: now()})
            taken += await door.take([intake])
    if failure is not None:
        raise failure
    named = {_LINK + address for address in addresses}
    await door.set_marks(mark, [name for name in marks if name.startswith(_LINK) and name not in named])
    return taken


def _next(url: str, location: str, poll: Poll) -> str:
    """The URL that a redirect leads to. Raises FetchFailed where the feed does not allow it."""
    try:
        target = urljoin(url, location)
    except ValueError:
        raise FetchFailed(f"{_shown(url)} leads to {location[:80]!r}, which is no URL") from None
    if not _is_allowed(target, poll):
        raise FetchFailed(f"{_shown(url)} leads to {_shown(target)}, whose host the feed does not allow (hosts)")
    return target


def _is_allowed(url: str, poll: Poll) -> bool:
    """Whether a link or a redirect may lead there."""
    there, home = _server(url), _server(poll.url)
    return there is not None and home is not None and there[1] in (home[1], *poll.hosts)


def _is_home(url: str, poll: Poll) -> bool:
    """Whether a URL is at the feed's own server, which may be told its headers; https instead of http is no worse."""
    there, home = _server(url), _server(poll.url)
    return there == home or (home is not None and there == ("https", home[1], 443))


def _server(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of a URL; None where HTTP cannot ask for it."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            return None
        return parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme]
    except ValueError:
        return None


async def _body(response: aiohttp.ClientResponse, most_bytes: int, url: str) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_chunked(1 << 16):
        body += chunk
        if len(body) > most_bytes:
            raise FetchFailed(f"{_shown(url)} is larger than {most_bytes} bytes")
    return bytes(body)


def _retry_after(text: str) -> float:
    """Seconds to wait, by a Retry-After header in either form."""
    if text.isdecimal():
        return float(text)
    try:
        return max((parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _shown(url: str) -> str:
    """A URL without what may be secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
