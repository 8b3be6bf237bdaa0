"""What operations may cost: the one table of limits, and what it says to what was found."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple


@dataclass(frozen=True, slots=True)
class Limit:
    """The most (or `least`) that a quantity of an operation may be, on each store (None: no limit), from so many entities on."""

    key: str
    quantity: str
    mongo: float | None
    sqlite: float | None
    least: bool = False
    entities: int = 0

    def of(self, store: str) -> float | None:
        """The bound on a store."""
        return self.mongo if store == "mongo" else self.sqlite


class Verdict(NamedTuple):
    """A limit, what was found (None: nothing that could be told), and whether that is within it."""

    limit: Limit
    found: float | None
    met: bool


MANY: Final = 1_000_000
NAMES: Final = {
    "get": "GET entity by id",
    "patch": "PATCH one attribute",
    "post": "POST entity",
    "type": "GET type, limit=20",
    "q": "type and q equality, 83 of 10,000 match, limit=20",
    "batch": "batch upsert of 100 existing",
    "hot": "PATCH of one entity by 64 clients",
    "idle": "a broker that has just started",
    "large q": "type and q equality, 83 match",
    "large town": "geo within a town, 100 match",
    "large last": "the last page, by its link",
    "load": "loading by POST /entityOperations/create",
    "notified": "notifications of 10,000 subscriptions, at half of what is sustained",
}
WORDS: Final = {
    "cpu": "CPU us, broker and store together",
    "ratio": "times the raw floor's CPU",
    "share": "of the rate at 10,000 entities",
    "memory": "MiB resident",
    "p95": "p95 ms, 16 clients",
    "p99": "p99 ms",
    "times": "times the CPU of an early page",
    "rate": "entities a second",
}

LIMITS: Final = (
    # CPU microseconds of broker and store together, 32 clients, 10,000 entities
    Limit("get", "cpu", 280, 160),
    Limit("patch", "cpu", 450, 280),
    Limit("post", "cpu", 350, 280),
    Limit("type", "cpu", 600, 450),
    Limit("q", "cpu", 1_000, 800),
    Limit("batch", "cpu", 22_000, 14_000),
    # the same in that of the raw floor
    Limit("get", "ratio", 2.5, 2.5),
    Limit("patch", "ratio", 2.5, 2.5),
    Limit("post", "ratio", 2.5, 2.5),
    Limit("type", "ratio", 2.5, 2.5),
    Limit("q", "ratio", 3, 3),
    Limit("batch", "ratio", 3, 3),
    # all clients at one entity, in the rate of the same clients at 10,000
    Limit("hot", "share", 0.5, 0.5, least=True),
    # a broker that has nothing to do
    Limit("idle", "memory", 120, 120),
    # a million entities, 16 clients
    Limit("large q", "p95", 50, 50, entities=MANY),
    Limit("large town", "p95", 80, 80, entities=MANY),
    Limit("large last", "times", 1.2, 1.2, entities=0),
    Limit("load", "rate", None, 3_000, least=True, entities=MANY),
    # notifications, 10,000 subscriptions, half of what is sustained
    Limit("notified", "p99", 100, 100),
)


def table() -> str:
    """The limits as docs/performance.md has them."""
    lines = ["| operation | what | MongoDB | SQLite | from entities |", "|---|---|--:|--:|--:|"]
    for limit in LIMITS:
        bounds = ["" if bound is None else f"{bound:,g}" for bound in (limit.mongo, limit.sqlite)]
        at = f"{limit.entities:,}" if limit.entities else ""
        least = ", at least" if limit.least else ""
        lines.append(f"| {NAMES[limit.key]} | {WORDS[limit.quantity]}{least} | {bounds[0]} | {bounds[1]} | {at} |")
    return "\n".join(lines)


def judged(key: str, store: str, entities: int, figures: Mapping[str, float]) -> list[Verdict]:
    """The limits of an operation, held against figures of it. One without a figure is not met."""
    verdicts = []
    for limit in LIMITS:
        bound = limit.of(store)
        if limit.key != key or bound is None or entities < limit.entities:
            continue
        found = figures.get(limit.quantity)
        met = found is not None and (found >= bound if limit.least else found <= bound)
        verdicts.append(Verdict(limit, found, met))
    return verdicts
