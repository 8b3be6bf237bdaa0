"""Small parts that tests build their documents from, and names that no other test or run has."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

Document = dict[str, Any]
DEFAULT_CONTEXT = "https://uri.etsi.org/ngsi-ld/default-context/"
"""Where names land that no user @context defines (5.5.7)."""


class Unique:
    """Names of one test: what it creates under them is found by it alone, also on a broker that others use."""

    def __init__(self) -> None:
        self._token = uuid4().hex[:12]
        self._count = 0

    def type(self, name: str = "Building") -> str:
        """An entity type of the test's own; the same for the same name."""
        return f"{name}{self._token}"

    def id(self, kind: str = "Building") -> str:
        """Another URI that nothing has yet. Later ones sort behind earlier ones."""
        self._count += 1
        return f"urn:ngsi-ld:{kind}:{self._token}:{self._count:04}"

    def name(self, stem: str) -> str:
        """An attribute name, tenant or other word of the test's own; the same for the same stem."""
        return f"{stem}{self._token}"


def seconds_from_now(seconds: float) -> str:
    """A DateTime (4.6.3) that lies so far ahead, or behind where it is negative."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def instant(text: str) -> datetime:
    """A DateTime (4.6.3) to compare with others, whatever their precision: `05Z` is before `05.1Z`."""
    return datetime.fromisoformat(text)


def prop(value: Any, **members: Any) -> Document:
    """A normalized Property (4.5.2.2)."""
    return {"type": "Property", "value": value, **members}


def rel(target: str | list[str], **members: Any) -> Document:
    """A normalized Relationship (4.5.3.2)."""
    return {"type": "Relationship", "object": target, **members}


def geo(geometry: str, coordinates: Any, **members: Any) -> Document:
    """A normalized GeoProperty (4.7)."""
    return {"type": "GeoProperty", "value": {"type": geometry, "coordinates": coordinates}, **members}


def lang(texts: dict[str, Any], **members: Any) -> Document:
    """A normalized LanguageProperty (4.5.18.2)."""
    return {"type": "LanguageProperty", "languageMap": texts, **members}


def vocab(term: Any, **members: Any) -> Document:
    """A normalized VocabProperty (4.5.20.2)."""
    return {"type": "VocabProperty", "vocab": term, **members}


def json_prop(value: Any, **members: Any) -> Document:
    """A normalized JsonProperty (4.5.24.2)."""
    return {"type": "JsonProperty", "json": value, **members}


def list_prop(values: list[Any], **members: Any) -> Document:
    """A normalized ListProperty (4.5.21.2)."""
    return {"type": "ListProperty", "valueList": values, **members}


def list_rel(targets: list[str], **members: Any) -> Document:
    """A normalized ListRelationship (4.5.22.2)."""
    return {"type": "ListRelationship", "objectList": [{"object": target} for target in targets], **members}


def entity(entity_id: str, entity_type: str | list[str], **attributes: Any) -> Document:
    """An entity (5.2.4) with these members."""
    return {"id": entity_id, "type": entity_type, **attributes}


def subscription(uri: str, *, endpoint: Any = None, notification: Any = None, **members: Any) -> Document:
    """A Subscription (5.2.12) with these members, whose notifications go to a URI.

    `endpoint` and `notification` are more members of the Endpoint (5.2.15) and the NotificationParams (5.2.14).
    """
    return {
        "type": "Subscription",
        "notification": {"endpoint": {"uri": uri, **(endpoint or {})}, **(notification or {})},
        **members,
    }
