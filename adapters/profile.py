"""A profile: how the rows of one layout become entities. Profiles are YAML files, chosen by the header set alone.

One of a layout that the vocabulary does not know names its columns; `to` is enough for most:

    profile: evacuation_space/wakayama         # dataset/layout
    model: EvacuationSite                      # the data model, in `datamodels`
    signature: [避難先名称, 避難種別]          # columns that a file must have to be of this layout
    key: [name, address]                       # identity of rows without an ID of their own
    ignore: ["NO"]                             # columns that say nothing about the thing (row numbers)
    keep: [指定場所]                           # columns without a place in the model: kept in sourceRecord
    columns:
      避難先名称: {to: name}                   # attribute (and member); the vocabulary says how that is read
      標高: {to: elevation, as: number, with: {zero_is_missing: true}}     # unless the profile does
      災害種別_洪水: {to: hazardTypes, item: flood}
    aliases: {所在地_連結標記: 所在地_連結表記}
    derive: [hazards_by_suitability]

One of a dataset of the vocabulary has `dataset` in place of `profile` and `model`, and is one profile for each of its layouts,
whose columns the vocabulary knows; `signature` is by layout, and `columns` has only what is to be changed (adapters.layouts).

Further members of a column: `with` (options of the transform), `empty` (the value of an empty cell), `fatal` (a row whose cell
cannot be read is quarantined), `raw` (a mended cell is kept as published, too), `negated`. Further members of a profile:
`constants` (attribute values), `municipality: file` (the file has no code: the addresses tell), `repair` (which proposals for
impossible coordinates are applied), `outliers: accept` (positions far from all others are), `place: optional` (rows may have
neither address nor position), `dated` (a column with a time in its name: {人数: "人数_(.+)時点"}), `fallback: true` (only where
nothing else fits).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import yaml

from adapters.columns import LOCATION_PARTS, OBSERVED_AT, Column, column_of
from adapters.errors import InvalidProfile, UnknownLayout
from adapters.headers import dated, normalise, normalised, similarity
from adapters.transforms import DERIVATIONS, TRANSFORMS
from adapters.transforms.text import INVISIBLE
from datamodels import Model, Target, model_of, models

__all__ = ["LOCATION_PARTS", "Column", "Part", "Profile", "choose", "parse_profile", "profile_of"]

_NAMED_AT_MOST: Final = 8
_LONGEST_NAME: Final = 60
_UNDERSTOOD_AT_LEAST: Final = 0.5
"""How much of a file a fallback must understand."""
_IDS: Final = ("identifier", "externalSiteId", "externalShelterId")
_MEMBERS: Final = frozenset(
    [
        *("profile", "model", "signature", "key", "ignore", "keep", "columns", "aliases", "derive", "constants"),
        *("municipality", "repair", "outliers", "place", "dated", "fallback"),
    ]
)


@dataclass(frozen=True, slots=True)
class Part:
    """A second entity that each row is, too: its model and its columns; `of` is the attribute that refers to the first one."""

    model: Model
    columns: Mapping[str, Column]
    key: tuple[str, ...]
    of: str
    among: str


@dataclass(frozen=True, slots=True)
class Profile:
    """How one layout is read; see the module's docstring for the members. Column names are normalised.

    `expected` are the columns that the layout has. `columns` may be more: names by which other layouts call the same.
    `own_id` is the attribute that holds the publisher's own ID, if a column can.
    """

    name: str
    model: Model
    signature: frozenset[str]
    columns: Mapping[str, Column]
    expected: frozenset[str]
    ignore: frozenset[str] = frozenset()
    keep: frozenset[str] = frozenset()
    key: tuple[str, ...] = ("name", "address")
    derive: tuple[str, ...] = ()
    constants: Mapping[str, Any] = field(default_factory=dict)
    repair: tuple[str, ...] = ()
    municipality_of_file: bool = False
    accept_outliers: bool = False
    place_required: bool = True
    dated: Mapping[str, str] = field(default_factory=dict)
    fallback: bool = False
    part: Part | None = None
    own_id: str | None = None

    @property
    def known(self) -> frozenset[str]:
        """Every column that the layout has."""
        return self.expected | self.ignore | self.keep

    @property
    def attributes(self) -> frozenset[str]:
        """Every attribute that an import with this profile is answerable for, and may take away again."""
        derived = {"dataProvider", "localGovernmentCode", "sourceRecord"} & set(self.model.attributes)
        for name in self.derive:
            derived |= DERIVATIONS[name].attributes & set(self.model.attributes)
        if self.part is not None:
            derived.add(self.part.among)
        filled = {column.attribute for column in self.columns.values()} - {OBSERVED_AT}
        return frozenset(filled | derived | set(self.constants))

    def owned(self) -> dict[str, frozenset[str]]:
        """The attributes that an import is answerable for, by type."""
        found = {self.model.type: self.attributes}
        if self.part is not None:
            filled = {column.attribute for column in self.part.columns.values()}
            found[self.part.model.type] = frozenset(filled | {self.part.of, "localGovernmentCode", "dataProvider"})
        return found


def parse_profile(text: str) -> Profile:
    """The profile written in one YAML document. Raises InvalidProfile."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InvalidProfile(f"The profile is no YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(document, dict) or not isinstance(document.get("columns"), dict):
        raise InvalidProfile("A profile must be a mapping with `columns`.")
    name = str(document.get("profile"))
    if document.get("model") not in models():
        raise InvalidProfile(f"Profile {name}: there is no model {document.get('model')!r}.")
    if unknown := document.keys() - _MEMBERS:
        raise InvalidProfile(f"Profile {name}: it has the unknown member {min(map(str, unknown))}.")
    if missing := {"signature", "key"} - document.keys():
        raise InvalidProfile(f"Profile {name}: it has no {min(missing)}.")
    _check_names(name, document)
    model = model_of(document["model"])
    columns = {
        normalise(header): _own_column(name, model, header, entry) for header, entry in document["columns"].items()
    }
    for header, pattern in document.get("dated", {}).items():
        if normalise(header) not in columns:
            raise InvalidProfile(f"Profile {name}: {header} with the pattern {pattern!r} is none of its columns.")
    return profile_of(name, model, document, columns, frozenset(columns))


def profile_of(
    name: str, model: Model, document: Mapping[str, Any], columns: dict[str, Column], expected: frozenset[str]
) -> Profile:
    """A profile of these columns, with what else its document says. Raises InvalidProfile."""
    for alias, header in document.get("aliases", {}).items():
        if normalise(header) not in columns:
            raise InvalidProfile(f"Profile {name}: {alias} is an alias of {header}, which is none of its columns.")
        columns.setdefault(normalise(alias), columns[normalise(header)])
    if unknown := {str(rule) for rule in document.get("derive", [])} - set(DERIVATIONS):
        raise InvalidProfile(f"Profile {name}: there is no derivation {', '.join(sorted(unknown))}.")
    for constant in document.get("constants", {}):
        if constant not in model.attributes:
            raise InvalidProfile(f"Profile {name}: the model {model.type} has no attribute {constant!r}.")
    filled = {column.attribute for column in columns.values()}
    return Profile(
        name=name,
        model=model,
        signature=frozenset(normalised(document["signature"])),
        columns=MappingProxyType(columns),
        expected=expected,
        ignore=frozenset(normalised(document.get("ignore", []))),
        keep=frozenset(normalised(document.get("keep", []))),
        key=tuple(document["key"]),
        derive=tuple(document.get("derive", [])),
        constants=MappingProxyType(document.get("constants", {})),
        repair=tuple(document.get("repair", [])),
        municipality_of_file=document.get("municipality") == "file",
        accept_outliers=document.get("outliers") == "accept",
        place_required=document.get("place") != "optional",
        dated=MappingProxyType({normalise(to): pattern for to, pattern in document.get("dated", {}).items()}),
        fallback=document.get("fallback", False),
        own_id=next((each for each in _IDS if each in filled), None),
    )


def choose(headers: Sequence[str], among: Iterable[Profile]) -> Profile:
    """The profile whose signature the headers have and that is nearest to them. Raises UnknownLayout.

    Order, spelling of dashes and brackets, and outer space do not matter, nor does the file's name. A fallback is taken where
    nothing else fits, and only if it understands half of the columns.
    """
    found = frozenset(filter(None, normalised(headers)))
    candidates = tuple(among)
    if not candidates:
        raise UnknownLayout("There is no profile at all.")
    nearness = {profile.name: _nearness(profile, found) for profile in candidates}
    fitting = [profile for profile in candidates if _fits(profile, found)]
    best = [profile for profile in fitting if not profile.fallback] or fitting
    if best:
        return max(best, key=lambda profile: nearness[profile.name])
    nearest = max(candidates, key=lambda profile: (len(profile.signature & found), nearness[profile.name]))
    missing = [header for header in nearest.columns if header in nearest.signature - found]
    raise UnknownLayout(
        f"No profile fits the {len(found)} columns; the nearest is {nearest.name}"
        + (f", which needs {_listed(missing)}" if missing else ", which understands too few of them")
        + _understood(headers, nearest)
        + " `tsunagu import --skeleton FILE` writes a profile to fill in."
    )


def _fits(profile: Profile, found: frozenset[str]) -> bool:
    named = profile.signature - _spelt(profile, found)
    if named - set(profile.dated):
        return False
    if not profile.fallback:
        return not named or any(_is_dated(profile, header) for header in found)
    filled = {profile.columns[header].to for header in found if header in profile.columns}
    somewhere = filled >= set(LOCATION_PARTS) or "address.addressText" in filled or "location.point" in filled
    return somewhere and len(found & set(profile.columns)) >= _UNDERSTOOD_AT_LEAST * len(found)


def _nearness(profile: Profile, found: frozenset[str]) -> tuple[float, float]:
    """How much of a file the layout has, then how much of the layout the file has."""
    spelt = _spelt(profile, found)
    return len(spelt & profile.known) / max(1, len(spelt)), similarity(spelt, profile.known)


def _spelt(profile: Profile, found: frozenset[str]) -> frozenset[str]:
    """The columns with the names that the profile's layout gives them."""
    columns = profile.columns
    return frozenset(normalise(columns[header].name) if header in columns else header for header in found)


def _is_dated(profile: Profile, header: str) -> bool:
    return any(dated(header, pattern) is not None for pattern in profile.dated.values())


def _understood(headers: Sequence[str], nearest: Profile) -> str:
    known = [header.strip() for header in headers if normalise(header) in nearest.columns]
    named = nearest.known | nearest.columns.keys()  # columns also in other spellings than the layout's own
    unknown = [header.strip() for header in headers if normalise(header) and normalise(header) not in named]
    told = f". Of the columns it understands {_listed(known)}" if known else ""
    return told + (f" and does not know {_listed(unknown)}." if unknown else ".")


def _check_names(name: str, document: Mapping[str, Any]) -> None:
    for member in ("signature", "columns", "ignore", "keep"):
        for header in document.get(member, []):
            if not isinstance(header, str):
                raise InvalidProfile(f"Profile {name}: the column name {header!r} is no text; put it in quotes.")


def _own_column(profile: str, model: Model, header: str, entry: Any) -> Column:
    where = f"Profile {profile}, column {header}"
    if not isinstance(entry, dict) or "to" not in entry:
        raise InvalidProfile(f"{where}: it needs `to`, the attribute that it fills.")
    column = checked_column(where, model, header, Target(str(entry["to"]).partition(".")[0]), entry)
    if column.attribute != OBSERVED_AT and column.attribute not in model.attributes:
        raise InvalidProfile(f"{where}: the model {model.type} has no attribute {column.attribute!r}.")
    return column


def checked_column(where: str, model: Model, header: str, target: Target, entry: Mapping[str, Any]) -> Column:
    """The column as the vocabulary and a profile's entry have it. Raises InvalidProfile."""
    if unknown := set(entry) - {"to", "as", "with", "item", "empty", "fatal", "raw", "negated"}:
        raise InvalidProfile(f"{where}: it may not have {', '.join(sorted(map(str, unknown)))}.")
    if "as" in entry and entry["as"] not in TRANSFORMS:
        raise InvalidProfile(f"{where}: there is no transform {entry['as']!r}.")
    return column_of(model, header, target, entry)


def _listed(names: Sequence[str]) -> str:
    plain = (INVISIBLE.sub("\ufffd", name) for name in names[:_NAMED_AT_MOST])
    shown = "、".join(name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…" for name in plain)
    return f"{shown} and {len(names) - _NAMED_AT_MOST} more" if len(names) > _NAMED_AT_MOST else shown
