"""Idempotency-Key over HTTP on every store (docs/extensions.md): a repeated request has one effect and gets one answer."""

import asyncio
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from api import running_api
from snapshot_receiver import ready

from broker.errors import StoreUnavailable
from broker.model.instants import canonical
from broker.operations import temporal
from broker.operations.receipts import KIND, Receipts

GAUGE = "urn:ngsi-ld:RiverGauge:1"
ENTITY = f"entities/{GAUGE}"
KEY = {"Idempotency-Key": '"one"'}
SEEN = ("Location", "Content-Type", "ETag", "Retry-After")


def prop(value, **members):
    return {"type": "Property", "value": value, **members}


def gauge(level=1, number=1, **attributes):
    return {"id": f"urn:ngsi-ld:RiverGauge:{number}", "type": "RiverGauge", "level": prop(level), **attributes}


def told(answer):
    return answer.status, answer.body, {name: answer.headers.get(name) for name in SEEN}


async def changes(api):
    return await api.broker.store.changes(0, 1000)


def subscription(**members):
    return {
        "type": "Subscription",
        "entities": [{"type": "RiverGauge"}],
        "notification": {"endpoint": {"uri": "http://127.0.0.1:9/x"}},
        **members,
    }


def registration():
    return {
        "type": "ContextSourceRegistration",
        "information": [{"entities": [{"type": "RiverGauge"}]}],
        "endpoint": "http://127.0.0.1:9/y",
    }


WRITES = {
    "create": ("POST", "entities", gauge(number=2), 201),
    "merge": ("PATCH", ENTITY, {"level": prop(5)}, 204),
    "append": ("POST", f"{ENTITY}/attrs", {"rain": prop(5)}, 204),
    "partly append": ("POST", f"{ENTITY}/attrs?options=noOverwrite", {"rain": prop(5), "level": prop(5)}, 207),
    "update": ("PATCH", f"{ENTITY}/attrs", {"level": prop(5)}, 204),
    "partial update": ("PATCH", f"{ENTITY}/attrs/level", {"value": 5}, 204),
    "batch create": ("POST", "entityOperations/create", [gauge(number=2), gauge()], 207),
    "batch upsert": ("POST", "entityOperations/upsert", [gauge(7), gauge(number=2)], 201),
    "batch update": ("POST", "entityOperations/update", [gauge(7)], 204),
    "batch merge": ("POST", "entityOperations/merge", [gauge(7), gauge(7, number=9)], 207),
    "batch delete": ("POST", "entityOperations/delete", [GAUGE], 204),
}


def evolution():
    return {"id": GAUGE, "type": "RiverGauge", "level": [prop(1, observedAt="2026-01-01T00:00:00Z")]}


DOCUMENTS = {
    "subscriptions": ("subscriptions", subscription(), {"description": "new"}),
    "registrations": ("csourceRegistrations", registration(), {"description": "new"}),
    "subscriptions to registrations": ("csourceSubscriptions", subscription(), {"description": "new"}),
}
OTHERS = {
    "host a context": ("POST", "jsonldContexts", {"@context": {"a": "https://example.org/a"}}, 201),
    "write history": (
        "POST",
        "temporal/entities",
        evolution(),
        204,
    ),
}


@pytest.mark.parametrize("write", WRITES)
async def test_a_repeated_write_of_entities_has_one_effect_and_the_same_answer(api, write):
    method, path, body, status = WRITES[write]
    await api.post("entities", gauge(), NGSILD_Tenant="city")
    headers = {**KEY, "NGSILD-Tenant": "city"}
    first = await api.request(method, path, body, headers=headers)
    assert first.status == status
    after = await changes(api)
    (receipt,) = await api.broker.store.list_documents(KIND)
    assert receipt[:2] == ("city", "one")
    for _ in range(3):
        again = await api.request(method, path, body, headers=headers)
        assert told(again) == told(first)
        assert again.headers["NGSILD-Tenant"] == "city"
    assert await changes(api) == after


@pytest.mark.parametrize("kind", DOCUMENTS)
async def test_what_is_a_document_is_made_and_changed_once_together_with_its_receipt(api, monkeypatch, kind):
    path, body, fragment = DOCUMENTS[kind]

    async def keep(*_, **__):
        raise AssertionError("the receipt was not in the commit")

    monkeypatch.setattr(Receipts, "keep", keep)
    first = await api.post(path, body, Idempotency_Key="one")
    assert (first.status, first.body) == (201, b"")
    assert told(await api.post(path, body, Idempotency_Key="one")) == told(first)
    resource = first.headers["Location"].removeprefix("/ngsi-ld/v1/")
    changed = await api.patch(resource, fragment, Idempotency_Key="two")
    assert changed.status == 204
    await api.patch(resource, {"description": "newer"})
    assert told(await api.patch(resource, fragment, Idempotency_Key="two")) == told(changed)
    assert (await api.get(resource)).json["description"] == "newer"
    query = "?type=RiverGauge" if kind == "registrations" else ""
    assert len((await api.get(path + query)).json) == 1


async def test_a_document_that_exists_is_refused_with_a_key_as_without(api):
    body = subscription(id="urn:ngsi-ld:Subscription:1")
    await api.post("subscriptions", body)
    first = await api.post("subscriptions", body, Idempotency_Key="one")
    assert first.status == 409
    assert "Retry-After" not in first.headers
    await api.delete("subscriptions/urn:ngsi-ld:Subscription:1")
    assert told(await api.post("subscriptions", body, Idempotency_Key="one")) == told(first)


@pytest.mark.parametrize("write", OTHERS)
async def test_any_other_repeated_request_has_one_effect_too(api, write):
    method, path, body, status = OTHERS[write]
    await api.post("entities", gauge())
    first = await api.request(method, path, body, headers=KEY)
    assert first.status == status, first.body
    again = await api.request(method, path, body, headers=KEY)
    assert told(again) == told(first)
    assert len((await api.get("jsonldContexts?kind=Hosted")).json) <= 1


async def test_without_a_key_nothing_is_kept(api):
    await api.post("entities", gauge())
    assert (await api.post("entities", gauge())).status == 409
    assert await api.broker.store.list_documents(KIND) == []


async def test_an_answer_that_tells_of_an_error_is_kept_too(api):
    missing = await api.patch(ENTITY, {"level": prop(2)}, Idempotency_Key="a")
    malformed = await api.request("POST", "entities", data=b"{", headers={"Content-Type": "application/json", **KEY})
    assert (missing.status, malformed.status) == (404, 400)
    await api.post("entities", gauge())
    assert told(await api.patch(ENTITY, {"level": prop(2)}, Idempotency_Key="a")) == told(missing)
    assert (await api.get(ENTITY)).json["level"]["value"] == 1


async def test_a_condition_that_did_hold_is_not_looked_at_again(api):
    tag = (await api.post("entities", gauge())).headers["ETag"]
    for _ in range(2):
        assert (await api.patch(ENTITY, {"level": prop(2)}, If_Match=tag, Idempotency_Key="a")).status == 204
    assert (await api.patch(ENTITY, {"level": prop(2)}, If_Match=tag, Idempotency_Key="b")).status == 412


async def test_the_key_of_another_request_is_refused_and_has_no_effect(api):
    await api.post("entities", gauge(), **{"Idempotency_Key": "one"})
    for method, path, body in (
        ("POST", "entities", gauge(2)),
        ("POST", "entities?local=true", gauge()),
        ("PATCH", ENTITY, {"level": prop(2)}),
        ("POST", "subscriptions", subscription()),
    ):
        answer = await api.request(method, path, body, headers=KEY)
        assert answer.status == 422
        assert answer.json["type"] == "about:blank"
        assert "'one'" in answer.json["detail"]
    assert len(await changes(api)) == 1


async def test_a_key_is_the_tenants_own(api):
    for tenant in ("north", "south"):
        assert (await api.post("entities", gauge(), NGSILD_Tenant=tenant, **{"Idempotency_Key": "one"})).status == 201
    assert len(await changes(api)) == 2


async def test_put_delete_and_queries_have_no_use_for_a_key(api):
    await api.post("entities", gauge())
    for level in (2, 3):
        assert (await api.put(ENTITY, gauge(level), Idempotency_Key="one")).status == 204
        query = {"type": "Query", "entities": [{"type": "RiverGauge"}]}
        (found,) = (await api.post("entityOperations/query", query, Idempotency_Key="one")).json
        assert found["level"]["value"] == level
    assert await api.broker.store.list_documents(KIND) == []


@pytest.mark.parametrize("key", ["", "a b", '"a', "x" * 256])
async def test_a_malformed_key_is_refused(api, key):
    answer = await api.post("entities", gauge(), Idempotency_Key=key)
    assert answer.status == 400
    assert answer.json["detail"].startswith("Idempotency-Key")
    assert await changes(api) == []


async def test_fifty_repetitions_at_once_have_one_effect_and_say_who_has_to_wait(api):
    answers = await asyncio.gather(*(api.post("entities", gauge(), Idempotency_Key="one") for _ in range(50)))
    assert {answer.status for answer in answers} <= {201, 409}
    assert any(answer.status == 201 for answer in answers)
    for answer in answers:
        if answer.status == 409:
            assert answer.json["type"].endswith("/Conflict")
            assert answer.headers["Retry-After"] == "1"
    assert len(await changes(api)) == 1
    assert (await api.post("entities", gauge(), Idempotency_Key="one")).status == 201


async def test_another_request_is_told_so_while_the_first_is_under_way(api):
    answers = await asyncio.gather(
        *(api.post("entities", gauge(number=number), Idempotency_Key="one") for number in range(20))
    )
    assert sorted(answer.status for answer in answers) == [201] + [422] * 19
    assert len(await changes(api)) == 1


async def test_a_batch_with_a_key_is_one_commit_and_too_large_a_one_is_refused(api):
    batch = [gauge(number=number) for number in range(1000)]
    commits = []
    api.broker.writer.on_commit.append(lambda made: commits.append(len(made)))
    first = await api.post("entityOperations/upsert?options=update", batch, Idempotency_Key="one")
    assert (first.status, len(first.json), commits) == (201, 1000, [1000])
    again = await api.post("entityOperations/upsert?options=update", batch, Idempotency_Key="one")
    assert told(again) == told(first)
    for path, body in (("create", [*batch, gauge(number=1000)]), ("delete", [GAUGE] * 1001)):
        refused = await api.post(f"entityOperations/{path}", body, Idempotency_Key=path)
        assert refused.status == 400
        assert "1000" in refused.json["detail"]
    assert commits == [1000]


async def test_two_brokers_on_a_store_carry_it_out_once(store):
    async with running_api(store) as one, running_api(store) as two:
        answers = await asyncio.gather(
            *(api.post("entities", gauge(number=7), Idempotency_Key="one") for api in (one, two) for _ in range(5))
        )
        assert {answer.status for answer in answers} <= {201, 409}
        assert len(await changes(one)) == 1
        kept = [await api.post("entities", gauge(number=7), Idempotency_Key="one") for api in (one, two)]
        assert [answer.status for answer in kept] == [201, 201]


async def test_two_brokers_on_a_store_make_one_document(store):
    async with running_api(store) as one, running_api(store) as two:
        answers = await asyncio.gather(
            *(api.post("subscriptions", subscription(), Idempotency_Key="one") for api in (one, two) for _ in range(5))
        )
        assert {answer.status for answer in answers} <= {201, 409}
        assert len({answer.headers.get("Location") for answer in answers if answer.status == 201}) == 1
        assert len(await store.list_documents("subscription")) == 1


async def test_after_a_restart_the_answer_is_still_there(store):
    async with running_api(store) as api:
        first = await api.post("entities", gauge(), Idempotency_Key="one")
    async with running_api(store) as api:
        assert told(await api.post("entities", gauge(), Idempotency_Key="one")) == told(first)
        assert (await api.post("entities", gauge(2), Idempotency_Key="one")).status == 422


async def test_an_answer_5xx_is_not_kept(api, monkeypatch):
    store = api.broker.store
    commit, failing = type(store).commit, [True]

    async def fail_once(self, mutations, documents=()):
        if failing and failing.pop():
            raise StoreUnavailable("the disk is full")
        return await commit(self, mutations, documents)

    monkeypatch.setattr(type(store), "commit", fail_once)
    batch = [gauge(), {"id": "urn:x:1"}]
    assert (await api.post("entityOperations/upsert", batch, Idempotency_Key="one")).status == 503
    assert await store.list_documents(KIND) == []
    assert (await api.post("entityOperations/upsert", batch, Idempotency_Key="one")).status == 207
    assert len(await changes(api)) == 1


async def test_a_failure_apart_from_entities_gives_its_claim_up(api, monkeypatch):
    async def fail(*_):
        raise StoreUnavailable("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(temporal, "create_or_update_evolution", fail)
        assert (await api.post("temporal/entities", evolution(), Idempotency_Key="one")).status == 503
    assert (await api.post("temporal/entities", evolution(), Idempotency_Key="one")).status == 201


@pytest.mark.parametrize(("age", "waits"), [(1, True), (90, False)])
async def test_a_claim_that_a_crash_left_behind_keeps_its_request_from_being_carried_out(api, monkeypatch, age, waits):
    async def die(*_):
        raise asyncio.CancelledError

    with monkeypatch.context() as patched:
        patched.setattr(temporal, "create_or_update_evolution", die)
        with pytest.raises(aiohttp.ClientError):
            await api.post("temporal/entities", evolution(), Idempotency_Key="one")
    begun = canonical(datetime.now(UTC) - timedelta(seconds=age))
    assert await api.broker.store.change_document(KIND, "", "one", lambda claim: {**claim, "at": begun}) is not None
    answer = await api.post("temporal/entities", evolution(), Idempotency_Key="one")
    assert answer.status == 409
    assert ("Retry-After" in answer.headers) == waits
    assert (await api.get(f"temporal/{ENTITY}")).status == 404
    assert (await api.post("temporal/entities", evolution(), Idempotency_Key="two")).status == 201


async def test_a_receipt_is_forgotten_after_a_day(api):
    await api.post("entities", gauge(), Idempotency_Key="one")
    await api.post("entities", gauge(), Idempotency_Key="two")
    store = api.broker.store
    for key, hours in (("one", 24.1), ("two", 23.9)):
        at = canonical(datetime.now(UTC) - timedelta(hours=hours))
        await store.change_document(KIND, "", key, lambda receipt, at=at: {**receipt, "at": at})
    assert (await api.post("entities", gauge(), Idempotency_Key="two")).status == 409
    assert (await api.post("entities", gauge(2), Idempotency_Key="two")).status == 422
    receipts = Receipts(store, api.broker.now)
    await receipts.count()
    assert await receipts.sweep() == 1
    assert [key for _, key, _ in await store.list_documents(KIND)] == ["two"]
    assert (await api.patch(ENTITY, {"level": prop(2)}, Idempotency_Key="one")).status == 204


async def test_an_old_receipt_counts_no_more_before_it_is_swept(api):
    await api.post("entities", gauge(), Idempotency_Key="one")
    at = canonical(datetime.now(UTC) - timedelta(hours=25))
    await api.broker.store.change_document(KIND, "", "one", lambda receipt: {**receipt, "at": at})
    assert (await api.patch(ENTITY, {"level": prop(2)}, Idempotency_Key="one")).status == 204


async def test_too_many_receipts_go_from_the_oldest_of_the_tenant_that_has_most(api):
    for number in range(6):
        await api.post("entities", gauge(number=number), Idempotency_Key=f"k{number}", NGSILD_Tenant="busy")
    await api.post("entities", gauge(), Idempotency_Key="quiet")
    store = api.broker.store
    receipts = Receipts(store, api.broker.now, most=3)
    await receipts.count()
    assert await receipts.sweep() == 4
    assert {key for _, key, _ in await store.list_documents(KIND)} == {"k4", "k5", "quiet"}
    small = Receipts(store, api.broker.now, most_bytes=500)
    await small.count()
    await small.sweep()
    assert len(await store.list_documents(KIND)) < 3


async def test_a_key_works_on_a_snapshot_apart_from_its_tenant(api):
    """5.5.15: the space of a snapshot is not that of its tenant, and neither are the keys used in it."""
    car = {"id": "urn:x:car", "type": "Car", "speed": {"type": "Property", "value": 1}}
    query = {"type": "Query", "entities": [{"type": "Car"}]}
    assert (await api.post("entities", {**car, "id": "urn:x:other"})).status == 201
    snapshot = {"id": "urn:x:snapshot", "type": "Snapshot", "snapshotQueries": [query]}
    assert (await api.post("snapshots", snapshot)).status == 201
    await ready(api, "snapshots/urn:x:snapshot")
    headers = {"Idempotency_Key": '"one"'}
    for inside in ({"NGSILD_Snapshot": "urn:x:snapshot"}, {}):
        assert [(await api.post("entities", car, **headers, **inside)).status for _ in range(2)] == [201, 201]
    assert (await api.get("entities/urn:x:car", NGSILD_Snapshot="urn:x:snapshot")).status == 200
