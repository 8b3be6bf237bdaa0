"""Content negotiation of the HTTP binding (6.3.4 to 6.3.6): Accept, Content-Type, Link and Prefer, from text to plain values."""

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from broker.errors import BadRequestData, InvalidRequest
from broker.http.problem import BareStatus, NotAcceptable
from broker.model.versions import Version, parse_version

JSON: Final = "application/json"
JSON_LD: Final = "application/ld+json"
GEO_JSON: Final = "application/geo+json"
MERGE_PATCH: Final = "application/merge-patch+json"

CONTEXT_RELATION: Final = "http://www.w3.org/ns/json-ld#context"

_LINK: Final = re.compile(r"<([^>]*)>((?:\s*;\s*[^=;,\s]+\s*=\s*(?:\"[^\"]*\"|[^;,\s]*))*)")
_LINK_PARAMETER: Final = re.compile(r";\s*([^=;,\s]+)\s*=\s*(?:\"([^\"]*)\"|([^;,\s]*))")


@lru_cache(maxsize=256)
def negotiate(accept: str | None, available: tuple[str, ...]) -> str:
    """The media type of the answer: the client's most preferred one of `available`, which is in the server's order of
    preference (6.3.4). Raises NotAcceptable."""
    if accept is None or not accept.strip():
        return available[0]
    ranges = [_media_range(part) for part in accept.split(",") if part.strip()]
    best: tuple[float, int] | None = None
    chosen = None
    for position, media_type in enumerate(available):
        quality = _quality(media_type, ranges)
        rank = (quality, -position)
        if quality > 0 and (best is None or rank > best):
            best, chosen = rank, media_type
    if chosen is None:
        raise NotAcceptable(accept, available)
    return chosen


def _media_range(part: str) -> tuple[str, float]:
    name, *parameters = (piece.strip() for piece in part.split(";"))
    quality = 1.0
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip().lower() == "q":
            try:
                quality = float(value)
            except ValueError:
                quality = 1.0  # what cannot be read says nothing: the range keeps the weight that it has without it
    return name.lower(), quality


def _quality(media_type: str, ranges: list[tuple[str, float]]) -> float:
    """The weight that the most specific matching range gives (RFC 7231, 5.3.2)."""
    main = media_type.split("/", 1)[0]
    for candidate in (media_type, f"{main}/*", "*/*"):
        weights = [quality for name, quality in ranges if name == candidate]
        if weights:
            return max(weights)
    return 0.0


@lru_cache(maxsize=64)
def body_type(content_type: str | None, method: str) -> str:
    """JSON or JSON_LD, as the Content-Type of a request with a body says. Anything else is a bare 415 (6.3.4).

    Raises InvalidRequest where there is none: a precondition that is not met, but no media type that is not supported.
    """
    if content_type is None:
        raise InvalidRequest("Content-Type: is missing; application/json or application/ld+json is expected (6.3.4)")
    media_type = content_type.split(";", 1)[0].strip().lower()
    if media_type in (JSON, JSON_LD):
        return media_type
    if media_type == MERGE_PATCH and method == "PATCH":
        return JSON
    raise BareStatus(415)


@lru_cache(maxsize=1024)
def context_link(link: str | None) -> str | None:
    """The URL of the JSON-LD @context in a Link header, None if there is none (6.3.5).

    Raises BadRequestData for more than one, which JSON-LD 1.1 (section 6.2) forbids.
    """
    if link is None:
        return None
    urls = [
        target.strip()
        for target, parameters in _LINK.findall(link)
        if any(
            name.lower() == "rel" and CONTEXT_RELATION in (quoted or bare).split()
            for name, quoted, bare in _LINK_PARAMETER.findall(parameters)
        )
    ]
    if len(urls) > 1:
        raise BadRequestData(f"Link: more than one JSON-LD @context ({', '.join(urls)})")
    return urls[0] if urls else None


def context_header(url: str) -> str:
    """The Link header that names the @context of an application/json answer (6.3.6)."""
    return f'<{url}>; rel="{CONTEXT_RELATION}"; type="{JSON_LD}"'


@lru_cache(maxsize=256)
def preferences(prefer: str | None) -> Mapping[str, str]:
    """The preferences of a Prefer header by name in lower case (RFC 7240): of those that come twice the first one counts."""
    wishes: dict[str, str] = {}
    for part in () if prefer is None else prefer.split(","):
        name, _, value = part.split(";", 1)[0].partition("=")
        wishes.setdefault(name.strip().lower(), value.strip().strip('"'))
    return MappingProxyType(wishes)


def prefers_plain_body(prefer: str | None) -> bool:
    """Whether `Prefer: body=json` asks for GeoJSON without an @context inside (6.3.6)."""
    return preferences(prefer).get("body") == "json"


def preferred_version(prefer: str | None) -> Version | None:
    """The version of NGSI-LD that `Prefer: ngsi-ld=1.5` asks for (6.3.6). A wish that cannot be read is none (RFC 7240, 2)."""
    wish = preferences(prefer).get("ngsi-ld")
    return None if wish is None else parse_version(wish)
