"""One request on its way through the HTTP binding: what every handler needs to know of it, and how it answers."""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from broker.errors import BadRequestData, InvalidRequest
from broker.http.conditions import precondition
from broker.http.documents import json_object, parse_json
from broker.http.message import Request, Response, json_body, kept
from broker.http.negotiation import (
    GEO_JSON,
    JSON,
    JSON_LD,
    body_type,
    context_header,
    context_link,
    negotiate,
    preferred_version,
    prefers_plain_body,
)
from broker.http.origins import Origins
from broker.http.parameters import Parameters
from broker.model.preconditions import Precondition
from broker.model.versions import Version, earlier, nearest
from broker.operations.broker import Broker
from broker.operations.receipts import Receipt

if TYPE_CHECKING:
    from broker.contexts.resolved import ResolvedContext

API_ROOT: Final = "/ngsi-ld/v1"
OWN_ROOT: Final = "/tsunagu/v1"
"""Where this broker's own resources are, which the standard does not know."""
TENANT_HEADER: Final = "NGSILD-Tenant"
SNAPSHOT_HEADER: Final = "NGSILD-Snapshot"
MIXED_CONTEXTS: Final = "Link: a JSON-LD body brings its own @context, the header may not name another (6.3.5)"

PLAIN_TYPES: Final = (JSON, JSON_LD)
ENTITY_TYPES: Final = (JSON, JSON_LD, GEO_JSON)


@dataclass(frozen=True, slots=True)
class PageSizes:
    """Bounds on paging: the page size without `limit`, and the largest that a client gets; attribute instances in one
    temporal answer."""

    default: int = 20
    maximum: int = 1000
    temporal: int = 1000


class Exchange:
    """A request with its parameters and tenant, and the answers that it can get.

    `tenant` is what everything below goes by: the tenant's name, or the key of the space of the snapshot that the request is
    about (broker.model.dataspace).
    """

    __slots__ = ("broker", "origins", "page_sizes", "parameters", "request", "tenant")

    def __init__(
        self,
        broker: Broker,
        request: Request,
        parameters: Parameters,
        page_sizes: PageSizes,
        origins: Origins = Origins(),
    ) -> None:
        self.broker = broker
        self.origins = origins
        self.request = request
        self.parameters = parameters
        self.page_sizes = page_sizes
        self.tenant = request.headers.get("ngsild-tenant", "")

    def receipted(self, receipt: Receipt) -> "Exchange":
        """The same exchange, whose operation has a receipt."""
        exchange = copy(self)
        exchange.broker = copy(self.broker)
        exchange.broker.receipt = receipt
        return exchange

    # --- what came in

    def variable(self, name: str) -> str:
        """A variable of the resource's path, percent-decoded."""
        return self.request.variables[name]

    def accepted(self, available: tuple[str, ...] = PLAIN_TYPES) -> str:
        """The media type to answer with (6.3.4)."""
        return negotiate(self.request.headers.get("accept"), available)

    def json(self) -> tuple[Any, bool]:
        """The JSON value of the body, and whether it came as JSON-LD; the preconditions of 6.3.4 are checked."""
        media_type = body_type(self.request.headers.get("content-type"), self.request.method)
        return parse_json(self.request.body), media_type == JSON_LD

    def version(self) -> Version | None:
        """The earlier version of NGSI-LD that entities are to be shown in (4.3.6.8), None for this broker's own."""
        wanted = preferred_version(self.request.headers.get("prefer"))
        return None if wanted is None else earlier(nearest(wanted))

    def precondition(self) -> Precondition:
        """What If-Match and If-None-Match ask of the entity. Raises BadRequestData."""
        return precondition(self.request.headers)

    async def context(self) -> "ResolvedContext":
        """The @context of a request without a body: from the Link header, or the default (6.3.5)."""
        return await self.broker.contexts.resolve(context_link(self.request.headers.get("link")))

    async def document(self) -> "tuple[dict[str, Any], ResolvedContext]":
        """The body as a JSON object, without its @context, and the @context that applies to it (6.3.5)."""
        value, is_json_ld = self.json()
        return await self.document_of(json_object(value), is_json_ld)

    async def document_of(self, document: dict[str, Any], is_json_ld: bool) -> "tuple[dict[str, Any], ResolvedContext]":
        """The same for one element of a batch."""
        link = context_link(self.request.headers.get("link"))
        if is_json_ld:
            if link is not None:
                raise BadRequestData(MIXED_CONTEXTS)
            if "@context" not in document:
                raise BadRequestData("@context: an application/ld+json body must contain one")
            context = document["@context"]
            document = {member: value for member, value in document.items() if member != "@context"}
            if context is None:
                raise BadRequestData("@context: null is not a JSON-LD @context")
            return document, await self.broker.contexts.resolve(context)
        if "@context" in document:
            raise BadRequestData("@context: an application/json body may not contain one; use the Link header")
        return document, await self.broker.contexts.resolve(link)

    # --- what goes out

    def answers(self, respond: Callable[[Any], Response]) -> Callable[[Any], Response]:
        """Say how the result of the operation becomes the answer, before it is carried out; see `broker.http.idempotency`."""
        if (receipt := self.broker.receipt) is not None:
            receipt.answer = lambda result: kept(respond(result))
        return respond

    async def answer_entities(
        self, shown: "Rendered", context: "ResolvedContext", media_type: str, status: int = 200
    ) -> Response:
        """Entities in the version that was asked for: 203 instead of 200 where that made a difference (table 6.4.3.2-3)."""
        if shown.altered and status == 200:
            status = 203
        return await self.answer(shown.payload, context, media_type, status)

    async def answer_array(self, body: bytes, context: "ResolvedContext") -> Response:
        """Entities that are JSON text already, where no earlier version was asked for."""
        link = await self.broker.contexts.link_for(context, self.tenant)
        headers = {"Content-Type": JSON, "Link": context_header(link)}
        self._say_version(headers)
        return Response(200, headers, body)

    async def answer(self, payload: Any, context: "ResolvedContext", media_type: str, status: int = 200) -> Response:
        """A payload with its @context where 6.3.6 wants it: in the Link header, or in each object of the body.

        Who prefers a version is told which one it conforms to. Only entities differ between versions (4.3.6.8): anything else
        conforms to any of them as it is.
        """
        response = await self._answer(payload, context, media_type, status)
        self._say_version(response.headers)
        return response

    def _say_version(self, headers: dict[str, str]) -> None:
        wanted = preferred_version(self.request.headers.get("prefer"))
        if wanted is not None:
            headers["Preference-Applied"] = "ngsi-ld={}.{}".format(*nearest(wanted))

    async def _answer(self, payload: Any, context: "ResolvedContext", media_type: str, status: int) -> Response:
        if media_type == JSON:
            headers = {
                "Content-Type": JSON,
                "Link": context_header(await self.broker.contexts.link_for(context, self.tenant)),
            }
            return Response(status, headers, json_body(payload))
        if media_type == GEO_JSON:
            headers = {"Content-Type": GEO_JSON}
            if prefers_plain_body(self.request.headers.get("prefer")):
                headers["Link"] = context_header(await self.broker.contexts.link_for(context, self.tenant))
            else:
                payload = with_context(payload, context)
            return Response(status, headers, json_body(payload))
        body = (
            [with_context(element, context) for element in payload]
            if isinstance(payload, list)
            else with_context(payload, context)
        )
        return Response(status, {"Content-Type": JSON_LD}, json_body(body))


@dataclass(frozen=True, slots=True)
class Rendered:
    """Entities as they go out; in which earlier `version` of NGSI-LD, and whether its payload is another one for that."""

    payload: Any
    version: Version | None = None
    altered: bool = False


def with_context(payload: dict[str, Any], context: "ResolvedContext") -> dict[str, Any]:
    """A JSON-LD object with its @context as the last member."""
    return {**payload, "@context": context.payload}


def json_answer(payload: Any, status: int = 200) -> Response:
    """A plain JSON answer without an @context: results of batches and partial updates (6.3.6)."""
    return Response(status, {"Content-Type": JSON}, json_body(payload))


def no_content() -> Response:
    """204, without a body."""
    return Response(204)


def created(path: str) -> Response:
    """201 with the relative path of the new resource."""
    return Response(201, {"Location": path})


def check_tenant_name(tenant: str | None) -> None:
    """A tenant is any short printable string (5.5.10). Raises BadRequestData."""
    if tenant is None:
        return
    if not tenant or len(tenant) > 256 or not tenant.isprintable():
        raise BadRequestData(f"{TENANT_HEADER}: a tenant is a non-empty printable string of at most 256 characters")


def local_scope(parameters: Parameters) -> bool:
    """Whether the request limits itself to this broker (6.3.18). `splitEntities` only matters to a new EntityMap (5.14.4)."""
    parameters.flag("splitEntities")
    return parameters.flag("local") or False


def check_join_parameters(parameters: Parameters) -> tuple[str | None, int]:
    """`join` and `joinLevel` (4.5.23): (None, "flat" or "inline"; levels). Raises BadRequestData, InvalidRequest."""
    join = parameters.text("join")
    if join not in (None, "flat", "inline", "@none"):
        raise InvalidRequest(f"join={join} is not one of flat, inline, @none")
    level = parameters.number("joinLevel", minimum=1)
    if join in (None, "@none"):
        return None, 0
    return join, level or 1
