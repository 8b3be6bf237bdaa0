"""The HTTP binding as one function: Request in, Response out, no network (clause 6).

Whatever goes wrong below becomes a ProblemDetails here; an exception that is not an NgsiLdError is the broker's own
fault: it is logged with its traceback and answered as InternalError (5.5.6).
"""

import logging
from collections.abc import Mapping
from typing import Final

from broker import metrics
from broker.errors import InternalError, NgsiLdError, OperationNotSupported, TooManyStreams, TooManyWrites
from broker.http.conditions import refuse_conditions
from broker.http.exchange import SNAPSHOT_HEADER, TENANT_HEADER, Exchange, PageSizes, check_tenant_name
from broker.http.idempotency import METHODS, Idempotency
from broker.http.message import Request, Response
from broker.http.origins import Origins
from broker.http.parameters import Parameters
from broker.http.problem import BareStatus, problem_response
from broker.http.routes import SNAPSHOT_OPERATIONS, Endpoint, Routes
from broker.model.naming import check_uri
from broker.operations.broker import Broker
from broker.operations.validation import HEADER as VALIDATION_HEADER
from broker.operations.validation import noted

logger: Final = logging.getLogger(__name__)

_SPACE: Final = tuple((name, name.lower()) for name in (TENANT_HEADER, SNAPSHOT_HEADER))


class Binding:
    """Answers requests for a broker."""

    def __init__(self, broker: Broker, page_sizes: PageSizes, origins: Origins = Origins()) -> None:
        self._broker = broker
        self._page_sizes = page_sizes
        self._origins = origins
        self._routes = Routes()
        self._idempotency = Idempotency(broker.receipts, broker.now)

    async def answer(self, request: Request) -> tuple[Response, str]:
        """The response, and the name of the operation for metrics ("unknown" where there is none)."""
        operation, headers = "unknown", None
        try:
            check_tenant_name(request.headers.get("ngsild-tenant"))
            endpoint, request.variables = self._routes.find(request.method, request.path)
            operation = endpoint.name
            if endpoint.cross_origin:
                headers = self._origins.headers(request.headers.get("origin"))
            response = await self._run(endpoint, request)
        except BareStatus as bare:
            response = Response(bare.status)
        except NgsiLdError as error:
            if error.status >= 500:
                logger.warning("%s %s: %s", request.method, request.path, error.detail)
            if error.status == 503:
                metrics.requests_shed.labels(_refused_for(error)).inc()
            response = problem_response(error)
        except Exception:
            logger.exception("%s %s failed", request.method, request.path)
            response = problem_response(InternalError("the operation failed unexpectedly; the broker's log says why"))
        echo_space(response, request.headers)
        if headers is not None:
            response.headers.update(headers)
        return response, operation

    async def _run(self, endpoint: Endpoint, request: Request) -> Response:
        parameters = Parameters(request.query, endpoint.parameters)
        if not endpoint.conditional and request.method != "GET":
            refuse_conditions(request.headers)
        exchange = Exchange(self._broker, request, parameters, self._page_sizes, self._origins)
        snapshot_id = request.headers.get("ngsild-snapshot")
        if endpoint.needs_tenant or snapshot_id is not None:
            await self._broker.tenants.require(exchange.tenant)
        if snapshot_id is not None:
            await self._enter_snapshot(endpoint, exchange, snapshot_id)
        validation = None if request.method == "GET" else self._broker.validation
        if validation is None:
            return await self._handled(endpoint, exchange)
        with noted() as notes:
            response = await self._handled(endpoint, exchange)
        if notes.entities:
            validation.report(request.headers.get("ngsild-tenant", ""), notes)
            response.headers[VALIDATION_HEADER] = notes.header()
        return response

    async def _handled(self, endpoint: Endpoint, exchange: Exchange) -> Response:
        request = exchange.request
        if "idempotency-key" in request.headers and request.method in METHODS and endpoint.effect != "none":
            return await self._idempotency.answer(endpoint.handler, exchange, committed=endpoint.effect == "one commit")
        return await endpoint.handler(exchange)

    async def _enter_snapshot(self, endpoint: Endpoint, exchange: Exchange, snapshot_id: str) -> None:
        """Apply the operation to a snapshot, with all that its local scope relaxes (5.5.15, 6.3.22)."""
        check_uri(snapshot_id, SNAPSHOT_HEADER)
        if endpoint.name not in SNAPSHOT_OPERATIONS:
            raise OperationNotSupported(
                f"{SNAPSHOT_HEADER}: {endpoint.name} is not an operation on a snapshot;"
                " those of the Core API and the Temporal API are (5.5.15)"
            )
        exchange.tenant = await self._broker.archive.enter(exchange.tenant, snapshot_id)
        exchange.parameters.imply_local_scope()


def _refused_for(error: NgsiLdError) -> str:
    """Why a request is answered by 503, for the metric."""
    if isinstance(error, TooManyWrites):
        return "writes"
    return "streams" if isinstance(error, TooManyStreams) else "store"


def echo_space(response: Response, headers: Mapping[str, str]) -> None:
    """Name the tenant and the snapshot of a request in its answer, whatever that is (6.3.14, 6.3.22). `headers`: lower-case."""
    for name, lower in _SPACE:
        given = headers.get(lower)
        if given is not None:
            response.headers.setdefault(name, given)
