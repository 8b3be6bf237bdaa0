"""Query parameters of the HTTP binding: each endpoint declares the names that it takes, anything else is refused (6.3.20)."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from broker.errors import BadRequestData, InvalidRequest
from broker.model.representation import Format

FORMATS: Final[Mapping[str, Format]] = {
    "normalized": "normalized",
    "concise": "concise",
    "simplified": "simplified",
    "keyValues": "simplified",
}
"""Entity representations by the words of `format` and `options` (6.3.7)."""


_INTEGER: Final = re.compile(r"-?[0-9]{1,18}")


class Parameters:
    """The query parameters of one request, with the conversions and complaints that 6.3.x and 6.4 prescribe."""

    __slots__ = ("_values",)

    def __init__(self, query: Iterable[tuple[str, str]], allowed: frozenset[str]) -> None:
        """Raises InvalidRequest for a name that is not in `allowed` or that comes twice."""
        values: dict[str, str] = {}
        for name, value in query:
            if name not in allowed:
                known = ", ".join(sorted(allowed)) or "none"
                raise InvalidRequest(f"parameter {name!r} is not one of this operation (it takes: {known})")
            if name in values:
                raise InvalidRequest(f"parameter {name!r} is given more than once")
            values[name] = value
        self._values = values

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._values)

    def besides(self, left_out: frozenset[str]) -> tuple[tuple[str, str], ...]:
        """All but these, as they came: what they make of a request is the same for equal ones."""
        return tuple([each for each in self._values.items() if each[0] not in left_out])

    def imply_local_scope(self) -> None:
        """The operation is one on a snapshot and so always local, whatever it says (6.3.18). Raises BadRequestData."""
        self.flag("local")
        self._values["local"] = "true"

    def text(self, name: str) -> str | None:
        """The value as it is; an empty one is refused."""
        value = self._values.get(name)
        if value == "":
            raise BadRequestData(f"parameter {name!r} is empty")
        return value

    def names(self, name: str) -> list[str]:
        """A comma-separated list without empty elements; [] where the parameter is absent."""
        value = self.text(name)
        if value is None:
            return []
        elements = [element.strip() for element in value.split(",")]
        if not all(elements):
            raise BadRequestData(f"parameter {name!r} has an empty element: {value!r}")
        return elements

    def flag(self, name: str) -> bool | None:
        """`true` or `false`."""
        value = self.text(name)
        if value is None:
            return None
        if value not in ("true", "false"):
            raise BadRequestData(f"parameter {name!r} is either true or false, not {value!r}")
        return value == "true"

    def number(self, name: str, *, minimum: int) -> int | None:
        """An integer of at least `minimum`."""
        value = self.text(name)
        if value is None:
            return None
        if _INTEGER.fullmatch(value) is None or int(value) < minimum:
            raise BadRequestData(f"parameter {name!r} is an integer of at least {minimum}, not {value!r}")
        return int(value)

    def options(self, supported: frozenset[str]) -> frozenset[str]:
        """The keywords of `options`; InvalidRequest for one that the operation does not support (6.3.20)."""
        options = frozenset(self.names("options"))
        for option in sorted(options - supported):
            raise InvalidRequest(f"options={option} is not supported here (only: {', '.join(sorted(supported))})")
        return options

    def representation(self, options: frozenset[str]) -> Format:
        """The entity representation that `format`, or else `options`, asks for (6.3.7)."""
        wanted = self.text("format")
        if wanted is not None:
            if wanted not in FORMATS:
                raise InvalidRequest(f"format={wanted} is not one of {', '.join(FORMATS)}")
            return FORMATS[wanted]
        for option, representation in FORMATS.items():
            if option in options:
                return representation
        return "normalized"
