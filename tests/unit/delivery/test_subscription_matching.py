"""Which subscriptions a change concerns: triggers and watched attributes (5.2.12), conditions (5.8.6), the index."""

from typing import Any

import pytest
from delivery_samples import NOW, entity, iri, subscription
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.delivery.matching import SubscriptionIndex, is_match, is_triggered, state_of_interest
from broker.model.change import Change, Touch
from broker.model.entity import Entity
from broker.model.patches import make_change
from broker.store.sqlite.store import SqliteStore

DEFAULT = ("attributeCreated", "attributeUpdated")


def created(after: Entity, tenant: str = "") -> Change:
    return make_change(tenant, None, after, (), NOW)


def deleted(before: Entity) -> Change:
    return make_change("", before, None, (), NOW)


def updated(before: Entity, after: Entity, *touched: tuple[str, str], tenant: str = "") -> Change:
    touches = [Touch(iri(name), None, trigger) for name, trigger in touched]  # type: ignore[arg-type]
    return make_change(tenant, before, after, touches, NOW)


A1, A2 = entity(a=1, b=1), entity(a=2, b=1)
CREATION = created(A1)
UPDATE = updated(A1, A2, ("a", "attributeUpdated"))
ADDITION = updated(entity(b=1), A1, ("a", "attributeCreated"))
REMOVAL = updated(A1, entity(b=1), ("a", "attributeDeleted"))
DELETION = deleted(A1)
TYPE_ONLY = updated(A1, entity(types=("Device", "Sensor"), a=1, b=1))


@pytest.mark.parametrize(
    ("triggers", "fires_on"),
    [
        (DEFAULT, {"creation", "update", "addition"}),
        (("attributeCreated",), {"creation", "addition"}),
        (("attributeUpdated",), {"update"}),
        (("attributeDeleted",), {"removal", "deletion"}),
        (("entityCreated",), {"creation"}),
        (("entityDeleted",), {"deletion"}),
        (("entityUpdated",), {"creation", "update", "addition", "removal", "deletion"}),
        (("entityCreated", "attributeDeleted"), {"creation", "removal", "deletion"}),
    ],
)
def test_5_2_12_notification_triggers(triggers: tuple[str, ...], fires_on: set[str]) -> None:
    wanted = subscription(notificationTrigger=list(triggers))
    changes = {
        "creation": CREATION,
        "update": UPDATE,
        "addition": ADDITION,
        "removal": REMOVAL,
        "deletion": DELETION,
        "type only": TYPE_ONLY,
    }
    assert {name for name, change in changes.items() if is_triggered(wanted, change)} == fires_on


def test_5_2_12_without_notification_trigger_the_default_applies() -> None:
    assert subscription().triggers == frozenset(DEFAULT)


@pytest.mark.parametrize(
    ("watched", "change", "fires"),
    [
        (["a"], UPDATE, True),
        (["b"], UPDATE, False),
        (["b", "a"], UPDATE, True),
        (["c"], CREATION, False),
        (["b"], CREATION, True),
    ],
)
def test_5_2_12_only_watched_attributes_trigger(watched: list[str], change: Change, fires: bool) -> None:
    assert is_triggered(subscription(watchedAttributes=watched), change) is fires


@pytest.mark.parametrize("trigger", ["entityCreated", "entityDeleted"])
def test_5_2_12_creation_and_deletion_concern_watched_attributes_that_the_entity_has(trigger: str) -> None:
    change = CREATION if trigger == "entityCreated" else DELETION
    assert is_triggered(subscription(notificationTrigger=[trigger], watchedAttributes=["a"]), change)
    assert not is_triggered(subscription(notificationTrigger=[trigger], watchedAttributes=["c"]), change)


def test_5_2_12_an_entity_without_attributes_is_created_and_deleted_too() -> None:
    assert is_triggered(subscription(notificationTrigger=["entityCreated"]), created(entity()))
    assert is_triggered(subscription(notificationTrigger=["entityDeleted"]), deleted(entity()))
    assert not is_triggered(subscription(), created(entity()))


POINT = {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [1, 1]}}
AROUND = {"georel": "within", "geometry": "Polygon", "coordinates": [[[0, 0], [0, 2], [2, 2], [2, 0], [0, 0]]]}
FAR = {"georel": "near;maxDistance==10", "geometry": "Point", "coordinates": [50, 50]}


@pytest.mark.parametrize(
    ("members", "change", "matches"),
    [
        ({"q": "a>1"}, UPDATE, True),
        ({"q": "a>2"}, UPDATE, False),
        ({"q": "b==1"}, REMOVAL, False),  # default triggers know no deletion
        ({"q": "b==1", "notificationTrigger": ["attributeDeleted"]}, REMOVAL, True),
        ({"q": "a==1", "notificationTrigger": ["attributeDeleted"]}, REMOVAL, False),  # the state after counts
        ({"q": "a==1", "notificationTrigger": ["entityDeleted"]}, DELETION, True),  # for deletions the state before
        ({"q": "a==2", "notificationTrigger": ["entityDeleted"]}, DELETION, False),
        ({"scopeQ": "/x"}, CREATION, False),
        ({"scopeQ": "/x/#"}, created({**A1, "scope": ["/x/y"]}), True),
        (
            {"geoQ": AROUND},
            created(entity(location=POINT) | {"attrs": {"https://uri.etsi.org/ngsi-ld/location": [POINT]}}),
            True,
        ),
        (
            {"geoQ": FAR},
            created(entity(location=POINT) | {"attrs": {"https://uri.etsi.org/ngsi-ld/location": [POINT]}}),
            False,
        ),
        ({"entities": [{"type": "Vehicle"}]}, UPDATE, False),
        ({"entities": [{"type": "Vehicle"}, {"type": "Device"}]}, UPDATE, True),
        ({"entities": [{"type": "Device", "id": "urn:d:1"}]}, UPDATE, True),
        ({"entities": [{"type": "Device", "id": "urn:d:2"}]}, UPDATE, False),
        ({"entities": [{"type": "Vehicle", "id": "urn:d:1"}]}, UPDATE, False),
        ({"entities": [{"type": "Device", "idPattern": "^urn:d:.$"}]}, UPDATE, True),
        ({"entities": [{"type": "Device", "idPattern": "^urn:x"}]}, UPDATE, False),
        (
            {"entities": [{"type": "Device", "id": "urn:d:1", "idPattern": "^urn:x"}]},
            UPDATE,
            True,
        ),  # id takes precedence
        ({"entities": [{"type": "*"}]}, UPDATE, True),
        ({"entities": [{"type": "(Device;Sensor)|Vehicle"}]}, UPDATE, False),
        ({"entities": [{"type": "(Device;Sensor)"}]}, created(entity(types=("Sensor", "Device"), a=1)), True),
        ({"entities": ..., "watchedAttributes": ["a"]}, UPDATE, True),
        ({"entities": ..., "localOnly": True}, UPDATE, True),
    ],
)
async def test_5_8_6_conditions_are_about_the_state_after_the_change(
    members: dict[str, Any], change: Change, matches: bool
) -> None:
    wanted = subscription(**members)
    index = SubscriptionIndex()
    index.put(wanted)
    store = SqliteStore(":memory:")  # not opened: nothing here may need it
    found = await is_match(store, wanted, change, state_of_interest(change))
    assert found is matches
    if matches:
        assert index.candidates(change) == [wanted]


async def test_4_22_expired_attributes_and_entities_do_not_match() -> None:
    past = {"type": "Property", "value": 1, "expiresAt": "2025-12-31T00:00:00Z"}
    store = SqliteStore(":memory:")
    gone = created({**entity(a=1), "expiresAt": "2025-12-31T00:00:00Z"})
    assert not await is_match(store, subscription(), gone, state_of_interest(gone))
    half = created(entity(a=past, b=1))
    assert not await is_match(store, subscription(q="a==1"), half, state_of_interest(half))
    assert await is_match(store, subscription(q="b==1"), half, state_of_interest(half))


def test_the_index_knows_tenants_apart_and_forgets_what_is_removed() -> None:
    index = SubscriptionIndex()
    here, there = subscription("urn:s:1", "here"), subscription("urn:s:1", "there")
    index.put(here)
    index.put(there)
    assert index.candidates(created(A1, "here")) == [here]
    index.remove(here.key)
    index.remove(here.key)
    assert index.candidates(created(A1, "here")) == []
    replaced = subscription("urn:s:1", "there", entities=[{"type": "Vehicle"}])
    index.put(replaced)
    assert index.candidates(created(A1, "there")) == []
    assert index.candidates(created(entity(types=("Vehicle",), a=1), "there")) == [replaced]
    assert len(index) == 1


names = st.sampled_from(["A", "B", "C"])
attributes = st.sampled_from(["a", "b", "c", "d"])
ids = st.sampled_from(["urn:d:1", "urn:d:2", "urn:d:3"])
selectors = st.fixed_dictionaries(
    {"type": st.sampled_from(["A", "B", "A|B", "(A;B)|C", "*"])},
    optional={"id": st.one_of(ids, st.lists(ids, min_size=1)), "idPattern": st.sampled_from(["1$", "^urn"])},
)
wishes = st.fixed_dictionaries(
    {"entities": st.lists(selectors, min_size=1, max_size=3)},
    optional={
        "watchedAttributes": st.lists(attributes, min_size=1),
        "notificationTrigger": st.lists(
            st.sampled_from(["entityCreated", "entityUpdated", "entityDeleted", *DEFAULT, "attributeDeleted"]),
            min_size=1,
        ),
        "q": st.sampled_from(["a", "b==1", "a|c"]),
    },
)
entities = st.builds(
    lambda entity_id, types, values: entity(entity_id, tuple(sorted(types)), **values),
    ids,
    st.sets(names, min_size=1),
    st.dictionaries(attributes, st.integers(0, 2)),
)


@st.composite
def changes(draw: st.DrawFn) -> Change:
    after = draw(entities)
    kind = draw(st.sampled_from(["created", "deleted", "updated"]))
    if kind == "created":
        return created(after)
    if kind == "deleted":
        return deleted(after)
    touched = draw(st.lists(st.tuples(attributes, st.sampled_from([*DEFAULT, "attributeDeleted"])), max_size=3))
    return updated(after, after, *touched)


@settings(max_examples=150, deadline=None)
@given(st.lists(wishes, max_size=6), changes())
async def test_the_index_finds_every_subscription_that_matches(wished: list[dict[str, Any]], change: Change) -> None:
    index = SubscriptionIndex()
    subscriptions = [subscription(f"urn:s:{number}", **wish) for number, wish in enumerate(wished)]
    for each in subscriptions:
        index.put(each)
    store = SqliteStore(":memory:")
    state = state_of_interest(change)
    matching = {each.id for each in subscriptions if await is_match(store, each, change, state)}
    assert matching <= {each.id for each in index.candidates(change)}


def test_100_000_subscriptions_do_not_cost_100_000_evaluations() -> None:
    index = SubscriptionIndex()
    template = subscription()
    for number in range(3_000):
        index.put(subscription(f"urn:s:id{number}", entities=[{"type": "Device", "id": f"urn:d:{number}"}]))
        index.put(subscription(f"urn:s:type{number}", entities=[{"type": f"Type{number}"}]))
        index.put(subscription(f"urn:s:watch{number}", watchedAttributes=[f"attribute{number}"]))
    index.put(template)
    found = {each.id for each in index.candidates(UPDATE)}
    assert found == {"urn:s:1", "urn:s:id1"}
