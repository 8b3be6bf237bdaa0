"""The profiles that come with the package: those of the vocabulary's datasets, one a layout, and those of single publishers.

The columns of a dataset's layout and where they go are in the vocabulary. Its file in `adapters/profiles/` adds by which
columns a file of it is told, what identifies a row, and what is read in another way than the vocabulary suggests.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import yaml

from adapters import profile as profiles_
from adapters.columns import Column, column_of
from adapters.errors import InvalidProfile
from adapters.headers import normalise
from adapters.profile import Part, Profile, checked_column, parse_profile, profile_of
from datamodels import Model, Target, datasets, model_of, models_of_dataset
from datamodels.model import common_targets

SPELLINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "所在地_連結標記": "所在地_連結表記",
        "所在地": "所在地_連結表記",
        "利用可能日時特記事項": "利用可能時間特記事項",
        "利用可能時間特記事項": "利用可能日時特記事項",
        "名称_英語": "名称_英字",
        "名称_英字": "名称_英語",
        "名称カナ": "名称_カナ",
        "団体コード": "全国地方公共団体コード",
        "市区町村コード": "都道府県コード又は市区町村コード",
        "多機能トイレ数": "バリアフリートイレ数",
        "バリアフリートイレ数": "多機能トイレ数",
        "imageLicense": "iamgeLicense",
        "tsunami": "tunami",
        "telephone number": "telephoneNumber",
        "telephoneNumber": "telephone number",
    }
)
"""Columns that cities really write, and what the layouts call them."""

_LAYOUTS: Final = ("standard", "recommended", "linkdata")


@functools.cache
def profiles() -> tuple[Profile, ...]:
    """The profiles that come with the package."""
    files = sorted(resources.files("adapters.profiles").iterdir(), key=lambda file: file.name)
    texts = [file.read_text("utf-8") for file in files if file.name.endswith(".yaml")]
    return tuple(profile for text in texts for profile in _parse(text))


def choose(headers: Sequence[str], among: Iterable[Profile] | None = None) -> Profile:
    """The profile that fits a file with these headers, out of those that come with the package. Raises UnknownLayout."""
    return profiles_.choose(headers, profiles() if among is None else among)


def _parse(text: str) -> list[Profile]:
    document = yaml.safe_load(text)
    if "dataset" not in document:
        return [parse_profile(text)]
    found = []
    for layout, signature in document["signature"].items():
        found.append(_of_layout(document["dataset"], layout, {**document, "signature": signature}))
    return found


def _of_layout(dataset: str, layout: str, document: Mapping[str, Any]) -> Profile:
    """The profile of one layout of a dataset of the vocabulary."""
    prefix = document.get("name", dataset)
    name = f"{prefix}/{layout}"
    model = model_of(document["model"]) if "model" in document else models_of_dataset(dataset)[0]
    changes = document.get("columns", {})
    expected = model.targets(layout)
    columns = _columns(name, model, expected, changes)
    others: dict[str, Target] = dict(common_targets(model, layout))
    for other in _LAYOUTS:
        others = {**model.targets(other), **common_targets(model, other), **others}
    for header, column in _columns(name, model, others, changes).items():
        columns.setdefault(header, column)
    ignore = datasets()[dataset].ignore.get(layout, ())
    for header in ignore:
        columns.pop(normalise(header), None)
    layout_columns = frozenset(normalise(header) for header in expected)
    aliases = {alias: header for alias, header in SPELLINGS.items() if normalise(header) in columns}
    ignored = [*ignore, *document.get("ignore", ()), "NO", "№", "#property"]
    made = profile_of(
        name,
        model,
        {**document, "ignore": ignored, "aliases": {**aliases, **document.get("aliases", {})}},
        columns,
        layout_columns,
    )
    if (second := document.get("part")) is None:
        return made
    part_model = model_of(second["model"])
    part_columns = _columns(name, part_model, part_model.targets(layout), second.get("columns", {}))
    part = Part(part_model, MappingProxyType(part_columns), tuple(second["key"]), second["of"], second["among"])
    return replace(made, part=part, expected=made.expected | frozenset(part_columns))


def _columns(name: str, model: Model, targets: Mapping[str, Target], changes: Mapping[str, Any]) -> dict[str, Column]:
    found: dict[str, Column] = {}
    for header, target in targets.items():
        where = f"Profile {name}, column {header}"
        found[normalise(header)] = checked_column(where, model, header, target, changes.get(header, {}))
    return found


def column_anywhere(model: Model, header: str) -> Column | None:
    """The column of that name in any layout of the vocabulary, for an attribute of the model."""
    known = _targets_anywhere(model.type)
    name = normalise(header)
    spelt = next((layout for spelling, layout in SPELLINGS.items() if normalise(spelling) == name), header)
    target = known.get(name) or known.get(normalise(spelt))
    return None if target is None else column_of(model, header, target, {})


@functools.cache
def _targets_anywhere(entity_type: str) -> Mapping[str, Target]:
    model = model_of(entity_type)
    found: dict[str, Target] = {}
    for layout in _LAYOUTS:
        for header, target in {**common_targets(model, layout), **model.targets(layout)}.items():
            found.setdefault(normalise(header), target)
    return MappingProxyType(found)


@functools.lru_cache(maxsize=64)
def read_profile(path: str) -> Profile:
    """The profile in a file of one's own. Raises InvalidProfile."""
    try:
        return parse_profile(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidProfile(f"The profile {path} cannot be read: {error}.") from error
