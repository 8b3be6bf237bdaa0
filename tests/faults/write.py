"""A write as its client knows it: what it was to leave behind at which entities, and what the client was told of it."""

import math
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

EntityKey: TypeAlias = tuple[str, str]
"""(tenant, entity id). The default tenant is the empty string."""

Outcome: TypeAlias = Literal["acknowledged", "refused", "unknown"]
"""`refused`: the client was told that nothing was written. `unknown`: nobody told it anything, so both may be true."""


@dataclass(slots=True)
class Effect:
    """What a write does to one entity: it leaves a number that no other write has, or (None) deletes it for good."""

    entity: EntityKey
    number: int | None
    outcome: Outcome = "unknown"


@dataclass(slots=True)
class Write:
    """One request and all its repetitions. `whole`: all its effects are there, or none.

    `began` is before its first attempt, `ended` after the answer, infinite without one (seconds of the monotonic clock).
    """

    kind: str
    effects: list[Effect]
    began: float
    whole: bool = False
    ended: float = field(default=math.inf)
    attempts: int = 0
