"""Notifications as they are sent (5.3.1, 5.8.6, 6.3.8, 7.2): from changes or states of entities to a message.

A deleted attribute is shown by an NGSI-LD Null. In the concise and the simplified representation it is the Null alone (5.5.4,
5.8.6), unless there is more to say about it: a datasetId, system times, a previous value. In the normalized one it is the
value or object of an attribute that keeps its type (4.5.0), as every attribute does there.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import orjson

from broker.delivery.endpoint import GEO_JSON, JSON_LD
from broker.delivery.subscription import Subscription
from broker.model.change import Change
from broker.model.dataspace import origin_of
from broker.model.entity import Entity, Instance, JsonObject, Names, by_dataset, dataset_of
from broker.model.expiry import without_expired
from broker.model.geojson import feature_collection, geojson_feature
from broker.model.representation import View, flatten, represent
from broker.model.terms import KINDS, LOCATION, NGSI_LD_NULL, NONE_DATASET
from broker.model.uuids import uuid_of
from broker.model.versions import kind_in

TENANT_HEADER: Final = "NGSILD-Tenant"
SNAPSHOT_HEADER: Final = "NGSILD-Snapshot"

_NOTIFICATION_IDS: Final = uuid.UUID("8f4f2f43-0f5b-5c0b-9a86-52a1c4d1b1a6").bytes
_CONTEXT_RELATION: Final = "http://www.w3.org/ns/json-ld#context"


@dataclass(slots=True)
class Message:
    """A notification ready to be sent: its body, its media type, and what goes along as headers or metadata.

    Not frozen, as making a frozen one takes three times as long, and there is one for each attempt. `tenant` is the key of the
    space of its subscription: a tenant's own, or that of one of its snapshots (6.3.22).
    """

    body: JsonObject
    media_type: str
    link: str | None
    tenant: str
    receiver_info: tuple[tuple[str, str], ...]

    def http_headers(self) -> dict[str, str]:
        """The headers of the HTTP binding (6.3.8), in the spelling in which they go out."""
        return {"Content-Type": self.media_type, **self._information()}

    def http_body(self) -> bytes:
        """The body of the HTTP binding."""
        return orjson.dumps(self.body)

    def mqtt_payload(self) -> bytes:
        """The message of the MQTT binding: the notification as `body`, all the rest as `metadata` (7.2)."""
        metadata = {"Content-Type": self.media_type, **self._information()}
        return orjson.dumps({"metadata": metadata, "body": self.body})

    def _information(self) -> dict[str, str]:
        information = {} if self.link is None else {"Link": self.link}
        tenant, snapshot = origin_of(self.tenant)
        if tenant:
            information[TENANT_HEADER] = tenant
        if snapshot is not None:
            information[SNAPSHOT_HEADER] = snapshot
        information.update(self.receiver_info)
        return information


def notification_id(subscription: Subscription, occasion: str) -> str:
    """The id of a notification: the same whenever it is sent again for the same occasion."""
    name = f"{subscription.tenant}\n{subscription.id}\n{occasion}"
    return f"urn:ngsi-ld:Notification:{uuid_of(_NOTIFICATION_IDS + name.encode())}"


def changed_entity(subscription: Subscription, change: Change) -> Entity:
    """What a subscription tells of an entity that a change created, updated or deleted (5.8.6): its state after the change,
    with an instance for each one that was deleted and, where it shows changes, previous values."""
    if change.after is None:
        return _deleted_entity(subscription, change)
    state = without_expired(change.after, change.at) or change.after
    if not subscription.show_changes and all(touch.trigger != "attributeDeleted" for touch in change.touched):
        return state
    attrs = state["attrs"].copy()
    deleted: dict[str, list[Instance]] = {}
    updated: dict[str, dict[str | None, Instance]] = {}
    former = {name: by_dataset(change.before, name) for name in {touch.attribute for touch in change.touched}}
    for touch in change.touched:
        before = former[touch.attribute].get(touch.dataset_id)
        if before is None:
            continue
        if touch.trigger == "attributeDeleted":
            deleted.setdefault(touch.attribute, []).append(_null_instance(before, change.at, subscription))
        elif touch.trigger == "attributeUpdated" and subscription.show_changes and touch.attribute in attrs:
            updated.setdefault(touch.attribute, {})[touch.dataset_id] = before
    for attribute, befores in updated.items():
        attrs[attribute] = [
            {**instance, **_previous(befores[dataset])} if (dataset := dataset_of(instance)) in befores else instance
            for instance in attrs[attribute]
        ]
    for attribute, nulls in deleted.items():
        left = attrs.get(attribute)
        attrs[attribute] = [*left, *nulls] if left else _of_whole_attribute(nulls, subscription)
    return {**state, "attrs": attrs}


def _of_whole_attribute(nulls: list[Instance], subscription: Subscription) -> list[Instance]:
    """The Nulls of an attribute that is gone altogether: one will do for all instances, unless each has more to say."""
    if len(nulls) == 1 or subscription.show_changes or subscription.view.sys_attrs:
        return nulls
    return [{member: value for member, value in nulls[0].items() if member != "datasetId"}]


def _deleted_entity(subscription: Subscription, change: Change) -> Entity:
    """A deleted entity: nothing but its deletion, or (attribute triggers, showChanges) its deleted attributes too."""
    assert change.before is not None, "a deletion has the state before it"
    by_entity = "entityDeleted" in subscription.triggers
    attrs: dict[str, list[Instance]] = {}
    if not by_entity or subscription.show_changes:
        for attribute, instances in change.before["attrs"].items():
            if by_entity or subscription.watched is None or attribute in subscription.watched:
                nulls = [_null_instance(instance, change.at, subscription) for instance in instances]
                attrs[attribute] = _of_whole_attribute(nulls, subscription)
    return cast(Entity, {**change.before, "attrs": attrs, "deletedAt": change.at})


def _null_instance(before: Instance, deleted_at: str, subscription: Subscription) -> Instance:
    """The instance that stands for a deleted one (4.5.0, 5.8.6)."""
    kind = KINDS[before["type"]]
    instance: Instance = {"type": kind.name, kind.value: _NULLS.get(kind.value, NGSI_LD_NULL)}
    if "datasetId" in before:
        instance["datasetId"] = before["datasetId"]
    if subscription.view.sys_attrs:
        instance.update({time: before[time] for time in ("createdAt", "modifiedAt") if time in before})
        instance["deletedAt"] = deleted_at
    if subscription.show_changes:
        instance.update(_previous(before))
    return instance


_NULLS: Final[dict[str, Any]] = {
    "languageMap": {NONE_DATASET: NGSI_LD_NULL},
    "valueList": [NGSI_LD_NULL],
    "objectList": [NGSI_LD_NULL],
}
"""The NGSI-LD Null where a plain URI does not fit (4.5.0)."""


def _previous(before: Instance) -> Instance:
    kind = KINDS[before["type"]]
    return {kind.previous: before[kind.value]}


def make_message(
    subscription: Subscription,
    entities: Sequence[Entity],
    linked: Mapping[str, Entity],
    names: Names,
    context: Any,
    context_url: str,
    *,
    occasion: str,
    now: str,
) -> Message:
    """The message of a notification. `linked` are the entities that its view joins; `context` is the @context as it stands
    in a JSON-LD body, `context_url` as it stands in a Link header."""
    endpoint, view = subscription.endpoint, subscription.view
    in_body = endpoint.accept == JSON_LD or (endpoint.accept == GEO_JSON and not endpoint.plain_geojson)
    parts = flatten(entities, view, linked) if view.join == "flat" else [(entity, view) for entity in entities]
    show = _feature if endpoint.accept == GEO_JSON else _entity
    shown = [show(entity, names, entity_view, linked) for entity, entity_view in parts]
    data: Any = shown
    if endpoint.accept == GEO_JSON:
        data = feature_collection(shown)
        if in_body:
            data["@context"] = context
    elif in_body:
        data = [{**entity, "@context": context} for entity in shown]
    body: JsonObject = {
        "id": notification_id(subscription, occasion),
        "type": "Notification",
        "subscriptionId": subscription.id,
        "notifiedAt": now,
        "data": data,
    }
    if endpoint.accept == JSON_LD:
        body["@context"] = context
    return Message(
        body=body,
        media_type=endpoint.accept,
        link=None if in_body else f'<{context_url}>; rel="{_CONTEXT_RELATION}"; type="{JSON_LD}"',
        tenant=subscription.tenant,
        receiver_info=endpoint.receiver_info,
    )


def _entity(entity: Entity, names: Names, view: View, linked: Mapping[str, Entity]) -> JsonObject:
    shown = represent(entity, names, view, linked)
    _spell_out_nulls(entity, names, view, shown)
    return shown


def _feature(entity: Entity, names: Names, view: View, linked: Mapping[str, Entity]) -> JsonObject:
    shown = geojson_feature(entity, names, view, LOCATION, linked)
    _spell_out_nulls(entity, names, view, shown["properties"])
    return shown


def _spell_out_nulls(entity: Entity, names: Names, view: View, shown: JsonObject) -> None:
    """Give deleted attributes their type back where the representation is normalized (see the module)."""
    if view.format != "normalized" or NGSI_LD_NULL not in shown.values():
        return
    for attribute, instances in entity["attrs"].items():
        name = names.compact(attribute)
        if shown.get(name) == NGSI_LD_NULL:
            name_of_kind = instances[0]["type"]
            kind = KINDS[name_of_kind if view.version is None else kind_in(name_of_kind, view.version)]
            shown[name] = {"type": kind.name, kind.value: _NULLS.get(kind.value, NGSI_LD_NULL)}
