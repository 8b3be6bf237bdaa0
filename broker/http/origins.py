"""Pages of which other origins a browser may let read streams (CORS), and open WebSockets to them (RFC 6455, 10.2)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

ANY: Final = "*"


@dataclass(frozen=True, slots=True)
class Origins:
    """`allowed` are origins such as `https://map.city.example`, or `*` for every one; `public_url` is the broker's own."""

    allowed: frozenset[str] = frozenset()
    public_url: str = ""

    def headers(self, origin: str | None) -> dict[str, str]:
        """What an answer to a page of this origin has to say."""
        if not self.allowed:
            return {}
        if origin is None or not self._allows(origin):
            return {"Vary": "Origin"}
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": "Link, NGSILD-Tenant, Retry-After",
            "Vary": "Origin",
        }

    def may_connect(self, headers: Mapping[str, str]) -> bool:
        """Whether a WebSocket may be opened: by what is no browser, by the broker's own pages, and by those that are allowed.

        A browser asks nobody before it opens a WebSocket to another origin, so the server has to look.
        """
        origin = headers.get("origin")
        if origin is None or self._allows(origin):
            return True
        authority = origin.lower().partition("://")[2]  # not parsed: it may be anything
        return authority in {headers.get("host", "").lower(), urlsplit(self.public_url).netloc.lower()} - {""}

    def _allows(self, origin: str) -> bool:
        return ANY in self.allowed or origin.lower() in self.allowed
