"""MongoStore's commits: atomic, exact, and in one gapless order across processes."""

import asyncio
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.errors import OperationFailure

from broker.errors import BadRequestData
from broker.model.change import Change, Touch
from broker.model.terms import KINDS
from broker.query.ast import EntityQuery
from broker.store.mongo.store import MongoStore
from broker.store.protocol import Evolution, HistoryEntry, Mutation, Page, VersionConflict

pytestmark = pytest.mark.mongo

DEVICE = "https://example.org/Device"
LEVEL = "https://example.org/level"
NOW = "2026-11-22T21:34:08.123456Z"


def entity(entity_id, version=1, attrs=None, **members):
    attrs = {LEVEL: [{"type": "Property", "value": version}]} if attrs is None else attrs
    base = {"id": entity_id, "type": [DEVICE], "createdAt": NOW, "modifiedAt": NOW, "version": version, "attrs": attrs}
    return base | members


def creation(state, tenant=""):
    touched = tuple(Touch(name, None, "attributeCreated") for name in state["attrs"])
    return Mutation(Change(tenant, state["id"], "entityCreated", NOW, touched, None, state), 0)


def update(state, tenant=""):
    touched = tuple(Touch(name, None, "attributeUpdated") for name in state["attrs"])
    before = entity(state["id"], state["version"] - 1)
    return Mutation(Change(tenant, state["id"], "entityUpdated", NOW, touched, before, state), state["version"] - 1)


def deletion(state, tenant=""):
    return Mutation(Change(tenant, state["id"], "entityDeleted", NOW, (), state, None), state["version"])


def exact(value):
    return json.dumps(value)


TEXT = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(
    ["", "$set", "a.b", ".", "$", "a\0b", "_id", "日本"]
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**63, -(2**63) - 1, 2**64, 10**40, 1, 1.0, -0.0, 0, True])
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
    | st.just(NOW),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)
VALUES = {
    "Property": JSON.filter(lambda value: value is not None),
    "Relationship": st.just("urn:x:1") | st.lists(st.just("urn:x:1"), min_size=1),
    "LanguageProperty": st.dictionaries(TEXT, TEXT | st.lists(TEXT), max_size=3),
    "VocabProperty": TEXT,
    "ListProperty": st.lists(JSON, max_size=3),
    "JsonProperty": JSON,
    "GeoProperty": st.tuples(st.floats(-200, 200), st.floats(-100, 100)).map(
        lambda position: {"type": "Point", "coordinates": list(position)}
    ),
}


@st.composite
def instances(draw):
    kind = draw(st.sampled_from(sorted(VALUES)))
    instance = {"type": kind, KINDS[kind].value: draw(VALUES[kind])}
    if draw(st.booleans()):
        instance["urn:x:sub"] = [{"type": "Property", "value": draw(JSON)}]
    return instance


ATTRIBUTE_NAMES = st.sampled_from(
    ["https://example.org/a.b", "urn:$x:%24", "urn:", "urn:a\0b", "$:x", LEVEL]
) | TEXT.map("urn:{}".format)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(ATTRIBUTE_NAMES, st.lists(instances(), min_size=1, max_size=2), max_size=4))
async def test_any_state_comes_back_exactly_from_entities_log_and_queries(mongo_store, attrs):
    head = await mongo_store.head()
    state = entity(f"urn:x:{head}", attrs=attrs)
    key = ("", state["id"])
    (change,) = await mongo_store.commit([creation(state)])
    assert exact((await mongo_store.read([key]))[key]) == exact(state)
    (logged,) = await mongo_store.changes(head, 10)
    assert logged == change
    assert exact(logged.after) == exact(state)
    (found,) = (await mongo_store.query("", EntityQuery(now=NOW), Page(10))).entities
    assert exact(found) == exact(state)
    await mongo_store.commit([deletion(state)])
    assert exact((await mongo_store.changes(head + 1, 10))[0].before) == exact(state)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(body=st.dictionaries(TEXT, JSON, max_size=4), document_id=TEXT)
async def test_any_document_and_history_entry_comes_back_exactly(mongo_store, body, document_id):
    await mongo_store.put_document("kind", "", document_id, body)
    assert exact(await mongo_store.get_document("kind", "", document_id)) == exact(body)
    entry = HistoryEntry(
        "", "urn:x:1", (DEVICE,), LEVEL, None, "urn:i:1", 7, NOW, False, {"type": "Property", "value": body}
    )
    await mongo_store.append_history([entry], ("history", 7))
    (found,) = await mongo_store.history("", "urn:x:1")
    assert found == entry
    assert exact(found.instance) == exact(entry.instance)


@pytest.fixture
async def two_stores(mongodb_uri, empty_mongo_database):
    """Two stores on one database, as two broker processes have them."""
    stores = [MongoStore(mongodb_uri, empty_mongo_database) for _ in range(2)]
    await asyncio.gather(*(store.open() for store in stores))
    yield stores
    await asyncio.gather(*(store.close() for store in stores))


async def test_commits_of_two_processes_make_one_gapless_order(two_stores):
    rounds, size = 12, 5

    async def write(number, store):
        committed = []
        for turn in range(rounds):
            states = [entity(f"urn:x:{number}:{turn}:{place}") for place in range(size)]
            changes = await store.commit([creation(state) for state in states])
            assert [change.entity_id for change in changes] == [state["id"] for state in states]
            committed += changes
        return committed

    committed = [change for changes in await asyncio.gather(*map(write, range(2), two_stores)) for change in changes]
    log = await two_stores[0].changes(0, 1000)
    assert [change.sequence for change in log] == list(range(1, 2 * rounds * size + 1))
    assert sorted(committed, key=lambda change: change.sequence) == log
    assert await two_stores[1].head() == len(log)


async def test_a_reader_never_sees_a_change_before_its_predecessor(two_stores):
    total = 60
    seen = []

    async def write(number, store):
        for turn in range(total // 2):
            await store.commit([creation(entity(f"urn:x:{number}:{turn}"))])

    async def read():
        while len(seen) < total:
            await two_stores[0].wait_for_changes(len(seen), 5)
            seen.extend(change.sequence for change in await two_stores[0].changes(len(seen), 100))

    await asyncio.gather(*map(write, range(2), two_stores), read())
    assert seen == list(range(1, total + 1))


async def test_of_two_processes_that_write_one_version_one_gets_a_conflict(two_stores):
    await two_stores[0].commit([creation(entity("urn:x:1"))])
    mine = [update(entity("urn:x:1", 2, name=number)) for number in range(2)]
    outcomes = await asyncio.gather(
        *(store.commit([each]) for store, each in zip(two_stores, mine, strict=True)), return_exceptions=True
    )
    conflicts = [outcome for outcome in outcomes if isinstance(outcome, VersionConflict)]
    assert [conflict.keys for conflict in conflicts] == [(("", "urn:x:1"),)]
    winner = next(number for number, outcome in enumerate(outcomes) if isinstance(outcome, list))
    assert (await two_stores[0].read([("", "urn:x:1")]))[("", "urn:x:1")]["name"] == winner
    assert await two_stores[0].head() == 2


async def test_of_two_processes_that_create_one_entity_one_gets_a_conflict(two_stores):
    outcomes = await asyncio.gather(
        *(store.commit([creation(entity("urn:x:1"))]) for store in two_stores), return_exceptions=True
    )
    assert sum(isinstance(outcome, VersionConflict) for outcome in outcomes) == 1
    assert await two_stores[0].head() == 1


async def test_counters_kept_under_contention_lose_no_update(two_stores):
    """Read, add one, write, again on conflict: from two processes, as the group committers do."""
    await two_stores[0].commit([creation(entity("urn:x:1", attrs={LEVEL: [{"type": "Property", "value": 0}]}))])

    async def add(store, times):
        while times:
            state = (await store.read([("", "urn:x:1")]))[("", "urn:x:1")]
            value = state["attrs"][LEVEL][0]["value"] + 1
            changed = entity("urn:x:1", state["version"] + 1, {LEVEL: [{"type": "Property", "value": value}]})
            try:
                await store.commit([update(changed)])
            except VersionConflict:
                continue
            times -= 1

    await asyncio.gather(*(add(store, 15) for store in two_stores))
    state = (await two_stores[0].read([("", "urn:x:1")]))[("", "urn:x:1")]
    assert state["attrs"][LEVEL][0]["value"] == 30
    assert state["version"] == 31
    assert await two_stores[0].head() == 31


async def assert_only_the_first_is_there(store):
    assert list(await store.read([("", "urn:x:1"), ("", "urn:x:2"), ("", "urn:x:3")])) == [("", "urn:x:1")]
    assert (await store.read([("", "urn:x:1")]))[("", "urn:x:1")]["version"] == 1
    assert await store.head() == 1
    assert len(await store.changes(0, 10)) == 1


@pytest.mark.parametrize(
    "failing",
    [
        creation(entity("urn:x:1")),
        update(entity("urn:x:1", 3)),
        update(entity("urn:x:3", 2)),
        deletion(entity("urn:x:1", 5)),
        deletion(entity("urn:x:3", 1)),
    ],
    ids=[
        "created twice",
        "updated at another version",
        "updated but absent",
        "deleted at another",
        "deleted but absent",
    ],
)
async def test_a_commit_with_one_conflict_leaves_nothing(mongo_store, failing):
    await mongo_store.commit([creation(entity("urn:x:1"))])
    with pytest.raises(VersionConflict) as conflict:
        await mongo_store.commit([creation(entity("urn:x:2")), failing])
    assert conflict.value.keys == (("", failing.change.entity_id),)
    await assert_only_the_first_is_there(mongo_store)


async def test_a_commit_that_fails_at_the_log_leaves_nothing(mongo_store, mongo_client, empty_mongo_database):
    """The log refuses a record after the entities were written: the server, not a stand-in, breaks it off."""
    await mongo_store.commit([creation(entity("urn:x:1"))])
    changes = mongo_client[empty_mongo_database].changes
    changes.insert_one({"_id": 2, "intruder": True})
    with pytest.raises(Exception, match="committing") as error:
        await mongo_store.commit([creation(entity("urn:x:2"))])
    assert not isinstance(error.value, OperationFailure)
    changes.delete_one({"_id": 2})
    await assert_only_the_first_is_there(mongo_store)


async def test_a_commit_that_is_cancelled_is_whole_or_nothing(mongo_store):
    await mongo_store.commit([creation(entity("urn:x:0"))])
    for number in range(1, 12):
        task = asyncio.create_task(
            mongo_store.commit([creation(entity(f"urn:x:{number}:{place}")) for place in range(3)])
        )
        await asyncio.sleep(number * 0.0007)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await mongo_store.commit([creation(entity("urn:x:last"))])
    log = await mongo_store.changes(0, 100)
    assert [change.sequence for change in log] == list(range(1, len(log) + 1))
    assert len(log) % 3 == 2
    found = await mongo_store.query("", EntityQuery(), Page(100))
    assert {each["id"] for each in found.entities} == {change.entity_id for change in log}


async def test_an_entity_may_come_and_go_within_one_commit(mongo_store):
    state = entity("urn:x:1")
    changes = await mongo_store.commit([creation(state), deletion(state)])
    assert [change.kind for change in changes] == ["entityCreated", "entityDeleted"]
    assert await mongo_store.read([("", "urn:x:1")]) == {}
    await mongo_store.commit([creation(state)])
    with pytest.raises(VersionConflict):
        await mongo_store.commit([creation(state), deletion(state)])


async def test_members_that_go_are_gone_from_the_search_fields_too(mongo_store, mongo_client, empty_mongo_database):
    place = {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [139.7, 35.6]}, "expiresAt": NOW}
    mixed = {"type": "Property", "value": [1, NOW]}
    full = entity("urn:x:1", attrs={LEVEL: [place, mixed]}, scope=["/a"], expiresAt="2027-01-01T00:00:00Z")
    await mongo_store.commit([creation(full)])
    await mongo_store.commit([update(entity("urn:x:1", 2))])
    await mongo_store.commit([creation(entity("urn:x:2", 2))])
    updated, created = mongo_client[empty_mongo_database].entities.find({}, {"_id": 0, "body": 0})
    assert updated == created


async def test_an_entity_that_no_document_can_hold_is_refused_by_name_and_nothing_is_written(mongo_store):
    import random

    noise = random.Random(1).randbytes(13 * 2**20).hex()
    with pytest.raises(BadRequestData, match="urn:x:2"):
        await mongo_store.commit(
            [
                creation(entity("urn:x:1")),
                creation(entity("urn:x:2", attrs={LEVEL: [{"type": "Property", "value": noise * 2}]})),
            ]
        )
    assert await mongo_store.head() == 0


async def test_an_entity_of_too_many_attributes_is_refused_by_name(mongo_store):
    attrs = {
        f"https://example.org/{'long/' * 20}{number}": [{"type": "Property", "value": number}]
        for number in range(80_000)
    }
    with pytest.raises(BadRequestData, match="urn:x:1"):
        await mongo_store.commit([creation(entity("urn:x:1", attrs=attrs))])
    assert await mongo_store.head() == 0


async def test_an_entity_of_megabytes_comes_back(mongo_store):
    state = entity("urn:x:1", attrs={LEVEL: [{"type": "Property", "value": ["a long list"] * 500_000}]})
    await mongo_store.commit([creation(state)])
    assert (await mongo_store.read([("", "urn:x:1")]))[("", "urn:x:1")] == state


async def test_another_process_hears_of_a_change_within_a_second_and_its_own_at_once(two_stores):
    mine, other = two_stores
    loop = asyncio.get_running_loop()
    heard = {}

    async def listen(name, store):
        assert await store.wait_for_changes(0, 10)
        heard[name] = loop.time()

    listening = [asyncio.create_task(listen("mine", mine)), asyncio.create_task(listen("other", other))]
    await asyncio.sleep(0.25)
    await mine.commit([creation(entity("urn:x:1"))])
    done = loop.time()
    await asyncio.gather(*listening)
    assert heard["mine"] - done < 0.05
    assert heard["other"] - done < 1


async def test_waiting_ends_in_time_when_nothing_comes(mongo_store):
    loop = asyncio.get_running_loop()
    start = loop.time()
    assert not await mongo_store.wait_for_changes(0, 0.25)
    assert 0.24 < loop.time() - start < 2
    assert not await mongo_store.wait_for_changes(0, 0)


async def test_history_recorded_again_meets_itself(mongo_store):
    def entry(sequence, value):
        return HistoryEntry(
            "",
            "urn:x:1",
            (DEVICE,),
            LEVEL,
            None,
            f"urn:i:{sequence}",
            sequence,
            NOW,
            False,
            {"type": "Property", "value": value},
        )

    first = [entry(sequence, 1) for sequence in (9, 10, 11)]
    await mongo_store.append_history(first, ("history", 11))
    again = [entry(sequence, 1) for sequence in (10, 11, 12)]
    await mongo_store.append_history(again, ("history", 12))
    assert await mongo_store.history("", "urn:x:1") == [entry(sequence, 1) for sequence in (9, 10, 11, 12)]
    assert await mongo_store.cursors() == {"history": 12}


async def test_the_evolution_of_an_entity_that_comes_back_goes_on(mongo_store):
    later = NOW.replace("2026", "2027")

    def entry(number, at, attribute):
        return HistoryEntry(
            "",
            "urn:x:1",
            (DEVICE,),
            attribute,
            None,
            f"urn:i:{number}",
            number,
            at,
            False,
            {"type": "Property", "value": 1},
        )

    def evolution(created, modified, deleted=None):
        return Evolution("", "urn:x:1", (DEVICE,), created, modified, deleted)

    await mongo_store.append_history([entry(1, NOW, LEVEL)], ("history", 1), [evolution(NOW, NOW)])
    await mongo_store.append_history([], ("history", 2), [evolution(NOW, later, later)])
    await mongo_store.append_history([entry(3, later, "urn:back")], ("history", 3), [evolution(later, later)])
    assert await mongo_store.evolutions("", [], 10) == [evolution(NOW, later)]
    assert {each.attribute for each in await mongo_store.history("", "urn:x:1")} == {LEVEL, "urn:back"}
    assert await mongo_store.cursors() == {"history": 3}
