"""Errors as HTTP responses: ProblemDetails bodies (6.3.3) and the bare status codes that 6.3.4 asks for."""

from broker.errors import Conflict, NgsiLdError
from broker.http.message import Response, json_body

RETRY_AFTER_SECONDS = 1
"""After how long a client may come back to a broker that said 503."""


class BareStatus(Exception):
    """An answer without a body: 411 and 415 (6.3.4)."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


class MethodNotAllowed(NgsiLdError):
    """A wrong verb over a resource (6.3.2); `allowed` are the right ones."""

    name = "InvalidRequest"
    title = "Method not allowed"
    status = 405

    def __init__(self, method: str, path: str, allowed: list[str]) -> None:
        super().__init__(f"{method} is not allowed on {path}; allowed: {', '.join(allowed)}")
        self.allowed = allowed


class OriginNotAllowed(NgsiLdError):
    """A page of this origin may not open a WebSocket to this broker (RFC 6455, 10.2)."""

    name = "InvalidRequest"
    title = "Origin not allowed"
    status = 403

    def __init__(self, origin: str) -> None:
        super().__init__(f"Origin: {origin} is not one that the setting stream_origins allows")


class NotAcceptable(NgsiLdError):
    """None of the media types that the client accepts can be served (6.3.4); the body lists what can."""

    name = "InvalidRequest"
    title = "Not acceptable"
    status = 406

    def __init__(self, accept: str, available: tuple[str, ...]) -> None:
        super().__init__(f"Accept: {accept} names nothing that this resource offers: {', '.join(available)}")
        self.extra = {"available": list(available)}


class PayloadTooLarge(NgsiLdError):
    """The request body has too many bytes (6.3.2)."""

    name = "InvalidRequest"
    title = "Request entity too large"
    status = 413


class WrongRepetition(NgsiLdError):
    """An Idempotency-Key that another request had. Not in the standard (docs/extensions.md)."""

    name = ""
    title = "Unprocessable Content"
    status = 422


class UnderWay(Conflict):
    """A repetition of a request that is not finished: its answer can be had a little later."""


class UnknownOutcome(Conflict):
    """A repetition of a request whose answer the broker does not have."""


def problem_response(error: NgsiLdError) -> Response:
    """The response for an error; always application/json, whatever the client accepts (6.3.6)."""
    headers = {"Content-Type": "application/json"}
    if isinstance(error, MethodNotAllowed):
        headers["Allow"] = ", ".join(error.allowed)
    if error.status == 503 or isinstance(error, UnderWay):
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return Response(error.status, headers, json_body(error.problem()))
