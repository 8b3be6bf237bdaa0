"""Draws what a benchmark found (matplotlib, from the extra `bench`)."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot

from bench.overload import MEMORY_LIMIT, Course
from bench.report import STORES, Report, Row


def draw_overload(course: Course, file: Path) -> None:
    """Three panels on one clock: writes a second, the lag of notifications as they arrive, memory."""
    mpl.use("Agg")
    mpl.rcParams.update({"font.size": 9, "axes.grid": True, "grid.alpha": 0.3, "svg.hashsalt": "tsunagu"})
    mpl.rcParams["svg.fonttype"] = "none"  # text stays text: a fifth of the size
    figure, (rates, lag, memory) = pyplot.subplots(3, 1, sharex=True, figsize=(9, 7.5), layout="constrained")
    length = int(max(course.drained, course.end)) + 2
    for label, moments, colour in (
        ("offered", course.offered, "tab:gray"),
        ("acknowledged", course.acknowledged, "tab:green"),
        ("refused", course.shed, "tab:red"),
        ("notifications arrived", [at for at, _ in course.lags], "tab:blue"),
    ):
        rates.plot(*_per_second(moments, length), label=label, color=colour, drawstyle="steps-post")
    rates.set_ylabel("a second")
    rates.legend(loc="upper right")
    rates.set_title(f"Offered: {course.facts['offered']}. Subscriptions: {course.facts['subscriptions']}")
    seconds, p50, p99, most = zip(*course.lag_by_second(), strict=True) if course.lags else ((), (), (), ())
    for label, values, colour in (("p50", p50, "tab:blue"), ("p99", p99, "tab:orange"), ("most", most, "tab:red")):
        lag.plot(seconds, values, label=label, color=colour)
    lag.set_ylabel("lag of what arrives, s")
    lag.legend(loc="upper right")
    memory.plot([each.at for each in course.samples], [each.memory for each in course.samples], color="tab:purple")
    memory.axhline(MEMORY_LIMIT, color="tab:red", linestyle="--", label=f"limit, {MEMORY_LIMIT} MiB")
    memory.set_ylim(0, MEMORY_LIMIT * 1.1)
    memory.set_ylabel("broker's memory, MiB")
    memory.set_xlabel("seconds since the first write was due")
    memory.legend(loc="lower right")
    for axes in (rates, lag, memory):
        axes.axvline(course.end, color="black", linewidth=0.8, linestyle=":")
        axes.set_xlim(0, length)
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
    pyplot.close(figure)


def draw_costs(report: Report, file: Path) -> None:
    """A bar of CPU time for each operation that has a limit of it, with the limit and the raw floor, one panel a store."""
    mpl.use("Agg")
    mpl.rcParams.update({"font.size": 9, "axes.grid": True, "grid.alpha": 0.3, "svg.hashsalt": "tsunagu"})
    mpl.rcParams["svg.fonttype"] = "none"
    costs: dict[str, list[tuple[Row, float]]] = {}
    for row in report.rows():
        for limit, found, _ in row.verdicts():
            if limit.quantity == "cpu" and found is not None:
                costs.setdefault(row.store, []).append((row, limit.of(row.store) or 0.0))
    figure, panels = pyplot.subplots(
        max(len(costs), 1), 1, figsize=(9, 3.2 * max(len(costs), 1)), layout="constrained", squeeze=False
    )
    for panel, (store, rows) in zip(panels[:, 0], costs.items(), strict=False):
        places = np.arange(len(rows))
        panel.barh(places + 0.2, [row.figures["broker"] for row, _ in rows], 0.4, color="tab:blue", label="broker")
        left = [row.figures["broker"] for row, _ in rows]
        panel.barh(
            places + 0.2,
            [row.figures.get("store", 0.0) for row, _ in rows],
            0.4,
            left=left,
            color="tab:green",
            label="store",
        )
        floors = [row.figures.get("floor", 0.0) for row, _ in rows]
        panel.barh(places - 0.2, floors, 0.4, color="tab:gray", label="raw floor")
        panel.plot([limit for _, limit in rows], places + 0.2, "|", color="tab:red", markersize=18, label="limit")
        panel.set_yticks(places, [row.name for row, _ in rows])
        panel.set_xscale("log")
        panel.set_xlim(left=10)
        panel.set_xlabel("CPU microseconds an operation")
        panel.set_title(STORES[store])
        panel.legend(loc="upper right")
        panel.invert_yaxis()
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
    pyplot.close(figure)


def _per_second(moments: Sequence[float], length: int) -> tuple[Sequence[float], Sequence[float]]:
    counts, edges = np.histogram(moments, bins=range(length + 1))
    return edges[:-1].tolist(), counts.tolist()
