"""The HTTP binding as one function: Request in, Response out, no network (clause 6).

Whatever goes wrong below becomes a ProblemDetails here; an exception that is not an NgsiLdError is the broker's own
fault: it is logged with its traceback and answered as InternalError (5.5.6).
"""

import logging
from typing import Final

from broker.errors import InternalError, NgsiLdError
from broker.http.exchange import TENANT_HEADER, Exchange, PageSizes, check_tenant_name
from broker.http.message import Request, Response
from broker.http.parameters import Parameters
from broker.http.problem import BareStatus, problem_response
from broker.http.routes import Endpoint, Routes
from broker.operations.broker import Broker

logger: Final = logging.getLogger(__name__)


class Binding:
    """Answers requests for a broker."""

    def __init__(self, broker: Broker, page_sizes: PageSizes) -> None:
        self._broker = broker
        self._page_sizes = page_sizes
        self._routes = Routes()

    async def answer(self, request: Request) -> tuple[Response, str]:
        """The response, and the name of the operation for metrics ("unknown" where there is none)."""
        operation = "unknown"
        try:
            tenant = request.headers.get("ngsild-tenant")
            check_tenant_name(tenant)
            endpoint, request.variables = self._routes.find(request.method, request.path)
            operation = endpoint.name
            response = await self._run(endpoint, request)
        except BareStatus as bare:
            response = Response(bare.status)
        except NgsiLdError as error:
            if error.status >= 500:
                logger.warning("%s %s: %s", request.method, request.path, error.detail)
            response = problem_response(error)
        except Exception:
            logger.exception("%s %s failed", request.method, request.path)
            response = problem_response(InternalError("the operation failed unexpectedly; the broker's log says why"))
        echo_tenant(response, request.headers.get("ngsild-tenant"))
        return response, operation

    async def _run(self, endpoint: Endpoint, request: Request) -> Response:
        parameters = Parameters(request.query, endpoint.parameters)
        exchange = Exchange(self._broker, request, parameters, self._page_sizes)
        if endpoint.needs_tenant:
            await self._broker.tenants.require(exchange.tenant)
        return await endpoint.handler(exchange)


def echo_tenant(response: Response, tenant: str | None) -> None:
    """Name the tenant of the request in its answer, whatever that is (6.3.14)."""
    if tenant is not None:
        response.headers.setdefault(TENANT_HEADER, tenant)
