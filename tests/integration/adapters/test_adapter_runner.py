"""The runner against a broker: files to entities, runs, late readings, quarantine, channels, a broker that is away."""

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from mongod import free_port
from runner_desk import LINES, a_broker, a_feed, gauges, line, some_feeds, told, until
from typer.testing import CliRunner

from adapters import quarantine
from adapters import runner as runner_module
from adapters.commands import app
from adapters.errors import AdapterError, BrokerRefused
from adapters.feeds import Files, Push
from adapters.journal import Intake, Journal
from adapters.ngsild_client import NgsiLdClient
from adapters.runner import RunnerBusy, running, standing_by
from adapters.status import status


def files(folder):
    return Files(str(folder / "in" / "*.jsonl"), every=0.05, settle=0.0)


@pytest.fixture
def inbox(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


@asynccontextmanager
async def receiver(api):
    """The bodies of the notifications about gauges."""
    arrived = []

    async def receive(request):
        arrived.append(await request.json())
        return web.Response()

    app = web.Application()
    app.router.add_post("/", receive)
    server = web.AppRunner(app)
    await server.setup()
    await web.TCPSite(server, "127.0.0.1", 0).start()
    uri = f"http://127.0.0.1:{server.addresses[0][1]}/"
    subscription = {
        "type": "Subscription",
        "entities": [{"type": "Gauge"}],
        "notification": {"endpoint": {"uri": uri, "accept": "application/json"}},
    }
    assert (await api.post("subscriptions", subscription)).status == 201
    try:
        yield arrived
    finally:
        await server.cleanup()


async def runs(api):
    answer = await api.get("entities?type=https://w3id.org/tsunagu/ns/AdapterRun&limit=100&format=simplified")
    plain = await api.get("entities?type=AdapterRun&limit=100&format=simplified")
    return sorted([*answer.json, *plain.json], key=lambda run: int(run["id"].rpartition(":")[2]))


def members(run):
    return {name.rpartition("/")[2]: value for name, value in run.items()}


async def test_a_file_becomes_entities_once_and_its_run_is_seen(tmp_path, inbox):
    feed = a_feed("levels", files(tmp_path), licence="CC0", provider="某市")
    async with a_broker() as api, receiver(api) as arrived, running(some_feeds(tmp_path, feed), api.url) as runner:
        (inbox / "a.jsonl").write_text(f"{line(1, 2.5)}\n{line(2, 1)}\nnonsense\n")
        assert await until(lambda: _has(api, {"1": 2.5, "2": 1}))
        entity = (await api.get("entities/urn:ngsi-ld:Gauge:1?format=simplified")).json
        assert entity["https://smartdatamodels.org/source"] == "a.jsonl"
        assert entity["https://smartdatamodels.org/dataProvider"] == "某市"
        assert entity["http://purl.org/dc/terms/license"] == "CC0"
        await until(lambda: _true(len(arrived) >= 1))
        (inbox / "b.jsonl").write_text(f"{line(1, 2.5)}\n{line(2, 1)}\n")
        (inbox / "a.jsonl").touch()
        await until(lambda: _waited(runner, "levels", 2))
        await asyncio.sleep(0.3)
        seen = [entity["id"] for body in arrived for entity in body["data"]]
        # The second file says the same but for where it is from.
        assert sorted(set(seen)) == ["urn:ngsi-ld:Gauge:1", "urn:ngsi-ld:Gauge:2"]
        found = await until(lambda: _runs(api, 2))
        first = members(found[0])
        assert (first["adapter"], first["decoder"], first["runStatus"]) == ("levels", "lines", "partial")
        assert first["records"] == {"read": 3, "accepted": 2, "repaired": 0, "quarantined": 1}
        assert first["entities"]["created"] == 2
        assert first["sourceHash"].startswith("sha256:")
        (one,) = await status(runner.feeds, runner.journal)
        assert (one.feed, one.waiting, one.quarantined, one.trouble) == ("levels", 0, 1, "")


async def test_the_same_input_twice_changes_nothing_and_notifies_nobody(tmp_path):
    feed = a_feed("levels", Push(("a-long-key",)), source="https://levels.city.example/")
    text = f"{line(1, 2.5, '2026-06-30T00:00:00Z')}\n{line(2, 1)}\n".encode()
    async with a_broker() as api, receiver(api) as arrived, running(some_feeds(tmp_path, feed), api.url) as runner:
        await runner.submit("levels", Intake(text, "here", "2026-06-30T00:00:01Z"))
        await until(lambda: _true(sum(len(each["data"]) for each in arrived) >= 2))
        await runner.submit("levels", Intake(text, "there", "2026-06-30T00:10:01Z"))
        await until(lambda: _done(runner))
        await asyncio.sleep(0.3)
        assert sum(len(each["data"]) for each in arrived) == 2
        assert await told(api, 1) == [("2026-06-30T00:00:00Z", 2.5)]


async def test_an_older_reading_goes_to_the_history_once_and_leaves_the_state(tmp_path):
    feed = a_feed("levels", Push(("a-long-key",)))
    async with a_broker() as api, running(some_feeds(tmp_path, feed), api.url) as runner:
        for minutes, value in ((30, 3), (10, 1), (20, 2), (10, 1), (30, 3)):
            text = line(1, value, f"2026-06-30T00:{minutes}:00Z").encode()
            await runner.submit("levels", Intake(text, "here", "2026-06-30T01:00:00Z"))
        await until(lambda: _done(runner))
        assert await gauges(api) == {"1": 3}
        assert await told(api, 1) == [(f"2026-06-30T00:{minutes}0:00Z", minutes) for minutes in (1, 2, 3)]


async def test_a_file_of_many_readings_of_one_gauge_sets_the_newest_and_tells_all(tmp_path, inbox):
    readings = [(f"2026-06-30T{minute // 60:02}:{minute % 60:02}:00Z", minute % 7) for minute in range(360)]
    (inbox / "day.jsonl").write_text("\n".join(line(1, value, at) for at, value in readings))
    feed = a_feed("levels", files(tmp_path))
    async with a_broker() as api, running(some_feeds(tmp_path, feed), api.url) as runner:
        await until(lambda: _waited(runner, "levels", 1))
        assert await gauges(api) == {"1": readings[-1][1]}
        found = []
        for hour in range(6):
            answer = await api.get(
                "temporal/entities/urn:ngsi-ld:Gauge:1?timeproperty=observedAt&timerel=between"
                f"&timeAt=2026-06-30T{hour:02}:00:00Z&endTimeAt=2026-06-30T{hour:02}:59:59Z"
            )
            found += [(each["observedAt"], each["value"]) for each in answer.json["level"]]
        assert sorted(found) == readings
        (inbox / "day.jsonl").write_text("\n".join(line(1, value, at) for at, value in [*readings, readings[0]]))
        await until(lambda: _waited(runner, "levels", 2))
        (one,) = await status(runner.feeds, runner.journal)
        assert one.run["counts"].get("late", 0) == 0, "the history has all of them already"


async def test_a_record_is_mended_and_replayed_and_a_bad_one_comes_back(tmp_path, inbox):
    (inbox / "a.jsonl").write_text(f"{line(1, 2.5)}\n{{bad\n{{worse\n{{worst\n")
    feed = a_feed("levels", files(tmp_path))
    async with a_broker() as api, running(some_feeds(tmp_path, feed), api.url) as runner:
        await until(lambda: _waited(runner, "levels", 1))
        journal = runner.journal
        bad, worse, worst = await quarantine.held(journal, "levels")
        assert [each.record["line"] for each in (bad, worse, worst)] == ["{bad", "{worse", "{worst"]
        async with await Journal.open(runner.feeds.state_folder) as other:  # as the command line does, from outside
            await quarantine.mend(other, bad.id, {"line": line(9, 4)})
            await quarantine.replay(other, LINES, bad.id)
            await quarantine.replay(other, LINES, worse.id)
            await quarantine.drop(other, [worst.id])
        await until(lambda: _has(api, {"1": 2.5, "9": 4}))
        await until(lambda: _done(runner))
        assert [each.id for each in await quarantine.held(journal)] == [worse.id]
        assert (await quarantine.held_record(journal, bad.id)).status == quarantine.REPLAYED
        (inbox / "b.jsonl").write_text("{worst\n")
        await until(lambda: _waited(runner, "levels", 4))
        assert [each.id for each in await quarantine.held(journal)] == [worse.id], "what was dropped stays dropped"
        with pytest.raises(AdapterError, match="no record 99"):
            await quarantine.held_record(journal, 99)


async def test_an_input_that_cannot_be_decoded_is_held_back_as_a_whole(tmp_path):
    def failing(data, *_):
        raise ZeroDivisionError("oh")

    feed = a_feed("levels", Push(("a-long-key",)))
    buggy = a_feed("buggy", Push(("a-long-key",)), adapter=type(LINES)("buggy", "", failing))
    async with a_broker() as api, running(some_feeds(tmp_path, feed, buggy), api.url) as runner:
        await runner.submit("levels", Intake(b"\xff\xfe", "here", "2026-06-30T00:00:01Z"))
        await runner.submit("buggy", Intake(b"x", "here", "2026-06-30T00:00:01Z"))
        await runner.submit("levels", Intake(line(1, 5).encode(), "here", "2026-06-30T00:00:02Z"))
        await until(lambda: _has(api, {"1": 5}))
        found = await until(lambda: _held(runner, 2))
        assert {(each.feed, each.rule) for each in found} == {("levels", "undecodable"), ("buggy", "undecodable")}
        assert {each.reason for each in found} == {
            "The input is not UTF-8.",
            "The adapter buggy fails: ZeroDivisionError: oh",
        }


async def test_what_the_broker_will_not_have_is_held_back_and_the_rest_goes_on(tmp_path):
    feed = a_feed("levels", Push(("a-long-key",)))
    async with a_broker() as api, running(some_feeds(tmp_path, feed), api.url) as runner:
        bad = json.dumps({"id": "2", "level": {"type": "nothing", "@value": []}, "at": "not an instant"})
        await runner.submit("levels", Intake(f"{line(1, 5)}\n{bad}".encode(), "here", "2026-06-30T00:00:01Z"))
        await until(lambda: _has(api, {"1": 5}))
        (found,) = await until(lambda: _held(runner, 1))
        assert (found.rule, found.record) == ("refused-by-the-broker", {"id": "urn:ngsi-ld:Gauge:2"})


async def test_a_drill_goes_to_its_own_tenant_or_nowhere(tmp_path):
    feed = a_feed("levels", Push(("a-long-key",)), channels={"exercise": "drills"})
    async with a_broker() as api, running(some_feeds(tmp_path, feed), api.url) as runner:
        for number, channel in ((1, ""), (2, "exercise"), (3, "test")):
            intake = Intake(line(number, 1).encode(), "here", "2026-06-30T00:00:01Z", parameters={"channel": channel})
            await runner.submit("levels", intake)
        await until(lambda: _done(runner))
        assert await gauges(api) == {"1": 1}
        assert await gauges(api, "drills") == {"2": 1}
        (one,) = await status(runner.feeds, runner.journal)
        assert one.run["counts"]["withheld"] == 1


async def test_a_broker_that_is_away_is_waited_for(tmp_path):
    feed = a_feed("levels", Push(("a-long-key",)))
    port = free_port()
    feeds = some_feeds(tmp_path, feed)
    async with running(feeds, f"http://127.0.0.1:{port}") as runner:
        await runner.submit("levels", Intake(line(1, 5).encode(), "here", "2026-06-30T00:00:01Z"))
        await asyncio.sleep(0.3)
        (one,) = await status(feeds, runner.journal)
        assert one.waiting == 1
    async with a_broker() as api, running(feeds, api.url):
        await until(lambda: _has(api, {"1": 5}))


async def test_a_worker_that_failed_goes_on_with_what_it_left(tmp_path, monkeypatch):
    failures = []

    async def entities(client, kind, ids, read=NgsiLdClient.entities):
        if failures:
            raise failures.pop()
        return await read(client, kind, ids)

    monkeypatch.setattr(NgsiLdClient, "entities", entities)
    monkeypatch.setattr(runner_module, "AGAIN_SECONDS", 0.05)
    feeds = some_feeds(tmp_path, a_feed("levels", Push(("a-long-key",))))
    async with a_broker() as api, running(feeds, api.url) as runner:
        await runner.submit("levels", Intake(line(1, 5).encode(), "here", "2026-06-30T00:00:01Z"))
        await until(lambda: _has(api, {"1": 5}))
        failures.append(BrokerRefused("Nobody may read today."))
        await runner.submit("levels", Intake(line(1, 6).encode(), "here", "2026-06-30T00:00:02Z"))
        await until(lambda: _has(api, {"1": 6}))
    assert not failures


async def test_pushes_need_a_key_count_once_and_are_bounded(tmp_path):
    feed = a_feed("levels", Push(("a-long-key", "another-key"), most_bytes=1000))
    async with (
        a_broker() as api,
        running(some_feeds(tmp_path, feed), api.url) as runner,
        aiohttp.ClientSession() as session,
    ):
        url = f"{runner.push_url}/in/levels"

        async def push(data, url=url, **headers):
            async with session.post(url, data=data, headers=headers) as response:
                return response.status, await response.json()

        body = line(1, 5).encode()
        assert (await push(body))[0] == 401
        assert (await push(body, **{"X-Api-Key": "wrong"}))[0] == 401
        assert (await push(body, url=f"{runner.push_url}/in/nothing", **{"X-Api-Key": "a-long-key"}))[0] == 401
        assert (await push(b"x" * 1001, **{"X-Api-Key": "a-long-key"}))[0] == 413
        assert (await push(body, Authorization="Bearer another-key"))[0] == 202
        assert (await push(line(2, 6).encode(), url=f"{url}?k=a-long-key&i=dev1"))[0] == 202
        repeated = {"X-Api-Key": "a-long-key", "Idempotency-Key": "once"}
        assert (await push(line(3, 7).encode(), **repeated))[1] == {"accepted": True, "repeated": False}
        assert (await push(line(3, 7).encode(), **repeated))[1] == {"accepted": True, "repeated": True}
        await until(lambda: _has(api, {"1": 5, "2": 6, "3": 7}))
        rows = await runner.journal.perform(lambda c: c.execute("SELECT parameters FROM input ORDER BY id").fetchall())
        assert [json.loads(row[0]) for row in rows] == [{}, {"i": "dev1"}, {}]
        await runner.journal.perform(lambda c: c.execute("PRAGMA query_only = ON"))
        assert (await push(body, **{"X-Api-Key": "a-long-key"}))[0] == 503, "what is not on disk is not taken"
        await runner.journal.perform(lambda c: c.execute("PRAGMA query_only = OFF"))
        runner.doors["levels"]._waiting = 10**9
        assert (await push(body, **{"X-Api-Key": "a-long-key"}))[0] == 503


async def test_one_journal_has_one_runner(tmp_path):
    feeds = some_feeds(tmp_path, a_feed("levels", Push(("a-long-key",))))
    async with running(feeds, "http://127.0.0.1:9"):
        with pytest.raises(RunnerBusy, match="Another runner"):
            async with running(feeds, "http://127.0.0.1:9"):
                pass


async def test_who_stands_by_goes_on_when_the_other_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(runner_module, "STAND_BY_SECONDS", 0.05)
    feeds = some_feeds(tmp_path, a_feed("levels", Push(("a-long-key",))))
    async with a_broker() as api:
        async with running(feeds, "http://127.0.0.1:9") as first:
            await first.submit("levels", Intake(line(1, 5).encode(), "here", "2026-06-30T00:00:01Z"))
            async with asyncio.timeout(10):
                heir = standing_by(feeds, api.url)
                await heir.__aenter__()
            await asyncio.sleep(0.1)
            assert await gauges(api) == {}
        try:
            await until(lambda: _has(api, {"1": 5}))
        finally:
            await heir.__aexit__(None, None, None)


async def test_old_runs_and_inputs_are_forgotten(tmp_path):
    feed = a_feed("levels", Push(("a-long-key",)), lasting=False)
    feeds = some_feeds(tmp_path, feed, keep_runs=2, keep_inputs=3)
    async with a_broker() as api, running(feeds, api.url) as runner:
        for number in range(6):
            await runner.submit("levels", Intake(line(number, 1).encode(), "here", "2026-06-30T00:00:01Z"))
        await until(lambda: _done(runner))
        await until(lambda: _runs(api, 2, exactly=True))
        await until(lambda: _kept(runner, 3))


def test_the_command_line_shows_and_mends_what_a_runner_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "adapters.toml").write_text('[feeds.sites]\nadapter = "table"\nfiles = {path = "in/*.csv"}\n')

    def tsunagu(*arguments):
        return CliRunner().invoke(app, list(arguments), env={"TSUNAGU_ADAPTERS": None})

    async def leave():
        feed = a_feed("sites", files(tmp_path))
        async with a_broker() as api, running(some_feeds(tmp_path, feed), api.url) as runner:
            (tmp_path / "in" / "a.jsonl").write_text("{bad\n")
            await until(lambda: _waited(runner, "sites", 1))

    asyncio.run(leave())
    assert tsunagu("check").output == "adapters.toml: 1 feeds: sites.\n"
    shown = json.loads(tsunagu("status", "--json").output)
    assert [(each["feed"], each["quarantined"]) for each in shown["feeds"]] == [("sites", 1)]
    assert shown["commands"] is None
    assert "1 records in the quarantine" in tsunagu("status").output
    listed = tsunagu("quarantine", "list").output
    assert "(no-reading): The line is no reading." in listed
    assert f"record 1 of {tmp_path / 'in' / 'a.jsonl'}" in listed, "an operator sees in which file it is"
    assert tsunagu("quarantine", "edit", "1", "--set", "line={}").exit_code == 0
    assert json.loads(tsunagu("quarantine", "show", "1").output)["mended"] == {"line": "{}"}
    (tmp_path / "record.json").write_text('{"line": "[]"}')
    assert tsunagu("quarantine", "edit", "1", "--record", "record.json").exit_code == 0
    assert json.loads(tsunagu("quarantine", "list", "--json").output)[0]["mended"] == {"line": "[]"}
    assert tsunagu("quarantine", "edit", "1", "--set", "line").exit_code == 2
    assert tsunagu("quarantine", "drop", "1").exit_code == 0
    assert tsunagu("quarantine", "list").output == "Nothing is in the quarantine.\n"
    gone = tsunagu("quarantine", "replay", "7")
    assert (gone.exit_code, gone.output) == (1, "tsunagu: There is no record 7 in the quarantine.\n")
    assert tsunagu("input", "1").output == "{bad\n"
    assert "table: municipal open data" in tsunagu("list").output
    sites = Path(__file__).parents[3] / "examples" / "evacuation_sites" / "standard.cp932.csv"
    shown = json.loads(tsunagu("decode", "table", str(sites), "--option", "municipality=999997").output)
    assert shown["counts"] == {"records": 3, "accepted": 0, "repaired": 2, "quarantined": 1, "entities": 2}
    assert shown["notes"]["encoding"] == "cp932"
    assert tsunagu("decode", "tabel", str(sites)).exit_code == 1
    assert "no option" in tsunagu("decode", "table", str(sites), "--option", "x=1").output
    assert tsunagu("check", "nothing.toml").exit_code == 2


async def _true(value):
    return value


async def _has(api, wanted):
    return await gauges(api) == wanted


async def _done(runner):
    return all([(await runner.journal.waiting(feed.name))[0] == 0 for feed in runner.feeds.feeds])


async def _waited(runner, feed, count):
    """Whether that many inputs of a feed are done."""
    done = await runner.journal.perform(
        lambda c: c.execute("SELECT count(*) FROM input WHERE feed = ? AND status = 2", (feed,)).fetchone()
    )
    return done[0] >= count


async def _kept(runner, count):
    (kept,) = await runner.journal.perform(lambda c: c.execute("SELECT count(*) FROM input").fetchone())
    return kept == count


async def _held(runner, count):
    found = await quarantine.held(runner.journal)
    return found if len(found) == count else None


async def _runs(api, count, *, exactly=False):
    found = await runs(api)
    finished = [run for run in found if members(run)["runStatus"] != "running"]
    return found if len(finished) == count or (len(finished) > count and not exactly) else None
