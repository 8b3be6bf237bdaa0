"""Reading the literals of `q` (4.9): numbers, quoted strings, dates and times, booleans, bare words and URIs, patterns."""

import re
from typing import Final

import orjson

from broker.query.ast import Value, ValueKind
from broker.query.scanner import Scanner
from broker.query.values import TEMPORAL

_END: Final = r"(?=$|[\s;|,)]|\.\.)"
"""What may follow a literal: the end, a logical operator, a comma, a closing parenthesis or the dots of a range."""

_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?" + _END)
_BOOLEAN: Final = re.compile(r"(?:true|false)" + _END)
_TEMPORAL: Final[tuple[tuple[ValueKind, re.Pattern[str]], ...]] = (
    ("dateTime", re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.,]*?[0-9]Z" + _END)),
    ("date", re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}" + _END)),
    ("time", re.compile(r"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]+)?Z" + _END)),
)
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:.+")
_WORD: Final = re.compile(r"[^\W\d][\w\-]*")
_UNFIT_FOR_WORDS: Final = frozenset(' \t\r\n"<>[]{}\\^`')
_JSON_ESCAPES: Final = frozenset('"\\/bfnrtu')

_INT64: Final = range(-(2**63), 2**63)
_MAX_DIGITS: Final = 400


def read_comparable(scanner: Scanner) -> Value:
    """The literal that has an order (ComparableValue): a number, a quoted string, a dateTime, a date or a time."""
    scanner.skip_space()
    value = _comparable(scanner)
    if value is None:
        raise scanner.error("expected a number, a quoted string, a date or a time")
    return value


def read_value(scanner: Scanner) -> Value:
    """Any literal: a comparable one, a boolean, a URI or a bare word.

    URIs may be bare or quoted; a bare one ends before `;`, `|`, `,` and an unmatched `)`. A bare word, such as a term
    to expand (expandValues, example 12), is a string.
    """
    scanner.skip_space()
    value = _comparable(scanner)
    if value is not None:
        return value
    boolean = scanner.match(_BOOLEAN)
    if boolean is not None:
        return Value(boolean == "true", "boolean")
    start = scanner.at
    word = _bare(scanner, _UNFIT_FOR_WORDS, ";|,")
    if _URI.fullmatch(word):
        return Value(word, "uri")
    if _WORD.fullmatch(word):
        return Value(word, "string")
    raise scanner.error("expected a value (strings are quoted)", start)


def read_pattern(scanner: Scanner) -> Value:
    """A regular expression, quoted like a string or bare.

    In a quoted one, a backslash that is no JSON escape stands for itself. A bare one ends before a `;`, `|` or `)` that
    is outside its own parentheses and brackets.
    """
    scanner.skip_space()
    start = scanner.at
    if scanner.peek() == '"':
        quoted = scanner.match(_QUOTED)
        if quoted is None:
            raise scanner.error("the quoted pattern does not end", start)
        return Value(_decode(_keep_foreign_escapes(quoted), scanner, start), "string")
    pattern = _bare_pattern(scanner)
    if not pattern:
        raise scanner.error("expected a regular expression", start)
    return Value(pattern, "string")


def _comparable(scanner: Scanner) -> Value | None:
    if scanner.peek() == '"':
        start = scanner.at
        quoted = scanner.match(_QUOTED)
        if quoted is None:
            raise scanner.error("the quoted string does not end", start)
        return Value(_decode(quoted, scanner, start), "string")
    for kind, shape in _TEMPORAL:
        start = scanner.at
        text = scanner.match(shape)
        if text is not None:
            try:
                TEMPORAL[kind](text)
            except ValueError:
                raise scanner.error(f"{text} is not a valid {kind}", start) from None
            return Value(text, kind)
    start = scanner.at
    digits = scanner.match(_NUMBER)
    return None if digits is None else Value(_number(digits, scanner, start), "number")


def _number(digits: str, scanner: Scanner, start: int) -> int | float:
    """An integer of 64 bits stays one; every other number is a double, as it is in JSON and in the stores."""
    if len(digits) > _MAX_DIGITS:
        raise scanner.error("the number is too long", start)
    try:
        whole = int(digits)
    except ValueError:
        whole = None
    if whole is not None and whole in _INT64:
        return whole
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise scanner.error("the number is too large", start)
    return number


def _decode(quoted: str, scanner: Scanner, start: int) -> str:
    try:
        text: str = orjson.loads(quoted)
    except orjson.JSONDecodeError:
        raise scanner.error("not a JSON string", start) from None
    return text


def _keep_foreign_escapes(quoted: str) -> str:
    """A JSON string in which backslashes before other characters than JSON knows are doubled."""
    return re.sub(
        r"\\(.)", lambda m: m.group() if m.group(1) in _JSON_ESCAPES else "\\" + m.group(), quoted, flags=re.S
    )


def _bare(scanner: Scanner, unfit: frozenset[str], ends: str) -> str:
    """The characters up to one that ends a bare value, parentheses balanced."""
    start = at = scanner.at
    depth = 0
    while at < len(scanner.text):
        char = scanner.text[at]
        if char in ends or char in unfit or (char == ")" and depth == 0):
            break
        depth += (char == "(") - (char == ")")
        at += 1
    scanner.at = at
    return scanner.text[start:at]


def _bare_pattern(scanner: Scanner) -> str:
    """The characters up to a logical operator or parenthesis that is not the pattern's own."""
    start = at = scanner.at
    depth = 0
    while at < len(scanner.text):
        char = scanner.text[at]
        if char == "\\":
            at += 1
        elif char == "[":
            closing = scanner.text.find("]", at + 2)
            at = closing if closing > 0 else at
        elif depth == 0 and char in ";|)":
            break
        else:
            depth += (char == "(") - (char == ")")
        at += 1
    scanner.at = min(at, len(scanner.text))
    return scanner.text[start : scanner.at]
