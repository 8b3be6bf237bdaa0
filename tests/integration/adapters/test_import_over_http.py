"""The import over HTTP, against a small server that really keeps entities and is not the project's broker."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from small_broker import REFUSED, SmallBroker

from adapters.applying import IN_FLIGHT, Applied, apply, batches, parts_of
from adapters.errors import AdapterError, BrokerRefused, BrokerUnreachable
from adapters.importing import import_files, progress_bar
from adapters.ngsild_client import BATCH, NgsiLdClient
from datamodels import model_of

SITES = Path(__file__).parents[3] / "examples" / "evacuation_sites"
FILES = [SITES / name for name in ("recommended.utf8-bom.csv", "standard.cp932.csv", "linkdata.utf8.csv")]
TELEPHONE = "https://schema.org/telephone"


def sites(count):
    return [
        {
            "id": f"urn:ngsi-ld:EvacuationSite:999997:{number}",
            "type": "EvacuationSite",
            "name": {"type": "Property", "value": f"避難場所{number}"},
            "hazardTypes": {"type": "Property", "value": ["flood"]},
        }
        for number in range(count)
    ]


async def brought(client, entities, seen=None):
    """What bringing a broker to these entities comes to."""

    async def on_progress(done, sofar):
        if seen is not None:
            seen.append(sum(sofar.counts.values()))

    todo = batches(parts_of(entities, {}), in_turn=False)
    return await apply(client, todo, "run", 0, Applied(), on_progress)


async def test_importing_twice_writes_once():
    async with SmallBroker() as broker:
        first = await import_files(FILES, broker.url)
        assert first.ok
        assert (first.counts["created"], first.counts["updated"], first.counts["unchanged"]) == (8, 0, 0)
        assert len(broker.entities) == 8
        broker.writes.clear()
        second = await import_files(FILES, broker.url)
        assert (second.counts["created"], second.counts["updated"], second.counts["unchanged"]) == (0, 0, 8)
        assert broker.writes == []


async def test_only_the_changed_row_is_written_and_a_lost_value_is_taken_away(tmp_path):
    data = FILES[0].read_text("utf-8-sig")
    file = tmp_path / "sites.csv"
    file.write_text(data, "utf-8")
    async with SmallBroker() as broker:
        await import_files([file], broker.url)
        tower = next(e for e in broker.entities.values() if "みなと" in e["https://uri.etsi.org/ngsi-ld/name"]["value"])
        tower["https://example.org/openingStatus"] = {"type": "Property", "value": "open"}
        broker.writes.clear()
        file.write_text(data.replace("(099)900-0001", "").replace("138.3271", "138.3272"), "utf-8")
        report = await import_files([file], broker.url)
        assert (report.counts["updated"], report.counts["unchanged"]) == (1, 2)
        assert broker.writes == [("upsert", tower["id"]), ("delete", TELEPHONE)]
        assert tower["location"]["value"]["coordinates"] == [138.3272, 34.8751]
        assert tower["https://example.org/openingStatus"]["value"] == "open"


async def test_a_dry_run_asks_no_broker_and_shows_the_entities():
    report = await import_files(FILES, "http://127.0.0.1:9", dry_run=True)
    answer = json.loads(json.dumps(report.as_json()))
    assert answer["dryRun"]
    assert answer["counts"]["entities"] == 8
    assert answer["counts"]["created"] == 0
    assert sum(len(file["entities"]) for file in answer["files"]) == 8
    assert {repair["severity"] for file in answer["files"] for repair in file["repairs"]} == {"info", "warning"}
    assert set(answer["files"][0]["quarantine"][0]) == {"row", "column", "rule", "reason", "record"}


async def test_a_busy_broker_is_asked_again_and_a_silent_one_is_named():
    async with SmallBroker() as broker:
        broker.busy = 3
        report = await import_files(FILES[:1], broker.url, tenant="tsunagu")
        assert report.counts["created"] == 3
        assert broker.tenants == {"tsunagu"}
    async with NgsiLdClient(broker.url, attempts=2, pause=0.01) as client:
        with pytest.raises(BrokerUnreachable, match=broker.url):
            await client.entities(model_of("EvacuationSite").iri, ["urn:x:1"])


async def test_a_broker_that_stays_busy_is_given_up_in_the_end():
    async with SmallBroker() as broker, NgsiLdClient(broker.url, attempts=3, pause=0.01) as client:
        broker.busy = 100
        with pytest.raises(BrokerUnreachable, match="503 busy"):
            await client.upsert([{"id": "urn:x:1", "type": "https://example.org/T"}], key="run/0")
        assert broker.asked["upsert"] == 3


async def test_a_refusal_is_not_repeated():
    async with SmallBroker() as broker, NgsiLdClient(broker.url) as client:
        with pytest.raises(BrokerRefused, match="refused POST /subscriptions: 404"):
            await client.subscribe({"id": "urn:x:1", "type": "Subscription"})
        assert broker.asked["subscriptions"] == 1


async def test_one_refused_entity_does_not_keep_the_others_out():
    entities = [*sites(3), {**sites(1)[0], "id": REFUSED}]
    async with SmallBroker() as broker, NgsiLdClient(broker.url) as client:
        applied = await brought(client, entities)
        assert (applied.counts["created"], applied.failed) == (3, {REFUSED: "not this one"})


@pytest.mark.parametrize("value", ["read by no broker", "\udc80"])
async def test_one_entity_for_which_the_whole_batch_is_refused_does_not_keep_the_others_out(value):
    entities = sites(300)
    entities[123]["poison"] = {"type": "Property", "value": value}
    async with SmallBroker() as broker, NgsiLdClient(broker.url) as client:
        applied = await brought(client, entities)
        assert (applied.counts["created"], applied.counts["failed"]) == (299, 1)
        assert set(applied.failed) == {entities[123]["id"]}
        assert len(broker.keys) == len(set(broker.keys)), "each part is a request of its own"


async def test_a_broker_that_takes_small_batches_only_gets_small_ones():
    async with SmallBroker() as broker, NgsiLdClient(broker.url) as client:
        broker.most_in_batch = 100
        applied = await brought(client, sites(1250))
        assert applied.counts["created"] == len(broker.entities) == 1250
        assert broker.largest_batch <= 100


async def test_many_entities_go_in_batches_with_a_bound_on_what_is_in_flight():
    seen = []
    async with SmallBroker() as broker, NgsiLdClient(broker.url) as client:
        applied = await brought(client, sites(5 * BATCH + 50), seen)
        assert applied.counts["created"] == len(broker.entities) == 5 * BATCH + 50
        assert broker.largest_batch == BATCH
        assert 1 < broker.most_at_once <= IN_FLIGHT
        assert seen == sorted(seen)
        assert seen[-1] == 5 * BATCH + 50
        again = await brought(client, sites(5 * BATCH + 50))
        assert again.counts["unchanged"] == 5 * BATCH + 50


def test_large_entities_go_in_batches_of_fewer():
    entities = sites(100)
    for each in entities:
        each["description"] = {"type": "Property", "value": "長" * 10_000}
    found = batches(parts_of(entities, {}), in_turn=False)
    assert [len(each.entities) for each in found] == [25, 25, 25, 25]
    assert [each.end for each in found] == [25, 50, 75, 100]


async def test_each_batch_has_a_key_of_its_own_and_keeps_it_when_it_is_sent_again():
    async with SmallBroker() as broker, NgsiLdClient(broker.url, pause=0.01) as client:
        await brought(client, sites(2 * BATCH + 50))
        first = set(broker.keys)
        assert len(first) == len(broker.keys) == 3
        assert all(key is not None and key.startswith('"') and key.endswith('"') for key in first)
        broker.under_way = 2
        applied = await brought(client, sites(2 * BATCH + 150)[2 * BATCH + 50 :])
        assert applied.counts["created"] == 100
        (again,) = set(broker.keys[3:])
        assert len(broker.keys[3:]) == 3
        assert again not in first


async def test_a_batch_that_stays_under_way_is_given_up_in_the_end():
    async with SmallBroker() as broker, NgsiLdClient(broker.url, attempts=2, pause=0.01) as client:
        broker.under_way = 10
        with pytest.raises(BrokerUnreachable, match="409 under way"):
            await client.upsert([{"id": "urn:x:1", "type": "https://example.org/T"}], key="run/0")


async def test_a_file_that_cannot_be_read_does_not_keep_the_others_out(tmp_path):
    (tmp_path / "aed.csv").write_text("NO,管理番号,灯具,点検日\n1,a,b,c\n", "utf-8")
    paths = [tmp_path / "aed.csv", tmp_path / "missing.csv", tmp_path, FILES[0]]
    async with SmallBroker() as broker:
        report = await import_files(paths, broker.url)
    assert not report.ok
    assert [bool(file.error) for file in report.files] == [True, True, True, False]
    assert "nearest is evacuation_space/recommended" in report.files[0].error
    assert report.files[1].error == "There is no such file."
    assert report.counts["created"] == 3


async def test_a_wrong_municipality_or_url_is_one_sentence():
    with pytest.raises(AdapterError, match="check digit"):
        await import_files(FILES, dry_run=True, municipality="222128")
    with pytest.raises(BrokerUnreachable, match="must begin with http"):
        await import_files(FILES, "localhost:1026")


async def test_the_report_for_people_says_it_all_and_the_bar_reaches_its_end(tmp_path):
    screen = io.StringIO()
    console = Console(file=screen, width=200, force_terminal=False)
    async with SmallBroker() as broker:
        with progress_bar(console) as on_progress:
            steps = []

            def watch(step):
                steps.append(step)
                on_progress(step)

            report = await import_files([*FILES, tmp_path / "missing.csv"], broker.url, on_progress=watch)
    report.render(console)
    said = screen.getvalue()
    assert {step.stage for step in steps} == {"reading", "sending", "done"}
    assert [step.done for step in steps if step.stage == "done"] == [3, 2, 3]
    for words in (
        "flag-mark",
        "half-width-kana",
        "row 4 is quarantined (impossible-coordinates)",
        "There is no such file.",
    ):
        assert words in said
    assert said.rstrip().endswith(
        "12 rows: 1 as they are, 7 repaired, 4 quarantined; 8 entities: 8 created, 0 updated, 0 unchanged, 0 failed."
    )
