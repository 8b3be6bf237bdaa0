"""One entity that everybody writes, against as many clients at ten thousand: the rate, and that no write is lost."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from bench.asking import Asker
from bench.cost import Cost, take
from bench.crowd import Errand
from bench.report import STORES, Report, Section
from bench.stage import Stage, scratch, stage
from bench.stock import ENTITIES, HOT

CLIENTS: Final = 64


def main(
    store: Annotated[Literal["sqlite", "mongo"], typer.Option(help="Which store.")] = "sqlite",
    seconds: Annotated[float, typer.Option(help="How long each turn is.")] = 3.0,
    rounds: Annotated[int, typer.Option(min=1, help="How often one and many have their turn.")] = 3,
    cache_gb: Annotated[float, typer.Option(help="Size of MongoDB's cache.")] = 1.0,
    output: Annotated[Path | None, typer.Option("--json", help="Where to write the figures as JSON.")] = None,
) -> None:
    """PATCH by 64 clients of one entity, and of ten thousand, in turns; each write has to be in the log and in the history."""
    with scratch() as files, stage(store, files, ENTITIES, cache_gb) as where:
        section = measure(where, seconds, rounds)
    Report("One entity that everybody writes", [section]).tell(output)


def measure(where: Stage, seconds: float, rounds: int) -> Section:
    """Both in turns; then the history of the one must have every value that was acknowledged, once."""
    stock = where.stock
    asker = Asker(where.broker, None)
    asker.expect(201, "POST", "/entities", {**stock.entity(0), "id": HOT})
    asker.close()
    before, warm = _recorded(where), 0
    found = {"hot": Cost(), "patch": Cost(next=10**6)}  # values of its own, where these were patched before
    for turn in range(rounds + 1):
        for key, cost in found.items():
            counted = cost if turn else Cost(next=cost.next)
            errand = Errand(
                where.server.port, key, counted.next, seconds if turn else min(1.0, seconds), CLIENTS, stock.entities
            )
            take(where.server, errand, counted, where.place)
            if not turn:
                cost.warmed(counted)
                warm = counted.right if key == "hot" else warm
    hot, many = found["hot"], found["patch"]
    after = _recorded(where)
    section = Section(f"One entity that everybody writes, {STORES[where.kind]}")
    wanted = hot.right + warm
    faults = [
        f"the history has {value:,} {what} of {wanted:,} acknowledged writes"
        for what, value in zip(("instances", "different values"), (after[i] - before[i] for i in (0, 1)), strict=True)
        if value != wanted
    ]
    section.facts["clients"] = f"{CLIENTS}, of the one and of {stock.entities:,} in {rounds} turns of {seconds:g} s"
    if not faults and not hot.faults():
        section.facts["no write lost"] = f"{wanted:,} acknowledged, each once in the change log and once in the history"
    one = hot.row(
        "hot", "PATCH of one entity by all", where.kind, stock.entities, share=hot.rate / max(many.rate, 1e-9)
    )
    section.rows.append(replace(one, wrong=[*one.wrong, *faults]))
    section.rows.append(many.row("many", f"PATCH of {stock.entities:,} entities", where.kind, stock.entities))
    print(f"{where.kind}, one entity: {hot.rate:,.0f}/s, many: {many.rate:,.0f}/s", file=sys.stderr)
    return section


def _recorded(where: Stage) -> tuple[int, int]:
    """How many instances of the attribute the history has, and how many different values (4.5.19)."""
    asker = Asker(where.broker, None)
    answer = asker.expect(
        200,
        "GET",
        f"/temporal/entities/{HOT}?attrs=flow&timeproperty=modifiedAt&timerel=after&timeAt=2000-01-01T00:00:00Z"
        "&format=aggregatedValues&aggrMethods=totalCount,distinctCount",
    ).json()
    asker.close()
    return answer["flow"]["totalCount"][0][0], answer["flow"]["distinctCount"][0][0]
