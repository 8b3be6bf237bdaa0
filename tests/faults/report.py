"""The report of a run: every count in a table, and what was found wrong one by one."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from faults.audit import (
    Delivery,
    Occurrence,
    broken_log,
    delivery,
    doubled_writes,
    false_refusals,
    half_written,
    lost_writes,
    overtaken_writes,
)
from faults.evidence import Evidence
from faults.watch import Watch
from faults.write import Write

SHOWN = 20
"""So many of the things that are wrong are shown of each sort."""


@dataclass(slots=True)
class Report:
    """`wrong` has what must not be, by what it is called in the table."""

    title: str
    seconds: float
    faults: Counter[str]
    writes: Counter[str]
    wrong: dict[str, list[str]]
    deliveries: dict[str, Delivery] = field(default_factory=dict)
    set_aside: int = 0

    @property
    def is_clean(self) -> bool:
        return not any(self.wrong.values())

    def table(self) -> str:
        """The report as text."""
        lines = ["", f"{self.title}: {self.faults.total()} faults in {self.seconds:.0f} s"]
        lines += _columns(sorted(self.faults.items()), width=30)
        lines += ["", *_columns(list(self.writes.items()), width=44)]
        lines += ["", *_columns([(what, len(found)) for what, found in self.wrong.items()], width=44), ""]
        heads = ("notifications", "owed", "lost", "repeated", "out of order")
        lines.append(f"  {heads[0]:<20}" + "".join(f"{head:>14}" for head in heads[1:]))
        for name, one in self.deliveries.items():
            counts = (one.owed, len(one.lost), one.repeated.total(), len(one.disordered))
            lines.append(f"  {name:<20}" + "".join(f"{count:>14,}" for count in counts))
        causes = sorted({cause for one in self.deliveries.values() for cause in one.repeated})
        lines += ["", f"  {'repeated, by the fault before':<30}" + "".join(f"{name:>11}" for name in self.deliveries)]
        for cause in causes:
            times = [one.repeated[cause] for one in self.deliveries.values()]
            lines.append(f"  {cause or 'none':<30}" + "".join(f"{each:>11,}" for each in times))
        lines += ["", *_columns([("set aside, and sent again on request", self.set_aside)], width=44)]
        for what, found in self.wrong.items():
            lines += [f"{what}: {each}" for each in found[:SHOWN]]
        return "\n".join(lines)


def report(
    title: str,
    seconds: float,
    faults: Sequence[Occurrence],
    writes: Sequence[Write],
    strange: Sequence[str],
    evidence: Evidence,
    watches: Sequence[Watch],
    set_aside: int,
) -> Report:
    """Audit everything."""
    deliveries = {
        watch.name: delivery(
            watch, evidence.log, [it for it in evidence.receipts if it.subscription == watch.name], faults
        )
        for watch in watches
    }
    effects = [effect for write in writes for effect in write.effects]
    told = Counter(effect.outcome for effect in effects)
    counts = Counter(
        {
            "writes of an entity acknowledged": told["acknowledged"],
            "writes of an entity refused": told["refused"],
            "writes of an entity without an answer": told["unknown"],
            "requests": len(writes),
            "requests repeated with their key": sum(write.attempts > 1 for write in writes),
        }
    )
    wrong = {
        "lost writes": lost_writes(writes, evidence),
        "refused writes that are there": false_refusals(writes, evidence.log),
        "writes that are there twice": doubled_writes(evidence),
        "writes of which a part is there": half_written(writes, evidence.log),
        "breaks of the log's order": broken_log(evidence),
        "writes before one that was acknowledged": overtaken_writes(writes, evidence.log),
        "answers that no fault excuses": list(strange),
        "lost notifications": [each for one in deliveries.values() for each in one.lost],
        "notifications of what did not happen": [each for one in deliveries.values() for each in one.invented],
        "notifications out of order": [each for one in deliveries.values() for each in one.disordered],
        "repetitions that no fault explains": [
            f"{name}: {one.repeated['']}" for name, one in deliveries.items() if one.repeated[""]
        ],
    }
    return Report(title, seconds, Counter(fault.kind for fault in faults), counts, wrong, deliveries, set_aside)


def _columns(rows: Sequence[tuple[str, int]], width: int) -> list[str]:
    return [f"  {name:<{width}}{count:>10,}" for name, count in rows]
