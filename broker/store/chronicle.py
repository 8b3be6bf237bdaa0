"""What the stores' temporal histories have in common: the times of an entry, evolutions merged, the first few of many."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from broker.model.evolution import SCOPE
from broker.model.instants import canonical, parse_instant
from broker.query.ast import EntitySelector
from broker.store.protocol import Evolution, HistoryEntry, HistoryQuery


class Times(NamedTuple):
    """The times of an entry, canonical. `moment` is observedAt (then `observed`) or else modifiedAt."""

    moment: str
    observed: bool
    created_at: str
    modified_at: str
    deleted_at: str | None

    def of(self, query: HistoryQuery) -> str:
        """The time by which a query orders this entry; it has to have it."""
        if query.time == "createdAt":
            return self.created_at
        if query.time == "modifiedAt":
            return self.modified_at
        if query.time == "deletedAt":
            return self.deleted_at or ""
        return self.moment


@lru_cache(maxsize=8192)
def _canonical(text: str) -> str:
    return canonical(parse_instant(text))


def times_of(entry: HistoryEntry) -> Times:
    """The times of an entry. What was never created or modified by itself was so when it was recorded."""
    instance = entry.instance
    modified = _canonical(instance.get("modifiedAt", entry.recorded_at))
    observed = instance.get("observedAt")
    deleted = instance.get("deletedAt")
    return Times(
        moment=modified if observed is None else _canonical(observed),
        observed=observed is not None,
        created_at=_canonical(instance.get("createdAt", entry.recorded_at)),
        modified_at=modified,
        deleted_at=None if deleted is None else _canonical(deleted),
    )


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


class First:
    """The first `limit` entries of a query out of any number that are offered, a series after the other.

    `bound` is the time behind which nothing is of interest any more, None as long as there is room.
    """

    def __init__(self, query: HistoryQuery, limit: int) -> None:
        self._query = query
        self._limit = limit
        self._found: list[HistoryEntry] = []
        self.bound: str | None = None

    def _key(self, entry: HistoryEntry) -> tuple[str, str, int, str]:
        times = times_of(entry)
        return times.of(self._query), times.moment, entry.sequence, entry.instance_id

    def offer(self, series: Sequence[Sequence[HistoryEntry]]) -> None:
        """The entries of all series of one attribute of one entity."""
        entries = [entry for each in series for entry in each]
        if self._query.last_n is not None and len(entries) > self._query.last_n:
            entries.sort(key=self._key, reverse=self._query.newest_first)
            del entries[self._query.last_n :]
        if not entries:
            return
        self._found += entries
        self._found.sort(key=self._key, reverse=self._query.newest_first)
        del self._found[self._limit :]
        if len(self._found) == self._limit:
            self.bound = self._key(self._found[-1])[0]

    @property
    def found(self) -> list[HistoryEntry]:
        """The entries, in order."""
        return self._found


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
