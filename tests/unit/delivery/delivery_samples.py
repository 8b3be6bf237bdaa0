"""Subscriptions and entities for the tests of delivery, all names in the default vocabulary."""

from typing import Any

from broker.delivery.document import parse_members
from broker.delivery.subscription import Subscription, bind_terms, compile_subscription
from broker.jsonld.terms import CORE
from broker.model.entity import Entity, Instance, JsonObject
from broker.model.terms import DEFAULT_VOCAB

NOW = "2026-01-01T00:00:00.000000Z"


def iri(name: str) -> str:
    return DEFAULT_VOCAB + name


def subscription_document(identifier: str = "urn:s:1", **members: Any) -> JsonObject:
    """A subscription as it is stored."""
    document = {
        "id": identifier,
        "type": "Subscription",
        "entities": [{"type": "Device"}],
        "notification": {"endpoint": {"uri": "http://receiver.example/"}},
        **members,
    }
    parsed = parse_members({name: value for name, value in document.items() if value is not ...}, CORE, NOW)
    return bind_terms(parsed | {"jsonldContext": "http://c/", "since": 0}, CORE)


def subscription(identifier: str = "urn:s:1", tenant: str = "", **members: Any) -> Subscription:
    return compile_subscription(tenant, subscription_document(identifier, **members))


def entity(entity_id: str = "urn:d:1", types: tuple[str, ...] = ("Device",), **attributes: Instance | Any) -> Entity:
    return {
        "id": entity_id,
        "type": [iri(name) for name in types],
        "attrs": {
            iri(name): [value if isinstance(value, dict) else {"type": "Property", "value": value}]
            for name, value in attributes.items()
        },
        "createdAt": NOW,
        "modifiedAt": NOW,
        "version": 1,
    }
