"""examples/one_city: the whole of it on both SQLite stores, exact counts, every entity held against its model, and no network."""

import json
import os
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import jsonschema_rs
import pytest
from mosquitto import find_mosquitto

from adapters.ngsild_client import NgsiLdClient
from adapters.wire import from_wire
from datamodels import models, schema
from datamodels.units import UNITS
from examples.one_city import mosquitto as mosquitto_module
from examples.one_city.__main__ import QUESTIONS, main
from examples.one_city.city import LINK, run
from examples.one_city.expected import alerts_of, reached, rows_in
from examples.one_city.files import MADE_UP, city_files
from examples.one_city.summary import RunOf, Summary

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("TSUNAGU_SHARED_DATA") or ROOT.parent / "shared" / "data")

NO_NETWORK = """
import sys
from pathlib import Path

LOCAL = {None, "", "localhost", "127.0.0.1", "::1", "0.0.0.0", b"localhost", b"127.0.0.1", b"::1"}


def watch(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if host not in LOCAL:
        with Path(__file__).with_name("attempts").open("a") as file:
            print(event, host, file=file)
        raise OSError(f"no network for {host}")


sys.addaudithook(watch)
"""


@pytest.fixture
def attempts(tmp_path, monkeypatch):
    """The file in which attempts to leave the machine are told: of the broker, which Python starts with this watch."""
    folder = tmp_path / "watch"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(NO_NETWORK)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), str(ROOT)]))
    return folder / "attempts"


@cache
def validator(entity_type):
    return jsonschema_rs.validator_for(json.dumps(dict(schema(entity_type))), validate_formats=True)


def units_in(value):
    if isinstance(value, dict):
        if "unitCode" in value:
            yield value["unitCode"]
        for each in value.values():
            yield from units_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from units_in(each)


async def held_against_models(city):
    """All entities of the broker by type, held against their schemas here, and not by the broker; their units are of the list."""
    found, wrong = Counter(), []
    async with NgsiLdClient(city.url) as client:
        for name, model in models().items():
            async for each in client.entities_of_type(model.iri):
                found[name] += 1
                entity = from_wire(each, model)
                assert len(entity) == len(each), f"{each['id']} has attributes that its model has not"
                wrong += [f"{each['id']}: {error}" for error in validator(name).iter_errors(entity)]
                wrong += [f"{each['id']}: {unit}" for unit in units_in(each) if unit not in UNITS]
    assert wrong == []
    return found


def by_source(summary):
    """Rows read, accepted, repaired and quarantined by file, or by feed of messages."""
    return {
        each.feed if each.source.startswith("mqtt:") else each.source: (
            *(each.read, each.accepted, each.repaired, each.quarantined),
        )
        for each in summary.runs
    }


ENTITIES = {
    "AED": 5,
    "ChildcareFacility": 3,
    "CulturalProperty": 3,
    "EvacuationSite": 10,
    "FireHydrant": 4,
    "PopulationObserved": 4,
    "PublicFacility": 6,
    "PublicToilet": 5,
    "RiverGauge": 4,
    "WeatherObserved": 3,
    "WifiPointOfInterest": 2,
}


async def test_the_made_up_city_adds_up_and_every_entity_fits_its_model(attempts):
    if find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    found = Counter()

    async def look(city, summary):
        found.update(await held_against_models(city))
        for question in QUESTIONS:
            async with city.session.get(city.url + question, headers={"Link": LINK}) as answer:
                assert answer.status == 200, await answer.text()
                assert await answer.json(), question

    summary = await run(city_files(MADE_UP), "sqlite::memory:", print, look)
    assert list(summary.faults()) == []
    assert summary.entities == ENTITIES | {"Device": 7, "FloodMonitoring": 4}
    assert found == Counter(summary.entities) + Counter(AdapterRun=len(summary.runs))
    assert by_source(summary) == {
        "999997_207_well_for_disaster.csv": (3, 1, 1, 1),
        "999997_aed.csv": (6, 4, 1, 1),
        "999997_cultural_property.csv": (3, 0, 3, 0),
        "999997_evacuation_space.csv": (7, 0, 7, 0),
        "999997_fire_hydrant.csv": (4, 4, 0, 0),
        "999997_population_20240401.csv": (4, 0, 4, 0),
        "999997_preschool.csv": (3, 0, 3, 0),
        "999997_public_toilet.csv": (5, 0, 5, 0),
        "999997_public_wireless_lan.csv": (2, 1, 1, 0),
        "okudani_evacuation.linkdata.csv": (3, 2, 1, 0),
        "street_light.csv": (4, 4, 0, 0),
        "sensors.csv": (4, 4, 0, 0),
        "amedastable.json": (4, 4, 0, 0),
        "20260630140000.json": (4, 3, 1, 0),
        "2026-06-30.csv": (576, 572, 4, 0),
        "gauges": (78, 76, 1, 1),
        "underpasses": (25, 25, 0, 0),
    }
    assert [
        (each["feed"], each["row"], each["rule"]) for each in sorted(summary.quarantine, key=lambda h: h["rule"])
    ] == [
        ("open-data", 4, "check-digit"),
        ("open-data", 4, "impossible-coordinates"),
        ("gauges", 1, "unknown-payload"),
    ]
    assert summary.mended["half-width-kana"] == 5
    assert summary.mended["spreadsheet-serial"] == 5
    assert summary.mended["flag-mark"] == 29
    assert summary.alerts == {"river": (3, 3), "gauges": (7, 7)}
    assert not attempts.exists(), attempts.read_text()


def test_without_mosquitto_it_says_so_and_goes_on_with_the_rest(attempts, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(mosquitto_module.shutil, "which", lambda *_, **__: None)
    store = f"sqlite:{tmp_path / 'store'}"
    assert main(["--store", store]) == 0
    said, wrong = capsys.readouterr()
    assert wrong == ""
    assert "Note: the gauges are left out: mosquitto is not installed" in said
    assert said.splitlines()[-1].startswith("632 rows and messages in ")
    assert said.splitlines()[-1].endswith(" s: all is well.")
    assert "decimal-point-moved" in "".join(said.split())
    assert not attempts.exists(), attempts.read_text()
    assert main(["--store", store]) == 1, "what is counted must be of this run alone"
    assert "is there already" in capsys.readouterr().err


def test_the_watch_sees_who_leaves_the_machine(attempts):
    program = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert "no network for 192.0.2.1" in done.stderr
    assert attempts.read_text().startswith("socket.getaddrinfo 192.0.2.1")


def test_what_is_not_there_is_said_in_a_sentence(tmp_path, capsys):
    assert main(["--data", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"one_city: {tmp_path} has no open data: csv or xlsx files in open-data/.\n"
    assert main(["--day", "2026-01-01"]) == 1
    assert "no levels of 2026-01-01" in capsys.readouterr().err


def test_every_number_that_does_not_add_up_is_told():
    a_run = RunOf("aed", "aed.csv", "succeeded", 9, 5, 2, 1, 8, 0, 1, counted=10)
    failed = RunOf("river", "x.csv", "failed", 1, 0, 0, 1, 0, 0, 0, failure="This is no river level table.")
    summary = Summary(
        [a_run, failed], entities={"AED": 7}, alerts={"river": (3, 4)}, missing=["weather: 1 of 2 came through."]
    )
    assert list(summary.faults()) == [
        "weather: 1 of 2 came through.",
        "aed, aed.csv: 9 rows read are not the sum of what became of them.",
        "aed, aed.csv: it has 10 rows, and 9 were read.",
        "aed, aed.csv: the broker refused 1 entities.",
        "river, x.csv: This is no river level table.",
        "2 records were quarantined, and 0 are in the quarantine.",
        "8 entities were created, and the broker has 7.",
        "river: 3 alerts expected, 4 seen.",
    ]


def test_what_is_expected_is_counted_by_other_means(tmp_path):
    assert reached([1, 3, 2, 3, 2, 2, 3], 3, hold=2) == [False, True, True, True, True, False, True]
    assert alerts_of([1, 3, 5, 3, 3, 1, 1], {"caution": 3, "danger": 5}, hold=2) == 3
    table = tmp_path / "x.csv"
    table.write_bytes("#LINK,\n#property,名\n#object_type_xsd,string\n1,髙\n,\n2,b\n".encode("cp932"))
    assert rows_in(table) == 2
    table.write_bytes('\ufeffa,b\r\n1,"x\r\ny"\r\n'.encode())
    assert rows_in(table) == 1


@pytest.mark.real_data
async def test_a_real_city_adds_up(attempts):
    if not (DATA / "municipal-yaizu").is_dir():
        pytest.skip("the real files are not present")
    if find_mosquitto() is None:
        pytest.skip("mosquitto is not installed")
    found = Counter()

    async def look(city, summary):
        found.update(await held_against_models(city))

    summary = await run(city_files(DATA), "sqlite::memory:", print, look)
    assert list(summary.faults()) == []
    assert found == Counter(summary.entities) + Counter(AdapterRun=len(summary.runs))
    city = [each for each in summary.runs if each.feed == "open-data"]
    assert (len(city), sum(each.read for each in city), sum(each.quarantined for each in city)) == (12, 996, 0)
    assert summary.entities == {
        "AED": 82,
        "ChildcareFacility": 60,
        "DesignatedShelter": 56,
        "Device": 34,
        "EvacuationSite": 31,
        "FireHydrant": 193,
        "FloodMonitoring": 3,
        "PublicFacility": 417,
        "PublicToilet": 112,
        "RiverGauge": 103,
        "TouristAttraction": 28,
        "WeatherObserved": 30,
        "WifiPointOfInterest": 17,
    }
    assert by_source(summary)["2021-08-14.csv"] == (7228, 7180, 48, 0)
    assert [(each["feed"], each["rule"]) for each in summary.quarantine] == [
        ("river", "no-number"),
        ("gauges", "unknown-payload"),
    ]
    assert summary.alerts == {"river": (17, 17), "gauges": (4, 4)}
    assert not attempts.exists(), attempts.read_text()
