"""Transforms of text: names, katakana, addresses, links and lists."""

import re
import unicodedata
from typing import Final

from adapters.transforms.reading import Fix, Reading, Severity, Unreadable

SPACE: Final = " \t\r\n\u00a0\u2000-\u200b\u3000\ufeff"
OUTER_SPACE: Final = re.compile(f"^[{SPACE}]+|[{SPACE}]+$")
MISSING_MARKS: Final = frozenset(
    ["-", "－", "−", "―", "–", "—", "ー", "‐", "…", "･･･", "--", "---", "*", "**", "***", "＊"]
)
"""Cells that say "no value" in words of their own."""

SPREADSHEET_ERRORS: Final = frozenset(
    ["#REF!", "#N/A", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!", "#SPILL!", "#CALC!", "#GETTING_DATA"]
)
"""What a spreadsheet shows in place of a value that it could not work out."""
INVISIBLE: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u2060\ufeff\u202a-\u202e\u2066-\u2069\ufdd0-\ufddf\ufffe\uffff]"
)
"""Control characters, space without width, and what turns the direction of writing: no text of a city needs one."""

_HALF_WIDTH_KANA: Final = re.compile("[\uff61-\uff9f]+")
_HIRAGANA: Final = re.compile("[\u3041-\u3096\u309d\u309e]")
_FULL_WIDTH_ASCII: Final = re.compile("[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]")
_DASH_BETWEEN_DIGITS: Final = re.compile("(?<=[0-9])[－−―‐–—ー](?=[0-9])")
_SPACES: Final = re.compile(f"[{SPACE}]+")
_SPACE_CHARACTERS: Final = frozenset(" \t\r\n\u00a0\u3000\ufeff") | frozenset(map(chr, range(0x2000, 0x200C)))
_OPEN, _CLOSE = "（([｢「", "）)]｣」"


def trim(text: str) -> str:
    """The text without space at its ends; space includes U+3000 and the byte order mark."""
    if not text or (text[0] not in _SPACE_CHARACTERS and text[-1] not in _SPACE_CHARACTERS):
        return text
    return OUTER_SPACE.sub("", text)


def text(text: str) -> Reading:
    """Text as it is; the replacement character of a broken conversion is reported."""
    return Reading(text, (Fix("burnt-character", Severity.WARNING),) if "\ufffd" in text else ())


def katakana(text: str) -> Reading:
    """A reading in full-width katakana; half-width kana and hiragana are brought to it."""
    full = _HALF_WIDTH_KANA.sub(lambda found: unicodedata.normalize("NFKC", found[0]), text)
    fixes = [Fix("half-width-kana")] if full != text else []
    kana = _HIRAGANA.sub(lambda found: chr(ord(found[0]) + 0x60), full)
    if kana != full:
        fixes.append(Fix("hiragana"))
    return Reading(kana, tuple(fixes))


def address(text: str, *, spaces: str = "keep") -> Reading:
    """An address with half-width digits and letters; `spaces="remove"` also joins its parts (Japanese needs no space)."""
    narrow = _FULL_WIDTH_ASCII.sub(lambda found: chr(ord(found[0]) - 0xFEE0), text)
    narrow = _DASH_BETWEEN_DIGITS.sub("-", narrow)
    fixes = [Fix("full-width-characters")] if narrow != text else []
    joined = _SPACES.sub("", narrow) if spaces == "remove" else narrow
    if joined != narrow:
        fixes.append(Fix("space-in-address"))
    return Reading(joined, tuple(fixes))


def link(text: str) -> Reading:
    """An http(s) URL; a missing scheme before `www.` is added."""
    if text.startswith("www."):
        return Reading("http://" + text, (Fix("scheme-added", Severity.WARNING),))
    if not re.fullmatch(r"https?://[^\s/]+\S*", text):
        raise Unreadable("not-a-url", f"{text!r} is not a web address")
    return Reading(text)


def links(text: str) -> Reading:
    """http(s) URLs in one cell, separated by spaces, line ends, ; or ,"""
    found = [link(part) for part in re.split(f"[;；{SPACE}]+|,(?=https?:)", text) if part]
    return Reading(
        [reading.value for reading in found] or None, tuple(fix for reading in found for fix in reading.fixes)
    )


def text_list(text: str, *, spaces: str = "keep") -> Reading:
    """A list in one cell, split at ; 、 , ・ and line ends, and with `spaces="split"` at U+3000, never within parentheses.

    Repeated items are kept once.
    """
    separators = ";；、，,・\n\r" + ("\u3000" if spaces == "split" else "")
    items, depth, start = [], 0, 0
    for position, character in enumerate(text + separators[0]):
        if character in _OPEN and position < len(text):
            depth += 1
        elif character in _CLOSE:
            depth = max(0, depth - 1)
        elif (character in separators and depth == 0) or position == len(text):
            items.append(trim(text[start:position]))
            start = position + 1
    found = list(dict.fromkeys(item for item in items if item))
    return Reading(found or None)
