"""Runs as entities: what came in, what became of it, when; one AdapterRun for each, kept at the broker for operators to see.

A run is one input, or, for streams of messages, what came within an hour. The broker is told when a run begins, while it goes
on every few seconds, and when it has ended; the last runs of each feed stay.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from adapters.contract import Entity
from adapters.errors import BrokerRefused
from adapters.feeds import Feed
from adapters.journal import Run
from adapters.ngsild_client import NgsiLdClient
from adapters.wire import to_wire
from datamodels import models

TYPE: Final = "AdapterRun"
_RECORDS: Final = {
    "records": "read",
    "accepted": "accepted",
    "repaired": "repaired",
    "quarantined": "quarantined",
}
_ENTITIES: Final = {
    "created": "created",
    "updated": "updated",
    "unchanged": "unchanged",
    "failed": "refused",
}
_OPTIONAL: Final = {"late": "late", "deleted": "deleted", "withheld": "withheld"}


def run_id(runner: str, feed: str, number: int) -> str:
    """The id of a run's entity. `runner` tells the runners apart that fill one broker."""
    return f"urn:ngsi-ld:{TYPE}:{runner[:12]}:{quote(feed, safe='')}:{number}"


def run_entity(runner: str, feed: Feed, run: Run) -> Entity:
    """The entity of a run."""
    counts = run.counts
    values: dict[str, Any] = {
        "adapter": feed.name,
        "decoder": feed.adapter.name,
        "runStatus": status_of(run),
        "startedAt": run.started_at,
        "finishedAt": run.finished_at,
        "source": feed.source_of(run.address),
        "sourceHash": f"sha256:{run.sha256}" if run.sha256 else None,
        "sourceBytes": run.size,
        "records": {told: counts.get(name, 0) for name, told in _RECORDS.items()},
        "entityCounts": {told: counts.get(name, 0) for name, told in _ENTITIES.items()}
        | {told: counts[name] for name, told in _OPTIONAL.items() if counts.get(name)},
        "failure": run.message or None,
        "dataProvider": feed.provider or None,
        "license": feed.licence or None,
    }
    return {
        "id": run_id(runner, feed.name, run.id),
        "type": TYPE,
        **{name: {"type": "Property", "value": value} for name, value in values.items() if value is not None},
    }


def status_of(run: Run) -> str:
    """The status of a run in the words of the model: running, succeeded, partial or failed."""
    counts: Mapping[str, int] = run.counts
    if run.status == "running":
        return "running"
    if run.message and not counts.get("accepted") and not counts.get("repaired"):
        return "failed"
    return "partial" if run.message or counts.get("quarantined") or counts.get("failed") else "succeeded"


async def publish(client: NgsiLdClient, runner: str, feed: Feed, runs: Sequence[Run]) -> str:
    """Tell the broker of runs of one feed; why it would not have them, or "". Raises BrokerUnreachable."""
    model = models().get(TYPE)
    trouble = ""
    for run in runs:
        entity = to_wire(run_entity(runner, feed, run), model)
        try:
            # The version is in the key: told again after a crash, it is the same request.
            refused = await client.upsert([entity], key=f"{runner}/run/{run.id}/{run.version}")
        except BrokerRefused as refusal:
            trouble = str(refusal)
        else:
            trouble = next(iter(refused.values()), trouble)
    return trouble


async def forget(client: NgsiLdClient, runner: str, feed: Feed, numbers: Sequence[int]) -> None:
    """Delete the entities of runs that are no longer remembered. Raises BrokerUnreachable, BrokerRefused."""
    await client.delete_entities([run_id(runner, feed.name, number) for number in numbers])
