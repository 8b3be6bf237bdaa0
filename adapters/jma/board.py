"""The board: which alerts hold, matter by matter, and how each was said to stand last.

    {"": {"指定河川洪水予報/890904000100": {"order": ["2021-08-13T06:10:00Z", 1, "2021-08-13T06:21:31Z"],
                                           "office": "佐賀地方気象台", "title": "指定河川洪水予報",
                                           "alerts": ["urn:ngsi-ld:WeatherAlert:…"]}}}

It is the state of a feed of telegrams (plain JSON), with drills and tests (channels of their own) kept apart from what is meant.
A telegram that is older than what the board knows of its matter changes nothing: feeds overlap, and come out of order.
"""

from typing import Any, Final, NamedTuple, TypeAlias

from adapters.contract import Entity
from adapters.jma.alerts import Matter, ended
from adapters.jma.telegram import CANCELLED, Telegram

Board: TypeAlias = dict[str, dict[str, Any]]

MOST_MATTERS: Final = 2_000
"""Matters without any alert that are remembered, for the order of their telegrams; the oldest are forgotten first."""


class Posted(NamedTuple):
    """What a telegram changes: entities (whole alerts that hold, parts of those that ended), and the board afterwards."""

    entities: tuple[Entity, ...]
    board: Board
    is_late: bool = False


def post(telegram: Telegram, matter: Matter, board: Board | None, channel: str) -> Posted:
    """Put a telegram on the board. The board that is given stays as it is."""
    matters = dict((board or {}).get(channel, {}))
    if telegram.info_type == CANCELLED and matter.name not in matters:
        names = [name for name, known in matters.items() if _is_same_sender(known, telegram)]
    else:
        names = [matter.name]
    entities: list[Entity] = []
    late = False
    for name in names:
        known = matters.get(name)
        if known is not None and tuple(known["order"]) > telegram.order:
            late = True
            continue
        holding = () if telegram.info_type == CANCELLED else matter.alerts
        status = "cancelled" if telegram.info_type == CANCELLED else "ended"
        ids = {alert.id for alert in holding}
        entities += [ended(each, telegram, status) for each in (known or {"alerts": ()})["alerts"] if each not in ids]
        entities += [alert.entity for alert in holding]
        matters.pop(name, None)
        matters[name] = {
            "order": list(telegram.order),
            "office": telegram.editorial_office,
            "title": telegram.title,
            "alerts": [alert.id for alert in holding],
        }
    return Posted(tuple(entities), {**(board or {}), channel: _bounded(matters)}, late)


def _is_same_sender(known: dict[str, Any], telegram: Telegram) -> bool:
    """Whether a cancellation, which names neither event nor area, is of this matter: office and kind of telegram decide."""
    return not telegram.event_id and (known["office"], known["title"]) == (telegram.editorial_office, telegram.title)


def _bounded(matters: dict[str, Any]) -> dict[str, Any]:
    """The matters without the oldest of those that have no alert, where there are too many."""
    over = [name for name, known in matters.items() if not known["alerts"]]
    for name in over[: max(0, len(over) - MOST_MATTERS)]:
        del matters[name]
    return matters
