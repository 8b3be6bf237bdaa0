"""What every store promises about entities, the log, cursors, history and documents (broker.store.protocol)."""

import asyncio

import pytest
from store_samples import BASE, LEVEL, T0, creation, deletion, entity, instance, put, update

from broker.store.protocol import Document, DocumentExists, HistoryEntry, Mutation, Store, VersionConflict


async def test_a_committed_state_is_read_back_exactly_as_it_was(store: Store) -> None:
    state = entity(
        1,
        attrs={
            LEVEL: [
                instance(1.5, unitCode="MTR"),
                instance(-0.1, datasetId="urn:d:1", **{BASE + "a.b$c": [instance(0)]}),
            ],
            BASE + "dots.and$dollars": [instance({"a.b": {"$gt": None}, "": [1, 2.0, True, "é\u2028𝄞"]})],
            BASE + "big": [instance(9007199254740993), instance(2**63 - 1, datasetId="urn:d:2")],
            BASE + "名前": [{"type": "LanguageProperty", "languageMap": {"ja": "東京", "@none": "x"}}],
        },
        scope=["/Madrid/Gardens", "/京都"],
    )
    await put(store, [state])
    assert await store.read([("", state["id"])]) == {("", state["id"]): state}
    (change,) = await store.changes(0, 10)
    assert change == creation(state).committed(change.sequence)


async def test_reading_tells_only_what_exists_and_keeps_tenants_apart(store: Store) -> None:
    one, other = entity(1), entity(1, 2)
    await put(store, [one], "north")
    await put(store, [other], "south")
    keys = [("north", one["id"]), ("south", one["id"]), ("", one["id"]), ("north", "urn:ngsi-ld:Thing:2")]
    assert await store.read(keys) == {("north", one["id"]): one, ("south", one["id"]): other}
    assert await store.read([]) == {}


async def test_expired_entities_are_still_read(store: Store) -> None:
    state = entity(1, expiresAt="2020-01-01T00:00:00Z")
    await put(store, [state])
    assert await store.read([("", state["id"])]) == {("", state["id"]): state}


async def test_a_commit_updates_and_deletes(store: Store) -> None:
    one, two = entity(1), entity(2)
    await put(store, [one, two])
    newer = entity(1, 5, version=2)
    changes = await store.commit([Mutation(update(one, newer), 1), Mutation(deletion(two), 1)])
    assert [change.kind for change in changes] == ["entityUpdated", "entityDeleted"]
    assert await store.read([("", one["id"]), ("", two["id"])]) == {("", one["id"]): newer}
    await store.commit([Mutation(creation(two), 0)])
    assert await store.read([("", two["id"])]) == {("", two["id"]): two}


async def test_documents_are_written_in_the_same_commit_or_not_at_all(store: Store) -> None:
    one = Document("receipt", "city", "a", {"n": 1})
    await store.commit([Mutation(creation(entity(1)), 0)], [one, Document("receipt", "city", "b", {"n": 2})])
    assert await store.list_documents("receipt") == [("city", "a", {"n": 1}), ("city", "b", {"n": 2})]
    for documents in ([Document("receipt", "city", "c", {}), one], [Document("receipt", "city", "d", {}), one]):
        with pytest.raises(DocumentExists):
            await store.commit([Mutation(creation(entity(2)), 0)], documents)
    with pytest.raises(VersionConflict):
        await store.commit([Mutation(creation(entity(1)), 0)], [Document("receipt", "city", "e", {})])
    assert await store.commit([], [Document("receipt", "city", "f", {})]) == []
    assert [key for _, key, _ in await store.list_documents("receipt")] == ["a", "b"]
    assert len(await store.changes(0, 10)) == 1
    assert await store.put_document("receipt", "city", "c", {"n": 3}, create=True)
    assert not await store.put_document("receipt", "city", "a", {}, create=True)
    (change,) = await store.commit([Mutation(creation(entity(2)), 0)], [Document("receipt", "city", "d", {})])
    assert change.sequence == await store.head()


async def test_of_many_commits_with_the_same_document_one_is_written(store: Store) -> None:
    document = Document("receipt", "", "a", {})
    outcomes = await asyncio.gather(
        *(store.commit([Mutation(creation(entity(number)), 0)], [document]) for number in range(10)),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, DocumentExists) for outcome in outcomes) == 9
    assert len(await store.changes(0, 100)) == 1


async def test_a_document_is_stored_with_others_or_not_at_all(store: Store) -> None:
    one, two, three = (Document("receipt", "city", key, {}) for key in "abc")
    assert await store.put_document("x", "city", "1", {"n": 1}, create=True, documents=[one])
    assert await store.put_document("x", "city", "1", {"n": 2}, documents=[two])
    assert not await store.put_document("x", "city", "1", {"n": 3}, create=True, documents=[three])
    for document_id in ("1", "2"):
        with pytest.raises(DocumentExists):
            await store.put_document("x", "city", document_id, {"n": 4}, documents=[three, one])
    assert await store.list_documents("x") == [("city", "1", {"n": 2})]
    assert [key for _, key, _ in await store.list_documents("receipt")] == ["a", "b"]
    outcomes = await asyncio.gather(
        *(store.put_document("x", "", str(number), {}, create=True, documents=[three]) for number in range(8)),
        return_exceptions=True,
    )
    assert [outcome for outcome in outcomes if not isinstance(outcome, DocumentExists)] == [True]
    assert len(await store.list_documents("x", "")) == 1


async def test_mutations_of_one_entity_in_one_commit_apply_in_order(store: Store) -> None:
    first, second, third = entity(1, 1), entity(1, 2, version=2), entity(1, 3)
    changes = await store.commit(
        [
            Mutation(creation(first), 0),
            Mutation(update(first, second), 1),
            Mutation(deletion(second), 2),
            Mutation(creation(third), 0),
        ]
    )
    assert [change.kind for change in changes] == ["entityCreated", "entityUpdated", "entityDeleted", "entityCreated"]
    assert await store.read([("", first["id"])]) == {("", first["id"]): third}
    assert await store.changes(0, 10) == changes


@pytest.mark.parametrize("expected", [0, 2, 7])
async def test_a_commit_on_another_version_writes_nothing_at_all(store: Store, expected: int) -> None:
    one, bystander = entity(1), entity(2)
    await put(store, [one])
    head = await store.head()
    with pytest.raises(VersionConflict) as conflict:
        await store.commit(
            [Mutation(creation(bystander), 0), Mutation(update(one, entity(1, 9, version=expected + 1)), expected)]
        )
    assert conflict.value.keys == (("", one["id"]),)
    assert await store.read([("", one["id"]), ("", bystander["id"])]) == {("", one["id"]): one}
    assert await store.head() == head
    assert len(await store.changes(0, 10)) == 1


async def test_an_update_or_deletion_of_what_is_not_there_is_a_conflict(store: Store) -> None:
    one = entity(1)
    for change in (update(one, entity(1, 2, version=2)), deletion(one)):
        with pytest.raises(VersionConflict):
            await store.commit([Mutation(change, 1)])
    assert await store.head() == 0


async def test_an_empty_commit_is_nothing(store: Store) -> None:
    assert await store.commit([]) == []
    assert await store.head() == 0


async def test_the_log_has_one_order_over_all_tenants(store: Store) -> None:
    committed = await put(store, [entity(1), entity(2)], "a")
    committed += await put(store, [entity(1)], "b")
    committed += await store.commit([Mutation(deletion(entity(1), "a"), 1)])
    sequences = [change.sequence for change in committed]
    assert sequences == sorted(set(sequences))
    assert sequences[0] > 0
    assert await store.changes(0, 100) == committed
    assert await store.changes(sequences[1], 100) == committed[2:]
    assert await store.changes(0, 2) == committed[:2]
    assert await store.changes(sequences[-1], 100) == []
    assert await store.head() == sequences[-1]
    assert await store.tail() == 0


async def test_trimmed_changes_are_gone_and_their_sequences_never_come_back(store: Store) -> None:
    committed = await put(store, [entity(number) for number in range(5)])
    await store.trim(committed[2].sequence)
    assert await store.changes(0, 100) == committed[3:]
    assert await store.tail() == committed[2].sequence
    await store.trim(committed[1].sequence)
    assert await store.tail() == committed[2].sequence
    await store.trim(committed[4].sequence)
    assert await store.changes(0, 100) == []
    assert await store.head() == committed[4].sequence
    (later,) = await put(store, [entity(9)])
    assert later.sequence > committed[4].sequence
    assert await store.changes(await store.tail(), 10) == [later]


async def test_trimming_beyond_the_head_keeps_what_comes_later(store: Store) -> None:
    (first,) = await put(store, [entity(1)])
    await store.trim(first.sequence + 1000)
    (second,) = await put(store, [entity(2)])
    assert await store.changes(first.sequence, 10) == [second]


async def test_waiting_for_changes_ends_with_the_next_commit(store: Store) -> None:
    head = await store.head()
    waiting = [asyncio.create_task(store.wait_for_changes(head, 10)) for _ in range(3)]
    await asyncio.sleep(0.05)
    (change,) = await put(store, [entity(1)])
    assert await asyncio.wait_for(asyncio.gather(*waiting), 5) == [True] * 3
    assert await store.wait_for_changes(head, 10)
    assert not await store.wait_for_changes(change.sequence, 0.05)


async def test_cursors_are_kept_one_by_one(store: Store) -> None:
    assert await store.cursors() == {}
    await store.save_cursors({"temporal": 3, "urn:ngsi-ld:Subscription:1": 5})
    await store.save_cursors({"temporal": 4})
    assert await store.cursors() == {"temporal": 4, "urn:ngsi-ld:Subscription:1": 5}
    await store.drop_cursor("temporal")
    await store.drop_cursor("never there")
    assert await store.cursors() == {"urn:ngsi-ld:Subscription:1": 5}


def entry(sequence: int, attribute: str = LEVEL, dataset_id: str | None = None) -> HistoryEntry:
    return HistoryEntry(
        tenant="",
        entity_id="urn:ngsi-ld:Thing:1",
        types=(BASE + "Room", BASE + "Hall"),
        attribute=attribute,
        dataset_id=dataset_id,
        instance_id=f"urn:ngsi-ld:Instance:{sequence}:{attribute}:{dataset_id}",
        sequence=sequence,
        recorded_at=T0,
        deleted=sequence == 3,
        instance=instance({"a.b": sequence}),
    )


async def test_history_comes_back_in_order_and_a_replay_changes_nothing(store: Store) -> None:
    entries = [entry(1), entry(1, BASE + "a"), entry(2, dataset_id="urn:d:1"), entry(3)]
    await store.append_history(entries[2:], ("temporal", 3))
    await store.append_history(entries, ("temporal", 4))
    await store.append_history(entries, ("temporal", 4))
    found = await store.history("", "urn:ngsi-ld:Thing:1")
    assert [each.sequence for each in found] == [1, 1, 2, 3]
    assert sorted(found, key=lambda each: each.instance_id) == sorted(entries, key=lambda each: each.instance_id)
    assert await store.cursors() == {"temporal": 4}
    assert await store.history("", "urn:ngsi-ld:Thing:2") == []
    assert await store.history("other", "urn:ngsi-ld:Thing:1") == []


async def test_history_of_one_attribute_instance_by_instance_id_is_replaced_by_itself(store: Store) -> None:
    await store.append_history([entry(1)], ("temporal", 1))
    await store.append_history([entry(1)._replace(recorded_at="2026-02-02T00:00:00.000000Z")], ("temporal", 1))
    (found,) = await store.history("", "urn:ngsi-ld:Thing:1")
    assert found.recorded_at == "2026-02-02T00:00:00.000000Z"


async def test_documents_are_created_replaced_listed_and_deleted(store: Store) -> None:
    body = {"id": "urn:s:1", "a.b": {"$set": [1, 2.5, None, "é"]}}
    assert await store.put_document("subscription", "", "urn:s:1", body, create=True)
    assert not await store.put_document("subscription", "", "urn:s:1", {"other": True}, create=True)
    assert await store.get_document("subscription", "", "urn:s:1") == body
    assert await store.put_document("subscription", "north", "urn:s:1", {"n": 1})
    assert await store.put_document("subscription", "", "urn:s:0", {"n": 2})
    assert await store.put_document("context", "", "urn:s:1", {"n": 3})
    await store.put_document("subscription", "", "urn:s:1", {"n": 4})
    assert await store.list_documents("subscription") == [
        ("", "urn:s:1", {"n": 4}),
        ("north", "urn:s:1", {"n": 1}),
        ("", "urn:s:0", {"n": 2}),
    ]
    assert await store.list_documents("subscription", "") == [("", "urn:s:1", {"n": 4}), ("", "urn:s:0", {"n": 2})]
    assert await store.delete_document("subscription", "", "urn:s:1")
    assert not await store.delete_document("subscription", "", "urn:s:1")
    assert await store.get_document("subscription", "", "urn:s:1") is None
    assert await store.get_document("subscription", "north", "urn:s:1") == {"n": 1}
    assert await store.list_documents("nothing") == []


async def test_two_creations_of_one_document_at_once_make_one(store: Store) -> None:
    made = await asyncio.gather(
        *(store.put_document("registration", "", "urn:r:1", {"n": number}, create=True) for number in range(8))
    )
    assert sorted(made) == [False] * 7 + [True]


async def test_a_document_is_changed_by_a_function_of_its_body_and_no_change_is_lost(store: Store) -> None:
    await store.put_document("map", "", "urn:m:1", {"n": 0, "seen": []})

    def seen(by: int):
        return lambda body: {"n": body["n"] + 1, "seen": [*body["seen"], by]}

    changed = await asyncio.gather(*(store.change_document("map", "", "urn:m:1", seen(by)) for by in range(12)))
    assert sorted(body["n"] for body in changed if body is not None) == list(range(1, 13))
    body = await store.get_document("map", "", "urn:m:1")
    assert body is not None
    assert body["n"] == 12
    assert sorted(body["seen"]) == list(range(12))


async def test_a_document_that_is_left_alone_or_is_not_there_is_not_written(store: Store) -> None:
    await store.put_document("map", "", "urn:m:1", {"n": 1})
    assert await store.change_document("map", "", "urn:m:1", lambda body: None) is None
    assert await store.get_document("map", "", "urn:m:1") == {"n": 1}
    assert await store.change_document("map", "", "urn:m:2", lambda body: {"n": 2}) is None
    assert await store.change_document("map", "north", "urn:m:1", lambda body: {"n": 2}) is None
    assert await store.list_documents("map") == [("", "urn:m:1", {"n": 1})]


async def test_a_healthy_store_says_so(store: Store) -> None:
    findings = await store.examine()
    assert {
        finding.subject: finding for finding in findings if not finding.ok and finding.subject != "durability"
    } == {}
    assert findings
