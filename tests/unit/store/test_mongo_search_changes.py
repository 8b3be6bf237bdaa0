"""What of a document's search fields is written where the state before is known."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import BadRequestData
from broker.model.change import Change
from broker.model.entity import Entity
from broker.model.patches import make_change, replace_entity
from broker.model.terms import KINDS
from broker.store.mongo import encoding
from broker.store.mongo.commit import draft
from broker.store.mongo.search import MOST_PATHS, search_changes, search_fields
from broker.store.plan import Decision, Request, decide_all
from broker.store.protocol import Ground, Mutation

T1 = "2026-11-25T12:00:00.000001Z"
T2 = "2026-11-25T12:00:00.000002Z"

SCALARS = st.sampled_from([0, 1, 1.0, True, False, 2**70, "a", "1", T1, "2026-11-25", "x" * 300])
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "Property": SCALARS | st.lists(SCALARS, max_size=3) | st.just({"m": 1}),
    "Relationship": st.sampled_from(["urn:x:1", "urn:x:2"]) | st.just(["urn:x:1", "urn:x:2"]),
    "LanguageProperty": st.dictionaries(st.sampled_from(["en", "ja"]), st.sampled_from(["a", "b"])),
    "GeoProperty": st.sampled_from([1.0, 50.0]).map(lambda x: {"type": "Point", "coordinates": [x, 35.0]}),
}


@st.composite
def _instances(draw: st.DrawFn) -> list[dict[str, Any]]:
    kind = draw(st.sampled_from(sorted(VALUES)))
    value = draw(VALUES[kind])
    instance: dict[str, Any] = {"type": kind, KINDS[kind].value: value, "createdAt": T1, "modifiedAt": T1}
    if draw(st.booleans()):
        instance["observedAt"] = draw(st.sampled_from([T1, T2]))
    if draw(st.integers(0, 4)) == 0:
        instance["expiresAt"] = draw(st.sampled_from([T1, T2]))
    return [instance]


@st.composite
def _states(draw: st.DrawFn) -> tuple[Entity, Entity]:
    """Two states, of which the second has attributes of the first as the same objects."""
    names = st.sampled_from(["urn:a", "urn:b.c", "urn:%", "$:d", "0"])
    both = [draw(st.dictionaries(names, _instances(), max_size=4)) for _ in range(2)]
    if draw(st.booleans()):
        both[1] = {name: both[1].get(name, instances) for name, instances in both[0].items()}
    states = []
    for attrs, at in zip(both, (T1, T2), strict=True):
        state = {"id": "urn:x:1", "type": ["urn:T"], "createdAt": T1, "modifiedAt": at, "version": 1, "attrs": attrs}
        if draw(st.booleans()):
            state["scope"] = draw(st.sampled_from([["/a"], ["/a", "/b"]]))
        if draw(st.booleans()):
            state["expiresAt"] = draw(st.sampled_from([T1, T2]))
        states.append(state)
    return states[0], states[1]  # type: ignore[return-value]


def _applied(fields: dict[str, Any], changed: dict[str, Any], gone: list[str]) -> dict[str, Any]:
    """The document after $set and $unset."""
    document = {name: dict(held) if isinstance(held, dict) else held for name, held in fields.items()}
    for path in gone:
        name, _, field = path.partition(".")
        within = document[name] if field else document
        del within[field or name]
    for path, value in changed.items():
        name, _, field = path.partition(".")
        if field:
            document[name][field] = value
        else:
            document[name] = value
    return document


@given(_states())
def test_what_is_written_of_the_fields_makes_of_the_old_document_the_new_one(states: tuple[Entity, Entity]) -> None:
    before, after = states
    changed, gone = search_changes("", before, after)
    made = _applied(search_fields("", before), changed, gone)
    wanted = search_fields("", after)
    assert {name: repr(_ordered(made[name])) for name in made} == {
        name: repr(_ordered(wanted[name])) for name in wanted
    }


@given(_states(), _states())
def test_changes_of_one_entity_in_one_commit_leave_the_fields_of_the_last(
    one: tuple[Entity, Entity], other: tuple[Entity, Entity]
) -> None:
    """What a change has of the state before it is what it touches; the next one of the same commit may touch other attributes."""
    first, *later = (*one, *other)

    def decision(new: Entity, now: str) -> Decision:
        def decide(current: Entity | None) -> Change | None:
            assert current is not None
            patched = replace_entity(current, new, now)
            if patched.entity is current:
                return None
            return make_change("", current, patched.entity, patched.touched, now)

        return decide

    never: Any = None  # nobody waits
    batch = [Request(("", first["id"]), decision(new, T2), never, True) for new in later]
    ground = Ground(None, frozenset({("", first["id"])}))
    plan = decide_all(batch, {("", first["id"]): first}, T2, ground)
    for outcome in plan.outcomes:
        assert not isinstance(outcome, Exception)
    made = draft(plan.mutations)
    final = plan.mutations[-1].change.after if plan.mutations else first
    assert final is not None
    document = search_fields("", first)
    for _, update in made.updates:
        document = _applied(document, update["$set"], list(update.get("$unset", ())))
    wanted = search_fields("", final)
    assert {name: repr(_ordered(document[name])) for name in document.keys() - {"version", "body"}} == {
        name: repr(_ordered(wanted[name])) for name in wanted
    }


def _ordered(value: Any) -> Any:
    return sorted(value.items()) if isinstance(value, dict) else value


@pytest.mark.parametrize("count", [1, MOST_PATHS // 2, MOST_PATHS // 2 + 1, 2 * MOST_PATHS])
@pytest.mark.parametrize("come", [0, 1], ids=["changed", "come and gone"])
def test_what_is_much_is_written_as_a_whole(count: int, come: int) -> None:
    """Each path costs the server a walk through all that is there: 15,000 of them held all other commits up for ten seconds."""
    kept: dict[str, Any] = {f"urn:k:{number}": [{"type": "Property", "value": number}] for number in range(50)}
    attrs: list[dict[str, Any]] = [
        {
            f"urn:a:{number + count // 2 * come * place}": [{"type": "Property", "value": at, "observedAt": at}]
            for number in range(count)
        }
        for place, at in enumerate((T1, T2))
    ]
    before, after = (
        {"id": "urn:x:1", "type": ["urn:T"], "createdAt": T1, "modifiedAt": T1, "version": 1, "attrs": kept | each}
        for each in attrs
    )
    changed, gone = search_changes("", before, after)  # type: ignore[arg-type]
    assert len(changed) + len(gone) <= 3 * MOST_PATHS
    made = _applied(search_fields("", before), changed, gone)  # type: ignore[arg-type]
    assert made == search_fields("", after)  # type: ignore[arg-type]


def test_a_document_is_too_large_whatever_is_written_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "LARGEST_DOCUMENT", 600_000)
    states = []
    for count in (1500, 3000):
        attrs = {f"urn:a:{number}": [{"type": "Property", "value": "x" * 250}] for number in range(count)}
        state = {"id": "urn:x:1", "type": ["urn:T"], "createdAt": T1, "modifiedAt": T1, "version": 1, "attrs": attrs}
        states.append(state | {"version": count // 1500})
    before, after = states
    change = Change("", "urn:x:1", "entityUpdated", T1, (), before, after)  # type: ignore[arg-type]
    for recalled in (frozenset(), frozenset({("", "urn:x:1")})):
        with pytest.raises(BadRequestData):
            draft([Mutation(change, 1, Ground(None, recalled), before)])  # type: ignore[arg-type]


def test_of_an_attribute_that_changes_its_value_nothing_but_this_is_written() -> None:
    names = [f"urn:{letter}" for letter in "abc"]
    attrs: dict[str, Any] = {name: [{"type": "Property", "value": 1}] for name in names}
    before: Entity = {
        "id": "urn:x:1",
        "type": ["urn:T"],
        "createdAt": T1,
        "modifiedAt": T1,
        "version": 1,
        "attrs": attrs,
    }
    after: Entity = {**before, "modifiedAt": T2, "attrs": {**attrs, "urn:b": [{"type": "Property", "value": True}]}}
    changed, gone = search_changes("", before, after)
    assert changed.keys() == {"values.urn:b", "instants.modifiedAt"}
    assert changed["values.urn:b"] is True
    assert gone == []
