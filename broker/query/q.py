"""The NGSI-LD Query Language (4.9): the text of `q` -> a Condition.

The grammar, in this module's notation (`?` optional, `*` any number, `+` at least one; blanks between tokens are skipped):

    query      = conjunction ( "|" conjunction )*               or binds less than and
    conjunction= primary ( ";" primary )*
    primary    = "(" query ")" | term                           groups nest
    term       = attribute                                      it exists
               | attribute ( "==" | "!=" ) equality
               | attribute ( ">" | ">=" | "<" | "<=" ) comparable
               | attribute ( "~=" | "!~=" ) regexp
    attribute  = path "{" hint? attribute "}" | path            the inner one is of a linked entity
    hint       = type ( "," type )* ":"
    path       = name ( "." name )* ( "[" member ( "." member )* "]" )?
    equality   = comparable ".." comparable                     a range: two of one data type
               | value ( "," value )*                           one value, or a list: any of them
    value      = comparable | "true" | "false" | URI | word
    comparable = JSON number | JSON string | dateTime | date | time
    regexp     = JSON string | characters up to a logical operator outside of the pattern's own parentheses

It is wider than the clause's in these points: groups nest to any depth up to a bound, as its examples do; a list may hold
bare URIs; a bare word stands for a string (with expandValues, for a term, as in its example 12); the path before a brace
may be dotted; names may be full IRIs (broker.query.paths).
"""

import re
from typing import Final, cast

from broker.errors import TooComplexQuery
from broker.model.entity import Names
from broker.query.ast import (
    And,
    Comparison,
    Condition,
    Exists,
    Linked,
    Operator,
    Or,
    Path,
    Range,
    Value,
    ValueList,
)
from broker.query.literals import read_comparable, read_pattern, read_value
from broker.query.paths import read_path
from broker.query.patterns import compile_pattern
from broker.query.scanner import Scanner

MAX_LENGTH: Final = 65_536
"""Characters."""

MAX_DEPTH: Final = 50
"""Of nested parentheses, and of linked entities."""

MAX_TERMS: Final = 1000
"""Query terms and list values, together."""

_OPERATOR: Final = re.compile(r"!~=|~=|[=!<>]=|[<>]")
_HINT: Final = re.compile(r"[^{}\[\]<>=!~\"\s]*")
_SHORT_OR_IRI: Final = re.compile(r"[^/]*|[A-Za-z][A-Za-z0-9+.\-]*://.*")


def parse_q(
    text: str,
    names: Names,
    *,
    expand_values: frozenset[str] = frozenset(),
    json_keys: frozenset[str] = frozenset(),
) -> Condition:
    """The condition that a query string expresses, with names expanded (4.9).

    `expand_values` and `json_keys` are attribute names as the client gave them: values compared with an attribute of the
    first are expanded to IRIs with the @context, values of the second never are. (`json_keys` changes nothing else here:
    what lies inside a value is kept as it came.) Values compared with the entity's `type` are entity types, always expanded.

    Raises BadRequestData ("q: ... at character N"), or TooComplexQuery beyond MAX_LENGTH, MAX_DEPTH and MAX_TERMS.
    """
    if len(text) > MAX_LENGTH:
        raise TooComplexQuery(f"q: longer than {MAX_LENGTH} characters")
    expanding = {names.expand(name) for name in expand_values} - {names.expand(name) for name in json_keys}
    return _Parser(Scanner(text, "q"), names, frozenset(expanding)).parse()


class _Parser:
    def __init__(self, scanner: Scanner, names: Names, expanding: frozenset[str]) -> None:
        self.scanner = scanner
        self.names = names
        self.expanding = expanding
        self.depth = 0
        self.terms = 0

    def parse(self) -> Condition:
        condition = self.query()
        if not self.scanner.at_end():
            raise self.scanner.error("expected ';', '|' or the end")
        return condition

    def query(self) -> Condition:
        alternatives = [self.conjunction()]
        while self.scanner.take("|"):
            alternatives.append(self.conjunction())
        return alternatives[0] if len(alternatives) == 1 else Or(tuple(alternatives))

    def conjunction(self) -> Condition:
        terms = [self.primary()]
        while self.scanner.take(";"):
            terms.append(self.primary())
        return terms[0] if len(terms) == 1 else And(tuple(terms))

    def primary(self) -> Condition:
        scanner = self.scanner
        scanner.skip_space()
        if not scanner.take("("):
            condition = self.term()
        else:
            self.descend()
            condition = self.query()
            scanner.expect(")")
            self.depth -= 1
        scanner.skip_space()
        return condition

    def descend(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise TooComplexQuery(f"q: nested deeper than {MAX_DEPTH} levels at character {self.scanner.at}")

    def count(self) -> None:
        self.terms += 1
        if self.terms > MAX_TERMS:
            raise TooComplexQuery(f"q: more than {MAX_TERMS} terms and values at character {self.scanner.at + 1}")

    def term(self) -> Condition:
        path = read_path(self.scanner, self.names)
        links: list[tuple[Path, tuple[str, ...]]] = []
        while self.scanner.take("{"):
            self.descend()
            links.append((path, self.hint()))
            path = read_path(self.scanner, self.names)
        for _ in links:
            self.scanner.skip_space()
            self.scanner.expect("}")
        condition = self.comparison(path)
        for relation, types in reversed(links):
            condition = Linked(relation, types, condition)
        self.depth -= len(links)
        return condition

    def hint(self) -> tuple[str, ...]:
        """The entity types before a colon; the last colon, so that types may be prefixed or full IRIs."""
        scanner = self.scanner
        scanner.skip_space()
        start = scanner.at
        inside = scanner.match(_HINT) or ""
        scanner.at = start
        colon = inside.rfind(":")
        while colon >= 0 and (
            inside.startswith("//", colon + 1) or not _SHORT_OR_IRI.fullmatch(inside, colon + 1, len(inside))
        ):
            colon = inside.rfind(":", 0, colon)
        if colon < 0:
            return ()
        types = inside[:colon].split(",")
        if not all(types):
            raise scanner.error("expected entity types, separated by commas, before the colon")
        scanner.at = start + colon + 1
        return tuple(self.names.expand(entity_type) for entity_type in types)

    def comparison(self, path: Path) -> Condition:
        self.count()
        scanner = self.scanner
        scanner.skip_space()
        found = scanner.match(_OPERATOR)
        if found is None:
            return Exists(path)
        operator = cast(Operator, found)
        if operator in ("~=", "!~="):
            pattern = read_pattern(scanner)
            compile_pattern(str(pattern.value), "q")
            return Comparison(path, operator, pattern)
        if operator in ("==", "!="):
            return Comparison(path, operator, self.equality(path))
        return Comparison(path, operator, read_comparable(scanner))

    def equality(self, path: Path) -> Value | ValueList | Range:
        scanner = self.scanner
        scanner.skip_space()
        start = scanner.at
        first = read_value(scanner)
        scanner.skip_space()
        if scanner.take(".."):
            last = read_comparable(scanner)
            if first.kind != last.kind or first.kind in ("boolean", "uri"):
                raise scanner.error("expected a range of two numbers, strings, dates or times", start)
            return Range(first, last)
        values = [self.expand(path, first)]
        while scanner.take(","):
            self.count()
            values.append(self.expand(path, read_value(scanner)))
            scanner.skip_space()
        return values[0] if len(values) == 1 else ValueList(tuple(values))

    def expand(self, path: Path, value: Value) -> Value:
        name = path.names[-1]
        expands = name in self.expanding or path.names == ("type",)
        if not expands or value.kind not in ("string", "uri"):
            return value
        return Value(self.names.expand(str(value.value)), "uri")
