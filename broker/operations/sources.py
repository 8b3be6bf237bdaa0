"""Updates of attributes that other sources hold: told to the sources, and what became of it (4.3.6, 6.3.17).

The standard binds outcomes of the only source of an attribute to status codes: 404 where it knows no such thing, 504 where it
does not answer in time, 508 for a loop, 502 for anything else; the source's own words are in the answer. A registration may ask
that its source's refusals reach the client as they are (`broker.federation.forwarding.RELAYS`), as they are meant for it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias
from urllib.parse import urlencode

import orjson

from broker.contexts.library import ContextLibrary
from broker.egress.error import EgressError
from broker.egress.http import OutboundHttp
from broker.errors import (
    Conflict,
    LoopDetected,
    NgsiLdError,
    ResourceNotFound,
    SourceFailed,
    SourceRefused,
    SourceTimedOut,
)
from broker.federation.forwarding import (
    RELAYS,
    Share,
    encountered_aliases,
    renamed_fragment,
    renamed_instance,
    shares,
    source_headers,
    source_url,
)
from broker.federation.identity import SourceIdentity
from broker.federation.registration import Registration
from broker.federation.registry import ContextRegistry
from broker.model.change import Change
from broker.model.entity import Entity, Names
from broker.model.patches import Patched
from broker.query.ast import TypeSelection
from broker.store.plan import Decision
from broker.store.writer import Judge

TIMEOUT_SECONDS: Final = 10.0
"""How long a source may take to answer whose registration says nothing of it."""
LONGEST_TIMEOUT_SECONDS: Final = 60.0
_TARGET: Final = frozenset({"id", "@id", "type", "@type"})
"""What says which entity an update is about."""


Read: TypeAlias = Callable[[str, str], Awaitable[Entity | None]]
"""The state of an entity, by tenant and id, None where there is none."""


@dataclass(frozen=True, slots=True)
class Update:
    """An update as a client asked for it: the operation's name (4.20), HTTP method, target, parameters and headers (lower-case).

    `attribute` is the IRI of the one that the path names; else the body is a fragment of attributes by name.
    """

    operation: str
    method: str
    entity_id: str
    types: TypeSelection | None
    document: Mapping[str, Any]
    names: Names
    headers: Mapping[str, str]
    parameters: Sequence[tuple[str, str]] = ()
    attribute: str | None = None
    simplified: bool = False


@dataclass(slots=True)
class Told:
    """What became of what sources were told: attributes (IRIs) that they took, and the error of each that was not."""

    updated: list[str] = field(default_factory=list)
    failed: dict[str, tuple[NgsiLdError, str]] = field(default_factory=dict)


class Sources:
    """Calls registered sources."""

    def __init__(
        self,
        registry: ContextRegistry,
        http: OutboundHttp,
        contexts: ContextLibrary,
        identity: SourceIdentity,
        read: Read,
    ) -> None:
        """`read` gives the state of an entity that is held here."""
        self._registry = registry
        self._read = read
        self._http = http
        self._contexts = contexts
        self._identity = identity

    async def concerned(self, tenant: str, update: Update, attributes: Sequence[str]) -> list[Share]:
        """Whose attributes an update is about, besides the broker's own.

        An update need not say the types of its entity. Where the entity is here, they are known all the same: what is registered
        for other types is none of its business, whatever the ids.
        """
        registrations = self._registry.proxied(tenant, update.entity_id)
        if not registrations:
            return []
        types = update.types
        if types is None and (held := await self._read(tenant, update.entity_id)) is not None:
            types = TypeSelection(tuple((each,) for each in held["type"]))
        encountered = encountered_aliases(update.headers.get("via"))
        return shares(registrations, update.operation, update.entity_id, types, attributes, encountered)

    async def tell(self, tenant: str, update: Update, concerned: Sequence[Share]) -> Told:
        """Tell each source its share; every outcome is in the answer."""
        outcomes = await asyncio.gather(*(self._told(tenant, update, share) for share in concerned))
        told = Told()
        for share, error in zip(concerned, outcomes, strict=True):
            for iri in sorted(share.attributes):
                if error is not None:
                    told.failed.setdefault(iri, (error, share.registration.id))
                elif iri not in told.updated:
                    told.updated.append(iri)
        told.updated = [iri for iri in told.updated if iri not in told.failed]
        return told

    async def _told(self, tenant: str, update: Update, share: Share) -> NgsiLdError | None:
        registration = share.registration
        if not share.supported:
            return Conflict(
                f"{', '.join(sorted(share.attributes))}: held by the source of registration {registration.id},"
                f" which does not take {update.operation} (4.3.6.3)",
                instance=update.entity_id,
                registrationId=registration.id,
            )
        try:
            return await self._asked(tenant, update, share)
        except NgsiLdError as error:
            return error

    async def _asked(self, tenant: str, update: Update, share: Share) -> NgsiLdError | None:
        registration = share.registration
        alias = self._identity.alias_of(tenant)
        if alias in encountered_aliases(update.headers.get("via")):
            return LoopDetected(f"the request came by way of this broker ({alias}) before: Via says so (6.3.18)")
        if share.encountered:
            return LoopDetected(
                f"the request came by way of the source of registration {registration.id}: Via says so (6.3.18)",
                instance=update.entity_id,
                registrationId=registration.id,
            )
        info = {pair["key"]: pair["value"] for pair in registration.document.get("contextSourceInfo", ())}
        context = await self._contexts.resolve(info.get("jsonldContext"))
        link = None
        if "jsonldContext" in info:
            link = f'<{info["jsonldContext"]}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"'

        def rename(name: str) -> str:
            return context.names.compact(update.names.expand(name))

        path = ["entities", update.entity_id, "attrs"]
        if update.operation == "mergeEntity":
            path.pop()
        if update.attribute is not None:
            path.append(context.names.compact(update.attribute))
            body = renamed_instance(update.document, rename)
        else:
            part = {
                name: value for name, value in update.document.items() if update.names.expand(name) in share.attributes
            }
            body = renamed_fragment(part, rename, simplified=update.simplified)
        headers = source_headers(registration, update.headers, alias, link)
        if headers["Content-Type"] == "application/ld+json":
            body["@context"] = context.payload
        management = registration.document.get("management", {})
        parameters = [*update.parameters, *([("local", "true")] if management.get("localOnly") else [])]
        url = source_url(registration, path, urlencode(parameters))
        seconds = management.get("timeout")
        timeout = min(TIMEOUT_SECONDS if seconds is None else seconds / 1000, LONGEST_TIMEOUT_SECONDS)
        try:
            answer = await self._http.send(update.method, url, orjson.dumps(body), headers, timeout)
        except EgressError as error:
            said = f"the source of registration {registration.id} {_trouble(error)}"
            failure = SourceTimedOut if error.reason == "timeout" else SourceFailed
            return failure(said, instance=update.entity_id, registrationId=registration.id)
        if 200 <= answer.status < 300 and answer.status != 207:
            return None
        return _refusal(registration, update.entity_id, answer.status, answer.body)


def _trouble(error: EgressError) -> str:
    """What went wrong, without the URL, which may be nobody's business."""
    return {
        "refused": "cannot be reached",
        "dns": "has a host that does not resolve",
        "timeout": "did not answer in time",
        "tls": "cannot be trusted (TLS)",
        "forbidden": "is not allowed by the egress policy",
    }.get(error.reason, "did not answer as an HTTP server does")


def _refusal(registration: Registration, entity_id: str, status: int, body: bytes) -> NgsiLdError:
    try:
        parsed = orjson.loads(body)
        orjson.dumps(parsed)  # it reads documents that nest deeper than it writes
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        parsed = None
    problem: dict[str, Any] = parsed if isinstance(parsed, dict) else {}
    reason = str(problem.get("detail") or problem.get("title") or "")
    if status == 207:
        left = problem.get("notUpdated")
        reason = (
            "; ".join(str(each.get("reason", "")) for each in left if isinstance(each, dict))
            if isinstance(left, list)
            else ""
        )
        reason = reason or "it did a part of it only"
    if 400 <= status < 500 and registration.document.get(RELAYS) is True:
        said = reason or f"the source answered {status}"
        return SourceRefused(status, problem, said, instance=entity_id, registration=registration.id)
    told = f"the source of registration {registration.id} answered {status}" + (f": {reason}" if reason else "")
    about = {
        "registrationId": registration.id,
        "sourceStatus": status,
        **({"sourceProblem": problem} if problem else {}),
    }
    if status == 404:
        return ResourceNotFound(told, instance=entity_id, **about)
    if status == 508:
        return LoopDetected(told, instance=entity_id, **about)
    return SourceFailed(told, instance=entity_id, **about)


async def distribute(
    sources: Sources,
    tenant: str,
    update: Update,
    attributes: Sequence[str],
    concerned: Sequence[Share],
    locally: Callable[[Mapping[str, Any], Told], Awaitable[Patched]],
) -> tuple[Patched, Told]:
    """Carry out an update where its attributes are held: `locally` for the part that no source has.

    The outcome of the local part, empty where there was none, and of the others. Raises what the only failure raises where
    nothing was updated at all.
    """
    if not concerned:
        told = Told()
        return await locally(update.document, told), told
    told = await sources.tell(tenant, update, concerned)
    elsewhere = frozenset().union(*(share.attributes for share in concerned))
    rest = {name: value for name, value in update.document.items() if update.names.expand(name) not in elsewhere}
    patched = Patched(None)
    remains = update.attribute is None and not rest.keys() <= _TARGET
    if remains:
        try:
            patched = await locally(rest, told)
        except NgsiLdError as error:
            if not told.updated:
                raise
            left = [iri for iri in attributes if iri not in elsewhere] or [name for name in rest if name not in _TARGET]
            told.failed |= dict.fromkeys(left, (error, ""))  # such as the scope: never a success that was none
    if told.failed and not told.updated and not patched.updated and not patched.touched:
        raise next(iter(told.failed.values()))[0]
    return patched, told


def keeping_out(registry: ContextRegistry, inner: Judge | None) -> Judge:
    """A judge of all writes: what an exclusive registration covers is never held here, by whatever operation (4.3.6.3)."""

    def judge(tenant: str, decide: Decision) -> Decision:
        judged = decide if inner is None else inner(tenant, decide)
        if not registry.has_proxied(tenant):
            return judged

        def decided(current: Entity | None) -> Change | None:
            change = judged(current)
            if change is not None and change.after is not None and change.kind != "entityLoaded":
                _check(registry, tenant, change.after, current)
            return change

        return decided

    return judge


def _check(registry: ContextRegistry, tenant: str, after: Entity, before: Entity | None) -> None:
    known = {} if before is None else before["attrs"]
    new = {iri for iri, instances in after["attrs"].items() if known.get(iri) is not instances}
    if not new:
        return
    for registration in registry.proxied(tenant, after["id"]):
        for info in registration.information if registration.mode == "exclusive" else ():
            taken = info.attributes & new
            if taken and any(entity.id == after["id"] for entity in info.entities):
                raise Conflict(
                    f"{', '.join(sorted(taken))}: held by the source of registration {registration.id} only; this operation"
                    " cannot reach it, an update of the attribute can (4.3.6.3)",
                    instance=after["id"],
                    registrationId=registration.id,
                )
