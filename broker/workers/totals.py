"""The counts of all workers as one set of metrics: each sample is labelled with the number of the worker's slot.

What only grows goes on where a slot's last process ended: a worker that is replaced, even one that was killed, makes no
counter fall below what has been shown. What can fall (gauges) is shown of the process that is in the slot now.
"""

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from broker.metrics import Family

GROWING: Final = frozenset({"counter", "histogram", "summary"})
"""The kinds of metrics whose samples only grow while a process lives."""

MOST_SAMPLES: Final = 20_000
"""How many samples of ended processes are kept for a slot: labels come and go, and the supervisor may live for years."""

_Key: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]
_Sums: TypeAlias = dict[str, tuple[Family, dict[_Key, float]]]
"""By the name of a metric: what it is, and the value of each of its samples."""


class Totals:
    """What each slot's processes have counted. A `process` is a number that grows from one to the next."""

    def __init__(self) -> None:
        self._living: dict[int, dict[int, Sequence[Family]]] = {}
        self._ended: dict[int, _Sums] = {}

    def counted(self, slot: int, process: int, families: Sequence[Family]) -> None:
        """What a process of a slot has counted until now."""
        self._living.setdefault(slot, {})[process] = families

    def ended(self, slot: int, process: int) -> None:
        """A process counts no more: what it had counted when it was last heard of stays."""
        families = self._living.get(slot, {}).pop(process, ())
        _add(self._ended.setdefault(slot, {}), families, MOST_SAMPLES)

    def whole(self) -> list[Family]:
        """The metrics of all slots."""
        whole: dict[str, Family] = {}
        for slot in sorted(self._ended.keys() | self._living.keys()):
            sums: _Sums = {
                name: (family, dict(samples)) for name, (family, samples) in self._ended.get(slot, {}).items()
            }
            processes = sorted(self._living.get(slot, {}).items())
            for _, families in processes:
                _add(sums, families)
            for family, samples in sums.values():
                _show(whole, family, slot, ((name, dict(labels), value) for (name, labels), value in samples.items()))
            for family in processes[-1][1] if processes else ():
                if family.kind not in GROWING:
                    _show(whole, family, slot, family.samples)
        return list(whole.values())


def labelled(families: Iterable[Family], slot: int) -> list[Family]:
    """The metrics of one process, with its slot."""
    whole: dict[str, Family] = {}
    for family in families:
        _show(whole, family, slot, family.samples)
    return list(whole.values())


def _add(sums: _Sums, families: Iterable[Family], most: int | None = None) -> None:
    """Add what grows to sums of it. New samples are left out where there are `most` already."""
    count = 0 if most is None else sum(len(samples) for _, samples in sums.values())
    for family in families:
        if family.kind not in GROWING:
            continue
        _, samples = sums.setdefault(family.name, (family._replace(samples=[]), {}))
        for name, labels, value in family.samples:
            key = (name, tuple(labels.items()))
            if key not in samples:
                if most is not None and count >= most:
                    continue
                count += 1
            samples[key] = samples.get(key, 0.0) + value


def _show(
    whole: dict[str, Family], family: Family, slot: int, samples: Iterable[tuple[str, dict[str, str], float]]
) -> None:
    shown = whole.setdefault(family.name, family._replace(samples=[]))
    shown.samples.extend((name, {**labels, "worker": str(slot)}, value) for name, labels, value in samples)
