"""Idempotency-Key on POST and PATCH (the IETF draft of that name): a request that is repeated has one effect. An extension.

The same key with the same request gets the answer that the first one got; with another request, 422; while the first is
under way, 409. What is a request: method, path, query, tenant, body, and the headers that say how the body is to be read and
under which conditions. `broker.operations.receipts` says what is on record, docs/extensions.md what is promised.
"""

import re
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Final

from broker.errors import BadRequestData, Conflict, NgsiLdError, SourceRefused
from broker.http.exchange import Exchange
from broker.http.message import Request, Response, kept
from broker.http.problem import UnderWay, UnknownOutcome, WrongRepetition, problem_response
from broker.model.entity import JsonObject
from broker.model.instants import parse_instant
from broker.operations.receipts import Receipt, Receipts
from broker.store.protocol import DocumentExists

HEADER: Final = "Idempotency-Key"
METHODS: Final = frozenset({"POST", "PATCH"})
LONGEST_KEY: Final = 255
PATIENCE_SECONDS: Final = 60.0
"""How long a claim may be another process's that is still at work."""

_QUOTED: Final = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_BARE: Final = re.compile(r"[!#-+\--~]+")
_ESCAPE: Final = re.compile(r"\\(.)")
_PART_OF_THE_REQUEST: Final = ("content-type", "link", "prefer", "if-match", "if-none-match")


def parse_key(text: str) -> str:
    """The key, which the draft wants in double quotes and many clients send without. Raises BadRequestData."""
    text = text.strip(" \t")
    if (quoted := _QUOTED.fullmatch(text)) is not None:
        key = _ESCAPE.sub(r"\1", quoted[1])
    else:
        key = text if _BARE.fullmatch(text) is not None else ""
    if not 0 < len(key) <= LONGEST_KEY:
        raise BadRequestData(
            f"{HEADER}: not a string of 1 to {LONGEST_KEY} printable ASCII characters in double quotes: {text[:300]!r}"
        )
    return key


def fingerprint(request: Request) -> str:
    """What tells a request from any other one with its key, which is the tenant's own."""
    parts = [request.method, request.path, *(f"{name}={value}" for name, value in request.query)]
    parts += [f"{name}: {request.headers.get(name)}" for name in _PART_OF_THE_REQUEST]
    digest = sha256()
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(b"%d:%b" % (len(encoded), encoded))
    digest.update(request.body)
    return digest.hexdigest()


class Idempotency:
    """Carries out requests with a key, each once."""

    def __init__(self, receipts: Receipts, now: Callable[[], str]) -> None:
        self._receipts = receipts
        self._now = now
        self._under_way: dict[tuple[str, str], str] = {}

    async def answer(
        self, handler: Callable[[Exchange], Awaitable[Response]], exchange: Exchange, *, committed: bool
    ) -> Response:
        """The answer to a request, from `handler` or from the record. `committed`: the operation is one commit.

        Raises BadRequestData, WrongRepetition, UnderWay, UnknownOutcome, and any error of which there is no record.
        """
        key = parse_key(exchange.request.headers[HEADER.lower()])
        receipt = Receipt(exchange.tenant, key, fingerprint(exchange.request), self._now)
        place = receipt.tenant, key
        if (other := self._under_way.get(place)) is not None:
            if other != receipt.request:
                raise _reused(key)
            raise _under_way(key)
        self._under_way[place] = receipt.request
        try:
            if (found := await self._receipts.find(*place)) is not None:
                return self._repeated(receipt, found)
            if committed:
                return await self._once(handler, exchange.receipted(receipt), receipt)
            if not await self._receipts.claim(receipt):
                return await self._other(receipt)
            return await self._apart(handler, exchange, receipt)
        finally:
            del self._under_way[place]

    async def _once(
        self, handler: Callable[[Exchange], Awaitable[Response]], exchange: Exchange, receipt: Receipt
    ) -> Response:
        """Carry out one commit with the receipt in it, or, where it came to none, put the receipt on record afterwards."""
        try:
            response = await _settled(handler, exchange)
        except DocumentExists:  # another process carried it out meanwhile
            return await self._other(receipt)
        answer = kept(response)
        if receipt.planned == answer:
            self._receipts.note(receipt, answer)
        elif response.status < 500 and not await self._receipts.keep(receipt, answer, claimed=False):
            return await self._other(receipt)
        return response

    async def _apart(
        self, handler: Callable[[Exchange], Awaitable[Response]], exchange: Exchange, receipt: Receipt
    ) -> Response:
        """Carry out any other operation, after a claim. A claim that stays is that of a process which died."""
        try:
            response = await _settled(handler, exchange)
        except Exception:
            await self._receipts.drop(receipt.tenant, receipt.key)
            raise
        if response.status >= 500:
            await self._receipts.drop(receipt.tenant, receipt.key)
        else:
            await self._receipts.keep(receipt, kept(response), claimed=True)
        return response

    async def _other(self, receipt: Receipt) -> Response:
        """The answer where somebody else was found to have used the key meanwhile."""
        found = await self._receipts.find(receipt.tenant, receipt.key)
        if found is None:
            raise _under_way(receipt.key)  # and has given it up since: now there is room for another attempt
        return self._repeated(receipt, found)

    def _repeated(self, receipt: Receipt, found: JsonObject) -> Response:
        if found["request"] != receipt.request:
            raise _reused(receipt.key)
        answer = found["answer"]
        if answer is None:
            age = parse_instant(self._now()) - parse_instant(found["at"])
            if age.total_seconds() < PATIENCE_SECONDS:
                raise _under_way(receipt.key)
            raise UnknownOutcome(
                f"{HEADER}: the broker ended while the request with key {receipt.key!r} was under way, and cannot tell "
                "whether it was carried out: look, and repeat it with another key where it was not"
            )
        if answer["body"] is None:
            raise UnknownOutcome(
                f"{HEADER}: the request with key {receipt.key!r} was carried out and answered with {answer['status']}; "
                "the answer was too large to be kept"
            )
        return Response(answer["status"], dict(answer["headers"]), answer["body"].encode())


async def _settled(handler: Callable[[Exchange], Awaitable[Response]], exchange: Exchange) -> Response:
    """The answer of a handler, also where it is an error. A Conflict may be gone the next time, and what a
    source refused it may take then: there is no answer to keep."""
    try:
        return await handler(exchange)
    except (Conflict, SourceRefused):
        raise
    except NgsiLdError as error:
        if error.status >= 500:
            raise
        return problem_response(error)


def _reused(key: str) -> WrongRepetition:
    return WrongRepetition(f"{HEADER}: {key!r} was the key of another request: each request needs a key of its own")


def _under_way(key: str) -> UnderWay:
    return UnderWay(f"{HEADER}: the request with key {key!r} is still under way")
