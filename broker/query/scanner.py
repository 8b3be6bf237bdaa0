"""Reading a query string from left to right, and saying where it went wrong: what the parsers of this room share."""

import re
from typing import Final

from broker.errors import BadRequestData

_UNFIT: Final = re.compile("[\\x00\\ud800-\\udfff]")


class Scanner:
    """A position in a text. `subject` names the parameter in error messages ("q: ... at character 12", counted from 1).

    Raises BadRequestData for text that has no place in any query and that no store takes: NUL, and surrogates that stand alone.
    """

    __slots__ = ("at", "subject", "text")

    def __init__(self, text: str, subject: str) -> None:
        self.text = text
        self.subject = subject
        self.at = 0
        unfit = _UNFIT.search(text)
        if unfit is not None:
            raise self.error("not a character", unfit.start())

    def skip_space(self) -> None:
        """Go past blanks, which the grammars do not need but people write."""
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def peek(self) -> str:
        """The next character, empty at the end."""
        return self.text[self.at : self.at + 1]

    def take(self, token: str) -> bool:
        """Go past this token, if it is next."""
        if self.text.startswith(token, self.at):
            self.at += len(token)
            return True
        return False

    def match(self, pattern: re.Pattern[str]) -> str | None:
        """Go past what the pattern matches here, and give it back; None if it does not match."""
        found = pattern.match(self.text, self.at)
        if found is None:
            return None
        self.at = found.end()
        return found.group()

    def expect(self, token: str) -> None:
        """Go past this token or raise BadRequestData."""
        if not self.take(token):
            raise self.error(f"expected {token!r}")

    def at_end(self) -> bool:
        """Whether everything has been read."""
        return self.at >= len(self.text)

    def error(self, problem: str, at: int | None = None) -> BadRequestData:
        """The error to raise for a problem here, or at another position (counted from 0)."""
        position = self.at if at is None else at
        found = repr(self.text[position]) if position < len(self.text) else "the end"
        return BadRequestData(f"{self.subject}: {problem}, found {found} at character {position + 1}")
