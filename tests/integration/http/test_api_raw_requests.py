"""What comes over the wire that no well-behaved client sends: never a 500, never a hang, always an answer that says why."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import orjson
import pytest
from aiohttp import web

from broker.http import connection

ENTITIES = "/ngsi-ld/v1/entities"
SHELTER = b'{"id":"urn:x:1","type":"Shelter","name":"North"}'


async def exchange(api, data: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send bytes as they are; the answer's status, headers by lower-case name, and body."""
    url = urlsplit(api.url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(data)
    try:
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        status_line, *lines = head.decode("latin-1").strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await asyncio.wait_for(reader.readexactly(int(headers.get("content-length", 0))), 10)
    finally:
        writer.close()
    return int(status_line.split()[1]), headers, body


def request(method: str, target: str, *headers: bytes, body: bytes = b"") -> bytes:
    lines = [f"{method} {target} HTTP/1.1".encode(), b"Host: broker", b"Connection: close", *headers]
    if body:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (request("POST", ENTITIES, b"NGSILD-Tenant: city", b"Content-Type: application/json"), 411),
        (request("POST", ENTITIES, b"NGSILD-Tenant: city", b"Content-Length: 99999999999"), 413),
        (request("GET", ENTITIES + "?type=%ff", b"NGSILD-Tenant: city"), 400),
        (request("POST", ENTITIES, b"NGSILD-Tenant: city", b"Content-Type: text/plain", body=SHELTER), 415),
        (request("PUT", ENTITIES, b"NGSILD-Tenant: city", b"Content-Type: application/json", body=SHELTER), 405),
        (request("GET", "/ngsi-ld/v1/nothing", b"NGSILD-Tenant: city"), 404),
    ],
)
async def test_6_3_14_every_answer_names_the_tenant_also_of_a_request_that_was_not_read(api, data, status):
    answered, headers, _ = await exchange(api, data)
    assert (answered, headers["ngsild-tenant"]) == (status, "city")


@pytest.mark.parametrize("header", [b"Accept", b"Link", b"NGSILD-Tenant", b"Prefer"])
async def test_4_6_1_a_header_that_is_not_utf_8_is_an_invalid_request(api, header):
    value = b'<http://\xff/x>; rel="http://www.w3.org/ns/json-ld#context"'
    status, _, body = await exchange(api, request("GET", ENTITIES + "/urn:x:1", header + b": " + value))
    assert status == 400
    problem = orjson.loads(body)
    assert problem["type"].endswith("InvalidRequest")
    assert header.decode() in problem["detail"]


@pytest.mark.parametrize(
    "data",
    [
        b"garbage\r\n\r\n",
        b"GET /ngsi-ld/v1/entities?q=name==\xe4\xb8\xad HTTP/1.1\r\nHost: broker\r\n\r\n",
        b"POST /ngsi-ld/v1/entities HTTP/1.1\r\nHost: broker\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /ngsi-ld/v1/entities HTTP/1.1\r\nHost: broker\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        b"POST /ngsi-ld/v1/entities HTTP/1.1\r\nHost: broker\r\nContent-Length: -5\r\n\r\nabcde",
        b"GET /ngsi-ld/v1/types HTTP/1.1\r\n\r\n",
    ],
)
async def test_6_3_3_what_is_no_http_request_is_answered_with_a_problem_too(api, data):
    status, headers, body = await exchange(api, data)
    assert status == 400
    assert headers["content-type"] == "application/json"
    problem = orjson.loads(body)
    assert problem["type"].endswith("InvalidRequest")
    assert problem["title"]
    assert problem["detail"]


async def test_header_lines_of_one_name_are_one_header(api):
    context = b'Link: <http://127.0.0.1:1/none.jsonld>; rel="http://www.w3.org/ns/json-ld#context"'
    status, _, body = await exchange(
        api, request("GET", "/ngsi-ld/v1/types", context, b"Link: <http://other/>; rel=next")
    )
    assert (status, orjson.loads(body)["instance"]) == (504, "http://127.0.0.1:1/none.jsonld")
    accepts = (b"Accept: text/html;q=0.9", b"Accept: application/ld+json")
    status, headers, _ = await exchange(api, request("GET", "/ngsi-ld/v1/types", *accepts))
    assert (status, headers["content-type"]) == (200, "application/ld+json")


async def test_6_3_4_a_compressed_body_is_an_unsupported_media_type(api):
    bomb = gzip.compress(b" " * 10_000_000 + SHELTER)
    headers = (b"Content-Type: application/json", b"Content-Encoding: gzip")
    status, _, body = await exchange(api, request("POST", ENTITIES, *headers, body=bomb))
    assert (status, body) == (415, b"")


async def test_5_5_4_an_empty_body_is_an_invalid_request(api):
    headers = (b"Content-Type: application/json", b"Content-Length: 0")
    status, _, body = await exchange(api, request("POST", ENTITIES, *headers))
    assert status == 400
    assert orjson.loads(body)["detail"] == "the request has no body"


async def test_a_long_query_and_the_longest_id_fit_into_a_url(api):
    ids = ",".join(f"urn:ngsi-ld:Shelter:{number:020}" for number in range(1000))
    assert (await api.get(f"entities?type=Shelter&id={ids}")).status == 200
    longest = "urn:x:" + "館" * 4090
    shelter = orjson.dumps({"id": longest, "type": "Shelter"})
    status, headers, _ = await exchange(api, request("POST", ENTITIES, b"Content-Type: application/json", body=shelter))
    assert status == 201
    status, _, body = await exchange(api, request("GET", headers["location"]))
    assert (status, orjson.loads(body)["id"]) == (200, longest)
    assert (await api.post("entities", {"id": longest + "館", "type": "Shelter"})).status == 400
    assert (await api.post("entities", {"id": "urn:x:1", "type": "Shelter", "a" * 5000: 1})).status == 400


async def test_a_connection_without_a_request_is_given_up(api, monkeypatch):
    monkeypatch.setattr(connection, "OPENING_SECONDS", 0.1)
    url = urlsplit(api.url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(b"GET /ngsi-ld/v1/types HTTP/1.1\r\nHost: bro")
    assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()


async def test_a_client_that_goes_away_while_it_sends_leaves_nothing_behind(api, caplog):
    url = urlsplit(api.url)
    _, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(request("POST", ENTITIES, b"Content-Type: application/json", b"Content-Length: 500") + SHELTER)
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.transport.abort()
    await asyncio.sleep(0.1)
    assert (await api.get("entities/urn:x:1")).status == 404
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


# --- @contexts on a server that means harm


@pytest.fixture
async def hostile() -> AsyncIterator[str]:
    """The URL of a server that gives `/ok` whatever follows it, and a deeply nested document."""

    async def answer(incoming: web.BaseRequest) -> web.Response:
        nested = b"[" * 900 + b"]" * 900
        context = b'{"a":"http://x.example/a"}' if incoming.path.startswith("/ok") else nested
        return web.Response(body=b'{"@context":' + context + b"}", content_type="application/ld+json")

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}"
    await runner.cleanup()


@pytest.mark.parametrize("smuggled", ["\r\nX-Evil: 1", ">; rel=evil, <http://evil.example/", " x", '"', "\x7f"])
async def test_5_5_6_an_context_url_cannot_write_headers_of_its_own(api, hostile, smuggled):
    query = {"type": "Query", "entities": [{"type": "*"}], "@context": f"{hostile}/ok{smuggled}"}
    answer = await api.post("entityOperations/query", query, Content_Type="application/ld+json")
    assert answer.status == 400
    assert "is no URL" in answer.json["detail"]
    imported = {**query, "@context": {"@import": query["@context"]}}
    assert (await api.post("entityOperations/query", imported, Content_Type="application/ld+json")).status == 400


async def test_5_5_6_a_deeply_nested_context_document_is_bad_request_data(api, hostile):
    link = f'<{hostile}/deep>; rel="http://www.w3.org/ns/json-ld#context"'
    answer = await api.get("entities?type=T", Link=link)
    assert answer.status == 400
    assert answer.json["type"].endswith("BadRequestData")
    listed = await api.get("jsonldContexts")
    assert f"{hostile}/deep" not in listed.json
