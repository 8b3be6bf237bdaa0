"""The kinds of attributes, one row each, for tests that hold for all of them (5.2.5 to 5.2.7, 5.2.32, 5.2.35 to 5.2.38)."""

from collections.abc import Container
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest

from conformance.samples import Document, geo, json_prop, lang, list_prop, list_rel, prop, rel, vocab

if TYPE_CHECKING:
    from _pytest.mark import ParameterSet

_BOB: Final = "urn:ngsi-ld:Person:Bob"
_EVE: Final = "urn:ngsi-ld:Person:Eve"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of attribute: the clause of its data type, the member of its value, and that of its previous value.

    `one` and `other` are normalized attributes with different values.
    """

    name: str
    clause: str
    value: str
    previous: str
    one: Document
    other: Document


KINDS: Final = (
    Kind("Property", "5.2.5", "value", "previousValue", prop(1), prop("two")),
    Kind("Relationship", "5.2.6", "object", "previousObject", rel(_BOB), rel(_EVE)),
    Kind("GeoProperty", "5.2.7", "value", "previousValue", geo("Point", [1.5, 2.5]), geo("Point", [3.5, 4.5])),
    Kind(
        "LanguageProperty",
        "5.2.32",
        "languageMap",
        "previousLanguageMap",
        lang({"en": "yes"}),
        lang({"ja": "はい"}),
    ),
    Kind("VocabProperty", "5.2.35", "vocab", "previousVocab", vocab("male"), vocab("female")),
    Kind("ListProperty", "5.2.36", "valueList", "previousValueList", list_prop([1, 2, 1]), list_prop([3, 4])),
    Kind(
        "ListRelationship",
        "5.2.37",
        "objectList",
        "previousObjectList",
        list_rel([_BOB, _EVE, _BOB]),
        list_rel([_EVE, _BOB]),
    ),
    Kind("JsonProperty", "5.2.38", "json", "previousJson", json_prop({"id": None}), json_prop([{"id": 2}])),
)


_NAMES: Final = tuple(kind.name for kind in KINDS)
RELATIONS: Final = ("Relationship", "ListRelationship")


def each_kind(*requirements: int, only: Container[str] = _NAMES, without: Container[str] = ()) -> "list[ParameterSet]":
    """The kinds as parameters of a test that asserts these requirements of each one's clause, which are numbered alike."""
    return [
        pytest.param(kind, marks=pytest.mark.clause(kind.clause, *requirements), id=kind.name)
        for kind in KINDS
        if kind.name in only and kind.name not in without
    ]
