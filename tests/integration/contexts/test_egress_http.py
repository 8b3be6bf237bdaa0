"""The broker's way out, against real servers on this machine."""

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from broker.egress.error import EgressError
from broker.egress.http import CONNECTIONS_PER_ENDPOINT, MAX_REDIRECTS, OutboundHttp
from broker.egress.policy import EgressPolicy

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def outbound() -> AsyncIterator[OutboundHttp]:
    http = OutboundHttp(EgressPolicy.parse("default"))
    yield http
    await http.close()


@contextlib.asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", handler)
    async with TestServer(app, host="127.0.0.1") as server:
        yield str(server.make_url("")).rstrip("/")


@contextlib.asynccontextmanager
async def raw(serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[str]:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def fetch(http: OutboundHttp, url: str, **options):
    return await http.fetch(url, **{"headers": {}, "timeout": 5, "max_bytes": 1000, **options})


async def failure(awaitable: Awaitable[object]) -> EgressError:
    with pytest.raises(EgressError) as caught:
        await awaitable
    return caught.value


# --- fetch


async def test_fetch_gives_status_headers_and_body(outbound):
    async def handler(request):
        return web.Response(status=404, text=request.headers["Accept"], headers={"ETag": '"1"'})

    async with serving(handler) as url:
        fetched = await fetch(outbound, url + "/x", headers={"Accept": "application/ld+json"})
    assert (fetched.status, fetched.body, fetched.headers["etag"]) == (404, b"application/ld+json", '"1"')
    assert fetched.url == url + "/x"


async def test_fetch_follows_redirects_and_tells_where_it_ended(outbound):
    async def handler(request):
        if request.path == "/end":
            return web.Response(text=request.headers.get("Authorization", "none"))
        raise web.HTTPFound("/end")

    async with serving(handler) as url:
        fetched = await fetch(outbound, url + "/start", headers={"Authorization": "secret"})
        assert (fetched.url, fetched.body) == (url + "/end", b"secret")


async def test_fetch_leaves_credentials_behind_when_it_is_sent_to_another_host(outbound):
    async def target(request):
        return web.Response(text=request.headers.get("Authorization", "none"))

    async with serving(target) as there:

        async def handler(request):
            raise web.HTTPFound(there + "/x")

        async with serving(handler) as here:
            assert (await fetch(outbound, here, headers={"authorization": "secret"})).body == b"none"


async def test_fetch_gives_up_after_some_redirects(outbound):
    seen = []

    async def handler(request):
        seen.append(request.path)
        raise web.HTTPFound(f"/{len(seen)}")

    async with serving(handler) as url:
        assert (await failure(fetch(outbound, url))).reason == "protocol"
    assert len(seen) == MAX_REDIRECTS + 1


async def test_fetch_stops_reading_at_the_limit_also_of_what_a_compressed_body_becomes(outbound):
    async def handler(request):
        if request.path == "/zip":
            body = gzip.compress(b"0" * 20_000_000)
            return web.Response(body=body, headers={"Content-Encoding": "gzip"})
        if request.path == "/fits":
            return web.Response(body=b"0" * 1000)
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"0" * 1000)

    async with serving(handler) as url:
        assert (await failure(fetch(outbound, url + "/endless"))).reason == "too large"
        assert (await failure(fetch(outbound, url + "/zip"))).reason == "too large"
        assert len((await fetch(outbound, url + "/fits")).body) == 1000


async def test_fetch_has_one_deadline_for_everything(outbound):
    async def handler(request):
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"0")
            await asyncio.sleep(0.05)

    async with serving(handler) as url:
        assert (await failure(fetch(outbound, url, timeout=0.3))).reason == "timeout"


@pytest.mark.parametrize(
    "url", ["", "x", "/x", "ftp://a/b", "file:///etc/passwd", "http://", "http://[::1", "http://a:b/"]
)
async def test_what_is_no_http_url_is_refused(outbound, url):
    assert (await failure(fetch(outbound, url))).reason == "protocol"
    assert (await failure(outbound.post(url, b"", {}, 1))).reason == "protocol"


async def test_failures_are_told_apart(outbound):
    async def gibberish(reader, writer):
        await reader.readline()
        writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")
        await writer.drain()

    async def silent(reader, writer):
        await reader.readline()

    assert (await failure(fetch(outbound, f"http://127.0.0.1:{unused_port()}/"))).reason == "refused"
    assert (await failure(fetch(outbound, "http://no-such-host.invalid/"))).reason == "dns"
    async with raw(gibberish) as url:
        assert (await failure(fetch(outbound, url))).reason == "protocol"
        assert (await failure(fetch(outbound, url.replace("http:", "https:")))).reason == "tls"
    async with raw(silent) as url:
        assert (await failure(fetch(outbound, url))).reason == "refused"


# --- policy


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "127.1", "0x7f.1", "[::ffff:127.0.0.1]"]
)
async def test_the_policy_holds_for_literals_names_and_odd_spellings(host):
    called = []

    async def handler(request):
        called.append(request)
        return web.Response()

    http = OutboundHttp(EgressPolicy.parse("public"))
    try:
        async with serving(handler) as url:
            target = url.replace("127.0.0.1", host)
            assert (await failure(fetch(http, target))).reason in ("forbidden", "protocol", "dns")
            assert (await failure(http.post(target, b"", {}, 5))).reason in ("forbidden", "protocol", "dns")
    finally:
        await http.close()
    assert called == []


async def test_the_policy_holds_for_every_redirect():
    async def handler(request):
        raise web.HTTPFound("http://169.254.169.254/latest/meta-data/")

    http = OutboundHttp(EgressPolicy.parse("default"))
    try:
        async with serving(handler) as url:
            error = await failure(fetch(http, url))
    finally:
        await http.close()
    assert error.reason == "forbidden"
    assert "169.254.169.254" in error.url


async def test_a_host_allowed_by_name_is_reached():
    async def handler(request):
        return web.Response(text="here")

    async with serving(handler) as url:
        target = url.replace("127.0.0.1", "localhost")
        port = int(url.rpartition(":")[2])
        http = OutboundHttp(EgressPolicy.parse(f"public,localhost:{port}"))
        try:
            assert (await fetch(http, target)).body == b"here"
            assert (await failure(fetch(http, url))).reason == "forbidden"
        finally:
            await http.close()


# --- post


async def test_post_sends_a_length_and_the_headers_as_spelled(outbound):
    received = []

    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        received.append((head.decode(), await reader.readexactly(5)))
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n")
        await writer.drain()

    async with raw(serve) as url:
        headers = {"Link": "<x>", "X-Additional-Key": "v", "NGSILD-Tenant": "t", "Content-Type": "application/ld+json"}
        answer = await outbound.post(url + "/n", b"12345", headers, 5)
    assert answer.status == 200
    head, body = received[0]
    assert body == b"12345"
    assert head.startswith("POST /n HTTP/1.1\r\n")
    for line in (
        "Link: <x>",
        "X-Additional-Key: v",
        "NGSILD-Tenant: t",
        "Content-Type: application/ld+json",
        "Content-Length: 5",
    ):
        assert f"\r\n{line}\r\n" in head
    assert "Transfer-Encoding" not in head
    assert "Expect" not in head


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("/a%2Fb%20c/../d?key=a%2Fb%26c+d&flag", "/a%2Fb%20c/../d?key=a%2Fb%26c+d&flag"),
        ("?token=%3D", "/?token=%3D"),
        ("/a b?c=ü", "/a%20b?c=%C3%BC"),
        ("/100%?q=%zz", "/100%25?q=%25zz"),
    ],
)
async def test_an_encoded_url_goes_out_as_given_and_any_other_encoded(outbound, given, sent):
    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=request.raw_path)

    async with serving(answer) as url:
        assert (await fetch(outbound, url + given)).body.decode() == sent
        assert (await outbound.post(url + given, b"{}", {}, 5)).body.decode() == sent
        secret = url.replace("http://", "http://user:pass%40word@") + given
        assert (await fetch(outbound, secret)).body.decode() == sent


@pytest.mark.parametrize("size", [0, 3_000_000])
@pytest.mark.filterwarnings("error")
async def test_post_sends_empty_and_large_bodies_with_their_length(outbound, size):
    async def handler(request):
        return web.json_response([request.headers["Content-Length"], len(await request.read())])

    async with serving(handler) as url:
        answer = await outbound.post(url, b"x" * size, {}, 5)
    assert answer.body.decode() == f'["{size}", {size}]'


async def test_post_does_not_follow_redirects(outbound):
    async def handler(request):
        raise web.HTTPTemporaryRedirect("/elsewhere")

    async with serving(handler) as url:
        answer = await outbound.post(url, b"{}", {}, 5)
    assert (answer.status, answer.headers["Location"]) == (307, "/elsewhere")


async def test_post_keeps_connections_alive_and_bounds_their_number(outbound):
    peers = set()
    busy = most = 0

    async def handler(request):
        nonlocal busy, most
        peers.add(request.transport.get_extra_info("peername"))
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0.01)
        busy -= 1
        return web.Response()

    async with serving(handler) as url:
        for _ in range(3):
            await outbound.post(url, b"{}", {}, 5)
        assert len(peers) == 1
        await asyncio.gather(*(outbound.post(url, b"{}", {}, 5) for _ in range(CONNECTIONS_PER_ENDPOINT * 3)))
    assert most == CONNECTIONS_PER_ENDPOINT


async def test_post_replaces_a_kept_connection_that_the_peer_closed_instead_of_answering(outbound):
    connections = []
    bodies = []

    async def serve(reader, writer):
        connections.append(writer)
        while True:
            await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(1)
            if len(connections) == 1 and body == b"2":
                writer.transport.abort()
                return
            bodies.append(body)
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            await writer.drain()

    async with raw(serve) as url:
        for body in (b"1", b"2", b"3"):
            assert (await outbound.post(url, body, {}, 5)).status == 204
    assert bodies == [b"1", b"2", b"3"]


async def test_post_does_not_repeat_itself_on_a_new_connection_or_after_part_of_an_answer(outbound):
    requests = 0

    async def closes(reader, writer):
        nonlocal requests
        await reader.readuntil(b"\r\n\r\n")
        requests += 1

    async with raw(closes) as url:
        assert (await failure(outbound.post(url, b"", {}, 5))).reason == "refused"
    assert requests == 1

    async def breaks_off(reader, writer):
        nonlocal requests
        while True:
            await reader.readuntil(b"\r\n\r\n")
            requests += 1
            if requests == 3:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123")
                await writer.drain()
                return
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            await writer.drain()

    async with raw(breaks_off) as url:
        await outbound.post(url, b"", {}, 5)
        assert (await outbound.post(url, b"", {}, 5)).status == 200
    assert requests == 3


async def test_post_has_a_deadline_that_a_silent_receiver_cannot_stretch(outbound):
    async def handler(request):
        await asyncio.sleep(30)
        return web.Response()

    async with serving(handler) as url:
        assert (await failure(outbound.post(url, b"", {}, 0.2))).reason == "timeout"


async def test_post_goes_by_the_status_of_an_answer_whose_body_drips_on(outbound):
    async def handler(request):
        response = web.StreamResponse(status=201)
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b"0")
                await asyncio.sleep(0.05)
        return response

    async with serving(handler) as url:
        answer = await outbound.post(url, b"", {}, 0.3)
    assert (answer.status, answer.body) == (201, b"")


async def test_post_reads_only_the_beginning_of_a_long_answer(outbound):
    async def handler(request):
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"0" * 10_000)

    async with serving(handler) as url:
        answer = await outbound.post(url, b"", {}, 5)
    assert (answer.status, len(answer.body)) == (200, 64 * 1024)
