"""全国地方公共団体コード: the six-digit codes of Japan's local governments, their check digit and their names."""

import functools
import json
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType
from typing import Final, NamedTuple

_WEIGHTS: Final = (6, 5, 4, 3, 2)


class LocalGovernment(NamedTuple):
    """One municipality (or ward of a designated city): 6-digit code, prefecture, name without spaces."""

    code: str
    prefecture: str
    name: str


def check_digit(digits: str) -> str:
    """The check digit of a five-digit code: (11 - weighted sum mod 11) mod 10, weights 6 5 4 3 2.

    Raises ValueError unless `digits` is five ASCII digits.
    """
    if len(digits) != 5 or not (digits.isascii() and digits.isdecimal()):
        raise ValueError(f"A code without check digit has five digits, not {digits!r}.")
    total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, digits, strict=True))
    return str((11 - total % 11) % 10)


def is_code(text: str) -> bool:
    """Whether `text` is six ASCII digits, the last of which is the check digit of the others."""
    return len(text) == 6 and text.isascii() and text.isdecimal() and check_digit(text[:5]) == text[5]


@functools.cache
def local_governments() -> Mapping[str, LocalGovernment]:
    """All municipalities and wards by code."""
    table = json.loads((resources.files("datamodels.codes") / "local_governments.json").read_text("utf-8"))
    return MappingProxyType({code: LocalGovernment(code, *names) for code, names in table.items()})


@functools.cache
def _by_name() -> Mapping[str, tuple[LocalGovernment, ...]]:
    found: dict[str, tuple[LocalGovernment, ...]] = {}
    for government in local_governments().values():
        found[government.name] = (*found.get(government.name, ()), government)
    return found


@functools.cache
def _longest_name() -> int:
    return max(map(len, _by_name()))


@functools.cache
def prefecture_codes() -> Mapping[str, str]:
    """The prefectures by their own codes: two digits, 000, check digit."""
    found = {code[:2]: government.prefecture for code, government in local_governments().items()}
    codes = {f"{number}000{check_digit(f'{number}000')}": name for number, name in sorted(found.items())}
    return MappingProxyType(codes)


def prefectures() -> frozenset[str]:
    """The names of the prefectures."""
    return frozenset(government.prefecture for government in local_governments().values())


def named(name: str, prefecture: str | None = None) -> tuple[LocalGovernment, ...]:
    """The municipalities of exactly that name, in that prefecture where one is given: none, one, or several."""
    return tuple(found for found in _by_name().get(name, ()) if prefecture in (None, found.prefecture))


def of_address(address: str) -> tuple[LocalGovernment, ...]:
    """The municipalities that an address can begin with, the longest name first found winning.

    "香川県高松市番町1-8-15" and "高松市番町1-8-15" give 高松市; "府中市…" gives two, as two cities have that name.
    """
    prefecture = next((name for name in prefectures() if address.startswith(name)), None)
    rest = address.removeprefix(prefecture or "")
    district, separator, below = rest[:8].partition("郡")
    for start in (rest, rest[len(district) + 1 :] if separator and below else ""):
        for length in range(min(_longest_name(), len(start)), 1, -1):
            if found := named(start[:length], prefecture):
                return found
    return ()
