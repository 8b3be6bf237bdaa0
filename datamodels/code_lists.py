"""The code lists: what a value may be taken from, with its meaning in Japanese and English, and how a code is checked."""

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import Any, Final

from datamodels.corporate_number import is_corporate_number
from datamodels.definition_files import parse_yaml, yaml_files
from datamodels.local_government import is_code, local_governments, prefecture_codes


@dataclass(frozen=True, slots=True)
class CodeList:
    """One code list: its name, titles, source, and the codes with what is said of each (`ja` always, `en` where there is one).

    `meaning` may also hold `short`, `symbol`, `hazard`, `severity` and `level`.
    """

    name: str
    title: Mapping[str, str]
    source: Mapping[str, str]
    codes: Mapping[str, Mapping[str, Any]]

    def __contains__(self, code: object) -> bool:
        return code in self.codes

    def label(self, code: str, language: str = "ja") -> str:
        """What a code means in a language, or in Japanese where there is nothing else. Raises KeyError."""
        meaning = self.codes[code]
        text: str = meaning.get(language, meaning["ja"])
        return text


@functools.cache
def code_lists() -> Mapping[str, CodeList]:
    """All code lists, by name."""
    found = {name: _parse(name, text) for name, text in yaml_files("datamodels.codes")}
    found["poi"] = _poi()
    found["local_governments"] = _local_governments()
    return MappingProxyType(dict(sorted(found.items())))


FORMATS: Final[Mapping[str, Callable[[str], bool]]] = MappingProxyType(
    {
        "local-government-code": is_code,
        "corporate-number": is_corporate_number,
        "poi-code": lambda text: text in code_lists()["poi"],
    }
)
"""The formats of our JSON Schemas that JSON Schema does not have, each with its check.

A local government's code is checked by its check digit: codes of municipalities that were merged are no longer in the list.
"""

FORMAT_OF_LIST: Final = MappingProxyType({"local_governments": "local-government-code", "poi": "poi-code"})
"""The format that stands for a code list which is too long for an `enum`."""


def _parse(name: str, text: str) -> CodeList:
    document = parse_yaml(text)
    codes = {code: MappingProxyType(meaning) for code, meaning in document["codes"].items()}
    return CodeList(name, document["title"], document["source"], MappingProxyType(codes))


def _poi() -> CodeList:
    table = json.loads((resources.files("datamodels.codes") / "poi.json").read_text("utf-8"))
    return CodeList(
        "poi",
        {"ja": "POIコード", "en": "POI codes"},
        {"ja": "GIF 491-3-1 POIコード表（180110、CC0 1.0）", "en": "GIF 491-3-1, POI code table (180110, CC0 1.0)"},
        MappingProxyType({code: {"ja": name, "group": group} for code, (group, name) in table.items()}),
    )


def _local_governments() -> CodeList:
    codes = {code: {"ja": found.prefecture + found.name} for code, found in local_governments().items()}
    codes |= {code: {"ja": name} for code, name in prefecture_codes().items()}
    return CodeList(
        "local_governments",
        {"ja": "全国地方公共団体コード", "en": "Codes of local governments"},
        {
            "ja": "code4fukui/localgovjp（CC0 1.0）と都道府県のコード",
            "en": "code4fukui/localgovjp (CC0 1.0), and the codes of the prefectures",
        },
        MappingProxyType(dict(sorted(codes.items()))),
    )
