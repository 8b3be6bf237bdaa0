"""The rules that say what is validated: which mode for which type and tenant, as the setting `validation` has them."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias, cast, get_args

Mode: TypeAlias = Literal["off", "warn", "enforce"]


class Rule(NamedTuple):
    """A mode, and for which type and tenant it is; None: for all. The default tenant is ""."""

    mode: Mode
    type: str | None = None
    tenant: str | None = None


def parse_rules(texts: Sequence[str]) -> tuple[Rule, ...]:
    """Rules such as `warn`, `RiverGauge=enforce`, `RiverGauge@yaizu=warn`, `*@exercise=off`. Raises ValueError."""
    rules = []
    for text in filter(None, map(str.strip, texts)):
        target, separator, mode = text.rpartition("=")
        if mode.strip() not in get_args(Mode):
            raise ValueError(
                f"has {text!r}, which is no mode (off, warn, enforce) and no TYPE=MODE or TYPE@TENANT=MODE"
            )
        name, at, tenant = target.partition("@")
        if separator and not name.strip():
            raise ValueError(f"has {text!r}, which names no type: write *@TENANT=MODE for all types")
        type_name = None if name.strip() in ("", "*") else name.strip()
        rules.append(Rule(cast(Mode, mode.strip()), type_name, tenant.strip() if at else None))
    return tuple(rules)
