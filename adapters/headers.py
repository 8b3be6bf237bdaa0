"""Column names: bringing their spellings together, and measuring how near two sets of columns are."""

import re
import unicodedata
from collections.abc import Iterable, Set
from typing import Final

from adapters.transforms.text import SPACE

_DASHES: Final = re.compile("[-‐‑‒–—―−ー－]")
_SPACES: Final = re.compile(f"[{SPACE}]+")


def normalise(header: str) -> str:
    """One spelling for a column name: NFKC, no space (U+3000 included), one dash, half-width parentheses.

    `名称―カナ`, `名称－カナ ` and `名称ーカナ` are one column, and so are `料金（基本）` and `料金(基本)`.
    """
    closed = _SPACES.sub("", unicodedata.normalize("NFKC", header))
    return _DASHES.sub("ー", unicodedata.normalize("NFKC", closed))


def normalised(headers: Iterable[str]) -> list[str]:
    """Every header in its one spelling, in order; unnamed columns are empty strings."""
    return [normalise(header) for header in headers]


def dated(header: str, pattern: str) -> str | None:
    """What a header has in the place of a pattern's group (人数_令和6年1月9日午後6時時点 has a time); None without a match."""
    match = re.fullmatch(pattern, unicodedata.normalize("NFKC", header).strip())
    return match[1] if match else None


def similarity(left: Set[str], right: Set[str]) -> float:
    """How near two sets of columns are, 0 to 1: shared ones over all (Jaccard)."""
    union = left | right
    return len(left & right) / len(union) if union else 0.0
