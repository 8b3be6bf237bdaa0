"""Random sequences of provision (5.6) on a few entities: after each step the broker has what a small model has."""

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from conformance.broker_client import BrokerClient
from conformance.clauses import clause
from conformance.exchanges import Answer
from conformance.reference.entities import NULL, Entities, Entity, Refused, read_back, tagged, values_of
from conformance.samples import Unique

SHARE: Final = 0.7
"""The part of all random sequences that this model gets."""
STEPS: Final = 14
DATASETS: Final = ("urn:ngsi-ld:Dataset:a", "urn:ngsi-ld:Dataset:b")
NAMES: Final = ("speed", "owner", "label", "size")

# --- documents

datasets = st.sampled_from((None, None, *DATASETS))
numbers = st.integers(-3, 3) | st.sampled_from([0.5, -1.25, 1e6])
texts = st.sampled_from(["", "a", "b", "東京", "with space", "true"])
scalars = numbers | texts | st.booleans()
objects = st.dictionaries(st.sampled_from(["x", "y"]), scalars, min_size=1)
json_values = objects | st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["x", "y"]), inner, max_size=2),
    max_leaves=4,
)
instants = st.sampled_from(["2024-01-01T00:00:00Z", "2024-06-01T12:00:00Z"])
accuracy = st.builds(lambda value: {"type": "Property", "value": value}, scalars)
targets = st.sampled_from(["urn:ngsi-ld:Person:1", "urn:ngsi-ld:Person:2"])
tongues = st.dictionaries(st.sampled_from(["en", "ja", "fr"]), st.sampled_from(["bus", "バス"]), min_size=1)
scopes = st.sampled_from(["/a", "/a/b", "/c"])


def instances(name: str, values: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """One instance of the attribute of this name: each has a kind of its own."""
    kind, member, value = {
        "speed": ("Property", "value", values["Property"]),
        "owner": ("Relationship", "object", values["Relationship"]),
        "label": ("LanguageProperty", "languageMap", values["LanguageProperty"]),
        "size": ("Property", "value", values["Number"]),
    }[name]
    optional: dict[str, st.SearchStrategy[Any]] = {"observedAt": values.get("observedAt", instants)}
    if name in ("speed", "owner"):
        optional["accuracy"] = values.get("accuracy", accuracy)
    if name == "size":
        optional["unitCode"] = values.get("unitCode", st.sampled_from(["CEL", "MTR"]))
    return st.fixed_dictionaries({"type": st.just(kind), member: value}, optional=optional)


def attributes(values: dict[str, st.SearchStrategy[Any]], least: int = 0) -> st.SearchStrategy[dict[str, Any]]:
    """Attributes by name, each with one instance or with one for each of some datasets."""

    def arranged(chosen: dict[str, list[tuple[str | None, dict[str, Any]]]]) -> dict[str, Any]:
        members: dict[str, Any] = {}
        for name, listed in chosen.items():
            several = [
                instance | ({} if dataset is None else {"datasetId": dataset})
                for dataset, instance in dict(listed).items()
            ]
            members[name] = several[0] if len(several) == 1 else several
        return members

    per_name = {
        name: st.lists(
            st.tuples(datasets, instances(name, values)), min_size=1, max_size=3, unique_by=lambda each: each[0]
        )
        for name in NAMES
    }
    return st.fixed_dictionaries({}, optional=per_name).filter(lambda chosen: len(chosen) >= least).map(arranged)


PLAIN: Final[dict[str, st.SearchStrategy[Any]]] = {
    "Property": json_values,
    "Relationship": targets,
    "LanguageProperty": tongues,
    "Number": numbers,
}
UPDATING: Final = PLAIN | {
    "Property": json_values | st.just(NULL),
    "Relationship": targets | st.just(NULL),
    "LanguageProperty": tongues | st.just({"@none": NULL}),
    "Number": numbers | st.just(NULL),
}
_merge_values = st.dictionaries(st.sampled_from(["x", "y"]), scalars | st.just(NULL), min_size=1) | st.recursive(
    scalars | st.just(NULL),
    lambda inner: st.dictionaries(st.sampled_from(["x", "y"]), inner, max_size=2),
    max_leaves=4,
)
MERGING: Final = UPDATING | {
    "Property": _merge_values,
    "observedAt": instants | st.just(NULL),
    "unitCode": st.sampled_from(["CEL", "MTR", NULL]),
    "accuracy": accuracy | st.just({"type": "Property", "value": NULL}),
}


# --- the machine


class EntityMachine(RuleBasedStateMachine):
    """Does the same to a broker and to the model, and compares what comes back."""

    broker: BrokerClient

    @initialize()
    def begin(self) -> None:
        """Names that only this sequence has."""
        self.unique = Unique()
        self.types = [self.unique.type(name) for name in ("Car", "Boat", "Plane")]
        self.ids = [self.unique.id("Thing") for _ in range(3)]
        self.model = Entities()
        self.created_at: dict[str, str] = {}
        self.touched: set[str] = set()

    def compare(self, model: Callable[[], Any], answer: Answer, success: int) -> Any:
        """Both succeed, or both refuse for the same reason; what the model says."""
        try:
            result = model()
        except Refused as refused:
            answer.expect_problem(refused.name)
            return None
        answer.expect(success)
        return result

    def document(self, number: int, types: list[int], members: dict[str, Any], scope: Any) -> dict[str, Any]:
        """A whole entity."""
        chosen = [self.types[each] for each in types]
        document = {"id": self.ids[number], "type": chosen[0] if len(chosen) == 1 else chosen, **members}
        return document if scope is None else document | {"scope": scope}

    def fragment(self, added: int | None, members: dict[str, Any], scope: Any) -> dict[str, Any]:
        """An Entity Fragment, perhaps with one more type."""
        fragment = dict(members) if added is None else {"type": self.types[added], **members}
        return fragment if scope is None else fragment | {"scope": scope}

    number = st.integers(0, 2)
    some_types = st.lists(st.integers(0, 2), min_size=1, max_size=2, unique=True)
    some_scope = st.none() | scopes | st.lists(scopes, min_size=2, max_size=3, unique=True)
    new_type = st.none() | st.integers(0, 2)
    members = attributes(PLAIN)

    @rule(number=number, types=some_types, members=members, scope=some_scope)
    def create(self, number: int, types: list[int], members: dict[str, Any], scope: Any) -> None:
        document = self.document(number, types, members, scope)
        self.compare(lambda: self.model.create(document), self.broker.post("/entities", document), 201)
        self.touched.add(document["id"])

    @rule(number=number)
    def delete(self, number: int) -> None:
        entity_id = self.ids[number]
        self.compare(lambda: self.model.delete(entity_id), self.broker.delete(f"/entities/{entity_id}"), 204)
        self.created_at.pop(entity_id, None)
        self.touched.add(entity_id)

    @rule(number=number, types=some_types, members=members, scope=some_scope)
    def replace(self, number: int, types: list[int], members: dict[str, Any], scope: Any) -> None:
        document = self.document(number, types, members, scope)
        answer = self.broker.put(f"/entities/{document['id']}", document)
        self.compare(lambda: self.model.replace(document["id"], document), answer, 204)
        self.touched.add(document["id"])

    @rule(number=number, added=new_type, members=attributes(MERGING, least=1), scope=some_scope)
    def merge(self, number: int, added: int | None, members: dict[str, Any], scope: Any) -> None:
        entity_id, fragment = self.ids[number], self.fragment(added, members, scope)
        answer = self.broker.patch(f"/entities/{entity_id}", fragment)
        self.compare(lambda: self.model.merge(entity_id, fragment), answer, 204)
        self.touched.add(entity_id)

    @rule(number=number, added=new_type, members=attributes(PLAIN, least=1), scope=some_scope, overwrite=st.booleans())
    def append(self, number: int, added: int | None, members: dict[str, Any], scope: Any, overwrite: bool) -> None:
        entity_id, fragment = self.ids[number], self.fragment(added, members, scope)
        options = {} if overwrite else {"options": "noOverwrite"}
        answer = self.broker.post(f"/entities/{entity_id}/attrs", fragment, query=options)
        self.partly(lambda: self.model.append(entity_id, fragment, overwrite=overwrite), answer)
        self.touched.add(entity_id)

    @rule(number=number, added=new_type, members=attributes(UPDATING, least=1), scope=some_scope)
    def update(self, number: int, added: int | None, members: dict[str, Any], scope: Any) -> None:
        entity_id, fragment = self.ids[number], self.fragment(added, members, scope)
        answer = self.broker.patch(f"/entities/{entity_id}/attrs", fragment)
        self.partly(lambda: self.model.update(entity_id, fragment), answer)
        self.touched.add(entity_id)

    def partly(self, model: Callable[[], set[str]], answer: Answer) -> None:
        """204 where everything was taken, 207 that names what was not."""
        try:
            refused = model()
        except Refused as reason:
            answer.expect_problem(reason.name)
            return
        if not refused:
            answer.expect(204)
            return
        answer.expect(207)
        named = {each["attributeName"].rpartition("/")[2] for each in answer.json["notUpdated"]}
        if named != refused:
            raise answer.failure(f"notUpdated should name {sorted(refused)}")

    @rule(number=number, name=st.sampled_from(NAMES), data=st.data())
    def update_attribute(self, number: int, name: str, data: st.DataObject) -> None:
        entity_id = self.ids[number]
        fragment = self.one_instance(name, UPDATING, data)
        answer = self.broker.patch(f"/entities/{entity_id}/attrs/{name}", fragment)
        self.compare(lambda: self.model.update_attribute(entity_id, name, fragment), answer, 204)
        self.touched.add(entity_id)

    @rule(number=number, name=st.sampled_from(NAMES), data=st.data())
    def replace_attribute(self, number: int, name: str, data: st.DataObject) -> None:
        entity_id = self.ids[number]
        instance = self.one_instance(name, PLAIN, data)
        answer = self.broker.put(f"/entities/{entity_id}/attrs/{name}", instance)
        self.compare(lambda: self.model.replace_attribute(entity_id, name, instance), answer, 204)
        self.touched.add(entity_id)

    def one_instance(self, name: str, values: dict[str, st.SearchStrategy[Any]], data: st.DataObject) -> dict[str, Any]:
        """An instance of an attribute, perhaps of a dataset."""
        dataset = data.draw(datasets)
        instance = data.draw(instances(name, values))
        return instance if dataset is None else instance | {"datasetId": dataset}

    @rule(number=number, name=st.sampled_from(NAMES), dataset=datasets, delete_all=st.booleans())
    def delete_attribute(self, number: int, name: str, dataset: str | None, delete_all: bool) -> None:
        entity_id = self.ids[number]
        query = {"deleteAll": "true"} if delete_all else {"datasetId": dataset}
        answer = self.broker.delete(f"/entities/{entity_id}/attrs/{name}", query)
        self.compare(lambda: self.model.delete_attribute(entity_id, name, dataset, delete_all=delete_all), answer, 204)
        self.touched.add(entity_id)

    @rule(
        operation=st.sampled_from(["create", "upsert", "upsert?update", "update", "update?noOverwrite", "merge"]),
        elements=st.lists(st.tuples(number, some_types, members, some_scope), min_size=1, max_size=4),
    )
    def batch(self, operation: str, elements: list[tuple[int, list[int], dict[str, Any], Any]]) -> None:
        documents = [self.document(*element) for element in elements]
        name, _, options = operation.partition("?")
        before = set(self.model.by_id)
        success, errors = self.model.batch(self.of_batch(operation), documents)
        answer = self.broker.post(f"/entityOperations/{name}", documents, query={"options": options or None})
        self.touched |= {document["id"] for document in documents}
        if errors:
            answer.expect(207)
            if sorted(each["entityId"] for each in answer.json["errors"]) != sorted(errors):
                raise answer.failure(f"errors should be about {errors}")
            if set(answer.json["success"]) != set(success):
                raise answer.failure(f"success should be {sorted(set(success))}")
        elif new := (set(success) - before if name in ("create", "upsert") else set()):
            if set(answer.expect(201).json) != new:
                raise answer.failure(f"what was created is {sorted(new)}")
        else:
            answer.expect(204)

    def of_batch(self, operation: str) -> Callable[[Any], object]:
        """What a batch does with each of its elements; a true result is an error."""
        model = self.model
        return {
            "create": model.create,
            "upsert": lambda each: model.upsert(each, update=False),
            "upsert?update": lambda each: model.upsert(each, update=True),
            "update": lambda each: model.append(each["id"], each, overwrite=True),
            "update?noOverwrite": lambda each: model.append(each["id"], each, overwrite=False),
            "merge": lambda each: model.merge(each["id"], each),
        }[operation]

    @rule(numbers=st.lists(number, min_size=1, max_size=3))
    def batch_delete(self, numbers: list[int]) -> None:
        elements = [{"id": self.ids[number]} for number in numbers]
        _, errors = self.model.batch(lambda each: self.model.delete(each["id"]), elements)
        answer = self.broker.post("/entityOperations/delete", [each["id"] for each in elements])
        answer.expect(207 if errors else 204)
        for element in elements:
            self.created_at.pop(element["id"], None)
            self.touched.add(element["id"])

    @rule(
        kind=st.integers(0, 2),
        condition=st.sampled_from(["size", "size>0", "size==1", "size<=-1", "owner", "size>0|owner"]),
    )
    def query(self, kind: int, condition: str) -> None:
        meaning: dict[str, Callable[[Entity], bool]] = {
            "size": lambda entity: "size" in entity.attributes,
            "size>0": lambda entity: any(value > 0 for value in values_of(entity, "size")),
            "size==1": lambda entity: 1 in values_of(entity, "size"),
            "size<=-1": lambda entity: any(value <= -1 for value in values_of(entity, "size")),
            "owner": lambda entity: "owner" in entity.attributes,
            "size>0|owner": lambda entity: (
                "owner" in entity.attributes or any(v > 0 for v in values_of(entity, "size"))
            ),
        }
        answer = self.broker.get("/entities", {"type": self.types[kind], "q": condition, "limit": 100}).expect(200)
        expected = self.model.matching(self.types[kind], meaning[condition])
        found = [each["id"] for each in answer.json]
        if sorted(found) != sorted(expected):
            raise answer.failure(f"what matches is {sorted(expected)}")

    @precondition(lambda self: self.model.by_id)
    @rule(kind=st.integers(0, 2))
    def query_all(self, kind: int) -> None:
        answer = self.broker.get("/entities", {"type": self.types[kind], "limit": 100}).expect(200)
        for document in answer.json:
            self.check(document["id"], document, answer)

    @invariant()
    def what_was_touched_reads_back(self) -> None:
        for entity_id in self.touched:
            answer = self.broker.get(f"/entities/{quote(entity_id)}", {"options": "sysAttrs"})
            if entity_id not in self.model.by_id:
                answer.expect_problem("ResourceNotFound")
                continue
            document = answer.expect(200).json
            first = self.created_at.setdefault(entity_id, document["createdAt"])
            if document["createdAt"] != first:
                raise answer.failure(f"createdAt should stay {first}")
            if document["modifiedAt"] < document["createdAt"]:
                raise answer.failure("modifiedAt should not be before createdAt")
            self.check(entity_id, without_times(document), answer)
        self.touched = set()

    def check(self, entity_id: str, document: dict[str, Any], answer: Answer) -> None:
        """A document shows what the model has."""
        expected, found = self.model.by_id.get(entity_id), read_back(document)
        if expected is None:
            raise answer.failure(f"{entity_id} should not exist")
        if found.types != expected.types or set(found.scopes) != set(expected.scopes):
            raise answer.failure(f"types and scopes should be {sorted(expected.types)}, {expected.scopes}")
        if tagged(found.attributes) != tagged(expected.attributes):
            raise answer.failure(f"the attributes should be {expected.attributes}")

    def teardown(self) -> None:
        """Leave nothing behind."""
        if hasattr(self, "ids"):
            self.broker.post("/entityOperations/delete", self.ids)


def without_times(document: Any) -> Any:
    """A document without system attributes (4.8)."""
    if isinstance(document, dict):
        return {
            name: without_times(value) for name, value in document.items() if name not in ("createdAt", "modifiedAt")
        }
    return [without_times(each) for each in document] if isinstance(document, list) else document


@clause("5.6.1")
@clause("5.6.2")
@clause("5.6.3")
@clause("5.6.4")
@clause("5.6.5")
@clause("5.6.6")
@clause("5.6.7")
@clause("5.6.8")
@clause("5.6.9")
@clause("5.6.10")
@clause("5.6.17")
@clause("5.6.18")
@clause("5.6.19")
@clause("5.6.20")
@clause("5.5.8")
@clause("5.5.11")
@clause("5.5.12")
def test_random_provision_does_what_the_model_of_the_standard_does(
    broker: BrokerClient, request: pytest.FixtureRequest
) -> None:
    class Machine(EntityMachine):
        pass

    Machine.broker = broker
    sequences = max(1, round(request.config.getoption("--sequences") * SHARE))
    try:
        run_state_machine_as_test(Machine, settings=settings(max_examples=sequences, stateful_step_count=STEPS))
    finally:
        broker.traces.created.clear()
