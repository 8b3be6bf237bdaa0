"""Notifications about registrations (5.3.2, 6.3.9): CSourceNotifications, made into messages of the bindings."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from broker.delivery.endpoint import JSON_LD
from broker.delivery.payload import Message
from broker.federation.document import show_document
from broker.federation.matching import matching_information
from broker.federation.registration import Registration
from broker.federation.subscription import RegistrationSubscription
from broker.model.entity import JsonObject, Names

TriggerReason: TypeAlias = Literal["newlyMatching", "updated", "noLongerMatching"]
"""Why a subscriber is told of a registration (5.3.3)."""

_NOTICE_IDS: Final = uuid.UUID("4c1f6a57-52a6-5d0c-8a55-6a7c0d6f7e21")
_CONTEXT_RELATION: Final = "http://www.w3.org/ns/json-ld#context"


@dataclass(frozen=True, slots=True)
class Notice:
    """What one notification tells: registrations, as they are or were last, and why. `occasion` makes periodic ones differ."""

    reason: TriggerReason
    registrations: tuple[Registration, ...]
    occasion: str = ""


def notice_id(subscription: RegistrationSubscription, notice: Notice) -> str:
    """The id of a notification: the same whenever the same is told again."""
    told = "\n".join(f"{each.id} {each.version}" for each in notice.registrations)
    name = "\n".join((*subscription.key, subscription.version, notice.reason, notice.occasion, told))
    return f"urn:ngsi-ld:ContextSourceNotification:{uuid.uuid5(_NOTICE_IDS, name)}"


def show_registration(subscription: RegistrationSubscription, registration: Registration, names: Names) -> JsonObject:
    """A registration with only the RegistrationInfo elements that the subscription is about, all if it is about none (5.11.7)."""
    return show_document(
        registration.document,
        names,
        sys_attrs=subscription.subscription.view.sys_attrs,
        matching=matching_information(subscription.query, registration) or None,
    )


def make_message(
    subscription: RegistrationSubscription, notice: Notice, names: Names, context: Any, now: str
) -> Message:
    """The message of a notice. `context` is the subscription's @context as it stands in a JSON-LD body."""
    endpoint = subscription.endpoint
    in_body = endpoint.accept == JSON_LD
    data: Sequence[JsonObject] = [show_registration(subscription, each, names) for each in notice.registrations]
    if in_body:
        data = [{**registration, "@context": context} for registration in data]
    body: JsonObject = {
        "id": notice_id(subscription, notice),
        "type": "ContextSourceNotification",
        "subscriptionId": subscription.subscription.id,
        "notifiedAt": now,
        "triggerReason": notice.reason,
        "data": data,
    }
    if in_body:
        body["@context"] = context
    url = subscription.subscription.context
    return Message(
        body=body,
        media_type=endpoint.accept,
        link=None if in_body else f'<{url}>; rel="{_CONTEXT_RELATION}"; type="{JSON_LD}"',
        tenant=subscription.subscription.tenant,
        receiver_info=endpoint.receiver_info,
    )
