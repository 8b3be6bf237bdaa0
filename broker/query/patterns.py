"""Regular expressions of clients: `~=`, `!~=` (4.9) and `idPattern` (5.2.33), extended ones as per IEEE 1003.2.

One decision for all of them:

* A pattern **matches where it is found**: it may match any part of the text, as regexec() of IEEE 1003.2 does. A client
  that means the whole text writes `^...$`. (Read literally, "in the L(R)" of 4.9 would anchor every pattern; the public
  test suite and the other brokers search, for idPattern too.)
* `^` and `$` mean the ends of the text, `.` matches any character, a line break too, and case counts.
* The engine is RE2: time is linear in the text, memory is bounded, so a pattern can't be used as a weapon. Its syntax
  holds that of IEEE 1003.2 and adds the usual `\\d`, `\\w`, `(?i)`, ...; back-references and look-around do not exist.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, Protocol, cast

import re2

from broker.errors import BadRequestData

MAX_LENGTH: Final = 2048
_MAX_MEMORY: Final = 1 << 20

_OPTIONS: Final = re2.Options()
_OPTIONS.max_mem = _MAX_MEMORY
_OPTIONS.dot_nl = True
_OPTIONS.never_capture = True
_OPTIONS.log_errors = False

_ORDINARY: Final = re.compile(r"\\[^\w\s]|[^\\^$.|?*+()\[\]{}]", re.ASCII)
_QUANTIFIERS: Final = frozenset("*+?{")


class Pattern(Protocol):
    """A compiled pattern."""

    def search(self, text: str) -> object | None:
        """Something, if the pattern is found in the text, else None."""
        ...


@lru_cache(maxsize=256)
def compile_pattern(text: str, subject: str = "pattern") -> Pattern:
    """The compiled pattern. Raises BadRequestData naming `subject` for one that is no regular expression, or too large."""
    if len(text) > MAX_LENGTH:
        raise BadRequestData(f"{subject}: a regular expression has at most {MAX_LENGTH} characters")
    try:
        return cast(Pattern, re2.compile(text, _OPTIONS))
    except (re2.error, UnicodeEncodeError) as error:
        reason = error.args[0].decode(errors="replace") if error.args and isinstance(error.args[0], bytes) else error
        raise BadRequestData(f"{subject}: {text!r} is not a regular expression: {reason}") from error


def pattern_test(text: str) -> Callable[[str], bool]:
    """A predicate: whether the pattern is found in a text."""
    search = compile_pattern(text).search
    return lambda subject: search(subject) is not None


def literal_prefix(text: str) -> str:
    """The characters that every text matched by the pattern begins with, as far as they can be told: for range scans of an index.

    Empty where nothing is certain: the pattern is not anchored by `^`, or has alternatives anywhere.
    """
    if not text.startswith("^") or "|" in text:
        return ""
    prefix: list[str] = []
    at = 1
    while ordinary := _ORDINARY.match(text, at):
        prefix.append(ordinary.group()[-1])
        at = ordinary.end()
    if text[at : at + 1] in _QUANTIFIERS and prefix:
        prefix.pop()
    return "".join(prefix)
