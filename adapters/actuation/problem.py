"""A request for a command that is refused, in the form in which its client reads it (ProblemDetails, 5.5.3)."""

from typing import Any, Final

from adapters.errors import AdapterError

_ERRORS: Final = "https://uri.etsi.org/ngsi-ld/errors/"
_KINDS: Final = {
    400: (_ERRORS + "BadRequestData", "Bad request data"),
    401: ("about:blank", "Unauthorized"),
    403: ("about:blank", "Forbidden"),
    404: (_ERRORS + "ResourceNotFound", "Resource not found"),
    408: ("about:blank", "Request Timeout"),
    409: (_ERRORS + "Conflict", "Conflict"),
    413: ("about:blank", "Content Too Large"),
    429: ("about:blank", "Too Many Requests"),
    503: (_ERRORS + "InternalError", "Not available"),
}


class Refused(AdapterError):
    """A command is refused: with an HTTP status, and a sentence that says why."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail

    def document(self) -> dict[str, Any]:
        """The ProblemDetails."""
        kind, title = _KINDS[self.status]
        return {"type": kind, "title": title, "detail": self.detail, "status": self.status}
