"""Transforms of flags: the yes and no of municipal tables, and the marks that say more than yes or no."""

from types import MappingProxyType
from typing import Final

from adapters.transforms.reading import Fix, Reading, Unreadable

_TRUE: Final = frozenset(
    ["1", "○", "〇", "◯", "◎", "有", "あり", "有り", "可", "１", "1.0", "true", "TRUE", "はい", "該当"]
)
_FALSE: Final = frozenset(
    ["0", "×", "✕", "無", "なし", "無し", "不可", "０", "0.0", "false", "FALSE", "いいえ", "非該当"]
)

_SUITABILITY: Final = MappingProxyType(
    {
        **dict.fromkeys("○〇◯◎", "usable"),
        **dict.fromkeys("△▲", "conditional"),
        **dict.fromkeys(["×", "✕", "✖", "x", "X", "ｘ"], "unusable"),
    }
)


def flag(text: str, *, defined: tuple[str, ...] | list[str] = ("1",)) -> Reading:
    """A yes or no. Spellings other than the layout's `defined` ones are mended; `△` and the like are no flags."""
    if text in _TRUE or text in _FALSE:
        return Reading(text in _TRUE, () if text in defined else (Fix("flag-mark"),))
    raise Unreadable("not-a-flag", f"{text!r} is neither yes nor no")


def suitability(text: str) -> Reading:
    """○ usable, △ conditional, × unusable: three states that are never flattened to two."""
    try:
        return Reading(_SUITABILITY[text])
    except KeyError:
        raise Unreadable("not-a-suitability-mark", f"{text!r} is none of ○ △ ×") from None


def earthquake_resistance(text: str) -> Reading:
    """耐震, 耐震化済: true. 非耐震: false."""
    if text in ("耐震", "耐震化済", "耐震化済み"):
        return Reading(True)
    if text in ("非耐震", "未耐震"):
        return Reading(False)
    raise Unreadable("not-an-earthquake-resistance", f"{text!r} says neither 耐震 nor 非耐震")
