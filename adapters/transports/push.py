"""HTTP pushes: a door for each feed, POST /in/NAME, to which only those with a key may send.

The answer 202 means that the input is on disk. A sender that repeats a request whose answer was lost gives both the same
Idempotency-Key, and it counts once. Where too much waits the answer is 503 with Retry-After.
"""

import hmac
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from adapters.contract import OWN_PARAMETERS
from adapters.door import Door, now
from adapters.feeds import Push
from adapters.journal import Intake, JournalFailed
from adapters.quarantine import REPLAY_OF

RETRY_AFTER_SECONDS: Final = 1
REMEMBERED: Final = 100_000
"""Among how many inputs a key is looked for, as far as they are kept."""
_KEY_PARAMETERS: Final = ("k", "key", "api_key")
_NOT_FOR_SENDERS: Final = frozenset({*_KEY_PARAMETERS, REPLAY_OF})
"""Keys are not kept; and which record an input replays, only the quarantine says."""
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Receiver:
    """A feed's door for pushes."""

    push: Push
    door: Door


def push_application(receivers: Mapping[str, Receiver]) -> web.Application:
    """The web application with a door for each feed, by the feed's name."""

    async def receive(request: web.Request) -> web.Response:
        receiver = receivers.get(request.match_info["feed"])
        if receiver is None or not permitted(request, receiver.push.keys):
            # The same answer to both: who has no key does not learn which feeds there are.
            return _problem(401, "a key of this feed must be given", {"WWW-Authenticate": "Bearer"})
        if not receiver.door.has_room:
            return _problem(503, "too much is waiting", {"Retry-After": str(RETRY_AFTER_SECONDS)})
        if (request.content_length or 0) > receiver.push.most_bytes:
            return _problem(413, f"larger than {receiver.push.most_bytes} bytes")
        body = bytearray()
        async for chunk in request.content.iter_chunked(1 << 16):
            body += chunk
            if len(body) > receiver.push.most_bytes:
                return _problem(413, f"larger than {receiver.push.most_bytes} bytes")
        parameters = {
            name: value
            for name, value in request.query.items()
            if name not in _NOT_FOR_SENDERS and not name.startswith(OWN_PARAMETERS)
        }
        key = request.headers.get("Idempotency-Key")
        intake = Intake(
            bytes(body),
            f"push:{request.match_info['feed']}",
            now(),
            request.headers.get("Content-Type", ""),
            parameters,
            name=key,
            unless_among=REMEMBERED if key else 0,
        )
        try:
            new = await receiver.door.take([intake])
        except JournalFailed as error:
            _LOG.error("feed %s: %s", receiver.door.feed, error)
            return _problem(503, "the input cannot be put on disk", {"Retry-After": str(RETRY_AFTER_SECONDS)})
        return web.json_response({"accepted": True, "repeated": not new}, status=202)

    application = web.Application(client_max_size=1 << 62)
    application.router.add_post("/in/{feed}", receive)
    return application


def permitted(request: web.Request, keys: tuple[str, ...]) -> bool:
    """Whether a request gives one of the keys: as Bearer token, as X-Api-Key, or, for devices that can do no better, as ?k=."""
    given = [request.headers.get("X-Api-Key", ""), request.headers.get("Authorization", "").removeprefix("Bearer ")]
    given += [request.query.get(name, "") for name in _KEY_PARAMETERS]
    allowed = False
    for each in given:
        for key in keys:  # all of them, each in constant time
            allowed |= bool(each) and hmac.compare_digest(each.encode("utf-8", "surrogateescape"), key.encode())
    return allowed


def _problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response({"status": status, "detail": detail}, status=status, headers=headers)
