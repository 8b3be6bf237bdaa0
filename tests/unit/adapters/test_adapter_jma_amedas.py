"""AMeDAS: stations, observations with their flags, and the times and places that only file names say."""

import os
from pathlib import Path

import orjson
import pytest

from adapters.contract import Origin
from adapters.errors import UnreadableFile
from adapters.jma.amedas import AMEDAS, AmedasOptions, decode_amedas, links_of_time
from adapters.testing import AdapterContract, Sample

DATA = Path(os.environ.get("TSUNAGU_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data") / "jma-amedas"
SITE = "https://www.jma.go.jp/bosai/amedas"

STATIONS = {
    "99132": {
        "type": "A",
        "lat": [35, 41.5],
        "lon": [139, 45.0],
        "alt": 25,
        "kjName": "架空",
        "knName": "カクウ",
        "enName": "Kaku",
    },
    "99133": {"type": "C", "lat": [24, 17.4], "lon": [153, 59.0], "alt": 7, "kjName": "離島"},
}
MAP = {
    "99132": {
        "temp": [10.8, 0],
        "humidity": [24, 0],
        "wind": [4.4, 1],
        "windDirection": [14, 0],
        "precipitation1h": [0, 0],
        "snow": [0, None],
        "sun1h": [0.4, 4],
        "normalPressure": [None, 5],
        "precipitation10m": [0, 6],
        "gust": [9.9, 0],
    },
    "99133": {"windDirection": [0, 0], "wind": [0, 0]},
}


def origin(address):
    return Origin(SITE, "2026-06-30T05:20:00.000Z", address=f"{SITE}/data/{address}")


def decode(document, address="map/20210224150000.json", state=None, **options):
    return decode_amedas(orjson.dumps(document), origin(address), AmedasOptions(**options), state)


@pytest.fixture
def stations():
    return decode(STATIONS, "const/amedastable.json").state


class TestAmedas(AdapterContract):
    adapter = AMEDAS
    samples = (
        Sample(orjson.dumps(STATIONS), records=2, origin=origin("../const/amedastable.json")),
        Sample(
            orjson.dumps(MAP),
            records=2,
            origin=origin("map/20210224150000.json"),
            absent=[
                ("urn:ngsi-ld:WeatherObserved:jma-amedas:99132", "snowHeight"),
                ("urn:ngsi-ld:WeatherObserved:jma-amedas:99132", "precipitation10m"),
                ("urn:ngsi-ld:WeatherObserved:jma-amedas:99133", "windDirection"),
            ],
        ),
        Sample(
            orjson.dumps({"20210224150000": MAP["99132"]}), records=1, origin=origin("point/99132/20210224_15.json")
        ),
    )


def test_degrees_come_from_whole_degrees_and_decimal_minutes():
    first, _ = decode(STATIONS, "const/amedastable.json").entities
    assert first["location"]["value"]["coordinates"] == [139.75, 35.691667]
    assert first["elevation"] == {"type": "Property", "value": 25.0, "unitCode": "MTR"}


def test_observations_have_the_instant_of_the_files_name_in_utc_and_the_place_of_their_station(stations):
    first, _ = decode(MAP, state=stations).entities
    assert first["id"] == "urn:ngsi-ld:WeatherObserved:jma-amedas:99132"
    assert first["dateObserved"]["value"] == "2021-02-24T06:00:00Z"
    assert first["temperature"] == {
        "type": "Property",
        "value": 10.8,
        "observedAt": "2021-02-24T06:00:00Z",
        "unitCode": "CEL",
    }
    assert (first["relativeHumidity"]["value"], first["windDirection"]["value"]) == (0.24, 315)
    assert first["location"]["value"]["coordinates"] == [139.75, 35.691667]
    assert first["stationName"]["value"] == "架空"
    assert first["refDevice"]["object"] == "urn:ngsi-ld:Device:jma-amedas:99132"


def test_only_what_is_sound_is_handed_on_and_what_is_doubtful_is_reported():
    decoded = decode(MAP)
    first, calm = decoded.entities
    assert first["windSpeed"]["qualityFlag"] == {"type": "Property", "value": 1}
    assert not first.keys() & {"snowHeight", "sunshineDuration", "atmosphericPressure", "precipitation10m"}
    assert [(repair.column, repair.before, repair.rule) for repair in decoded.repairs] == [
        ("99132.sun1h", "0.4", "doubtful-value")
    ]
    assert "windDirection" not in calm
    assert calm["windSpeed"]["value"] == 0


def test_a_zero_that_was_measured_is_there():
    first, _ = decode(MAP).entities
    assert first["precipitation"]["value"] == 0


def test_a_point_file_has_the_instants_of_one_station():
    decoded = decode(
        {"20210224150000": {"temp": [1, 0]}, "20210224151000": {"temp": [2, 0]}}, "point/99132/20210224_15.json"
    )
    assert [(each["id"][-5:], each["temperature"]["observedAt"]) for each in decoded.entities] == [
        ("99132", "2021-02-24T06:00:00Z"),
        ("99132", "2021-02-24T06:10:00Z"),
    ]


def test_a_flag_that_is_none_keeps_its_value_out_and_no_other():
    first, _ = decode({"99132": {"temp": [1, [0]], "wind": [2, 0]}, "99133": {"temp": [3, 0]}}).entities
    assert "temperature" not in first
    assert first["windSpeed"]["value"] == 2


def test_only_the_stations_that_are_wanted_come():
    assert [entity["id"][-5:] for entity in decode(MAP, stations=("99133",)).entities] == ["99133"]


def test_records_that_are_none_are_quarantined():
    decoded = decode({"99132": MAP["99132"], "x": {}, "99133": 3})
    assert (decoded.records, decoded.quarantined) == (3, 2)
    assert {each.rule for each in decoded.quarantine} == {"no-observation"}


@pytest.mark.parametrize("address", ["latest.json", "map/20211324150000.json"])
def test_a_file_whose_instant_nobody_says_is_refused(address):
    with pytest.raises(UnreadableFile, match="name"):
        decode(MAP, address)


def test_the_latest_time_leads_to_the_table_and_to_its_map_file():
    latest = b"2021-02-24T15:00:00+09:00\n"
    expected = ["../const/amedastable.json", "map/20210224150000.json"]
    assert links_of_time(latest, origin("latest_time.txt"), AmedasOptions()) == expected
    with pytest.raises(UnreadableFile, match="latest_time"):
        links_of_time(b"now", origin("latest_time.txt"), AmedasOptions())


# --- real files


def real(name):
    path = DATA / name
    if not path.exists():
        pytest.skip(f"the real file {name} is not present")
    return path.read_bytes()


@pytest.mark.real_data
def test_a_real_map_file_with_its_table():
    table = decode_amedas(real("amedastable.2021.json"), origin("../const/amedastable.json"), AmedasOptions(), None)
    assert (table.records, len(table.entities), table.quarantined) == (1295, 1295, 0)
    data = real("map_20210224150000.json")
    decoded = decode_amedas(data, origin("map/20210224150000.json"), AmedasOptions(), table.state)
    assert (decoded.records, decoded.quarantined) == (1295, 0)
    tokyo = next(entity for entity in decoded.entities if entity["id"].endswith(":44132"))
    values = {name: each.get("value") for name, each in tokyo.items() if isinstance(each, dict)}
    assert (values["temperature"], values["relativeHumidity"], values["windSpeed"]) == (10.8, 0.24, 4.4)
    assert (values["windDirection"], values["dateObserved"]) == (315, "2021-02-24T06:00:00Z")
    assert values["location"]["coordinates"] == [139.75, 35.691667]
    assert len([repair for repair in decoded.repairs if repair.rule == "doubtful-value"]) > 0


@pytest.mark.real_data
def test_the_newer_table_reads_the_same_way():
    table = decode_amedas(real("amedastable.2025.json"), origin("../const/amedastable.json"), AmedasOptions(), None)
    assert (table.records, table.quarantined) == (1286, 0)
