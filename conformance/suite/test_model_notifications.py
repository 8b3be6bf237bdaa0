"""Random changes under a random subscription (5.8.6): what a small model says is notified, in order, and nothing else."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any, ClassVar, Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.exchanges import Answer, ConformanceFailure
from conformance.reference.entities import NULL, VALUES, Entities, Entity, Refused, read_back, tagged, values_of
from conformance.samples import Unique
from conformance.servers import Receiver
from conformance.suite.test_model_entities import MERGING, NAMES, PLAIN, UPDATING, attributes

SHARE: Final = 0.1
"""The part of all random sequences that this model gets."""
STEPS: Final = 12
CONDITIONS: Final[dict[str, Callable[[Entity], bool]]] = {
    "size>0": lambda entity: any(value > 0 for value in values_of(entity, "size")),
    "owner": lambda entity: "owner" in entity.attributes,
    "size|speed": lambda entity: "size" in entity.attributes or "speed" in entity.attributes,
}


class NotificationMachine(RuleBasedStateMachine):
    """Changes entities under one subscription, and compares each notification with the model's."""

    broker: ClassVar[BrokerClient]
    receiver: ClassVar[Receiver]

    @initialize(
        watched=st.none() | st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True),
        condition=st.none() | st.sampled_from(sorted(CONDITIONS)),
    )
    def subscribe(self, watched: list[str] | None, condition: str | None) -> None:
        self.unique = Unique()
        self.type = self.unique.type("Car")
        self.ids = [self.unique.id("Car") for _ in range(2)]
        self.model = Entities()
        self.watched = frozenset(watched or NAMES)
        self.condition = CONDITIONS[condition] if condition is not None else lambda entity: True
        self.subscription: dict[str, Any] = {
            "id": self.unique.id("Subscription"),
            "type": "Subscription",
            "entities": [{"type": self.type}],
            "notification": {"endpoint": {"uri": self.receiver.url}},
        }
        if watched is not None:
            self.subscription["watchedAttributes"] = watched
        if condition is not None:
            self.subscription["q"] = condition
        self.broker.post("/subscriptions", self.subscription).expect(201)

    number = st.integers(0, 1)

    @rule(number=number, members=attributes(PLAIN))
    def create(self, number: int, members: dict[str, Any]) -> None:
        document = {"id": self.ids[number], "type": self.type, **members}
        self.change(number, lambda: self.model.create(document), lambda: self.broker.post("/entities", document))

    @rule(number=number, members=attributes(PLAIN))
    def replace(self, number: int, members: dict[str, Any]) -> None:
        document = {"id": self.ids[number], "type": self.type, **members}
        path = f"/entities/{self.ids[number]}"
        self.change(
            number, lambda: self.model.replace(document["id"], document), lambda: self.broker.put(path, document)
        )

    @rule(number=number, members=attributes(MERGING, least=1))
    def merge(self, number: int, members: dict[str, Any]) -> None:
        entity_id = self.ids[number]
        path = f"/entities/{entity_id}"
        self.change(number, lambda: self.model.merge(entity_id, members), lambda: self.broker.patch(path, members))

    @rule(number=number, members=attributes(UPDATING, least=1))
    def update(self, number: int, members: dict[str, Any]) -> None:
        entity_id = self.ids[number]
        path = f"/entities/{entity_id}/attrs"
        self.change(number, lambda: self.model.update(entity_id, members), lambda: self.broker.patch(path, members))

    @rule(number=number, name=st.sampled_from(NAMES))
    def delete_attribute(self, number: int, name: str) -> None:
        entity_id = self.ids[number]
        self.change(
            number,
            lambda: self.model.delete_attribute(entity_id, name, None, delete_all=True),
            lambda: self.broker.delete(f"/entities/{entity_id}/attrs/{name}", {"deleteAll": "true"}),
        )

    @rule(number=number)
    def delete(self, number: int) -> None:
        entity_id = self.ids[number]
        path = f"/entities/{entity_id}"
        self.change(number, lambda: self.model.delete(entity_id), lambda: self.broker.delete(path))

    def change(self, number: int, model: Callable[[], object], request: Callable[[], Answer]) -> None:
        """Do it on both sides; where the model says so, a notification of the entity as it is now has to come next."""
        before = deepcopy(self.model.by_id.get(self.ids[number]))
        answer = request()
        try:
            model()
        except Refused as refused:
            answer.expect_problem(refused.name)
            return
        answer.expect(201, 204)
        after = self.model.by_id.get(self.ids[number])
        if after is None or not self.condition(after) or not changed(before, after, self.watched):
            return
        notification = self.receiver.next_json()
        if notification.get("subscriptionId") != self.subscription["id"] or len(notification["data"]) != 1:
            raise ConformanceFailure(
                f"one entity should have been notified to {self.subscription['id']}: {notification}"
            )
        shown, deleted = told_apart(notification["data"][0])
        if shown["id"] != self.ids[number] or tagged(read_back(shown).attributes) != tagged(after.attributes):
            raise answer.failure(f"this should have been notified as {after}: {notification}")
        gone = instances_of(before) - instances_of(after)
        # An attribute of which nothing is left may be told of by its name alone, whatever datasets it had.
        whole = {name for name, _ in gone if name not in after.attributes and (name, None) in deleted}
        if {each for each in deleted ^ gone if each[0] not in whole}:
            raise answer.failure(f"exactly what was deleted should be notified as NGSI-LD Null: {notification}")

    def teardown(self) -> None:
        """One more change, which every subscription here wants to hear of, has to be the next that is heard."""
        if not hasattr(self, "subscription"):
            return
        last = {"id": self.unique.id("Car"), "type": self.type} | {
            name: {"type": "Property", "value": 1} for name in NAMES
        }
        self.broker.post("/entities", last).expect(201)
        notification = self.receiver.next_json()
        self.broker.delete(f"/subscriptions/{self.subscription['id']}").expect(204)
        self.broker.post("/entityOperations/delete", [*self.ids, last["id"]])
        if notification["data"][0]["id"] != last["id"]:
            raise ConformanceFailure(f"nobody asked for this notification: {notification}")


def instances_of(entity: Entity | None) -> set[tuple[str, str | None]]:
    """The attribute instances of an entity, by name and datasetId."""
    found = {} if entity is None else entity.attributes
    return {(name, dataset) for name, instances in found.items() for dataset in instances}


def told_apart(shown: dict[str, Any]) -> tuple[dict[str, Any], set[tuple[str, str | None]]]:
    """A notified entity without the instances that are there to say that they were deleted, and which those are (5.8.6)."""
    kept: dict[str, Any] = {}
    deleted: set[tuple[str, str | None]] = set()
    for name, given in shown.items():
        if name in ("id", "type", "scope"):
            kept[name] = given
            continue
        for instance in given if isinstance(given, list) else [given]:
            if instance == NULL:
                deleted.add((name, None))
            elif instance.get(VALUES[instance["type"]]) in (NULL, {"@none": NULL}):
                deleted.add((name, instance.get("datasetId")))
            else:
                kept.setdefault(name, []).append(instance)
    return kept, deleted


def changed(before: Entity | None, after: Entity, watched: frozenset[str]) -> bool:
    """Whether a watched attribute has been created or got another value: what triggers where nothing else is said (5.2.12)."""
    old = {} if before is None else before.attributes
    return any(
        tagged(instance) != tagged(old.get(name, {}).get(dataset))
        for name in watched
        for dataset, instance in after.attributes.get(name, {}).items()
    )


@clause("5.8.6")
@clause("5.2.12")
def test_random_changes_notify_what_the_model_of_the_standard_notifies(
    broker: BrokerClient, receiver: Receiver, request: pytest.FixtureRequest
) -> None:
    class Machine(NotificationMachine):
        pass

    Machine.broker, Machine.receiver = broker, receiver
    sequences = max(1, round(request.config.getoption("--sequences") * SHARE))
    try:
        run_state_machine_as_test(Machine, settings=settings(max_examples=sequences, stateful_step_count=STEPS))
    finally:
        broker.traces.created.clear()
