"""The errors of the NGSI-LD API: one class for each row of the standard's error table (5.5.2, 6.3.2).

Every floor may raise these. An error says what is at fault in `detail`; the HTTP floor turns it into a
ProblemDetails body (5.5.3) and nothing below that floor knows about HTTP, except that each class carries the
status code that table 6.3.2-1 binds to it.
"""

from typing import Any

ERROR_NAMESPACE = "https://uri.etsi.org/ngsi-ld/errors/"


class NgsiLdError(Exception):
    """Base of all errors a client can be told about.

    `detail` names the member, attribute, parameter or resource at fault; `instance` is the id of the resource,
    where there is one; `extra` holds further ProblemDetails members (RFC 7807, section 3.2). `name` is the standard's
    word for the error; one of our extensions has none ("").
    """

    name: str = "InternalError"
    title: str = "Internal error"
    status: int = 500

    def __init__(self, detail: str, *, instance: str | None = None, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.instance = instance
        self.extra = extra

    def problem(self) -> dict[str, Any]:
        """The ProblemDetails of this error (5.5.3): type, title, detail, status and, where known, instance."""
        problem: dict[str, Any] = {
            "type": ERROR_NAMESPACE + self.name if self.name else "about:blank",
            "title": self.title,
            "detail": self.detail,
            "status": self.status,
        }
        if self.instance is not None:
            problem["instance"] = self.instance
        problem.update(self.extra)
        return problem


class InternalError(NgsiLdError):
    """An error during the execution of the operation that is not the client's fault."""


class StoreUnavailable(InternalError):
    """The store cannot be reached, is full or did not answer in time: nothing was written, try again later."""

    title = "The store is not available"
    status = 503


class TooManyWrites(StoreUnavailable):
    """As many writes wait for the store as may: nothing was written, try again later."""

    title = "Too much waiting"


class TooManyStreams(InternalError):
    """There are as many streams as this broker may have: try again later."""

    title = "Too many streams"
    status = 503


class InvalidRequest(NgsiLdError):
    """The request is syntactically invalid or includes wrong content."""

    name = "InvalidRequest"
    title = "Invalid request"
    status = 400


class BadRequestData(NgsiLdError):
    """The request includes input data which does not meet the requirements of the operation."""

    name = "BadRequestData"
    title = "Bad request data"
    status = 400


class ModelViolation(BadRequestData):
    """What would be written does not fit its data model, and the tenant wants that it does (docs/validation.md)."""

    title = "Does not fit its data model"


class AlreadyExists(NgsiLdError):
    """The referred element already exists."""

    name = "AlreadyExists"
    title = "Already exists"
    status = 409


class Conflict(NgsiLdError):
    """The operation conflicts with the current state of the system."""

    name = "Conflict"
    title = "Conflict"
    status = 409


class ResourceNotFound(NgsiLdError):
    """The referred resource has not been found."""

    name = "ResourceNotFound"
    title = "Resource not found"
    status = 404


class NonexistentTenant(NgsiLdError):
    """The addressed tenant does not exist."""

    name = "NonexistentTenant"
    title = "No such tenant"
    status = 404


class NoMultiTenantSupport(NgsiLdError):
    """The implementation does not support multiple tenants."""

    name = "NoMultiTenantSupport"
    title = "No multi-tenant support"
    status = 501


class OperationNotSupported(NgsiLdError):
    """The operation is not supported."""

    name = "OperationNotSupported"
    title = "Operation not supported"
    status = 422


class LdContextNotAvailable(NgsiLdError):
    """A remote JSON-LD @context referenced in a request cannot be retrieved."""

    name = "LdContextNotAvailable"
    title = "JSON-LD @context not available"
    status = 504


class TooComplexQuery(NgsiLdError):
    """The query is too complex and cannot be resolved."""

    name = "TooComplexQuery"
    title = "Too complex query"
    status = 403


class TooManyResults(NgsiLdError):
    """The query produces so many results that it can exhaust client or server resources."""

    name = "TooManyResults"
    title = "Too many results"
    status = 403


class PreconditionFailed(NgsiLdError):
    """If-Match or If-None-Match does not hold (RFC 9110, 15.5.13): nothing was written. `etag` is what was found.

    Not in the standard, as conditional requests are an extension (docs/extensions.md).
    """

    name = ""
    title = "Precondition Failed"
    status = 412


class SourceFailed(InternalError):
    """The one source that holds what the request is about failed, or refused the broker (6.3.17)."""

    title = "Bad Gateway"
    status = 502


class SourceTimedOut(InternalError):
    """The one source that holds what the request is about did not answer in time (6.3.17)."""

    title = "Gateway Timeout"
    status = 504


class LoopDetected(InternalError):
    """What the request is about is registered to be here again: it would go round for ever (6.3.17)."""

    title = "Loop Detected"
    status = 508


class SourceRefused(NgsiLdError):
    """What a source said whose registration wants its problems to be relayed as they are (docs/extensions.md)."""

    def __init__(self, status: int, problem: dict[str, Any], detail: str, *, instance: str | None, registration: str):
        super().__init__(detail, instance=instance, registrationId=registration)
        self.status = status
        self.title = str(problem.get("title") or self.title)
        self._type = problem.get("type")

    def problem(self) -> dict[str, Any]:
        """The source's ProblemDetails, with the registration by which it was asked."""
        said = super().problem()
        said["type"] = self._type if isinstance(self._type, str) else "about:blank"
        return said
