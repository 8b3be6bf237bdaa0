"""A profile: how the rows of one layout become entities. Profiles are YAML files, chosen by the header set alone.

    profile: evacuation_space/recommended      # dataset/layout
    model: EvacuationSite                      # the data model, in `datamodels`
    signature: ["NO", 名称, 住所]              # columns that a file must have to be of this layout
    key: [name, address]                       # identity of rows without an ID of their own
    ignore: ["NO"]                             # columns that say nothing about the thing (row numbers)
    keep: [指定場所]                           # columns without a place in the model: kept in sourceRecord
    columns:
      名称: {to: name, as: text, fatal: true}  # attribute, transform; fatal: without it the row is quarantined
      緯度: {to: location.latitude, as: degrees}
      災害種別_洪水: {to: hazardTypes, item: flood, as: flag}
    aliases: {所在地_連結標記: 所在地_連結表記}
    derive: [hazards_by_suitability]

Further members of a column: `with` (options of the transform), `empty` (the value of an empty cell). Further members of a
profile: `constants` (attribute values), `municipality: file` (the file has no code: the addresses tell), `repair` (which
proposals for impossible coordinates are applied).
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from types import MappingProxyType
from typing import Any, Final

import yaml

from adapters.errors import InvalidProfile, UnknownLayout
from adapters.headers import normalise, normalised, similarity
from adapters.transforms import DERIVATIONS, TRANSFORMS
from datamodels import Model, model_of, models

LOCATION_PARTS: Final = ("location.latitude", "location.longitude")
_NAMED_AT_MOST: Final = 8


@dataclass(frozen=True, slots=True)
class Column:
    """How one column is read: target (attribute, or attribute.member), transform and its options.

    `item`: a true flag adds this item to the target list. `empty`: the value of an empty cell. `fatal`: a row whose cell
    cannot be read is quarantined.
    """

    name: str
    to: str
    transform: str
    options: Mapping[str, Any] = field(default_factory=dict)
    item: str | None = None
    empty: Any = None
    fatal: bool = False

    @property
    def attribute(self) -> str:
        """The attribute that the column is read into."""
        return self.to.partition(".")[0]

    @property
    def member(self) -> str | None:
        """The member of the attribute's value, where the column fills only that."""
        return self.to.partition(".")[2] or None


@dataclass(frozen=True, slots=True)
class Profile:
    """How one layout is read; see the module's docstring for the members. Column names are normalised."""

    name: str
    model: Model
    signature: frozenset[str]
    columns: Mapping[str, Column]
    ignore: frozenset[str]
    keep: frozenset[str]
    key: tuple[str, ...]
    derive: tuple[str, ...]
    constants: Mapping[str, Any]
    repair: tuple[str, ...]
    municipality_of_file: bool

    @property
    def known(self) -> frozenset[str]:
        """Every column that the layout has."""
        return frozenset(self.columns) | self.ignore | self.keep

    @property
    def attributes(self) -> frozenset[str]:
        """Every attribute that an import with this profile is answerable for, and may take away again."""
        derived = {"dataProvider", "localGovernmentCode", "sourceRecord"} & set(self.model.attributes)
        for name in self.derive:
            derived |= DERIVATIONS[name].attributes
        return frozenset({column.attribute for column in self.columns.values()} | derived | set(self.constants))


@functools.cache
def profiles() -> tuple[Profile, ...]:
    """The profiles that come with the package."""
    files = sorted(resources.files("adapters.profiles").iterdir(), key=lambda file: file.name)
    return tuple(parse_profile(file.read_text("utf-8")) for file in files if file.name.endswith(".yaml"))


def parse_profile(text: str) -> Profile:
    """The profile written in one YAML document. Raises InvalidProfile."""
    document = yaml.safe_load(text)
    if not isinstance(document, dict) or not isinstance(document.get("columns"), dict):
        raise InvalidProfile("A profile must be a mapping with `columns`.")
    name = str(document.get("profile"))
    if document.get("model") not in models():
        raise InvalidProfile(f"Profile {name}: there is no model {document.get('model')!r}.")
    model = model_of(document["model"])
    for header in (
        *document["signature"],
        *document["columns"],
        *document.get("ignore", []),
        *document.get("keep", []),
    ):
        if not isinstance(header, str):
            raise InvalidProfile(f"Profile {name}: the column name {header!r} is no text; put it in quotes.")
    columns: dict[str, Column] = {}
    for header, entry in document["columns"].items():
        columns[normalise(header)] = _column(name, model, header, entry)
    for alias, header in document.get("aliases", {}).items():
        columns[normalise(alias)] = columns[normalise(header)]
    unknown = {str(rule) for rule in document.get("derive", [])} - set(DERIVATIONS)
    if unknown:
        raise InvalidProfile(f"Profile {name}: there is no derivation {', '.join(sorted(unknown))}.")
    return Profile(
        name=name,
        model=model,
        signature=frozenset(normalised(document["signature"])),
        columns=MappingProxyType(columns),
        ignore=frozenset(normalised(document.get("ignore", []))),
        keep=frozenset(normalised(document.get("keep", []))),
        key=tuple(document["key"]),
        derive=tuple(document.get("derive", [])),
        constants=MappingProxyType(document.get("constants", {})),
        repair=tuple(document.get("repair", [])),
        municipality_of_file=document.get("municipality") == "file",
    )


def choose(headers: Sequence[str], among: Iterable[Profile] | None = None) -> Profile:
    """The profile whose signature the headers have and that is nearest to them. Raises UnknownLayout.

    Order, spelling of dashes and brackets, and outer space do not matter, nor does the file's name.
    """
    found = frozenset(filter(None, normalised(headers)))
    candidates = tuple(profiles() if among is None else among)
    if not candidates:
        raise UnknownLayout("There is no profile at all.")
    nearness = {profile.name: similarity(found, profile.known) for profile in candidates}
    fitting = [profile for profile in candidates if profile.signature <= found]
    if fitting:
        return max(fitting, key=lambda profile: nearness[profile.name])
    nearest = max(candidates, key=lambda profile: (len(profile.signature & found), nearness[profile.name]))
    missing = [header for header in nearest.columns if header in nearest.signature - found]
    unknown = [header for header in headers if normalise(header) and normalise(header) not in nearest.known]
    raise UnknownLayout(
        f"No profile fits the {len(found)} columns; the nearest is {nearest.name}, which needs {_listed(missing)}"
        + (f" and does not know {_listed(unknown)}." if unknown else ".")
    )


def _column(profile: str, model: Model, header: str, entry: Mapping[str, Any]) -> Column:
    where = f"Profile {profile}, column {header}"
    unknown = set(entry) - {"to", "as", "with", "item", "empty", "fatal"}
    if unknown or not {"to", "as"} <= set(entry):
        raise InvalidProfile(
            f"{where}: it needs `to` and `as`, and may not have {', '.join(sorted(unknown)) or 'more'}."
        )
    if entry["as"] not in TRANSFORMS:
        raise InvalidProfile(f"{where}: there is no transform {entry['as']!r}.")
    column = Column(
        name=header,
        to=entry["to"],
        transform=entry["as"],
        options=MappingProxyType(entry.get("with", {})),
        item=entry.get("item"),
        empty=entry.get("empty"),
        fatal=entry.get("fatal", False),
    )
    if column.attribute not in model.attributes:
        raise InvalidProfile(f"{where}: the model {model.type} has no attribute {column.attribute!r}.")
    return column


def _listed(names: Sequence[str]) -> str:
    shown = "、".join(names[:_NAMED_AT_MOST])
    return f"{shown} and {len(names) - _NAMED_AT_MOST} more" if len(names) > _NAMED_AT_MOST else shown
