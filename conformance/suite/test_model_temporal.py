"""Random sequences of temporal provision (5.6.11 to 5.6.16): every interval shows what a small model of the standard shows."""

from typing import Any, Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.exchanges import Answer
from conformance.reference.entities import Refused, tagged
from conformance.reference.evolutions import Evolutions, Instance, Interval
from conformance.samples import Unique

SHARE: Final = 0.2
"""The part of all random sequences that this model gets."""
STEPS: Final = 12
DATASETS: Final = ("urn:ngsi-ld:Dataset:a", "urn:ngsi-ld:Dataset:b")
NAMES: Final = ("level", "owner")
MINUTES: Final = 60

datasets = st.sampled_from((None, None, *DATASETS))
values = st.integers(-5, 5) | st.sampled_from(["", "a", "川"]) | st.booleans()
targets = st.sampled_from(["urn:ngsi-ld:Person:1", "urn:ngsi-ld:Person:2"])
moments = st.integers(0, MINUTES)


def instant(minute: int) -> str:
    """A time of day in the one form that all instants here have."""
    return f"2024-05-01T{10 + minute // 60:02}:{minute % 60:02}:00Z"


class TemporalMachine(RuleBasedStateMachine):
    """Does the same to a broker and to the model, and compares what they show."""

    broker: BrokerClient

    @initialize()
    def begin(self) -> None:
        self.unique = Unique()
        self.types = [self.unique.type("Gauge"), self.unique.type("Station")]
        self.ids = [self.unique.id("Gauge") for _ in range(2)]
        self.model = Evolutions()
        self.free = {(entity_id, name): list(range(MINUTES)) for entity_id in self.ids for name in NAMES}

    def drawn(self, data: st.DataObject, entity_id: str) -> dict[str, list[Instance]]:
        """Instances of some attributes, at times that these do not have yet."""
        added: dict[str, list[Instance]] = {}
        for name in data.draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True)):
            for _ in range(data.draw(st.integers(1, 4))):
                added.setdefault(name, []).append(self.instance(data, entity_id, name))
        return added

    def instance(self, data: st.DataObject, entity_id: str, name: str) -> Instance:
        """An instance of an attribute at a free time."""
        free = self.free[entity_id, name]
        minute = free.pop(data.draw(st.integers(0, len(free) - 1)))
        return Instance(data.draw(datasets), instant(minute), data.draw(values if name == "level" else targets))

    @precondition(lambda self: all(len(free) > 10 for free in self.free.values()))
    @rule(number=st.integers(0, 1), kind=st.integers(0, 1), data=st.data())
    def create_or_update(self, number: int, kind: int, data: st.DataObject) -> None:
        entity_id, added = self.ids[number], self.drawn(data, self.ids[number])
        document = {"id": entity_id, "type": self.types[kind], **written(added)}
        answer = self.broker.post("/temporal/entities", document)
        answer.expect(201 if self.model.create_or_update(entity_id, self.types[kind], added) else 204)

    @precondition(lambda self: all(len(free) > 10 for free in self.free.values()))
    @rule(number=st.integers(0, 1), data=st.data())
    def add_attributes(self, number: int, data: st.DataObject) -> None:
        entity_id, added = self.ids[number], self.drawn(data, self.ids[number])
        answer = self.broker.post(f"/temporal/entities/{entity_id}/attrs", written(added))
        self.both(lambda: self.model.add(entity_id, added), answer)

    @rule(number=st.integers(0, 1), name=st.sampled_from(NAMES), dataset=datasets, delete_all=st.booleans())
    def delete_attribute(self, number: int, name: str, dataset: str | None, delete_all: bool) -> None:
        entity_id = self.ids[number]
        query = {"deleteAll": "true"} if delete_all else {"datasetId": dataset}
        answer = self.broker.delete(f"/temporal/entities/{entity_id}/attrs/{name}", query)
        self.both(lambda: self.model.delete_attribute(entity_id, name, dataset, delete_all=delete_all), answer)

    @precondition(lambda self: all(len(free) > 10 for free in self.free.values()))
    @rule(number=st.integers(0, 1), name=st.sampled_from(NAMES), remove=st.booleans(), data=st.data())
    def change_one_instance(self, number: int, name: str, remove: bool, data: st.DataObject) -> None:
        entity_id = self.ids[number]
        evolution = self.model.by_id.get(entity_id)
        if evolution is None or not evolution.attributes.get(name):
            return
        answer = self.broker.get(f"/temporal/entities/{entity_id}").expect(200)
        shown = data.draw(st.sampled_from(listed(answer.json[name])))
        path = f"/temporal/entities/{entity_id}/attrs/{name}/{shown['instanceId']}"
        if remove:
            self.broker.delete(path).expect(204)
            self.model.delete_instance(entity_id, name, read(shown))
        else:
            new = self.instance(data, entity_id, name)
            self.broker.patch(path, {name: [document_of(name, new)]}).expect(204)
            self.model.modify(entity_id, name, read(shown), new)

    @rule(number=st.integers(0, 1))
    def delete(self, number: int) -> None:
        entity_id = self.ids[number]
        self.both(lambda: self.model.delete(entity_id), self.broker.delete(f"/temporal/entities/{entity_id}"))

    def both(self, model: Any, answer: Answer) -> None:
        """Both succeed, or both refuse for the same reason."""
        try:
            model()
        except Refused as refused:
            answer.expect_problem(refused.name)
            return
        answer.expect(204)

    @rule(number=st.integers(0, 1), relation=st.sampled_from(["before", "after", "between"]), one=moments, two=moments,
          last=st.none() | st.integers(1, 3))  # fmt: skip
    def retrieve(self, number: int, relation: str, one: int, two: int, last: int | None) -> None:
        entity_id = self.ids[number]
        interval, query = asked(relation, one, two, last)
        answer = self.broker.get(f"/temporal/entities/{entity_id}", query)
        try:
            expected = self.model.within(entity_id, interval)
        except Refused:
            expected = {}
        if not expected:
            answer.expect_problem("ResourceNotFound")
            return
        self.check(answer, answer.expect(200).json, expected)

    @rule(kind=st.integers(0, 1), relation=st.sampled_from(["before", "after", "between"]), one=moments, two=moments,
          last=st.none() | st.integers(1, 3))  # fmt: skip
    def query(self, kind: int, relation: str, one: int, two: int, last: int | None) -> None:
        interval, query = asked(relation, one, two, last)
        answer = self.broker.get("/temporal/entities", {"type": self.types[kind], **query}).expect(200)
        expected = {
            entity_id: found
            for entity_id, evolution in self.model.by_id.items()
            if self.types[kind] in evolution.types and (found := self.model.within(entity_id, interval))
        }
        if sorted(each["id"] for each in answer.json) != sorted(expected):
            raise answer.failure(f"the entities should be {sorted(expected)}")
        for document in answer.json:
            self.check(answer, document, expected[document["id"]])

    def check(self, answer: Answer, document: dict[str, Any], expected: dict[str, list[Instance]]) -> None:
        """A temporal document shows these instances, whatever their order."""
        names = document.keys() - {"id", "type", "@context"}
        if names != expected.keys():
            raise answer.failure(f"{document['id']} should have {sorted(expected)}")
        for name, instances in expected.items():
            found = sorted((read(each) for each in listed(document[name])), key=lambda each: each.observed_at)
            if [(each, tagged(each.value)) for each in found] != [(each, tagged(each.value)) for each in instances]:
                raise answer.failure(f"{name} of {document['id']} should be {instances}")

    def teardown(self) -> None:
        """Leave nothing behind."""
        for entity_id in getattr(self, "ids", ()):
            self.broker.delete(f"/temporal/entities/{entity_id}")


def asked(relation: str, one: int, two: int, last: int | None) -> tuple[Interval, dict[str, Any]]:
    """An interval, and the parameters that ask for it."""
    start, end = instant(min(one, two)), instant(max(one, two) + 1)
    if relation == "before":
        return Interval(None, end, last), {"timerel": relation, "timeAt": end, "lastN": last}
    if relation == "after":
        return Interval(start, None, last), {"timerel": relation, "timeAt": start, "lastN": last}
    return Interval(start, end, last), {"timerel": relation, "timeAt": start, "endTimeAt": end, "lastN": last}


def written(added: dict[str, list[Instance]]) -> dict[str, Any]:
    """Instances as a client sends them."""
    return {name: [document_of(name, each) for each in instances] for name, instances in added.items()}


def document_of(name: str, instance: Instance) -> dict[str, Any]:
    """One instance in the normalized representation."""
    kind, member = ("Property", "value") if name == "level" else ("Relationship", "object")
    dataset = {} if instance.dataset is None else {"datasetId": instance.dataset}
    return {"type": kind, member: instance.value, "observedAt": instance.observed_at, **dataset}


def read(shown: dict[str, Any]) -> Instance:
    """One shown instance. A fraction of a second that is zero makes no other instant of it."""
    observed_at = shown["observedAt"].partition(".")[0].rstrip("Z") + "Z"
    return Instance(shown.get("datasetId"), observed_at, shown.get("value", shown.get("object")))


def listed(shown: Any) -> list[dict[str, Any]]:
    """One instance may stand without an array (4.5.7)."""
    return shown if isinstance(shown, list) else [shown]


@clause("5.6.11")
@clause("5.6.12")
@clause("5.6.13")
@clause("5.6.14")
@clause("5.6.15")
@clause("5.6.16")
@clause("5.7.3")
@clause("5.7.4")
@clause("4.11")
def test_random_temporal_provision_shows_what_the_model_of_the_standard_shows(
    broker: BrokerClient, request: pytest.FixtureRequest
) -> None:
    class Machine(TemporalMachine):
        pass

    Machine.broker = broker
    sequences = max(1, round(request.config.getoption("--sequences") * SHARE))
    run_state_machine_as_test(Machine, settings=settings(max_examples=sequences, stateful_step_count=STEPS))
