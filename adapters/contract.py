"""The contract of an adapter: a pure function from bytes to entities, repairs and quarantine, under a name, with typed options.

    decode(data, origin, options, state) -> Decoded

`data` are the bytes as they came; `origin` says where from and when (no decoder looks at a clock); `options` is the adapter's own
frozen dataclass; `state` is what the decoder handed out the last time, None at first. The same four give the same answer,
always. What the whole input is at fault for raises Undecodable; anything else, one record is at fault for and it goes into
the quarantine. Each record of the input is accepted, accepted with repairs, or quarantined; none is dropped in silence.

An entity is normalized NGSI-LD (4.5.1) with the short names of its model in `datamodels` (a type without model: names that
the broker's core @context gives a meaning, or IRIs). Missing is absent: never null, "", or a 0 that stands for "unknown".
It may be a part of an entity, and an entity may come several times, each time with another `observedAt`.

`adapters.testing` checks an adapter against all of this; docs/writing-an-adapter.md builds one.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Generic, NamedTuple, TypeAlias, TypeVar

from adapters.options import NoOptions, Options
from adapters.transforms.reading import Severity

Entity: TypeAlias = dict[str, Any]
State: TypeAlias = Any
"""What a decoder wants to find again the next time: a JSON value of bounded size, kept together with the effects of the input."""

OWN_PARAMETERS: Final = "tsunagu:"
"""What the names of parameters begin with that only the runner itself puts beside an input, and no sender can."""

LIVE: Final = ""
"""The channel of what is meant as it says. Drills and tests have a channel of their own; see `Decoded.channel`."""


def _nothing() -> Mapping[str, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Origin:
    """What is known of an input apart from its bytes.

    `source` is what the entities may say that they come from: stable from one input of a feed to the next. `address` is where
    exactly these bytes were: a path, a URL, a topic. `received_at` is a UTC instant, `2026-06-30T05:20:00.000Z`.
    `parameters` are what the transport knows besides: the query of a push, `topic` for MQTT. `provider` and `licence` are
    the feed's; whoever runs the decoder puts them onto the entities that do not say (`adapters.provenance`).
    """

    source: str
    received_at: str
    address: str = ""
    content_type: str = ""
    parameters: Mapping[str, str] = field(default_factory=_nothing)
    provider: str = ""
    licence: str = ""


class Repair(NamedTuple):
    """One line of the repair report: where (a record as a spreadsheet numbers rows; a column, or a member's path), what it said,
    what it was taken for, under which rule."""

    row: int
    column: str
    before: str
    after: str
    rule: str
    severity: Severity


class Quarantined(NamedTuple):
    """One record that was not loaded: where, which column and rule, why in one sentence, and the record as published."""

    row: int
    column: str
    rule: str
    reason: str
    record: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Decoded:
    """What an input holds.

    `records` counts what the input consists of (rows, messages, readings, telegrams): accepted + repaired + quarantined.
    `owned` are, by type, the attributes that are taken away from an entity which comes without them; without it, entities are
    parts and take nothing away. `deleted` are the ids of entities that are no more. `channel` is not LIVE where all of it
    is a drill or a test: it goes to the tenant that the feed has for that channel, and nowhere if there is none.
    `tenant` is where all of it goes that is live, where the input itself belongs to one; None: to the feed's.
    `notes` are for the report: `encoding`, `profile`, `unknownColumns`.
    """

    records: int
    entities: tuple[Entity, ...] = ()
    repairs: tuple[Repair, ...] = ()
    quarantine: tuple[Quarantined, ...] = ()
    owned: Mapping[str, frozenset[str]] = field(default_factory=_nothing)
    deleted: tuple[str, ...] = ()
    state: State = None
    channel: str = LIVE
    tenant: str | None = None
    notes: Mapping[str, Any] = field(default_factory=_nothing)

    @property
    def quarantined(self) -> int:
        """How many records were not loaded."""
        return len({each.row for each in self.quarantine})

    @property
    def repaired(self) -> int:
        """How many records were accepted with at least one repair."""
        return len({repair.row for repair in self.repairs} - {each.row for each in self.quarantine})

    @property
    def accepted(self) -> int:
        """How many records were accepted as they are."""
        return self.records - self.repaired - self.quarantined


OptionsT = TypeVar("OptionsT", bound=Options)

Decode: TypeAlias = Callable[[bytes, Origin, OptionsT, State], Decoded]

Excerpt: TypeAlias = Callable[[bytes, Mapping[str, Any]], bytes]
"""From an input and one record of it, as the quarantine has it or as somebody has mended it, to an input of that record."""


Links: TypeAlias = Callable[[bytes, Origin, OptionsT], Sequence[str]]
"""From an index (an Atom feed, a file with the newest time) to the addresses of the inputs that it names, maybe relative."""


Afresh: TypeAlias = Callable[[sqlite3.Connection, Mapping[str, str]], Mapping[str, str]]
"""From the parameters that an input came with to those that it would come with now; the connection is the journal's."""


@dataclass(frozen=True, slots=True)
class Adapter(Generic[OptionsT]):
    """A decoder under the name that feeds call it by, with one sentence about it; an entry point `tsunagu.adapters` leads here.

    `options` is its dataclass of options (`adapters.options`). `stateful` decoders get their state and see the inputs of a feed
    one after the other. `excerpt` lets single records out of the quarantine; without it, a mended input is decoded whole.
    With `links`, what a poll fetches is an index, and the inputs are what it names, each fetched once. It raises Undecodable.
    With `afresh`, a replay from the quarantine is decoded with what is known today of the input, not with what was known then.
    """

    name: str
    about: str
    decode: Decode[OptionsT]
    options: type[OptionsT] = NoOptions  # type: ignore[assignment]  # the default is for adapters without options
    stateful: bool = False
    excerpt: Excerpt | None = None
    links: Links[OptionsT] | None = None
    afresh: Afresh | None = None
