"""How long a downloaded @context may be used before its source is asked again (6.3.16; RFC 7234, section 4.2)."""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

SHORTEST: Final = 1.0
"""Seconds for which any answer counts, so that an uncacheable @context is not fetched once a request."""

LONGEST: Final = 7 * 86_400.0
DEFAULT: Final = 3_600.0
"""Seconds for an answer that says nothing about its age."""

_HEURISTIC_SHARE: Final = 0.1
_HEURISTIC_RANGE: Final = (60.0, 86_400.0)
_DIRECTIVE: Final = re.compile(r'([a-z-]+)(?:\s*=\s*"?(\d{1,12})"?)?')


def lifetime(headers: Mapping[str, str], now: float) -> float:
    """Seconds for which an answer with these headers (case-insensitive) is fresh; `now` in seconds since 1970.

    `s-maxage` before `max-age` before `Expires`, less the answer's `Age`; without any of them a tenth of the time since
    the document changed.
    """
    directives = dict(_DIRECTIVE.findall(headers.get("Cache-Control", "").lower()))
    explicit = _explicit(directives, headers, now)
    if explicit is None:
        changed = _instant(headers.get("Last-Modified"))
        if changed is None:
            return DEFAULT
        least, most = _HEURISTIC_RANGE
        return min(max((now - changed) * _HEURISTIC_SHARE, least), most)
    return min(max(explicit, SHORTEST), LONGEST)


def _explicit(directives: Mapping[str, str], headers: Mapping[str, str], now: float) -> float | None:
    if directives.keys() & {"no-store", "no-cache"}:
        return 0.0
    for directive in ("s-maxage", "max-age"):
        if directives.get(directive):
            age = headers.get("Age", "")
            return float(directives[directive]) - (float(age) if age.isdecimal() and len(age) < 12 else 0.0)
    if "Expires" in headers:
        expires = _instant(headers["Expires"])
        sent = _instant(headers.get("Date"))
        # An invalid date, 0 above all, means: already expired.
        return 0.0 if expires is None else expires - (now if sent is None else sent)
    return None


def _instant(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
