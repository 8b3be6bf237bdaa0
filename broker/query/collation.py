"""Collation of strings by ICU (4.23.1, 4.23.3): the root order, or the one that a BCP 47 tag with a -u- extension names.

icu4py brings ICU itself but does not wrap its collators. Its extension modules are linked against the library, so the few
functions of ICU's stable C interface that are needed are called through them. ICU is loaded at the first string that has
to be ordered.
"""

import ctypes
from collections.abc import Callable
from ctypes import POINTER, byref, c_char_p, c_int32, c_void_p, create_string_buffer
from functools import cache, lru_cache
from typing import Any, Final

from broker.errors import BadRequestData

ROOT: Final = "und"

_MAX_TAG: Final = 150
_IS_DEFAULT: Final = -127
"""U_USING_DEFAULT_WARNING: ICU knows nothing of what was asked for and offers the root collator instead."""


def check_collation(tag: str) -> None:
    """Raise BadRequestData unless ICU knows this collation (RFC 6067): `de-u-co-phonebk`, `und-u-ks-level2`, `und-x-icu`."""
    _open(tag)


@lru_cache(maxsize=32)
def sort_key(tag: str | None = None) -> Callable[[str], bytes]:
    """A function from strings to bytes that order as the collation orders the strings. None is the root collation."""
    collator = _open(tag or ROOT)
    get_key = _functions().get_sort_key

    def key(text: str) -> bytes:
        units = text.encode("utf-16-le", "surrogatepass")
        size = len(units) * 2 + 32
        while True:
            buffer = create_string_buffer(size)
            needed: int = get_key(collator, units, len(units) // 2, buffer, size)
            if needed <= size:
                return buffer.raw[:needed]
            size = needed

    return key


class _Functions:
    """The functions of ICU used here, whose names carry its major version."""

    def __init__(self) -> None:
        import icu4py
        from icu4py import messageformat

        library = ctypes.CDLL(messageformat.__file__)
        version: int = icu4py.icu_version_info[0]

        def bind(name: str, result: Any, *arguments: Any) -> Any:
            function = library[f"{name}_{version}"]
            function.restype, function.argtypes = result, arguments
            return function

        status = POINTER(c_int32)
        self.open: Any = bind("ucol_open", c_void_p, c_char_p, status)
        self.get_sort_key: Any = bind("ucol_getSortKey", c_int32, c_void_p, c_char_p, c_int32, c_char_p, c_int32)
        self.for_language_tag: Any = bind(
            "uloc_forLanguageTag", c_int32, c_char_p, c_char_p, c_int32, POINTER(c_int32), status
        )
        self.iso3_language: Any = bind("uloc_getISO3Language", c_char_p, c_char_p)


@cache
def _functions() -> _Functions:
    return _Functions()


@lru_cache(maxsize=32)
def _open(tag: str) -> c_void_p:
    """ICU's collator for a tag; it lives as long as the process."""
    icu = _functions()
    refusal = BadRequestData(f"collation: {tag!r} is not an ICU collation")
    if not 0 < len(tag) <= _MAX_TAG or not tag.isascii():
        raise refusal
    locale = create_string_buffer(2 * _MAX_TAG)
    read, status = c_int32(), c_int32()
    icu.for_language_tag(tag.encode(), locale, len(locale), byref(read), byref(status))
    if status.value > 0 or read.value != len(tag):
        raise refusal
    collator = icu.open(locale.value, byref(status))
    if status.value > 0 or not collator:
        raise refusal
    if status.value == _IS_DEFAULT and (b"collation=" in locale.value or not icu.iso3_language(locale.value)):
        raise refusal  # not an order that ICU has, or not a language; a language that just follows the root order is fine
    return c_void_p(collator)
