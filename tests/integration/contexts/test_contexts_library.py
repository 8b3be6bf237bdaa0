"""Resolving @contexts: documents from the web and the store, caching, expiry, failures and limits (5.5.5 to 5.5.7, 6.3.16)."""

import asyncio
import time

import pytest
from aiohttp import web

from broker.contexts import library as library_module
from broker.contexts.resolved import CORE_ONLY
from broker.contexts.storage import CONTEXTS_PATH
from broker.errors import BadRequestData, LdContextNotAvailable, NgsiLdError
from broker.jsonld.core import CORE_URL
from broker.model.terms import DEFAULT_VOCAB

EX = "https://example.org/"
OLD_CORE = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.6.jsonld"
PUBLIC = "http://broker.example:9090"


def named(url, reason=""):
    return pytest.raises(LdContextNotAvailable, match=f"{url}.*{reason}")


# --- what goes out


async def test_5_5_5_without_an_at_context_the_core_applies(library):
    resolved = await library.resolve(None)
    assert (resolved.payload, resolved.link) == (CORE_URL, CORE_URL)
    assert resolved.names.expand("Vehicle") == DEFAULT_VOCAB + "Vehicle"


async def test_5_5_5_a_default_context_applies_where_the_request_has_none(make_library, there):
    url = there.put("default.jsonld", {"Vehicle": EX + "Vehicle"})
    library = make_library(default_context=url)
    await library.open()
    resolved = await library.resolve(None)
    assert resolved.names.expand("Vehicle") == EX + "Vehicle"
    assert (resolved.payload, resolved.link) == ([url, CORE_URL], url)
    assert (await library.resolve({})).names.expand("Vehicle") == DEFAULT_VOCAB + "Vehicle"


async def test_5_5_5_an_invalid_default_context_is_noticed_at_start(make_library):
    with pytest.raises(BadRequestData):
        await make_library(default_context={"x": 7}).open()


@pytest.mark.parametrize(
    ("context", "payload", "link"),
    [
        (CORE_URL, CORE_URL, CORE_URL),
        ([CORE_URL], CORE_URL, CORE_URL),
        (OLD_CORE, OLD_CORE, OLD_CORE),
        ([], CORE_URL, CORE_URL),
        ({}, CORE_URL, CORE_URL),
        ([{}, CORE_URL], CORE_URL, CORE_URL),
        ("{user}", ["{user}", CORE_URL], "{user}"),
        (["{user}"], ["{user}", CORE_URL], "{user}"),
        (["{user}", CORE_URL], ["{user}", CORE_URL], "{user}"),
        ([CORE_URL, "{user}"], [CORE_URL, "{user}"], "{user}"),
        ("{both}", "{both}", "{both}"),
        (["{both}"], "{both}", "{both}"),
        (["{user}", "{both}"], ["{user}", "{both}"], None),
        ({"x": EX + "x"}, [{"x": EX + "x"}, CORE_URL], None),
        ([{"x": EX + "x"}, OLD_CORE], [{"x": EX + "x"}, OLD_CORE], None),
    ],
)
async def test_5_2_3_the_users_context_goes_out_as_given_with_the_core_where_it_lacks_it(
    library, there, context, payload, link
):
    urls = {
        "{user}": there.put("user.jsonld", {"Vehicle": EX + "Vehicle"}),
        "{both}": there.put("both.jsonld", [{"Vehicle": EX + "Vehicle"}, OLD_CORE]),
    }

    def filled(value):
        return [filled(element) for element in value] if isinstance(value, list) else urls.get(str(value), value)

    resolved = await library.resolve(filled(context))
    assert (resolved.payload, resolved.link) == (filled(payload), filled(link))


# --- documents


async def test_documents_are_followed_relative_to_where_they_are(library, there):
    there.put("models/one.jsonld", ["two.jsonld", {"one": EX + "one"}])
    there.put("models/two.jsonld", {"two": EX + "two"})
    names = (await library.resolve([there.at("models/one.jsonld"), {"three": EX + "three"}])).names
    assert [names.expand(name) for name in ("one", "two", "three")] == [EX + "one", EX + "two", EX + "three"]


async def test_json_ld_an_alternate_link_of_a_page_is_followed(library, there):
    async def page(request):
        link = '<style.css>; rel="stylesheet", </real.jsonld>; rel="alternate"; type="application/ld+json"'
        return web.Response(text="<html>", content_type="text/html", headers={"Link": link})

    there.put("real.jsonld", {"x": EX + "x"})
    there.documents["page"] = page
    assert (await library.resolve(there.at("page"))).names.expand("x") == EX + "x"


async def test_core_contexts_never_leave_the_house(library, there):
    url = there.put("user.jsonld", [OLD_CORE, {"x": "ngsi-ld:x"}])
    assert (await library.resolve(url)).names.expand("x") == "https://uri.etsi.org/ngsi-ld/x"
    assert set(there.hits) == {"user.jsonld"}


async def test_a_context_is_fetched_and_compiled_once(library, there, clock):
    url = there.put("user.jsonld", {"x": EX + "x"})
    first = await library.resolve(url)
    assert await library.resolve(url) is first
    inline = [url, {"y": EX + "y", "z": EX + "z"}]
    second = await library.resolve(inline)
    assert await library.resolve([url, {"z": EX + "z", "y": EX + "y"}]) is second
    assert there.hits["user.jsonld"] == 1


async def test_concurrent_requests_share_one_fetch_and_one_compilation(library, there):
    url = there.put("user.jsonld", {"x": EX + "x"})
    contexts = [url] * 20 + [[url, {"y": EX + "y"}]] * 20
    resolved = await asyncio.gather(*map(library.resolve, contexts))
    assert there.hits["user.jsonld"] == 1
    assert len({id(one) for one in resolved}) == 2


async def test_a_request_that_goes_away_does_not_spoil_the_fetch_for_others(library, there):
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request):
        entered.set()
        await go_on.wait()
        return web.json_response({"@context": {"x": EX + "x"}})

    there.documents["slow"] = slow
    leaving = asyncio.create_task(library.resolve(there.at("slow")))
    staying = asyncio.create_task(library.resolve(there.at("slow")))
    await entered.wait()
    leaving.cancel()
    go_on.set()
    assert (await staying).names.expand("x") == EX + "x"
    assert there.hits["slow"] == 1


async def test_a_warm_context_is_a_matter_of_microseconds(library, there):
    url = there.put("user.jsonld", {f"term{number}": f"{EX}{number}" for number in range(100)})
    await library.resolve(url)
    started = time.perf_counter()
    for _ in range(1000):
        await library.resolve(url)
    assert time.perf_counter() - started < 0.1


async def test_a_large_context_is_compiled_without_holding_up_others(library):
    compiling = asyncio.create_task(library.resolve({f"term{number}": f"{EX}{number}" for number in range(9_000)}))
    turns = 0
    while not compiling.done():
        turns += 1
        await asyncio.sleep(0)
    assert (await compiling).names.compact(EX + "8999") == "term8999"
    assert turns > 10


# --- expiry (6.3.16)


@pytest.mark.parametrize(
    "headers",
    [
        {"Cache-Control": "public, max-age=100"},
        {"Cache-Control": "max-age=5, s-maxage=100"},
        {"Cache-Control": "max-age=120", "Age": "20"},
        {"Expires": "Fri, 15 Jan 2027 08:01:40 GMT", "Date": "Fri, 15 Jan 2027 08:00:00 GMT"},
    ],
    ids=str,
)
async def test_6_3_16_a_cached_context_is_fetched_again_when_it_expires(library, there, clock, headers):
    there.headers = headers
    url = there.put("user.jsonld", {"x": EX + "old"})
    await library.resolve(url)
    there.put("user.jsonld", {"x": EX + "new"})
    clock.seconds += 99
    assert (await library.resolve(url)).names.expand("x") == EX + "old"
    clock.seconds += 2
    assert (await library.resolve([url])).names.expand("x") == EX + "new"
    assert there.hits["user.jsonld"] == 2


async def test_6_3_16_without_a_word_from_the_server_an_hour_is_assumed(library, there, clock):
    url = there.put("user.jsonld", {"x": EX + "x"})
    await library.resolve(url)
    clock.seconds += 3_599
    await library.resolve(url)
    assert there.hits["user.jsonld"] == 1
    clock.seconds += 2
    await library.resolve(url)
    assert there.hits["user.jsonld"] == 2


async def test_6_3_16_an_unchanged_context_is_revalidated_and_its_names_are_kept(library, there, clock):
    async def revalidating(request):
        headers = {"ETag": '"v1"', "Cache-Control": "max-age=100"}
        if request.headers.get("If-None-Match") == '"v1"':
            return web.Response(status=304, headers=headers)
        return web.json_response({"@context": {"x": EX + "x"}}, headers=headers)

    there.documents["user.jsonld"] = revalidating
    url = there.at("user.jsonld")
    first = await library.resolve(url)
    clock.seconds += 101
    second = await library.resolve(url)
    assert second.names is first.names
    assert second.fresh_until > clock.seconds
    assert there.hits["user.jsonld"] == 2


async def test_an_expired_copy_is_used_while_its_source_is_down_also_after_a_restart(
    make_library, there, clock, caplog
):
    there.headers = {"Cache-Control": "max-age=100"}
    url = there.put("user.jsonld", {"x": EX + "x"})
    library = make_library()
    await library.resolve(url)
    await there.stop()
    clock.seconds += 101
    assert (await library.resolve(url)).names.expand("x") == EX + "x"
    assert "expired copy" in caplog.text
    assert (await make_library().resolve(url)).names.expand("x") == EX + "x"


async def test_an_expired_copy_is_used_while_its_source_hangs_or_talks_nonsense(library, there, clock, monkeypatch):
    monkeypatch.setattr(library_module, "REVALIDATION_SECONDS", 0.1)
    there.headers = {"Cache-Control": "max-age=100"}
    url = there.put("user.jsonld", {"x": EX + "x"})
    await library.resolve(url)

    async def hanging(request):
        await asyncio.sleep(30)

    for document in (hanging, b"<html>please log in</html>"):
        there.documents["user.jsonld"] = document
        clock.seconds += 101
        assert (await library.resolve(url)).names.expand("x") == EX + "x"
        clock.seconds += 1
        await library.resolve(url)
    assert there.hits["user.jsonld"] == 3


async def test_brokers_on_one_store_share_what_was_downloaded_and_notice_what_changed(make_library, there, clock):
    one, other = make_library(), make_library()
    url = there.put("user.jsonld", {"x": EX + "old"})
    await one.resolve(url)
    assert (await other.resolve(url)).names.expand("x") == EX + "old"
    assert there.hits["user.jsonld"] == 1
    there.put("user.jsonld", {"x": EX + "new"})
    await other.reload(await other.storage.find(url))
    assert (await other.resolve(url)).names.expand("x") == EX + "new"
    clock.seconds += 61
    assert (await one.resolve(url)).names.expand("x") == EX + "new"


# --- failures


async def test_5_5_6_a_context_that_cannot_be_had_is_named_with_the_reason(library, there):
    there.documents["broken"] = b""
    with named(there.at("missing"), "404"):
        await library.resolve(there.at("missing"))
    with named("http://no-such-host.invalid/x", "does not resolve"):
        await library.resolve("http://no-such-host.invalid/x")
    with named("http://169.254.169.254/latest", "policy"):
        await library.resolve(["http://169.254.169.254/latest"])
    await there.stop()
    with named(there.at("user.jsonld"), "no connection"):
        await library.resolve([{"x": EX}, there.at("user.jsonld")])


async def test_5_5_6_a_url_that_only_looks_like_a_core_context_is_not_one(library):
    url = "https://uri.etsi.invalid/ngsi-ld/v1/ngsi-ld-core-context-non-existing.jsonld"
    with named(url):
        await library.resolve(url)


async def test_a_failure_is_remembered_for_seconds_only(library, there, clock):
    url = there.at("late.jsonld")
    for _ in range(3):
        with named(url, "404"):
            await library.resolve(url)
    assert there.hits["late.jsonld"] == 1
    there.put("late.jsonld", {"x": EX + "x"})
    clock.seconds += 2.1
    assert (await library.resolve(url)).names.expand("x") == EX + "x"


@pytest.mark.parametrize(
    "body", [b"this is { not json", b"", b"[]", b'{"note": 1}', b'"text"', b"[" * 5000, b"\xff\xfe"]
)
async def test_5_5_6_a_document_that_is_no_context_is_bad_request_data(library, there, body):
    there.documents["x"] = body
    with pytest.raises(BadRequestData, match=there.at("x")):
        await library.resolve(there.at("x"))


@pytest.mark.parametrize("context", [{"x": 7}, {"x": {"@id": EX, "@context": {}}}, 42, None])
async def test_5_5_7_an_invalid_remote_context_is_bad_request_data(library, there, context):
    url = there.put("x", context)
    if context is None:
        assert (await library.resolve(url)).names is CORE_ONLY.names
        return
    with pytest.raises(BadRequestData, match="@context"):
        await library.resolve(url)


@pytest.mark.parametrize(
    "context", ["unknownContext", "ftp://a/b", "urn:x:y", "", 7, True, [7], [[]], {"x": 7}, {"x": {1}}]
)
async def test_5_5_6_an_invalid_context_in_the_request_is_bad_request_data(library, context):
    with pytest.raises(BadRequestData, match="@context"):
        await library.resolve(context)


async def test_limits_on_documents_depth_and_size(library, there):
    with pytest.raises(BadRequestData, match="more than 32 documents"):
        await library.resolve([there.at(str(number)) for number in range(33)])
    for number in range(20):
        there.put(f"deep{number}", f"deep{number + 1}")
    with pytest.raises(BadRequestData, match="nested more than"):
        await library.resolve(there.at("deep0"))
    there.put("loop", ["loop"])
    with pytest.raises(BadRequestData, match="refers to itself"):
        await library.resolve(there.at("loop"))
    there.documents["large"] = b'{"@context": {"x": "' + b"x" * 1024 * 1024 + b'"}}'
    with named(there.at("large"), "exceeds"):
        await library.resolve(there.at("large"))


async def test_all_documents_of_a_context_have_one_deadline(library, there, monkeypatch):
    monkeypatch.setattr(library_module, "RESOLUTION_SECONDS", 0.3)

    async def slow(request):
        await asyncio.sleep(0.2)
        return web.json_response({"@context": f"s{int(request.path[2:]) + 1}"})

    for number in range(9):
        there.documents[f"s{number}"] = slow
    started = time.perf_counter()
    with named(there.at("s1"), "within 0.3 s"):
        await library.resolve(there.at("s0"))
    assert time.perf_counter() - started < 1


async def test_an_inline_context_has_the_limit_of_a_document(library):
    with pytest.raises(BadRequestData, match="larger than"):
        await library.resolve({"x": EX + "x" * 1024 * 1024})


async def test_5_13_5_what_was_deleted_during_its_download_is_downloaded_again(library, there):
    url = there.put("user.jsonld", {"x": EX + "old"})
    await library.resolve(url)
    record = await library.storage.find(url)
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request):
        entered.set()
        await go_on.wait()
        return web.json_response({"@context": {"y": EX + "slow"}})

    there.documents["slow"] = slow
    pending = asyncio.create_task(library.resolve([url, there.at("slow")]))
    await entered.wait()
    await library.remove(record)
    there.put("user.jsonld", {"x": EX + "new"})
    go_on.set()
    assert (await pending).names.expand("x") == EX + "old"
    assert (await library.resolve([url, there.at("slow")])).names.expand("x") == EX + "new"


async def test_memory_is_bounded(library, there):
    for number in range(600):
        await library.resolve({f"t{number}": EX})
    assert len(library._resolved) == 512
    for number in range(5):
        with pytest.raises(NgsiLdError):
            await library.resolve(there.at(str(number)))
    assert not library._resolving
    assert not library._fetching


# --- the broker's own contexts


async def test_5_13_hosted_contexts_are_used_without_http_under_each_of_their_urls(library):
    record = await library.host({"x": EX + "x"})
    path = CONTEXTS_PATH + record.id
    quoted = CONTEXTS_PATH + record.id.replace(":", "%3A")
    for url in (PUBLIC + path, path, PUBLIC + quoted, "http://localhost:9090" + path):
        assert (await library.resolve(url)).names.expand("x") == EX + "x"
    relative = await library.resolve([path])
    assert relative.payload == [PUBLIC + path, CORE_URL]
    assert relative.link == PUBLIC + path


async def test_5_5_6_a_hosted_context_that_does_not_exist_is_not_available(library):
    for url in (CONTEXTS_PATH + "urn:uuid:nothing", PUBLIC + CONTEXTS_PATH + "x"):
        with named(url, "no such"):
            await library.resolve(url)


async def test_5_13_a_url_like_the_brokers_own_on_another_host_is_fetched(library, there):
    url = there.put(CONTEXTS_PATH.lstrip("/") + "abc", {"x": EX + "x"})
    assert (await library.resolve(url)).names.expand("x") == EX + "x"


async def test_5_13_1_an_inline_context_gets_a_url_when_one_is_needed(make_library, library, clock):
    resolved = await library.resolve([{"x": EX + "x"}, {"y": EX + "y"}])
    assert resolved.link is None
    url = await library.link_for(resolved)
    assert url.startswith(PUBLIC + CONTEXTS_PATH)
    assert await library.link_for(resolved) == url
    clock.seconds += 3600
    after_restart = make_library()
    assert await after_restart.link_for(resolved) == url
    linked = await after_restart.resolve(url)
    assert linked.names.expand("y") == EX + "y"
    assert (linked.payload, linked.link) == (url, url)
    assert [record.kind for record in await library.storage.listing("ImplicitlyCreated")] == ["ImplicitlyCreated"]


async def test_5_13_1_without_a_public_url_the_urls_of_hosted_contexts_are_paths(make_library):
    library = make_library(public_url=None)
    url = await library.implicit({"x": EX + "x"})
    assert url.startswith(CONTEXTS_PATH)
    assert (await library.resolve(url)).names.expand("x") == EX + "x"


async def test_link_for_gives_the_one_url_there_is(library, there):
    url = there.put("user.jsonld", {"x": EX})
    assert await library.link_for(await library.resolve([url, CORE_URL])) == url
    assert await library.link_for(await library.resolve(None)) == CORE_URL
    assert await library.storage.listing("ImplicitlyCreated") == []
