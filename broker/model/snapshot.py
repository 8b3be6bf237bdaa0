"""Snapshots (4.3.7, 5.2.41): their members, their lifetime, their status, and what is told of them (5.3.4). Pure.

A snapshot rests as a document that has the members of 5.2.41 and, beside these,

    terms     {"snapshotQueries": [[[name, IRI], ...], ...]}: for each query, what the names in it mean
    space     the generation of the space that holds its content (broker.model.dataspace)
    former    generations whose preparation was interrupted; their spaces are to be erased
    source    the key of the space that it is a clone of
    revision  how often there was something to tell its endpoint
    told      the revision that its endpoint was told of last
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, Literal, TypeAlias, cast

from broker.errors import BadRequestData, NgsiLdError
from broker.model.entity import Entity, Instance, JsonObject
from broker.model.instants import canonical, is_past, parse_instant
from broker.model.naming import check_uri
from broker.model.terms import NGSI_LD, NGSI_LD_NULL

ResultStatus: TypeAlias = Literal["success", "failure", "empty"]
SnapshotStatus: TypeAlias = Literal["preparing", "success", "partial", "failure", "empty"]

PREPARING: Final[SnapshotStatus] = "preparing"
"""5.16.1.4 and 5.16.2.4 call it "preparation"; the table that defines the data type (5.2.41-2) knows "preparing" only."""
DEFAULT_PRIORITY: Final = 5
MOST_QUERIES: Final = 100

QUERIES: Final = ("snapshotQueries", "snapshotTemporalQueries")
DETAILS: Final = {name: f"{name}Details" for name in QUERIES}
"""The member that says what came of the queries of a member. 5.16.1.4 spells them in yet another way."""

_INPUT: Final = ("id", "type", *QUERIES, "snapshotLifetime", "snapshotPriority", "endpoint", "receiverInfo")
_TIMES: Final = ("createdAt", "modifiedAt", "expiresAt", "lastUsedAt")
MEMBERS: Final = (*_INPUT, "snapshotStatus", *DETAILS.values(), *_TIMES)
"""Every member of a Snapshot (tables 5.2.41-1 and 5.2.41-2), in the order in which it is shown."""
REMOVABLE: Final = frozenset({"snapshotLifetime", "snapshotPriority", "endpoint", "receiverInfo"})
"""Members that an update may change, and remove (5.5.8)."""

_DURATION: Final = re.compile(
    r"P(?=.)(?:(?P<weeks>\d{1,6})W|(?:(?P<years>\d{1,4})Y)?(?:(?P<months>\d{1,6})M)?(?:(?P<days>\d{1,7})D)?"
    r"(?:T(?=.)(?:(?P<hours>\d{1,8})H)?(?:(?P<minutes>\d{1,9})M)?(?:(?P<seconds>\d{1,10}(?:[.,]\d{1,6})?)S)?)?)"
)
_DAY: Final = 86_400.0
_SECONDS: Final = {
    "weeks": 7 * _DAY,
    "years": 365 * _DAY,
    "months": 30 * _DAY,
    "days": _DAY,
    "hours": 3600.0,
    "minutes": 60.0,
    "seconds": 1.0,
}


# --- what a client gives


def parse_members(given: JsonObject) -> JsonObject:
    """The members of a Snapshot or a Snapshot Fragment, each checked by itself, its queries not looked into.

    Unknown members and those that only the broker sets are ignored (5.2.41). Raises BadRequestData naming the member.
    """
    members: JsonObject = {}
    for member, value in given.items():
        parse = _PARSERS.get(member)
        if parse is None or value is None:
            continue  # JSON-LD knows no null: such a member is not there (5.2.1)
        members[member] = parse(value, member)
    return members


def check_new(members: JsonObject, *, clone: bool) -> None:
    """What a new snapshot must have and must not have (table 5.2.41-1). Raises BadRequestData."""
    if "type" not in members:
        raise BadRequestData("type: a snapshot must have it (5.2.41)")
    queries = [name for name in QUERIES if name in members]
    if clone and queries:
        raise BadRequestData(f"{', '.join(queries)}: not for a clone, which is a copy of a snapshot's content (5.2.41)")
    if not clone and not queries:
        raise BadRequestData(f"{', '.join(QUERIES)}: at least one of them is needed (5.2.41)")


def updated(document: JsonObject, given: JsonObject) -> JsonObject:
    """A stored document with the members of a fragment; an NGSI-LD Null removes one (5.5.8, 5.16.4). Raises BadRequestData."""
    removed = {member for member, value in given.items() if value == NGSI_LD_NULL}
    if fixed := (removed & set(_INPUT)) - REMOVABLE:
        raise BadRequestData(f"{', '.join(sorted(fixed))}: cannot be removed from a snapshot (5.16.4)")
    for name in QUERIES:
        if name in given:
            raise BadRequestData(f"{name}: is read-only once a snapshot was created (5.2.41)")
    members = parse_members({member: value for member, value in given.items() if member not in removed})
    if members.get("id", document["id"]) != document["id"]:
        raise BadRequestData("id: the id of a snapshot cannot be changed (5.2.41)", instance=document["id"])
    return {member: value for member, value in document.items() if member not in removed & REMOVABLE} | members


def expiry(now: str, lifetime: str | None, *, default: float, longest: float) -> str:
    """When a snapshot expires that is to last for this duration from now on; `default` and `longest` are seconds (5.2.41).

    A month counts as 30 days and a year as 365: the duration is a suggestion only.
    """
    seconds = default if lifetime is None else _duration(lifetime)
    return canonical(parse_instant(now) + timedelta(seconds=min(seconds, longest)))


def _duration(text: str) -> float:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise BadRequestData(f"snapshotLifetime: {text!r} is not an ISO 8601 duration such as PT12H (5.2.41)")
    parts = match.groupdict(default="0")
    return sum(float(parts[unit].replace(",", ".")) * seconds for unit, seconds in _SECONDS.items())


def _id(value: Any, member: str) -> str:
    return check_uri(value, member)


def _type(value: Any, member: str) -> str:
    if value != "Snapshot":
        raise BadRequestData(f"type: a snapshot has the type Snapshot, not {value!r} (5.2.41)")
    return "Snapshot"


def _queries(value: Any, member: str) -> list[JsonObject]:
    if not isinstance(value, list) or not value or not all(isinstance(query, dict) for query in value):
        raise BadRequestData(f"{member}: a non-empty array of queries is expected (5.2.41)")
    if len(value) > MOST_QUERIES:
        raise BadRequestData(f"{member}: this broker takes at most {MOST_QUERIES} queries for one snapshot")
    return value


def _lifetime(value: Any, member: str) -> str:
    if not isinstance(value, str) or not _duration(value) > 0:
        raise BadRequestData(f"{member}: an ISO 8601 duration above zero is expected, such as PT12H (5.2.41)")
    return value


def _priority(value: Any, member: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value <= 10 or value != int(value):
        raise BadRequestData(f"{member}: an integer from 1 to 10 is expected (5.2.41)")
    return int(value)


def _text(value: Any, member: str) -> str:
    if not isinstance(value, str):
        raise BadRequestData(f"{member}: a string is expected (5.2.41)")
    return value


def _pairs(value: Any, member: str) -> list[JsonObject]:
    if not isinstance(value, list) or not all(map(_is_pair, value)):
        raise BadRequestData(f"{member}: an array of objects with key and value, both strings, is expected (5.2.22)")
    return value


def _is_pair(given: Any) -> bool:
    return isinstance(given, dict) and all(isinstance(given.get(name), str) for name in ("key", "value"))


_PARSERS: Final[Mapping[str, Callable[[Any, str], Any]]] = {
    "id": _id,
    "type": _type,
    **dict.fromkeys(QUERIES, _queries),
    "snapshotLifetime": _lifetime,
    "snapshotPriority": _priority,
    "endpoint": _text,
    "receiverInfo": _pairs,
}
"""Every member that a client may give. What a protocol demands of an endpoint is checked where it is made ready for use."""


# --- what came of its queries


def result_details(status: ResultStatus, error: NgsiLdError | None = None) -> JsonObject:
    """An ExecutionResultDetails (5.2.42)."""
    details: JsonObject = {"resultStatus": status}
    return details if error is None else {"problemDetails": error.problem(), **details}


def status_of(details: Iterable[JsonObject]) -> SnapshotStatus:
    """The status of a snapshot all of whose queries were executed, with these results (5.16.1.4)."""
    results = [each["resultStatus"] for each in details]
    if all(result == "success" for result in results):
        return "success"
    if "success" in results:
        return "partial"
    return "empty" if "empty" in results else "failure"


def is_expired(document: JsonObject, now: str) -> bool:
    """Whether a snapshot is to be gone at this instant."""
    return is_past(document["expiresAt"], now)


# --- what is shown and told of it


def show(document: JsonObject, queries: Mapping[str, Sequence[JsonObject]], last_used: str) -> JsonObject:
    """A stored snapshot as clients see it (5.2.41), its queries with names in the reader's @context."""
    known = {**document, **queries, "lastUsedAt": last_used}
    return {member: known[member] for member in MEMBERS if member in known}


def notification_body(document: JsonObject, notification_id: str, now: str) -> JsonObject:
    """A SnapshotNotification (5.3.4). One that expired before `now` is gone.

    A snapshot that is gone before it was ready has failed: the notification knows no other word for it (table 5.3.4-1; the member
    `snapshotReady` of its first row is defined nowhere).
    """
    status = document["snapshotStatus"]
    known = {
        "id": notification_id,
        "type": "SnapshotNotification",
        "snapshotId": document["id"],
        "notifiedAt": now,
        "expiresAt": document["expiresAt"],
        "snapshotPriority": document["snapshotPriority"],
        "snapshotStatus": "failure" if status == PREPARING else status,
        "snapshotQueriesDetails": document.get("snapshotQueriesDetails"),
        # Spelled so in table 5.3.4-1, and otherwise than in the Snapshot itself.
        "temporalSnapshotQueriesDetails": document.get("snapshotTemporalQueriesDetails"),
    }
    return {member: value for member, value in known.items() if value is not None}


class MemberNames:
    """The names that a query on snapshots may use: those of a Snapshot's members, in whatever @context (4.9, 5.16.7)."""

    def expand(self, name: str) -> str:
        """The IRI of a member. Raises BadRequestData for any other name."""
        member = name.removeprefix(NGSI_LD)
        if member == "Snapshot":
            return member
        if member not in MEMBERS:
            raise BadRequestData(f"q: {name} is not a member of Snapshot (5.16.7)")
        return NGSI_LD + member

    def compact(self, iri: str) -> str:
        """The name of a member."""
        return iri.removeprefix(NGSI_LD)


OWN: Final = frozenset({"id", "type", "createdAt", "modifiedAt", "expiresAt"})
"""Members that a query addresses as an entity's own."""


def as_entity(document: JsonObject, last_used: str) -> Entity:
    """The members as Properties of an entity, in which a query finds its targets (4.9)."""
    shown = show(document, {}, last_used)
    attrs: dict[str, list[Instance]] = {
        NGSI_LD + member: [{"type": "Property", "value": value}] for member, value in shown.items() if member not in OWN
    }
    own = {member: shown[member] for member in OWN if member in shown}
    return cast(Entity, {**own, "type": [shown["type"]], "attrs": attrs, "version": 1})
