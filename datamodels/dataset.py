"""The municipal datasets: the layouts in which each is published, with their columns in the published order.

One YAML file a dataset in `datamodels/layouts/`:
  recommended  推奨データセット (都道府県コード又は市区町村コード, NO, ...)
  standard     自治体標準オープンデータセット (全国地方公共団体コード, ID, ... 所在地_*)
  linkdata     LinkData export (#property, latitude, longitude, ...)
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from datamodels.definition_files import parse_yaml, yaml_files


@dataclass(frozen=True, slots=True)
class Dataset:
    """One dataset: key (also in its file names), number in the standard, titles, and the columns of each layout.

    `unverified` layouts were made up from their parts: the names are sure, their order is not. `ignore` names the columns
    of a layout that say nothing about the thing.
    """

    key: str
    number: str
    title: Mapping[str, str]
    layouts: Mapping[str, tuple[str, ...]]
    unverified: frozenset[str]
    ignore: Mapping[str, tuple[str, ...]]


@functools.cache
def datasets() -> Mapping[str, Dataset]:
    """All datasets whose layouts are known, by key."""
    return MappingProxyType({name: _parse(text) for name, text in yaml_files("datamodels.layouts")})


def _parse(text: str) -> Dataset:
    document = parse_yaml(text)
    return Dataset(
        key=document["dataset"],
        number=document["number"],
        title=MappingProxyType(document["title"]),
        layouts=MappingProxyType({name: tuple(columns) for name, columns in document["layouts"].items()}),
        unverified=frozenset(document["unverified"]),
        ignore=MappingProxyType({name: tuple(columns) for name, columns in document["ignore"].items()}),
    )
