"""The transports against real servers: files, HTTP with its validators and its moods, MQTT with its sessions."""

import asyncio
import os
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import aiomqtt
import pytest
from aiohttp import ClientSession, web
from mosquitto import running_mqtt_broker
from runner_desk import LINES, a_feed, some_feeds, until

from adapters.door import Door
from adapters.errors import InvalidFeeds
from adapters.feeds import Files, Mqtt, Poll, Push
from adapters.journal import Intake, Journal
from adapters.options import NoOptions
from adapters.runner import running, serve_web, user_agent
from adapters.transports.files import look
from adapters.transports.mqtt import listen, make_client, receive
from adapters.transports.poll import Fetcher, FetchFailed, fetching_session, round_of
from adapters.transports.push import Receiver, push_application


@asynccontextmanager
async def a_door(folder, name="feed"):
    async with await Journal.open(folder / "state") as journal:
        door = Door(name, journal)
        await door.open()
        yield door


async def came_in(door):
    """What has come in, oldest first: (address, data)."""
    rows = await door.journal.perform(lambda c: c.execute("SELECT address, data FROM input ORDER BY id").fetchall())
    return [(address.rpartition("/")[2], bytes(data)) for address, data in rows]


class TestFiles:
    async def test_a_file_whose_name_is_no_utf_8_comes_in_and_keeps_no_other_out(self, tmp_path):
        folder = tmp_path / "in"
        folder.mkdir()
        for name in ("避難所.csv".encode("cp932"), b"z.csv"):
            (folder / os.fsdecode(name)).write_bytes(name)
        async with a_door(tmp_path) as door:
            files = Files(str(folder / "*.csv"), settle=0.0)
            assert [await look(files, door), await look(files, door)] == [2, 0]
            assert {data for _, data in await came_in(door)} == {"避難所.csv".encode("cp932"), b"z.csv"}

    async def test_a_file_is_read_when_it_is_new_or_other_and_not_when_it_is_touched(self, tmp_path):
        folder = tmp_path / "in"
        folder.mkdir()
        files = Files(str(folder), settle=0.0)
        async with a_door(tmp_path) as door:
            assert await look(files, door) == 0
            (folder / "b.csv").write_bytes(b"1")
            os.utime(folder / "b.csv", (1, 1))
            (folder / "a.csv").write_bytes(b"2")
            for name in (".hidden", "c.part", "d.tmp", "e~"):
                (folder / name).write_bytes(b"x")
            (folder / "sub").mkdir()
            os.mkfifo(folder / "pipe")
            assert await look(files, door) == 2
            assert await look(files, door) == 0
            (folder / "a.csv").touch()
            assert await look(files, door) == 0
            (folder / "a.csv").write_bytes(b"3")
            assert await look(files, door) == 1
            (folder / "a.csv").unlink()
            assert await look(files, door) == 0
            (folder / "a.csv").write_bytes(b"3")
            assert await look(files, door) == 1, "a file that was gone is new when it comes back"
            assert await came_in(door) == [("b.csv", b"1"), ("a.csv", b"2"), ("a.csv", b"3"), ("a.csv", b"3")]

    async def test_a_file_that_is_still_written_is_left_alone(self, tmp_path):
        file = tmp_path / "a.csv"
        file.write_bytes(b"1")
        async with a_door(tmp_path) as door:
            assert await look(Files(str(file), settle=60.0), door) == 0
            os.utime(file, (time.time() + 3600, time.time() + 3600))  # a clock that is ahead must not hide it for ever
            assert await look(Files(str(file), settle=60.0), door) == 1

    async def test_patterns_and_missing_files_are_told(self, tmp_path):
        (tmp_path / "x").mkdir()
        (tmp_path / "x" / "a.csv").write_bytes(b"1")
        async with a_door(tmp_path) as door:
            assert await look(Files(str(tmp_path / "*" / "*.csv"), settle=0.0), door) == 1
            assert door.trouble == ""
            assert await look(Files(str(tmp_path / "none.csv")), door) == 0
            assert "is not there" in door.trouble


class Source:
    """A web server with a resource that can be changed, be in a bad mood, and lists what was asked of it."""

    def __init__(self):
        self.body = b"one"
        self.etag = '"1"'
        self.mood = []
        self.moods = {}
        self.asked = []
        self.url = ""
        self.at_once = self.most_at_once = 0

    @asynccontextmanager
    async def running(self):
        app = web.Application()
        app.router.add_get("/{name:.*}", self.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def answer(self, request):
        self.asked.append((request.path, dict(request.headers)))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0.01)
        self.at_once -= 1
        if mood := self.moods.get(request.path) or self.mood:
            status, headers = mood.pop(0)
            return web.Response(status=status, headers=headers)
        if request.path != "/data":
            return web.Response(body=request.path.encode())
        if request.headers.get("If-None-Match") == self.etag:
            return web.Response(status=304)
        return web.Response(
            body=self.body, headers={"ETag": self.etag, "Last-Modified": "Tue, 30 Jun 2026 00:00:00 GMT"}
        )


class TestPolls:
    @pytest.fixture
    async def desk(self, tmp_path):
        source = Source()
        async with (
            source.running(),
            a_door(tmp_path) as door,
            fetching_session(user_agent("ops@city.example")) as session,
        ):
            fetcher = Fetcher(session)

            async def fetch(adapter=LINES, **settings):
                poll = Poll(**({"url": f"{source.url}/data", "pause": 0.0} | settings))
                return await round_of(poll, adapter, NoOptions(), door, fetcher)

            yield source, door, fetch

    async def test_only_what_is_new_comes_in_and_the_owner_knows_who_asks(self, desk):
        source, door, fetch = desk
        assert [await fetch(), await fetch()] == [1, 0]
        source.etag = '"2"'
        assert await fetch() == 0, "other validators, the same bytes"
        source.etag, source.body = '"3"', b"two"
        assert await fetch() == 1
        assert [data for _, data in await came_in(door)] == [b"one", b"two"]
        headers = source.asked[-1][1]
        assert headers["If-None-Match"] == '"2"'
        assert headers["If-Modified-Since"] == "Tue, 30 Jun 2026 00:00:00 GMT"
        assert headers["User-Agent"].startswith("Tsunagu/")
        assert "ops@city.example" in headers["User-Agent"]

    async def test_failures_say_how_long_to_wait_and_lose_nothing(self, desk):
        source, door, fetch = desk
        source.mood = [(503, {"Retry-After": "120"}), (500, {}), (404, {"Retry-After": "nonsense"})]
        for pause in (120.0, 0.0, 0.0):
            with pytest.raises(FetchFailed) as failure:
                await fetch()
            assert failure.value.pause == pause
        with pytest.raises(FetchFailed, match="larger than 2 bytes"):
            await fetch(most_bytes=2)
        with pytest.raises(FetchFailed, match="cannot be fetched") as failure:
            await fetch(url="http://me:secret@127.0.0.1:9/data?key=secret")
        assert "secret" not in str(failure.value)
        assert await fetch() == 1
        assert len(await came_in(door)) == 1

    async def test_what_an_index_names_is_fetched_once_each_from_allowed_hosts_only(self, desk):
        source, door, fetch = desk
        index = replace(LINES, links=lambda data, origin, options: data.decode().split())
        source.body = b"a.json /b.json http://other.example/c.json file:///etc/passwd"
        with pytest.raises(FetchFailed, match="does not allow"):
            await fetch(index)
        assert await came_in(door) == [("a.json", b"/a.json"), ("b.json", b"/b.json")]
        source.body, source.etag = b"b.json d.json", '"2"'
        assert await fetch(index) == 1
        assert await fetch(index) == 0
        assert [address for address, _ in await came_in(door)] == ["a.json", "b.json", "d.json"]
        assert source.asked[-1][0] == "/data"
        assert set(await door.marks()) == {"validators", *(f"link:{source.url}/{name}.json" for name in "bd")}
        assert source.most_at_once == 1

    async def test_redirects_lead_to_the_feeds_own_host_or_to_one_that_it_names(self, desk):
        source, door, fetch = desk
        other = source.url.replace("127.0.0.1", "localhost")
        secret = {"X-Api-Key": "secret"}
        source.moods["/old"] = [(301, {"Location": "/older"}), (302, {"Location": f"{other}/data"})]
        source.moods["/older"] = [(307, {"Location": "data"})]
        assert await fetch(url=f"{source.url}/old", headers=secret) == 1
        assert [headers.get("X-Api-Key") for _, headers in source.asked] == ["secret"] * 3
        with pytest.raises(FetchFailed, match=r"localhost:.*does not allow"):
            await fetch(url=f"{source.url}/old", headers=secret)
        assert len(source.asked) == 4, "the other host was not asked"
        source.etag, source.body = '"2"', b"two"
        source.moods["/old"] = [(302, {"Location": f"{other}/data"})]
        assert await fetch(url=f"{source.url}/old", headers=secret, hosts=("localhost",)) == 1
        assert [(path, headers.get("X-Api-Key")) for path, headers in source.asked[4:]] == [
            ("/old", "secret"),
            ("/data", None),
        ]
        assert [data for _, data in await came_in(door)] == [b"one", b"two"]

    @pytest.mark.parametrize("location", ["", "https://[", "http://127.0.0.1:99999/", "file:///etc/passwd", "/round"])
    async def test_a_redirect_that_leads_nowhere_is_a_failure(self, desk, location):
        source, _, fetch = desk
        source.moods["/round"] = [(302, {"Location": location})] * 10
        with pytest.raises(FetchFailed, match="leads"):
            await fetch(url=f"{source.url}/round")
        assert len(source.asked) <= 6

    async def test_links_of_an_index_to_other_hosts_get_no_headers(self, desk):
        source, _, fetch = desk
        index = replace(LINES, links=lambda data, origin, options: data.decode().split())
        source.body = f"a.json {source.url.replace('127.0.0.1', 'localhost')}/b.json".encode()
        assert await fetch(index, headers={"X-Api-Key": "secret"}, hosts=("localhost",)) == 2
        assert [(path, headers.get("X-Api-Key")) for path, headers in source.asked] == [
            ("/data", "secret"),
            ("/a.json", "secret"),
            ("/b.json", None),
        ]

    async def test_a_link_that_is_no_url_keeps_no_other_from_being_fetched(self, desk):
        source, door, fetch = desk
        index = replace(LINES, links=lambda data, origin, options: data.decode().split())
        source.body = b"https://[ b.json"
        with pytest.raises(FetchFailed, match="no URL"):
            await fetch(index)
        assert await came_in(door) == [("b.json", b"/b.json")]

    async def test_a_link_that_fails_is_asked_for_again_although_the_index_is_as_it_was(self, desk):
        source, door, fetch = desk
        index = replace(LINES, links=lambda data, origin, options: data.decode().split())
        source.body = b"a.json b.json"
        source.moods["/a.json"] = [(404, {})]
        with pytest.raises(FetchFailed, match="answers 404"):
            await fetch(index)
        assert await came_in(door) == [("b.json", b"/b.json")]
        assert await fetch(index) == 1
        assert await came_in(door) == [("b.json", b"/b.json"), ("a.json", b"/a.json")]


@asynccontextmanager
async def heard(mqtt, door):
    """Somebody listens, from when the topics are subscribed to."""
    listening = asyncio.create_task(listen(mqtt, door, "runner"))
    try:
        await until(lambda: _trouble(door, ""))
        yield
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await door.checked("not listening")


async def publish(broker, topic, numbers):
    async with aiomqtt.Client(broker.host, broker.port) as client:
        for number in numbers:
            await client.publish(topic, f"{number}", qos=1)


@pytest.mark.mqtt
class TestMqtt:
    @pytest.fixture(params=["5", "3.1.1"])
    def version(self, request):
        return request.param

    async def test_messages_come_in_once_also_those_sent_while_nobody_listened(self, mqtt_broker, tmp_path, version):
        mqtt = Mqtt(mqtt_broker.host, (f"{tmp_path.name}/+/up",), port=mqtt_broker.port, version=version)
        async with a_door(tmp_path) as door:
            async with heard(mqtt, door):
                await publish(mqtt_broker, f"{tmp_path.name}/dev/up", range(20))
                await until(lambda: _came(door, 20))
            await publish(mqtt_broker, f"{tmp_path.name}/dev/up", range(20, 25))
            async with heard(mqtt, door):
                await until(lambda: _came(door, 25))
            assert [data for _, data in await came_in(door)] == [str(number).encode() for number in range(25)]
            rows = await door.journal.perform(lambda c: c.execute("SELECT DISTINCT parameters FROM input").fetchall())
            assert rows == [(f'{{"topic": "{tmp_path.name}/dev/up"}}',)]

    async def test_a_message_that_was_not_acknowledged_comes_again_and_counts_once(
        self, mqtt_broker, tmp_path, version
    ):
        topic = f"{tmp_path.name}/again"
        mqtt = Mqtt(mqtt_broker.host, (topic,), port=mqtt_broker.port, version=version)
        async with a_door(tmp_path) as door:
            async with make_client(mqtt, "feed", "runner", None) as client:
                await client.subscribe([(topic, 1)])
                async with aiomqtt.Client(mqtt_broker.host, mqtt_broker.port) as other:
                    await other.publish(topic, "7", qos=1)
                    await other.publish(topic, "7", qos=1)
                client.acknowledge = lambda message: None  # killed after the disk and before the acknowledgement
                taken = 0
                while taken < 2:
                    some = await client.some()
                    taken += len(some)
                    await receive(client, some, door)
            assert len(await came_in(door)) == 2
            async with make_client(mqtt, "feed", "runner", None) as client:
                await client.subscribe([(topic, 1)])
                again = 0
                while again < 2:
                    some = await client.some()
                    assert all(message.again for message in some)
                    again += len(some)
                    await receive(client, some, door)
            assert len(await came_in(door)) == 2, "each of the two equal messages counts, and each once"

    async def test_a_broker_that_comes_back_is_heard_again(self, tmp_path):
        with running_mqtt_broker() as broker:
            mqtt = Mqtt(broker.host, ("t",), port=broker.port)
            async with a_door(tmp_path) as door, heard(mqtt, door):
                broker.stop()
                await until(lambda: _trouble(door, "cannot be heard"))
                broker.start()
                await until(lambda: _trouble(door, ""))
                await publish(broker, "t", [1])
                await until(lambda: _came(door, 1))

    async def test_tls_is_checked(self, mqtt_broker_with_tls, tmp_path):
        broker = mqtt_broker_with_tls
        authority = str(broker.certificates.authority)
        mqtt = Mqtt("localhost", ("t",), port=broker.port, tls=True, authority=authority)
        async with a_door(tmp_path) as door:
            async with heard(mqtt, door):
                pass
            listening = asyncio.create_task(listen(replace(mqtt, authority=None), door, "runner"))
            await until(lambda: _trouble(door, "certificate"))
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    async def test_a_wrong_password_is_told(self, mqtt_broker_with_password, tmp_path):
        broker = mqtt_broker_with_password
        user = broker.credentials
        mqtt = Mqtt(broker.host, ("t",), port=broker.port, username=user.username, password=user.password)
        async with a_door(tmp_path) as door:
            async with heard(mqtt, door):
                pass
            listening = asyncio.create_task(listen(replace(mqtt, password="wrong"), door, "runner"))
            await until(lambda: _trouble(door, "cannot be heard"))
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


async def test_a_port_that_is_taken_is_told(tmp_path):
    feeds = some_feeds(tmp_path, a_feed("a", Push(("a-long-key",))))
    async with running(feeds, "http://127.0.0.1:9") as first:
        port = int(first.push_url.rpartition(":")[2])
        taken = some_feeds(tmp_path / "other", a_feed("a", Push(("a-long-key",))))
        with pytest.raises(InvalidFeeds, match=f"cannot listen on 127.0.0.1 port {port}"):
            async with running(replace(taken, runner=replace(taken.runner, push_port=port)), "http://127.0.0.1:9"):
                pass


@pytest.mark.parametrize("number", ["none", "1"])
async def test_a_sender_cannot_say_that_its_push_is_a_replay_or_whose_it_is(tmp_path, number):
    async with a_door(tmp_path) as door:
        async with AsyncExitStack() as stack:
            application = push_application({"feed": Receiver(Push(("a-long-key",)), door)})
            url = await serve_web(application, "127.0.0.1", 0, stack)
            async with ClientSession() as session:
                target = f"{url}/in/feed?k=a-long-key&replayOf={number}&tsunagu:tenant=other&event=up"
                async with session.post(target, data=b"1") as answer:
                    assert answer.status == 202
        rows = await door.journal.perform(lambda c: c.execute("SELECT parameters FROM input").fetchall())
        assert rows == [('{"event": "up"}',)]


async def test_a_door_makes_its_transport_wait_until_there_is_room(tmp_path):
    async with a_door(tmp_path) as door:
        door._waiting = 10**9
        taking = asyncio.create_task(door.take([Intake(b"1", "x", "2026-06-30T00:00:00Z")]))
        await asyncio.sleep(0.05)
        assert not taking.done()
        await door.recount()
        assert await taking == 1


async def _trouble(door, words):
    rows = await door.journal.perform(
        lambda c: c.execute("SELECT trouble FROM feed WHERE name = ?", (door.feed,)).fetchall()
    )
    return bool(rows) and (words in rows[0][0] if words else rows[0][0] == "")


async def _came(door, count):
    return len(await came_in(door)) >= count
