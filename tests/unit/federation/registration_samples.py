"""Registrations, made of JSON as a client writes it, in the core @context."""

from typing import Any

from broker.federation.document import check_whole, parse_members
from broker.federation.registration import Registration, compile_registration
from broker.jsonld.terms import CORE

NOW = "2026-11-22T12:00:00.000000Z"
VEHICLE = "urn:ngsi-ld:Vehicle:A456"


def iri(name: str) -> str:
    return CORE.expand(name)


def given(**members: Any) -> dict[str, Any]:
    """A CSourceRegistration about vehicles; members with the value ... are left out."""
    whole = {
        "id": "urn:ngsi-ld:ContextSourceRegistration:1",
        "type": "ContextSourceRegistration",
        "endpoint": "http://source.example:1026",
        "information": [{"entities": [{"type": "Vehicle"}]}],
        **members,
    }
    return {member: value for member, value in whole.items() if value is not ...}


def stored(**members: Any) -> dict[str, Any]:
    document = parse_members(given(**members), CORE, NOW)
    check_whole(document)
    return {**document, "createdAt": NOW, "modifiedAt": NOW}


def registration(tenant: str = "", **members: Any) -> Registration:
    return compile_registration(tenant, stored(**members))


def about(*entities: dict[str, Any], **names: list[str]) -> list[dict[str, Any]]:
    """An `information` of one element."""
    return [({"entities": list(entities)} if entities else {}) | names]
