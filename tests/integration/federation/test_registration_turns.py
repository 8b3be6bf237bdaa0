"""Registering beside many others (5.9.2): what is read does not grow with them, and no process misses what others wrote."""

import pytest

from broker.errors import Conflict, StoreUnavailable
from broker.federation.conflicts import check_conflicts
from broker.federation.document import check_whole, parse_members
from broker.federation.registration import compile_registration
from broker.federation.registry import ContextRegistry
from broker.jsonld.terms import CORE
from broker.sharing.turns import Turns

NOW = "2026-11-22T12:00:00.000000Z"


class Watched:
    """A store that counts how often all documents are read, and can fail when a document is put."""

    def __init__(self, store):
        self._store = store
        self.lists = 0
        self.fails = False

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def list_documents(self, kind, tenant=None):
        self.lists += 1
        return await self._store.list_documents(kind, tenant)

    async def put_document(self, *arguments, **named):
        written = await self._store.put_document(*arguments, **named)
        if self.fails:
            raise StoreUnavailable("the answer was lost")
        return written


def a_process(store, name):
    watched = Watched(store)
    return watched, ContextRegistry(watched, None, None, None, lambda: NOW, Turns(store, name))


def a_document(number, *, gate=None, mode="exclusive"):
    entity = {"type": "SluiceGate"} if gate is None else {"type": "SluiceGate", "id": f"urn:ngsi-ld:SluiceGate:{gate}"}
    given = {
        "id": f"urn:ngsi-ld:ContextSourceRegistration:{number}",
        "type": "ContextSourceRegistration",
        "mode": mode,
        "endpoint": "http://source.example:1026",
        "information": [{"entities": [entity], "propertyNames": ["open"]}],
    }
    document = parse_members(given, CORE, NOW)
    check_whole(document)
    return {**document, "createdAt": NOW, "modifiedAt": NOW}


async def register(store, registry, document):
    async with registry.turn(""):
        made = compile_registration("", document)
        await check_conflicts(store, made, await registry.rivals(made), NOW)
        await registry.add("", document)


async def test_5_9_2_registering_reads_all_others_once_and_not_each_time(store):
    watched, registry = a_process(store, "one")
    for number in range(20):
        await register(store, registry, a_document(number, gate=number))
    with pytest.raises(Conflict):
        await register(store, registry, a_document(100, gate=7))
    with pytest.raises(Conflict):
        await register(store, registry, a_document(101, gate=7, mode="redirect"))
    await register(store, registry, a_document(102, gate=200))
    assert watched.lists == 1
    with pytest.raises(Conflict):  # about gates that it does not name, so about all of them
        await register(store, registry, a_document(103, mode="redirect"))


async def test_5_9_2_a_process_sees_what_another_one_has_registered_between_its_turns(store):
    _, one = a_process(store, "one")
    _, other = a_process(store, "other")
    await register(store, one, a_document(1, gate=1))
    await register(store, other, a_document(2, gate=2))  # neither follows the other
    with pytest.raises(Conflict, match="registration urn:ngsi-ld:ContextSourceRegistration:2"):
        await register(store, one, a_document(3, gate=2))
    with pytest.raises(Conflict, match="registration urn:ngsi-ld:ContextSourceRegistration:1"):
        await register(store, other, a_document(4, gate=1))


async def test_5_9_4_what_another_process_has_deleted_is_in_nobodys_way(store):
    _, one = a_process(store, "one")
    await register(store, one, a_document(1, gate=1))
    await store.delete_document("registration", "", "urn:ngsi-ld:ContextSourceRegistration:1")
    await register(store, one, a_document(2, gate=1))
    assert [each.id for each in await one.all_of("")] == ["urn:ngsi-ld:ContextSourceRegistration:2"]


async def test_5_9_2_a_registration_whose_commit_is_in_doubt_is_not_missed(store):
    watched, registry = a_process(store, "one")
    await register(store, registry, a_document(1, gate=1))
    watched.fails = True
    with pytest.raises(StoreUnavailable):
        await register(store, registry, a_document(2, gate=2))
    watched.fails = False
    with pytest.raises(Conflict):
        await register(store, registry, a_document(3, gate=2))
