"""What it costs to hold writes against data models: the check of an entity, and a write of it, by mode.

Entities are the examples of the models, and a gauge as river levels update it. CPU time of this process, the least of several
rounds in which the modes take turns, so that what else the machine does counts for all of them alike.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from broker.model.change import Change
from broker.model.entity import Entity
from broker.operations.validation import Validation
from broker.operations.validation_rules import parse_rules
from broker.store.plan import Decision
from broker.store.sqlite.store import SqliteStore
from broker.store.writer import EntityWriter
from datamodels.model import Model, models
from datamodels.validation import Checks, ModelCheck, check_of

NOW: Final = "2026-06-30T05:20:00Z"
MODES: Final = ("off", "warn", "enforce")


def main(
    entities: Annotated[int, typer.Option(help="Entities written in each round.")] = 2_000,
    rounds: Annotated[int, typer.Option(help="Rounds, of which the fastest counts.")] = 7,
) -> None:
    """Validation: a check of each model's example, and a write in each mode."""
    console = Console(width=120)
    checks = Table("model", "attributes", "compile ms", "fits: us", "does not: us")
    for model in models().values():
        compiled, fits, wrong = _checked(model)
        checks.add_row(model.type, str(len(model.example()) - 2), f"{compiled:.1f}", f"{fits:.0f}", f"{wrong:.0f}")
    console.print(checks)
    writes = Table("mode", "us a write, of CPU")
    for mode, cost in asyncio.run(_written(entities, rounds)).items():
        writes.add_row(mode, f"{cost:.1f}")
    console.print(writes)


def kept(model: Model, entity_id: str) -> Entity:
    """The example of a model as a broker keeps it."""
    example = model.example()
    attributes = {
        model.attributes[name].iri: [{**value, "createdAt": NOW, "modifiedAt": NOW}]
        for name, value in example.items()
        if name not in ("id", "type")
    }
    return {
        "id": entity_id,
        "type": [model.iri],
        "attrs": attributes,
        "createdAt": NOW,
        "modifiedAt": NOW,
        "version": 1,
    }


def _checked(model: Model) -> tuple[float, float, float]:
    """Milliseconds to compile a model, microseconds to check an entity that fits and one of which an attribute does not."""
    started = time.process_time()
    ModelCheck(model)
    compiled = (time.process_time() - started) * 1e3
    check = check_of(model.type)
    good: Any = kept(model, "urn:ngsi-ld:x:1")
    attribute = next(iter(good["attrs"]))
    bad = {**good, "attrs": {**good["attrs"], attribute: [{"type": "Property", "value": {"no": 1}}]}}
    if check.violations(good) or not check.violations(bad):
        raise SystemExit(f"{model.type}: the check is wrong")
    return compiled, _least(lambda: check.violations(good)), _least(lambda: check.violations(bad))


def _least(call: Callable[[], object], times: int = 200) -> float:
    """Microseconds of CPU for one call, the least of five rounds."""
    costs = []
    for _ in range(5):
        started = time.process_time()
        for _ in range(times):
            call()
        costs.append((time.process_time() - started) / times * 1e6)
    return min(costs)


async def _written(entities: int, rounds: int) -> dict[str, float]:
    """Microseconds of CPU for the creation of a river gauge, by mode."""
    model = models()["RiverGauge"]
    costs: dict[str, list[float]] = {mode: [] for mode in MODES}
    for number in range(rounds):
        for mode in MODES:
            store = SqliteStore(":memory:")
            await store.open()
            judge = None if mode == "off" else Validation(Checks(), parse_rules([mode])).judged
            writer = EntityWriter(store, lambda: NOW, judge=judge)
            requests = [_creation(model, f"urn:ngsi-ld:RiverGauge:{number}:{place}") for place in range(entities)]
            started = time.process_time()
            outcomes = await writer.write_many("", requests)
            costs[mode].append((time.process_time() - started) / entities * 1e6)
            if not all(isinstance(outcome, Change) for outcome in outcomes):
                raise SystemExit(f"{mode}: not everything was written")
            await writer.close()
            await store.close()
    return {mode: min(found) for mode, found in costs.items()}


def _creation(model: Model, entity_id: str) -> tuple[str, Decision]:
    entity = kept(model, entity_id)

    def decide(current: Entity | None) -> Change:
        return Change("", entity_id, "entityCreated", NOW, (), None, entity)

    return entity_id, decide
