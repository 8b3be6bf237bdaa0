"""What the stores' temporal histories have in common: the times of an entry, evolutions merged, the first few of many."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Final, NamedTuple, TypeAlias

from broker.model.evolution import SCOPE
from broker.model.instants import canonical_text
from broker.query.ast import EntitySelector
from broker.store.protocol import Evolution, HistoryEntry, HistoryQuery


class Times(NamedTuple):
    """The times of an entry, canonical. `moment` is observedAt (then `observed`) or else modifiedAt."""

    moment: str
    observed: bool
    created_at: str
    modified_at: str
    deleted_at: str | None


def times_of(entry: HistoryEntry) -> Times:
    """The times of an entry. What was never created or modified by itself was so when it was recorded."""
    instance, recorded = entry.instance, entry.recorded_at
    modified = canonical_text(instance.get("modifiedAt", recorded))
    created = canonical_text(instance.get("createdAt", recorded))
    observed = instance.get("observedAt")
    deleted = instance.get("deletedAt")
    return Times(
        modified if observed is None else canonical_text(observed),
        observed is not None,
        created,
        modified,
        None if deleted is None else canonical_text(deleted),
    )


def time_in(entry: HistoryEntry, query: HistoryQuery) -> str:
    """The time by which a query orders an entry, canonical; it has to have it."""
    instance = entry.instance
    if query.time is not None and query.time != "observedAt":
        found = instance.get(query.time)
    else:
        found = instance.get("observedAt", instance.get("modifiedAt"))
    return canonical_text(found or entry.recorded_at)


def gather(entries: Iterable[HistoryEntry], evolutions: Iterable[Evolution]) -> dict[tuple[str, str], Evolution]:
    """One evolution for each (tenant, entity id) that is mentioned: types from both, times of the last one given."""
    gathered: dict[tuple[str, str], Evolution] = {}
    for evolution in evolutions:
        key = evolution.tenant, evolution.entity_id
        known = gathered.get(key)
        gathered[key] = evolution if known is None else joined(known, evolution)
    for entry in entries:
        key = entry.tenant, entry.entity_id
        known = gathered.get(key)
        if known is None:
            gathered[key] = Evolution(*key, entry.types, entry.recorded_at, entry.recorded_at)
        elif not set(entry.types) <= set(known.types):
            gathered[key] = replace(known, types=tuple(dict.fromkeys((*known.types, *entry.types))))
    return gathered


def joined(known: Evolution, newer: Evolution) -> Evolution:
    """What an evolution becomes with news of it (5.6.11.4: types are added)."""
    return replace(
        known,
        types=tuple(dict.fromkeys((*known.types, *newer.types))),
        created_at=min(known.created_at, newer.created_at),
        modified_at=max(known.modified_at, newer.modified_at),
        deleted_at=newer.deleted_at,
    )


def wanted(query: HistoryQuery, attribute: str, dataset: str | None) -> bool:
    """Whether a series is among those of a query. The scope is no attribute that could have datasets."""
    return (
        (query.attributes is None or attribute in query.attributes)
        and attribute not in query.without
        and (query.datasets is None or attribute == SCOPE or dataset in query.datasets)
    )


_Key: TypeAlias = tuple[str, str, int, str]

SLACK: Final = 4
"""A quarter more entries than are wanted may come together before the last ones are dropped."""


class First:
    """The first `limit` entries of a query out of any number that are offered, a stretch of a series after the other.

    With `last_n` the entries of one attribute of one entity come together in a `part` of their own, first.
    """

    def __init__(self, query: HistoryQuery, limit: int, whole: "First | None" = None) -> None:
        self._query = query
        self._limit = limit
        self._whole = whole
        self._kept: list[tuple[_Key, HistoryEntry]] = []
        self._settled = 0
        self._bound: str | None = None

    @property
    def bound(self) -> str | None:
        """The time behind which nothing is of interest any more, None as long as there is room."""
        bounds = [part._bound for part in (self, self._whole) if part is not None and part._bound is not None]
        return (max if self._query.newest_first else min)(bounds, default=None)

    def part(self) -> "First":
        """What entries of one attribute of one entity are to be offered to, before `join` takes them over."""
        return self if self._query.last_n is None else First(self._query, min(self._limit, self._query.last_n), self)

    def join(self, part: "First") -> None:
        """Take over what a part has kept."""
        if part is not self:
            part._settle()
            self._keep(part._kept)

    def offer(self, entries: Iterable[HistoryEntry]) -> None:
        """Keep those that are among the first."""
        self._keep([(self._key(entry), entry) for entry in entries])

    def _keep(self, entries: Sequence[tuple[_Key, HistoryEntry]]) -> None:
        self._kept += entries
        # To sort at each offer would cost as much as all that is kept, for each of a thousand entities.
        room = self._limit // SLACK if self._bound is not None else 0
        if len(self._kept) >= self._limit and len(self._kept) - self._settled > room:
            self._settle()

    def _settle(self) -> None:
        self._kept.sort(key=itemgetter(0), reverse=self._query.newest_first)
        del self._kept[self._limit :]
        self._settled = len(self._kept)
        if self._settled == self._limit:
            self._bound = self._kept[-1][0][0]

    def _key(self, entry: HistoryEntry) -> _Key:
        instance = entry.instance
        moment = canonical_text(instance.get("observedAt") or instance.get("modifiedAt") or entry.recorded_at)
        return time_in(entry, self._query), moment, entry.sequence, entry.instance_id

    @property
    def found(self) -> list[HistoryEntry]:
        """The entries, in order."""
        self._settle()
        return [entry for _, entry in self._kept]


def candidate_types(selectors: Sequence[EntitySelector]) -> list[str] | None:
    """Types of which each selected entity has at least one; None if any entity may be selected."""
    types: set[str] = set()
    for selector in selectors:
        alternatives = () if selector.types is None else selector.types.alternatives
        if not alternatives or not all(alternatives):
            return None
        types.update(conjunction[0] for conjunction in alternatives)
    return sorted(types) if selectors else None


def candidate_ids(selectors: Sequence[EntitySelector]) -> list[str] | None:
    """The only entity ids that can be selected; None if others can."""
    if not selectors or any(selector.ids is None for selector in selectors):
        return None
    return sorted({entity_id for selector in selectors for entity_id in selector.ids or ()})
