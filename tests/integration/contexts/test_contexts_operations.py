"""Storing, managing and serving @contexts (5.13, 6.29, 6.30)."""

from types import SimpleNamespace

import pytest

from broker.errors import (
    BadRequestData,
    InvalidRequest,
    LdContextNotAvailable,
    OperationNotSupported,
    ResourceNotFound,
)
from broker.jsonld.core import CORE_URL
from broker.model.instants import is_instant
from broker.operations.contexts import add_context, delete_context, describe_context, list_contexts, serve_context

EX = "https://example.org/"
PUBLIC = "http://broker.example:9090/ngsi-ld/v1/jsonldContexts/"
OLD_CORE = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.6.jsonld"


@pytest.fixture
def broker(library, clock):
    """The part of a Broker that these operations use."""
    return SimpleNamespace(contexts=library, now=clock.instant)


async def test_5_13_2_an_added_context_is_hosted_and_served_as_it_came(broker):
    context_id = await add_context(broker, {"@context": {"x": EX + "x"}, "other": "discarded"})
    assert context_id.startswith("urn:")
    assert await serve_context(broker, context_id) == {"@context": {"x": EX + "x"}}
    assert await list_contexts(broker, kind="Hosted") == [PUBLIC + context_id]


async def test_5_13_2_each_addition_is_an_entry_of_its_own(broker):
    document = {"@context": {"x": EX + "x"}}
    assert await add_context(broker, document) != await add_context(broker, document)
    assert len(await list_contexts(broker, kind="Hosted")) == 2


async def test_5_13_2_a_body_without_an_at_context_is_an_invalid_request(broker):
    with pytest.raises(InvalidRequest, match="@context"):
        await add_context(broker, {"x": EX + "x"})


@pytest.mark.parametrize(
    "context",
    [
        42,
        True,
        None,
        ["https://example.org/ctx.jsonld", 7],
        {"x": 7},
        {"x": {"@id": EX, "@context": {"y": EX}}},
        "",
        [[]],
        {f"t{number}": EX for number in range(10_001)},
        {"x": EX + "x" * 1024 * 1024},
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_5_13_2_4_an_invalid_context_is_not_stored(broker, context):
    with pytest.raises(BadRequestData, match="@context"):
        await add_context(broker, {"@context": context})
    assert await list_contexts(broker, kind="Hosted") == []


async def test_5_13_2_a_context_of_urls_is_added_without_fetching_and_cached_when_used(broker, there):
    urls = [there.put("one", {"one": EX + "one"}), there.put("two", {"two": EX + "two"})]
    context_id = await add_context(broker, {"@context": urls})
    assert not there.hits
    names = (await broker.contexts.resolve(PUBLIC + context_id)).names
    assert names.expand("two") == EX + "two"
    for url in urls:
        assert (await describe_context(broker, url))["kind"] == "Cached"


async def test_5_13_3_the_details_have_the_prescribed_members(broker, there, clock):
    there.headers = {"Cache-Control": "max-age=60"}
    url = there.put("user.jsonld", {"x": EX + "x"})
    await broker.contexts.resolve(url)
    implicit = await broker.contexts.implicit({"y": EX + "y"})
    hosted = await add_context(broker, {"@context": {"z": EX + "z"}})
    details = {entry["URL"]: entry for entry in await list_contexts(broker, details=True)}
    assert set(details) == {CORE_URL, url, implicit, PUBLIC + hosted}
    assert {entry["kind"] for entry in details.values()} == {"Cached", "Hosted", "ImplicitlyCreated"}
    for entry in details.values():
        assert entry.keys() - {"expiresAt"} == {"URL", "localId", "kind", "createdAt"}
        assert is_instant(entry["createdAt"])
        assert entry == await describe_context(broker, entry["localId"]) == await describe_context(broker, entry["URL"])
    assert [entry["URL"] for entry in details.values() if "expiresAt" in entry] == [url]
    clock.seconds += 60
    assert details[url]["expiresAt"] == clock.instant()


async def test_5_13_3_the_list_is_of_urls_and_filtered_by_kind(broker, there):
    url = there.put("user.jsonld", {"x": EX + "x"})
    await broker.contexts.resolve(url)
    hosted = await add_context(broker, {"@context": {"z": EX + "z"}})
    assert await list_contexts(broker) == [CORE_URL, url, PUBLIC + hosted]
    assert await list_contexts(broker, kind="Cached") == [CORE_URL, url]
    assert await list_contexts(broker, kind="ImplicitlyCreated") == []
    with pytest.raises(BadRequestData, match="kind"):
        await list_contexts(broker, kind="other")


async def test_5_13_4_cached_contexts_are_described_but_not_served(broker, there):
    url = there.put("user.jsonld", {"x": EX + "x"})
    await broker.contexts.resolve(url)
    local_id = (await describe_context(broker, url))["localId"]
    for identifier in (url, local_id, CORE_URL, OLD_CORE):
        with pytest.raises(OperationNotSupported):
            await serve_context(broker, identifier)
    assert (await describe_context(broker, OLD_CORE))["URL"] == OLD_CORE


@pytest.mark.parametrize(
    "identifier", ["wrong_id_context", "http://nowhere.example/x", "urn:uuid:0", "http://[", "a/b"]
)
async def test_5_13_4_an_unknown_identifier_is_not_found(broker, identifier):
    for operation in (serve_context, describe_context, delete_context):
        with pytest.raises(ResourceNotFound):
            await operation(broker, identifier)


async def test_5_13_5_a_deleted_context_is_gone_for_requests_too(broker):
    context_id = await add_context(broker, {"@context": {"x": EX + "x"}})
    await broker.contexts.resolve(PUBLIC + context_id)
    await delete_context(broker, PUBLIC + context_id)
    with pytest.raises(ResourceNotFound):
        await serve_context(broker, context_id)
    with pytest.raises(LdContextNotAvailable):
        await broker.contexts.resolve(PUBLIC + context_id)
    with pytest.raises(ResourceNotFound):
        await delete_context(broker, context_id)


async def test_5_13_5_a_deleted_cached_context_is_fetched_again_when_needed(broker, there):
    url = there.put("user.jsonld", {"x": EX + "old"})
    await broker.contexts.resolve(url)
    there.put("user.jsonld", {"x": EX + "new"})
    await delete_context(broker, url)
    with pytest.raises(ResourceNotFound):
        await describe_context(broker, url)
    assert (await broker.contexts.resolve(url)).names.expand("x") == EX + "new"


async def test_5_13_5_deleting_an_array_leaves_its_elements(broker, there):
    url = there.put("user.jsonld", {"x": EX + "x"})
    implicit = await broker.contexts.implicit([url, {"y": EX + "y"}])
    await broker.contexts.resolve(implicit)
    await delete_context(broker, implicit)
    assert await list_contexts(broker) == [CORE_URL, url]


async def test_5_13_5_reload_replaces_a_cached_context(broker, there, clock):
    url = there.put("user.jsonld", {"x": EX + "old"})
    await broker.contexts.resolve(url)
    before = await describe_context(broker, url)
    there.put("user.jsonld", {"x": EX + "new"})
    clock.seconds += 5
    await delete_context(broker, url, reload=True)
    after = await describe_context(broker, url)
    assert after["localId"] == before["localId"]
    assert after["createdAt"] == clock.instant()
    assert (await broker.contexts.resolve(url)).names.expand("x") == EX + "new"
    assert there.hits["user.jsonld"] == 2


@pytest.mark.parametrize(
    "now_there", [None, b"not json", {"x": "no context"}, {"@context": 42}, {"@context": {"x": 7}}]
)
async def test_5_13_5_4_a_failed_reload_keeps_what_there_is(broker, there, now_there):
    url = there.put("user.jsonld", {"x": EX + "x"})
    await broker.contexts.resolve(url)
    before = await describe_context(broker, url)
    there.documents["user.jsonld"] = now_there
    with pytest.raises(LdContextNotAvailable, match=url):
        await delete_context(broker, url, reload=True)
    assert await describe_context(broker, url) == before
    assert (await broker.contexts.resolve(url)).names.expand("x") == EX + "x"
    await delete_context(broker, url)


async def test_5_13_5_only_cached_contexts_can_be_reloaded(broker):
    hosted = await add_context(broker, {"@context": {"x": EX + "x"}})
    implicit = await broker.contexts.implicit({"x": EX + "x"})
    for identifier in (hosted, implicit):
        with pytest.raises(BadRequestData, match="reload"):
            await delete_context(broker, identifier, reload=True)
    with pytest.raises(ResourceNotFound):
        await delete_context(broker, "wrong_id_context", reload=True)
    with pytest.raises(BadRequestData, match="contextId"):
        await delete_context(broker, "")


@pytest.mark.parametrize("url", [CORE_URL, OLD_CORE])
async def test_5_13_5_a_core_context_can_be_reloaded_but_not_deleted(broker, url):
    await delete_context(broker, url, reload=True)
    with pytest.raises(BadRequestData, match="core"):
        await delete_context(broker, url)
    with pytest.raises(BadRequestData, match="core"):
        await delete_context(broker, (await describe_context(broker, url))["localId"])
    assert (await describe_context(broker, url))["kind"] == "Cached"


async def test_5_5_10_hosted_contexts_belong_to_their_tenant(broker):
    context_id = await add_context(broker, {"@context": {"x": EX + "x"}}, tenant="a")
    for operation in (serve_context, describe_context, delete_context):
        with pytest.raises(ResourceNotFound):
            await operation(broker, context_id, tenant="b")
    assert await list_contexts(broker, tenant="b") == [CORE_URL]
    assert await list_contexts(broker, tenant="a") == [CORE_URL, PUBLIC + context_id]
    await delete_context(broker, context_id, tenant="a")
    assert await list_contexts(broker, tenant="a") == [CORE_URL]


async def test_5_13_stored_contexts_survive_a_restart(broker, make_library, there):
    url = there.put("user.jsonld", {"x": EX + "x"})
    await broker.contexts.resolve(url)
    await broker.contexts.implicit({"y": EX + "y"})
    await add_context(broker, {"@context": {"z": EX + "z"}})
    await there.stop()
    again = SimpleNamespace(contexts=make_library(), now=broker.now)
    assert await list_contexts(again) == await list_contexts(broker)
    assert (await again.contexts.resolve(url)).names.expand("x") == EX + "x"
