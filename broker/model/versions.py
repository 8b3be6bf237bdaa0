"""Entities for readers that only know an earlier version of NGSI-LD: what is left out and what is reformatted (4.3.6.8).

Tables 4.3.6.8-1 to 3 say from which version on there is what. Two members that they do not list follow the same rule: `lang`
came with the LanguageProperty, and `ngsildproof` with 1.9, before which nobody would take its sealed members for anything.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from broker.model.entity import Instance, dataset_of
from broker.model.members import PROOF_IRI, is_null_value
from broker.model.terms import KINDS, NGSI_LD_NULL

Version: TypeAlias = tuple[int, int]
"""Major and minor."""

OLDEST: Final[Version] = (1, 0)
NEWEST: Final[Version] = (1, 9)
"""The version that this broker speaks where it is not asked for another one."""

_MULTIPLE: Final[Version] = (1, 3)
"""The version that brought several types of an entity, and several instances of an attribute."""

_PROOFS: Final[Version] = (1, 9)

_MEMBERS: Final[dict[str, Version]] = {
    "expiresAt": (1, 9),
    "valueType": (1, 9),
    "objectType": (1, 8),
    "scope": (1, 4),
    "lang": (1, 4),
    "datasetId": (1, 3),
    "observedAt": (1, 3),
    "unitCode": (1, 3),
}
"""Core members of entities and attributes: the version that brought them."""

_KINDS: Final[dict[str, tuple[Version, str]]] = {
    "JsonProperty": ((1, 8), "Property"),
    "VocabProperty": ((1, 8), "Property"),
    "ListProperty": ((1, 8), "Property"),
    "ListRelationship": ((1, 8), "Relationship"),
    "LanguageProperty": ((1, 4), "Property"),
}
"""Kinds of attributes: the version that brought them, and what they become before it."""

_VERSION: Final = re.compile(r"([0-9]{1,4})\.([0-9]{1,4})")


def parse_version(text: str) -> Version | None:
    """A version in the form major.minor, such as 1.5; None for anything else."""
    match = _VERSION.fullmatch(text)
    return None if match is None else (int(match[1]), int(match[2]))


def nearest(version: Version) -> Version:
    """The version that an answer to a wish for this one conforms to: the nearest of those that this broker speaks."""
    return min(max(version, OLDEST), NEWEST)


def earlier(version: Version | None) -> Version | None:
    """The version, if something may have to be amended for its sake."""
    return version if version is not None and version < NEWEST else None


def shows_member(member: str, version: Version) -> bool:
    """Whether there is this core member of entities or attributes in a version."""
    return version >= _MEMBERS.get(member, OLDEST)


def shown_types(types: Sequence[str], version: Version) -> Sequence[str]:
    """The types that an entity has in this version."""
    return types if version >= _MULTIPLE else types[:1]


def shown_instances(attribute: str, instances: list[Instance], version: Version) -> list[Instance]:
    """The instances of an attribute (IRI) that there can be in this version, as they are in the newest.

    Before 1.3 they are those of one dataset, the default one if it is among them: in an entity a single instance, in a
    temporal evolution all that this instance has been.
    """
    if attribute == PROOF_IRI and version < _PROOFS:
        return []
    if version >= _MULTIPLE or len(instances) < 2:
        return instances
    datasets = [dataset_of(instance) for instance in instances]
    chosen = None if None in datasets else datasets[0]
    return [instance for instance, dataset in zip(instances, datasets, strict=True) if dataset == chosen]


def kind_in(kind: str, version: Version) -> str:
    """What an attribute of this kind is in this version."""
    since, fallback = _KINDS.get(kind, (OLDEST, kind))
    return kind if version >= since else fallback


def amended(instance: Instance, version: Version, compact: Callable[[str], str]) -> Instance:
    """An instance with its own members as they are in this version; sub-attributes stay. Itself if that makes no difference.

    Where a VocabProperty becomes a Property, its words become plain text: `compact` gives the name of an IRI.
    """
    kind = KINDS[instance["type"]]
    target = KINDS[kind_in(kind.name, version)]
    if target is kind and all(shows_member(member, version) for member in instance):
        return instance
    shown: Instance = {}
    for member, value in instance.items():
        if not shows_member(member, version):
            continue
        if member == "type":
            shown[member] = target.name
        elif target is not kind and member in (kind.value, kind.previous):
            shown[target.value if member == kind.value else target.previous] = _plain(kind.value, value, compact)
        else:
            shown[member] = value
    return shown


def _plain(member: str, value: Any, compact: Callable[[str], str]) -> Any:
    """What a value member holds, as the value of a Property or the object of a Relationship."""
    if is_null_value(member, value):
        return NGSI_LD_NULL
    if member == "vocab":
        return [compact(iri) for iri in value] if type(value) is list else compact(value)
    # A JSON null, or a keyword of JSON-LD, has no place in the value of a Property but in a JSON literal (4.5.0).
    return {"@type": "@json", "@value": value} if member == "json" and _is_foreign(value) else value


def _is_foreign(value: Any) -> bool:
    if type(value) is dict:
        return any(member.startswith("@") for member in value) or any(map(_is_foreign, value.values()))
    return any(map(_is_foreign, value)) if type(value) is list else value is None
