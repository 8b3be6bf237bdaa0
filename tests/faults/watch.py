"""A watch: one subscription, what of the log concerns it, and which kinds of faults its receiver may feel."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from faults.evidence import Logged
from faults.writer import TYPE

ENDPOINT_MILLISECONDS: Final = 1_500

BY_THE_BROKER: Final = frozenset({"broker killed", "broker frozen", "broker stopped"})
BY_THE_STORE: Final = frozenset(
    {"disk full", "mongod killed", "mongod frozen", "mongod stepped down", "mongod cut off"}
)
"""Where several brokers share a store: one that cannot renew its leases is succeeded by another one."""
BY_THE_RECEIVER: Final = frozenset(
    {"receiver killed", "receiver frozen", "receiver failing", "receiver dripping", "receiver cut off"}
)
BY_MQTT: Final = frozenset({"mosquitto killed", "mosquitto restarted", "mosquitto frozen", "mosquitto cut off"})


@dataclass(frozen=True, slots=True)
class Watch:
    """`felt` are the kinds of faults after which a repetition is excused. The name is the end of the endpoint's path or topic."""

    name: str
    document: dict[str, Any]
    felt: frozenset[str]
    concerns: Callable[[Logged], bool]
    tenant: str = ""


def watches(troubled: str, calm: str, mqtt: str, *, is_shared: bool) -> list[Watch]:
    """All subscriptions: at a receiver that faults befall, at one that none befalls, and at an MQTT broker.

    Each is an endpoint's URI without the last part of its path. `is_shared`: several brokers are on the store.
    """
    by_all = BY_THE_BROKER | BY_THE_STORE if is_shared else BY_THE_BROKER
    by_http, by_mqtt = by_all | BY_THE_RECEIVER, by_all | BY_MQTT
    every = {"notificationTrigger": ["entityCreated", "entityUpdated", "entityDeleted"]}
    even = {"q": 'side=="even"', "watchedAttributes": ["number"]}
    shared = {"entities": [{"type": TYPE, "idPattern": "hot"}], "watchedAttributes": ["number"]}
    return [
        Watch("http", _document(troubled, "http", every), by_http, lambda it: _in(it, "")),
        Watch("http-q", _document(troubled, "http-q", even), by_http, lambda it: _in(it, "") and _is_even(it)),
        Watch("http-east", _document(troubled, "http-east", every), by_http, lambda it: _in(it, "east"), "east"),
        Watch("calm", _document(calm, "calm", every), by_all, lambda it: _in(it, "")),
        Watch("calm-hot", _document(calm, "calm-hot", shared), by_all, lambda it: _in(it, "") and _is_hot(it)),
        Watch("mqtt", _document(mqtt, "mqtt", every), by_mqtt, lambda it: _in(it, "")),
        Watch("mqtt-q", _document(mqtt, "mqtt-q", even), by_mqtt, lambda it: _in(it, "") and _is_even(it)),
    ]


def _document(base: str, name: str, conditions: dict[str, Any]) -> dict[str, Any]:
    endpoint: dict[str, Any] = {"uri": f"{base}/{name}", "timeout": ENDPOINT_MILLISECONDS}
    if base.startswith("mqtt"):
        endpoint["notifierInfo"] = [{"key": "MQTT-QoS", "value": "1"}]
    return {
        "id": f"urn:ngsi-ld:Subscription:{name}",
        "type": "Subscription",
        "entities": [{"type": TYPE}],
        "notification": {"format": "simplified", "endpoint": endpoint},
        **conditions,
    }


def _in(change: Logged, tenant: str) -> bool:
    return change.entity[0] == tenant


def _is_hot(change: Logged) -> bool:
    return "hot" in change.entity[1]


def _is_even(change: Logged) -> bool:
    return change.after is not None and change.after % 2 == 0
