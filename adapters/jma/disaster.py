"""The adapter for the agency's disaster telegrams (気象庁防災情報XML): what is in force where, and what rivers are to do.

Exercises (訓練) and tests (試験) come out in channels of their own, `exercise` and `test`, and never among what is meant.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from adapters.contract import LIVE, Adapter, Decoded, Origin, Repair, State
from adapters.jma.alerts import FLOODS, Matter, matter_of
from adapters.jma.board import post
from adapters.jma.flood import gauges
from adapters.jma.telegram import CANCELLED, Telegram, parse_telegram, telegrams_of
from adapters.options import Options, option
from adapters.transforms.reading import Severity

CHANNELS: Final = {"通常": LIVE, "訓練": "exercise", "試験": "test"}
"""The channel by the status that a telegram has. What has any other is taken for a test: it is not known to be meant."""
_GOES_WHEN_ABSENT: Final = MappingProxyType({"WeatherAlert": frozenset({"validTo"}), "Alert": frozenset({"validTo"})})


@dataclass(frozen=True, slots=True)
class DisasterOptions(Options):
    """What a feed may say of its telegrams."""

    areas: tuple[str, ...] = option("codes, or how codes begin, of the areas that are wanted; all without", ())
    titles: tuple[str, ...] = option("how the titles of telegrams begin that are fetched from a feed; all without", ())
    event_hours: int = option(
        "hours for which record rain and earthquakes, which are never lifted, count as in force", 3
    )


def decode_telegram(data: bytes, origin: Origin, options: DisasterOptions, state: State) -> Decoded:
    """The alerts that begin, stay and end by a telegram, and the gauges of a flood forecast. Raises UnreadableFile."""
    telegram = parse_telegram(data)
    channel = CHANNELS.get(telegram.status, "test")
    posted = post(telegram, _wanted(matter_of(telegram, options.event_hours), options.areas), state, channel)
    entities = list(posted.entities)
    repairs: list[Repair] = []
    if posted.is_late:
        order = f"{telegram.reported_at} {telegram.serial}".strip()
        repairs.append(Repair(1, "Head/ReportDateTime", order, "", "later-one-is-known", Severity.INFO))
    elif telegram.info_kind == FLOODS and telegram.info_type != CANCELLED:
        found, mended = gauges(telegram)
        entities += found
        repairs += mended
    return Decoded(
        records=1,
        entities=tuple(entities),
        repairs=tuple(repairs),
        owned=_GOES_WHEN_ABSENT,
        state=posted.board,
        channel=channel,
        notes=MappingProxyType(_notes(telegram)),
    )


def links_of_feed(data: bytes, origin: Origin, options: DisasterOptions) -> list[str]:
    """The addresses of the telegrams that are wanted of an Atom feed, the oldest first. Raises UnreadableFile."""
    return [address for title, address in telegrams_of(data) if title.startswith(options.titles or ("",))]


def _wanted(matter: Matter, areas: tuple[str, ...]) -> Matter:
    if not areas:
        return matter
    return Matter(matter.name, tuple(alert for alert in matter.alerts if alert.area.code.startswith(areas)))


def _notes(telegram: Telegram) -> dict[str, str]:
    return {"title": telegram.title, "office": telegram.editorial_office, "headline": telegram.headline}


DISASTER: Final = Adapter(
    "jma-xml",
    "disaster telegrams of the Japan Meteorological Agency; polled by its Atom feeds",
    decode_telegram,
    DisasterOptions,
    stateful=True,
    links=links_of_feed,
)
