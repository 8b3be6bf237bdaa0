"""An EntityMap (4.5.25, 5.2.39): the ids of the entities that a query is about, fixed when it was first asked.

A map rests in the store as one head and as many parts as its ids need:

  head    expiresAt, complete, parts (how many), ids (how many there were), filters and window (what was asked, as digests),
          linkedMaps
  part    {"entities": [[id, [source, ...]] or null, ...]}, in the order in which the entities were found

A source is the id of a registration, or `@none` for what this broker holds itself. An id that no longer fits leaves a null, so
that every other one keeps its place for as long as the map lives. A head that is not complete is no map: its parts are being
written, or removed.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, NamedTuple, TypeAlias

from broker.errors import BadRequestData
from broker.model.durations import duration_seconds
from broker.model.entity import JsonObject
from broker.model.instants import canonical, parse_instant
from broker.model.naming import check_instant
from broker.query.ast import EntityQuery
from broker.query.temporal import TemporalQuery

TYPE: Final = "EntityMap"
LOCAL: Final = "@none"
"""The source of an entity that is held by this broker (5.2.39)."""

DEFAULT_LIFETIME: Final = 3600.0
SHORTEST_LIFETIME: Final = 1.0
LONGEST_LIFETIME: Final = 86_400.0
"""Seconds. What a client suggests is kept within these (6.4.3.2)."""

MOST_IDS: Final = 1_000_000
"""Of one map."""
PART_IDS: Final = 1000
PART_CHARACTERS: Final = 1_000_000
"""A part is full when it has so many ids, or ids of so many characters: far below what one document may be."""

_MARK: Final = re.compile(r"(.+):(from|before):([0-9]{1,9})\.([0-9]{1,9})")

Slot: TypeAlias = list[Any] | None
"""[entity id, [source, ...]], or None where an entity was removed."""


class Place(NamedTuple):
    """Where an entity stands in a map, for as long as the map lives."""

    part: int
    slot: int


START: Final = Place(0, 0)


class Mark(NamedTuple):
    """Where a page begins (`ahead`), or before which place it ends, and in which map: what a link to a page carries."""

    map_id: str
    ahead: bool
    place: Place

    def text(self) -> str:
        """As one word; `read_mark` reads it."""
        return f"{self.map_id}:{'from' if self.ahead else 'before'}:{self.place.part}.{self.place.slot}"


def read_mark(text: str) -> Mark | None:
    """The mark that a text is, if it is one."""
    match = _MARK.fullmatch(text)
    if match is None:
        return None
    map_id, direction, part, slot = match.groups()
    return Mark(map_id, direction == "from", Place(int(part), int(slot)))


@dataclass(frozen=True, slots=True)
class EntityMap:
    """A head. `filters` and `window` are digests of the query and of the temporal query that the map was made for, or None."""

    id: str
    expires_at: str
    filters: str | None = None
    window: str | None = None
    parts: int = 0
    ids: int = 0
    complete: bool = False
    linked_maps: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, map_id: str, body: JsonObject) -> "EntityMap":
        """From a stored head."""
        return cls(
            map_id,
            body["expiresAt"],
            body["filters"],
            body["window"],
            body["parts"],
            body["ids"],
            body["complete"],
            body["linkedMaps"],
        )

    def body(self) -> JsonObject:
        """The head to store."""
        return {
            "expiresAt": self.expires_at,
            "filters": self.filters,
            "window": self.window,
            "parts": self.parts,
            "ids": self.ids,
            "complete": self.complete,
            "linkedMaps": self.linked_maps,
        }

    def usable(self, now: str) -> bool:
        """Whether it can be read: it is complete and has not expired (5.5.14)."""
        return self.complete and self.expires_at > now

    def document(self, entities: dict[str, list[str]]) -> JsonObject:
        """The EntityMap as a client sees it. 4.5.25 says `expiredBy` where table 5.2.39-1 says `expiresAt`: the table, which
        the core @context agrees with, is followed."""
        return {
            "id": self.id,
            "type": TYPE,
            "expiresAt": self.expires_at,
            "entityMap": entities,
            "linkedMaps": self.linked_maps,
        }


def lifetime(suggested: str | None) -> float:
    """The seconds that a map is to live, from `entityMapLifetime`. Raises BadRequestData."""
    if suggested is None:
        return DEFAULT_LIFETIME
    try:
        seconds = duration_seconds(suggested)
    except ValueError as error:
        raise BadRequestData(f"entityMapLifetime: {error} (6.4.3.2)") from None
    return min(max(seconds, SHORTEST_LIFETIME), LONGEST_LIFETIME)


def expiry(now: str, seconds: float) -> str:
    """The canonical instant so many seconds after `now`."""
    return canonical(parse_instant(now) + timedelta(seconds=seconds))


def updated_expiry(fragment: JsonObject, map_id: str, now: str) -> str | None:
    """The new `expiresAt` that an EntityMap fragment asks for (5.14.2.4), no later than a new map's could be; None for none.

    Nothing else of a map can be updated (5.5.14). What the tables do not know is ignored like what is output-only, but an id
    or a type that is not the map's is a mistake. Raises BadRequestData.
    """
    if fragment.get("id", map_id) != map_id:
        raise BadRequestData("id: the id of an EntityMap cannot be changed (5.2.39)", instance=map_id)
    if fragment.get("type", TYPE) != TYPE:
        raise BadRequestData(f"type: an EntityMap has the type {TYPE} (5.2.39)", instance=map_id)
    if "expiresAt" not in fragment:
        return None
    wanted = canonical(parse_instant(check_instant(fragment["expiresAt"], "expiresAt")))
    return min(wanted, expiry(now, LONGEST_LIFETIME))


# --- what a map was made for


def filters_digest(kind: str, query: EntityQuery, datasets: frozenset[str | None] | None = None) -> str:
    """What has to be the same in every request that uses a map (5.5.14): all that selects entities, but not by their ids.

    `datasets` select evolutions (5.7.4.4), but not entities (5.7.2.4).
    """
    types = sorted({repr(selector.types) for selector in query.selectors})
    views = None if datasets is None else sorted(dataset or "" for dataset in datasets)
    return _digest(kind, types, sorted(query.attrs), query.q, query.geo, query.scope, query.ordering, views)


def window_digest(query: TemporalQuery) -> str:
    """The interval of a temporal query, which may differ from request to request (5.5.14)."""
    return _digest("window", query.start, query.end, query.time)


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()


# --- parts


def part_body(ids: Iterable[str]) -> JsonObject:
    """A part of entities that this broker holds."""
    return {"entities": [[entity_id, [LOCAL]] for entity_id in ids]}


def full_parts(ids: list[str], *, last: bool) -> Iterator[list[str]]:
    """Cut what fills whole parts off the front of `ids`; with `last`, the rest as well."""
    while ids:
        taken, characters = 0, 0
        while taken < min(len(ids), PART_IDS) and characters + len(ids[taken]) <= PART_CHARACTERS:
            characters += len(ids[taken])
            taken += 1
        if taken == len(ids) and taken < PART_IDS and not last:
            return
        yield ids[:taken]
        del ids[:taken]


def without(body: JsonObject, gone: set[str]) -> JsonObject | None:
    """A part without these entities; None if none of them is in it."""
    slots: list[Slot] = body["entities"]
    if not any(slot is not None and slot[0] in gone for slot in slots):
        return None
    return {**body, "entities": [None if slot is not None and slot[0] in gone else slot for slot in slots]}
