"""What a test sent and what came back, with the expectations that tests have of an answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPMessage
from typing import Any, Final

import orjson

ERRORS: Final = "https://uri.etsi.org/ngsi-ld/errors/"
_STATUS_OF: Final[Mapping[str, frozenset[int]]] = {
    "AlreadyExists": frozenset({409}),
    "BadRequestData": frozenset({400}),
    "Conflict": frozenset({409}),
    "InternalError": frozenset({500}),
    "InvalidRequest": frozenset({400}),
    "LdContextNotAvailable": frozenset({503, 504}),
    "NoMultiTenantSupport": frozenset({501}),
    "NonexistentTenant": frozenset({404}),
    "NotImplemented": frozenset({501}),
    "OperationNotSupported": frozenset({422}),
    "ResourceNotFound": frozenset({404}),
    "TooComplexQuery": frozenset({403}),
    "TooManyResults": frozenset({403}),
}
"""Error types of table 5.5.2-1 and the status codes that table 6.3.2-1 gives them."""
_SHOWN: Final = 4000


class ConformanceFailure(AssertionError):
    """A broker did not do what a clause demands; the message says what was expected and what came."""


@dataclass(frozen=True, slots=True)
class SentRequest:
    """A request as it went out."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes | None

    def __str__(self) -> str:
        lines = [f"{self.method} {self.target}", *(f"{name}: {value}" for name, value in self.headers.items())]
        return "\n".join(lines) + _shown(self.body or b"")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, with the request that it answers. `headers` are looked up whatever their case."""

    request: SentRequest
    status: int
    reason: str
    headers: HTTPMessage = field(repr=False)
    body: bytes = field(repr=False)

    def __str__(self) -> str:
        lines = [f"{self.status} {self.reason}", *(f"{name}: {value}" for name, value in self.headers.items())]
        return "\n".join(lines) + _shown(self.body)

    @property
    def json(self) -> Any:
        """The body as a JSON value. Raises ConformanceFailure where it is none."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise self.failure(f"the body should be JSON: {error}") from None

    def header(self, name: str) -> str:
        """A header that has to be there. Raises ConformanceFailure."""
        value = self.headers.get(name)
        if value is None:
            raise self.failure(f"there should be a header {name}")
        return value

    @property
    def media_type(self) -> str:
        """The media type of the body, without parameters."""
        return self.headers.get_content_type() if "Content-Type" in self.headers else ""

    def links(self) -> list[str]:
        """The link values of all Link headers (RFC 8288)."""
        # Targets may hold commas: a new link value begins behind a comma that "<" follows.
        return [
            part if part.startswith("<") else f"<{part}"
            for value in self.headers.get_all("Link", [])
            for part in value.replace(", <", ",<").split(",<")
        ]

    def link(self, relation: str) -> str | None:
        """The target of the link with this relation type, None if there is none."""
        for value in self.links():
            target, _, parameters = value.removeprefix("<").partition(">")
            if f'rel="{relation}"' in parameters.replace(" ", "") or f"rel={relation}" in parameters.replace(" ", ""):
                return target
        return None

    def expect(self, *statuses: int) -> "Answer":
        """This answer, if it has one of the status codes. Raises ConformanceFailure."""
        if self.status not in statuses:
            raise self.failure(f"the status should be {' or '.join(map(str, statuses))}, it is {self.status}")
        return self

    def expect_json(self, expected: Any) -> "Answer":
        """This answer, if its body is this JSON value, whatever the order of members. Raises ConformanceFailure."""
        if self.json != expected:
            raise self.failure(f"the body should be {orjson.dumps(expected).decode()}")
        return self

    def expect_problem(self, *names: str, status: int | None = None) -> dict[str, Any]:
        """The ProblemDetails of this answer, if it is one of these error types (5.5.2) with the status that belongs to it.

        Checked along the way: a media type of JSON, type, title and detail (5.5.3). Raises ConformanceFailure.
        """
        expected = frozenset().union(*(_STATUS_OF[name] for name in names)) if status is None else frozenset({status})
        if self.status not in expected:
            raise self.failure(f"{' or '.join(names)} should be answered with {sorted(expected)}, not {self.status}")
        problem = self.json
        if not isinstance(problem, dict):
            raise self.failure("the body should be a ProblemDetails object")
        if problem.get("type") not in {ERRORS + name for name in names}:
            raise self.failure(f"the type of the problem should be {' or '.join(ERRORS + name for name in names)}")
        for member in ("title", "detail"):
            if not isinstance(problem.get(member), str) or not problem[member]:
                raise self.failure(f"the ProblemDetails should have a {member}")
        return problem

    def failure(self, message: str) -> ConformanceFailure:
        """What to raise about this answer."""
        return ConformanceFailure(f"{message}\n\n--- request\n{self.request}\n\n--- answer\n{self}")


def _shown(body: bytes) -> str:
    if not body:
        return ""
    text = body.decode(errors="replace")
    return f"\n\n{text}" if len(text) <= _SHOWN else f"\n\n{text[:_SHOWN]} ... ({len(text)} characters)"
