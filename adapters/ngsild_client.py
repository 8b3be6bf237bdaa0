"""An asynchronous NGSI-LD client for adapters: read, batch upsert, delete attributes, subscribe, over HTTP, to any broker.

Requests are safe to repeat (upserts and reads), so a broker that is busy (429, 502, 503, 504) or drops the connection is
asked again after a growing, jittered pause; `Retry-After` is obeyed. An upsert carries an Idempotency-Key: with a broker that
knows it, one that had its effect before the connection broke has it no second time. Bodies carry full IRIs and no
@context (see `adapters.wire`).
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote
from uuid import uuid4

import aiohttp
import orjson

from adapters.contract import Entity
from adapters.errors import BrokerRefused, BrokerUnreachable, OutcomeUnknown

BATCH: Final = 500
"""Entities in one request at most: a commit costs a broker as much as many entities do."""

_PAGE: Final = 500
_TRY_AGAIN: Final = frozenset([429, 502, 503, 504])
_OF_BODY: Final = frozenset([400, 413, 422])
_IDS_AT_MOST: Final = 50
_URL_AT_MOST: Final = 6000
_LONGEST_PAUSE: Final = 30.0
_MOMENT: Final = timedelta(microseconds=1)


T = TypeVar("T")


class NgsiLdClient:
    """One broker and one tenant. Use it as an asynchronous context manager.

    `attempts` is how often a request is made before the broker counts as unreachable, `pause` the first pause in seconds,
    `timeout` how long one attempt may take.
    """

    def __init__(
        self,
        broker_url: str,
        *,
        tenant: str | None = None,
        attempts: int = 6,
        pause: float = 0.2,
        timeout: float = 60.0,
    ) -> None:
        self.broker_url = broker_url.rstrip("/")
        if not self.broker_url.startswith(("http://", "https://")):
            raise BrokerUnreachable(f"{broker_url!r} is no broker URL; it must begin with http:// or https://.")
        self._base = self.broker_url.removesuffix("/ngsi-ld/v1") + "/ngsi-ld/v1"
        self._headers = {"NGSILD-Tenant": tenant} if tenant else {}
        self._attempts = attempts
        self._pause = pause
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=self._timeout, headers=self._headers)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def entities(self, entity_type: str, ids: Sequence[str]) -> dict[str, Entity]:
        """Those of some entities that the broker has, by id (5.7.2), with names that need no @context.

        `entity_type` is an IRI. An unknown tenant has no entities.
        """
        found: dict[str, Entity] = {}
        for group in portions(ids, _length_in_url, _IDS_AT_MOST, _URL_AT_MOST):
            parameters = {"type": entity_type, "id": ",".join(group), "limit": str(len(group))}
            status, body = await self._request("GET", "/entities", params=parameters, allowed=(200, 404))
            if status == 200:
                found.update((entity["id"], entity) for entity in body)
        return found

    async def entities_of_type(self, entity_type: str) -> AsyncIterator[Entity]:
        """All entities of a type, an IRI (5.7.2), page by page, with names that need no @context; an unknown tenant has none."""
        offset = 0
        while True:
            parameters = {"type": entity_type, "limit": str(_PAGE), "offset": str(offset)}
            status, body = await self._request("GET", "/entities", params=parameters, allowed=(200, 404))
            found = body if status == 200 else []
            for entity in found:
                yield entity
            if len(found) < _PAGE:
                return
            offset += len(found)

    async def upsert(self, entities: Sequence[Entity], *, key: str | None = None) -> dict[str, str]:
        """Create entities, or overwrite those attributes of existing ones that are given (5.6.8, update mode).

        The answer is the reason for each id that failed (5.2.16); the others are done. `key` is this upsert's own, visible
        ASCII characters without quotes and backslashes; without it, one is made. What is sent becomes a part of it.
        """
        if not entities:
            return {}
        status, body = await self._request(
            "POST",
            "/entityOperations/upsert",
            params={"options": "update"},
            body=list(entities),
            key=key or str(uuid4()),
            allowed=(200, 201, 204, 207),
        )
        if status != 207:
            return {}
        return {error["entityId"]: _reason(error.get("error")) for error in body.get("errors", ())}

    async def create(self, entities: Sequence[Entity], *, key: str | None = None) -> dict[str, str]:
        """Create entities (5.6.7); the answer is the reason for each id that failed, because it was there already, or another.

        It costs a broker less than an upsert, which has to be ready for both.
        """
        if not entities:
            return {}
        status, body = await self._request(
            "POST",
            "/entityOperations/create",
            body=list(entities),
            key=key or str(uuid4()),
            allowed=(201, 207),
        )
        if status != 207:
            return {}
        return {error["entityId"]: _reason(error.get("error")) for error in body.get("errors", ())}

    async def delete_entities(self, ids: Sequence[str], *, key: str | None = None) -> dict[str, str]:
        """Delete entities (5.6.10), and give the reason for each id that failed; those that are not there are gone already."""
        if not ids:
            return {}
        status, body = await self._request(
            "POST", "/entityOperations/delete", body=list(ids), key=key or str(uuid4()), allowed=(204, 207)
        )
        errors = body.get("errors", ()) if status == 207 else ()
        return {
            error["entityId"]: _reason(error.get("error"))
            for error in errors
            if not str((error.get("error") or {}).get("type", "")).endswith("ResourceNotFound")
        }

    async def history(self, entity_id: str, names: Iterable[str], first: str, last: str) -> dict[str, list[Any]]:
        """The instances of an entity's attributes (wire names), observed from `first` to `last`, both included (5.7.3)."""
        found: dict[str, list[Any]] = {}
        after, end = _instant(first) - _MOMENT, _text(_instant(last) + _MOMENT)
        while True:
            parameters = {
                "attrs": ",".join(names),
                "timerel": "between",
                "timeproperty": "observedAt",
                "timeAt": _text(after),
                "endTimeAt": end,
            }
            path = f"/temporal/entities/{quote(entity_id, safe='')}"
            status, body = await self._request("GET", path, params=parameters, allowed=(200, 206, 404))
            newest = after
            for name, instances in (body if status != 404 else {}).items():
                if name not in ("id", "type", "@context"):
                    listed = instances if isinstance(instances, list) else [instances]
                    found.setdefault(name, []).extend(each for each in listed if each not in found[name])
                    newest = max([newest, *(_instant(each["observedAt"]) for each in listed if "observedAt" in each)])
            if status != 206 or newest <= after:
                return found
            after = newest - _MOMENT  # there may be more of that very instant

    async def append_history(self, evolution: Mapping[str, Any], *, key: str | None = None) -> None:
        """Add instances to the history of an entity, without touching its state (5.6.11)."""
        await self._request(
            "POST", "/temporal/entities", body=dict(evolution), key=key or str(uuid4()), allowed=(201, 204)
        )

    async def delete_attribute(self, entity_id: str, name: str) -> None:
        """Delete an attribute of an entity (5.6.5); one that is not there is gone already."""
        path = f"/entities/{quote(entity_id, safe='')}/attrs/{quote(name, safe='')}"
        await self._request("DELETE", path, allowed=(204, 404))

    async def satisfying(self, entity_id: str, q: str, *, context: str = "") -> Mapping[str, Any] | None:
        """The entity of that id, with its sysAttrs, if the broker itself has it and a query holds for it (5.7.2); else None.

        `context`: URL of the @context of the names, in the query and in the answer.
        """
        link = f'<{context}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"'
        status, body = await self._request(
            "GET",
            "/entities",
            params={"id": entity_id, "q": q, "local": "true", "limit": "1", "options": "sysAttrs"},
            headers={"Link": link} if context else {},
            allowed=(200, 404),
        )
        found = body if status == 200 and isinstance(body, list) else []
        return next((each for each in found if isinstance(each, dict) and each.get("id") == entity_id), None)

    async def alias(self) -> str:
        """The broker's pseudonym in Via headers (5.2.40); empty where it does not say."""
        status, body = await self._request("GET", "/info/sourceIdentity", allowed=(200, 404))
        return str(body.get("contextSourceAlias") or "") if status == 200 and isinstance(body, dict) else ""

    async def registration(self, registration_id: str) -> Mapping[str, Any] | None:
        """A context source registration (5.10.1), None where there is none."""
        path = f"/csourceRegistrations/{quote(registration_id, safe='')}"
        status, body = await self._request("GET", path, allowed=(200, 404))
        return body if status == 200 and isinstance(body, dict) else None

    async def register(self, registration: Mapping[str, Any]) -> None:
        """Register a context source under an id that the caller has chosen (5.9.2), or change what has that id (5.9.3).

        There is no moment without it in between. Raises BrokerRefused where something else stands in its way.
        """
        status, body = await self._request("POST", "/csourceRegistrations", body=dict(registration), allowed=(201, 409))
        if status == 201:
            return
        path = f"/csourceRegistrations/{quote(registration['id'], safe='')}"
        fragment = {name: value for name, value in registration.items() if name != "id"}
        status, _ = await self._request("PATCH", path, body=fragment, allowed=(204, 404))
        if status == 404:
            raise BrokerRefused(f"The broker refused a registration: {_reason(body)}.")

    async def unregister(self, registration_id: str) -> None:
        """Delete a registration (5.9.4); one that is not there is gone already."""
        await self._request("DELETE", f"/csourceRegistrations/{quote(registration_id, safe='')}", allowed=(204, 404))

    async def subscribe(self, subscription: Mapping[str, Any]) -> None:
        """Create a subscription (5.8.1) whose id the caller has chosen; one that an earlier attempt made is there."""
        await self._request("POST", "/subscriptions", body=dict(subscription), allowed=(201, 409))

    async def unsubscribe(self, subscription_id: str) -> None:
        """Delete a subscription (5.8.5); one that is not there is gone already."""
        await self._request("DELETE", f"/subscriptions/{quote(subscription_id, safe='')}", allowed=(204, 404))

    async def _request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: Any = None,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        allowed: Iterable[int],
    ) -> tuple[int, Any]:
        """The status and JSON body of an answer. Raises BrokerUnreachable, BrokerRefused."""
        try:
            data = None if body is None else orjson.dumps(body)
        except (
            TypeError
        ) as error:  # a number above 64 bits, a lone surrogate, too many levels: no request could carry it
            raise BrokerRefused(f"{method} {path} cannot be written as JSON: {error}.", of_body=True) from error
        sent = {
            "Accept": "application/json",
            **({"Content-Type": "application/json"} if data else {}),
            **(headers or {}),
        }
        if key is not None:
            # The same place with other content is another request.
            sent["Idempotency-Key"] = f'"{key}/{sha256(data or b"").hexdigest()[:24]}"'
        trouble = ""
        async for _ in self._pauses():
            try:
                status, answer, retry_after = await self._once(method, self._base + path, params, data, sent)
            except (aiohttp.ClientError, TimeoutError) as error:
                trouble = str(error) or type(error).__name__
                continue
            under_way = status == 409 and key is not None and retry_after is not None
            if status not in _TRY_AGAIN and not under_way:
                if status in allowed:
                    return status, answer
                if status == 409 and key is not None:
                    raise OutcomeUnknown(f"The broker cannot tell what became of {method} {path}: {_reason(answer)}.")
                raise BrokerRefused(
                    f"The broker refused {method} {path}: {status} {_reason(answer)}.",
                    of_body=data is not None and status in _OF_BODY,
                )
            trouble = f"it answers {status} {_reason(answer)}"
            await asyncio.sleep(min(retry_after or 0.0, _LONGEST_PAUSE))
        raise BrokerUnreachable(f"The broker at {self.broker_url} cannot be reached: {trouble}.")

    async def _once(
        self, method: str, url: str, params: Mapping[str, str] | None, data: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, Any, float | None]:
        if self._session is None:
            raise RuntimeError("NgsiLdClient is used outside its `async with` block")
        async with self._session.request(method, url, params=params, data=data, headers=headers) as response:
            raw = await response.read()
            retry_after = response.headers.get("Retry-After", "")
            return response.status, _json(raw), float(retry_after) if retry_after.isdecimal() else None

    async def _pauses(self) -> AsyncIterator[int]:
        """One turn for each attempt, with growing, jittered pauses between them."""
        for attempt in range(self._attempts):
            if attempt:
                longest = min(self._pause * 2 ** (attempt - 1), _LONGEST_PAUSE)
                await asyncio.sleep(longest * random.uniform(0.5, 1.0))
            yield attempt


def portions(each_of: Iterable[T], weigh: Callable[[T], int], most: int, heaviest: int) -> Iterator[list[T]]:
    """Items in order, in portions of so many and of such a weight together at most; one that is heavier by itself is alone."""
    portion: list[T] = []
    weight = 0
    for each in each_of:
        added = weigh(each)
        if portion and (len(portion) == most or weight + added > heaviest):
            yield portion
            portion, weight = [], 0
        portion.append(each)
        weight += added
    if portion:
        yield portion


def _length_in_url(entity_id: str) -> int:
    return len(quote(entity_id, safe=":")) + 3


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _text(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _json(raw: bytes) -> Any:
    try:
        return orjson.loads(raw) if raw else None
    except orjson.JSONDecodeError:
        return None


def _reason(problem: Any) -> str:
    """The reason in a ProblemDetails body (5.5.3), as one phrase."""
    if isinstance(problem, dict):
        return str(problem.get("detail") or problem.get("title") or problem.get("type") or "")
    return "" if problem is None else str(problem)
