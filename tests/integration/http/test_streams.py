"""The change log as server-sent events: order, resumption, gaps, isolation, bounds (docs/streams.md)."""

import asyncio
import socket
import time

import aiohttp
import orjson
import pytest
from api import running_api
from event_stream import event_source

from broker.delivery import stream as streaming
from broker.http import server as serving
from broker.http import streams as resource

CITY = "city"


def device(number, **attributes):
    return {"id": f"urn:ngsi-ld:Device:{number}", "type": "Device", **attributes}


def level(value):
    return {"level": {"type": "Property", "value": value}}


async def create(api, number, value=0, tenant=None, **more):
    headers = {} if tenant is None else {"NGSILD_Tenant": tenant}
    answer = await api.post("entities", device(number, **level(value), **more), **headers)
    assert answer.status == 201, answer.body


async def change(api, number, value):
    answer = await api.patch(f"entities/urn:ngsi-ld:Device:{number}/attrs", level(value))
    assert answer.status == 204, answer.body


def values(told):
    return [event.entity["level"] for event in told]


SIMPLE = "type=Device&format=simplified"


async def test_a_stream_tells_changes_in_the_order_of_the_log(api):
    async with event_source(api.session, api.url, SIMPLE) as source:
        await create(api, 1)
        for value in range(1, 20):
            await change(api, 1, value)
        told = await source.take(20)
    assert values(told) == list(range(20))
    positions = [int(event.id) for event in told]
    assert positions == sorted(set(positions))
    assert {event.data["type"] for event in told} == {"Notification"}
    assert len({event.data["subscriptionId"] for event in told}) == 1


async def test_a_stream_begins_at_the_head_and_says_where_that_is(api):
    await create(api, 1)
    async with event_source(api.session, api.url, SIMPLE) as source:
        assert int(source.last_id) == await api.broker.store.head()
        await source.silence(0.2)
        await change(api, 1, 5)
        assert values(await source.take(1)) == [5]


async def test_a_client_that_reconnects_misses_nothing_and_gets_nothing_twice(api):
    await create(api, 1)
    last_id, heard, ids = str(await api.broker.store.head()), [], []

    async def write():
        for value in range(1, 201):
            await change(api, 1, value)

    writing = asyncio.create_task(write())
    takes = [1, 3, 7, 2, 30, 11, 1, 50]
    while len(heard) < 200:
        async with event_source(api.session, api.url, SIMPLE, last_id) as source:
            told = await source.take(min(takes[len(heard) % len(takes)], 200 - len(heard)))
        heard += values(told)
        ids += [event.data["id"] for event in told]
        last_id = told[-1].id
    await writing
    assert heard == list(range(1, 201))
    assert len(set(ids)) == 200


async def test_a_notification_has_the_same_id_whenever_it_is_streamed(api):
    async with event_source(api.session, api.url, SIMPLE) as source:
        await create(api, 1)
        (first,) = await source.take(1)
    async with event_source(api.session, api.url, SIMPLE + "&lastEventId=0") as source:
        (again,) = await source.take(1)
    assert (first.id, first.data["id"]) == (again.id, again.data["id"])


async def test_the_header_of_a_reconnecting_browser_counts_more_than_its_parameter(api):
    for number in range(1, 4):
        await create(api, number, number)
    async with event_source(api.session, api.url, SIMPLE + "&lastEventId=0") as source:
        told = await source.take(3)
    async with event_source(api.session, api.url, SIMPLE + "&lastEventId=0", told[1].id) as source:
        assert values(await source.take(1)) == [3]


async def test_what_was_trimmed_is_told_as_a_gap_and_the_rest_follows(api):
    for value in range(6):
        await create(api, value, value)
    await api.broker.store.trim(4)
    async with event_source(api.session, api.url, SIMPLE, "1") as source:
        gap, *told = await source.take(3)
    assert (gap.name, gap.id, gap.data) == ("gap", "4", {"from": 2, "to": 4})
    assert values(told) == [4, 5]


async def test_a_position_at_the_edge_of_what_was_trimmed_has_no_gap(api):
    for value in range(4):
        await create(api, value, value)
    await api.broker.store.trim(2)
    async with event_source(api.session, api.url, SIMPLE, "2") as source:
        assert values(await source.take(2)) == [2, 3]


async def test_a_log_that_was_trimmed_altogether_is_a_gap_up_to_its_head(api):
    for value in range(4):
        await create(api, value, value)
    await api.broker.store.trim(4)
    async with event_source(api.session, api.url, SIMPLE, "0") as source:
        (gap,) = await source.take(1)
        assert (gap.name, gap.data) == ("gap", {"from": 1, "to": 4})
        await create(api, 9, 9)
        assert values(await source.take(1)) == [9]


async def test_a_position_that_the_log_never_had_is_a_gap(api):
    await create(api, 1)
    async with event_source(api.session, api.url, SIMPLE, "999") as source:
        (gap,) = await source.take(1)
        assert (gap.name, gap.id, gap.data) == ("gap", "1", {"from": 1, "to": 1})
        await change(api, 1, 7)
        assert values(await source.take(1)) == [7]


async def test_tenants_see_nothing_of_each_other(api):
    await create(api, 1, 1, CITY)
    by_header = event_source(api.session, api.url, SIMPLE, NGSILD_Tenant=CITY)
    by_parameter = event_source(api.session, api.url, f"{SIMPLE}&tenant={CITY}&lastEventId=0")
    async with event_source(api.session, api.url, SIMPLE) as default, by_header as named, by_parameter as resumed:
        assert resumed.response.headers["NGSILD-Tenant"] == CITY
        await create(api, 2, 2)
        await create(api, 3, 3, CITY)
        assert values(await default.take(1)) == [2]
        assert values(await named.take(1)) == [3]
        assert values(await resumed.take(2)) == [1, 3]
        for source in (default, named, resumed):
            await source.silence(0.1)


async def test_a_heartbeat_moves_the_position_on_where_nothing_matches(api, monkeypatch):
    monkeypatch.setattr(resource, "HEARTBEAT_SECONDS", 0.1)
    async with event_source(api.session, api.url, "type=Nothing") as source:
        for number in range(5):
            await create(api, number)
        await source.silence(0.5)
        assert source.beats >= 2
        assert int(source.last_id) == await api.broker.store.head()


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("type=Device&q=level>", "q"),
        ("idPattern=[", "pattern"),
        ("type=Device&georel=near&geometry=Point", "coordinates"),
        ("type=Device&scopeQ=a;;", "scope"),
        ("id=no-uri", "id"),
        ("notificationTrigger=entityTouched", "notificationTrigger"),
        ("watchedAttributes=type", "watchedAttributes"),
        ("watchedAttributes=a&attrs=b", "attrs"),
        ("format=concise-ish", "format"),
        ("pick=a&omit=a,", "omit"),
        ("showChanges=true&format=simplified", "showChanges"),
        ("accept=text/html", "accept"),
        ("lastEventId=now", "Last-Event-ID"),
        ("lastEventId=", "lastEventId"),
        ("limit=4", "limit"),
        ("type=Device&type=Pump", "type"),
        ("tenant=%0A", "tenant"),
    ],
)
async def test_what_is_wrong_with_a_filter_is_said_before_a_stream_begins(api, query, named):
    answer = await api.get(f"{api.url}/tsunagu/v1/stream?{query}")
    assert answer.status == 400, answer.body
    assert answer.headers["Content-Type"] == "application/json"
    assert named.lower() in answer.json["detail"].lower()
    assert len(api.broker.streams) == 0


async def test_problems_that_are_no_bad_request(api):
    url = f"{api.url}/tsunagu/v1/stream"
    assert (await api.get(f"{url}?tenant=nobody")).status == 404
    assert (await api.get(url, Accept="application/json")).status == 406
    assert (await api.get(f"{url}?tenant=a", NGSILD_Tenant="b")).status == 400
    assert (await api.get(url, NGSILD_Snapshot="urn:ngsi-ld:Snapshot:1")).status in (404, 422)
    answer = await api.request("POST", url, {})
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, OPTIONS")
    assert (await api.get("stream")).status == 404


async def test_there_are_only_so_many_streams_and_a_place_is_free_when_a_client_goes(store):
    async with running_api(store, max_streams=3, max_tenant_streams=2) as api:
        await create(api, 1, tenant=CITY)
        url = f"{api.url}/tsunagu/v1/stream"
        async with event_source(api.session, api.url), event_source(api.session, api.url):
            refused = await api.get(url)
            assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
            assert refused.json["title"] == "Too many streams"
            async with event_source(api.session, api.url, NGSILD_Tenant=CITY):
                assert (await api.get(url, NGSILD_Tenant=CITY)).status == 503
        await vanish(api)
        async with event_source(api.session, api.url), event_source(api.session, api.url):
            pass


async def vanish(api, seconds=2.0):
    """Wait until no stream is left."""
    async with asyncio.timeout(seconds):
        while len(api.broker.streams):  # noqa: ASYNC110 - nothing tells but the number itself
            await asyncio.sleep(0.01)


class Sluggish:
    """A client that sends a request and then reads as little as it is told to."""

    def __init__(self, url, query, last_id=None):
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        host, port = url.removeprefix("http://").split(":")
        self._socket.connect((host, int(port)))
        self._socket.setblocking(False)
        position = "" if last_id is None else f"Last-Event-ID: {last_id}\r\n"
        request = f"GET /tsunagu/v1/stream?{query} HTTP/1.1\r\nHost: {host}:{port}\r\n{position}\r\n"
        self._socket.send(request.encode())

    async def read(self, size):
        return await asyncio.get_running_loop().sock_recv(self._socket, size)

    async def rest(self, seconds=5.0):
        """All that still comes, until the connection ends."""
        got = b""
        async with asyncio.timeout(seconds):
            while piece := await self.read(65_536):
                got += piece
        return got

    def close(self):
        self._socket.close()


def big(value):
    return {"note": {"type": "Property", "value": "x" * 20_000}, **level(value)}


async def test_a_client_that_does_not_read_is_given_up_with_a_reason_and_can_resume(api, monkeypatch):
    monkeypatch.setattr(serving, "STALL_SECONDS", 0.5)
    slow = Sluggish(api.url, SIMPLE)
    try:
        await slow.read(1_000)  # the stream has begun
        async with event_source(api.session, api.url, SIMPLE) as quick:
            reading = asyncio.create_task(quick.take(400, 30))
            for value in range(400):
                assert (await api.post("entities", device(value, **big(value)))).status == 201
            assert values(await reading) == list(range(400))
            async with asyncio.timeout(5):
                while len(api.broker.streams) > 1:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        got = await slow.rest()
    finally:
        slow.close()
    assert b'event: end\ndata: {"reason":"the client has not read for 0.5 s"}' in got
    whole = got.split(b"event: end")[0].decode()
    last = [block for block in whole.split("\n\n") if "\ndata: " in block and block.rstrip().endswith("}")][-1]
    last_id = next(line for line in last.replace("\r", "").split("\n") if line.startswith("id: ")).removeprefix("id: ")
    assert 0 < int(last_id) < 400
    async with event_source(api.session, api.url, SIMPLE, last_id) as source:
        assert values(await source.take(400 - int(last_id), 30)) == list(range(int(last_id), 400))


async def test_a_slow_client_holds_a_handful_of_changes_and_gets_them_all(api, monkeypatch):
    """The client reads a little now and then: it is behind, is not given up, and nothing piles up for it."""
    most = 0
    real = streaming.Stream.next

    async def watched(self, patience):
        nonlocal most
        event = await real(self, patience)
        most = max(most, len(self._inbox) + len(self._found))
        return event

    monkeypatch.setattr(streaming, "INBOX", 8)
    monkeypatch.setattr(streaming.Stream, "next", watched)
    slow = Sluggish(api.url, SIMPLE)
    try:
        await slow.read(1_000)
        for value in range(100):
            assert (await api.post("entities", device(value, **big(value)))).status == 201
        got = b""
        async with asyncio.timeout(30):
            while got.count(b"\nid: ") < 100 or not got.endswith(b"\n\n\r\n"):
                got += await slow.read(16_384)
    finally:
        slow.close()
    assert most <= streaming.KEPT
    ids = [int(line.split(b": ")[1]) for line in got.replace(b"\r", b"").split(b"\n") if line.startswith(b"id: ")]
    assert ids == list(range(1, 101))


async def test_one_that_follows_for_long_and_lags_too_far_is_ended(api, monkeypatch):
    monkeypatch.setattr(streaming, "LONGEST_LAG", 50)
    monkeypatch.setattr(streaming, "INBOX", 4)
    slow = Sluggish(api.url, SIMPLE)
    try:
        await slow.read(1_000)
        for value in range(300):
            assert (await api.post("entities", device(value, **big(value)))).status == 201
        got = await slow.rest(20)
    finally:
        slow.close()
    assert b"more than 50 changes behind" in got
    await vanish(api)


async def test_a_client_that_goes_gives_its_place_back_at_once(api):
    async with event_source(api.session, api.url, SIMPLE):
        assert len(api.broker.streams) == 1
    await vanish(api, 1.0)


async def test_a_stop_ends_streams_at_once_also_of_clients_that_do_not_read(store):
    async with aiohttp.ClientSession() as session:
        running = running_api(store)
        api = await running.__aenter__()
        slow = Sluggish(api.url, SIMPLE)
        await slow.read(1_000)
        async with event_source(session, api.url, "type=Nothing") as source:
            for value in range(200):
                assert (await api.post("entities", device(value, **big(value)))).status == 201
            began = time.monotonic()
            await running.__aexit__(None, None, None)
            took = time.monotonic() - began
            end = await source.next()
            assert end is not None
            assert (end.name, end.data) == ("end", {"reason": "the broker stops"})
            assert await source.next() is None
        slow.close()
    assert took < 5.0


async def test_pages_of_other_origins_read_streams_where_the_setting_allows_it(store):
    async with running_api(store, stream_origins="https://map.example") as api:
        url = f"{api.url}/tsunagu/v1/stream"
        async with event_source(api.session, api.url, Origin="https://map.example") as source:
            assert source.response.headers["Access-Control-Allow-Origin"] == "https://map.example"
        async with event_source(api.session, api.url, Origin="https://evil.example") as source:
            assert "Access-Control-Allow-Origin" not in source.response.headers
        bad = await api.get(f"{url}?nothing=1", Origin="https://map.example")
        assert (bad.status, bad.headers["Access-Control-Allow-Origin"]) == (400, "https://map.example")
        asked = await api.request("OPTIONS", url, headers={"Origin": "https://map.example"})
        assert asked.status == 204
        assert "Last-Event-ID" in asked.headers["Access-Control-Allow-Headers"]
        refused = await api.request("OPTIONS", url, headers={"Origin": "https://evil.example"})
        assert "Access-Control-Allow-Headers" not in refused.headers
        assert "Access-Control-Allow-Origin" not in (await api.get("types", Origin="https://map.example")).headers


async def test_no_page_of_another_origin_reads_streams_by_default(api):
    async with event_source(api.session, api.url, Origin="https://map.example") as source:
        assert not [name for name in source.response.headers if name.startswith("Access-Control")]


async def test_a_context_may_be_named_by_a_parameter(api):
    hosted = await api.post("jsonldContexts", {"@context": {"depth": "https://example.org/depth"}})
    url = f"{api.url}{hosted.headers['Location']}"
    link = f'<{url}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"'
    query = f"type=Device&format=simplified&watchedAttributes=depth&context={url}"
    async with event_source(api.session, api.url, query) as source:
        assert source.response.headers["Link"] == link
        await api.post("entities", device(1, **{"https://example.org/depth": {"type": "Property", "value": 3}}))
        (told,) = await source.take(1)
    assert told.entity["depth"] == 3
    other = '<https://example.org/other>; rel="http://www.w3.org/ns/json-ld#context"'
    assert (await api.get(f"{api.url}/tsunagu/v1/stream?context={url}", Link=other)).status == 400


async def test_a_map_gets_geojson(api):
    async with event_source(
        api.session, api.url, "type=Device&accept=application/geo%2Bjson&format=simplified"
    ) as source:
        place = {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [139.7, 35.7]}}
        await create(api, 1, 4, location=place)
        (told,) = await source.take(1)
    assert told.data["data"]["type"] == "FeatureCollection"
    assert told.data["data"]["features"][0]["geometry"] == {"type": "Point", "coordinates": [139.7, 35.7]}


# --- WebSocket


def socket_url(api, query=SIMPLE):
    return f"{api.url.replace('http', 'ws', 1)}/tsunagu/v1/stream?{query}"


async def heard(connection, count):
    async with asyncio.timeout(5):
        return [orjson.loads((await connection.receive()).data) for _ in range(count)]


async def test_a_websocket_tells_the_same_and_its_client_closes_it(api):
    async with api.session.ws_connect(socket_url(api)) as connection:
        (opening,) = await heard(connection, 1)
        assert opening == {"event": "position", "id": "0"}
        await create(api, 1, 1)
        (told,) = await heard(connection, 1)
        assert (told["event"], told["id"]) == ("notification", "1")
        assert told["data"]["data"][0]["level"] == 1
        await connection.send_str("hello")  # nothing is expected, and nothing comes of it
        await connection.ping()
        await change(api, 1, 2)
        assert (await heard(connection, 1))[0]["data"]["data"][0]["level"] == 2
        assert await connection.close(code=1000)
        assert connection.close_code == 1000
    await vanish(api)
    async with api.session.ws_connect(socket_url(api, SIMPLE + "&lastEventId=1")) as connection:
        _, told = await heard(connection, 2)
        assert (told["id"], told["data"]["data"][0]["level"]) == ("2", 2)


async def test_a_websocket_that_just_vanishes_gives_its_place_back(api):
    connection = await api.session.ws_connect(socket_url(api))
    await heard(connection, 1)
    connection._response.connection.transport.abort()
    await vanish(api)
    await connection.close()


async def test_a_websocket_whose_client_sends_much_is_closed(api):
    async with api.session.ws_connect(socket_url(api)) as connection:
        await heard(connection, 1)
        await connection.send_str("x" * 100_000)
        message = await connection.receive(5)
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1009)
    await vanish(api)


async def test_a_broker_that_stops_closes_a_websocket_with_a_code_and_a_reason(store):
    async with aiohttp.ClientSession() as session:
        running = running_api(store)
        api = await running.__aenter__()
        connection = await session.ws_connect(socket_url(api))
        await heard(connection, 1)
        stopping = asyncio.create_task(running.__aexit__(None, None, None))
        (end,) = await heard(connection, 1)
        assert end == {"event": "end", "data": {"reason": "the broker stops"}}
        message = await connection.receive(2)
        assert (message.type, message.data, message.extra) == (aiohttp.WSMsgType.CLOSE, 1001, "the broker stops")
        async with asyncio.timeout(3):
            await stopping
        await connection.close()


async def test_a_websocket_is_refused_as_a_problem_before_it_begins(store):
    async with running_api(store, stream_origins="https://map.example") as api:
        for origin in ("https://map.example", api.url):
            async with api.session.ws_connect(socket_url(api), headers={"Origin": origin}) as connection:
                await heard(connection, 1)
        with pytest.raises(aiohttp.WSServerHandshakeError) as foreign:
            await api.session.ws_connect(socket_url(api), headers={"Origin": "https://evil.example"})
        assert foreign.value.status == 403
        with pytest.raises(aiohttp.WSServerHandshakeError) as bad:
            await api.session.ws_connect(socket_url(api, "q=a=="))
        assert bad.value.status == 400
        for header, value in (("Connection", "close"), ("Sec-WebSocket-Version", "7"), ("Sec-WebSocket-Key", "short")):
            handshake = {
                "Upgrade": "websocket",
                "Connection": "Upgrade",
                "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            }
            answer = await api.request("GET", f"{api.url}/tsunagu/v1/stream", headers=handshake | {header: value})
            assert answer.status == 400
            assert header in answer.json["detail"]
        await vanish(api)
