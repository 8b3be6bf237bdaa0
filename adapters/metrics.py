"""What the adapters count, for /metrics: of a runner that is alone, or of the broker that it runs in."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder

REGISTRY: Final = CollectorRegistry()

records: Final = Counter(
    "tsunagu_adapter_records", "Records by what became of them.", ["feed", "outcome"], registry=REGISTRY
)
entities: Final = Counter(
    "tsunagu_adapter_entities", "Entities by what became of them.", ["feed", "outcome"], registry=REGISTRY
)
inputs: Final = Counter("tsunagu_adapter_inputs", "Inputs that were worked on.", ["feed"], registry=REGISTRY)
input_bytes: Final = Counter("tsunagu_adapter_input_bytes", "Bytes of them.", ["feed"], registry=REGISTRY)
failures: Final = Counter(
    "tsunagu_adapter_failures", "Inputs that could not be decoded, and attempts that the broker did not answer.",
    ["feed", "kind"], registry=REGISTRY,
)  # fmt: skip
waiting: Final = Gauge(
    "tsunagu_adapter_inputs_waiting", "Inputs that wait for their turn.", ["feed"], registry=REGISTRY
)
last_success: Final = Gauge(
    "tsunagu_adapter_last_success_seconds",
    "When inputs were last worked on, in Unix time.",
    ["feed"],
    registry=REGISTRY,
)
group_seconds: Final = Histogram(
    "tsunagu_adapter_group_seconds",
    "From taking up inputs together to all of their effects.",
    ["feed"],
    buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300),
    registry=REGISTRY,
)

commands: Final = Counter(
    "tsunagu_commands", "Commands to devices by each state that they came to.", ["state"], registry=REGISTRY
)
commands_open: Final = Gauge("tsunagu_commands_open", "Commands that have no end yet.", registry=REGISTRY)
commands_untold: Final = Gauge(
    "tsunagu_commands_untold", "Events of commands that the broker has not been told of.", registry=REGISTRY
)
commands_refused_by_broker: Final = Gauge(
    "tsunagu_commands_refused_by_broker",
    "Entities of which the broker refuses to be told what became of their commands.",
    registry=REGISTRY,
)
commands_dropped: Final = Counter(
    "tsunagu_commands_dropped",
    "Commands that went from the record, being too old (age) or too much (size).",
    ["reason"],
    registry=REGISTRY,
)
commands_record_bytes: Final = Gauge(
    "tsunagu_commands_record_bytes", "About how many bytes the record of commands has.", registry=REGISTRY
)
commands_unauthorized: Final = Counter(
    "tsunagu_commands_unauthorized", "Requests for commands without a token that anybody has.", registry=REGISTRY
)
registrations_failing: Final = Gauge(
    "tsunagu_commands_registrations_failing", "Devices whose commands cannot be registered.", registry=REGISTRY
)

RECORDS: Final = ("accepted", "repaired", "quarantined")
ENTITIES: Final = ("created", "updated", "unchanged", "late", "deleted", "failed", "withheld")


def exposition(accept: str = "") -> tuple[bytes, str]:
    """All metrics as text, and its media type, by the scraper's Accept header."""
    encoder, media_type = choose_encoder(accept)
    return encoder(REGISTRY), media_type
