"""Names of persons in lists of things: what is withheld, so that a broker never gets to know it.

A permit's holder or a monument's owner is a body or a person, and no column says which. What bears the mark of a body
(会社, 法人, 寺 …) is kept, everything else is withheld. The report says that something was withheld, and not what.
"""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Final

from datamodels import Model

WITHHELD: Final = "(withheld)"
"""What the report has in the place of a name."""

_HOLDERS: Final = frozenset(["operator", "owner", "representative"])
_BODY: Final = re.compile(
    "会社|法人|組合|公社|協会|協議会|連合|連盟|財団|機構|団体|事業団|振興|センター|委員会|保存会|自治会|町会|町内会|商店|商事|工業|産業|製作所"
    "|ホールディングス|銀行|農協|漁協|生協|大学|学園|学校|幼稚園|保育園|病院|医院|診療所|クリニック|博物館|美術館|資料館|図書館|公民館"
    r"|[(（][株有合財社福医学資名宗][)）]|[㈱㈲㈳㈶]|[Cc]o\.|[Ll]td|[Ii]nc|LLC|国$|省$|庁$|局$|[都道府県市区町村](?:長|役所|役場|教育委員会)?$|[都道府県]知事$"
    "|[寺院宮社庵堂坊]$|神宮$|大社$|会$|講$"
)


def is_body(text: str) -> bool:
    """Whether a name bears the mark of a body; each line of it must."""
    lines = [line for line in re.split(r"[\n、,;・]+", unicodedata.normalize("NFKC", text)) if line.strip()]
    return bool(lines) and all(_BODY.search(line.strip()) for line in lines)


def withhold(model: Model, values: dict[str, Any]) -> list[str]:
    """Take out of a row what names or points to a person, in place; the answer are the attributes.

    Without corporate number and without a body's name, a permit is a sole trader's: then its telephone number is a person's.
    An ID with a name in it always is.
    """
    withheld = [
        name
        for name in _HOLDERS & set(values)
        if model.attributes[name].personal and (name == "representative" or not is_body(str(values[name])))
    ]
    sole_trader = "corporateNumber" not in values and ("operator" in withheld or "operator" not in values)
    if sole_trader and "telephone" in values and model.attributes["telephone"].personal:
        withheld.append("telephone")
    if "identifier" in values and model.attributes["identifier"].personal and not str(values["identifier"]).isascii():
        withheld.append("identifier")
    for name in withheld:
        del values[name]
    return sorted(withheld)


def columns_withheld(columns: Mapping[str, Any], withheld: list[str]) -> frozenset[str]:
    """The names of the columns that fill what was withheld: nothing of them may be kept elsewhere."""
    return frozenset(column.name for column in columns.values() if column.attribute in withheld)
