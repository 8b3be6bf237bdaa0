"""A telegram of 気象庁防災情報XML as plain data: who says what of which areas, without any opinion on it.

A telegram has a control part and a head that all kinds share, and a body by kind. What most kinds say is a list of statements:
this kind of warning, with this status, in these areas. They are read here; the series of stations and the observed
intensities have modules of their own (`flood`, `earthquake`), which look into `body`.

XML from outside is read without DTD, entities and references to other documents, and within a bound on size.
"""

import math
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from adapters.errors import UnreadableFile

MOST_BYTES: Final = 8 * 2**20
"""The longest telegrams seen have half a megabyte."""
MEANT: Final = "通常"
"""The status of a telegram that is meant; 訓練 is an exercise, 試験 a test."""
CANCELLED: Final = "取消"
"""The InfoType of a telegram that takes an earlier one back. The others, 発表, 訂正 and 遅延, all say how things are."""

_FEED: Final = "{http://www.w3.org/2005/Atom}feed"
_REPORT: Final = "{http://xml.kishou.go.jp/jmaxml1/}Report"
_LEVEL: Final = re.compile(r"レベル([1-5])")
_HEADLINE_LEVEL: Final = re.compile(r"警戒レベル([1-5])(?:相当)?")


class Area(NamedTuple):
    """An area of one of the agency's code systems; `code` is empty where it has only a name."""

    name: str
    code: str
    codeType: str = ""  # as the vocabulary spells it


@dataclass(frozen=True, slots=True)
class Statement:
    """That a kind of warning holds, or no longer holds, in areas. `level` is the alert level 1 to 5, where its name says it."""

    kind: str
    code: str
    status: str
    condition: str
    areas: tuple[Area, ...]
    level: int | None = None


@dataclass(frozen=True, slots=True)
class Information:
    """The statements of one division of the country: `type` names telegram kind and division, 気象警報・注意報（市町村等）."""

    type: str
    statements: tuple[Statement, ...]

    @property
    def division(self) -> str:
        """What stands in the brackets of the type; empty without."""
        opened = self.type.find("（")
        return "" if opened < 0 else self.type[opened + 1 :].rstrip("）")


@dataclass(frozen=True, slots=True)
class Telegram:
    """One telegram. Instants are UTC (…Z), an absent text is empty; `body` is its XML element, None if there is none."""

    title: str
    status: str
    sent_at: str
    editorial_office: str
    publishing_office: str
    head_title: str
    reported_at: str
    target_at: str
    valid_until: str
    event_id: str
    info_type: str
    serial: str
    info_kind: str
    headline: str
    informations: tuple[Information, ...]
    body: Element | None

    @property
    def is_live(self) -> bool:
        """Whether it is meant: neither an exercise (訓練) nor a test (試験)."""
        return self.status == MEANT

    @property
    def order(self) -> tuple[str, int, str]:
        """What makes one telegram newer than another one of the same matter: report time, serial, time of sending."""
        return self.reported_at, int(self.serial) if self.serial.isdecimal() else 0, self.sent_at


def parse_telegram(data: bytes) -> Telegram:
    """Read a telegram. Raises UnreadableFile, whose message says what it is instead."""
    report = _parsed(data, "telegram")
    if report.tag != _REPORT:
        raise UnreadableFile(f"The document is no telegram of 気象庁防災情報XML: its root is {report.tag[:80]}.")
    control, head = child(report, "Control"), child(report, "Head")
    if control is None or head is None:
        raise UnreadableFile("The telegram lacks its Control or its Head.")
    reported_at = utc(text(head, "ReportDateTime"))
    if not reported_at:
        raise UnreadableFile("The telegram's Head has no ReportDateTime that can be read.")
    headline = child(head, "Headline")
    found = () if headline is None else tuple(_information(each) for each in children(headline, "Information"))
    return Telegram(
        title=text(control, "Title"),
        status=text(control, "Status"),
        sent_at=utc(text(control, "DateTime")),
        editorial_office=text(control, "EditorialOffice"),
        publishing_office=text(control, "PublishingOffice"),
        head_title=text(head, "Title"),
        reported_at=reported_at,
        target_at=utc(text(head, "TargetDateTime")) or reported_at,
        valid_until=utc(text(head, "ValidDateTime")),
        event_id=text(head, "EventID"),
        info_type=text(head, "InfoType"),
        serial=text(head, "Serial"),
        info_kind=text(head, "InfoKind"),
        headline="" if headline is None else text(headline, "Text"),
        informations=found,
        body=child(report, "Body"),
    )


def telegrams_of(feed: bytes) -> list[tuple[str, str]]:
    """Title and address of each telegram that an Atom feed of the agency names, the oldest first. Raises UnreadableFile."""
    root = _parsed(feed, "feed")
    if root.tag != _FEED:
        raise UnreadableFile(f"The document is no Atom feed: its root is {root.tag[:80]}.")
    found = []
    for entry in children(root, "entry"):
        link = child(entry, "link")
        address = text(entry, "id") if link is None else link.get("href", "")
        if address.startswith(("https://", "http://")):
            found.append((text(entry, "title"), address))
    return found[::-1]


def level_in(name: str) -> int | None:
    """The alert level that a kind's name or a headline says: レベル３大雨警報, 【警戒レベル３相当情報［洪水］】."""
    narrow = unicodedata.normalize("NFKC", name)
    match = _LEVEL.search(narrow) or _HEADLINE_LEVEL.search(narrow)
    return int(match[1]) if match else None


# --- elements: a telegram's namespaces say nothing that its names do not


def local(element: Element) -> str:
    """The name of an element without its namespace."""
    return element.tag.rpartition("}")[2]


def children(element: Element, name: str) -> Iterator[Element]:
    """The child elements of that name."""
    return (each for each in element if local(each) == name)


def child(element: Element, *path: str) -> Element | None:
    """The first element at the end of a path of names."""
    for name in path:
        found = next(children(element, name), None)
        if found is None:
            return None
        element = found
    return element


def text(element: Element, *path: str) -> str:
    """The text of the first element at the end of a path, without outer space; empty if there is none."""
    found = child(element, *path)
    return "" if found is None else (found.text or "").strip()


def number_in(written: str | None) -> float | None:
    """The number that is written there, None where there is none: an unknown magnitude, say, is written NaN."""
    try:
        number = float(written or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _parsed(data: bytes, what: str) -> Element:
    """The root of a document. Raises UnreadableFile."""
    if len(data) > MOST_BYTES:
        raise UnreadableFile(f"The {what} has {len(data):,} bytes; more than {MOST_BYTES:,} are not read.")
    try:
        return fromstring(data, forbid_dtd=True)
    except DefusedXmlException as error:
        raise UnreadableFile(f"The {what} has a document type or entities, which no {what} needs.") from error
    except (ParseError, ValueError, LookupError) as error:
        raise UnreadableFile(f"The {what} is no well-formed XML: {error}.") from error


def _information(element: Element) -> Information:
    statements = []
    for item in children(element, "Item"):
        areas = child(item, "Areas")
        found = (
            () if areas is None else tuple(_area(each, areas.get("codeType", "")) for each in children(areas, "Area"))
        )
        for kind in children(item, "Kind"):
            name = text(kind, "Name")
            statements.append(
                Statement(
                    name, text(kind, "Code"), text(kind, "Status"), text(kind, "Condition"), found, level_in(name)
                )
            )
    return Information(element.get("type", ""), tuple(statements))


def _area(element: Element, code_type: str) -> Area:
    return Area(text(element, "Name"), text(element, "Code"), code_type or element.get("codeType", ""))


def utc(written: str) -> str:
    """A UTC instant (…Z); empty for what is none. The agency writes a zone always; without one it is not known which."""
    try:
        moment = datetime.fromisoformat(written)
    except ValueError:
        return ""
    return "" if moment.tzinfo is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
