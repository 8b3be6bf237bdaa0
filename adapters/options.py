"""The options of an adapter: a frozen dataclass whose fields have types, made from what a TOML file says.

    @dataclass(frozen=True, slots=True)
    class TideOptions(Options):
        station: str = option("code of the tide station")                       # no default: it must be given
        datum: Literal["tp", "dl"] = option("what levels are relative to", "tp")
        names: Mapping[str, str] = option("names by code", MappingProxyType({}))

Types: str, int, float, bool, a Literal of texts, tuple[str, ...], Mapping[str, str], Mapping[str, Any], and each of them or None.
What cannot be said by a type, a class checks in `__post_init__`, which raises InvalidOptions.
"""

import difflib
import re
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, get_args, get_origin, get_type_hints

from adapters.errors import InvalidOptions


@dataclass(frozen=True, slots=True)
class Options:
    """Base of all options."""


@dataclass(frozen=True, slots=True)
class NoOptions(Options):
    """The options of an adapter that has none."""


class FromEnvironment(str):
    """A text that the environment has: where a number, or true or false, is wanted, it is read as one."""

    __slots__ = ()


def option(about: str, default: Any = MISSING, *, path: bool = False) -> Any:
    """A field of an Options class: what it means, and its default; without one, it must be given. A `path` is that of a file."""
    about_it = {"about": about, "path": path}
    if default is MISSING or getattr(type(default), "__hash__", None) is not None:
        return field(default=default, metadata=about_it)
    return field(default_factory=lambda: default, metadata=about_it)  # dataclasses allow no other unhashable default


OptionsT = TypeVar("OptionsT", bound=Options)

_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,15})?")

_EXPECTED: Final = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    tuple: "a list of texts",
    Mapping: "a table",
}


def read_options(kind: type[OptionsT], given: Mapping[str, Any], folder: Path | None = None) -> OptionsT:
    """The options that a TOML table gives. Raises InvalidOptions, whose message names the option and what it must be.

    With a `folder`, paths are relative to it.
    """
    known = {each.name: each for each in fields(kind)}
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.6)
            hint = f"; do you mean {near[0]}?" if near else f"; there are {', '.join(known)}" if known else ""
            raise InvalidOptions(f"there is no option {name!r}{hint}")
    hints = get_type_hints(kind)
    values = {}
    for name, each in known.items():
        if name in given:
            value = _value(name, hints[name], given[name])
            if folder is not None and each.metadata.get("path") and isinstance(value, str):
                value = str(folder / value)
            values[name] = value
        elif _required(each):
            raise InvalidOptions(f"the option {name!r} ({_about(each)}) must be given")
    return kind(**values)


def described(kind: type[Options]) -> Iterator[tuple[str, str, str, Any]]:
    """Each option: its name, its type as people read it, what it means, its default (MISSING: it must be given)."""
    hints = get_type_hints(kind)
    for each in fields(kind):
        default = each.default if each.default_factory is MISSING else each.default_factory()
        yield each.name, _expected(hints[each.name]), _about(each), default


def _required(each: "Field[Any]") -> bool:
    return each.default is MISSING and each.default_factory is MISSING


def _about(each: "Field[Any]") -> str:
    return str(each.metadata.get("about", ""))


def _value(name: str, hint: Any, value: Any) -> Any:
    """The value of an option in the type that it has."""
    bare = _without_none(hint)
    if isinstance(value, FromEnvironment):
        said = _said(bare, value)
        if not _fits(bare, said):
            raise InvalidOptions(f"the option {name!r} must be {_expected(bare)}; what the environment has is none")
        return said
    if not _fits(bare, value):
        raise InvalidOptions(f"the option {name!r} must be {_expected(bare)}, and is {value!r}")
    if get_origin(bare) is tuple:
        return tuple(value)
    if bare is float:
        return float(value)
    return types.MappingProxyType(dict(value)) if isinstance(value, Mapping) else value


def _said(hint: Any, text: FromEnvironment) -> Any:
    """What a text of the environment says where this type is wanted; the text itself where it says nothing of the kind."""
    if hint is bool:
        return {"true": True, "false": False}.get(text.lower(), str(text))
    if hint in (int, float) and _NUMBER.fullmatch(text):
        return int(text) if hint is int and text.lstrip("+-").isdecimal() else float(text)
    return str(text)


def _fits(hint: Any, value: Any) -> bool:
    origin = get_origin(hint)
    if origin is Literal:
        return value in get_args(hint)
    if origin is tuple:
        return isinstance(value, list | tuple) and all(isinstance(each, str) for each in value)
    if origin in (Mapping, dict):
        inner = get_args(hint)[1]
        return isinstance(value, Mapping) and (inner is Any or all(isinstance(each, inner) for each in value.values()))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, hint) and (hint is bool or not isinstance(value, bool))


def _expected(hint: Any) -> str:
    hint = _without_none(hint)
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(map(str, get_args(hint)))
    return _EXPECTED.get(get_origin(hint) or hint, str(hint))


def _without_none(hint: Any) -> Any:
    if get_origin(hint) in (typing.Union, types.UnionType):
        (only,) = (each for each in get_args(hint) if each is not type(None))
        return only
    return hint
