"""What an operation costs: CPU time of broker and store, beside the raw floor of the same run."""

import json
import sys
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from bench.cost import in_turns
from bench.report import STORES, Report, Section
from bench.stage import Stage, scratch, stage
from bench.stock import ENTITIES

BESIDE_THE_FLOOR: Final = ("get", "patch", "post", "type", "q", "batch")
ALONE: Final = ("update", "attribute")
"""What the raw floor does not do."""


def main(
    store: Annotated[Literal["sqlite", "mongo"], typer.Option(help="Which store.")] = "sqlite",
    entities: Annotated[int, typer.Option(min=1_000, help="How many entities.")] = ENTITIES,
    clients: Annotated[int, typer.Option(min=1, help="Clients at once.")] = 32,
    seconds: Annotated[float, typer.Option(help="How long each operation is asked for in a round.")] = 3.0,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; broker and floor take turns.")] = 3,
    cache_gb: Annotated[float, typer.Option(help="Size of MongoDB's cache.")] = 1.0,
    folder: Annotated[
        Path | None, typer.Option(help="Where the store's files go; they are removed at the end.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--json", help="Where to write the figures as JSON.")] = None,
) -> None:
    """CPU time an operation, of broker and store apart, and the ratio to aiohttp with the bare driver call."""
    with scratch(folder) as files, stage(store, files, entities, cache_gb, with_floor=True) as where:
        section = measure(where, clients, seconds, rounds)
    Report("Operations", [section]).tell(output)


def measure(where: Stage, clients: int, seconds: float, rounds: int) -> Section:
    """Each operation at broker and floor in turns."""
    stock, place = where.stock, where.place
    size = len(json.dumps(stock.entity(0), separators=(",", ":")))
    section = Section(f"Operations on {STORES[where.kind]}, {stock.entities:,} entities")
    section.facts["clients"] = f"{clients}, closed: each asks again when it is answered; an entity has {size} bytes"
    section.facts["entities loaded a second"] = f"{where.rate:,.0f}"
    for key in (*BESIDE_THE_FLOOR, *ALONE):
        servers = {"broker": where.server}
        if where.floor is not None and key in BESIDE_THE_FLOOR:
            servers["floor"] = where.floor
        found = in_turns(servers, key, seconds, rounds, clients, place, where.broker, stock.entities)
        ours, values = found["broker"], dict[str, float]()
        if "floor" in found:
            floor = found["floor"]
            values = {"floor": floor.cpu_us, "ratio": ours.cpu_us / max(floor.cpu_us, 1e-9)}
            section.wrong += [f"the floor, {key}: {each}" for each in floor.faults()]
        section.rows.append(ours.row(key, stock.operations[key].name, where.kind, stock.entities, **values))
        print(f"{where.kind}, {key}: {ours.cpu_us:,.0f} us", file=sys.stderr)
    return section
