"""What others counted in the real files and no adapter's own tests assert: encodings and rows as their lists say, extremes,
and the same telegram or uplink as another program reads it."""

import csv
import json
import os
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from adapters.contract import LIVE, Origin
from adapters.decoding import decode
from adapters.options import read_options
from adapters.registry import adapter_named

DATA = Path(os.environ.get("TSUNAGU_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data")
LISTED = re.compile(r"^- (\S+\.(?:csv|xlsx)): .*\[([^,\]]+), (\d+) rows\]$")
ENCODINGS = {"UTF-8": "utf-8", "UTF-8 with BOM": "utf-8-sig", "CP932": "cp932"}
LINKDATA_LINES = {"population.0066_202306.cp932.csv": 8}
"""Lines before the header, which the list counts as rows."""

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.skipif(not DATA.is_dir(), reason="the real files are not present"),
]


def read(adapter, path, state=None, **options):
    chosen = adapter_named(adapter)
    address = str(path).replace("map_2021", "map/2021")
    origin = Origin(path.name, "2026-06-30T05:20:00.000Z", address, parameters={"name": path.name})
    return chosen.decode(path.read_bytes(), origin, read_options(chosen.options, options), state)


def value(entity, name):
    return entity.get(name, {}).get("value")


def listed():
    if not DATA.is_dir():
        return
    folder = ""
    for line in (DATA / "README.md").read_text("utf-8").splitlines():
        if (heading := re.match(r"^## (\S+)/", line)) is not None:
            folder = heading[1]
        elif folder.startswith(("municipal-", "shelter-")) and (found := LISTED.match(line)) is not None:
            yield f"{folder}/{found[1]}", found[2], int(found[3])


def test_the_list_has_the_files_of_all_publishers():
    assert len(list(listed())) == 39
    assert Counter(encoding for _, encoding, _ in listed()) == {"UTF-8": 18, "UTF-8 with BOM": 8, "CP932": 13}


@pytest.mark.parametrize(("file", "encoding", "rows"), list(listed()))
def test_a_municipal_file_has_the_encoding_and_the_rows_that_its_list_says(file, encoding, rows):
    path = DATA / file
    found = decode(path.read_bytes(), file_name=path.name)
    assert (found.encoding, found.rows) == (ENCODINGS[encoding], rows - LINKDATA_LINES.get(path.name, 0))
    assert found.accepted + found.repaired + len(found.quarantine) == found.rows


def test_yaizus_hydrants_know_their_town_and_takamatsus_toilets_close_at_midnight():
    hydrants = decode((DATA / "municipal-yaizu/222127_fire_hydrant.csv").read_bytes()).entities
    towns = {(value(each, "address") or {}).get("abrMachiazaId") for each in hydrants}
    assert "0003000" in towns
    toilets = decode((DATA / "municipal-takamatsu/public_toilet.data.csv").read_bytes()).entities
    ends = Counter(hours["closes"] for each in toilets for hours in value(each, "openingHoursSpecification") or ())
    assert ends == {"24:00": 23}


def test_ichikawas_ids_are_empty_in_every_file_and_no_two_rows_get_the_same():
    for path in sorted((DATA / "municipal-ichikawa").glob("*.csv")):
        with path.open(encoding="cp932", newline="") as file:
            rows = list(csv.DictReader(file))
        if "ID" not in rows[0]:
            continue
        assert {row["ID"] for row in rows} == {""}, path
        found = decode(path.read_bytes(), file_name=path.name)
        assert len({each["id"] for each in found.entities}) == found.rows - len(found.quarantine)


@cache
def fukui():
    folder = DATA / "river-fukui"
    master = read("river-level", folder / "sensors.csv")
    found = read("river-level", folder / "2021-08-14.csv", master.state)
    return master, found


def test_fukuis_flood_has_its_highest_levels_when_and_where_they_were():
    master, found = fukui()
    names = {each["id"]: value(each, "name") for each in master.entities}
    levels = [(each["id"], value(each, "waterLevel"), each["waterLevel"]["observedAt"]) for each in found.entities]
    assert (found.records, len(levels)) == (7228, 7228 - 48)
    highest: dict[str, tuple[float, str]] = {}
    for gauge, level, at in levels:
        if names.get(gauge) in ("江端", "原目", "上太田") and level > highest.get(names[gauge], (0.0, ""))[0]:
            highest[names[gauge]] = level, at
    assert highest == {
        "江端": (4.51, "2021-08-14T02:00:00Z"),
        "原目": (1.89, "2021-08-13T23:50:00Z"),
        "上太田": (2.76, "2021-08-13T23:50:00Z"),
    }


def test_fukuis_flood_has_327_readings_at_or_above_the_caution_level():
    master, found = fukui()
    caution = {each["id"]: value(each, "cautionLevel") for each in master.entities}
    levels = [(caution.get(each["id"]), value(each, "waterLevel")) for each in found.entities]
    assert sum(limit is not None and level >= limit for limit, level in levels) == 327


def test_amedas_measures_temperature_at_920_stations_and_rain_at_1292():
    """Of which those are passed on that the agency calls sound: flag 4 and above is no value."""
    path = DATA / "jma-amedas/map_20210224150000.json"
    raw = json.loads(path.read_bytes())
    table = read("jma-amedas", DATA / "jma-amedas/amedastable.2021.json")
    found = read("jma-amedas", path, table.state)
    for element, attribute, stations in (
        ("temp", "temperature", 920),
        ("precipitation1h", "precipitation", 1292),
        ("precipitation10m", "precipitation10m", 1292),
    ):
        given = [each[element] for each in raw.values() if element in each]
        assert len(given) == stations
        sound = sum(number is not None and flag is not None and flag < 4 for number, flag in given)
        assert sum(attribute in each for each in found.entities) == sound
    assert sum("temperature" in each for each in found.entities) == 915


@pytest.mark.parametrize(
    ("name", "entities", "kind"),
    [
        ("17_01_01_190529_VXWW50", 25, "警戒"),
        ("17_04_01_250630_VXWW50", 3, "警戒"),
        ("19_06_01_140425_VPHW51", 26, "竜巻注意情報"),
        ("32-35_04_01_100831_VXSE51", 5, "震度４"),
        ("32-35_04_04_240613_VXSE53", 20, "震度４"),
    ],
)
def test_the_agencys_other_samples_give_an_alert_for_each_area(name, entities, kind):
    found = read("jma-xml", DATA / f"jma-xml/{name}.xml")
    assert (found.channel, found.records, found.quarantined, len(found.entities)) == (LIVE, 1, 0, entities)
    assert value(found.entities[0], "kindName") == kind


def test_a_flood_forecast_says_what_another_program_reads_in_it():
    folder, name = DATA / "jma-xml", "16_02_02_220728_VXKOii"
    theirs = json.loads((folder / f"{name}.parsed-by-jmaxml.json").read_bytes())
    alert = read("jma-xml", folder / f"{name}.xml").entities[0]
    head = theirs["head"]
    item = head["headline"]["informations"][0]["items"][0]
    assert value(alert, "dateIssued") == head["reportDateTime"]
    assert value(alert, "eventId") == head["eventID"]
    assert str(value(alert, "serial")) == head["serial"]
    assert (value(alert, "kindCode"), value(alert, "kindName")) == (item["kinds"][0]["code"], item["kinds"][0]["name"])
    assert value(alert, "areaServed")[0]["code"] == item["areas"]["areas"][0]["code"]


@pytest.mark.parametrize("server", ["ChirpStack", "ThingsStackCommunity"])
def test_an_uplink_says_what_its_publisher_expects(server):
    name = f"Milesight-EM500-UDL.{server}"
    expected = json.loads((DATA / f"lorawan/{name}.result.json").read_bytes())["telemetry"][0]["values"]
    (device,) = read("lorawan", DATA / f"lorawan/{name}.payload.json", model="milesight-em500-udl").entities
    assert value(device, "batteryLevel") * 100 == expected["battery"]
    assert value(device, "measuredDistance") * 1000 == expected["distance"]


def test_the_tutorials_of_iot_agents_have_61_requests():
    found = [json.loads(path.read_bytes()) for path in sorted((DATA / "iot-agents").glob("*.requests.json"))]
    assert sum(map(len, found)) == 61
